use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The naive model: every consumed entry by itself.
#[derive(Debug, Default)]
struct Model {
    mark_delete: Option<Position>,
    acked: BTreeSet<Position>,
    partial: BTreeMap<Position, Vec<i64>>,
    counts: BTreeMap<Position, u32>,
    records: BTreeMap<Bytes, Bytes>,
}

const ENTRIES: i64 = 12;

fn positions() -> impl Iterator<Item = Position> {
    (0..3).flat_map(|ledger| (0..ENTRIES).map(move |entry| Position::new(ledger, entry)))
}

impl Model {
    fn apply(&mut self, delta: &CursorDelta) {
        if delta.reset {
            *self = Self { records: take(&mut self.records), ..Self::default() };
        }
        for (key, value) in &delta.records {
            match value {
                Some(value) => self.records.insert(key.clone(), value.clone()),
                None => self.records.remove(key),
            };
        }
        for (position, ack_set) in &delta.partial {
            self.partial.insert(*position, ack_set.clone());
        }
        self.counts.extend(delta.redelivery_counts.iter().copied());
        for &(start, end) in &delta.acked {
            self.acked.extend(positions().filter(|p| start <= *p && *p <= end));
        }
        self.mark_delete = self.mark_delete.max(delta.mark_delete);
    }

    fn is_consumed(&self, position: Position) -> bool {
        self.acked.contains(&position) || Some(position) <= self.mark_delete
    }
}

fn position() -> impl Strategy<Value = Position> {
    (0..3_i64, 0..ENTRIES).prop_map(|(ledger, entry)| Position::new(ledger, entry))
}

fn range() -> impl Strategy<Value = (Position, Position)> {
    (position(), 0..4_i64).prop_map(|(start, more)| {
        let end = (start.entry_id.0 + more).min(ENTRIES - 1);
        (start, Position::new(start.ledger_id.0, end))
    })
}

fn record() -> impl Strategy<Value = (Bytes, Option<Bytes>)> {
    (0..3_u8, prop::option::of(any::<u8>())).prop_map(|(key, value)| {
        (Bytes::from(vec![key]), value.map(|value| Bytes::from(vec![value])))
    })
}

fn delta() -> impl Strategy<Value = CursorDelta> {
    let acked = prop::collection::vec(range(), 0..4);
    let partial =
        prop::collection::vec((position(), prop::collection::vec(any::<i64>(), 1..3)), 0..3);
    let counts = prop::collection::vec((position(), 1..9_u32), 0..3);
    let mark_delete = prop::option::weighted(0.3, position());
    let records = prop::collection::vec(record(), 0..3);
    (mark_delete, acked, partial, counts, records, prop::bool::weighted(0.1)).prop_map(
        |(mark_delete, acked, partial, redelivery_counts, records, reset)| CursorDelta {
            mark_delete,
            acked,
            partial,
            redelivery_counts,
            records,
            reset,
        },
    )
}

fn check(state: &CursorState, model: &Model) {
    let in_range = |p: Position| state.acked.iter().any(|&(start, end)| start <= p && p <= end);
    for position in positions() {
        let is_consumed = position <= state.mark_delete || in_range(position);
        assert_eq!(is_consumed, model.is_consumed(position), "{position}");
        let partial = state.partial.iter().find(|(at, _)| *at == position).map(|(_, set)| set);
        let expected = model.partial.get(&position).filter(|_| !is_consumed);
        assert_eq!(partial, expected, "{position}");
        let count = state.redelivery_counts.iter().find(|(at, _)| *at == position);
        let expected = model.counts.get(&position).filter(|_| !is_consumed);
        assert_eq!(count.map(|(_, count)| count), expected, "{position}");
    }
    assert_eq!(state.records, model.records);
    assert!(state.acked.iter().all(|(start, end)| start <= end && state.mark_delete < *start));
    let is_apart = |pair: &[(Position, Position)]| after(pair[0].1) < pair[1].0;
    assert!(state.acked.windows(2).all(is_apart), "{:?}", state.acked);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn adds_up_to_what_a_naive_model_holds(deltas in prop::collection::vec(delta(), 0..20)) {
        let mut replay = Replay::new(Position::EARLIEST);
        let mut model = Model::default();
        for delta in deltas {
            model.apply(&delta);
            // A part acked once the entry is consumed says nothing.
            let consumed: Vec<Position> = positions().filter(|&p| model.is_consumed(p)).collect();
            model.partial.retain(|position, _| !consumed.contains(position));
            model.counts.retain(|position, _| !consumed.contains(position));
            replay.apply(delta);
        }
        check(&replay.into_state(), &model);
    }

    #[test]
    fn begins_with_a_snapshot_as_with_a_delta(mut delta in delta(), mark_delete in position()) {
        (delta.mark_delete, delta.reset) = (None, false);
        delta.records.retain(|(_, value)| value.is_some());
        let mut one_by_one = Replay::new(mark_delete);
        one_by_one.apply(delta.clone());
        let CursorDelta { acked, partial, redelivery_counts, records, .. } = delta;
        let records = records.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let mut snapshot =
            CursorState { acked, partial, redelivery_counts, records, ..CursorState::at(mark_delete) };
        prop_assert_eq!(Replay::of(&mut snapshot).into_state(), one_by_one.into_state());
    }

    #[test]
    fn merged_deltas_do_what_they_do_one_by_one(deltas in prop::collection::vec(delta(), 1..10), at in 0..10_usize) {
        let mut one_by_one = Replay::new(Position::EARLIEST);
        for delta in &deltas {
            one_by_one.apply(delta.clone());
        }
        let mut merged = Replay::new(Position::EARLIEST);
        let (first, rest) = deltas.split_at(at.min(deltas.len() - 1));
        first.iter().for_each(|delta| merged.apply(delta.clone()));
        let mut group = CursorDelta::default();
        // Mark-delete positions only move forward between resets.
        let mut highest = None;
        for delta in rest {
            highest = if delta.reset { delta.mark_delete } else { highest.max(delta.mark_delete) };
            group.merge(CursorDelta { mark_delete: delta.mark_delete.and(highest), ..delta.clone() });
        }
        merged.apply(group);
        prop_assert_eq!(merged.into_state(), one_by_one.into_state());
    }
}

#[test]
fn an_ack_that_spans_ledgers_swallows_what_lies_between() {
    let mut replay = Replay::new(Position::new(0, 3));
    let acked = vec![
        (Position::new(1, 4), Position::new(1, 5)),
        (Position::new(0, 9), Position::new(2, 0)),
        (Position::new(0, 2), Position::new(0, 4)),
    ];
    replay.apply(CursorDelta { acked, ..CursorDelta::default() });
    let state = replay.into_state();
    assert_eq!(
        state.acked,
        [(Position::new(0, 4), Position::new(0, 4)), (Position::new(0, 9), Position::new(2, 0)),]
    );
}
