//! What users noted about the topic: kept in the key, changed by its writes.
//!
//! # Invariants
//!
//! 1. Changes become durable in their order, and each has one outcome, in the same order.

use std::collections::{BTreeMap, VecDeque};

use super::ManagedLedger;

/// A property and its value; nothing removes it.
type Change = (String, Option<String>);

#[derive(Debug, Default)]
pub(super) struct Properties {
    /// In wall-clock milliseconds.
    created: Option<u64>,
    /// What the key has.
    current: BTreeMap<String, String>,
    wanted: VecDeque<Vec<Change>>,
    /// How many of these the running transition writes.
    running: usize,
    outcomes: VecDeque<Result<(), String>>,
}

impl Properties {
    /// What the key said.
    pub(super) fn new(created: Option<u64>, current: BTreeMap<String, String>) -> Self {
        Self { created, current, ..Self::default() }
    }

    pub(super) fn has_step(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// What the transition that begins is to write.
    pub(super) fn start_step(&mut self) -> Vec<Change> {
        self.running = self.wanted.len();
        self.wanted.iter().flatten().cloned().collect()
    }

    pub(super) fn on_done(&mut self) {
        for (key, value) in self.wanted.drain(..self.running).flatten() {
            match value {
                Some(value) => _ = self.current.insert(key, value),
                None => _ = self.current.remove(&key),
            }
        }
        self.outcomes.extend((0..std::mem::take(&mut self.running)).map(|_| Ok(())));
    }

    pub(super) fn on_failed(&mut self, reason: &str) {
        for _ in self.wanted.drain(..std::mem::take(&mut self.running)) {
            self.outcomes.push_back(Err(reason.to_owned()));
        }
    }
}

impl ManagedLedger {
    /// When the topic was created, in wall-clock milliseconds, if that is known.
    #[must_use]
    pub const fn created(&self) -> Option<u64> {
        self.properties.created
    }

    /// What users noted, durably.
    #[must_use]
    pub const fn properties(&self) -> &BTreeMap<String, String> {
        &self.properties.current
    }

    /// Changes properties, all or none; nothing removes one. An outcome follows.
    pub fn change_properties(&mut self, changes: Vec<(String, Option<String>)>) {
        self.properties.wanted.push_back(changes);
        if self.life.refuses_all() {
            self.properties.running = self.properties.wanted.len();
            self.properties.on_failed("the managed ledger is closed");
        }
    }

    /// Takes out what became of a change, in the order of the changes: durable, or not or nobody knows,
    /// for that reason. Call until `None`.
    pub fn poll_properties(&mut self) -> Option<Result<(), String>> {
        self.properties.outcomes.pop_front()
    }
}
