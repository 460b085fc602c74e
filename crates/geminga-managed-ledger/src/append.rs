//! What was appended and what became of it.
//!
//! # Invariants
//!
//! 1. Each append has exactly one outcome, and outcomes come in the order of the appends.
//! 2. Only a [`geminga_ledger::Confirmed`] makes a [`Confirmed`].

use std::collections::VecDeque;

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_types::{Ordinal, Position};

/// What became of one append.
#[derive(Debug)]
#[must_use = "an append is to be answered"]
pub enum Outcome {
    /// Stored on its ack quorum, and every entry before it too.
    Confirmed(Confirmed),
    /// Not confirmed.
    Failed(AppendError),
}

/// Proof that an entry is stored durably: what a send receipt is made from.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "a confirmed entry must be acknowledged"]
pub struct Confirmed {
    /// Where it lies.
    pub position: Position,
    /// Its place in the chain.
    pub ordinal: Ordinal,
    /// What was appended, without its front.
    pub body: Bytes,
}

/// Why an append was not confirmed. Whoever appends again must do so for everything behind it too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The bookies or the metadata store failed before it was sent, or refused it. It does not
    /// exist; try again later.
    #[error("not stored: {0}")]
    NotStored(String),
    /// The bookies failed while it was on its way. It may exist; try again later.
    #[error("may not be stored: {0}")]
    MayExist(String),
    /// The topic has another owner. It may exist; ask there.
    #[error("the managed ledger has another owner")]
    Fenced,
    /// The topic takes no more entries. It does not exist.
    #[error("the managed ledger is terminated")]
    Terminated,
    /// The topic is closing here. It does not exist; ask its next owner.
    #[error("the managed ledger is closed")]
    Closed,
}

/// An append not yet sent.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) front: Bytes,
    pub(crate) body: Bytes,
    /// Of both.
    pub(crate) sum: Sum,
}

/// Appends not yet sent, and outcomes not yet taken.
#[derive(Debug, Default)]
pub(crate) struct AppendQueue {
    waiting: VecDeque<Append>,
    outcomes: VecDeque<Outcome>,
}

impl Confirmed {
    /// With the front that it was appended with.
    pub(crate) fn prove(proof: geminga_ledger::Confirmed, ordinal: Ordinal) -> (Bytes, Self) {
        let position = proof.position();
        let (front, body) = proof.into_parts();
        (front, Self { position, ordinal, body })
    }
}

impl AppendQueue {
    pub(crate) fn push(&mut self, append: Append) {
        self.waiting.push_back(append);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Append> {
        self.waiting.pop_front()
    }

    pub(crate) fn confirm(&mut self, confirmed: Confirmed) {
        self.outcomes.push_back(Outcome::Confirmed(confirmed));
    }

    /// Fails one append that was sent, or never queued.
    pub(crate) fn fail(&mut self, error: AppendError) {
        self.outcomes.push_back(Outcome::Failed(error));
    }

    /// Fails every append that waits. Those that were sent must have their outcomes already.
    pub(crate) fn fail_waiting(&mut self, error: &AppendError) {
        for _ in self.waiting.drain(..) {
            self.outcomes.push_back(Outcome::Failed(error.clone()));
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
        self.outcomes.shrink_to_fit();
    }

    pub(crate) fn poll(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }
}
