//! Copies of a storage that is written to, and the scrubber.
//!
//! Goal: a copy is the storage as of one moment, whatever comes after. Method: what comes after is
//! asked for in the moment itself, so that it falls between the moment and the flush.
#![cfg(test)]

mod bookie;

use std::{path::Path, sync::Arc};

use bookie::{add, body, entry, read_body, tiny};
use geminga_bookie_api::{AddSink, Bookie as _, BookieId, ReadError};
use geminga_bookie_storage::{CopyError, Options, Snapshot, Storage, verify::verify};
use geminga_env::{Disk as _, disk::OpenMode, sim::World};
use geminga_types::{EntryId, LedgerId};
use tokio::time::{Duration, sleep};

const JOURNAL: &str = "/copy/journal";
const LEDGERS: &str = "/copy/ledgers";

#[derive(Debug)]
struct Ignored;

impl AddSink for Ignored {
    fn on_added(&self, _: &BookieId, _: Vec<bookie::AddResult>) {}
}

async fn open(world: &World) -> Storage {
    Storage::open(world.env(), tiny(Path::new("/data"))).await.unwrap()
}

async fn fill(storage: &Storage, from: i64, to: i64) {
    for id in from..to {
        let batch = (0..3).map(|ledger| entry(ledger, id, &body(ledger, id))).collect();
        assert!(add(storage, batch).await.iter().all(|(.., result)| result.is_ok()));
    }
}

fn copy(world: &World, snapshot: &Snapshot) -> Result<(), CopyError> {
    let disk = world.env().disk;
    snapshot.write_to(&disk, Path::new(JOURNAL), Path::new(LEDGERS), &mut |_| true)
}

async fn open_copy(world: &World) -> Storage {
    let options = Options::new(JOURNAL, LEDGERS);
    let options = Options { min_free_bytes: 0, journal_file_bytes: 64 << 10, ..options };
    Storage::open(world.env(), options).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_of_the_moment_and_knows_nothing_of_later() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 30).await;
    storage.flush().await.unwrap();
    fill(&storage, 30, 40).await;
    let later = storage.clone();
    let snapshot = storage.snapshot(move || {
        let entries = (40..60).map(|id| entry(1, id, &body(1, id))).collect();
        later.add(entries, Arc::new(Ignored));
        drop(later.delete(LedgerId(0)));
    });
    let snapshot = snapshot.await.unwrap();
    assert!(matches!(read_body(&storage, 0, 3).await, Err(ReadError::NoLedger(_))));
    assert_eq!(read_body(&storage, 1, 59).await.unwrap(), body(1, 59));
    // Files that go before they are copied are still there for the copy.
    storage.flush().await.unwrap();
    storage.collect().await.unwrap();
    copy(&world, &snapshot).unwrap();
    storage.close().await.unwrap();
    world.lose_power();

    let disk = world.env().disk;
    let verified =
        verify(&disk, Path::new(JOURNAL), Path::new(LEDGERS), &mut |_, _, _| Ok(())).unwrap();
    assert_eq!(verified.damages, []);
    let copied = open_copy(&world).await;
    assert!(copied.was_clean());
    assert_eq!(copied.id(), storage.id());
    for ledger in 0..3 {
        for id in 0..40 {
            assert_eq!(read_body(&copied, ledger, id).await.unwrap(), body(ledger, id));
        }
        let end = copied.fence(LedgerId(ledger)).await.unwrap();
        assert_eq!((end.last_entry, end.last_add_confirmed), (EntryId(39), EntryId(38)));
        assert!(matches!(read_body(&copied, ledger, 40).await, Err(ReadError::NoEntry(..))));
    }
    // It goes on from there, through a crash.
    assert_eq!(add(&copied, vec![entry(9, 0, b"x")]).await[0].2, Ok(()));
    world.disk().cut_power_after(0);
    _ = copied.close().await;
    drop(copied);
    world.lose_power();
    let copied = open_copy(&world).await;
    assert_eq!(read_body(&copied, 9, 0).await.unwrap(), "x");
    assert_eq!(read_body(&copied, 2, 39).await.unwrap(), body(2, 39));
    copied.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_copy_is_no_storage() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 40).await;
    let snapshot = storage.snapshot(|| {}).await.unwrap();
    assert!(120 * 36 < snapshot.bytes());
    let (disk, journal, ledgers) = (world.env().disk, Path::new(JOURNAL), Path::new(LEDGERS));
    let stopped = snapshot.write_to(&disk, journal, ledgers, &mut |_| false);
    assert!(matches!(stopped, Err(CopyError::Stopped)));
    let options = Options::new(JOURNAL, LEDGERS);
    let error = Storage::open(world.env(), options).await.unwrap_err().to_string();
    assert!(error.contains("no cookie"), "{error}");
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_became_shorter_is_not_copied() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 40).await;
    let snapshot = storage.snapshot(|| {}).await.unwrap();
    let log = Path::new("/data/ledgers/entry-log-00000000");
    let file = world.disk().open(log, OpenMode::ReadWrite).unwrap();
    file.set_len(file.len().unwrap() - 1).unwrap();
    assert!(matches!(copy(&world, &snapshot), Err(CopyError::Damaged(_))));
}

#[tokio::test(start_paused = true)]
async fn an_empty_storage_is_copied_too() {
    let world = World::new(1);
    let storage = open(&world).await;
    copy(&world, &storage.snapshot(|| {}).await.unwrap()).unwrap();
    storage.close().await.unwrap();
    assert!(storage.snapshot(|| {}).await.is_err(), "it is closed");
    let copied = open_copy(&world).await;
    assert_eq!(add(&copied, vec![entry(0, 0, b"x")]).await[0].2, Ok(()));
    copied.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_scrubber_reports_damage_and_touches_nothing() {
    let world = World::new(1);
    let options = Options {
        scrub_interval: Duration::from_secs(100),
        scrub_entries_per_second: 10,
        ..tiny(Path::new("/data"))
    };
    let storage = Storage::open(world.env(), options).await.unwrap();
    fill(&storage, 0, 40).await;
    storage.flush().await.unwrap();
    sleep(Duration::from_secs(103)).await;
    let first = storage.stats();
    assert!(0 < first.scrub_entries && first.scrub_entries < 120, "{first:?}");
    assert_eq!(first.scrub_passes, 0, "it is limited");
    sleep(Duration::from_secs(30)).await;
    let whole = storage.stats();
    assert_eq!((whole.scrub_passes, whole.scrub_entries, whole.scrub_damages), (1, 120, 0));

    let log = Path::new("/data/ledgers/entry-log-00000000");
    let file = world.disk().open(log, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    let needle = body(1, 7);
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    world.disk().flip(log, at as u64, 1).unwrap();
    sleep(Duration::from_secs(150)).await;
    assert_eq!(storage.stats().scrub_damages, 1);
    assert!(matches!(read_body(&storage, 1, 7).await, Err(ReadError::Failed(_))));
    assert_eq!(read_body(&storage, 1, 8).await.unwrap(), body(1, 8));
    // What is deleted is no damage any more.
    storage.delete(LedgerId(1)).await.unwrap();
    sleep(Duration::from_secs(150)).await;
    assert_eq!(storage.stats().scrub_damages, 0);
    storage.close().await.unwrap();
}
