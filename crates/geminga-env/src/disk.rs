//! Files.
//!
//! Calls block: they are made on workers, at start-up, or through [`crate::Workers::blocking`].
//! A write is durable only after [`File::sync_data`]; a created, renamed or removed name only
//! after [`Disk::sync_dir`] on its directory.

use std::{
    fmt, fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// How [`Disk::open`] treats a missing or present file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; reads only.
    Read,
    /// It must exist; reads and writes.
    ReadWrite,
    /// It must not exist; reads and writes.
    CreateNew,
    /// Created when missing; reads and writes.
    CreateOrOpen,
}

/// A file system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// As the system reports them; `NotFound` and `AlreadyExists` follow `mode`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>>;
    /// Creates a directory and its parents. Names are durable after [`Self::sync_dir`].
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Renames a file in place of another.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// As the system reports them; a failed sync is final, see `docs/decisions`.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether a file or directory of this name exists.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Bytes that may still be written below `path`.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Locks `path` (created when missing) against other processes until the value is dropped.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// An open file. Offsets are explicit: there is no cursor to share.
#[expect(clippy::len_without_is_empty, reason = "a file is no container")]
pub trait File: fmt::Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`, growing the file when needed.
    ///
    /// # Errors
    ///
    /// As the system reports them; any part of `bytes` may then be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// The file's length in bytes.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or grows (with zeros) the file.
    ///
    /// # Errors
    ///
    /// As the system reports them.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves space for the first `len` bytes and makes the file at least that long.
    ///
    /// # Errors
    ///
    /// `StorageFull` when there is no room.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable (`fdatasync`).
    ///
    /// # Errors
    ///
    /// Final: what was written since the last sync may be lost, and a second try proves nothing.
    fn sync_data(&self) -> io::Result<()>;
}

/// A held lock.
pub trait Lock: fmt::Debug + Send + Sync {}

/// Creates a directory and its parents, and makes all their names durable.
///
/// # Errors
///
/// As the system reports them.
pub fn create_dir_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut created = Vec::new();
    for ancestor in path.ancestors() {
        let Some(parent) = ancestor.parent() else { break };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        if disk.exists(ancestor)? {
            // Its maker may have been stopped before this sync. An unreadable parent was not ours.
            match disk.sync_dir(parent) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                outcome => outcome?,
            }
            break;
        }
        created.push(parent);
    }
    disk.create_dir_all(path)?;
    created.into_iter().rev().try_for_each(|parent| disk.sync_dir(parent))
}

/// The machine's file system.
#[derive(Debug)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile(fs::File);

#[derive(Debug)]
struct SystemLock {
    _held: fs::File,
}

impl Lock for SystemLock {}

impl Disk for SystemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::ReadWrite => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::CreateOrOpen => options.write(true).create(true).truncate(false),
        };
        Ok(Box::new(SystemFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(SystemLock { _held: file }))
    }
}

impl File for SystemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.0, flags, 0, len)) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve; the length at least is then as promised.
            Err(rustix::io::Errno::OPNOTSUPP) if self.len()? < len => self.set_len(len),
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
