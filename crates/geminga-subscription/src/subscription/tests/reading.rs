//! Reads: how many, how large, what of; late, short and failed answers; trims.

use super::*;

fn exclusive(options: Options, count: u64, permits: u32) -> Rig {
    let mut rig = Rig::new(options, count).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, permits);
    rig
}

#[test]
fn one_read_at_a_time_of_what_the_permits_ask_for() {
    let mut rig = exclusive(Options::default(), 500, 7);
    let (_, ranges, entries_max) = rig.read();
    assert_eq!((ranges, entries_max), (vec![range(0, 7)], 7));
    assert_eq!(rig.sub.next_action(rig.now), None);
    assert!(rig.sub.stats().is_reading);
    let options = Options { read_entries_max: 100, ..Options::default() };
    assert_eq!(exclusive(options, 500, 1000).read().2, 100);
    assert_eq!(exclusive(Options::default(), 3, 1000).read().2, 3);
}

#[test]
fn nothing_is_read_for_those_who_cannot_take_it() {
    let mut rig = exclusive(Options::default(), 5, 3);
    rig.sub.set_writable(A, false);
    assert_eq!(rig.got(), []);
    rig.sub.set_writable(A, true);
    assert_eq!(rig.got(), ones(0..3));
    assert_eq!(rig.sub.next_action(rig.now), None);
}

#[test]
fn reads_get_smaller_when_entries_are_batches() {
    let mut rig = exclusive(Options::default(), 0, 10);
    (0..100).for_each(|_| rig.publish(|entry| entry.messages = 5));
    let (id, ranges, entries_max) = rig.read();
    assert_eq!(entries_max, 10);
    rig.answer(id, &ranges);
    assert_eq!(rig.got(), ones(0..2));
    assert_eq!(rig.sub.stats().buffered_entries, 8);
    rig.sub.flow(A, 40);
    assert_eq!(rig.got(), ones(2..10), "what was read is not read again");
    rig.sub.flow(A, 11);
    assert_eq!(rig.read().2, 3);
}

#[test]
fn acked_entries_are_not_read() {
    let mut rig = exclusive(Options::default(), 10, 5);
    rig.ack(&[1, 2, 5]);
    assert_eq!(rig.read().1, [range(0, 1), range(3, 5), range(6, 8)]);
}

#[test]
fn a_subscription_full_of_holes_reads_a_part_at_a_time() {
    let options = Options { read_entries_max: 1000, ..Options::default() };
    let mut rig = exclusive(options, 2000, 1000);
    rig.ack(&(0..1000).map(|i| 2 * i + 1).collect::<Vec<_>>());
    let (_, ranges, entries_max) = rig.read();
    assert_eq!((ranges.len(), entries_max), (256, 256));
}

#[test]
fn an_answer_to_a_read_of_before_the_rewind_is_void() {
    let mut rig = exclusive(Options::default(), 3, 9);
    let (old, ranges, _) = rig.read();
    rig.sub.redeliver(A, None, None);
    let (new, _, _) = rig.read();
    rig.answer(old, &ranges);
    assert_eq!(rig.sub.stats().buffered_entries, 0);
    rig.answer(new, &ranges);
    rig.answer(new, &ranges);
    assert_eq!(rig.got(), ones(0..3));
}

#[test]
fn what_was_acked_while_it_was_read_is_dropped() {
    let mut rig = exclusive(Options::default(), 4, 9);
    let (id, ranges, _) = rig.read();
    rig.ack(&[0, 1, 3]);
    rig.answer(id, &ranges);
    assert_eq!(rig.got(), ones([2]));
}

#[test]
fn a_short_answer_goes_on_and_a_hole_is_not_jumped() {
    let mut rig = exclusive(Options::default(), 5, 9);
    let (id, _, _) = rig.read();
    rig.sub.on_read(id, Ok(vec![entry(0), entry(1), entry(3)]));
    assert_eq!(rig.got(), ones(0..5));
}

#[test]
fn a_failed_read_is_repeated_after_a_wait_that_doubles() {
    let mut rig = exclusive(Options::default(), 2, 9);
    let mut waits = vec![];
    for failure in 0..9 {
        let (id, _, _) = rig.read();
        let answer = if failure % 2 == 0 { Err(ReadFailed) } else { Ok(vec![]) };
        rig.sub.on_read(id, answer);
        assert_eq!(rig.sub.next_action(rig.now), None);
        let until = rig.sub.next_timeout().unwrap();
        waits.push(until - rig.now);
        rig.now = until - 1;
        assert_eq!(rig.sub.next_action(rig.now), None);
        rig.now = until;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(rig.got(), ones(0..2));
    assert_eq!(rig.sub.next_timeout(), None);
    rig.publish(|_| {});
    let (id, _, _) = rig.read();
    rig.sub.on_read(id, Err(ReadFailed));
    rig.sub.next_action(rig.now);
    assert_eq!(rig.sub.next_timeout(), Some(rig.now + 100), "a success begins anew");
}

#[test]
fn a_clock_that_steps_back_does_not_prolong_the_wait() {
    let mut rig = exclusive(Options::default(), 2, 9);
    rig.now = 1_000_000;
    let (id, _, _) = rig.read();
    rig.sub.on_read(id, Err(ReadFailed));
    rig.sub.next_action(rig.now);
    rig.now = 5000;
    assert_eq!(rig.sub.next_action(rig.now), None);
    assert_eq!(rig.sub.next_timeout(), Some(5100));
}

#[test]
fn an_answer_without_anything_wanted_waits_instead_of_spinning() {
    let mut rig = exclusive(Options::default(), 3, 9);
    let (id, _, _) = rig.read();
    rig.sub.on_read(id, Ok(vec![entry(2), entry(77)]));
    assert_eq!(rig.sub.next_action(rig.now), None);
    assert_eq!(rig.sub.next_timeout(), Some(rig.now + 100));
}

#[test]
fn an_entry_that_the_topic_does_not_have_is_not_taken() {
    let mut rig = exclusive(Options::default(), 2, 9);
    let (id, _, _) = rig.read();
    rig.sub.on_read(id, Ok(vec![entry(0), entry(1), entry(2)]));
    assert_eq!(rig.got(), ones(0..2));
}

#[test]
fn trimmed_entries_count_as_acked_and_that_is_said() {
    let mut rig = exclusive(Options::default(), 6, 2);
    assert_eq!(rig.got(), ones(0..2));
    rig.sub.flow(A, 9);
    let (id, _, _) = rig.read();
    rig.sub.trim(Ordinal(4));
    rig.sub.on_read(id, Ok(vec![entry(4), entry(5)]));
    assert_eq!(rig.got(), ones(4..6));
    let expected =
        AckChange { acked: vec![range(0, 4)], partial: vec![], mark_delete: Some(Ordinal(4)) };
    assert_eq!(rig.own, [expected]);
    rig.sub.trim(Ordinal(2));
    assert_eq!(rig.got(), []);
}

#[test]
fn begins_where_it_left_off_whatever_has_gone_since() {
    let state = AckState {
        next_unacked: Ordinal(1),
        acked: vec![range(7, 30), range(3, 4), range(2, 3), range(0, 2)],
        partial: vec![
            (Ordinal(5), [1, 0].into()),
            (Ordinal(9), [1].into()),
            (Ordinal(3), [1].into()),
        ],
        redelivery_counts: vec![(Ordinal(9), 1), (Ordinal(8), 2), (Ordinal(5), 3), (Ordinal(3), 4)],
    };
    let sub: Subscription<u64> =
        Subscription::new(Options::default(), state, Ordinal(0), Ordinal(9));
    let expected = AckState {
        next_unacked: Ordinal(4),
        acked: vec![range(7, 9)],
        partial: vec![(Ordinal(5), [1].into())],
        redelivery_counts: vec![(Ordinal(5), 3)],
    };
    assert_eq!(sub.ack_state(), expected);
    assert_eq!(sub.backlog(), 3);
    let sub: Subscription<u64> =
        Subscription::new(Options::default(), expected, Ordinal(20), Ordinal(25));
    assert_eq!((sub.mark_delete(), sub.backlog()), (Ordinal(20), 5));
}

/// Goal: of a view with holes, what is not in it counts as acked once the reading has passed it, and
/// what is in it is delivered, also when it lies beyond what was asked for.
#[test]
fn what_a_sparse_view_leaves_out_counts_as_acked() {
    let mut rig = exclusive(Options::default(), 100, 4);
    let (id, ranges, _) = rig.read();
    assert_eq!(ranges, [range(0, 4)]);
    let found = [entry(3), entry(50)].to_vec();
    rig.sub.on_sparse_read(id, Ok(found), &[range(0, 3), range(4, 50)]);
    assert_eq!(rig.got(), ones([3, 50, 51, 52]), "the rest of the permits is for what follows");
    assert_eq!(rig.sub.mark_delete(), Ordinal(3));
    rig.ack(&[3, 51, 52]);
    assert_eq!(rig.sub.mark_delete(), Ordinal(50));
    rig.sub.flow(A, 4);
    let (id, ranges, _) = rig.read();
    assert_eq!(ranges[0].start, Ordinal(53));
    rig.sub.on_sparse_read(id, Ok(Vec::new()), &[range(53, 100)]);
    assert_eq!(rig.sub.next_action(rig.now).map(|_| ()), Some(()), "it is told to be acked");
    assert_eq!(rig.sub.backlog(), 1, "nothing but what was delivered is left");
    assert_eq!(rig.sub.next_timeout(), None, "it did not fail");
}

/// Goal: a hole that nobody waits for acks nothing, and one in what was delivered keeps the rest.
#[test]
fn a_late_sparse_answer_has_no_effect() {
    let mut rig = exclusive(Options::default(), 10, 4);
    let (id, _, _) = rig.read();
    rig.sub.reset(Ordinal(0));
    rig.sub.on_sparse_read(id, Ok(vec![entry(5)]), &[range(0, 5)]);
    assert_eq!(rig.sub.mark_delete(), Ordinal(0));
    assert_eq!(rig.got(), ones(0..4));
}

#[test]
fn what_is_revealed_can_be_gone_back_to() {
    let start = AckState::before(Ordinal(7));
    let mut sub: Subscription<u64> =
        Subscription::new(Options::default(), start, Ordinal(5), Ordinal(9));
    sub.reset(Ordinal(0));
    assert_eq!(sub.mark_delete(), Ordinal(5));
    sub.reveal(Ordinal(2));
    assert_eq!(sub.mark_delete(), Ordinal(5), "what is acked stays so");
    sub.reset(Ordinal(0));
    assert_eq!(sub.mark_delete(), Ordinal(2));
}

/// An entry that cannot be read has its turn as the others have, which do not wait for it.
#[test]
fn what_cannot_be_read_again_does_not_hold_back_the_rest() {
    let mut rig = Rig::new(Options::default(), 10).with(Kind::Shared, &[A]);
    rig.sub.flow(A, 1000);
    assert_eq!(rig.got(), ones(0..10));
    rig.sub.redeliver(A, None, None);
    let mut came = vec![];
    for _ in 0..6 {
        while let Some(action) = rig.sub.next_action(rig.now) {
            match action {
                Action::Read { id, ranges, .. } if ranges[0].start == Ordinal(3) => {
                    rig.sub.on_read(id, Err(ReadFailed));
                }
                // What comes before the one that cannot be read.
                Action::Read { id, ranges, .. } => {
                    let until = if ranges[0].start < Ordinal(3) { 3 } else { 10 };
                    rig.answer(id, &[ranges[0].start..Ordinal(until).min(ranges[0].end)]);
                }
                Action::Deliver { deliveries, .. } => {
                    came.extend(deliveries.iter().map(|it| it.ordinal.0));
                }
                other => panic!("{other:?}"),
            }
        }
        rig.now = rig.sub.next_timeout().expect("it is tried again");
    }
    assert_eq!(came, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
}
