//! What a backlog was found to have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Answer of `analyzeBacklog`. Without entry filters all is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalyzeSubscriptionBacklogResult {
    /// Entries that were looked at.
    pub entries: u64,
    /// Messages in them.
    pub messages: u64,
    /// Entries that filters reject.
    pub filter_rejected_entries: u64,
    /// Entries that filters accept.
    pub filter_accepted_entries: u64,
    /// Entries that filters put off.
    pub filter_rescheduled_entries: u64,
    /// Messages that filters reject.
    pub filter_rejected_messages: u64,
    /// Messages that filters accept.
    pub filter_accepted_messages: u64,
    /// Messages that filters put off.
    pub filter_rescheduled_messages: u64,
    /// Whether there is more.
    pub aborted: bool,
    /// The first entry, as `ledger:entry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_message_id: Option<String>,
    /// The last entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_id: Option<String>,
}

/// Answer of `…/backlog`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentOfflineTopicStats {
    /// Bytes stored.
    pub storage_size: u64,
    /// Entries stored.
    pub total_messages: u64,
    /// Entries that are not acked, of all cursors together.
    pub message_backlog: u64,
    /// Who says so.
    pub broker_name: String,
    /// The topic's full name.
    pub topic_name: String,
    /// In order.
    pub data_ledger_details: Vec<LedgerDetails>,
    /// By subscription.
    pub cursor_details: BTreeMap<String, CursorDetails>,
    /// When it was said, in milliseconds.
    pub stat_generated_at: u64,
}

/// One ledger of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LedgerDetails {
    /// Entries in it.
    pub entries: u64,
    /// When it was closed, in milliseconds; 0 where that is not known.
    pub timestamp: u64,
    /// Bytes in it.
    pub size: u64,
    /// Its id.
    pub ledger_id: i64,
}

/// One cursor of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CursorDetails {
    /// Entries that are not acked.
    pub cursor_backlog: u64,
    /// The ledger that its acks go to; -1 when there is none.
    pub cursor_ledger_id: i64,
}
