//! Opens a storage: lock, cookie, checkpoint, index, journal, and then everything is flushed, so
//! that a new journal generation begins on a store that is complete.
//!
//! # Invariants
//!
//! 1. Nothing is served before what it rests on is durable: what a killed process left in memory is
//!    synced first.
//! 2. Entry logs and index logs that the checkpoint does not name never counted; they are removed.

mod rebuild;

use std::{io, path::Path, sync::Arc};

use geminga_env::{
    Env, File,
    disk::{Lock, OpenMode},
};
use tracing::{info, warn};

use crate::{
    checkpoint::Checkpoint,
    cookie::{self, Cookie},
    directory::Directory,
    entry_log::{
        self,
        writer::{EntryLog, Open},
    },
    error::{OpenError, WriteError},
    index::{self, log::IndexLog},
    journal::{
        JournalPosition,
        files::{self, Files},
        format::BLOCK_BYTES,
        recovery::{Access, Replayed, replay},
        writer::Writer,
    },
    options::Options,
    parts::Parts,
    shared::Opened,
    state::State,
    stats::Counters,
    store::Store,
};

pub(crate) const LOCK: &str = "lock";

/// Everything that runs on an open storage.
#[derive(Debug)]
pub(crate) struct Machines {
    pub(crate) cookie: Cookie,
    pub(crate) was_clean: bool,
    pub(crate) opened: Opened,
    pub(crate) journal_dir: Directory,
    pub(crate) writer: Writer,
    pub(crate) store: Store,
}

/// Opens the files of a storage. Blocks.
pub(crate) fn open_files(env: &Env, options: &Arc<Options>) -> Result<Machines, OpenError> {
    let dirs = Directories::prepare(env, options)?;
    let locks = dirs.lock()?;
    for directory in dirs.each() {
        directory.sync()?;
    }
    let cookie = match dirs.read_cookie()? {
        Some(cookie) => cookie,
        None => dirs.format(env)?,
    };
    let counters = Arc::new(Counters::default());
    let parts = |directory: &Directory| Parts {
        directory: directory.clone(),
        options: Arc::clone(options),
        random: Arc::clone(&env.random),
        counters: Arc::clone(&counters),
    };
    let (mut store, mut state) = load_store(parts(&dirs.ledgers))?;
    let was_clean = store.checkpoint.is_clean;
    let replayed = replay_journal(&dirs.journal, &mut store, &mut state)?;
    counters.groups_replayed.add(replayed.groups);
    info!(
        groups = replayed.groups,
        was_clean,
        ledgers = state.ledgers.len(),
        sequence = replayed.next.sequence,
        "storage recovered"
    );
    begin(&mut store, &mut state, replayed.next)?;
    let journal_files = Arc::new(Files::default());
    let next = replayed.next;
    journal_files.begin(replayed.filled, replayed.spares, replayed.next_number);
    let covered = store.checkpoint.journal.sequence;
    for spare in journal_files.release(covered, options.journal_spares_max) {
        dirs.journal.remove(&files::name(spare.number))?;
    }
    let writer = Writer::new(parts(&dirs.journal), Arc::clone(&journal_files), next);
    let opened =
        Opened { ledgers_dir: dirs.ledgers.clone(), state, journal_files, counters, locks };
    Ok(Machines { cookie, was_clean, opened, journal_dir: dirs.journal, writer, store })
}

struct Directories {
    journal: Directory,
    ledgers: Directory,
}

impl Directories {
    fn prepare(env: &Env, options: &Options) -> Result<Self, OpenError> {
        let directory = |path: &Path| {
            make_durable(env, path, options)?;
            let syncs = options.syncs_directories();
            Ok::<_, OpenError>(Directory::new(Arc::clone(&env.disk), path.to_owned(), syncs))
        };
        Ok(Self {
            journal: directory(&options.journal_dir)?,
            ledgers: directory(&options.ledgers_dir)?,
        })
    }

    fn are_one(&self) -> bool {
        self.journal.path() == self.ledgers.path()
    }

    fn each(&self) -> impl Iterator<Item = &Directory> {
        [&self.journal, &self.ledgers].into_iter().skip(usize::from(self.are_one()))
    }

    fn lock(&self) -> Result<Vec<Box<dyn Lock>>, OpenError> {
        self.each()
            .map(|directory| {
                directory.disk().lock(&directory.join(LOCK)).map_err(|error| match error.kind() {
                    io::ErrorKind::WouldBlock => OpenError::InUse(directory.path().to_owned()),
                    _ => OpenError::io(directory.path(), error),
                })
            })
            .collect()
    }

    fn read_cookie(&self) -> Result<Option<Cookie>, OpenError> {
        let (journal, ledgers) = (Cookie::read(&self.journal)?, Cookie::read(&self.ledgers)?);
        let missing = |directory: &Directory, what: &str| {
            OpenError::corrupt(&directory.join(cookie::NAME), 0, what)
        };
        match (journal, ledgers) {
            (Some(journal), Some(ledgers)) if journal == ledgers => Ok(Some(ledgers)),
            (Some(journal), Some(ledgers)) => Err(OpenError::Mismatched {
                path: self.journal.path().to_owned(),
                journal: journal.uuid,
                ledgers: ledgers.uuid,
            }),
            (None, Some(_)) => {
                Err(missing(&self.journal, "the journal directory has no cookie: it was replaced"))
            }
            (_, None) => {
                for directory in self.each() {
                    let names = directory.names();
                    let names = names.map_err(|error| OpenError::io(directory.path(), error))?;
                    if names.iter().any(|name| is_data(name)) {
                        let what = "there are journal files or entry logs, but no cookie";
                        return Err(missing(directory, what));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Makes an empty storage. The ledger directory's cookie comes last, so it proves the rest.
    fn format(&self, env: &Env) -> Result<Cookie, OpenError> {
        let log = IndexLog::create(&self.ledgers, 0, &[])?;
        let checkpoint = Checkpoint {
            journal: JournalPosition { generation: 1, offset: BLOCK_BYTES as u64, sequence: 0 },
            index_generation: log.generation(),
            index_bytes: log.bytes(),
            is_clean: true,
            ..Checkpoint::default()
        };
        checkpoint.write(&self.ledgers)?;
        let cookie = Cookie::new(&*env.random);
        for directory in self.each() {
            cookie.write(directory)?;
        }
        info!(bookie = cookie.uuid, path = %self.ledgers.path().display(), "storage made");
        Ok(cookie)
    }
}

fn is_data(name: &str) -> bool {
    files::number(name).is_some() || entry_log::number(name).is_some()
}

/// Makes a directory, and the names of those above it that were missing, durable.
fn make_durable(env: &Env, path: &Path, options: &Options) -> Result<(), OpenError> {
    let disk = &env.disk;
    let mut made = Vec::new();
    for above in path.ancestors().filter(|above| !above.as_os_str().is_empty()) {
        let exists = disk.exists(above).map_err(|error| OpenError::io(above, error))?;
        if exists && !made.is_empty() {
            break;
        }
        made.push(above);
        if exists {
            break;
        }
    }
    disk.create_dir_all(path).map_err(|error| OpenError::io(path, error))?;
    if !options.syncs_directories() {
        return Ok(());
    }
    for made in made.into_iter().rev() {
        let parent = match made.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => continue,
        };
        match disk.sync_dir(parent) {
            // One that was there may lie in a directory that we may not open.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(|error| OpenError::io(parent, error))?,
        }
    }
    Ok(())
}

/// Loads checkpoint, index and the entry log that is appended to.
fn load_store(parts: Parts) -> Result<(Store, State), OpenError> {
    let directory = parts.directory.clone();
    let Some(checkpoint) = Checkpoint::read(&directory)? else {
        let path = directory.join("checkpoint");
        return Err(OpenError::corrupt(&path, 0, "there is a cookie, but no checkpoint"));
    };
    let names = directory.names().map_err(|error| OpenError::io(directory.path(), error))?;
    let mut state = State { applied: checkpoint.journal, ..State::default() };
    let loaded = rebuild::load_index(&directory, &checkpoint, &names, &mut state)?;
    remove_leftovers(&directory, &checkpoint, &names, &state)?;
    check_files(&directory, &state)?;
    let current = open_current(&directory, &mut state)?;
    let mut store = Store {
        entry_log: EntryLog::new(parts.clone(), current, checkpoint.next_entry_log),
        directory,
        options: parts.options,
        index_log: loaded.log,
        checkpoint,
    };
    if loaded.is_rebuilt {
        store.rewrite_index(&state.snapshot())?;
    }
    Ok((store, state))
}

fn remove_leftovers(
    directory: &Directory,
    checkpoint: &Checkpoint,
    names: &[String],
    state: &State,
) -> Result<(), OpenError> {
    for name in names {
        let is_leftover = match (entry_log::number(name), index::log::generation(name)) {
            (Some(number), _) => state.index.file(number).is_none(),
            (_, Some(generation)) => generation != checkpoint.index_generation,
            _ => Path::new(name).extension().is_some_and(|extension| extension == "new"),
        };
        if is_leftover {
            info!(name, "a file that never counted is removed");
            directory.remove(name)?;
        }
    }
    Ok(())
}

/// Every entry log that the index names is there and long enough.
fn check_files(directory: &Directory, state: &State) -> Result<(), OpenError> {
    for (number, file) in state.index.files() {
        let name = entry_log::name(*number);
        let path = directory.join(&name);
        let bytes = match directory.open(&name, OpenMode::Read) {
            Ok(file) => file.len().map_err(|error| OpenError::io(&path, error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::corrupt(&path, 0, "the entry log is missing"));
            }
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        if bytes < file.bytes {
            let what = format!("the entry log ends before byte {}", file.bytes);
            return Err(OpenError::corrupt(&path, bytes, what));
        }
    }
    Ok(())
}

/// Opens the entry log that is appended to; any other that has no footer stays as it is.
fn open_current(directory: &Directory, state: &mut State) -> Result<Option<Open>, OpenError> {
    let unsealed = state.index.files().iter().filter(|(_, file)| !file.is_sealed);
    let unsealed: Vec<(u64, u64, u64)> =
        unsealed.map(|(number, file)| (*number, file.salt, file.bytes)).collect();
    let Some(((number, salt, bytes), others)) = unsealed.split_last() else { return Ok(None) };
    let (number, salt, bytes) = (*number, *salt, *bytes);
    for (other, ..) in others {
        if let Some(file) = state.index.file_mut(*other) {
            file.is_sealed = true;
        }
    }
    let path = directory.join(&entry_log::name(number));
    let failed = |error| OpenError::io(&path, error);
    let file = directory.open(&entry_log::name(number), OpenMode::ReadWrite).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    let file: Arc<dyn File> = Arc::from(file);
    let runs = state.index.rows().filter(|(_, row)| row.file == number);
    let mut runs: Vec<_> = runs.map(|(ledger_id, row)| (ledger_id, *row)).collect();
    runs.sort_by_key(|(_, row)| row.offset);
    Ok(Some(Open { number, salt, file, bytes, runs }))
}

/// Replays the journal into the write cache, flushing when that is full.
fn replay_journal(
    directory: &Directory,
    store: &mut Store,
    state: &mut State,
) -> Result<Replayed, OpenError> {
    let limit = store.options.write_cache_bytes;
    replay(directory, store.checkpoint.journal, Access::Recover, &mut |group, position| {
        state.apply(&group.buffer, &group.entries, &group.controls, position);
        if state.active.bytes() >= limit / 2 && state.read_only.is_none() {
            flush(store, state)?;
        }
        Ok(())
    })
}

/// Flushes; without space the entries stay in the write cache, which then is larger than its limit.
fn flush(store: &mut Store, state: &mut State) -> Result<(), OpenError> {
    match store.flush_state(state) {
        Err(error @ WriteError::Full { .. }) => {
            let reason = error.to_string();
            warn!(reason, "new entries are refused");
            state.read_only = Some(reason);
            Ok(())
        }
        flushed => Ok(flushed?),
    }
}

/// Flushes what was replayed, and notes that the storage is open.
fn begin(store: &mut Store, state: &mut State, next: JournalPosition) -> Result<(), OpenError> {
    state.applied = next;
    store.checkpoint.incarnation += 1;
    let is_flushed = !store.is_behind(state) || {
        flush(store, state)?;
        state.flushing.is_none()
    };
    if is_flushed && store.is_behind(state) {
        flush(store, state)?; // Only half of it was, if the first half was waiting for space.
    }
    let checkpoint = match store.is_behind(state) {
        true => Checkpoint { is_clean: false, ..store.checkpoint },
        false => Checkpoint { is_clean: false, journal: next, ..store.checkpoint },
    };
    match store.write_checkpoint(checkpoint) {
        Err(error @ WriteError::Full { .. }) => {
            state.read_only.get_or_insert_with(|| error.to_string());
            Ok(())
        }
        written => Ok(written?),
    }
}
