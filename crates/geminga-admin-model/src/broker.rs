//! What a broker has, does and is configured with.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Answer of `brokers/internal-configuration`. Empty: there is none that others can reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InternalConfiguration {
    /// Where the metadata store is.
    pub zookeeper_servers: String,
    /// Where the store of what all clusters share is.
    pub configuration_store_servers: String,
    /// Where in it ledgers are.
    pub ledgers_root_path: String,
}

/// How a broker has a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceOwnershipStatus {
    /// `primary`, `secondary` or `shared`, by isolation policies.
    pub broker_assignment: String,
    /// Whether an isolation policy holds for it.
    pub is_controlled: bool,
    /// Whether it is served.
    pub is_active: bool,
}

/// Numbers with what they are of: an element of the answer of `broker-stats/metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MonitoringMetrics {
    /// By name.
    pub metrics: BTreeMap<String, u64>,
    /// What they are of.
    pub dimensions: BTreeMap<String, String>,
}

/// How much of something is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceUsage {
    /// This much.
    pub usage: f64,
    /// Of this much.
    pub limit: f64,
}

/// How busy a broker is: answer of `broker-stats/load-report`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadReport {
    /// Which kind of report it is, for Java's reader.
    pub load_report_type: String,
    /// The admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_service_url: Option<String>,
    /// The same over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_service_url_tls: Option<String>,
    /// The binary protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulsar_service_url: Option<String>,
    /// The same over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pulsar_service_url_tls: Option<String>,
    /// Whether persistent topics are served.
    pub persistent_topics_enabled: bool,
    /// Whether non-persistent topics are served.
    pub non_persistent_topics_enabled: bool,
    /// MiB.
    pub memory: ResourceUsage,
    /// Bytes in a second that come.
    pub msg_throughput_in: f64,
    /// Bytes in a second that go.
    pub msg_throughput_out: f64,
    /// Messages in a second that come.
    pub msg_rate_in: f64,
    /// Messages in a second that go.
    pub msg_rate_out: f64,
    /// Milliseconds since 1970.
    pub last_update: u64,
    /// Topics in use.
    pub num_topics: u64,
    /// Bundles with topics in use.
    pub num_bundles: u64,
    /// Their consumers.
    pub num_consumers: u64,
    /// Their producers.
    pub num_producers: u64,
    /// Names of those bundles.
    pub bundles: BTreeSet<String>,
    /// The broker's version.
    pub broker_version_string: String,
}
