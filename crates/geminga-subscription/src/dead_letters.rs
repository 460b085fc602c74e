//! The entries that were asked for again too often: they wait for the dead-letter publisher, or are
//! there.
//!
//! The publisher has one batch at a time. What it has stored is acked; what it has not is tried again
//! after a back-off. Whoever recognises what is published twice, since it failed late or after a crash,
//! remembers a fixed number of messages. So a message that was handed out once counts until its ack is
//! durable, and is tried again before any that was not.
//!
//! # Invariants
//!
//! 1. Messages that were handed out and whose acks are not known to be durable are at most
//!    `messages_max`, whatever becomes of their entries; and after one of them no more than so many others
//!    are handed out for the first time before it is durably acked.
//! 2. `waiting` and `retrying` name exactly the entries that are to be read, and `retrying` those besides
//!    that were handed out before a load and were not met since; the sums are those of the entries.
//! 3. While an entry is here, nothing else of its slot is sent, where keys keep their order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use geminga_types::Ordinal;

use crate::backoff::Backoff;

/// Which entries are dead letters, and what is done with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterOptions {
    /// How often an entry may be asked for again; once more and it is not delivered again.
    pub redeliveries_max: u32,
    /// Most messages that are handed out and whose acks are not known to be durable; at least 1.
    pub messages_max: u64,
    /// Wait after the first failure, in milliseconds; doubled by each further one.
    pub retry_ms_min: u64,
    /// Longest wait after a failure, in milliseconds.
    pub retry_ms_max: u64,
}

/// All of a subscription's.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters {
    entries: BTreeMap<Ordinal, Dead>,
    /// To be read: those that were never handed out,
    waiting: BTreeSet<Ordinal>,
    /// and those that were.
    retrying: BTreeSet<Ordinal>,
    /// How many entries each slot has here.
    slots: BTreeMap<u32, usize>,
    /// What the publisher has, if anything: one batch.
    batch: Vec<Ordinal>,
    /// Messages that were handed out, of entries that are here.
    handed_messages: u64,
    /// Of entries that were acked since, or forgotten; the cursor log has not been told.
    settling_messages: u64,
    /// The same once it has, until it says that all that is durable.
    logged_messages: u64,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug)]
struct Dead {
    slot: u32,
    state: State,
    /// Messages of it that were handed out: they may be stored.
    handed_messages: u64,
    /// Whether any were, before a load or since.
    was_handed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be read.
    Waiting,
    /// Read, and goes to the publisher next.
    Read,
    /// At the publisher.
    Out,
}

impl DeadLetterOptions {
    /// Up to so many redeliveries; 500 messages at a time, a second to a minute between tries.
    #[must_use]
    pub const fn new(redeliveries_max: u32) -> Self {
        Self { redeliveries_max, messages_max: 500, retry_ms_min: 1_000, retry_ms_max: 60_000 }
    }

    /// The redelivery count from which on a load knows that an entry may have been published: one more
    /// than makes it a dead letter.
    pub(crate) const fn count_of_handed_out(&self) -> u32 {
        self.redeliveries_max.saturating_add(2)
    }
}

impl DeadLetters {
    pub(crate) fn contains(&self, at: Ordinal) -> bool {
        self.entries.contains_key(&at)
    }

    pub(crate) fn is_waiting(&self, at: Ordinal) -> bool {
        self.waiting.contains(&at) || self.retrying.contains(&at)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them are before `end`.
    pub(crate) fn len_before(&self, end: Ordinal) -> usize {
        match self.entries.last_key_value() {
            Some((last, _)) if end <= *last => self.entries.range(..end).count(),
            _ => self.entries.len(),
        }
    }

    /// Entries at the publisher, and messages of which nobody knows whether they are durably acked.
    pub(crate) fn out(&self) -> (u64, u64) {
        let out = self.batch.iter().filter(|&&at| self.is_at_publisher(at));
        (out.count() as u64, self.unsettled())
    }

    pub(crate) const fn is_out(&self) -> bool {
        !self.batch.is_empty()
    }

    pub(crate) fn holds_slot(&self, slot: u32) -> bool {
        self.slots.contains_key(&slot)
    }

    /// The first entry of each slot.
    pub(crate) fn first_by_slot(&self) -> BTreeMap<u32, Ordinal> {
        let mut firsts = BTreeMap::new();
        for (&at, dead) in &self.entries {
            firsts.entry(dead.slot).or_insert(at);
        }
        firsts
    }

    /// Notes that an entry may have been published before a load: it is read before any other, and
    /// counts as here once it is met.
    pub(crate) fn restore(&mut self, at: Ordinal) {
        self.retrying.insert(at);
    }

    /// Takes an entry in, to be read for the publisher. True: its slot was free before.
    pub(crate) fn bury(&mut self, at: Ordinal, slot: u32) -> bool {
        let was_handed = self.retrying.contains(&at);
        let dead = Dead { slot, state: State::Waiting, handed_messages: 0, was_handed };
        let before = self.entries.insert(at, dead);
        debug_assert!(before.is_none(), "an entry dies once");
        if !was_handed {
            self.waiting.insert(at);
        }
        self.enter(slot)
    }

    /// An entry is of this slot: it was a chunk of its message when it died, and may have met another type
    /// of subscription since. False: that was known.
    pub(crate) fn move_to(&mut self, at: Ordinal, slot: u32) -> bool {
        let Some(dead) = self.entries.get_mut(&at) else { return false };
        let before = std::mem::replace(&mut dead.slot, slot);
        if before != slot {
            self.leave(before);
            self.enter(slot);
        }
        before != slot
    }

    /// What is to be read for the publisher now, ascending. What was tried before is first, and needs no
    /// more room.
    pub(crate) fn to_read(&self, messages_max: u64) -> impl Iterator<Item = Ordinal> {
        let set = if self.retrying.is_empty() { &self.waiting } else { &self.retrying };
        let needs_room = set
            .first()
            .and_then(|at| self.entries.get(at))
            .is_none_or(|dead| dead.handed_messages == 0);
        let has_room = !needs_room || 0 < self.room(messages_max);
        let may_try = has_room && !self.is_out() && self.backoff.may_try();
        Some(set).filter(|_| may_try).into_iter().flatten().copied()
    }

    /// An entry has been read. True: it is for the publisher now, since it is its turn.
    pub(crate) fn read(&mut self, at: Ordinal, messages_max: u64) -> bool {
        if self.to_read(messages_max).next() != Some(at) {
            return false;
        }
        if let Some(dead) = self.entries.get_mut(&at) {
            dead.state = State::Read;
        }
        self.waiting.remove(&at);
        self.retrying.remove(&at);
        true
    }

    /// Hands out up to `messages` of an entry that was read; returns how many. 0: it waits again.
    pub(crate) fn hand_out(&mut self, at: Ordinal, messages: u32, messages_max: u64) -> u32 {
        let room = self.room(messages_max);
        let Some(dead) = self.entries.get_mut(&at) else { return 0 };
        let handed = u64::from(messages).min(room + dead.handed_messages);
        if handed == 0 {
            self.wait(at);
            return 0;
        }
        self.handed_messages = self.handed_messages - dead.handed_messages + handed;
        *dead = Dead { handed_messages: handed, was_handed: true, state: State::Out, ..*dead };
        self.batch.push(at);
        u32::try_from(handed).unwrap_or(messages)
    }

    pub(crate) fn is_at_publisher(&self, at: Ordinal) -> bool {
        self.entries.get(&at).is_some_and(|dead| dead.state == State::Out)
    }

    /// So many messages of an entry were stored, and are acked.
    pub(crate) fn settle(&mut self, at: Ordinal, messages: u64) {
        let Some(dead) = self.entries.get_mut(&at) else { return };
        let messages = messages.min(dead.handed_messages);
        dead.handed_messages -= messages;
        dead.was_handed = 0 < dead.handed_messages;
        self.handed_messages -= messages;
        self.settling_messages += messages;
    }

    /// The publisher has answered for all that it had. What is still here waits to be tried again.
    pub(crate) fn on_answer(&mut self, has_stored: bool, has_failed: bool) {
        for at in std::mem::take(&mut self.batch) {
            if self.is_at_publisher(at) {
                self.wait(at);
            }
        }
        if has_stored || !has_failed {
            self.backoff.on_success();
        }
        if has_failed {
            self.backoff.on_failure();
        }
    }

    /// An entry is acked. Returns its slot if it was here.
    pub(crate) fn remove(&mut self, at: Ordinal) -> Option<u32> {
        self.retrying.remove(&at);
        let dead = self.entries.remove(&at)?;
        self.waiting.remove(&at);
        self.handed_messages -= dead.handed_messages;
        self.settling_messages += dead.handed_messages;
        self.leave(dead.slot);
        Some(dead.slot)
    }

    /// Forgets the entries of `range`. False: there were none.
    pub(crate) fn forget(&mut self, range: Range<Ordinal>) -> bool {
        self.retrying.extract_if(range.clone(), |at| !self.entries.contains_key(at)).for_each(drop);
        let found: Vec<_> = self.entries.range(range).map(|(&at, _)| at).collect();
        found.iter().for_each(|&at| _ = self.remove(at));
        !found.is_empty()
    }

    /// Everything is read anew. What was never handed out is met again; the rest is not forgotten.
    pub(crate) fn rewind(&mut self) {
        let known: Vec<_> = self.entries.iter().map(|(&at, &dead)| (at, dead)).collect();
        for (at, dead) in known {
            if dead.handed_messages == 0 {
                self.remove(at);
                if dead.was_handed {
                    self.restore(at);
                }
            } else if dead.state == State::Read {
                self.wait(at);
            }
        }
    }

    /// Nothing is a dead letter any more; what the publisher has is not acked by its answer.
    pub(crate) fn clear(&mut self) {
        self.forget(Ordinal(0)..Ordinal(u64::MAX));
    }

    /// Messages whose acks the next write to the cursor log makes durable.
    pub(crate) const fn take_settling(&mut self) -> u64 {
        self.logged_messages += self.settling_messages;
        std::mem::replace(&mut self.settling_messages, 0)
    }

    /// That write is durable.
    pub(crate) const fn settled(&mut self, messages: u64) {
        self.logged_messages = self.logged_messages.saturating_sub(messages);
    }

    pub(crate) fn on_time(&mut self, now_wall_ms: u64, options: &DeadLetterOptions) {
        self.backoff.on_time(now_wall_ms, options.retry_ms_min, options.retry_ms_max);
    }

    pub(crate) const fn retry_at(&self) -> Option<u64> {
        self.backoff.retry_at()
    }

    fn wait(&mut self, at: Ordinal) {
        let Some(dead) = self.entries.get_mut(&at) else { return };
        dead.state = State::Waiting;
        let set = if dead.was_handed { &mut self.retrying } else { &mut self.waiting };
        set.insert(at);
    }

    /// True: nothing else of the slot is here.
    fn enter(&mut self, slot: u32) -> bool {
        let entries = self.slots.entry(slot).or_default();
        *entries += 1;
        *entries == 1
    }

    fn leave(&mut self, slot: u32) {
        if let Some(entries) = self.slots.get_mut(&slot) {
            *entries -= 1;
            if *entries == 0 {
                self.slots.remove(&slot);
            }
        }
    }

    const fn unsettled(&self) -> u64 {
        self.handed_messages + self.settling_messages + self.logged_messages
    }

    const fn room(&self, messages_max: u64) -> u64 {
        messages_max.saturating_sub(self.unsettled())
    }

    /// Counts again; for assertions.
    pub(crate) fn is_consistent(&self) -> bool {
        let mut slots = BTreeMap::new();
        self.entries.values().for_each(|dead| *slots.entry(dead.slot).or_default() += 1);
        let handed: u64 = self.entries.values().map(|dead| dead.handed_messages).sum();
        let to_read = |was_tried: bool| -> BTreeSet<Ordinal> {
            let waiting = self.entries.iter().filter(|(_, dead)| dead.state == State::Waiting);
            let of_kind = waiting.filter(|(_, dead)| dead.was_handed == was_tried);
            of_kind.map(|(&at, _)| at).collect()
        };
        let retrying = self.retrying.iter().filter(|at| self.entries.contains_key(at));
        let has_out = self.entries.values().any(|dead| dead.state == State::Out);
        slots == self.slots
            && handed == self.handed_messages
            && to_read(false) == self.waiting
            && to_read(true).iter().eq(retrying)
            && (self.is_out() || !has_out)
    }
}
