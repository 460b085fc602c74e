//! Durable cursors: how far each subscription has consumed its topic.
//!
//! A cursor is one metadata key, and from its first change after a load on, one ledger that holds a
//! log: a snapshot, then deltas. `docs/formats/cursor-log.md` has the bytes.
//!
//! # Invariants
//!
//! 1. A change that was reported as [`CursorEvent::Durable`] is found by every later load.
//! 2. The metadata key names a ledger only after a complete snapshot is durable in it, and a ledger
//!    is deleted only after the key names another.

mod format;
mod load;
mod log;
mod pile;
mod replay;
mod set;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use geminga_types::Position;

pub(crate) use format::{encode_delta, encode_snapshot};
pub use load::CursorLoadError;
pub(crate) use load::load;
pub(crate) use set::Cursors;

/// All that a cursor keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorState {
    /// Everything up to and with this position is consumed.
    pub mark_delete: Position,
    /// What is consumed behind it: inclusive ranges, ascending, disjoint.
    pub acked: Vec<(Position, Position)>,
    /// Entries of which a part is consumed: bit i of word i / 64 is 1 while message i is not.
    pub partial: Vec<(Position, Vec<i64>)>,
    /// How often entries that are not consumed were asked for again.
    pub redelivery_counts: Vec<(Position, u32)>,
    /// Pulsar's properties of the last mark-delete.
    pub properties: BTreeMap<String, i64>,
    /// Pulsar's properties of the cursor itself.
    pub cursor_properties: BTreeMap<String, String>,
    /// What its owner keeps with it: bytes by bytes.
    pub records: BTreeMap<Bytes, Bytes>,
}

/// Names a snapshot that is being collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotAttempt(u64);

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorDelta {
    /// Where the mark-delete position has moved. It moves back only in a reset.
    pub mark_delete: Option<Position>,
    /// Newly consumed: inclusive ranges, in any order.
    pub acked: Vec<(Position, Position)>,
    /// Newly consumed in part: what remains of each entry.
    pub partial: Vec<(Position, Vec<i64>)>,
    /// Redelivery counts that were raised, in the order of that: of one entry's the last one counts.
    pub redelivery_counts: Vec<(Position, u32)>,
    /// Records that were put, or (`None`) taken away, in the order of that. A log that is cut off may
    /// have the first of them; it has the mark-delete position only if it has all of them.
    pub records: Vec<(Bytes, Option<Bytes>)>,
    /// Whether everything before but the records is forgotten first (a seek).
    pub reset: bool,
}

/// Place of a change in its cursor's order of changes, since the topic was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CursorSeq(pub u64);

/// What became of cursors, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorEvent {
    /// The cursor exists, durably.
    Created {
        /// Its name.
        name: Arc<str>,
    },
    /// It was not made.
    CreateFailed {
        /// Its name.
        name: Arc<str>,
        /// Why.
        error: CursorError,
    },
    /// It is gone, durably.
    Deleted {
        /// Its name.
        name: Arc<str>,
    },
    /// It still exists; deleting it may be tried again.
    DeleteFailed {
        /// Its name.
        name: Arc<str>,
        /// Why.
        error: CursorError,
    },
    /// Every change up to and with `up_to` survives any crash.
    Durable {
        /// The cursor's name.
        name: Arc<str>,
        /// The last of those changes.
        up_to: CursorSeq,
    },
    /// Answer with `snapshot_cursor`, its state holding every change appended so far. Until then
    /// nothing, or less and less, becomes durable.
    NeedsSnapshot {
        /// The cursor's name.
        name: Arc<str>,
    },
    /// Changes not yet reported durable wait for a new ledger, which begins with a snapshot (asked
    /// for as usual). After [`CursorError::Fenced`] they wait for ever.
    Failed {
        /// The cursor's name.
        name: Arc<str>,
        /// Why.
        error: CursorError,
    },
}

/// Why something was not done to a cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// There is one by that name already.
    #[error("cursor exists already")]
    Exists,
    /// There is none by that name.
    #[error("cursor does not exist")]
    NotFound,
    /// The topic has another owner; stop.
    #[error("the managed ledger has another owner")]
    Fenced,
    /// The managed ledger is closing or closed.
    #[error("the managed ledger is closed")]
    Closed,
    /// The store or the bookies failed. It may have been done; try again.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl CursorEvent {
    /// The cursor's name.
    #[must_use]
    pub fn cursor(&self) -> &str {
        match self {
            Self::Created { name }
            | Self::CreateFailed { name, .. }
            | Self::Deleted { name }
            | Self::DeleteFailed { name, .. }
            | Self::Durable { name, .. }
            | Self::NeedsSnapshot { name }
            | Self::Failed { name, .. } => name,
        }
    }
}

impl CursorState {
    /// A cursor with nothing behind `mark_delete`.
    #[must_use]
    pub const fn at(mark_delete: Position) -> Self {
        Self {
            mark_delete,
            acked: Vec::new(),
            partial: Vec::new(),
            redelivery_counts: Vec::new(),
            properties: BTreeMap::new(),
            cursor_properties: BTreeMap::new(),
            records: BTreeMap::new(),
        }
    }
}

impl Default for CursorState {
    fn default() -> Self {
        Self::at(Position::EARLIEST)
    }
}

impl CursorDelta {
    /// Adds a later change to this one.
    pub fn merge(&mut self, mut later: Self) {
        append(&mut self.records, std::mem::take(&mut later.records));
        if later.reset {
            let records = std::mem::take(&mut self.records);
            *self = Self { records, ..later };
            return;
        }
        self.mark_delete = later.mark_delete.or(self.mark_delete);
        append(&mut self.acked, later.acked);
        append(&mut self.partial, later.partial);
        append(&mut self.redelivery_counts, later.redelivery_counts);
    }

    /// Whether nothing has changed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let items = self.acked.len() + self.partial.len() + self.redelivery_counts.len();
        let has_items = items + self.records.len() != 0;
        self.mark_delete.is_none() && !has_items && !self.reset
    }
}

/// Keeps the memory of the one when the other is empty.
fn append<T>(items: &mut Vec<T>, later: Vec<T>) {
    if items.is_empty() {
        *items = later;
    } else {
        items.extend(later);
    }
}
