//! What the storage does by itself: flushes, spares, collections, the index's rewriting, clearing up.
//!
//! Goal: each happens when it is due, not before, and loses nothing. Method: a simulated disk and clock;
//! small entries, each a group of one block of 4096 bytes.
#![cfg(test)]

mod bookie;

use std::path::Path;

use bookie::{add, body, entry, read_body, tiny};
use geminga_bookie_api::{AddEntry, AddError, Bookie as _, ReadError};
use geminga_bookie_storage::{Collected, Options, Storage};
use geminga_env::{Disk as _, disk::OpenMode, sim::World};
use geminga_types::{EntryId, LedgerId};
use tokio::time::{Duration, sleep, timeout};

/// Shorter than a tick, and enough for all that is rung for.
const MOMENT: Duration = Duration::from_millis(10);
const TICKS: Duration = Duration::from_secs(3);

fn options() -> Options {
    tiny(Path::new("/data"))
}

async fn open(world: &World, options: Options) -> Storage {
    Storage::open(world.env(), options).await.unwrap()
}

/// Adds entries `from..to` of a ledger, a group of one block each.
async fn fill(storage: &Storage, ledger: i64, from: i64, to: i64) {
    for id in from..to {
        assert_eq!(add(storage, vec![entry(ledger, id, b"x")]).await.remove(0).2, Ok(()));
    }
}

/// Stops a storage as a power failure would, after everything was synced.
async fn crash(world: &World, storage: Storage) {
    world.disk().cut_power_after(0);
    _ = storage.close().await;
    drop(storage);
    world.lose_power();
}

fn names(world: &World, dir: &str, prefix: &str) -> Vec<String> {
    let paths = world.disk().list(Path::new(dir)).unwrap();
    let names = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn length(world: &World, path: &str) -> u64 {
    world.disk().open(Path::new(path), OpenMode::Read).unwrap().len().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_flush_begins_when_half_of_the_cache_is_full_or_time_is_up() {
    let world = World::new(1);
    let options = Options { journal_file_bytes: 1 << 20, ..options() };
    let storage = open(&world, options).await;
    fill(&storage, 1, 0, 7).await;
    let stats = storage.stats();
    assert_eq!((stats.write_cache_bytes, stats.write_cache_entries), (7 * 4096, 7));
    sleep(TICKS).await;
    assert_eq!(storage.stats().flushes, 0);
    fill(&storage, 1, 7, 8).await;
    sleep(MOMENT).await;
    let stats = storage.stats();
    assert_eq!((stats.flushes, stats.write_cache_bytes, stats.write_cache_entries), (1, 0, 0));
    assert_eq!(stats.flush_latency.count, 1);
    assert_eq!((stats.entry_logs, stats.index_rows, stats.ledgers), (1, 1, 1));
    // The run: a head, and for each entry a place in the table, an envelope head and its byte.
    assert_eq!(stats.entry_log_live_bytes, 64 + 8 * (24 + 37));
    assert_eq!(storage.newest_ledger(), Some(LedgerId(1)));
    // What is less waits for its time.
    fill(&storage, 1, 8, 9).await;
    sleep(Duration::from_secs(55)).await;
    assert_eq!(storage.stats().flushes, 1);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(storage.stats().flushes, 2);
    storage.close().await.unwrap();
}

/// Goal: each entry is counted by how long it took, and each sync and read too.
#[tokio::test(start_paused = true)]
async fn what_is_added_and_read_is_counted_by_its_time() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    fill(&storage, 1, 0, 5).await;
    fill(&storage, 2, 0, 2).await;
    let stats = storage.stats();
    assert_eq!((stats.adds, stats.add_latency.count), (7, 7));
    assert_eq!((stats.sync_latency.count, stats.write_latency.count), (stats.syncs, stats.syncs));
    assert_eq!(stats.journal_bytes, stats.groups * 4_096);
    assert_eq!((stats.journal_waiting, stats.write_cache_entries), (0, 7));
    // All of an entry's time: that of its sync is a part of it.
    assert!(stats.sync_time <= stats.add_latency.sum, "{stats:?}");
    assert!(stats.add_latency.quantile(0.5).is_some());
    storage.delete(LedgerId(2)).await.unwrap();
    assert_eq!(storage.stats().write_cache_entries, 5);
    let found = storage.read(LedgerId(1), EntryId(1), EntryId(3), 1 << 20).await.unwrap();
    let stats = storage.stats();
    let bytes: usize = found.iter().map(|entry| entry.bytes.len()).sum();
    assert_eq!((stats.reads, stats.read_latency.count, stats.read_bytes), (3, 3, bytes as u64));
    storage.flush().await.unwrap();
    storage.read(LedgerId(1), EntryId(0), EntryId(4), 1 << 20).await.unwrap();
    let stats = storage.stats();
    assert_eq!((stats.read_cache_blocks, stats.read_latency.count), (1, 8));
    assert!(0 < stats.read_cache_bytes, "{stats:?}");
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_flush_or_a_snapshot_does_not_wait_for_the_timer() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    fill(&storage, 1, 0, 1).await;
    timeout(MOMENT, storage.flush()).await.unwrap().unwrap();
    fill(&storage, 1, 1, 2).await;
    timeout(MOMENT, storage.snapshot(|| {})).await.unwrap().unwrap();
    assert_eq!(storage.stats().flushes, 2);
    timeout(MOMENT, storage.flush()).await.unwrap().unwrap();
    assert_eq!(storage.stats().flushes, 2, "nothing was new");
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_spare_is_ready_once_a_journal_file_is_half_full() {
    for (room, is_made) in [(None, true), (Some(64 << 10), true), (Some((64 << 10) - 1), false)] {
        let world = World::new(1);
        let storage = open(&world, Options { write_cache_bytes: 1 << 20, ..options() }).await;
        // With the head of the file exactly half.
        fill(&storage, 1, 0, 7).await;
        sleep(TICKS).await;
        assert_eq!(storage.stats().journal_files, 0);
        world.disk().set_quota(room.map(|room| world.disk().used_bytes() + room));
        fill(&storage, 1, 7, 8).await;
        sleep(MOMENT).await;
        assert_eq!(storage.stats().journal_files, u64::from(is_made), "{room:?}");
        let files = names(&world, "/data/journal", "journal-");
        assert_eq!(files.len(), 1 + usize::from(is_made), "{room:?}");
        if is_made {
            assert_eq!(length(&world, &format!("/data/journal/{}", files[1])), 64 << 10);
        }
        world.disk().set_quota(None);
        // With room again there is one, and it is the next file.
        fill(&storage, 1, 8, 20).await;
        assert_eq!((storage.stats().recycles, storage.stats().rollovers), (1, 2), "{room:?}");
        storage.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_spare_is_made_while_new_entries_are_refused() {
    let world = World::new(1);
    let min_free_bytes = 1 << 20;
    let options = Options { write_cache_bytes: 1 << 20, min_free_bytes, ..options() };
    let storage = open(&world, options).await;
    fill(&storage, 1, 0, 7).await;
    world.disk().set_quota(Some(world.disk().used_bytes() + min_free_bytes - 1));
    sleep(TICKS).await;
    // More than what is too little, but not yet enough to go on.
    world.disk().set_quota(Some(world.disk().used_bytes() + min_free_bytes + (100 << 10)));
    sleep(TICKS).await;
    assert!(storage.read_only().is_some());
    let urgent = AddEntry { may_use_reserve: true, ..entry(1, 7, b"x") };
    assert_eq!(add(&storage, vec![urgent]).await.remove(0).2, Ok(()));
    sleep(TICKS).await;
    assert_eq!(storage.stats().journal_files, 0);
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn free_space_is_compared_with_the_limit_and_a_tenth_more() {
    let world = World::new(1);
    let min = 100_000;
    let options = Options { write_cache_bytes: 1 << 20, min_free_bytes: min, ..options() };
    let storage = open(&world, options).await;
    fill(&storage, 1, 0, 8).await;
    sleep(TICKS).await;
    storage.flush().await.unwrap();
    let free = async |bytes| {
        world.disk().set_quota(Some(world.disk().used_bytes() + bytes));
        sleep(TICKS).await;
        storage.read_only()
    };
    assert_eq!(free(min).await, None);
    let reason = free(min - 1).await.unwrap();
    // The log, the spare, and the file that is being written.
    let used = storage.stats().entry_log_bytes + (128 << 10);
    assert!(reason.contains(&format!("; {used} are used by")), "{used} in {reason}");
    assert!(free(min + min / 10 - 1).await.is_some());
    assert_eq!(free(min + min / 10).await, None);
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_index_log_is_rewritten_when_it_is_long_and_outdated() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    fill(&storage, 9, 0, 1).await;
    storage.fence(LedgerId(9)).await.unwrap();
    // Its head and a block for each flush: just as long as it may be.
    for flush in 0..3 {
        fill(&storage, 1, flush, flush + 1).await;
        storage.flush().await.unwrap();
    }
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000000"]);
    assert_eq!(length(&world, "/data/ledgers/index-00000000"), 16 << 10);
    fill(&storage, 1, 3, 4).await;
    storage.flush().await.unwrap();
    sleep(MOMENT).await;
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000001"]);
    assert_eq!(length(&world, "/data/ledgers/index-00000001"), 8 << 10);
    // It is appended to as before.
    fill(&storage, 1, 4, 5).await;
    storage.flush().await.unwrap();
    crash(&world, storage).await;
    let storage = open(&world, options()).await;
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000001"]);
    for id in 0..5 {
        assert_eq!(read_body(&storage, 1, id).await.unwrap(), "x");
    }
    let refused = add(&storage, vec![entry(9, 1, b"x")]).await.remove(0).2;
    assert_eq!(refused, Err(AddError::Fenced(LedgerId(9))));
    assert_eq!(add(&storage, vec![entry(1, 5, b"x")]).await.remove(0).2, Ok(()));
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_index_log_of_which_much_counts_is_kept() {
    let world = World::new(1);
    let options = Options { write_cache_bytes: 1 << 20, ..options() };
    let storage = open(&world, options).await;
    let many = (0..200).map(|ledger| entry(ledger, 0, b"x")).collect();
    assert!(add(&storage, many).await.iter().all(|(.., result)| result.is_ok()));
    for flush in 0..3 {
        fill(&storage, 1, flush + 1, flush + 2).await;
        storage.flush().await.unwrap();
    }
    sleep(MOMENT).await;
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000000"]);
    assert!(length(&world, "/data/ledgers/index-00000000") > 20 << 10);
    storage.close().await.unwrap();
}

/// Goal: the old index log stays when the checkpoint that would name the new one finds no space.
/// Method: first the new log may not grow, then the checkpoint.
#[tokio::test(start_paused = true)]
async fn a_rewritten_index_that_finds_no_space_leaves_the_old() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    // The entry log is so large that it does not pay to rewrite it.
    assert_eq!(add(&storage, vec![entry(2, 0, &[7; 20_000])]).await.remove(0).2, Ok(()));
    world.disk().refuse_growth(|path| path.ends_with("index-00000001"));
    for flush in 0..3 {
        fill(&storage, 1, flush, flush + 1).await;
        storage.flush().await.unwrap();
    }
    fill(&storage, 1, 3, 4).await;
    storage.flush().await.unwrap_err();
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000000"]);
    world.disk().heal();
    world.disk().refuse_growth(|path| path.to_str().unwrap().contains("checkpoint"));
    assert_eq!(storage.collect().await.unwrap(), Collected::default());
    sleep(MOMENT).await;
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000000"]);
    world.disk().heal();
    sleep(Duration::from_secs(15)).await;
    storage.collect().await.unwrap();
    assert_eq!(storage.read_only(), None);
    storage.close().await.unwrap();
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000001"]);
    let storage = open(&world, options()).await;
    for id in 0..4 {
        assert_eq!(read_body(&storage, 1, id).await.unwrap(), "x");
    }
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn files_that_never_counted_are_removed_when_it_is_opened() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    assert!(storage.was_clean());
    fill(&storage, 1, 0, 3).await;
    storage.close().await.unwrap();
    drop(storage);
    let before = world.disk().list(Path::new("/data/ledgers")).unwrap();
    let leftovers = ["entry-log-00000077", "index-00000077", "checkpoint.new", "cookie.new"];
    for name in leftovers.into_iter().chain(["notes.txt"]) {
        let path = Path::new("/data/ledgers").join(name);
        let file = world.disk().open(&path, OpenMode::CreateNew).unwrap();
        file.write_at(b"what an attempt left", 0).unwrap();
    }
    let storage = open(&world, options()).await;
    let mut after = world.disk().list(Path::new("/data/ledgers")).unwrap();
    after.retain(|path| !path.ends_with("notes.txt"));
    assert_eq!(after, before);
    assert_eq!(names(&world, "/data/ledgers", "notes"), ["notes.txt"], "it is not ours");
    assert_eq!(read_body(&storage, 1, 2).await.unwrap(), "x");
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_replayed_is_flushed_at_once() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    assert_eq!(names(&world, "/data/ledgers", "index-"), ["index-00000000"]);
    fill(&storage, 1, 0, 5).await;
    crash(&world, storage).await;
    let storage = open(&world, options()).await;
    let stats = storage.stats();
    assert_eq!((stats.groups_replayed, stats.write_cache_bytes, stats.entry_logs), (5, 0, 1));
    crash(&world, storage).await;
    // Nothing is left to replay.
    let storage = open(&world, options()).await;
    assert!(!storage.was_clean());
    assert_eq!(storage.stats().groups_replayed, 0);
    assert_eq!(read_body(&storage, 1, 4).await.unwrap(), "x");
    storage.close().await.unwrap();
}

/// Goal: a fence holds when nothing but the index knows of it. Method: no entry of the ledger is in the
/// flush that covers the fence.
#[tokio::test(start_paused = true)]
async fn a_fence_and_a_deletion_are_flushed_without_entries() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    fill(&storage, 1, 0, 2).await;
    fill(&storage, 2, 0, 2).await;
    storage.flush().await.unwrap();
    storage.fence(LedgerId(1)).await.unwrap();
    storage.delete(LedgerId(2)).await.unwrap();
    storage.flush().await.unwrap();
    crash(&world, storage).await;
    let storage = open(&world, options()).await;
    assert_eq!(storage.stats().groups_replayed, 0);
    let refused = add(&storage, vec![entry(1, 2, b"x")]).await.remove(0).2;
    assert_eq!(refused, Err(AddError::Fenced(LedgerId(1))));
    assert_eq!(read_body(&storage, 2, 0).await, Err(ReadError::NoLedger(LedgerId(2))));
    assert_eq!(storage.newest_ledger(), Some(LedgerId(2)));
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_fenced_or_deleted_already_is_not_written_again() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    fill(&storage, 1, 0, 1).await;
    fill(&storage, 2, 0, 1).await;
    for (groups, _) in [(4, "first"), (4, "again")] {
        storage.fence(LedgerId(1)).await.unwrap();
        storage.delete(LedgerId(2)).await.unwrap();
        assert_eq!(storage.stats().groups, groups);
    }
    // A deleted one needs no fence.
    assert_eq!(storage.fence(LedgerId(2)).await, Err(ReadError::NoLedger(LedgerId(2))));
    assert_eq!(storage.stats().groups, 4);
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_group_is_no_larger_than_it_may_be() {
    // Head, then a record head and 36 bytes of envelope for each.
    let bytes = 4096 - 32 - 32 - 36;
    for (count, last_bytes, groups) in [(4, bytes, 2), (4, bytes + 1, 3), (1, 20_000, 1)] {
        let world = World::new(1);
        let storage = open(&world, Options { group_bytes_max: 8192, ..options() }).await;
        let mut batch: Vec<_> = (0..count - 1).map(|id| entry(1, id, &vec![1; bytes])).collect();
        batch.push(entry(1, count - 1, &vec![1; last_bytes]));
        assert!(add(&storage, batch).await.iter().all(|(.., result)| result.is_ok()));
        assert_eq!(storage.stats().groups, groups, "{count} of up to {last_bytes}");
        storage.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_is_refused_alone() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    let wrong_sum = AddEntry { sum: geminga_checksum::Sum::of(b"x"), ..entry(1, 1, b"xx") };
    let batch = vec![
        entry(1, 0, b"x"),
        entry(-1, 0, b"x"),
        entry(1, -1, b"x"),
        wrong_sum,
        entry(1, 2, b"x"),
    ];
    let results = add(&storage, batch).await;
    let refused: Vec<bool> =
        results.iter().map(|(.., it)| matches!(it, Err(AddError::Failed(_)))).collect();
    assert_eq!(refused, [false, true, true, true, false]);
    assert_eq!(storage.stats().adds, 2);
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_read_ends_at_its_limit_of_bytes() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    let entries = (0..10).map(|id| entry(1, id, &[7; 64])).collect();
    add(&storage, entries).await;
    for place in ["write cache", "entry log", "read cache"] {
        for (limit, count) in
            [(0, 1), (1, 1), (199, 1), (200, 2), (299, 2), (300, 3), (1000, 8), (usize::MAX, 8)]
        {
            let read = storage.read(LedgerId(1), EntryId(2), EntryId(i64::MAX), limit);
            let read = read.await.unwrap();
            let ids: Vec<i64> = read.iter().map(|entry| entry.entry_id.0).collect();
            assert_eq!(ids, (2..2 + count).collect::<Vec<_>>(), "{limit} from the {place}");
        }
        storage.flush().await.unwrap();
    }
    let stats = storage.stats();
    assert_eq!(stats.reads, 3 * (1 + 1 + 1 + 2 + 2 + 3 + 8 + 8));
    assert_eq!((stats.read_cache_misses, stats.read_cache_hits), (1, 15));
    storage.close().await.unwrap();
}

/// Four ledgers in the one entry log that is appended to.
async fn one_log(storage: &Storage) {
    for ledger in 0..4 {
        let entries = (0..10).map(|id| entry(ledger, id, &body(1, id))).collect();
        assert!(add(storage, entries).await.iter().all(|(.., result)| result.is_ok()));
    }
    storage.flush().await.unwrap();
    assert_eq!(storage.stats().entry_logs, 1);
}

#[tokio::test(start_paused = true)]
async fn an_entry_log_that_is_appended_to_is_collected_only_when_it_pays() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    // Also when there is none.
    assert_eq!(storage.collect().await.unwrap(), Collected::default());
    one_log(&storage).await;
    assert_eq!(storage.collect().await.unwrap(), Collected::default());
    fill(&storage, 3, 10, 11).await;
    storage.flush().await.unwrap();
    assert_eq!(storage.stats().entry_logs, 1, "it is still appended to");
    storage.delete(LedgerId(0)).await.unwrap();
    assert_eq!(storage.collect().await.unwrap(), Collected::default(), "most of it is live");
    storage.delete(LedgerId(1)).await.unwrap();
    storage.delete(LedgerId(2)).await.unwrap();
    let live = storage.stats().entry_log_live_bytes;
    let moved = Collected { entry_logs_removed: 1, compactions: 1, bytes_moved: live };
    assert_eq!(storage.collect().await.unwrap(), moved);
    assert_eq!(names(&world, "/data/ledgers", "entry-log-"), ["entry-log-00000001"]);
    assert_eq!(storage.collect().await.unwrap(), Collected::default());
    for id in 0..10 {
        assert_eq!(read_body(&storage, 3, id).await.unwrap(), body(1, id));
    }
    storage.delete(LedgerId(3)).await.unwrap();
    let removed = Collected { entry_logs_removed: 1, ..Collected::default() };
    assert_eq!(storage.collect().await.unwrap(), removed);
    assert_eq!(names(&world, "/data/ledgers", "entry-log-"), [] as [&str; 0]);
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dead_entry_logs_go_by_themselves_and_sparse_ones_wait_for_their_time() {
    let seconds = Duration::from_secs;
    // Once by the minor, once by the major threshold.
    for (minor, major) in [((60, 0.5), (9999, 0.0)), ((9999, 0.0), (60, 0.5))] {
        let world = World::new(1);
        let options = Options {
            gc_interval: seconds(10),
            minor_interval: seconds(minor.0),
            minor_threshold: minor.1,
            major_interval: seconds(major.0),
            major_threshold: major.1,
            ..options()
        };
        let storage = open(&world, options).await;
        one_log(&storage).await;
        for ledger in 0..4 {
            storage.delete(LedgerId(ledger)).await.unwrap();
        }
        sleep(seconds(15)).await;
        let stats = storage.stats();
        assert_eq!((stats.entry_logs, stats.entry_logs_removed, stats.compactions), (0, 1, 0));
        for round in 1..3 {
            let ledgers = [round * 10, round * 10 + 1, round * 10 + 2];
            for ledger in ledgers {
                fill(&storage, ledger, 0, 5).await;
            }
            storage.flush().await.unwrap();
            storage.delete(LedgerId(ledgers[0])).await.unwrap();
            storage.delete(LedgerId(ledgers[1])).await.unwrap();
            sleep(seconds(30)).await;
            assert_eq!(storage.stats().compactions, u64::try_from(round - 1).unwrap());
            sleep(seconds(60 - 30 + 15)).await;
            assert_eq!(storage.stats().compactions, u64::try_from(round).unwrap());
        }
        storage.close().await.unwrap();
    }
}

/// Where `needle` first lies in a file.
fn find(world: &World, path: &Path, needle: &[u8]) -> u64 {
    let file = world.disk().open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes.windows(needle.len()).position(|window| window == needle).unwrap() as u64
}

/// Goal: what is damaged is not moved, and keeps nothing else from ending. Method: an entry, then also
/// the list of runs, both in the footer and in their heads.
#[tokio::test(start_paused = true)]
async fn a_damaged_entry_log_is_kept_and_collection_ends() {
    let world = World::new(1);
    let storage = open(&world, options()).await;
    one_log(&storage).await;
    let path = Path::new("/data/ledgers/entry-log-00000000");
    let damaged = find(&world, path, &entry(3, 5, b"").head[..16]);
    world.disk().flip(path, damaged + 40, 1).unwrap();
    for ledger in 0..3 {
        storage.delete(LedgerId(ledger)).await.unwrap();
    }
    let collected = storage.collect().await.unwrap();
    assert_eq!((collected.entry_logs_removed, collected.compactions), (0, 1));
    storage.close().await.unwrap();
    drop(storage);

    let trailer = length(&world, path.to_str().unwrap()) - 32;
    world.disk().flip(path, trailer + 16, 1).unwrap();
    world.disk().flip(path, find(&world, path, b"RUN\n") + 20, 1).unwrap();
    let storage = open(&world, options()).await;
    storage.collect().await.unwrap();
    assert_eq!(names(&world, "/data/ledgers", "entry-log-")[0], "entry-log-00000000");
    for id in 0..10 {
        match read_body(&storage, 3, id).await {
            Ok(found) => assert_eq!(found, body(1, id)),
            Err(error) => assert!(id == 5 && matches!(error, ReadError::Failed(_)), "{error}"),
        }
    }
    storage.close().await.unwrap();
}
