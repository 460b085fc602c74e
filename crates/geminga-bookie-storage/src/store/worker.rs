//! The store's worker: flushes, collects, watches the free space; one step per ring.

use std::{sync::Arc, time::Duration};

use geminga_env::{Control, Instant};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{
    Store,
    collect::{Collected, Collection},
    commands::{Command, SnapshotRequest},
    flush::Stage,
};
use crate::{
    backup::Snapshot,
    checkpoint::Checkpoint,
    directory::Directory,
    error::WriteError,
    fields::size,
    index::format::Record,
    journal::{JournalPosition, files},
    shared::Shared,
};

/// How often dead entry logs are looked for while the disk is full.
const COLLECT_WHEN_FULL: Duration = Duration::from_secs(10);

/// The state of the worker.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    journal_dir: Directory,
    store: Store,
    flush: Option<Stage>,
    flush_began: Instant,
    flush_requests: Vec<FlushRequest>,
    snapshot: Option<PinnedSnapshot>,
    snapshot_requests: Vec<SnapshotRequest>,
    close: Option<oneshot::Sender<Result<(), String>>>,
    collection: Option<Job>,
    /// Collections that wait for the one before.
    collect_requests: Vec<Job>,
    timers: Timers,
}

/// Answered once the checkpoint covers the journal before `sequence`.
#[derive(Debug)]
struct FlushRequest {
    sequence: u64,
    reply: oneshot::Sender<Result<(), String>>,
}

/// A snapshot whose moment has come, and whose flush is on its way.
#[derive(Debug)]
struct PinnedSnapshot {
    /// The journal before this is in it.
    sequence: u64,
    /// What the index must learn of ledgers, as of the moment.
    records: Vec<Record>,
    reply: oneshot::Sender<Result<Snapshot, String>>,
}

#[derive(Debug)]
struct Job {
    collection: Collection,
    reply: Option<oneshot::Sender<Result<Collected, String>>>,
}

#[derive(Debug)]
struct Timers {
    now: Instant,
    flush: Instant,
    /// After a flush that found no space.
    retry: Instant,
    collect: Instant,
    /// The same, while new entries are refused.
    collect_when_full: Instant,
    minor: Instant,
    major: Instant,
    space: Instant,
    /// Bytes that compaction may rewrite now.
    compaction_bytes: u64,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// More is to be done at once.
    Again,
    /// Nothing now.
    Idle,
    /// The worker is done.
    Stop,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, journal_dir: Directory, store: Store) -> Self {
        let now = shared.env.clock.now();
        let options = &shared.options;
        let timers = Timers {
            now,
            flush: now + options.flush_interval,
            retry: now,
            collect: now + options.gc_interval,
            collect_when_full: now,
            minor: now + options.minor_interval,
            major: now + options.major_interval,
            space: now,
            compaction_bytes: 0,
        };
        Self {
            shared,
            journal_dir,
            store,
            flush: None,
            flush_began: now,
            flush_requests: Vec::new(),
            snapshot: None,
            snapshot_requests: Vec::new(),
            close: None,
            collection: None,
            collect_requests: Vec::new(),
            timers,
        }
    }

    /// Does one step, and rings itself when there is more.
    pub(crate) fn work(&mut self) -> Control {
        let mut step = self.take_commands();
        if let Some(reason) = self.shared.poison.get() {
            step = self.fail_all(&reason);
        } else if step != Step::Stop {
            step = self.step().unwrap_or_else(|error| self.fail(&error));
        }
        match step {
            Step::Again => self.shared.store_bell.ring(),
            Step::Idle => {}
            Step::Stop => {
                self.fail_all("the bookie is closed");
                self.shared.commands.close();
                return Control::Stop;
            }
        }
        Control::Continue
    }

    fn take_commands(&mut self) -> Step {
        for command in self.shared.commands.take() {
            match command {
                Command::Flush(reply) => {
                    let sequence = self.shared.state().applied.sequence;
                    self.flush_requests.push(FlushRequest { sequence, reply });
                }
                Command::Collect { threshold, reply } => {
                    let collection = Collection::new(threshold);
                    self.collect_requests.push(Job { collection, reply: Some(reply) });
                }
                Command::Snapshot(request) => self.snapshot_requests.push(request),
                Command::Close(reply) => self.close = Some(reply),
                Command::Stop => return Step::Stop,
            }
        }
        Step::Idle
    }

    fn step(&mut self) -> Result<Step, WriteError> {
        self.tick();
        if let Some(stage) = self.flush.take() {
            self.flush_step(stage)?;
            return Ok(Step::Again);
        }
        if self.pin_snapshot() {
            return Ok(Step::Again);
        }
        if self.wants_flush() {
            self.begin_flush()?;
            return Ok(Step::Again);
        }
        self.answer_flushes();
        if let Some(reply) = self.close.take() {
            let checkpoint = Checkpoint { is_clean: true, ..self.store.checkpoint };
            let closed = self.store.write_checkpoint(checkpoint);
            _ = reply.send(closed.map_err(|error| error.to_string())); // The asker may be gone.
            return Ok(Step::Stop);
        }
        if self.collection.is_none() && !self.collect_requests.is_empty() {
            self.collection = Some(self.collect_requests.remove(0));
        }
        if let Some(job) = self.collection.take() {
            return self.collect_step(job);
        }
        self.prepare_spare()?;
        Ok(Step::Idle)
    }

    /// Looks at the clock and the free space.
    fn tick(&mut self) {
        let now = self.shared.env.clock.now();
        let elapsed = now - self.timers.now;
        self.timers.now = now;
        let options = &self.shared.options;
        let rate = options.compaction_bytes_per_second;
        let allowed = self.timers.compaction_bytes.saturating_add(bytes_in(rate, elapsed));
        self.timers.compaction_bytes = allowed.min(rate.max(1));
        if now >= self.timers.space {
            self.timers.space = now + options.tick;
            self.shared.watch_space();
        }
        let is_full = self.shared.state().read_only.is_some();
        let is_due = now >= self.timers.collect || is_full && now >= self.timers.collect_when_full;
        if is_due && self.collection.is_none() {
            self.timers.collect = now + options.gc_interval;
            self.timers.collect_when_full = now + COLLECT_WHEN_FULL;
            let mut threshold = 0.0;
            if now >= self.timers.minor {
                self.timers.minor = now + options.minor_interval;
                threshold = options.minor_threshold;
            }
            // On a full disk all the space that there is to gain.
            if now >= self.timers.major || is_full {
                self.timers.major = now + options.major_interval;
                threshold = options.major_threshold.max(threshold);
            }
            self.collection = Some(Job { collection: Collection::new(threshold), reply: None });
        }
    }

    fn wants_flush(&self) -> bool {
        let state = self.shared.state();
        if self.snapshot.is_some() || !self.snapshot_requests.is_empty() {
            return true; // One that waits has an unfinished flush before it.
        }
        if !self.store.is_behind(&state) {
            return false;
        }
        let covered = self.store.checkpoint.journal.sequence;
        let is_asked = self.close.is_some()
            || self.flush_requests.iter().any(|request| request.sequence > covered);
        let options = &self.shared.options;
        let is_due = state.active.bytes() >= options.write_cache_bytes / 2
            || state.cached_bytes() >= options.write_cache_bytes
            || self.timers.now >= self.timers.flush;
        is_asked || is_due && self.timers.now >= self.timers.retry
    }

    fn begin_flush(&mut self) -> Result<(), WriteError> {
        self.timers.flush = self.timers.now + self.shared.options.flush_interval;
        self.flush_began = self.shared.env.clock.now();
        // Fast writers would use up the reserve between two ticks.
        self.shared.watch_space();
        let pinned = self.snapshot.as_ref().map(|snapshot| snapshot.records.clone());
        match self.store.write_entries(&self.shared, pinned) {
            Ok(stage) => self.flush = Some(stage),
            Err(error) => return Err(self.give_up_flush(error)),
        }
        if self.shared.options.recycles_early() {
            let covers = self.shared.state().flushing.as_ref().map(|flushing| flushing.covers);
            self.release(covers.unwrap_or_default())?;
        }
        Ok(())
    }

    fn flush_step(&mut self, stage: Stage) -> Result<(), WriteError> {
        let next = match stage {
            Stage::Written(change) => self.store.sync_entries(change),
            Stage::Synced(change) => self.store.commit_entries(change),
            Stage::Committed(change) => {
                let covers = self.store.install(&change, &self.shared);
                let (now, counters) = (self.shared.env.clock.now(), &self.shared.counters);
                counters.flushes.add(1);
                counters.flush_latency.note(now, now - self.flush_began);
                self.shared.journal_bell.ring(); // There is room again.
                self.release(covers)?;
                // A rewritten index would say what became of ledgers after the moment.
                self.answer_snapshot(covers);
                return self.rewrite_index();
            }
        };
        self.flush = Some(next.map_err(|error| self.give_up_flush(error))?);
        Ok(())
    }

    /// Refuses new entries, since there is no place for those there are.
    fn give_up_flush(&mut self, error: WriteError) -> WriteError {
        let error = self.store.give_up_flush(error);
        self.timers.retry = self.timers.now + self.shared.options.tick;
        if let WriteError::Full { .. } = &error {
            let reason = self.shared.full_reason(&error);
            warn!(reason, "new entries are refused");
            self.shared.state().read_only.get_or_insert(reason);
            self.shared.journal_bell.ring(); // To refuse what waits for room.
        }
        error
    }

    /// Lets the moment of the next snapshot come: the write cache is turned over, and all that is
    /// durable now is in the snapshot, nothing else.
    fn pin_snapshot(&mut self) -> bool {
        let mut state = self.shared.state();
        if self.snapshot.is_some() || self.snapshot_requests.is_empty() || state.flushing.is_some()
        {
            return false;
        }
        let SnapshotRequest { moment, reply } = self.snapshot_requests.remove(0);
        let flushing = state.rotate();
        let records = state.ledger_records(&flushing.generation);
        (moment.0)();
        drop(state);
        self.snapshot = Some(PinnedSnapshot { sequence: flushing.covers.sequence, records, reply });
        true
    }

    fn answer_snapshot(&mut self, covers: JournalPosition) {
        if let Some(pinned) = self.snapshot.take_if(|it| it.sequence == covers.sequence) {
            let snapshot = Snapshot::take(&self.shared, &self.store);
            _ = pinned.reply.send(snapshot.map_err(|error| error.to_string())); // The asker may be gone.
        }
    }

    /// Gives back the journal files that are covered.
    fn release(&self, covers: JournalPosition) -> Result<(), WriteError> {
        let spares_max = self.shared.options.journal_spares_max;
        let excess = self.shared.journal_files.release(covers.sequence, spares_max);
        for spare in &excess {
            self.journal_dir.remove(&files::name(spare.number))?;
        }
        if excess.is_empty() { Ok(()) } else { self.journal_dir.sync() }
    }

    fn rewrite_index(&mut self) -> Result<(), WriteError> {
        let len = self.shared.state().snapshot_len();
        if !self.store.wants_index_rewrite(len) {
            return Ok(());
        }
        let snapshot = self.shared.state().snapshot();
        self.store.rewrite_index(&snapshot)
    }

    fn answer_flushes(&mut self) {
        let covered = self.store.checkpoint.journal.sequence;
        for request in self.flush_requests.extract_if(.., |it| it.sequence <= covered) {
            _ = request.reply.send(Ok(())); // The asker may be gone.
        }
    }

    fn collect_step(&mut self, mut job: Job) -> Result<Step, WriteError> {
        // Whoever asks for it does not want to wait.
        if job.reply.is_none() && self.timers.compaction_bytes == 0 {
            self.collection = Some(job);
            return Ok(Step::Idle); // The next tick allows more.
        }
        match job.collection.step(&mut self.store, &self.shared) {
            Ok(Some(bytes)) => {
                self.timers.compaction_bytes = self.timers.compaction_bytes.saturating_sub(bytes);
                self.collection = Some(job);
            }
            Ok(None) => {
                job.answer(Ok(job.collection.collected()));
                self.rewrite_index()?;
            }
            Err(error) => {
                job.answer(Err(error.to_string()));
                return Err(error);
            }
        }
        Ok(Step::Again)
    }

    /// Makes a journal file ready before it is needed: writing its zeros takes long, and a sync on
    /// blocks that were written before takes half as long.
    fn prepare_spare(&self) -> Result<(), WriteError> {
        let (shared, files) = (&self.shared, &self.shared.journal_files);
        if !files.wants_spare() || shared.state().read_only.is_some() {
            return Ok(());
        }
        let bytes = shared.options.journal_file_bytes;
        let needed = bytes.saturating_add(shared.options.min_free_bytes);
        if shared.free_bytes().is_some_and(|(free, _)| free < needed) {
            return Ok(()); // It would take what compaction and deletion live on.
        }
        let number = files.new_number();
        let name = files::name(number);
        let path = self.journal_dir.join(&name);
        let file = self.journal_dir.create(&name)?;
        let zeros = vec![0; size(bytes.min(1 << 20))];
        let filled = (0..bytes).step_by(zeros.len()).try_for_each(|offset| {
            let length = size(bytes - offset).min(zeros.len());
            file.write_at(&zeros[..length], offset)
        });
        if let Err(error) = filled {
            self.journal_dir.remove(&name)?;
            return Err(WriteError::write(&path, error));
        }
        file.sync_data().map_err(|error| WriteError::sync(&path, error))?;
        self.journal_dir.sync()?;
        files.put_spare(files::Spare { number, bytes });
        Ok(())
    }

    /// Handles a failed step.
    fn fail(&mut self, error: &WriteError) -> Step {
        match error {
            WriteError::Full { .. } => {
                debug!(%error, "tried again later");
                self.fail_all(&error.to_string())
            }
            WriteError::Fatal { .. } => {
                self.shared.poison.set(&error.to_string());
                self.shared.journal_bell.ring();
                self.fail_all(&error.to_string())
            }
        }
    }

    /// Answers all who wait with a failure.
    fn fail_all(&mut self, reason: &str) -> Step {
        for request in self.flush_requests.drain(..) {
            _ = request.reply.send(Err(reason.to_owned())); // The asker may be gone.
        }
        let pinned = self.snapshot.take().map(|snapshot| snapshot.reply);
        let waiting = self.snapshot_requests.drain(..).map(|request| request.reply);
        for reply in pinned.into_iter().chain(waiting) {
            _ = reply.send(Err(reason.to_owned())); // The asker may be gone.
        }
        for mut job in self.collection.take().into_iter().chain(self.collect_requests.drain(..)) {
            job.answer(Err(reason.to_owned()));
        }
        match self.close.take() {
            Some(reply) => {
                _ = reply.send(Err(reason.to_owned())); // The asker may be gone.
                Step::Stop
            }
            None => Step::Idle,
        }
    }
}

impl Job {
    fn answer(&mut self, answer: Result<Collected, String>) {
        if let Some(reply) = self.reply.take() {
            _ = reply.send(answer); // The asker may be gone.
        }
    }
}

impl Shared {
    /// Refuses new entries when little space is left, and takes them again when there is enough.
    pub(crate) fn watch_space(&self) {
        let min = self.options.min_free_bytes;
        let Some((free, path)) = self.free_bytes() else { return };
        let used = self.used_bytes();
        let mut state = self.state();
        let enough = min.saturating_add(min / 10);
        if free < min && state.read_only.is_none() {
            let reason = format!(
                "{free} bytes are free in {}, fewer than the limit of {min}; {used} are used by \
                 journal and entry logs",
                path.display()
            );
            warn!(reason, "new entries are refused");
            state.read_only = Some(reason);
        } else if free >= enough.max(1) && state.read_only.is_some() {
            state.read_only = None;
            info!(free, "new entries are accepted again");
        }
    }
}

/// Bytes that a rate allows in some time.
pub(crate) fn bytes_in(rate: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    rate.saturating_mul(millis) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_its_bytes_each_second() {
        for (rate, millis, allowed) in [(8, 1000, 8), (1000, 1, 1), (1, 999, 0), (3, 2500, 7)] {
            assert_eq!(bytes_in(rate, Duration::from_millis(millis)), allowed, "{rate} {millis}");
        }
        assert_eq!(bytes_in(0, Duration::from_secs(9)), 0);
    }
}
