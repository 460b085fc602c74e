//! The ledger that holds a topic's last message of each key, up to a horizon.
//!
//! It is written once, whole, and named by the managed ledger's key from then on; what its entries
//! hold is the owner's. It lives until the key names another and nobody reads it any more, whatever
//! becomes of the topic's own ledgers.

use bytes::Bytes;
use geminga_ledger::{Deps, Sealed, Writer};
use geminga_types::{EntryId, LedgerId, Position};

pub use geminga_metadata::values::compaction::CompactedLedger;

use crate::{
    chain::ReadError,
    job::{JobError, write_all},
};

/// A compacted ledger that can be read. While one is held the ledger is not deleted.
#[derive(Debug, PartialEq, Eq)]
pub struct Compacted(CompactedLedger);

/// Writes a compacted ledger that no key points to yet.
#[derive(Debug)]
pub struct CompactedWriter(Writer);

/// Why a compacted ledger was not written. Nothing refers to what was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compacted ledger was not written: {0}")]
pub struct WriteError(String);

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
        let ledger_id = self.0.ledger_id;
        let number = |entry: u64| EntryId(i64::try_from(entry).unwrap_or(i64::MAX));
        let last = number(end.min(self.0.entries).saturating_sub(1));
        let read = geminga_ledger::read(deps, ledger_id, number(first), last, bytes_max).await?;
        let mut bodies = Vec::with_capacity(read.len());
        for (entry, wanted) in read.into_iter().zip(first..) {
            if entry.entry_id != number(wanted) {
                return Err(ReadError::Corrupt(ledger_id, entry.entry_id));
            }
            bodies.push(entry.body);
        }
        Ok(bodies)
    }
}

impl CompactedWriter {
    pub(crate) const fn new(writer: Writer) -> Self {
        Self(writer)
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger_id(&self) -> LedgerId {
        self.0.ledger_id()
    }

    /// Appends entries and waits until all of them are confirmed.
    ///
    /// # Errors
    ///
    /// If one was not; the ledger is to be given up.
    pub async fn write(&mut self, deps: &Deps, bodies: Vec<Bytes>) -> Result<(), WriteError> {
        write_all(deps, &mut self.0, bodies).await.map_err(|error| WriteError(error.to_string()))
    }

    /// Closes it for good. Returns its entries and their bytes.
    ///
    /// # Errors
    ///
    /// If it could not be closed; the ledger is to be given up.
    pub async fn seal(mut self, deps: &Deps) -> Result<(u64, u64), WriteError> {
        let ledger_id = self.0.ledger_id();
        let Sealed { last_entry, length } = self.0.stop();
        let sealed = geminga_ledger::seal(deps, ledger_id, last_entry, length).await;
        sealed.map_err(|error| WriteError(JobError::from(error).to_string()))?;
        Ok((u64::try_from(last_entry.0.saturating_add(1)).unwrap_or(0), length))
    }
}
