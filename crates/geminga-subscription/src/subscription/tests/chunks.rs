//! Messages in chunks on Shared: each goes to one consumer, in order.

use super::*;
use crate::{
    Chunk,
    explain::{Limit, State},
};

fn shared(options: Options, permits: &[(ConsumerKey, u32)]) -> Rig {
    let keys: Vec<_> = permits.iter().map(|&(key, _)| key).collect();
    let mut rig = Rig::new(options, 0).with(Kind::Shared, &keys);
    permits.iter().for_each(|&(key, permits)| rig.sub.flow(key, permits));
    rig
}

/// Publishes chunks of these messages; the first of each that is named first is the first one.
fn publish(rig: &mut Rig, messages: &[u32]) {
    for &message in messages {
        let is_same = |entry: &Entry<u64>| entry.chunk.is_some_and(|it| it.message == message);
        let is_first = !rig.stored.iter().any(is_same);
        rig.publish(|entry| entry.chunk = Some(Chunk { message, is_first }));
    }
}

fn of(got: &[(u64, u64)], key: ConsumerKey) -> Vec<u64> {
    got.iter().filter(|&&(to, _)| to == key.0).map(|&(_, at)| at).collect()
}

#[test]
fn all_chunks_of_a_message_go_to_one_consumer_in_order() {
    let options = Options { round_robin_entries_max: 1, ..Options::default() };
    let mut rig = shared(options, &[(A, 100), (B, 100)]);
    publish(&mut rig, &[1, 2, 1, 1, 2, 1, 2]);
    (0..4).for_each(|_| rig.publish(|_| {}));
    let got = rig.got();
    assert_eq!(got.len(), 11);
    let (a, b) = (of(&got, A), of(&got, B));
    assert!(a.starts_with(&[0, 2, 3, 5]) && b.starts_with(&[1, 4, 6]), "{got:?}");
    publish(&mut rig, &[2, 1, 2]);
    let got = rig.got();
    assert_eq!((of(&got, A), of(&got, B)), (vec![12], vec![11, 13]));
}

/// Goal: who takes nothing more holds back the chunks of what it has begun to get, and nothing else,
/// however many they are; they come once it asks.
#[test]
fn who_takes_nothing_holds_back_its_own_chunks_alone() {
    let mut rig = shared(Options { read_entries_max: 3, ..Options::default() }, &[(A, 1), (B, 0)]);
    publish(&mut rig, &[7]);
    assert_eq!(rig.got(), [(A.0, 0)]);
    rig.sub.flow(B, 100);
    for _ in 0..10 {
        publish(&mut rig, &[7]);
        rig.publish(|_| {});
    }
    let others: Vec<u64> = (0..10).map(|n| 2 + 2 * n).collect();
    assert_eq!(of(&rig.got(), B), others);
    assert_eq!(rig.got(), []);
    let explained = rig.sub.explain();
    assert_eq!((explained.state, explained.held_back_entries), (State::PartlyHeldBack, 10));
    assert_eq!(explained.consumers[0].waiting_entries, 10);
    rig.sub.flow(A, 100);
    assert_eq!(of(&rig.got(), A), (0..10).map(|n| 1 + 2 * n).collect::<Vec<_>>());
    assert_eq!(rig.sub.explain().held_back_entries, 0);
}

#[test]
fn too_many_chunks_that_wait_stop_the_reading() {
    let options = Options { read_entries_max: 3, look_ahead_entries_max: 5, ..Options::default() };
    let mut rig = shared(options, &[(A, 1), (B, 0)]);
    publish(&mut rig, &[7]);
    rig.got();
    rig.sub.flow(B, 100);
    publish(&mut rig, &[7; 20]);
    rig.publish(|_| {});
    assert_eq!(rig.got(), []);
    let explained = rig.sub.explain();
    assert_eq!(explained.state, State::AtLimit(Limit::TooManyHeldBack));
    assert!((5..=8).contains(&explained.held_back_entries), "{explained:?}");
    assert_eq!(explained.held_back_entries_max, Some(5));
    rig.sub.flow(A, 100);
    assert_eq!(rig.got().len(), 21);
}

/// Goal: when a consumer leaves in the midst of a message, the next one gets all of it, in order, also
/// when the rest has been read already.
#[test]
fn who_leaves_in_the_midst_leaves_the_whole_message() {
    let mut rig = shared(Options::default(), &[(A, 2), (B, 0)]);
    publish(&mut rig, &[7; 5]);
    assert_eq!(of(&rig.got(), A), [0, 1]);
    rig.sub.flow(B, 100);
    assert_eq!(rig.got(), []);
    rig.sub.detach(A);
    assert_eq!(of(&rig.got(), B), [0, 1, 2, 3, 4]);
}

#[test]
fn what_is_asked_for_again_comes_in_order_too() {
    let mut rig = shared(Options::default(), &[(A, 2), (B, 2)]);
    publish(&mut rig, &[7; 5]);
    assert_eq!(of(&rig.got(), A), [0, 1]);
    rig.sub.redeliver(A, None, None);
    let got = rig.got();
    let to = ConsumerKey(got[0].0);
    assert_eq!(of(&got, to), [0, 1]);
    rig.sub.flow(to, 10);
    assert_eq!(of(&rig.got(), to), [2, 3, 4]);
}

/// Goal: who asks for one chunk again gets all of its message that it has, and nothing else: Java's client
/// asks for the last one only.
#[test]
fn who_asks_for_one_chunk_gets_the_whole_message() {
    let mut rig = shared(Options::default(), &[(A, 100)]);
    publish(&mut rig, &[7, 8, 7, 8, 7]);
    rig.publish(|_| {});
    assert_eq!(of(&rig.got(), A), [0, 1, 2, 3, 4, 5]);
    let again = rig.sub.redeliver(A, Some(&[Ordinal(4), Ordinal(2), Ordinal(5)]), None);
    assert_eq!(again.entries, 4);
    assert_eq!(again.raised, [0, 2, 4, 5].map(|at| (Ordinal(at), 1)));
    assert_eq!(of(&rig.got(), A), [0, 2, 4, 5]);
}

/// Goal: chunks whose first one is acked, or gone, go to anybody: their client knows what to do.
#[test]
fn chunks_without_their_first_one_are_no_different() {
    let mut rig = shared(Options::default(), &[(A, 1), (B, 0)]);
    publish(&mut rig, &[7; 3]);
    assert_eq!(of(&rig.got(), A), [0]);
    rig.ack(&[0]);
    rig.sub.flow(B, 100);
    assert_eq!(of(&rig.got(), B), [1, 2]);
}

/// Goal: on other types chunks are entries like all others.
#[test]
fn other_types_know_no_chunks() {
    for kind in [Kind::Exclusive, Kind::Failover, Kind::KeyShared] {
        let mut rig = Rig::new(Options::default(), 0).with(kind, &[A]);
        rig.sub.flow(A, 100);
        publish(&mut rig, &[7, 8, 7, 8]);
        assert_eq!(of(&rig.got(), A), [0, 1, 2, 3], "{kind:?}");
        let explained = rig.sub.explain();
        assert_eq!(explained.held_back_entries, 0);
    }
}
