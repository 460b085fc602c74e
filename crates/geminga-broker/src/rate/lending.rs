//! Rates of several groups that lend each other what they do not use.
//!
//! Each group has a rate of its own, and all rates together are the pool. What a group takes within its rate
//! costs the group and the pool; what it takes beyond, a loan, costs the pool alone. So loans come out of what
//! others left, and whoever comes back to its own rate has it at once: the pool is then in debt, and lends
//! nothing until that is paid.
//!
//! Of those that want a loan the one of the highest priority gets it, among equals the one that has borrowed
//! least in proportion to its rate. A group that was refused wants a loan for [`WANTED`], or until it has
//! taken: who asks no more holds nobody back for longer.
//!
//! This is the hierarchical token bucket of Linux traffic control with one parent, whose rate is the sum of its
//! children's, and without ceilings.
//!
//! # Invariants
//!
//! 1. A group that is within its rate passes, whatever the others do.
//! 2. Over time no more passes than the sum of the rates of groups that are limited.
//! 3. While a group wants a loan and the pool has something, somebody gets one.

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use geminga_env::Instant;

use super::{Bucket, Left};

/// For how long a group counts as one that wants a loan after it was refused. Longer than who waits takes to
/// look again, so that a turn is not lost in between.
const WANTED: Duration = Duration::from_millis(30);

/// A group that was not refused for this long has no claim on loans that others got meanwhile.
const ACTIVE: Duration = Duration::from_millis(100);
/// A group may be ahead of another by loans of this long, at its own rate, before it is the other's turn.
/// Longer than who waits takes to look again: so much is there to be lent by then.
const TURN: Duration = Duration::from_millis(20);
/// Who waits looks again after this long at the latest: rates and turns change.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a group may take in a second, and who goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Messages; `None` is no limit, and nothing to lend.
    pub(crate) messages: Option<u64>,
    /// Bytes; `None` is no limit, and nothing to lend.
    pub(crate) bytes: Option<u64>,
    /// Among those that want a loan the highest is served first.
    pub(crate) priority: i32,
}

/// What a group has used of its rates since this broker knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// Messages beyond its rate, which others left.
    pub lent_messages: u64,
    /// Bytes beyond its rate.
    pub lent_bytes: u64,
    /// Messages that it may take in a second; `None` is no limit.
    pub message_rate: Option<u64>,
    /// Bytes that it may take in a second; `None` is no limit.
    pub byte_rate: Option<u64>,
}

/// Holds the rates of groups that have names of type `G`.
#[derive(Debug)]
pub(crate) struct Lending<G> {
    groups: BTreeMap<G, Group>,
    /// Messages and bytes of all groups together.
    pool: [Bucket; 2],
    lends: bool,
    pause: Duration,
    /// What the group that was served last had borrowed: who wants a loan anew begins there, so that it cannot
    /// claim what it left to others.
    served_at: u128,
}

#[derive(Debug)]
struct Group {
    quota: Quota,
    own: [Bucket; 2],
    wants_until: Option<Instant>,
    active_until: Option<Instant>,
    /// Loans, in nanoseconds of its own rate.
    borrowed: u128,
    /// Everything that it took, in messages and bytes.
    taken: [u64; 2],
    /// What of that was beyond its rate.
    loans: [u64; 2],
}

impl Quota {
    const fn amounts(&self) -> [Option<u64>; 2] {
        [self.messages, self.bytes]
    }
}

impl<G: Ord + Clone> Lending<G> {
    /// No groups yet. Without `lends` each keeps to its own rate; who waits looks again after `pause` at the
    /// earliest.
    pub(crate) fn new(lends: bool, pause: Duration, now: Instant) -> Self {
        let pool = [Bucket::new(None, now), Bucket::new(None, now)];
        Self { groups: BTreeMap::new(), pool, lends, pause, served_at: 0 }
    }

    /// A group is there, with this quota from now on. What it owes it goes on owing.
    pub(crate) fn set(&mut self, name: &G, quota: Quota, now: Instant) {
        if let Some(group) = self.groups.get_mut(name) {
            for (bucket, amount) in group.own.iter_mut().zip(quota.amounts()) {
                bucket.change(now, amount.map(|amount| amount.max(1)));
            }
            group.quota = quota;
        } else {
            let group = Group::new(quota, now);
            self.groups.insert(name.clone(), group);
        }
        self.sum_up(now);
    }

    /// A group is gone.
    pub(crate) fn remove(&mut self, name: &G, now: Instant) {
        self.groups.remove(name);
        self.sum_up(now);
    }

    /// What a group may take now. One that finds nothing wants a loan from now on.
    pub(crate) fn ask(&mut self, name: &G, now: Instant) -> Left {
        let left = self.left(name, now);
        if left.again_at.is_some() && self.lends {
            self.want(name, now);
        }
        left
    }

    /// What a group may take now; one that there is not, everything.
    pub(crate) fn left(&self, name: &G, now: Instant) -> Left {
        let Some(group) = self.groups.get(name) else { return Left::ALL };
        let is_next = self.lends && self.is_next(name, group, now);
        let left = [0, 1].map(|of| match group.own[of].left(now) {
            0 if is_next => self.pool[of].left(now),
            own => own,
        });
        let again_at =
            (left[0] == 0 || left[1] == 0).then(|| self.again_at(group, left, is_next, now));
        Left { messages: left[0], bytes: left[1], again_at }
    }

    /// A group took so much.
    pub(crate) fn take(&mut self, name: &G, now: Instant, messages: u64, bytes: u64) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let amounts = group.quota.amounts();
        let mut loan = Duration::ZERO;
        for (of, count) in [messages, bytes].into_iter().enumerate() {
            group.taken[of] = group.taken[of].saturating_add(count);
            let Some(amount) = amounts[of] else { continue };
            if 0 < group.own[of].left(now) {
                group.own[of].take(now, count);
            } else {
                group.loans[of] = group.loans[of].saturating_add(count);
                loan = loan.max(seconds(count, amount));
            }
            self.pool[of].take(now, count);
        }
        group.wants_until = None;
        if !loan.is_zero() {
            group.borrowed = group.borrowed.saturating_add(loan.as_nanos());
            self.served_at = self.served_at.max(group.borrowed);
        }
    }

    /// What a group took since it is there.
    pub(crate) fn used(&self, name: &G) -> Option<Used> {
        let group = self.groups.get(name)?;
        let ([messages, bytes], [lent_messages, lent_bytes]) = (group.taken, group.loans);
        let Quota { messages: message_rate, bytes: byte_rate, .. } = group.quota;
        Some(Used { messages, bytes, lent_messages, lent_bytes, message_rate, byte_rate })
    }

    /// Whether anything of a group is limited.
    pub(crate) fn is_limited(&self, name: &G) -> bool {
        let quota = self.groups.get(name).map(|group| group.quota);
        quota.is_some_and(|quota| quota.amounts().iter().any(Option::is_some))
    }

    fn want(&mut self, name: &G, now: Instant) {
        let others =
            self.groups.iter().filter(|(other, group)| *other != name && group.is_active(now));
        let least = others.map(|(_, group)| group.borrowed).min().unwrap_or(self.served_at);
        if let Some(group) = self.groups.get_mut(name) {
            if !group.is_active(now) {
                group.borrowed = group.borrowed.max(least);
            }
            group.wants_until = Some(now + WANTED);
            group.active_until = Some(now + ACTIVE);
        }
    }

    /// Whether a loan would be for this group, if there is something to lend.
    fn is_next(&self, name: &G, group: &Group, now: Instant) -> bool {
        let goes_before =
            |(other, its): (&G, &Group)| match its.quota.priority.cmp(&group.quota.priority) {
                _ if other == name || !its.wants(now) => false,
                Ordering::Greater => true,
                Ordering::Equal => its.borrowed + TURN.as_nanos() < group.borrowed,
                Ordering::Less => false,
            };
        !self.groups.iter().any(goes_before)
    }

    /// When it is worth asking again: own rate and loans pay for it, whichever is sooner.
    fn again_at(&self, group: &Group, left: [u64; 2], is_next: bool, now: Instant) -> Instant {
        let used_up = [0, 1].into_iter().filter(|&of| left[of] == 0);
        let paid = used_up.map(|of| match (self.lends, is_next) {
            (true, true) => group.own[of].paid_until.min(self.pool[of].paid_until),
            (true, false) => now, // Whose turn it is changes with the others' takes.
            (false, _) => group.own[of].paid_until,
        });
        paid.max().unwrap_or(now).min(now + LOOK_AGAIN).max(now + self.pause)
    }

    /// The pool has the rates of all that are limited.
    fn sum_up(&mut self, now: Instant) {
        for (of, bucket) in self.pool.iter_mut().enumerate() {
            let amounts = self.groups.values().filter_map(|group| group.own[of].amount);
            let sum = amounts.fold(0_u64, u64::saturating_add);
            bucket.change(now, (0 < sum).then_some(sum));
        }
    }
}

impl Group {
    fn new(quota: Quota, now: Instant) -> Self {
        let own =
            quota.amounts().map(|amount| Bucket::new(amount.map(|amount| amount.max(1)), now));
        Self {
            quota,
            own,
            wants_until: None,
            active_until: None,
            borrowed: 0,
            taken: [0, 0],
            loans: [0, 0],
        }
    }

    fn wants(&self, now: Instant) -> bool {
        self.wants_until.is_some_and(|until| now < until)
    }

    fn is_active(&self, now: Instant) -> bool {
        self.active_until.is_some_and(|until| now < until)
    }
}

/// How long a rate of `amount` in a second takes for so many.
fn seconds(count: u64, amount: u64) -> Duration {
    let nanos = u128::from(count) * 1_000_000_000 / u128::from(amount.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
