//! Shared: turns, redelivery, delay, limits on what is unacked.

use super::*;

fn shared(options: Options, count: u64, permits: &[(ConsumerKey, u32)]) -> Rig {
    let keys: Vec<_> = permits.iter().map(|&(key, _)| key).collect();
    let mut rig = Rig::new(options, count).with(Kind::Shared, &keys);
    permits.iter().for_each(|&(key, permits)| rig.sub.flow(key, permits));
    rig
}

fn share_of(got: &[(u64, u64)], key: ConsumerKey) -> usize {
    got.iter().filter(|&&(to, _)| to == key.0).count()
}

#[test]
fn two_zero_queue_consumers_split_ten_messages_evenly() {
    let mut rig = shared(Options::default(), 0, &[(A, 1), (B, 1)]);
    let mut got = vec![];
    for _ in 0..10 {
        rig.publish(|_| {});
        for (key, at) in rig.got() {
            rig.ack(&[at]);
            rig.sub.flow(ConsumerKey(key), 1);
            got.push((key, at));
        }
    }
    assert_eq!((share_of(&got, A), share_of(&got, B)), (5, 5));
}

#[test]
fn equal_permits_get_equal_shares() {
    let mut rig = shared(Options::default(), 90, &[(A, 1000), (B, 1000), (C, 1000)]);
    let got = rig.got();
    assert_eq!([A, B, C].map(|key| share_of(&got, key)), [30, 30, 30]);
    (0..9).for_each(|_| rig.publish(|_| {}));
    let got = rig.got();
    assert_eq!([A, B, C].map(|key| share_of(&got, key)), [3, 3, 3]);
    let mut rig = shared(Options::default(), 0, &[(A, 1000), (B, 1000), (C, 1000)]);
    let mut got = vec![];
    for _ in 0..6 {
        (0..10).for_each(|_| rig.publish(|_| {}));
        got.extend(rig.got());
    }
    assert_eq!([A, B, C].map(|key| share_of(&got, key)), [20, 20, 20]);
}

#[test]
fn a_turn_is_bounded() {
    let mut rig = shared(Options::default(), 100, &[(A, 1000)]);
    let (id, ranges, _) = rig.read();
    rig.answer(id, &ranges);
    let Some(Action::Deliver { deliveries, consumer_epoch, .. }) = rig.sub.next_action(rig.now)
    else {
        panic!("no delivery");
    };
    assert_eq!((deliveries.len(), consumer_epoch), (20, None));
}

#[test]
fn who_cannot_take_more_leaves_it_to_the_others() {
    let mut rig = shared(Options::default(), 10, &[(A, 2), (B, 100)]);
    let got = rig.got();
    assert_eq!((share_of(&got, A), share_of(&got, B)), (2, 8));
    rig.sub.set_writable(B, false);
    rig.publish(|_| {});
    assert_eq!(rig.got(), []);
    rig.sub.flow(A, 1);
    assert_eq!(rig.got(), [(1, 10)]);
}

#[test]
fn the_better_priority_is_served_while_it_has_permits() {
    let mut rig = Rig::new(Options::default(), 10);
    for (key, priority) in [(A, 1), (B, 0), (C, 0)] {
        rig.sub.attach(key, info("c", Kind::Shared, priority)).unwrap();
    }
    rig.sub.flow(A, 100);
    rig.sub.flow(B, 3);
    rig.sub.flow(C, 4);
    let got = rig.got();
    assert_eq!([A, B, C].map(|key| share_of(&got, key)), [3, 3, 4]);
    assert!(got[..7].iter().all(|&(key, _)| key != 1), "{got:?}");
}

#[test]
fn a_nack_raises_the_count_and_a_disconnect_does_not() {
    let mut rig = shared(Options::default(), 3, &[(A, 100)]);
    rig.poll();
    rig.sub.redeliver(A, Some(&[Ordinal(1), Ordinal(1)]), None);
    rig.sub.redeliver(A, Some(&[Ordinal(1)]), None);
    assert_eq!(rig.counts(), [(1, 1)]);
    rig.sub.redeliver(A, None, None);
    assert_eq!(rig.counts(), [(0, 1), (1, 2), (2, 1)]);
    rig.sub.attach(B, info("b", Kind::Shared, 0)).unwrap();
    rig.sub.flow(B, 100);
    rig.sub.detach(A);
    assert_eq!(rig.counts(), [(0, 1), (1, 2), (2, 1)]);
    rig.ack(&[0, 1, 2]);
    rig.sub.detach(B);
    rig.sub.reset(Ordinal(0));
    let mut rig = rig.with(Kind::Shared, &[A]);
    rig.sub.flow(A, 100);
    assert_eq!(rig.counts(), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn counts_survive_a_time_without_consumers() {
    let mut rig = shared(Options::default(), 2, &[(A, 100)]);
    rig.poll();
    rig.sub.redeliver(A, Some(&[Ordinal(1)]), None);
    rig.sub.detach(A);
    let mut rig = rig.with(Kind::Shared, &[B]);
    rig.sub.flow(B, 100);
    assert_eq!(rig.counts(), [(0, 0), (1, 1)]);
}

#[test]
fn a_nack_and_a_disconnect_that_race_redeliver_once() {
    let mut rig = shared(Options::default(), 2, &[(A, 100), (B, 0)]);
    rig.poll();
    rig.sub.flow(B, 100);
    rig.sub.redeliver(A, Some(&[Ordinal(0)]), None);
    rig.sub.detach(A);
    rig.sub.redeliver(A, Some(&[Ordinal(0), Ordinal(1)]), None);
    rig.sub.redeliver(B, Some(&[Ordinal(0), Ordinal(1)]), None);
    assert_eq!(rig.counts(), [(0, 1), (1, 0)]);
    assert_eq!(rig.counts(), []);
}

#[test]
fn only_its_own_entries_come_again() {
    let mut rig = shared(Options::default(), 2, &[(A, 1), (B, 1)]);
    assert_eq!(rig.got(), [(1, 0), (2, 1)]);
    rig.sub.flow(A, 9);
    rig.sub.redeliver(A, Some(&[Ordinal(0), Ordinal(1)]), None);
    assert_eq!(rig.got(), [(1, 0)]);
}

#[test]
fn what_comes_again_goes_before_what_is_new() {
    let mut rig = shared(Options::default(), 10, &[(A, 4)]);
    assert_eq!(rig.got(), ones(0..4));
    rig.sub.redeliver(A, Some(&[Ordinal(3), Ordinal(1)]), None);
    rig.sub.flow(A, 3);
    assert_eq!(rig.read().1, [range(1, 2), range(3, 5)]);
}

#[test]
fn an_acked_entry_does_not_come_again() {
    let mut rig = shared(Options::default(), 3, &[(A, 9)]);
    rig.poll();
    rig.sub.redeliver(A, None, None);
    let (id, ranges, _) = rig.read();
    rig.ack(&[1]);
    rig.answer(id, &ranges);
    assert_eq!(rig.counts(), [(0, 1), (2, 1)]);
    assert_eq!(rig.sub.stats().unacked_messages, 2);
    rig.sub.redeliver(A, Some(&[Ordinal(1)]), None);
    assert_eq!(rig.counts(), []);
}

#[test]
fn cumulative_acks_are_refused() {
    let mut rig = shared(Options::default(), 3, &[(A, 9)]);
    assert_eq!(rig.sub.ack_cumulative(Some(A), Ordinal(1), None), Err(NotCumulative));
}

#[test]
fn a_delayed_entry_waits_and_later_ones_go_first() {
    let mut rig = shared(Options::default(), 0, &[(A, 9)]);
    rig.publish(|entry| entry.deliver_at = Some(1500));
    rig.publish(|entry| entry.deliver_at = Some(1200));
    rig.publish(|entry| entry.deliver_at = Some(1000));
    rig.publish(|_| {});
    assert_eq!(rig.got(), ones([2, 3]));
    assert_eq!((rig.sub.stats().delayed_entries, rig.sub.next_timeout()), (2, Some(1200)));
    rig.now = 1199;
    assert_eq!(rig.got(), []);
    rig.now = 1200;
    assert_eq!(rig.got(), ones([1]));
    rig.now = 1500;
    assert_eq!(rig.counts(), [(0, 0)]);
    assert_eq!(rig.sub.next_timeout(), None);
}

#[test]
fn a_delayed_entry_can_be_acked() {
    let mut rig = shared(Options::default(), 0, &[(A, 9)]);
    rig.publish(|entry| entry.deliver_at = Some(1500));
    assert_eq!(rig.got(), []);
    rig.ack(&[0]);
    assert_eq!((rig.sub.next_timeout(), rig.sub.stats().delayed_entries), (None, 0));
}

#[test]
fn too_many_delayed_entries_stay_unread() {
    let options = Options { delayed_entries_max: 3, ..Options::default() };
    let mut rig = shared(options, 0, &[(A, 100)]);
    (0..5).for_each(|at| rig.publish(|entry| entry.deliver_at = Some(2000 + at)));
    rig.publish(|_| {});
    assert_eq!(rig.got(), []);
    assert_eq!(rig.sub.stats().delayed_entries, 3);
    rig.now = 2001;
    assert_eq!(rig.got(), ones([0, 1]));
    assert_eq!(rig.sub.stats().delayed_entries, 3);
    rig.now = 3000;
    assert_eq!(rig.got(), ones([2, 3, 4, 5]));
}

#[test]
fn a_consumer_at_its_limit_waits_until_half_is_acked() {
    let options = Options { consumer_unacked_messages_max: 4, ..Options::default() };
    let mut rig = shared(options, 20, &[(A, 100)]);
    assert_eq!(rig.got(), ones(0..4));
    assert!(rig.sub.stats().consumers[0].is_blocked_on_unacked);
    rig.ack(&[0]);
    assert_eq!(rig.got(), []);
    rig.ack(&[1]);
    assert_eq!(rig.got(), ones(4..6));
    rig.sub.attach(B, info("b", Kind::Shared, 0)).unwrap();
    rig.sub.flow(B, 2);
    assert_eq!(rig.got(), [(2, 6), (2, 7)]);
    rig.sub.redeliver(A, None, None);
    rig.sub.flow(B, 1);
    assert_eq!(share_of(&rig.got(), A), 4, "what is nacked no longer counts");
}

#[test]
fn messages_acked_in_a_batch_count_towards_the_limit() {
    let options = Options { consumer_unacked_messages_max: 4, ..Options::default() };
    let mut rig = shared(options, 0, &[(A, 100)]);
    (0..3).for_each(|_| rig.publish(|entry| entry.messages = 3));
    assert_eq!(rig.got(), ones(0..2));
    rig.sub.ack_individual(Some(A), &[ack_set(0, &[0b001], None)]);
    assert_eq!(rig.sub.stats().unacked_messages, 4);
    assert_eq!(rig.got(), []);
    rig.sub.ack_individual(Some(A), &[ack_set(1, &[0b010], None)]);
    assert_eq!(rig.sub.stats().unacked_messages, 2);
    assert_eq!(rig.got(), ones([2]));
}

#[test]
fn a_subscription_at_its_limit_waits_until_half_is_acked() {
    let options = Options { unacked_messages_max: 4, ..Options::default() };
    let mut rig = shared(options, 20, &[(A, 100), (B, 100)]);
    assert_eq!(rig.got().len(), 4);
    assert!(rig.sub.stats().is_blocked_on_unacked);
    rig.ack(&[0]);
    assert_eq!(rig.got().len(), 0);
    rig.ack(&[1]);
    assert_eq!(rig.got().len(), 2);
}

#[test]
fn no_limit_is_no_limit() {
    let options =
        Options { unacked_messages_max: 0, consumer_unacked_messages_max: 0, ..Options::default() };
    assert_eq!(shared(options, 300, &[(A, 1000)]).got().len(), 300);
}

#[test]
fn an_ack_from_another_consumer_frees_the_one_that_has_it() {
    let mut rig = shared(Options::default(), 2, &[(A, 1), (B, 1)]);
    rig.poll();
    rig.sub.ack_individual(Some(B), &[ack(0)]);
    let unacked: Vec<u64> = rig.sub.stats().consumers.iter().map(|c| c.unacked_messages).collect();
    assert_eq!(unacked, [0, 1]);
}

#[test]
fn stats_tell_the_type_and_the_ranges_acked() {
    let mut rig = Rig::new(Options::default(), 10);
    assert_eq!((rig.sub.kind(), rig.sub.stats().acked_ranges), (None, 0));
    rig = rig.with(Kind::Shared, &[A]);
    rig.ack(&[2, 3, 5, 9]);
    assert_eq!((rig.sub.kind(), rig.sub.stats().acked_ranges), (Some(Kind::Shared), 3));
}

#[test]
fn an_ack_set_counts_within_the_batch_that_was_delivered() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::Shared, &[A]);
    rig.publish(|entry| entry.messages = 4);
    rig.sub.flow(A, 10);
    assert_eq!(rig.got(), ones([0]));
    // Bits beyond the batch say nothing: all of its four messages are acked.
    let change = rig.sub.ack_individual(Some(A), &[ack_set(0, &[0b111_0000], None)]);
    assert_eq!(change.acked, [range(0, 1)]);
}

#[test]
fn a_limit_that_was_reached_does_not_hold_back_the_next_type() {
    let options = Options { unacked_messages_max: 4, ..Options::default() };
    for kind in [Kind::Exclusive, Kind::Failover, Kind::Shared, Kind::KeyShared] {
        let mut rig = shared(options.clone(), 10, &[(A, 100)]);
        assert_eq!(rig.got().len(), 4);
        rig.sub.detach(A);
        let mut rig = rig.with(kind, &[B]);
        rig.sub.flow(B, 2);
        assert_eq!(rig.got(), [(2, 0), (2, 1)], "{kind:?}");
    }
}

/// Between two polls everything may be acked and somebody come: the limit is looked at all the same.
#[test]
fn a_limit_is_left_although_somebody_comes_before_the_next_poll() {
    let options = Options { unacked_messages_max: 4, ..Options::default() };
    let mut rig = Rig::new(options, 8).with(Kind::Shared, &[A]);
    rig.sub.flow(A, 100);
    assert_eq!(rig.got(), ones(0..4));
    rig.ack(&[0, 1, 2, 3]);
    let mut rig = rig.with(Kind::Shared, &[B]);
    assert_eq!(rig.got(), ones(4..8));
}

/// An entry past its time is acked instead of delivered, also when it was read in time; a time to live
/// that changes counts for what was read before.
#[test]
fn what_is_past_its_time_is_acked_and_never_delivered() {
    for kind in [Kind::Exclusive, Kind::Failover, Kind::Shared, Kind::KeyShared] {
        let options = Options { ttl_ms: Some(100), ..Options::default() };
        let mut rig = Rig::new(options, 0).with(kind, &[A]);
        for published_at in [950, 900, 960, 2_000, 3_000] {
            rig.publish(|entry| entry.published_at = published_at);
        }
        rig.now = 1_000;
        rig.sub.flow(A, 1);
        assert_eq!(rig.got(), ones([0]), "{kind:?}");
        rig.ack(&[0]);
        rig.sub.flow(A, 5);
        let (id, ranges, _) = rig.read();
        rig.answer(id, &ranges);
        rig.now = 2_060;
        assert_eq!(rig.got(), ones([3, 4]), "{kind:?}");
        assert_eq!(rig.sub.mark_delete(), Ordinal(3), "{kind:?}");
        rig.sub.redeliver(A, None, None);
        rig.sub.set_ttl(None);
        rig.now = 9_000;
        assert_eq!(rig.got(), ones([3, 4]), "{kind:?}");
        rig.sub.redeliver(A, None, None);
        rig.sub.set_ttl(Some(100));
        assert_eq!(rig.got(), [], "{kind:?}");
        assert_eq!(rig.sub.backlog(), 0, "{kind:?}");
    }
}

/// A limit that is raised frees at once who was held back by the one before.
#[test]
fn another_unacked_limit_counts_at_once() {
    let options = Options { consumer_unacked_messages_max: 4, ..Options::default() };
    let mut rig = Rig::new(options, 20).with(Kind::Shared, &[A]);
    rig.sub.flow(A, 100);
    assert_eq!(rig.got(), ones(0..4));
    rig.sub.set_unacked_limits(6, 0);
    assert_eq!(rig.got(), ones(4..6));
    rig.sub.set_unacked_limits(0, 7);
    assert_eq!(rig.got(), ones([6]));
    rig.sub.set_unacked_limits(0, 0);
    assert_eq!(rig.got(), ones(7..20));
}
