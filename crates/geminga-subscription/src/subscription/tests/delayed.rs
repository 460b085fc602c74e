//! Delayed entries that the topic's index has: parked, passed over, loaded before they are due.

use super::*;
use crate::explain::{Limit, State};

const NOW: u64 = 1000;

/// A Shared subscription of a topic with entries that are due 10 s apart, the last one first.
fn delayed(options: Options, count: u64) -> Rig {
    let mut rig = Rig::new(options, 0).with(Kind::Shared, &[A]);
    for at in 0..count {
        rig.publish(|entry| entry.deliver_at = Some(NOW + (count - at) * 10_000));
    }
    rig.sub.flow(A, 1000);
    rig
}

fn index(rig: &mut Rig, start: u64, end: u64) {
    rig.indexed = vec![range(start, end)];
    rig.sub.set_indexed(rig.indexed.clone().into());
}

fn options(delayed_entries_max: usize) -> Options {
    Options { delayed_entries_max, ..Options::default() }
}

/// Lets time pass to each time-out until nothing is left; what came when.
fn all(rig: &mut Rig) -> Vec<(u64, u64)> {
    let mut came = vec![];
    while let Some(at) = rig.sub.next_timeout() {
        assert!(rig.now < at, "it would spin");
        rig.now = at;
        let got = rig.got();
        came.extend(got.iter().map(|&(_, entry)| (rig.now, entry)));
        let ordinals: Vec<u64> = got.into_iter().map(|(_, entry)| entry).collect();
        rig.ack(&ordinals);
        rig.poll();
    }
    came
}

fn in_time(count: u64) -> Vec<(u64, u64)> {
    (1..=count).map(|n| (NOW + n * 10_000, count - n)).collect()
}

#[test]
fn what_is_too_much_is_parked_and_comes_in_time() {
    let mut rig = delayed(options(8), 40);
    assert_eq!(rig.got(), []);
    assert_eq!((rig.sub.stats().delayed_entries, rig.sub.next_read()), (8, Ordinal(8)));
    assert_eq!(rig.sub.wants_index(), Some(Ordinal(0)));
    index(&mut rig, 0, 40);
    assert_eq!(rig.got(), []);
    let stats = rig.sub.stats();
    assert_eq!((stats.delayed_entries, rig.sub.next_read()), (40, Ordinal(40)));
    assert!(32 <= stats.parked_entries, "{stats:?}");
    assert_eq!(rig.sub.wants_index(), None);
    assert_eq!(all(&mut rig), in_time(40));
    assert_eq!(rig.sub.mark_delete(), Ordinal(40));
    assert!(rig.loads.iter().all(|&(_, max)| max == 4), "{:?}", rig.loads);
}

#[test]
fn without_an_index_nothing_more_is_read_than_is_held() {
    let mut rig = delayed(options(8), 20);
    assert_eq!(rig.got(), []);
    assert_eq!(rig.sub.stats().delayed_entries, 8);
    assert_eq!(all(&mut rig).len(), 20);
    assert_eq!(rig.loads, []);
}

#[test]
fn a_read_passes_over_what_the_index_has() {
    let mut rig = delayed(options(8), 40);
    index(&mut rig, 0, 40);
    rig.publish(|_| {});
    rig.ack(&[3]);
    let Some(Action::Read { id, park_from, .. }) = rig.sub.next_action(rig.now) else { panic!() };
    assert_eq!(park_from, Some(Ordinal(0)));
    let parked = ParkedEntries { runs: vec![range(0, 3), range(3, 40)], due_min: NOW + 10_000 };
    rig.sub.on_parking_read(id, Ok(vec![rig.stored[40].clone()]), &parked);
    assert_eq!(rig.got(), [(1, 40)]);
    rig.ack(&[40]);
    assert!(rig.read.is_empty(), "{:?}", rig.read);
    assert_eq!(rig.sub.stats().delayed_entries, 39);
    let mut expected = in_time(40);
    expected.retain(|&(_, at)| at != 3);
    assert_eq!(all(&mut rig), expected);
}

#[test]
fn a_read_of_what_comes_again_is_not_to_be_left_out() {
    let mut rig = delayed(options(8), 2);
    index(&mut rig, 0, 2);
    rig.now = NOW + 20_000;
    assert_eq!(rig.got(), [(1, 0), (1, 1)]);
    rig.sub.redeliver(A, None, None);
    let Some(Action::Read { ranges, park_from, .. }) = rig.sub.next_action(rig.now) else {
        panic!()
    };
    assert_eq!((ranges, park_from), (vec![range(0, 2)], Some(Ordinal(2))));
}

#[test]
fn in_order_nothing_is_left_out() {
    let mut rig = Rig::new(options(1), 3).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, 10);
    index(&mut rig, 0, 3);
    let Some(Action::Read { park_from, .. }) = rig.sub.next_action(rig.now) else { panic!() };
    assert_eq!(park_from, None);
}

#[test]
fn a_load_that_failed_is_tried_again() {
    let mut rig = delayed(options(2), 10);
    index(&mut rig, 0, 10);
    let mut failed = 0;
    let mut got = vec![];
    for _ in 0..200 {
        while let Some(action) = rig.sub.next_action(rig.now) {
            match action {
                Action::Read { id, ranges, .. } => rig.answer(id, &ranges),
                Action::LoadDelayed { id, .. } if failed < 5 => {
                    failed += 1;
                    rig.sub.on_delayed(id, Err(ReadFailed));
                }
                Action::LoadDelayed { id, after, entries_max } => {
                    rig.load(id, after, entries_max);
                }
                Action::Deliver { deliveries, .. } => {
                    got.extend(deliveries.into_iter().map(|delivery| delivery.ordinal.0));
                }
                Action::ActiveChanged { .. } | Action::Acked(_) | Action::DeadLetters { .. } => {}
            }
        }
        let acked = std::mem::take(&mut got);
        rig.ack(&acked);
        if let Some(at) = rig.sub.next_timeout() {
            rig.now = at;
        }
    }
    assert_eq!((failed, rig.sub.mark_delete()), (5, Ordinal(10)));
}

#[test]
fn an_answer_that_goes_nowhere_counts_as_failed() {
    let mut rig = delayed(options(1), 3);
    index(&mut rig, 0, 3);
    loop {
        match rig.sub.next_action(rig.now) {
            Some(Action::Read { id, ranges, .. }) => rig.answer(id, &ranges),
            Some(Action::LoadDelayed { id, after, .. }) => {
                let answer = LoadedDelayed { entries: vec![], until: Some(after) };
                rig.sub.on_delayed(id, Ok(answer));
            }
            Some(other) => panic!("{other:?}"),
            None => break,
        }
    }
    assert!(rig.sub.next_timeout().is_some());
}

#[test]
fn who_begins_anew_has_nothing_parked() {
    let mut rig = delayed(options(8), 40);
    index(&mut rig, 0, 40);
    assert_eq!(rig.got(), []);
    assert!(0 < rig.sub.stats().parked_entries);
    rig.sub.detach(A);
    assert_eq!(rig.sub.stats().delayed_entries, 0);
    rig.sub.attach(B, info("b", Kind::Exclusive, 0)).unwrap();
    rig.sub.flow(B, 1000);
    assert_eq!(rig.got().len(), 40, "in order, times do not count");
}

#[test]
fn when_delays_do_not_count_all_is_delivered() {
    let mut rig = delayed(options(8), 40);
    index(&mut rig, 0, 40);
    assert_eq!(rig.got(), []);
    rig.sub.set_honours_delays(false);
    let mut got: Vec<u64> = rig.got().into_iter().map(|(_, at)| at).collect();
    got.sort_unstable();
    assert_eq!(got, (0..40).collect::<Vec<_>>());
}

#[test]
fn while_memory_is_scarce_less_is_held() {
    let mut rig = delayed(Options { scarce_bytes: 5 * DELAYED_BYTES, ..Options::default() }, 40);
    index(&mut rig, 0, 40);
    assert_eq!(rig.got(), []);
    assert_eq!(rig.sub.stats().parked_entries, 0);
    rig.sub.set_scarce(Scarce { timers: true, ..Scarce::default() });
    assert_eq!(rig.got(), []);
    let stats = rig.sub.stats();
    assert_eq!((stats.delayed_entries, stats.parked_entries), (40, 36));
    assert_eq!(all(&mut rig), in_time(40));
}

/// Goal: what is parked is loaded although enough is held, if that is due later.
#[test]
fn what_is_due_first_is_held() {
    let mut rig = delayed(options(8), 0);
    for _ in 0..8 {
        rig.publish(|entry| entry.deliver_at = Some(NOW + 1_000_000));
    }
    for n in 0..20 {
        rig.publish(|entry| entry.deliver_at = Some(NOW + 50_000 + n));
    }
    index(&mut rig, 0, 28);
    let Some(Action::Read { id, .. }) = rig.sub.next_action(rig.now) else { panic!() };
    let held = rig.stored[..8].to_vec();
    let parked = ParkedEntries { runs: vec![range(8, 28)], due_min: NOW + 20_000 };
    rig.sub.on_parking_read(id, Ok(held), &parked);
    assert_eq!(rig.got(), []);
    let came = all(&mut rig);
    let early: Vec<_> = came.iter().take(20).copied().collect();
    let expected: Vec<_> = (0..20).map(|n| (NOW + 50_000 + n, 8 + n)).collect();
    assert_eq!(early, expected);
    assert_eq!(came.len(), 28);
}

/// What is due is loaded although far too much is held, none of which can be parked.
#[test]
fn what_is_due_is_loaded_whatever_is_held() {
    let mut rig = delayed(Options { scarce_bytes: 3 * DELAYED_BYTES, ..options(8) }, 0);
    for _ in 0..8 {
        rig.publish(|entry| entry.deliver_at = Some(NOW + 1_000_000));
    }
    for n in 0..20 {
        rig.publish(|entry| entry.deliver_at = Some(NOW + 50_000 + n));
    }
    index(&mut rig, 8, 28);
    let Some(Action::Read { id, .. }) = rig.sub.next_action(rig.now) else { panic!() };
    let held = rig.stored[..8].to_vec();
    let parked = ParkedEntries { runs: vec![range(8, 28)], due_min: NOW + 20_000 };
    rig.sub.set_scarce(Scarce { timers: true, ..Scarce::default() });
    rig.sub.on_parking_read(id, Ok(held), &parked);
    assert_eq!(rig.got(), []);
    let came = all(&mut rig);
    let early: Vec<_> = came.iter().take(20).copied().collect();
    let expected: Vec<_> = (0..20).map(|n| (NOW + 50_000 + n, 8 + n)).collect();
    assert_eq!(early, expected);
    assert_eq!(came.len(), 28);
}

/// A has the low slots and takes nothing, B the high ones: entries of A that are due first, then B's.
fn one_takes_nothing(count: u64) -> Rig {
    let mut rig = Rig::new(options(8), 0);
    for (key, slots) in [(A, 0..=32_767), (B, 32_768..=65_535)] {
        let mode = KeySharedMode::Sticky(vec![slots]);
        let key_shared = Some(KeySharedOptions { mode, allow_out_of_order: false });
        rig.sub.attach(key, ConsumerInfo { key_shared, ..info("c", Kind::KeyShared, 0) }).unwrap();
    }
    for at in 0..2 * count {
        let is_first = at < count;
        rig.publish(|entry| {
            entry.key_hash = if is_first { 10 } else { 40_000 };
            entry.deliver_at = Some(NOW + if is_first { 50_000 } else { 60_000 + at });
        });
    }
    index(&mut rig, 0, 2 * count);
    rig.sub.flow(B, 1000);
    assert_eq!(rig.got(), []);
    rig
}

#[test]
fn who_takes_nothing_does_not_stop_what_is_parked_for_others() {
    let mut rig = one_takes_nothing(10);
    let expected: Vec<_> = (10..20).map(|at| (NOW + 60_000 + at, at)).collect();
    assert_eq!(all(&mut rig), expected);
}

#[test]
fn what_is_loaded_for_who_takes_nothing_is_bounded_and_named() {
    let mut rig = one_takes_nothing(40);
    assert_eq!(all(&mut rig), []);
    let State::AtLimit(Limit::TooManyDue { held_back_entries, max }) = rig.sub.explain().state
    else {
        panic!("{:?}", rig.sub.explain());
    };
    assert_eq!(max, 16);
    assert!((16..24).contains(&held_back_entries), "{held_back_entries}");
}

/// A consumer that takes as many as fall due, and always has some before it. What falls due lies in front
/// of what waits longest, as it does with messages delayed by chance.
#[test]
fn what_falls_due_in_front_does_not_keep_the_rest_waiting() {
    const STEP: u64 = 10;
    let options = Options { read_entries_max: 10, ..Options::default() };
    let mut rig = Rig::new(options, 0).with(Kind::Shared, &[A]);
    // 50 are due at once, the last ones; then in each second as many as are taken.
    for at in 0..1_000 {
        let second = if at < 950 { 1 + (949 - at) / STEP } else { 0 };
        rig.publish(|entry| entry.deliver_at = Some(NOW + second * 1_000));
    }
    rig.now = NOW - 1;
    rig.sub.flow(A, 1);
    assert_eq!(rig.got(), [], "all are known");
    let mut latest = 0;
    for second in 0..100 {
        rig.now = NOW + second * 1_000;
        rig.sub.flow(A, u32::try_from(STEP).unwrap() - u32::from(second == 0));
        let came = rig.got();
        assert_eq!(came.len() as u64, STEP, "in second {second}");
        for (_, at) in came {
            let due = if at < 950 { 1 + (949 - at) / STEP } else { 0 };
            latest = latest.max(second - due);
            rig.ack(&[at]);
        }
    }
    // Five seconds' worth waits all the time, and each has its turn in two rounds.
    assert!(latest <= 10, "one came {latest} s late");
}

#[test]
fn while_a_read_is_out_no_more_that_is_due_is_loaded_than_there_is_room_for() {
    let mut rig = Rig::new(options(8), 0).with(Kind::Shared, &[A]);
    (0..40).for_each(|_| rig.publish(|entry| entry.deliver_at = Some(NOW + 50_000)));
    index(&mut rig, 0, 40);
    rig.sub.flow(A, 100);
    assert_eq!(rig.got(), []);
    rig.now = NOW + 50_000;
    let mut reads = vec![];
    while let Some(action) = rig.sub.next_action(rig.now) {
        match action {
            Action::LoadDelayed { id, after, entries_max } => rig.load(id, after, entries_max),
            Action::Read { id, ranges, .. } => reads.push((id, ranges)),
            other => panic!("{other:?}"),
        }
    }
    let known = rig.sub.stats().redelivery_entries;
    assert!((4..=8).contains(&known), "{known} are known");
    let (id, ranges) = reads.pop().unwrap();
    rig.answer(id, &ranges);
    assert_eq!(rig.got().len(), 40);
}

#[test]
fn chunks_that_wait_do_not_stop_what_is_parked_for_others() {
    let options = Options { read_entries_max: 5, ..options(8) };
    let mut rig = Rig::new(options, 0).with(Kind::Shared, &[A, B]);
    for at in 0..7 {
        let chunk = crate::Chunk { message: 1, is_first: at == 0 };
        rig.publish(|entry| entry.chunk = Some(chunk));
    }
    rig.sub.flow(A, 1);
    assert_eq!(rig.got(), [(1, 0)]);
    (0..20).for_each(|n| rig.publish(|entry| entry.deliver_at = Some(NOW + 50_000 + n)));
    index(&mut rig, 7, 27);
    rig.sub.flow(B, 1000);
    assert_eq!(rig.got(), []);
    let waiting = rig.sub.stats().redelivery_entries;
    assert!(4 <= waiting, "{waiting} chunks are to be read again");
    let expected: Vec<_> = (0..20).map(|n| (NOW + 50_000 + n, 7 + n)).collect();
    assert_eq!(all(&mut rig), expected);
}
