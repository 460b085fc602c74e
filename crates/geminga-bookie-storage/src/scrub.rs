//! The scrubber: reads every entry log again, slowly, so that damage is known before it is needed.
//!
//! A worker of its own, off the journal's and the store's path, limited in entries and bytes per
//! second. It reads past the read cache, and reports: damage is logged and counted, nothing is ever
//! changed or deleted.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use geminga_env::{Bell, Control, Instant};
use geminga_types::LedgerId;
use tracing::{error, info};

use crate::{
    entry_log::reader::{RunError, read_run},
    index::Row,
    shared::Shared,
    store::worker::bytes_in,
};

/// What others see of the scrubber.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    pub(crate) bell: Bell,
    is_stopping: AtomicBool,
    /// Entry log and offset.
    damages: Mutex<BTreeSet<(u64, u64)>>,
}

impl Scrub {
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
        self.bell.ring();
    }

    /// Places that were damaged when it last came by.
    pub(crate) fn damages(&self) -> usize {
        self.places().len()
    }

    fn places(&self) -> MutexGuard<'_, BTreeSet<(u64, u64)>> {
        self.damages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the worker.
#[derive(Debug)]
pub(crate) struct Scrubber {
    shared: Arc<Shared>,
    now: Instant,
    /// When the next pass begins.
    next_pass: Instant,
    /// What may be read now.
    entries: u64,
    bytes: u64,
    pass: Option<Pass>,
}

/// One pass over all entry logs.
#[derive(Debug)]
struct Pass {
    /// Entry logs that are still to be read, the next one last.
    logs: Vec<u64>,
    /// Runs of the current one, the next one last.
    runs: Vec<(LedgerId, Row)>,
    found: BTreeSet<(u64, u64)>,
}

impl Scrubber {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let now = shared.env.clock.now();
        let next_pass = now + shared.options.scrub_interval;
        Self { shared, now, next_pass, entries: 0, bytes: 0, pass: None }
    }

    /// Reads what it may read now; rung at every tick.
    pub(crate) fn work(&mut self) -> Control {
        let now = self.shared.env.clock.now();
        let elapsed = now - self.now;
        self.now = now;
        let options = &self.shared.options;
        let refill = |left: u64, rate: u64| {
            left.saturating_add(bytes_in(rate.max(1), elapsed)).min(rate.max(1))
        };
        self.entries = refill(self.entries, options.scrub_entries_per_second);
        self.bytes = refill(self.bytes, options.scrub_bytes_per_second);
        if self.pass.is_none() && self.next_pass <= now {
            let logs = self.shared.state().index.files().keys().rev().copied().collect();
            self.pass = Some(Pass { logs, runs: Vec::new(), found: BTreeSet::new() });
        }
        while self.entries > 0 && self.bytes > 0 && self.pass.is_some() {
            if self.shared.scrub.is_stopping.load(Relaxed) {
                break;
            }
            self.step();
        }
        let is_stopping = self.shared.scrub.is_stopping.load(Relaxed);
        if is_stopping { Control::Stop } else { Control::Continue }
    }

    fn step(&mut self) {
        let Some(mut pass) = self.pass.take() else { return };
        if let Some((ledger_id, row)) = pass.runs.pop() {
            self.entries = self.entries.saturating_sub(row.count.into());
            self.bytes = self.bytes.saturating_sub(row.length.into());
            if !self.read(ledger_id, &row) {
                pass.found.insert((row.file, row.offset));
            }
        } else if let Some(number) = pass.logs.pop() {
            let state = self.shared.state();
            let rows = state.index.rows().filter(|(_, row)| row.file == number);
            pass.runs = rows.map(|(ledger_id, row)| (ledger_id, *row)).collect();
            drop(state);
            pass.runs.sort_by_key(|(_, row)| std::cmp::Reverse(row.offset));
        } else {
            self.end(pass);
            return;
        }
        self.pass = Some(pass);
    }

    /// Whether a run is undamaged, or needed no more.
    fn read(&self, ledger_id: LedgerId, row: &Row) -> bool {
        let shared = &self.shared;
        let run = match shared.log_file(row.file) {
            Ok(None) => return true,
            Ok(Some((file, salt))) => read_run(&*file, salt, ledger_id, row),
            Err(error) => Err(RunError::Io(error)),
        };
        let reason = match run {
            Ok(run) if run.is_whole() => {
                shared.counters.scrub_entries.add(row.count.into());
                shared.counters.scrub_bytes.add(row.length.into());
                return true;
            }
            Ok(_) => RunError::Damaged.to_string(),
            Err(error) => error.to_string(),
        };
        if !shared.state().index.is_live(ledger_id, row) {
            return true; // Deleted or moved meanwhile.
        }
        let is_new = shared.scrub.places().insert((row.file, row.offset));
        if is_new {
            let path = shared.log_path(row.file);
            let (ledger, first, last) = (ledger_id.0, row.first.0, row.last.0);
            error!(
                path = %path.display(), offset = row.offset, ledger, first, last, reason,
                "the scrubber found damage; see `geminga storage verify`"
            );
        }
        false
    }

    fn end(&mut self, pass: Pass) {
        let damages = pass.found.len();
        *self.shared.scrub.places() = pass.found;
        self.shared.counters.scrub_passes.add(1);
        self.next_pass = self.now + self.shared.options.scrub_interval;
        info!(damages, "the scrubber has read all entry logs");
    }
}
