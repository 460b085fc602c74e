//! The store as it stood at one moment: read at leisure, while others write.
//!
//! # Invariants
//!
//! 1. A snapshot is what a crash at its moment would have left: everything that was answered before
//!    is in it, ephemeral keys are not.
//! 2. [`read`] writes nothing to the file, not even when redb repairs what a crash left: that goes to
//!    memory.

use std::{
    collections::BTreeMap,
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use geminga_env::{
    Disk, File,
    disk::{Lock, OpenMode, create_dir_durably},
};
use geminga_metadata::{MetadataError, Versioned};
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend};

use crate::{
    EmbeddedStore, OpenError,
    backend::Backend,
    format::{self, KEYS, META, SEQUENCES},
    open::{CACHE_BYTES, FILE, LOCK, Problem, UNFINISHED, verify},
};

/// Everything in a store at one moment.
#[derive(Debug)]
pub struct Snapshot {
    // In this order: the transaction ends before the database is let go, the lock is last.
    transaction: ReadTransaction,
    _database: Arc<Database>,
    _lock: Option<Box<dyn Lock>>,
}

impl EmbeddedStore {
    /// Takes a snapshot. Short: nothing is read yet. Let go of it before [`EmbeddedStore::close`],
    /// which cannot close the file before.
    ///
    /// # Errors
    ///
    /// If the store is closed or has failed.
    pub fn snapshot(&self) -> Result<Snapshot, MetadataError> {
        let database = self.database()?;
        let transaction =
            database.begin_read().map_err(|error| MetadataError::Unavailable(error.to_string()))?;
        Ok(Snapshot { transaction, _database: database, _lock: None })
    }
}

/// Reads the store in `directory`, which no process has open, and verifies every record. Blocks.
///
/// # Errors
///
/// [`OpenError`], as for opening it.
pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Snapshot, OpenError> {
    let path = directory.join(FILE);
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let lock = lock_out(disk, directory)?;
    let file: Arc<dyn File> = disk.open(&path, OpenMode::Read).map_err(failed)?.into();
    // As when opening to write: redb's assertions must not become panics.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        if file.len()? == 0 {
            return Err(Problem::Corrupt("it is empty".to_owned()));
        }
        let overlay = Overlay::over(file)?;
        let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(overlay)?;
        verify(&database)?;
        let transaction = database.begin_read()?;
        Ok((transaction, Arc::new(database)))
    }));
    let opened = opened
        .unwrap_or_else(|_| Err(Problem::Corrupt("its pages do not fit together".to_owned())));
    let (transaction, database) = opened.map_err(|problem| problem.of(&path))?;
    Ok(Snapshot { transaction, _database: database, _lock: lock })
}

fn lock_out(disk: &dyn Disk, directory: &Path) -> Result<Option<Box<dyn Lock>>, OpenError> {
    let path = directory.join(LOCK);
    let failed = |source| OpenError::Io { path: path.clone(), source };
    if !disk.exists(&path).map_err(failed)? {
        return Ok(None); // Nobody ever had it open.
    }
    match disk.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Err(OpenError::InUse(directory.to_owned())),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(None),
            _ => Err(failed(error)),
        },
    }
}

impl Snapshot {
    /// Calls `visit` with every path and value, in the order of [`geminga_metadata::key`].
    ///
    /// # Errors
    ///
    /// If a record is damaged or cannot be read.
    pub fn visit(&self, visit: &mut dyn FnMut(&str, Versioned)) -> Result<(), MetadataError> {
        let failed = |error: redb::Error| match error {
            redb::Error::Corrupted(reason) => MetadataError::Corrupt(reason),
            error => MetadataError::Unavailable(error.to_string()),
        };
        let table = self.transaction.open_table(KEYS).map_err(|error| failed(error.into()))?;
        for record in table.iter().map_err(|error| failed(error.into()))? {
            let (key, record) = record.map_err(|error| failed(error.into()))?;
            let value = format::decode_value(key.value(), record.value())?;
            let path = String::from_utf8(key.value().to_vec())
                .map_err(|_| MetadataError::Corrupt("a key is no text".to_owned()))?;
            visit(&path.replace('\0', "/"), value);
        }
        Ok(())
    }

    /// Writes a store of its own with the same content into `directory`, durably. Blocks.
    ///
    /// # Errors
    ///
    /// If there is one already, or it cannot be written.
    pub fn write_to(&self, disk: &dyn Disk, directory: &Path) -> Result<(), OpenError> {
        let path = directory.join(FILE);
        self.write(disk, directory).map_err(|problem| problem.of(&path))
    }

    fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), Problem> {
        create_dir_durably(disk, directory)?;
        if disk.exists(&directory.join(FILE))? {
            return Err(Problem::Io(io::ErrorKind::AlreadyExists.into()));
        }
        let unfinished = directory.join(UNFINISHED);
        if disk.exists(&unfinished)? {
            disk.remove_file(&unfinished)?;
        }
        let file: Arc<dyn File> = disk.open(&unfinished, OpenMode::CreateNew)?.into();
        let database = Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(Backend(Arc::clone(&file)))?;
        let transaction = database.begin_write()?;
        for table in [KEYS, SEQUENCES] {
            let mut copy = transaction.open_table(table)?;
            for record in self.transaction.open_table(table)?.iter()? {
                let (key, record) = record?;
                copy.insert(key.value(), record.value())?;
            }
        }
        {
            let mut copy = transaction.open_table(META)?;
            for record in self.transaction.open_table(META)?.iter()? {
                let (key, record) = record?;
                copy.insert(key.value(), record.value())?;
            }
        }
        transaction.commit()?;
        verify(&database)?;
        drop(database);
        file.sync_data()?;
        disk.rename(&unfinished, &directory.join(FILE))?;
        disk.sync_dir(directory)?;
        Ok(())
    }
}

/// A file below, and in memory what was written over it.
#[derive(Debug)]
struct Overlay {
    file: Arc<dyn File>,
    state: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
    len: u64,
    /// How much of the file below still shows.
    below: u64,
}

const PAGE_BYTES: usize = 4_096;

impl Overlay {
    fn over(file: Arc<dyn File>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, state: Mutex::new(Written { pages: BTreeMap::new(), len, below: len }) })
    }

    fn state(&self) -> MutexGuard<'_, Written> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of a range, page by page: number, begin in the page, length.
    fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            let at = offset + done as u64;
            let begin = usize::try_from(at % PAGE_BYTES as u64).unwrap_or_default();
            let length = (PAGE_BYTES - begin).min(len - done);
            done += length;
            (0 < length).then_some((at / PAGE_BYTES as u64, begin, length))
        })
    }

    fn page_below(&self, number: u64, below: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut page = Box::new([0; PAGE_BYTES]);
        let offset = number * PAGE_BYTES as u64;
        let shown = usize::try_from(below.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.file.read_at(&mut page[..shown.min(PAGE_BYTES)], offset)?;
        Ok(page)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.saturating_add(out.len() as u64) > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = out;
        for (number, begin, length) in Self::parts(offset, rest.len()) {
            let (part, after) = rest.split_at_mut(length);
            rest = after;
            match state.pages.get(&number) {
                Some(page) => part.copy_from_slice(&page[begin..begin + length]),
                None => {
                    let page = self.page_below(number, state.below)?;
                    part.copy_from_slice(&page[begin..begin + length]);
                }
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if len < state.len {
            // What is cut off is zero when the file grows again.
            state.below = state.below.min(len);
            state.pages.retain(|number, page| {
                let begin = number * PAGE_BYTES as u64;
                let kept = usize::try_from(len.saturating_sub(begin)).unwrap_or(usize::MAX);
                page[kept.min(PAGE_BYTES)..].fill(0);
                begin < len
            });
        }
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let mut rest = data;
        for (number, begin, length) in Self::parts(offset, data.len()) {
            let (part, after) = rest.split_at(length);
            rest = after;
            let page = match state.pages.remove(&number) {
                Some(page) => page,
                None => self.page_below(number, state.below)?,
            };
            state.pages.entry(number).or_insert(page)[begin..begin + length].copy_from_slice(part);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::{Disk as _, sim::SimDisk};
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    /// Goal: an overlay behaves as a file does, and the file below stays as it is.
    /// Method: random reads, writes and lengths beside a vector.
    #[test]
    fn an_overlay_behaves_as_a_file() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let disk = SimDisk::new(seed);
            let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
            let mut model: Vec<u8> =
                (0..rng.random_range(0..20_000)).map(|_| rng.random()).collect();
            file.write_at(&model, 0).unwrap();
            let before = disk.counters();
            let overlay = Overlay::over(file.into()).unwrap();
            for _ in 0..60 {
                let offset = rng.random_range(0..=model.len());
                match rng.random_range(0..4) {
                    0 => {
                        let len = rng.random_range(0..30_000);
                        model.resize(len, 0);
                        overlay.set_len(len as u64).unwrap();
                    }
                    1 => {
                        let len = rng.random_range(0..=(model.len() - offset).min(9_000));
                        let bytes: Vec<u8> = (0..len).map(|_| rng.random()).collect();
                        model[offset..offset + len].copy_from_slice(&bytes);
                        overlay.write(offset as u64, &bytes).unwrap();
                    }
                    _ => {
                        let len = rng.random_range(0..=(model.len() - offset).min(9_000));
                        let mut out = vec![1; len];
                        overlay.read(offset as u64, &mut out).unwrap();
                        assert_eq!(out, &model[offset..offset + len], "seed {seed}");
                    }
                }
                assert_eq!(overlay.len().unwrap(), model.len() as u64);
                assert!(overlay.read(model.len() as u64, &mut [0]).is_err(), "seed {seed}");
            }
            assert_eq!(disk.counters().writes, before.writes);
        }
    }
}
