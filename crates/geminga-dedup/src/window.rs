//! What is known of a publisher whose messages have sources: the last ones that were stored.

use std::collections::VecDeque;

use crate::{SourcePosition, WINDOW, names::Kept, sequences::Place};

#[derive(Debug, Default)]
pub(crate) struct Window {
    /// In the order in which they were stored, oldest first; at most [`WINDOW`].
    stored: VecDeque<SourcePosition>,
    in_flight: VecDeque<SourcePosition>,
}

impl Window {
    pub(crate) fn place(&self, source: SourcePosition) -> Place {
        // A few thousand comparisons at most, for messages that are rare.
        if self.stored.contains(&source) {
            Place::Stored
        } else if self.in_flight.contains(&source) {
            Place::InFlight
        } else {
            Place::New
        }
    }

    pub(crate) fn push(&mut self, source: SourcePosition) {
        self.in_flight.push_back(source);
    }

    pub(crate) fn on_stored(&mut self) {
        if let Some(source) = self.in_flight.pop_front() {
            self.replay(source);
        }
    }

    pub(crate) fn on_failed(&mut self) {
        self.in_flight.pop_front();
    }

    /// Notes an entry that is found stored.
    pub(crate) fn replay(&mut self, source: SourcePosition) -> bool {
        let is_news = !self.stored.contains(&source);
        if is_news {
            if self.stored.len() == WINDOW {
                self.stored.pop_front();
            }
            self.stored.push_back(source);
        }
        is_news
    }

    pub(crate) fn stored(&self) -> impl ExactSizeIterator<Item = &SourcePosition> {
        self.stored.iter()
    }
}

impl Kept for Window {
    fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    fn is_blank(&self) -> bool {
        self.stored.is_empty()
    }

    fn items(&self) -> usize {
        self.stored.len()
    }
}
