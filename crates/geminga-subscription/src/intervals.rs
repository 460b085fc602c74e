//! A set of ordinals kept as intervals: its size follows the number of holes, never the span.
//!
//! # Invariants
//!
//! 1. Intervals are not empty, do not overlap and do not touch.
//! 2. `len` is the number of ordinals in all of them.

use std::{collections::BTreeMap, ops::Range};

use geminga_types::Ordinal;

/// A set of ordinals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals {
    /// First ordinal of an interval → first behind it.
    ends: BTreeMap<Ordinal, Ordinal>,
    len: u64,
}

impl Intervals {
    /// All of `ranges`, whatever their order; when they ascend, in time that follows their number.
    pub(crate) fn of(mut ranges: Vec<Range<Ordinal>>) -> Self {
        ranges.retain(|range| range.start < range.end);
        ranges.sort_by_key(|range| range.start);
        ranges.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        let len = ranges.iter().map(|range| range.end.0 - range.start.0).sum();
        let ends = ranges.into_iter().map(|range| (range.start, range.end)).collect();
        let intervals = Self { ends, len };
        debug_assert!(intervals.is_consistent());
        intervals
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// First ordinal behind all of them.
    pub(crate) fn end(&self) -> Option<Ordinal> {
        self.ends.last_key_value().map(|(_, &end)| end)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<Ordinal>> {
        self.ends.iter().map(|(&start, &end)| start..end)
    }

    /// What of them lies at `from` or behind it, ascending.
    pub(crate) fn iter_from(&self, from: Ordinal) -> impl Iterator<Item = Range<Ordinal>> {
        let inside = self.around(from).filter(|interval| interval.start < from);
        let rest = self.ends.range(from..).map(|(&start, &end)| start..end);
        inside.map(|interval| from..interval.end).into_iter().chain(rest)
    }

    /// The interval that holds `at`.
    pub(crate) fn around(&self, at: Ordinal) -> Option<Range<Ordinal>> {
        let (&start, &end) = self.ends.range(..=at).next_back()?;
        (at < end).then_some(start..end)
    }

    pub(crate) fn contains(&self, at: Ordinal) -> bool {
        self.around(at).is_some()
    }

    /// First ordinal from `at` on that is not in the set.
    pub(crate) fn next_absent(&self, at: Ordinal) -> Ordinal {
        self.around(at).map_or(at, |interval| interval.end)
    }

    /// First ordinal from `at` on that is in the set.
    pub(crate) fn next_present(&self, at: Ordinal) -> Option<Ordinal> {
        if self.contains(at) {
            return Some(at);
        }
        self.ends.range(at..).next().map(|(&start, _)| start)
    }

    /// The parts of `range` that are not in the set, ascending.
    pub(crate) fn gaps(&self, range: Range<Ordinal>) -> impl Iterator<Item = Range<Ordinal>> {
        let mut from = self.next_absent(range.start);
        std::iter::from_fn(move || {
            if range.end <= from {
                return None;
            }
            let end = self.next_present(from).map_or(range.end, |at| at.min(range.end));
            let gap = from..end;
            from = self.next_absent(end);
            Some(gap)
        })
    }

    /// Adds all of `range`.
    pub(crate) fn insert(&mut self, range: Range<Ordinal>) {
        if range.end <= range.start {
            return;
        }
        let Range { mut start, mut end } = range;
        if let Some((&before, &until)) = self.ends.range(..start).next_back()
            && start <= until
        {
            start = before;
        }
        while let Some((&inner, &until)) = self.ends.range(start..=end).next() {
            end = end.max(until);
            self.ends.remove(&inner);
            self.len -= until.0 - inner.0;
        }
        self.len += end.0 - start.0;
        self.ends.insert(start, end);
        debug_assert!(self.is_consistent());
    }

    /// Adds an ordinal that is not in the set.
    pub(crate) fn insert_one(&mut self, at: Ordinal) {
        let end = self.ends.remove(&at.plus(1)).unwrap_or_else(|| at.plus(1));
        match self.ends.range_mut(..at).next_back() {
            Some((_, until)) if *until == at => *until = end,
            Some(_) | None => _ = self.ends.insert(at, end),
        }
        self.len += 1;
        debug_assert!(self.is_consistent());
    }

    /// Takes out the first interval if it begins at `at`, or before; the first ordinal behind it.
    pub(crate) fn pop_first_at(&mut self, at: Ordinal) -> Option<Ordinal> {
        let first = self.ends.first_entry().filter(|first| *first.key() <= at)?;
        let (start, end) = first.remove_entry();
        self.len -= end.0 - start.0;
        debug_assert!(self.is_consistent());
        Some(end)
    }

    /// Recounts; for assertions. A large set is taken on trust.
    fn is_consistent(&self) -> bool {
        if 256 < self.ends.len() {
            return true;
        }
        let intervals: Vec<_> = self.iter().collect();
        intervals.iter().all(|interval| interval.start < interval.end)
            && intervals.windows(2).all(|pair| pair[0].end < pair[1].start)
            && self.len == intervals.iter().map(|interval| interval.end.0 - interval.start.0).sum()
    }
}

#[cfg(test)]
mod tests;
