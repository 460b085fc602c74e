//! What a topic's managed ledger tells of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PartitionedTopicMetadata;

/// Answer of `…/internalStats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentTopicInternalStats {
    /// Entries added since the topic was loaded.
    pub entries_added_counter: u64,
    /// Entries stored.
    pub number_of_entries: u64,
    /// Bytes stored.
    pub total_size: u64,
    /// Entries in the ledger being written.
    pub current_ledger_entries: u64,
    /// Bytes in the ledger being written.
    pub current_ledger_size: u64,
    /// When the last ledger was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ledger_created_timestamp: Option<String>,
    /// When creating a ledger failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ledger_creation_failure_timestamp: Option<String>,
    /// Cursors that have read everything.
    pub waiting_cursors_count: u32,
    /// Entries being written.
    pub pending_add_entries_count: u32,
    /// `ledger:entry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_confirmed_entry: Option<String>,
    /// `LedgerOpened`, `Terminated`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// In order.
    pub ledgers: Vec<LedgerInfo>,
    /// By subscription.
    pub cursors: BTreeMap<String, CursorStats>,
    /// Ledgers that hold schemas: none here.
    pub schema_ledgers: Vec<LedgerInfo>,
    /// The ledger that holds the compacted topic; all -1 when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compacted_ledger: Option<LedgerInfo>,
}

/// Answer of `GET …/compaction`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LongRunningProcessStatus {
    /// `NOT_RUN`, `RUNNING`, `SUCCESS` or `ERROR`.
    pub status: String,
    /// Why it failed; empty otherwise.
    pub last_error: String,
}

/// One ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LedgerInfo {
    /// Its id.
    pub ledger_id: i64,
    /// Entries in it; 0 while it is being written, as in Pulsar; -1 of none.
    pub entries: i64,
    /// Bytes in it; 0 while it is being written, as in Pulsar; -1 of none.
    pub size: i64,
    /// Whether it lies in cold storage.
    pub offloaded: bool,
    /// Whether bookies are missing some of it.
    pub under_replicated: bool,
}

/// One cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CursorStats {
    /// `ledger:entry`: this and everything before it is acked.
    pub mark_delete_position: String,
    /// `ledger:entry` to be read next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_position: Option<String>,
    /// Whether it has read everything.
    pub waiting_read_op: bool,
    /// Reads under way.
    pub pending_read_ops: u32,
    /// Messages consumed since the topic was loaded.
    pub messages_consumed_counter: u64,
    /// The ledger that its acks go to; -1 when there is none now.
    pub cursor_ledger: i64,
    /// Bytes in that. Not in Pulsar.
    pub cursor_ledger_size: u64,
    /// How many ranges are acked behind the mark-delete position.
    pub total_non_contiguous_deleted_messages_range: u64,
    /// Acked ranges behind the mark-delete position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub individually_deleted_messages: Option<String>,
    /// `Open`, …
    pub state: String,
    /// Entries since the first that is not acked.
    pub number_of_entries_since_first_not_acked_message: u64,
    /// Properties stored with the cursor.
    pub properties: BTreeMap<String, i64>,
}

/// Answer of `…/partitioned-internalStats`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionedTopicInternalStats {
    /// How many partitions there are.
    pub metadata: PartitionedTopicMetadata,
    /// By full name.
    pub partitions: BTreeMap<String, PersistentTopicInternalStats>,
}
