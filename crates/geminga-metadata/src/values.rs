//! What is kept: Pulsar's and BookKeeper's values.

pub mod compaction;
pub mod cursor_log;
pub mod delayed;
pub mod ledger;
pub mod managed_ledger;
pub mod message_index;
pub mod placement;
pub mod policies;
mod property;
pub mod resource_group;
pub mod topic_epoch;
pub mod topic_policies;
pub mod topic_properties;

/// Why a value cannot be read. A person must look: the bytes stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// The bytes are not such a value.
    #[error("damaged {kind}: {reason}")]
    Damaged {
        /// What it should be.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The bytes are of a format that this release does not read.
    #[error("{kind} has format {format}, which this release does not read")]
    UnknownFormat {
        /// What it should be.
        kind: &'static str,
        /// The format it claims.
        format: String,
    },
}

impl From<InvalidValue> for crate::MetadataError {
    fn from(error: InvalidValue) -> Self {
        Self::Corrupt(error.to_string())
    }
}

fn damaged(kind: &'static str, reason: impl ToString) -> InvalidValue {
    InvalidValue::Damaged { kind, reason: reason.to_string() }
}
