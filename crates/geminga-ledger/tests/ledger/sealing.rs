//! Sealing, case by case.

use bytes::Bytes;
use geminga_ledger::{SealError, Sealed, recover, seal};
use geminga_types::{EntryId, LedgerId};

use crate::{
    bookie::Mode,
    store::Fault,
    world::{World, run},
};

#[test]
fn a_stopped_writers_ledger_is_closed_where_it_stopped() {
    run(async {
        let world = World::new(1, 1);
        let mut driver = world.create(1, 1, 1).await;
        driver.add("abc");
        driver.settle().await;
        driver.add("never sent");
        let Sealed { last_entry, length } = driver.writer.stop();
        let ledger_id = driver.writer.ledger_id();
        for _ in 0..2 {
            seal(&world.deps(), ledger_id, last_entry, length).await.unwrap();
        }
        let sealed = recover(&world.deps(), ledger_id).await.unwrap();
        assert_eq!(sealed, Sealed { last_entry: EntryId(0), length: 3 });
    });
}

#[test]
fn a_ledger_closed_elsewhere_stays_so() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.create(1, 1, 1).await.writer.ledger_id();
        seal(&world.deps(), ledger_id, EntryId(4), 40).await.unwrap();
        for (last_entry, length) in [(EntryId(4), 41), (EntryId(3), 40)] {
            let result = seal(&world.deps(), ledger_id, last_entry, length).await;
            let Err(SealError::SealedElsewhere { sealed, .. }) = result else {
                panic!("{result:?}")
            };
            assert_eq!(sealed, Sealed { last_entry: EntryId(4), length: 40 });
        }
    });
}

#[test]
fn a_writer_does_not_close_what_another_recovers() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.create(1, 1, 1).await.writer.ledger_id();
        world.bookies[0].state().mode = Mode::Down;
        assert!(recover(&world.deps(), ledger_id).await.is_err());
        let result = seal(&world.deps(), ledger_id, EntryId::NONE, 0).await;
        assert!(matches!(result, Err(SealError::Fenced(_))), "{result:?}");
    });
}

#[test]
fn a_ledger_that_does_not_exist_is_not_sealed() {
    run(async {
        let result = seal(&World::new(1, 1).deps(), LedgerId(3), EntryId::NONE, 0).await;
        assert!(matches!(result, Err(SealError::NoLedger(LedgerId(3)))), "{result:?}");
    });
}

#[test]
fn an_answer_that_was_lost_is_looked_up() {
    run(async {
        for faults in [vec![Fault::Made], vec![Fault::Unmade], vec![Fault::Unmade, Fault::Made]] {
            let world = World::new(1, 1);
            let ledger_id = world.create(1, 1, 1).await.writer.ledger_id();
            world.store.state().faults = faults.into();
            seal(&world.deps(), ledger_id, EntryId::NONE, 0).await.unwrap();
        }
    });
}

#[test]
fn metadata_that_never_rests_or_makes_no_sense_is_an_error() {
    run(async {
        let world = World::new(1, 1);
        let ledger_id = world.create(1, 1, 1).await.writer.ledger_id();
        world.store.state().is_busy = true;
        let result = seal(&world.deps(), ledger_id, EntryId::NONE, 0).await;
        assert!(matches!(result, Err(SealError::Contended(_))), "{result:?}");
        for (value, _) in world.store.state().values.values_mut() {
            *value = Bytes::from_static(b"BookieMetadataFormatVersion\t3\n\xff");
        }
        let result = seal(&world.deps(), ledger_id, EntryId::NONE, 0).await;
        assert!(matches!(result, Err(SealError::Metadata(_))), "{result:?}");
    });
}
