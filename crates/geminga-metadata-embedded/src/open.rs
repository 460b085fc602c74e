//! Opening: create or verify the file, then start the worker.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Arc,
};

use geminga_env::{
    Bell, Disk, Env, File,
    disk::{OpenMode, create_dir_durably},
};
use redb::{Builder, Database, ReadableDatabase, ReadableTable};
use tokio::sync::{mpsc, oneshot};

use crate::{
    EmbeddedStore,
    backend::Backend,
    format::{
        self, CHECKSUM_SUM, CURRENT_FORMAT, FORMAT, KEYS, META, RECORD_COUNT, SEQUENCES, Tally,
    },
    store::Open,
    writer::{QUEUE_MAX, Shared, Writer},
};

pub(crate) const FILE: &str = "metadata.redb";
/// Where a file is until it is whole.
pub(crate) const UNFINISHED: &str = "metadata.redb.new";
pub(crate) const LOCK: &str = "metadata.lock";
pub(crate) const CACHE_BYTES: usize = 8 * 1_024 * 1_024;

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

/// Opens the store in `directory`, creating both if missing, and verifies every record. Blocks: for
/// start-up. Call inside a runtime.
///
/// # Errors
///
/// [`OpenError`], whose text says what to do.
pub fn open(env: &Env, directory: &Path) -> Result<EmbeddedStore, OpenError> {
    let disk = &env.disk;
    let in_directory = |source| OpenError::Io { path: directory.to_owned(), source };
    create_dir_durably(disk.as_ref(), directory).map_err(in_directory)?;
    let lock = disk.lock(&directory.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse(directory.to_owned()),
        _ => in_directory(error),
    })?;
    let path = directory.join(FILE);
    let (database, file) =
        open_file(disk.as_ref(), directory).map_err(|problem| problem.of(&path))?;

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
        _lock: lock,
        _closed: closing,
    };
    env.workers.spawn("metadata", bell.clone(), move || writer.work()).map_err(in_directory)?;
    let open = Open { database, queue: sender };
    Ok(EmbeddedStore::new(open, closed, shared, bell, env.workers))
}

fn open_file(disk: &dyn Disk, directory: &Path) -> Result<(Database, Arc<dyn File>), Problem> {
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
    if exists && file.len()? == 0 {
        return Err(Problem::Corrupt("it is empty".to_owned()));
    }
    let backend = Backend(Arc::clone(&file));
    // redb has assertions about what it reads, which a damaged file must not turn into a panic.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut database =
            Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
        if !exists {
            initialize(&database)?;
        } else if !database.check_integrity()? {
            tracing::warn!(path = %path.display(), "repaired the metadata store's free list");
        }
        verify(&database)?;
        Ok(database)
    }));
    let database = opened
        .unwrap_or_else(|_| Err(Problem::Corrupt("its pages do not fit together".to_owned())))?;
    if !exists {
        disk.rename(&directory.join(UNFINISHED), &path)?;
        disk.sync_dir(directory)?;
    }
    Ok((database, file))
}

fn initialize(database: &Database) -> Result<(), Problem> {
    let transaction = database.begin_write()?;
    transaction.open_table(KEYS)?;
    transaction.open_table(SEQUENCES)?;
    transaction.open_table(META)?.insert(FORMAT, CURRENT_FORMAT)?;
    transaction.commit()?;
    Ok(())
}

pub(crate) fn verify(database: &Database) -> Result<(), Problem> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let number = |name| Ok::<_, Problem>(meta.get(name)?.map(|found| found.value()));
    match number(FORMAT)? {
        Some(CURRENT_FORMAT) => {}
        Some(found) if found > CURRENT_FORMAT => return Err(Problem::Newer(found)),
        other => return Err(Problem::Corrupt(format!("its format is {other:?}"))),
    }
    let stored = Tally {
        records: number(RECORD_COUNT)?.unwrap_or(0),
        checksums: number(CHECKSUM_SUM)?.unwrap_or(0),
    };
    let mut found = Tally::default();
    for table in [KEYS, SEQUENCES] {
        for record in transaction.open_table(table)?.iter()? {
            let (key, record) = record?;
            format::verify(key.value(), record.value())
                .map_err(|error| Problem::Corrupt(error.to_string()))?;
            found.add(record.value());
        }
    }
    if found != stored {
        let reason =
            format!("{} records were written, {} are there", stored.records, found.records);
        return Err(Problem::Corrupt(reason));
    }
    Ok(())
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
