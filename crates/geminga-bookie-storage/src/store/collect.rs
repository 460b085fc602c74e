//! Garbage collection: entry logs without live runs are removed, those with few are emptied first.
//!
//! A run is dead when its ledger's tombstone is durable, or when it was moved; nothing else proves
//! it. A job of small steps: each moves some runs and commits, so it can stop anywhere.
//!
//! # Invariants
//!
//! 1. An entry log is removed only after the checkpoint whose index does without it.

use geminga_types::LedgerId;
use tracing::{info, warn};

use super::Store;
use crate::{
    entry_log::{
        self,
        format::{BLOCK_BYTES, Run},
        reader::{RunError, read_footer, read_run, scan_runs},
    },
    error::WriteError,
    index::{Row, format::Record},
    options::{Phase, StorageEvent},
    shared::Shared,
};

/// Bytes moved in one step.
const STEP_BYTES: u64 = 4 << 20;

/// What a collection did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Entry logs that are gone.
    pub entry_logs_removed: u64,
    /// Entry logs whose live runs were moved.
    pub compactions: u64,
    /// Bytes of the runs that were moved.
    pub bytes_moved: u64,
}

/// A collection on its way.
#[derive(Debug)]
pub(crate) struct Collection {
    threshold: f64,
    collected: Collected,
    /// The entry log that is being emptied, and the runs in it that are not looked at yet.
    emptying: Option<(u64, Vec<(LedgerId, Row)>)>,
    /// Only entry logs below this number: not those that it writes itself.
    below: Option<u64>,
    /// Entry logs that stay as they are.
    stuck: Vec<u64>,
}

impl Collection {
    /// Will rewrite entry logs whose share of live bytes is below `threshold`.
    pub(crate) fn new(threshold: f64) -> Self {
        let collected = Collected::default();
        Self { threshold, collected, emptying: None, below: None, stuck: Vec::new() }
    }

    pub(crate) const fn collected(&self) -> Collected {
        self.collected
    }

    /// Does a part; returns how many bytes it rewrote, or `None` when all is done.
    pub(crate) fn step(
        &mut self,
        store: &mut Store,
        shared: &Shared,
    ) -> Result<Option<u64>, WriteError> {
        if let Some((number, runs)) = self.emptying.take() {
            return self.empty(store, shared, number, runs).map(Some);
        }
        if let Some(number) = dead_log(shared) {
            remove_log(store, shared, number)?;
            self.collected.entry_logs_removed += 1;
            return Ok(Some(0));
        }
        if self.wants_current(store, shared) {
            store.entry_log.begin();
            store.entry_log.close_current().map_err(|error| store.roll_back(error))?;
            commit_moved(store, shared)?;
            return Ok(Some(0));
        }
        let below = *self.below.get_or_insert_with(|| store.entry_log.next_number());
        let Some(number) = self.candidate(shared, below) else { return Ok(None) };
        match list_runs(shared, number) {
            Ok(runs) => {
                store.options.trace(StorageEvent::Begin(Phase::Compaction));
                self.emptying = Some((number, runs));
            }
            Err(error) => self.give_up(shared, number, &error),
        }
        Ok(Some(0))
    }

    /// Whether the entry log that is appended to would be removed or rewritten, were it closed.
    fn wants_current(&self, store: &Store, shared: &Shared) -> bool {
        let Some((number, bytes)) = store.entry_log.current() else { return false };
        let live_bytes = shared.state().index.file(number).map_or(0, |file| file.live_bytes);
        let is_used = bytes > BLOCK_BYTES as u64;
        is_used
            && self.below.is_none()
            && (live_bytes == 0 || share(live_bytes, bytes) < self.threshold)
    }

    /// The sealed entry log with the smallest share of live bytes below the threshold.
    fn candidate(&self, shared: &Shared, below: u64) -> Option<u64> {
        let state = shared.state();
        let files = state.index.files().range(..below);
        files
            .filter(|(number, file)| file.is_sealed && !self.stuck.contains(number))
            .map(|(number, file)| (*number, share(file.live_bytes, file.bytes)))
            .filter(|(_, share)| *share < self.threshold)
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(number, _)| number)
    }

    fn give_up(&mut self, shared: &Shared, number: u64, error: &RunError) {
        warn!(path = %shared.log_path(number).display(), %error, "this entry log is kept as it is");
        self.stuck.push(number);
    }

    /// Moves some of the live runs of an entry log.
    fn empty(
        &mut self,
        store: &mut Store,
        shared: &Shared,
        number: u64,
        mut runs: Vec<(LedgerId, Row)>,
    ) -> Result<u64, WriteError> {
        store.entry_log.begin();
        let mut moved = 0;
        while moved < STEP_BYTES
            && let Some((ledger_id, row)) = runs.pop()
        {
            if !shared.state().index.is_live(ledger_id, &row) {
                continue;
            }
            match load_run(shared, ledger_id, &row) {
                Ok(run) => {
                    store.entry_log.append_run(&run).map_err(|error| give_up_step(store, error))?;
                    moved += u64::from(row.length);
                }
                Err(error) => {
                    self.give_up(shared, number, &error);
                    runs.clear();
                }
            }
        }
        commit_moved(store, shared)?;
        self.collected.bytes_moved += moved;
        if !runs.is_empty() {
            self.emptying = Some((number, runs));
            return Ok(moved);
        }
        store.options.trace(StorageEvent::End(Phase::Compaction));
        self.collected.compactions += 1;
        shared.counters.compactions.add(1);
        info!(number, "entry log emptied");
        if shared.state().index.file(number).is_some_and(|file| file.live_bytes > 0) {
            self.stuck.push(number);
        }
        Ok(moved)
    }
}

fn give_up_step(store: &mut Store, error: WriteError) -> WriteError {
    store.options.trace(StorageEvent::End(Phase::Compaction));
    store.roll_back(error)
}

/// Commits the runs that were appended; readers then find them at the new place.
fn commit_moved(store: &mut Store, shared: &Shared) -> Result<(), WriteError> {
    let journal = store.checkpoint.journal;
    let committed = store.entry_log.finish().and_then(|appended| {
        store.entry_log.sync()?;
        if !appended.records.is_empty() {
            store.commit(&appended.records, journal)?;
        }
        Ok(appended)
    });
    let appended = committed.map_err(|error| give_up_step(store, error))?;
    store.entry_log.commit();
    shared.state().install(&appended.records, &appended.files);
    Ok(())
}

/// A sealed entry log in which nothing is live.
fn dead_log(shared: &Shared) -> Option<u64> {
    let state = shared.state();
    let mut files = state.index.files().iter();
    files.find(|(_, file)| file.is_sealed && file.live_bytes == 0).map(|(number, _)| *number)
}

fn remove_log(store: &mut Store, shared: &Shared, number: u64) -> Result<(), WriteError> {
    let journal = store.checkpoint.journal;
    store.commit(&[Record::FileRemoved { number }], journal)?;
    shared.state().index.remove_file(number);
    shared.counters.entry_logs_removed.add(1);
    // A name that comes back after a power failure is removed at the next open.
    store.directory.remove(&entry_log::name(number))
}

fn list_runs(shared: &Shared, number: u64) -> Result<Vec<(LedgerId, Row)>, RunError> {
    let bytes = shared.state().index.file(number).map_or(0, |file| file.bytes);
    let Some((file, salt)) = shared.log_file(number)? else { return Ok(Vec::new()) };
    if let Some(runs) = read_footer(&*file, number, salt, bytes)? {
        return Ok(runs);
    }
    match scan_runs(&*file, number, salt, bytes)? {
        (runs, None) => Ok(runs),
        (_, Some(_)) => Err(RunError::Damaged),
    }
}

fn load_run(shared: &Shared, ledger_id: LedgerId, row: &Row) -> Result<Run, RunError> {
    let (file, salt) = shared.log_file(row.file)?.ok_or(RunError::Damaged)?;
    let run = read_run(&*file, salt, ledger_id, row)?;
    if run.is_whole() { Ok(run) } else { Err(RunError::Damaged) }
}

#[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_lies_between_nothing_and_all() {
        let is = |part, whole, expected: f64| (share(part, whole) - expected).abs() < 1e-9;
        assert!(is(1, 4, 0.25) && is(4, 4, 1.0) && is(0, 4, 0.0) && is(0, 0, 0.0));
    }
}
