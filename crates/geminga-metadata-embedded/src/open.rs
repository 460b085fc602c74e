//! Opening: create or verify the file, then start the worker.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use geminga_env::{
    Bell, Disk, Env, File,
    disk::{OpenMode, create_dir_durably},
};
use redb::{Builder, Database, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};

use crate::{
    EmbeddedStore,
    backend::Backend,
    format::{CURRENT_FORMAT, FORMAT, KEYS, META, SEQUENCES},
    store::Open,
    verify::{Step, Verification, guarded},
    writer::{QUEUE_MAX, Shared, Writer},
};

pub(crate) const FILE: &str = "metadata.redb";
/// Where a file is until it is whole.
pub(crate) const UNFINISHED: &str = "metadata.redb.new";
pub(crate) const LOCK: &str = "metadata.lock";
const MIB: usize = 1_024 * 1_024;
/// Pages in memory, unless somebody chooses.
pub(crate) const CACHE_BYTES: usize = 8 * MIB;

/// What an operator and a test can choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Pages of the file that are held in memory, in bytes.
    pub cache_bytes: usize,
    /// A file up to this size is verified before it is served; a larger one while it is, so that
    /// the start does not depend on how many topics there are.
    pub verified_first_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: CACHE_BYTES, verified_first_bytes: 4 * MIB }
    }
}

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the metadata store in {} is in use by another process; stop that one or choose another \
         data directory",
        .0.display()
    )]
    InUse(PathBuf),
    /// A later release wrote it.
    #[error(
        "the metadata store {} has format {found}, and this release reads formats up to \
         {CURRENT_FORMAT}; start the release that wrote it, or a later one",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
    },
    /// It is damaged.
    #[error(
        "the metadata store {} is damaged ({reason}); put back a copy of it, or start with an empty \
         data directory",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read or written.
    #[error(
        "the metadata store {} cannot be opened: {source}; see that the directory is there, is \
         writable and has room",
        path.display()
    )]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What is wrong with a file, whichever it is.
pub(crate) enum Problem {
    Newer(u64),
    Corrupt(String),
    Io(io::Error),
}

/// Opens the store in `directory`, creating both if missing, and verifies every record, a large file's
/// while it is served: damage found then is final (see [`EmbeddedStore::failed`]). Blocks: for
/// start-up. Call inside a runtime.
///
/// # Errors
///
/// [`OpenError`], whose text says what to do.
pub fn open(env: &Env, directory: &Path, options: &Options) -> Result<EmbeddedStore, OpenError> {
    let disk = &env.disk;
    let in_directory = |source| OpenError::Io { path: directory.to_owned(), source };
    create_dir_durably(disk.as_ref(), directory).map_err(in_directory)?;
    let lock = disk.lock(&directory.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse(directory.to_owned()),
        _ => in_directory(error),
    })?;
    let path = directory.join(FILE);
    let opened = open_file(disk.as_ref(), directory, options);
    let Opened { database, file, verification } = opened.map_err(|problem| problem.of(&path))?;

    let (database, shared, bell) = (Arc::new(database), Arc::new(Shared::new()), Bell::new());
    let (sender, queue) = mpsc::channel(QUEUE_MAX);
    let (closing, closed) = oneshot::channel();
    let mut writer = Writer {
        database: Arc::clone(&database),
        file,
        disk: Arc::clone(disk),
        directory: directory.to_owned(),
        queue,
        shared: Arc::clone(&shared),
        bell: bell.clone(),
        verification,
        _lock: lock,
        _closed: closing,
    };
    bell.ring();
    env.workers.spawn("metadata", bell.clone(), move || writer.work()).map_err(in_directory)?;
    let open = Open { database, queue: sender };
    Ok(EmbeddedStore::new(open, closed, shared, bell, env.workers))
}

struct Opened {
    database: Database,
    file: Arc<dyn File>,
    /// What is still to be done of it.
    verification: Option<Verification>,
}

fn open_file(disk: &dyn Disk, directory: &Path, options: &Options) -> Result<Opened, Problem> {
    let path = directory.join(FILE);
    let exists = disk.exists(&path)?;
    let file: Arc<dyn File> = if exists {
        // Its maker may have been stopped between renaming it and this.
        disk.sync_dir(directory)?;
        disk.open(&path, OpenMode::ReadWrite)?.into()
    } else {
        let unfinished = directory.join(UNFINISHED);
        if disk.exists(&unfinished)? {
            disk.remove_file(&unfinished)?;
        }
        disk.open(&unfinished, OpenMode::CreateNew)?.into()
    };
    let len = file.len()?;
    if exists && len == 0 {
        return Err(Problem::Corrupt("it is empty".to_owned()));
    }
    let is_large = exists && (options.verified_first_bytes as u64) < len;
    let backend = Backend(Arc::clone(&file));
    let (database, verification) = guarded(|| {
        let mut database =
            Builder::new().set_cache_size(options.cache_bytes).create_with_backend(backend)?;
        if !exists {
            initialize(&database)?;
        } else if !is_large && !database.check_integrity()? {
            tracing::warn!(path = %path.display(), "repaired the metadata store's free list");
        }
        if is_large {
            check_format(&database)?;
            let verification = Verification::begin(&database)?;
            return Ok((database, Some(verification)));
        }
        verify(&database)?;
        Ok::<_, Problem>((database, None))
    })?;
    if !exists {
        disk.rename(&directory.join(UNFINISHED), &path)?;
        disk.sync_dir(directory)?;
    }
    Ok(Opened { database, file, verification })
}

fn initialize(database: &Database) -> Result<(), Problem> {
    let transaction = database.begin_write()?;
    transaction.open_table(KEYS)?;
    transaction.open_table(SEQUENCES)?;
    transaction.open_table(META)?.insert(FORMAT, CURRENT_FORMAT)?;
    transaction.commit()?;
    Ok(())
}

/// Verifies all of it.
pub(crate) fn verify(database: &Database) -> Result<(), Problem> {
    check_format(database)?;
    let mut verification = Verification::begin(database)?;
    while verification.step(usize::MAX)? == Step::More {}
    Ok(())
}

fn check_format(database: &Database) -> Result<(), Problem> {
    let meta = database.begin_read()?.open_table(META)?;
    match meta.get(FORMAT)?.map(|found| found.value()) {
        Some(CURRENT_FORMAT) => Ok(()),
        Some(found) if found > CURRENT_FORMAT => Err(Problem::Newer(found)),
        other => Err(Problem::Corrupt(format!("its format is {other:?}"))),
    }
}

impl Problem {
    /// As an error about this file.
    pub(crate) fn of(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Newer(found) => OpenError::NewerFormat { path, found },
            Self::Corrupt(reason) => OpenError::Corrupt { path, reason },
            Self::Io(source) => OpenError::Io { path, source },
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) => match error.kind() {
                io::ErrorKind::InvalidData => Self::Corrupt("its header is bad".to_owned()),
                io::ErrorKind::UnexpectedEof => Self::Corrupt("it was cut off".to_owned()),
                _ => Self::Io(error),
            },
            error => Self::Corrupt(error.to_string()),
        }
    }
}
