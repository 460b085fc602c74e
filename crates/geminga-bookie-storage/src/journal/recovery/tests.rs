//! Replay of journals made by hand: torn, damaged, made again, cut off.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, ENVELOPE_HEAD_BYTES};
use geminga_checksum::Sum;
use geminga_env::{Disk as _, sim::SimDisk};
use geminga_types::{EntryId, LedgerId};

use super::*;
use crate::journal::{format::GroupHead, group::encode};

const FROM: JournalPosition =
    JournalPosition { generation: 1, offset: BLOCK_BYTES as u64, sequence: 0 };

struct Journal {
    disk: SimDisk,
    directory: Directory,
}

impl Journal {
    fn new() -> Self {
        let disk = SimDisk::new(1);
        let directory = Directory::new(Arc::new(disk.clone()), "/".into(), true);
        Self { disk, directory }
    }

    /// Writes a file of 16 blocks with one group, of one block, for each of `groups`: its sequence,
    /// what it says is durable, and the id of its entry.
    fn file(&self, generation: u64, first_sequence: u64, groups: &[(u64, u64, i64)]) -> PathBuf {
        let name = files::name(generation + 10);
        let file = self.directory.create(&name).unwrap();
        file.allocate(16 * BLOCK_BYTES as u64).unwrap();
        let salt = generation * 7;
        let durable_before = groups.first().map_or(first_sequence, |group| group.1);
        let head = FileHead { generation, salt, first_sequence, durable_before };
        file.write_at(&head.encode(), 0).unwrap();
        for ((sequence, durable_before, id), at) in groups.iter().zip(1..) {
            let head = GroupHead {
                generation,
                salt,
                sequence: *sequence,
                durable_before: *durable_before,
                length: 0,
                count: 0,
            };
            let group = encode(head, &[entry(*id)], &[], &mut Vec::new());
            file.write_at(&group, at * BLOCK_BYTES as u64).unwrap();
        }
        self.directory.join(&name)
    }

    fn flip(&self, path: &Path, block: u64) {
        self.disk.flip(path, block * BLOCK_BYTES as u64 + 20, 1).unwrap();
    }

    /// The entries that are replayed.
    fn replay(&self) -> Result<(Vec<i64>, Replayed), OpenError> {
        let mut ids = Vec::new();
        let replayed = replay(&self.directory, FROM, Access::Recover, &mut |group, _| {
            ids.extend(group.entries.iter().map(|entry| entry.entry_id.0));
            Ok(())
        })?;
        Ok((ids, replayed))
    }

    fn is_corrupt(&self, path: &Path, block: u64) {
        match self.replay() {
            Err(OpenError::Corrupt { path: found, offset, .. }) => {
                assert_eq!((found.as_path(), offset), (path, block * BLOCK_BYTES as u64));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn entry(id: i64) -> AddEntry {
    let head = [0; ENVELOPE_HEAD_BYTES];
    AddEntry {
        ledger_id: LedgerId(1),
        entry_id: EntryId(id),
        head,
        front: Bytes::new(),
        body: Bytes::new(),
        sum: Sum::of(&head),
        is_recovery: false,
        may_use_reserve: false,
    }
}

#[test]
fn groups_are_replayed_across_files_and_the_journal_goes_on_after_them() {
    let journal = Journal::new();
    journal.file(1, 0, &[(0, 0, 10), (1, 1, 11)]);
    journal.file(2, 2, &[(2, 2, 12)]);
    let (ids, replayed) = journal.replay().unwrap();
    assert_eq!(ids, [10, 11, 12]);
    let next = JournalPosition { generation: 3, offset: BLOCK_BYTES as u64, sequence: 3 };
    assert_eq!((replayed.next, replayed.next_number, replayed.groups), (next, 13, 3));
    let ends: Vec<u64> = replayed.filled.iter().map(|filled| filled.end_sequence).collect();
    assert_eq!(ends, [2, 3]);
}

#[test]
fn an_attempt_that_was_made_again_in_the_next_file_does_not_count() {
    let journal = Journal::new();
    journal.file(1, 0, &[(0, 0, 10), (1, 1, 99)]);
    journal.file(2, 1, &[(1, 1, 11), (2, 2, 12)]);
    assert_eq!(journal.replay().unwrap().0, [10, 11, 12]);
}

#[test]
fn a_torn_last_group_is_the_end() {
    let journal = Journal::new();
    let path = journal.file(1, 0, &[(0, 0, 10), (1, 1, 11)]);
    journal.flip(&path, 2);
    let (ids, replayed) = journal.replay().unwrap();
    assert_eq!((ids, replayed.next.sequence), (vec![10], 1));
}

#[test]
fn a_bad_group_that_was_durable_is_corruption() {
    // A later group in the file says so; the head of the next file; a group in it.
    let journal = Journal::new();
    let path = journal.file(1, 0, &[(0, 0, 10), (1, 1, 11), (2, 2, 12)]);
    journal.flip(&path, 2);
    journal.is_corrupt(&path, 2);

    let journal = Journal::new();
    let path = journal.file(1, 0, &[(0, 0, 10), (1, 1, 11)]);
    journal.file(2, 2, &[]);
    journal.flip(&path, 2);
    journal.is_corrupt(&path, 2);

    let journal = Journal::new();
    let path = journal.file(1, 0, &[(0, 0, 10), (1, 0, 11)]);
    journal.file(2, 2, &[(2, 0, 12), (3, 3, 13)]);
    journal.flip(&path, 2);
    journal.is_corrupt(&path, 2);
}

#[test]
fn a_missing_first_file_is_corruption() {
    let journal = Journal::new();
    let path = journal.file(2, 2, &[(2, 2, 12)]);
    journal.is_corrupt(&path, 0);
}

#[test]
fn a_damaged_head_is_restored_and_without_its_first_group_still_speaks() {
    let journal = Journal::new();
    journal.file(1, 0, &[(0, 0, 10)]);
    let second = journal.file(2, 1, &[(1, 1, 11), (2, 2, 12), (3, 3, 13)]);
    journal.flip(&second, 0);
    assert_eq!(journal.replay().unwrap().0, [10, 11, 12, 13]);
    journal.flip(&second, 1);
    assert!(matches!(journal.replay(), Err(OpenError::Corrupt { .. })));
}

#[test]
fn what_follows_a_lost_unsynced_group_is_cut_off_for_good() {
    let journal = Journal::new();
    let first = journal.file(1, 0, &[(0, 0, 10), (1, 0, 11)]);
    journal.file(2, 2, &[(2, 0, 12)]);
    journal.file(3, 3, &[(3, 0, 13)]);
    journal.flip(&first, 2);
    let (ids, replayed) = journal.replay().unwrap();
    assert_eq!((ids, replayed.next.sequence, replayed.next.generation), (vec![10], 1, 4));
    assert_eq!((replayed.filled.len(), replayed.spares.len()), (1, 2));
    // The journal goes on; the files in between do not come back.
    journal.file(4, 1, &[(1, 1, 21), (2, 2, 22)]);
    assert_eq!(journal.replay().unwrap().0, [10, 21, 22]);
}

#[test]
fn old_generations_and_foreign_bytes_are_spares() {
    let journal = Journal::new();
    journal.file(0, 0, &[(0, 0, 99)]);
    let blank = journal.directory.create(&files::name(40)).unwrap();
    blank.allocate(BLOCK_BYTES as u64).unwrap();
    journal.file(1, 0, &[(0, 0, 10)]);
    let (ids, replayed) = journal.replay().unwrap();
    assert_eq!((ids, replayed.spares.len(), replayed.next_number), (vec![10], 2, 41));
    journal.disk.remove_file(&journal.directory.join(&files::name(40))).unwrap();
}
