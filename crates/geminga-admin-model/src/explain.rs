//! Why a subscription moves, or does not. Geminga's own: Pulsar has no such thing.

use serde::{Deserialize, Serialize};

use crate::MessageId;

/// A subscription of one topic or partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionExplanation {
    /// The topic, or partition.
    pub topic: String,
    /// The subscription.
    pub subscription: String,
    /// The type of its last consumers.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it waits for, as one word.
    pub state: String,
    /// The same as a sentence, with the limits and values that decide it.
    pub because: String,
    /// Entries that are not acked.
    pub backlog_entries: u64,
    /// Messages at consumers that are not acked.
    pub unacked_messages: u64,
    /// Entries whose time has not come.
    pub delayed_entries: u64,
    /// When the first of them is due, in wall-clock milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_due: Option<u64>,
    /// How many of them only the topic's index of delayed entries has: they are loaded before they are due.
    #[serde(default)]
    pub parked_entries: u64,
    /// None of those is due before, in wall-clock milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_due: Option<u64>,
    /// Entries that wait for the consumers of their keys.
    pub held_back_entries: u64,
    /// How many of those there may be before nothing new is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_back_entries_max: Option<u64>,
    /// The rates that it is sent at, in words.
    #[serde(default)]
    pub rates: Vec<String>,
    /// Everything up to here is acked.
    pub mark_delete: MessageId,
    /// Everything up to here has been read.
    pub read: MessageId,
    /// Who is attached.
    pub consumers: Vec<ConsumerExplanation>,
    /// Keys that have moved to another consumer and wait for acks of their former one.
    pub draining: Vec<DrainingExplanation>,
}

/// What a consumer waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerExplanation {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// `ForMessages`, `ForPermits`, `ForConnection`, `ForAcks` or `ToBeActive`.
    pub waits: String,
    /// Messages it may still be sent.
    pub permits: i64,
    /// Messages at it that are not acked.
    pub unacked_messages: u64,
    /// Entries that wait for it.
    pub waiting_entries: u64,
}

/// Keys of one slot, which wait for a consumer that had them before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainingExplanation {
    /// The slot of their hash.
    pub slot: u32,
    /// Who had them.
    pub holder: String,
    /// The first message that it has to ack.
    pub held: MessageId,
    /// Entries that wait.
    pub waiting_entries: u64,
    /// Since when, in wall-clock milliseconds.
    pub since: u64,
}
