//! A copy of the storage as of one moment, made while others write.
//!
//! At the moment the write cache is turned over; once its flush is committed, checkpoint, index log
//! and entry logs are all there is to copy, and no journal. Their bytes up to the committed lengths
//! never change, and files that are removed meanwhile stay readable through the open handle.
//!
//! # Invariants
//!
//! 1. A snapshot holds what was durable at its moment: no entry, fence or deletion of later.
//! 2. A copy counts once its ledger directory has a cookie, which is written last.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use geminga_env::{
    Disk, File,
    disk::{OpenMode, create_dir_durably},
};

use crate::{
    checkpoint::Checkpoint,
    cookie::Cookie,
    directory::Directory,
    entry_log,
    error::WriteError,
    fields::size,
    index,
    journal::{JournalPosition, format::BLOCK_BYTES},
    shared::Shared,
    store::Store,
};

const COPY_BYTES: usize = 1 << 20;

/// What must be copied.
#[derive(Debug)]
pub struct Snapshot {
    cookie: Cookie,
    checkpoint: Checkpoint,
    files: Vec<Source>,
}

/// A file, and how much of it.
#[derive(Debug)]
struct Source {
    name: String,
    file: Arc<dyn File>,
    bytes: u64,
}

/// Why a copy is not there. What was written is to be removed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The system failed, or the disk is full.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file ends before what was committed.
    #[error("{} ends too early: the storage is damaged; see `geminga storage verify`", .0.display())]
    Damaged(PathBuf),
    /// The caller has stopped it.
    #[error("the copy was stopped")]
    Stopped,
}

impl Snapshot {
    /// Opens what the checkpoint names, which must be that of the moment.
    pub(crate) fn take(shared: &Shared, store: &Store) -> io::Result<Self> {
        let checkpoint = store.checkpoint;
        let logs: Vec<(u64, u64)> =
            shared.state().index.files().iter().map(|(number, it)| (*number, it.bytes)).collect();
        let mut files = Vec::with_capacity(logs.len() + 1);
        for (number, bytes) in logs {
            let (file, _) = shared.log_file(number)?.ok_or(io::ErrorKind::NotFound)?;
            files.push(Source { name: entry_log::name(number), file, bytes });
        }
        let name = index::log::name(checkpoint.index_generation);
        let file = Arc::from(store.directory.open(&name, OpenMode::Read)?);
        files.push(Source { name, file, bytes: checkpoint.index_bytes });
        let cookie = Cookie { uuid: shared.id.0.to_string() };
        Ok(Self { cookie, checkpoint, files })
    }

    /// Bytes to copy.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|source| source.bytes).sum()
    }

    /// Writes a storage with this content into two directories, which may be one, durably. They hold
    /// no storage yet. `go_on` is told of bytes copied and may stop the copy. Blocks.
    ///
    /// # Errors
    ///
    /// See [`CopyError`].
    pub fn write_to(
        &self,
        disk: &Arc<dyn Disk>,
        journal_dir: &Path,
        ledgers_dir: &Path,
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), CopyError> {
        for path in [journal_dir, ledgers_dir] {
            create_dir_durably(&**disk, path)
                .map_err(|source| CopyError::Io { path: path.to_owned(), source })?;
        }
        let directory = |path: &Path| Directory::new(Arc::clone(disk), path.to_owned(), true);
        let (journal, ledgers) = (directory(journal_dir), directory(ledgers_dir));
        for source in &self.files {
            source.copy(&ledgers, go_on)?;
        }
        ledgers.sync()?;
        let before = self.checkpoint.journal;
        let journal_begin = JournalPosition {
            generation: before.generation + 1,
            offset: BLOCK_BYTES as u64,
            sequence: before.sequence,
        };
        let checkpoint = Checkpoint { journal: journal_begin, is_clean: true, ..self.checkpoint };
        checkpoint.write(&ledgers)?;
        if journal_dir != ledgers_dir {
            self.cookie.write(&journal)?;
        }
        self.cookie.write(&ledgers)?;
        Ok(())
    }
}

impl Source {
    fn copy(&self, to: &Directory, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), CopyError> {
        let path = to.join(&self.name);
        let failed = |source| CopyError::Io { path: path.clone(), source };
        let copy = to.create(&self.name)?;
        let mut buffer = vec![0; COPY_BYTES.min(size(self.bytes))];
        let mut offset = 0;
        while offset < self.bytes {
            let length = size(self.bytes - offset).min(COPY_BYTES);
            let read = self.file.read_at(&mut buffer[..length], offset).map_err(failed)?;
            if read < length {
                return Err(CopyError::Damaged(path));
            }
            copy.write_at(&buffer[..length], offset).map_err(failed)?;
            offset += length as u64;
            if !go_on(length as u64) {
                return Err(CopyError::Stopped);
            }
        }
        copy.sync_data().map_err(failed)
    }
}

impl From<WriteError> for CopyError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full { path, source } | WriteError::Fatal { path, source } => {
                Self::Io { path, source }
            }
        }
    }
}
