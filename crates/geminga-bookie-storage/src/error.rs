//! What can go wrong: when opening, and in the write path.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a storage was not opened. Nothing was changed that an earlier open would not have.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has this directory open. Stop it, or choose another directory.
    #[error("data directory {} is in use by another process; stop it or choose another directory", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be written. Correct its owner or permissions.
    #[error("data directory {} is not writable ({source}); correct its owner or permissions", path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer version of Geminga wrote this. Start that version.
    #[error(
        "{} has format version {found}, this version reads up to {supported}; start a newer \
         version of Geminga", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The newest version this code reads.
        supported: u32,
    },
    /// Stored bytes that were once durable are damaged or missing.
    #[error(
        "{} is corrupt at byte {offset}: {what}; restore the data directory from a copy, or \
         move it aside to start with an empty one", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// The journal and ledger directories belong to different bookies.
    #[error(
        "journal directory {} belongs to bookie {journal}, ledger directory to {ledgers}; \
         configure the two that belong together", path.display()
    )]
    Mismatched {
        /// The journal directory.
        path: PathBuf,
        /// Bookie of the journal directory.
        journal: String,
        /// Bookie of the ledger directory.
        ledgers: String,
    },
    /// An option has no useful meaning.
    #[error("invalid option: {0}")]
    InvalidOptions(String),
    /// The system failed. Try again once the cause is gone.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path: path.to_owned(), source }
            }
            _ => Self::Io { path: path.to_owned(), source },
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, what: what.into() }
    }
}

/// Whether a write failed for lack of space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// No room. Nothing counts as written; try again when there is.
    #[error("no space left for {}: {source}", path.display())]
    Full { path: PathBuf, source: io::Error },
    /// Final: what is on the disk is unknown.
    #[error("{}: {source}", path.display())]
    Fatal { path: PathBuf, source: io::Error },
}

impl WriteError {
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) {
            return Self::Full { path, source };
        }
        Self::Fatal { path, source }
    }

    /// A failed sync is final, whatever the system calls it.
    pub(crate) fn sync(path: &Path, source: io::Error) -> Self {
        Self::Fatal { path: path.to_owned(), source }
    }
}

impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full { path, source } | WriteError::Fatal { path, source } => {
                Self::io(&path, source)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lack_of_space_is_no_final_failure() {
        let path = Path::new("/d/a");
        let is_final = |error: &WriteError| matches!(error, WriteError::Fatal { .. });
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(!is_final(&WriteError::write(path, kind.into())), "{kind:?}");
            assert!(is_final(&WriteError::sync(path, kind.into())), "{kind:?}");
        }
        let eio = || io::Error::from_raw_os_error(5);
        for error in [eio(), io::ErrorKind::PermissionDenied.into(), io::ErrorKind::NotFound.into()]
        {
            assert!(is_final(&WriteError::write(path, error)));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_called_so() {
        let path = Path::new("/d/a");
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            let error = OpenError::io(path, kind.into());
            assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
        }
        let error = OpenError::io(path, io::ErrorKind::NotFound.into());
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
    }
}
