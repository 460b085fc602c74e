//! A subscription's answer to "why do you not move?".

use geminga_types::{Position, TopicName};

/// Why a subscription moves, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionExplanation {
    /// Its topic, or partition.
    pub topic: TopicName,
    /// Its name.
    pub subscription: String,
    /// The type of its last consumers; empty if it never had one.
    pub kind: &'static str,
    /// What it waits for, as one word.
    pub state: &'static str,
    /// The same as a sentence, with the limits and values that decide it.
    pub because: String,
    /// Entries that are not acked.
    pub backlog_entries: u64,
    /// Messages at consumers that are not acked.
    pub unacked_messages: u64,
    /// Entries whose time has not come.
    pub delayed_entries: u64,
    /// How many of those only the topic's index of delayed entries has.
    pub parked_entries: u64,
    /// None of those is due before, in milliseconds of wall time.
    pub parked_due: Option<u64>,
    /// When the first of them is due, in wall-clock milliseconds.
    pub next_due: Option<u64>,
    /// Entries that wait for the consumers of their keys.
    pub held_back_entries: u64,
    /// How many of those there may be before nothing new is read.
    pub held_back_entries_max: Option<u64>,
    /// The rates that it is sent at, in words.
    pub rates: Vec<String>,
    /// Everything up to here is acked.
    pub mark_delete: Position,
    /// Everything up to here has been read.
    pub read: Position,
    /// Who is attached.
    pub consumers: Vec<ConsumerExplanation>,
    /// Keys that have moved to another consumer and wait for acks of their former one.
    pub draining: Vec<DrainingExplanation>,
}

/// What a consumer waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerExplanation {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// What it waits for, as one word.
    pub waits: &'static str,
    /// Messages it may still be sent.
    pub permits: i64,
    /// Messages at it that are not acked.
    pub unacked_messages: u64,
    /// Entries that wait for it.
    pub waiting_entries: u64,
}

/// Keys of one slot, which wait for a consumer that had them before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainingExplanation {
    /// The slot of their hash.
    pub slot: u32,
    /// Who had them.
    pub holder: String,
    /// The first message that it has to ack.
    pub held: Position,
    /// Entries that wait.
    pub waiting_entries: u64,
    /// Since when, in wall-clock milliseconds.
    pub since: u64,
}
