//! The entries that are known to be waiting: read and held, to be read again, or not yet due.
//!
//! # Invariants
//!
//! 1. An entry waits in one place at most, and before `next_read`.
//! 2. The indexes by slot and by time list exactly what waits there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use geminga_types::Ordinal;

use crate::{Entry, slots::slot_of};

/// What waits for delivery.
#[derive(Debug)]
pub(crate) struct Queue<P> {
    /// Everything from here on has not been read.
    pub(crate) next_read: Ordinal,
    /// Read, not yet delivered.
    pub(crate) buffer: BTreeMap<Ordinal, Entry<P>>,
    /// To be read again and delivered, with its slot.
    replay: BTreeMap<Ordinal, u32>,
    replay_by_slot: BTreeSet<(u32, Ordinal)>,
    /// Not due: its time, and its slot.
    delayed: BTreeMap<Ordinal, (u64, u32)>,
    delayed_by_time: BTreeSet<(u64, Ordinal)>,
    /// Whether the buffer may hold entries that are not due.
    has_unsorted: bool,
}

impl<P> Queue<P> {
    /// Nothing is known; reading begins at `next_read`.
    pub(crate) const fn new(next_read: Ordinal) -> Self {
        Self {
            next_read,
            buffer: BTreeMap::new(),
            replay: BTreeMap::new(),
            replay_by_slot: BTreeSet::new(),
            delayed: BTreeMap::new(),
            delayed_by_time: BTreeSet::new(),
            has_unsorted: false,
        }
    }

    pub(crate) fn push_buffer(&mut self, entry: Entry<P>) {
        self.has_unsorted |= entry.deliver_at.is_some();
        self.buffer.insert(entry.ordinal, entry);
    }

    pub(crate) fn push_replay(&mut self, at: Ordinal, slot: u32) {
        self.replay.insert(at, slot);
        self.replay_by_slot.insert((slot, at));
    }

    pub(crate) const fn replay(&self) -> &BTreeMap<Ordinal, u32> {
        &self.replay
    }

    pub(crate) fn delayed_len(&self) -> usize {
        self.delayed.len()
    }

    pub(crate) fn is_delayed(&self, at: Ordinal) -> bool {
        self.delayed.contains_key(&at)
    }

    /// The time at which the next entry is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.delayed_by_time.first().map(|&(due, _)| due)
    }

    /// Whether an entry of `slot` before `at` is to be read again.
    pub(crate) fn has_replay_before(&self, slot: u32, at: Ordinal) -> bool {
        let first = self.replay_by_slot.range((slot, Ordinal(0))..).next();
        first.is_some_and(|&(of, replay)| of == slot && replay < at)
    }

    pub(crate) fn take_replay(&mut self, at: Ordinal) -> bool {
        let slot = self.replay.remove(&at);
        if let Some(slot) = slot {
            self.replay_by_slot.remove(&(slot, at));
        }
        slot.is_some()
    }

    /// Sets aside what has been read and is not due, and has what is due read again.
    pub(crate) fn sort_by_time(&mut self, now_wall_ms: u64) {
        if self.has_unsorted {
            self.has_unsorted = false;
            let is_early = |_: &Ordinal, entry: &mut Entry<P>| {
                entry.deliver_at.is_some_and(|due| now_wall_ms < due)
            };
            for (at, entry) in self.buffer.extract_if(.., is_early) {
                let due = entry.deliver_at.unwrap_or(now_wall_ms);
                self.delayed.insert(at, (due, slot_of(entry.key_hash)));
                self.delayed_by_time.insert((due, at));
            }
        }
        while let Some(&(due, at)) = self.delayed_by_time.first()
            && due <= now_wall_ms
        {
            if let Some(slot) = self.take_delayed(at) {
                self.push_replay(at, slot);
            }
        }
    }

    /// Drops the payloads held; the entries are read again when they can be delivered.
    pub(crate) fn evict_buffer(&mut self) {
        for (at, entry) in std::mem::take(&mut self.buffer) {
            self.push_replay(at, slot_of(entry.key_hash));
        }
    }

    /// Forgets the entries of `range`, which no longer wait.
    pub(crate) fn forget(&mut self, range: Range<Ordinal>) {
        self.buffer.extract_if(range.clone(), |_, _| true).for_each(drop);
        let replay: Vec<_> = self.replay.range(range.clone()).map(|(&at, _)| at).collect();
        for at in replay {
            self.take_replay(at);
        }
        let delayed: Vec<_> = self.delayed.range(range).map(|(&at, _)| at).collect();
        for at in delayed {
            self.take_delayed(at);
        }
    }

    fn take_delayed(&mut self, at: Ordinal) -> Option<u32> {
        let (due, slot) = self.delayed.remove(&at)?;
        self.delayed_by_time.remove(&(due, at));
        Some(slot)
    }

    /// Compares the indexes; for assertions.
    pub(crate) fn is_consistent(&self) -> bool {
        let by_slot = self.replay.iter().map(|(&at, &slot)| (slot, at)).collect();
        let by_time = self.delayed.iter().map(|(&at, &(due, _))| (due, at)).collect();
        self.replay_by_slot == by_slot && self.delayed_by_time == by_time
    }
}
