//! Verifying a closed storage.
//!
//! Goal: every damage is found and named with file, offset, ledger and entry, and nothing else is
//! called damage. Method: one fault at a time on a simulated disk, and every bit in turn at random.
#![cfg(test)]

mod bookie;

use std::path::{Path, PathBuf};

use bookie::{add, body, entry, tiny};
use geminga_bookie_api::Bookie as _;
use geminga_bookie_storage::{
    OpenError, Storage,
    dump::{Kind, dump},
    verify::{Verified, verify},
};
use geminga_env::{
    Disk as _,
    disk::OpenMode,
    sim::{SimDisk, World},
};
use geminga_types::{EntryId, LedgerId};
use rand::Rng as _;

fn try_verify(world: &World) -> Result<Verified, OpenError> {
    let (journal, ledgers) = (Path::new("/data/journal"), Path::new("/data/ledgers"));
    verify(&world.env().disk, journal, ledgers, &mut |ledger_id, entry_id, stored| {
        let named = (&stored[..8], &stored[8..16]);
        let expected = (&ledger_id.0.to_be_bytes()[..], &entry_id.0.to_be_bytes()[..]);
        if named == expected { Ok(()) } else { Err("another entry".to_owned()) }
    })
}

fn found(world: &World) -> Verified {
    try_verify(world).unwrap()
}

async fn open(world: &World) -> Storage {
    Storage::open(world.env(), tiny(Path::new("/data"))).await.unwrap()
}

/// Entries `from..to` of ledgers 0..3.
async fn fill(storage: &Storage, from: i64, to: i64) {
    for id in from..to {
        let batch = (0..3).map(|ledger| entry(ledger, id, &body(ledger, id))).collect();
        assert!(add(storage, batch).await.iter().all(|(.., result)| result.is_ok()));
    }
}

/// A closed storage with 40 entries in each of three ledgers.
async fn closed(world: &World) {
    let storage = open(world).await;
    fill(&storage, 0, 40).await;
    storage.close().await.unwrap();
}

fn file(disk: &SimDisk, prefix: &str) -> PathBuf {
    let dirs = ["/data/ledgers", "/data/journal"];
    let mut paths = dirs.iter().flat_map(|dir| disk.list(Path::new(dir)).unwrap());
    paths.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).unwrap()
}

fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn find(disk: &SimDisk, path: &Path, needle: &[u8]) -> u64 {
    let bytes = content(disk, path);
    bytes.windows(needle.len()).position(|window| window == needle).unwrap() as u64
}

#[tokio::test(start_paused = true)]
async fn a_whole_storage_is_clean_and_is_not_written_to() {
    let world = World::new(1);
    closed(&world).await;
    let storage = open(&world).await;
    fill(&storage, 40, 44).await;
    world.disk().cut_power_after(0);
    _ = storage.close().await;
    drop(storage);
    world.lose_power();
    let before = world.disk().counters();
    let verified = found(&world);
    let after = world.disk().counters();
    assert_eq!((before.writes, before.syncs), (after.writes, after.syncs));
    assert_eq!(verified.damages, []);
    assert_eq!(verified.leaks, []);
    assert_eq!((verified.counts.ledgers, verified.counts.entries), (3, 120));
    assert_eq!((verified.counts.journal_groups, verified.counts.journal_entries), (4, 12));
    for ledger in 0..3 {
        let held = &verified.ledgers[&LedgerId(ledger)];
        assert_eq!(held.missing(EntryId(0), EntryId(43)), []);
        assert_eq!(held.missing(EntryId(43), EntryId(45)), [(EntryId(44), EntryId(45))]);
        assert_eq!(held.last_add_confirmed, Some(EntryId(42)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_storage_in_use_is_refused() {
    let world = World::new(1);
    let storage = open(&world).await;
    assert!(matches!(try_verify(&world), Err(OpenError::InUse(_))));
    storage.close().await.unwrap();
    assert_eq!(found(&world).damages, []);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_entry_is_named() {
    let world = World::new(1);
    closed(&world).await;
    let log = file(world.disk(), "entry-log-");
    let at = find(world.disk(), &log, &body(1, 7));
    world.disk().flip(&log, at, 1).unwrap();
    let verified = found(&world);
    let [damage] = &verified.damages[..] else { panic!("{:?}", verified.damages) };
    assert_eq!((&damage.path, damage.ledger_id), (&log, Some(LedgerId(1))));
    assert_eq!(damage.entries, Some((EntryId(7), EntryId(7))));
    let text = damage.to_string();
    assert!(text.contains("entry-log-00000000 at byte") && text.contains("entry 7"), "{text}");
    // It is among the damages, so it is not missing as well.
    assert!(verified.ledgers[&LedgerId(1)].holds(EntryId(7)));
}

#[tokio::test(start_paused = true)]
async fn a_missing_entry_log_is_damage_of_its_ledgers() {
    let world = World::new(1);
    closed(&world).await;
    world.disk().remove_file(&file(world.disk(), "entry-log-")).unwrap();
    let verified = found(&world);
    assert_eq!(verified.damages.len(), 1);
    assert!(verified.damages[0].what.contains("missing"));
    for ledger in 0..3 {
        let held = &verified.ledgers[&LedgerId(ledger)];
        assert!(held.holds(EntryId(0)) && held.holds(EntryId(39)), "they are among the damages");
        assert!(!held.holds(EntryId(40)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_entry_log_has_a_footer_and_its_damage_is_named() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 150).await;
    storage.flush().await.unwrap();
    let stats = storage.stats();
    storage.close().await.unwrap();
    drop(storage);
    let verified = found(&world);
    assert_eq!((verified.damages, verified.leaks), (vec![], vec![]));
    let counts = verified.counts;
    assert!(1 < counts.entry_logs && counts.entry_logs < counts.runs, "{counts:?}");
    assert_eq!((counts.entry_logs, counts.runs), (stats.entry_logs, stats.index_rows));
    assert_eq!((counts.entries, counts.entry_bytes), (stats.adds, stats.add_bytes));
    let log = file(world.disk(), "entry-log-00000000");
    let length = content(world.disk(), &log).len() as u64;
    let at = find(world.disk(), &log, b"EFT\n");
    // Magic and salt of the trailer, magic of the footer, its first row.
    for offset in [length - 32, length - 20, at, at + 40] {
        world.disk().flip(&log, offset, 1).unwrap();
        let verified = found(&world);
        let damage = verified.damages.last().unwrap();
        assert_eq!((&damage.path, &*damage.what), (&log, "the footer is damaged"), "{offset}");
        assert_eq!(verified.leaks, []);
        world.disk().flip(&log, offset, 1).unwrap();
    }
    // A trailer that was never written is no damage.
    let sealed = world.disk().open(&log, OpenMode::ReadWrite).unwrap();
    sealed.write_at(&[0; 32], length - 32).unwrap();
    assert_eq!(found(&world).damages, []);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_group_before_a_durable_one_is_damage() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 4).await;
    world.disk().cut_power_after(0);
    _ = storage.close().await;
    drop(storage);
    world.lose_power();
    let journal = file(world.disk(), "journal-");
    let at = find(world.disk(), &journal, &body(0, 1));
    world.disk().flip(&journal, at, 4).unwrap();
    let verified = found(&world);
    let [damage] = &verified.damages[..] else { panic!("{:?}", verified.damages) };
    assert_eq!((&damage.path, damage.offset), (&journal, 2 * 4096));
}

#[tokio::test(start_paused = true)]
async fn what_nothing_points_to_is_a_leak_and_no_damage() {
    let world = World::new(1);
    closed(&world).await;
    let stray = Path::new("/data/ledgers/entry-log-00000777");
    let file = world.disk().open(stray, OpenMode::CreateNew).unwrap();
    file.write_at(&[1; 100], 0).unwrap();
    let verified = found(&world);
    assert_eq!(verified.damages, []);
    let [leak] = &verified.leaks[..] else { panic!("{:?}", verified.leaks) };
    assert_eq!((leak.path.as_path(), leak.bytes), (stray, 100));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_ledger_is_known_as_deleted() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 40).await;
    storage.flush().await.unwrap();
    storage.delete(LedgerId(1)).await.unwrap();
    storage.close().await.unwrap();
    drop(storage);
    let verified = found(&world);
    assert!(verified.is_deleted(LedgerId(1)) && !verified.is_deleted(LedgerId(0)));
    assert!(!verified.ledgers.contains_key(&LedgerId(1)));
    assert_eq!((verified.damages, verified.leaks), (vec![], vec![]));
}

/// Goal: no damage goes unnoticed that a reader would notice. Method: a flipped bit anywhere; if then
/// the storage does not open, or an entry cannot be read, verify has named damage.
#[tokio::test(start_paused = true)]
async fn what_a_reader_would_notice_is_found() {
    let mut named = 0;
    for seed in 0..150 {
        let world = World::new(seed);
        let mut rng = world.rng();
        closed(&world).await;
        let mut paths = world.disk().list(Path::new("/data/ledgers")).unwrap();
        paths.extend(world.disk().list(Path::new("/data/journal")).unwrap());
        paths.retain(|path| !content(world.disk(), path).is_empty());
        let path = &paths[rng.random_range(0..paths.len())];
        let bytes = content(world.disk(), path);
        // Most of a file is padding.
        let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let offset = written[rng.random_range(0..written.len())];
        world.disk().flip(path, offset as u64, 1 << rng.random_range(0..8)).unwrap();
        let place = format!("seed {seed}: {} at {offset}", path.display());
        let is_named = match try_verify(&world) {
            Ok(verified) => !verified.damages.is_empty(),
            Err(OpenError::Newer { .. }) => true,
            Err(error) => panic!("{place}: {error}"),
        };
        named += usize::from(is_named);
        let opened = Storage::open(world.env(), tiny(Path::new("/data"))).await;
        let Ok(storage) = opened else {
            assert!(is_named, "{place}: it does not open, but verify is content");
            continue;
        };
        for ledger in 0..3 {
            for id in 0..40 {
                let read = bookie::read_body(&storage, ledger, id).await;
                assert!(read.is_ok() || is_named, "{place}: {ledger}:{id} is lost unnoticed");
            }
        }
        storage.close().await.unwrap();
    }
    assert!(60 < named, "only {named} of 150 flips did anything");
}

fn dumped(world: &World, kind: Kind, path: &Path) -> String {
    let mut text = String::new();
    let disk = world.env().disk;
    dump(&*disk, kind, path, &mut |line| {
        text.push_str(line);
        text.push('\n');
        Ok(())
    })
    .unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn a_dump_shows_every_record_and_what_is_damaged() {
    let world = World::new(1);
    let storage = open(&world).await;
    fill(&storage, 0, 3).await;
    storage.fence(LedgerId(1)).await.unwrap();
    storage.delete(LedgerId(2)).await.unwrap();
    storage.close().await.unwrap();
    drop(storage);
    let disk = world.disk();
    let (journal, log) = (file(disk, "journal-"), file(disk, "entry-log-"));
    let text = dumped(&world, Kind::Journal, &journal);
    for line in ["group 0: 3 records", "entry 0:2, ", "fence ledger 1", "delete ledger 2"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let text = dumped(&world, Kind::Index, &file(disk, "index-"));
    for line in ["ledger 1: last entry 2, LAC 1, fenced", "ledgers 2 to 2 are deleted"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let at = find(disk, &log, &body(1, 2));
    assert!(!dumped(&world, Kind::EntryLog, &log).contains("DAMAGED"));
    disk.flip(&log, at, 1).unwrap();
    let text = dumped(&world, Kind::EntryLog, &log);
    assert!(text.contains("run of ledger 1: 3 entries from 0 to 2"), "{text}");
    assert_eq!(text.matches("DAMAGED").count(), 1, "{text}");
    let wrong = dump(&*world.env().disk, Kind::Index, &log, &mut |_| Ok(()));
    assert!(wrong.unwrap_err().to_string().contains("no log of an index"));
}

/// Goal: a dump goes on behind what is damaged. Method: the first group and the first batch, with two more
/// behind it.
#[tokio::test(start_paused = true)]
async fn a_dump_goes_on_behind_damage() {
    let world = World::new(1);
    let storage = open(&world).await;
    for id in 0..3 {
        fill(&storage, id, id + 1).await;
        storage.flush().await.unwrap();
    }
    storage.close().await.unwrap();
    drop(storage);
    let disk = world.disk();
    let (journal, index) = (file(disk, "journal-"), file(disk, "index-"));
    let whole = [(Kind::Journal, &journal), (Kind::Index, &index)]
        .map(|(kind, path)| dumped(&world, kind, path));
    assert!(whole[0].starts_with("journal file of generation "), "{}", whole[0]);
    let damage = |path: &Path, at: u64| disk.flip(path, at, 1).unwrap();
    damage(&journal, find(disk, &journal, b"GRP\n") + 64 + 40);
    damage(&index, find(disk, &index, b"IBT\n") + 40);

    let text = dumped(&world, Kind::Journal, &journal);
    assert_eq!(text.matches("damaged or torn group").count(), 1, "{text}");
    assert_eq!(text.matches(": 3 records").count() + 1, whole[0].matches(": 3 records").count());
    let text = dumped(&world, Kind::Index, &index);
    let batches = |text: &str| text.matches("batch of").count();
    assert!(text.contains("damaged, or an attempt"), "{text}");
    assert!(batches(&whole[1]) == 3 && batches(&text) == 2, "{text}");
}
