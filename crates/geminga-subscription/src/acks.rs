//! Which entries of a subscription are acked: the mark-delete position, the intervals behind it,
//! and the batches of which some messages are acked.
//!
//! An ack set has a bit for each message of a batch: bit `i % 64` of word `i / 64`, **1 = not yet
//! acked**; words that are missing at the end are 0, as in Java's `BitSet`. Sets of one entry are
//! and-ed; with the last bit gone the entry is acked.
//!
//! # Invariants
//!
//! 1. Everything before `next_unacked` is acked; `next_unacked` itself is not.
//! 2. The intervals lie behind `next_unacked`; the partial sets belong to unacked entries.
//! 3. An ack is never undone, except by [`Acks::reset`].

use std::{collections::BTreeMap, ops::Range};

use geminga_types::Ordinal;

use crate::intervals::Intervals;

/// Longest ack set taken, in words: a million messages in a batch, far above any client's limit.
const ACK_SET_WORDS_MAX: usize = 16 * 1024;

/// What is acked, as a whole: for a snapshot, and to begin with after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckState {
    /// The first entry not acked: the one behind the mark-delete position.
    pub next_unacked: Ordinal,
    /// Entries acked behind it.
    pub acked: Vec<Range<Ordinal>>,
    /// Batches acked in part: bit 1 = not yet acked.
    pub partial: Vec<(Ordinal, Box<[i64]>)>,
    /// How often entries that are not acked were asked for again; those that were not are left out.
    pub redelivery_counts: Vec<(Ordinal, u32)>,
}

/// An ack of one entry, or of some messages in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The entry. The caller has made sure that it is the one meant, not its neighbour.
    pub ordinal: Ordinal,
    /// Messages that are *not* acked by this (bit = 1); `None` acks the whole entry.
    pub ack_set: Option<Box<[i64]>>,
    /// How many messages the batch has, if known; bits behind them are ignored.
    pub batch_size: Option<u32>,
}

/// What acks have changed: the delta to persist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckChange {
    /// Entries that are now wholly acked and were not before. Ascending, not touching.
    pub acked: Vec<Range<Ordinal>>,
    /// Batches now acked in part, with what remains. Ascending.
    pub partial: Vec<(Ordinal, Box<[i64]>)>,
    /// The first entry not acked, if that has moved.
    pub mark_delete: Option<Ordinal>,
}

/// A cumulative ack came on a subscription that has no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cumulative acks are not allowed on Shared and Key_Shared subscriptions")]
pub struct NotCumulative;

impl AckState {
    /// Everything before `next_unacked` is acked, and nothing behind it.
    #[must_use]
    pub const fn before(next_unacked: Ordinal) -> Self {
        Self { next_unacked, acked: Vec::new(), partial: Vec::new(), redelivery_counts: Vec::new() }
    }
}

impl AckChange {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acked.is_empty() && self.partial.is_empty() && self.mark_delete.is_none()
    }

    /// How many entries are now wholly acked that were not before.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.acked.iter().map(|range| range.end.0.saturating_sub(range.start.0)).sum()
    }

    /// Brings it into its public form: ascending, merged, each batch once and none that is acked.
    pub(crate) fn tidied(mut self, acks: &Acks) -> Self {
        self.acked.sort_unstable_by_key(|range| range.start);
        let mut acked = Vec::with_capacity(self.acked.len());
        self.acked.drain(..).for_each(|range| push_merged(&mut acked, range));
        let partial: BTreeMap<_, _> = self.partial.drain(..).collect();
        let partial = partial.into_iter().filter(|&(at, _)| !acks.is_acked(at)).collect();
        // What is said late may have been overtaken.
        let mark_delete = self.mark_delete.map(|_| acks.next_unacked());
        Self { acked, partial, mark_delete }
    }
}

/// The ack state, and the way it changes.
#[derive(Debug)]
pub(crate) struct Acks {
    next_unacked: Ordinal,
    acked: Intervals,
    partial: BTreeMap<Ordinal, Box<[i64]>>,
    /// Words of all of `partial`.
    partial_words: usize,
}

impl Acks {
    /// Takes over what was recovered, whatever its order; entries outside `first..end` do not count.
    pub(crate) fn new(state: AckState, first: Ordinal, end: Ordinal) -> Self {
        let next_unacked = state.next_unacked.min(end).max(first);
        let mut acked = state.acked;
        for range in &mut acked {
            *range = range.start.max(next_unacked)..range.end.min(end);
        }
        let (acked, partial) = (Intervals::of(acked), BTreeMap::new());
        let mut acks = Self { next_unacked, acked, partial, partial_words: 0 };
        acks.advance(&mut AckChange::default());
        for (ordinal, ack_set) in state.partial {
            if ordinal < end {
                acks.ack(ordinal, Some(&ack_set), None, &mut AckChange::default());
            }
        }
        acks
    }

    pub(crate) const fn next_unacked(&self) -> Ordinal {
        self.next_unacked
    }

    pub(crate) fn is_acked(&self, at: Ordinal) -> bool {
        at < self.next_unacked || self.acked.contains(at)
    }

    /// What remains of a batch, if some of it is acked.
    pub(crate) fn partial(&self, at: Ordinal) -> Option<&[i64]> {
        self.partial.get(&at).map(AsRef::as_ref)
    }

    /// Entries not acked before `end`.
    pub(crate) fn unacked_before(&self, end: Ordinal) -> u64 {
        self.unacked(self.next_unacked..end).map(|gap| gap.end.0 - gap.start.0).sum()
    }

    /// Entries not acked from `at` on of a topic that ends at `end`.
    pub(crate) fn unacked_behind(&self, at: Ordinal, end: Ordinal) -> u64 {
        if self.acked_end() <= at {
            return end.0.saturating_sub(at.0);
        }
        self.unacked(at..end).map(|gap| gap.end.0 - gap.start.0).sum()
    }

    /// Entries not acked of a topic that ends at `end`.
    pub(crate) const fn backlog(&self, end: Ordinal) -> u64 {
        end.0.saturating_sub(self.next_unacked.0).saturating_sub(self.acked.len())
    }

    /// Batches of which some messages are acked.
    pub(crate) fn partials(&self) -> usize {
        self.partial.len()
    }

    /// Words of what remains of those.
    pub(crate) const fn partial_words(&self) -> usize {
        self.partial_words
    }

    /// Behind here nothing is acked.
    pub(crate) fn acked_end(&self) -> Ordinal {
        self.acked.end().unwrap_or(self.next_unacked)
    }

    pub(crate) fn intervals(&self) -> usize {
        self.acked.count()
    }

    /// The parts of `range` that are not acked, ascending.
    pub(crate) fn unacked(&self, range: Range<Ordinal>) -> impl Iterator<Item = Range<Ordinal>> {
        self.acked.gaps(range.start.max(self.next_unacked)..range.end)
    }

    /// First entry from `at` on that is not acked.
    pub(crate) fn next_unacked_from(&self, at: Ordinal) -> Ordinal {
        self.acked.next_absent(at.max(self.next_unacked))
    }

    /// What of the acked ranges lies at `from` or behind it, ascending.
    pub(crate) fn acked_from(&self, from: Ordinal) -> impl Iterator<Item = Range<Ordinal>> {
        self.acked.iter_from(from)
    }

    /// The batches acked in part from `from` on, ascending.
    pub(crate) fn partial_from(
        &self,
        from: Ordinal,
    ) -> impl Iterator<Item = (Ordinal, Box<[i64]>)> {
        self.partial.range(from..).map(|(&at, set)| (at, set.clone()))
    }

    /// Applies one ack. An ack set too long to be one changes nothing.
    pub(crate) fn ack(
        &mut self,
        at: Ordinal,
        ack_set: Option<&[i64]>,
        batch_size: Option<u32>,
        change: &mut AckChange,
    ) {
        if self.is_acked(at) {
            return;
        }
        let remaining = match ack_set {
            Some(set) if ACK_SET_WORDS_MAX < set.len() => return,
            Some(set) => and(set, batch_size, self.partial(at)),
            None => Box::default(),
        };
        if remaining.is_empty() {
            self.ack_one(at, change);
        } else if is_narrower(&remaining, batch_size, self.partial(at)) {
            self.partial_words += remaining.len();
            if let Some(before) = self.partial.insert(at, remaining.clone()) {
                self.partial_words -= before.len();
            }
            change.partial.push((at, remaining));
        }
    }

    /// Acks an entry that is not acked.
    fn ack_one(&mut self, at: Ordinal, change: &mut AckChange) {
        if let Some(set) = self.partial.remove(&at) {
            self.partial_words -= set.len();
        }
        push_merged(&mut change.acked, at..at.plus(1));
        if at == self.next_unacked {
            self.next_unacked = at.plus(1);
            change.mark_delete = Some(self.next_unacked);
            self.advance(change);
        } else {
            self.acked.insert_one(at);
        }
    }

    /// Acks every entry of `range`.
    pub(crate) fn ack_range(&mut self, range: Range<Ordinal>, change: &mut AckChange) {
        let mut from = range.start;
        loop {
            let next = self.unacked(from..range.end).next();
            let Some(gap) = next else { break };
            from = gap.end;
            self.forget_partial(gap.clone());
            push_merged(&mut change.acked, gap.clone());
            if gap.start == self.next_unacked {
                self.next_unacked = gap.end; // Nothing between is in the set.
                change.mark_delete = Some(gap.end);
            } else {
                self.acked.insert(gap);
            }
        }
        self.advance(change);
    }

    /// Compares what is counted; for assertions.
    pub(crate) fn is_consistent(&self) -> bool {
        self.partial_words == self.partial.values().map(|set| set.len()).sum::<usize>()
    }

    fn forget_partial(&mut self, range: Range<Ordinal>) {
        for (_, set) in self.partial.extract_if(range, |_, _| true) {
            self.partial_words -= set.len();
        }
    }

    /// Forgets everything: only what lies before `to` is acked.
    pub(crate) fn reset(&mut self, to: Ordinal) {
        let (acked, partial) = (Intervals::default(), BTreeMap::new());
        *self = Self { next_unacked: to, acked, partial, partial_words: 0 };
    }

    /// Moves the mark-delete position over what is acked behind it.
    fn advance(&mut self, change: &mut AckChange) {
        if let Some(next) = self.acked.pop_first_at(self.next_unacked) {
            self.next_unacked = next;
            change.mark_delete = Some(next);
        }
    }
}

/// Keeps a run of single acks one range.
fn push_merged(ranges: &mut Vec<Range<Ordinal>>, range: Range<Ordinal>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

/// What remains of a batch after another ack set; empty when nothing does.
fn and(set: &[i64], batch_size: Option<u32>, before: Option<&[i64]>) -> Box<[i64]> {
    let word = |(index, &word): (usize, &i64)| {
        let before = before.map_or(-1, |before| before.get(index).copied().unwrap_or(0));
        word & before & batch_size.map_or(-1, |size| mask(index, size))
    };
    let mut remaining: Vec<i64> = set.iter().enumerate().map(word).collect();
    while remaining.last() == Some(&0) {
        remaining.pop();
    }
    remaining.into()
}

/// The bits of word `index` that belong to a batch of `size` messages.
fn mask(index: usize, size: u32) -> i64 {
    let before = index.saturating_mul(64);
    let bits = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(before);
    if 64 <= bits { -1 } else { (1_i64 << bits).wrapping_sub(1) }
}

/// Whether `remaining` says that something is acked which was not before.
fn is_narrower(remaining: &[i64], batch_size: Option<u32>, before: Option<&[i64]>) -> bool {
    match (before, batch_size) {
        (Some(before), _) => before != remaining,
        (None, Some(size)) => count(remaining, size) < size,
        (None, None) => true,
    }
}

/// How many of a batch's `messages` are still in an ack set.
pub(crate) fn count(ack_set: &[i64], messages: u32) -> u32 {
    let ones = |(index, word): (usize, &i64)| (word & mask(index, messages)).count_ones();
    ack_set.iter().enumerate().map(ones).sum()
}

#[cfg(test)]
mod tests;
