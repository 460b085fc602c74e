//! What a backlog was found to have.

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
