use super::*;

fn info(name: &str, kind: Kind) -> ConsumerInfo {
    ConsumerInfo { name: name.into(), priority: 0, kind, key_shared: None }
}

#[test]
fn consumers_of_one_name_have_different_slots() {
    let mut members = Members::new(&Options::default());
    for key in [1, 2, 3] {
        members.attach(ConsumerKey(key), info("same", Kind::KeyShared)).unwrap();
    }
    let share = |members: &Members, key| {
        (0..KEY_SLOTS).filter(|&slot| members.owner(slot) == Some(ConsumerKey(key))).count()
    };
    for key in [1, 2, 3] {
        assert!(12_000 < share(&members, key), "consumer {key} has {}", share(&members, key));
    }
    let before = share(&members, 2);
    members.detach(ConsumerKey(2));
    members.attach(ConsumerKey(4), info("same", Kind::KeyShared)).unwrap();
    assert_eq!(share(&members, 4), before, "who comes back gets the same slots");
}

#[test]
fn turns_go_round_among_those_who_are_ready() {
    let mut members = Members::new(&Options::default());
    for key in [1, 2, 3] {
        members.attach(ConsumerKey(key), info("c", Kind::Shared)).unwrap();
        members.grant(ConsumerKey(key), 5);
    }
    let turns = |members: &mut Members| -> Vec<u64> {
        (0..5).filter_map(|_| members.take_turn()).map(|(key, _)| key.0).collect()
    };
    assert_eq!(turns(&mut members), [1, 2, 3, 1, 2]);
    members.get_mut(ConsumerKey(3)).unwrap().is_writable = false;
    assert_eq!(turns(&mut members), [1, 2, 1, 2, 1]);
    members.get_mut(ConsumerKey(1)).unwrap().charge(5);
    assert_eq!(members.take_turn(), Some((ConsumerKey(2), 1)));
    members.get_mut(ConsumerKey(2)).unwrap().is_blocked = true;
    assert_eq!((members.take_turn(), members.ready_permits()), (None, 0));
}

#[test]
fn the_one_who_came_first_is_active_whatever_its_key() {
    let mut members = Members::new(&Options::default());
    for key in [9, 7, 8] {
        members.attach(ConsumerKey(key), info("c", Kind::Failover)).unwrap();
    }
    for next in [9, 7, 8] {
        assert_eq!(members.active(), Some(ConsumerKey(next)));
        members.detach(ConsumerKey(next));
    }
}

/// Goal: topics spread over the consumers, and only those move that a consumer who goes had.
#[test]
fn a_ring_of_names_decides_who_is_active_when_that_is_wanted() {
    let active_of = |slot: u32, keys: &[u64]| {
        let options = Options { failover_slot: Some(slot), ..Options::default() };
        let mut members = Members::new(&options);
        for &key in keys {
            members.attach(ConsumerKey(key), info(&format!("c{key}"), Kind::Failover)).unwrap();
        }
        members.active().unwrap().0
    };
    let slots = || (0..64).map(|index| index * 1_000 + 17);
    for slot in slots() {
        let before = active_of(slot, &[1, 2, 3]);
        assert_eq!(active_of(slot, &[3, 1, 2]), before, "arrival counts for slot {slot}");
        let after = active_of(slot, &[1, 3]);
        assert!(after == before || before == 2, "slot {slot} moved");
    }
    for key in 1..=3 {
        let count = slots().filter(|&slot| active_of(slot, &[1, 2, 3]) == key).count();
        assert!(8 < count, "consumer {key} is active for {count} of 64");
    }
}
