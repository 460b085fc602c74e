//! The ledgers of one topic in order, and the numbering of their entries.
//!
//! # Invariants
//!
//! 1. Ledger ids ascend, and ordinals are dense: a span begins where the one before it ends.
//! 2. Only the last span may be open.
//! 3. An entry's ordinal does not change while the topic is loaded.
//! 4. `gone` lies before everything stored, ascending: ledgers that were trimmed and of which a
//!    compacted ledger may hold entries. They have ordinals, and nothing of them is read here.

mod lookup;
mod read;
mod spans;

use std::sync::Arc;

use geminga_env::Timestamp;
use geminga_types::{EntryId, LedgerId, Ordinal, Position};

pub use lookup::Lookup;
pub use read::{Entry, ReadError};
pub(crate) use spans::Spans;

/// One ledger of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Its first entry's ordinal.
    pub first: Ordinal,
    /// How many confirmed entries it has.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was closed; `None` while it is written.
    pub closed_at: Option<Timestamp>,
}

/// A topic's entries at one moment. Cheap to clone; does not change.
#[derive(Clone, Debug)]
pub struct Chain {
    gone: Arc<[Span]>,
    sealed: Arc<[Span]>,
    open: Option<Span>,
    /// Where the numbering stands: the end of the last span, if there is one.
    end: Ordinal,
}

impl Span {
    /// The ordinal behind its last entry.
    #[must_use]
    pub const fn end(&self) -> Ordinal {
        self.first.plus(self.entries)
    }

    pub(crate) fn position_of(&self, ordinal: Ordinal) -> Option<Position> {
        let index = ordinal.0.checked_sub(self.first.0).filter(|&index| index < self.entries)?;
        Some(Position { ledger_id: self.ledger_id, entry_id: EntryId(i64::try_from(index).ok()?) })
    }
}

impl Chain {
    /// The first ordinal still stored (the end, when nothing is).
    #[must_use]
    pub fn first(&self) -> Ordinal {
        self.spans().next().map_or(self.end, |span| span.first)
    }

    /// The first ordinal of which a compacted ledger may hold the entry, or that is still stored.
    #[must_use]
    pub fn first_with_gone(&self) -> Ordinal {
        self.gone.first().map_or_else(|| self.first(), |span| span.first)
    }

    /// Ledgers that were trimmed and of which a compacted ledger may hold entries.
    #[must_use]
    pub fn gone(&self) -> &[Span] {
        &self.gone
    }

    /// The readable end: one behind the last confirmed entry.
    #[must_use]
    pub const fn end(&self) -> Ordinal {
        self.end
    }

    /// The ordinal of the first entry at or behind `position`, gone or stored; the end, when there is
    /// none.
    #[must_use]
    pub fn ordinal_of(&self, position: Position) -> Ordinal {
        let is_before = |span: &Span| span.ledger_id < position.ledger_id;
        let gone = self.gone.get(self.gone.partition_point(is_before));
        let sealed = self.sealed.partition_point(is_before);
        match gone.or_else(|| self.sealed.get(sealed)).or(self.open.as_ref()) {
            Some(span) if span.ledger_id == position.ledger_id => {
                let entry = u64::try_from(position.entry_id.0).unwrap_or(0);
                span.first.plus(entry.min(span.entries))
            }
            Some(span) if position.ledger_id < span.ledger_id => span.first,
            _ => self.end,
        }
    }

    /// The ordinal behind the entry at `position`, there or not.
    #[must_use]
    pub fn after(&self, position: Position) -> Ordinal {
        let ordinal = self.ordinal_of(position);
        if self.position_of(ordinal) == Some(position) { ordinal.plus(1) } else { ordinal }
    }

    /// Where the entry lies, if it is stored and readable, or lay, if it is gone.
    #[must_use]
    pub fn position_of(&self, ordinal: Ordinal) -> Option<Position> {
        self.named_span_of(ordinal)?.position_of(ordinal)
    }

    /// The ledger that has the entry, stored or gone.
    fn named_span_of(&self, ordinal: Ordinal) -> Option<&Span> {
        if ordinal < self.first() {
            let gone = self.gone.partition_point(|span| span.end() <= ordinal);
            return self.gone.get(gone);
        }
        self.span_of(ordinal)
    }

    /// For many questions about places near each other.
    #[must_use]
    pub const fn lookup(&self) -> Lookup<'_> {
        Lookup::new(self)
    }

    /// The mark-delete position of a cursor whose next entry to consume is `next`: where the entry
    /// before it lies; before the first ledger's first when there is none; (−1, −1) in an empty chain.
    #[must_use]
    pub fn mark_delete_position(&self, next: Ordinal) -> Position {
        let next = next.min(self.end);
        let before = next.0.checked_sub(1).map(Ordinal);
        if let Some(found) = before.and_then(|before| self.position_of(before)) {
            return found;
        }
        let named = || self.gone.iter().chain(self.spans());
        // Between what is gone and what is stored, ledgers may have no name any more.
        let last = named().take_while(|span| span.end() <= next).filter(|span| 0 < span.entries);
        if let Some(found) =
            last.last().and_then(|span| span.position_of(Ordinal(span.end().0 - 1)))
        {
            return found;
        }
        named().next().map_or(Position::EARLIEST, |span| Position {
            ledger_id: span.ledger_id,
            entry_id: EntryId::NONE,
        })
    }

    /// The last confirmed entry, if there is any.
    #[must_use]
    pub fn last_position(&self) -> Option<Position> {
        self.position_of(Ordinal(self.end.0.checked_sub(1)?))
    }

    /// How many entries are stored and readable.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.end.0 - self.first().0
    }

    /// The bytes of these entries.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.spans().map(|span| span.bytes).sum()
    }

    /// Their bytes from an entry on; within a ledger its entries count as of one size.
    #[must_use]
    pub fn bytes_from(&self, from: Ordinal) -> u64 {
        let part = |span: &Span| {
            let entries = span.end().0.saturating_sub(from.max(span.first).0);
            let bytes = u128::from(span.bytes) * u128::from(entries);
            u64::try_from(bytes / u128::from(span.entries.max(1))).unwrap_or(u64::MAX)
        };
        self.spans_from(from).map(part).sum()
    }

    /// The first entry from which on there are no more than `bytes`, counted the same way.
    #[must_use]
    pub fn last_bytes(&self, bytes: u64) -> Ordinal {
        let mut left = bytes;
        for span in self.sealed.iter().chain(self.open.as_ref()).rev() {
            if left < span.bytes {
                let entries = u128::from(span.entries) * u128::from(left) / u128::from(span.bytes);
                let entries = u64::try_from(entries).unwrap_or(span.entries);
                return Ordinal(span.end().0 - entries.min(span.entries));
            }
            left -= span.bytes;
        }
        self.first()
    }

    /// The ledgers, oldest first.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.sealed.iter().chain(self.open.as_ref())
    }

    fn span_of(&self, ordinal: Ordinal) -> Option<&Span> {
        if self.end <= ordinal {
            return None;
        }
        self.spans_from(ordinal).next()
    }

    /// The ledgers from the one on that holds `ordinal`.
    pub(crate) fn spans_from(&self, ordinal: Ordinal) -> impl Iterator<Item = &Span> {
        // Empty spans end where they begin, so the first that ends behind the entry holds it.
        let sealed = self.sealed.partition_point(|span| span.end() <= ordinal);
        self.sealed[sealed..].iter().chain(self.open.as_ref())
    }
}

#[cfg(test)]
mod tests;
