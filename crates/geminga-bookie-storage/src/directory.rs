//! One directory of the storage: its files by name, and when their names count.
//!
//! # Invariants
//!
//! 1. A created, renamed or removed name counts only after [`Directory::sync`].
//! 2. [`Directory::replace`] leaves the old content or the new, never a part.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use geminga_env::{Disk, File, disk::OpenMode};

use crate::error::WriteError;

/// A directory on a disk.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Only ever `false` under a planted bug.
    syncs: bool,
}

impl Directory {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf, syncs: bool) -> Self {
        Self { disk, path, syncs }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(crate) fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        self.disk.open(&self.join(name), mode)
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        if !self.syncs {
            return Ok(());
        }
        self.disk.sync_dir(&self.path).map_err(|error| WriteError::sync(&self.path, error))
    }

    /// Creates a file, in place of one that an unfinished attempt left behind.
    pub(crate) fn create(&self, name: &str) -> Result<Box<dyn File>, WriteError> {
        let path = self.join(name);
        let created = match self.disk.open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self
                .disk
                .remove_file(&path)
                .and_then(|()| self.disk.open(&path, OpenMode::CreateNew)),
            created => created,
        };
        created.map_err(|error| WriteError::write(&path, error))
    }

    /// Removes a file, which may be gone already.
    pub(crate) fn remove(&self, name: &str) -> Result<(), WriteError> {
        let path = self.join(name);
        match self.disk.remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| WriteError::Fatal { path, source: error }),
        }
    }

    /// Replaces a file's whole content, durably.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let temporary = format!("{name}.new");
        let path = self.join(&temporary);
        let file = self.create(&temporary)?;
        if let Err(error) = file.write_at(bytes, 0) {
            _ = self.remove(&temporary); // The next attempt replaces it.
            return Err(WriteError::write(&path, error));
        }
        file.sync_data().map_err(|error| WriteError::sync(&path, error))?;
        // From here on either content may be the durable one, so a failure is final.
        self.disk
            .rename(&path, &self.join(name))
            .map_err(|source| WriteError::Fatal { path, source })?;
        self.sync()
    }

    /// The whole of a file, or `None` when there is none.
    pub(crate) fn read_all(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(name, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let paths = self.disk.list(&self.path)?;
        Ok(paths.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }
}

/// Reads `length` bytes at `offset`; fewer when the file ends before.
pub(crate) fn read(file: &dyn File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use geminga_env::sim::SimDisk;

    use super::*;

    #[test]
    fn a_leftover_is_replaced_and_what_is_gone_may_be_removed_again() {
        let disk = Arc::new(SimDisk::new(1));
        let directory = Directory::new(Arc::<SimDisk>::clone(&disk), "/".into(), true);
        directory.create("a").unwrap().write_at(b"old", 0).unwrap();
        assert_eq!(directory.read_all("a").unwrap().unwrap(), b"old");
        assert_eq!(directory.create("a").unwrap().len().unwrap(), 0);
        directory.remove("a").unwrap();
        directory.remove("a").unwrap();
        assert_eq!(directory.read_all("a").unwrap(), None);
    }

    #[test]
    fn any_other_failure_is_reported() {
        let disk = Arc::new(SimDisk::new(1));
        let directory = Directory::new(Arc::<SimDisk>::clone(&disk), "/".into(), true);
        directory.create("a").unwrap().write_at(b"old", 0).unwrap();
        // A directory of this name is in the way.
        disk.create_dir_all(Path::new("/sub")).unwrap();
        assert!(matches!(directory.create("sub"), Err(WriteError::Fatal { .. })));
        assert!(matches!(directory.remove("sub"), Err(WriteError::Fatal { .. })));
        assert!(directory.read_all("sub").is_err());
        disk.cut_power_after(0);
        assert!(matches!(directory.remove("a"), Err(WriteError::Fatal { .. })));
        assert!(matches!(directory.create("b"), Err(WriteError::Fatal { .. })));
        assert!(directory.read_all("a").is_err());
    }
}
