//! What the machine knows goes into the log of the cursor, piece by piece.

use std::sync::Arc;

use geminga_managed_ledger::{CursorDelta, CursorSeq, CursorState};
use geminga_types::Ordinal;

use super::{super::Topic, CURSOR, Deduplication, switch::Stage};
use crate::DeduplicationOptions;

/// What going through an entry costs, however small it is, in bytes.
const ENTRY_BYTES: u64 = 64;

/// How many times as much as records are stored after may wait for that: then nothing is taken that
/// would be noted.
const BEHIND_MAX: u64 = 8;

/// How far records tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// What is before it is in them.
    pub(super) end: Ordinal,
    /// What had been noted by then, in bytes.
    pub(super) bytes: u64,
}

/// Records on their way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    seq: CursorSeq,
    /// Of the changes.
    number: u64,
    extent: Extent,
}

impl Deduplication {
    /// Notes an entry that was stored.
    pub(in super::super) const fn note_stored(&mut self, bytes: u64) {
        self.noted_bytes = self.noted_bytes.saturating_add(bytes.saturating_add(ENTRY_BYTES));
    }

    /// Notes that what was noted so far is of no use.
    pub(super) const fn forget_bytes(&mut self) {
        self.durable.bytes = self.noted_bytes;
        self.taken.bytes = self.noted_bytes;
    }

    /// Whether a load would have too much to go through.
    pub(super) const fn is_behind(&self, options: &DeduplicationOptions) -> bool {
        let limit = options.unstored_bytes.saturating_mul(BEHIND_MAX);
        limit < self.noted_bytes - self.durable.bytes
    }

    /// Whether records can be stored now: one write at a time.
    pub(super) fn can_store(&self) -> bool {
        matches!(self.stage, Stage::There) && self.in_flight.is_empty()
    }
}

impl Topic {
    /// When what has changed is stored at the latest is found out anew.
    pub(in super::super) const fn reschedule_records(&mut self) {
        if let Some(deduplication) = &mut self.deduplication {
            deduplication.next_store = None;
        }
    }

    /// Stores what has changed, if it is time to. False: it was not.
    pub(in super::super) fn store_due_records(&mut self) -> bool {
        let now = self.now();
        let end = self.ledger.end();
        let is_serving = self.is_serving();
        let options = &self.deps.options.deduplication;
        let Some(deduplication) = &mut self.deduplication else { return false };
        let is_urgent = deduplication.machine.has_urgent_changes();
        if end <= deduplication.taken.end && !is_urgent {
            deduplication.next_store = None;
            return false;
        }
        if deduplication.next_store.is_none() {
            deduplication.next_store = self.policies.snapshot_interval.map(|it| now + it);
        }
        let entries = end.0.saturating_sub(deduplication.taken.end.0);
        let bytes = deduplication.noted_bytes - deduplication.taken.bytes;
        let is_due = is_urgent
            || options.snapshot_entries <= entries
            || options.unstored_bytes <= bytes
            || deduplication.next_store.is_some_and(|at| at <= now);
        if !is_due || !is_serving || !deduplication.can_store() {
            return false;
        }
        self.store_records();
        true
    }

    /// Stores what has changed since the last time, so that the next load finds it without a replay.
    pub(in super::super) fn store_records(&mut self) {
        let end = self.ledger.end();
        let mark_delete = self.position_before(end);
        let Some(deduplication) = &mut self.deduplication else { return };
        let has_changes =
            deduplication.taken.end < end || deduplication.machine.has_urgent_changes();
        if !matches!(deduplication.stage, Stage::There) || !has_changes {
            return;
        }
        let changes = deduplication.machine.take_changes();
        let records = changes.records.into_iter().map(|change| (change.key, change.value));
        let records = records.collect();
        let delta =
            CursorDelta { mark_delete: Some(mark_delete), records, ..CursorDelta::default() };
        self.deps.options.trace("dedup-write", true);
        let seq = self.ledger.append_cursor(CURSOR, delta);
        let extent = Extent { end, bytes: deduplication.noted_bytes };
        deduplication.in_flight.push_back(Write { seq, number: changes.number, extent });
        deduplication.taken = extent;
        deduplication.next_store = None;
    }

    pub(super) fn on_records_durable(&mut self, up_to: CursorSeq) {
        let options = Arc::clone(&self.deps.options);
        let Some(deduplication) = &mut self.deduplication else { return };
        while let Some(&write) = deduplication.in_flight.front()
            && write.seq <= up_to
        {
            deduplication.in_flight.pop_front();
            deduplication.durable = write.extent;
            deduplication.machine.on_durable(write.number);
            options.trace("dedup-write", false);
        }
    }

    /// Sends a snapshot. The log before it may go on: nothing counts as stored by this.
    pub(super) fn send_all_records(&mut self) {
        let mark_delete = self.position_before(self.ledger.end());
        let Some(deduplication) = &self.deduplication else { return };
        let records = deduplication.machine.all_records().into_iter().collect();
        let state = CursorState { records, ..CursorState::at(mark_delete) };
        self.ledger.snapshot_cursor(CURSOR, state);
    }
}
