//! Creating and deleting, case by case.

use geminga_ledger::{CreateError, DeleteError, LedgerOptions, create, delete};
use geminga_metadata::MetadataError;
use geminga_types::{EntryId, LedgerId};

use crate::{
    bookie::Mode,
    store::Fault,
    world::{World, options, run},
};

fn ledgers(world: &World) -> usize {
    world.store.state().values.len()
}

#[test]
fn a_new_ledger_is_empty_and_has_an_id_of_its_own() {
    run(async {
        let world = World::new(1, 3);
        for id in 0..3 {
            let writer = create(&world.deps(), &options(3, 3, 2)).await.unwrap();
            assert_eq!(writer.ledger_id(), LedgerId(id));
            assert_eq!((writer.last_add_confirmed(), writer.length()), (EntryId::NONE, 0));
            assert!(writer.has_room());
        }
        assert_eq!(ledgers(&world), 3);
    });
}

#[test]
fn the_window_is_as_wide_as_the_options_say() {
    run(async {
        let world = World::new(1, 1);
        let narrow = LedgerOptions { in_flight_max: 2, ..options(1, 1, 1) };
        let mut writer = create(&world.deps(), &narrow).await.unwrap();
        for _ in 0..2 {
            assert!(writer.has_room());
            writer.add(bytes::Bytes::new(), geminga_checksum::Sum::EMPTY);
        }
        assert!(!writer.has_room());
    });
}

#[test]
fn impossible_options_are_refused() {
    run(async {
        let world = World::new(1, 3);
        let no_room = LedgerOptions { in_flight_max: 0, ..options(1, 1, 1) };
        for options in [options(3, 3, 0), options(2, 3, 2), options(3, 2, 3), no_room] {
            let result = create(&world.deps(), &options).await;
            assert!(matches!(result, Err(CreateError::InvalidOptions { .. })), "{result:?}");
        }
        assert_eq!(ledgers(&world), 0);
    });
}

#[test]
fn too_few_bookies_are_an_error_that_counts_them() {
    run(async {
        let world = World::new(1, 2);
        let result = create(&world.deps(), &options(3, 3, 2)).await;
        let Err(CreateError::UnavailableBookies { needed: 3, available: 2 }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(ledgers(&world), 0);
    });
}

#[test]
fn an_id_that_is_taken_is_passed_over() {
    run(async {
        let world = World::new(1, 1);
        world.create(1, 1, 1).await;
        let taken = world.store.state().values.values().next().unwrap().0.clone();
        world.store.state().faults =
            [Fault::Before(taken.clone()), Fault::Before(taken.clone())].into();
        let writer = create(&world.deps(), &options(1, 1, 1)).await.unwrap();
        assert_eq!(writer.ledger_id(), LedgerId(3));
        world.store.state().faults = std::iter::repeat_n(Fault::Before(taken), 16).collect();
        let result = create(&world.deps(), &options(1, 1, 1)).await;
        let Err(CreateError::Metadata(MetadataError::Conflict { .. })) = result else {
            panic!("{result:?}")
        };
    });
}

#[test]
fn a_store_that_does_not_answer_is_an_error() {
    run(async {
        let world = World::new(1, 1);
        world.store.state().faults = [Fault::Made].into();
        let result = create(&world.deps(), &options(1, 1, 1)).await;
        assert!(matches!(result, Err(CreateError::Metadata(_))), "{result:?}");
    });
}

#[test]
fn a_deleted_ledger_is_gone_everywhere() {
    run(async {
        let world = World::new(1, 3);
        let kept = world.written((3, 2, 2), &["a", "b", "c"]).await;
        let ledger_id = world.written((3, 2, 2), &["a", "b", "c"]).await;
        for _ in 0..2 {
            delete(&world.deps(), ledger_id).await.unwrap();
            assert_eq!(ledgers(&world), 1);
            for bookie in &world.bookies {
                let ids: Vec<_> =
                    bookie.state().entries.keys().map(|(ledger_id, _)| *ledger_id).collect();
                assert_eq!(ids, [kept, kept]);
            }
        }
    });
}

#[test]
fn metadata_stays_until_every_bookie_has_deleted() {
    run(async {
        for mode in [Mode::Down, Mode::Silent] {
            let world = World::new(1, 3);
            let ledger_id = world.written((3, 3, 2), &["a"]).await;
            world.bookies[1].state().mode = mode;
            let result = delete(&world.deps(), ledger_id).await;
            assert!(matches!(result, Err(DeleteError::Unavailable { .. })), "{result:?}");
            assert_eq!(ledgers(&world), 1);
            world.bookies[1].state().mode = Mode::Up;
            delete(&world.deps(), ledger_id).await.unwrap();
            assert_eq!(ledgers(&world), 0);
        }
    });
}
