//! A ledger beside a topic's own: written once, whole, and named by the managed ledger's key from then
//! on, such as a compacted topic's.

use std::ops::Range;

use bytes::Bytes;
use geminga_ledger::{Deps, Sealed, Writer};
use geminga_types::{EntryId, LedgerId};

use crate::{
    chain::ReadError,
    job::{JobError, write_all},
};

/// Writes such a ledger, which does not count yet.
#[derive(Debug)]
pub struct SideWriter(Writer);

/// Why a ledger beside a topic's own was not written. Nothing refers to what was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger was not written: {0}")]
pub struct WriteError(String);

/// Reads entries by number: at least one, and no more after `bytes_max` bytes.
pub(crate) async fn read(
    deps: &Deps,
    ledger_id: LedgerId,
    numbers: Range<u64>,
    bytes_max: usize,
) -> Result<Vec<Bytes>, ReadError> {
    let number = |entry: u64| EntryId(i64::try_from(entry).unwrap_or(i64::MAX));
    let last = number(numbers.end.saturating_sub(1));
    let first = number(numbers.start);
    let read = geminga_ledger::read(deps, ledger_id, first, last, bytes_max).await?;
    let mut bodies = Vec::with_capacity(read.len());
    for (entry, wanted) in read.into_iter().zip(numbers.start..) {
        if entry.entry_id != number(wanted) {
            return Err(ReadError::Corrupt(ledger_id, entry.entry_id));
        }
        bodies.push(entry.body);
    }
    Ok(bodies)
}

impl SideWriter {
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
