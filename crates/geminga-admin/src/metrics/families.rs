//! The table of everything that `/metrics` has.

use geminga_broker::{
    AppendFigures, CompactionFigures, ConsumerRow, ProducerRow, ReadFigures, SubscriptionRow,
    TopicFigures,
};

use super::count;

/// What a family's numbers mean to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How much there is now.
    Gauge,
    /// How much there ever was.
    Counter,
    /// Counts by size, each with what is smaller, and a sum.
    Histogram,
    /// A count and a sum.
    Summary,
}

/// One family: lines of one name.
#[derive(Debug)]
pub struct Family {
    /// As Prometheus has it.
    pub name: &'static str,
    /// What its numbers mean.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static str,
    /// What is counted.
    pub unit: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    pub(super) lines: Lines,
}

/// What a family's lines are made from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// The sum over all topics.
    Broker(fn(&TopicFigures) -> f64),
    /// How many topics a namespace has.
    Topics,
    /// The sum over a namespace's topics; managed ledgers.
    Namespace(fn(&TopicFigures) -> f64),
    /// The same, of each bucket.
    Buckets { quantiles: &'static [&'static str], value: fn(&TopicFigures, usize) -> f64 },
    /// Each topic, or the sum over a namespace's if topics are not told of.
    Topic(fn(&TopicFigures) -> Option<f64>),
    /// Each subscription, or such a sum.
    Subscription { each: fn(&SubscriptionRow) -> f64, sum: Option<fn(&TopicFigures) -> f64> },
    /// Each consumer.
    Consumer(fn(&ConsumerRow) -> f64),
    /// Each producer.
    Producer(fn(&ProducerRow) -> f64),
    /// Each topic that did not answer.
    Silent,
    /// What is not of topics.
    Single,
}

impl Kind {
    /// As Prometheus writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

impl Family {
    /// Which quantiles a summary has: as Pulsar and BookKeeper have them.
    pub(super) fn quantiles(&self) -> &'static [&'static str] {
        match self.name {
            "pulsar_broker_publish_latency" => {
                &["0.0", "0.5", "0.95", "0.99", "0.999", "0.9999", "1.0"]
            }
            "pulsar_broker_lookup" => &["0.5", "0.99", "0.999", "1.0"],
            "pulsar_topic_load_times" => &["0.5", "0.75", "0.95", "0.99", "0.999", "0.9999"],
            _ => &["0.5", "0.75", "0.95", "0.99", "0.999", "0.9999", "1.0"],
        }
    }
}

/// Whether a line is one of those whose labels say which broker's connections they are.
pub(super) fn is_of_connections(line: &str) -> bool {
    family_of(line).is_some_and(|family| family.labels == CONNECTIONS)
}

/// The family of what is not of topics, by the name of a line.
pub(super) fn family_of(line: &str) -> Option<&'static Family> {
    let is_it = |family: &&Family| match family.kind {
        Kind::Gauge | Kind::Counter => family.name == line,
        Kind::Histogram | Kind::Summary => {
            let suffix = line.strip_prefix(family.name);
            suffix.is_some_and(|suffix| matches!(suffix, "" | "_bucket" | "_sum" | "_count"))
        }
    };
    FAMILIES.iter().filter(|family| matches!(family.lines, Lines::Single)).find(is_it)
}

const CLUSTER: &str = "cluster";
const CONNECTIONS: &str = "cluster, broker, metric";
const SUMMARY: &str = "cluster, quantile";
const JOURNAL_SUMMARY: &str = "journalIndex, success, quantile";
const BUCKETS: &str = "cluster, namespace, quantile";
const NAMESPACE: &str = "cluster, namespace";
const TOPIC: &str = "cluster, namespace, topic";
const SUBSCRIPTION: &str = "cluster, namespace, topic, subscription";
const CONSUMER: &str = "cluster, namespace, topic, subscription, consumer_name, consumer_id";
const PRODUCER: &str = "cluster, namespace, topic, producer_name, producer_id";

fn write_rate(figures: &TopicFigures) -> f64 {
    figures.appends.as_ref().map_or(0.0, |appends| appends.entry_rate())
}

fn write_byte_rate(figures: &TopicFigures) -> f64 {
    figures.appends.as_ref().map_or(0.0, |appends| appends.byte_rate())
}

fn appends(figures: &TopicFigures, value: fn(&AppendFigures) -> f64) -> Option<f64> {
    figures.appends.as_ref().map(|appends| value(appends))
}

fn compaction(figures: &TopicFigures, value: fn(&CompactionFigures) -> u64) -> Option<f64> {
    figures.compaction.as_ref().map(|compaction| count(value(compaction)))
}

fn reads(figures: &TopicFigures, value: fn(&ReadFigures) -> f64) -> f64 {
    figures.reads.as_ref().map_or(0.0, |reads| value(reads))
}

/// Entries in a second, of so many in a minute.
fn each_second(figures: &TopicFigures, value: impl Fn(&AppendFigures) -> u32) -> f64 {
    figures.appends.as_ref().map_or(0.0, |appends| f64::from(value(appends)) / 60.0)
}

/// Bounds of the buckets, ms: Pulsar calls them quantiles.
const LATENCIES: &[&str] = &[
    "0.0_0.5",
    "0.5_1.0",
    "1.0_5.0",
    "5.0_10.0",
    "10.0_20.0",
    "20.0_50.0",
    "50.0_100.0",
    "100.0_200.0",
    "200.0_1000.0",
];

/// Bytes.
const SIZES: &[&str] = &[
    "0.0_128.0",
    "128.0_512.0",
    "512.0_1024.0",
    "1024.0_2048.0",
    "2048.0_4096.0",
    "4096.0_16384.0",
    "16384.0_102400.0",
    "102400.0_1048576.0",
];

fn mean(bytes: f64, messages: f64) -> f64 {
    if 0.0 < messages { bytes / messages } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating point only")]
const fn permits(consumer: &ConsumerRow) -> f64 {
    consumer.available_permits as f64
}

macro_rules! families {
    ($($name:literal $kind:ident $labels:expr, $unit:literal, $meaning:literal => $lines:expr;)+) => {
        /// Everything, in the order in which it is told.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: $name,
            kind: Kind::$kind,
            labels: $labels,
            unit: $unit,
            meaning: $meaning,
            lines: $lines,
        },)+];
    };
}

families! {
    "pulsar_broker_topics_count" Gauge CLUSTER, "topics", "Topics that are loaded." => Lines::Broker(|all| count(all.topics));
    "pulsar_broker_subscriptions_count" Gauge CLUSTER, "subscriptions", "Subscriptions of loaded topics." => Lines::Broker(|all| count(all.subscriptions));
    "pulsar_broker_producers_count" Gauge CLUSTER, "producers", "Producers." => Lines::Broker(|all| count(all.producers));
    "pulsar_broker_consumers_count" Gauge CLUSTER, "consumers", "Consumers." => Lines::Broker(|all| count(all.consumers));
    "pulsar_broker_rate_in" Gauge CLUSTER, "messages/s", "Messages published." => Lines::Broker(|all| all.message_rate_in);
    "pulsar_broker_rate_out" Gauge CLUSTER, "messages/s", "Messages sent to consumers." => Lines::Broker(|all| all.message_rate_out);
    "pulsar_broker_throughput_in" Gauge CLUSTER, "bytes/s", "Bytes published." => Lines::Broker(|all| all.byte_rate_in);
    "pulsar_broker_throughput_out" Gauge CLUSTER, "bytes/s", "Bytes sent to consumers." => Lines::Broker(|all| all.byte_rate_out);
    "pulsar_broker_storage_size" Gauge CLUSTER, "bytes", "Stored in ledgers." => Lines::Broker(|all| count(all.storage_bytes));
    "pulsar_broker_storage_logical_size" Gauge CLUSTER, "bytes", "The same without replicas: there is one copy." => Lines::Broker(|all| count(all.storage_bytes));
    "pulsar_broker_storage_write_rate" Gauge CLUSTER, "entries/s", "Entries stored, over the last minute." => Lines::Broker(write_rate);
    "pulsar_broker_storage_read_rate" Gauge CLUSTER, "entries/s", "Entries read from storage for subscriptions, over the last minute." => Lines::Broker(|all| reads(all, ReadFigures::stored_rate));
    "pulsar_broker_storage_read_cache_misses_rate" Gauge CLUSTER, "entries/s", "The same: what is in the cache is not read." => Lines::Broker(|all| reads(all, ReadFigures::stored_rate));
    "pulsar_broker_publish_latency" Summary SUMMARY, "ms", "How long it took from when a publish came to when its entry was stored: quantiles of the last minute, estimated from counts by 31 ranges of time (so for all of these), and count and sum since the start." => Lines::Single;
    "pulsar_broker_msg_backlog" Gauge CLUSTER, "entries", "Entries not acked, over all subscriptions." => Lines::Broker(|all| count(all.backlog_entries));
    "pulsar_topics_count" Gauge NAMESPACE, "topics", "Topics that are loaded." => Lines::Topics;
    "pulsar_subscriptions_count" Gauge TOPIC, "subscriptions", "Subscriptions." => Lines::Topic(|topic| Some(count(topic.subscriptions)));
    "pulsar_producers_count" Gauge TOPIC, "producers", "Producers." => Lines::Topic(|topic| Some(count(topic.producers)));
    "pulsar_consumers_count" Gauge TOPIC, "consumers", "Consumers." => Lines::Topic(|topic| Some(count(topic.consumers)));
    "pulsar_rate_in" Gauge TOPIC, "messages/s", "Messages published, over the last 10 s." => Lines::Topic(|topic| Some(topic.message_rate_in));
    "pulsar_rate_out" Gauge TOPIC, "messages/s", "Messages sent to consumers, over the last 10 s." => Lines::Topic(|topic| Some(topic.message_rate_out));
    "pulsar_throughput_in" Gauge TOPIC, "bytes/s", "Bytes published." => Lines::Topic(|topic| Some(topic.byte_rate_in));
    "pulsar_throughput_out" Gauge TOPIC, "bytes/s", "Bytes sent to consumers." => Lines::Topic(|topic| Some(topic.byte_rate_out));
    "pulsar_average_msg_size" Gauge TOPIC, "bytes", "Mean size of a message." => Lines::Topic(|topic| Some(mean(topic.byte_rate_in, topic.message_rate_in)));
    "pulsar_in_messages_total" Counter TOPIC, "messages", "Messages published since the topic was loaded." => Lines::Topic(|topic| Some(count(topic.messages_in)));
    "pulsar_in_bytes_total" Counter TOPIC, "bytes", "Bytes published since the topic was loaded." => Lines::Topic(|topic| Some(count(topic.bytes_in)));
    "pulsar_publish_rate_limit_times" Gauge TOPIC, "times", "How often a producer had to wait for a publish rate." => Lines::Topic(|topic| Some(count(topic.publish_limited_times)));
    "pulsar_storage_size" Gauge TOPIC, "bytes", "Stored in ledgers." => Lines::Topic(|topic| Some(count(topic.storage_bytes)));
    "pulsar_storage_logical_size" Gauge TOPIC, "bytes", "The same without replicas: there is one copy." => Lines::Topic(|topic| Some(count(topic.storage_bytes)));
    "pulsar_storage_backlog_size" Gauge TOPIC, "bytes", "Bytes that the slowest subscription has not acked, by mean entry size." => Lines::Topic(|topic| Some(count(topic.backlog_bytes)));
    "pulsar_msg_backlog" Gauge TOPIC, "entries", "Entries not acked, over the subscriptions." => Lines::Topic(|topic| Some(count(topic.backlog_entries)));
    "pulsar_storage_write_rate" Gauge TOPIC, "entries/s", "Entries stored, over the last minute." => Lines::Topic(|topic| Some(write_rate(topic)));
    "pulsar_storage_read_rate" Gauge TOPIC, "entries/s", "Entries read from storage for subscriptions, over the last minute." => Lines::Topic(|topic| Some(reads(topic, ReadFigures::stored_rate)));
    "pulsar_storage_read_cache_misses_rate" Gauge TOPIC, "entries/s", "The same: what is in the cache is not read." => Lines::Topic(|topic| Some(reads(topic, ReadFigures::stored_rate)));
    "pulsar_storage_backlog_quota_limit" Gauge TOPIC, "bytes", "How large its backlog may be; none if there is no limit." => Lines::Topic(|topic| topic.quota_bytes.map(count));
    "pulsar_storage_backlog_quota_limit_time" Gauge TOPIC, "s", "How old its backlog may be; none if there is no limit." => Lines::Topic(|topic| topic.quota_seconds.map(count));
    "pulsar_delayed_message_index_size_bytes" Gauge TOPIC, "bytes", "Memory for entries that wait for their time." => Lines::Topic(|topic| Some(count(topic.delayed_index_bytes)));
    "pulsar_storage_write_latency_le_0_5" Gauge TOPIC, "entries", "Entries of the last minute that took up to 0.5 ms, and longer than the one before says. None while nothing was stored since the topic was loaded; so for all of these." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[0])));
    "pulsar_storage_write_latency_le_1" Gauge TOPIC, "entries", "The same up to 1 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[1])));
    "pulsar_storage_write_latency_le_5" Gauge TOPIC, "entries", "The same up to 5 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[2])));
    "pulsar_storage_write_latency_le_10" Gauge TOPIC, "entries", "The same up to 10 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[3])));
    "pulsar_storage_write_latency_le_20" Gauge TOPIC, "entries", "The same up to 20 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[4])));
    "pulsar_storage_write_latency_le_50" Gauge TOPIC, "entries", "The same up to 50 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[5])));
    "pulsar_storage_write_latency_le_100" Gauge TOPIC, "entries", "The same up to 100 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[6])));
    "pulsar_storage_write_latency_le_200" Gauge TOPIC, "entries", "The same up to 200 ms." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[7])));
    "pulsar_storage_write_latency_le_1000" Gauge TOPIC, "entries", "The same up to 1 s." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[8])));
    "pulsar_storage_write_latency_overflow" Gauge TOPIC, "entries", "Entries of the last minute that took longer than 1 s." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.latency[9])));
    "pulsar_storage_write_latency_count" Gauge TOPIC, "entries", "Entries of the last minute." => Lines::Topic(|topic| appends(topic, |of| count(of.entries())));
    "pulsar_storage_write_latency_sum" Gauge TOPIC, "µs", "How long they took together." => Lines::Topic(|topic| appends(topic, |of| of.latency_sum.as_secs_f64() * 1e6));
    "pulsar_entry_size_le_128" Gauge TOPIC, "entries", "Entries of the last minute of up to 128 bytes." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[0])));
    "pulsar_entry_size_le_512" Gauge TOPIC, "entries", "The same up to 512 bytes." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[1])));
    "pulsar_entry_size_le_1_kb" Gauge TOPIC, "entries", "The same up to 1 KiB." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[2])));
    "pulsar_entry_size_le_2_kb" Gauge TOPIC, "entries", "The same up to 2 KiB (2,084 bytes, as Pulsar has it)." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[3])));
    "pulsar_entry_size_le_4_kb" Gauge TOPIC, "entries", "The same up to 4 KiB." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[4])));
    "pulsar_entry_size_le_16_kb" Gauge TOPIC, "entries", "The same up to 16 KiB." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[5])));
    "pulsar_entry_size_le_100_kb" Gauge TOPIC, "entries", "The same up to 100 KiB." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[6])));
    "pulsar_entry_size_le_1_mb" Gauge TOPIC, "entries", "The same up to 1 MiB (1,232,896 bytes, as Pulsar has it)." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[7])));
    "pulsar_entry_size_le_overflow" Gauge TOPIC, "entries", "Larger ones." => Lines::Topic(|topic| appends(topic, |of| f64::from(of.size[8])));
    "pulsar_entry_size_count" Gauge TOPIC, "entries", "Entries of the last minute." => Lines::Topic(|topic| appends(topic, |of| count(of.entries())));
    "pulsar_entry_size_sum" Gauge TOPIC, "bytes", "Their size together." => Lines::Topic(|topic| appends(topic, |of| count(of.size_sum)));
    "pulsar_compaction_removed_event_count" Gauge TOPIC, "messages", "Messages that the last compaction left out. None while there was no compaction since the topic was loaded; so for all of these." => Lines::Topic(|topic| compaction(topic, |of| of.removed_last));
    "pulsar_compaction_succeed_count" Counter TOPIC, "compactions", "Compactions that ended well." => Lines::Topic(|topic| compaction(topic, |of| of.succeeded));
    "pulsar_compaction_failed_count" Counter TOPIC, "compactions", "Compactions that failed." => Lines::Topic(|topic| compaction(topic, |of| of.failed));
    "pulsar_compaction_duration_time_in_mills" Gauge TOPIC, "ms", "How long the last one took." => Lines::Topic(|topic| compaction(topic, |of| of.duration_last_ms));
    "pulsar_subscription_back_log" Gauge SUBSCRIPTION, "entries", "Entries not acked." => Lines::Subscription { each: |it| count(it.backlog_entries), sum: None };
    "pulsar_subscription_back_log_no_delayed" Gauge SUBSCRIPTION, "entries", "Those that do not wait for their time." => Lines::Subscription { each: |it| count(it.backlog_entries.saturating_sub(it.delayed_entries)), sum: None, };
    "pulsar_subscription_delayed" Gauge SUBSCRIPTION, "entries", "Those that wait for their time, as far as they were read." => Lines::Subscription { each: |it| count(it.delayed_entries), sum: Some(|sum| count(sum.delayed_entries)), };
    "pulsar_subscription_delayed_message_index_size_bytes" Gauge SUBSCRIPTION, "bytes", "Memory for those." => Lines::Subscription { each: |it| count(it.delayed_index_bytes), sum: None };
    "pulsar_subscription_in_replay" Gauge SUBSCRIPTION, "entries", "Entries that wait to be delivered again." => Lines::Subscription { each: |it| count(it.replay_entries), sum: None };
    "pulsar_subscription_unacked_messages" Gauge SUBSCRIPTION, "messages", "Delivered and not acked; on Exclusive and Failover entries." => Lines::Subscription { each: |it| count(it.unacked_messages), sum: None };
    "pulsar_subscription_blocked_on_unacked_messages" Gauge SUBSCRIPTION, "0 or 1", "Whether there are as many of those as may be." => Lines::Subscription { each: |it| f64::from(it.is_blocked), sum: None };
    "pulsar_subscription_msg_rate_out" Gauge SUBSCRIPTION, "messages/s", "Messages sent to consumers." => Lines::Subscription { each: |it| it.message_rate_out, sum: None };
    "pulsar_subscription_msg_throughput_out" Gauge SUBSCRIPTION, "bytes/s", "Bytes sent to consumers." => Lines::Subscription { each: |it| it.byte_rate_out, sum: None };
    "pulsar_subscription_msg_rate_redeliver" Gauge SUBSCRIPTION, "messages/s", "Those of them that were sent before." => Lines::Subscription { each: |it| it.message_rate_redeliver, sum: None };
    "pulsar_subscription_msg_drop_rate" Gauge SUBSCRIPTION, "messages/s", "Messages that no consumer could take; non-persistent topics only." => Lines::Subscription { each: |it| it.message_rate_dropped, sum: None };
    "pulsar_subscription_consumers_count" Gauge SUBSCRIPTION, "consumers", "Consumers." => Lines::Subscription { each: |it| count(it.consumer_count), sum: None };
    "pulsar_subscription_msg_ack_rate" Gauge SUBSCRIPTION, "messages/s", "Messages acked; where it is not known which of a batch clients had, entries: on Exclusive and Failover." => Lines::Subscription { each: |it| it.activity.message_ack_rate, sum: None };
    "pulsar_subscription_msg_rate_expired" Gauge SUBSCRIPTION, "entries/s", "Entries that went since their time was over, or an administrator said so." => Lines::Subscription { each: |it| it.activity.entry_rate_expired, sum: None };
    "pulsar_subscription_total_msg_expired" Gauge SUBSCRIPTION, "entries", "How many since the topic was loaded." => Lines::Subscription { each: |it| count(it.activity.entries_expired), sum: None };
    "pulsar_subscription_last_expire_timestamp" Gauge SUBSCRIPTION, "ms", "When the last of them went, as the wall clock had it; 0: none since the topic was loaded. So for all of these times." => Lines::Subscription { each: |it| count(it.activity.last_expired), sum: None };
    "pulsar_subscription_last_consumed_flow_timestamp" Gauge SUBSCRIPTION, "ms", "When a consumer last asked for more." => Lines::Subscription { each: |it| count(it.activity.last_flow), sum: None };
    "pulsar_subscription_last_consumed_timestamp" Gauge SUBSCRIPTION, "ms", "When messages were last sent to a consumer." => Lines::Subscription { each: |it| count(it.activity.last_delivered), sum: None };
    "pulsar_subscription_last_acked_timestamp" Gauge SUBSCRIPTION, "ms", "When a consumer last acked." => Lines::Subscription { each: |it| count(it.activity.last_acked), sum: None };
    "pulsar_subscription_last_mark_delete_advanced_timestamp" Gauge SUBSCRIPTION, "ms", "When the mark-delete position last moved, whatever for." => Lines::Subscription { each: |it| count(it.activity.last_mark_delete), sum: None };
    "pulsar_out_messages_total" Counter SUBSCRIPTION, "messages", "Messages sent to consumers since the topic was loaded." => Lines::Subscription { each: |it| count(it.messages_out), sum: Some(|sum| count(sum.messages_out)), };
    "pulsar_out_bytes_total" Counter SUBSCRIPTION, "bytes", "Bytes sent to consumers since the topic was loaded." => Lines::Subscription { each: |it| count(it.bytes_out), sum: Some(|sum| count(sum.bytes_out)), };
    "geminga_subscription_dead_letter_entries" Gauge SUBSCRIPTION, "entries", "Entries that are to be published as dead letters, or are being." => Lines::Subscription { each: |it| count(it.dead_letter_entries), sum: None };
    "pulsar_consumer_msg_rate_out" Gauge CONSUMER, "messages/s", "Messages sent to it." => Lines::Consumer(|it| it.message_rate_out);
    "pulsar_consumer_msg_throughput_out" Gauge CONSUMER, "bytes/s", "Bytes sent to it." => Lines::Consumer(|it| it.byte_rate_out);
    "pulsar_consumer_msg_rate_redeliver" Gauge CONSUMER, "messages/s", "Those messages that were sent before." => Lines::Consumer(|it| it.message_rate_redeliver);
    "pulsar_consumer_unacked_messages" Gauge CONSUMER, "messages", "Sent to it and not acked." => Lines::Consumer(|it| count(it.unacked_messages));
    "pulsar_consumer_blocked_on_unacked_messages" Gauge CONSUMER, "0 or 1", "Whether there are as many of those as may be." => Lines::Consumer(|it| f64::from(it.is_blocked));
    "pulsar_consumer_available_permits" Gauge CONSUMER, "messages", "How many more it has asked for; below 0 after a batch that was larger." => Lines::Consumer(permits);
    "pulsar_consumer_msg_ack_rate" Gauge CONSUMER, "messages/s", "Messages that it acked; where it is not known which of a batch it had, entries." => Lines::Consumer(|it| it.message_ack_rate);
    "pulsar_producer_msg_rate_in" Gauge PRODUCER, "messages/s", "Messages that it published." => Lines::Producer(|it| it.message_rate_in);
    "pulsar_producer_msg_throughput_in" Gauge PRODUCER, "bytes/s", "Bytes that it published." => Lines::Producer(|it| it.byte_rate_in);
    "pulsar_producer_msg_average_Size" Gauge PRODUCER, "bytes", "Mean size of its messages." => Lines::Producer(|it| it.message_size_mean);
    "pulsar_ml_AddEntryMessagesRate" Gauge NAMESPACE, "entries/s", "Entries stored, over the last minute." => Lines::Namespace(write_rate);
    "pulsar_ml_AddEntryBytesRate" Gauge NAMESPACE, "bytes/s", "Bytes of those." => Lines::Namespace(write_byte_rate);
    "pulsar_ml_AddEntryWithReplicasBytesRate" Gauge NAMESPACE, "bytes/s", "The same: there is one copy." => Lines::Namespace(write_byte_rate);
    "pulsar_ml_AddEntrySucceed" Gauge NAMESPACE, "entries", "Entries stored in the last minute." => Lines::Namespace(|all| appends(all, |of| count(of.entries())).unwrap_or_default());
    "pulsar_ml_AddEntryErrors" Gauge NAMESPACE, "entries", "Entries that could not be stored in the last minute." => Lines::Namespace(|all| appends(all, |of| count(of.errors)).unwrap_or_default());
    "pulsar_ml_AddEntryLatencyBuckets" Gauge BUCKETS, "entries/s", "Entries stored in the last minute, by how long they took in ms: `quantile` has the bounds." => Lines::Buckets { quantiles: LATENCIES, value: |all, at| each_second(all, |of| of.latency[at]) };
    "pulsar_ml_AddEntryLatencyBuckets_OVERFLOW" Gauge NAMESPACE, "entries/s", "Those that took longer." => Lines::Namespace(|all| each_second(all, |of| of.latency[9]));
    "pulsar_ml_EntrySizeBuckets" Gauge BUCKETS, "entries/s", "Entries stored in the last minute, by their bytes: `quantile` has the bounds, which are in truth those of `pulsar_entry_size_le_…`." => Lines::Buckets { quantiles: SIZES, value: |all, at| each_second(all, |of| of.size[at]) };
    "pulsar_ml_EntrySizeBuckets_OVERFLOW" Gauge NAMESPACE, "entries/s", "Larger ones." => Lines::Namespace(|all| each_second(all, |of| of.size[8]));
    "pulsar_ml_ReadEntriesRate" Gauge NAMESPACE, "entries/s", "Entries read from storage for subscriptions, over the last minute." => Lines::Namespace(|all| reads(all, ReadFigures::stored_rate));
    "pulsar_ml_ReadEntriesBytesRate" Gauge NAMESPACE, "bytes/s", "Bytes of those." => Lines::Namespace(|all| reads(all, ReadFigures::stored_byte_rate));
    "pulsar_ml_ReadEntriesOpsCacheMissesRate" Gauge NAMESPACE, "entries/s", "The same entries: what is in the cache is not read." => Lines::Namespace(|all| reads(all, ReadFigures::stored_rate));
    "pulsar_ml_ReadEntriesSucceeded" Gauge NAMESPACE, "entries", "How many those were." => Lines::Namespace(|all| reads(all, |of| count(of.stored_entries)));
    "pulsar_ml_ReadEntriesErrors" Gauge NAMESPACE, "reads", "Such reads that failed in the last minute." => Lines::Namespace(|all| reads(all, |of| count(of.errors)));
    "pulsar_ml_MarkDeleteRate" Gauge NAMESPACE, "moves/s", "Moves of mark-delete positions, over the last minute." => Lines::Namespace(|all| reads(all, ReadFigures::mark_delete_rate));
    "pulsar_ml_cache_hits_rate" Gauge CLUSTER, "entries/s", "Entries that subscriptions found in the cache, over the last minute." => Lines::Broker(|all| reads(all, ReadFigures::cached_rate));
    "pulsar_ml_cache_hits_throughput" Gauge CLUSTER, "bytes/s", "Bytes of those." => Lines::Broker(|all| reads(all, ReadFigures::cached_byte_rate));
    "pulsar_ml_cache_misses_rate" Gauge CLUSTER, "entries/s", "Entries that were read for them from storage." => Lines::Broker(|all| reads(all, ReadFigures::stored_rate));
    "pulsar_ml_cache_misses_throughput" Gauge CLUSTER, "bytes/s", "Bytes of those." => Lines::Broker(|all| reads(all, ReadFigures::stored_byte_rate));
    "pulsar_ml_NumberOfMessagesInBacklog" Gauge NAMESPACE, "entries", "Entries not acked, over all subscriptions." => Lines::Namespace(|all| count(all.backlog_entries));
    "pulsar_ml_StoredMessagesSize" Gauge NAMESPACE, "bytes", "Stored in ledgers." => Lines::Namespace(|all| count(all.storage_bytes));
    "pulsar_ml_count" Gauge CLUSTER, "managed ledgers", "Persistent topics that are loaded." => Lines::Broker(|all| count(all.managed_ledgers));
    "geminga_topic_silent" Gauge TOPIC, "1", "A loaded topic that did not answer in time; others have no line here." => Lines::Silent;
    "geminga_topic_silences_total" Counter "", "times", "How often a loaded topic did not answer in time, to `/metrics` or to stats." => Lines::Single;
    "pulsar_ml_cache_used_size" Gauge CLUSTER, "bytes", "Newest entries that are held for their consumers." => Lines::Single;
    "geminga_memory_budget_bytes" Gauge "budget", "bytes", "What a kind of memory may take." => Lines::Single;
    "geminga_memory_used_bytes" Gauge "budget", "bytes", "What it takes." => Lines::Single;
    "geminga_subscription_repairs_total" Counter "", "times", "How often the books of a subscription did not balance, and it began anew from what is acked." => Lines::Single;
    "geminga_dead_letters_total" Counter "", "messages", "Messages published as dead letters." => Lines::Single;
    "geminga_dead_letter_failures_total" Counter "", "times", "How often that failed." => Lines::Single;
    "pulsar_schema_get_ops_latency" Summary BUCKETS, "ms", "How long it took to find a schema. So for the first 1,000 namespaces that have to do with schemas, and all of these." => Lines::Single;
    "pulsar_schema_put_ops_latency" Summary BUCKETS, "ms", "How long it took to store one, or to find that it is stored." => Lines::Single;
    "pulsar_schema_del_ops_latency" Summary BUCKETS, "ms", "How long it took to delete a topic's." => Lines::Single;
    "pulsar_schema_get_ops_failed_total" Counter NAMESPACE, "times", "How often it could not be said whether there is one." => Lines::Single;
    "pulsar_schema_put_ops_failed_total" Counter NAMESPACE, "times", "How often one was not stored; those that may not follow are among them." => Lines::Single;
    "pulsar_schema_del_ops_failed_total" Counter NAMESPACE, "times", "How often a topic's were not deleted." => Lines::Single;
    "pulsar_schema_compatible_total" Counter NAMESPACE, "schemas", "Schemas that might follow those before them, or read them." => Lines::Single;
    "pulsar_schema_incompatible_total" Counter NAMESPACE, "schemas", "Schemas that might not." => Lines::Single;
    "pulsar_resource_group_bytes_used_total" Counter "cluster, ResourceGroup, MonitoringClass", "bytes", "What a resource group has published (`Publish`) or was sent (`Dispatch`) since this broker knows it." => Lines::Single;
    "pulsar_resource_group_messages_used_total" Counter "cluster, ResourceGroup, MonitoringClass", "messages", "The same in messages." => Lines::Single;
    "geminga_resource_group_lent_bytes_total" Counter "ResourceGroup, MonitoringClass", "bytes", "What of it was beyond the group's rate, and left by others." => Lines::Single;
    "geminga_resource_group_lent_messages_total" Counter "ResourceGroup, MonitoringClass", "messages", "The same in messages." => Lines::Single;
    "geminga_resource_group_bytes_limit" Gauge "ResourceGroup, MonitoringClass", "bytes/s", "The group's rate; none if there is no limit." => Lines::Single;
    "geminga_resource_group_messages_limit" Gauge "ResourceGroup, MonitoringClass", "messages/s", "The same in messages." => Lines::Single;
    "pulsar_active_connections" Gauge CONNECTIONS, "connections", "Connections of the binary protocol that are open." => Lines::Single;
    "pulsar_connection_created_total_count" Counter CONNECTIONS, "connections", "Connections that were opened, those that were refused among them." => Lines::Single;
    "pulsar_connection_create_success_count" Counter CONNECTIONS, "connections", "Those that got CONNECTED." => Lines::Single;
    "pulsar_connection_create_fail_count" Counter CONNECTIONS, "connections", "Those that did not." => Lines::Single;
    "pulsar_connection_closed_total_count" Counter CONNECTIONS, "connections", "Connections that were closed." => Lines::Single;
    "pulsar_broker_throttled_connections" Counter CLUSTER, "connections", "Connections refused since there were too many." => Lines::Single;
    "pulsar_broker_lookup" Summary SUMMARY, "ms", "How long lookups took that found their topic." => Lines::Single;
    "pulsar_broker_lookup_answers_total" Counter CLUSTER, "requests", "Lookups that found it." => Lines::Single;
    "pulsar_broker_lookup_failures_total" Counter CLUSTER, "requests", "Lookups that did not." => Lines::Single;
    "pulsar_topic_load_times" Summary SUMMARY, "ms", "How long topics took to load, waiting for other loads included." => Lines::Single;
    "topic_load_failed_total" Counter CLUSTER, "loads", "Loads that failed; without those of topics that do not exist." => Lines::Single;
    "pulsar_broker_topic_load_pending_requests" Gauge CLUSTER, "loads", "Loads that wait or run." => Lines::Single;
    "pulsar_version_info" Gauge "cluster, version", "1", "The version, which is Geminga's." => Lines::Single;
    "pulsar_broker_lookup_pending_requests" Gauge CLUSTER, "requests", "Lookups in progress." => Lines::Single;
    "geminga_pulsar_lookups_refused_total" Counter "", "requests", "Lookups refused since there were too many." => Lines::Single;
    "geminga_pulsar_malformed_total" Counter "", "frames", "Frames that were none; each ends its connection." => Lines::Single;
    "geminga_pulsar_checksum_errors_total" Counter "", "messages", "Messages refused for their checksum." => Lines::Single;
    "geminga_pulsar_paused_total" Counter "", "times", "How often a connection was not read for a while, since too much of it was in flight." => Lines::Single;
    "bookie_SERVER_STATUS" Gauge "", "0 or 1", "1: entries are taken; 0: the disk is too full for that." => Lines::Single;
    "bookie_ledgers_count" Gauge "", "ledgers", "Ledgers that are stored." => Lines::Single;
    "bookie_write_cache_size" Gauge "", "bytes", "Entries that are in the journal and not yet in an entry log." => Lines::Single;
    "bookie_write_cache_count" Gauge "", "entries", "How many those are." => Lines::Single;
    "bookie_flush" Summary "success, quantile", "ms", "Flushes of the write cache to entry logs." => Lines::Single;
    "bookie_read_cache_size" Gauge "", "bytes", "Blocks of entry logs that are held in memory." => Lines::Single;
    "bookie_read_cache_count" Gauge "", "blocks", "How many those are." => Lines::Single;
    "bookie_read_cache_hits" Counter "", "blocks", "Blocks of entry logs that were found in memory." => Lines::Single;
    "bookie_read_cache_misses" Counter "", "blocks", "Blocks of entry logs that were read." => Lines::Single;
    "bookkeeper_server_ADD_ENTRY" Summary "success, quantile", "ms", "Entries that were confirmed, and how long that took since they came." => Lines::Single;
    "bookkeeper_server_READ_ENTRY" Summary "success, quantile", "ms", "Entries that were read, and how long their read took, in which there may be many." => Lines::Single;
    "bookie_READ_BYTES" Counter "", "bytes", "Bytes of those." => Lines::Single;
    "bookie_WRITE_BYTES" Counter "", "bytes", "Bytes of the entries that were confirmed." => Lines::Single;
    "bookie_journal_JOURNAL_ADD_ENTRY" Summary JOURNAL_SUMMARY, "ms", "How long it took to store an entry in the journal, since it came." => Lines::Single;
    "bookie_journal_JOURNAL_SYNC" Summary JOURNAL_SUMMARY, "ms", "How long syncs of the journal took." => Lines::Single;
    "bookie_journal_JOURNAL_FLUSH_LATENCY" Summary JOURNAL_SUMMARY, "ms", "How long it took to write what was then synced." => Lines::Single;
    "bookie_journal_JOURNAL_WRITE_BYTES" Counter "journalIndex", "bytes", "Bytes written to the journal, heads and padding included." => Lines::Single;
    "bookie_journal_JOURNAL_QUEUE_SIZE" Gauge "journalIndex", "entries", "Entries that wait for the journal." => Lines::Single;
    "geminga_bookie_journal_sync_seconds" Histogram "le", "s", "How long syncs of the journal took." => Lines::Single;
    "geminga_bookie_journal_sync_seconds_max" Gauge "", "s", "The longest since the start." => Lines::Single;
    "geminga_bookie_journal_groups_total" Counter "", "groups", "Groups of entries written to the journal." => Lines::Single;
    "geminga_bookie_journal_files" Gauge "", "files", "Journal files, spare ones included." => Lines::Single;
    "geminga_bookie_flushes_total" Counter "", "times", "Flushes of the write cache." => Lines::Single;
    "geminga_bookie_compactions_total" Counter "", "entry logs", "Entry logs whose live entries were moved." => Lines::Single;
    "geminga_bookie_entry_logs" Gauge "", "entry logs", "Entry logs." => Lines::Single;
    "geminga_bookie_entry_log_bytes" Gauge "", "bytes", "Bytes in them." => Lines::Single;
    "geminga_bookie_entry_log_live_bytes" Gauge "", "bytes", "Those that are live." => Lines::Single;
    "geminga_bookie_scrub_passes_total" Counter "", "times", "Passes of the scrubber over all entry logs." => Lines::Single;
    "geminga_bookie_scrub_entries_total" Counter "", "entries", "Entries that it found undamaged." => Lines::Single;
    "geminga_bookie_scrub_bytes_total" Counter "", "bytes", "Bytes that it read." => Lines::Single;
    "geminga_bookie_scrub_damages" Gauge "", "places", "Places that were damaged when it last came by." => Lines::Single;
    "geminga_disk_free_bytes" Gauge "", "bytes", "Free space where the data is." => Lines::Single;
    "process_resident_memory_bytes" Gauge CLUSTER, "bytes", "Resident memory of the process." => Lines::Single;
    "process_cpu_seconds_total" Counter CLUSTER, "s", "Processor time of the process." => Lines::Single;
    "process_virtual_memory_bytes" Gauge CLUSTER, "bytes", "Address space of the process." => Lines::Single;
}
