//! Subscriptions, their consumers, and producers, inside a topic's stats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionStats {
    /// Messages per second out.
    pub msg_rate_out: f64,
    /// Bytes per second out.
    pub msg_throughput_out: f64,
    /// Bytes out since the topic was loaded.
    pub bytes_out_counter: u64,
    /// Messages out since the topic was loaded.
    pub msg_out_counter: u64,
    /// Redelivered messages per second.
    pub msg_rate_redeliver: f64,
    /// Acks per second.
    pub message_ack_rate: f64,
    /// Chunks per second.
    pub chunked_message_rate: f64,
    /// Entries that are not acked.
    pub msg_backlog: u64,
    /// Bytes that are not acked; −1: not computed.
    pub backlog_size: i64,
    /// Wall-clock milliseconds; 0: not computed.
    pub earliest_msg_publish_time_in_backlog: u64,
    /// Entries not acked without those delayed.
    pub msg_backlog_no_delayed: u64,
    /// Whether too many are not acked.
    pub blocked_subscription_on_unacked_msgs: bool,
    /// Messages whose time has not come.
    pub msg_delayed: u64,
    /// Messages delivered and not acked.
    pub unacked_messages: u64,
    /// The type's name, once a consumer was connected.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The active consumer of an Exclusive or Failover subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_consumer_name: Option<String>,
    /// Expired messages per second.
    pub msg_rate_expired: f64,
    /// Messages expired since the topic was loaded.
    pub total_msg_expired: u64,
    /// Dropped messages per second; non-persistent topics only.
    pub msg_drop_rate: f64,
    /// Wall-clock milliseconds.
    pub last_expire_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_consumed_flow_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_consumed_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_acked_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_mark_delete_advanced_timestamp: u64,
    /// Its consumers.
    pub consumers: Vec<ConsumerStats>,
    /// Whether its cursor is stored.
    pub is_durable: bool,
    /// Whether other clusters follow it.
    pub is_replicated: bool,
    /// The same as `isDurable`; Pulsar writes both.
    pub durable: bool,
    /// The same as `isReplicated`; Pulsar writes both.
    pub replicated: bool,
    /// Key_Shared only.
    pub allow_out_of_order_delivery: bool,
    /// Key_Shared only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_shared_mode: Option<String>,
    /// Key_Shared only.
    pub consumers_after_mark_delete_position: BTreeMap<String, String>,
    /// Acked ranges behind the mark-delete position.
    pub non_contiguous_deleted_messages_ranges: u64,
    /// Their size when stored.
    pub non_contiguous_deleted_messages_ranges_serialized_size: u64,
    /// Memory that delayed messages take.
    pub delayed_message_index_size_in_bytes: u64,
    /// Properties given at its creation.
    pub subscription_properties: BTreeMap<String, String>,
    /// Entry filters only.
    pub filter_processed_msg_count: u64,
    /// Entry filters only.
    pub filter_accepted_msg_count: u64,
    /// Entry filters only.
    pub filter_rejected_msg_count: u64,
    /// Entry filters only.
    pub filter_rescheduled_msg_count: u64,
}

/// One consumer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStats {
    /// The role it connected as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Messages per second to it.
    pub msg_rate_out: f64,
    /// Bytes per second to it.
    pub msg_throughput_out: f64,
    /// Bytes to it since it connected.
    pub bytes_out_counter: u64,
    /// Messages to it since it connected.
    pub msg_out_counter: u64,
    /// Redelivered messages per second.
    pub msg_rate_redeliver: f64,
    /// Acks per second.
    pub message_ack_rate: f64,
    /// Chunks per second.
    pub chunked_message_rate: f64,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_name: Option<String>,
    /// Permits it has left.
    pub available_permits: i64,
    /// Messages it has and has not acked.
    pub unacked_messages: u64,
    /// Mean number of messages in an entry.
    pub avg_messages_per_entry: u32,
    /// Whether it has too many that are not acked.
    pub blocked_consumer_on_unacked_msgs: bool,
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<String>,
    /// The client library's name and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// Wall-clock milliseconds.
    pub last_acked_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_consumed_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_consumed_flow_timestamp: u64,
    /// Hash ranges of a Key_Shared consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_hash_ranges: Option<Vec<String>>,
    /// Free-form.
    pub metadata: BTreeMap<String, String>,
}

/// One producer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublisherStats {
    /// Its access mode's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<String>,
    /// Messages per second in.
    pub msg_rate_in: f64,
    /// Bytes per second in.
    pub msg_throughput_in: f64,
    /// Mean message size in bytes.
    pub average_msg_size: f64,
    /// Dropped messages per second; non-persistent topics only.
    pub msg_drop_rate: f64,
    /// Chunks per second.
    pub chunked_message_rate: f64,
    /// The client's id of it.
    pub producer_id: u64,
    /// Whether the client opens partitions' producers as they are needed.
    pub supports_partial_producer: bool,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub producer_name: Option<String>,
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// When it connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_since: Option<String>,
    /// The client library's name and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_version: Option<String>,
    /// Free-form.
    pub metadata: BTreeMap<String, String>,
}
