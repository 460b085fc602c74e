//! Clusters, tenants, brokers, and the body of every error.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How to reach a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterData {
    /// `http://…`: the admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_url: Option<String>,
    /// `https://…`: the admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_url_tls: Option<String>,
    /// `pulsar://…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_service_url: Option<String>,
    /// `pulsar+ssl://…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_service_url_tls: Option<String>,
    /// Whether brokers talk to each other over TLS.
    pub broker_client_tls_enabled: bool,
    /// Whether certificates go unverified.
    pub tls_allow_insecure_connection: bool,
}

/// A tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantInfo {
    /// Roles that may administer it.
    pub admin_roles: BTreeSet<String>,
    /// Clusters its namespaces may live in.
    pub allowed_clusters: BTreeSet<String>,
}

/// What a role is to be permitted of a topic, or to lose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPermission<A: Ord> {
    /// The topic's full name.
    pub topic: String,
    /// The role.
    pub role: String,
    /// What; not said of what is lost.
    #[serde(default = "BTreeSet::new")]
    pub actions: BTreeSet<A>,
}

/// A broker, as `brokers/leaderBroker` answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerInfo {
    /// `http://…`.
    pub service_url: String,
    /// `host:port`.
    pub broker_id: String,
}

/// What isolation policies say of a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerIsolation {
    /// `host:port`.
    pub broker_name: String,
    /// The policy that names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// Whether as one of the first choice.
    pub primary: bool,
    /// Expressions of the namespaces that it is to serve.
    pub namespace_regex: Vec<String>,
}

/// Whether a cluster's clients are sent to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterPolicies {
    /// Whether they are.
    pub migrated: bool,
}

/// The bookies of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BookiesClusterInfo {
    /// All of them.
    pub bookies: Vec<RawBookieInfo>,
}

/// A bookie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RawBookieInfo {
    /// Its id.
    pub bookie_id: String,
}

/// How a namespace is cut into bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BundlesData {
    /// Hash boundaries, one more than there are bundles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundaries: Option<Vec<String>>,
    /// How many bundles.
    pub num_bundles: u32,
}

/// The body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What went wrong, for a person.
    pub reason: String,
}
