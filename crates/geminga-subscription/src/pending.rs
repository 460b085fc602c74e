//! The entries of a Shared or `Key_Shared` subscription that are at a consumer and not acked; and those
//! that no consumer gets any more.
//!
//! # Invariants
//!
//! 1. An entry is at one consumer at most.
//! 2. All pending entries of a slot that is tracked are at one consumer: those of keys where their order
//!    is kept, and those behind, which are messages in chunks, always.
//! 3. The sums are those of the entries: [`Pending::is_consistent`] counts again.

use std::{collections::BTreeMap, ops::Range};

use geminga_types::Ordinal;

use crate::{ConsumerKey, dead_letters::DeadLetters, slots::is_chunk};

/// An entry at a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unacked {
    /// Messages in it that are not acked.
    pub(crate) messages: u32,
    /// Messages in it.
    pub(crate) batch_size: u32,
    pub(crate) slot: u32,
}

/// What is at the consumers.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    tracks_keys: bool,
    entries: BTreeMap<Ordinal, (ConsumerKey, Unacked)>,
    held: BTreeMap<ConsumerKey, Held>,
    messages: u64,
    /// Slot → its consumer and how many of its entries that has.
    slots: BTreeMap<u32, (ConsumerKey, usize)>,
    /// What is at no consumer, and goes to none.
    pub(crate) dead: DeadLetters,
}

/// What one consumer has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    entries: usize,
    messages: u64,
}

impl Pending {
    /// Nothing is at a consumer; with `tracks_keys`, [`Self::slot_holder`] will know who holds a key's.
    pub(crate) fn begin(&mut self, tracks_keys: bool) {
        let dead = std::mem::take(&mut self.dead);
        *self = Self { tracks_keys, dead, ..Self::default() };
    }

    const fn tracks(&self, slot: u32) -> bool {
        self.tracks_keys || is_chunk(slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, at: Ordinal) -> bool {
        self.entries.contains_key(&at)
    }

    pub(crate) const fn messages(&self) -> u64 {
        self.messages
    }

    pub(crate) fn get(&self, at: Ordinal) -> Option<&Unacked> {
        self.entries.get(&at).map(|(_, unacked)| unacked)
    }

    pub(crate) fn messages_of(&self, consumer: ConsumerKey) -> u64 {
        self.held.get(&consumer).map_or(0, |held| held.messages)
    }

    /// The consumer at which a slot's entries are.
    pub(crate) fn slot_holder(&self, slot: u32) -> Option<ConsumerKey> {
        self.slots.get(&slot).map(|&(consumer, _)| consumer)
    }

    /// The first entry of each slot, and who has it. Goes over all that is out.
    pub(crate) fn first_by_slot(&self) -> BTreeMap<u32, (Ordinal, ConsumerKey)> {
        let mut firsts = BTreeMap::new();
        for (&at, &(consumer, unacked)) in &self.entries {
            firsts.entry(unacked.slot).or_insert((at, consumer));
        }
        firsts
    }

    /// Notes that an entry went to `consumer`; it was at nobody. Returns how many messages are there
    /// now.
    pub(crate) fn insert(&mut self, consumer: ConsumerKey, at: Ordinal, unacked: Unacked) -> u64 {
        let before = self.entries.insert(at, (consumer, unacked));
        debug_assert_eq!(before, None, "an entry is at one consumer at most");
        self.messages += u64::from(unacked.messages);
        if self.tracks(unacked.slot) {
            let (holder, entries) = self.slots.entry(unacked.slot).or_insert((consumer, 0));
            debug_assert_eq!(*holder, consumer, "a slot is at one consumer at most");
            *entries += 1;
        }
        let held = self.held.entry(consumer).or_default();
        held.entries += 1;
        held.messages += u64::from(unacked.messages);
        held.messages
    }

    /// Takes an entry away from `consumer`, if it is there.
    pub(crate) fn take(&mut self, consumer: ConsumerKey, at: Ordinal) -> Option<Unacked> {
        let is_there = self.entries.get(&at).is_some_and(|&(holder, _)| holder == consumer);
        if is_there { self.take_anywhere(at) } else { None }
    }

    /// Takes an entry away from `consumer`, if it is there, and with a chunk the others of its message,
    /// in order: clients ask for one of them when they want all.
    pub(crate) fn take_whole(
        &mut self,
        consumer: ConsumerKey,
        at: Ordinal,
    ) -> Vec<(Ordinal, Unacked)> {
        let Some(taken) = self.take(consumer, at) else { return Vec::new() };
        let slot = taken.slot;
        let others = self.slots.get(&slot).filter(|_| is_chunk(slot)).map_or(0, |of| of.1);
        let is_other =
            |(_, (_, unacked)): &(&Ordinal, &(ConsumerKey, Unacked))| unacked.slot == slot;
        let before = self.entries.range(..at).rev();
        // They lie side by side, and clients ask for the last one.
        let others = before.chain(self.entries.range(at..)).filter(is_other).take(others);
        let others: Vec<Ordinal> = others.map(|(&at, _)| at).collect();
        let take = |at| self.take_anywhere(at).map(|unacked| (at, unacked));
        let mut whole: Vec<_> = others.into_iter().filter_map(take).collect();
        whole.push((at, taken));
        whole.sort_unstable_by_key(|&(at, _)| at);
        whole
    }

    /// Takes an entry away from whoever has it.
    pub(crate) fn take_anywhere(&mut self, at: Ordinal) -> Option<Unacked> {
        let (consumer, unacked) = self.entries.remove(&at)?;
        self.messages -= u64::from(unacked.messages);
        if let Some(held) = self.held.get_mut(&consumer) {
            held.entries -= 1;
            held.messages -= u64::from(unacked.messages);
            if held.entries == 0 {
                self.held.remove(&consumer);
            }
        }
        if self.tracks(unacked.slot)
            && let Some((_, entries)) = self.slots.get_mut(&unacked.slot)
        {
            *entries -= 1;
            if *entries == 0 {
                self.slots.remove(&unacked.slot);
            }
        }
        Some(unacked)
    }

    /// Takes everything away from `consumer`. Costs time in what all have.
    pub(crate) fn take_all(&mut self, consumer: ConsumerKey) -> Vec<(Ordinal, Unacked)> {
        let entries = self.held.get(&consumer).map_or(0, |held| held.entries);
        let its = self.entries.iter().filter(|(_, (holder, _))| *holder == consumer);
        let ordinals: Vec<Ordinal> = its.map(|(&at, _)| at).take(entries).collect();
        let take = |at| self.take_anywhere(at).map(|unacked| (at, unacked));
        ordinals.into_iter().filter_map(take).collect()
    }

    /// Forgets the entries of `range`, wherever they are. False: there were none.
    pub(crate) fn forget(&mut self, range: Range<Ordinal>) -> bool {
        let found: Vec<_> = self.entries.range(range).map(|(&at, _)| at).collect();
        for &at in &found {
            self.take_anywhere(at);
        }
        !found.is_empty()
    }

    /// Notes how many messages of an entry are still not acked, if it is at a consumer.
    pub(crate) fn narrow(&mut self, at: Ordinal, remaining: impl FnOnce() -> u32) {
        if let Some((consumer, unacked)) = self.entries.get_mut(&at)
            && let Some(held) = self.held.get_mut(consumer)
        {
            let messages = remaining().min(unacked.messages);
            held.messages -= u64::from(unacked.messages - messages);
            self.messages -= u64::from(unacked.messages - messages);
            unacked.messages = messages;
        }
    }

    /// Everything is read anew.
    pub(crate) fn rewind(&mut self) {
        self.begin(self.tracks_keys);
        self.dead.rewind();
    }

    /// Counts again; for assertions.
    pub(crate) fn is_consistent(&self) -> bool {
        let mut slots = BTreeMap::new();
        let mut held: BTreeMap<ConsumerKey, Held> = BTreeMap::new();
        for &(consumer, unacked) in self.entries.values() {
            let held = held.entry(consumer).or_default();
            held.entries += 1;
            held.messages += u64::from(unacked.messages);
            if self.tracks(unacked.slot) {
                slots.entry(unacked.slot).or_insert((consumer, 0)).1 += 1;
            }
        }
        let messages: u64 = held.values().map(|held| held.messages).sum();
        let no_longer_here = self.entries.keys().all(|&at| !self.dead.contains(at));
        slots == self.slots
            && held == self.held
            && messages == self.messages
            && no_longer_here
            && self.dead.is_consistent()
    }
}
