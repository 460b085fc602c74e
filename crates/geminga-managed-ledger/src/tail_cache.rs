//! The last confirmed entries, in memory: the same `Bytes` as were appended, until they stay for long.
//!
//! An entry is a slice of the block that it was read from a socket into, and keeps all of that alive.
//! Most are read and evicted at once; small ones that stay are copied into blocks of this cache, so
//! that they cost what they are charged.
//!
//! # Invariants
//!
//! 1. What is cached is a run without gaps that ends at `end`.
//! 2. Its cost is within the bound, but for a bound that one entry alone exceeds: then it is empty.
//! 3. The gauge counts its cost. Over the gauge's limit it does not grow.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};
use geminga_env::Gauge;
use geminga_types::Ordinal;

/// What an entry costs beside its bytes: its slot and its share of bookkeeping.
const ENTRY_COST_BYTES: usize = 64;
/// Entries up to this size are copied when they stay.
const COPIED_BYTES_MAX: usize = 4 << 10;
/// Size of the blocks that they are copied into.
const ARENA_BYTES: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct TailCache {
    bodies: VecDeque<Bytes>,
    end: Ordinal,
    cost_bytes: usize,
    cost_bytes_max: usize,
    gauge: Gauge,
    /// How many, from the oldest, need not be looked at by [`Self::park`].
    parked: usize,
}

impl TailCache {
    pub(crate) const fn new(end: Ordinal, cost_bytes_max: usize, gauge: Gauge) -> Self {
        Self { bodies: VecDeque::new(), end, cost_bytes: 0, cost_bytes_max, gauge, parked: 0 }
    }

    pub(crate) fn push(&mut self, body: Bytes) {
        self.end = self.end.plus(1);
        self.cost_bytes += cost(&body);
        self.gauge.add(cost(&body));
        self.bodies.push_back(body);
        self.shrink();
    }

    pub(crate) const fn cost_bytes(&self) -> usize {
        self.cost_bytes
    }

    pub(crate) fn set_bound(&mut self, cost_bytes_max: usize) {
        self.cost_bytes_max = cost_bytes_max;
        self.shrink();
        self.bodies.shrink_to(self.bodies.len() * 2);
    }

    /// Lets go of everything before `ordinal`.
    pub(crate) fn evict_before(&mut self, ordinal: Ordinal) {
        while self.first() < ordinal && self.pop() {}
    }

    /// What is cached of `range`, up to `bytes_max` bytes but at least one entry; `None` when its
    /// start is not cached.
    pub(crate) fn get<T>(
        &self,
        range: Range<Ordinal>,
        bytes_max: usize,
        mut item: impl FnMut(Ordinal, &Bytes) -> T,
    ) -> Option<Vec<T>> {
        let skip = usize::try_from(range.start.0.checked_sub(self.first().0)?).ok()?;
        if self.bodies.len() <= skip || range.end <= range.start {
            return None;
        }
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        for (ordinal, body) in (range.start.0..range.end.0).zip(self.bodies.range(skip..)) {
            bytes = bytes.saturating_add(body.len());
            if bytes_max < bytes && !items.is_empty() {
                break;
            }
            items.push(item(Ordinal(ordinal), body));
        }
        Some(items)
    }

    /// Copies small entries, which stay for a while, out of the blocks that they came in.
    pub(crate) fn park(&mut self) {
        if self.parked == self.bodies.len() {
            return;
        }
        let new = self.bodies.range(self.parked..).filter(|body| is_copied(body));
        let mut arena =
            BytesMut::with_capacity(new.map(Bytes::len).sum::<usize>().min(ARENA_BYTES));
        for body in self.bodies.range_mut(self.parked..).filter(|body| is_copied(body)) {
            if arena.capacity() < body.len() {
                arena = BytesMut::with_capacity(ARENA_BYTES);
            }
            arena.extend_from_slice(body);
            *body = arena.split().freeze();
        }
        self.parked = self.bodies.len();
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.bodies.shrink_to_fit();
    }

    fn first(&self) -> Ordinal {
        Ordinal(self.end.0 - self.bodies.len() as u64)
    }

    fn shrink(&mut self) {
        while (self.cost_bytes_max < self.cost_bytes || self.gauge.is_over()) && self.pop() {}
    }

    fn pop(&mut self) -> bool {
        match self.bodies.pop_front() {
            Some(body) => {
                self.cost_bytes -= cost(&body);
                self.gauge.sub(cost(&body));
                self.parked = self.parked.saturating_sub(1);
                true
            }
            None => false,
        }
    }
}

impl Drop for TailCache {
    fn drop(&mut self) {
        self.gauge.sub(self.cost_bytes);
    }
}

const fn is_copied(body: &Bytes) -> bool {
    body.len() <= COPIED_BYTES_MAX
}

const fn cost(body: &Bytes) -> usize {
    body.len() + ENTRY_COST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bound: usize, bodies: usize) -> TailCache {
        let mut cache = TailCache::new(Ordinal(10), bound, Gauge::new(usize::MAX));
        for index in 0..bodies {
            cache.push(Bytes::from(vec![u8::try_from(index).unwrap(); 36]));
        }
        cache
    }

    fn got(cache: &TailCache, range: Range<u64>, bytes_max: usize) -> Option<Vec<(u64, u8)>> {
        let range = Ordinal(range.start)..Ordinal(range.end);
        cache.get(range, bytes_max, |ordinal, body| (ordinal.0, body[0]))
    }

    #[test]
    fn answers_for_the_tail_only() {
        let cache = cache(300, 5);
        assert_eq!(cache.cost_bytes(), 300);
        assert_eq!(got(&cache, 11..15, 1000), None);
        assert_eq!(got(&cache, 12..15, 1000), Some(vec![(12, 2), (13, 3), (14, 4)]));
        assert_eq!(got(&cache, 13..14, 1000), Some(vec![(13, 3)]));
        assert_eq!(got(&cache, 13..99, 72), Some(vec![(13, 3), (14, 4)]));
        assert_eq!(got(&cache, 13..99, 71), Some(vec![(13, 3)]));
        assert_eq!(got(&cache, 13..99, 0), Some(vec![(13, 3)]));
        assert_eq!(got(&cache, 15..16, 1000), None);
        assert_eq!(got(&cache, 13..13, 1000), None);
    }

    #[test]
    fn what_stays_leaves_its_block_and_a_large_entry_does_not() {
        let mut cache = cache(1 << 20, 0);
        let block = Bytes::from(vec![7; 64 << 10]);
        for size in [100, COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1, 0, 3_000, 4_000, 4_000, 4_000] {
            cache.push(block.slice(..size));
        }
        let before: Vec<Bytes> = cache.bodies.iter().cloned().collect();
        cache.park();
        assert_eq!(cache.bodies, before);
        for (body, before) in cache.bodies.iter().zip(&before) {
            let is_same = body.as_ptr() == before.as_ptr();
            assert_eq!(is_same, COPIED_BYTES_MAX < body.len(), "{}", body.len());
        }
        let parked: Vec<_> = cache.bodies.iter().map(|body| body.as_ptr()).collect();
        cache.evict_before(Ordinal(11));
        cache.push(block.slice(..5));
        cache.park();
        let again: Vec<_> = cache.bodies.iter().map(|body| body.as_ptr()).collect();
        assert_eq!(parked[1..], again[..again.len() - 1], "what is parked is left alone");
        assert_eq!(cache.parked, cache.bodies.len());
    }

    #[test]
    fn the_gauge_counts_all_caches_and_stops_each() {
        let gauge = Gauge::new(500);
        let mut one = TailCache::new(Ordinal(0), 1_000, gauge.clone());
        let mut other = TailCache::new(Ordinal(0), 1_000, gauge.clone());
        for _ in 0..4 {
            one.push(Bytes::from(vec![0; 36]));
            other.push(Bytes::from(vec![0; 36]));
        }
        assert!(gauge.used() <= 500);
        assert_eq!(one.cost_bytes() + other.cost_bytes(), gauge.used());
        drop(one);
        assert_eq!(other.cost_bytes(), gauge.used());
        drop(other);
        assert_eq!(gauge.used(), 0);
    }

    #[test]
    fn lets_go_when_told_or_when_its_bound_shrinks() {
        let mut cache = cache(1000, 5);
        cache.evict_before(Ordinal(12));
        assert_eq!(cache.cost_bytes(), 300);
        assert_eq!(got(&cache, 11..12, 1000), None);
        cache.set_bound(100);
        assert_eq!(got(&cache, 14..15, 1000), Some(vec![(14, 4)]));
        cache.set_bound(0);
        assert_eq!((cache.cost_bytes(), got(&cache, 14..15, 1000)), (0, None));
        cache.push(Bytes::new());
        assert_eq!(cache.cost_bytes(), 0);
        cache.set_bound(1000);
        cache.push(Bytes::from_static(&[7]));
        assert_eq!(got(&cache, 16..17, 1000), Some(vec![(16, 7)]));
    }
}
