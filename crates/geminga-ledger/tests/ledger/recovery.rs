//! Recovery, case by case.

use geminga_ledger::{Entry, RecoverError, Sealed, read, recover, seal};
use geminga_types::{EntryId, LedgerId};

use crate::{
    bookie::Mode,
    store::Fault,
    world::{Driver, World, run},
};

const SEED: u64 = 1;

fn end(last_entry: i64, length: u64) -> Sealed {
    Sealed { last_entry: EntryId(last_entry), length }
}

async fn recovered(world: &World, driver: &Driver) -> Sealed {
    recover(&world.deps(), driver.writer.ledger_id()).await.unwrap()
}

async fn bodies(world: &World, ledger_id: LedgerId, last: i64) -> Vec<String> {
    let entries = read(&world.deps(), ledger_id, EntryId(0), EntryId(last), 1 << 20).await;
    let text = |entry: Entry| String::from_utf8(entry.body.to_vec()).unwrap();
    entries.unwrap().into_iter().map(text).collect()
}

/// Adds `bodies` and stores each on some bookies only, and none confirmed unless they are a quorum.
async fn store_on(world: &World, driver: &mut Driver, body: &str, on: &[usize]) -> EntryId {
    for (index, bookie) in world.bookies.iter().enumerate() {
        bookie.state().mode = if on.contains(&index) { Mode::Up } else { Mode::Silent };
    }
    let entry_id = driver.add(body);
    driver.settle().await;
    for bookie in &world.bookies {
        bookie.state().mode = Mode::Up;
    }
    entry_id
}

#[test]
fn an_empty_ledger_ends_before_its_first_entry() {
    run(async {
        let world = World::new(SEED, 1);
        let driver = world.create(1, 1, 1).await;
        assert_eq!(recovered(&world, &driver).await, end(-1, 0));
    });
}

#[test]
fn every_confirmed_entry_is_kept_and_the_writer_is_shut_out() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        for body in ["a", "bc", "def"] {
            driver.add(body);
            driver.settle().await;
        }
        assert_eq!(recovered(&world, &driver).await, end(2, 6));
        driver.add("late");
        driver.settle().await;
        assert_eq!(driver.confirmed.len(), 3);
        assert!(driver.writer.failure().is_some());
        assert_eq!(bodies(&world, driver.writer.ledger_id(), 9).await, ["a", "bc", "def"]);
    });
}

#[test]
fn an_unconfirmed_entry_that_is_found_is_written_to_its_whole_write_set() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[1]).await;
        assert!(driver.confirmed.is_empty());
        world.bookies[2].state().fails_reads = true;
        world.bookies[0].state().fails_reads = true;
        assert!(matches!(
            recover(&world.deps(), ledger_id).await,
            Err(RecoverError::Unavailable { .. })
        ));
        world.bookies[0].state().fails_reads = false;
        world.bookies[2].state().fails_reads = false;
        // Whether 1's answer or the other two come first decides; fixed here by silence.
        world.bookies[0].state().mode = Mode::Silent;
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
        assert!(world.bookies[1].holds(ledger_id, 0));
        assert!(world.bookies[2].holds(ledger_id, 0));
    });
}

#[test]
fn an_entry_that_an_ack_quorum_may_have_is_never_taken_for_absent() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[1, 2]).await;
        assert_eq!(driver.confirmed.len(), 1);
        // All are fenced, then only the one that never had it can be read.
        world.bookies[1].state().fails_reads = true;
        world.bookies[2].state().fails_reads = true;
        assert!(matches!(
            recover(&world.deps(), ledger_id).await,
            Err(RecoverError::Unavailable { .. })
        ));
        world.bookies[1].state().fails_reads = false;
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
    });
}

#[test]
fn absence_from_enough_fenced_bookies_is_the_end() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        store_on(&world, &mut driver, "a", &[0, 1, 2]).await;
        store_on(&world, &mut driver, "b", &[2]).await;
        world.bookies[2].state().mode = Mode::Down;
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
        world.bookies[2].state().mode = Mode::Up;
        assert_eq!(recovered(&world, &driver).await, end(0, 1), "closed is closed");
    });
}

#[test]
fn nothing_is_decided_while_the_writer_can_still_reach_an_ack_quorum() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[0, 1, 2]).await;
        world.bookies[1].state().mode = Mode::Down;
        world.bookies[2].state().mode = Mode::Down;
        assert!(matches!(
            recover(&world.deps(), ledger_id).await,
            Err(RecoverError::Unavailable { .. })
        ));
        for bookie in &world.bookies {
            bookie.state().mode = Mode::Up;
        }
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
    });
}

#[test]
fn the_word_of_an_unfenced_bookie_proves_nothing() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        // Stored on 0, and on its way to 2. Recovery fences 0 and 1, and cannot fence 2 nor read 0.
        store_on(&world, &mut driver, "a", &[0]).await;
        world.bookies[2].state().fails_fences = true;
        world.bookies[0].state().fails_reads = true;
        assert!(matches!(
            recover(&world.deps(), ledger_id).await,
            Err(RecoverError::Unavailable { .. })
        ));
        // The add arrives at 2, which with 0 is an ack quorum.
        let bytes = world.bookies[0].state().entries[&(ledger_id, EntryId(0))].clone();
        world.bookies[2].state().entries.insert((ledger_id, EntryId(0)), bytes);
        driver.writer.on_added(&crate::world::id(2), EntryId(0), Ok(())).unwrap();
        assert_eq!(driver.take_answers(), 0);
        assert_eq!(driver.confirmed.len(), 1);
        world.bookies[2].state().fails_fences = false;
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
    });
}

#[test]
fn a_bookie_that_was_fenced_late_counts() {
    run(async {
        let world = World::new(SEED, 3);
        let driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        // 0 and 1 are fenced at first; 2 is when it is asked for the entry, since 1 cannot be read.
        world.bookies[1].state().fails_reads = true;
        assert_eq!(recovered(&world, &driver).await, end(-1, 0));
        assert!(world.bookies[2].state().fenced.contains(&ledger_id));
    });
}

#[test]
fn a_silent_bookie_delays_but_does_not_stop_recovery() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        store_on(&world, &mut driver, "a", &[1, 2]).await;
        world.bookies[0].state().mode = Mode::Silent;
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
        let world = World::new(SEED, 1);
        let driver = world.create(1, 1, 1).await;
        world.bookies[0].state().mode = Mode::Silent;
        let result = recover(&world.deps(), driver.writer.ledger_id()).await;
        assert!(matches!(result, Err(RecoverError::Unavailable { .. })), "{result:?}");
    });
}

#[test]
fn a_damaged_entry_is_not_an_absent_one() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[0]).await;
        world.bookies[0].damage(ledger_id, 0);
        let result = recover(&world.deps(), ledger_id).await;
        let Err(RecoverError::Corrupt { entry_id, .. }) = result else { panic!("{result:?}") };
        assert_eq!(entry_id, EntryId(0));
        world.bookies[0].damage(ledger_id, 0);
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
    });
}

#[test]
fn a_damaged_replica_is_repaired_from_another() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[0, 1, 2]).await;
        world.bookies[0].damage(ledger_id, 0);
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
        let stored = |index: usize| world.bookies[index].state().entries.clone();
        assert_eq!(stored(0), stored(1));
    });
}

#[test]
fn damage_beside_a_failure_may_still_pass() {
    run(async {
        let world = World::new(SEED, 2);
        let mut driver = world.create(2, 2, 1).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[0, 1]).await;
        world.bookies[0].damage(ledger_id, 0);
        world.bookies[1].state().fails_reads = true;
        let result = recover(&world.deps(), ledger_id).await;
        assert!(matches!(result, Err(RecoverError::Unavailable { .. })), "{result:?}");
    });
}

#[test]
fn a_confirmed_entry_that_is_gone_everywhere_stops_recovery() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        let ledger_id = driver.writer.ledger_id();
        for body in ["a", "b", "c"] {
            store_on(&world, &mut driver, body, &[0]).await;
        }
        // Entry 2 names 1 as confirmed.
        world.bookies[0].lose(ledger_id, 1);
        let result = recover(&world.deps(), ledger_id).await;
        let Err(RecoverError::Corrupt { entry_id, .. }) = result else { panic!("{result:?}") };
        assert_eq!(entry_id, EntryId(1));
        let result = seal(&world.deps(), ledger_id, EntryId(2), 3).await;
        assert!(result.is_err(), "it is being recovered");
    });
}

#[test]
fn a_confirmed_entry_that_cannot_be_read_now_is_waited_for() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        for body in ["a", "b"] {
            store_on(&world, &mut driver, body, &[0]).await;
        }
        world.bookies[0].state().fails_reads = true;
        let result = recover(&world.deps(), driver.writer.ledger_id()).await;
        assert!(matches!(result, Err(RecoverError::Unavailable { .. })), "{result:?}");
    });
}

#[test]
fn an_entry_behind_a_gap_was_never_confirmed() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[0]).await;
        store_on(&world, &mut driver, "b", &[]).await;
        store_on(&world, &mut driver, "c", &[0]).await;
        assert_eq!(driver.confirmed.len(), 1);
        assert!(world.bookies[0].holds(ledger_id, 2));
        assert_eq!(recovered(&world, &driver).await, end(0, 1));
    });
}

#[test]
fn striped_entries_are_found_where_they_are() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 2, 2).await;
        for body in ["a", "b", "c", "d", "e"] {
            driver.add(body);
        }
        driver.settle().await;
        world.bookies[1].state().mode = Mode::Down;
        let ledger_id = driver.writer.ledger_id();
        let result = recover(&world.deps(), ledger_id).await;
        assert!(matches!(result, Err(RecoverError::Unavailable { .. })), "no quorum for a rewrite");
        world.bookies[1].state().mode = Mode::Up;
        assert_eq!(recovered(&world, &driver).await, end(4, 5));
        assert_eq!(bodies(&world, ledger_id, 4).await, ["a", "b", "c", "d", "e"]);
    });
}

#[test]
fn a_long_tail_is_rewritten_in_batches() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        for _ in 0..300 {
            driver.add("x");
        }
        driver.settle().await;
        world.bookies[0].state().batches.clear();
        assert_eq!(recovered(&world, &driver).await, end(299, 300));
        assert_eq!(world.bookies[0].state().batches, [128, 128, 44]);

        let mut driver = world.create(1, 1, 1).await;
        let body = "y".repeat(400_000);
        for _ in 0..4 {
            driver.add(&body);
        }
        driver.settle().await;
        world.bookies[0].state().batches.clear();
        assert_eq!(recovered(&world, &driver).await, end(3, 1_600_000));
        assert_eq!(world.bookies[0].state().batches, [3, 1]);
    });
}

#[test]
fn only_what_lies_behind_the_lac_is_written_again() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        for body in ["a", "b", "c"] {
            store_on(&world, &mut driver, body, &[0]).await;
        }
        world.bookies[0].state().batches.clear();
        recovered(&world, &driver).await;
        assert_eq!(world.bookies[0].state().batches, [1]);
    });
}

#[test]
fn an_entry_that_no_ack_quorum_takes_leaves_the_end_open() {
    run(async {
        let world = World::new(SEED, 3);
        let mut driver = world.create(3, 3, 2).await;
        let ledger_id = driver.writer.ledger_id();
        store_on(&world, &mut driver, "a", &[0, 1, 2]).await;
        for full in [&world.bookies[0], &world.bookies[1]] {
            full.state().mode = Mode::ReadOnly;
        }
        let result = recover(&world.deps(), ledger_id).await;
        assert!(matches!(result, Err(RecoverError::Unavailable { .. })), "{result:?}");
        world.bookies[1].state().mode = Mode::Up;
        assert_eq!(recovered(&world, &driver).await, end(0, 1), "one may fail");
    });
}

#[test]
fn a_closed_ledger_is_returned_without_asking_anybody() {
    run(async {
        let world = World::new(SEED, 1);
        let driver = world.create(1, 1, 1).await;
        let ledger_id = driver.writer.ledger_id();
        seal(&world.deps(), ledger_id, EntryId(4), 77).await.unwrap();
        world.bookies[0].state().mode = Mode::Down;
        let puts = world.store.state().puts;
        assert_eq!(recovered(&world, &driver).await, end(4, 77));
        assert_eq!(world.store.state().puts, puts);
        assert_eq!(world.bookies[0].state().asked, 0);
    });
}

#[test]
fn a_ledger_that_does_not_exist_is_not_recovered() {
    run(async {
        let result = recover(&World::new(SEED, 1).deps(), LedgerId(9)).await;
        assert!(matches!(result, Err(RecoverError::NoLedger(LedgerId(9)))), "{result:?}");
    });
}

#[test]
fn a_write_that_was_made_but_not_confirmed_by_the_store_is_found() {
    run(async {
        for faults in [
            vec![Fault::Made],
            vec![Fault::None, Fault::Made],
            vec![Fault::Made, Fault::Made],
            vec![Fault::Unmade, Fault::Unmade, Fault::Made, Fault::Unmade, Fault::Made],
        ] {
            let world = World::new(SEED, 1);
            let mut driver = world.create(1, 1, 1).await;
            store_on(&world, &mut driver, "abc", &[0]).await;
            world.store.state().faults = faults.into();
            assert_eq!(recovered(&world, &driver).await, end(0, 3));
        }
    });
}

#[test]
fn the_first_to_close_decides() {
    run(async {
        let world = World::new(SEED, 1);
        let mut driver = world.create(1, 1, 1).await;
        let ledger_id = driver.writer.ledger_id();
        let path = world.store.state().values.keys().next().unwrap().clone();
        let open = world.store.state().values[&path].0.clone();
        seal(&world.deps(), ledger_id, EntryId(0), 1).await.unwrap();
        let closed = world.store.state().values[&path].0.clone();
        for faults in
            [vec![Fault::Before(closed.clone())], vec![Fault::None, Fault::Before(closed)]]
        {
            world.store.state().values.get_mut(&path).unwrap().0 = open.clone();
            world.store.state().faults = faults.into();
            assert_eq!(recovered(&world, &driver).await, end(0, 1));
        }
        driver.settle().await;
    });
}

#[test]
fn a_ledger_whose_metadata_never_rests_is_given_up() {
    run(async {
        let world = World::new(SEED, 1);
        let driver = world.create(1, 1, 1).await;
        let ledger_id = driver.writer.ledger_id();
        world.store.state().is_busy = true;
        let result = recover(&world.deps(), ledger_id).await;
        assert!(matches!(result, Err(RecoverError::Contended(_))), "{result:?}");
        world.store.state().is_busy = false;
        assert_eq!(recovered(&world, &driver).await, end(-1, 0));
    });
}
