//! What an operator and a test can choose.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::error::OpenError;

/// How a storage behaves. The names in brackets are BookKeeper's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the journal lies [`journalDirectories`]; on another disk than the rest if there is one.
    pub journal_dir: PathBuf,
    /// Where entry logs, index and checkpoint lie [`ledgerDirectories`].
    pub ledgers_dir: PathBuf,
    /// Whether an add waits for its journal group's sync [`journalSyncData`]. Without, a power
    /// failure loses what was confirmed.
    pub sync: bool,
    /// Size of a journal file [`journalMaxSizeMB`].
    pub journal_file_bytes: u64,
    /// Recycled journal files that are kept for reuse [`journalMaxBackups`].
    pub journal_spares_max: usize,
    /// Largest group of adds that share one write and one sync [`journalBufferedWritesThreshold`];
    /// a larger entry is a group of its own.
    pub group_bytes_max: usize,
    /// Entries in memory, being collected or flushed [`dbStorage_writeCacheMaxSizeMb`].
    pub write_cache_bytes: usize,
    /// Blocks of entry logs in memory [`dbStorage_readAheadCacheMaxSizeMb`].
    pub read_cache_bytes: usize,
    /// Longest time that entries stay in the write cache alone [`flushInterval`].
    pub flush_interval: Duration,
    /// Size at which an entry log is closed and the next begun [`logSizeLimit`].
    pub entry_log_bytes: u64,
    /// Largest run of one ledger's entries, read as one block; a larger entry is a run of its own.
    pub run_bytes_max: usize,
    /// Size up to which a run is always read as a whole; of a larger one, few entries alone.
    pub whole_run_bytes_max: usize,
    /// How often entry logs without live entries are removed [`gcWaitTime`].
    pub gc_interval: Duration,
    /// How often entry logs below `minor_threshold` are rewritten [`minorCompactionInterval`].
    pub minor_interval: Duration,
    /// Share of live bytes below which minor compaction rewrites [`minorCompactionThreshold`].
    pub minor_threshold: f64,
    /// How often entry logs below `major_threshold` are rewritten [`majorCompactionInterval`].
    pub major_interval: Duration,
    /// Share of live bytes below which major compaction rewrites [`majorCompactionThreshold`].
    pub major_threshold: f64,
    /// Bytes that compaction may rewrite per second [`compactionRateByBytes`].
    pub compaction_bytes_per_second: u64,
    /// How long after one pass of the scrubber the next begins [`localScrubInterval`]; zero: never.
    pub scrub_interval: Duration,
    /// Entries that the scrubber may read per second [`localScrubRateLimit`].
    pub scrub_entries_per_second: u64,
    /// Bytes that the scrubber may read per second.
    pub scrub_bytes_per_second: u64,
    /// Free space below which new entries are refused; what compaction and deletion live on.
    pub min_free_bytes: u64,
    /// Size of the index log below which it is not rewritten.
    pub index_log_bytes_min: u64,
    /// How often timers, free space and the like are looked at.
    pub tick: Duration,
    /// Called at the beginning and end of each phase, for tests.
    pub trace: Option<Trace>,
    /// A defect to compile in, for the test that shows that it is caught.
    #[cfg(any(test, feature = "planted-bugs"))]
    pub planted_bug: Option<PlantedBug>,
}

/// A phase of the storage's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The write cache goes to an entry log.
    Flush,
    /// A new entry log or journal file is begun.
    Rollover,
    /// A journal file is used again.
    Recycle,
    /// Live entries of an entry log are rewritten.
    Compaction,
    /// The checkpoint is replaced.
    Checkpoint,
}

/// The edge of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorageEvent {
    /// It begins.
    Begin(Phase),
    /// It ends, with or without success.
    End(Phase),
}

/// Receives [`StorageEvent`]s on the storage's threads: must not block.
#[derive(Clone)]
pub struct Trace(pub Arc<dyn Fn(StorageEvent) + Send + Sync>);

/// Defects that lose data, each found by the model test.
#[cfg(any(test, feature = "planted-bugs"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedBug {
    /// The journal is never synced.
    NoSync,
    /// Adds are confirmed when written, before the sync.
    AckBeforeSync,
    /// Directories are never synced.
    NoDirectorySync,
    /// The checkpoint is written before the entry log is synced.
    CheckpointBeforeEntryLogSync,
    /// Journal files are given back before the checkpoint that covers them.
    RecycleBeforeCheckpoint,
}

const MIB: u64 = 1 << 20;

impl Options {
    /// The defaults, in these two directories, which may be one.
    #[must_use]
    pub fn new(journal_dir: impl Into<PathBuf>, ledgers_dir: impl Into<PathBuf>) -> Self {
        Self {
            journal_dir: journal_dir.into(),
            ledgers_dir: ledgers_dir.into(),
            sync: true,
            journal_file_bytes: 64 * MIB,
            journal_spares_max: 4,
            group_bytes_max: 4 << 20,
            write_cache_bytes: 64 << 20,
            read_cache_bytes: 16 << 20,
            flush_interval: Duration::from_secs(60),
            entry_log_bytes: 1024 * MIB,
            run_bytes_max: 256 << 10,
            whole_run_bytes_max: 32 << 10,
            gc_interval: Duration::from_secs(15 * 60),
            minor_interval: Duration::from_secs(60 * 60),
            minor_threshold: 0.2,
            major_interval: Duration::from_secs(24 * 60 * 60),
            major_threshold: 0.5,
            compaction_bytes_per_second: 64 * MIB,
            scrub_interval: Duration::ZERO,
            scrub_entries_per_second: 1_000,
            scrub_bytes_per_second: 8 * MIB,
            min_free_bytes: 256 * MIB,
            index_log_bytes_min: MIB,
            tick: Duration::from_secs(1),
            trace: None,
            #[cfg(any(test, feature = "planted-bugs"))]
            planted_bug: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let invalid = |what: &str| Err(OpenError::InvalidOptions(what.to_owned()));
        if self.journal_file_bytes < 4 * 4096 || !self.journal_file_bytes.is_multiple_of(4096) {
            return invalid("journal_file_bytes must be a multiple of 4096 and at least 16384");
        }
        if self.group_bytes_max == 0 || self.group_bytes_max > 256 << 20 {
            return invalid("group_bytes_max must be between 1 byte and 256 MiB");
        }
        if self.run_bytes_max == 0 || self.run_bytes_max > 256 << 20 {
            return invalid("run_bytes_max must be between 1 byte and 256 MiB");
        }
        if self.write_cache_bytes == 0 || self.entry_log_bytes == 0 {
            return invalid("write_cache_bytes and entry_log_bytes must not be 0");
        }
        if self.tick.is_zero() {
            return invalid("tick must not be 0");
        }
        Ok(())
    }

    pub(crate) fn trace(&self, event: StorageEvent) {
        if let Some(trace) = &self.trace {
            trace.0(event);
        }
    }
}

/// The planted defects as questions; all `false` in the product.
#[cfg(any(test, feature = "planted-bugs"))]
impl Options {
    pub(crate) fn syncs_journal(&self) -> bool {
        self.sync && self.planted_bug != Some(PlantedBug::NoSync)
    }

    pub(crate) fn syncs_directories(&self) -> bool {
        self.planted_bug != Some(PlantedBug::NoDirectorySync)
    }

    pub(crate) fn acks_before_sync(&self) -> bool {
        self.planted_bug == Some(PlantedBug::AckBeforeSync)
    }

    pub(crate) fn syncs_entry_log_late(&self) -> bool {
        self.planted_bug == Some(PlantedBug::CheckpointBeforeEntryLogSync)
    }

    pub(crate) fn recycles_early(&self) -> bool {
        self.planted_bug == Some(PlantedBug::RecycleBeforeCheckpoint)
    }
}

#[cfg(not(any(test, feature = "planted-bugs")))]
#[expect(clippy::unused_self, reason = "the other form of these reads the planted bug")]
impl Options {
    pub(crate) const fn syncs_journal(&self) -> bool {
        self.sync
    }

    pub(crate) const fn syncs_directories(&self) -> bool {
        true
    }

    pub(crate) const fn acks_before_sync(&self) -> bool {
        false
    }

    pub(crate) const fn syncs_entry_log_late(&self) -> bool {
        false
    }

    pub(crate) const fn recycles_early(&self) -> bool {
        false
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(change: impl Fn(&mut Options)) -> bool {
        let mut options = Options::new("/j", "/l");
        change(&mut options);
        match options.check() {
            Ok(()) => true,
            Err(OpenError::InvalidOptions(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn limits_are_accepted_and_what_is_beyond_is_refused() {
        assert!(is_valid(|_| {}));
        for (bytes, valid) in
            [(0, false), (12288, false), (16383, false), (16384, true), (16385, false)]
        {
            assert_eq!(is_valid(|it| it.journal_file_bytes = bytes), valid, "{bytes}");
        }
        for (bytes, valid) in [(0, false), (1, true), (256 << 20, true), ((256 << 20) + 1, false)] {
            assert_eq!(is_valid(|it| it.group_bytes_max = bytes), valid, "{bytes}");
            assert_eq!(is_valid(|it| it.run_bytes_max = bytes), valid, "{bytes}");
        }
        for (bytes, valid) in [(0, false), (1, true)] {
            assert_eq!(is_valid(|it| it.write_cache_bytes = bytes), valid, "{bytes}");
            assert_eq!(is_valid(|it| it.entry_log_bytes = bytes as u64), valid, "{bytes}");
        }
        assert!(!is_valid(|it| it.tick = Duration::ZERO));
        assert!(is_valid(|it| it.tick = Duration::from_nanos(1)));
    }
}
