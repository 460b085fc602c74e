//! What can be told about a subscription at a moment.

use geminga_types::Ordinal;

use crate::{ConsumerKey, Kind};

/// A subscription at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The type of the consumers attached, if any.
    pub kind: Option<Kind>,
    /// First entry that is not acked.
    pub mark_delete: Ordinal,
    /// Entries not acked.
    pub backlog_entries: u64,
    /// Messages delivered and not acked. On Exclusive and Failover: entries.
    pub unacked_messages: u64,
    /// Entries that wait for their time, those that are parked among them.
    pub delayed_entries: u64,
    /// Entries that only the topic's index of delayed ones has.
    pub parked_entries: u64,
    /// Entries that wait to be delivered again.
    pub redelivery_entries: u64,
    /// Entries read and not yet delivered.
    pub buffered_entries: u64,
    /// Entries that wait for the dead-letter publisher, or are there.
    pub dead_letter_entries: u64,
    /// Ranges of acked entries behind unacked ones.
    pub acked_ranges: u64,
    /// Whether a read is out.
    pub is_reading: bool,
    /// Whether a load of delayed entries is out.
    pub is_loading: bool,
    /// Whether the unacked limit of the subscription holds everything back.
    pub is_blocked_on_unacked: bool,
    /// The active consumer of an Exclusive or Failover subscription.
    pub active: Option<ConsumerKey>,
    /// In order of their keys.
    pub consumers: Vec<ConsumerStats>,
}

/// Memory that a subscription holds, as estimated from the number of things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// For what is acked behind unacked entries, at consumers, or to be delivered again; bytes.
    pub ack_state: usize,
    /// For what waits for its time; bytes.
    pub timers: usize,
}

/// Of what there is too much, over all subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scarce {
    /// [`Held::ack_state`].
    pub ack_state: bool,
    /// [`Held::timers`].
    pub timers: bool,
    /// Messages that are at consumers.
    pub unacked: bool,
}

/// A consumer at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Which.
    pub consumer: ConsumerKey,
    /// Messages it may still be sent; below 0 after a batch that was larger.
    pub permits: i64,
    /// Messages at it that are not acked. On Exclusive and Failover: entries.
    pub unacked_messages: u64,
    /// Messages delivered to it since it was attached.
    pub delivered_messages: u64,
    /// Entries delivered to it since it was attached.
    pub delivered_entries: u64,
    /// Whether its unacked limit holds it back.
    pub is_blocked_on_unacked: bool,
}
