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

static NOTHING: Bytes = Bytes::new();

#[derive(Debug)]
pub(crate) struct TailCache {
    bodies: VecDeque<Bytes>,
    /// What comes before each body, in a piece of its own. No longer than it must be: what is not here is
    /// empty.
    fronts: VecDeque<Bytes>,
    end: Ordinal,
    cost_bytes: usize,
    cost_bytes_max: usize,
    gauge: Gauge,
    /// How many, from the oldest, need not be looked at by [`Self::park`].
    parked: usize,
}

impl TailCache {
    pub(crate) const fn new(end: Ordinal, cost_bytes_max: usize, gauge: Gauge) -> Self {
        Self {
            bodies: VecDeque::new(),
            fronts: VecDeque::new(),
            end,
            cost_bytes: 0,
            cost_bytes_max,
            gauge,
            parked: 0,
        }
    }

    pub(crate) fn push(&mut self, front: Bytes, body: Bytes) {
        self.end = self.end.plus(1);
        let cost = cost(&front, &body);
        self.cost_bytes += cost;
        self.gauge.add(cost);
        if !front.is_empty() {
            self.fronts.resize(self.bodies.len(), Bytes::new());
            self.fronts.push_back(front);
        }
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
        self.fronts.shrink_to(self.fronts.len() * 2);
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
        mut item: impl FnMut(Ordinal, &Bytes, &Bytes) -> T,
    ) -> Option<Vec<T>> {
        let skip = usize::try_from(range.start.0.checked_sub(self.first().0)?).ok()?;
        if self.bodies.len() <= skip || range.end <= range.start {
            return None;
        }
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        let bodies = self.bodies.range(skip..).enumerate();
        for (ordinal, (index, body)) in (range.start.0..range.end.0).zip(bodies) {
            let front = self.fronts.get(skip + index).unwrap_or(&NOTHING);
            bytes = bytes.saturating_add(front.len() + body.len());
            if bytes_max < bytes && !items.is_empty() {
                break;
            }
            items.push(item(Ordinal(ordinal), front, body));
        }
        Some(items)
    }

    /// Copies small entries, which stay for a while, out of the blocks that they came in.
    pub(crate) fn park(&mut self) {
        if self.parked == self.bodies.len() {
            return;
        }
        let new = self.bodies.range(self.parked..).filter(|body| is_copied(body));
        let fronts = self.fronts.range(self.parked.min(self.fronts.len())..);
        let bytes = new.chain(fronts).map(Bytes::len).sum::<usize>();
        let mut arena = BytesMut::with_capacity(bytes.min(ARENA_BYTES));
        let bodies = self.bodies.range_mut(self.parked..).zip(self.parked..);
        for (body, index) in bodies.filter(|(body, _)| is_copied(body)) {
            let front = self.fronts.get_mut(index).map(std::mem::take).unwrap_or_default();
            if arena.capacity() < front.len() + body.len() {
                arena = BytesMut::with_capacity(ARENA_BYTES);
            }
            arena.extend_from_slice(&front);
            arena.extend_from_slice(body);
            *body = arena.split().freeze();
        }
        self.parked = self.bodies.len();
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.bodies.shrink_to_fit();
        self.fronts.shrink_to_fit();
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
                let front = self.fronts.pop_front().unwrap_or_default();
                let cost = cost(&front, &body);
                self.cost_bytes -= cost;
                self.gauge.sub(cost);
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

const fn cost(front: &Bytes, body: &Bytes) -> usize {
    front.len() + body.len() + ENTRY_COST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bound: usize, bodies: usize) -> TailCache {
        let mut cache = TailCache::new(Ordinal(10), bound, Gauge::new(usize::MAX));
        for index in 0..bodies {
            cache.push(Bytes::new(), Bytes::from(vec![u8::try_from(index).unwrap(); 36]));
        }
        cache
    }

    fn got(cache: &TailCache, range: Range<u64>, bytes_max: usize) -> Option<Vec<(u64, u8)>> {
        let range = Ordinal(range.start)..Ordinal(range.end);
        cache.get(range, bytes_max, |ordinal, _, body| (ordinal.0, body[0]))
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
            cache.push(Bytes::new(), block.slice(..size));
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
        cache.push(Bytes::new(), block.slice(..5));
        cache.park();
        let again: Vec<_> = cache.bodies.iter().map(|body| body.as_ptr()).collect();
        assert_eq!(parked[1..], again[..again.len() - 1], "what is parked is left alone");
        assert_eq!(cache.parked, cache.bodies.len());
    }

    /// A front of so many bytes for each body.
    fn with_fronts(fronts: &[usize]) -> TailCache {
        let mut cache = TailCache::new(Ordinal(0), 1 << 20, Gauge::new(usize::MAX));
        for (number, &front) in (0..).zip(fronts) {
            cache.push(vec![0xf0 + number; front].into(), vec![number; 10].into());
        }
        cache
    }

    fn joined(cache: &TailCache, range: Range<u64>) -> Vec<Vec<u8>> {
        let range = Ordinal(range.start)..Ordinal(range.end);
        let item = |_, front: &Bytes, body: &Bytes| [&front[..], &body[..]].concat();
        cache.get(range, 1 << 20, item).unwrap()
    }

    #[test]
    fn a_front_stays_with_its_body() {
        let fronts = [0, 3, 0, 0, 5, 2, 0];
        let mut cache = with_fronts(&fronts);
        let expected = |number: u8| {
            let front = vec![0xf0 + number; fronts[usize::from(number)]];
            [front, vec![number; 10]].concat()
        };
        assert_eq!(cache.cost_bytes(), 7 * (10 + ENTRY_COST_BYTES) + 10);
        for first in 0..7_u8 {
            cache.evict_before(Ordinal(first.into()));
            let all: Vec<_> = (first..7).map(expected).collect();
            assert_eq!(joined(&cache, first.into()..7), all);
        }
        cache.evict_before(Ordinal(7));
        assert_eq!((cache.cost_bytes(), cache.fronts.len()), (0, 0));
    }

    #[test]
    fn what_stays_is_joined_with_its_front() {
        let mut cache = with_fronts(&[3, 0, 4]);
        let large = vec![9; COPIED_BYTES_MAX + 1];
        cache.push(vec![1; 8].into(), large.clone().into());
        let before = joined(&cache, 0..4);
        let cost = cache.cost_bytes();
        cache.park();
        assert_eq!((joined(&cache, 0..4), cache.cost_bytes()), (before, cost));
        assert_eq!(cache.bodies[2].len(), 14);
        assert_eq!((cache.bodies[3].len(), cache.fronts[3].len()), (large.len(), 8));
        cache.push(vec![2; 5].into(), vec![7; 5].into());
        cache.park();
        assert_eq!(joined(&cache, 4..5), [[[2; 5], [7; 5]].concat()]);
        cache.set_bound(0);
        assert_eq!(cache.cost_bytes(), 0);
    }

    #[test]
    fn the_gauge_counts_all_caches_and_stops_each() {
        let gauge = Gauge::new(500);
        let mut one = TailCache::new(Ordinal(0), 1_000, gauge.clone());
        let mut other = TailCache::new(Ordinal(0), 1_000, gauge.clone());
        for _ in 0..4 {
            one.push(Bytes::new(), Bytes::from(vec![0; 36]));
            other.push(Bytes::new(), Bytes::from(vec![0; 36]));
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
        cache.push(Bytes::new(), Bytes::new());
        assert_eq!(cache.cost_bytes(), 0);
        cache.set_bound(1000);
        cache.push(Bytes::new(), Bytes::from_static(&[7]));
        assert_eq!(got(&cache, 16..17, 1000), Some(vec![(16, 7)]));
    }
}
