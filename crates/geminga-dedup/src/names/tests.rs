use std::time::Duration;

use super::*;

/// Something stored, with so many items.
#[derive(Debug, Default)]
struct Thing {
    items: usize,
}

impl Kept for Thing {
    fn is_in_flight(&self) -> bool {
        false
    }

    fn is_blank(&self) -> bool {
        false
    }

    fn items(&self) -> usize {
        self.items
    }
}

fn now() -> Instant {
    geminga_env::Env::system().clock.now()
}

fn enter(names: &mut Names<Thing>, name: &[u8], items: usize, now: Instant) {
    let slot = names.enter(name, now);
    names.at(slot).unwrap().items = items;
    names.change(slot);
}

/// What the next changes say is gone.
fn gone(names: &mut Names<Thing>, number: u64) -> Vec<Vec<u8>> {
    let mut gone = Vec::new();
    names.take_changes(number, |name, kept| {
        if kept.is_none() {
            gone.push(name.to_vec());
        }
    });
    gone
}

#[test]
fn when_names_are_full_a_sixteenth_goes_and_one_more() {
    let (mut names, now) = (Names::new(32, usize::MAX), now());
    for number in 0..33_u8 {
        enter(&mut names, &[number], 0, now + Duration::from_secs(u64::from(number)));
        assert_eq!(names.len(), if number < 32 { usize::from(number) + 1 } else { 32 - 3 + 1 });
    }
    assert!([0, 1, 2].iter().all(|&number| names.get(&[number]).is_none()));
    assert!(names.get(&[3]).is_some());
}

#[test]
fn as_many_bytes_as_may_be_are_not_too_many() {
    let (mut names, now) = (Names::new(4, usize::MAX), now());
    enter(&mut names, &[1; 400], 0, now);
    enter(&mut names, &[2; 400], 0, now);
    enter(&mut names, &[3; 224], 0, now);
    assert_eq!((names.len(), names.name_bytes), (3, 4 * NAME_BYTES_MEAN));
    enter(&mut names, &[4], 0, now);
    assert_eq!(names.len(), 3, "one byte more is");
    let bytes: usize = names.by_name.keys().map(|name| name.len()).sum();
    assert_eq!(names.name_bytes, bytes, "whoever goes takes its bytes along");
}

#[test]
fn as_many_items_as_may_be_are_not_too_many_and_those_of_who_goes_count_no_more() {
    let (mut names, start) = (Names::new(100, 8), now());
    let at = |second| start + Duration::from_secs(second);
    enter(&mut names, b"a", 3, at(0));
    enter(&mut names, b"b", 5, at(1));
    assert_eq!((names.len(), names.items), (2, 8));
    names.forget(at(1), at(2), |_| false);
    assert_eq!((names.len(), names.items), (1, 5));
    enter(&mut names, b"c", 3, at(2));
    assert_eq!((names.len(), names.items), (2, 8));
    enter(&mut names, b"d", 1, at(3));
    assert_eq!((names.len(), names.items), (2, 4), "b went");
}

/// Goal: what may have been lost is said again, and counts as said by those changes only.
#[test]
fn who_is_gone_is_said_to_be_until_that_is_durable() {
    let (mut names, start) = (Names::new(100, usize::MAX), now());
    names.on_writes_lost();
    assert!(!names.has_news_of_gone(), "nobody is gone");
    enter(&mut names, b"a", 0, start);
    let later = start + Duration::from_secs(1);
    names.forget(later, later, |_| false);
    assert!(names.has_news_of_gone());
    assert_eq!(gone(&mut names, 1), [b"a"]);
    assert!(!names.has_news_of_gone() && gone(&mut names, 2).is_empty());
    names.on_writes_lost();
    assert!(names.has_news_of_gone());
    assert_eq!(gone(&mut names, 3), [b"a"]);
    names.on_durable(2);
    assert!(names.is_going(b"a"));
    names.on_durable(3);
    assert!(!names.is_going(b"a"));
}
