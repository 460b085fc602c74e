//! Exclusive and Failover; and what all kinds share: who may attach, permits, acks of parts.

use super::*;

#[test]
fn a_second_exclusive_consumer_is_refused_until_the_first_has_gone() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    let second = || info("b", Kind::Exclusive, 0);
    assert_eq!(rig.sub.attach(B, second()), Err(AttachError::ConsumerBusy));
    rig.sub.detach(B);
    assert_eq!(rig.sub.attach(B, second()), Err(AttachError::ConsumerBusy));
    rig.sub.detach(A);
    assert_eq!(rig.sub.attach(B, second()), Ok(()));
    assert_eq!(rig.sub.active(), Some(B));
}

#[test]
fn the_kind_changes_only_when_nobody_is_attached() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    let mismatch = AttachError::KindMismatch { attached: Kind::Exclusive };
    assert_eq!(rig.sub.attach(B, info("b", Kind::Shared, 0)), Err(mismatch));
    rig.sub.detach(A);
    assert_eq!(rig.sub.kind(), None);
    assert_eq!(rig.sub.attach(B, info("b", Kind::Shared, 0)), Ok(()));
    assert_eq!(rig.sub.attach(B, info("b", Kind::Shared, 0)), Err(AttachError::ConsumerBusy));
}

#[test]
fn nothing_goes_without_a_permit_and_only_the_last_batch_overshoots() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    (0..4).for_each(|_| rig.publish(|entry| entry.messages = 2));
    assert_eq!(rig.got(), []);
    rig.sub.flow(A, 3);
    assert_eq!(rig.got(), ones([0, 1]));
    rig.sub.flow(A, 1);
    assert_eq!(rig.got(), [], "the overshoot is paid back first");
    rig.sub.flow(A, 1);
    assert_eq!(rig.got(), ones([2]));
    assert_eq!(rig.sub.stats().consumers[0].permits, -1);
    assert_eq!(rig.sub.stats().consumers[0].delivered_messages, 6);
    assert_eq!(rig.sub.stats().consumers[0].delivered_entries, 3);
}

#[test]
fn permits_end_with_the_attachment() {
    let mut rig = Rig::new(Options::default(), 3).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, 10);
    rig.sub.detach(A);
    rig.sub.attach(A, info("a", Kind::Exclusive, 0)).unwrap();
    assert_eq!(rig.got(), []);
}

#[test]
fn a_batch_acked_in_part_costs_and_carries_only_what_remains() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    rig.publish(|entry| entry.messages = 5);
    rig.publish(|_| {});
    rig.sub.ack_individual(Some(A), &[ack_set(0, &[0b10010], None)]);
    rig.sub.flow(A, 3);
    let delivered = rig.poll();
    assert_eq!(delivered.len(), 2);
    assert_eq!(delivered[0].1.messages, 2);
    assert_eq!(delivered[0].1.ack_set.as_deref(), Some(&[0b10010][..]));
    assert_eq!((delivered[1].1.messages, &delivered[1].1.ack_set), (1, &None));
}

#[test]
fn the_next_consumer_gets_all_unacked_in_order_without_those_acked_alone() {
    let mut rig = Rig::new(Options::default(), 6).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, 5);
    assert_eq!(rig.got(), ones(0..5));
    rig.ack(&[0, 2]);
    rig.sub.detach(A);
    rig.sub.attach(B, info("b", Kind::Exclusive, 0)).unwrap();
    rig.sub.flow(B, 10);
    assert_eq!(rig.counts(), [(1, 0), (3, 0), (4, 0), (5, 0)]);
}

#[test]
fn failover_follows_priority_then_arrival_and_tells_everybody() {
    let mut rig = Rig::new(Options::default(), 4);
    rig.sub.attach(A, info("z", Kind::Failover, 1)).unwrap();
    rig.sub.attach(B, info("y", Kind::Failover, 1)).unwrap();
    rig.sub.flow(A, 2);
    rig.sub.flow(B, 9);
    assert_eq!(rig.got(), ones(0..2));
    assert_eq!(rig.told, [(A, true), (B, false)]);
    rig.told.clear();
    rig.sub.attach(C, info("x", Kind::Failover, 0)).unwrap();
    assert_eq!((rig.got(), rig.told.len()), (vec![], 0), "A may still ack what it has");
    rig.now += 1_000;
    assert_eq!(rig.got(), []);
    assert_eq!(rig.told, [(A, false), (B, false), (C, true)]);
    rig.told.clear();
    rig.sub.detach(C);
    rig.sub.detach(A);
    assert_eq!(rig.got(), [(2, 0), (2, 1), (2, 2), (2, 3)]);
    assert_eq!(rig.told, [(B, true)]);
}

/// A has two of four when C, who comes first by priority, joins.
fn passing_on() -> Rig {
    let mut rig = Rig::new(Options::default(), 4).with(Kind::Failover, &[A]);
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones(0..2));
    rig.sub.attach(C, info("x", Kind::Failover, -1)).unwrap();
    rig.sub.flow(C, 9);
    assert_eq!(rig.got(), [], "A may still ack what it has");
    rig
}

#[test]
fn the_next_active_consumer_waits_for_the_acks_of_the_former_one() {
    let mut rig = passing_on();
    rig.ack(&[0]);
    assert_eq!(rig.got(), []);
    assert_eq!(rig.sub.stats().consumers[0].unacked_messages, 1);
    rig.ack(&[1]);
    assert_eq!(rig.got(), [(3, 2), (3, 3)]);
}

#[test]
fn the_wait_for_the_former_consumer_is_bounded() {
    let mut rig = passing_on();
    assert_eq!(rig.sub.next_timeout(), Some(2_000));
    rig.now = 1_999;
    assert_eq!(rig.got(), []);
    rig.now = 2_000;
    assert_eq!(rig.got(), [(3, 0), (3, 1), (3, 2), (3, 3)]);
}

#[test]
fn a_former_consumer_that_goes_or_gives_back_is_not_waited_for() {
    let mut rig = passing_on();
    rig.sub.detach(A);
    assert_eq!(rig.got(), [(3, 0), (3, 1), (3, 2), (3, 3)]);
    let mut rig = passing_on();
    rig.sub.redeliver(C, None, None);
    assert_eq!(rig.got(), [], "C has nothing to give back");
    rig.sub.redeliver(A, Some(&[Ordinal(1)]), None);
    assert_eq!(rig.counts(), [(0, 0), (1, 1), (2, 0), (3, 0)]);
}

#[test]
fn the_former_consumer_goes_on_if_the_next_one_leaves_meanwhile() {
    let mut rig = passing_on();
    rig.sub.detach(C);
    rig.sub.flow(A, 9);
    assert_eq!(rig.got(), ones(2..4));
}

/// Goal: no more than the allowance goes out, but for the last batch; and the time of the next poll is
/// told.
#[test]
fn nothing_goes_beyond_the_allowance() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    (0..4).for_each(|_| rig.publish(|entry| entry.messages = 2));
    rig.sub.flow(A, 100);
    let allowance = |messages, bytes| Allowance { messages, bytes, again_at: 1_020 };
    rig.sub.set_allowance(allowance(3, u64::MAX));
    assert_eq!(rig.got(), ones(0..2));
    assert_eq!(rig.sub.next_timeout(), Some(1_020));
    rig.sub.set_allowance(allowance(u64::MAX, 5));
    assert_eq!(rig.got(), ones(2..3));
    rig.now = 1_020;
    rig.sub.set_allowance(allowance(0, 5));
    assert_eq!(rig.got(), []);
    assert_eq!(rig.sub.next_timeout(), Some(1_021));
    rig.sub.set_allowance(Allowance::UNLIMITED);
    assert_eq!(rig.got(), ones(3..4));
    assert_eq!(rig.sub.next_timeout(), None);
}

#[test]
fn failover_on_a_partition_spreads_by_name() {
    for (partition, expected) in [(0, B), (1, A), (2, B)] {
        let options = Options { partition: Some(partition), ..Options::default() };
        let mut rig = Rig::new(options, 0);
        rig.sub.attach(A, info("b", Kind::Failover, 0)).unwrap();
        rig.sub.attach(B, info("a", Kind::Failover, 0)).unwrap();
        rig.sub.attach(C, info("0", Kind::Failover, 1)).unwrap();
        assert_eq!(rig.sub.active(), Some(expected), "partition {partition}");
    }
}

#[test]
fn a_standby_that_goes_disturbs_nothing() {
    let mut rig = Rig::new(Options::default(), 4).with(Kind::Failover, &[A, B]);
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones(0..2));
    rig.sub.detach(B);
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones(2..4));
}

#[test]
fn exclusive_is_not_told_that_it_is_active() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    rig.poll();
    assert_eq!(rig.told, []);
}

#[test]
fn redeliver_brings_everything_unacked_in_order_and_raises_the_named() {
    let mut rig = Rig::new(Options::default(), 4).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, 3);
    rig.poll();
    rig.ack(&[1]);
    rig.sub.flow(A, 10);
    let ids = [Ordinal(1), Ordinal(2), Ordinal(3), Ordinal(99)];
    rig.sub.redeliver(A, Some(&ids), None);
    assert_eq!(rig.counts(), [(0, 0), (2, 1), (3, 0)], "3 was not delivered before");
    rig.sub.redeliver(A, None, None);
    assert_eq!(rig.counts(), [(0, 0), (2, 1), (3, 0)]);
}

#[test]
fn a_standby_cannot_ask_for_redelivery() {
    let mut rig = Rig::new(Options::default(), 2).with(Kind::Failover, &[A, B]);
    rig.sub.flow(A, 5);
    assert_eq!(rig.got(), ones(0..2));
    rig.sub.redeliver(B, None, None);
    rig.sub.redeliver(C, None, None);
    assert_eq!(rig.got(), []);
}

#[test]
fn the_consumer_epoch_comes_with_each_delivery_and_an_older_one_is_void() {
    let mut rig = Rig::new(Options::default(), 1).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, 10);
    rig.sub.set_epoch(A, 4);
    assert_eq!(rig.got(), ones([0]));
    let mut epochs = vec![];
    let steps =
        [(Some(3), false), (Some(4), true), (None, true), (Some(7), true), (Some(6), false)];
    for (epoch, is_again) in steps {
        rig.sub.redeliver(A, None, epoch);
        let mut delivered = false;
        while let Some(action) = rig.sub.next_action(rig.now) {
            match action {
                Action::Read { id, ranges, .. } => rig.answer(id, &ranges),
                Action::Deliver { consumer_epoch, .. } => {
                    epochs.push(consumer_epoch);
                    delivered = true;
                }
                _ => {}
            }
        }
        assert_eq!(delivered, is_again, "{epoch:?}");
    }
    assert_eq!(epochs, [Some(4), Some(4), Some(7)]);
}

#[test]
fn delay_means_nothing_where_there_is_order() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    rig.publish(|entry| entry.deliver_at = Some(9999));
    rig.sub.flow(A, 1);
    assert_eq!(rig.got(), ones([0]));
}

#[test]
fn a_cumulative_ack_takes_all_before_and_names_the_change() {
    let mut rig = Rig::new(Options::default(), 5).with(Kind::Exclusive, &[A]);
    rig.ack(&[1]);
    let change = rig.sub.ack_cumulative(Some(A), Ordinal(3), None).unwrap();
    assert_eq!(change.acked, [range(0, 1), range(2, 4)]);
    assert_eq!(change.mark_delete, Some(Ordinal(4)));
    let change = rig.sub.ack_cumulative(Some(A), Ordinal(5), None).unwrap();
    assert!(change.is_empty(), "there is no entry 5");
}

#[test]
fn a_cumulative_ack_inside_a_batch_takes_the_indexes_only() {
    let mut rig = Rig::new(Options::default(), 2).with(Kind::Exclusive, &[A]);
    rig.publish(|entry| entry.messages = 3);
    let change = rig.sub.ack_cumulative(None, Ordinal(2), Some([0b100].into())).unwrap();
    assert_eq!(change.acked, [range(0, 2)]);
    assert_eq!(change.partial, [(Ordinal(2), [0b100].into())]);
    assert_eq!(rig.sub.mark_delete(), Ordinal(2));
}

#[test]
fn bits_beyond_the_batch_do_not_keep_it_unacked() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Exclusive, &[A]);
    (0..3).for_each(|_| rig.publish(|entry| entry.messages = 3));
    let change = rig.sub.ack_individual(None, &[ack_set(0, &[0b11000], Some(3))]);
    assert_eq!(change.acked, [range(0, 1)]);
    rig.sub.ack_individual(None, &[ack_set(1, &[0b11000], None)]);
    assert_eq!(rig.sub.mark_delete(), Ordinal(1));
    rig.sub.flow(A, 9);
    assert_eq!(rig.got(), ones([2]), "known to be acked once it is read");
    assert_eq!(rig.own.len(), 1);
    assert_eq!(rig.own[0].acked, [range(1, 2)]);
    assert_eq!(rig.own[0].mark_delete, Some(Ordinal(2)));
}

#[test]
fn what_is_not_visible_is_acked_and_never_delivered() {
    let mut rig = Rig::new(Options::default(), 1).with(Kind::Exclusive, &[A]);
    rig.publish(|entry| entry.visible = false);
    rig.publish(|_| {});
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones([0, 2]));
    let expected = AckChange { acked: vec![range(1, 2)], partial: vec![], mark_delete: None };
    assert_eq!(rig.own, [expected]);
}

#[test]
fn skip_and_clear_count_what_is_not_acked() {
    let mut rig = Rig::new(Options::default(), 10);
    rig.ack(&[1, 2, 5]);
    let change = rig.sub.skip(3);
    assert_eq!(change.acked, [range(0, 1), range(3, 5)]);
    assert_eq!(change.mark_delete, Some(Ordinal(6)));
    assert!(rig.sub.skip(0).is_empty());
    assert_eq!(rig.sub.backlog(), 4);
    assert_eq!(rig.sub.clear_backlog().acked, [range(6, 10)]);
    assert_eq!(rig.sub.backlog(), 0);
    assert!(rig.sub.skip(7).is_empty());
}

#[test]
fn the_backlog_is_counted_without_what_is_acked() {
    let mut rig = Rig::new(Options::default(), 10);
    rig.ack(&[0, 1, 5, 6, 9]);
    let found: Vec<_> = (0..6).map(|index| rig.sub.unacked_entry(index)).collect();
    let expected = [Some(2), Some(3), Some(4), Some(7), Some(8), None];
    assert_eq!(found, expected.map(|at| at.map(Ordinal)));
    rig.sub.trim(Ordinal(4));
    assert_eq!(rig.sub.unacked_entry(0), Some(Ordinal(4)));
    rig.sub.clear_backlog();
    assert_eq!(rig.sub.unacked_entry(0), None);
    assert_eq!(rig.sub.unacked_entry(u64::MAX), None);
}

#[test]
fn a_seek_brings_back_what_was_acked_and_forgets_counts() {
    let mut rig = Rig::new(Options::default(), 4).with(Kind::Exclusive, &[A]);
    rig.sub.flow(A, 4);
    rig.poll();
    rig.sub.redeliver(A, Some(&[Ordinal(3)]), None);
    rig.sub.ack_cumulative(None, Ordinal(2), None).unwrap();
    rig.sub.detach(A);
    rig.sub.reset(Ordinal(1));
    assert_eq!(rig.sub.mark_delete(), Ordinal(1));
    rig.sub.attach(A, info("a", Kind::Exclusive, 0)).unwrap();
    rig.sub.flow(A, 9);
    assert_eq!(rig.counts(), [(1, 0), (2, 0), (3, 0)]);
    rig.sub.trim(Ordinal(2));
    rig.sub.reset(Ordinal(0));
    assert_eq!(rig.sub.mark_delete(), Ordinal(2), "what is gone is gone");
    rig.sub.reset(Ordinal(99));
    assert_eq!(rig.sub.mark_delete(), Ordinal(4));
}

#[test]
fn stats_tell_how_it_stands() {
    let mut rig = Rig::new(Options::default(), 5).with(Kind::Failover, &[A, B]);
    rig.sub.flow(A, 4);
    rig.poll();
    rig.ack(&[0, 2]);
    let stats = rig.sub.stats();
    assert_eq!((stats.backlog_entries, stats.unacked_messages, stats.acked_ranges), (3, 2, 1));
    assert_eq!(stats.consumers[0].unacked_messages, 2);
    assert_eq!(stats.consumers[1].unacked_messages, 0);
    assert_eq!((stats.active, stats.kind), (Some(A), Some(Kind::Failover)));
    assert_eq!((stats.mark_delete, stats.is_reading), (Ordinal(1), false));
}

/// A reader of some hashes is not sent the others, and they do not hold it up.
#[test]
fn a_reader_of_some_hashes_gets_those_only() {
    let mut rig = Rig::new(Options::default(), 0);
    for slot in [10, 40_000, 0, 65_536 + 11, 12] {
        rig.publish(|entry| entry.key_hash = slot);
    }
    let mode = KeySharedMode::Sticky(vec![1..=1, 11..=100]);
    let key_shared = Some(KeySharedOptions { mode, allow_out_of_order: false });
    rig.sub.attach(A, ConsumerInfo { key_shared, ..info("r", Kind::Exclusive, 0) }).unwrap();
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones([2, 3]));
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones([4]));
}
