//! Clusters, tenants, namespaces and partitioned topics: Pulsar's JSON.
//!
//! # Invariants
//!
//! 1. What a value holds beyond the fields named here is in `rest` and is written back, so that a
//!    read-modify-write loses nothing that Pulsar, or a later release, put there.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{InvalidValue, damaged};

/// A value kept as JSON.
pub trait JsonValue: Serialize + DeserializeOwned {
    /// What it is, for error messages.
    const KIND: &'static str;

    /// Writes the value.
    ///
    /// # Panics
    ///
    /// Never: names of fields are texts and no field fails to be written.
    #[must_use]
    fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a struct with text keys can be written as JSON").into()
    }

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// If the bytes are not one.
    fn decode(bytes: &[u8]) -> Result<Self, InvalidValue> {
        serde_json::from_slice(bytes).map_err(|error| damaged(Self::KIND, error))
    }
}

macro_rules! json_values {
    ($($name:ident => $kind:literal),* $(,)?) => {
        $(impl JsonValue for $name { const KIND: &'static str = $kind; })*
    };
}

json_values! {
    ClusterData => "cluster data",
    TenantInfo => "tenant info",
    Policies => "namespace policies",
    LocalPolicies => "local policies",
    PartitionedTopicMetadata => "partitioned topic metadata",
}

/// How a cluster is reached. At [`crate::paths::cluster`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterData {
    /// `http://host:port` of the admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_url: Option<String>,
    /// The same over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_url_tls: Option<String>,
    /// `pulsar://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_service_url: Option<String>,
    /// The same over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_service_url_tls: Option<String>,
    /// Clusters that may stand in for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_cluster_names: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Who may do what with a tenant. At [`crate::paths::tenant`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TenantInfo {
    /// Roles that administer it.
    #[serde(deserialize_with = "null_is_default")]
    pub admin_roles: Vec<String>,
    /// Clusters its namespaces may live in.
    #[serde(deserialize_with = "null_is_default")]
    pub allowed_clusters: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A namespace's policies. At [`crate::paths::namespace`]. Absent limits are the broker's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policies {
    /// Clusters it is replicated to; its own only, normally.
    #[serde(deserialize_with = "null_is_default")]
    pub replication_clusters: Vec<String>,
    /// Clusters that it may be replicated to; none: the tenant's.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_clusters: BTreeSet<String>,
    /// How its hash range is cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundles: Option<BundlesData>,
    /// By `destination_storage` or `message_age`.
    #[serde(deserialize_with = "null_is_default")]
    pub backlog_quota_map: BTreeMap<String, BacklogQuota>,
    /// Seconds after which an unacked message counts as acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_ttl_in_seconds: Option<i32>,
    /// Minutes after which an unused subscription is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_expiration_time_minutes: Option<i32>,
    /// Bytes not compacted above which a topic is compacted; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction_threshold: Option<i64>,
    /// What is kept although it is acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_policies: Option<RetentionPolicies>,
    /// When topics that are not used are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_topic_policies: Option<InactiveTopicPolicies>,
    /// How fast a topic's messages go out, by cluster.
    #[serde(
        rename = "topicDispatchRate",
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub topic_dispatch_rate: BTreeMap<String, DispatchRate>,
    /// How fast those of a subscription do, by cluster.
    #[serde(
        rename = "subscriptionDispatchRate",
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub subscription_dispatch_rate: BTreeMap<String, DispatchRate>,
    /// How fast a topic's messages come in, by cluster.
    #[serde(
        rename = "publishMaxMessageRate",
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub publish_rate: BTreeMap<String, PublishRate>,
    /// How fast messages go out to other clusters, by cluster.
    #[serde(
        rename = "replicatorDispatchRate",
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub replicator_dispatch_rate: BTreeMap<String, DispatchRate>,
    /// How often a consumer may come, by cluster.
    #[serde(
        rename = "clusterSubscribeRate",
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub subscribe_rate: BTreeMap<String, SubscribeRate>,
    /// Whether duplicates of a producer are dropped.
    #[serde(rename = "deduplicationEnabled", skip_serializing_if = "Option::is_none")]
    pub deduplication_enabled: Option<bool>,
    /// Seconds after which what is known of producers is stored.
    #[serde(
        rename = "deduplicationSnapshotIntervalSeconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub deduplication_snapshot_interval_seconds: Option<i32>,
    /// Whether topics come into being by being used.
    #[serde(rename = "autoTopicCreationOverride", skip_serializing_if = "Option::is_none")]
    pub auto_topic_creation_override: Option<AutoTopicCreationOverride>,
    /// Whether subscriptions come into being by being used.
    #[serde(rename = "autoSubscriptionCreationOverride", skip_serializing_if = "Option::is_none")]
    pub auto_subscription_creation_override: Option<AutoSubscriptionCreationOverride>,
    /// How ledgers are replicated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistencePolicies>,
    /// Which types of subscription there may be; none: all.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeSet::is_empty")]
    pub subscription_types_enabled: BTreeSet<String>,
    /// Bytes from which on older data is offloaded; negative: never, or as the broker says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload_threshold: Option<i64>,
    /// Seconds from which on older data is offloaded; negative: never, or as the broker says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload_threshold_in_seconds: Option<i64>,
    /// Milliseconds after which what is offloaded is deleted here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload_deletion_lag_ms: Option<i64>,
    /// Where older data is offloaded to: Pulsar's `OffloadPolicies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload_policies: Option<Map<String, Value>>,
    /// Which filters decide what a consumer gets.
    #[serde(rename = "entryFilters", skip_serializing_if = "Option::is_none")]
    pub entry_filters: Option<EntryFilters>,
    /// Whether nothing is dispatched while acks cannot be stored.
    #[serde(
        rename = "dispatcherPauseOnAckStatePersistentEnabled",
        skip_serializing_if = "Option::is_none"
    )]
    pub pauses_on_ack_state: Option<bool>,
    /// When messages with a delay are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delayed_delivery_policies: Option<DelayedDeliveryPolicies>,
    /// Whether producers must encrypt.
    pub encryption_required: bool,
    /// Whether it is being deleted.
    pub deleted: bool,
    /// Producers of one topic, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_producers_per_topic: Option<i32>,
    /// Consumers of one topic, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_consumers_per_topic: Option<i32>,
    /// Consumers of one subscription, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_consumers_per_subscription: Option<i32>,
    /// Unacked messages of one consumer, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unacked_messages_per_consumer: Option<i32>,
    /// Unacked messages of one subscription, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unacked_messages_per_subscription: Option<i32>,
    /// Subscriptions of one topic, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_subscriptions_per_topic: Option<i32>,
    /// Topics, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_topics_per_namespace: Option<i32>,
    /// Which schemas may follow each other, in Pulsar's words (`FULL`, `BACKWARD`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_compatibility_strategy: Option<String>,
    /// The policy that this one replaced; it counts where this one is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_auto_update_compatibility_strategy: Option<String>,
    /// Whether clients may add schemas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_allow_auto_update_schema: Option<bool>,
    /// Whether a producer without schema is refused where there is one.
    pub schema_validation_enforced: bool,
    /// Who may do what; not looked at while there is no authorization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_policies: Option<AuthPolicies>,
    /// `None` or `Prefix`: whether a subscription's name begins with the role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_auth_mode: Option<String>,
    /// The resource group whose rates it shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_group_name: Option<String>,
    /// What users noted about it.
    #[serde(deserialize_with = "null_is_default")]
    pub properties: BTreeMap<String, String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Who may do what in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthPolicies {
    /// By role.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_auth: BTreeMap<String, BTreeSet<AuthAction>>,
    /// By topic and role.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub destination_auth: BTreeMap<String, BTreeMap<String, BTreeSet<AuthAction>>>,
    /// Roles, by subscription.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub subscription_auth_roles: BTreeMap<String, BTreeSet<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a role may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthAction {
    /// Produce.
    Produce,
    /// Consume.
    Consume,
    /// Administer functions.
    Functions,
    /// Administer sources.
    Sources,
    /// Administer sinks.
    Sinks,
    /// Administer packages.
    Packages,
}

/// How a namespace's hash range is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BundlesData {
    /// `0x00000000`, …, `0xffffffff`: one more than there are bundles.
    #[serde(deserialize_with = "null_is_default")]
    pub boundaries: Vec<String>,
    /// How many bundles there are.
    pub num_bundles: u32,
}

/// What happens when a subscription lags too far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BacklogQuota {
    /// Bytes; the older name of `limit_size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Bytes; negative is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_size: Option<i64>,
    /// Seconds; negative is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_time: Option<i32>,
    /// `producer_request_hold`, `producer_exception` or `consumer_backlog_eviction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// When topics that are not used are deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InactiveTopicPolicies {
    /// `delete_when_no_subscriptions` or `delete_when_subscriptions_caught_up`.
    pub inactive_topic_delete_mode: String,
    /// Seconds that they must have been unused.
    pub max_inactive_duration_seconds: i32,
    /// Whether they are deleted at all.
    pub delete_while_inactive: bool,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How fast messages go out. −1 and 0 are no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DispatchRate {
    /// Messages in a period.
    pub dispatch_throttling_rate_in_msg: i32,
    /// Bytes in a period.
    pub dispatch_throttling_rate_in_byte: i64,
    /// Whether what is published comes on top.
    pub relative_to_publish_rate: bool,
    /// The period.
    pub rate_period_in_second: i32,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Default for DispatchRate {
    fn default() -> Self {
        Self {
            dispatch_throttling_rate_in_msg: -1,
            dispatch_throttling_rate_in_byte: -1,
            relative_to_publish_rate: false,
            rate_period_in_second: 1,
            rest: Map::new(),
        }
    }
}

/// How fast messages come in. −1 and 0 are no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishRate {
    /// Messages in a second.
    pub publish_throttling_rate_in_msg: i32,
    /// Bytes in a second.
    pub publish_throttling_rate_in_byte: i64,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Default for PublishRate {
    fn default() -> Self {
        Self {
            publish_throttling_rate_in_msg: -1,
            publish_throttling_rate_in_byte: -1,
            rest: Map::new(),
        }
    }
}

/// How often a consumer may come. −1 and 0 are no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscribeRate {
    /// How often in a period.
    pub subscribe_throttling_rate_per_consumer: i32,
    /// The period.
    pub rate_period_in_second: i32,
}

/// Which filters decide what a consumer gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntryFilters {
    /// Their names, with commas.
    #[serde(deserialize_with = "null_is_default")]
    pub entry_filter_names: String,
}

/// What is kept although it is acked. −1 is for ever, 0 is not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionPolicies {
    /// For how many minutes.
    #[serde(rename = "retentionTimeInMinutes")]
    pub retention_time_in_minutes: i32,
    /// How many MiB.
    #[serde(rename = "retentionSizeInMB")]
    pub retention_size_in_mb: i64,
}

/// Whether topics come into being by being used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoTopicCreationOverride {
    /// Whether they do.
    pub allow_auto_topic_creation: bool,
    /// `partitioned` or `non-partitioned`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_type: Option<String>,
    /// With how many partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_num_partitions: Option<i32>,
}

/// Whether subscriptions come into being by being used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoSubscriptionCreationOverride {
    /// Whether they do.
    pub allow_auto_subscription_creation: bool,
}

/// How ledgers are replicated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistencePolicies {
    /// E.
    pub bookkeeper_ensemble: u32,
    /// Qw.
    pub bookkeeper_write_quorum: u32,
    /// Qa.
    pub bookkeeper_ack_quorum: u32,
    /// Cursor writes per second.
    pub managed_ledger_max_mark_delete_rate: f64,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// When messages with a delay are delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DelayedDeliveryPolicies {
    /// Whether delays are honoured.
    pub active: bool,
    /// Milliseconds that a delivery may be late.
    pub tick_time: i64,
    /// The longest delay in milliseconds; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delivery_delay_in_millis: Option<i64>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A namespace's policies in one cluster alone. At [`crate::paths::local_policies`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalPolicies {
    /// How its hash range is cut, once it was split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundles: Option<BundlesData>,
    /// Which bookies have its ledgers.
    #[serde(rename = "bookieAffinityGroup", skip_serializing_if = "Option::is_none")]
    pub bookie_affinity_group: Option<BookieAffinityGroup>,
    /// Namespaces with the same are to be kept apart.
    #[serde(rename = "namespaceAntiAffinityGroup", skip_serializing_if = "Option::is_none")]
    pub anti_affinity_group: Option<String>,
    /// Whether its clients were sent to another cluster.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub migrated: bool,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Which bookies have a namespace's ledgers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BookieAffinityGroup {
    /// Groups of the first choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bookkeeper_affinity_group_primary: Option<String>,
    /// Groups of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bookkeeper_affinity_group_secondary: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How many partitions a topic has. At [`crate::paths::partitioned_topic`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartitionedTopicMetadata {
    /// How many.
    pub partitions: u32,
    /// Whether it is being deleted.
    pub deleted: bool,
    /// What users noted about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, String>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl BundlesData {
    /// Cuts the range evenly into `count` bundles, as Pulsar does; at least one.
    #[must_use]
    pub fn even(count: u32) -> Self {
        let count = count.max(1);
        let width = (1_u64 << 32) / u64::from(count);
        let mut boundaries: Vec<_> =
            (0..u64::from(count)).map(|index| format!("0x{:08x}", width * index)).collect();
        boundaries.push("0xffffffff".to_owned());
        Self { boundaries, num_bundles: count }
    }
}

/// Jackson writes `null` for what a Java object lacks.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_read_modify_write_loses_nothing() {
        let stored = json!({
            "auth_policies": {"namespace_auth": {"role": ["produce"]}},
            "replication_clusters": ["standalone"],
            "bundles": {"boundaries": ["0x00000000", "0xffffffff"], "numBundles": 1},
            "backlog_quota_map": {
                "destination_storage": {"limitSize": 10, "policy": "producer_exception", "x": 1}
            },
            "message_ttl_in_seconds": 60,
            "retention_policies": {"retentionTimeInMinutes": -1, "retentionSizeInMB": 5},
            "deduplicationEnabled": true,
            "autoTopicCreationOverride": {
                "allowAutoTopicCreation": true, "topicType": "partitioned",
                "defaultNumPartitions": 3
            },
            "persistence": {
                "bookkeeperEnsemble": 2, "bookkeeperWriteQuorum": 2, "bookkeeperAckQuorum": 1,
                "managedLedgerMaxMarkDeleteRate": 1.5, "managedLedgerStorageClassName": "c"
            },
            "delayed_delivery_policies": {"active": true, "tickTime": 1000, "more": null},
            "replicatorDispatchRate": {"other": {
                "dispatchThrottlingRateInMsg": 7, "dispatchThrottlingRateInByte": -1,
                "relativeToPublishRate": false, "ratePeriodInSecond": 1, "x": 1
            }},
            "clusterSubscribeRate": {"standalone": {
                "subscribeThrottlingRatePerConsumer": 10, "ratePeriodInSecond": 30
            }},
            "deduplicationSnapshotIntervalSeconds": 8,
            "subscription_types_enabled": ["Key_Shared", "Shared"],
            "offload_threshold": -1,
            "offload_threshold_in_seconds": 9,
            "offload_deletion_lag_ms": 10,
            "offload_policies": {"managedLedgerOffloadDriver": "s3", "x": null},
            "entryFilters": {"entryFilterNames": "a,b"},
            "dispatcherPauseOnAckStatePersistentEnabled": true,
            "encryption_required": false,
            "deleted": false,
            "schema_validation_enforced": false,
            "properties": {"k": "v"},
            "topicDispatchRate": {"standalone": {
                "dispatchThrottlingRateInMsg": 7, "dispatchThrottlingRateInByte": -1,
                "relativeToPublishRate": false, "ratePeriodInSecond": 1, "x": 1
            }},
            "publishMaxMessageRate": {"standalone": {
                "publishThrottlingRateInMsg": 7, "publishThrottlingRateInByte": -1, "x": 1
            }},
            "inactive_topic_policies": {
                "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
                "maxInactiveDurationSeconds": 60, "deleteWhileInactive": true, "x": 1
            },
            "of_the_future": [1, {"a": null}]
        });
        let mut policies = Policies::decode(stored.to_string().as_bytes()).unwrap();
        assert_eq!(policies.bundles, Some(BundlesData::even(1)));
        assert_eq!(policies.message_ttl_in_seconds, Some(60));
        policies.message_ttl_in_seconds = Some(61);
        let mut expected = stored;
        expected["message_ttl_in_seconds"] = json!(61);
        let written: Value = serde_json::from_slice(&policies.encode()).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn nulls_and_absent_fields_are_defaults() {
        for stored in ["{}", r#"{"replication_clusters":null,"backlog_quota_map":null}"#] {
            let policies = Policies::decode(stored.as_bytes()).unwrap();
            assert_eq!(policies, Policies::default());
        }
        let tenant = TenantInfo::decode(br#"{"adminRoles":null,"allowedClusters":["c"]}"#).unwrap();
        assert_eq!(tenant.allowed_clusters, ["c"]);
        let topic = PartitionedTopicMetadata::decode(br#"{"partitions":4}"#).unwrap();
        assert_eq!(topic.partitions, 4);
        assert_eq!(topic.encode().as_ref(), br#"{"partitions":4,"deleted":false}"#);
        let cluster = ClusterData::decode(br#"{"serviceUrl":"http://x","proxyProtocol":"SNI"}"#);
        assert_eq!(cluster.unwrap().rest["proxyProtocol"], "SNI");
    }

    #[test]
    fn bundles_are_cut_as_pulsars() {
        let expected = ["0x00000000", "0x40000000", "0x80000000", "0xc0000000", "0xffffffff"];
        assert_eq!(BundlesData::even(4).boundaries, expected);
        assert_eq!(BundlesData::even(0).num_bundles, 1);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in r#"[{}\[\]":,a-z0-9_]{0,40}"#) {
            let _ = Policies::decode(&bytes);
            let _ = Policies::decode(text.as_bytes());
            let _ = LocalPolicies::decode(text.as_bytes());
            let _ = PartitionedTopicMetadata::decode(text.as_bytes());
        }

        #[test]
        fn partitioned_topics_come_back(partitions: u32, deleted: bool, text in ".{0,9}") {
            let properties = Some(BTreeMap::from([(text.clone(), text)]));
            let topic = PartitionedTopicMetadata {
                partitions, deleted, properties, ..PartitionedTopicMetadata::default()
            };
            prop_assert_eq!(PartitionedTopicMetadata::decode(&topic.encode()).unwrap(), topic);
        }
    }
}
