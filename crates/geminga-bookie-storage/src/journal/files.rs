//! Which journal files are in use, and which can be used again.
//!
//! # Invariants
//!
//! 1. A file becomes a spare only when the durable checkpoint covers its last group.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A file that was filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// Sequence after its last group.
    pub(crate) end_sequence: u64,
}

/// A file whose content is not needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spare {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
}

/// The journal's files but for the one being written; shared by the writer and the flush.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    filled: VecDeque<Filled>,
    spares: VecDeque<Spare>,
    next_number: u64,
    /// Whether the file being written is more than half full.
    runs_low: bool,
}

impl Files {
    /// Begins with these.
    pub(crate) fn begin(&self, filled: Vec<Filled>, spares: Vec<Spare>, next_number: u64) {
        *self.state() =
            State { filled: filled.into(), spares: spares.into(), next_number, runs_low: false };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number for a new file.
    pub(crate) fn new_number(&self) -> u64 {
        let mut state = self.state();
        state.next_number += 1;
        state.next_number - 1
    }

    pub(crate) fn note_filled(&self, filled: Filled) {
        self.state().filled.push_back(filled);
    }

    /// Takes a spare of at least `bytes`.
    pub(crate) fn take_spare(&self, bytes: u64) -> Option<Spare> {
        let mut state = self.state();
        let at = state.spares.iter().position(|spare| spare.bytes >= bytes)?;
        state.spares.remove(at)
    }

    /// Gives a spare (back).
    pub(crate) fn put_spare(&self, spare: Spare) {
        self.state().spares.push_back(spare);
    }

    /// Gives back the files that a durable checkpoint before `sequence` covers; returns those
    /// beyond `spares_max`, to be removed.
    pub(crate) fn release(&self, sequence: u64, spares_max: usize) -> Vec<Spare> {
        let mut state = self.state();
        while let Some(filled) = state.filled.front().copied() {
            if filled.end_sequence > sequence {
                break;
            }
            state.filled.pop_front();
            state.spares.push_back(Spare { number: filled.number, bytes: filled.bytes });
        }
        let excess = state.spares.len().saturating_sub(spares_max);
        state.spares.drain(..excess).collect()
    }

    /// Notes how full the file being written is.
    pub(crate) fn note_fill(&self, offset: u64, bytes: u64) {
        self.state().runs_low = offset > bytes / 2;
    }

    /// Whether a spare should be made ready.
    pub(crate) fn wants_spare(&self) -> bool {
        let state = self.state();
        state.runs_low && state.spares.is_empty()
    }

    /// Bytes of all files but for the one being written.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.state();
        let filled: u64 = state.filled.iter().map(|filled| filled.bytes).sum();
        filled + state.spares.iter().map(|spare| spare.bytes).sum::<u64>()
    }

    /// Number of files but for the one being written.
    pub(crate) fn count(&self) -> usize {
        let state = self.state();
        state.filled.len() + state.spares.len()
    }
}

/// Name of the file with this number.
pub(crate) fn name(number: u64) -> String {
    format!("journal-{number:08}")
}

/// Number of the file with this name.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("journal-")?.parse().ok()
}
