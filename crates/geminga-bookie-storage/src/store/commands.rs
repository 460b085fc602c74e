//! What others ask of the store's worker.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::collect::Collected;
use crate::backup::Snapshot;

/// Called at the moment of a snapshot, under the lock of the state: must be short.
pub(crate) struct Moment(pub(crate) Box<dyn FnOnce() + Send>);

/// A wish for a snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotRequest {
    pub(crate) moment: Moment,
    pub(crate) reply: oneshot::Sender<Result<Snapshot, String>>,
}

/// A request with its answer's way back.
#[derive(Debug)]
pub(crate) enum Command {
    /// Flush all that is applied now.
    Flush(oneshot::Sender<Result<(), String>>),
    /// Remove dead entry logs, and rewrite those below the threshold.
    Collect { threshold: f64, reply: oneshot::Sender<Result<Collected, String>> },
    /// Say what must be copied for a backup.
    Snapshot(SnapshotRequest),
    /// Flush, note that the stop is clean, and stop.
    Close(oneshot::Sender<Result<(), String>>),
    /// Stop where it stands.
    Stop,
}

/// Commands in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Commands(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Command>,
    is_closed: bool,
}

impl Commands {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a command; when the worker has stopped, answers it with a failure.
    pub(crate) fn push(&self, command: Command) {
        let mut state = self.state();
        if state.is_closed {
            drop(state);
            command.fail("the bookie is closed");
        } else {
            state.waiting.push(command);
        }
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.state().waiting)
    }

    /// The worker stops: those who still wait get a failure.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|command| _ = command.fail("the bookie is closed"));
    }
}

impl Command {
    /// Answers with a failure; `true` if it was to stop the worker. The asker may be gone.
    pub(crate) fn fail(self, reason: &str) -> bool {
        match self {
            Self::Flush(reply) => _ = reply.send(Err(reason.to_owned())),
            Self::Collect { reply, .. } => _ = reply.send(Err(reason.to_owned())),
            Self::Snapshot(request) => _ = request.reply.send(Err(reason.to_owned())),
            Self::Close(reply) => {
                _ = reply.send(Err(reason.to_owned()));
                return true;
            }
            Self::Stop => return true,
        }
        false
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moment")
    }
}
