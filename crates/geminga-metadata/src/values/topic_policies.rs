//! What a topic decides for itself: Pulsar's JSON of its `TopicPolicies`.
//!
//! # Invariants
//!
//! 1. What a value holds beyond the fields named here is in `rest` and is written back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::policies::{
    AutoSubscriptionCreationOverride, BacklogQuota, DispatchRate, EntryFilters,
    InactiveTopicPolicies, JsonValue, PersistencePolicies, PublishRate, RetentionPolicies,
    SubscribeRate, null_is_default,
};

/// A topic's policies. At [`crate::paths::topic_policies`]. What is absent is the namespace's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicPolicies {
    /// By `destination_storage` or `message_age`.
    #[serde(
        rename = "backLogQuotaMap",
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub backlog_quota_map: BTreeMap<String, BacklogQuota>,
    /// What is kept although it is acked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_policies: Option<RetentionPolicies>,
    /// Whether duplicates of a producer are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deduplication_enabled: Option<bool>,
    /// Seconds after which an unacked message counts as acked.
    #[serde(rename = "messageTTLInSeconds", skip_serializing_if = "Option::is_none")]
    pub message_ttl_in_seconds: Option<i32>,
    /// Producers, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_producer_per_topic: Option<i32>,
    /// Consumers, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_consumer_per_topic: Option<i32>,
    /// Consumers of one subscription, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_consumers_per_subscription: Option<i32>,
    /// Unacked messages of one consumer, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unacked_messages_on_consumer: Option<i32>,
    /// Unacked messages of one subscription, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unacked_messages_on_subscription: Option<i32>,
    /// Milliseconds that a delivery may be late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delayed_delivery_tick_time_millis: Option<i64>,
    /// Whether delays are honoured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delayed_delivery_enabled: Option<bool>,
    /// The longest delay in milliseconds; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delayed_delivery_max_delay_in_millis: Option<i64>,
    /// When it is deleted if it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_topic_policies: Option<InactiveTopicPolicies>,
    /// How fast its messages go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_rate: Option<DispatchRate>,
    /// How fast those of a subscription do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_dispatch_rate: Option<DispatchRate>,
    /// Bytes not compacted above which it is compacted; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compaction_threshold: Option<i64>,
    /// How fast messages come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_rate: Option<PublishRate>,
    /// Bytes of a message, at most; 0 leaves it to the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<i32>,
    /// Subscriptions, at most; 0 is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_subscriptions_per_topic: Option<i32>,
    /// Which schemas may follow each other, in Pulsar's words (`FULL`, `BACKWARD`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_compatibility_strategy: Option<String>,
    /// Whether a producer without schema is refused where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_validation_enforced: Option<bool>,
    /// How ledgers are replicated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistencePolicies>,
    /// How fast messages go out to other clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicator_dispatch_rate: Option<DispatchRate>,
    /// How often a consumer may come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe_rate: Option<SubscribeRate>,
    /// Seconds after which what is known of producers is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deduplication_snapshot_interval_seconds: Option<i32>,
    /// Which types of subscription there may be; none: the namespace's.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeSet::is_empty")]
    pub subscription_types_enabled: BTreeSet<String>,
    /// When and where older data is offloaded to: Pulsar's `OffloadPolicies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload_policies: Option<Map<String, Value>>,
    /// Which filters decide what a consumer gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_filters: Option<EntryFilters>,
    /// Whether nothing is dispatched while acks cannot be stored.
    #[serde(
        rename = "dispatcherPauseOnAckStatePersistentEnabled",
        skip_serializing_if = "Option::is_none"
    )]
    pub pauses_on_ack_state: Option<bool>,
    /// Whether subscriptions come into being by being used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_subscription_creation_override: Option<AutoSubscriptionCreationOverride>,
    /// Clusters it is replicated to; none: the namespace's.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub replication_clusters: Vec<String>,
    /// What is said of single subscriptions, by their names.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub subscription_policies: BTreeMap<String, SubscriptionPolicies>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a topic decides for one subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionPolicies {
    /// How fast its messages go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_rate: Option<DispatchRate>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl JsonValue for TopicPolicies {
    const KIND: &'static str = "topic policies";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_read_modify_write_loses_nothing() {
        let stored = json!({
            "backLogQuotaMap": {
                "message_age": {"limitTime": 10, "policy": "producer_exception", "x": 1}
            },
            "subscriptionTypesEnabled": ["Shared"],
            "replicationClusters": ["a"],
            "subscriptionPolicies": {
                "s": {
                    "dispatchRate": {
                        "dispatchThrottlingRateInMsg": 9, "dispatchThrottlingRateInByte": -1,
                        "relativeToPublishRate": false, "ratePeriodInSecond": 1
                    },
                    "x": 1
                }
            },
            "isGlobal": false,
            "retentionPolicies": {"retentionTimeInMinutes": -1, "retentionSizeInMB": 5},
            "deduplicationEnabled": true,
            "messageTTLInSeconds": 60,
            "maxProducerPerTopic": 1,
            "maxConsumerPerTopic": 2,
            "maxConsumersPerSubscription": 3,
            "maxUnackedMessagesOnConsumer": 4,
            "maxUnackedMessagesOnSubscription": 5,
            "delayedDeliveryTickTimeMillis": 6,
            "delayedDeliveryEnabled": false,
            "delayedDeliveryMaxDelayInMillis": 7,
            "inactiveTopicPolicies": {
                "inactiveTopicDeleteMode": "delete_when_no_subscriptions",
                "maxInactiveDurationSeconds": 60, "deleteWhileInactive": true, "x": 1
            },
            "dispatchRate": {
                "dispatchThrottlingRateInMsg": 7, "dispatchThrottlingRateInByte": -1,
                "relativeToPublishRate": false, "ratePeriodInSecond": 1, "x": 1
            },
            "subscriptionDispatchRate": {
                "dispatchThrottlingRateInMsg": -1, "dispatchThrottlingRateInByte": 8,
                "relativeToPublishRate": true, "ratePeriodInSecond": 1
            },
            "compactionThreshold": 9,
            "publishRate": {"publishThrottlingRateInMsg": 7, "publishThrottlingRateInByte": -1},
            "maxMessageSize": 10,
            "maxSubscriptionsPerTopic": 11,
            "schemaCompatibilityStrategy": "FULL",
            "schemaValidationEnforced": true,
            "persistence": {
                "bookkeeperEnsemble": 2, "bookkeeperWriteQuorum": 2, "bookkeeperAckQuorum": 1,
                "managedLedgerMaxMarkDeleteRate": 1.5, "managedLedgerStorageClassName": "c"
            },
            "replicatorDispatchRate": {
                "dispatchThrottlingRateInMsg": -1, "dispatchThrottlingRateInByte": 8,
                "relativeToPublishRate": true, "ratePeriodInSecond": 1
            },
            "subscribeRate": {"subscribeThrottlingRatePerConsumer": 10, "ratePeriodInSecond": 30},
            "deduplicationSnapshotIntervalSeconds": 12,
            "offloadPolicies": {"managedLedgerOffloadThresholdInBytes": 13, "x": null},
            "entryFilters": {"entryFilterNames": "a,b"},
            "dispatcherPauseOnAckStatePersistentEnabled": false,
            "autoSubscriptionCreationOverride": {"allowAutoSubscriptionCreation": false},
            "of_the_future": [1, {"a": null}]
        });
        let mut policies = TopicPolicies::decode(stored.to_string().as_bytes()).unwrap();
        let unknown: Vec<&str> = policies.rest.keys().map(String::as_str).collect();
        assert_eq!(unknown, ["isGlobal", "of_the_future"]);
        policies.message_ttl_in_seconds = None;
        let mut expected = stored;
        expected.as_object_mut().unwrap().remove("messageTTLInSeconds");
        let written: Value = serde_json::from_slice(&policies.encode()).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn nothing_is_said_by_nulls_and_absent_fields() {
        for stored in ["{}", r#"{"backLogQuotaMap":null,"dispatchRate":null}"#] {
            let policies = TopicPolicies::decode(stored.as_bytes()).unwrap();
            assert_eq!(policies, TopicPolicies::default());
            assert_eq!(policies.encode().as_ref(), b"{}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in r#"[{}\[\]":,a-z0-9_]{0,40}"#) {
            let _ = TopicPolicies::decode(&bytes);
            let _ = TopicPolicies::decode(text.as_bytes());
        }
    }
}
