use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

fn range(start: u64, end: u64) -> Range<Ordinal> {
    Ordinal(start)..Ordinal(end)
}

#[test]
fn many_at_once_are_the_same_as_one_by_one() {
    for seed in 0..1000 {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(0..10);
        let mut any = || range(random.random_range(0..60), random.random_range(0..60));
        let ranges: Vec<_> = (0..count).map(|_| any()).collect();
        let mut one_by_one = Intervals::default();
        ranges.iter().for_each(|range| one_by_one.insert(range.clone()));
        assert_eq!(Intervals::of(ranges), one_by_one, "seed {seed}");
    }
}

#[test]
fn behaves_as_a_set_of_numbers() {
    for seed in 0..1000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut intervals = Intervals::default();
        let mut naive = BTreeSet::new();
        for _ in 0..15 {
            let start = random.random_range(0..60_u64);
            let end = start + random.random_range(0..8);
            match random.random_range(0..10) {
                0 => {
                    let first = naive.first().copied().filter(|&first| first <= start);
                    let behind = first.map(|from| (from..).find(|at| !naive.contains(at)).unwrap());
                    assert_eq!(intervals.pop_first_at(Ordinal(start)), behind.map(Ordinal));
                    naive.retain(|&at| behind.is_none_or(|behind| behind <= at));
                }
                1..5 => {
                    if naive.insert(start) {
                        intervals.insert_one(Ordinal(start));
                    }
                }
                _ => {
                    intervals.insert(range(start, end));
                    naive.extend(start..end);
                }
            }
            check(&intervals, &naive, start, end + 9, seed);
        }
    }
}

fn check(intervals: &Intervals, naive: &BTreeSet<u64>, from: u64, to: u64, seed: u64) {
    let flat: Vec<u64> = intervals.iter().flat_map(|i| i.start.0..i.end.0).collect();
    assert_eq!(flat, naive.iter().copied().collect::<Vec<_>>(), "seed {seed}");
    assert_eq!(intervals.len(), naive.len() as u64, "seed {seed}");
    let breaks = naive.iter().filter(|&&at| !naive.contains(&(at + 1))).count();
    assert_eq!(intervals.count(), breaks, "seed {seed}");
    for at in 0..70 {
        assert_eq!(intervals.contains(Ordinal(at)), naive.contains(&at), "seed {seed}");
        let absent = (at..).find(|at| !naive.contains(at)).map(Ordinal);
        assert_eq!(Some(intervals.next_absent(Ordinal(at))), absent, "seed {seed}");
        let present = naive.range(at..).next().copied().map(Ordinal);
        assert_eq!(intervals.next_present(Ordinal(at)), present, "seed {seed}");
    }
    let gaps: Vec<_> = intervals.gaps(range(from, to)).collect();
    assert!(gaps.iter().all(|gap| gap.start < gap.end), "seed {seed}");
    assert!(gaps.windows(2).all(|pair| pair[0].end < pair[1].start), "seed {seed}");
    let absent: Vec<u64> = gaps.iter().flat_map(|gap| gap.start.0..gap.end.0).collect();
    let expected: Vec<u64> = (from..to).filter(|at| !naive.contains(at)).collect();
    assert_eq!(absent, expected, "seed {seed}");
}
