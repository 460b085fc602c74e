//! Zeros ahead of the groups, what is kept for controls, and what a group's head says.

use std::sync::Mutex;

use geminga_env::{OsRandom, sim::SimDisk};

use super::*;

/// Notes writes, and fails them if it is told to.
#[derive(Clone, Debug, Default)]
struct Noted {
    writes: Arc<Mutex<Vec<(u64, usize)>>>,
    fails_with: Option<io::ErrorKind>,
}

impl File for Noted {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(bytes.iter().all(|byte| *byte == 0));
        self.writes.lock().unwrap().push((offset, bytes.len()));
        self.fails_with.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

fn current(file: &Noted, bytes: u64) -> Current {
    Current {
        file: Box::new(file.clone()),
        number: 0,
        bytes,
        generation: 1,
        salt: 0,
        offset: 4096,
        has_groups: false,
        written_to: 4096,
    }
}

#[test]
fn zeros_are_written_behind_a_group_that_reaches_new_blocks() {
    const MIB: usize = 1 << 20;
    let file = Noted::default();
    let mut current = current(&file, 2 * MIB as u64);
    let mut zeroed = |offset: usize, group: u64| {
        current.offset = offset as u64;
        current.zero_ahead(group).unwrap();
        std::mem::take(&mut *file.writes.lock().unwrap())
    };
    assert_eq!(zeroed(4096, 8192), [(12288, MIB)]);
    assert_eq!(zeroed(12288, 8192), []);
    assert_eq!(zeroed(12288 + MIB - 4096, 4096), [], "exactly to the end of the zeros");
    // No further than the file goes.
    let end = 12288 + MIB + 4096;
    assert_eq!(zeroed(12288 + MIB, 4096), [(end as u64, 2 * MIB - end)]);
}

#[test]
fn zeros_without_space_are_left_out_but_a_failed_write_counts() {
    for (kind, is_failure) in
        [(io::ErrorKind::StorageFull, false), (io::ErrorKind::PermissionDenied, true)]
    {
        let file = Noted { fails_with: Some(kind), ..Noted::default() };
        let zeroed = current(&file, 1 << 20).zero_ahead(4096);
        assert_eq!(zeroed.is_err(), is_failure, "{kind:?}");
        assert_eq!(file.writes.lock().unwrap().len(), 1);
    }
}

#[test]
fn a_part_of_each_file_is_kept_for_controls() {
    assert_eq!(control_bytes(64 << 10), 8 << 10);
    assert_eq!(control_bytes(100 << 10), 12 << 10, "whole blocks");
    assert_eq!(control_bytes(64 << 20), 64 << 10);
}

#[test]
fn a_head_says_that_all_before_it_is_synced() {
    for sync in [true, false] {
        let parts = Parts {
            directory: Directory::new(Arc::new(SimDisk::new(1)), "/".into(), true),
            options: Arc::new(Options { sync, ..Options::new("/", "/") }),
            random: Arc::new(OsRandom::new()),
            counters: Arc::default(),
        };
        let next = JournalPosition { generation: 5, offset: 4096, sequence: 10 };
        let mut writer = Writer::new(parts, Arc::default(), next);
        for sequence in 10..13 {
            let place = writer.reserve(4096, true).unwrap();
            let durable_before = if sync { sequence } else { 10 };
            assert_eq!((place.sequence, place.durable_before), (sequence, durable_before));
            assert_eq!(place.generation, 5);
            writer.write(&[1; 4096]).unwrap();
            assert_eq!(writer.sync(4096).unwrap().sequence, sequence + 1);
        }
    }
}
