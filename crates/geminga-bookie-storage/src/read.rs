//! Reads: write cache, read cache, entry log.
//!
//! A read is planned under the state's lock (which slots, which rows), then done without it. Entry
//! logs are read on blocking threads, never on the journal's.
//!
//! # Invariants
//!
//! 1. "No entry" and "no ledger" are answered only from a complete index; damage and I/O errors are
//!    "failed".

use std::{cmp::Reverse, sync::Arc};

use bytes::{Bytes, BytesMut};
use geminga_bookie_api::{ReadError, StoredEntry};
use geminga_types::{EntryId, LedgerId};
use tracing::warn;

use crate::{
    entry_log::{
        format::{Run, RunEntry},
        reader::{RunError, read_bodies, read_run, read_table},
    },
    index::Row,
    shared::Shared,
    state::State,
    write_cache::Generation,
};

/// Largest buffer that an entry handed out may keep alive.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// What copies share.
const COPIES_BYTES: usize = 64 << 10;
/// The part of a run's entries, one of so many, up to which these alone are read.
const SMALL_PART: u64 = 16;
/// How often a read is planned anew when compaction moves what it is about to read.
const ATTEMPTS_MAX: usize = 8;

/// What to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) ledger_id: LedgerId,
    pub(crate) first: EntryId,
    pub(crate) last: EntryId,
    pub(crate) bytes_max: usize,
}

/// Where it lies.
#[derive(Debug)]
struct Plan {
    range: Range,
    /// Nothing beyond this is known to this plan.
    end: EntryId,
    cached: Vec<Cached>,
    rows: Vec<Row>,
    incomplete: Option<String>,
}

#[derive(Debug)]
struct Cached {
    entry_id: EntryId,
    rank: u8,
    bytes: Bytes,
    /// Size of the buffer behind `bytes`.
    kept_bytes: usize,
}

/// One place of an entry.
#[derive(Debug)]
struct Candidate<'a> {
    entry_id: EntryId,
    /// Of several, the highest counts.
    rank: (u8, u64),
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Cached(&'a Cached),
    Run(&'a Run, RunEntry, &'a Row),
}

/// Why a plan could not be carried out.
enum Obstacle {
    /// A file is gone: plan anew.
    Moved,
    Failed(ReadError),
}

impl Shared {
    /// Reads what [`geminga_bookie_api::Bookie::read`] says.
    pub(crate) async fn read(
        self: &Arc<Self>,
        range: Range,
    ) -> Result<Vec<StoredEntry>, ReadError> {
        let began = self.env.clock.now();
        let found = self.read_all(range).await;
        if let Ok(entries) = &found {
            let (now, count) = (self.env.clock.now(), entries.len() as u64);
            let latency = &self.counters.read_latency;
            latency.note_many(now, now.saturating_duration_since(began), count);
        }
        found
    }

    async fn read_all(self: &Arc<Self>, range: Range) -> Result<Vec<StoredEntry>, ReadError> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(reason) = self.poison.get() {
                return Err(ReadError::Failed(reason));
            }
            let mut plan = plan(&self.state(), range)?;
            let in_memory: Option<Vec<Run>> = plan.rows.iter().map(|row| self.whole(row)).collect();
            let runs = match in_memory {
                Some(runs) => {
                    self.counters.read_cache_hits.add(runs.len() as u64);
                    Ok(runs)
                }
                None => {
                    let shared = Arc::clone(self);
                    let load = move || (shared.load_runs(&mut plan), plan);
                    let (runs, loaded) = self.env.workers.blocking(load).await;
                    plan = loaded;
                    runs
                }
            };
            match runs {
                Ok(runs) => return self.take_entries(&plan, &runs),
                Err(Obstacle::Moved) => {}
                Err(Obstacle::Failed(error)) => return Err(error),
            }
        }
        Err(ReadError::Failed("entries were moved again and again during the read".to_owned()))
    }

    /// Reads the runs of a plan, and shortens the plan at the first that fails.
    fn load_runs(&self, plan: &mut Plan) -> Result<Vec<Run>, Obstacle> {
        let mut runs = Vec::with_capacity(plan.rows.len());
        for at in 0..plan.rows.len() {
            let row = plan.rows[at];
            match self.load_run(plan, &row) {
                Ok(Some(run)) => runs.push(run),
                Ok(None) => return Err(Obstacle::Moved),
                Err(error) => {
                    let path = self.log_path(row.file);
                    warn!(path = %path.display(), offset = row.offset, %error, "read failed");
                    if row.first > plan.range.first {
                        plan.end = EntryId(row.first.0 - 1);
                        plan.rows.truncate(at);
                        break;
                    }
                    let (path, offset) = (path.display(), row.offset);
                    let reason = format!("run at {offset} of {path}: {error}");
                    return Err(Obstacle::Failed(ReadError::Failed(reason)));
                }
            }
        }
        Ok(runs)
    }

    /// A run of which everything is in memory.
    fn whole(&self, row: &Row) -> Option<Run> {
        self.read_cache.get((row.file, row.offset)).filter(Run::has_all)
    }

    /// Reads a run, or of a long one a few entries. Who goes on where such a read has ended, or comes from
    /// the run before, reads one after the other: then all of it comes to memory.
    fn load_run(&self, plan: &Plan, row: &Row) -> Result<Option<Run>, RunError> {
        let ledger_id = plan.range.ledger_id;
        let key = (row.file, row.offset);
        let (known, next) = self.read_cache.get_with_next(key).unzip();
        if let Some(run) = known.as_ref().filter(|run| run.has_all()) {
            self.counters.read_cache_hits.add(1);
            return Ok(Some(run.clone()));
        }
        self.counters.read_cache_misses.add(1);
        let Some((file, salt)) = self.log_file(row.file)? else { return Ok(None) };
        let (first, last) = (plan.range.first.max(row.first), plan.end.min(row.last));
        let goes_on = plan.range.first < row.first || next.flatten() == Some(first);
        if goes_on || !self.takes_little(row, (first, last)) {
            let run = read_run(&*file, salt, ledger_id, row)?;
            self.read_cache.put(key, &run);
            return Ok(Some(run));
        }
        let table = match known {
            Some(table) => table,
            None => read_table(&*file, salt, ledger_id, row)?,
        };
        self.read_cache.put_table(key, &table, EntryId(last.0.saturating_add(1)));
        read_bodies(&*file, row, table, (first, last)).map(Some)
    }

    /// Whether the entries are so small a part of the run that it is not worth reading it for them.
    fn takes_little(&self, row: &Row, (first, last): (EntryId, EntryId)) -> bool {
        let entries = last.0.abs_diff(first.0).saturating_add(1);
        self.options.whole_run_bytes_max < row.length as usize
            && entries.saturating_mul(SMALL_PART) <= u64::from(row.count)
    }

    fn take_entries(&self, plan: &Plan, runs: &[Run]) -> Result<Vec<StoredEntry>, ReadError> {
        let Range { ledger_id, first, bytes_max, .. } = plan.range;
        let candidates = plan.candidates(runs);
        if candidates.first().is_none_or(|candidate| candidate.entry_id != first) {
            return Err(absent(plan.incomplete.as_deref(), ReadError::NoEntry(ledger_id, first)));
        }
        let (mut entries, mut bytes_taken) = (Vec::new(), 0);
        let mut copies = BytesMut::new();
        for candidate in &candidates {
            let length = candidate.length();
            if !entries.is_empty() && bytes_taken + length > bytes_max {
                break;
            }
            let Some(bytes) = candidate.bytes(&mut copies) else {
                let reason = self.damage(ledger_id, candidate);
                warn!(reason, "read failed");
                if entries.is_empty() {
                    return Err(ReadError::Failed(reason));
                }
                break;
            };
            bytes_taken += length;
            entries.push(StoredEntry { entry_id: candidate.entry_id, bytes });
        }
        self.counters.reads.add(entries.len() as u64);
        self.counters.read_bytes.add(bytes_taken as u64);
        Ok(entries)
    }

    fn damage(&self, ledger_id: LedgerId, candidate: &Candidate<'_>) -> String {
        let entry_id = candidate.entry_id;
        match candidate.source {
            Source::Cached(_) => format!("entry {ledger_id}:{entry_id} is damaged"),
            Source::Run(_, _, row) => format!(
                "entry {ledger_id}:{entry_id} is damaged, in the run at {} of {}",
                row.offset,
                self.log_path(row.file).display()
            ),
        }
    }
}

fn absent(incomplete: Option<&str>, proven: ReadError) -> ReadError {
    incomplete.map_or(proven, |reason| ReadError::Failed(reason.to_owned()))
}

fn plan(state: &State, range: Range) -> Result<Plan, ReadError> {
    let Range { ledger_id, first, bytes_max, .. } = range;
    let incomplete = state.incomplete.clone();
    if state.ledgers.is_deleted(ledger_id) {
        return Err(ReadError::NoLedger(ledger_id));
    }
    let Some(ledger) = state.ledgers.get(ledger_id) else {
        return Err(absent(incomplete.as_deref(), ReadError::NoLedger(ledger_id)));
    };
    let mut plan = Plan {
        range,
        end: range.last.min(ledger.last_entry),
        cached: Vec::new(),
        rows: Vec::new(),
        incomplete,
    };
    if first > plan.end {
        let incomplete = plan.incomplete.as_deref();
        return Err(absent(incomplete, ReadError::NoEntry(ledger_id, first)));
    }
    plan.take_cached(&state.active, 2);
    if let Some(flushing) = &state.flushing {
        plan.take_cached(&flushing.generation, 1);
    }
    let mut row_bytes = 0;
    for row in state.index.select(ledger_id, first, plan.end) {
        if row.first > first && row_bytes >= bytes_max {
            plan.end = plan.end.min(EntryId(row.first.0 - 1));
            break;
        }
        row_bytes += row.length as usize;
        plan.rows.push(*row);
    }
    Ok(plan)
}

impl Plan {
    /// Takes what a generation holds, up to the limit of bytes.
    fn take_cached(&mut self, generation: &Generation, rank: u8) {
        let mut bytes_taken = 0;
        for slot in generation.slots(self.range.ledger_id, self.range.first, self.end) {
            let (bytes, kept_bytes) = generation.stored(slot);
            bytes_taken += bytes.len();
            self.cached.push(Cached { entry_id: slot.entry_id, rank, bytes, kept_bytes });
            if bytes_taken >= self.range.bytes_max {
                self.end = slot.entry_id;
                break;
            }
        }
    }

    /// The entries of the plan in order, each once.
    fn candidates<'a>(&'a self, runs: &'a [Run]) -> Vec<Candidate<'a>> {
        let mut candidates: Vec<Candidate<'a>> = self
            .cached
            .iter()
            .filter(|cached| cached.entry_id <= self.end)
            .map(|cached| Candidate {
                entry_id: cached.entry_id,
                rank: (cached.rank, 0),
                source: Source::Cached(cached),
            })
            .collect();
        for (run, row) in runs.iter().zip(&self.rows) {
            let entries = (run.find(self.range.first)..run.count()).map_while(|at| run.entry(at));
            let wanted = entries.take_while(|entry| entry.entry_id <= self.end);
            candidates.extend(wanted.map(|entry| Candidate {
                entry_id: entry.entry_id,
                rank: (0, row.newness),
                source: Source::Run(run, entry, row),
            }));
        }
        candidates.sort_by_key(|candidate| (candidate.entry_id, Reverse(candidate.rank)));
        candidates.dedup_by_key(|candidate| candidate.entry_id);
        candidates
    }
}

impl Candidate<'_> {
    fn length(&self) -> usize {
        match &self.source {
            Source::Cached(cached) => cached.bytes.len(),
            Source::Run(_, entry, _) => entry.length as usize,
        }
    }

    /// The stored bytes, or `None` when they are damaged. Small ones that would keep much alive are
    /// copied: into `copies`, several to an allocation.
    fn bytes(&self, copies: &mut BytesMut) -> Option<Bytes> {
        match &self.source {
            Source::Cached(cached) if cached.kept_bytes > KEPT_BYTES_MAX => {
                if copies.capacity() < cached.bytes.len() {
                    copies.reserve(cached.bytes.len().max(COPIES_BYTES));
                }
                copies.extend_from_slice(&cached.bytes);
                Some(copies.split().freeze())
            }
            Source::Cached(cached) => Some(cached.bytes.clone()),
            Source::Run(run, entry, _) => run.stored(entry),
        }
    }
}
