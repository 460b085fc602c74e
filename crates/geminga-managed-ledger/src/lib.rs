//! The chain of ledgers behind a topic: appends, reads, cursors, retention, trimming.
//!
//! [`open`] reads a topic's metadata and makes a [`ManagedLedger`], a machine without I/O that is
//! nested in the topic's task. What it wants done it returns: entries for bookies, and [`Job`]s.
//! Reads work on a [`Chain`], a snapshot that any task may hold.
//!
//! The parts: `chain` numbers the entries of all ledgers, `append` queues and answers, `open_ledger`
//! fills one ledger, `managed_ledger::transition` goes from one to the next, `tail_cache` keeps the
//! newest entries, `retention` chooses what goes, `tombstone` lets it go safely, `cursor` is the
//! durable log of acks, `compacted` the ledger of each key's last message, `delayed` the index of delayed
//! entries, `owned_key` and `job` touch the metadata.

mod append;
mod backoff;
mod chain;
mod codec;
mod compacted;
mod cursor;
mod delayed;
mod delete;
mod info;
mod job;
mod managed_ledger;
mod open;
mod open_ledger;
mod options;
mod owned_key;
mod retention;
mod side_ledger;
mod tail_cache;
mod tombstone;

pub use append::{AppendError, Confirmed, Outcome};
pub use chain::{Chain, Entry, Lookup, ReadError, Span};
pub use compacted::{Compacted, CompactedLedger};
pub use cursor::{
    CursorDelta, CursorError, CursorEvent, CursorLoadError, CursorSeq, CursorState, SnapshotAttempt,
};
pub use delayed::{
    Bucket, BucketError, BucketWriter, DelayedBucket, DueOrder, Record as DelayedRecord,
    Run as DelayedRun, merge as merge_buckets,
};
pub use delete::{DeleteError, delete, delete_cursor_of, is_cursor_of};
pub use geminga_ledger::{Deps, LedgerOptions};
pub use info::new_record;
pub use job::{Job, JobDone};
pub use managed_ledger::{CompactionEvent, DelayedEvent, EpochEvent, LedgerStats, ManagedLedger};
pub use open::{OpenError, open};
pub use options::Options;
pub use side_ledger::{SideWriter, WriteError};
pub use tombstone::{ReplayError, replay_tombstones};
