//! How a topic's chain of ledgers is cut, kept and cached.

use std::time::Duration;

use geminga_env::Gauge;
use geminga_ledger::LedgerOptions;

/// Settings of one managed ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of ledgers that hold messages.
    pub ledger: LedgerOptions,
    /// Of ledgers that hold acks.
    pub cursor_ledger: LedgerOptions,
    /// A ledger with as many entries is full.
    pub max_entries_per_ledger: u64,
    /// A ledger with as many bytes is full.
    pub max_ledger_bytes: u64,
    /// A full ledger younger than this goes on.
    pub min_rollover: Duration,
    /// A ledger older than this is closed even if it is not full.
    pub max_rollover: Duration,
    /// How long what nobody needs is kept at least; `None`: forever.
    pub retention_time: Option<Duration>,
    /// How much of what nobody needs is kept at most; `None`: all of it.
    pub retention_bytes: Option<u64>,
    /// How much of the tail is held in memory.
    pub tail_cache_bytes: usize,
    /// What the tails of all topics take together: over its limit, none grows.
    pub tail_caches: Gauge,
    /// A cursor's ledger with as many entries is replaced by a new one that begins with a snapshot.
    pub cursor_roll_entries: u64,
    /// The same, by bytes.
    pub cursor_roll_bytes: u64,
    /// A cursor with as many acked ranges, or entries acked in part, does not wait for a snapshot when it
    /// first changes after a load.
    pub cursor_go_on_items: usize,
    /// How many items of a cursor's snapshot are collected at a time, at least 1.
    pub cursor_part_items: usize,
}
