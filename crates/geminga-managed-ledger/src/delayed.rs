//! The index of a topic's delayed entries: which there are, when they are due, in ledgers of their own.
//!
//! A *bucket* is such a ledger. It lists every delayed entry of some parts of the topic, by time and by
//! place, and does not change. What of it is to be delivered only the subscriptions know; so an entry
//! stays in its bucket until the ledgers that the bucket covers are trimmed, or buckets are merged.
//! `docs/formats/delayed-delivery.md` has the form.

mod bucket;
mod due_order;
mod format;
mod write;

use geminga_types::Position;

pub use self::{
    bucket::{Bucket, BucketError},
    due_order::DueOrder,
    write::{BucketWriter, merge},
};
pub use geminga_metadata::values::delayed::DelayedBucket;

/// A delayed entry. In the order of their times, and then of their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// When it is due, in milliseconds of wall time.
    pub due: u64,
    /// Where it lies.
    pub position: Position,
    /// What its owner wants to know of it beside: the slot of its key.
    pub slot: u32,
}

/// Delayed entries that lie one behind the other in one ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Where the first lies.
    pub first: Position,
    /// How many there are, at least 1.
    pub count: u64,
}

impl Run {
    /// Where the last lies.
    #[must_use]
    pub fn last(&self) -> Position {
        let behind = i64::try_from(self.count - 1).unwrap_or(i64::MAX);
        let entry = self.first.entry_id.0.saturating_add(behind);
        Position::new(self.first.ledger_id.0, entry)
    }

    /// What is left of it without what lies before `from`.
    #[must_use]
    pub fn from(self, from: Position) -> Option<Self> {
        if from <= self.first {
            return Some(self);
        }
        if self.last() < from {
            return None;
        }
        let skipped = u64::try_from(from.entry_id.0 - self.first.entry_id.0).unwrap_or(0);
        Some(Self { first: from, count: self.count - skipped })
    }
}
