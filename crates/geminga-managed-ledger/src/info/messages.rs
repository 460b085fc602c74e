//! Pulsar's values of managed ledgers and cursors: the fields this crate reads and writes.

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ManagedLedgerInfo {
    #[prost(message, repeated, tag = "1")]
    pub(crate) ledger_info: Vec<LedgerInfo>,
    #[prost(message, optional, tag = "2")]
    pub(crate) terminated_position: Option<NestedPositionInfo>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) properties: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LedgerInfo {
    #[prost(int64, required, tag = "1")]
    pub(crate) ledger_id: i64,
    #[prost(int64, optional, tag = "2")]
    pub(crate) entries: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) size: Option<i64>,
    #[prost(int64, optional, tag = "4")]
    pub(crate) timestamp: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct NestedPositionInfo {
    #[prost(int64, required, tag = "1")]
    pub(crate) ledger_id: i64,
    #[prost(int64, required, tag = "2")]
    pub(crate) entry_id: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyValue {
    #[prost(string, required, tag = "1")]
    pub(crate) key: String,
    #[prost(string, required, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LongProperty {
    #[prost(string, required, tag = "1")]
    pub(crate) name: String,
    #[prost(int64, required, tag = "2")]
    pub(crate) value: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StringProperty {
    #[prost(string, required, tag = "1")]
    pub(crate) name: String,
    #[prost(string, required, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct MessageRange {
    #[prost(message, required, tag = "1")]
    pub(crate) lower_endpoint: NestedPositionInfo,
    #[prost(message, required, tag = "2")]
    pub(crate) upper_endpoint: NestedPositionInfo,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct BatchedEntryDeletionIndexInfo {
    #[prost(message, required, tag = "1")]
    pub(crate) position: NestedPositionInfo,
    #[prost(int64, repeated, packed = "false", tag = "2")]
    pub(crate) delete_set: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ManagedCursorInfo {
    #[prost(int64, required, tag = "1")]
    pub(crate) cursors_ledger_id: i64,
    #[prost(int64, optional, tag = "2")]
    pub(crate) mark_delete_ledger_id: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    pub(crate) mark_delete_entry_id: Option<i64>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) individual_deleted_messages: Vec<MessageRange>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) properties: Vec<LongProperty>,
    #[prost(int64, optional, tag = "6")]
    pub(crate) last_active: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    pub(crate) batched_entry_deletion_index_info: Vec<BatchedEntryDeletionIndexInfo>,
    #[prost(message, repeated, tag = "8")]
    pub(crate) cursor_properties: Vec<StringProperty>,
}
