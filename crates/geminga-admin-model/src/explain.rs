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
    /// Keys that have moved to another consumer and wait for acks of their former one, or that wait for
    /// dead letters.
    pub draining: Vec<DrainingExplanation>,
    /// Its dead letters, if it has a policy for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<DeadLettersExplanation>,
}

/// Messages that were asked for again too often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLettersExplanation {
    /// What the policy is, in words.
    pub policy: String,
    /// Where they go.
    pub topic: String,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Since when, in wall-clock milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<u64>,
    /// When it is tried again, in wall-clock milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<u64>,
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

/// Keys of one slot, which wait for a consumer that had them before, or for dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainingExplanation {
    /// The slot of their hash.
    pub slot: u32,
    /// Who had them; or `dead letters`.
    pub holder: String,
    /// The first message that is to be acked, or published.
    pub held: MessageId,
    /// Entries that wait.
    pub waiting_entries: u64,
    /// Since when, in wall-clock milliseconds.
    pub since: u64,
}
