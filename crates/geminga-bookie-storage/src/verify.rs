//! Proves a closed storage, read-only: pointer ⇒ data and data ⇒ pointer.
//!
//! Walks cookie, checkpoint, index, the journal that the checkpoint does not cover, and every entry
//! log. What an entry's bytes must be beside their checksum is the caller's to say, since the storage
//! does not know what it stores; so is which ledgers should be there, for which [`Verified::ledgers`]
//! says what was found.
//!
//! # Invariants
//!
//! 1. Nothing is written, not even synced; a storage that is in use is refused.
//! 2. A damage is something that was durable and cannot be read any more. A leak is something that
//!    nothing points to: space, not data.

mod entry_logs;
mod pointers;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use geminga_env::{Disk, disk::Lock};
use geminga_types::{EntryId, LedgerId};

use crate::{directory::Directory, error::OpenError, ledgers::IdRanges, open::LOCK};

/// Says what is wrong with the stored bytes of an entry, if something is.
pub type CheckEntry<'a> = dyn FnMut(LedgerId, EntryId, &Bytes) -> Result<(), String> + 'a;

/// Something that was durable and cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The ledger that is hit, if it is known.
    pub ledger_id: Option<LedgerId>,
    /// Its entries that are hit, first to last, if they are known.
    pub entries: Option<(EntryId, EntryId)>,
    /// What is wrong.
    pub what: String,
}

/// Something that nothing points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// How much space it takes.
    pub bytes: u64,
    /// The ledger that it is of, if of one.
    pub ledger_id: Option<LedgerId>,
    /// What it is.
    pub what: String,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Journal groups that the checkpoint does not cover.
    pub journal_groups: u64,
    /// Entries in them.
    pub journal_entries: u64,
    /// Entry logs.
    pub entry_logs: u64,
    /// Runs in them that the index points to.
    pub runs: u64,
    /// Entries in those.
    pub entries: u64,
    /// Stored bytes of those.
    pub entry_bytes: u64,
    /// Rows of the index.
    pub index_rows: u64,
    /// Ledgers that are not deleted.
    pub ledgers: u64,
}

/// What is held of a ledger.
#[derive(Clone, Debug, Default)]
pub struct HeldLedger {
    /// Highest LAC that an envelope names.
    pub last_add_confirmed: Option<EntryId>,
    /// Whether it is fenced.
    pub is_fenced: bool,
    entries: IdRanges,
}

/// What was found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Name of the bookie, when the cookie is whole.
    pub bookie: Option<String>,
    /// How much was looked at.
    pub counts: Counts,
    /// What cannot be read any more.
    pub damages: Vec<Damage>,
    /// What nothing points to.
    pub leaks: Vec<Leak>,
    /// What is held of each ledger that is not deleted. An entry that is damaged counts as held: it is
    /// among the damages.
    pub ledgers: BTreeMap<LedgerId, HeldLedger>,
    deleted: IdRanges,
}

impl Verified {
    /// Whether a ledger's tombstone is durable.
    #[must_use]
    pub fn is_deleted(&self, ledger_id: LedgerId) -> bool {
        self.deleted.contains(ledger_id.0)
    }

    fn note(&mut self, path: &Path, offset: u64, what: impl Into<String>) {
        let (path, what) = (path.to_owned(), what.into());
        self.damages.push(Damage { path, offset, ledger_id: None, entries: None, what });
    }
}

impl HeldLedger {
    /// The entries from `first` to `last` that are not held, as ranges.
    #[must_use]
    pub fn missing(&self, first: EntryId, last: EntryId) -> Vec<(EntryId, EntryId)> {
        let gaps = self.entries.gaps(first.0, last.0).into_iter();
        gaps.map(|(first, last)| (EntryId(first), EntryId(last))).collect()
    }

    /// Whether an entry is held.
    #[must_use]
    pub fn holds(&self, entry_id: EntryId) -> bool {
        self.entries.contains(entry_id.0)
    }
}

/// Verifies the storage in these two directories, which may be one. Blocks.
///
/// # Errors
///
/// If it is in use, cannot be read, or is of a newer version. Damage is no error: see [`Verified`].
pub fn verify(
    disk: &Arc<dyn Disk>,
    journal_dir: &Path,
    ledgers_dir: &Path,
    check: &mut CheckEntry<'_>,
) -> Result<Verified, OpenError> {
    let directory = |path: &Path| Directory::new(Arc::clone(disk), path.to_owned(), false);
    let (journal, ledgers) = (directory(journal_dir), directory(ledgers_dir));
    let mut held = Vec::new();
    for directory in [&journal, &ledgers].into_iter().skip(usize::from(journal_dir == ledgers_dir))
    {
        held.extend(lock_out(directory)?);
    }
    let mut verified = Verified::default();
    let Some(mut known) = pointers::read(&journal, &ledgers, &mut verified, check)? else {
        return Ok(verified);
    };
    entry_logs::walk(&ledgers, &mut known, &mut verified, check)?;
    verified.counts.ledgers = verified.ledgers.len() as u64;
    drop(held);
    Ok(verified)
}

/// Keeps servers out while we look, and finds whether one is in. A directory that nobody ever locked,
/// or where we may not write, has no server.
fn lock_out(directory: &Directory) -> Result<Option<Box<dyn Lock>>, OpenError> {
    let path = directory.join(LOCK);
    let disk = directory.disk();
    if !disk.exists(&path).map_err(|error| OpenError::io(&path, error))? {
        return Ok(None);
    }
    match disk.lock(&path) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => Err(OpenError::InUse(directory.path().to_owned())),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(None),
            _ => Err(OpenError::io(&path, error)),
        },
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.path.display(), self.offset)?;
        if let Some(ledger_id) = self.ledger_id {
            write!(f, ", ledger {ledger_id}")?;
        }
        match self.entries {
            Some((first, last)) if first == last => write!(f, ", entry {first}")?,
            Some((first, last)) => write!(f, ", entries {first} to {last}")?,
            None => {}
        }
        write!(f, ": {}", self.what)
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.path.display(), self.offset)?;
        if let Some(ledger_id) = self.ledger_id {
            write!(f, ", ledger {ledger_id}")?;
        }
        write!(f, ": {} ({} bytes)", self.what, self.bytes)
    }
}
