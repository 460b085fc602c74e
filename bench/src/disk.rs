//! What the disk takes durably.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{clock::now, spread::Spread};

const MIB: usize = 1 << 20;

/// Opens a new file of `mib` MiB whose blocks were all written before.
pub(crate) fn preallocated(path: &Path, mib: usize) -> Result<File> {
    let mut file = create(path)?;
    let zeros = vec![0; MIB];
    for _ in 0..mib {
        file.write_all(&zeros).context("writing")?;
    }
    file.sync_all().context("fsync")?;
    Ok(file)
}

/// Writes `size` bytes and syncs, for some time: behind each other into an empty file, or into a file
/// of `prepared_mib` over and over.
pub(crate) fn write_and_sync(
    dir: &Path,
    size: usize,
    prepared_mib: Option<usize>,
    time: Duration,
) -> Result<(Spread, Duration)> {
    let path = dir.join("disk-test");
    let file = match prepared_mib {
        Some(mib) => preallocated(&path, mib)?,
        None => create(&path)?,
    };
    let length = prepared_mib.map_or(usize::MAX, |mib| mib * MIB);
    let data = vec![0x5a; size];
    let mut spread = Spread::new();
    let (began, mut at) = (now(), 0);
    while began.elapsed() < time {
        let before = now();
        file.write_all_at(&data, u64::try_from(at)?).context("writing")?;
        file.sync_data().context("fdatasync")?;
        spread.record(before.elapsed());
        at += size;
        if length < at + size {
            at = 0;
        }
    }
    let took = began.elapsed();
    drop(file);
    std::fs::remove_file(&path).context("removing")?;
    Ok((spread, took))
}

fn create(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path);
    opened.with_context(|| path.display().to_string())
}
