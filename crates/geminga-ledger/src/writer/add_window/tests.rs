//! Scripts for the cases; a naive model beside the window for the rest.

use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

fn window(write: u32, ack: u32) -> AddWindow {
    AddWindow::new(Quorums::new(3, write, ack).unwrap(), EntryId(0), 4)
}

fn bookie(index: u8) -> BookieIndex {
    BookieIndex::new(index).unwrap()
}

fn add(window: &mut AddWindow) -> EntryId {
    window.add(Bytes::from_static(b"a"), Bytes::from_static(b"bc"))
}

fn stored(window: &mut AddWindow, entry_id: i64, by: &[u8]) {
    for &index in by {
        window.on_stored(EntryId(entry_id), bookie(index)).unwrap();
    }
}

fn confirmed(window: &mut AddWindow) -> Vec<i64> {
    std::iter::from_fn(|| window.poll_confirmed()).map(|(entry_id, ..)| entry_id.0).collect()
}

#[test]
fn an_entry_is_confirmed_by_its_ack_quorum_and_not_before() {
    let mut window = window(3, 2);
    add(&mut window);
    stored(&mut window, 0, &[2]);
    assert_eq!(window.last_add_confirmed(), EntryId::NONE);
    assert!(confirmed(&mut window).is_empty());
    stored(&mut window, 0, &[2]);
    assert!(confirmed(&mut window).is_empty(), "one bookie counts once");
    stored(&mut window, 0, &[0]);
    assert_eq!(window.last_add_confirmed(), EntryId(0));
    assert_eq!(confirmed(&mut window), [0]);
    assert!(confirmed(&mut window).is_empty());
}

#[test]
fn entries_are_confirmed_in_order() {
    let mut window = window(3, 2);
    for _ in 0..3 {
        add(&mut window);
    }
    stored(&mut window, 2, &[0, 1]);
    stored(&mut window, 1, &[0, 1]);
    assert!(confirmed(&mut window).is_empty());
    assert_eq!((window.in_flight(), window.confirmed_bytes()), (3, 0));
    stored(&mut window, 0, &[0, 1]);
    assert_eq!((window.in_flight(), window.confirmed_bytes()), (3, 9));
    assert_eq!(window.last_add_confirmed(), EntryId(2));
    assert_eq!(confirmed(&mut window), [0, 1, 2]);
    assert_eq!(window.in_flight(), 0);
}

#[test]
fn the_window_is_full_until_something_is_polled() {
    let mut window = window(3, 2);
    for _ in 0..4 {
        assert!(window.has_room());
        add(&mut window);
    }
    assert!(!window.has_room());
    stored(&mut window, 0, &[0, 1]);
    assert!(!window.has_room());
    assert_eq!(confirmed(&mut window), [0]);
    assert!(window.has_room());
    assert_eq!(add(&mut window), EntryId(4));
}

#[test]
fn answers_for_what_was_never_sent_are_refused() {
    let mut window = window(2, 2);
    assert_eq!(window.on_stored(EntryId(0), bookie(0)), Err(NeverSent));
    add(&mut window);
    assert_eq!(window.on_stored(EntryId(0), bookie(2)), Err(NeverSent), "not in its write set");
    assert_eq!(window.on_stored(EntryId(-1), bookie(0)), Err(NeverSent));
    assert_eq!(window.on_stored(EntryId(-1), bookie(2)), Err(NeverSent));
    assert_eq!(window.on_stored(EntryId(1), bookie(1)), Err(NeverSent));
    assert_eq!(window.on_failed(EntryId(1), bookie(1), Failed::Unknown), Err(NeverSent));
    assert_eq!(window.on_stored(EntryId(0), bookie(1)), Ok(()));
}

#[test]
fn late_answers_change_nothing() {
    let mut window = window(3, 2);
    add(&mut window);
    stored(&mut window, 0, &[0, 1]);
    assert_eq!(confirmed(&mut window), [0]);
    assert_eq!(window.on_stored(EntryId(0), bookie(2)), Ok(()));
    assert_eq!(window.on_failed(EntryId(0), bookie(2), Failed::Unknown), Ok(false));
    assert_eq!(window.refused_by(EntryId(0)), None);
    assert_eq!(add(&mut window), EntryId(1));
    assert!(confirmed(&mut window).is_empty());
}

#[test]
fn a_quorum_is_lost_with_one_failure_too_many() {
    let mut window = window(3, 2);
    add(&mut window);
    assert_eq!(window.on_failed(EntryId(0), bookie(0), Failed::Unknown), Ok(false));
    assert_eq!(window.on_failed(EntryId(0), bookie(0), Failed::Unknown), Ok(false), "repeated");
    assert_eq!(window.on_failed(EntryId(0), bookie(2), Failed::Refused), Ok(true));
    assert_eq!(window.refused_by(EntryId(0)), Some(0b100));
}

#[test]
fn a_bookie_that_stored_it_cannot_fail_it_afterwards() {
    let mut window = window(3, 3);
    add(&mut window);
    stored(&mut window, 0, &[1]);
    assert_eq!(window.on_failed(EntryId(0), bookie(1), Failed::Refused), Ok(false));
    assert_eq!(window.refused_by(EntryId(0)), Some(0));
    assert_eq!(window.on_failed(EntryId(0), bookie(2), Failed::Refused), Ok(true));
    stored(&mut window, 0, &[2]);
    assert_eq!(window.refused_by(EntryId(0)), Some(0), "it has it after all");
}

#[test]
fn an_answer_that_it_is_stored_takes_back_a_failure() {
    let mut window = window(3, 2);
    add(&mut window);
    assert_eq!(window.on_failed(EntryId(0), bookie(0), Failed::Unknown), Ok(false));
    stored(&mut window, 0, &[0]);
    assert_eq!(window.on_failed(EntryId(0), bookie(1), Failed::Unknown), Ok(false));
    stored(&mut window, 0, &[2]);
    assert_eq!(confirmed(&mut window), [0]);
}

#[test]
fn a_frozen_window_confirms_and_takes_nothing_but_gives_what_it_had() {
    let mut window = window(3, 2);
    add(&mut window);
    add(&mut window);
    stored(&mut window, 0, &[0, 1]);
    window.freeze();
    assert!(!window.has_room());
    stored(&mut window, 1, &[0, 1, 2]);
    assert_eq!(window.last_add_confirmed(), EntryId(0));
    assert_eq!(window.confirmed_bytes(), 3);
    assert_eq!(confirmed(&mut window), [0]);
    assert_eq!(window.last_add_confirmed(), EntryId(0));
}

#[test]
fn a_window_may_begin_in_the_middle() {
    let quorums = Quorums::new(1, 1, 1).unwrap();
    let mut window = AddWindow::new(quorums, EntryId(100), 2);
    assert_eq!(window.last_add_confirmed(), EntryId(99));
    assert_eq!(add(&mut window), EntryId(100));
    assert_eq!(window.on_stored(EntryId(99), bookie(0)), Ok(()), "late, from before");
    assert!(confirmed(&mut window).is_empty());
    stored(&mut window, 100, &[0]);
    assert_eq!(confirmed(&mut window), [100]);
}

#[derive(Debug)]
struct Naive {
    quorums: Quorums,
    stored: Vec<u64>,
    confirmed: usize,
}

impl Naive {
    /// All that is confirmed: the longest prefix with its quorums.
    fn lac(&self) -> usize {
        let has_quorum = |bits: &&u64| self.quorums.ack() <= bits.count_ones();
        self.stored.iter().take_while(has_quorum).count()
    }
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let write = rng.random_range(1..=3);
    let quorums = Quorums::new(rng.random_range(write..=4), write, rng.random_range(1..=write));
    let quorums = quorums.unwrap();
    let mut window = AddWindow::new(quorums, EntryId(0), rng.random_range(1..8));
    let mut model = Naive { quorums, stored: Vec::new(), confirmed: 0 };
    for step in 0..200 {
        let at = format!("seed {seed} step {step}");
        match rng.random_range(0..10) {
            0..3 if window.has_room() => {
                assert_eq!(add(&mut window).0, i64::try_from(model.stored.len()).unwrap(), "{at}");
                model.stored.push(0);
            }
            3..9 if !model.stored.is_empty() => {
                let entry = rng.random_range(0..model.stored.len());
                let entry_id = EntryId(i64::try_from(entry).unwrap());
                let set: Vec<_> = quorums.write_set(entry_id).collect();
                let from = set[rng.random_range(0..set.len())];
                window.on_stored(entry_id, from).unwrap();
                model.stored[entry] |= from.bit();
            }
            _ => {
                while let Some((entry_id, ..)) = window.poll_confirmed() {
                    assert_eq!(entry_id.0, i64::try_from(model.confirmed).unwrap(), "{at}");
                    model.confirmed += 1;
                }
                assert_eq!(model.confirmed, model.lac(), "{at}");
            }
        }
        let lac = i64::try_from(model.lac()).unwrap() - 1;
        assert_eq!(window.last_add_confirmed(), EntryId(lac), "{at}");
        assert_eq!(window.in_flight(), model.stored.len() - model.confirmed, "{at}");
        assert_eq!(window.confirmed_bytes(), 3 * model.lac() as u64, "{at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn agrees_with_the_naive_model(seed: u64) {
        run(seed);
    }
}
