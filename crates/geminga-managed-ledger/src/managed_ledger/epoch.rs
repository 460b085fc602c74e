//! The epoch of the topic's exclusive producers: kept in the key, changed by one write at a time.
//!
//! # Invariants
//!
//! 1. An epoch is told as stored only after the key has it, durably.

use std::collections::VecDeque;

use super::ManagedLedger;

/// What became of a change of the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpochEvent {
    /// This is the epoch, durably.
    Stored(u64),
    /// It was not stored, or nobody knows; it may be tried again.
    Failed(String),
}

#[derive(Debug, Default)]
pub(super) struct Epoch {
    current: Option<u64>,
    wanted: Option<u64>,
    /// What the running transition writes.
    running: Option<u64>,
    events: VecDeque<EpochEvent>,
}

impl Epoch {
    /// What the key said.
    pub(super) fn new(current: Option<u64>) -> Self {
        Self { current, ..Self::default() }
    }

    pub(super) const fn has_step(&self) -> bool {
        self.wanted.is_some()
    }

    /// What the transition that begins is to write.
    pub(super) const fn start_step(&mut self) -> Option<u64> {
        self.running = self.wanted.take();
        self.running
    }

    pub(super) fn on_done(&mut self) {
        if let Some(epoch) = self.running.take() {
            self.current = Some(epoch);
            self.events.push_back(EpochEvent::Stored(epoch));
        }
    }

    pub(super) fn on_failed(&mut self, reason: &str) {
        if self.running.take().is_some() {
            self.events.push_back(EpochEvent::Failed(reason.to_owned()));
        }
    }
}

impl ManagedLedger {
    /// The epoch that the key has; `None`: there has been no exclusive producer.
    #[must_use]
    pub const fn epoch(&self) -> Option<u64> {
        self.epoch.current
    }

    /// Stores an epoch; an event follows. One at a time.
    pub fn store_epoch(&mut self, epoch: u64) {
        if self.life.refuses_all() {
            let reason = "the managed ledger is closed".to_owned();
            self.epoch.events.push_back(EpochEvent::Failed(reason));
            return;
        }
        self.epoch.wanted = Some(epoch);
    }

    /// Takes out what became of the epoch. Call until `None`.
    pub fn poll_epoch_event(&mut self) -> Option<EpochEvent> {
        self.epoch.events.pop_front()
    }
}
