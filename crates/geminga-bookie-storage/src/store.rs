//! The durable store behind the write cache: entry log, index log and checkpoint, and their one
//! order of writing.
//!
//! A change is: append to the entry log, sync it, append to the index log, sync it, replace the
//! checkpoint. Then it counts, and what it replaces may go.
//!
//! # Invariants
//!
//! 1. A checkpoint is written only when everything it names is synced.
//! 2. Journal files and entry logs are given up only after the checkpoint that does without them.
//! 3. A change that finds no space is rolled back and can be tried again.

pub(crate) mod collect;
pub(crate) mod commands;
pub(crate) mod flush;
pub(crate) mod worker;

use std::sync::Arc;

use crate::{
    checkpoint::Checkpoint,
    directory::Directory,
    entry_log::writer::EntryLog,
    error::WriteError,
    index::{
        self,
        format::{RECORD_BYTES, Record},
        log::IndexLog,
    },
    journal::JournalPosition,
    options::{Options, Phase, StorageEvent},
};

/// Entry log, index log and checkpoint.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) directory: Directory,
    pub(crate) options: Arc<Options>,
    pub(crate) entry_log: EntryLog,
    pub(crate) index_log: IndexLog,
    /// The durable one.
    pub(crate) checkpoint: Checkpoint,
}

impl Store {
    /// Commits records, and that the journal is covered up to `journal`.
    pub(crate) fn commit(
        &mut self,
        records: &[Record],
        journal: JournalPosition,
    ) -> Result<(), WriteError> {
        let bytes = if records.is_empty() {
            self.index_log.bytes()
        } else {
            self.index_log.append(records)?
        };
        self.write_checkpoint(Checkpoint {
            journal,
            index_generation: self.index_log.generation(),
            index_bytes: bytes,
            next_entry_log: self.entry_log.next_number(),
            entry_log: self.entry_log.current(),
            is_clean: false,
            ..self.checkpoint
        })?;
        self.index_log.commit(bytes);
        Ok(())
    }

    /// Replaces the checkpoint.
    pub(crate) fn write_checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), WriteError> {
        self.options.trace(StorageEvent::Begin(Phase::Checkpoint));
        let written = checkpoint.write(&self.directory);
        self.options.trace(StorageEvent::End(Phase::Checkpoint));
        written?;
        self.checkpoint = checkpoint;
        Ok(())
    }

    /// Whether most of the index log is outdated.
    pub(crate) fn wants_index_rewrite(&self, snapshot_len: usize) -> bool {
        let needed = (snapshot_len as u64).saturating_mul(RECORD_BYTES as u64);
        let bytes = self.index_log.bytes();
        bytes > self.options.index_log_bytes_min && bytes > needed.saturating_mul(4)
    }

    /// Begins a new index log with these records, and gives up the old.
    pub(crate) fn rewrite_index(&mut self, records: &[Record]) -> Result<(), WriteError> {
        let old = self.index_log.generation();
        let log = IndexLog::create(&self.directory, old + 1, records)?;
        let checkpoint = Checkpoint {
            index_generation: log.generation(),
            index_bytes: log.bytes(),
            ..self.checkpoint
        };
        if let Err(error) = self.write_checkpoint(checkpoint) {
            // After any other failure the new checkpoint may be the durable one.
            if let WriteError::Full { .. } = error {
                self.directory.remove(&index::log::name(old + 1))?;
            }
            return Err(error);
        }
        self.index_log = log;
        self.directory.remove(&index::log::name(old))
    }
}
