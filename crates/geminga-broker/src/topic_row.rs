//! A topic in few numbers, for metrics: what can be asked of a hundred thousand topics at a time.

use std::sync::Arc;

use geminga_types::TopicName;

pub(crate) use self::append_figures::Appends;
pub(crate) use self::minutes::Minutes;
pub use self::{
    append_figures::{AppendFigures, LATENCY_LIMITS_US, SIZE_LIMITS},
    read_figures::ReadFigures,
};

mod append_figures;
mod minutes;
mod read_figures;

/// What of a topic's rows is wanted beside the topic and its subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowDetail {
    /// A row for each producer.
    pub producers: bool,
    /// A row for each consumer.
    pub consumers: bool,
}

/// One loaded topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicRow {
    /// Its name.
    pub topic: TopicName,
    /// Its numbers.
    pub figures: TopicFigures,
    /// By name.
    pub subscriptions: Vec<SubscriptionRow>,
    /// If they were wanted.
    pub producers: Vec<ProducerRow>,
}

/// The numbers of a topic, or sums over several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicFigures {
    /// Topics.
    pub topics: u64,
    /// Those that store their entries.
    pub managed_ledgers: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Producers.
    pub producers: u64,
    /// Consumers.
    pub consumers: u64,
    /// Messages per second in.
    pub message_rate_in: f64,
    /// Bytes per second in.
    pub byte_rate_in: f64,
    /// Messages per second out.
    pub message_rate_out: f64,
    /// Bytes per second out.
    pub byte_rate_out: f64,
    /// Messages in since it was loaded.
    pub messages_in: u64,
    /// Bytes in since it was loaded.
    pub bytes_in: u64,
    /// Messages out since it was loaded.
    pub messages_out: u64,
    /// Bytes out since it was loaded.
    pub bytes_out: u64,
    /// How often a producer had to wait for a publish rate.
    pub publish_limited_times: u64,
    /// Bytes stored in its ledgers.
    pub storage_bytes: u64,
    /// How many bytes of backlog its quota allows, if there is one.
    pub quota_bytes: Option<u64>,
    /// How old a backlog its quota allows, in seconds, if there is one.
    pub quota_seconds: Option<u64>,
    /// Bytes that some subscription has not acked, by mean entry size.
    pub backlog_bytes: u64,
    /// Entries not acked, over its subscriptions.
    pub backlog_entries: u64,
    /// Those of them that wait for their time.
    pub delayed_entries: u64,
    /// Memory that those take.
    pub delayed_index_bytes: u64,
    /// Messages delivered and not acked, over its subscriptions.
    pub unacked_messages: u64,
    /// What was appended of late, if anything was since it was loaded.
    pub appends: Option<Box<AppendFigures>>,
    /// What was read of late, if anything was since it was loaded.
    pub reads: Option<Box<ReadFigures>>,
    /// What compaction did since it was loaded, if it did anything.
    pub compaction: Option<Box<CompactionFigures>>,
}

/// What compaction of a topic did since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionFigures {
    /// Messages that the last one left out.
    pub removed_last: u64,
    /// How often it succeeded.
    pub succeeded: u64,
    /// How often it failed.
    pub failed: u64,
    /// How long the last one took, in milliseconds.
    pub duration_last_ms: u64,
}

/// What a subscription or a consumer did, and when last: wall-clock milliseconds; 0: not since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Messages per second that clients acked; entries where it is not known which of a batch they had.
    pub message_ack_rate: f64,
    /// Entries per second that went since their time was over, or an administrator said so.
    pub entry_rate_expired: f64,
    /// How many of those there were.
    pub entries_expired: u64,
    /// When the last of those went.
    pub last_expired: u64,
    /// When a client last asked for more.
    pub last_flow: u64,
    /// When messages were last sent.
    pub last_delivered: u64,
    /// When a client last acked.
    pub last_acked: u64,
    /// When the mark-delete position last moved, whatever for.
    pub last_mark_delete: u64,
}

/// One subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionRow {
    /// Its name.
    pub name: Arc<str>,
    /// Entries not acked.
    pub backlog_entries: u64,
    /// Those of them that wait for their time.
    pub delayed_entries: u64,
    /// Memory that those take.
    pub delayed_index_bytes: u64,
    /// Entries that wait to be delivered again.
    pub replay_entries: u64,
    /// Entries that are to be published as dead letters, or are being.
    pub dead_letter_entries: u64,
    /// Whether it has reached its limit of unacked messages.
    pub is_blocked: bool,
    /// Messages delivered and not acked.
    pub unacked_messages: u64,
    /// Messages per second out.
    pub message_rate_out: f64,
    /// Bytes per second out.
    pub byte_rate_out: f64,
    /// Redelivered messages per second.
    pub message_rate_redeliver: f64,
    /// Messages per second that no consumer could take.
    pub message_rate_dropped: f64,
    /// Messages out since the topic was loaded.
    pub messages_out: u64,
    /// Bytes out since the topic was loaded.
    pub bytes_out: u64,
    /// What it acked and let expire, and when.
    pub activity: Activity,
    /// How many are attached.
    pub consumer_count: u64,
    /// A row for each, if they were wanted.
    pub consumers: Vec<ConsumerRow>,
}

/// One consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerRow {
    /// Its name.
    pub name: String,
    /// The client's consumer id.
    pub consumer_id: u64,
    /// Messages it may still be sent.
    pub available_permits: i64,
    /// Messages at it that are not acked.
    pub unacked_messages: u64,
    /// Whether its unacked limit holds it back.
    pub is_blocked: bool,
    /// Messages per second out.
    pub message_rate_out: f64,
    /// Bytes per second out.
    pub byte_rate_out: f64,
    /// Redelivered messages per second.
    pub message_rate_redeliver: f64,
    /// Messages per second that it acked; entries where it is not known which of a batch it had.
    pub message_ack_rate: f64,
}

/// One producer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerRow {
    /// Its name.
    pub name: String,
    /// The client's producer id.
    pub producer_id: u64,
    /// Messages per second in.
    pub message_rate_in: f64,
    /// Bytes per second in.
    pub byte_rate_in: f64,
    /// Mean message size, bytes.
    pub message_size_mean: f64,
}

impl TopicFigures {
    /// Takes over what the subscriptions have together.
    pub(crate) fn sum_up(&mut self, subscriptions: &[SubscriptionRow], storage_entries: u64) {
        let mut slowest = 0;
        for found in subscriptions {
            self.backlog_entries += found.backlog_entries;
            self.delayed_entries += found.delayed_entries;
            self.delayed_index_bytes += found.delayed_index_bytes;
            self.unacked_messages += found.unacked_messages;
            slowest = found.backlog_entries.max(slowest);
        }
        self.subscriptions = subscriptions.len() as u64;
        let bytes = u128::from(self.storage_bytes) * u128::from(slowest);
        let bytes = bytes.checked_div(u128::from(storage_entries)).unwrap_or_default();
        self.backlog_bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.storage_bytes);
    }

    /// Adds another topic's.
    pub fn add(&mut self, other: &Self) {
        self.topics += other.topics;
        self.managed_ledgers += other.managed_ledgers;
        self.subscriptions += other.subscriptions;
        self.producers += other.producers;
        self.consumers += other.consumers;
        self.message_rate_in += other.message_rate_in;
        self.byte_rate_in += other.byte_rate_in;
        self.message_rate_out += other.message_rate_out;
        self.byte_rate_out += other.byte_rate_out;
        self.messages_in += other.messages_in;
        self.bytes_in += other.bytes_in;
        self.messages_out += other.messages_out;
        self.bytes_out += other.bytes_out;
        self.publish_limited_times += other.publish_limited_times;
        self.storage_bytes += other.storage_bytes;
        self.backlog_bytes += other.backlog_bytes;
        self.backlog_entries += other.backlog_entries;
        self.delayed_entries += other.delayed_entries;
        self.delayed_index_bytes += other.delayed_index_bytes;
        self.unacked_messages += other.unacked_messages;
        if let Some(appends) = &other.appends {
            self.appends.get_or_insert_default().add(appends);
        }
        if let Some(reads) = &other.reads {
            self.reads.get_or_insert_default().add(reads);
        }
        if let Some(compaction) = &other.compaction {
            let sum = self.compaction.get_or_insert_default();
            sum.removed_last += compaction.removed_last;
            sum.succeeded += compaction.succeeded;
            sum.failed += compaction.failed;
            sum.duration_last_ms += compaction.duration_last_ms;
        }
    }
}
