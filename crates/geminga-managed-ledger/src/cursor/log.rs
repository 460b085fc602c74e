//! One cursor's log: which changes are durable, on their way, or wait.
//!
//! A cursor without changes since the load has no open ledger. The first change asks for a
//! snapshot; a job writes it to a new ledger and points the cursor's key there; later changes are
//! appended as deltas. While one write is on its way the changes behind it are merged into the next.
//!
//! # Invariants
//!
//! 1. `durable <= appended`; a change is durable once its delta, or a snapshot taken after it, is.
//! 2. `pending` holds exactly the changes that neither the open ledger nor the snapshot on its way has.

use std::collections::VecDeque;

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, BookieId};
use geminga_checksum::Sum;
use geminga_env::Instant;
use geminga_ledger::{Sealed, Writer};
use geminga_types::{EntryId, LedgerId, Position};
use tracing::warn;

use super::{CursorDelta, CursorSeq, CursorState, encode_delta, replay::Replay};
use crate::{backoff::Backoff, owned_key::OwnedKey};

#[derive(Debug)]
pub(super) struct CursorLog {
    /// `None` while a job has it.
    pub(super) key: Option<OwnedKey>,
    pub(super) phase: Phase,
    pub(super) backoff: Backoff,
    /// Whether it is to be deleted as soon as no job has its key.
    pub(super) is_doomed: bool,
    pending: CursorDelta,
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
    /// A snapshot, with the last change in it, waits for its job.
    ToRoll(Box<CursorState>, u64),
    /// A job writes a snapshot, with the last change in it, to a new ledger.
    Rolling(u64),
    /// Changes go to this ledger.
    Open(Box<OpenLog>),
    /// Its ledger is being closed.
    Sealing,
    /// It is being deleted.
    Deleting,
    /// Nothing is done any more.
    Closed,
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
    pub(super) fn new(key: Option<OwnedKey>) -> Self {
        Self {
            phase: if key.is_some() { Phase::Idle } else { Phase::Creating },
            key,
            backoff: Backoff::default(),
            is_doomed: false,
            pending: CursorDelta::default(),
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
        if matches!(self.phase, Phase::ToRoll(..) | Phase::Rolling(_) | Phase::Open(_)) {
            self.pending.merge(delta);
            self.has_pending = true;
        }
        CursorSeq(self.appended)
    }

    /// Asks for a snapshot if one is needed now.
    pub(super) fn ask(&mut self, roll_at: RollAt) -> Option<Told> {
        let owes = self.owes();
        match &mut self.phase {
            Phase::Idle if owes && self.backoff.is_open() => {
                self.phase = Phase::Asked;
                Some(Told::NeedsSnapshot)
            }
            Phase::Open(open) if !open.is_asked && open.is_large(roll_at) => {
                open.is_asked = true;
                Some(Told::NeedsSnapshot)
            }
            _ => None,
        }
    }

    /// Takes a snapshot that holds every change appended so far. Says whether a job is wanted now.
    pub(super) fn snapshot(&mut self, state: CursorState) -> bool {
        if !matches!(self.phase, Phase::Idle | Phase::Asked | Phase::ToRoll(..) | Phase::Open(_)) {
            return false;
        }
        self.forget_pending();
        self.phase = Phase::ToRoll(Box::new(state), self.appended);
        true
    }

    /// Hands the snapshot and the key to a job.
    pub(super) fn take_roll(&mut self) -> Option<(OwnedKey, CursorState)> {
        let Phase::ToRoll(_, covers) = self.phase else { return None };
        let key = self.key.take()?;
        match std::mem::replace(&mut self.phase, Phase::Rolling(covers)) {
            Phase::ToRoll(state, _) => Some((key, *state)),
            _ => None,
        }
    }

    pub(super) fn on_rolled(
        &mut self,
        key: OwnedKey,
        writer: Writer,
        snapshot_bytes: u64,
        now: Instant,
    ) -> Option<Told> {
        self.key = Some(key);
        let Phase::Rolling(covers) = self.phase else { return None };
        self.phase = Phase::Open(Box::new(OpenLog {
            writer,
            opened_at: now,
            snapshot_bytes,
            entries: 0,
            bytes: 0,
            unsent: VecDeque::new(),
            group: None,
            is_asked: false,
        }));
        self.on_durable(covers)
    }

    /// A roll failed: what it had taken is covered by the next snapshot.
    pub(super) fn on_roll_failed(&mut self, key: OwnedKey, now: Instant) {
        self.key = Some(key);
        self.forget_pending();
        self.phase = Phase::Idle;
        self.backoff.on_failure(now);
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
            let group = compact(std::mem::take(&mut self.pending));
            self.has_pending = false;
            open.unsent = encode_delta(&group).into();
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
                self.phase = Phase::Idle;
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
            Phase::Open(open) if !self.has_pending && open.group.is_none() => {
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
        self.pending = CursorDelta::default();
        self.has_pending = false;
    }
}

impl OpenLog {
    const fn is_large(&self, roll_at: RollAt) -> bool {
        // A snapshot larger than the bound must not be written again for every delta.
        let bytes =
            if roll_at.bytes < self.snapshot_bytes { self.snapshot_bytes } else { roll_at.bytes };
        roll_at.entries <= self.entries || bytes <= self.bytes
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

/// Joins ranges that touch, and leaves out what the group's own mark-delete position covers.
fn compact(group: CursorDelta) -> CursorDelta {
    if group.acked.len() + group.partial.len() + group.redelivery_counts.len() <= 1 {
        return group;
    }
    let (mark_delete, reset) = (group.mark_delete, group.reset);
    let mut replay = Replay::new(mark_delete.unwrap_or(Position::EARLIEST));
    replay.apply(CursorDelta { mark_delete: None, reset: false, ..group });
    let CursorState { acked, partial, redelivery_counts, .. } = replay.into_state();
    CursorDelta { mark_delete, acked, partial, redelivery_counts, reset }
}
