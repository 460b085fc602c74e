//! The consumers attached to a subscription: who may join, who is active, whose turn it is.
//!
//! # Invariants
//!
//! 1. All members are of one kind, and on `Key_Shared` of one set of terms.
//! 2. An Exclusive or Failover subscription with members has an active one; no other kind has.
//! 3. A member's permits are what it granted less what it was sent; they begin at 0 with each
//!    attachment.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use geminga_types::KEY_SLOTS;

use crate::{
    AttachError, AutoSplit, ConsumerInfo, ConsumerKey, KeySharedMode, Kind, Options,
    slots::{Slots, slot_of_point},
};

/// Points of a Failover consumer on the ring of names.
const FAILOVER_POINTS: u32 = 100;

/// A consumer while it is attached.
#[derive(Debug)]
pub(crate) struct Member {
    info: ConsumerInfo,
    /// Tells apart members of one name.
    namesake: u64,
    arrival: u64,
    granted_messages: u64,
    pub(crate) delivered_messages: u64,
    pub(crate) delivered_entries: u64,
    pub(crate) is_writable: bool,
    /// Whether its unacked limit holds it back.
    pub(crate) is_blocked: bool,
    pub(crate) epoch: Option<u64>,
}

/// The consumers of one subscription.
#[derive(Debug)]
pub(crate) struct Members {
    partition: Option<u32>,
    failover_slot: Option<u32>,
    auto_split: AutoSplit,
    by_key: BTreeMap<ConsumerKey, Member>,
    arrivals: u64,
    active: Option<ConsumerKey>,
    /// Failover consumers to be told whether they are active; the latest state is enough.
    announcements: BTreeMap<ConsumerKey, bool>,
    slots: Slots,
    last_served: Option<ConsumerKey>,
}

impl Member {
    /// Messages it may still be sent; below 0 after a batch that was larger.
    pub(crate) const fn permits(&self) -> i64 {
        self.granted_messages.cast_signed().wrapping_sub(self.delivered_messages.cast_signed())
    }

    pub(crate) const fn is_ready(&self) -> bool {
        self.is_writable && !self.is_blocked && 0 < self.permits()
    }

    /// Whether it wants what is in `slot`: readers may ask for some hashes only.
    pub(crate) fn wants(&self, slot: u32) -> bool {
        match (self.info.kind, mode_of(&self.info)) {
            (Kind::Exclusive | Kind::Failover, KeySharedMode::Sticky(ranges)) => {
                ranges.iter().any(|range| range.contains(&slot))
            }
            _ => true,
        }
    }

    /// Notes that an entry with `messages` is sent to it.
    pub(crate) fn charge(&mut self, messages: u32) {
        self.delivered_messages = self.delivered_messages.saturating_add(u64::from(messages));
        self.delivered_entries += 1;
    }
}

impl Members {
    pub(crate) const fn new(options: &Options) -> Self {
        Self {
            partition: options.partition,
            failover_slot: options.failover_slot,
            auto_split: options.auto_split,
            by_key: BTreeMap::new(),
            arrivals: 0,
            active: None,
            announcements: BTreeMap::new(),
            slots: Slots::new(&KeySharedMode::AutoSplit, options.auto_split),
            last_served: None,
        }
    }

    /// The kind of those attached.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.by_key.first_key_value().map(|(_, member)| member.info.kind)
    }

    /// Whether a key's entries go one after the other.
    pub(crate) fn keeps_key_order(&self) -> bool {
        self.by_key.first_key_value().is_some_and(|(_, member)| {
            member.info.kind == Kind::KeyShared && !allows_out_of_order(&member.info)
        })
    }

    pub(crate) const fn active(&self) -> Option<ConsumerKey> {
        self.active
    }

    pub(crate) fn get(&self, key: ConsumerKey) -> Option<&Member> {
        self.by_key.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: ConsumerKey) -> Option<&mut Member> {
        self.by_key.get_mut(&key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConsumerKey, &Member)> {
        self.by_key.iter().map(|(&key, member)| (key, member))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (ConsumerKey, &mut Member)> {
        self.by_key.iter_mut().map(|(&key, member)| (key, member))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Takes a consumer in.
    ///
    /// # Errors
    ///
    /// As [`AttachError`] says; nothing has changed then.
    pub(crate) fn attach(
        &mut self,
        key: ConsumerKey,
        info: ConsumerInfo,
    ) -> Result<(), AttachError> {
        self.admit(key, &info)?;
        let taken: BTreeSet<u64> = self.namesakes(&info.name).collect();
        let namesake = (0..).find(|number| !taken.contains(number)).unwrap_or(u64::MAX);
        if info.kind == Kind::KeyShared {
            let mode = mode_of(&info);
            if self.is_empty() {
                self.slots = Slots::new(mode, self.auto_split);
            }
            self.slots.add(key, &ring_name(&info.name, namesake), mode)?;
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        let (kind, member) = (info.kind, Member::new(info, namesake, arrival));
        self.by_key.insert(key, member);
        if !self.choose_active() && kind == Kind::Failover {
            self.announcements.insert(key, self.active == Some(key));
        }
        Ok(())
    }

    /// Lets a consumer go; false if it was not there.
    pub(crate) fn detach(&mut self, key: ConsumerKey) -> bool {
        let was_there = self.by_key.remove(&key).is_some();
        self.announcements.remove(&key);
        self.slots.remove(key);
        self.choose_active();
        was_there
    }

    pub(crate) fn grant(&mut self, key: ConsumerKey, permits: u32) {
        if let Some(member) = self.by_key.get_mut(&key) {
            let granted = member.granted_messages.saturating_add(u64::from(permits));
            member.granted_messages = granted;
        }
    }

    pub(crate) fn poll_announcement(&mut self) -> Option<(ConsumerKey, bool)> {
        self.announcements.pop_first()
    }

    /// The consumer that has a key's slot.
    pub(crate) fn owner(&self, slot: u32) -> Option<ConsumerKey> {
        self.slots.owner(slot % KEY_SLOTS)
    }

    pub(crate) fn is_ready(&self, key: ConsumerKey) -> bool {
        self.by_key.get(&key).is_some_and(Member::is_ready)
    }

    /// Permits of all that are ready.
    pub(crate) fn ready_permits(&self) -> u64 {
        let ready = self.by_key.values().filter(|member| member.is_ready());
        ready.map(|member| member.permits().unsigned_abs()).fold(0, u64::saturating_add)
    }

    /// Whose turn it is on a Shared subscription, and how many of its priority are ready: of those
    /// ready with the best priority the one after the last that was served.
    pub(crate) fn take_turn(&mut self) -> Option<(ConsumerKey, usize)> {
        let ready = || self.by_key.iter().filter(|(_, member)| member.is_ready());
        let best = ready().map(|(_, member)| member.info.priority).min()?;
        let peers = ready().filter(|(_, member)| member.info.priority == best).count();
        let after = self.last_served.map_or(Bound::Unbounded, Bound::Excluded);
        let is_peer = |(_, member): &(&ConsumerKey, &Member)| {
            member.is_ready() && member.info.priority == best
        };
        let next = self.by_key.range((after, Bound::Unbounded)).find(is_peer);
        let (&key, _) = next.or_else(|| self.by_key.iter().find(is_peer))?;
        self.last_served = Some(key);
        Some((key, peers))
    }

    fn admit(&self, key: ConsumerKey, info: &ConsumerInfo) -> Result<(), AttachError> {
        let Some((_, first)) = self.by_key.first_key_value() else {
            return Ok(());
        };
        let attached = first.info.kind;
        let has_same_terms = attached != Kind::KeyShared
            || self.slots.is_of(mode_of(info))
                && allows_out_of_order(info) == allows_out_of_order(&first.info);
        if attached != info.kind || !has_same_terms {
            Err(AttachError::KindMismatch { attached })
        } else if attached == Kind::Exclusive || self.by_key.contains_key(&key) {
            Err(AttachError::ConsumerBusy)
        } else {
            Ok(())
        }
    }

    fn namesakes(&self, name: &str) -> impl Iterator<Item = u64> {
        let same = self.by_key.values().filter(move |member| &*member.info.name == name);
        same.map(|member| member.namesake)
    }

    /// Chooses the active consumer again; true if it is another, which all are then told.
    fn choose_active(&mut self) -> bool {
        let kind = self.kind();
        let chosen = match kind {
            Some(Kind::Exclusive | Kind::Failover) => self.best(),
            Some(Kind::Shared | Kind::KeyShared) | None => None,
        };
        if self.active == chosen {
            return false;
        }
        self.active = chosen;
        if kind == Some(Kind::Failover) {
            let told = self.by_key.keys().map(|&key| (key, Some(key) == chosen));
            self.announcements.extend(told);
        }
        true
    }

    /// By priority; then by the ring of names, if that is wanted, or by arrival, or by name and the
    /// partition's number on a partition.
    fn best(&self) -> Option<ConsumerKey> {
        let priority = self.by_key.values().map(|member| member.info.priority).min()?;
        let peers = self.by_key.iter().filter(|(_, member)| member.info.priority == priority);
        if let Some(slot) = self.failover_slot {
            let distance = |(key, member): (&ConsumerKey, &Member)| {
                let name = ring_name(&member.info.name, member.namesake);
                let points = (0..FAILOVER_POINTS).map(|point| slot_of_point(&name, point));
                (points.map(|point| point.wrapping_sub(slot) % KEY_SLOTS).min(), *key)
            };
            return peers.map(distance).min().map(|(_, key)| key);
        }
        let Some(partition) = self.partition else {
            return peers.min_by_key(|(_, member)| member.arrival).map(|(&key, _)| key);
        };
        let mut peers: Vec<_> = peers.collect();
        peers.sort_by_key(|(_, member)| (&member.info.name, member.arrival));
        let index = usize::try_from(partition).unwrap_or(0) % peers.len().max(1);
        peers.get(index).map(|&(&key, _)| key)
    }
}

impl Member {
    const fn new(info: ConsumerInfo, namesake: u64, arrival: u64) -> Self {
        Self {
            info,
            namesake,
            arrival,
            granted_messages: 0,
            delivered_messages: 0,
            delivered_entries: 0,
            is_writable: true,
            is_blocked: false,
            epoch: None,
        }
    }
}

/// Unique among those attached.
fn ring_name(name: &str, namesake: u64) -> String {
    format!("{name}/{namesake}")
}

fn mode_of(info: &ConsumerInfo) -> &KeySharedMode {
    info.key_shared.as_ref().map_or(&KeySharedMode::AutoSplit, |terms| &terms.mode)
}

fn allows_out_of_order(info: &ConsumerInfo) -> bool {
    info.key_shared.as_ref().is_some_and(|terms| terms.allow_out_of_order)
}

#[cfg(test)]
mod tests;
