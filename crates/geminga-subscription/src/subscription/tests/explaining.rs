//! What it says when it is asked why nothing moves: each state, each limit, each consumer.

use super::*;
use crate::{
    Allowance, AutoSplit, Scarce,
    explain::{ConsumerState, Draining, Limit, State, Waits},
};

const LOW: u32 = 10;

fn shared(options: Options, count: u64, permits: u32) -> Rig {
    let mut rig = Rig::new(options, count).with(Kind::Shared, &[A]);
    rig.sub.flow(A, permits);
    rig
}

/// A has the high slots, B the low ones, all of them with entries that B cannot take.
fn held_back(options: Options, count: u64) -> Rig {
    let options = Options { auto_split: AutoSplit::Halves, ..options };
    let mut rig = Rig::new(options, 0).with(Kind::KeyShared, &[A, B]);
    (0..count).for_each(|_| rig.publish(|entry| entry.key_hash = LOW));
    rig.sub.flow(A, 100);
    rig
}

/// An active consumer that has two of four entries, before one of a better priority comes.
fn failover(options: Options) -> Rig {
    let mut rig = Rig::new(options, 4);
    rig.sub.attach(A, info("a", Kind::Failover, 1)).unwrap();
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones(0..2));
    rig
}

impl Rig {
    fn state(&mut self) -> State {
        self.poll();
        self.sub.explain().state
    }

    fn consumers(&self) -> Vec<ConsumerState> {
        self.sub.explain().consumers
    }

    fn waits(&mut self) -> Vec<Waits> {
        self.poll();
        self.consumers().iter().map(|it| it.waits).collect()
    }

    /// Lets time pass until it wants to load what is parked.
    fn until_load(&mut self) -> ReadId {
        loop {
            match self.sub.next_action(self.now) {
                Some(Action::LoadDelayed { id, .. }) => return id,
                Some(Action::Read { id, ranges, .. }) => self.answer(id, &ranges),
                Some(_) => {}
                None => self.now = self.sub.next_timeout().unwrap(),
            }
        }
    }
}

#[test]
fn it_waits_for_consumers_then_for_what_they_can_take_then_for_messages() {
    let mut rig = Rig::new(Options::default(), 3);
    assert_eq!(rig.state(), State::NoConsumers);
    let mut rig = rig.with(Kind::Shared, &[A]);
    assert_eq!(rig.state(), State::NoConsumerReady);
    rig.sub.flow(A, 3);
    assert_eq!(rig.state(), State::NothingToDeliver);
    let explained = rig.sub.explain();
    assert_eq!((explained.next_read, explained.end), (Ordinal(3), Ordinal(3)));
    assert_eq!((explained.dead_letters, explained.draining), (None, vec![]));
}

#[test]
fn a_delayed_entry_is_something_to_wait_for() {
    let mut rig = shared(Options::default(), 0, 5);
    rig.publish(|entry| entry.deliver_at = Some(5_000));
    assert_eq!(rig.state(), State::PartlyHeldBack);
    assert_eq!(rig.sub.explain().next_due, Some(5_000));
}

#[test]
fn it_tells_of_a_read_and_of_its_failure() {
    let mut rig = shared(Options::default(), 3, 5);
    let (id, _, _) = rig.read();
    assert_eq!(rig.sub.explain().state, State::Reading);
    rig.sub.on_read(id, Err(ReadFailed));
    assert_eq!(rig.sub.explain().state, State::ReadFailed { retry_at: None });
    let retry_at = Some(rig.now + 100);
    assert_eq!(rig.state(), State::ReadFailed { retry_at });
}

#[test]
fn it_tells_of_a_load_and_of_its_failure() {
    let mut rig = shared(Options { delayed_entries_max: 4, ..Options::default() }, 0, 50);
    (0..20).for_each(|at| rig.publish(|entry| entry.deliver_at = Some(100_000 + at * 10_000)));
    rig.indexed = vec![range(0, 20)];
    rig.sub.set_indexed(rig.indexed.clone().into());
    let id = rig.until_load();
    assert!(rig.sub.stats().is_loading);
    assert_eq!(rig.sub.explain().state, State::Reading);
    let parked = rig.sub.explain().parked_entries;
    assert!(0 < parked);
    rig.sub.on_delayed(id, Err(ReadFailed));
    assert!(!rig.sub.stats().is_loading);
    assert_eq!(rig.sub.next_action(rig.now), None, "it does not try again at once");
    let retry_at = Some(rig.now + 100);
    assert_eq!(rig.sub.explain().state, State::ReadFailed { retry_at });
    assert_eq!(rig.sub.explain().parked_entries, parked);
}

#[test]
fn after_a_seek_nothing_is_parked_and_no_load_is_waited_for() {
    let mut rig = shared(Options { delayed_entries_max: 4, ..Options::default() }, 0, 50);
    (0..20).for_each(|at| rig.publish(|entry| entry.deliver_at = Some(100_000 + at * 10_000)));
    rig.indexed = vec![range(0, 20)];
    rig.sub.set_indexed(rig.indexed.clone().into());
    rig.until_load();
    assert!(rig.sub.explain().parked_due.is_some());
    rig.sub.reset(Ordinal(0));
    assert!(!rig.sub.stats().is_loading);
    let explained = rig.sub.explain();
    assert_eq!((explained.parked_due, explained.parked_entries), (None, 0));
}

#[test]
fn a_consumer_waits_for_permits_its_connection_or_messages() {
    let mut rig = shared(Options::default(), 2, 0);
    assert_eq!(rig.waits(), [Waits::ForPermits]);
    rig.sub.flow(A, 9);
    assert_eq!(rig.waits(), [Waits::ForMessages]);
    rig.sub.set_writable(A, false);
    assert_eq!(rig.waits(), [Waits::ForConnection]);
    let [consumer] = rig.consumers()[..] else { panic!("one is attached") };
    assert_eq!((consumer.consumer, consumer.permits, consumer.unacked_messages), (A, 7, 2));
}

#[test]
fn one_who_has_too_much_waits_for_acks_and_the_others_do_not() {
    let options = Options { consumer_unacked_messages_max: 2, ..Options::default() };
    let mut rig = shared(options, 2, 9);
    rig.poll();
    let mut rig = rig.with(Kind::Shared, &[B]);
    rig.sub.flow(B, 9);
    assert_eq!(rig.waits(), [Waits::ForAcks, Waits::ForMessages]);
    let unacked: Vec<_> = rig.consumers().iter().map(|it| it.unacked_messages).collect();
    assert_eq!(unacked, [2, 0]);
}

#[test]
fn in_order_the_active_one_has_what_is_not_acked() {
    let mut rig = Rig::new(Options::default(), 3).with(Kind::Failover, &[A, B]);
    rig.sub.flow(A, 9);
    rig.sub.flow(B, 9);
    assert_eq!(rig.waits(), [Waits::ForMessages, Waits::ToBeActive]);
    rig.ack(&[0]);
    let unacked: Vec<_> = rig.consumers().iter().map(|it| it.unacked_messages).collect();
    assert_eq!(unacked, [2, 0]);
}

#[test]
fn in_order_it_is_the_active_one_that_must_be_ready() {
    let mut rig = Rig::new(Options::default(), 3).with(Kind::Failover, &[A, B]);
    rig.sub.flow(B, 9);
    assert_eq!(rig.state(), State::NoConsumerReady);
}

#[test]
fn too_much_unacked_holds_all_back() {
    let mut rig = shared(Options { unacked_messages_max: 2, ..Options::default() }, 2, 9);
    rig.poll();
    rig.publish(|_| {});
    let limit = Limit::TooManyUnacked { unacked_messages: 2, max: 2 };
    assert_eq!(rig.state(), State::AtLimit(limit));
    assert_eq!(rig.waits(), [Waits::ForAcks]);
    rig.ack(&[0]);
    assert_eq!(rig.state(), State::NothingToDeliver);
}

/// Goal: the limit of all holds a subscription back as soon as it is said, and no longer.
#[test]
fn too_much_unacked_elsewhere_holds_back_who_has_a_part_of_it() {
    let mut rig = shared(Options { scarce_unacked_messages_max: 2, ..Options::default() }, 2, 9);
    rig.poll();
    rig.publish(|_| {});
    rig.sub.set_scarce(Scarce { unacked: true, ..Scarce::default() });
    let limit = Limit::TooManyUnackedInAll { unacked_messages: 2, max: 2 };
    assert_eq!(rig.state(), State::AtLimit(limit));
    assert_eq!(rig.waits(), [Waits::ForAcks]);
    rig.sub.set_scarce(Scarce::default());
    assert_eq!(rig.got(), ones([2]));
}

#[test]
fn a_hand_over_says_from_whom_and_until_when() {
    let mut rig = failover(Options::default());
    rig.sub.attach(B, info("b", Kind::Failover, 0)).unwrap();
    assert_eq!(rig.sub.explain().state, State::HandingOver { from: A, until: None });
    let until = Some(rig.now + 1_000);
    assert_eq!(rig.state(), State::HandingOver { from: A, until });
    let unacked: Vec<_> = rig.consumers().iter().map(|it| it.unacked_messages).collect();
    assert_eq!(unacked, [2, 0], "the former one still has it");
}

#[test]
fn there_is_no_hand_over_without_time_for_it_or_something_to_ack_or_one_who_could() {
    let mut rig = failover(Options { hand_over_ms: 0, ..Options::default() });
    rig.sub.attach(B, info("b", Kind::Failover, 0)).unwrap();
    assert_eq!(rig.sub.explain().state, State::NoConsumerReady);
    let mut rig = failover(Options::default());
    rig.ack(&[0, 1]);
    rig.sub.attach(B, info("b", Kind::Failover, 0)).unwrap();
    assert_eq!(rig.sub.explain().state, State::NoConsumerReady);
    let mut rig = failover(Options::default());
    rig.sub.attach(B, info("b", Kind::Failover, 2)).unwrap();
    rig.sub.detach(A);
    assert_eq!(rig.sub.explain().state, State::NoConsumerReady);
}

#[test]
fn a_used_up_rate_says_when_there_is_more() {
    let mut rig = shared(Options::default(), 3, 0);
    let used_up = Allowance { messages: 0, bytes: 100, again_at: 5_000 };
    rig.sub.set_allowance(used_up);
    assert_eq!(rig.state(), State::NoConsumerReady);
    assert!(!rig.sub.is_out_of_allowance(), "nobody could take anything");
    rig.sub.flow(A, 3);
    assert_eq!(rig.state(), State::AtLimit(Limit::DispatchRate { again_at: 5_000 }));
    assert!(rig.sub.is_out_of_allowance());
    rig.sub.set_allowance(Allowance::UNLIMITED);
    assert_eq!(rig.got(), ones(0..3));
    assert!(!rig.sub.is_out_of_allowance());
}

#[test]
fn scarce_memory_stops_who_holds_much_of_it() {
    let mut rig = shared(Options { scarce_bytes: 1, ..Options::default() }, 5, 2);
    rig.poll();
    rig.sub.flow(A, 9);
    rig.sub.set_scarce(Scarce { ack_state: true, ..Scarce::default() });
    assert_eq!(rig.state(), State::AtLimit(Limit::ScarceMemory));
    assert_eq!(rig.sub.next_timeout(), Some(rig.now + 1_000), "it looks again");
    rig.sub.set_scarce(Scarce::default());
    assert_eq!(rig.state(), State::NothingToDeliver);
}

#[test]
fn scarce_memory_does_not_stop_who_could_ack_nothing_else() {
    let mut rig = shared(Options { scarce_bytes: 1, ..Options::default() }, 5, 9);
    rig.ack(&[3]);
    rig.sub.set_scarce(Scarce { ack_state: true, ..Scarce::default() });
    assert_eq!(rig.got(), ones([0, 1, 2, 4]));
}

#[test]
fn too_many_delayed_entries_stop_the_reading() {
    let mut rig = shared(Options { delayed_entries_max: 2, ..Options::default() }, 0, 9);
    (0..5).for_each(|_| rig.publish(|entry| entry.deliver_at = Some(5_000)));
    let limit = Limit::TooManyDelayed { delayed_entries: 2, max: 2 };
    assert_eq!(rig.state(), State::AtLimit(limit));
}

#[test]
fn too_many_entries_that_wait_for_their_keys_stop_the_reading() {
    let mut rig = held_back(Options { look_ahead_entries_max: 2, ..Options::default() }, 5);
    assert_eq!(rig.state(), State::AtLimit(Limit::TooManyHeldBack));
    let explained = rig.sub.explain();
    assert_eq!((explained.held_back_entries, explained.held_back_entries_max), (2, Some(2)));
    let waiting: Vec<_> = rig.consumers().iter().map(|it| it.waiting_entries).collect();
    assert_eq!(waiting, [0, 2]);
}

#[test]
fn as_many_as_may_be_held_back_are_no_limit_when_nothing_else_is_left() {
    let options =
        Options { look_ahead_entries_max: 2, delayed_entries_max: 1, ..Options::default() };
    let mut rig = held_back(options, 2);
    assert_eq!(rig.state(), State::PartlyHeldBack);
    assert_eq!(rig.sub.explain().held_back_entries, 2);
}

/// Goal: the least limit counts; without one it is what may be unacked, of all or of each.
#[test]
fn how_much_may_be_held_back_is_said_for_keys_only() {
    let none = Options {
        look_ahead_entries_max_per_consumer: 0,
        look_ahead_entries_max: 0,
        consumer_unacked_messages_max: 0,
        unacked_messages_max: 0,
        ..Options::default()
    };
    let max = |options: Options| held_back(options, 0).sub.explain().held_back_entries_max;
    let each = Options { look_ahead_entries_max_per_consumer: 3, ..none.clone() };
    assert_eq!(max(each.clone()), Some(6));
    assert_eq!(max(Options { look_ahead_entries_max: 5, ..each.clone() }), Some(5));
    assert_eq!(max(Options { look_ahead_entries_max: 7, ..each }), Some(6));
    let unacked = Options { consumer_unacked_messages_max: 7, ..none.clone() };
    assert_eq!(max(unacked.clone()), Some(14));
    assert_eq!(max(Options { unacked_messages_max: 9, ..unacked }), Some(9));
    assert_eq!(max(none), None);
    let mut rig = shared(Options::default(), 2, 0);
    rig.poll();
    let explained = rig.sub.explain();
    assert_eq!((explained.held_back_entries, explained.held_back_entries_max), (0, None));
}

#[test]
fn what_is_to_be_delivered_again_is_not_held_back_by_a_key_on_shared() {
    let mut rig = shared(Options::default(), 2, 2);
    rig.poll();
    rig.sub.redeliver(A, None, None);
    assert_eq!(rig.state(), State::NoConsumerReady);
    assert_eq!(rig.sub.explain().held_back_entries, 0);
}

/// Goal: of a key that moved it says who holds it, with what, since when and what waits for that.
#[test]
fn a_key_that_moved_is_said_to_wait_for_its_holder() {
    let options = Options { auto_split: AutoSplit::Halves, ..Options::default() };
    let mut rig = Rig::new(options, 0).with(Kind::KeyShared, &[A]);
    (0..2).for_each(|_| rig.publish(|entry| entry.key_hash = LOW));
    rig.sub.flow(A, 9);
    assert_eq!(rig.got(), ones(0..2));
    let mut rig = rig.with(Kind::KeyShared, &[B]);
    rig.sub.flow(B, 9);
    rig.poll();
    assert_eq!(rig.sub.explain().draining, [], "nothing waits for it yet");
    rig.now = 5_000;
    rig.publish(|entry| entry.key_hash = LOW);
    assert_eq!(rig.state(), State::PartlyHeldBack);
    rig.now = 6_000;
    rig.publish(|entry| entry.key_hash = LOW);
    rig.poll();
    let held =
        Draining { slot: LOW, holder: Some(A), held: Ordinal(0), waiting_entries: 2, since: 5_000 };
    assert_eq!(rig.sub.explain().draining, [held]);
    rig.ack(&[0]);
    assert_eq!(rig.sub.explain().draining, [Draining { held: Ordinal(1), ..held }]);
    rig.ack(&[1]);
    assert_eq!(rig.got(), [(2, 2), (2, 3)]);
    assert_eq!(rig.sub.explain().draining, []);
}

#[test]
fn a_range_that_is_acked_frees_the_keys_in_it() {
    let options = Options { auto_split: AutoSplit::Halves, ..Options::default() };
    let mut rig = Rig::new(options, 0).with(Kind::KeyShared, &[A]);
    rig.publish(|entry| entry.key_hash = LOW);
    rig.sub.flow(A, 9);
    rig.poll();
    let mut rig = rig.with(Kind::KeyShared, &[B]);
    rig.sub.flow(B, 9);
    rig.publish(|entry| entry.key_hash = LOW);
    assert_eq!(rig.got(), []);
    rig.sub.ack_before(Ordinal(1));
    assert_eq!(rig.got(), [(2, 1)]);
}
