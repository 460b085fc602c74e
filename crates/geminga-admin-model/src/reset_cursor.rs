//! Where a cursor is put.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::MessageId;

/// Where a cursor is put: a message id, or one of the words `earliest` and `latest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResetCursorData {
    /// The ledger.
    pub ledger_id: i64,
    /// The entry.
    pub entry_id: i64,
    /// The partition; −1 for a topic that is not one.
    pub partition_index: i32,
    /// The message in its batch; −1 for all of them.
    pub batch_index: i32,
    /// Whether the message behind it is meant.
    pub excluded: bool,
    /// Of a subscription to be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, String>>,
}

impl ResetCursorData {
    /// Behind all messages.
    pub const LATEST: Self = Self::at(i64::MAX, i64::MAX);
    /// Before all messages.
    pub const EARLIEST: Self = Self::at(-1, -1);

    /// At an entry of a topic without partitions.
    #[must_use]
    pub const fn at(ledger_id: i64, entry_id: i64) -> Self {
        let (partition_index, batch_index) = (-1, -1);
        let (excluded, properties) = (false, None);
        Self { ledger_id, entry_id, partition_index, batch_index, excluded, properties }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Word(String),
    Fields {
        #[serde(flatten)]
        id: MessageId,
        #[serde(default, alias = "isExcluded")]
        excluded: bool,
        #[serde(default)]
        properties: Option<BTreeMap<String, String>>,
    },
}

impl<'de> Deserialize<'de> for ResetCursorData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Given::deserialize(deserializer)? {
            Given::Word(word) => match word.as_str() {
                "earliest" => Ok(Self::EARLIEST),
                "latest" => Ok(Self::LATEST),
                _ => Err(D::Error::custom(format!(
                    "Invalid value {word} for the position. Allowed values are [earliest, latest]"
                ))),
            },
            Given::Fields { id, excluded, properties } => Ok(Self {
                ledger_id: id.ledger_id,
                entry_id: id.entry_id,
                partition_index: id.partition_index,
                batch_index: id.batch_index.unwrap_or(-1),
                excluded,
                properties,
            }),
        }
    }
}
