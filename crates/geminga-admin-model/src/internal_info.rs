//! What is stored of a topic's managed ledger.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Answer of `…/internal-info` of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedLedgerInfo {
    /// In order.
    pub ledgers: Vec<ManagedLedgerInfoLedger>,
    /// Where the topic ends, once it was terminated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated_position: Option<PositionInfo>,
    /// By subscription.
    pub cursors: BTreeMap<String, CursorInfo>,
    /// What users noted.
    pub properties: BTreeMap<String, String>,
}

/// The same of all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartitionedManagedLedgerInfo {
    /// By the partition's name.
    pub partitions: BTreeMap<String, ManagedLedgerInfo>,
}

/// One ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedLedgerInfoLedger {
    /// Its id.
    pub ledger_id: i64,
    /// Entries in it, once it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Bytes in it, once it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether it lies in cold storage.
    pub is_offloaded: bool,
}

/// One cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CursorInfo {
    /// The ledger that its acks go to; -1 when there is none.
    pub cursors_ledger_id: i64,
    /// Everything up to and with this is acked.
    pub mark_delete: PositionInfo,
}

/// A place in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PositionInfo {
    /// The ledger.
    pub ledger_id: i64,
    /// The entry.
    pub entry_id: i64,
}
