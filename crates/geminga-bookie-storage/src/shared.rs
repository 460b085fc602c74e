//! What the handle, the journal's worker and the store's worker share.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use geminga_bookie_api::BookieId;
use geminga_env::{
    Bell, Env, File,
    disk::{Lock, OpenMode},
};

use crate::{
    directory::Directory, entry_log, error::WriteError, inbox::Inbox, journal::files::Files,
    options::Options, poison::Poison, read_cache::ReadCache, scrub::Scrub, state::State,
    stats::Counters, store::commands::Commands,
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: BookieId,
    pub(crate) env: Env,
    pub(crate) options: Arc<Options>,
    pub(crate) ledgers_dir: Directory,
    state: Mutex<State>,
    /// For the journal's worker.
    pub(crate) inbox: Inbox,
    /// For the store's worker.
    pub(crate) commands: Commands,
    pub(crate) journal_bell: Bell,
    pub(crate) store_bell: Bell,
    pub(crate) journal_files: Arc<Files>,
    pub(crate) poison: Poison,
    pub(crate) counters: Arc<Counters>,
    pub(crate) read_cache: ReadCache,
    pub(crate) scrub: Scrub,
    /// Held until the storage is closed.
    locks: Mutex<Vec<Box<dyn Lock>>>,
}

impl Shared {
    pub(crate) fn new(id: BookieId, env: Env, options: Arc<Options>, opened: Opened) -> Self {
        Self {
            id,
            read_cache: ReadCache::new(options.read_cache_bytes),
            options,
            ledgers_dir: opened.ledgers_dir,
            state: Mutex::new(opened.state),
            inbox: Inbox::default(),
            commands: Commands::default(),
            journal_bell: Bell::new(),
            store_bell: Bell::new(),
            journal_files: opened.journal_files,
            poison: Poison::new(),
            counters: opened.counters,
            scrub: Scrub::default(),
            locks: Mutex::new(opened.locks),
            env,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry log, open for reading; `None` when it is gone.
    pub(crate) fn log_file(&self, number: u64) -> std::io::Result<Option<(Arc<dyn File>, u64)>> {
        let salt = match self.state().index.file(number) {
            None => return Ok(None),
            Some(file) => match &file.handle {
                Some(handle) => return Ok(Some((Arc::clone(handle), file.salt))),
                None => file.salt,
            },
        };
        let file = self.ledgers_dir.open(&entry_log::name(number), OpenMode::Read);
        let handle: Arc<dyn File> = match file {
            Ok(file) => Arc::from(file),
            // Removed since the look-up, by compaction.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return match self.state().index.file(number) {
                    None => Ok(None),
                    Some(_) => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        if let Some(file) = self.state().index.file_mut(number) {
            file.handle = Some(Arc::clone(&handle));
        }
        Ok(Some((handle, salt)))
    }

    pub(crate) fn log_path(&self, number: u64) -> std::path::PathBuf {
        self.ledgers_dir.join(&entry_log::name(number))
    }

    /// Free bytes where less is free.
    pub(crate) fn free_bytes(&self) -> Option<(u64, &Path)> {
        let free = |path| Some((self.env.disk.available_bytes(path).ok()?, path));
        let options = &self.options;
        [free(options.journal_dir.as_path()), free(options.ledgers_dir.as_path())]
            .into_iter()
            .flatten()
            .min_by_key(|(free, _)| *free)
    }

    /// Bytes of journal files and entry logs.
    pub(crate) fn used_bytes(&self) -> u64 {
        let logs: u64 = self.state().index.files().values().map(|file| file.bytes).sum();
        // And the file that is being written.
        logs + self.journal_files.bytes() + self.options.journal_file_bytes
    }

    /// Why new entries are refused when there is no space for something.
    pub(crate) fn full_reason(&self, error: &WriteError) -> String {
        let WriteError::Full { path, .. } = error else { return error.to_string() };
        let directory = path.parent().unwrap_or(path).display();
        let free = self.env.disk.available_bytes(path.parent().unwrap_or(path)).unwrap_or(0);
        let (used, min) = (self.used_bytes(), self.options.min_free_bytes);
        format!(
            "{error}; {free} bytes are free in {directory}, {used} are used by journal and entry \
             logs, the limit is {min} free bytes"
        )
    }

    pub(crate) fn unlock_directories(&self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What opening leaves for [`Shared`].
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) ledgers_dir: Directory,
    pub(crate) state: State,
    pub(crate) journal_files: Arc<Files>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) locks: Vec<Box<dyn Lock>>,
}
