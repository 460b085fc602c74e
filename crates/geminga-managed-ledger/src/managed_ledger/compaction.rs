//! Which compacted ledger counts, which is being written, and which waits for its last reader.
//!
//! # Invariants
//!
//! 1. The key names a ledger that is being written before anything is in it, so that one that was cut
//!    short is found and deleted by the next load.
//! 2. What compacted ledger counts changes with one compare-and-set of the key.
//! 3. The one before is deleted when nobody holds it any more: by its tombstone, at a start, if this
//!    machine does not get to it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use geminga_ledger::LedgerOptions;
use geminga_types::LedgerId;

use super::ManagedLedger;
use crate::{
    compacted::{Compacted, CompactedLedger},
    side_ledger::SideWriter,
    tombstone::Doomed,
};

/// What became of a step of compaction.
#[derive(Debug)]
pub enum CompactionEvent {
    /// The ledger is there, empty.
    Begun(SideWriter),
    /// It was not made.
    NotBegun {
        /// Why.
        reason: String,
    },
    /// The compacted ledger counts from now on, durably.
    Finished,
}

/// A step that the next transition takes.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Begin(LedgerOptions),
    Finish(CompactedLedger),
    Abandon(LedgerId),
}

#[derive(Debug, Default)]
pub(super) struct Compaction {
    current: Option<Arc<Compacted>>,
    steps: VecDeque<Step>,
    /// What the running transition does.
    running: Option<Step>,
    /// Replaced, and read by somebody.
    retired: Vec<(Arc<Compacted>, Doomed)>,
    events: VecDeque<CompactionEvent>,
}

impl Compaction {
    /// What the key said: which ledger counts, and which was being written.
    pub(super) fn new(compacted: Option<CompactedLedger>, cut_short: Option<LedgerId>) -> Self {
        Self {
            current: compacted.map(|record| Arc::new(Compacted::new(record))),
            steps: cut_short.map(Step::Abandon).into_iter().collect(),
            ..Self::default()
        }
    }

    /// The last of the topic's ledgers that the compacted one has entries of.
    pub(super) fn horizon_ledger(&self) -> Option<LedgerId> {
        self.current.as_ref().map(|compacted| compacted.horizon().ledger_id)
    }

    pub(super) fn has_step(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The next step, for the transition that begins.
    pub(super) fn start_step(&mut self) -> Option<Step> {
        debug_assert!(self.running.is_none(), "one transition at a time");
        self.running = self.steps.pop_front();
        self.running.clone()
    }

    /// Whether nothing is left to do when the managed ledger closes.
    pub(super) fn is_quiet(&self) -> bool {
        self.steps.is_empty() && self.running.is_none() && self.retired.is_empty()
    }

    /// What is not begun is not begun any more.
    pub(super) fn close(&mut self) {
        self.steps.retain(|step| !matches!(step, Step::Begin(_)));
    }

    pub(super) fn on_begun(&mut self, writer: SideWriter) {
        self.running = None;
        self.events.push_back(CompactionEvent::Begun(writer));
    }

    /// What was not achieved is tried again, but for a beginning: a ledger that may be in the key by
    /// then is taken out again.
    pub(super) fn on_failed(&mut self, orphan: Option<LedgerId>, reason: &str) {
        match self.running.take() {
            None => {}
            Some(Step::Begin(_)) => {
                self.steps.extend(orphan.map(Step::Abandon));
                self.events.push_back(CompactionEvent::NotBegun { reason: reason.to_owned() });
            }
            Some(step) => self.steps.push_front(step),
        }
    }

    pub(super) fn on_finished(&mut self, doomed: Option<Doomed>) {
        let Some(Step::Finish(record)) = self.running.take() else { return };
        let before = self.current.replace(Arc::new(Compacted::new(record)));
        self.retired.extend(before.zip(doomed));
        self.events.push_back(CompactionEvent::Finished);
    }

    pub(super) fn on_abandoned(&mut self) {
        self.running = None;
    }

    /// A replaced ledger that nobody reads any more.
    pub(super) fn take_unread(&mut self) -> Option<Doomed> {
        let unread = self.retired.iter().position(|(held, _)| Arc::strong_count(held) == 1)?;
        Some(self.retired.swap_remove(unread).1)
    }
}

impl ManagedLedger {
    /// The compacted ledger that counts, if there is one.
    #[must_use]
    pub const fn compacted(&self) -> Option<&Arc<Compacted>> {
        self.compaction.current.as_ref()
    }

    /// Makes a ledger for a compacted topic; [`CompactionEvent::Begun`] or `NotBegun` follows.
    pub fn begin_compacted(&mut self, custom_metadata: BTreeMap<String, Bytes>) {
        if self.life.refuses_all() {
            let reason = "the managed ledger is closed".to_owned();
            self.compaction.events.push_back(CompactionEvent::NotBegun { reason });
            return;
        }
        let options = LedgerOptions { custom_metadata, ..self.options.ledger.clone() };
        self.compaction.steps.push_back(Step::Begin(options));
    }

    /// Lets a ledger that was begun, and is now written and sealed, count from now on;
    /// [`CompactionEvent::Finished`] follows once that is durable.
    pub fn finish_compacted(&mut self, compacted: CompactedLedger) {
        self.compaction.steps.push_back(Step::Finish(compacted));
    }

    /// Deletes a ledger that was begun.
    pub fn abandon_compacted(&mut self, ledger_id: LedgerId) {
        self.compaction.steps.push_back(Step::Abandon(ledger_id));
    }

    /// Takes out what became of compaction. Call until `None`.
    pub fn poll_compaction_event(&mut self) -> Option<CompactionEvent> {
        self.compaction.events.pop_front()
    }
}
