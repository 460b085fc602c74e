//! Topics and partitioned topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{PublisherStats, SubscriptionStats};

/// One topic, or the sum over a partitioned topic's partitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// Messages per second in.
    pub msg_rate_in: f64,
    /// Bytes per second in.
    pub msg_throughput_in: f64,
    /// Messages per second out.
    pub msg_rate_out: f64,
    /// Bytes per second out.
    pub msg_throughput_out: f64,
    /// Bytes in since the topic was loaded.
    pub bytes_in_counter: u64,
    /// Messages in since the topic was loaded.
    pub msg_in_counter: u64,
    /// Bytes out since the topic was loaded.
    pub bytes_out_counter: u64,
    /// Messages out since the topic was loaded.
    pub msg_out_counter: u64,
    /// Mean message size in bytes.
    pub average_msg_size: f64,
    /// Whether a chunk was published.
    pub msg_chunk_published: bool,
    /// Bytes stored.
    pub storage_size: u64,
    /// Bytes that some subscription has not acked.
    pub backlog_size: u64,
    /// Dropped messages of clients that had too many in flight, per second; non-persistent topics only.
    pub msg_drop_rate: f64,
    /// How often a publish limit was hit.
    pub publish_rate_limited_times: u64,
    /// Wall-clock milliseconds; 0: not computed.
    pub earliest_msg_publish_time_in_backlogs: u64,
    /// Bytes in cold storage.
    pub offloaded_storage_size: u64,
    /// The last ledger in cold storage.
    pub last_offload_ledger_id: u64,
    /// Wall-clock milliseconds.
    pub last_offload_success_time_stamp: u64,
    /// Wall-clock milliseconds.
    pub last_offload_failure_time_stamp: u64,
    /// Wall-clock milliseconds of the last publish since the topic was loaded.
    pub last_publish_time_stamp: u64,
    /// Wall-clock milliseconds when the topic was created, or the first of its partitions; 0: nobody knows.
    pub topic_creation_time_stamp: u64,
    /// Transactions under way.
    pub ongoing_txn_count: u64,
    /// Transactions aborted.
    pub aborted_txn_count: u64,
    /// Transactions committed.
    pub committed_txn_count: u64,
    /// Its producers, by name.
    pub publishers: Vec<PublisherStats>,
    /// Producers that wait for exclusive access.
    pub waiting_publishers: u64,
    /// By name.
    pub subscriptions: BTreeMap<String, SubscriptionStats>,
    /// By cluster.
    pub replication: BTreeMap<String, serde_json::Value>,
    /// `Disabled`, `Enabled`, …
    pub deduplication_status: String,
    /// With exclusive access modes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_epoch: Option<u64>,
    /// Acked ranges behind mark-delete positions.
    pub non_contiguous_deleted_messages_ranges: u64,
    /// Their size when stored.
    pub non_contiguous_deleted_messages_ranges_serialized_size: u64,
    /// Memory that delayed messages take.
    pub delayed_message_index_size_in_bytes: u64,
    /// What compaction did last.
    pub compaction: CompactionStats,
    /// The broker that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_broker: Option<String>,
}

/// What compaction did last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompactionStats {
    /// Messages left out.
    pub last_compaction_removed_event_count: u64,
    /// Wall-clock milliseconds.
    pub last_compaction_succeed_timestamp: u64,
    /// Wall-clock milliseconds.
    pub last_compaction_failed_timestamp: u64,
    /// How long it took.
    pub last_compaction_duration_time_in_mills: u64,
}

/// Answer of `…/partitioned-stats`: the sum, and each partition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionedTopicStats {
    /// The sum over the partitions.
    #[serde(flatten)]
    pub total: TopicStats,
    /// How many partitions there are.
    pub metadata: PartitionedTopicMetadata,
    /// By full name.
    pub partitions: BTreeMap<String, TopicStats>,
}

/// Answer of `GET …/partitions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionedTopicMetadata {
    /// How many partitions there are; 0 for a topic that has none.
    pub partitions: u32,
    /// Whether it is being deleted.
    pub deleted: bool,
    /// Free-form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, String>>,
}

impl TopicStats {
    /// Adds another partition's stats, as Pulsar sums them: counters and rates add up, producers are
    /// matched by name, consumers are listed side by side.
    pub fn add(&mut self, other: &Self) {
        self.msg_rate_in += other.msg_rate_in;
        self.msg_throughput_in += other.msg_throughput_in;
        self.msg_rate_out += other.msg_rate_out;
        self.msg_throughput_out += other.msg_throughput_out;
        self.bytes_in_counter += other.bytes_in_counter;
        self.msg_in_counter += other.msg_in_counter;
        self.bytes_out_counter += other.bytes_out_counter;
        self.msg_out_counter += other.msg_out_counter;
        self.average_msg_size = mean(self.msg_throughput_in, self.msg_rate_in);
        self.msg_chunk_published |= other.msg_chunk_published;
        self.storage_size += other.storage_size;
        self.backlog_size += other.backlog_size;
        self.msg_drop_rate += other.msg_drop_rate;
        self.publish_rate_limited_times += other.publish_rate_limited_times;
        self.offloaded_storage_size += other.offloaded_storage_size;
        self.last_publish_time_stamp =
            self.last_publish_time_stamp.max(other.last_publish_time_stamp);
        self.topic_creation_time_stamp =
            earliest(self.topic_creation_time_stamp, other.topic_creation_time_stamp);
        self.earliest_msg_publish_time_in_backlogs = earliest(
            self.earliest_msg_publish_time_in_backlogs,
            other.earliest_msg_publish_time_in_backlogs,
        );
        self.waiting_publishers += other.waiting_publishers;
        self.non_contiguous_deleted_messages_ranges += other.non_contiguous_deleted_messages_ranges;
        self.delayed_message_index_size_in_bytes += other.delayed_message_index_size_in_bytes;
        if self.deduplication_status.is_empty() {
            self.deduplication_status.clone_from(&other.deduplication_status);
        }
        for publisher in &other.publishers {
            match self.publishers.iter_mut().find(|p| p.producer_name == publisher.producer_name) {
                Some(sum) => sum.add(publisher),
                None => self.publishers.push(publisher.clone()),
            }
        }
        for (name, subscription) in &other.subscriptions {
            match self.subscriptions.get_mut(name) {
                Some(sum) => sum.add(subscription),
                None => _ = self.subscriptions.insert(name.clone(), subscription.clone()),
            }
        }
    }
}

impl PublisherStats {
    fn add(&mut self, other: &Self) {
        self.msg_rate_in += other.msg_rate_in;
        self.msg_throughput_in += other.msg_throughput_in;
        self.chunked_message_rate += other.chunked_message_rate;
        self.msg_drop_rate += other.msg_drop_rate;
        self.average_msg_size = mean(self.msg_throughput_in, self.msg_rate_in);
    }
}

impl SubscriptionStats {
    fn add(&mut self, other: &Self) {
        self.msg_rate_out += other.msg_rate_out;
        self.msg_throughput_out += other.msg_throughput_out;
        self.bytes_out_counter += other.bytes_out_counter;
        self.msg_out_counter += other.msg_out_counter;
        self.msg_rate_redeliver += other.msg_rate_redeliver;
        self.message_ack_rate += other.message_ack_rate;
        self.msg_backlog += other.msg_backlog;
        if 0 <= other.backlog_size {
            self.backlog_size = self.backlog_size.max(0) + other.backlog_size;
        }
        self.earliest_msg_publish_time_in_backlog = earliest(
            self.earliest_msg_publish_time_in_backlog,
            other.earliest_msg_publish_time_in_backlog,
        );
        self.msg_backlog_no_delayed += other.msg_backlog_no_delayed;
        self.msg_delayed += other.msg_delayed;
        self.unacked_messages += other.unacked_messages;
        self.msg_rate_expired += other.msg_rate_expired;
        self.total_msg_expired += other.total_msg_expired;
        self.last_expire_timestamp = self.last_expire_timestamp.max(other.last_expire_timestamp);
        self.last_consumed_flow_timestamp =
            self.last_consumed_flow_timestamp.max(other.last_consumed_flow_timestamp);
        self.last_consumed_timestamp =
            self.last_consumed_timestamp.max(other.last_consumed_timestamp);
        self.last_acked_timestamp = self.last_acked_timestamp.max(other.last_acked_timestamp);
        self.last_mark_delete_advanced_timestamp =
            self.last_mark_delete_advanced_timestamp.max(other.last_mark_delete_advanced_timestamp);
        self.msg_drop_rate += other.msg_drop_rate;
        self.is_durable |= other.is_durable;
        self.durable |= other.durable;
        self.blocked_subscription_on_unacked_msgs |= other.blocked_subscription_on_unacked_msgs;
        self.non_contiguous_deleted_messages_ranges += other.non_contiguous_deleted_messages_ranges;
        if self.kind.is_none() {
            self.kind.clone_from(&other.kind);
        }
        self.consumers.extend(other.consumers.iter().cloned());
    }
}

/// The earlier of two times, of which 0 is none.
fn earliest(a: u64, b: u64) -> u64 {
    [a, b].into_iter().filter(|&time| 0 < time).min().unwrap_or(0)
}

fn mean(bytes: f64, messages: f64) -> f64 {
    if 0.0 < messages { bytes / messages } else { 0.0 }
}
