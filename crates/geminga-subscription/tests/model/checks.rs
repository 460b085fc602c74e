//! What must hold after each poll, and at the end.

use geminga_subscription::{AckChange, ConsumerKey, Kind, Stats};
use geminga_types::Ordinal;

use super::world::{World, whole, words};

impl World {
    /// Whether `at` may go to `key` now, as far as order is concerned.
    pub(crate) fn check_order(&self, key: ConsumerKey, at: u64) {
        let seed = self.seed;
        if !self.is_shared() {
            let is_next = |other: &u64| {
                let entry = &self.entries[usize::try_from(*other).unwrap()];
                !self.is_acked(*other) && entry.visible && !self.is_over(*other)
            };
            let next = (self.cursor..self.end()).find(is_next);
            assert_eq!(Some(at), next, "seed {seed}: out of order");
        } else if self.keeps_order {
            let why = self.key_is_held_back(key, at);
            assert_eq!(why, None, "seed {seed}: {at} overtakes or splits its key");
        } else if self.kind == Kind::Shared {
            let why = self.chunk_is_held_back(key, at);
            assert_eq!(why, None, "seed {seed}: {at} overtakes or splits its message");
        }
    }

    /// The chunk of the same message for which `at` must wait before it goes to `key`.
    fn chunk_is_held_back(&self, key: ConsumerKey, at: u64) -> Option<u64> {
        let chunk_at = |at: u64| self.entries[usize::try_from(at).unwrap()].chunk;
        let chunk = chunk_at(at)?;
        let stands_in_the_way = |other: &u64| {
            let entry = &self.entries[usize::try_from(*other).unwrap()];
            let is_elsewhere = entry.at.is_some_and(|holder| holder != key);
            let is_coming = entry.visible && !self.is_over(*other) && !self.is_dead(*other);
            let is_before = *other < at && entry.at.is_none() && entry.deliver_at.is_none();
            let is_same = chunk_at(*other).is_some_and(|other| other.message == chunk.message);
            *other != at
                && is_same
                && entry.remaining != 0
                && (is_elsewhere || !chunk.is_first && is_before && is_coming)
        };
        (0..self.end()).find(stands_in_the_way)
    }

    /// The entry of the same key for which `at` must wait before it goes to `key`.
    fn key_is_held_back(&self, key: ConsumerKey, at: u64) -> Option<u64> {
        let slot = self.entries[usize::try_from(at).unwrap()].slot;
        let stands_in_the_way = |other: &u64| {
            let entry = &self.entries[usize::try_from(*other).unwrap()];
            let is_elsewhere = entry.at.is_some_and(|holder| holder != key);
            let is_due = entry.deliver_at.is_none();
            let is_shown = entry.visible && !self.is_over(*other);
            let is_before = *other < at && entry.at.is_none() && is_shown && is_due;
            *other != at
                && entry.slot == slot
                && entry.remaining != 0
                && (is_elsewhere || is_before)
        };
        (0..self.end()).find(stands_in_the_way)
    }

    /// Compares the whole state, once polled dry.
    pub(crate) fn check(&mut self) {
        let seed = self.seed;
        assert!(self.unsaid.is_empty(), "seed {seed}: {:?} acked and not said", self.unsaid);
        let state = self.sub.ack_state();
        let from = self.mark_delete();
        assert_eq!(state.next_unacked.0, from, "seed {seed}");
        assert_eq!(self.sub.mark_delete(), state.next_unacked, "seed {seed}");
        let acked: Vec<u64> = state.acked.iter().flat_map(|r| r.start.0..r.end.0).collect();
        let expected: Vec<u64> = (from..self.end()).filter(|&at| self.is_acked(at)).collect();
        assert_eq!(acked, expected, "seed {seed}");
        let is_partial = |entry: &super::world::Published| {
            entry.remaining != 0 && entry.remaining != whole(entry.messages)
        };
        let partial: Vec<_> = (0_u64..)
            .zip(&self.entries)
            .filter(|(_, entry)| is_partial(entry))
            .map(|(at, entry)| (Ordinal(at), words(entry.remaining)))
            .collect();
        assert_eq!(state.partial, partial, "seed {seed}");
        self.check_stats();
        if self.kind == Kind::Failover && self.hand_over.is_none() {
            for (&key, consumer) in &self.consumers {
                let is_active = self.active() == Some(key);
                assert_eq!(consumer.told_active, Some(is_active), "seed {seed}: {key:?}");
            }
        }
        assert!(self.sub.audit(self.now), "seed {seed}: the books do not balance");
        self.check_no_stall();
        self.check_letters();
        let timeout = self.sub.next_timeout();
        assert!(timeout.is_none_or(|at| self.now < at), "seed {seed}: it would spin");
    }

    fn check_stats(&self) {
        let (seed, stats) = (self.seed, self.sub.stats());
        let backlog = (0..self.end()).filter(|&at| !self.is_acked(at)).count() as u64;
        assert_eq!(stats.backlog_entries, backlog, "seed {seed}");
        assert_eq!(stats.active, self.active(), "seed {seed}");
        assert_eq!(stats.consumers.len(), self.consumers.len(), "seed {seed}");
        let in_order = (0..self.cursor.min(self.end())).filter(|&at| !self.is_acked(at)).count();
        for (stats, (&key, consumer)) in stats.consumers.iter().zip(&self.consumers) {
            assert_eq!(stats.consumer, key, "seed {seed}");
            assert_eq!(stats.permits, consumer.permits, "seed {seed}");
            assert_eq!(stats.is_blocked_on_unacked, consumer.is_blocked, "seed {seed}");
            let unacked = match self.holder() {
                Some(holder) if holder == key => in_order as u64,
                _ => self.unacked_of(key),
            };
            assert_eq!(stats.unacked_messages, unacked, "seed {seed}");
        }
        let unacked = stats.consumers.iter().map(|c| c.unacked_messages).sum::<u64>();
        assert_eq!(stats.unacked_messages, unacked, "seed {seed}");
        let is_reading = self.reads.iter().any(|read| read.is_wanted);
        assert_eq!(stats.is_reading, is_reading, "seed {seed}");
        assert!(stats.buffered_entries <= 2 * self.options.read_entries_max as u64, "seed {seed}");
        let held = stats.delayed_entries - stats.parked_entries;
        // What cannot be parked may be joined by what is due before it.
        let is_bounded = held <= 3 * self.options.delayed_entries_max as u64;
        assert!(is_bounded, "seed {seed}: {stats:?}");
        self.check_delayed(&stats);
    }

    /// Held or parked, what is not due counts, and nothing does that has no time.
    fn check_delayed(&self, stats: &Stats) {
        let (seed, next_read) = (self.seed, self.sub.next_read().0);
        let is_open = |at: &u64| {
            let entry = &self.entries[usize::try_from(*at).unwrap()];
            entry.remaining != 0 && entry.at.is_none() && entry.deliver_at.is_some()
        };
        let open = || (0..self.end().min(next_read)).filter(is_open);
        // A dead letter may be none of them, though delays did not count when it was delivered.
        let early = open().filter(|&at| self.is_early(at) && !self.is_dead(at)).count() as u64;
        let count = open().count() as u64;
        if self.is_shared() && !self.consumers.is_empty() {
            // When delays begin to count again, what was to be read at once is only put off when it is read.
            let again = stats.delayed_entries + stats.redelivery_entries;
            let is_right = early <= again && stats.delayed_entries <= count;
            assert!(is_right, "seed {seed}: {early} to {count}: {stats:?}");
        }
    }

    /// As much is held before the rest is parked or, without an index, not read.
    fn max_delayed(&self) -> u64 {
        let scarce_max = self.options.scarce_bytes.saturating_sub(1) / 80;
        let max = self.options.delayed_entries_max;
        if self.scarce.timers { max.min(scarce_max).max(1) as u64 } else { max as u64 }
    }

    /// Whether what is held cannot be parked.
    fn is_full_of_delayed(&self, held: u64) -> bool {
        let next_read = self.sub.next_read().0;
        let is_held = |at: &u64| {
            let entry = &self.entries[usize::try_from(*at).unwrap()];
            entry.remaining != 0 && entry.at.is_none() && self.is_early(*at)
        };
        let mut held_back = (0..self.end().min(next_read)).filter(is_held);
        self.max_delayed() <= held && held_back.any(|at| !self.is_indexed(at))
    }

    /// Whether what is parked may have to wait although it is due.
    pub(crate) fn may_wait_to_be_loaded(&self, stats: &Stats) -> bool {
        let waits_to_retry = self.load_again_at.is_some_and(|at| self.now < at);
        let held_back = stats.buffered_entries + stats.redelivery_entries;
        stats.is_loading || waits_to_retry || self.max_delayed().div_ceil(2) <= held_back
    }

    /// With no read out and no back-off, whoever is ready has got all there is for it.
    fn check_no_stall(&mut self) {
        let stats = self.sub.stats();
        assert_eq!(
            stats.is_blocked_on_unacked,
            self.is_shared() && (self.is_blocked || self.is_blocked_by_all),
            "seed {}",
            self.seed
        );
        let waits_to_retry = self.retry_at.is_some_and(|at| self.now < at);
        if stats.is_reading || waits_to_retry || self.hand_over.is_some() || self.tokens == 0 {
            return;
        }
        let held_back = stats.buffered_entries + stats.redelivery_entries;
        let per_consumer = self.options.look_ahead_entries_max_per_consumer * self.consumers.len();
        let limits = [per_consumer, self.options.look_ahead_entries_max];
        let limit = limits.into_iter().filter(|&limit| 0 < limit).map(|limit| limit as u64).min();
        let limit = limit.unwrap_or_else(|| {
            let each = self.options.consumer_unacked_messages_max * self.consumers.len() as u64;
            let limits = [self.options.unacked_messages_max, each];
            limits.into_iter().find(|&limit| 0 < limit).unwrap_or(u64::MAX)
        });
        // What is too much holds back what was never read, and nothing else.
        let delayed = stats.delayed_entries - stats.parked_entries;
        let is_full = self.is_shared() && self.is_full_of_delayed(delayed)
            || self.is_shared() && limit <= held_back;
        let may_wait = self.may_wait_to_be_loaded(&stats);
        let ready: Vec<_> =
            self.consumers.keys().copied().filter(|&key| self.is_ready(key)).collect();
        let next_read = self.sub.next_read().0;
        let readable_end = if is_full { 0 } else { self.readable_end() };
        for at in (0..self.end()).filter(|&at| at < next_read || at < readable_end) {
            if may_wait && self.is_shared() && self.is_indexed(at) {
                continue;
            }
            let taker = ready.iter().find(|&&key| self.could_take(key, at));
            assert_eq!(taker, None, "seed {}: {at} is stuck: {stats:?}", self.seed);
        }
    }

    /// Where first reads must end: while memory is scarce, who holds a good part of it, and has
    /// something that can be acked, reads only what lies between acked entries.
    pub(crate) fn readable_end(&self) -> u64 {
        let (held, much) = (self.sub.held(), self.options.scarce_bytes);
        let holds_much = (self.scarce.ack_state && much <= held.ack_state)
            || (self.scarce.timers && much <= held.timers);
        let something_is_out = self.mark_delete() < self.sub.next_read().0;
        if !holds_much || !something_is_out {
            return self.end();
        }
        (0..self.end()).rev().find(|&at| self.is_acked(at)).map_or(0, |at| at + 1)
    }

    fn could_take(&self, key: ConsumerKey, at: u64) -> bool {
        let entry = &self.entries[usize::try_from(at).unwrap()];
        let is_due = !self.is_early(at);
        match self.kind {
            _ if entry.remaining == 0 || self.is_dead(at) => false,
            Kind::Exclusive | Kind::Failover => self.active() == Some(key) && self.cursor <= at,
            Kind::Shared => {
                entry.at.is_none() && is_due && self.chunk_is_held_back(key, at).is_none()
            }
            Kind::KeyShared => {
                let is_owner = match &self.consumers[&key].slots {
                    Some(slots) => slots.contains(&entry.slot),
                    None => self.sub.owner_of(entry.slot) == Some(key),
                };
                let is_held = self.key_is_held_back(key, at).is_some() || self.has_dead(entry.slot);
                let is_free = !self.keeps_order || !is_held;
                entry.at.is_none() && is_due && is_owner && is_free
            }
        }
    }

    /// Compares a change with the model before (`remaining` of each entry, mark-delete) and now.
    pub(crate) fn check_change(&self, change: &AckChange, before: &[u128], mark_delete: u64) {
        let seed = self.seed;
        let now = || (0_u64..).zip(before.iter().zip(&self.entries));
        let acked: Vec<u64> = now()
            .filter(|(_, (before, entry))| **before != 0 && entry.remaining == 0)
            .map(|(at, _)| at)
            .collect();
        let said: Vec<u64> = change.acked.iter().flat_map(|r| r.start.0..r.end.0).collect();
        assert_eq!(said, acked, "seed {seed}");
        assert!(change.acked.windows(2).all(|pair| pair[0].end < pair[1].start), "seed {seed}");
        let partial: Vec<_> = now()
            .filter(|(_, (before, entry))| **before != entry.remaining && entry.remaining != 0)
            .map(|(at, (_, entry))| (Ordinal(at), words(entry.remaining)))
            .collect();
        assert_eq!(change.partial, partial, "seed {seed}");
        let moved = self.mark_delete();
        assert_eq!(
            change.mark_delete,
            (moved != mark_delete).then_some(Ordinal(moved)),
            "seed {seed}"
        );
    }
}
