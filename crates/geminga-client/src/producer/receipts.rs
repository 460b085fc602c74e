//! Receipts in bulk: where the outcomes of many messages are collected, without a channel for each.
//!
//! # Invariants
//!
//! 1. Every message that was taken has exactly one outcome, be it that its producer is gone.
//! 2. What is collected is bounded by the producers' windows, and by what the owner did not take.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::SendError;
use crate::{MessageId, OutgoingMetadata};

/// A message to send, with what its outcome will be known by.
#[derive(Clone, Debug, Default)]
pub struct OutgoingMessage {
    /// Comes back with the outcome.
    pub token: u64,
    /// What is said of it.
    pub metadata: OutgoingMetadata,
    /// What is sent.
    pub payload: Bytes,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The message's.
    pub token: u64,
    /// Where it is stored, or why it is not.
    pub result: Result<MessageId, SendError>,
}

/// Collects the outcomes of the messages of any number of producers.
#[derive(Debug, Default)]
pub struct Receipts {
    collected: Arc<Collected>,
}

#[derive(Debug, Default)]
struct Collected {
    outcomes: Mutex<Vec<Outcome>>,
    bell: Notify,
}

impl Receipts {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until there is an outcome, and appends all there are to `outcomes`.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    pub async fn take(&mut self, outcomes: &mut Vec<Outcome>) {
        while !self.try_take(outcomes) {
            self.collected.bell.notified().await;
        }
    }

    /// Appends the outcomes that are here already; whether there was one.
    pub fn try_take(&mut self, outcomes: &mut Vec<Outcome>) -> bool {
        let mut collected = self.collected.lock();
        if collected.is_empty() {
            return false;
        }
        if outcomes.is_empty() {
            mem::swap(outcomes, &mut collected);
        } else {
            outcomes.append(&mut collected);
        }
        true
    }

    /// Messages that can't be sent.
    pub(super) fn refuse(&self, messages: Vec<OutgoingMessage>, error: &SendError) {
        for OutgoingMessage { token, .. } in messages {
            self.collected.push(Outcome { token, result: Err(error.clone()) });
        }
    }

    /// A group of messages that are sent together, and free their places together.
    pub(super) fn group(&self, places: [OwnedSemaphorePermit; 2]) -> Arc<Group> {
        Arc::new(Group { collected: Arc::clone(&self.collected), _places: places })
    }
}

impl Collected {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Outcome>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, outcome: Outcome) {
        let mut outcomes = self.lock();
        outcomes.push(outcome);
        // Whoever found it empty waits, or will look again; others were told before.
        if outcomes.len() == 1 {
            drop(outcomes);
            self.bell.notify_one();
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    collected: Arc<Collected>,
    _places: [OwnedSemaphorePermit; 2],
}

/// Who waits for one message of a group. Dropped without an answer, it says that the producer is gone.
#[derive(Debug)]
pub(super) struct Member {
    token: u64,
    group: Option<Arc<Group>>,
}

impl Member {
    pub(super) fn new(token: u64, group: &Arc<Group>) -> Self {
        Self { token, group: Some(Arc::clone(group)) }
    }

    pub(super) fn answer(mut self, result: Result<MessageId, SendError>) {
        self.tell(result);
    }

    fn tell(&mut self, result: Result<MessageId, SendError>) {
        if let Some(group) = self.group.take() {
            group.collected.push(Outcome { token: self.token, result });
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.tell(Err(SendError::Closed));
    }
}
