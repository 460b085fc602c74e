//! Writes groups into files: one write, one sync each.

use std::{io, sync::Arc};

use geminga_env::{File, Random, disk::OpenMode};

use super::{
    JournalPosition,
    files::{self, Files, Filled},
    format::{BLOCK_BYTES, FileHead},
};
use crate::{
    directory::Directory,
    error::{WriteError, is_full},
    fields::{align, size},
    options::{Options, Phase, StorageEvent},
    parts::Parts,
    stats::Counters,
};

const CONTROL_BYTES_MAX: u64 = 64 << 10;
/// How much of a new file is overwritten with zeros at a time, ahead of the groups.
const ZEROED_BYTES: u64 = 1 << 20;

/// The end of the journal.
#[derive(Debug)]
pub(crate) struct Writer {
    directory: Directory,
    files: Arc<Files>,
    random: Arc<dyn Random>,
    options: Arc<Options>,
    counters: Arc<Counters>,
    current: Option<Current>,
    next_generation: u64,
    next_sequence: u64,
    /// All groups before this are synced.
    durable_before: u64,
}

#[derive(Debug)]
struct Current {
    file: Box<dyn File>,
    number: u64,
    bytes: u64,
    generation: u64,
    salt: u64,
    offset: u64,
    has_groups: bool,
    /// Bytes before this were written at some time. A sync after the first write to a block that was
    /// only allocated must also change the file system's records of it, and takes twice as long.
    written_to: u64,
}

/// What the head of the next group says of its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) generation: u64,
    pub(crate) salt: u64,
    pub(crate) sequence: u64,
    pub(crate) durable_before: u64,
}

impl Writer {
    /// Goes on at `next`, in a new file. Everything before is durable.
    pub(crate) fn new(parts: Parts, files: Arc<Files>, next: JournalPosition) -> Self {
        let Parts { directory, options, random, counters } = parts;
        Self {
            directory,
            files,
            random,
            options,
            counters,
            current: None,
            next_generation: next.generation,
            next_sequence: next.sequence,
            durable_before: next.sequence,
        }
    }

    /// Makes room for a group of `bytes`, and says what its head must hold. The end of each file is
    /// kept for groups without entries, so that fences and deletions go on when no file can be begun.
    pub(crate) fn reserve(&mut self, bytes: usize, has_entries: bool) -> Result<Place, WriteError> {
        let kept = if has_entries { control_bytes(self.options.journal_file_bytes) } else { 0 };
        let needed = bytes as u64 + kept;
        let fits = |current: &Current| current.bytes - current.offset >= needed;
        if !self.current.as_ref().is_some_and(fits) {
            self.options.trace(StorageEvent::Begin(Phase::Rollover));
            let rolled = self.roll(needed);
            self.options.trace(StorageEvent::End(Phase::Rollover));
            rolled?;
            self.counters.rollovers.add(1);
        }
        let current = self.current.as_ref().expect("a file was just begun or has room");
        Ok(Place {
            generation: current.generation,
            salt: current.salt,
            sequence: self.next_sequence,
            durable_before: self.durable_before,
        })
    }

    /// Writes the group that room was reserved for. It is durable after [`Self::sync`].
    pub(crate) fn write(&mut self, group: &[u8]) -> Result<(), WriteError> {
        let current = self.current.as_mut().expect("room was reserved");
        let name = |number| self.directory.join(&files::name(number));
        current
            .zero_ahead(group.len() as u64)
            .and_then(|()| current.file.write_at(group, current.offset))
            .map_err(|error| WriteError::write(&name(current.number), error))
    }

    /// Makes the written group durable and moves on; returns the place after it.
    pub(crate) fn sync(&mut self, group_bytes: usize) -> Result<JournalPosition, WriteError> {
        let current = self.current.as_mut().expect("room was reserved");
        if self.options.syncs_journal() {
            current.file.sync_data().map_err(|error| {
                WriteError::sync(&self.directory.join(&files::name(current.number)), error)
            })?;
            self.durable_before = self.next_sequence + 1;
        }
        self.next_sequence += 1;
        current.offset += group_bytes as u64;
        current.has_groups = true;
        self.files.note_fill(current.offset, current.bytes);
        Ok(JournalPosition {
            generation: current.generation,
            offset: current.offset,
            sequence: self.next_sequence,
        })
    }

    /// Begins the next file, recycled if there is one.
    fn roll(&mut self, group_bytes: u64) -> Result<(), WriteError> {
        let needed = align(group_bytes + BLOCK_BYTES as u64, BLOCK_BYTES);
        let begun = match self.files.take_spare(needed) {
            Some(spare) => self.recycle(spare.number, spare.bytes),
            None => self.create(self.options.journal_file_bytes.max(needed)),
        };
        // Without a next file the current one stays.
        if let Some(Current { number, bytes, has_groups, .. }) = self.current.replace(begun?) {
            if has_groups {
                let end_sequence = self.next_sequence;
                self.files.note_filled(Filled { number, bytes, end_sequence });
            } else {
                // It was too small for this group.
                self.files.put_spare(files::Spare { number, bytes });
            }
        }
        Ok(())
    }

    fn recycle(&mut self, number: u64, bytes: u64) -> Result<Current, WriteError> {
        self.options.trace(StorageEvent::Begin(Phase::Recycle));
        let name = files::name(number);
        let path = self.directory.join(&name);
        let file = self
            .directory
            .open(&name, OpenMode::ReadWrite)
            .map_err(|source| WriteError::Fatal { path: path.clone(), source })?;
        let begun = self.begin(file, number, bytes, bytes);
        self.options.trace(StorageEvent::End(Phase::Recycle));
        match &begun {
            Ok(_) => self.counters.recycles.add(1),
            Err(WriteError::Full { .. }) => self.files.put_spare(files::Spare { number, bytes }),
            Err(WriteError::Fatal { .. }) => {}
        }
        begun
    }

    fn create(&mut self, bytes: u64) -> Result<Current, WriteError> {
        let number = self.files.new_number();
        let name = files::name(number);
        let file = self.directory.create(&name)?;
        let begun = file
            .allocate(bytes)
            .map_err(|error| WriteError::write(&self.directory.join(&name), error))
            .and_then(|()| self.begin(file, number, bytes, BLOCK_BYTES as u64));
        let current = match begun {
            Ok(current) => current,
            Err(error) => {
                self.directory.remove(&name)?;
                return Err(error);
            }
        };
        if self.options.syncs_journal() {
            let path = self.directory.join(&name);
            current.file.sync_data().map_err(|error| WriteError::sync(&path, error))?;
        }
        self.directory.sync()?;
        Ok(current)
    }

    /// Writes the head of a file, which is synced with the first group.
    fn begin(
        &mut self,
        file: Box<dyn File>,
        number: u64,
        bytes: u64,
        written_to: u64,
    ) -> Result<Current, WriteError> {
        let generation = self.next_generation;
        self.next_generation += 1;
        let salt = self.random.next_u64();
        let head = FileHead {
            generation,
            salt,
            first_sequence: self.next_sequence,
            durable_before: self.durable_before,
        };
        let mut block = [0; BLOCK_BYTES];
        let encoded = head.encode();
        block[..encoded.len()].copy_from_slice(&encoded);
        file.write_at(&block, 0).map_err(|error| {
            WriteError::write(&self.directory.join(&files::name(number)), error)
        })?;
        let offset = BLOCK_BYTES as u64;
        Ok(Current { file, number, bytes, generation, salt, offset, has_groups: false, written_to })
    }
}

impl Current {
    /// When a group of `bytes` reaches beyond what was ever written, writes zeros behind it, so that
    /// only the sync of this group pays for new blocks and not those of the next.
    fn zero_ahead(&mut self, bytes: u64) -> io::Result<()> {
        let group_end = self.offset + bytes;
        if group_end <= self.written_to {
            return Ok(());
        }
        self.written_to = (group_end + ZEROED_BYTES).min(self.bytes);
        let zeros = vec![0; size(self.written_to - group_end)];
        match self.file.write_at(&zeros, group_end) {
            // They only make it faster.
            Err(error) if is_full(&error) => Ok(()),
            written => written,
        }
    }
}

/// Bytes at the end of a file that are kept for groups without entries.
fn control_bytes(file_bytes: u64) -> u64 {
    let blocks = (file_bytes / 8).min(CONTROL_BYTES_MAX) / BLOCK_BYTES as u64;
    blocks * BLOCK_BYTES as u64
}

#[cfg(test)]
mod tests;
