//! What is said to be held in memory, and who has which keys.

use super::*;
use crate::{AutoSplit, DeadLetterOptions, Held};

/// What a Shared subscription of ten entries holds after `change`.
fn held(change: impl FnOnce(&mut Rig)) -> Held {
    let dead_letters = Some(DeadLetterOptions::new(1));
    let options = Options { dead_letters, ..Options::default() };
    let mut rig = Rig::new(options, 10).with(Kind::Shared, &[A]);
    change(&mut rig);
    rig.sub.held()
}

fn ack_state(change: impl FnOnce(&mut Rig)) -> usize {
    let held = held(change);
    assert_eq!(held.timers, 0);
    held.ack_state
}

fn deliver(rig: &mut Rig, permits: u32) {
    rig.sub.flow(A, permits);
    rig.poll();
}

fn give_back(rig: &mut Rig) {
    rig.sub.redeliver(A, None, None);
}

fn ack_a_part(rig: &mut Rig, at: u64, words: &[i64]) {
    rig.sub.ack_individual(None, &[ack_set(at, words, Some(128))]);
}

/// Goal: each thing that is held counts, and twice as many count twice.
#[test]
fn memory_is_counted_for_each_thing() {
    assert_eq!(held(|_| {}), Held::default());
    let interval = ack_state(|rig| _ = rig.ack(&[2]));
    assert!(0 < interval);
    assert_eq!(ack_state(|rig| _ = rig.ack(&[2, 4])), 2 * interval);
    let waiting = ack_state(|rig| deliver(rig, 1));
    assert!(0 < waiting);
    assert_eq!(ack_state(|rig| deliver(rig, 2)), 2 * waiting);
    let one_word = ack_state(|rig| ack_a_part(rig, 3, &[1]));
    let two_words = ack_state(|rig| ack_a_part(rig, 3, &[1, 1]));
    assert!(0 < one_word && one_word < two_words && two_words < 2 * one_word);
    let of_each = |rig: &mut Rig| {
        ack_a_part(rig, 3, &[1]);
        ack_a_part(rig, 5, &[1, 1]);
    };
    assert_eq!(ack_state(of_each), one_word + two_words);
}

/// Goal: an entry that is to be delivered again counts as one at a consumer does, with its
/// redelivery count; and so does a dead letter.
#[test]
fn what_is_asked_for_again_is_counted_with_its_redelivery_count() {
    let waiting = ack_state(|rig| deliver(rig, 1));
    let again = |entries: u32, times: u32| {
        ack_state(|rig| {
            for _ in 0..times {
                deliver(rig, entries);
                give_back(rig);
            }
        })
    };
    let once = again(1, 1);
    assert!(waiting < once && once < 2 * waiting, "{once}");
    assert_eq!(again(3, 1), 3 * once);
    assert_eq!(again(3, 2), 3 * once, "all three are dead");
}

#[test]
fn all_that_is_held_is_added_up() {
    let once = ack_state(|rig| {
        deliver(rig, 1);
        give_back(rig);
    });
    let waiting = ack_state(|rig| deliver(rig, 1));
    let interval = ack_state(|rig| _ = rig.ack(&[7]));
    let part = ack_state(|rig| ack_a_part(rig, 8, &[1]));
    let all = |rig: &mut Rig| {
        deliver(rig, 1);
        give_back(rig);
        deliver(rig, 1);
        give_back(rig);
        deliver(rig, 2);
        rig.sub.redeliver(A, Some(&[Ordinal(2)]), None);
        rig.ack(&[7]);
        ack_a_part(rig, 8, &[1]);
    };
    assert_eq!(ack_state(all), 2 * once + waiting + interval + part);
}

#[test]
fn timers_are_counted_apart() {
    let delayed = |count: u64| {
        held(|rig| {
            rig.sub.skip(10);
            (0..count).for_each(|_| rig.publish(|entry| entry.deliver_at = Some(5_000)));
            deliver(rig, 10);
        })
    };
    let one = delayed(1);
    assert!(0 < one.timers);
    assert_eq!(delayed(3), Held { timers: 3 * one.timers, ack_state: 0 });
}

fn owners(rig: &Rig, slots: &[u32]) -> Vec<u64> {
    slots.iter().map(|&slot| rig.sub.owner_of(slot).unwrap().0).collect()
}

/// Goal: who comes gets the lower half of the largest range, to the slot.
#[test]
fn the_largest_range_is_halved() {
    let options = Options { auto_split: AutoSplit::Halves, ..Options::default() };
    let rig = Rig::new(options, 0);
    assert_eq!(rig.sub.owner_of(0), None);
    let rig = rig.with(Kind::KeyShared, &[A, B]);
    assert_eq!(owners(&rig, &[0, 32_767, 32_768, 65_535]), [2, 2, 1, 1]);
    let rig = rig.with(Kind::KeyShared, &[C]);
    assert_eq!(owners(&rig, &[0, 16_383, 16_384, 32_767, 32_768]), [3, 3, 2, 2, 1]);
    let rig = rig.with(Kind::KeyShared, &[ConsumerKey(4)]);
    assert_eq!(owners(&rig, &[16_384, 32_768, 49_151, 49_152, 65_535]), [2, 4, 4, 1, 1]);
}

#[test]
fn the_last_range_falls_to_the_neighbour_and_ends_where_it_did() {
    let options = Options { auto_split: AutoSplit::Halves, ..Options::default() };
    let mut rig = Rig::new(options, 0).with(Kind::KeyShared, &[A, B]);
    rig.sub.detach(A);
    assert_eq!(owners(&rig, &[0, 65_535]), [2, 2]);
    let rig = rig.with(Kind::KeyShared, &[C]);
    assert_eq!(owners(&rig, &[32_767, 32_768]), [3, 2]);
}
