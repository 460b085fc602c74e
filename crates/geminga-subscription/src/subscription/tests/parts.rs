//! What is acked, taken in parts while acks go on.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const ENTRIES: u64 = 40;

fn fresh(state: AckState) -> Subscription<u64> {
    Subscription::new(Options::default(), state, Ordinal(0), Ordinal(ENTRIES))
}

fn any_acks(random: &mut StdRng) -> Vec<Ack> {
    let count = random.random_range(0..4);
    let one = |random: &mut StdRng| match random.random_bool(0.3) {
        true => ack_set(random.random_range(0..ENTRIES), &[random.random_range(0..8)], Some(3)),
        false => ack(random.random_range(0..ENTRIES)),
    };
    (0..count).map(|_| one(random)).collect()
}

/// What a reader of a log makes of parts, and of what has changed since.
struct Read {
    acked: BTreeSet<u64>,
    partial: BTreeMap<u64, Box<[i64]>>,
}

impl Read {
    fn apply(&mut self, acked: &[Range<Ordinal>], partial: &[(Ordinal, Box<[i64]>)]) {
        for (at, left) in partial {
            self.partial.insert(at.0, left.clone());
        }
        self.acked.extend(acked.iter().flat_map(|range| range.start.0..range.end.0));
        self.partial.retain(|at, _| !self.acked.contains(at));
    }
}

/// Goal: parts taken at different times, with the changes since the first, are what is acked in the end.
///
/// Method: acks at random between parts of random size, read as a log is.
#[test]
fn parts_and_what_came_since_are_the_whole() {
    for seed in 0..3_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut sub = fresh(AckState::before(Ordinal(0)));
        for _ in 0..12 {
            sub.ack_individual(None, &any_acks(&mut random));
        }
        let mut read = Read { acked: (0..sub.mark_delete().0).collect(), partial: BTreeMap::new() };
        let (mut since, mut next, mut last) = (Vec::new(), Some(AckPart::first()), Ordinal(0));
        while let Some(from) = next {
            let room = random.random_range(1..5);
            let part;
            (part, next) = sub.ack_state_part(from, room);
            let items = part.acked.len() + part.partial.len() + part.redelivery_counts.len();
            assert!(items <= room, "seed {seed}");
            for range in &part.acked {
                assert!(last <= range.start && range.start < range.end, "seed {seed}");
                last = range.end;
            }
            read.apply(&part.acked, &part.partial);
            since.push(sub.ack_individual(None, &any_acks(&mut random)));
        }
        since.iter().for_each(|change| read.apply(&change.acked, &change.partial));
        let (first, whole) = (sub.mark_delete().0, sub.ack_state());
        let acked: Vec<_> =
            whole.acked.iter().flat_map(|range| range.start.0..range.end.0).collect();
        assert_eq!(
            read.acked.into_iter().collect::<Vec<_>>(),
            [(0..first).collect(), acked].concat()
        );
        let partial: Vec<_> =
            read.partial.into_iter().map(|(at, left)| (Ordinal(at), left)).collect();
        assert_eq!(partial, whole.partial, "seed {seed}");
    }
}

/// Goal: redelivery counts come in parts too, behind the rest.
#[test]
fn parts_without_changes_are_the_whole() {
    let state = AckState {
        next_unacked: Ordinal(2),
        acked: vec![range(4, 6), range(8, 9), range(10, 20)],
        partial: vec![(Ordinal(6), [1].into()), (Ordinal(7), [3].into())],
        redelivery_counts: vec![(Ordinal(2), 9), (Ordinal(7), 1), (Ordinal(9), 4)],
    };
    let sub = fresh(state.clone());
    for room in 1..10 {
        let mut all = AckState::before(Ordinal(2));
        let mut next = Some(AckPart::first());
        while let Some(from) = next {
            let part;
            (part, next) = sub.ack_state_part(from, room);
            all.acked.extend(part.acked);
            all.partial.extend(part.partial);
            all.redelivery_counts.extend(part.redelivery_counts);
        }
        assert_eq!(all, state, "{room} at a time");
    }
    assert_eq!(sub.ack_state(), state);
}
