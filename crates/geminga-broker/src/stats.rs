//! What a topic tells of itself. Front doors give it Pulsar's field names.

use std::time::Duration;

use geminga_types::{LedgerId, Position, TopicName};

/// Stats of one topic (partition).
#[derive(Clone, Debug)]
pub struct TopicStats {
    /// The topic.
    pub topic: TopicName,
    /// Messages per second in, over the last period.
    pub message_rate_in: f64,
    /// Bytes per second in, over the last period.
    pub byte_rate_in: f64,
    /// Messages per second out, over the last period.
    pub message_rate_out: f64,
    /// Bytes per second out, over the last period.
    pub byte_rate_out: f64,
    /// Messages in since the topic was loaded.
    pub messages_in: u64,
    /// Bytes in since the topic was loaded.
    pub bytes_in: u64,
    /// Messages out since the topic was loaded.
    pub messages_out: u64,
    /// Bytes out since the topic was loaded.
    pub bytes_out: u64,
    /// Messages of clients that had too many in flight, dropped per second, over the last period
    /// (non-persistent topics only).
    pub message_rate_dropped: f64,
    /// How often a producer had to wait for a publish rate, of the topic or of the broker.
    pub publish_limited_times: u64,
    /// Bytes stored in its ledgers.
    pub storage_bytes: u64,
    /// Entries stored in its ledgers.
    pub storage_entries: u64,
    /// Last entry stored; [`Position::EARLIEST`] when there is none.
    pub last_position: Position,
    /// Wall-clock milliseconds of the last publish since it was loaded; 0 for none.
    pub last_publish_time: u64,
    /// Wall-clock milliseconds when it was created; 0: nobody knows.
    pub created: u64,
    /// Whether it was terminated.
    pub is_terminated: bool,
    /// Whether messages that are stored already are dropped.
    pub is_deduplicating: bool,
    /// What compaction did last.
    pub compaction: CompactionStats,
    /// The ledger that holds the compacted topic.
    pub compacted_ledger: Option<LedgerStats>,
    /// Its ledgers: id, entries, bytes, whether it is open.
    pub ledgers: Vec<LedgerStats>,
    /// Its producers.
    pub publishers: Vec<PublisherStats>,
    /// Its subscriptions, by name.
    pub subscriptions: Vec<SubscriptionStats>,
}

/// What compaction of a topic did last, since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Messages that the last one left out.
    pub removed_last: u64,
    /// When one last succeeded, in wall-clock milliseconds; 0 for never.
    pub succeeded_at: u64,
    /// When one last failed, in wall-clock milliseconds; 0 for never.
    pub failed_at: u64,
    /// How long the last one took.
    pub duration_last: Duration,
}

/// What a backlog was found to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BacklogCount {
    /// Entries in it.
    pub entries: u64,
    /// Messages in them.
    pub messages: u64,
    /// The first of the entries.
    pub first: Option<Position>,
    /// The last of them.
    pub last: Option<Position>,
    /// Whether there are more, which were not counted.
    pub is_cut: bool,
}

/// How the compaction of a topic goes, since it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompactionStatus {
    /// There was none.
    NotRun,
    /// It is under way.
    Running,
    /// The last one has ended well.
    Success,
    /// The last one has failed, for this reason.
    Error(String),
}

/// Stats of one ledger of a topic.
#[derive(Clone, Copy, Debug)]
pub struct LedgerStats {
    /// Its id.
    pub ledger_id: i64,
    /// Entries in it.
    pub entries: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Whether it is being written.
    pub is_open: bool,
}

/// Stats of one producer.
#[derive(Clone, Debug)]
pub struct PublisherStats {
    /// The client's producer id.
    pub producer_id: u64,
    /// Its name.
    pub name: String,
    /// Its access mode's name.
    pub access_mode: &'static str,
    /// Messages per second in, over the last period.
    pub message_rate_in: f64,
    /// Bytes per second in, over the last period.
    pub byte_rate_in: f64,
    /// Messages dropped per second, as the topic's.
    pub message_rate_dropped: f64,
    /// Mean message size over the last period, bytes.
    pub message_size_mean: f64,
    /// The peer's address.
    pub address: String,
    /// Wall-clock milliseconds.
    pub connected_since: u64,
    /// The client library's name and version.
    pub client_version: String,
    /// Free-form.
    pub metadata: Vec<(String, String)>,
}

/// Stats of one subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionStats {
    /// Its name.
    pub name: String,
    /// Its type's name; empty when no consumer was ever connected.
    pub kind: &'static str,
    /// Whether its cursor is stored.
    pub is_durable: bool,
    /// Entries not acked.
    pub backlog_entries: u64,
    /// Bytes from the first of them on; within a ledger its entries count as of one size.
    pub backlog_bytes: u64,
    /// Entries of those that wait for their time, as far as they were read.
    pub delayed_entries: u64,
    /// Entries that are to be published as dead letters, or are being.
    pub dead_letter_entries: u64,
    /// Whether it has reached its limit of unacked messages.
    pub is_blocked: bool,
    /// Messages delivered and not acked.
    pub unacked_messages: u64,
    /// Messages per second out, over the last period.
    pub message_rate_out: f64,
    /// Bytes per second out, over the last period.
    pub byte_rate_out: f64,
    /// Redelivered messages per second, over the last period.
    pub message_rate_redeliver: f64,
    /// Messages out since the topic was loaded.
    pub messages_out: u64,
    /// Bytes out since the topic was loaded.
    pub bytes_out: u64,
    /// Messages that no consumer could take (non-persistent topics only).
    pub messages_dropped: u64,
    /// The same per second, over the last period.
    pub message_rate_dropped: f64,
    /// What it acked and let expire, and when.
    pub activity: crate::Activity,
    /// Where its mark-delete position is.
    pub mark_delete: Position,
    /// Ranges acked behind that.
    pub acked_ranges: u64,
    /// The ledger that its acks go to, and how many bytes are in it, if there is one now.
    pub cursor_log: Option<(LedgerId, u64)>,
    /// Name of the active consumer of an Exclusive or Failover subscription.
    pub active_consumer: Option<String>,
    /// Properties given at its creation.
    pub properties: Vec<(String, String)>,
    /// Its consumers.
    pub consumers: Vec<ConsumerEntry>,
}

/// Stats of one consumer.
#[derive(Clone, Debug)]
pub struct ConsumerEntry {
    /// What CONSUMER_STATS answers too.
    pub stats: crate::ConsumerStats,
    /// What it acked, and when.
    pub activity: crate::Activity,
    /// Messages out since it was connected.
    pub messages_out: u64,
    /// Bytes out since it was connected.
    pub bytes_out: u64,
    /// The client library's name and version.
    pub client_version: String,
    /// Free-form.
    pub metadata: Vec<(String, String)>,
}
