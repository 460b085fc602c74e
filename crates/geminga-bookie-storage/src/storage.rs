//! The handle: a bookie in this process.

use std::sync::{Arc, Mutex, PoisonError};

use geminga_bookie_api::{
    AddEntry, AddError, AddSink, Bookie, BookieId, FenceAnswer, ReadError, StoredEntry,
};
use geminga_env::{BoxFuture, Env};
use geminga_types::{EntryId, LedgerId};
use tokio::sync::{oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backup::Snapshot,
    error::OpenError,
    inbox::Request,
    journal::worker::{Journal, refusals},
    open::{Machines, open_files},
    options::Options,
    read::Range,
    scrub::Scrubber,
    shared::Shared,
    stats::Stats,
    store::{
        collect::Collected,
        commands::{Command, Moment, SnapshotRequest},
        worker::Worker,
    },
};

const CLOSED: &str = "the bookie is closed";

/// A bookie's storage. Clones share it; dropping the last stops it where it stands, as a crash
/// would, so [`Self::close`] it first.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    journal_done: Mutex<Option<oneshot::Receiver<()>>>,
    incarnation: u64,
    was_clean: bool,
}

/// Why a flush, a collection or a close did not finish. Everything confirmed is in the journal all
/// the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfinished(String);

impl Storage {
    /// Opens the storage in the directories of `options`, making it when there is none, and
    /// recovers what a crash left.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; each says what to do.
    pub async fn open(env: Env, options: Options) -> Result<Self, OpenError> {
        options.check()?;
        let options = Arc::new(options);
        let open = {
            let (env, options) = (env.clone(), Arc::clone(&options));
            move || open_files(&env, &options)
        };
        let machines = env.workers.blocking(open).await?;
        Self::start(env, options, machines)
    }

    fn start(env: Env, options: Arc<Options>, machines: Machines) -> Result<Self, OpenError> {
        let Machines { cookie, was_clean, opened, journal_dir, writer, store } = machines;
        let incarnation = store.checkpoint.incarnation;
        let shared = Arc::new(Shared::new(BookieId(cookie.uuid.into()), env, options, opened));
        shared.watch_space();
        let (done, journal_done) = oneshot::channel();
        let mut journal = Journal::new(Arc::clone(&shared), writer, done);
        let mut worker = Worker::new(Arc::clone(&shared), journal_dir, store);
        let (workers, path) = (&shared.env.workers, &shared.options.ledgers_dir);
        workers
            .spawn("bookie-journal", shared.journal_bell.clone(), move || journal.work())
            .and_then(|()| {
                workers.spawn("bookie-store", shared.store_bell.clone(), move || worker.work())
            })
            .map_err(|error| OpenError::io(path, error))?;
        if !shared.options.scrub_interval.is_zero() {
            let mut scrubber = Scrubber::new(Arc::clone(&shared));
            let bell = shared.scrub.bell.clone();
            let spawned = workers.spawn("bookie-scrubber", bell, move || scrubber.work());
            spawned.map_err(|error| OpenError::io(path, error))?;
        }
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(ring_regularly(Arc::downgrade(&shared), stop.clone()));
        tasks.close();
        let journal_done = Mutex::new(Some(journal_done));
        Ok(Self(Arc::new(Handle { shared, tasks, stop, journal_done, incarnation, was_clean })))
    }

    /// Flushes the write cache to the entry log.
    ///
    /// # Errors
    ///
    /// If the disk is full or the storage has failed.
    pub async fn flush(&self) -> Result<(), Unfinished> {
        self.ask(Command::Flush).await
    }

    /// Removes the entry logs that hold nothing live, and moves what lives in those whose share of
    /// live bytes is below the larger compaction threshold. Also happens by itself, see [`Options`].
    ///
    /// # Errors
    ///
    /// If the disk is full or the storage has failed.
    pub async fn collect(&self) -> Result<Collected, Unfinished> {
        let options = &self.0.shared.options;
        let threshold = options.major_threshold.max(options.minor_threshold);
        self.ask(|reply| Command::Collect { threshold, reply }).await
    }

    /// Says what must be copied for a backup, while others write. Flushes.
    ///
    /// `moment` is called at the moment that the snapshot is of: every entry confirmed before is in
    /// it, nothing that is applied later. It is called under a lock that adds wait for, so it must be
    /// short; what is to be of the same moment is pinned there.
    ///
    /// # Errors
    ///
    /// If the disk is full or the storage has failed.
    pub async fn snapshot(
        &self,
        moment: impl FnOnce() + Send + 'static,
    ) -> Result<Snapshot, Unfinished> {
        let moment = Moment(Box::new(moment));
        self.ask(|reply| Command::Snapshot(SnapshotRequest { moment, reply })).await
    }

    /// Finishes the adds that wait, flushes, and releases the directories.
    ///
    /// # Errors
    ///
    /// If the storage has failed, or the flush finds no space: nothing is lost, the next open
    /// recovers.
    pub async fn close(&self) -> Result<(), Unfinished> {
        let shared = &self.0.shared;
        let done = self.0.journal_done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(done) = done else { return Ok(()) };
        shared.scrub.stop();
        shared.inbox.stop();
        shared.journal_bell.ring();
        _ = done.await; // An error says that the journal is gone: done as well.
        let closed = self.ask(Command::Close).await;
        self.0.stop.cancel();
        self.0.tasks.wait().await;
        shared.unlock_directories();
        closed
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Command,
    ) -> Result<T, Unfinished> {
        let (reply, answer) = oneshot::channel();
        self.0.shared.commands.push(command(reply));
        self.0.shared.store_bell.ring();
        answer.await.unwrap_or_else(|_| Err(CLOSED.to_owned())).map_err(Unfinished)
    }

    /// Becomes `Some(reason)` when a write or sync failed for good. The process must stop then.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.0.shared.poison.watch()
    }

    /// Why new entries are refused, if they are.
    #[must_use]
    pub fn read_only(&self) -> Option<String> {
        self.0.shared.state().read_only.clone()
    }

    /// How often the storage was opened before and now.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.0.incarnation
    }

    /// The highest id of a ledger that is or was here.
    #[must_use]
    pub fn newest_ledger(&self) -> Option<LedgerId> {
        self.0.shared.state().ledgers.newest()
    }

    /// Whether it was closed before it was opened now.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.0.was_clean
    }

    /// What it has done and holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.0.shared;
        let read_cache = shared.read_cache.held();
        let state = shared.state();
        let files = || state.index.files().values();
        Stats {
            write_cache_bytes: state.cached_bytes() as u64,
            write_cache_entries: state.cached_entries() as u64,
            read_cache_bytes: read_cache.0 as u64,
            read_cache_blocks: read_cache.1 as u64,
            journal_waiting: shared.inbox.entries() as u64,
            entry_logs: files().count() as u64,
            entry_log_bytes: files().map(|file| file.bytes).sum(),
            entry_log_live_bytes: files().map(|file| file.live_bytes).sum(),
            journal_files: shared.journal_files.count() as u64,
            ledgers: state.ledgers.len() as u64,
            index_rows: state.index.row_count() as u64,
            scrub_damages: shared.scrub.damages() as u64,
            ..shared.counters.snapshot(shared.env.clock.now())
        }
    }

    fn send(&self, request: Request) -> Result<(), Request> {
        let shared = &self.0.shared;
        shared.inbox.push(request)?;
        shared.journal_bell.ring();
        Ok(())
    }
}

impl Bookie for Storage {
    fn id(&self) -> &BookieId {
        &self.0.shared.id
    }

    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>) {
        if entries.is_empty() {
            return;
        }
        let came_at = self.0.shared.env.clock.now();
        let request = Request::Add { entries, sink, came_at };
        if let Err(Request::Add { entries, sink, .. }) = self.send(request) {
            sink.on_added(self.id(), refusals(entries, &AddError::Failed(CLOSED.to_owned())));
        }
    }

    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>> {
        Box::pin(self.0.shared.read(Range { ledger_id, first, last, bytes_max }))
    }

    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Request::Fence { ledger_id, reply });
        Box::pin(async move {
            let closed = || Err(ReadError::Failed(CLOSED.to_owned()));
            if sent.is_err() { closed() } else { answer.await.unwrap_or_else(|_| closed()) }
        })
    }

    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>> {
        let (reply, answer) = oneshot::channel();
        let sent = self.send(Request::Delete { ledger_id, reply });
        Box::pin(async move {
            let closed = || Err(AddError::Failed(CLOSED.to_owned()));
            if sent.is_err() { closed() } else { answer.await.unwrap_or_else(|_| closed()) }
        })
    }
}

/// Lets the store's worker look at its timers.
async fn ring_regularly(shared: std::sync::Weak<Shared>, stop: CancellationToken) {
    let Some(tick) = shared.upgrade().map(|shared| shared.options.tick) else { return };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(tick) => {}
        }
        let Some(shared) = shared.upgrade() else { return };
        shared.store_bell.ring();
        shared.scrub.bell.ring();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
        self.shared.scrub.stop();
        self.shared.inbox.stop();
        self.shared.journal_bell.ring();
        self.shared.commands.push(Command::Stop);
        self.shared.store_bell.ring();
    }
}
