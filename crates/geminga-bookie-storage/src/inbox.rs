//! What waits for the journal.
//!
//! # Invariants
//!
//! 1. A request that was accepted is answered; one that comes after the close is given back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use geminga_bookie_api::{AddEntry, AddError, AddSink, FenceAnswer, ReadError};
use geminga_env::Instant;
use geminga_types::LedgerId;
use tokio::sync::oneshot;

/// Something for the journal to make durable.
#[derive(Debug)]
pub(crate) enum Request {
    Add { entries: Vec<AddEntry>, sink: Arc<dyn AddSink>, came_at: Instant },
    Fence { ledger_id: LedgerId, reply: oneshot::Sender<Result<FenceAnswer, ReadError>> },
    Delete { ledger_id: LedgerId, reply: oneshot::Sender<Result<(), AddError>> },
}

/// Requests in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    is_stopping: bool,
    is_closed: bool,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request, or gives it back when the journal is closed.
    pub(crate) fn push(&self, request: Request) -> Result<(), Request> {
        let mut state = self.state();
        if state.is_closed {
            return Err(request);
        }
        state.requests.push(request);
        Ok(())
    }

    /// How many entries wait.
    pub(crate) fn entries(&self) -> usize {
        let state = self.state();
        let entries = state.requests.iter().map(|request| match request {
            Request::Add { entries, .. } => entries.len(),
            Request::Fence { .. } | Request::Delete { .. } => 0,
        });
        entries.sum()
    }

    /// Takes all requests.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }

    /// Asks the journal to finish what is waiting and stop.
    pub(crate) fn stop(&self) {
        self.state().is_stopping = true;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// Takes the last requests; later ones are given back.
    pub(crate) fn close(&self) -> Vec<Request> {
        let mut state = self.state();
        state.is_closed = true;
        std::mem::take(&mut state.requests)
    }
}
