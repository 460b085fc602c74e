//! The table of everything that is served: method, path, and the permission it needs.
//!
//! A `{}` in a path stands for one part, `{domain}` for `persistent` or `non-persistent`, `{policy of …}`
//! for the name of one of the [policies](crate::handlers::policies) that has the method. Where several
//! paths fit, the one with more literal parts is taken. The table is the [`Route`] enum
//! itself, so that a route without permission or handler does not compile.

use crate::{
    failure::Failure,
    handlers::policies::{self, Level},
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
    ($($(#[$doc:meta])* $name:ident = $method:ident $path:literal, $permission:ident;)*) => {
        /// Everything that is served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($(#[$doc])* $name,)*
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
    /// One policy of a namespace.
    NamespacePolicy = GET "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Sets it.
    PostNamespacePolicy = POST "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Sets one that is set by PUT.
    PutNamespacePolicy = PUT "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;
    /// Removes it: the broker's configuration counts again.
    RemoveNamespacePolicy = DELETE "/admin/v2/namespaces/{}/{}/{policy of a namespace}", TenantAdmin;


    /// Topics of a domain, partitions one by one.
    Topics = GET "/admin/v2/{domain}/{}/{}", TenantAdmin;
    /// Partitioned topics of a domain.
    PartitionedTopics = GET "/admin/v2/{domain}/{}/{}/partitioned", TenantAdmin;
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
    /// One policy of a topic.
    TopicPolicy = GET "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// Sets it.
    PostTopicPolicy = POST "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// Sets one that is set by PUT.
    PutTopicPolicy = PUT "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
    /// Removes it: the namespace's, or the broker's configuration, counts again.
    RemoveTopicPolicy = DELETE "/admin/v2/{domain}/{}/{}/{}/{policy of a topic}", TenantAdmin;
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

const DOMAINS: [&str; 2] = ["persistent", "non-persistent"];

impl Route {
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
            let given = given.next()?;
            match wanted {
                "{}" if !given.is_empty() => parts.push(given),
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
            let path = path.replace("{policy of a topic}", of_topic);
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
