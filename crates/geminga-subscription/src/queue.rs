//! The entries that are known to be waiting: read and held, to be read again, or not yet due.
//!
//! # Invariants
//!
//! 1. An entry waits in one place at most, and before `next_read`.
//! 2. The index by time lists exactly what is delayed; on `Key_Shared` the lanes, once polled dry, what
//!    is buffered or to be read again.
//! 3. `buffered_bytes` is the sum of what is buffered, `replay_chunks` the number of chunks to be read
//!    again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use geminga_types::Ordinal;

use crate::{
    ConsumerKey, Entry,
    lanes::{Lanes, Router},
    slots::is_chunk,
};

/// What waits for delivery.
#[derive(Debug)]
pub(crate) struct Queue<P> {
    /// Everything from here on has not been read.
    pub(crate) next_read: Ordinal,
    /// Read, not yet delivered.
    buffer: BTreeMap<Ordinal, Entry<P>>,
    buffered_bytes: usize,
    /// To be read again and delivered, with its slot.
    replay: BTreeMap<Ordinal, u32>,
    /// How many of these are chunks of messages.
    replay_chunks: usize,
    /// Whose turn it is to be read again: what comes behind is before what keeps coming in front.
    replay_from: Ordinal,
    /// Both of them on `Key_Shared`.
    pub(crate) lanes: Lanes,
    /// Not due: its time, and its slot.
    delayed: BTreeMap<Ordinal, (u64, u32)>,
    delayed_by_time: BTreeSet<(u64, Ordinal)>,
    /// Whether the buffer may hold entries that are not due.
    has_unsorted: bool,
}

impl<P> Queue<P> {
    /// Nothing is known; reading begins at `next_read`.
    pub(crate) fn new(next_read: Ordinal) -> Self {
        Self {
            next_read,
            buffer: BTreeMap::new(),
            buffered_bytes: 0,
            replay: BTreeMap::new(),
            replay_chunks: 0,
            replay_from: Ordinal(0),
            lanes: Lanes::default(),
            delayed: BTreeMap::new(),
            delayed_by_time: BTreeSet::new(),
            has_unsorted: false,
        }
    }

    pub(crate) fn push_buffer(&mut self, entry: Entry<P>, router: Router<'_>) {
        self.has_unsorted |= entry.deliver_at.is_some();
        self.lanes.insert(router.lane(entry.slot()), entry.ordinal);
        self.buffered_bytes += entry.bytes;
        self.buffer.insert(entry.ordinal, entry);
    }

    pub(crate) fn push_replay(&mut self, at: Ordinal, slot: u32, router: Router<'_>) {
        self.lanes.insert(router.lane(slot), at);
        self.insert_replay(at, slot);
    }

    fn insert_replay(&mut self, at: Ordinal, slot: u32) {
        self.replay_chunks += usize::from(is_chunk(slot));
        if let Some(before) = self.replay.insert(at, slot) {
            self.replay_chunks -= usize::from(is_chunk(before));
        }
    }

    pub(crate) const fn buffer(&self) -> &BTreeMap<Ordinal, Entry<P>> {
        &self.buffer
    }

    pub(crate) const fn buffered_bytes(&self) -> usize {
        self.buffered_bytes
    }

    pub(crate) const fn replay(&self) -> &BTreeMap<Ordinal, u32> {
        &self.replay
    }

    /// How many of those to be read again are no chunks.
    pub(crate) fn replay_of_whole_messages(&self) -> usize {
        self.replay.len() - self.replay_chunks
    }

    /// What is to be read again, from the one whose turn it is up to the last.
    pub(crate) fn replay_behind(&self) -> impl Iterator<Item = (&Ordinal, &u32)> {
        self.replay.range(self.replay_from..)
    }

    /// The turn of `at` is over, although it was not read.
    pub(crate) const fn pass_turn(&mut self, at: Ordinal) {
        self.replay_from = at.plus(1);
    }

    /// The turn begins anew, with the first that is to be read again.
    pub(crate) const fn turn_back(&mut self) {
        self.replay_from = Ordinal(0);
    }

    /// The next consumer that is ready and whose lane begins with what is buffered.
    pub(crate) fn take_turn(
        &mut self,
        is_ready: impl Fn(ConsumerKey) -> bool,
    ) -> Option<ConsumerKey> {
        let buffer = &self.buffer;
        self.lanes.take_turn(|key, at| is_ready(key) && buffer.contains_key(&at))
    }

    /// Takes out of the buffer what leaves its lane by the caller's doing.
    pub(crate) fn take_buffered(&mut self, at: Ordinal) -> Option<Entry<P>> {
        let entry = self.buffer.remove(&at)?;
        self.buffered_bytes -= entry.bytes;
        Some(entry)
    }

    /// Takes out what is to be read again; false if that was not so.
    pub(crate) fn take_replay(&mut self, at: Ordinal, router: Router<'_>) -> bool {
        let Some(slot) = self.replay.remove(&at) else { return false };
        self.replay_chunks -= usize::from(is_chunk(slot));
        self.replay_from = if self.replay.is_empty() { Ordinal(0) } else { at.plus(1) };
        self.lanes.remove(router.lane(slot), at);
        true
    }

    /// Puts everything into its lane again, since the lanes of slots have changed.
    pub(crate) fn sort_by_lane(&mut self, router: Router<'_>) {
        if !router.has_lanes() {
            self.lanes.sort(std::iter::empty());
            return;
        }
        let replay = self.replay.iter().map(|(&at, &slot)| (at, slot));
        let buffer = self.buffer.iter().map(|(&at, entry)| (at, entry.slot()));
        self.lanes.sort(replay.chain(buffer).map(|(at, slot)| (router.lane(slot), at)));
    }

    pub(crate) fn delayed_len(&self) -> usize {
        self.delayed.len()
    }

    pub(crate) fn is_delayed(&self, at: Ordinal) -> bool {
        self.delayed.contains_key(&at)
    }

    /// Whether it waits here, in whatever place.
    pub(crate) fn holds(&self, at: Ordinal) -> bool {
        self.buffer.contains_key(&at) || self.replay.contains_key(&at) || self.is_delayed(at)
    }

    pub(crate) fn push_delayed(&mut self, at: Ordinal, due: u64, slot: u32) {
        self.delayed.insert(at, (due, slot));
        self.delayed_by_time.insert((due, at));
    }

    /// The first delayed entry of `range`.
    pub(crate) fn first_delayed(&self, range: Range<Ordinal>) -> Option<Ordinal> {
        self.delayed.range(range).next().map(|(&at, _)| at)
    }

    /// The buffer may hold entries that are not due.
    pub(crate) const fn note_unsorted(&mut self) {
        self.has_unsorted = true;
    }

    /// What is delayed, the latest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = (u64, Ordinal)> {
        self.delayed_by_time.iter().rev().copied()
    }

    /// Forgets delayed entries.
    pub(crate) fn evict(&mut self, entries: &[(u64, Ordinal)]) {
        for &(_, at) in entries {
            self.take_delayed(at);
        }
    }

    /// The time at which the next entry is due.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.delayed_by_time.first().map(|&(due, _)| due)
    }

    /// Sets aside what has been read and is not due, and has what is due read again.
    pub(crate) fn sort_by_time(&mut self, now_wall_ms: u64, router: Router<'_>) {
        if self.has_unsorted {
            self.has_unsorted = false;
            let is_early = |_: &Ordinal, entry: &mut Entry<P>| {
                entry.deliver_at.is_some_and(|due| now_wall_ms < due)
            };
            for (at, entry) in self.buffer.extract_if(.., is_early) {
                let due = entry.deliver_at.unwrap_or(now_wall_ms);
                let slot = entry.slot();
                self.buffered_bytes -= entry.bytes;
                self.lanes.remove(router.lane(slot), at);
                self.delayed.insert(at, (due, slot));
                self.delayed_by_time.insert((due, at));
            }
        }
        while let Some(&(due, at)) = self.delayed_by_time.first()
            && due <= now_wall_ms
        {
            if let Some(slot) = self.take_delayed(at) {
                self.push_replay(at, slot, router);
            }
        }
    }

    /// Drops the payloads held; the entries are read again when they can be delivered.
    pub(crate) fn evict_buffer(&mut self) {
        self.buffered_bytes = 0;
        for (at, entry) in std::mem::take(&mut self.buffer) {
            self.insert_replay(at, entry.slot());
        }
    }

    /// Forgets the entries of `range`, which no longer wait.
    pub(crate) fn forget(&mut self, range: Range<Ordinal>, router: Router<'_>) {
        for (at, entry) in self.buffer.extract_if(range.clone(), |_, _| true) {
            self.buffered_bytes -= entry.bytes;
            self.lanes.remove(router.lane(entry.slot()), at);
        }
        for (at, slot) in self.replay.extract_if(range.clone(), |_, _| true) {
            self.replay_chunks -= usize::from(is_chunk(slot));
            self.lanes.remove(router.lane(slot), at);
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
    pub(crate) fn is_consistent(&self, router: Router<'_>) -> bool {
        let by_time = self.delayed.iter().map(|(&at, &(due, _))| (due, at)).collect();
        let bytes = self.buffer.values().map(|entry| entry.bytes).sum::<usize>();
        let buffered = self.buffer.iter().map(|(&at, entry)| (at, entry.slot()));
        let waiting = self.replay.iter().map(|(&at, &slot)| (at, slot)).chain(buffered);
        let waiting = waiting.map(|(at, slot)| (at, router.lane(slot))).collect();
        let chunks = self.replay.values().filter(|&&slot| is_chunk(slot)).count();
        self.replay_chunks == chunks
            && self.delayed_by_time == by_time
            && self.buffered_bytes == bytes
            && self.lanes.holds(&waiting)
    }
}
