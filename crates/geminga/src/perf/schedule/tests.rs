use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

fn taken(schedule: &mut Schedule, now: u64) -> Vec<Due> {
    let mut due = Vec::new();
    schedule.take(now, &mut due);
    due
}

#[test]
fn a_stall_changes_no_due_time() {
    let pace = Pace::Every { first: 100.0, interval: 10.0 };
    let mut schedule = Schedule::new(pace, 1, 1, None);
    assert_eq!(taken(&mut schedule, 99), []);
    assert_eq!(schedule.next_due(), Some(100));
    assert_eq!(taken(&mut schedule, 100), [Due { lane: 0, at: 100 }]);
    assert_eq!(taken(&mut schedule, 135), [], "one may be in flight");
    assert_eq!(schedule.held_up(), 3);
    schedule.answered(0);
    assert_eq!(taken(&mut schedule, 500), [Due { lane: 0, at: 110 }]);
}

#[test]
fn without_a_pace_there_is_as_much_as_there_is_room() {
    let mut schedule = Schedule::new(Pace::Free, 2, 3, Some(8));
    let due = taken(&mut schedule, 5);
    assert_eq!(due.len(), 6);
    assert!(due.iter().all(|due| due.at == 5) && !schedule.has_ready());
    (0..2).for_each(|lane| schedule.answered(lane));
    assert_eq!(taken(&mut schedule, 6).len(), 2);
    assert_eq!(schedule.next_due(), None);
    for due in due {
        assert!(!schedule.is_done());
        schedule.answered(due.lane);
    }
    assert!(schedule.is_done());
}

/// Goal: every message is sent once, at its time or as soon as there is room, within the limit.
/// Method: random lanes, paces and answers, and a count per lane beside the schedule.
#[test]
fn all_that_is_due_is_sent_once() {
    for seed in 0..2_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let lanes = rng.random_range(1..5);
        let limit = rng.random_range(1..4);
        let count = rng.random_range(1..60);
        let is_paced = rng.random_bool(0.5);
        let pace = if is_paced { Pace::Every { first: 0.0, interval: 7.0 } } else { Pace::Free };
        let mut schedule = Schedule::new(pace, lanes, limit, Some(count));
        let (mut in_flight, mut sent, mut now) = (vec![0; lanes], Vec::new(), 0);
        while !schedule.is_done() {
            now += rng.random_range(0..30);
            for due in taken(&mut schedule, now) {
                assert!(due.at <= now, "seed {seed}: early");
                in_flight[due.lane] += 1;
                sent.push(due);
            }
            assert!(in_flight.iter().all(|count| *count <= limit), "seed {seed}: {in_flight:?}");
            for (lane, count) in in_flight.iter_mut().enumerate() {
                if 0 < *count && rng.random_bool(0.5) {
                    *count -= 1;
                    schedule.answered(lane);
                }
            }
            assert!(now < 1_000_000, "seed {seed}: stuck");
        }
        assert_eq!(u64::try_from(sent.len()).unwrap(), count, "seed {seed}");
        if is_paced {
            let mut times: Vec<u64> = sent.iter().map(|due| due.at).collect();
            times.sort_unstable();
            assert!(times.iter().copied().eq((0..count).map(|k| k * 7)), "seed {seed}");
        }
    }
}
