//! A store that behaves as badly as the trait allows, for the tests of its users.
//!
//! It wraps a store and, from a seed, answers `Unavailable` before or after a write was made, hands
//! changes on late, twice or merged, and loses sessions with their ephemeral keys. It never breaks
//! the trait's promises: what a user cannot bear here, it could not bear in production.
//!
//! Time passes by `tokio::time`: use a paused runtime.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use geminga_env::BoxFuture;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::{
    Change, Expected, Lifetime, MetadataError, MetadataStore, Page, SharedStore, Version,
    Versioned, Watch,
};

/// The adversary. Each one is a session of its own on the store it wraps.
#[derive(Debug)]
pub struct Adversary {
    inner: SharedStore,
    rng: Arc<Mutex<StdRng>>,
    ephemerals: Mutex<BTreeSet<String>>,
    /// Counts lost sessions.
    sessions: watch::Sender<u64>,
    calm: AtomicBool,
    relays: TaskTracker,
}

const DELAY_MAX: Duration = Duration::from_millis(50);
const RELAYED_MAX: usize = 256;

impl Adversary {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: SharedStore, seed: u64) -> Self {
        Self {
            inner,
            rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            ephemerals: Mutex::default(),
            sessions: watch::Sender::new(0),
            calm: AtomicBool::new(false),
            relays: TaskTracker::new(),
        }
    }

    /// Stops answering `Unavailable` and losing sessions; changes may still come late.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Loses the session: its ephemeral keys go, and every watcher hears of it and of a new one.
    pub async fn lose_session(&self) {
        let keys = std::mem::take(&mut *lock(&self.ephemerals));
        for key in keys {
            // Whoever deleted or could not reach it: the key is gone as far as this session knows.
            drop(self.inner.delete(&key, Expected::Any).await);
        }
        self.sessions.send_modify(|lost| *lost += 1);
    }

    /// One time in `n`, while it is not calm.
    fn strikes(&self, n: u32) -> bool {
        !self.calm.load(Ordering::Relaxed) && lock(&self.rng).random_ratio(1, n)
    }

    async fn before(&self) -> Result<(), MetadataError> {
        pause(&self.rng, Duration::from_millis(3)).await;
        if self.strikes(60) {
            self.lose_session().await;
        }
        if self.strikes(15) { Err(outage()) } else { Ok(()) }
    }

    /// The call was made; its answer may get lost.
    async fn after<T>(&self, answer: Result<T, MetadataError>) -> Result<T, MetadataError> {
        pause(&self.rng, Duration::from_millis(3)).await;
        if self.strikes(15) { Err(outage()) } else { answer }
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outage() -> MetadataError {
    MetadataError::Unavailable("connection loss".to_owned())
}

async fn pause(rng: &Mutex<StdRng>, most: Duration) {
    let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let pause = Duration::from_millis(lock(rng).random_range(0..=most));
    tokio::time::sleep(pause).await;
}

impl MetadataStore for Adversary {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        Box::pin(async move {
            self.before().await?;
            let answer = self.inner.get(path).await;
            self.after(answer).await
        })
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(async move {
            self.before().await?;
            let answer = self.inner.put(path, value, expected, lifetime).await;
            if lifetime == Lifetime::Ephemeral && answer.is_ok() {
                lock(&self.ephemerals).insert(path.to_owned());
            }
            self.after(answer).await
        })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move {
            self.before().await?;
            let answer = self.inner.delete(path, expected).await;
            if answer.is_ok() {
                lock(&self.ephemerals).remove(path);
            }
            self.after(answer).await
        })
    }

    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        Box::pin(async move {
            self.before().await?;
            let answer = self.inner.children(path, after, limit).await;
            self.after(answer).await
        })
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        Box::pin(async move {
            self.before().await?;
            let answer = self.inner.next_in_sequence(path).await;
            self.after(answer).await
        })
    }

    fn watch(&self, prefix: &str) -> Watch {
        let (sender, watch) = mpsc::channel(RELAYED_MAX);
        let relay = Relay {
            changes: self.inner.watch(prefix),
            sessions: self.sessions.subscribe(),
            rng: Arc::clone(&self.rng),
            sender,
        };
        self.relays.spawn(relay.run());
        watch
    }
}

/// Hands one watcher's changes on.
struct Relay {
    changes: Watch,
    sessions: watch::Receiver<u64>,
    rng: Arc<Mutex<StdRng>>,
    sender: mpsc::Sender<Change>,
}

impl Relay {
    /// Ends when the watcher or the store is gone.
    async fn run(mut self) {
        while self.relay().await.is_some() {}
    }

    async fn relay(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            () = self.sender.closed() => None,
            lost = self.sessions.changed() => {
                lost.ok()?;
                self.send(Change::SessionLost).await?;
                pause(&self.rng, DELAY_MAX).await;
                self.send(Change::SessionRegained).await
            }
            change = self.changes.recv() => self.mistreat(change?).await,
        }
    }

    async fn mistreat(&mut self, mut change: Change) -> Option<()> {
        pause(&self.rng, DELAY_MAX).await;
        let choice = lock(&self.rng).random_range(0..6);
        if choice == 0 && matches!(change, Change::Path(_)) {
            // Merged with all that wait.
            while let Ok(Change::Path(_) | Change::Everything) = self.changes.try_recv() {}
            change = Change::Everything;
        }
        if choice == 1 {
            self.send(change.clone()).await?;
        }
        self.send(change).await
    }

    async fn send(&self, change: Change) -> Option<()> {
        self.sender.send(change).await.ok()
    }
}
