//! The store as its users hold it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use geminga_env::{Bell, BoxFuture, Workers};
use geminga_metadata::{
    Expected, Lifetime, MetadataError, MetadataStore, Page, Version, Versioned, Watch, key,
};
use redb::{Database, ReadOnlyTable, ReadableDatabase};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    batch::{Outcome, Request},
    format::{self, KEYS, SEQUENCES},
    verify::guarded,
    writer::{Shared, Waiting},
};

/// Longer listings are read on a worker.
const LISTED_AT_ONCE: usize = 200;
/// Keys below a child that are stepped over before the tree is searched for the next child.
const STEPPED_OVER: usize = 8;

/// The embedded store. Dropping it closes the file in the background; [`Self::close`] waits.
pub struct EmbeddedStore {
    open: Mutex<Option<Open>>,
    closed: Mutex<Option<oneshot::Receiver<()>>>,
    shared: Arc<Shared>,
    bell: Bell,
    workers: Workers,
}

/// What is let go at closing.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) database: Arc<Database>,
    pub(crate) queue: mpsc::Sender<Waiting>,
}

/// A way to the queue. The worker looks up when one goes, to see whether it was the last.
struct Sender {
    queue: Option<mpsc::Sender<Waiting>>,
    bell: Bell,
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.queue = None;
        self.bell.ring();
    }
}

impl EmbeddedStore {
    pub(crate) fn new(
        open: Open,
        closed: oneshot::Receiver<()>,
        shared: Arc<Shared>,
        bell: Bell,
        workers: Workers,
    ) -> Self {
        let (open, closed) = (Mutex::new(Some(open)), Mutex::new(Some(closed)));
        Self { open, closed, shared, bell, workers }
    }

    /// Tells why the store is at its end, once it is. The process should then stop.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.failed.subscribe()
    }

    /// Commits what waits and closes the file; later calls answer `Unavailable`.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the file is closed all the same.
    pub async fn close(&self) {
        self.let_go();
        let closed = lock(&self.closed).take();
        if let Some(closed) = closed {
            // Nothing is ever sent: the worker drops its end when it has closed the file.
            drop(closed.await);
        }
    }

    fn let_go(&self) {
        drop(lock(&self.open).take());
        self.bell.ring();
    }

    fn open(&self) -> Result<Open, MetadataError> {
        self.shared.check()?;
        lock(&self.open).clone().ok_or_else(closed)
    }

    pub(crate) fn database(&self) -> Result<Arc<Database>, MetadataError> {
        Ok(self.open()?.database)
    }

    async fn ask(&self, request: Request) -> Outcome {
        let queue = Some(self.open()?.queue);
        let sender = Sender { queue, bell: self.bell.clone() };
        let (reply, outcome) = oneshot::channel();
        if let Some(queue) = &sender.queue {
            queue.send(Waiting { request, reply }).await.map_err(|_| closed())?;
        }
        drop(sender);
        outcome.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The first number of a sequence that was never reserved: all that were given out are below it.
    /// Writes nothing, so it works on a full disk too.
    ///
    /// # Errors
    ///
    /// If the store is closed or damaged, or `path` is no path.
    pub fn first_unreserved(&self, path: &str) -> Result<u64, MetadataError> {
        let open = self.open()?;
        let key = key::encode(path)?;
        // The table keeps pages from being freed; what was found in it does not.
        let number = || {
            let table = open.database.begin_read()?.open_table(SEQUENCES)?;
            let record = table.get(key.as_slice())?;
            Ok::<_, redb::Error>(record.map(|it| format::decode_number(&key, it.value())))
        };
        match guarded(number) {
            Ok(number) => number.unwrap_or(Ok(0)),
            Err(error) => Err(read_error(&self.shared, &error)),
        }
    }

    fn read(&self, key: &[u8]) -> Result<Option<Versioned>, MetadataError> {
        let open = self.open()?;
        if let Some(found) = self.shared.memory.get(key) {
            return Ok(Some(found));
        }
        let value = || {
            let table = open.database.begin_read()?.open_table(KEYS)?;
            let record = table.get(key)?;
            Ok::<_, redb::Error>(record.map(|it| format::decode_value(key, it.value())))
        };
        match guarded(value) {
            Ok(value) => value.transpose(),
            Err(error) => Err(read_error(&self.shared, &error)),
        }
    }

    async fn list(
        &self,
        path: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, MetadataError> {
        let (open, shared) = (self.open()?, Arc::clone(&self.shared));
        if limit <= LISTED_AT_ONCE {
            return list(&open.database, &shared, path, after, limit);
        }
        let (path, after) = (path.to_owned(), after.map(str::to_owned));
        let listing = self
            .workers
            .blocking(move || list(&open.database, &shared, &path, after.as_deref(), limit));
        listing.await
    }
}

fn list(
    database: &Database,
    shared: &Shared,
    path: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, MetadataError> {
    let table = || Ok(database.begin_read()?.open_table(KEYS)?);
    let table = guarded(table).map_err(|error| read_error(shared, &error))?;
    let mut seeker = Seeker { table: &table, rest: None };
    key::list_children(path, after, limit, |from| {
        let stored = guarded(|| seeker.seek(from));
        let stored = stored.map_err(|error| read_error(shared, &error))?;
        Ok([stored, shared.memory.seek(from)].into_iter().flatten().min())
    })
}

type Key = &'static [u8];

/// Finds keys, each behind the one before: most often right behind it.
struct Seeker<'a> {
    table: &'a ReadOnlyTable<Key, Key>,
    rest: Option<redb::Range<'a, Key, Key>>,
}

impl Seeker<'_> {
    fn seek(&mut self, from: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        for found in self.rest.iter_mut().flatten().take(STEPPED_OVER) {
            let (key, _) = found?;
            if from <= key.value() {
                return Ok(Some(key.value().to_vec()));
            }
        }
        let mut rest = self.table.range(from..)?;
        let found = rest.next().transpose()?.map(|(key, _)| key.value().to_vec());
        self.rest = Some(rest);
        Ok(found)
    }
}

fn read_error(shared: &Shared, error: &redb::Error) -> MetadataError {
    match error {
        redb::Error::Corrupted(reason) => MetadataError::Corrupt(reason.clone()),
        error => shared.fail(error),
    }
}

fn closed() -> MetadataError {
    MetadataError::Unavailable("it is closed".to_owned())
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}

impl MetadataStore for EmbeddedStore {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        Box::pin(async move { self.read(&key::encode(path)?) })
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(async move {
            key::encode(path)?;
            key::check_value(path, &value)?;
            let path = path.to_owned();
            Ok(self.ask(Request::Put { path, value, expected, lifetime }).await?.version)
        })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move {
            key::encode(path)?;
            self.ask(Request::Delete { path: path.to_owned(), expected }).await.map(|_| ())
        })
    }

    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        Box::pin(self.list(path, after, limit))
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        Box::pin(async move {
            let key = key::encode(path)?;
            self.open()?;
            if let Some(number) = self.shared.memory.take_number(&key) {
                return Ok(number);
            }
            Ok(self.ask(Request::NextNumber { path: path.to_owned() }).await?.number)
        })
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.shared.watchers.watch(prefix)
    }
}
