//! The last confirmed entries, in memory: the same `Bytes` as were appended.
//!
//! # Invariants
//!
//! 1. What is cached is a run without gaps that ends at `end`.
//! 2. Its cost is within the bound, but for a bound that one entry alone exceeds: then it is empty.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;
use geminga_types::Ordinal;

/// What an entry costs beside its bytes: its slot and its share of bookkeeping.
const ENTRY_COST_BYTES: usize = 64;

#[derive(Debug)]
pub(crate) struct TailCache {
    bodies: VecDeque<Bytes>,
    end: Ordinal,
    cost_bytes: usize,
    cost_bytes_max: usize,
}

impl TailCache {
    pub(crate) const fn new(end: Ordinal, cost_bytes_max: usize) -> Self {
        Self { bodies: VecDeque::new(), end, cost_bytes: 0, cost_bytes_max }
    }

    pub(crate) fn push(&mut self, body: Bytes) {
        self.end = self.end.plus(1);
        self.cost_bytes += cost(&body);
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

    fn first(&self) -> Ordinal {
        Ordinal(self.end.0 - self.bodies.len() as u64)
    }

    fn shrink(&mut self) {
        while self.cost_bytes_max < self.cost_bytes && self.pop() {}
    }

    fn pop(&mut self) -> bool {
        match self.bodies.pop_front() {
            Some(body) => {
                self.cost_bytes -= cost(&body);
                true
            }
            None => false,
        }
    }
}

const fn cost(body: &Bytes) -> usize {
    body.len() + ENTRY_COST_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bound: usize, bodies: usize) -> TailCache {
        let mut cache = TailCache::new(Ordinal(10), bound);
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
