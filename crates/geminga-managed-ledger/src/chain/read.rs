//! Reads of a chain, across its ledgers.

use bytes::Bytes;
use geminga_ledger::{Deps, ReadError as LedgerReadError};
use geminga_types::{EntryId, LedgerId, Ordinal, Position};

use super::Chain;

/// One probe of a search reads one entry, whatever its size.
const PROBE_BYTES: usize = 1;

/// An entry of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the chain.
    pub ordinal: Ordinal,
    /// Where it lies.
    pub position: Position,
    /// Its first bytes, while they are in a piece of their own; mostly empty.
    pub front: Bytes,
    /// What was appended, from there on.
    pub body: Bytes,
}

/// Why entries of a chain were not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They are outside of the chain as it was when it was taken: trimmed, or not yet confirmed.
    #[error("entries {from:?} to {to:?} are not in the chain")]
    OutOfRange {
        /// First wanted.
        from: Ordinal,
        /// One behind the last wanted.
        to: Ordinal,
    },
    /// A ledger could not be read; also when it was trimmed since the chain was taken.
    #[error(transparent)]
    Ledger(#[from] LedgerReadError),
    /// A ledger answered with other entries than asked for. A person must look.
    #[error("ledger {0} answered entry {1} for another")]
    Corrupt(LedgerId, EntryId),
}

impl Chain {
    /// Reads entries `from..to`, stopping early after `bytes_max` bytes but not before one entry.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. `from` must be in the chain; `to` is cut to its end.
    pub async fn read(
        &self,
        deps: &Deps,
        from: Ordinal,
        to: Ordinal,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let to = to.min(self.end());
        if to <= from || from < self.first() {
            return Err(ReadError::OutOfRange { from, to });
        }
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes_left = bytes_max;
        let mut next = from;
        while next < to && (0 < bytes_left || entries.is_empty()) {
            let read = self.read_span(deps, next, to, bytes_left).await?;
            if read.is_empty() {
                break;
            }
            for entry in read {
                bytes_left = bytes_left.saturating_sub(entry.body.len());
                next = next.plus(1);
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The first entry for which `is_wanted` says yes, given that it says no for all before it and
    /// yes for all behind it; the end when there is none. Reads some dozen entries one by one.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn find_first(
        &self,
        deps: &Deps,
        mut is_wanted: impl FnMut(&[u8]) -> bool + Send,
    ) -> Result<Ordinal, ReadError> {
        let (mut low, mut high) = (self.first(), self.end());
        while low < high {
            let middle = Ordinal(low.0 + (high.0 - low.0) / 2);
            let read = self.read(deps, middle, middle.plus(1), PROBE_BYTES).await?;
            let out_of_range = ReadError::OutOfRange { from: middle, to: high };
            let entry = read.first().ok_or(out_of_range)?;
            if is_wanted(&entry.body) {
                high = middle;
            } else {
                low = middle.plus(1);
            }
        }
        Ok(low)
    }

    /// Reads within the one ledger that holds `from`.
    async fn read_span(
        &self,
        deps: &Deps,
        from: Ordinal,
        to: Ordinal,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let out_of_range = || ReadError::OutOfRange { from, to };
        let span = self.span_of(from).ok_or_else(out_of_range)?;
        let last = Ordinal(to.min(span.end()).0 - 1);
        let first = span.position_of(from).ok_or_else(out_of_range)?;
        let last = span.position_of(last).ok_or_else(out_of_range)?;
        let ledger_id = span.ledger_id;
        let (first, last) = (first.entry_id, last.entry_id);
        let read = geminga_ledger::read(deps, ledger_id, first, last, bytes_max).await?;
        let mut entries = Vec::with_capacity(read.len());
        for ((ordinal, entry_id), entry) in (from.0..).zip(first.0..=last.0).zip(read) {
            if entry.entry_id.0 != entry_id {
                return Err(ReadError::Corrupt(ledger_id, entry.entry_id));
            }
            let position = Position { ledger_id, entry_id: entry.entry_id };
            let (ordinal, front) = (Ordinal(ordinal), Bytes::new());
            entries.push(Entry { ordinal, position, front, body: entry.body });
        }
        Ok(entries)
    }
}
