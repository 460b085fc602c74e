use std::{collections::BTreeSet, io::ErrorKind, path::Path};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::disk::create_dir_durably;

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_durable_dir(Path::new("/d")).unwrap();
    disk
}

fn create(disk: &SimDisk, path: &str) -> Box<dyn File> {
    disk.open(Path::new(path), OpenMode::CreateOrOpen).unwrap()
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
    Some(bytes)
}

fn sync_names(disk: &SimDisk) {
    disk.sync_dir(Path::new("/d")).unwrap();
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = disk(seed);
        let file = create(&disk, "/d/a");
        file.write_at(&[7; 3_000], 100).unwrap();
        file.sync_data().unwrap();
        sync_names(&disk);
        file.write_at(&[8; 3_000], 3_100).unwrap();
        disk.crash(&mut rng);
        let bytes = content(&disk, "/d/a").unwrap();
        assert!(bytes[..100].iter().all(|byte| *byte == 0), "seed {seed}");
        assert!(bytes[100..3_100].iter().all(|byte| *byte == 7), "seed {seed}");
        assert!(bytes[3_100..].iter().all(|byte| [0, 8].contains(byte)), "seed {seed}");
        assert!(file.len().is_err(), "a handle outlived a crash, seed {seed}");
    }
}

#[test]
fn unsynced_sectors_survive_in_any_subset_each_as_a_whole() {
    let mut patterns = BTreeSet::new();
    for seed in 0..2_000 {
        let disk = disk(seed);
        let file = create(&disk, "/d/a");
        file.set_len(4 * 512).unwrap();
        file.sync_data().unwrap();
        sync_names(&disk);
        file.write_at(&[1; 4 * 512], 0).unwrap();
        file.write_at(&[2; 2 * 512], 512).unwrap();
        disk.crash(&mut StdRng::seed_from_u64(seed));
        let bytes = content(&disk, "/d/a").unwrap();
        for sector in bytes.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector tore, seed {seed}");
        }
        patterns.insert(bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>());
    }
    assert_eq!(patterns.len(), 2 * 3 * 3 * 2, "some outcomes never came: {patterns:?}");
}

#[test]
fn unsynced_lengths_and_names_both_vanish_and_survive() {
    let (mut lengths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..200 {
        let disk = disk(seed);
        let file = create(&disk, "/d/a");
        file.write_at(&[1; 10], 0).unwrap();
        file.sync_data().unwrap();
        sync_names(&disk);
        file.write_at(&[1; 10], 10).unwrap();
        file.set_len(5).unwrap();
        create(&disk, "/d/b").sync_data().unwrap();
        disk.crash(&mut StdRng::seed_from_u64(seed));
        lengths.insert(content(&disk, "/d/a").unwrap().len());
        names.insert(content(&disk, "/d/b").is_some());
    }
    assert_eq!(lengths, BTreeSet::from([5, 10, 20]));
    assert_eq!(names, BTreeSet::from([false, true]));
}

#[test]
fn a_rename_is_kept_or_lost_as_one() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        for (name, byte) in [("/d/old", 1), ("/d/new", 2)] {
            let file = create(&disk, name);
            file.write_at(&[byte], 0).unwrap();
            file.sync_data().unwrap();
        }
        sync_names(&disk);
        disk.rename(Path::new("/d/new"), Path::new("/d/old")).unwrap();
        assert_eq!(content(&disk, "/d/old"), Some(vec![2]));
        disk.crash(&mut StdRng::seed_from_u64(seed));
        seen.insert((content(&disk, "/d/old"), content(&disk, "/d/new")));
    }
    let before = (Some(vec![1]), Some(vec![2]));
    assert_eq!(seen, BTreeSet::from([before, (Some(vec![2]), None)]));
}

#[test]
fn a_directory_is_durable_only_with_its_parent() {
    let mut survived = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        disk.create_dir_all(Path::new("/x/y")).unwrap();
        create(&disk, "/x/y/f").sync_data().unwrap();
        disk.sync_dir(Path::new("/x/y")).unwrap();
        disk.crash(&mut StdRng::seed_from_u64(seed));
        survived.insert(content(&disk, "/x/y/f").is_some());

        create_dir_durably(&disk, Path::new("/p/q/r")).unwrap();
        disk.crash(&mut StdRng::seed_from_u64(seed));
        assert!(disk.exists(Path::new("/p/q/r")).unwrap(), "seed {seed}");
    }
    assert_eq!(survived, BTreeSet::from([false, true]));
}

#[test]
fn a_failed_sync_cannot_be_made_good() {
    let mut lost = false;
    for seed in 0..100 {
        let disk = disk(seed);
        let file = create(&disk, "/d/a");
        sync_names(&disk);
        disk.fail_sync(2, |path| path.ends_with("a"));
        file.sync_data().unwrap();
        file.write_at(&[1; 2_000], 0).unwrap();
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        assert_eq!(content(&disk, "/d/a").unwrap(), [1; 2_000], "the page cache still has it");
        file.sync_data().unwrap();
        disk.crash(&mut StdRng::seed_from_u64(seed));
        lost |= content(&disk, "/d/a").unwrap() != [1; 2_000];
    }
    assert!(lost);
}

#[test]
fn failing_syncs_can_last_and_can_be_of_directories() {
    let disk = disk(1);
    let file = create(&disk, "/d/a");
    disk.fail_syncs_from(2, |path| path.starts_with("/d"));
    file.sync_data().unwrap();
    assert!(file.sync_data().is_err());
    assert!(disk.sync_dir(Path::new("/d")).is_err());
    disk.heal();
    disk.sync_dir(Path::new("/d")).unwrap();
}

#[test]
fn a_full_disk_takes_what_fits_and_has_room_again() {
    let disk = disk(1);
    disk.set_quota(Some(1_000));
    let file = create(&disk, "/d/a");
    file.write_at(&[1; 900], 0).unwrap();
    assert_eq!(disk.available_bytes(Path::new("/d")).unwrap(), 100);
    let error = file.write_at(&[2; 200], 900).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 1_000);
    assert_eq!(file.allocate(1_001).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_at(&[3; 1_000], 0).unwrap();
    file.set_len(400).unwrap();
    assert_eq!(disk.available_bytes(Path::new("/d")).unwrap(), 600);
    disk.remove_file(Path::new("/d/a")).unwrap();
    assert_eq!(disk.used_bytes(), 0);
    create(&disk, "/d/b").write_at(&[1; 1_000], 0).unwrap();
}

#[test]
fn reads_fail_writes_tear_and_bits_flip_as_planned() {
    let disk = disk(1);
    let file = create(&disk, "/d/a");
    disk.tear_write(2, 3, |path| path.ends_with("a"));
    file.write_at(b"012345", 0).unwrap();
    assert!(file.write_at(b"abcdef", 0).is_err());
    file.write_at(b"Z", 5).unwrap();
    assert_eq!(content(&disk, "/d/a").unwrap(), b"abc34Z");
    disk.flip(Path::new("/d/a"), 1, 0x03).unwrap();
    assert_eq!(content(&disk, "/d/a").unwrap(), b"aac34Z");
    disk.fail_reads(|path| path.ends_with("a"));
    assert!(file.read_at(&mut [0; 4], 0).is_err());
}

#[test]
fn lies_lose_data() {
    let (mut bytes_lost, mut name_lost) = (false, false);
    for seed in 0..50 {
        let disk = disk(seed);
        let file = create(&disk, "/d/a");
        sync_names(&disk);
        disk.ignore_syncs(true);
        disk.ignore_dir_syncs(true);
        file.write_at(&[1; 100], 0).unwrap();
        file.sync_data().unwrap();
        drop(create(&disk, "/d/b"));
        sync_names(&disk);
        disk.crash(&mut StdRng::seed_from_u64(seed));
        bytes_lost |= content(&disk, "/d/a").unwrap() != [1; 100];
        name_lost |= content(&disk, "/d/b").is_none();
    }
    assert!(bytes_lost && name_lost);
}

#[test]
fn a_power_cut_stops_everything_until_the_crash() {
    let disk = disk(1);
    let file = create(&disk, "/d/a");
    disk.cut_power_after(2);
    file.write_at(b"1", 0).unwrap();
    file.sync_data().unwrap();
    assert!(!disk.power_is_off());
    assert!(file.write_at(b"2", 1).is_err());
    assert!(disk.power_is_off());
    assert!(file.sync_data().is_err());
    assert!(disk.sync_dir(Path::new("/d")).is_err());
    assert!(disk.open(Path::new("/d/a"), OpenMode::Read).is_err());
    disk.crash(&mut StdRng::seed_from_u64(1));
    assert!(disk.exists(Path::new("/d")).unwrap());
}

#[test]
fn opens_lists_and_locks_as_a_file_system_does() {
    let disk = disk(1);
    let path = Path::new("/d/a");
    let kind = |mode| disk.open(path, mode).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind(OpenMode::Read), Err(ErrorKind::NotFound));
    assert_eq!(kind(OpenMode::CreateNew), Ok(()));
    assert_eq!(kind(OpenMode::CreateNew), Err(ErrorKind::AlreadyExists));
    let error = disk.open(Path::new("/none/a"), OpenMode::CreateNew).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let reader = disk.open(path, OpenMode::Read).unwrap();
    assert_eq!(reader.write_at(b"x", 0).unwrap_err().kind(), ErrorKind::PermissionDenied);

    disk.create_dir_all(Path::new("/d/sub/deep")).unwrap();
    create(&disk, "/d/sub/b");
    let names = disk.list(Path::new("/d")).unwrap();
    assert_eq!(names, [Path::new("/d/a"), Path::new("/d/sub")]);

    let lock = disk.lock(Path::new("/d/lock")).unwrap();
    assert_eq!(disk.lock(Path::new("/d/lock")).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(lock);
    let stale = disk.lock(Path::new("/d/lock")).unwrap();
    disk.crash(&mut StdRng::seed_from_u64(1));
    let fresh = disk.lock(Path::new("/d/lock")).unwrap();
    drop(stale);
    assert!(disk.lock(Path::new("/d/lock")).is_err(), "a dead lock freed a living one");
    drop(fresh);
}

#[test]
fn a_removed_file_lives_on_for_its_holders() {
    let disk = disk(1);
    let file = create(&disk, "/d/a");
    file.write_at(b"still", 0).unwrap();
    disk.remove_file(Path::new("/d/a")).unwrap();
    sync_names(&disk);
    let mut bytes = [0; 5];
    file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"still");
}

/// Goal: reads see exactly what was written, through writes, cuts, syncs, renames and removals.
/// Method: a naive model of the live files; after each step the touched file is compared.
#[test]
fn without_faults_it_is_a_file_system() {
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = disk(seed);
        let mut model: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for step in 0..60 {
            let name = format!("/d/{}", rng.random_range(0..3));
            let file = create(&disk, &name);
            let bytes = model.entry(name.clone()).or_default();
            match rng.random_range(0..8) {
                0..=3 => {
                    let offset = rng.random_range(0..2_000);
                    let written = vec![rng.random::<u8>(); rng.random_range(0..1_500)];
                    file.write_at(&written, offset as u64).unwrap();
                    if !written.is_empty() {
                        let end = offset + written.len();
                        bytes.resize(bytes.len().max(end), 0);
                        bytes[offset..end].copy_from_slice(&written);
                    }
                }
                4 => {
                    let len = rng.random_range(0..3_000);
                    file.set_len(len as u64).unwrap();
                    bytes.resize(len, 0);
                }
                5 => file.sync_data().unwrap(),
                6 => {
                    disk.remove_file(Path::new(&name)).unwrap();
                    model.remove(&name);
                }
                _ => {
                    let moved = model.remove(&name).unwrap();
                    disk.rename(Path::new(&name), Path::new("/d/moved")).unwrap();
                    model.insert("/d/moved".to_owned(), moved);
                    sync_names(&disk);
                }
            }
            assert_eq!(content(&disk, &name), model.get(&name).cloned(), "seed {seed} step {step}");
        }
        let total: usize = model.values().map(Vec::len).sum();
        assert_eq!(disk.used_bytes(), total as u64, "seed {seed}");
        let names: Vec<_> = model.keys().map(PathBuf::from).collect();
        assert_eq!(disk.list(Path::new("/d")).unwrap(), names, "seed {seed}");
    }
}

/// Goal: after a crash each file is synced content, perhaps with later changes, sector by sector.
/// Method: one file of single-byte sectors' worth of writes; per sector the model keeps the synced
/// value and all later ones, and the survivor must be one of them.
#[test]
fn a_crash_keeps_some_moment_of_every_sector() {
    for seed in 0..500 {
        let mut rng = StdRng::seed_from_u64(seed);
        let disk = disk(seed);
        let file = create(&disk, "/d/a");
        file.set_len(8 * 512).unwrap();
        file.sync_data().unwrap();
        sync_names(&disk);
        let mut allowed = vec![vec![0_u8]; 8];
        for value in 1..=20 {
            let first = rng.random_range(0..8);
            let last = rng.random_range(first..8);
            file.write_at(&vec![value; (last + 1 - first) * 512], first as u64 * 512).unwrap();
            allowed[first..=last].iter_mut().for_each(|values| values.push(value));
            if rng.random_ratio(1, 6) {
                file.sync_data().unwrap();
                allowed.iter_mut().for_each(|values| *values = vec![*values.last().unwrap()]);
            }
        }
        disk.crash(&mut rng);
        let bytes = content(&disk, "/d/a").unwrap();
        for (sector, values) in bytes.chunks(512).zip(&allowed) {
            assert!(values.contains(&sector[0]), "seed {seed}: {} of {values:?}", sector[0]);
        }
    }
}
