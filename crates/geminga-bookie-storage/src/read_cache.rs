//! Blocks of entry logs that were read lately, so that a reader that goes on finds the rest of a run
//! in memory; of runs of which a few entries were read, the tables.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use geminga_types::EntryId;

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
    runs: BTreeMap<Key, Kept>,
    by_use: BTreeMap<u64, Key>,
    next_use: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    run: Run,
    used: u64,
    /// Behind what was read of it last, if that was a part.
    next: Option<EntryId>,
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
        self.get_with_next(key).map(|(run, _)| run)
    }

    /// The same, and with a run without bodies the entry behind those that were read of it last.
    pub(crate) fn get_with_next(&self, key: Key) -> Option<(Run, Option<EntryId>)> {
        let mut guard = self.state();
        let state = &mut *guard;
        let kept = state.runs.get_mut(&key)?;
        state.by_use.remove(&kept.used);
        kept.used = state.next_use;
        state.by_use.insert(state.next_use, key);
        state.next_use += 1;
        Some((kept.run.clone(), kept.next))
    }

    /// Keeps a run, unless it is a large part of the whole.
    pub(crate) fn put(&self, key: Key, run: &Run) {
        self.keep(key, run, None);
    }

    /// The same with a run without bodies, of which those before `next` were read.
    pub(crate) fn put_table(&self, key: Key, run: &Run, next: EntryId) {
        self.keep(key, run, Some(next));
    }

    fn keep(&self, key: Key, run: &Run, next: Option<EntryId>) {
        if run.len() > self.bytes_max / 4 {
            return;
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let kept = Kept { run: run.clone(), used: state.next_use, next };
        if let Some(old) = state.runs.insert(key, kept) {
            state.by_use.remove(&old.used);
            state.bytes -= old.run.len();
        }
        state.by_use.insert(state.next_use, key);
        state.next_use += 1;
        state.bytes += run.len();
        while state.bytes > self.bytes_max {
            let Some((_, oldest)) = state.by_use.pop_first() else { break };
            if let Some(kept) = state.runs.remove(&oldest) {
                state.bytes -= kept.run.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use geminga_types::LedgerId;

    use super::*;
    use crate::{
        entry_log::format::{RunEntry, RunHead, run_bytes},
        fields::short,
    };

    /// A run of one entry, of `bytes`.
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
        let body = vec![0; bytes - run_bytes(1, 0)];
        let entry_id = EntryId(0);
        let entry = RunEntry { entry_id, offset: 0, length: short(body.len()), crc: 0 };
        head.encode_run(&[entry], std::iter::once(&body[..]), &mut encoded);
        assert_eq!(encoded.len(), bytes);
        let run = Run::new(Bytes::from(encoded)).unwrap();
        assert_eq!(run.len(), bytes);
        run
    }

    fn held(cache: &ReadCache, offsets: std::ops::Range<u64>) -> Vec<u64> {
        let state = cache.state();
        let held = offsets.filter(|offset| state.runs.contains_key(&(0, *offset))).collect();
        let bytes: usize = state.runs.values().map(|kept| kept.run.len()).sum();
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
