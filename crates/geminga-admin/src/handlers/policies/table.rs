//! The table of policies: each is a row, which every level that has it shares.

use std::collections::BTreeSet;

use geminga_broker::admin::{
    AutoSubscriptionCreationOverride, AutoTopicCreationOverride, DelayedDeliveryPolicies,
    DispatchRate, EntryFilters, InactiveTopicPolicies, PersistencePolicies, Policies, PublishRate,
    RetentionPolicies, SubscribeRate, TopicPolicies,
};

use super::{
    broker, creation, offload,
    policy::{At, Place, Policy, Row},
    values::{self, Quotas, UNDEFINED},
};

/// All of them.
pub(super) static TABLE: &[&dyn Row] = &[
    &RETENTION,
    &MESSAGE_TTL,
    &SUBSCRIPTION_EXPIRY,
    &BACKLOG_QUOTAS,
    &INACTIVE_TOPICS,
    &DISPATCH_RATE,
    &SUBSCRIPTION_DISPATCH_RATE,
    &PUBLISH_RATE,
    &PRODUCERS,
    &CONSUMERS,
    &CONSUMERS_OF_SUBSCRIPTION,
    &SUBSCRIPTIONS,
    &MESSAGE_SIZE,
    &UNACKED_OF_CONSUMER,
    &UNACKED_OF_SUBSCRIPTION,
    &DEDUPLICATION,
    &COMPACTION_THRESHOLD,
    &DELAYED_DELIVERY,
    &ENCRYPTION,
    &SUBSCRIPTION_AUTH_MODE,
    &AUTO_TOPICS,
    &AUTO_SUBSCRIPTIONS,
    &TOPICS,
    &SCHEMA_STRATEGY,
    &SCHEMA_UPDATE_STRATEGY,
    &SCHEMA_VALIDATION,
    &SCHEMA_UPDATES,
    &SUBSCRIPTION_TYPES,
    &SUBSCRIBE_RATE,
    &DEDUPLICATION_SNAPSHOTS,
    &PERSISTENCE,
    &REPLICATION_CLUSTERS,
    &REPLICATOR_DISPATCH_RATE,
    &ENTRY_FILTERS,
    &PAUSE_ON_ACK_STATE,
    &OFFLOAD_POLICIES,
    &OFFLOAD_THRESHOLD,
    &OFFLOAD_THRESHOLD_SECONDS,
    &OFFLOAD_DELETION_LAG,
];

/// A policy that is one field of the record.
macro_rules! field {
    ($place:expr, $field:ident) => {
        field!($place, $field, _)
    };
    ($place:expr, $field:ident, $record:ty) => {
        At::new(
            $place,
            |policies: &$record, _| policies.$field.clone(),
            |policies, _, value| policies.$field = value,
        )
    };
}

/// One that is a field by cluster.
macro_rules! field_of_cluster {
    ($place:expr, $field:ident) => {
        At::new(
            $place,
            |policies: &Policies, options| policies.$field.get(&options.cluster).cloned(),
            |policies, options, value| match value {
                Some(value) => _ = policies.$field.insert(options.cluster.clone(), value),
                None => _ = policies.$field.remove(&options.cluster),
            },
        )
    };
}

/// One that is always there, and says something if it is true.
macro_rules! switch {
    ($place:expr, $field:ident) => {
        At::new(
            $place.lasting(),
            |policies: &Policies, _| Some(policies.$field),
            |policies, _, value| policies.$field = value.unwrap_or_default(),
        )
        .saying(|policies, _| policies.$field.then_some(true))
    };
}

/// Quotas by kind.
macro_rules! quotas {
    ($record:ty) => {
        At::new(
            Place { read: "backlogQuotaMap", ..Place::of("backlogQuota") },
            |policies: &$record, _| {
                let quotas = policies.backlog_quota_map.iter();
                Some(quotas.map(|(kind, quota)| (kind.clone(), Some(quota.clone()))).collect())
            },
            |policies, _, value| {
                for (kind, quota) in value.unwrap_or_default() {
                    match quota {
                        Some(quota) => _ = policies.backlog_quota_map.insert(kind, quota),
                        None => _ = policies.backlog_quota_map.remove(&kind),
                    }
                }
            },
        )
        .saying(|policies, _| {
            let quotas = policies.backlog_quota_map.iter();
            let quotas: Quotas =
                quotas.map(|(kind, quota)| (kind.clone(), Some(quota.clone()))).collect();
            (!quotas.is_empty()).then_some(quotas)
        })
    };
}

static RETENTION: Policy<RetentionPolicies> = Policy::new(
    values::retention,
    broker::retention,
    Some(field!(Place::of("retention"), retention_policies)),
    Some(field!(Place::of("retention"), retention_policies)),
);

static MESSAGE_TTL: Policy<i32> = Policy::new(
    values::message_ttl,
    |options| Some(options.message_ttl.map_or(0, broker::seconds)),
    Some(field!(Place::of("messageTTL"), message_ttl_in_seconds)),
    Some(field!(Place::of("messageTTL"), message_ttl_in_seconds)),
);

static SUBSCRIPTION_EXPIRY: Policy<i32> = Policy::new(
    |request, _| values::count(request, "subscription expiration time"),
    |options| Some(options.subscription_expiry.map_or(0, broker::minutes)),
    Some(field!(Place::of("subscriptionExpirationTime"), subscription_expiration_time_minutes)),
    None,
);

static BACKLOG_QUOTAS: Policy<Quotas> = Policy {
    removed: values::no_quota,
    join: |upper, mut lower| {
        lower.extend(upper);
        lower
    },
    ..Policy::new(
        values::quota,
        broker::quotas,
        Some(quotas!(Policies)),
        Some(quotas!(TopicPolicies)),
    )
};

static INACTIVE_TOPICS: Policy<InactiveTopicPolicies> = Policy::new(
    values::inactive,
    broker::inactive,
    Some(field!(Place::of("inactiveTopicPolicies"), inactive_topic_policies)),
    Some(field!(Place::of("inactiveTopicPolicies"), inactive_topic_policies)),
);

static DISPATCH_RATE: Policy<DispatchRate> = Policy::new(
    values::rate,
    |options| Some(broker::rate(&options.dispatch.topic)),
    Some(field_of_cluster!(Place::of("dispatchRate"), topic_dispatch_rate)),
    Some(field!(Place::of("dispatchRate"), dispatch_rate)),
);

static SUBSCRIPTION_DISPATCH_RATE: Policy<DispatchRate> = Policy::new(
    values::rate,
    |options| Some(broker::rate(&options.dispatch.subscription)),
    Some(field_of_cluster!(Place::of("subscriptionDispatchRate"), subscription_dispatch_rate)),
    Some(field!(Place::of("subscriptionDispatchRate"), subscription_dispatch_rate)),
);

/// One without limits leaves it to the level below, as in Pulsar.
static PUBLISH_RATE: Policy<PublishRate> = Policy::new(
    |request, _| request.json(),
    |options| Some(broker::publish_rate(options.publishing.topic_rate)),
    Some(field_of_cluster!(Place::of("publishRate"), publish_rate).saying(|policies, options| {
        policies.publish_rate.get(&options.cluster).filter(|rate| is_limited(rate)).cloned()
    })),
    Some(field!(Place::of("publishRate"), publish_rate, TopicPolicies).saying(|policies, _| {
        policies.publish_rate.as_ref().filter(|rate| is_limited(rate)).cloned()
    })),
);

fn is_limited(rate: &PublishRate) -> bool {
    0 < rate.publish_throttling_rate_in_msg || 0 < rate.publish_throttling_rate_in_byte
}

static PRODUCERS: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maxProducers"),
    |options| Some(broker::count(options.publishing.producers_per_topic_max)),
    Some(field!(Place::of("maxProducersPerTopic"), max_producers_per_topic)),
    Some(field!(Place::of("maxProducers"), max_producer_per_topic)),
);

static CONSUMERS: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maxConsumers"),
    |options| Some(broker::count(options.limits.consumers_per_topic_max)),
    Some(field!(Place::of("maxConsumersPerTopic"), max_consumers_per_topic)),
    Some(field!(Place::of("maxConsumers"), max_consumer_per_topic)),
);

static CONSUMERS_OF_SUBSCRIPTION: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maxConsumersPerSubscription"),
    |options| Some(broker::count(options.limits.consumers_per_subscription_max)),
    Some(field!(Place::of("maxConsumersPerSubscription"), max_consumers_per_subscription)),
    Some(field!(Place::of("maxConsumersPerSubscription"), max_consumers_per_subscription)),
);

static SUBSCRIPTIONS: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maxSubscriptionsPerTopic"),
    |options| Some(broker::count(options.limits.subscriptions_per_topic_max)),
    Some(field!(Place::of("maxSubscriptionsPerTopic"), max_subscriptions_per_topic)),
    Some(field!(Place::of("maxSubscriptionsPerTopic"), max_subscriptions_per_topic)),
);

/// 0 leaves it to the broker.
static MESSAGE_SIZE: Policy<i32> = Policy::new(
    values::message_size,
    |options| Some(broker::count(options.limits.message_bytes_max as u64)),
    None,
    Some(
        field!(Place::of("maxMessageSize"), max_message_size, TopicPolicies)
            .saying(|policies, _| policies.max_message_size.filter(|&bytes| 0 < bytes)),
    ),
);

static UNACKED_OF_CONSUMER: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maximum of a consumer's unacked messages"),
    |options| Some(broker::count(options.limits.unacked_per_consumer_max as u64)),
    Some(field!(Place::of("maxUnackedMessagesPerConsumer"), max_unacked_messages_per_consumer)),
    Some(field!(Place::of("maxUnackedMessagesOnConsumer"), max_unacked_messages_on_consumer)),
);

static UNACKED_OF_SUBSCRIPTION: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maximum of a subscription's unacked messages"),
    |options| Some(broker::count(options.limits.unacked_per_subscription_max as u64)),
    Some(field!(
        Place::of("maxUnackedMessagesPerSubscription"),
        max_unacked_messages_per_subscription
    )),
    Some(field!(
        Place::of("maxUnackedMessagesOnSubscription"),
        max_unacked_messages_on_subscription
    )),
);

static DEDUPLICATION: Policy<bool> = Policy::new(
    |request, _| request.json(),
    |options| Some(options.deduplication.is_enabled),
    Some(field!(Place::of("deduplication"), deduplication_enabled)),
    Some(field!(Place::of("deduplicationEnabled"), deduplication_enabled)),
);

static COMPACTION_THRESHOLD: Policy<i64> = Policy::new(
    values::threshold,
    |options| Some(options.compaction.threshold_bytes.map_or(0, broker::bytes)),
    Some(field!(Place::of("compactionThreshold").by_put(), compaction_threshold)),
    Some(field!(Place::of("compactionThreshold"), compaction_threshold)),
);

static DELAYED_DELIVERY: Policy<DelayedDeliveryPolicies> = Policy::new(
    values::delays,
    broker::delays,
    Some(field!(Place::of("delayedDelivery"), delayed_delivery_policies)),
    Some(At::new(
        Place::of("delayedDelivery"),
        |policies, _| values::delays_of_topic(policies),
        |policies, _, value| values::set_delays_of_topic(policies, value),
    )),
);

static ENCRYPTION: Policy<bool> = Policy::new(
    |request, _| values::required(request, "true or false"),
    |options| Some(options.publishing.requires_encryption),
    Some(switch!(Place::of("encryptionRequired"), encryption_required)),
    None,
);

static SUBSCRIPTION_AUTH_MODE: Policy<String> = Policy::new(
    |request, _| values::subscription_auth_mode(request),
    |_| Some("None".to_owned()),
    Some(
        At::new(
            Place::of("subscriptionAuthMode").lasting(),
            |policies: &Policies, _| {
                Some(policies.subscription_auth_mode.clone().unwrap_or_else(|| "None".to_owned()))
            },
            |policies, _, value| policies.subscription_auth_mode = value,
        )
        .saying(|policies, _| policies.subscription_auth_mode.clone()),
    ),
    None,
);

static AUTO_TOPICS: Policy<AutoTopicCreationOverride> = Policy::new(
    creation::topics,
    creation::topics_of_broker,
    Some(field!(Place::of("autoTopicCreation"), auto_topic_creation_override)),
    None,
);

static AUTO_SUBSCRIPTIONS: Policy<AutoSubscriptionCreationOverride> = Policy::new(
    |request, _| creation::subscriptions(request),
    |options| {
        let allow_auto_subscription_creation = options.auto_subscription_creation;
        Some(AutoSubscriptionCreationOverride { allow_auto_subscription_creation })
    },
    Some(field!(Place::of("autoSubscriptionCreation"), auto_subscription_creation_override)),
    Some(field!(Place::of("autoSubscriptionCreation"), auto_subscription_creation_override)),
);

static TOPICS: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maxTopicsPerNamespace"),
    |options| Some(broker::count(options.topics.per_namespace_max)),
    Some(field!(Place::of("maxTopicsPerNamespace"), max_topics_per_namespace)),
    None,
);

static SCHEMA_STRATEGY: Policy<String> = Policy::new(
    |request, _| values::strategy(request),
    |options| Some(options.schema.strategy.to_string()),
    Some(
        At::new(
            Place::of("schemaCompatibilityStrategy").by_put().lasting(),
            |policies: &Policies, _| {
                let own = policies.schema_compatibility_strategy.clone();
                Some(own.unwrap_or_else(|| UNDEFINED.to_owned()))
            },
            |policies, _, value| policies.schema_compatibility_strategy = value,
        )
        .saying(|policies, _| values::strategy_of_namespace(policies)),
    ),
    Some(At::new(
        Place::of("schemaCompatibilityStrategy").by_put(),
        |policies, _| {
            policies.schema_compatibility_strategy.clone().filter(|name| name != UNDEFINED)
        },
        |policies, _, value| policies.schema_compatibility_strategy = value,
    )),
);

/// What [`SCHEMA_STRATEGY`] has replaced.
static SCHEMA_UPDATE_STRATEGY: Policy<String> = Policy::new(
    |request, _| values::update_strategy(request),
    |_| None,
    Some(field!(
        Place::of("schemaAutoUpdateCompatibilityStrategy").by_put().lasting(),
        schema_auto_update_compatibility_strategy
    )),
    None,
);

/// Java's admin client wants an answer where a topic says nothing.
static SCHEMA_VALIDATION: Policy<bool> = Policy::new(
    |request, _| values::required(request, "true or false"),
    |options| Some(options.schema.is_validated),
    Some(switch!(Place::of("schemaValidationEnforced"), schema_validation_enforced)),
    Some(
        At::new(
            Place::of("schemaValidationEnforced"),
            |policies: &TopicPolicies, _| Some(policies.schema_validation_enforced == Some(true)),
            |policies, _, value| policies.schema_validation_enforced = value,
        )
        .saying(|policies, _| policies.schema_validation_enforced),
    ),
);

static SCHEMA_UPDATES: Policy<bool> = Policy::new(
    |request, _| values::required(request, "true or false"),
    |options| Some(options.schema.allows_update),
    Some(
        At::new(
            Place::of("isAllowAutoUpdateSchema").lasting(),
            |policies: &Policies, options| {
                Some(policies.is_allow_auto_update_schema.unwrap_or(options.schema.allows_update))
            },
            |policies, _, value| policies.is_allow_auto_update_schema = value,
        )
        .saying(|policies, _| policies.is_allow_auto_update_schema),
    ),
    None,
);

/// None leaves it to the level below.
static SUBSCRIPTION_TYPES: Policy<BTreeSet<String>> = Policy::new(
    values::subscription_types,
    broker::subscription_types,
    Some(
        At::new(
            Place::of("subscriptionTypesEnabled"),
            |policies: &Policies, _| Some(policies.subscription_types_enabled.clone()),
            |policies, _, value| policies.subscription_types_enabled = value.unwrap_or_default(),
        )
        .saying(|policies, _| values::not_empty(&policies.subscription_types_enabled)),
    ),
    Some(At::new(
        Place::of("subscriptionTypesEnabled"),
        |policies, _| values::not_empty(&policies.subscription_types_enabled),
        |policies, _, value| policies.subscription_types_enabled = value.unwrap_or_default(),
    )),
);

static SUBSCRIBE_RATE: Policy<SubscribeRate> = Policy::new(
    values::subscribe_rate,
    broker::subscribe_rate,
    Some(field_of_cluster!(Place::of("subscribeRate"), subscribe_rate)),
    Some(field!(Place::of("subscribeRate"), subscribe_rate)),
);

static DEDUPLICATION_SNAPSHOTS: Policy<i32> = Policy::new(
    |request, _| values::count(request, "interval of deduplication snapshots"),
    |options| Some(options.deduplication.snapshot_interval.map_or(0, broker::seconds)),
    Some(field!(
        Place::of("deduplicationSnapshotInterval").lasting(),
        deduplication_snapshot_interval_seconds
    )),
    Some(field!(
        Place::of("deduplicationSnapshotInterval"),
        deduplication_snapshot_interval_seconds
    )),
);

/// Kept: there is one bookie.
static PERSISTENCE: Policy<PersistencePolicies> = Policy::new(
    values::persistence,
    broker::persistence,
    Some(field!(Place::of("persistence"), persistence)),
    Some(field!(Place::of("persistence"), persistence)),
);

/// Kept: there is no replication to other clusters. They are checked where they are set.
static REPLICATION_CLUSTERS: Policy<Vec<String>> = Policy::new(
    |request, _| Ok(Some(values::clusters(request)?)),
    |_| None,
    Some(At::new(
        Place::of("replication").lasting(),
        |policies: &Policies, _| Some(policies.replication_clusters.clone()),
        |policies, _, value| policies.replication_clusters = value.unwrap_or_default(),
    )),
    Some(At::new(
        Place::of("replication"),
        |policies: &TopicPolicies, _| {
            Some(policies.replication_clusters.clone()).filter(|clusters| !clusters.is_empty())
        },
        |policies, _, value| policies.replication_clusters = value.unwrap_or_default(),
    )),
);

/// Kept: there is no replication to other clusters.
static REPLICATOR_DISPATCH_RATE: Policy<DispatchRate> = Policy::new(
    values::rate,
    |_| Some(DispatchRate::default()),
    Some(field_of_cluster!(Place::of("replicatorDispatchRate"), replicator_dispatch_rate)),
    Some(field!(Place::of("replicatorDispatchRate"), replicator_dispatch_rate)),
);

/// Kept: there are no filters to load.
static ENTRY_FILTERS: Policy<EntryFilters> = Policy::new(
    values::entry_filters,
    |_| Some(EntryFilters::default()),
    Some(field!(Place::of("entryFilters"), entry_filters)),
    Some(field!(Place::of("entryFilters"), entry_filters)),
);

/// Kept: here acks can be stored however many holes they leave. Java's admin client wants an answer where
/// nothing is said.
static PAUSE_ON_ACK_STATE: Policy<bool> = Policy::new(
    |_, _| Ok(Some(true)),
    |_| Some(false),
    Some(
        At::new(
            Place::of("dispatcherPauseOnAckStatePersistent"),
            |policies: &Policies, _| Some(policies.pauses_on_ack_state == Some(true)),
            |policies, _, value| policies.pauses_on_ack_state = value,
        )
        .saying(|policies, _| policies.pauses_on_ack_state),
    ),
    Some(
        At::new(
            Place::of("dispatcherPauseOnAckStatePersistent"),
            |policies: &TopicPolicies, _| Some(policies.pauses_on_ack_state == Some(true)),
            |policies, _, value| policies.pauses_on_ack_state = value,
        )
        .saying(|policies, _| policies.pauses_on_ack_state),
    ),
);

/// Kept, as all of the kind: nothing is offloaded.
static OFFLOAD_POLICIES: Policy<offload::OffloadPolicies> = Policy::new(
    offload::policies,
    |_| Some(offload::OffloadPolicies::new()),
    Some(field!(
        Place::of("offloadPolicies").removed_by("removeOffloadPolicies"),
        offload_policies
    )),
    Some(field!(Place::of("offloadPolicies"), offload_policies)),
);

static OFFLOAD_THRESHOLD: Policy<i64> = Policy::new(
    |request, _| offload::threshold(request, "offloadThreshold"),
    |_| Some(-1),
    Some(
        At::new(
            Place::of("offloadThreshold").by_put().lasting(),
            |policies: &Policies, _| Some(policies.offload_threshold.unwrap_or(-1)),
            |policies, _, value| policies.offload_threshold = value,
        )
        .saying(|policies, _| policies.offload_threshold),
    ),
    None,
);

static OFFLOAD_THRESHOLD_SECONDS: Policy<i64> = Policy::new(
    |request, _| offload::threshold(request, "offloadThresholdInSeconds"),
    |_| Some(-1),
    Some(
        At::new(
            Place::of("offloadThresholdInSeconds").by_put().lasting(),
            |policies: &Policies, _| Some(policies.offload_threshold_in_seconds.unwrap_or(-1)),
            |policies, _, value| policies.offload_threshold_in_seconds = value,
        )
        .saying(|policies, _| policies.offload_threshold_in_seconds),
    ),
    None,
);

static OFFLOAD_DELETION_LAG: Policy<i64> = Policy::new(
    offload::deletion_lag,
    |_| None,
    Some(field!(Place::of("offloadDeletionLagMs").by_put(), offload_deletion_lag_ms)),
    None,
);
