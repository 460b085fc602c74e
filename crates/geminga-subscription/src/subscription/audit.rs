//! Whether what is known of the entries agrees with itself.

use std::{collections::BTreeSet, ops::Range};

use geminga_types::Ordinal;

use super::Subscription;
use crate::lanes::Router;

/// Spans up to which the states of all entries are compared after each poll in debug builds.
const ASSERTED_MAX: u64 = 512;
/// Entries, and things in the maps, that one audit looks at: about a millisecond.
const AUDITED_MAX: u64 = 4096;

impl<P> Subscription<P> {
    /// Recounts a part of what is known, another one each `round`; once polled dry. False: an entry is in
    /// two states or none, or something was miscounted, and [`Self::repair`] is due.
    #[must_use]
    pub fn audit(&self, round: u64) -> bool {
        let (from, to) = (self.acks.next_unacked(), self.queue.next_read);
        if self.has_stale_lanes || to < from {
            return self.has_stale_lanes;
        }
        let parts = (to.0 - from.0).div_ceil(AUDITED_MAX).max(1);
        let part = from.plus(round % parts * AUDITED_MAX);
        let waiting = self.queue.replay().len() + self.queue.buffer().len();
        let dead = self.pending.dead.len();
        let in_maps = self.pending.len() + dead + waiting + self.redelivery_counts.len();
        let is_small = (in_maps + self.queue.delayed_len()) as u64 <= AUDITED_MAX;
        self.is_in_one_state_each(part..to.min(part.plus(AUDITED_MAX)))
            && (!is_small || self.has_consistent_maps())
    }

    /// Delivers everything again that is not acked: whatever was lost or miscounted is found again.
    pub fn repair(&mut self) {
        self.rewind();
        self.has_stale_lanes = true;
    }

    /// Compares what is known with the invariants; for assertions. Large spans are taken on trust.
    pub(super) fn is_consistent(&self) -> bool {
        let (from, to) = (self.acks.next_unacked(), self.queue.next_read);
        ASSERTED_MAX < to.0.saturating_sub(from.0)
            || from <= to && self.is_in_one_state_each(from..to) && self.has_consistent_maps()
    }

    /// On Exclusive and Failover, what was delivered is in no list; nor is on the others what is parked.
    fn is_in_one_state_each(&self, range: Range<Ordinal>) -> bool {
        let count = |at: Ordinal| {
            let states = [
                self.acks.is_acked(at),
                self.pending.contains(at),
                self.queue.buffer().contains_key(&at),
                self.queue.replay().contains_key(&at),
                self.queue.is_delayed(at),
                self.pending.dead.contains(at),
            ];
            states.into_iter().filter(|&is_so| is_so).count()
        };
        let has_parked = self.parked.known_until().is_some();
        let may_be_in_none = |at: Ordinal| match self.is_shared() {
            true => has_parked && self.parked.is_indexed(at),
            false => true,
        };
        let is_in_one = |at| count(at) == 1 || count(at) == 0 && may_be_in_none(at);
        (range.start.0..range.end.0).map(Ordinal).all(is_in_one)
    }

    fn has_consistent_maps(&self) -> bool {
        let (from, to) = (self.acks.next_unacked(), self.queue.next_read);
        let is_within = |at: &Ordinal| from <= *at && *at < to;
        let (buffer, replay) = (self.queue.buffer().keys(), self.queue.replay().keys());
        let waiting: BTreeSet<Ordinal> = buffer.chain(replay).copied().collect();
        waiting.iter().all(|at| is_within(at) && !self.is_dead(*at))
            && self.redelivery_counts.keys().all(|&at| !self.acks.is_acked(at))
            && self.queue.is_consistent(Router { members: &self.members, pending: &self.pending })
            && self.pending.is_consistent()
            && self.acks.is_consistent()
    }
}
