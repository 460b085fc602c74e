//! Which run of which entry log holds an entry.
//!
//! One row per run: (ledger, first entry) → (file, offset, length, last entry, count). Held in memory;
//! [`log`] makes it durable. Runs of one ledger may overlap, after recovery: of an entry that two
//! hold, the newer run's counts.
//!
//! # Invariants
//!
//! 1. (ledger, first entry, newness) names a run for ever: compaction moves it, keeping the name.
//! 2. A file's live bytes are the sum of the lengths of the rows that point to it.

pub(crate) mod format;
pub(crate) mod log;

use std::{collections::BTreeMap, sync::Arc};

use geminga_env::File;
use geminga_types::{EntryId, LedgerId};

/// Where a run lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) first: EntryId,
    pub(crate) last: EntryId,
    /// Number of the flush that wrote it first.
    pub(crate) newness: u64,
    /// Number of the entry log; the highest bit is kept for journal files.
    pub(crate) file: u64,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    /// Entries in it.
    pub(crate) count: u32,
}

/// An entry log as the index sees it.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    pub(crate) salt: u64,
    pub(crate) bytes: u64,
    pub(crate) live_bytes: u64,
    /// Nothing is appended any more.
    pub(crate) is_sealed: bool,
    /// Open for reading.
    pub(crate) handle: Option<Arc<dyn File>>,
}

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Index {
    ledgers: BTreeMap<LedgerId, Rows>,
    files: BTreeMap<u64, LogFile>,
    row_count: usize,
}

#[derive(Debug, Default)]
struct Rows {
    /// By first entry, then newness.
    rows: Vec<Row>,
    /// Whether two rows may hold the same ids. Otherwise their last ids ascend too.
    overlap: bool,
}

impl Index {
    /// Adds a row, in place of one of the same name.
    pub(crate) fn insert(&mut self, ledger_id: LedgerId, row: Row) {
        let Rows { rows, overlap } = self.ledgers.entry(ledger_id).or_default();
        let key = |row: &Row| (row.first, row.newness);
        let replaced = match rows.binary_search_by_key(&key(&row), key) {
            Ok(at) => Some(std::mem::replace(&mut rows[at], row)),
            Err(at) => {
                let before = at.checked_sub(1).and_then(|at| rows.get(at));
                *overlap |= before.is_some_and(|before| before.last >= row.first)
                    || rows.get(at).is_some_and(|after| after.first <= row.last);
                rows.insert(at, row);
                self.row_count += 1;
                None
            }
        };
        if let Some(file) = self.files.get_mut(&row.file) {
            file.live_bytes += u64::from(row.length);
        }
        if let Some(replaced) = replaced {
            self.note_dead(&replaced);
        }
    }

    fn note_dead(&mut self, row: &Row) {
        if let Some(file) = self.files.get_mut(&row.file) {
            file.live_bytes = file.live_bytes.saturating_sub(u64::from(row.length));
        }
    }

    /// Forgets a ledger's rows.
    pub(crate) fn delete(&mut self, ledger_id: LedgerId) {
        if let Some(deleted) = self.ledgers.remove(&ledger_id) {
            self.row_count -= deleted.rows.len();
            for row in &deleted.rows {
                self.note_dead(row);
            }
        }
    }

    /// Forgets the rows of a range of ledgers.
    pub(crate) fn delete_range(&mut self, first: LedgerId, last: LedgerId) {
        if first > last {
            return;
        }
        let ledgers: Vec<LedgerId> = self.ledgers.range(first..=last).map(|(id, _)| *id).collect();
        for ledger_id in ledgers {
            self.delete(ledger_id);
        }
    }

    /// Whether the run of this name still lies where `row` says.
    pub(crate) fn is_live(&self, ledger_id: LedgerId, row: &Row) -> bool {
        let Some(Rows { rows, .. }) = self.ledgers.get(&ledger_id) else { return false };
        let found =
            rows.binary_search_by_key(&(row.first, row.newness), |row| (row.first, row.newness));
        found.is_ok_and(|at| rows[at].file == row.file && rows[at].offset == row.offset)
    }

    /// Whether the run of this name lies anywhere.
    pub(crate) fn has_run(&self, ledger_id: LedgerId, row: &Row) -> bool {
        let Some(Rows { rows, .. }) = self.ledgers.get(&ledger_id) else { return false };
        rows.binary_search_by_key(&(row.first, row.newness), |row| (row.first, row.newness)).is_ok()
    }

    /// The rows that may hold entries from `first` to `last`, by first entry.
    pub(crate) fn select(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
    ) -> impl Iterator<Item = &Row> {
        let (rows, overlap) = self
            .ledgers
            .get(&ledger_id)
            .map_or((&[][..], false), |found| (found.rows.as_slice(), found.overlap));
        let from = if overlap { 0 } else { rows.partition_point(|row| row.last < first) };
        rows[from..]
            .iter()
            .take_while(move |row| row.first <= last)
            .filter(move |row| row.last >= first)
    }

    /// Adds or changes an entry log; its live bytes are kept.
    pub(crate) fn put_file(&mut self, number: u64, salt: u64, bytes: u64, is_sealed: bool) {
        let file = self.files.entry(number).or_insert(LogFile {
            salt,
            bytes,
            live_bytes: 0,
            is_sealed,
            handle: None,
        });
        file.bytes = bytes;
        file.is_sealed = is_sealed;
    }

    pub(crate) fn remove_file(&mut self, number: u64) {
        self.files.remove(&number);
    }

    pub(crate) fn file(&self, number: u64) -> Option<&LogFile> {
        self.files.get(&number)
    }

    pub(crate) fn file_mut(&mut self, number: u64) -> Option<&mut LogFile> {
        self.files.get_mut(&number)
    }

    pub(crate) const fn files(&self) -> &BTreeMap<u64, LogFile> {
        &self.files
    }

    /// Drops rows whose file is not known: left by entry logs that were removed since.
    pub(crate) fn drop_dangling(&mut self) {
        let files = &self.files;
        for found in self.ledgers.values_mut() {
            found.rows.retain(|row| files.contains_key(&row.file));
        }
        self.ledgers.retain(|_, found| !found.rows.is_empty());
        self.row_count = self.ledgers.values().map(|found| found.rows.len()).sum();
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = (LedgerId, &Row)> {
        self.ledgers
            .iter()
            .flat_map(|(ledger_id, found)| found.rows.iter().map(move |row| (*ledger_id, row)))
    }

    pub(crate) const fn row_count(&self) -> usize {
        self.row_count
    }
}

#[cfg(test)]
mod tests;
