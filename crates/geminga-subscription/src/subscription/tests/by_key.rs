//! `Key_Shared`: who has a key, order of a key, keys that move.

use super::*;

const LOW: u32 = 10;
const HIGH: u32 = 40_000;

fn sticky(slots: std::ops::RangeInclusive<u32>, allow_out_of_order: bool) -> ConsumerInfo {
    let mode = KeySharedMode::Sticky(vec![slots]);
    let key_shared = Some(KeySharedOptions { mode, allow_out_of_order });
    ConsumerInfo { key_shared, ..info("c", Kind::KeyShared, 0) }
}

fn publish(rig: &mut Rig, slots: &[u32]) {
    slots.iter().for_each(|&slot| rig.publish(|entry| entry.key_hash = slot));
}

/// A has the low slots, B the high ones.
fn halves(options: Options, slots: &[u32], allow_out_of_order: bool) -> Rig {
    let mut rig = Rig::new(options, 0);
    rig.sub.attach(A, sticky(0..=32_767, allow_out_of_order)).unwrap();
    rig.sub.attach(B, sticky(32_768..=65_535, allow_out_of_order)).unwrap();
    publish(&mut rig, slots);
    rig
}

/// A hash of 0 is in slot 1, as Pulsar's clients have it when they choose sticky ranges.
#[test]
fn nothing_is_in_slot_0() {
    let mut rig = Rig::new(Options::default(), 0);
    rig.sub.attach(A, sticky(0..=0, false)).unwrap();
    rig.sub.attach(B, sticky(1..=65_535, false)).unwrap();
    publish(&mut rig, &[0, 65_536]);
    rig.sub.flow(A, 10);
    rig.sub.flow(B, 10);
    assert_eq!(rig.got(), [(2, 0), (2, 1)]);
}

#[test]
fn each_key_goes_to_its_owner() {
    let mut rig = halves(Options::default(), &[LOW, HIGH, LOW, HIGH + 65_536], false);
    rig.sub.flow(A, 10);
    rig.sub.flow(B, 10);
    let mut got = rig.got();
    got.sort_unstable();
    assert_eq!(got, [(1, 0), (1, 2), (2, 1), (2, 3)]);
}

#[test]
fn a_consumer_without_permits_does_not_hold_up_the_keys_of_others() {
    let mut rig = halves(Options::default(), &[LOW, LOW, HIGH, LOW, HIGH], false);
    rig.sub.flow(B, 10);
    assert_eq!(rig.got(), [(2, 2), (2, 4)]);
    rig.sub.flow(A, 10);
    assert_eq!(rig.got(), ones([0, 1, 3]));
}

#[test]
fn look_ahead_is_bounded_and_held_payloads_are_given_up() {
    let options = Options { read_entries_max: 5, look_ahead_entries_max: 8, ..Options::default() };
    let mut rig = halves(options, &[LOW; 20], false);
    publish(&mut rig, &[HIGH]);
    rig.sub.flow(B, 10);
    assert_eq!(rig.got(), []);
    let stats = rig.sub.stats();
    assert_eq!(stats.buffered_entries + stats.redelivery_entries, 8);
    assert!(stats.buffered_entries <= 5, "{stats:?}");
    rig.sub.flow(A, 100);
    let got = rig.got();
    let low: Vec<_> = got.iter().copied().filter(|&(key, _)| key == 1).collect();
    assert_eq!(low, ones(0..20));
    assert!(got.contains(&(2, 20)));
}

#[test]
fn many_bytes_held_back_are_given_up_too() {
    let options = Options { read_entries_max: 5, read_bytes_max: 25, ..Options::default() };
    let mut rig = halves(options, &[LOW; 3], false);
    rig.sub.flow(B, 10);
    assert_eq!(rig.got(), []);
    publish(&mut rig, &[HIGH]);
    assert_eq!(rig.got(), [(2, 3)]);
    assert_eq!(rig.sub.stats().redelivery_entries, 3);
    rig.sub.flow(A, 10);
    assert_eq!(rig.got(), ones(0..3));
}

#[test]
fn a_key_that_moved_waits_until_its_old_owner_has_acked() {
    let mut rig = halves(Options::default(), &[LOW, LOW, HIGH], false);
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones(0..2));
    rig.sub.detach(B);
    rig.sub.attach(C, sticky(32_768..=65_535, false)).unwrap();
    rig.sub.flow(C, 10);
    assert_eq!(rig.got(), [(3, 2)]);
}

#[test]
fn automatic_owners_change_with_the_members_and_drain_first() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::KeyShared, &[A]);
    let slots: Vec<u32> = (0..64).map(|i| i * 1000).collect();
    publish(&mut rig, &slots);
    rig.sub.flow(A, 1000);
    assert_eq!(rig.got(), ones(0..64));
    let mut rig = rig.with(Kind::KeyShared, &[B]);
    rig.sub.flow(B, 1000);
    publish(&mut rig, &slots);
    let got = rig.got();
    assert!(got.iter().all(|&(key, _)| key == 1), "everything is still at the first: {got:?}");
    let moved = 64 - got.len();
    assert!((16..=48).contains(&moved), "{moved} of 64 keys moved");
    rig.ack(&(0..64).collect::<Vec<_>>());
    let got = rig.got();
    assert_eq!(got.len(), moved);
    assert!(got.iter().all(|&(key, _)| key == 2), "{got:?}");
}

#[test]
fn a_key_that_may_go_out_of_order_does_not_drain() {
    let mut rig = Rig::new(Options::default(), 0);
    let auto = |name| {
        let mode = KeySharedMode::AutoSplit;
        let key_shared = Some(KeySharedOptions { mode, allow_out_of_order: true });
        ConsumerInfo { key_shared, ..info(name, Kind::KeyShared, 0) }
    };
    rig.sub.attach(A, auto("a")).unwrap();
    let slots: Vec<u32> = (0..64).map(|i| i * 1000).collect();
    publish(&mut rig, &slots);
    rig.sub.flow(A, 1000);
    rig.poll();
    rig.sub.attach(B, auto("b")).unwrap();
    rig.sub.flow(B, 1000);
    publish(&mut rig, &slots);
    assert_eq!(rig.got().len(), 64);
}

#[test]
fn a_nacked_entry_goes_before_later_ones_of_its_key() {
    let mut rig = halves(Options::default(), &[LOW, LOW], false);
    rig.sub.flow(A, 2);
    assert_eq!(rig.got(), ones(0..2));
    publish(&mut rig, &[LOW, LOW + 1]);
    rig.sub.flow(A, 1);
    let (id, ranges, _) = rig.read();
    rig.sub.redeliver(A, Some(&[Ordinal(1)]), None);
    rig.answer(id, &ranges);
    rig.sub.flow(A, 9);
    assert_eq!(rig.got(), ones([1, 2, 3]));
}

#[test]
fn keys_of_one_who_left_go_on_in_order_elsewhere() {
    let mut rig = Rig::new(Options::default(), 0).with(Kind::KeyShared, &[A, B]);
    let slots: Vec<u32> = (0..30).map(|i| i % 10 * 6000).collect();
    publish(&mut rig, &slots);
    rig.sub.flow(A, 100);
    rig.poll();
    rig.sub.flow(B, 100);
    rig.sub.detach(A);
    let got = rig.got();
    assert_eq!(got.len(), 30);
    for slot in &slots[..10] {
        let of_slot = |&&(_, at): &&(u64, u64)| slots[usize::try_from(at).unwrap()] == *slot;
        let ordinals: Vec<u64> = got.iter().filter(of_slot).map(|&(_, at)| at).collect();
        assert!(ordinals.is_sorted(), "{ordinals:?}");
    }
}

#[test]
fn a_slot_of_nobody_waits_for_somebody() {
    let mut rig = Rig::new(Options::default(), 0);
    rig.sub.attach(A, sticky(0..=100, false)).unwrap();
    publish(&mut rig, &[HIGH, LOW]);
    rig.sub.flow(A, 10);
    assert_eq!(rig.got(), ones([1]));
    rig.sub.attach(B, sticky(101..=65_535, false)).unwrap();
    rig.sub.flow(B, 10);
    assert_eq!(rig.got(), [(2, 0)]);
}

#[test]
fn terms_must_be_the_same_and_slots_free() {
    let mut rig = halves(Options::default(), &[], false);
    let mismatch = Err(AttachError::KindMismatch { attached: Kind::KeyShared });
    assert_eq!(rig.sub.attach(C, info("c", Kind::KeyShared, 0)), mismatch);
    assert_eq!(rig.sub.attach(C, sticky(1..=2, true)), mismatch);
    assert!(matches!(rig.sub.attach(C, sticky(5..=6, false)), Err(AttachError::Assign(_))));
    rig.sub.detach(A);
    assert_eq!(rig.sub.attach(C, sticky(5..=6, false)), Ok(()));
    rig.sub.detach(B);
    rig.sub.detach(C);
    assert_eq!(rig.sub.attach(C, info("c", Kind::KeyShared, 0)), Ok(()));
}

#[test]
fn a_delayed_entry_keeps_its_key() {
    let mut rig = halves(Options::default(), &[], false);
    rig.publish(|entry| (entry.key_hash, entry.deliver_at) = (HIGH, Some(2000)));
    rig.sub.flow(A, 10);
    assert_eq!(rig.got(), []);
    rig.now = 2000;
    assert_eq!(rig.got(), [], "its owner has no permits");
    rig.sub.flow(B, 10);
    assert_eq!(rig.got(), [(2, 0)]);
}
