//! One cursor's log: which changes are durable, on their way, or wait.
//!
//! A cursor without changes since the load has no open ledger. The first change asks for a snapshot; a
//! job writes it to a new ledger, another adds the changes since then and points the cursor's key
//! there; later changes are appended as deltas. While one write is on its way the changes behind it
//! are merged into the next. A log that has grown is replaced in the same way, and until the key is
//! about to change it goes on. A log with many holes goes on after a load, in another ledger, before
//! there is a snapshot.
//!
//! # Invariants
//!
//! 1. `durable <= appended`; a change is durable once its delta, or a snapshot taken after it, is.
//! 2. `pending` holds exactly the changes that neither the open ledger nor, while the key is being
//!    pointed, the new one has.
//! 3. `next.since` holds exactly the changes that were appended after its snapshot was begun. That may have
//!    some of them already: applied again they change nothing.

use std::collections::VecDeque;

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, BookieId};
use geminga_checksum::Sum;
use geminga_env::Instant;
use geminga_ledger::{Sealed, Writer};
use geminga_types::{EntryId, LedgerId};
use tracing::warn;

use super::{CursorDelta, CursorSeq, CursorState, encode_delta, pile::Pile};
use crate::{backoff::Backoff, job::Written, owned_key::OwnedKey};

#[derive(Debug)]
pub(super) struct CursorLog {
    /// `None` while a job has it.
    pub(super) key: Option<OwnedKey>,
    pub(super) phase: Phase,
    pub(super) backoff: Backoff,
    /// Whether it is to be deleted as soon as no job has its key.
    pub(super) is_doomed: bool,
    /// Whether the log that the load has read may go on without a snapshot.
    may_go_on: bool,
    /// The ledger that is to replace the log.
    next: Option<Next>,
    pending: Pile,
    has_pending: bool,
    appended: u64,
    durable: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Its key is being put.
    Creating,
    /// No open ledger, and none wanted or the backoff is closed.
    Idle,
    /// No open ledger; a snapshot is asked for.
    Asked,
    /// No open ledger; the next one is being prepared.
    Preparing,
    /// The log that the load has read is to go on in a new ledger.
    ToGoOn,
    /// A job makes that ledger.
    GoingOn,
    /// A job points the key at the next ledger, which has all up to this change.
    Pointing(u64),
    /// Changes go to this ledger.
    Open(Box<OpenLog>),
    /// Its ledger is being closed.
    Sealing,
    /// It is being deleted.
    Deleting,
    /// Nothing is done any more.
    Closed,
}

/// A ledger that is prepared while the log before it may go on.
#[derive(Debug)]
struct Next {
    /// Tells the answers of its owner and of its job from those for others.
    attempt: u64,
    step: Step,
    /// What has changed since the snapshot was begun.
    since: Pile,
}

#[derive(Debug)]
enum Step {
    /// The owner collects the snapshot.
    Making,
    /// The snapshot waits for its job.
    Wanted(Box<CursorState>),
    /// A job writes it.
    Writing,
    /// It is durable.
    Written(Box<Written>),
}

#[derive(Debug)]
pub(super) struct OpenLog {
    writer: Writer,
    opened_at: Instant,
    snapshot_bytes: u64,
    /// Deltas confirmed.
    entries: u64,
    bytes: u64,
    /// Of the group on its way: entries without room yet, the last entry sent, the last change.
    unsent: VecDeque<Bytes>,
    group: Option<(EntryId, u64)>,
    is_asked: bool,
    /// Whether the snapshot is in another ledger.
    goes_on: bool,
}

/// When a cursor's ledger is to be replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct RollAt {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// What the owner is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Durable(CursorSeq),
    NeedsSnapshot,
    Failed(String),
    Fenced,
}

impl CursorLog {
    pub(super) fn new(key: Option<OwnedKey>, may_go_on: bool) -> Self {
        Self {
            may_go_on,
            next: None,
            phase: if key.is_some() { Phase::Idle } else { Phase::Creating },
            key,
            backoff: Backoff::default(),
            is_doomed: false,
            pending: Pile::default(),
            has_pending: false,
            appended: 0,
            durable: 0,
        }
    }

    /// Whether some change is not durable yet.
    pub(super) const fn owes(&self) -> bool {
        self.durable < self.appended
    }

    pub(super) fn append(&mut self, delta: CursorDelta) -> CursorSeq {
        self.appended += 1;
        if let Some(next) = &mut self.next {
            next.since.push(delta.clone());
        }
        let is_kept = match self.phase {
            Phase::Open(_) | Phase::Pointing(_) | Phase::ToGoOn | Phase::GoingOn => true,
            Phase::Idle => self.may_go_on,
            _ => false,
        };
        if is_kept {
            self.pending.push(delta);
            self.has_pending = true;
        }
        CursorSeq(self.appended)
    }

    /// Asks for a snapshot if one is needed now.
    pub(super) fn ask(&mut self, roll_at: RollAt) -> Option<Told> {
        let (owes, is_free) = (self.owes(), self.next.is_none() && self.backoff.is_open());
        match &mut self.phase {
            Phase::Idle if owes && is_free && self.may_go_on => {
                self.phase = Phase::ToGoOn;
                None
            }
            Phase::Idle if owes && is_free => {
                self.phase = Phase::Asked;
                Some(Told::NeedsSnapshot)
            }
            Phase::Open(open) if !open.is_asked && is_free && open.is_large(roll_at) => {
                open.is_asked = true;
                Some(Told::NeedsSnapshot)
            }
            _ => None,
        }
    }

    /// Begins a snapshot, with the next number: changes from now on go behind it.
    pub(super) fn begin_snapshot(&mut self, attempts: &mut u64) -> Option<u64> {
        match self.phase {
            _ if self.next.is_some() => return None,
            Phase::Idle | Phase::Asked | Phase::Preparing => {
                self.phase = Phase::Preparing;
                self.give_up_going_on();
            }
            Phase::Open(_) => {}
            _ => return None,
        }
        *attempts += 1;
        let (attempt, since) = (*attempts, Pile::default());
        self.next = Some(Next { attempt, step: Step::Making, since });
        Some(*attempts)
    }

    /// The snapshot is complete. Says whether it is still wanted.
    pub(super) fn finish_snapshot(&mut self, attempt: u64, state: CursorState) -> bool {
        let is_it = |next: &&mut Next| next.attempt == attempt && matches!(next.step, Step::Making);
        let Some(next) = self.next.as_mut().filter(is_it) else { return false };
        next.step = Step::Wanted(Box::new(state));
        true
    }

    /// Hands the snapshot to a job, with its number.
    pub(super) fn take_snapshot(&mut self) -> Option<(u64, CursorState)> {
        let is_it = |next: &&mut Next| matches!(next.step, Step::Wanted(_));
        let next = self.next.as_mut().filter(is_it)?;
        match std::mem::replace(&mut next.step, Step::Writing) {
            Step::Wanted(state) => Some((next.attempt, *state)),
            Step::Making | Step::Writing | Step::Written(_) => None,
        }
    }

    /// A snapshot was written, or could not be. Returns it if nobody wants it any more.
    pub(super) fn on_written(
        &mut self,
        attempt: u64,
        result: Result<Written, String>,
        now: Instant,
    ) -> (Option<Written>, Option<Told>) {
        let is_it =
            |next: &&mut Next| next.attempt == attempt && matches!(next.step, Step::Writing);
        let Some(next) = self.next.as_mut().filter(is_it) else {
            return (result.ok(), None);
        };
        match result {
            Ok(written) => {
                next.step = Step::Written(Box::new(written));
                (None, None)
            }
            Err(reason) => {
                self.next = None;
                self.backoff.on_failure(now);
                (None, self.without_next(reason))
            }
        }
    }

    fn without_next(&mut self, reason: String) -> Option<Told> {
        if let Phase::Open(open) = &mut self.phase {
            // It goes on, and is replaced later.
            open.is_asked = false;
            warn!(reason, ledger_id = open.writer.ledger_id().0, "a snapshot was not written");
            return None;
        }
        self.phase = Phase::Idle;
        Some(Told::Failed(reason))
    }

    /// Hands a written snapshot, the changes since and the key to a job. What is appended from now on
    /// goes behind them, and the log before is written no more.
    pub(super) fn take_written(&mut self) -> Option<(OwnedKey, Written, Vec<Bytes>)> {
        if !matches!(self.phase, Phase::Preparing | Phase::Open(_)) {
            return None;
        }
        let is_it = |next: &mut Next| matches!(next.step, Step::Written(_));
        let next = self.next.take_if(|next| self.key.is_some() && is_it(next))?;
        let (Step::Written(written), Some(key)) = (next.step, self.key.take()) else { return None };
        self.forget_pending();
        self.phase = Phase::Pointing(self.appended);
        let mut since = next.since;
        let since = if since.is_empty() { Vec::new() } else { encode_delta(&since.take()) };
        Some((key, *written, since))
    }

    pub(super) fn on_pointed(
        &mut self,
        key: OwnedKey,
        written: Written,
        now: Instant,
    ) -> Option<Told> {
        self.key = Some(key);
        let Phase::Pointing(covers) = self.phase else { return None };
        self.phase = Phase::Open(Box::new(OpenLog::new(written.writer, written.bytes, now)));
        self.on_durable(covers)
    }

    /// Whether it waits for a job that lets it go on.
    pub(super) const fn wants_to_go_on(&self) -> bool {
        matches!(self.phase, Phase::ToGoOn)
    }

    /// Hands the key to a job that lets the log go on.
    pub(super) fn take_going_on(&mut self) -> Option<OwnedKey> {
        self.key.take_if(|_| matches!(self.phase, Phase::ToGoOn)).inspect(|_| {
            self.phase = Phase::GoingOn;
            self.may_go_on = false;
        })
    }

    /// The log goes on in a ledger that is empty.
    pub(super) fn on_gone_on(&mut self, key: OwnedKey, writer: Writer, now: Instant) {
        self.key = Some(key);
        if matches!(self.phase, Phase::GoingOn) {
            let open = OpenLog { goes_on: true, ..OpenLog::new(writer, 0, now) };
            self.phase = Phase::Open(Box::new(open));
        }
    }

    /// A job that had the key failed: what it had taken is covered by the next snapshot.
    pub(super) fn on_job_failed(&mut self, key: OwnedKey, now: Instant) {
        self.key = Some(key);
        self.forget_pending();
        self.phase = Phase::Idle;
        self.backoff.on_failure(now);
    }

    /// Begins its deletion. Returns the key if no job has it.
    pub(super) fn take_for_deletion(&mut self) -> Option<OwnedKey> {
        let key = self.key.take()?;
        self.give_up_going_on();
        self.phase = Phase::Deleting;
        Some(key)
    }

    /// Takes away a snapshot that is written, and that no key names.
    pub(super) fn take_unnamed(&mut self) -> Option<Written> {
        match self.next.take()?.step {
            Step::Written(written) => Some(*written),
            Step::Making | Step::Wanted(_) | Step::Writing => None,
        }
    }

    /// Lets go of a replacement that is not needed, since all changes are in the log that is open.
    /// Returns what was written of it.
    pub(super) fn give_up_next(&mut self) -> Option<Written> {
        let is_spare = matches!(self.phase, Phase::Open(_) | Phase::Deleting);
        if is_spare { self.take_unnamed() } else { None }
    }

    fn give_up_going_on(&mut self) {
        self.may_go_on = false;
        self.forget_pending();
    }

    pub(super) const fn open_ledger(&self) -> Option<LedgerId> {
        match &self.phase {
            Phase::Open(open) => Some(open.writer.ledger_id()),
            _ => None,
        }
    }

    /// The open ledger and what is in it, in bytes.
    pub(super) fn size(&self) -> Option<(LedgerId, u64)> {
        match &self.phase {
            Phase::Open(open) => Some((open.writer.ledger_id(), open.snapshot_bytes + open.bytes)),
            _ => None,
        }
    }

    /// Starts the next group if none is on its way, and takes out what is to be sent.
    pub(super) fn poll_send(&mut self) -> Option<(BookieId, Vec<AddEntry>)> {
        let Phase::Open(open) = &mut self.phase else { return None };
        if open.group.is_none() && self.has_pending {
            self.has_pending = false;
            open.unsent = encode_delta(&self.pending.take()).into();
            open.group = Some((EntryId::NONE, self.appended));
        }
        open.fill();
        open.writer.poll_send()
    }

    pub(super) fn on_added(
        &mut self,
        bookie: &BookieId,
        entry_id: EntryId,
        result: Result<(), AddError>,
    ) -> Option<Told> {
        let Phase::Open(open) = &mut self.phase else { return None };
        if let Err(error) = open.writer.on_added(bookie, entry_id, result) {
            let ledger_id = open.writer.ledger_id().0;
            warn!(%error, %bookie, ledger_id, entry_id = entry_id.0);
        }
        let up_to = open.confirm();
        let failure = open.writer.failure().cloned();
        let opened_at = open.opened_at;
        match failure {
            None => {
                let told = self.on_durable(up_to?);
                self.backoff.on_success();
                told
            }
            Some(AddError::Fenced(_)) => Some(Told::Fenced),
            Some(error) => {
                self.forget_pending();
                // What a replacement has, or will have, makes up for it.
                self.phase = if self.next.is_some() { Phase::Preparing } else { Phase::Idle };
                self.backoff.on_failure(opened_at);
                Some(Told::Failed(error.to_string()))
            }
        }
    }

    /// Whether anything is to be sent.
    pub(super) fn wants_to_send(&self) -> bool {
        match &self.phase {
            Phase::Open(open) if open.group.is_none() => self.has_pending,
            Phase::Open(open) => !open.unsent.is_empty(),
            _ => false,
        }
    }

    /// Closes it if nothing is left to do first. Returns the ledger to be sealed, if there is one.
    pub(super) fn close(&mut self) -> Option<(LedgerId, Sealed)> {
        match &mut self.phase {
            Phase::Idle if self.durable == self.appended => {
                self.phase = Phase::Closed;
                None
            }
            Phase::Open(open)
                if !self.has_pending && open.group.is_none() && self.next.is_none() =>
            {
                let sealing = (open.writer.ledger_id(), open.writer.stop());
                self.phase = Phase::Sealing;
                Some(sealing)
            }
            _ => None,
        }
    }

    fn on_durable(&mut self, up_to: u64) -> Option<Told> {
        debug_assert!(up_to <= self.appended);
        if up_to <= self.durable {
            return None;
        }
        self.durable = up_to;
        Some(Told::Durable(CursorSeq(up_to)))
    }

    fn forget_pending(&mut self) {
        self.pending = Pile::default();
        self.has_pending = false;
    }
}

impl OpenLog {
    const fn new(writer: Writer, snapshot_bytes: u64, opened_at: Instant) -> Self {
        Self {
            writer,
            opened_at,
            snapshot_bytes,
            entries: 0,
            bytes: 0,
            unsent: VecDeque::new(),
            group: None,
            is_asked: false,
            goes_on: false,
        }
    }

    const fn is_large(&self, roll_at: RollAt) -> bool {
        // A snapshot larger than the bound must not be written again for every delta.
        let bytes =
            if roll_at.bytes < self.snapshot_bytes { self.snapshot_bytes } else { roll_at.bytes };
        self.goes_on || roll_at.entries <= self.entries || bytes <= self.bytes
    }

    fn fill(&mut self) {
        while self.writer.has_room()
            && let Some(body) = self.unsent.pop_front()
        {
            let sum = Sum::of(&body);
            let entry_id = self.writer.add(body, sum);
            if let Some((last, _)) = &mut self.group {
                *last = entry_id;
            }
        }
    }

    /// Counts what is confirmed. Returns the group's last change once all of it is.
    fn confirm(&mut self) -> Option<u64> {
        let mut confirmed_to = None;
        while let Some(confirmed) = self.writer.poll_confirmed() {
            self.entries += 1;
            self.bytes += confirmed.body().len() as u64;
            confirmed_to = Some(confirmed.entry_id());
        }
        let (last, up_to) = self.group?;
        if !self.unsent.is_empty() || confirmed_to != Some(last) {
            return None;
        }
        self.group = None;
        Some(up_to)
    }
}
