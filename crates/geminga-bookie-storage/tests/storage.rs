//! The storage on a real disk, through its public API.
#![cfg(test)]

mod bookie;

use std::{collections::BTreeMap, path::Path};

use bookie::{add, body, entry, read_body, tiny};
use geminga_bookie_api::{AddEntry, AddError, Bookie as _, ReadError};
use geminga_bookie_storage::{OpenError, Options, Stats, Storage};
use geminga_env::Env;
use geminga_types::{EntryId, LedgerId};

async fn open(dir: &Path) -> Storage {
    Storage::open(Env::system(), tiny(dir)).await.unwrap()
}

#[tokio::test]
async fn entries_are_read_from_cache_log_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).await;
    let mut stored = BTreeMap::new();
    for round in 0..60 {
        let mut batch = Vec::new();
        for ledger in 0..5 {
            for at in 0..4 {
                let id = round * 4 + at;
                batch.push(entry(ledger, id, &body(ledger, id)));
                stored.insert((ledger, id), body(ledger, id));
            }
        }
        assert!(add(&storage, batch).await.iter().all(|(.., result)| result.is_ok()));
    }
    let stats = storage.stats();
    assert_eq!(stats.adds, 1200);
    assert!(stats.flushes > 2 && stats.recycles > 0 && stats.entry_logs > 1, "{stats:?}");
    for ((ledger, id), expected) in &stored {
        assert_eq!(read_body(&storage, *ledger, *id).await.unwrap(), expected);
    }
    let all = storage.read(LedgerId(2), EntryId(3), EntryId(i64::MAX), usize::MAX).await.unwrap();
    let ids: Vec<i64> = all.iter().map(|entry| entry.entry_id.0).collect();
    assert_eq!(ids, (3..240).collect::<Vec<_>>());
    storage.close().await.unwrap();

    let storage = open(dir.path()).await;
    assert!(storage.was_clean());
    assert_eq!(storage.incarnation(), 2);
    for ((ledger, id), expected) in &stored {
        assert_eq!(read_body(&storage, *ledger, *id).await.unwrap(), expected);
    }
    assert_eq!(
        read_body(&storage, 1, 240).await,
        Err(ReadError::NoEntry(LedgerId(1), EntryId(240)))
    );
    assert_eq!(read_body(&storage, 9, 0).await, Err(ReadError::NoLedger(LedgerId(9))));
    storage.close().await.unwrap();
}

/// Single entries here and there are read alone; who reads one after the other has the rest in memory.
#[tokio::test]
async fn of_a_long_run_few_entries_are_read_alone() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        Options { run_bytes_max: 16 << 10, read_cache_bytes: 128 << 10, ..tiny(dir.path()) };
    let storage = Storage::open(Env::system(), options).await.unwrap();
    let text =
        |id: i64| format!("entry {id}").repeat(usize::try_from(id % 5).unwrap()).into_bytes();
    add(&storage, (0..400).map(|id| entry(1, id, &text(id))).collect()).await;
    storage.flush().await.unwrap();
    assert!(storage.stats().index_rows < 5, "400 entries in a few runs");

    for id in (0..400).map(|at| at * 7 % 400) {
        assert_eq!(read_body(&storage, 1, id).await.unwrap(), text(id), "entry {id}");
    }
    let scattered = storage.stats();
    assert_eq!(scattered.read_cache_hits, 0, "no run was read as a whole");
    assert!(0 < scattered.read_cache_bytes && scattered.read_cache_bytes < 400 * 40, "tables");

    for id in 0..400 {
        assert_eq!(read_body(&storage, 1, id).await.unwrap(), text(id), "entry {id}");
    }
    let misses = storage.stats().read_cache_misses - scattered.read_cache_misses;
    assert!(misses <= 3 * scattered.index_rows, "{misses} reads of runs");
    storage.close().await.unwrap();

    let options = Options { run_bytes_max: 16 << 10, ..tiny(dir.path()) };
    let storage = Storage::open(Env::system(), Options { read_cache_bytes: 128 << 10, ..options })
        .await
        .unwrap();
    for first in (0..400).step_by(7) {
        let last = EntryId((first + 6).min(399));
        let some = storage.read(LedgerId(1), EntryId(first), last, usize::MAX).await.unwrap();
        assert!(some.iter().zip(first..).all(|(it, id)| it.bytes[36..] == text(id)));
    }
    let Stats { read_cache_misses, index_rows, .. } = storage.stats();
    assert_eq!(read_cache_misses, index_rows + 1, "only the first run is read twice");
    let all = storage.read(LedgerId(1), EntryId(0), EntryId(399), usize::MAX).await.unwrap();
    assert!(all.iter().zip(0..).all(|(it, id)| it.bytes[36..] == text(id)) && all.len() == 400);
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_fence_and_a_deletion_hold_after_a_stop_without_close() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).await;
    for id in 0..3 {
        add(&storage, vec![entry(1, id, b"a"), entry(2, id, b"b")]).await;
    }
    let answer = storage.fence(LedgerId(1)).await.unwrap();
    assert_eq!((answer.last_entry, answer.last_add_confirmed), (EntryId(2), EntryId(1)));
    storage.delete(LedgerId(2)).await.unwrap();
    storage.delete(LedgerId(77)).await.unwrap();
    stop(storage, dir.path()).await;

    let storage = open(dir.path()).await;
    assert!(!storage.was_clean());
    assert!(storage.stats().groups_replayed > 0);
    let refused = add(&storage, vec![entry(1, 3, b"c"), entry(2, 3, b"c"), entry(77, 0, b"")]);
    for (ledger, _, result) in refused.await {
        assert_eq!(result, Err(AddError::Fenced(ledger)));
    }
    let recovery = AddEntry { is_recovery: true, ..entry(1, 3, b"recovered") };
    assert_eq!(add(&storage, vec![recovery]).await, [(LedgerId(1), EntryId(3), Ok(()))]);
    assert_eq!(read_body(&storage, 1, 3).await.unwrap(), "recovered");
    assert_eq!(read_body(&storage, 2, 0).await, Err(ReadError::NoLedger(LedgerId(2))));
    assert_eq!(storage.fence(LedgerId(2)).await, Err(ReadError::NoLedger(LedgerId(2))));
    assert_eq!(storage.fence(LedgerId(1)).await.unwrap().last_entry, EntryId(3));
    storage.close().await.unwrap();
}

/// Drops a storage and waits until its threads let go of the directories.
async fn stop(storage: Storage, dir: &Path) {
    drop(storage);
    let deadline = tokio::time::Duration::from_secs(10);
    let released = async {
        while Env::system().disk.lock(&dir.join("ledgers/lock")).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(deadline, released).await.unwrap();
}

#[tokio::test]
async fn a_directory_in_use_is_refused_and_free_after_close() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).await;
    let refused = Storage::open(Env::system(), tiny(dir.path())).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    storage.close().await.unwrap();
    open(dir.path()).await.close().await.unwrap();
    // After the close adds fail at once.
    let result = add(&storage, vec![entry(1, 0, b"")]).await;
    assert!(matches!(result[0].2, Err(AddError::Failed(_))));
    assert!(storage.flush().await.is_err());
}

#[tokio::test]
async fn dead_entry_logs_are_removed_and_sparse_ones_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).await;
    for id in 0..200 {
        let batch = (0..4).map(|ledger| entry(ledger, id, &body(ledger, id))).collect();
        add(&storage, batch).await;
    }
    storage.flush().await.unwrap();
    let before = storage.stats();
    assert!(before.entry_logs > 2, "{before:?}");
    for ledger in 0..3 {
        storage.delete(LedgerId(ledger)).await.unwrap();
    }
    let collected = storage.collect().await.unwrap();
    assert!(collected.compactions > 0 && collected.entry_logs_removed > 0, "{collected:?}");
    let after = storage.stats();
    assert!(after.entry_log_bytes < before.entry_log_bytes, "{before:?} {after:?}");
    for id in 0..200 {
        assert_eq!(read_body(&storage, 3, id).await.unwrap(), body(3, id));
    }
    stop(storage, dir.path()).await;
    let storage = open(dir.path()).await;
    for id in 0..200 {
        assert_eq!(read_body(&storage, 3, id).await.unwrap(), body(3, id));
    }
    assert_eq!(read_body(&storage, 0, 0).await, Err(ReadError::NoLedger(LedgerId(0))));
    storage.close().await.unwrap();
}

#[tokio::test]
async fn an_entry_larger_than_everything_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).await;
    let large = vec![7; 300 << 10];
    let results = add(&storage, vec![entry(1, 0, &large), entry(1, 1, b"after")]).await;
    assert!(results.iter().all(|(.., result)| result.is_ok()), "{results:?}");
    assert_eq!(read_body(&storage, 1, 0).await.unwrap(), large);
    storage.flush().await.unwrap();
    assert_eq!(read_body(&storage, 1, 0).await.unwrap(), large);
    assert_eq!(read_body(&storage, 1, 1).await.unwrap(), "after");
    storage.close().await.unwrap();
}
