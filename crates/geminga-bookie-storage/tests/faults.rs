//! Damage, full disks and failing disks: what is said, and what goes on.
//!
//! Goal: a fault is reported as what it is, and never as "no entry". Method: each test plans one fault
//! on a simulated disk.
#![cfg(test)]

mod bookie;

use std::path::{Path, PathBuf};

use bookie::{add, body, entry, read_body, tiny};
use geminga_bookie_api::{AddEntry, AddError, Bookie as _, ReadError};
use geminga_bookie_storage::{OpenError, Options, Storage};
use geminga_env::{
    Disk as _,
    disk::OpenMode,
    sim::{SimDisk, World},
};
use geminga_types::LedgerId;
use rand::Rng as _;
use tokio::time::{Duration, sleep};

fn options() -> Options {
    tiny(Path::new("/data"))
}

async fn try_open(world: &World) -> Result<Storage, OpenError> {
    Storage::open(world.env(), options()).await
}

async fn open(world: &World) -> Storage {
    try_open(world).await.unwrap()
}

/// Adds entries 0.. of ledgers 0..3, one group each.
async fn fill(storage: &Storage, count: i64) {
    for id in 0..count {
        let batch = (0..3).map(|ledger| entry(ledger, id, &body(ledger, id))).collect();
        assert!(add(storage, batch).await.iter().all(|(.., result)| result.is_ok()));
    }
}

fn files(disk: &SimDisk, dir: &str, prefix: &str) -> Vec<PathBuf> {
    let mut paths = disk.list(Path::new(dir)).unwrap();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
    paths
}

fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// Where `needle` first lies in a file.
fn find(disk: &SimDisk, path: &Path, needle: &[u8]) -> Option<u64> {
    let bytes = content(disk, path);
    let at = bytes.windows(needle.len()).position(|window| window == needle)?;
    Some(at as u64)
}

/// Stops a storage as a power failure would, after everything was synced.
async fn crash(world: &World, storage: Storage) {
    world.disk().cut_power_after(0);
    _ = storage.close().await;
    drop(storage);
    world.lose_power();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_group_before_a_durable_one_is_corruption() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 4).await;
    crash(&world, storage).await;
    let journal = files(world.disk(), "/data/journal", "journal-").remove(0);
    let second = find(world.disk(), &journal, &body(0, 1)).unwrap();
    world.disk().flip(&journal, second + 3, 4).unwrap();
    let error = try_open(&world).await.unwrap_err();
    let OpenError::Corrupt { path, offset, .. } = &error else { panic!("{error}") };
    assert_eq!((path, *offset), (&journal, 2 * 4096));
    // Put right again, everything is there.
    world.disk().flip(&journal, second + 3, 4).unwrap();
    let storage = open(&world).await;
    assert_eq!(read_body(&storage, 0, 3).await.unwrap(), body(0, 3));
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn damage_to_what_the_checkpoint_covers_is_harmless() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 2).await;
    storage.flush().await.unwrap();
    let results = add(&storage, vec![entry(0, 2, &body(0, 2))]).await;
    assert_eq!(results[0].2, Ok(()));
    crash(&world, storage).await;
    let journal = files(world.disk(), "/data/journal", "journal-").remove(0);
    let first = find(world.disk(), &journal, &body(0, 0)).unwrap();
    world.disk().flip(&journal, first, 1).unwrap();
    let storage = open(&world).await;
    for id in 0..3 {
        assert_eq!(read_body(&storage, 0, id).await.unwrap(), body(0, id));
    }
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_journal_head_is_restored_from_its_groups() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 4).await;
    crash(&world, storage).await;
    let journal = files(world.disk(), "/data/journal", "journal-").remove(0);
    world.disk().flip(&journal, 20, 1).unwrap();
    let storage = open(&world).await;
    assert_eq!(read_body(&storage, 2, 3).await.unwrap(), body(2, 3));
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_is_a_failure_and_hides_nothing_else() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 20).await;
    storage.close().await.unwrap();
    drop(storage);
    let log = files(world.disk(), "/data/ledgers", "entry-log-").remove(0);
    let at = find(world.disk(), &log, &body(1, 7)).unwrap();
    world.disk().flip(&log, at, 1).unwrap();
    let storage = open(&world).await;
    let error = read_body(&storage, 1, 7).await.unwrap_err();
    assert!(matches!(&error, ReadError::Failed(reason) if reason.contains("entry-log")), "{error}");
    assert_eq!(read_body(&storage, 1, 6).await.unwrap(), body(1, 6));
    assert_eq!(read_body(&storage, 1, 8).await.unwrap(), body(1, 8));
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_disk_is_a_failure() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 20).await;
    storage.flush().await.unwrap();
    world.disk().fail_reads(|path| path.to_str().unwrap().contains("entry-log"));
    let error = read_body(&storage, 1, 3).await.unwrap_err();
    assert!(matches!(error, ReadError::Failed(_)), "{error}");
    crash(&world, storage).await;
    world.disk().heal();
    for part in ["checkpoint", "index", "journal-", "cookie"] {
        world.disk().fail_reads(move |path| path.to_str().unwrap().contains(part));
        let error = try_open(&world).await.unwrap_err();
        assert!(matches!(error, OpenError::Io { .. }), "{part}: {error}");
        world.disk().heal();
    }
    let storage = open(&world).await;
    assert_eq!(read_body(&storage, 1, 3).await.unwrap(), body(1, 3));
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_index_is_rebuilt_from_the_entry_logs() {
    for is_missing in [false, true] {
        let world = World::new(1);
        let storage = open(&world).await;
        fill(&storage, 150).await;
        storage.delete(LedgerId(2)).await.unwrap();
        let before = storage.fence(LedgerId(0)).await.unwrap();
        storage.close().await.unwrap();
        drop(storage);
        let index = files(world.disk(), "/data/ledgers", "index-").remove(0);
        if is_missing {
            world.disk().remove_file(&index).unwrap();
        } else {
            world.disk().flip(&index, 4096 + 100, 1).unwrap();
        }
        let storage = open(&world).await;
        for id in 0..150 {
            assert_eq!(read_body(&storage, 0, id).await.unwrap(), body(0, id));
            assert_eq!(read_body(&storage, 1, id).await.unwrap(), body(1, id));
        }
        assert_eq!(storage.fence(LedgerId(0)).await.unwrap(), before);
        // It is not known who was fenced, so all are.
        let refused = add(&storage, vec![entry(1, 150, b"")]).await;
        assert_eq!(refused[0].2, Err(AddError::Fenced(LedgerId(1))));
        storage.close().await.unwrap();
        drop(storage);
        open(&world).await.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_short_entry_log_stops_the_open() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 20).await;
    storage.close().await.unwrap();
    drop(storage);
    let log = files(world.disk(), "/data/ledgers", "entry-log-").remove(0);
    let file = world.disk().open(&log, OpenMode::ReadWrite).unwrap();
    file.set_len(file.len().unwrap() - 4_096).unwrap(); // Its last block, with an end of zeros.
    let error = try_open(&world).await.unwrap_err();
    assert!(matches!(&error, OpenError::Corrupt { path, .. } if *path == log), "{error}");
    world.disk().remove_file(&log).unwrap();
    let error = try_open(&world).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_of_another_bookie_or_without_cookie_is_refused() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 2).await;
    storage.close().await.unwrap();
    drop(storage);
    let other = Options::new("/data/other", "/data/other");
    let other = Storage::open(world.env(), Options { min_free_bytes: 0, ..other }).await.unwrap();
    other.close().await.unwrap();
    drop(other);
    let mixed = Options { journal_dir: "/data/other".into(), ..options() };
    let error = Storage::open(world.env(), mixed).await.unwrap_err();
    assert!(matches!(error, OpenError::Mismatched { .. }), "{error}");
    let cookie = Path::new("/data/ledgers/cookie");
    world.disk().flip(cookie, 30, 1).unwrap();
    let error = try_open(&world).await.unwrap_err();
    assert!(matches!(&error, OpenError::Corrupt { path, .. } if path == cookie), "{error}");
    world.disk().remove_file(cookie).unwrap();
    let error = try_open(&world).await.unwrap_err();
    assert!(matches!(&error, OpenError::Corrupt { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn any_flipped_bit_after_a_close_is_reported_or_harmless() {
    for seed in 0..60 {
        let world = World::new(seed);
        let mut rng = world.rng();
        let storage = open(&world).await;
        fill(&storage, 40).await;
        storage.close().await.unwrap();
        drop(storage);
        let mut paths = world.disk().list(Path::new("/data/ledgers")).unwrap();
        paths.extend(world.disk().list(Path::new("/data/journal")).unwrap());
        paths.retain(|path| !content(world.disk(), path).is_empty());
        let path = &paths[rng.random_range(0..paths.len())];
        let bytes = content(world.disk(), path);
        let offset = rng.random_range(0..bytes.len());
        world.disk().flip(path, offset as u64, 1 << rng.random_range(0..8)).unwrap();
        let place = format!("seed {seed}: {} at {offset}", path.display());
        let storage = match try_open(&world).await {
            Ok(storage) => storage,
            Err(OpenError::Corrupt { path: reported, .. }) => {
                assert_eq!(&reported, path, "{place}");
                continue;
            }
            Err(error) => panic!("{place}: {error}"),
        };
        for ledger in 0..3 {
            for id in 0..40 {
                match read_body(&storage, ledger, id).await {
                    Ok(found) => assert_eq!(found, body(ledger, id), "{place}"),
                    Err(ReadError::Failed(_)) => {}
                    Err(error) => panic!("{place}: {error}"),
                }
            }
        }
        storage.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_is_final() {
    for part in ["journal-", "entry-log", "index", "checkpoint"] {
        let world = World::new(1);
        let storage = open(&world).await;
        fill(&storage, 4).await;
        let failed = storage.failed();
        assert_eq!(*failed.borrow(), None);
        world.disk().fail_sync(1, move |path| path.to_str().unwrap().contains(part));
        let result = add(&storage, vec![entry(0, 4, b"x")]).await.remove(0).2;
        if part == "journal-" {
            assert!(matches!(result, Err(AddError::Failed(_))), "{result:?}");
        } else {
            storage.flush().await.unwrap_err();
        }
        assert!(failed.borrow().is_some(), "{part}");
        let result = add(&storage, vec![entry(0, 5, b"x")]).await.remove(0).2;
        assert!(matches!(result, Err(AddError::Failed(_))), "{result:?}");
        assert!(matches!(read_body(&storage, 0, 0).await, Err(ReadError::Failed(_))));
        assert!(matches!(storage.fence(LedgerId(0)).await, Err(ReadError::Failed(_))));
        assert!(matches!(storage.delete(LedgerId(0)).await, Err(AddError::Failed(_))));
        assert!(storage.close().await.is_err());
        drop(storage);
        world.lose_power();
        let storage = open(&world).await;
        for id in 0..4 {
            assert_eq!(read_body(&storage, 1, id).await.unwrap(), body(1, id), "{part}");
        }
        storage.close().await.unwrap();
    }
}

/// Goal: a failed write is final, and no lack of space. Method: the first write to each kind of file
/// stops; that of a journal file's zeros too, which comes after its head.
#[tokio::test(start_paused = true)]
async fn a_failed_write_is_final() {
    for (part, nth) in [
        ("journal-", 1),
        ("journal-", 2),
        ("journal-", 3),
        ("entry-log", 1),
        ("index", 1),
        ("checkpoint", 1),
    ] {
        let world = World::new(1);
        let storage = open(&world).await;
        let failed = storage.failed();
        world.disk().tear_write(nth, 10, move |path| path.to_str().unwrap().contains(part));
        let result = add(&storage, vec![entry(0, 0, b"x")]).await.remove(0).2;
        if part == "journal-" {
            assert!(matches!(result, Err(AddError::Failed(_))), "{nth}: {result:?}");
        } else {
            assert_eq!(result, Ok(()));
            storage.flush().await.unwrap_err();
        }
        assert!(failed.borrow().is_some(), "{part} {nth}");
        assert_eq!(storage.read_only(), None, "{part} {nth}");
        let result = add(&storage, vec![entry(0, 1, b"x")]).await.remove(0).2;
        assert!(matches!(result, Err(AddError::Failed(_))), "{part}: {result:?}");
        assert!(storage.close().await.is_err());
        drop(storage);
        world.lose_power();
        let storage = open(&world).await;
        if part != "journal-" {
            assert_eq!(read_body(&storage, 0, 0).await.unwrap(), "x", "{part}");
        }
        storage.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_entries_until_a_deletion_makes_room() {
    let world = World::new(1);
    let options = Options { min_free_bytes: 128 << 10, ..options() };
    let storage = Storage::open(world.env(), options.clone()).await.unwrap();
    fill(&storage, 150).await;
    storage.flush().await.unwrap();
    world.disk().set_quota(Some(world.disk().used_bytes() + (100 << 10)));
    sleep(Duration::from_secs(2)).await;
    let refused = add(&storage, vec![entry(0, 150, b"x")]).await.remove(0).2;
    let Err(AddError::ReadOnly(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("131072") && reason.contains("/data"), "{reason}");
    // All else goes on, also after a restart; acks, which are what frees space, among it.
    let urgent = AddEntry { may_use_reserve: true, ..entry(3, 0, b"an ack") };
    assert_eq!(add(&storage, vec![urgent]).await.remove(0).2, Ok(()));
    assert_eq!(read_body(&storage, 0, 149).await.unwrap(), body(0, 149));
    storage.fence(LedgerId(1)).await.unwrap();
    storage.close().await.unwrap();
    drop(storage);
    world.disk().set_quota(Some(world.disk().used_bytes() + (30 << 10)));
    let storage = Storage::open(world.env(), options).await.unwrap();
    assert!(storage.read_only().is_some());
    storage.delete(LedgerId(0)).await.unwrap();
    storage.delete(LedgerId(1)).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(storage.read_only(), None);
    let taken = add(&storage, vec![entry(2, 150, b"x")]).await.remove(0).2;
    assert_eq!(taken, Ok(()));
    for id in 0..150 {
        assert_eq!(read_body(&storage, 2, id).await.unwrap(), body(2, id));
    }
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_disk_without_any_room_loses_nothing() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 3).await;
    world.disk().set_quota(Some(0));
    let mut confirmed = 3;
    let refused = loop {
        let mut results = add(&storage, vec![entry(0, confirmed, &body(0, confirmed))]).await;
        match results.remove(0).2 {
            Ok(()) => confirmed += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AddError::ReadOnly(_)), "{refused}");
    // Recovery and acks are let in while there is room in memory, and then refused too: nobody waits.
    let mut recovered = 0;
    let refused = loop {
        let urgent = AddEntry { may_use_reserve: true, ..entry(1, 100 + recovered, &[1; 3000]) };
        match add(&storage, vec![urgent]).await.remove(0).2 {
            Ok(()) => recovered += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AddError::ReadOnly(_)), "{refused}");
    assert!(storage.flush().await.is_err());
    for id in 0..confirmed {
        assert_eq!(read_body(&storage, 0, id).await.unwrap(), body(0, id));
    }
    assert!(storage.close().await.is_err());
    drop(storage);
    // It opens on the full disk, and serves.
    let storage = open(&world).await;
    for id in 0..confirmed {
        assert_eq!(read_body(&storage, 0, id).await.unwrap(), body(0, id));
    }
    crash(&world, storage).await;
    let storage = open(&world).await;
    world.disk().set_quota(None);
    sleep(Duration::from_secs(3)).await;
    let result = add(&storage, vec![entry(0, confirmed, b"x")]).await.remove(0).2;
    assert_eq!(result, Ok(()));
    for id in 0..confirmed {
        assert_eq!(read_body(&storage, 0, id).await.unwrap(), body(0, id));
    }
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_sync_a_power_failure_loses_entries_but_never_the_storage() {
    for seed in 0..60 {
        let world = World::new(seed);
        let mut rng = world.rng();
        let options = Options { sync: false, write_cache_bytes: 40 << 10, ..options() };
        for life in 0..4 {
            let opened = Storage::open(world.env(), options.clone()).await;
            let storage =
                opened.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
            for id in 0..rng.random_range(0..60) {
                add(&storage, vec![entry(life, id, &body(life, id))]).await;
                if rng.random_bool(0.05) {
                    storage.flush().await.unwrap();
                }
            }
            for ledger in 0..=life {
                for id in 0..60 {
                    if let Ok(found) = read_body(&storage, ledger, id).await {
                        assert_eq!(found, body(ledger, id), "seed {seed}");
                    }
                }
            }
            crash(&world, storage).await;
        }
    }
}
