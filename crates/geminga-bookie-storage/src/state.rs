//! What the storage knows, in memory: ledgers, write cache, index.
//!
//! One lock guards it, held for look-ups and short changes only, never across I/O.
//!
//! # Invariants
//!
//! 1. Only what is durable in the journal is applied here, so whatever is read was durable.
//! 2. An entry is in the write cache until the row that finds it in an entry log is installed.

use std::sync::Arc;

use bytes::Bytes;
use geminga_env::File;
use geminga_types::LedgerId;

use crate::{
    index::{Index, Row, format::Record},
    journal::{JournalPosition, group::Control},
    ledgers::Ledgers,
    write_cache::{Generation, Placed},
};

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) ledgers: Ledgers,
    pub(crate) index: Index,
    pub(crate) active: Generation,
    pub(crate) flushing: Option<Flushing>,
    /// Where the journal stands; all before it is applied.
    pub(crate) applied: JournalPosition,
    /// Why new entries are refused.
    pub(crate) read_only: Option<String>,
    /// Why an absent entry proves nothing.
    pub(crate) incomplete: Option<String>,
}

/// The generation that is on its way to the entry log.
#[derive(Clone, Debug)]
pub(crate) struct Flushing {
    pub(crate) generation: Arc<Generation>,
    /// The journal before this is covered by it and what was flushed before.
    pub(crate) covers: JournalPosition,
}

impl State {
    /// Takes over a durable group. `entries` of one ledger lie together where they can.
    pub(crate) fn apply(
        &mut self,
        buffer: &Bytes,
        entries: &[Placed],
        controls: &[Control],
        position: JournalPosition,
    ) {
        self.active.take_group(buffer, !entries.is_empty());
        for entries in entries.chunk_by(|a, b| a.ledger_id == b.ledger_id) {
            let ledger_id = entries[0].ledger_id;
            // When replayed, the tombstone may be known before.
            let Some(ledger) = self.ledgers.entry(ledger_id) else { continue };
            for entry in entries {
                ledger.last_entry = ledger.last_entry.max(entry.entry_id);
                ledger.last_add_confirmed = ledger.last_add_confirmed.max(entry.last_add_confirmed);
            }
            self.active.insert(ledger_id, entries);
        }
        for control in controls {
            match *control {
                Control::Fence(ledger_id) => {
                    if let Some(ledger) = self.ledgers.entry(ledger_id) {
                        ledger.is_fenced = true;
                        self.active.fence(ledger_id);
                    }
                }
                Control::Delete(ledger_id) => {
                    self.ledgers.delete(ledger_id);
                    self.index.delete(ledger_id);
                    self.active.delete(ledger_id);
                }
            }
        }
        self.applied = position;
    }

    /// Bytes in the write cache.
    pub(crate) fn cached_bytes(&self) -> usize {
        let flushing = self.flushing.as_ref().map_or(0, |flushing| flushing.generation.bytes());
        self.active.bytes() + flushing
    }

    /// Entries in the write cache.
    pub(crate) fn cached_entries(&self) -> usize {
        let flushing = self.flushing.as_ref().map_or(0, |flushing| flushing.generation.entries());
        self.active.entries() + flushing
    }

    /// Turns the write cache over, unless a flush is unfinished.
    pub(crate) fn rotate(&mut self) -> Flushing {
        let covers = self.applied;
        self.flushing
            .get_or_insert_with(|| Flushing {
                generation: Arc::new(std::mem::take(&mut self.active)),
                covers,
            })
            .clone()
    }

    /// What the index must learn of ledgers with this flush.
    pub(crate) fn ledger_records(&self, generation: &Generation) -> Vec<Record> {
        let mut changed: Vec<LedgerId> =
            generation.ledgers().keys().chain(generation.fenced()).copied().collect();
        changed.sort_unstable();
        changed.dedup();
        let states = changed
            .into_iter()
            .filter_map(|ledger_id| Some(Record::Ledger(ledger_id, *self.ledgers.get(ledger_id)?)));
        let deleted = generation.deleted().iter().map(|id| Record::Deleted(*id, *id));
        states.chain(deleted).collect()
    }

    /// Takes over what was committed: files and rows.
    pub(crate) fn install(&mut self, records: &[Record], files: &[(u64, Arc<dyn File>)]) {
        for record in records {
            self.load(record);
        }
        for (number, handle) in files {
            if let Some(file) = self.index.file_mut(*number) {
                file.handle.get_or_insert_with(|| Arc::clone(handle));
            }
        }
    }

    /// Takes over one record of the index log.
    pub(crate) fn load(&mut self, record: &Record) {
        match *record {
            Record::Run(ledger_id, row) => self.load_run(ledger_id, row),
            Record::Ledger(ledger_id, state) => {
                if let Some(ledger) = self.ledgers.entry(ledger_id) {
                    ledger.is_fenced |= state.is_fenced;
                    ledger.last_entry = ledger.last_entry.max(state.last_entry);
                    ledger.last_add_confirmed =
                        ledger.last_add_confirmed.max(state.last_add_confirmed);
                }
            }
            Record::Deleted(first, last) => {
                self.ledgers.delete_range(first, last);
                self.index.delete_range(first, last);
            }
            Record::File { number, salt, bytes, is_sealed } => {
                self.index.put_file(number, salt, bytes, is_sealed);
            }
            Record::FileRemoved { number } => self.index.remove_file(number),
        }
    }

    /// A row of a ledger that was deleted meanwhile is dead from the start.
    fn load_run(&mut self, ledger_id: LedgerId, row: Row) {
        if let Some(ledger) = self.ledgers.entry(ledger_id) {
            ledger.last_entry = ledger.last_entry.max(row.last);
            self.index.insert(ledger_id, row);
        }
    }

    /// The whole index, for a new log.
    pub(crate) fn snapshot(&self) -> Vec<Record> {
        let files = self.index.files().iter().map(|(number, file)| Record::File {
            number: *number,
            salt: file.salt,
            bytes: file.bytes,
            is_sealed: file.is_sealed,
        });
        let deleted = self.ledgers.deleted().map(|(first, last)| Record::Deleted(first, last));
        let ledgers = self.ledgers.iter().map(|(id, ledger)| Record::Ledger(id, *ledger));
        let rows = self.index.rows().map(|(id, row)| Record::Run(id, *row));
        files.chain(deleted).chain(ledgers).chain(rows).collect()
    }

    /// Records in a [`Self::snapshot`], about.
    pub(crate) fn snapshot_len(&self) -> usize {
        self.index.row_count() + self.index.files().len() + self.ledgers.len()
    }
}

#[cfg(test)]
mod tests {
    use geminga_types::EntryId;

    use super::*;
    use crate::ledgers::Ledger;

    #[test]
    fn a_snapshot_is_about_as_long_as_is_said() {
        let mut state = State::default();
        state.load(&Record::File { number: 1, salt: 2, bytes: 9000, is_sealed: false });
        for (ledger, first) in [(1, 0), (1, 1), (2, 0)] {
            let (first, last) = (EntryId(first), EntryId(first));
            let row = Row { first, last, newness: 0, file: 1, offset: 4096, length: 100, count: 1 };
            state.load(&Record::Run(LedgerId(ledger), row));
        }
        assert_eq!((state.snapshot().len(), state.snapshot_len()), (6, 6));
        // A tombstone is one more.
        state.load(&Record::Deleted(LedgerId(2), LedgerId(2)));
        assert_eq!((state.snapshot().len(), state.snapshot_len()), (5, 4));
        let known =
            Record::Ledger(LedgerId(1), Ledger { last_entry: EntryId(1), ..<_>::default() });
        assert!(state.snapshot().contains(&known));
    }
}
