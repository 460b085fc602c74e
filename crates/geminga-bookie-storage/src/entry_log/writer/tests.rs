//! Appending, rolling over and rolling back, on a simulated disk.

use bytes::Bytes;
use geminga_env::{OsRandom, sim::SimDisk};

use super::*;
use crate::{
    entry_log::reader::{read_footer, read_run, scan_runs},
    write_cache::Placed,
};

fn entry_log(disk: &SimDisk, entry_log_bytes: u64) -> EntryLog {
    let options = Options { entry_log_bytes, run_bytes_max: 600, ..Options::new("/", "/") };
    let parts = Parts {
        directory: Directory::new(Arc::new(disk.clone()), "/".into(), true),
        options: Arc::new(options),
        random: Arc::new(OsRandom::new()),
        counters: Arc::default(),
    };
    EntryLog::new(parts, None, 0)
}

/// A generation with `count` entries of 100 bytes in a ledger.
fn generation(ledger_id: LedgerId, count: i64) -> Generation {
    let body = [5; 100];
    let mut generation = Generation::default();
    generation.take_group(&Bytes::copy_from_slice(&body), true);
    let entries: Vec<Placed> = (0..count)
        .map(|id| Placed {
            ledger_id,
            entry_id: EntryId(id),
            last_add_confirmed: EntryId::NONE,
            offset: 0,
            length: 100,
            crc: geminga_checksum::Sum::of(&body).crc(),
        })
        .collect();
    generation.insert(ledger_id, &entries);
    generation
}

fn append(log: &mut EntryLog, ledger: i64, count: i64) -> Result<Appended, WriteError> {
    let ledger_id = LedgerId(ledger);
    let generation = generation(ledger_id, count);
    log.begin();
    log.append_ledger(&generation, ledger_id, &generation.ledgers()[&ledger_id], 3)?;
    log.finish()
}

fn rows(appended: &Appended) -> Vec<(LedgerId, Row)> {
    let rows = appended.records.iter().filter_map(|record| match record {
        Record::Run(ledger_id, row) => Some((*ledger_id, *row)),
        _ => None,
    });
    rows.collect()
}

#[test]
fn much_is_synced_on_the_way_and_little_is_not() {
    let disk = SimDisk::new(1);
    let mut log = entry_log(&disk, u64::MAX);
    append(&mut log, 1, 1_000).unwrap();
    assert_eq!(disk.counters().syncs, 0);
    log.sync().unwrap();
    log.commit();
    append(&mut log, 2, 100_000).unwrap();
    assert_eq!(disk.counters().syncs, 4);
}

#[test]
fn a_sync_on_the_way_that_fails_names_the_file() {
    let disk = SimDisk::new(1);
    let mut log = entry_log(&disk, u64::MAX);
    disk.fail_sync(1, |_| true);
    let error = append(&mut log, 1, 100_000).unwrap_err().to_string();
    assert!(error.contains("entry-log"), "{error}");
}

#[test]
fn runs_are_bounded_read_back_and_listed_in_the_footer() {
    let disk = SimDisk::new(1);
    let mut log = entry_log(&disk, 10_000);
    let appended = append(&mut log, 1, 22).unwrap();
    log.sync().unwrap();
    log.commit();
    // Four entries of 124 bytes and a head of 64 fit in 600 bytes.
    let rows = rows(&appended);
    assert_eq!(rows.iter().map(|(_, row)| row.count).collect::<Vec<_>>(), [4, 4, 4, 4, 4, 2]);
    let [Record::File { number: 0, salt, bytes, is_sealed: false }, ..] = appended.records[..]
    else {
        panic!("{:?}", appended.records)
    };
    let file = &*appended.files[0].1;
    for (ledger_id, row) in &rows {
        assert!(read_run(file, salt, *ledger_id, row).unwrap().is_whole());
        let wrong = Row { offset: row.offset + 1, ..*row };
        assert!(read_run(file, salt, *ledger_id, &wrong).is_err());
        assert!(read_run(file, salt, LedgerId(2), row).is_err());
    }
    assert_eq!(scan_runs(file, 0, salt, bytes).unwrap(), (rows.clone(), None));
    // The next begins on a block of its own, and fills the file.
    let more = append(&mut log, 2, 22).unwrap();
    log.sync().unwrap();
    log.commit();
    let in_first = || self::rows(&more).into_iter().filter(|(_, row)| row.file == 0);
    assert_eq!(in_first().next().unwrap().1.offset, 8192);
    assert_eq!(log.current().unwrap().0, 1);
    let Some(Record::File { number: 0, bytes, is_sealed: true, .. }) = more.records.first() else {
        panic!("{:?}", more.records)
    };
    let all: Vec<_> = rows.into_iter().chain(in_first()).collect();
    assert_eq!(read_footer(file, 0, salt, *bytes).unwrap(), Some(all.clone()));
    assert_eq!(scan_runs(file, 0, salt, *bytes).unwrap(), (all, None));
}

#[test]
fn what_is_rolled_back_is_written_over_and_not_listed() {
    let disk = SimDisk::new(1);
    let mut log = entry_log(&disk, 12_000);
    let first = append(&mut log, 1, 8).unwrap();
    log.commit();
    let before = log.current();
    // Fills the file and begins two more.
    let lost = append(&mut log, 2, 200).unwrap();
    assert!(lost.files.len() > 2, "{}", lost.files.len());
    log.roll_back().unwrap();
    assert_eq!((log.current(), log.next_number()), (before, 1));
    assert_eq!(log.directory.names().unwrap(), ["entry-log-00000000"]);
    let again = append(&mut log, 3, 4).unwrap();
    log.commit();
    assert_eq!(rows(&again)[0].1.offset, 8192);
    log.begin();
    log.close_current().unwrap();
    let closed = log.finish().unwrap();
    let [Record::File { number: 0, salt, bytes, is_sealed: true }] = closed.records[..] else {
        panic!("{:?}", closed.records)
    };
    let listed = read_footer(&*closed.files[0].1, 0, salt, bytes).unwrap().unwrap();
    assert_eq!(listed, [rows(&first), rows(&again)].concat());
}

#[test]
fn a_full_disk_rolls_back_to_nothing_and_can_be_tried_again() {
    let disk = SimDisk::new(1);
    let mut log = entry_log(&disk, 1 << 20);
    disk.set_quota(Some(6_000));
    let error = append(&mut log, 1, 100).unwrap_err();
    assert!(matches!(error, WriteError::Full { .. }), "{error}");
    log.roll_back().unwrap();
    assert_eq!((log.current(), disk.used_bytes()), (None, 0));
    disk.set_quota(None);
    let appended = append(&mut log, 1, 100).unwrap();
    log.commit();
    assert_eq!(appended.row_count, 25);
}

/// What was rolled back lies where it lay; the end of a commit must not show it as if it counted.
#[test]
fn what_was_rolled_back_is_not_found_behind_a_commit() {
    let disk = SimDisk::new(1);
    let mut log = entry_log(&disk, 100_000);
    append(&mut log, 1, 1).unwrap();
    log.sync().unwrap();
    log.commit();
    append(&mut log, 2, 12).unwrap();
    log.roll_back().unwrap();
    // The same first run, and then nothing where the second was.
    let second = rows(&append(&mut log, 2, 4).unwrap());
    log.sync().unwrap();
    log.commit();
    let third = append(&mut log, 3, 1).unwrap();
    let [Record::File { salt, bytes, .. }, ..] = third.records[..] else { panic!("{third:?}") };
    let (found, damaged_at) = scan_runs(&*third.files[0].1, 0, salt, bytes).unwrap();
    assert_eq!(damaged_at, None);
    assert_eq!(found[1..], [second, rows(&third)].concat());
}
