use super::*;

const A: ConsumerKey = ConsumerKey(1);
const B: ConsumerKey = ConsumerKey(2);

fn sticky(ranges: &[RangeInclusive<u32>]) -> KeySharedMode {
    KeySharedMode::Sticky(ranges.to_vec())
}

#[test]
fn sticky_slots_are_inclusive_and_nobodys_in_between() {
    let mut slots = Slots::new(&sticky(&[]), AutoSplit::Halves);
    slots.add(A, "a", &sticky(&[0..=9, 20..=29])).unwrap();
    slots.add(B, "b", &sticky(&[10..=10, 65_535..=65_535])).unwrap();
    let owners = [0, 9, 10, 11, 19, 20, 29, 30, 65_534, 65_535].map(|slot| slots.owner(slot));
    let (a, b) = (Some(A), Some(B));
    assert_eq!(owners, [a, a, b, None, None, a, a, None, None, b]);
    slots.remove(A);
    assert_eq!((slots.owner(0), slots.owner(10)), (None, b));
}

#[test]
fn sticky_slots_that_are_taken_or_senseless_are_refused_and_leave_no_trace() {
    let mut slots = Slots::new(&sticky(&[]), AutoSplit::Halves);
    slots.add(A, "a", &sticky(&[10..=20])).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let senseless = [vec![], vec![40..=30], vec![0..=65_536]];
    let taken = [vec![20..=20], vec![0..=10], vec![12..=13], vec![0..=99], vec![30..=31, 20..=25]];
    let twice = [vec![30..=40, 40..=50], vec![30..=40, 35..=36]];
    for ranges in senseless.into_iter().chain(taken).chain(twice) {
        let refused = slots.add(B, "b", &KeySharedMode::Sticky(ranges.clone()));
        assert!(matches!(refused, Err(AttachError::Assign(_))), "{ranges:?}");
        assert_eq!(slots.owner(30), None, "{ranges:?}");
    }
    slots.add(B, "b", &sticky(&[0..=9, 21..=30])).unwrap();
}

#[test]
fn automatic_slots_are_shared_evenly_and_only_the_leavers_move() {
    let mut slots = Slots::new(&KeySharedMode::AutoSplit, AutoSplit::Ring(100));
    assert_eq!(slots.owner(0), None);
    for key in 0..8 {
        slots.add(ConsumerKey(key), &format!("consumer-{key}"), &KeySharedMode::AutoSplit).unwrap();
    }
    let before: Vec<_> = (0..KEY_SLOTS).map(|slot| slots.owner(slot).unwrap()).collect();
    for key in 0..8 {
        let share = before.iter().filter(|owner| owner.0 == key).count();
        assert!((5000..12_000).contains(&share), "consumer {key} has {share} of 65536");
    }
    slots.remove(ConsumerKey(3));
    for (slot, before) in (0..).zip(before) {
        let now = slots.owner(slot).unwrap();
        assert!(now == before || before.0 == 3 && now.0 != 3, "slot {slot}");
    }
}

/// Goal: one range each, halved and given back as consumers come and go. Method: a plain array of owners
/// beside it.
#[test]
fn who_comes_gets_half_of_the_largest_range_and_a_neighbour_what_is_left() {
    let mut slots = Slots::new(&KeySharedMode::AutoSplit, AutoSplit::Halves);
    let add = |slots: &mut Slots, key| slots.add(ConsumerKey(key), "", &KeySharedMode::AutoSplit);
    let ranges = |slots: &Slots| -> Vec<(u64, u32)> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        for slot in 0..KEY_SLOTS {
            let owner = slots.owner(slot).unwrap().0;
            match found.last_mut() {
                Some((last, count)) if *last == owner => *count += 1,
                _ => found.push((owner, 1)),
            }
        }
        found
    };
    assert_eq!(slots.owner(0), None);
    add(&mut slots, 1).unwrap();
    assert_eq!(ranges(&slots), [(1, 65_536)]);
    add(&mut slots, 2).unwrap();
    add(&mut slots, 3).unwrap();
    assert_eq!(ranges(&slots), [(3, 16_384), (2, 16_384), (1, 32_768)]);
    slots.remove(ConsumerKey(3));
    assert_eq!(ranges(&slots), [(2, 32_768), (1, 32_768)]);
    slots.remove(ConsumerKey(1));
    assert_eq!(ranges(&slots), [(2, 65_536)]);
    slots.remove(ConsumerKey(2));
    assert_eq!(slots.owner(65_535), None);
}

#[test]
fn consumers_beyond_the_slots_are_refused() {
    let mut slots = Slots::Halves((0..KEY_SLOTS).map(|slot| (slot, A)).collect());
    let refused = slots.add(B, "b", &KeySharedMode::AutoSplit);
    assert!(matches!(refused, Err(AttachError::Assign(_))), "{refused:?}");
    assert_eq!(slots.owner(0), Some(A));
}
