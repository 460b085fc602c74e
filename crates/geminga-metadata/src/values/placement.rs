//! What administrators say of where things are to be: racks of bookies, brokers that fail together,
//! namespaces that are kept apart, quotas. Pulsar's JSON.
//!
//! # Invariants
//!
//! 1. As in [`super::policies`]: what is not named here is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::policies::null_is_default;

/// Racks of bookies, by group and bookie. At [`crate::paths::BOOKIE_RACKS`].
pub type BookieRacks = BTreeMap<String, BTreeMap<String, BookieRack>>;

/// Isolation policies of a cluster, by name. At [`crate::paths::isolation_policies`].
pub type IsolationPolicies = BTreeMap<String, IsolationPolicy>;

/// Where a bookie is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BookieRack {
    /// The rack, like `/region/rack`.
    pub rack: String,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Brokers that fail together. At [`crate::paths::failure_domain`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureDomain {
    /// Their ids.
    #[serde(deserialize_with = "null_is_default")]
    pub brokers: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Namespaces that certain brokers are to serve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IsolationPolicy {
    /// Regular expressions of their names.
    #[serde(deserialize_with = "null_is_default")]
    pub namespaces: Vec<String>,
    /// Regular expressions of brokers that should.
    #[serde(deserialize_with = "null_is_default")]
    pub primary: Vec<String>,
    /// Those that may if the others cannot.
    #[serde(deserialize_with = "null_is_default")]
    pub secondary: Vec<String>,
    /// When that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_failover_policy: Option<AutoFailoverPolicy>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// When secondary brokers serve a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AutoFailoverPolicy {
    /// `min_available`.
    pub policy_type: String,
    /// `min_limit`: brokers; `usage_threshold`: per cent.
    #[serde(deserialize_with = "null_is_default")]
    pub parameters: BTreeMap<String, String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a bundle is expected to take. At [`crate::paths::resource_quota`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceQuota {
    /// Messages in a second that come.
    pub msg_rate_in: f64,
    /// Messages in a second that go.
    pub msg_rate_out: f64,
    /// Bytes in a second that come.
    pub bandwidth_in: f64,
    /// Bytes in a second that go.
    pub bandwidth_out: f64,
    /// MiB.
    pub memory: f64,
    /// Whether what is measured replaces it.
    pub dynamic: bool,
}

impl Default for ResourceQuota {
    /// Pulsar's.
    fn default() -> Self {
        Self {
            msg_rate_in: 40.0,
            msg_rate_out: 120.0,
            bandwidth_in: 100_000.0,
            bandwidth_out: 300_000.0,
            memory: 80.0,
            dynamic: true,
        }
    }
}
