//! What each route does. Every handler asks the broker and answers in Pulsar's JSON.

mod backlogs;
mod backup;
mod bookies;
mod broker_stats;
mod brokers;
mod clusters;
mod configuration;
mod cursors;
pub(crate) mod disabled;
mod isolation;
mod local_policies;
mod lookup;
mod messages;
mod namespaces;
mod permissions;
pub(crate) mod policies;
mod resources;
mod schemas;
mod subscriptions;
mod tenants;
mod topics;

use geminga_broker::Broker;

use crate::{
    Options, answer::Answer, failure::Failure, metrics::metrics, openapi::document,
    request::Request, route::Route,
};

type Answered = Result<Answer, Failure>;

/// Serves one request.
#[expect(clippy::too_many_lines, reason = "a table, exhaustive so that no route is forgotten")]
pub(crate) async fn handle(
    route: Route,
    broker: &Broker,
    request: &Request,
    options: &Options,
) -> Answered {
    match route {
        Route::Status => Ok(Answer::text("OK")),
        Route::Metrics | Route::MetricsSlash => Ok(metrics(broker, options).await),
        Route::Health => brokers::health(broker, options).await,
        Route::Ready => Ok(Answer::text("ok")),
        Route::Version => Ok(Answer::text(options.version.clone())),
        Route::LeaderBroker => Ok(brokers::leader(broker)),
        Route::Brokers => Ok(brokers::list(broker)),
        Route::BrokersOfCluster => brokers::of_cluster(broker, request).await,
        Route::DynamicKeys
        | Route::DynamicConfiguration
        | Route::RuntimeConfiguration
        | Route::SetDynamicConfiguration
        | Route::RemoveDynamicConfiguration
        | Route::InternalConfiguration => configuration::handle(route, broker, request).await,
        Route::OwnedNamespaces => brokers::owned_namespaces(broker, request).await,
        Route::BacklogQuotaCheck => Ok(Answer::done()),
        Route::ShutDown => brokers::shut_down(),
        Route::BrokerMetrics => Ok(broker_stats::metrics(broker, options)),
        Route::BrokerBeans => Ok(broker_stats::beans()),
        Route::BrokerTopics | Route::BrokerDestinations => Ok(broker_stats::topics(broker).await),
        Route::AllocatorStats => broker_stats::allocator(request),
        Route::BookieOperations => broker_stats::bookie_operations(),
        Route::LoadReport => broker_stats::load_report(broker, options).await,
        Route::ResourceAvailability => broker_stats::availability(),
        Route::OpenApi => Ok(Answer::json(&document(&options.version))),
        Route::BackupStatus => backup::status(options),
        Route::StartBackup => backup::start(options, request),
        Route::Clusters
        | Route::Cluster
        | Route::CreateCluster
        | Route::UpdateCluster
        | Route::DeleteCluster
        | Route::Peers
        | Route::SetPeers
        | Route::Migration
        | Route::Migrate => clusters::handle(route, broker, request).await,
        Route::FailureDomains
        | Route::FailureDomain
        | Route::SetFailureDomain
        | Route::DeleteFailureDomain => isolation::failure_domains(route, broker, request).await,
        Route::IsolationPolicies
        | Route::IsolationPolicy
        | Route::SetIsolationPolicy
        | Route::DeleteIsolationPolicy
        | Route::IsolatedBrokers
        | Route::IsolatedBroker => isolation::policies(route, broker, request).await,
        Route::Bookies
        | Route::BookieRacks
        | Route::BookieRack
        | Route::SetBookieRack
        | Route::RemoveBookieRack => bookies::handle(route, broker, request).await,
        Route::ResourceQuota
        | Route::SetResourceQuota
        | Route::BundleQuota
        | Route::SetBundleQuota
        | Route::RemoveBundleQuota => resources::quotas(route, broker, request).await,
        Route::ResourceGroups
        | Route::ResourceGroup
        | Route::SetResourceGroup
        | Route::DeleteResourceGroup => resources::groups(route, broker, request).await,
        Route::GetDisabled | Route::PostDisabled | Route::PutDisabled | Route::DeleteDisabled => {
            disabled::handle(request)
        }
        Route::Tenants
        | Route::Tenant
        | Route::CreateTenant
        | Route::UpdateTenant
        | Route::DeleteTenant => tenants::handle(route, broker, request).await,
        Route::Namespaces
        | Route::NamespacePolicies
        | Route::CreateNamespace
        | Route::DeleteNamespace
        | Route::NamespaceTopics
        | Route::NamespaceBundles
        | Route::UnloadNamespace
        | Route::UnloadBundle
        | Route::SplitBundle
        | Route::TopicHashPositions
        | Route::DeleteBundle => namespaces::handle(route, broker, request).await,
        Route::AllowedClusters | Route::SetAllowedClusters => {
            namespaces::allowed_clusters(route, broker, request).await
        }
        Route::SetNamespaceMigration => local_policies::migration(broker, request).await,
        Route::ScanOffloadedLedgers => namespaces::offloaded_ledgers(broker, request).await,
        Route::NamespaceProperties
        | Route::SetNamespaceProperties
        | Route::ClearNamespaceProperties
        | Route::NamespaceProperty
        | Route::SetNamespaceProperty
        | Route::RemoveNamespaceProperty => namespaces::properties(route, broker, request).await,
        Route::NamespaceGroup | Route::SetNamespaceGroup | Route::RemoveNamespaceGroup => {
            namespaces::resource_group(route, broker, request).await
        }
        Route::AntiAffinity
        | Route::SetAntiAffinity
        | Route::RemoveAntiAffinity
        | Route::AntiAffinityNamespaces
        | Route::AntiAffinityNamespacesOld => {
            local_policies::anti_affinity(route, broker, request).await
        }
        Route::BookieAffinity | Route::SetBookieAffinity | Route::RemoveBookieAffinity => {
            local_policies::bookie_affinity(route, broker, request).await
        }
        Route::Permissions | Route::GrantPermission | Route::RevokePermission => {
            permissions::of_namespace(route, broker, request).await
        }
        Route::SubscriptionPermissions
        | Route::GrantSubscriptionPermission
        | Route::RevokeSubscriptionPermission => {
            permissions::of_subscription(route, broker, request).await
        }
        Route::GrantTopicsPermissions | Route::RevokeTopicsPermissions => {
            permissions::of_topics(route, broker, request).await
        }
        Route::TopicPermissions | Route::GrantTopicPermission | Route::RevokeTopicPermission => {
            permissions::of_topic(route, broker, request).await
        }
        Route::NamespacePolicy
        | Route::PostNamespacePolicy
        | Route::PutNamespacePolicy
        | Route::RemoveNamespacePolicy => policies::of_namespace(route, broker, request).await,
        Route::Topics => topics::list(broker, request).await,
        Route::BundleTopics => topics::list_bundle(broker, request).await,
        Route::PartitionedTopics => topics::list_partitioned(broker, request).await,
        Route::CreateTopic => topics::create(broker, request).await,
        Route::DeleteTopic => topics::delete(broker, request).await,
        Route::Partitions => topics::partitions(broker, request).await,
        Route::CreatePartitions => topics::create_partitions(broker, request).await,
        Route::UpdatePartitions => topics::update_partitions(broker, request).await,
        Route::CreateMissedPartitions => topics::create_missed_partitions(broker, request).await,
        Route::DeletePartitions => topics::delete_partitions(broker, request).await,
        Route::TopicStats => topics::stats(broker, request).await,
        Route::PartitionedStats => topics::partitioned_stats(broker, request).await,
        Route::InternalStats | Route::InternalStatsDashed => {
            topics::internal_stats(broker, request).await
        }
        Route::PartitionedInternalStats => topics::partitioned_internals(broker, request).await,
        Route::InternalInfo => topics::internal_info(broker, request).await,
        Route::Offload => topics::offload(broker, request).await,
        Route::OffloadStatus => topics::offload_status(broker, request).await,
        Route::UnloadTopic => topics::unload(broker, request).await,
        Route::Terminate => topics::terminate(broker, request).await,
        Route::TerminatePartitions => topics::terminate_partitions(broker, request).await,
        Route::Truncate => topics::truncate(broker, request).await,
        Route::TopicProperties => topics::properties(broker, request).await,
        Route::SetTopicProperties => topics::set_properties(broker, request).await,
        Route::RemoveTopicProperty => topics::remove_property(broker, request).await,
        Route::TopicPolicy
        | Route::PostTopicPolicy
        | Route::PutTopicPolicy
        | Route::RemoveTopicPolicy => policies::of_topic(route, broker, request).await,
        Route::SubscriptionDispatchRate
        | Route::SetSubscriptionDispatchRate
        | Route::RemoveSubscriptionDispatchRate => {
            policies::of_subscription(route, broker, request).await
        }
        Route::ShadowTopics | Route::SetShadowTopics | Route::RemoveShadowTopics => {
            topics::shadows(broker, request).await
        }
        Route::EffectivePolicies => policies::in_force(broker, request).await,
        Route::Compact => topics::compact(broker, request).await,
        Route::CompactionStatus => topics::compaction_status(broker, request).await,
        Route::LastMessageId => topics::last_message_id(broker, request).await,
        Route::MessageIdByIndex => topics::message_id_by_index(broker, request).await,
        Route::MessageIdByTime => messages::id_by_time(broker, request).await,
        Route::MessageById => messages::by_id(broker, request).await,
        Route::ExamineMessage => messages::examine(broker, request).await,
        Route::PeekMessage => messages::peek(broker, request).await,
        Route::Subscriptions => subscriptions::list(broker, request).await,
        Route::CreateSubscription => subscriptions::create(broker, request).await,
        Route::DeleteSubscription => subscriptions::delete(broker, request).await,
        Route::ExplainSubscription => subscriptions::explain(broker, request).await,
        Route::SkipAll => subscriptions::skip_all(broker, request).await,
        Route::Skip => subscriptions::skip(broker, request).await,
        Route::ResetCursorToTime => cursors::reset_to_time(broker, request).await,
        Route::ResetCursor => cursors::reset(broker, request).await,
        Route::ExpireMessages => cursors::expire(broker, request).await,
        Route::ExpireMessagesTo => cursors::expire_to(broker, request).await,
        Route::ExpireMessagesOfAll => cursors::expire_all(broker, request).await,
        Route::SubscriptionProperties => backlogs::properties(broker, request).await,
        Route::SetSubscriptionProperties => backlogs::set_properties(broker, request).await,
        Route::ReplicatedStatus => subscriptions::replicated_status(broker, request).await,
        Route::SetReplicatedStatus => subscriptions::set_replicated_status(broker, request).await,
        Route::AnalyzeBacklog => backlogs::analyze(broker, request).await,
        Route::Backlog => backlogs::stored(broker, request).await,
        Route::BacklogSize => backlogs::size(broker, request).await,
        Route::Trim => topics::trim(broker, request).await,
        Route::ClearNamespaceBacklog
        | Route::ClearNamespaceBacklogOf
        | Route::ClearBundleBacklog
        | Route::ClearBundleBacklogOf => backlogs::clear(route, broker, request).await,
        Route::UnsubscribeNamespace | Route::UnsubscribeBundle => {
            backlogs::unsubscribe(route, broker, request).await
        }
        Route::Lookup | Route::LookupDestination => lookup::lookup(broker, request).await,
        Route::LookupBundle => lookup::bundle(broker, request).await,
        Route::Schema | Route::SchemaVersion => schemas::get(broker, request).await,
        Route::Schemas => schemas::all(broker, request).await,
        Route::SchemaMetadata => schemas::metadata(broker, request).await,
        Route::PostSchema => schemas::post(broker, request).await,
        Route::DeleteSchema => schemas::delete(broker, request).await,
        Route::CheckSchema => schemas::check(broker, request).await,
        Route::FindSchema => schemas::find(broker, request).await,
    }
}
