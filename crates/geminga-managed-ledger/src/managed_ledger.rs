//! The machine behind a topic: its parts, and the events that move them.
//!
//! Nested in the topic's task, which calls in with what happened and then polls: entries to send
//! to bookies, jobs to run, outcomes of appends, events of cursors. Any order of polls is right; all
//! of them are to be polled dry after every call.
//!
//! # Invariants
//!
//! 1. An append has an outcome exactly once, in order; `Confirmed` only on a ledger's proof.
//! 2. The readable end counts confirmed entries only, and only grows.
//! 3. At most one job has the managed ledger's key. Its value is written only by compare-and-set;
//!    a conflict ends this machine for good ([`ManagedLedger::is_fenced`]).
//! 4. No ledger is written before the key lists it, and none is written after the next one is open.

mod compaction;
mod delayed;
mod epoch;
mod lifecycle;
mod message_index;
mod properties;
mod transition;
mod truncate;
mod views;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, BookieId};
use geminga_checksum::Sum;
use geminga_env::{Instant, Timestamp};
use geminga_types::{EntryId, LedgerId, Ordinal, Position};

use self::{
    compaction::Compaction, delayed::Delayed, epoch::Epoch, lifecycle::Life,
    properties::Properties, transition::Ledgers,
};
pub use self::{
    compaction::CompactionEvent, delayed::DelayedEvent, epoch::EpochEvent, views::LedgerStats,
};
pub(crate) use self::{compaction::Step, delayed::DelayedStep};
use crate::{
    append::{Append, AppendError, AppendQueue, Confirmed, Outcome},
    chain::Spans,
    compacted::CompactedLedger,
    cursor::{CursorDelta, CursorEvent, CursorSeq, CursorState, Cursors, SnapshotAttempt},
    delayed::DelayedBucket,
    info::{self, Closed},
    job::{Done, Job, JobDone, Kind},
    options::Options,
    owned_key::OwnedKey,
    retention::{Retention, expendable},
    tail_cache::TailCache,
    tombstone::Doomed,
};

/// Most ledgers that a cursor's log is in.
const CURSOR_LEDGERS_MAX: usize = 8;

/// The chain of ledgers of one topic, and its cursors.
#[derive(Debug)]
pub struct ManagedLedger {
    /// Shared with other topics until they are changed.
    options: Arc<Options>,
    life: Life,
    appends: AppendQueue,
    spans: Spans,
    ledgers: Ledgers,
    cache: TailCache,
    cursors: Cursors,
    compaction: Compaction,
    epoch: Epoch,
    /// That of the last message that got one.
    message_index: Option<u64>,
    properties: Properties,
    /// Closed ledgers that end before this go, whatever retention says.
    truncating: Option<Ordinal>,
    delayed: Delayed,
    recovered: BTreeMap<String, CursorState>,
    outbox: VecDeque<(BookieId, Vec<AddEntry>)>,
    doomed: VecDeque<Doomed>,
    burials: usize,
}

/// What [`crate::open`] found.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) key: OwnedKey,
    pub(crate) spans: Spans,
    /// Closed by this load, and not yet so in the key.
    pub(crate) unrecorded: Vec<Closed>,
    /// Without entries: still in the key, not in the chain.
    pub(crate) empty: BTreeSet<LedgerId>,
    pub(crate) terminated: Option<Position>,
    pub(crate) cursor_keys: Vec<(Arc<str>, OwnedKey)>,
    pub(crate) cursors: BTreeMap<String, CursorState>,
    pub(crate) compacted: Option<CompactedLedger>,
    /// What a compaction was writing when it was cut short.
    pub(crate) compacting: Option<LedgerId>,
    pub(crate) epoch: Option<u64>,
    pub(crate) message_index: Option<u64>,
    pub(crate) buckets: Vec<DelayedBucket>,
    /// In what a bucket was being written when that was cut short.
    pub(crate) indexing: Option<LedgerId>,
    /// In wall-clock milliseconds.
    pub(crate) created: Option<u64>,
    /// What users noted.
    pub(crate) properties: BTreeMap<String, String>,
}

impl ManagedLedger {
    pub(crate) fn new(options: Arc<Options>, opened: Opened) -> Self {
        let end = opened.spans.chain().end();
        let goes_on = |name: &str, key: &OwnedKey| {
            opened.cursors.get(name).is_some_and(|state| may_go_on(state, key, &options))
        };
        let keys = opened.cursor_keys.into_iter();
        let cursor_keys = keys.map(|(name, key)| {
            let goes_on = goes_on(&name, &key);
            (name, key, goes_on)
        });
        let cursor_keys = cursor_keys.collect();
        let mut delayed = Delayed::new(opened.buckets, opened.indexing);
        delayed.trim(opened.spans.chain());
        Self {
            delayed,
            life: Life::new(opened.terminated),
            appends: AppendQueue::default(),
            cache: TailCache::new(end, options.tail_cache_bytes, options.tail_caches.clone()),
            cursors: Cursors::new(opened.key.path().clone(), cursor_keys),
            compaction: Compaction::new(opened.compacted, opened.compacting),
            epoch: Epoch::new(opened.epoch),
            message_index: opened.message_index,
            properties: Properties::new(opened.created, opened.properties),
            truncating: None,
            recovered: opened.cursors,
            spans: opened.spans,
            ledgers: Ledgers::new(opened.key, opened.unrecorded, opened.empty),
            outbox: VecDeque::new(),
            doomed: VecDeque::new(),
            burials: 0,
            options,
        }
    }

    /// Queues an entry; `sum` is that of `body`. Its outcome comes from [`Self::poll_outcome`]. The
    /// caller bounds what it queues.
    pub fn append(&mut self, body: Bytes, sum: Sum) {
        self.append_with_front(Bytes::new(), body, sum);
    }

    /// The same for an entry of which the first part, `front`, is in a piece of its own; the sum is that
    /// of both.
    pub fn append_with_front(&mut self, front: Bytes, body: Bytes, sum: Sum) {
        self.appends.push(Append { front, body, sum });
        self.refuse_waiting();
    }

    /// Takes out what is to be sent to one bookie, all of it at once. Call until `None`.
    pub fn poll_send(&mut self) -> Option<(BookieId, Vec<AddEntry>)> {
        if self.outbox.is_empty() && !self.is_fenced() {
            self.fill_outbox();
        }
        self.outbox.pop_front()
    }

    /// Notes what a bookie answered, for ledgers of messages and of cursors alike. Answers for
    /// ledgers that are written no more change nothing.
    pub fn on_added(
        &mut self,
        bookie: &BookieId,
        results: &[(LedgerId, EntryId, Result<(), AddError>)],
    ) {
        for (ledger_id, entry_id, result) in results {
            match &mut self.ledgers.open {
                Some(open) if open.ledger_id() == *ledger_id => {
                    open.on_added(bookie, *entry_id, result.clone());
                }
                _ => {
                    let entry = (*ledger_id, *entry_id);
                    self.cursors.on_added(bookie, entry, result, &self.options);
                }
            }
        }
        self.confirm();
        self.check_fence();
    }

    /// Takes out what became of an append, in the order of the appends. Call until `None`.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.appends.poll()
    }

    /// Takes out a job. Run it and hand the answer to [`Self::on_job_done`]. Call until `None`.
    pub fn poll_job(&mut self) -> Option<Job> {
        if self.is_fenced() {
            return None;
        }
        if self.life.is_abandoned {
            return self.cursors.poll_job(&self.options).map(Job);
        }
        if let Some(transition) = self.poll_transition() {
            return Some(Job(Kind::Transition(Box::new(transition))));
        }
        if let Some(job) = self.cursors.poll_job(&self.options) {
            return Some(Job(job));
        }
        let doomed = self.doomed.pop_front();
        let doomed = doomed.or_else(|| self.compaction.take_unread());
        let doomed = doomed.or_else(|| self.delayed.take_unread())?;
        self.burials += 1;
        Some(Job(Kind::Bury(doomed)))
    }

    /// Takes back the answer of a job.
    pub fn on_job_done(&mut self, done: JobDone, now: Instant) {
        let doomed = match done.0 {
            Done::Transition(done) => self.on_transition(*done, now),
            Done::Bury(result) => {
                self.burials -= 1;
                if let Err(error) = result {
                    tracing::warn!(%error, "a ledger is deleted at the next start");
                }
                None
            }
            Done::CreateCursor(done) => {
                self.cursors.on_created(*done);
                None
            }
            Done::ContinueCursor(done) => {
                self.cursors.on_continued(*done, now, &self.options);
                None
            }
            Done::WriteSnapshot(done) => {
                self.cursors.on_written(*done, now);
                None
            }
            Done::PointCursor(done) => self.cursors.on_pointed(*done, now, &self.options),
            Done::Discard => None,
            Done::SealCursor(done) => {
                self.cursors.on_sealed(*done);
                None
            }
            Done::DeleteCursor(done) => self.cursors.on_deleted(*done, now),
        };
        self.doomed.extend(doomed);
        self.check_fence();
    }

    /// When to call [`Self::on_timeout`], unless something happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.is_fenced() {
            return None;
        }
        let ledgers = self.ledgers.next_timeout(&self.options);
        ledgers.into_iter().chain(self.cursors.next_timeout()).min()
    }

    /// Notes that time has passed.
    pub fn on_timeout(&mut self, now: Instant) {
        self.ledgers.on_timeout(now, &self.options);
        self.cursors.on_timeout(now, &self.options);
    }

    /// Lets go of closed ledgers that are entirely before `slowest` (`None`: there are no cursors)
    /// and beyond retention. Never of the ledger that is open, or the last one that has entries.
    pub fn trim(&mut self, slowest: Option<Ordinal>, now: Timestamp) {
        let Options { retention_time: time, retention_bytes: bytes, .. } = *self.options;
        let chain = self.spans.chain();
        let sealed = self.spans.sealed();
        // The last entry stays, so that the topic's end can always be asked for.
        let is_last_sealed = !self.spans.has_open_entries();
        let retention = Retention { time, bytes };
        let total = chain.bytes();
        self.ledgers.trimming =
            expendable(retention, (sealed, is_last_sealed), total, slowest, now);
    }

    /// Changes how long and how much of what nobody needs is kept.
    pub fn set_retention(&mut self, time: Option<Duration>, bytes: Option<u64>) {
        let options = Arc::make_mut(&mut self.options);
        options.retention_time = time;
        options.retention_bytes = bytes;
    }

    /// Changes when ledgers are full or old.
    pub fn set_rollover(&mut self, max_entries: u64, max_bytes: u64, min: Duration, max: Duration) {
        let options = Arc::make_mut(&mut self.options);
        options.max_entries_per_ledger = max_entries;
        options.max_ledger_bytes = max_bytes;
        options.min_rollover = min;
        options.max_rollover = max;
    }

    /// The settings in force.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The cursors that were found when this was opened. Empty the second time.
    pub fn take_recovered_cursors(&mut self) -> BTreeMap<String, CursorState> {
        std::mem::take(&mut self.recovered)
    }

    /// Takes one of them out.
    pub fn take_recovered_cursor(&mut self, name: &str) -> Option<CursorState> {
        self.recovered.remove(name)
    }

    /// Makes a durable cursor that has consumed everything up to and with `mark_delete`;
    /// [`CursorEvent::Created`] or `CreateFailed` follows.
    pub fn create_cursor(
        &mut self,
        name: &str,
        mark_delete: Position,
        cursor_properties: BTreeMap<String, String>,
    ) {
        self.cursors
            .create(name, CursorState { cursor_properties, ..CursorState::at(mark_delete) });
    }

    /// Deletes a cursor; [`CursorEvent::Deleted`] or `DeleteFailed` follows.
    pub fn delete_cursor(&mut self, name: &str) {
        self.cursors.delete(name);
    }

    /// Queues a change; [`CursorEvent::Durable`] follows. Changes queued while one is on its way
    /// become one entry. Of a cursor that does not exist, [`CursorEvent::Failed`] follows.
    pub fn append_cursor(&mut self, name: &str, delta: CursorDelta) -> CursorSeq {
        self.cursors.append(name, delta, &self.options)
    }

    /// Answers [`CursorEvent::NeedsSnapshot`]: `state` holds every change appended so far.
    pub fn snapshot_cursor(&mut self, name: &str, state: CursorState) {
        if let Some(attempt) = self.begin_snapshot(name) {
            self.finish_snapshot(name, attempt, state);
        }
    }

    /// Answers [`CursorEvent::NeedsSnapshot`] of a cursor that keeps much, which is collected in parts while
    /// changes go on. A part is as things are when it is collected: it must have every change appended
    /// before this, and may have later ones. `None`: no snapshot is wanted now.
    #[must_use]
    pub fn begin_snapshot(&mut self, name: &str) -> Option<SnapshotAttempt> {
        self.cursors.begin_snapshot(name)
    }

    /// All parts are collected. One that is not wanted any more is dropped.
    pub fn finish_snapshot(&mut self, name: &str, attempt: SnapshotAttempt, state: CursorState) {
        self.cursors.finish_snapshot(name, attempt, state);
    }

    /// The ledger that a cursor's changes go to, and what is in it, in bytes. `None` before the first
    /// change since the load, and while it is replaced.
    #[must_use]
    pub fn cursor_log(&self, name: &str) -> Option<(LedgerId, u64)> {
        self.cursors.log_size(name)
    }

    /// Takes out what became of cursors. Call until `None`.
    pub fn poll_cursor_event(&mut self) -> Option<CursorEvent> {
        self.cursors.poll_event()
    }

    fn fill_outbox(&mut self) {
        if let Some(open) = &mut self.ledgers.open {
            if self.life.refusal().is_none() {
                while !self.appends.is_empty()
                    && !open.is_full(&self.options)
                    && !open.is_old()
                    && open.has_room()
                    && let Some(append) = self.appends.pop()
                {
                    open.add(append);
                }
            }
            while let Some(send) = open.poll_send() {
                self.outbox.push_back(send);
            }
        }
        self.cursors.poll_send(&mut self.outbox);
    }

    /// Takes what the open ledger has confirmed, or its failure.
    fn confirm(&mut self) {
        let Some(open) = &mut self.ledgers.open else { return };
        while let Some(proof) = open.poll_confirmed() {
            let ordinal = self.spans.confirm(proof.body_len());
            let (front, confirmed) = Confirmed::prove(proof, ordinal);
            self.cache.push(front, confirmed.body.clone());
            self.appends.confirm(confirmed);
            self.ledgers.backoff.on_success();
        }
        match open.failure().cloned() {
            None => {}
            Some(AddError::Fenced(_)) => self.fence(),
            Some(error) => self.on_ledger_failed(&error.to_string()),
        }
        self.refuse_waiting();
    }

    /// Gives up the open ledger: what is on its way fails, and so does what waits behind it, so that
    /// nothing overtakes it.
    fn on_ledger_failed(&mut self, reason: &str) {
        if let Some(open) = self.ledgers.give_up_open(reason) {
            tracing::warn!(ledger_id = open.ledger_id.0, reason, "gave up a ledger");
            for error in open.in_flight {
                self.appends.fail(error);
            }
        }
        self.appends.fail_waiting(&AppendError::NotStored(reason.to_owned()));
    }

    /// Fails what waits when nothing is taken any more, behind what is on its way.
    fn refuse_waiting(&mut self) {
        if let Some(refusal) = self.life.refusal()
            && self.ledgers.open.as_ref().is_none_or(|open| open.in_flight() == 0)
        {
            self.appends.fail_waiting(&refusal);
        }
    }

    fn check_fence(&mut self) {
        if self.cursors.is_fenced() {
            self.fence();
        }
    }
}

/// Whether a cursor's log goes on after a load without a snapshot, which would be large: not without
/// end, since a load reads all of its ledgers.
fn may_go_on(state: &CursorState, key: &OwnedKey, options: &Options) -> bool {
    let items = state.acked.len() + state.partial.len() + state.redelivery_counts.len();
    let ledgers = info::cursor_ledgers(key.value()).map_or(0, |ledgers| ledgers.len());
    options.cursor_go_on_items <= items && (1..CURSOR_LEDGERS_MAX).contains(&ledgers)
}
