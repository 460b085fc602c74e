//! Data directories of released formats.
//!
//! Goal: a later version reads what an earlier one wrote, or says so; and damage is called what it is.
//! Method: the directories of `tests/fixtures`, made once by `examples/make_fixtures.rs` and never
//! again, are copied, damaged where the table says, verified and opened.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use geminga_bookie_api::{Bookie as _, ReadError};
use geminga_bookie_storage::{
    OpenError, Options, Storage,
    verify::{Verified, verify},
};
use geminga_checksum::Sum;
use geminga_env::{Disk, Env, disk::SystemDisk};
use geminga_types::{EntryId, LedgerId};

struct Copy(tempfile::TempDir);

impl Copy {
    /// A copy of `tests/fixtures/VERSION/NAME`.
    fn of(name: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/1").join(name);
        let copy = Self(tempfile::tempdir().unwrap());
        for part in ["journal", "ledgers"] {
            fs::create_dir(copy.path(part)).unwrap();
            for file in fs::read_dir(source.join(part)).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), copy.path(part).join(file.file_name())).unwrap();
            }
        }
        copy
    }

    fn path(&self, part: &str) -> PathBuf {
        self.0.path().join(part)
    }

    fn flip(&self, file: &str, offset: usize) {
        let mut bytes = fs::read(self.path(file)).unwrap();
        bytes[offset] ^= 1;
        fs::write(self.path(file), bytes).unwrap();
    }

    fn verified(&self) -> Result<Verified, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        verify(&disk, &self.path("journal"), &self.path("ledgers"), &mut |_, _, stored| {
            let digest = Sum::of(&stored[..32]).append(&stored[36..]).crc().to_be_bytes();
            if stored[32..36] == digest { Ok(()) } else { Err("the digest is wrong".to_owned()) }
        })
    }

    async fn open(&self) -> Result<Storage, OpenError> {
        let options = Options::new(self.path("journal"), self.path("ledgers"));
        Storage::open(Env::system(), Options { min_free_bytes: 0, ..options }).await
    }
}

async fn read_body(storage: &Storage, ledger: i64, entry: i64) -> Result<Bytes, ReadError> {
    let (ledger_id, entry_id) = (LedgerId(ledger), EntryId(entry));
    let entries = storage.read(ledger_id, entry_id, entry_id, 1).await?;
    assert_eq!((entries.len(), entries[0].entry_id), (1, entry_id));
    Ok(entries[0].bytes.slice(36..))
}

fn body(ledger: i64, entry: i64) -> Bytes {
    let times = 1 + usize::try_from(entry).unwrap() % 5;
    format!("{ledger}/{entry} ").repeat(times).into()
}

async fn holds(storage: &Storage, ledger: i64, entries: i64) {
    for entry in 0..entries {
        assert_eq!(read_body(storage, ledger, entry).await.unwrap(), body(ledger, entry));
    }
    let beyond = read_body(storage, ledger, entries).await;
    let beyond_entry = ReadError::NoEntry(LedgerId(ledger), EntryId(entries));
    assert_eq!(beyond, Err(beyond_entry));
}

#[tokio::test]
async fn a_closed_directory_of_version_1() {
    let copy = Copy::of("closed");
    let verified = copy.verified().unwrap();
    assert_eq!((&verified.damages, &verified.leaks), (&vec![], &vec![]));
    assert_eq!((verified.counts.entries, verified.counts.journal_groups), (80, 0));
    assert!(verified.ledgers[&LedgerId(1)].is_fenced && verified.is_deleted(LedgerId(2)));
    let storage = copy.open().await.unwrap();
    assert!(storage.was_clean());
    holds(&storage, 0, 40).await;
    holds(&storage, 1, 40).await;
    assert_eq!(read_body(&storage, 2, 0).await, Err(ReadError::NoLedger(LedgerId(2))));
    let end = storage.fence(LedgerId(0)).await.unwrap();
    assert_eq!((end.last_entry, end.last_add_confirmed), (EntryId(39), EntryId(38)));
    storage.close().await.unwrap();
}

#[tokio::test]
async fn a_crashed_directory_of_version_1() {
    let copy = Copy::of("crashed");
    let verified = copy.verified().unwrap();
    assert_eq!(verified.damages, []);
    assert_eq!((verified.counts.journal_groups, verified.counts.journal_entries), (2, 20));
    let storage = copy.open().await.unwrap();
    assert!(!storage.was_clean());
    holds(&storage, 0, 50).await;
    holds(&storage, 3, 10).await;
    assert_eq!(read_body(&storage, 2, 0).await, Err(ReadError::NoLedger(LedgerId(2))));
    storage.close().await.unwrap();
    assert_eq!(copy.verified().unwrap().damages, []);
}

/// What becomes of a damaged directory at the next open.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Open {
    /// It opens and everything is there.
    Whole,
    /// It opens, and what is damaged answers an error.
    Partly,
    /// It does not open.
    Refused,
}

#[tokio::test]
async fn damaged_directories_of_version_1() {
    let table = [
        ("closed", "ledgers/cookie", 30, Open::Refused),
        ("closed", "ledgers/checkpoint", 20, Open::Whole),
        ("closed", "ledgers/checkpoint", 4096 + 20, Open::Whole),
        ("closed", "ledgers/index-00000000", 4096 + 40, Open::Whole),
        ("closed", "ledgers/index-00000000", 3, Open::Whole),
        ("closed", "ledgers/entry-log-00000000", 4096 + 20, Open::Partly),
        ("closed", "ledgers/entry-log-00000000", 4096 + 64 + 20 * 24 + 50, Open::Partly),
        ("crashed", "journal/cookie", 30, Open::Refused),
        ("crashed", "ledgers/entry-log-00000000", 4096 + 64 + 3, Open::Partly),
    ];
    for (name, file, offset, expected) in table {
        let copy = Copy::of(name);
        copy.flip(file, offset);
        let place = format!("{name}/{file} at {offset}");
        let verified = copy.verified().unwrap();
        assert!(!verified.damages.is_empty(), "{place}");
        let path = copy.path(file);
        assert!(verified.damages.iter().all(|damage| damage.path == path), "{place}");
        let opened = match copy.open().await {
            Err(OpenError::Corrupt { path: named, .. }) => {
                assert_eq!(named, path, "{place}");
                Open::Refused
            }
            Err(error) => panic!("{place}: {error}"),
            Ok(storage) => {
                let mut lost = 0;
                for ledger in 0..2 {
                    for entry in 0..40 {
                        match read_body(&storage, ledger, entry).await {
                            Ok(found) => assert_eq!(found, body(ledger, entry), "{place}"),
                            Err(ReadError::Failed(_)) => lost += 1,
                            Err(error) => panic!("{place}: {error}"),
                        }
                    }
                }
                storage.close().await.unwrap();
                if lost == 0 { Open::Whole } else { Open::Partly }
            }
        };
        assert_eq!(opened, expected, "{place}");
    }
}

#[tokio::test]
async fn a_torn_tail_of_the_journal_is_no_damage_and_a_hole_is() {
    let copy = Copy::of("crashed");
    let journal = fs::read_dir(copy.path("journal")).unwrap().map(|file| file.unwrap().path());
    let mut groups: Vec<(PathBuf, usize)> = Vec::new();
    for path in journal.filter(|path| path.to_str().unwrap().contains("journal-")) {
        let bytes = fs::read(&path).unwrap();
        let blocks = (0..bytes.len()).step_by(4096).filter(|at| bytes[*at..].starts_with(b"GRP\n"));
        groups.extend(blocks.map(|at| (path.clone(), at)));
    }
    groups.sort();
    let name = |path: &Path| format!("journal/{}", path.file_name().unwrap().to_str().unwrap());
    let (last, last_at) = groups[groups.len() - 1].clone();
    let (hole, hole_at) = groups[groups.len() - 2].clone();
    copy.flip(&name(&last), last_at + 300);
    assert_eq!(copy.verified().unwrap().damages, [], "the last group may never have been durable");
    copy.flip(&name(&last), last_at + 300);
    copy.flip(&name(&hole), hole_at + 300);
    let verified = copy.verified().unwrap();
    assert_eq!(verified.damages.len(), 1);
    assert!(verified.damages[0].what.contains("was durable"), "{}", verified.damages[0]);
    assert!(matches!(copy.open().await, Err(OpenError::Corrupt { .. })));
}

#[tokio::test]
async fn a_newer_version_is_refused_by_name() {
    let copy = Copy::of("closed");
    let text = fs::read_to_string(copy.path("ledgers/cookie")).unwrap();
    fs::write(copy.path("ledgers/cookie"), text.replace("storage 1", "storage 2")).unwrap();
    let error = copy.open().await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, .. }), "{error}");
    assert!(matches!(copy.verified(), Err(OpenError::Newer { .. })));
}
