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

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let files = Files::default();
        let filled = |number, end_sequence| Filled { number, bytes: 100, end_sequence };
        let spares = vec![Spare { number: 0, bytes: 7 }];
        files.begin(vec![filled(1, 10), filled(2, 20), filled(3, 30)], spares, 4);
        files
    }

    #[test]
    fn numbers_ascend_and_all_files_count() {
        let files = files();
        assert_eq!([files.new_number(), files.new_number(), files.new_number()], [4, 5, 6]);
        assert_eq!((files.count(), files.bytes()), (4, 307));
        files.note_filled(Filled { number: 4, bytes: 50, end_sequence: 40 });
        files.put_spare(Spare { number: 5, bytes: 1 });
        assert_eq!((files.count(), files.bytes()), (6, 358));
    }

    #[test]
    fn a_file_is_given_back_when_its_last_group_is_covered() {
        let files = files();
        assert!(files.release(9, 9).is_empty());
        assert_eq!(files.count(), 4);
        assert!(files.take_spare(100).is_none(), "the spare is too small");
        assert!(files.release(20, 3).is_empty());
        assert_eq!(files.take_spare(100).unwrap().number, 1);
        assert_eq!(files.take_spare(1).unwrap().number, 0);
        let excess: Vec<u64> = files.release(30, 1).iter().map(|spare| spare.number).collect();
        assert_eq!((excess, files.count()), (vec![2], 1));
    }

    #[test]
    fn a_spare_is_wanted_from_the_second_half_on() {
        let files = Files::default();
        assert!(!files.wants_spare());
        for (offset, wants) in [(0, false), (500, false), (501, true), (499, false), (900, true)] {
            files.note_fill(offset, 1000);
            assert_eq!(files.wants_spare(), wants, "{offset}");
        }
        files.put_spare(Spare { number: 1, bytes: 1000 });
        assert!(!files.wants_spare(), "there is one");
        files.note_fill(0, 1000);
        assert!(!files.wants_spare());
    }
}
