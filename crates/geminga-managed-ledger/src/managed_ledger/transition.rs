//! When the list of ledgers changes: the next is opened, the old one closed, others are let go.
//!
//! # Invariants
//!
//! 1. A ledger is closed when nothing is on its way to it, or after it has failed.
//! 2. The next one is opened only when an append waits for it: a topic at rest writes nothing.
//! 3. What a transition did not achieve is in the next one.

use std::collections::BTreeSet;

use geminga_env::Instant;
use geminga_ledger::Sealed;
use geminga_types::{EntryId, LedgerId};

use super::{ManagedLedger, lifecycle::Termination};
use crate::{
    append::AppendError,
    backoff::Backoff,
    info::{Closed, Edit},
    job::{Indexed, JobError, Stepped, Transition, TransitionDone, Transitioned},
    open_ledger::OpenLedger,
    options::Options,
    owned_key::OwnedKey,
    tombstone::Doomed,
};

/// The ledger that is written, and what the managed ledger's key is to say next.
#[derive(Debug)]
pub(super) struct Ledgers {
    /// `None` while a transition has it.
    key: Option<OwnedKey>,
    pub(super) open: Option<OpenLedger>,
    pub(super) backoff: Backoff,
    /// Given up or full, and not closed yet.
    unsealed: Option<(LedgerId, Sealed)>,
    /// Closed, and not yet so in the key.
    unrecorded: Vec<Closed>,
    /// Maybe in the key, and not in the chain.
    orphans: BTreeSet<LedgerId>,
    /// To be let go.
    pub(super) trimming: BTreeSet<LedgerId>,
    running: Running,
}

/// What the running transition is for.
#[derive(Clone, Copy, Debug, Default)]
struct Running {
    creates: bool,
    terminates: Option<geminga_types::Position>,
}

/// A ledger given up.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) ledger_id: LedgerId,
    /// What became of each entry on its way.
    pub(super) in_flight: Vec<AppendError>,
}

impl Ledgers {
    pub(super) fn new(key: OwnedKey, unrecorded: Vec<Closed>, orphans: BTreeSet<LedgerId>) -> Self {
        Self {
            key: Some(key),
            open: None,
            backoff: Backoff::default(),
            unsealed: None,
            unrecorded,
            orphans,
            trimming: BTreeSet::new(),
            running: Running::default(),
        }
    }

    /// Takes the open ledger away after a failure.
    pub(super) fn give_up_open(&mut self, reason: &str) -> Option<GivenUp> {
        let mut open = self.open.take()?;
        let in_flight = open.fail_in_flight(reason);
        let ledger_id = open.ledger_id();
        self.unsealed = Some((ledger_id, open.stop()));
        self.backoff.on_failure(open.opened_at());
        Some(GivenUp { ledger_id, in_flight })
    }

    /// Whether the open ledger is to be closed, or being closed.
    pub(super) fn is_closing_open(&self) -> bool {
        self.unsealed.is_some() || self.open.as_ref().is_some_and(OpenLedger::is_old)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.key.is_some() && self.open.is_none() && self.unsealed.is_none()
    }

    pub(super) fn next_timeout(&self, options: &Options) -> Option<Instant> {
        let open = self.open.as_ref().and_then(|open| open.next_timeout(options));
        open.into_iter().chain(self.backoff.closed_until()).min()
    }

    pub(super) fn on_timeout(&mut self, now: Instant, options: &Options) {
        self.backoff.on_timeout(now);
        if let Some(open) = &mut self.open {
            open.on_timeout(now, options);
        }
    }
}

impl ManagedLedger {
    /// The next change of the list of ledgers, if one is due.
    pub(super) fn poll_transition(&mut self) -> Option<Transition> {
        if self.ledgers.key.is_none() || !self.ledgers.backoff.is_open() {
            return None;
        }
        let appends_wait = !self.appends.is_empty() && self.life.refusal().is_none();
        if let Some(open) = &mut self.ledgers.open {
            let is_full = appends_wait && open.is_full(&self.options);
            if is_full || open.is_old() || self.life.is_ending() {
                if 0 < open.in_flight() {
                    return None;
                }
                self.ledgers.unsealed = Some((open.ledger_id(), open.stop()));
                self.ledgers.open = None;
            }
        }
        let due = self.truncation_due();
        self.ledgers.trimming.extend(due);
        let creates = appends_wait && self.ledgers.open.is_none();
        let terminates = self.termination_due();
        let is_due = creates
            || terminates.is_some()
            || self.ledgers.unsealed.is_some()
            || !self.ledgers.trimming.is_empty()
            || self.compaction.has_step()
            || self.epoch.has_step()
            || self.properties.has_step()
            || self.delayed.has_step();
        if !is_due {
            return None;
        }
        self.ledgers.running = Running { creates, terminates };
        let ledgers = &mut self.ledgers;
        let key = ledgers.key.take()?;
        Some(Transition {
            key,
            seal: ledgers.unsealed,
            create: creates.then(|| self.options.ledger.clone()),
            edit: Edit {
                close: ledgers.unrecorded.clone(),
                remove: ledgers.orphans.union(&ledgers.trimming).copied().collect(),
                terminate: terminates,
                epoch: self.epoch.start_step(),
                message_index: self.message_index,
                properties: self.properties.start_step(),
                ..Edit::default()
            },
            compaction: self.compaction.start_step(),
            delayed: self.delayed.start_step(),
        })
    }

    pub(super) fn on_transition(&mut self, done: TransitionDone, now: Instant) -> Option<Doomed> {
        let TransitionDone { key, result, made } = done;
        let running = std::mem::take(&mut self.ledgers.running);
        self.ledgers.key = Some(key);
        self.ledgers.orphans.extend(made.ledger);
        match result {
            Ok(transitioned) => self.on_transitioned(transitioned, running, now),
            Err(JobError::Fenced) => {
                self.fence();
                None
            }
            Err(JobError::Failed(reason)) => {
                tracing::warn!(reason, "the list of ledgers was not changed");
                self.epoch.on_failed(&reason);
                self.properties.on_failed(&reason);
                self.compaction.on_failed(made.compacted, &reason);
                self.delayed.on_failed(made.bucket, &reason);
                self.ledgers.backoff.on_failure(now);
                if running.creates {
                    self.appends.fail_waiting(&AppendError::NotStored(reason));
                }
                None
            }
        }
    }

    fn on_transitioned(
        &mut self,
        transitioned: Transitioned,
        running: Running,
        now: Instant,
    ) -> Option<Doomed> {
        let Transitioned { closed, removed, writer, doomed, stepped, indexed } = transitioned;
        if let Some(closed) = closed {
            debug_assert_eq!(self.ledgers.unsealed.map(|(id, _)| id), Some(closed.ledger_id));
            self.spans.close(closed.at);
            self.ledgers.unsealed = None;
        }
        match stepped {
            None => {}
            Some(Stepped::Begun(writer)) => self.compaction.on_begun(writer),
            Some(Stepped::Finished(before)) => self.compaction.on_finished(before),
            Some(Stepped::Abandoned) => self.compaction.on_abandoned(),
        }
        self.epoch.on_done();
        self.properties.on_done();
        match indexed {
            None => {}
            Some(Indexed::Begun(writer)) => self.delayed.on_begun(writer),
            Some(Indexed::Done(doomed)) => self.delayed.on_done(doomed),
            Some(Indexed::Refused(reason)) => self.delayed.on_refused(reason),
        }
        self.spans.remove(&removed, self.compaction.horizon_ledger());
        self.delayed.trim(self.spans.chain());
        self.cache.evict_before(self.spans.chain().first());
        self.ledgers.trimming.retain(|ledger_id| !removed.contains(ledger_id));
        self.ledgers.orphans.clear();
        self.ledgers.unrecorded.clear();
        if let Some(terminated) = running.terminates {
            self.life.termination = Termination::Done(terminated);
        }
        if let Some(writer) = writer {
            self.spans.open(writer.ledger_id());
            self.ledgers.open = Some(OpenLedger::new(writer, now, &self.options));
        }
        doomed
    }

    /// Where the topic ends, when it is to be terminated and nothing is on its way.
    fn termination_due(&self) -> Option<geminga_types::Position> {
        if self.life.termination != Termination::Wanted || self.ledgers.open.is_some() {
            return None;
        }
        debug_assert!(
            self.ledgers.unsealed.is_none_or(|(_, sealed)| EntryId::NONE <= sealed.last_entry)
        );
        Some(self.spans.chain().mark_delete_position(self.spans.chain().end()))
    }
}
