//! The ledger that holds a topic's last message of each key, up to a horizon.
//!
//! It is written once, whole, and named by the managed ledger's key from then on; what its entries
//! hold is the owner's. It lives until the key names another and nobody reads it any more, whatever
//! becomes of the topic's own ledgers.

use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_types::{LedgerId, Position};

pub use geminga_metadata::values::compaction::CompactedLedger;

use crate::{chain::ReadError, side_ledger};

/// A compacted ledger that can be read. While one is held the ledger is not deleted.
#[derive(Debug, PartialEq, Eq)]
pub struct Compacted(CompactedLedger);

impl Compacted {
    pub(crate) const fn new(record: CompactedLedger) -> Self {
        Self(record)
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger_id(&self) -> LedgerId {
        self.0.ledger_id
    }

    /// The last entry of the topic that was looked at.
    #[must_use]
    pub const fn horizon(&self) -> Position {
        self.0.horizon
    }

    /// Its entries.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.0.entries
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Where the last message in it lay, and its index in its batch or -1.
    #[must_use]
    pub const fn last(&self) -> Option<(Position, i32)> {
        self.0.last
    }

    /// Reads its entries from number `first` on, but none from `end` on: at least one, and no more
    /// after `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. `first` must be before `end` and the ledger's end.
    pub async fn read(
        &self,
        deps: &Deps,
        first: u64,
        end: u64,
        bytes_max: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        let end = end.min(self.0.entries);
        side_ledger::read(deps, self.0.ledger_id, first..end, bytes_max).await
    }
}
