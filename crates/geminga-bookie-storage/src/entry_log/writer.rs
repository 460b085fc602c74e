//! Appends runs to entry logs, begins new ones and closes full ones with a footer.

use std::sync::Arc;

use geminga_env::{File, Random};
use geminga_types::{EntryId, LedgerId};

use super::{
    format::{
        BLOCK_BYTES, RUN_HEAD_BYTES, Run, RunEntry, RunHead, encode_file_head, encode_footer,
        run_bytes,
    },
    name,
};
use crate::{
    directory::Directory,
    error::WriteError,
    fields::{align, short, size},
    index::{Row, format::Record},
    options::{Options, Phase, StorageEvent},
    parts::Parts,
    stats::Counters,
    write_cache::{Generation, Slot},
};

const BUFFER_BYTES: usize = 1 << 20;
/// Written bytes after which there is a sync on the way. One sync of everything at the end would hold up the
/// journal's, if that is on the same disk, for as long as it takes.
const SYNC_BYTES: usize = 4 << 20;

/// The entry log that is appended to.
#[derive(Debug)]
pub(crate) struct EntryLog {
    directory: Directory,
    options: Arc<Options>,
    random: Arc<dyn Random>,
    counters: Arc<Counters>,
    current: Option<Open>,
    next_number: u64,
    /// What is not committed yet.
    changes: Changes,
}

/// An unsealed file.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) file: Arc<dyn File>,
    /// Bytes with all that was appended.
    pub(crate) bytes: u64,
    /// For the footer.
    pub(crate) runs: Vec<(LedgerId, Row)>,
}

#[derive(Debug, Default)]
struct Changes {
    /// The current file as it was, with the number of its runs; `None` when there was none.
    before: Option<(Open, usize)>,
    is_begun: bool,
    /// Whether the end lies on a block of its own, or in what is not committed.
    is_aligned: bool,
    next_number_before: u64,
    created: Vec<u64>,
    /// Filled files, to be synced.
    sealed: Vec<Open>,
    buffer: Vec<u8>,
    /// Written since the last sync.
    unsynced_bytes: usize,
    rows: Vec<(LedgerId, Row)>,
}

/// What an append did, for the index.
#[derive(Debug, Default)]
pub(crate) struct Appended {
    /// Files first, then runs.
    pub(crate) records: Vec<Record>,
    pub(crate) row_count: usize,
    /// New files, open.
    pub(crate) files: Vec<(u64, Arc<dyn File>)>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.sealed.is_empty()
    }
}

impl EntryLog {
    /// Goes on in `current`, if it has room.
    pub(crate) fn new(parts: Parts, current: Option<Open>, next_number: u64) -> Self {
        let Parts { directory, options, random, counters } = parts;
        let changes = Changes::default();
        Self { directory, options, random, counters, current, next_number, changes }
    }

    /// Number for the next file.
    pub(crate) const fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The file that is appended to, and its length.
    pub(crate) fn current(&self) -> Option<(u64, u64)> {
        self.current.as_ref().map(|open| (open.number, open.bytes))
    }

    /// Begins to append what will count together.
    pub(crate) fn begin(&mut self) {
        debug_assert!(!self.changes.is_begun, "one append at a time");
        let before = self.current.as_mut().map(|open| {
            let runs = std::mem::take(&mut open.runs);
            let before = (open.clone(), runs.len());
            open.runs = runs;
            before
        });
        self.changes = Changes {
            before,
            is_begun: true,
            next_number_before: self.next_number,
            ..Changes::default()
        };
    }

    /// Appends one ledger's entries as runs.
    pub(crate) fn append_ledger(
        &mut self,
        generation: &Generation,
        ledger_id: LedgerId,
        slots: &[Slot],
        newness: u64,
    ) -> Result<(), WriteError> {
        let mut rest = slots;
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_entries(rest, self.options.run_bytes_max));
            rest = after;
            let entries: Vec<RunEntry> = run
                .iter()
                .map(|slot| RunEntry {
                    entry_id: slot.entry_id,
                    offset: 0,
                    length: slot.length,
                    crc: slot.crc,
                })
                .collect();
            let mut head = RunHead {
                salt: 0,
                ledger_id,
                first: run.first().map_or(EntryId::NONE, |slot| slot.entry_id),
                last: run.last().map_or(EntryId::NONE, |slot| slot.entry_id),
                newness,
                count: short(run.len()),
                length: short(run_size(run)),
            };
            head.salt = self.open_for(u64::from(head.length))?;
            let bodies = run.iter().map(|slot| generation.bytes_of(slot));
            head.encode_run(&entries, bodies, &mut self.changes.buffer);
            self.note_run(&head)?;
        }
        Ok(())
    }

    /// Appends a run of another file.
    pub(crate) fn append_run(&mut self, run: &Run) -> Result<(), WriteError> {
        let salt = self.open_for(u64::from(run.head().length))?;
        self.changes.buffer.extend_from_slice(&run.with_salt(salt));
        self.note_run(run.head())
    }

    fn note_run(&mut self, head: &RunHead) -> Result<(), WriteError> {
        let open = self.current.as_mut().expect("a file was opened for the run");
        let row = head.row(open.number, open.bytes);
        open.bytes += u64::from(head.length);
        open.runs.push((head.ledger_id, row));
        self.changes.rows.push((head.ledger_id, row));
        if self.changes.buffer.len() >= BUFFER_BYTES { self.write_on_the_way() } else { Ok(()) }
    }

    fn write_on_the_way(&mut self) -> Result<(), WriteError> {
        self.changes.unsynced_bytes += self.changes.buffer.len();
        self.write_buffer()?;
        if SYNC_BYTES <= self.changes.unsynced_bytes
            && let Some(open) = &self.current
        {
            self.sync_file(open)?;
            self.changes.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// Makes sure that a file with room for `bytes` is open; returns its salt.
    fn open_for(&mut self, bytes: u64) -> Result<u64, WriteError> {
        self.align();
        let limit = self.options.entry_log_bytes;
        let is_full = |open: &Open| !open.runs.is_empty() && open.bytes + bytes > limit;
        if self.current.as_ref().is_some_and(is_full) {
            self.options.trace(StorageEvent::Begin(Phase::Rollover));
            let sealed = self.seal();
            self.options.trace(StorageEvent::End(Phase::Rollover));
            sealed?;
            self.counters.rollovers.add(1);
        }
        if self.current.is_none() {
            self.current = Some(self.create()?);
        }
        Ok(self.current.as_ref().expect("it was just set").salt)
    }

    fn create(&mut self) -> Result<Open, WriteError> {
        let number = self.next_number;
        let salt = self.random.next_u64();
        let file: Arc<dyn File> = Arc::from(self.directory.create(&name(number))?);
        self.changes.created.push(number);
        self.next_number += 1;
        let mut block = vec![0; BLOCK_BYTES];
        let head = encode_file_head(number, salt);
        block[..head.len()].copy_from_slice(&head);
        file.write_at(&block, 0)
            .map_err(|error| WriteError::write(&self.directory.join(&name(number)), error))?;
        Ok(Open { number, salt, file, bytes: BLOCK_BYTES as u64, runs: Vec::new() })
    }

    /// Closes the current file, so that it can be collected.
    pub(crate) fn close_current(&mut self) -> Result<(), WriteError> {
        self.align();
        self.seal()
    }

    /// Moves the end to a block of its own.
    fn align(&mut self) {
        if !self.changes.is_aligned {
            if let Some(open) = &mut self.current {
                open.bytes = align(open.bytes, BLOCK_BYTES);
            }
            self.changes.is_aligned = true;
        }
    }

    fn seal(&mut self) -> Result<(), WriteError> {
        self.write_buffer()?;
        if let Some(mut open) = self.current.take() {
            let footer = encode_footer(open.salt, open.bytes, &open.runs);
            self.write(&open, &footer, open.bytes)?;
            open.bytes += footer.len() as u64;
            self.changes.sealed.push(open);
        }
        Ok(())
    }

    /// The buffer's last byte lies just before the current end.
    fn write_buffer(&mut self) -> Result<(), WriteError> {
        let buffer = std::mem::take(&mut self.changes.buffer);
        if let Some(open) = &self.current
            && !buffer.is_empty()
        {
            self.write(open, &buffer, open.bytes - buffer.len() as u64)?;
        }
        self.changes.buffer = buffer;
        self.changes.buffer.clear();
        Ok(())
    }

    /// Writes zeros up to the block where the next commit begins: what was rolled back may lie there,
    /// and who reads run after run would take it for a part of the log.
    fn blank_end(&self) -> Result<(), WriteError> {
        let Some(open) = &self.current else { return Ok(()) };
        let zeros = vec![0; size(align(open.bytes, BLOCK_BYTES) - open.bytes)];
        self.write(open, &zeros, open.bytes)
    }

    fn write(&self, open: &Open, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        open.file
            .write_at(bytes, offset)
            .map_err(|error| WriteError::write(&self.directory.join(&name(open.number)), error))
    }

    /// Writes what is buffered; what was appended is then in the files, not synced.
    pub(crate) fn finish(&mut self) -> Result<Appended, WriteError> {
        self.write_buffer()?;
        if self.changes.is_empty() {
            return Ok(Appended::default());
        }
        self.blank_end()?;
        let changes = &self.changes;
        let mut appended = Appended { row_count: changes.rows.len(), ..Appended::default() };
        let files = changes.sealed.iter().map(|open| (open, true));
        for (open, is_sealed) in files.chain(self.current.iter().map(|open| (open, false))) {
            let (number, salt, bytes) = (open.number, open.salt, open.bytes);
            appended.records.push(Record::File { number, salt, bytes, is_sealed });
            appended.files.push((number, Arc::clone(&open.file)));
        }
        let runs = changes.rows.iter().map(|(ledger_id, row)| Record::Run(*ledger_id, *row));
        appended.records.extend(runs);
        Ok(appended)
    }

    /// Makes what was appended durable.
    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        if self.changes.is_empty() {
            return Ok(());
        }
        for open in self.changes.sealed.iter().chain(&self.current) {
            self.sync_file(open)?;
        }
        if !self.changes.created.is_empty() {
            self.directory.sync()?;
        }
        Ok(())
    }

    fn sync_file(&self, open: &Open) -> Result<(), WriteError> {
        open.file
            .sync_data()
            .map_err(|error| WriteError::sync(&self.directory.join(&name(open.number)), error))
    }

    /// What was appended counts.
    pub(crate) fn commit(&mut self) {
        self.changes = Changes::default();
    }

    /// What was appended is forgotten, and will be written over.
    pub(crate) fn roll_back(&mut self) -> Result<(), WriteError> {
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_begun {
            return Ok(());
        }
        let at_begin = changes.sealed.into_iter().next().or_else(|| self.current.take());
        self.current = match (changes.before, at_begin) {
            (Some((before, runs)), Some(at_begin)) => {
                let mut open = Open { runs: at_begin.runs, ..before };
                open.runs.truncate(runs);
                Some(open)
            }
            _ => None,
        };
        self.next_number = changes.next_number_before;
        for number in changes.created {
            self.directory.remove(&name(number))?;
        }
        Ok(())
    }
}

fn run_size(slots: &[Slot]) -> usize {
    run_bytes(slots.len(), slots.iter().map(|slot| slot.length as usize).sum())
}

/// How many of these entries go into the next run: at least one.
fn run_entries(slots: &[Slot], bytes_max: usize) -> usize {
    let mut bytes = RUN_HEAD_BYTES;
    let fits = |slot: &&Slot| {
        bytes += size(u64::from(slot.length)) + run_bytes(1, 0) - RUN_HEAD_BYTES;
        bytes <= bytes_max
    };
    slots.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests;
