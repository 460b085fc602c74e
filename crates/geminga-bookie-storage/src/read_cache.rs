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

    /// Bytes and blocks that are held.
    pub(crate) fn held(&self) -> (usize, usize) {
        let state = self.state();
        (state.bytes, state.runs.len())
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use geminga_types::{EntryId, LedgerId};

    use super::*;
    use crate::entry_log::format::{RUN_HEAD_BYTES, RunHead};

    /// A run without entries, of `bytes`.
    fn run(bytes: usize) -> Run {
        let head = RunHead {
            salt: 1,
            ledger_id: LedgerId(1),
            first: EntryId(0),
            last: EntryId(0),
            newness: 0,
            count: 0,
            length: 0,
        };
        let mut encoded = Vec::new();
        head.encode_run(&[], std::iter::once(&vec![0; bytes - RUN_HEAD_BYTES][..]), &mut encoded);
        assert_eq!(encoded.len(), bytes);
        let run = Run::new(Bytes::from(encoded)).unwrap();
        assert_eq!(run.len(), bytes);
        run
    }

    fn held(cache: &ReadCache, offsets: std::ops::Range<u64>) -> Vec<u64> {
        let state = cache.state();
        let held = offsets.filter(|offset| state.runs.contains_key(&(0, *offset))).collect();
        let bytes: usize = state.runs.values().map(|(run, _)| run.len()).sum();
        assert_eq!((state.bytes, state.by_use.len()), (bytes, state.runs.len()));
        held
    }

    #[test]
    fn the_least_recently_used_go_when_the_bytes_are_too_many() {
        let cache = ReadCache::new(1000);
        for offset in 0..5 {
            cache.put((0, offset), &run(200));
        }
        assert_eq!(held(&cache, 0..9), [0, 1, 2, 3, 4], "exactly full");
        assert_eq!(cache.get((0, 0)).unwrap().len(), 200);
        assert!(cache.get((1, 0)).is_none());
        cache.put((0, 5), &run(200));
        assert_eq!(held(&cache, 0..9), [0, 2, 3, 4, 5]);
        // Two have to go for this one.
        cache.put((0, 6), &run(250));
        assert_eq!(held(&cache, 0..9), [0, 4, 5, 6]);
        assert!(cache.get((0, 4)).is_some() && cache.get((0, 0)).is_some());
        cache.put((0, 7), &run(250));
        cache.put((0, 8), &run(250));
        assert_eq!(held(&cache, 0..9), [0, 4, 7, 8]);
    }

    #[test]
    fn a_replaced_run_counts_once() {
        let cache = ReadCache::new(1000);
        cache.put((0, 0), &run(200));
        cache.put((0, 1), &run(200));
        for _ in 0..20 {
            cache.put((0, 0), &run(150));
        }
        assert_eq!(held(&cache, 0..9), [0, 1]);
        assert_eq!(cache.state().bytes, 350);
        assert_eq!(cache.get((0, 0)).unwrap().len(), 150);
    }

    #[test]
    fn a_large_part_of_the_whole_is_not_kept() {
        let cache = ReadCache::new(1000);
        cache.put((0, 0), &run(251));
        assert_eq!(held(&cache, 0..1), [] as [u64; 0]);
        cache.put((0, 0), &run(250));
        assert_eq!(held(&cache, 0..1), [0]);
    }
}
