//! The worker that commits: everything that waits, in one transaction.

use std::{path::PathBuf, sync::Arc};

use geminga_env::{Bell, Control, Disk, File, disk::Lock};
use geminga_metadata::{MetadataError, Watchers};
use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    batch::{Batch, Effects, Outcome, Request},
    memory::Memory,
    verify::{Step, Verification, guarded},
};

/// Requests that may wait.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Requests of one commit.
const BATCH_MAX: usize = 512;
/// Records that are verified between two commits.
const VERIFIED_AT_ONCE: usize = 250;
/// Room that the disk must have, beyond that for the file to double.
const SPARE_BYTES: u64 = 1_024 * 1_024;
/// Free pages inside the file with which a delete, and any request, goes on although the disk is full.
const FREE_PAGES_FOR_DELETES: u64 = 32;
const FREE_PAGES_FOR_ALL: u64 = 256;
const PAGE_BYTES: u64 = 4_096;

/// A request and who waits for its outcome.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// What the worker and the readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) memory: Memory,
    pub(crate) watchers: Watchers,
    /// Why the store is at its end, if it is.
    pub(crate) failed: watch::Sender<Option<Arc<str>>>,
}

/// The worker. When it stops, the file is closed, then unlocked, then `_closed` dropped.
pub(crate) struct Writer {
    pub(crate) database: Arc<Database>,
    pub(crate) file: Arc<dyn File>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) directory: PathBuf,
    pub(crate) queue: mpsc::Receiver<Waiting>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) bell: Bell,
    /// What is still to be verified of the file.
    pub(crate) verification: Option<Verification>,
    pub(crate) _lock: Box<dyn Lock>,
    pub(crate) _closed: oneshot::Sender<()>,
}

/// What a nearly full disk leaves possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    ForAll,
    ForDeletes,
    None,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            memory: Memory::default(),
            watchers: Watchers::new(),
            failed: watch::Sender::new(None),
        }
    }

    /// The store is at its end; the first reason stays.
    pub(crate) fn fail(&self, reason: &dyn std::fmt::Display) -> MetadataError {
        let reason: Arc<str> = reason.to_string().into();
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                tracing::error!(%reason, "the metadata store failed and stays so until a restart");
                *failed = Some(Arc::clone(&reason));
            }
            first
        });
        MetadataError::Unavailable(reason.to_string())
    }

    pub(crate) fn check(&self) -> Result<(), MetadataError> {
        match self.failed.borrow().as_ref() {
            Some(reason) => Err(MetadataError::Unavailable(reason.to_string())),
            None => Ok(()),
        }
    }
}

impl Writer {
    /// Commits what waits, once.
    pub(crate) fn work(&mut self) -> Control {
        let mut batch = Vec::new();
        let mut control = Control::Continue;
        while batch.len() < BATCH_MAX {
            match self.queue.try_recv() {
                Ok(waiting) => batch.push(waiting),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    control = Control::Stop;
                    break;
                }
            }
        }
        if batch.len() == BATCH_MAX {
            self.bell.ring();
        }
        if !batch.is_empty() {
            self.commit(batch);
        }
        self.verify();
        control
    }

    /// Verifies some more of the file, if it is not yet.
    fn verify(&mut self) {
        let Some(verification) = &mut self.verification else { return };
        match guarded(|| verification.step(VERIFIED_AT_ONCE)) {
            Ok(Step::More) => return self.bell.ring(),
            Ok(Step::Done) => {}
            Err(error) => drop(self.shared.fail(&error)),
        }
        self.verification = None;
    }

    fn commit(&self, batch: Vec<Waiting>) {
        let (requests, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.request, waiting.reply)).unzip();
        let count = requests.len();
        let outcomes = match self.shared.check() {
            Ok(()) => guarded(|| self.apply(requests)).map_err(|error| self.shared.fail(&error)),
            Err(error) => Err(error),
        };
        let outcomes = outcomes.unwrap_or_else(|error| {
            std::iter::repeat_with(|| Err(error.clone())).take(count).collect()
        });
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Who no longer waits does not need the answer.
            drop(reply.send(outcome));
        }
    }

    fn apply(&self, requests: Vec<Request>) -> Result<Vec<Outcome>, redb::Error> {
        let transaction = self.database.begin_write()?;
        let room = self.room(&transaction)?;
        let mut batch = Batch::begin(&transaction, &self.shared.memory)?;
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            outcomes.push(match room.check(&request) {
                Ok(()) => batch.apply(request)?,
                Err(error) => Err(error),
            });
        }
        let effects = batch.end()?;
        if effects.writes_file {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        self.publish(effects);
        Ok(outcomes)
    }

    fn publish(&self, effects: Effects) {
        self.shared.memory.apply(effects.ephemerals);
        self.shared.memory.reserve(effects.numbers);
        for path in effects.changed {
            self.shared.watchers.changed(&path);
        }
    }

    /// A file that cannot grow is lost to redb until a restart, so it must not come to that.
    fn room(&self, transaction: &WriteTransaction) -> Result<Room, redb::Error> {
        let len = self.file.len()?;
        let available = self.disk.available_bytes(&self.directory)?;
        if available >= len.saturating_add(SPARE_BYTES) {
            return Ok(Room::ForAll);
        }
        let free = (len / PAGE_BYTES).saturating_sub(transaction.stats()?.allocated_pages());
        Ok(match free {
            FREE_PAGES_FOR_ALL.. => Room::ForAll,
            FREE_PAGES_FOR_DELETES.. => Room::ForDeletes,
            _ => Room::None,
        })
    }
}

impl Room {
    fn check(self, request: &Request) -> Result<(), MetadataError> {
        match (self, request) {
            (Self::ForAll, _) | (Self::ForDeletes, Request::Delete { .. }) => Ok(()),
            (Self::ForDeletes | Self::None, _) => Err(MetadataError::Unavailable(
                "the disk with the metadata is full; free some space on it".to_owned(),
            )),
        }
    }
}
