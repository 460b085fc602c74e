//! Changes that wait to be written: merged as they come, so that they take what their outcome takes,
//! however many they are and however long they wait.

use std::collections::BTreeMap;

use geminga_types::Position;

use super::{CursorDelta, CursorState, replay::Replay};

/// Fewer items are not worth the work.
const COMPACTED_ITEMS_MIN: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Pile {
    delta: CursorDelta,
    /// Items after the last compaction.
    items: usize,
}

impl Pile {
    pub(super) const fn is_empty(&self) -> bool {
        self.delta.is_empty()
    }

    /// Adds a later change.
    pub(super) fn push(&mut self, later: CursorDelta) {
        self.delta.merge(later);
        if COMPACTED_ITEMS_MIN.max(2 * self.items) <= items(&self.delta) {
            self.delta = compact(std::mem::take(&mut self.delta));
            self.items = items(&self.delta);
        }
    }

    /// All of it, each item once.
    pub(super) fn take(&mut self) -> CursorDelta {
        compact(std::mem::take(self).delta)
    }
}

const fn items(delta: &CursorDelta) -> usize {
    let changes = delta.acked.len() + delta.partial.len() + delta.redelivery_counts.len();
    changes + delta.records.len()
}

/// Joins ranges that touch, and leaves out what the group's own mark-delete position covers, and records
/// that were put again.
fn compact(mut group: CursorDelta) -> CursorDelta {
    if 1 < group.records.len() {
        let latest: BTreeMap<_, _> = std::mem::take(&mut group.records).into_iter().collect();
        group.records = latest.into_iter().collect();
    }
    if group.acked.len() + group.partial.len() + group.redelivery_counts.len() <= 1 {
        return group;
    }
    let (mark_delete, reset) = (group.mark_delete, group.reset);
    let records = std::mem::take(&mut group.records);
    let mut replay = Replay::new(mark_delete.unwrap_or(Position::EARLIEST));
    replay.apply(CursorDelta { mark_delete: None, reset: false, ..group });
    let CursorState { acked, partial, redelivery_counts, .. } = replay.into_state();
    CursorDelta { mark_delete, acked, partial, redelivery_counts, records, reset }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_outcome_takes() {
        let mut pile = Pile::default();
        let at = |entry| Position::new(1, entry);
        for round in 0..50_000_u32 {
            let entry = i64::from(round % 7);
            pile.push(CursorDelta {
                redelivery_counts: vec![(at(entry), round)],
                acked: vec![(at(100 + i64::from(round)), at(100 + i64::from(round)))],
                ..CursorDelta::default()
            });
            assert!(items(&pile.delta) <= COMPACTED_ITEMS_MIN);
        }
        let CursorDelta { acked, redelivery_counts, .. } = pile.take();
        assert_eq!(acked, [(at(100), at(50_099))]);
        let counts: Vec<_> = redelivery_counts.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts.len(), 7);
        assert!(counts.iter().all(|count| 50_000 - 7 <= *count));
        assert!(pile.is_empty());
    }
}
