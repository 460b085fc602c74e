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
    /// Keys that have moved to another consumer and wait for acks of their former one, or that wait for
    /// dead letters.
    pub draining: Vec<DrainingExplanation>,
    /// Its dead letters, if it has a policy for them.
    pub dead_letters: Option<DeadLettersExplanation>,
}

/// Messages that were asked for again too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettersExplanation {
    /// What the policy is, in words.
    pub policy: String,
    /// Where they go.
    pub topic: TopicName,
    /// Entries to be published.
    pub waiting_entries: u64,
    /// Entries that are being published.
    pub out_entries: u64,
    /// Messages that may have been published and whose acks are not known to be durable.
    pub unsettled_messages: u64,
    /// How many of those there may be.
    pub unsettled_messages_max: u64,
    /// Messages that were published since the topic was loaded.
    pub published_messages: u64,
    /// Why publishing fails, if the last try did.
    pub failure: Option<String>,
    /// Since when, in wall-clock milliseconds.
    pub failing_since: Option<u64>,
    /// When it is tried again, in wall-clock milliseconds.
    pub retry_at: Option<u64>,
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

/// Keys of one slot, which wait for a consumer that had them before, or for dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainingExplanation {
    /// The slot of their hash.
    pub slot: u32,
    /// Who had them; or `dead letters`.
    pub holder: String,
    /// The first message that is to be acked, or published.
    pub held: Position,
    /// Entries that wait.
    pub waiting_entries: u64,
    /// Since when, in wall-clock milliseconds.
    pub since: u64,
}
