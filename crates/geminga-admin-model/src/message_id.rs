//! A message id.

use serde::{Deserialize, Serialize};

/// Where a message lies, as `terminate` and `lastMessageId` answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageId {
    /// The ledger; −1 when there is no message.
    pub ledger_id: i64,
    /// The entry; −1 when there is no message.
    pub entry_id: i64,
    /// The partition; −1 for a topic that is not one.
    #[serde(default = "none")]
    pub partition_index: i32,
    /// The message in its batch, if the entry is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_index: Option<i32>,
}

const fn none() -> i32 {
    -1
}
