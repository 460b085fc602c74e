//! A flush: the write cache goes to the entry log, and the journal that covered it is released.
//!
//! Its stages are calls of their own, so that the worker can let others run between them.

use std::sync::Arc;

use tracing::debug;

use super::Store;
use crate::{
    entry_log::writer::Appended,
    error::WriteError,
    index::format::Record,
    journal::JournalPosition,
    options::{Phase, StorageEvent},
    shared::Shared,
    state::{Flushing, State},
};

/// How far a flush is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The entry log holds the entries, not synced.
    Written(Change),
    /// It is synced.
    Synced(Change),
    /// The checkpoint names it.
    Committed(Change),
}

/// What a flush changes.
#[derive(Debug)]
pub(crate) struct Change {
    appended: Appended,
    covers: JournalPosition,
}

/// Access to the state while the storage opens (owned) and later (locked).
pub(crate) trait WithState {
    fn with_state<T>(&mut self, work: impl FnOnce(&mut State) -> T) -> T;
}

impl WithState for &Arc<Shared> {
    fn with_state<T>(&mut self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state())
    }
}

impl WithState for &mut State {
    fn with_state<T>(&mut self, work: impl FnOnce(&mut State) -> T) -> T {
        work(self)
    }
}

impl Store {
    /// Whether there is anything that the checkpoint does not cover.
    pub(crate) fn is_behind(&self, state: &State) -> bool {
        state.flushing.is_some() || state.applied.sequence > self.checkpoint.journal.sequence
    }

    /// First stage: turns the write cache over and appends it to the entry log. `pinned` are the
    /// records of [`State::ledger_records`] at the moment of a snapshot, which must not hold what
    /// became of ledgers later.
    pub(crate) fn write_entries(
        &mut self,
        mut state: impl WithState,
        pinned: Option<Vec<Record>>,
    ) -> Result<Stage, WriteError> {
        let Flushing { generation, covers } = state.with_state(State::rotate);
        self.options.trace(StorageEvent::Begin(Phase::Flush));
        self.entry_log.begin();
        for (ledger_id, slots) in generation.ledgers() {
            if pinned.is_some() || !state.with_state(|state| state.ledgers.is_deleted(*ledger_id)) {
                let newness = self.checkpoint.newness;
                self.entry_log.append_ledger(&generation, *ledger_id, slots, newness)?;
            }
        }
        let mut appended = self.entry_log.finish()?;
        let ledgers =
            pinned.unwrap_or_else(|| state.with_state(|state| state.ledger_records(&generation)));
        let (rows, changed) = (appended.row_count, ledgers.len());
        debug!(rows, ledgers = changed, sequence = covers.sequence, "flush");
        // Deletions first: a row of a deleted ledger is then dead when it is read back.
        appended.records.splice(0..0, ledgers);
        Ok(Stage::Written(Change { appended, covers }))
    }

    /// Second stage.
    pub(crate) fn sync_entries(&mut self, change: Change) -> Result<Stage, WriteError> {
        if !self.options.syncs_entry_log_late() {
            self.entry_log.sync()?;
        }
        Ok(Stage::Synced(change))
    }

    /// Third stage.
    pub(crate) fn commit_entries(&mut self, change: Change) -> Result<Stage, WriteError> {
        let before = self.checkpoint;
        self.checkpoint.newness += 1;
        if let Err(error) = self.commit(&change.appended.records, change.covers) {
            self.checkpoint = before;
            return Err(error);
        }
        if self.options.syncs_entry_log_late() {
            self.entry_log.sync()?;
        }
        self.entry_log.commit();
        Ok(Stage::Committed(change))
    }

    /// Last stage: readers find the entries in the entry log. Returns what is covered now.
    pub(crate) fn install(&self, change: &Change, mut state: impl WithState) -> JournalPosition {
        let is_for_index = |record: &&Record| !matches!(record, Record::Ledger(..));
        let records: Vec<Record> =
            change.appended.records.iter().filter(is_for_index).copied().collect();
        state.with_state(|state| {
            state.install(&records, &change.appended.files);
            state.flushing = None;
        });
        self.options.trace(StorageEvent::End(Phase::Flush));
        change.covers
    }

    /// All stages at once.
    pub(crate) fn flush_state(&mut self, state: &mut State) -> Result<(), WriteError> {
        match self.all_stages(state) {
            Ok(change) => {
                self.install(&change, &mut *state);
                Ok(())
            }
            Err(error) => Err(self.give_up_flush(error)),
        }
    }

    fn all_stages(&mut self, state: &mut State) -> Result<Change, WriteError> {
        let mut stage = self.write_entries(&mut *state, None)?;
        loop {
            stage = match stage {
                Stage::Written(change) => self.sync_entries(change)?,
                Stage::Synced(change) => self.commit_entries(change)?,
                Stage::Committed(change) => return Ok(change),
            };
        }
    }

    /// Rolls a flush back, so that it can be tried again when there is space.
    pub(crate) fn give_up_flush(&mut self, error: WriteError) -> WriteError {
        self.options.trace(StorageEvent::End(Phase::Flush));
        self.roll_back(error)
    }

    /// Forgets what was appended, unless the store failed for good.
    pub(crate) fn roll_back(&mut self, error: WriteError) -> WriteError {
        match error {
            WriteError::Full { .. } => self.entry_log.roll_back().err().unwrap_or(error),
            WriteError::Fatal { .. } => error,
        }
    }
}
