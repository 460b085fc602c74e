//! Delayed entries that the topic's index has, and the machine has not.
//!
//! An entry is *parked* when it is not acked, lies before `next_read`, and is in no other place of the
//! machine: the topic's index lists it, and it costs nothing here. Entries are parked when too many are
//! known, the latest first, or when a read passes over them. They come back by a load, before they are
//! due.
//!
//! # Invariants
//!
//! 1. What is parked is indexed, and not before `known_until`.
//! 2. An answer to a load counts once, and only if nothing was parked since that it may not have.

use std::{ops::Range, sync::Arc};

use geminga_types::Ordinal;

use crate::{Options, ReadId, reader::Reader};

/// The order of delayed entries: by their times, then by their places.
pub(crate) type Due = (u64, Ordinal);

/// What is known of parked entries.
#[derive(Debug)]
pub(crate) struct Parked {
    /// Parts of the topic of which the index has every delayed entry. Ascending, not touching.
    indexed: Arc<[Range<Ordinal>]>,
    /// Changes of `indexed`.
    version: u64,
    /// Nothing before is parked; `None`: nothing at all.
    known_until: Option<Due>,
    loader: Reader,
    /// What the load that is out began with: `known_until`, and `version`.
    out: (Due, u64),
}

impl Parked {
    pub(crate) fn new() -> Self {
        Self {
            indexed: Arc::default(),
            version: 0,
            known_until: None,
            loader: Reader::default(),
            out: ((0, Ordinal(0)), 0),
        }
    }

    pub(crate) fn set_indexed(&mut self, indexed: Arc<[Range<Ordinal>]>) {
        self.indexed = indexed;
        self.version += 1;
    }

    pub(crate) fn indexed(&self) -> &[Range<Ordinal>] {
        &self.indexed
    }

    pub(crate) fn is_indexed(&self, at: Ordinal) -> bool {
        let behind = self.indexed.partition_point(|range| range.end <= at);
        self.indexed.get(behind).is_some_and(|range| range.start <= at)
    }

    /// The parts of the topic before `end` that are not indexed.
    pub(crate) fn unindexed(&self, end: Ordinal) -> impl Iterator<Item = Range<Ordinal>> {
        let mut from = Ordinal(0);
        let indexed = self.indexed.iter().cloned().chain([end..end]);
        indexed.filter_map(move |range| {
            let gap = from..range.start;
            from = from.max(range.end);
            (gap.start < gap.end).then_some(gap)
        })
    }

    pub(crate) const fn known_until(&self) -> Option<Due> {
        self.known_until
    }

    pub(crate) const fn is_loading(&self) -> bool {
        self.loader.is_out()
    }

    /// Nothing is parked, and nothing is waited for.
    pub(crate) const fn clear(&mut self) {
        self.known_until = None;
        self.loader.cancel();
    }

    /// Entries from `least` on were parked. A load that is out and may not have all of them is void.
    pub(crate) fn park_from(&mut self, least: Due) {
        let (after, version) = self.out;
        if self.known_until.is_none_or(|until| least < until) {
            self.known_until = Some(least);
        }
        if least < after || version != self.version {
            self.loader.cancel();
        }
    }

    /// The same, of entries that were known: a load that is out may not bring them.
    pub(crate) fn evict_from(&mut self, least: Due) {
        self.park_from(least);
        self.loader.cancel();
    }

    pub(crate) fn on_time(&mut self, now_wall_ms: u64, options: &Options) {
        self.loader.on_time(now_wall_ms, options);
    }

    pub(crate) fn may_load(&self) -> bool {
        self.loader.may_read()
    }

    pub(crate) const fn retry_at(&self) -> Option<u64> {
        self.loader.retry_at()
    }

    pub(crate) const fn issue(&mut self, after: Due) -> ReadId {
        self.out = (after, self.version);
        self.loader.issue()
    }

    /// Takes an answer; false if nobody waits for it.
    pub(crate) fn take_answer(&mut self, id: ReadId) -> bool {
        self.loader.take_answer(id)
    }

    /// Everything before `until` is known now. False: the answer brought nothing.
    pub(crate) fn on_loaded(&mut self, until: Option<Due>) -> bool {
        let is_further = until.is_none_or(|until| self.out.0 < until);
        if is_further {
            self.loader.on_success();
            self.known_until = until;
        } else {
            self.loader.on_failure();
        }
        is_further
    }

    pub(crate) const fn on_failure(&mut self) {
        self.loader.on_failure();
    }
}
