//! Which buckets of delayed entries count, which is being written, and which wait for their last reader.
//!
//! # Invariants
//!
//! 1. The key names a ledger that is being written before anything is in it, so that one that was cut
//!    short is found and deleted by the next load.
//! 2. Which buckets count changes with one compare-and-set of the key.
//! 3. One that does not count any more is deleted when nobody holds it: by its tombstone, at a start, if
//!    this machine does not get to it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use geminga_ledger::LedgerOptions;
use geminga_types::LedgerId;

use super::ManagedLedger;
use crate::{
    chain::Chain,
    delayed::{Bucket, DelayedBucket},
    side_ledger::SideWriter,
    tombstone::Doomed,
};

/// What became of a step of the index of delayed entries.
#[derive(Debug)]
pub enum DelayedEvent {
    /// The ledger is there, empty.
    Begun(SideWriter),
    /// It was not made.
    NotBegun {
        /// Why.
        reason: String,
    },
    /// The bucket counts from now on, durably.
    Finished,
    /// The bucket does not fit beside those that count: it never will, and its ledger is deleted.
    Refused {
        /// Why.
        reason: String,
    },
}

/// A step that the next transition takes.
#[derive(Clone, Debug)]
pub(crate) enum DelayedStep {
    Begin(LedgerOptions),
    Finish { bucket: DelayedBucket, replaced: BTreeSet<LedgerId> },
    Abandon(LedgerId),
    Drop(BTreeSet<LedgerId>),
}

#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// Those that count, in the order of what they cover.
    current: Vec<Arc<Bucket>>,
    steps: VecDeque<DelayedStep>,
    /// What the running transition does.
    running: Option<DelayedStep>,
    /// They do not count any more, and somebody may read them.
    retired: Vec<(Vec<Arc<Bucket>>, Doomed)>,
    events: VecDeque<DelayedEvent>,
}

impl Delayed {
    /// What the key said: which buckets count, and in which ledger one was being written.
    pub(super) fn new(buckets: Vec<DelayedBucket>, cut_short: Option<LedgerId>) -> Self {
        Self {
            current: buckets.into_iter().map(|bucket| Arc::new(Bucket::new(bucket))).collect(),
            steps: cut_short.map(DelayedStep::Abandon).into_iter().collect(),
            ..Self::default()
        }
    }

    pub(super) fn has_step(&self) -> bool {
        !self.steps.is_empty()
    }

    /// The next step, for the transition that begins.
    pub(super) fn start_step(&mut self) -> Option<DelayedStep> {
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
        self.steps.retain(|step| !matches!(step, DelayedStep::Begin(_)));
    }

    pub(super) fn on_begun(&mut self, writer: SideWriter) {
        self.running = None;
        self.events.push_back(DelayedEvent::Begun(writer));
    }

    /// What was not achieved is tried again, but for a beginning: a ledger that may be in the key by
    /// then is taken out again.
    pub(super) fn on_failed(&mut self, orphan: Option<LedgerId>, reason: &str) {
        match self.running.take() {
            None => {}
            Some(DelayedStep::Begin(_)) => {
                self.steps.extend(orphan.map(DelayedStep::Abandon));
                self.events.push_back(DelayedEvent::NotBegun { reason: reason.to_owned() });
            }
            Some(step) => self.steps.push_front(step),
        }
    }

    /// The step is in the key. `doomed` are the ledgers of buckets that do not count any more.
    pub(super) fn on_done(&mut self, doomed: Option<Doomed>) {
        let gone = match self.running.take() {
            Some(DelayedStep::Finish { bucket, replaced }) => {
                self.current.push(Arc::new(Bucket::new(bucket)));
                self.events.push_back(DelayedEvent::Finished);
                replaced
            }
            Some(DelayedStep::Drop(gone)) => gone,
            Some(DelayedStep::Begin(_) | DelayedStep::Abandon(_)) | None => BTreeSet::new(),
        };
        let is_gone = |bucket: &mut Arc<Bucket>| gone.contains(&bucket.ledger_id());
        let retired: Vec<_> = self.current.extract_if(.., is_gone).collect();
        self.current.sort_by_key(|bucket| bucket.ranges().first().copied());
        self.retired.extend(doomed.map(|doomed| (retired, doomed)));
    }

    /// The bucket that was to count is given up.
    pub(super) fn on_refused(&mut self, reason: String) {
        self.running = None;
        self.events.push_back(DelayedEvent::Refused { reason });
    }

    /// Lets go of buckets of which nothing is stored any more.
    pub(super) fn trim(&mut self, chain: &Chain) {
        let first = chain.spans().next().map(|span| span.ledger_id);
        let is_needed = |bucket: &Bucket| first.is_some_and(|id| id <= bucket.last().ledger_id);
        let unneeded = self.current.iter().filter(|bucket| !is_needed(bucket));
        let mut unneeded: BTreeSet<LedgerId> = unneeded.map(|bucket| bucket.ledger_id()).collect();
        for step in self.steps.iter().chain(&self.running) {
            match step {
                DelayedStep::Drop(gone) | DelayedStep::Finish { replaced: gone, .. } => {
                    unneeded.retain(|ledger_id| !gone.contains(ledger_id));
                }
                DelayedStep::Begin(_) | DelayedStep::Abandon(_) => {}
            }
        }
        if !unneeded.is_empty() {
            self.steps.push_back(DelayedStep::Drop(unneeded));
        }
    }

    /// Ledgers of buckets that do not count and that nobody reads any more.
    pub(super) fn take_unread(&mut self) -> Option<Doomed> {
        let is_unread = |bucket: &Arc<Bucket>| Arc::strong_count(bucket) == 1;
        let unread = self.retired.iter().position(|(held, _)| held.iter().all(is_unread))?;
        Some(self.retired.swap_remove(unread).1)
    }
}

impl ManagedLedger {
    /// The buckets of delayed entries, in the order of what they cover.
    #[must_use]
    pub fn delayed_buckets(&self) -> &[Arc<Bucket>] {
        &self.delayed.current
    }

    /// Makes a ledger for a bucket; [`DelayedEvent::Begun`] or `NotBegun` follows.
    pub fn begin_bucket(&mut self, custom_metadata: BTreeMap<String, Bytes>) {
        if self.life.refuses_all() {
            let reason = "the managed ledger is closed".to_owned();
            self.delayed.events.push_back(DelayedEvent::NotBegun { reason });
            return;
        }
        let options = LedgerOptions { custom_metadata, ..self.options.ledger.clone() };
        self.delayed.steps.push_back(DelayedStep::Begin(options));
    }

    /// Lets a bucket that was begun, and is now written and sealed, count from now on, instead of those
    /// in the ledgers `replaced`; [`DelayedEvent::Finished`] follows once that is durable, or `Refused`.
    pub fn finish_bucket(&mut self, bucket: DelayedBucket, replaced: BTreeSet<LedgerId>) {
        self.delayed.steps.push_back(DelayedStep::Finish { bucket, replaced });
    }

    /// Deletes a ledger that was begun for a bucket.
    pub fn abandon_bucket(&mut self, ledger_id: LedgerId) {
        self.delayed.steps.push_back(DelayedStep::Abandon(ledger_id));
    }

    /// Takes out what became of buckets. Call until `None`.
    pub fn poll_delayed_event(&mut self) -> Option<DelayedEvent> {
        self.delayed.events.pop_front()
    }
}
