//! Ledgers whose writer has changed its ensemble, as Apache's writers do; and other foreign metadata.

use geminga_ledger::{DeleteError, ReadError, Sealed, delete, read, recover};
use geminga_metadata::{MetadataError, values::ledger::DigestType, values::ledger::LedgerMetadata};
use geminga_types::{EntryId, LedgerId};

use crate::{
    bookie::Mode,
    world::{World, id, run},
};

/// Puts changed metadata in the place of a ledger's.
fn change(world: &World, change: impl Fn(&mut LedgerMetadata)) {
    for (value, version) in world.store.state().values.values_mut() {
        let mut metadata = LedgerMetadata::decode(value).unwrap();
        change(&mut metadata);
        *value = metadata.encode();
        *version += 1;
    }
}

/// Entries 0 and 1 on the first bookie, from `first` on on the second.
async fn moved(bodies: &[&'static str], first: i64) -> (World, LedgerId) {
    let world = World::new(1, 2);
    let ledger_id = world.written((1, 1, 1), bodies).await;
    let behind = world.bookies[0].state().entries.split_off(&(ledger_id, EntryId(first)));
    world.bookies[1].state().entries = behind;
    change(&world, |metadata| {
        metadata.ensembles.insert(EntryId(first), vec![id(1).to_string()]);
    });
    (world, ledger_id)
}

#[test]
fn only_the_newest_ensemble_is_recovered() {
    run(async {
        let (world, ledger_id) = moved(&["a", "bc", "d", "e"], 2).await;
        let sealed = recover(&world.deps(), ledger_id).await.unwrap();
        assert_eq!(sealed, Sealed { last_entry: EntryId(3), length: 5 });
        assert_eq!(world.bookies[0].state().asked, 0);
    });
}

#[test]
fn what_lies_before_an_empty_newest_ensemble_is_confirmed() {
    run(async {
        let (world, ledger_id) = moved(&["a", "bc"], 2).await;
        world.bookies[0].state().mode = Mode::Down;
        assert!(recover(&world.deps(), ledger_id).await.is_err());
        world.bookies[0].state().mode = Mode::Up;
        let sealed = recover(&world.deps(), ledger_id).await.unwrap();
        assert_eq!(sealed, Sealed { last_entry: EntryId(1), length: 3 });
    });
}

#[test]
fn a_read_goes_from_one_ensemble_to_the_next() {
    run(async {
        let (world, ledger_id) = moved(&["a", "b", "c", "d"], 2).await;
        for (first, expected) in [(0, 4), (1, 3), (2, 2), (3, 1)] {
            let entries = read(&world.deps(), ledger_id, EntryId(first), EntryId(3), 1000).await;
            assert_eq!(entries.unwrap().len(), expected, "from {first}");
        }
        // What the first bookie still has of later entries is not the ledger's.
        let elsewhere = World::new(1, 1);
        assert_eq!(elsewhere.written((1, 1, 1), &["a", "b", "x"]).await, ledger_id);
        let stale = elsewhere.bookies[0].state().entries[&(ledger_id, EntryId(2))].clone();
        world.bookies[0].state().entries.insert((ledger_id, EntryId(2)), stale);
        let entries = read(&world.deps(), ledger_id, EntryId(0), EntryId(3), 1000).await.unwrap();
        assert_eq!(entries[2].body, b"c".as_slice());
    });
}

#[test]
fn a_ledger_is_deleted_from_every_ensemble() {
    run(async {
        let (world, ledger_id) = moved(&["a", "b", "c"], 2).await;
        world.bookies[0].state().mode = Mode::Down;
        let result = delete(&world.deps(), ledger_id).await;
        assert!(matches!(result, Err(DeleteError::Unavailable { .. })), "{result:?}");
        world.bookies[0].state().mode = Mode::Up;
        delete(&world.deps(), ledger_id).await.unwrap();
        assert!(world.bookies.iter().all(|bookie| bookie.state().entries.is_empty()));
    });
}

#[test]
fn a_bookie_that_nobody_knows_is_waited_for() {
    run(async {
        let (world, ledger_id) = moved(&["a", "b", "c"], 2).await;
        change(&world, |metadata| {
            metadata.ensembles.insert(EntryId(2), vec!["elsewhere:3181".to_owned()]);
        });
        assert!(recover(&world.deps(), ledger_id).await.is_err());
        let result = delete(&world.deps(), ledger_id).await;
        assert!(matches!(result, Err(DeleteError::Unavailable { .. })), "{result:?}");
        let result = read(&world.deps(), ledger_id, EntryId(2), EntryId(2), 1000).await;
        assert!(matches!(result, Err(ReadError::Unavailable { .. })), "{result:?}");
    });
}

#[test]
fn another_digest_is_refused_and_not_taken_for_damage() {
    run(async {
        for digest in [None, Some(DigestType::Crc32), Some(DigestType::Hmac)] {
            let (world, ledger_id) = moved(&["a"], 1).await;
            change(&world, |metadata| metadata.digest_type = digest);
            let result = read(&world.deps(), ledger_id, EntryId(0), EntryId(0), 1000).await;
            let Err(ReadError::Metadata(MetadataError::Corrupt(reason))) = result else {
                panic!("{result:?}")
            };
            assert!(reason.contains("digest"), "{reason}");
        }
    });
}
