//! Blocks of entry logs that were read lately, so that a reader that goes on finds the rest of a run
//! in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::entry_log::format::Run;

/// Least recently used goes first.
#[derive(Debug)]
pub(crate) struct ReadCache {
    bytes_max: usize,
    state: Mutex<State>,
}

/// File and offset.
type Key = (u64, u64);

#[derive(Debug, Default)]
struct State {
    runs: BTreeMap<Key, (Run, u64)>,
    by_use: BTreeMap<u64, Key>,
    next_use: u64,
    bytes: usize,
}

impl ReadCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Run> {
        let mut guard = self.state();
        let state = &mut *guard;
        let (run, used) = state.runs.get_mut(&key)?;
        state.by_use.remove(used);
        *used = state.next_use;
        state.by_use.insert(state.next_use, key);
        state.next_use += 1;
        Some(run.clone())
    }

    /// Keeps a run, unless it is a large part of the whole.
    pub(crate) fn put(&self, key: Key, run: &Run) {
        if run.len() > self.bytes_max / 4 {
            return;
        }
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some((old, used)) = state.runs.insert(key, (run.clone(), state.next_use)) {
            state.by_use.remove(&used);
            state.bytes -= old.len();
        }
        state.by_use.insert(state.next_use, key);
        state.next_use += 1;
        state.bytes += run.len();
        while state.bytes > self.bytes_max {
            let Some((_, oldest)) = state.by_use.pop_first() else { break };
            if let Some((run, _)) = state.runs.remove(&oldest) {
                state.bytes -= run.len();
            }
        }
    }
}
