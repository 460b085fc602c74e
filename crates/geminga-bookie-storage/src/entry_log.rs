//! Entry logs: large files of runs, each one ledger's entries in ascending order.
//!
//! # Invariants
//!
//! 1. What was appended counts once the index and a checkpoint name it; until then
//!    [`writer::EntryLog::roll_back`] forgets it.
//! 2. Each commit begins on a block of its own, so that writing it cannot tear what is durable.

pub(crate) mod format;
pub(crate) mod reader;
pub(crate) mod writer;

/// Name of the file with this number.
pub(crate) fn name(number: u64) -> String {
    format!("entry-log-{number:08}")
}

/// Number of the file with this name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("entry-log-")?.parse().ok()
}
