//! What is known of a producer name whose messages have sequences.
//!
//! # Invariants
//!
//! 1. `stored` moves only by a confirmed append or a replay.
//! 2. With nothing in flight, what was pushed is what is stored: a failed append rolls back.

use std::collections::VecDeque;

use crate::{
    Sequence,
    mark::{Mark, Side, side_of},
    names::Kept,
};

#[derive(Debug, Default)]
pub(crate) struct Sequences {
    pub(crate) stored: Option<Mark>,
    /// Where the mark will be after each append that is on its way, oldest first.
    in_flight: VecDeque<Mark>,
    /// One has failed: those behind it do, too.
    is_failing: bool,
}

/// How an entry lies to what is stored and what is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    New,
    Stored,
    InFlight,
    Across,
}

impl Sequences {
    /// How far messages were sent, be they stored or not yet.
    pub(crate) fn pushed(&self) -> Option<&Mark> {
        self.in_flight.back().or(self.stored.as_ref())
    }

    pub(crate) fn place(&self, sequence: &Sequence) -> Place {
        if side_of(self.stored.as_ref(), sequence) == Side::Covered {
            return Place::Stored;
        }
        match side_of(self.pushed(), sequence) {
            Side::Behind => Place::New,
            Side::Covered => Place::InFlight,
            Side::Across => Place::Across,
        }
    }

    pub(crate) fn push(&mut self, sequence: &Sequence) {
        debug_assert!(!self.is_failing, "nothing is sent behind what fails");
        self.in_flight.push_back(Mark::after(sequence));
    }

    pub(crate) fn on_stored(&mut self) {
        debug_assert!(!self.is_failing, "nothing is stored behind what has failed");
        if let Some(mark) = self.in_flight.pop_front() {
            self.stored = Some(mark);
        }
    }

    pub(crate) fn on_failed(&mut self) {
        self.in_flight.pop_front();
        self.is_failing = !self.in_flight.is_empty();
    }

    /// Notes an entry that is found stored. It decides, also downwards: a name that began again is known
    /// by what it sent since, and not by the highest that was ever sent under it.
    pub(crate) fn replay(&mut self, sequence: &Sequence) -> bool {
        let mark = Some(Mark::after(sequence));
        let is_news = self.stored != mark;
        self.stored = mark;
        is_news
    }
}

impl Kept for Sequences {
    fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    fn is_blank(&self) -> bool {
        self.stored.is_none()
    }

    fn items(&self) -> usize {
        0
    }
}
