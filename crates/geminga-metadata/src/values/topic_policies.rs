//! What a topic decides for itself: Pulsar's JSON of its `TopicPolicies`.
//!
//! # Invariants
//!
//! 1. What a value holds beyond the fields named here is in `rest` and is written back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::policies::{
    BacklogQuota, DispatchRate, InactiveTopicPolicies, JsonValue, PublishRate, RetentionPolicies,
    null_is_default,
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
            "of_the_future": [1, {"a": null}]
        });
        let mut policies = TopicPolicies::decode(stored.to_string().as_bytes()).unwrap();
        let unknown: Vec<&str> = policies.rest.keys().map(String::as_str).collect();
        let expected =
            ["isGlobal", "of_the_future", "replicationClusters", "subscriptionTypesEnabled"];
        assert_eq!(unknown, expected);
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
