//! The journal: what makes an add durable.
//!
//! Files of one size, each begun with a new generation and filled with groups; a group is written and
//! synced at once. What the checkpoint covers is not read again, and its files are recycled.
//!
//! # Invariants
//!
//! 1. At most one group is written and not yet synced (with `sync`).
//! 2. Sequences of groups ascend by one, across files.
//! 3. The header of a file bounds the file before it: groups there at or after this file's first
//!    sequence are attempts that failed and were made again.

pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod group;
pub(crate) mod reader;
pub(crate) mod recovery;
pub(crate) mod worker;
pub(crate) mod writer;

/// A place between two groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalPosition {
    /// Generation of the file.
    pub(crate) generation: u64,
    /// Offset in the file of what comes next.
    pub(crate) offset: u64,
    /// Sequence of the group that comes next.
    pub(crate) sequence: u64,
}
