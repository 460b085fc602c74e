//! What a cursor's log adds up to.
//!
//! # Invariants
//!
//! 1. Acked ranges are disjoint, not adjacent within a ledger, and behind the mark-delete position.
//! 2. No entry that is acked is also partly acked, or has a redelivery count.

use std::{collections::BTreeMap, mem::take};

use bytes::Bytes;
use geminga_types::{EntryId, Position};

use super::{CursorDelta, CursorState};

/// A cursor's state while its log is read, and the merger of deltas before they are written.
#[derive(Debug)]
pub(super) struct Replay {
    mark_delete: Position,
    acked: BTreeMap<Position, Position>,
    partial: BTreeMap<Position, Vec<i64>>,
    redelivery_counts: BTreeMap<Position, u32>,
    records: BTreeMap<Bytes, Bytes>,
}

impl Replay {
    pub(super) const fn new(mark_delete: Position) -> Self {
        Self {
            mark_delete,
            acked: BTreeMap::new(),
            partial: BTreeMap::new(),
            redelivery_counts: BTreeMap::new(),
            records: BTreeMap::new(),
        }
    }

    /// Begins with a snapshot, whose items it takes, in time that follows their number.
    pub(super) fn of(snapshot: &mut CursorState) -> Self {
        let mark_delete = snapshot.mark_delete;
        let mut acked = take(&mut snapshot.acked);
        let partial = take(&mut snapshot.partial);
        let redelivery_counts = take(&mut snapshot.redelivery_counts);
        let records = take(&mut snapshot.records);
        acked.retain(|&(start, end)| start <= end && mark_delete < end);
        acked.sort_by_key(|&(start, _)| start); // It nearly always is.
        if let Some((start, _)) = acked.first_mut() {
            *start = (*start).max(after(mark_delete));
        }
        acked.dedup_by(|next, last| {
            let touches = next.0 <= after(last.1);
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
        let acked = acked.into_iter().collect();
        let mut replay = Self { acked, records, ..Self::new(mark_delete) };
        replay.apply(CursorDelta { partial, redelivery_counts, ..CursorDelta::default() });
        replay
    }

    pub(super) fn apply(&mut self, delta: CursorDelta) {
        if delta.reset {
            *self = Self { records: take(&mut self.records), ..Self::new(Position::EARLIEST) };
        }
        for (key, value) in delta.records {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        for (position, ack_set) in delta.partial {
            if self.mark_delete < position && !self.is_acked(position) {
                self.partial.insert(position, ack_set);
            }
        }
        for (position, count) in delta.redelivery_counts {
            if self.mark_delete < position && !self.is_acked(position) {
                self.redelivery_counts.insert(position, count);
            }
        }
        for (start, end) in delta.acked {
            self.ack(start, end);
        }
        if let Some(mark_delete) = delta.mark_delete {
            self.move_mark_delete(mark_delete);
        }
    }

    pub(super) fn into_state(self) -> CursorState {
        CursorState {
            acked: self.acked.into_iter().collect(),
            partial: self.partial.into_iter().collect(),
            redelivery_counts: self.redelivery_counts.into_iter().collect(),
            records: self.records,
            ..CursorState::at(self.mark_delete)
        }
    }

    fn is_acked(&self, position: Position) -> bool {
        let before = self.acked.range(..=position).next_back();
        before.is_some_and(|(_, &end)| position <= end)
    }

    fn ack(&mut self, start: Position, end: Position) {
        let start = start.max(after(self.mark_delete));
        if end < start {
            return;
        }
        self.partial.extract_if(start..=end, |_, _| true).for_each(drop);
        self.redelivery_counts.extract_if(start..=end, |_, _| true).for_each(drop);
        let (mut start, mut end) = (start, end);
        while let Some((&other, &other_end)) = self.acked.range(..=after(end)).next_back() {
            if after(other_end) < start {
                break;
            }
            start = start.min(other);
            end = end.max(other_end);
            self.acked.remove(&other);
        }
        self.acked.insert(start, end);
    }

    fn move_mark_delete(&mut self, to: Position) {
        if to <= self.mark_delete {
            return;
        }
        self.mark_delete = to;
        self.partial = self.partial.split_off(&after(to));
        self.redelivery_counts = self.redelivery_counts.split_off(&after(to));
        let behind = self.acked.split_off(&after(to));
        if let Some((_, &end)) = self.acked.last_key_value()
            && to < end
        {
            self.acked = BTreeMap::from([(after(to), end)]);
            self.acked.extend(behind);
        } else {
            self.acked = behind;
        }
    }
}

/// The next position in the same ledger.
const fn after(position: Position) -> Position {
    let entry_id = EntryId(position.entry_id.0.saturating_add(1));
    Position { entry_id, ..position }
}

#[cfg(test)]
mod tests;
