//! The entries of a `Key_Shared` subscription that wait, each in the lane of the consumer it is for.
//!
//! So that what one consumer can be sent is found without looking at what others wait for. A slot's
//! entries are all in one lane. When the consumers change, or whole ranges are acked, everything is
//! put into its lane again before the next poll.
//!
//! # Invariants
//!
//! 1. Polled dry, an entry that waits is in the lane that its slot is for, and in no other.
//! 2. What a consumer is sent comes from the front of its lane: so a slot's entries stay in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use geminga_types::Ordinal;

use crate::{ConsumerKey, Kind, members::Members, pending::Pending};

/// Where the entries of a slot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// For the consumer that has the slot.
    Of(ConsumerKey),
    /// Until the slot's former owner has acked what it holds, or its dead letters are published.
    Draining(u32),
    /// Nobody has the slot.
    Nobody,
    /// The subscription has no lanes.
    None,
}

/// Knows the lane of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Router<'a> {
    pub(crate) members: &'a Members,
    pub(crate) pending: &'a Pending,
}

/// What waits, by lane.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    of: BTreeMap<ConsumerKey, BTreeSet<Ordinal>>,
    draining: BTreeMap<u32, BTreeSet<Ordinal>>,
    /// Since when slots wait, in milliseconds of wall time. Kept while everything is sorted again.
    draining_since: BTreeMap<u32, u64>,
    /// The time of the last poll.
    now_wall_ms: u64,
    nobody: BTreeSet<Ordinal>,
    last_served: Option<ConsumerKey>,
}

impl Router<'_> {
    pub(crate) fn has_lanes(&self) -> bool {
        self.members.kind() == Some(Kind::KeyShared)
    }

    fn is_held_by_the_dead(&self, slot: u32) -> bool {
        self.pending.dead.holds_slot(slot) && self.members.keeps_key_order()
    }

    pub(crate) fn lane(&self, slot: u32) -> Lane {
        if !self.has_lanes() {
            return Lane::None;
        }
        let Some(owner) = self.members.owner(slot) else {
            return Lane::Nobody;
        };
        match self.pending.slot_holder(slot) {
            Some(holder) if holder != owner => Lane::Draining(slot),
            _ if self.is_held_by_the_dead(slot) => Lane::Draining(slot),
            Some(_) | None => Lane::Of(owner),
        }
    }
}

impl Lanes {
    pub(crate) fn insert(&mut self, lane: Lane, at: Ordinal) {
        match lane {
            Lane::Of(consumer) => self.of.entry(consumer).or_default().insert(at),
            Lane::Draining(slot) => {
                self.draining_since.entry(slot).or_insert(self.now_wall_ms);
                self.draining.entry(slot).or_default().insert(at)
            }
            Lane::Nobody => self.nobody.insert(at),
            Lane::None => false,
        };
    }

    pub(crate) fn remove(&mut self, lane: Lane, at: Ordinal) {
        match lane {
            Lane::Of(consumer) => {
                if let Some(lane) = self.of.get_mut(&consumer) {
                    lane.remove(&at);
                }
            }
            Lane::Draining(slot) => {
                if let Some(lane) = self.draining.get_mut(&slot) {
                    lane.remove(&at);
                    if lane.is_empty() {
                        self.draining.remove(&slot);
                        self.draining_since.remove(&slot);
                    }
                }
            }
            Lane::Nobody => _ = self.nobody.remove(&at),
            Lane::None => {}
        }
    }

    /// Notes the time.
    pub(crate) const fn set_now(&mut self, now_wall_ms: u64) {
        self.now_wall_ms = now_wall_ms;
    }

    /// Puts what waits into its lane again, whatever was there before.
    pub(crate) fn sort(&mut self, waiting: impl Iterator<Item = (Lane, Ordinal)>) {
        self.of.clear();
        self.draining.clear();
        self.nobody.clear();
        waiting.for_each(|(lane, at)| self.insert(lane, at));
        self.draining_since.retain(|slot, _| self.draining.contains_key(slot));
    }

    /// How much waits for a consumer.
    pub(crate) fn waiting_for(&self, consumer: ConsumerKey) -> usize {
        self.of.get(&consumer).map_or(0, BTreeSet::len)
    }

    /// Slots that wait for their former owners: since when, and how much.
    pub(crate) fn draining(&self) -> impl Iterator<Item = (u32, u64, usize)> {
        self.draining.iter().map(|(&slot, lane)| {
            (slot, self.draining_since.get(&slot).copied().unwrap_or(self.now_wall_ms), lane.len())
        })
    }

    /// Whether entries of `slot` wait for its former owner.
    pub(crate) fn has_draining(&self, slot: u32) -> bool {
        self.draining.contains_key(&slot)
    }

    /// Lets the entries of a drained slot go to its owner.
    pub(crate) fn drained(&mut self, slot: u32, owner: ConsumerKey) {
        self.draining_since.remove(&slot);
        if let Some(entries) = self.draining.remove(&slot) {
            self.of.entry(owner).or_default().extend(entries);
        }
    }

    /// Whose turn it is: the next one, behind the last that was served, whom `can_take` the first
    /// entry of its lane.
    pub(crate) fn take_turn(
        &mut self,
        can_take: impl Fn(ConsumerKey, Ordinal) -> bool,
    ) -> Option<ConsumerKey> {
        let is_ready = |&(key, lane): &(ConsumerKey, &BTreeSet<Ordinal>)| {
            lane.first().is_some_and(|&at| can_take(key, at))
        };
        let (key, _) = self.turns().find(is_ready)?;
        self.last_served = Some(key);
        Some(key)
    }

    /// The consumers for whom something waits, with that: from the one behind the last that was served.
    pub(crate) fn turns(&self) -> impl Iterator<Item = (ConsumerKey, &BTreeSet<Ordinal>)> {
        let last = self.last_served.unwrap_or(ConsumerKey(u64::MAX));
        let behind = self.of.range((Bound::Excluded(last), Bound::Unbounded));
        let lanes = behind.chain(self.of.range(..=last));
        lanes.filter(|(_, lane)| !lane.is_empty()).map(|(&key, lane)| (key, lane))
    }

    /// The first entry that waits for a consumer.
    pub(crate) fn first(&self, consumer: ConsumerKey) -> Option<Ordinal> {
        self.of.get(&consumer)?.first().copied()
    }

    pub(crate) fn pop_first(&mut self, consumer: ConsumerKey) {
        if let Some(lane) = self.of.get_mut(&consumer) {
            lane.pop_first();
        }
    }

    /// Whether exactly what `waiting` says is here, in its lane; for assertions.
    pub(crate) fn holds(&self, waiting: &BTreeMap<Ordinal, Lane>) -> bool {
        let is_here = |(&at, &lane): (&Ordinal, &Lane)| match lane {
            Lane::Of(consumer) => self.of.get(&consumer).is_some_and(|lane| lane.contains(&at)),
            Lane::Draining(slot) => self.draining.get(&slot).is_some_and(|lane| lane.contains(&at)),
            Lane::Nobody => self.nobody.contains(&at),
            Lane::None => true,
        };
        let lanes = self.of.values().chain(self.draining.values());
        let here = self.nobody.len() + lanes.map(BTreeSet::len).sum::<usize>();
        let expected = waiting.values().filter(|&&lane| lane != Lane::None).count();
        here == expected && waiting.iter().all(is_here)
    }
}
