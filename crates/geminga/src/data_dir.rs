//! Where things lie in a data directory.

use std::path::{Path, PathBuf};

/// A data directory of a standalone, or a copy of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The bookie's journal.
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("bookkeeper/journal")
    }

    /// The bookie's entry logs, index and checkpoint.
    pub(crate) fn ledgers(&self) -> PathBuf {
        self.0.join("bookkeeper/ledgers")
    }

    /// The metadata store.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.0.join("metadata")
    }
}
