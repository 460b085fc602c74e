//! Reading, case by case.

use geminga_ledger::{Entry, ReadError, create, delete, read, recover, seal};
use geminga_types::{EntryId, LedgerId};

use crate::{
    bookie::Mode,
    world::{Driver, World, options, run},
};

const ALL: usize = 1 << 20;

fn ids(entries: &[Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.entry_id.0).collect()
}

async fn try_read(
    world: &World,
    ledger_id: LedgerId,
    first: i64,
    last: i64,
    bytes_max: usize,
) -> Result<Vec<Entry>, ReadError> {
    read(&world.deps(), ledger_id, EntryId(first), EntryId(last), bytes_max).await
}

#[test]
fn a_range_is_read_in_order() {
    run(async {
        let world = World::new(1, 3);
        let ledger_id = world.written((3, 3, 2), &["a", "b", "c", "d", "e", "f", "g"]).await;
        let entries = try_read(&world, ledger_id, 1, 5, ALL).await.unwrap();
        assert_eq!(ids(&entries), [1, 2, 3, 4, 5]);
        assert_eq!(entries[0].body, b"b".as_slice());
        assert_eq!(entries[1].body, b"c".as_slice());
        assert_eq!(world.bookies.iter().map(|bookie| bookie.state().asked).sum::<usize>(), 1);
    });
}

#[test]
fn a_striped_range_is_put_together_from_all_bookies() {
    run(async {
        let world = World::new(1, 4);
        let ledger_id = world.written((4, 2, 2), &["a", "b", "c", "d", "e", "f", "g"]).await;
        let entries = try_read(&world, ledger_id, 1, 6, ALL).await.unwrap();
        assert_eq!(ids(&entries), [1, 2, 3, 4, 5, 6]);
        let asked = world.bookies.iter().map(|bookie| bookie.state().asked).sum::<usize>();
        assert_eq!(asked, 3, "each call reads as far as its bookie has it");
        for dead in 0..4 {
            world.bookies[dead].state().mode = Mode::Down;
            let entries = try_read(&world, ledger_id, 0, 6, ALL).await.unwrap();
            assert_eq!(ids(&entries), [0, 1, 2, 3, 4, 5, 6], "without bookie {dead}");
            world.bookies[dead].state().mode = Mode::Up;
        }
    });
}

#[test]
fn a_read_stops_after_its_bytes_and_never_before_the_first() {
    run(async {
        let world = World::new(1, 3);
        for quorums in [(1, 1, 1), (3, 2, 2)] {
            let ledger_id = world.written(quorums, &["aaaa", "bbbb", "cccc", "dddd"]).await;
            for (bytes_max, expected) in [(0, 1), (1, 1), (40, 1), (41, 2), (80, 2), (81, 3)] {
                let entries = try_read(&world, ledger_id, 0, 3, bytes_max).await.unwrap();
                assert_eq!(entries.len(), expected, "{quorums:?} {bytes_max} bytes");
            }
        }
    });
}

#[test]
fn what_is_no_range_is_refused() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a"]).await;
        for (first, last) in [(-1, 0), (1, 0)] {
            let result = try_read(&world, ledger_id, first, last, ALL).await;
            assert!(matches!(result, Err(ReadError::InvalidRange { .. })), "{result:?}");
        }
        assert_eq!(ids(&try_read(&world, ledger_id, 0, 0, ALL).await.unwrap()), [0]);
    });
}

#[test]
fn the_end_of_a_closed_ledger_is_the_end() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a", "b"]).await;
        recover(&world.deps(), ledger_id).await.unwrap();
        assert_eq!(ids(&try_read(&world, ledger_id, 1, 9, ALL).await.unwrap()), [1]);
        let result = try_read(&world, ledger_id, 2, 9, ALL).await;
        let Err(ReadError::BeyondEnd { last_entry, .. }) = result else { panic!("{result:?}") };
        assert_eq!(last_entry, EntryId(1));
    });
}

#[test]
fn what_a_bookie_holds_behind_the_end_is_not_the_ledgers() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a", "b", "c"]).await;
        seal(&world.deps(), ledger_id, EntryId(1), 2).await.unwrap();
        assert!(world.bookies[0].holds(ledger_id, 2));
        assert_eq!(ids(&try_read(&world, ledger_id, 0, 2, ALL).await.unwrap()), [0, 1]);
    });
}

#[test]
fn a_reader_that_knew_the_ledger_as_open_learns_its_end() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a"]).await;
        let deps = world.deps();
        let read = async |first| read(&deps, ledger_id, EntryId(first), EntryId(9), ALL).await;
        assert_eq!(ids(&read(0).await.unwrap()), [0]);
        let missing = read(1).await;
        assert!(matches!(missing, Err(ReadError::Missing { .. })), "{missing:?}");
        recover(&world.deps(), ledger_id).await.unwrap();
        let beyond = read(1).await;
        assert!(matches!(beyond, Err(ReadError::BeyondEnd { .. })), "{beyond:?}");
    });
}

#[test]
fn the_metadata_of_a_ledger_is_read_once() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a"]).await;
        let deps = world.deps();
        let gets = || world.store.state().gets;
        let before = gets();
        for _ in 0..3 {
            read(&deps, ledger_id, EntryId(0), EntryId(0), ALL).await.unwrap();
        }
        assert_eq!(gets(), before + 1);
        recover(&deps, ledger_id).await.unwrap();
        let before = gets();
        let beyond = read(&deps, ledger_id, EntryId(1), EntryId(1), ALL).await;
        assert!(matches!(beyond, Err(ReadError::BeyondEnd { .. })), "{beyond:?}");
        assert_eq!(gets(), before, "closed is closed");
    });
}

#[test]
fn the_metadata_of_a_ledger_that_was_made_here_is_not_read_at_all() {
    run(async {
        let world = World::new(1, 1);
        let deps = world.deps();
        let writer = create(&deps, &options(1, 1, 1)).await.unwrap();
        let ledger_id = writer.ledger_id();
        let mut driver = Driver::new(&world, writer);
        driver.add("a");
        driver.settle().await;
        read(&deps, ledger_id, EntryId(0), EntryId(0), ALL).await.unwrap();
        assert_eq!(world.store.state().gets, 0);
    });
}

#[test]
fn another_replica_serves_what_one_has_damaged_or_lost() {
    run(async {
        let world = World::new(1, 3);
        let ledger_id = world.written((3, 3, 2), &["a", "b", "c"]).await;
        world.bookies[2].damage(ledger_id, 0);
        world.bookies[1].lose(ledger_id, 0);
        assert_eq!(ids(&try_read(&world, ledger_id, 0, 2, ALL).await.unwrap()), [0, 1, 2]);
        world.bookies[0].state().mode = Mode::Down;
        let result = try_read(&world, ledger_id, 0, 2, ALL).await;
        assert!(matches!(result, Err(ReadError::Unavailable { .. })), "{result:?}");
        world.bookies[0].state().mode = Mode::Up;
        world.bookies[0].lose(ledger_id, 0);
        let result = try_read(&world, ledger_id, 0, 2, ALL).await;
        assert!(matches!(result, Err(ReadError::Corrupt { .. })), "{result:?}");
        world.bookies[2].lose(ledger_id, 0);
        let result = try_read(&world, ledger_id, 0, 2, ALL).await;
        assert!(matches!(result, Err(ReadError::Missing { .. })), "{result:?}");
    });
}

#[test]
fn damage_or_a_gap_in_the_middle_is_read_around() {
    run(async {
        let world = World::new(1, 2);
        let ledger_id = world.written((2, 2, 2), &["a", "b", "c", "d"]).await;
        world.bookies[1].damage(ledger_id, 1);
        world.bookies[1].lose(ledger_id, 2);
        let entries = try_read(&world, ledger_id, 0, 3, ALL).await.unwrap();
        assert_eq!(ids(&entries), [0, 1, 2, 3]);
        let bodies: Vec<_> = entries.iter().map(|entry| entry.body.as_ref()).collect();
        assert_eq!(bodies, [b"a", b"b", b"c", b"d"]);
    });
}

#[test]
fn nothing_behind_damage_is_taken_for_what_follows() {
    run(async {
        let world = World::new(1, 2);
        let ledger_id = world.written((2, 2, 2), &["a", "b", "c"]).await;
        world.bookies[1].damage(ledger_id, 1);
        let entries = try_read(&world, ledger_id, 0, 2, ALL).await.unwrap();
        assert_eq!(ids(&entries), [0, 1, 2]);
    });
}

#[test]
fn what_lies_before_an_unreadable_entry_is_returned() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a", "b", "c"]).await;
        world.bookies[0].damage(ledger_id, 2);
        assert_eq!(ids(&try_read(&world, ledger_id, 0, 2, ALL).await.unwrap()), [0, 1]);
        let result = try_read(&world, ledger_id, 2, 2, ALL).await;
        let Err(ReadError::Corrupt { entry_id, .. }) = result else { panic!("{result:?}") };
        assert_eq!(entry_id, EntryId(2));
    });
}

#[test]
fn a_silent_replica_is_given_up() {
    run(async {
        let world = World::new(1, 2);
        let ledger_id = world.written((2, 2, 2), &["a"]).await;
        world.bookies[1].state().mode = Mode::Silent;
        assert_eq!(ids(&try_read(&world, ledger_id, 0, 0, ALL).await.unwrap()), [0]);
    });
}

#[test]
fn a_deleted_ledger_is_not_read_from_memory() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.written((1, 1, 1), &["a"]).await;
        let deps = world.deps();
        recover(&deps, ledger_id).await.unwrap();
        read(&deps, ledger_id, EntryId(0), EntryId(0), ALL).await.unwrap();
        delete(&deps, ledger_id).await.unwrap();
        let result = read(&deps, ledger_id, EntryId(0), EntryId(0), ALL).await;
        assert!(matches!(result, Err(ReadError::NoLedger(_))), "{result:?}");
    });
}
