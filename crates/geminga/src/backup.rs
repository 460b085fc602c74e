//! Backup of a data directory while it is written to, and restoring it.
//!
//! The storage names the moment: all that is durable in the bookie then is copied, and the metadata
//! is pinned in the same moment, while nothing new is applied. What is copied is therefore what a
//! crash at that moment would have left, and a restored directory is recovered as after a crash. The
//! moment lies after the request, so every receipt of before is in it.
//!
//! A backup is a data directory of its own with a [`manifest`], which is written last.

mod manifest;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail, ensure};
use geminga_bookie_storage::Storage;
use geminga_env::{
    Disk, Env,
    disk::{OpenMode, create_dir_durably},
};
use geminga_metadata_embedded::EmbeddedStore;

use self::manifest::Manifest;
use crate::data_dir::DataDir;

/// Told of bytes copied; answers whether to go on.
pub(crate) type GoOn = Box<dyn FnMut(u64) -> bool + Send>;

/// Writes a backup into `to`, a directory that is empty or not there.
///
/// # Errors
///
/// Why there is no backup. What was written before is left, without a manifest.
pub(crate) async fn back_up(
    env: &Env,
    (storage, store): (Storage, Arc<EmbeddedStore>),
    to: DataDir,
    mut go_on: GoOn,
) -> anyhow::Result<()> {
    let disk = Arc::clone(&env.disk);
    ensure_empty(&*disk, to.path())?;
    let pinned = Arc::new(Mutex::new(None));
    let pin = Arc::clone(&pinned);
    let snapshot = storage.snapshot(move || {
        *pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.snapshot());
    });
    let snapshot = snapshot.await.context("the storage could not be flushed")?;
    let metadata = pinned.lock().unwrap_or_else(PoisonError::into_inner).take();
    let metadata = metadata.context("the moment of the snapshot never came")??;
    let work = move || {
        // First, and let go: as long as it is held the store keeps what is replaced.
        metadata.write_to(&*disk, &to.metadata())?;
        drop(metadata);
        snapshot.write_to(&disk, &to.journal(), &to.ledgers(), &mut go_on)?;
        Manifest::of(&*disk, &to, &mut go_on)?.write(&*disk, to.path())
    };
    env.workers.blocking(work).await
}

/// Makes a data directory from a backup in `to`, which is empty or not there. Every byte is compared
/// with the manifest's checksums. Blocks.
///
/// # Errors
///
/// If the backup is not whole, or `to` cannot be written. An unfinished data directory is refused by
/// the server, since its cookie is written last.
pub(crate) fn restore(disk: &dyn Disk, from: &Path, to: &DataDir) -> anyhow::Result<u64> {
    ensure_empty(disk, to.path())?;
    let manifest = Manifest::read(disk, from)?;
    for directory in [to.metadata(), to.journal(), to.ledgers()] {
        create_dir_durably(disk, &directory)
            .with_context(|| format!("{} could not be made", directory.display()))?;
    }
    let mut bytes = 0;
    for listed in &manifest.files {
        let (source, target) = (from.join(&listed.path), to.path().join(&listed.path));
        let sum = copy(disk, &source, &target)
            .with_context(|| format!("{} could not be restored", source.display()))?;
        if sum != (listed.bytes, listed.crc) {
            bail!("{} of the backup is damaged: it does not match its checksum", source.display());
        }
        bytes += listed.bytes;
        if let Some(parent) = target.parent() {
            disk.sync_dir(parent)?;
        }
    }
    Ok(bytes)
}

fn ensure_empty(disk: &dyn Disk, path: &Path) -> anyhow::Result<()> {
    let context = || format!("{} could not be read", path.display());
    if disk.exists(path).with_context(context)? {
        let is_empty = disk.list(path).with_context(context)?.is_empty();
        ensure!(is_empty, "{} is not empty; choose another directory", path.display());
    }
    Ok(())
}

/// Copies a file durably; its name is durable when its directory is synced.
fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> std::io::Result<(u64, u32)> {
    let source = disk.open(from, OpenMode::Read)?;
    let target = disk.open(to, OpenMode::CreateNew)?;
    let sum =
        manifest::read_through(&*source, &mut |offset, bytes| target.write_at(bytes, offset))?;
    target.sync_data()?;
    Ok(sum)
}
