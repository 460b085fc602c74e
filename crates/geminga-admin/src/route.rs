//! The table of everything that is served: method, path, and the permission it needs.
//!
//! A `{}` in a path stands for one part, `{domain}` for `persistent` or `non-persistent`, `{policy of …}`
//! for the name of one of the [policies](crate::handlers::policies) that has the method, `{bundle}`
//! for a range of hashes, `{version}` for
//! `v2` or `v3`, `{service that is off}` for one of [those](crate::handlers::disabled), `{rest}` for
//! whatever comes, also nothing. Where several
//! paths fit, the one with more literal parts is taken. The table is the [`Route`] enum
//! for the name of one of the [policies](crate::handlers::policies) that has the method. Where several
//! paths fit, the one with more literal parts is taken, of as many the first. The table is the [`Route`] enum
//! itself, so that a route without permission or handler does not compile.

use crate::{
    failure::Failure,
    handlers::{
        disabled::SERVICES,
        policies::{self, Level},
    },
};

/// What a role must hold to use a route. Nothing is checked while authentication is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Anyone: probes.
    Anyone,
    /// Anyone who may connect, or `authenticateMetricsEndpoint`.
    Metrics,
    /// Superusers.
    Superuser,
    /// Administrators of the tenant in the path.
    TenantAdmin,
    /// Roles that may look the topic up: producers and consumers of it.
    Lookup,
    /// Roles that may produce to or consume from the topic.
    Topic,
    /// Roles that may consume from the topic.
    Consume,
}

macro_rules! routes {
    ($($(#[doc = $doc:literal])+ $name:ident = $method:ident $path:literal, $permission:ident;)*) => {
        /// Everything that is served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Route {
            /// All routes, in the table's order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The HTTP method.
            #[must_use]
            pub const fn method(self) -> &'static str {
                match self { $(Self::$name => stringify!($method),)* }
            }

            /// The path, with `{}` for each variable part.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)* }
            }

            /// What it is for, a line.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim(),)* }
            }

            /// The permission it needs.
            #[must_use]
            pub const fn permission(self) -> Permission {
                match self { $(Self::$name => Permission::$permission,)* }
            }
        }
    };
}

routes! {
    /// For load balancers.
    Status = GET "/status.html", Anyone;
    /// Prometheus.
    Metrics = GET "/metrics", Metrics;
    /// Prometheus, where some scrapers look.
    MetricsSlash = GET "/metrics/", Metrics;

    /// Whether the broker works.
    Health = GET "/admin/v2/brokers/health", Anyone;
    /// Whether the broker has started.
    Ready = GET "/admin/v2/brokers/ready", Anyone;
    /// The broker's version.
    Version = GET "/admin/v2/brokers/version", Anyone;
    /// The broker that balances load.
    LeaderBroker = GET "/admin/v2/brokers/leaderBroker", Superuser;
    /// All brokers.
    Brokers = GET "/admin/v2/brokers", Superuser;
    /// All brokers of a cluster.
    BrokersOfCluster = GET "/admin/v2/brokers/{}", Superuser;

    /// Keys that can be set while the broker runs.
    DynamicKeys = GET "/admin/v2/brokers/configuration", Superuser;
    /// Those that were.
    DynamicConfiguration = GET "/admin/v2/brokers/configuration/values", Superuser;
    /// Every key, with the value that counts.
    RuntimeConfiguration = GET "/admin/v2/brokers/configuration/runtime", Superuser;
    /// Sets a key while the broker runs.
    SetDynamicConfiguration = POST "/admin/v2/brokers/configuration/{}/{}", Superuser;
    /// Leaves a key to the configuration again.
    RemoveDynamicConfiguration = DELETE "/admin/v2/brokers/configuration/{}", Superuser;
    /// Where metadata and ledgers are.
    InternalConfiguration = GET "/admin/v2/brokers/internal-configuration", Superuser;
    /// Bundles that a broker has.
    OwnedNamespaces = GET "/admin/v2/brokers/{}/{}/ownedNamespaces", Superuser;
    /// Looks at backlog quotas, which are looked at with every publish anyway.
    BacklogQuotaCheck = GET "/admin/v2/brokers/backlog-quota-check", Superuser;
    /// Refused: a broker is ended by its process.
    ShutDown = POST "/admin/v2/brokers/shutdown", Superuser;

    /// Numbers of the broker.
    BrokerMetrics = GET "/admin/v2/broker-stats/metrics", Superuser;
    /// Numbers of a JVM: none.
    BrokerBeans = GET "/admin/v2/broker-stats/mbeans", Superuser;
    /// Stats of all topics in use.
    BrokerTopics = GET "/admin/v2/broker-stats/topics", Superuser;
    /// The same, for clients of old.
    BrokerDestinations = GET "/admin/v2/broker-stats/destinations", Superuser;
    /// Numbers of an allocator: there is none that has them.
    AllocatorStats = GET "/admin/v2/broker-stats/allocator-stats/{}", Superuser;
    /// Operations that wait for bookies: refused.
    BookieOperations = GET "/admin/v2/broker-stats/bookieops", Superuser;
    /// How busy the broker is.
    LoadReport = GET "/admin/v2/broker-stats/load-report", Superuser;
    /// What a namespace could have of each broker: refused, as by Pulsar.
    ResourceAvailability = GET "/admin/v2/broker-stats/broker-resource-availability/{}/{}", Superuser;

    /// The description of all this, in OpenAPI's form.
    OpenApi = GET "/admin/v2/geminga/openapi.json", Anyone;
    /// How far the last backup is.
    BackupStatus = GET "/admin/v2/geminga/backup", Superuser;
    /// Begins a backup.
    StartBackup = POST "/admin/v2/geminga/backup", Superuser;

    /// All clusters.
    Clusters = GET "/admin/v2/clusters", Anyone;
    /// One cluster.
    Cluster = GET "/admin/v2/clusters/{}", Superuser;
    /// Creates a cluster.
    CreateCluster = PUT "/admin/v2/clusters/{}", Superuser;
    /// Changes a cluster.
    UpdateCluster = POST "/admin/v2/clusters/{}", Superuser;
    /// Deletes a cluster.
    DeleteCluster = DELETE "/admin/v2/clusters/{}", Superuser;

    /// Clusters that may stand in for a cluster.
    Peers = GET "/admin/v2/clusters/{}/peers", Superuser;
    /// Sets them.
    SetPeers = POST "/admin/v2/clusters/{}/peers", Superuser;
    /// Whether a cluster's clients are sent to another.
    Migration = GET "/admin/v2/clusters/{}/migrate", Superuser;
    /// Sends them there: refused.
    Migrate = POST "/admin/v2/clusters/{}/migrate", Superuser;
    /// Brokers that fail together.
    FailureDomains = GET "/admin/v2/clusters/{}/failureDomains", Superuser;
    /// One such set.
    FailureDomain = GET "/admin/v2/clusters/{}/failureDomains/{}", Superuser;
    /// Sets it.
    SetFailureDomain = POST "/admin/v2/clusters/{}/failureDomains/{}", Superuser;
    /// Deletes it.
    DeleteFailureDomain = DELETE "/admin/v2/clusters/{}/failureDomains/{}", Superuser;
    /// Which brokers are to serve which namespaces.
    IsolationPolicies = GET "/admin/v2/clusters/{}/namespaceIsolationPolicies", Superuser;
    /// One policy of that.
    IsolationPolicy = GET "/admin/v2/clusters/{}/namespaceIsolationPolicies/{}", Superuser;
    /// Sets it.
    SetIsolationPolicy = POST "/admin/v2/clusters/{}/namespaceIsolationPolicies/{}", Superuser;
    /// Deletes it.
    DeleteIsolationPolicy = DELETE "/admin/v2/clusters/{}/namespaceIsolationPolicies/{}", Superuser;
    /// What such policies say of each broker.
    IsolatedBrokers = GET "/admin/v2/clusters/{}/namespaceIsolationPolicies/brokers", Superuser;
    /// What they say of one.
    IsolatedBroker = GET "/admin/v2/clusters/{}/namespaceIsolationPolicies/brokers/{}", Superuser;

    /// All bookies.
    Bookies = GET "/admin/v2/bookies/all", Superuser;
    /// Where bookies are.
    BookieRacks = GET "/admin/v2/bookies/racks-info", Superuser;
    /// Where one is.
    BookieRack = GET "/admin/v2/bookies/racks-info/{}", Superuser;
    /// Says where one is.
    SetBookieRack = POST "/admin/v2/bookies/racks-info/{}", Superuser;
    /// Forgets it.
    RemoveBookieRack = DELETE "/admin/v2/bookies/racks-info/{}", Superuser;

    /// What a bundle is expected to take, if nothing is said of it.
    ResourceQuota = GET "/admin/v2/resource-quotas", Superuser;
    /// Sets it.
    SetResourceQuota = POST "/admin/v2/resource-quotas", Superuser;
    /// What one bundle is expected to take.
    BundleQuota = GET "/admin/v2/resource-quotas/{}/{}/{}", Superuser;
    /// Sets it.
    SetBundleQuota = POST "/admin/v2/resource-quotas/{}/{}/{}", Superuser;
    /// Removes it.
    RemoveBundleQuota = DELETE "/admin/v2/resource-quotas/{}/{}/{}", Superuser;

    /// Names of resource groups.
    ResourceGroups = GET "/admin/v2/resourcegroups", Superuser;
    /// One resource group.
    ResourceGroup = GET "/admin/v2/resourcegroups/{}", Superuser;
    /// Creates or changes it.
    SetResourceGroup = PUT "/admin/v2/resourcegroups/{}", Superuser;
    /// Deletes it.
    DeleteResourceGroup = DELETE "/admin/v2/resourcegroups/{}", Superuser;

    /// Functions, connectors, packages, transactions: refused, as where Pulsar has them switched off.
    GetDisabled = GET "/admin/{version}/{service that is off}/{rest}", Superuser;
    /// The same.
    PostDisabled = POST "/admin/{version}/{service that is off}/{rest}", Superuser;
    /// The same.
    PutDisabled = PUT "/admin/{version}/{service that is off}/{rest}", Superuser;
    /// The same.
    DeleteDisabled = DELETE "/admin/{version}/{service that is off}/{rest}", Superuser;

    /// All tenants.
    Tenants = GET "/admin/v2/tenants", Superuser;
    /// One tenant.
    Tenant = GET "/admin/v2/tenants/{}", TenantAdmin;
    /// Creates a tenant.
    CreateTenant = PUT "/admin/v2/tenants/{}", Superuser;
    /// Changes a tenant.
    UpdateTenant = POST "/admin/v2/tenants/{}", Superuser;
    /// Deletes a tenant.
    DeleteTenant = DELETE "/admin/v2/tenants/{}", Superuser;

    /// A tenant's namespaces.
    Namespaces = GET "/admin/v2/namespaces/{}", TenantAdmin;
    /// A namespace's policies.
    NamespacePolicies = GET "/admin/v2/namespaces/{}/{}", TenantAdmin;
    /// Creates a namespace.
    CreateNamespace = PUT "/admin/v2/namespaces/{}/{}", TenantAdmin;
    /// Deletes a namespace.
    DeleteNamespace = DELETE "/admin/v2/namespaces/{}/{}", TenantAdmin;
    /// A namespace's topics.
    NamespaceTopics = GET "/admin/v2/namespaces/{}/{}/topics", TenantAdmin;
    /// How a namespace is cut.
    NamespaceBundles = GET "/admin/v2/namespaces/{}/{}/bundles", TenantAdmin;
    /// Unloads a namespace's topics.
    UnloadNamespace = PUT "/admin/v2/namespaces/{}/{}/unload", TenantAdmin;
    /// Unloads a bundle's topics.
    UnloadBundle = PUT "/admin/v2/namespaces/{}/{}/{bundle}/unload", TenantAdmin;
    /// Splits a bundle.
    SplitBundle = PUT "/admin/v2/namespaces/{}/{}/{bundle}/split", Superuser;
    /// Where a bundle's topics are in the hash range.
    TopicHashPositions = GET "/admin/v2/namespaces/{}/{}/{bundle}/topicHashPositions", TenantAdmin;
    /// Gives a bundle up: its topics are unloaded.
    DeleteBundle = DELETE "/admin/v2/namespaces/{}/{}/{bundle}", TenantAdmin;
    /// Clusters that a namespace may be in.
    AllowedClusters = GET "/admin/v2/namespaces/{}/{}/allowedClusters", TenantAdmin;
    /// Sets them.
    SetAllowedClusters = POST "/admin/v2/namespaces/{}/{}/allowedClusters", TenantAdmin;
    /// Notes that a namespace's clients are sent to another cluster.
    SetNamespaceMigration = POST "/admin/v2/namespaces/{}/{}/migration", Superuser;
    /// What of a namespace lies in cold storage: nothing.
    ScanOffloadedLedgers = GET "/admin/v2/namespaces/{}/{}/scanOffloadedLedgers", TenantAdmin;
    /// What users noted about a namespace.
    NamespaceProperties = GET "/admin/v2/namespaces/{}/{}/properties", TenantAdmin;
    /// Notes more.
    SetNamespaceProperties = PUT "/admin/v2/namespaces/{}/{}/properties", TenantAdmin;
    /// Forgets all of it.
    ClearNamespaceProperties = DELETE "/admin/v2/namespaces/{}/{}/properties", TenantAdmin;
    /// One thing of that.
    NamespaceProperty = GET "/admin/v2/namespaces/{}/{}/property/{}", TenantAdmin;
    /// Notes it.
    SetNamespaceProperty = PUT "/admin/v2/namespaces/{}/{}/property/{}/{}", TenantAdmin;
    /// Forgets it.
    RemoveNamespaceProperty = DELETE "/admin/v2/namespaces/{}/{}/property/{}", TenantAdmin;
    /// The resource group that a namespace is in.
    NamespaceGroup = GET "/admin/v2/namespaces/{}/{}/resourcegroup", TenantAdmin;
    /// Puts it into one.
    SetNamespaceGroup = POST "/admin/v2/namespaces/{}/{}/resourcegroup/{}", TenantAdmin;
    /// Takes it out.
    RemoveNamespaceGroup = DELETE "/admin/v2/namespaces/{}/{}/resourcegroup", TenantAdmin;
    /// Namespaces with the same are to be kept apart.
    AntiAffinity = GET "/admin/v2/namespaces/{}/{}/antiAffinity", TenantAdmin;
    /// Sets it.
    SetAntiAffinity = POST "/admin/v2/namespaces/{}/{}/antiAffinity", TenantAdmin;
    /// Removes it.
    RemoveAntiAffinity = DELETE "/admin/v2/namespaces/{}/{}/antiAffinity", TenantAdmin;
    /// A tenant's namespaces that have it.
    AntiAffinityNamespaces = GET "/admin/v2/namespaces/{}/antiAffinity/{}", Superuser;
    /// The same, where Java's admin client looks.
    AntiAffinityNamespacesOld = GET "/admin/namespaces/{}/antiAffinity/{}", Superuser;
    /// Which bookies are to have a namespace's ledgers.
    BookieAffinity = GET "/admin/v2/namespaces/{}/{}/persistence/bookieAffinity", Superuser;
    /// Sets that.
    SetBookieAffinity = POST "/admin/v2/namespaces/{}/{}/persistence/bookieAffinity", Superuser;
    /// Removes it.
    RemoveBookieAffinity = DELETE "/admin/v2/namespaces/{}/{}/persistence/bookieAffinity", Superuser;
    /// Who may do what in a namespace.
    Permissions = GET "/admin/v2/namespaces/{}/{}/permissions", TenantAdmin;
    /// Permits a role.
    GrantPermission = POST "/admin/v2/namespaces/{}/{}/permissions/{}", TenantAdmin;
    /// Takes everything from a role.
    RevokePermission = DELETE "/admin/v2/namespaces/{}/{}/permissions/{}", TenantAdmin;
    /// Who may use which subscription.
    SubscriptionPermissions = GET "/admin/v2/namespaces/{}/{}/permissions/subscription", TenantAdmin;
    /// Permits roles a subscription.
    GrantSubscriptionPermission = POST "/admin/v2/namespaces/{}/{}/permissions/subscription/{}", TenantAdmin;
    /// Takes a subscription from a role.
    RevokeSubscriptionPermission = DELETE "/admin/v2/namespaces/{}/{}/permissions/{}/{}", TenantAdmin;
    /// Permits roles several topics.
    GrantTopicsPermissions = POST "/admin/v2/namespaces/grantPermissionsOnTopics", Superuser;
    /// Takes several topics from roles.
    RevokeTopicsPermissions = POST "/admin/v2/namespaces/revokePermissionsOnTopics", Superuser;
    /// One policy of a namespace.
    NamespacePolicy = GET "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Sets it.
    PostNamespacePolicy = POST "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Sets one that is set by PUT.
    PutNamespacePolicy = PUT "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Removes it: the broker's configuration counts again.
    RemoveNamespacePolicy = DELETE "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Acks all that a namespace's topics have.
    ClearNamespaceBacklog = POST "/admin/v2/namespaces/{}/{}/clearBacklog", TenantAdmin;
    /// The same of one subscription.
    ClearNamespaceBacklogOf = POST "/admin/v2/namespaces/{}/{}/clearBacklog/{}", TenantAdmin;
    /// Acks all that a bundle's topics have.
    ClearBundleBacklog = POST "/admin/v2/namespaces/{}/{}/{}/clearBacklog", TenantAdmin;
    /// The same of one subscription.
    ClearBundleBacklogOf = POST "/admin/v2/namespaces/{}/{}/{}/clearBacklog/{}", TenantAdmin;
    /// Deletes a subscription from a namespace's topics.
    UnsubscribeNamespace = POST "/admin/v2/namespaces/{}/{}/unsubscribe/{}", TenantAdmin;
    /// Deletes a subscription from a bundle's topics.
    UnsubscribeBundle = POST "/admin/v2/namespaces/{}/{}/{}/unsubscribe/{}", TenantAdmin;


    /// Topics of a domain, partitions one by one.
    Topics = GET "/admin/v2/{domain}/{}/{}", TenantAdmin;
    /// Partitioned topics of a domain.
    PartitionedTopics = GET "/admin/v2/{domain}/{}/{}/partitioned", TenantAdmin;
    /// Non-persistent topics of a bundle.
    BundleTopics = GET "/admin/v2/non-persistent/{}/{}/{}", TenantAdmin;
    /// Creates a topic without partitions.
    CreateTopic = PUT "/admin/v2/{domain}/{}/{}/{}", TenantAdmin;
    /// Deletes a topic without partitions.
    DeleteTopic = DELETE "/admin/v2/{domain}/{}/{}/{}", TenantAdmin;
    /// How many partitions a topic has.
    Partitions = GET "/admin/v2/{domain}/{}/{}/{}/partitions", Lookup;
    /// Creates a topic with partitions.
    CreatePartitions = PUT "/admin/v2/{domain}/{}/{}/{}/partitions", TenantAdmin;
    /// Raises the number of partitions.
    UpdatePartitions = POST "/admin/v2/{domain}/{}/{}/{}/partitions", TenantAdmin;
    /// Deletes a topic with partitions.
    DeletePartitions = DELETE "/admin/v2/{domain}/{}/{}/{}/partitions", TenantAdmin;
    /// Creates the partitions that are missing.
    CreateMissedPartitions = POST "/admin/v2/{domain}/{}/{}/{}/createMissedPartitions", TenantAdmin;
    /// Stats of a topic or partition.
    TopicStats = GET "/admin/v2/{domain}/{}/{}/{}/stats", Topic;
    /// Stats of a topic with partitions.
    PartitionedStats = GET "/admin/v2/{domain}/{}/{}/{}/partitioned-stats", Topic;
    /// Stats of a topic's managed ledger.
    InternalStats = GET "/admin/v2/{domain}/{}/{}/{}/internalStats", Topic;
    /// The same, where some clients look.
    InternalStatsDashed = GET "/admin/v2/{domain}/{}/{}/{}/internal-stats", Topic;
    /// What is stored of a topic's managed ledger.
    InternalInfo = GET "/admin/v2/{domain}/{}/{}/{}/internal-info", TenantAdmin;
    /// Moves a topic's ledgers to cold storage.
    Offload = PUT "/admin/v2/{domain}/{}/{}/{}/offload", TenantAdmin;
    /// How that goes.
    OffloadStatus = GET "/admin/v2/{domain}/{}/{}/{}/offload", TenantAdmin;
    /// Stats of all partitions' managed ledgers.
    PartitionedInternalStats = GET "/admin/v2/{domain}/{}/{}/{}/partitioned-internalStats", Topic;
    /// Unloads a topic.
    UnloadTopic = PUT "/admin/v2/{domain}/{}/{}/{}/unload", TenantAdmin;
    /// Ends a topic.
    Terminate = POST "/admin/v2/{domain}/{}/{}/{}/terminate", TenantAdmin;
    /// Ends each partition of a topic.
    TerminatePartitions = POST "/admin/v2/{domain}/{}/{}/{}/terminate/partitions", TenantAdmin;
    /// Lets go of what a topic stores.
    Truncate = DELETE "/admin/v2/{domain}/{}/{}/{}/truncate", TenantAdmin;
    /// What users noted about a topic.
    TopicProperties = GET "/admin/v2/{domain}/{}/{}/{}/properties", TenantAdmin;
    /// Notes more.
    SetTopicProperties = PUT "/admin/v2/{domain}/{}/{}/{}/properties", TenantAdmin;
    /// Removes one of that.
    RemoveTopicProperty = DELETE "/admin/v2/{domain}/{}/{}/{}/properties", TenantAdmin;
    /// Who may do what with a topic.
    TopicPermissions = GET "/admin/v2/{domain}/{}/{}/{}/permissions", TenantAdmin;
    /// Permits a role.
    GrantTopicPermission = POST "/admin/v2/{domain}/{}/{}/{}/permissions/{}", TenantAdmin;
    /// Takes from a role what it was permitted of a topic.
    RevokeTopicPermission = DELETE "/admin/v2/{domain}/{}/{}/{}/permissions/{}", TenantAdmin;
    /// One policy of a topic.
    TopicPolicy = GET "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// Sets it.
    PostTopicPolicy = POST "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// Sets one that is set by PUT.
    PutTopicPolicy = PUT "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// Removes it: the namespace's, or the broker's configuration, counts again.
    RemoveTopicPolicy = DELETE "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// How fast one subscription is sent to.
    SubscriptionDispatchRate = GET "/admin/v2/{domain}/{}/{}/{}/{}/dispatchRate", TenantAdmin;
    /// Sets it.
    SetSubscriptionDispatchRate = POST "/admin/v2/{domain}/{}/{}/{}/{}/dispatchRate", TenantAdmin;
    /// Removes it.
    RemoveSubscriptionDispatchRate = DELETE "/admin/v2/{domain}/{}/{}/{}/{}/dispatchRate", TenantAdmin;
    /// Topics that get all that a topic does: refused, as there are none.
    ShadowTopics = GET "/admin/v2/{domain}/{}/{}/{}/shadowTopics", TenantAdmin;
    /// The same.
    SetShadowTopics = PUT "/admin/v2/{domain}/{}/{}/{}/shadowTopics", TenantAdmin;
    /// The same.
    RemoveShadowTopics = DELETE "/admin/v2/{domain}/{}/{}/{}/shadowTopics", TenantAdmin;
    /// What counts of all policies, and where it comes from.
    EffectivePolicies = GET "/admin/v2/{domain}/{}/{}/{}/effective-policies", TenantAdmin;
    /// Begins the compaction of a topic.
    Compact = PUT "/admin/v2/{domain}/{}/{}/{}/compaction", TenantAdmin;
    /// How it goes.
    CompactionStatus = GET "/admin/v2/{domain}/{}/{}/{}/compaction", TenantAdmin;
    /// The last message.
    LastMessageId = GET "/admin/v2/{domain}/{}/{}/{}/lastMessageId", Topic;
    /// The message with an index.
    MessageIdByIndex = GET "/admin/v2/{domain}/{}/{}/{}/getMessageIdByIndex", Topic;
    /// The first message that was published at or after a time.
    MessageIdByTime = GET "/admin/v2/{domain}/{}/{}/{}/messageid/{}", Consume;
    /// One message, by its id.
    MessageById = GET "/admin/v2/{domain}/{}/{}/{}/ledger/{}/entry/{}", Consume;
    /// One message, counted from either end.
    ExamineMessage = GET "/admin/v2/{domain}/{}/{}/{}/examinemessage", Consume;
    /// One message of a subscription's backlog.
    PeekMessage = GET "/admin/v2/{domain}/{}/{}/{}/subscription/{}/position/{}", Consume;
    /// A topic's subscriptions.
    Subscriptions = GET "/admin/v2/{domain}/{}/{}/{}/subscriptions", Topic;
    /// Creates a subscription.
    CreateSubscription = PUT "/admin/v2/{domain}/{}/{}/{}/subscription/{}", Consume;
    /// Deletes a subscription.
    DeleteSubscription = DELETE "/admin/v2/{domain}/{}/{}/{}/subscription/{}", Consume;
    /// Why a subscription moves, or does not.
    ExplainSubscription = GET "/admin/v2/{domain}/{}/{}/{}/subscription/{}/explain", Topic;
    /// Acks a subscription's backlog.
    SkipAll = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/skip_all", Consume;
    /// Acks the next messages of a subscription.
    Skip = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/skip/{}", Consume;

    /// Puts a subscription before the first message behind a time.
    ResetCursorToTime = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/resetcursor/{}", Consume;
    /// Puts a subscription before, or behind, a message.
    ResetCursor = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/resetcursor", Consume;
    /// Acks what is older than so many seconds.
    ExpireMessages = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/expireMessages/{}", Consume;
    /// Acks what lies at or before a message.
    ExpireMessagesTo = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/expireMessages", Consume;
    /// Acks on all subscriptions what is older than so many seconds.
    ExpireMessagesOfAll = POST "/admin/v2/{domain}/{}/{}/{}/all_subscription/expireMessages/{}", Consume;

    /// Properties of a subscription.
    SubscriptionProperties = GET "/admin/v2/{domain}/{}/{}/{}/subscription/{}/properties", Consume;
    /// Replaces them.
    SetSubscriptionProperties = PUT "/admin/v2/{domain}/{}/{}/{}/subscription/{}/properties", Consume;
    /// Whether other clusters follow a subscription.
    ReplicatedStatus =
        GET "/admin/v2/{domain}/{}/{}/{}/subscription/{}/replicatedSubscriptionStatus", TenantAdmin;
    /// Lets them, or not.
    SetReplicatedStatus =
        POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/replicatedSubscriptionStatus", TenantAdmin;
    /// Counts a subscription's backlog by reading it.
    AnalyzeBacklog = POST "/admin/v2/{domain}/{}/{}/{}/subscription/{}/analyzeBacklog", Consume;
    /// What a topic stores, and what its subscriptions have not acked of it.
    Backlog = GET "/admin/v2/{domain}/{}/{}/{}/backlog", Topic;
    /// Bytes from a message on.
    BacklogSize = PUT "/admin/v2/{domain}/{}/{}/{}/backlogSize", Consume;
    /// Deletes what nobody needs.
    Trim = POST "/admin/v2/{domain}/{}/{}/{}/trim", TenantAdmin;

    /// Which broker serves a topic.
    Lookup = GET "/lookup/v2/topic/{domain}/{}/{}/{}", Lookup;
    /// The same, for clients of old.
    LookupDestination = GET "/lookup/v2/destination/{domain}/{}/{}/{}", Lookup;
    /// Which bundle a topic is in.
    LookupBundle = GET "/lookup/v2/topic/{domain}/{}/{}/{}/bundle", Lookup;

    /// The newest schema.
    Schema = GET "/admin/v2/schemas/{}/{}/{}/schema", Topic;
    /// One version of a schema.
    SchemaVersion = GET "/admin/v2/schemas/{}/{}/{}/schema/{}", Topic;
    /// All versions of a schema.
    Schemas = GET "/admin/v2/schemas/{}/{}/{}/schemas", Topic;
    /// Where the versions of a schema are.
    SchemaMetadata = GET "/admin/v2/schemas/{}/{}/{}/metadata", Topic;
    /// Adds a schema.
    PostSchema = POST "/admin/v2/schemas/{}/{}/{}/schema", TenantAdmin;
    /// Deletes all versions of a schema.
    DeleteSchema = DELETE "/admin/v2/schemas/{}/{}/{}/schema", TenantAdmin;
    /// Whether a schema could be added.
    CheckSchema = POST "/admin/v2/schemas/{}/{}/{}/compatibility", TenantAdmin;
    /// Which version a schema is.
    FindSchema = POST "/admin/v2/schemas/{}/{}/{}/version", TenantAdmin;
}

pub(crate) const VERSIONS: [&str; 2] = ["v2", "v3"];
pub(crate) const DOMAINS: [&str; 2] = ["persistent", "non-persistent"];

impl Route {
    /// Whether its answer may be large, and is made piece by piece.
    pub(crate) const fn is_large(self) -> bool {
        matches!(
            self,
            Self::Metrics | Self::MetricsSlash | Self::BrokerTopics | Self::BrokerDestinations
        )
    }

    /// The route that serves a request, with the variable parts of its path, if there is one.
    #[must_use]
    pub fn serving<'p>(method: &str, path: &'p str) -> Option<(Self, Vec<&'p str>)> {
        Self::find(method, path).ok()
    }

    /// Finds the route of a request and the variable parts of its path, still encoded. A HEAD is
    /// served as a GET.
    pub(crate) fn find<'p>(method: &str, path: &'p str) -> Result<(Self, Vec<&'p str>), Failure> {
        let method = if method == "HEAD" { "GET" } else { method };
        let fits = |route: &&Self| route.parts(path).is_some();
        let mut found: Vec<Self> = Self::ALL.iter().filter(fits).copied().collect();
        found.sort_by_key(|route| std::cmp::Reverse(route.literals()));
        let chosen = found.iter().find(|route| route.method() == method);
        if let Some(&route) = chosen {
            return Ok((route, route.parts(path).unwrap_or_default()));
        }
        let (method, path) = (method.to_owned(), path.to_owned());
        if found.is_empty() {
            return Err(Failure::UnknownPath(path));
        }
        let mut allowed: Vec<&'static str> = found.iter().map(|route| route.method()).collect();
        allowed.sort_unstable();
        allowed.dedup();
        Err(Failure::UnknownMethod { method, path, allowed })
    }

    fn parts(self, path: &str) -> Option<Vec<&str>> {
        let mut parts = Vec::new();
        let mut given = path.split('/');
        for wanted in self.path().split('/') {
            if wanted == "{rest}" {
                return Some(parts);
            }
            let given = given.next()?;
            match wanted {
                "{version}" if VERSIONS.contains(&given) => {}
                "{service that is off}" if SERVICES.contains(&given) => parts.push(given),
                "{}" if !given.is_empty() => parts.push(given),
                "{bundle}" if given.starts_with("0x") || given == "LARGEST" || given == "HOT" => {
                    parts.push(given)
                }
                "{domain}" if DOMAINS.contains(&given) => parts.push(given),
                "{policy of a namespace}" if self.has_policy(Level::Namespace, given) => {
                    parts.push(given);
                }
                "{policy of a topic}" if self.has_policy(Level::Topic, given) => parts.push(given),
                _ if wanted == given => {}
                _ => return None,
            }
        }
        given.next().is_none().then_some(parts)
    }

    fn has_policy(self, level: Level, name: &str) -> bool {
        policies::named(level, self.method(), name).is_some()
    }

    fn literals(self) -> usize {
        self.path().split('/').filter(|part| !part.starts_with('{')).count()
    }
}

#[cfg(test)]
mod document;

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, path: &str) -> Option<Route> {
        Route::find(method, path).ok().map(|(route, _)| route)
    }

    #[test]
    fn every_route_finds_itself() {
        for &route in Route::ALL {
            let path = route.path().replace("{domain}", "persistent").replace("{}", "x");
            let (of_namespace, of_topic) = match route.method() {
                "PUT" => ("compactionThreshold", "schemaCompatibilityStrategy"),
                _ => ("messageTTL", "messageTTL"),
            };
            let path = path.replace("{policy of a namespace}", of_namespace);
            let path = path.replace("{policy of a topic}", of_topic).replace("{version}", "v3");
            let path = path.replace("{bundle}", "0x00000000_0x40000000");
            let path = path.replace("{service that is off}/{rest}", "functions/x/y");
            assert_eq!(find(route.method(), &path), Some(route), "{route:?}");
        }
    }

    #[test]
    fn a_policy_is_found_by_its_name_and_method() {
        let path = |name: &str| format!("/admin/v2/namespaces/a/b/{name}");
        assert_eq!(find("GET", &path("backlogQuotaMap")), Some(Route::NamespacePolicy));
        assert_eq!(find("DELETE", &path("backlogQuota")), Some(Route::RemoveNamespacePolicy));
        assert_eq!(find("GET", &path("backlogQuota")), None);
        assert_eq!(find("PUT", &path("unload")), Some(Route::UnloadNamespace));
        assert_eq!(find("GET", &path("noSuchPolicy")), None);
        let error = Route::find("POST", &path("compactionThreshold")).unwrap_err();
        let Failure::UnknownMethod { allowed, .. } = error else { panic!("{error:?}") };
        assert_eq!(allowed, ["DELETE", "GET", "PUT"]);
        let path = |name: &str| format!("/admin/v2/non-persistent/a/b/t/{name}");
        assert_eq!(find("POST", &path("compactionThreshold")), Some(Route::PostTopicPolicy));
        assert_eq!(find("GET", &path("maxMessageSize")), Some(Route::TopicPolicy));
        assert_eq!(find("GET", &path("encryptionRequired")), None);
        assert_eq!(find("GET", &path("maxProducersPerTopic")), None);
    }

    #[test]
    fn no_two_routes_have_the_same_method_and_path() {
        for (index, a) in Route::ALL.iter().enumerate() {
            for b in &Route::ALL[index + 1..] {
                assert_ne!((a.method(), a.path()), (b.method(), b.path()));
            }
        }
    }

    #[test]
    fn what_changes_something_is_not_for_anyone() {
        for route in Route::ALL.iter().filter(|route| route.method() != "GET") {
            assert!(
                matches!(
                    route.permission(),
                    Permission::Superuser | Permission::TenantAdmin | Permission::Consume
                ),
                "{route:?}"
            );
        }
    }

    #[test]
    fn a_literal_part_wins_over_a_variable_one() {
        assert_eq!(find("GET", "/admin/v2/brokers/health"), Some(Route::Health));
        assert_eq!(find("GET", "/admin/v2/brokers/standalone"), Some(Route::BrokersOfCluster));
        assert_eq!(find("HEAD", "/admin/v2/brokers/health"), Some(Route::Health));
        let path = |last: &str| format!("/admin/v2/non-persistent/a/b/{last}");
        assert_eq!(find("GET", &path("partitioned")), Some(Route::PartitionedTopics));
        assert_eq!(find("GET", &path("0x00000000_0xffffffff")), Some(Route::BundleTopics));
    }

    #[test]
    fn parts_are_found_still_encoded() {
        let path = "/admin/v2/non-persistent/public/default/a%2Fb/subscription/s%20x";
        let (route, parts) = Route::find("PUT", path).unwrap();
        assert_eq!(route, Route::CreateSubscription);
        assert_eq!(parts, ["non-persistent", "public", "default", "a%2Fb", "s%20x"]);
    }

    #[test]
    fn unknown_paths_and_methods_are_told_apart() {
        for path in ["", "/", "/admin", "/admin/v2/persistent/a//c/stats", "/metrics/x", "*"] {
            assert!(matches!(Route::find("GET", path), Err(Failure::UnknownPath(_))), "{path}");
        }
        let error = Route::find("PATCH", "/admin/v2/tenants/x").unwrap_err();
        let Failure::UnknownMethod { allowed, .. } = error else { panic!("{error:?}") };
        assert_eq!(allowed, ["DELETE", "GET", "POST", "PUT"]);
    }
}
