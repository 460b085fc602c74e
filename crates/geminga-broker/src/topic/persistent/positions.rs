//! Between positions, which clients and metadata name, and ordinals, which the machines count in.

use std::ops::Range;

use geminga_types::{Ordinal, Position};

use super::{
    Topic,
    background::{Answer, READ_TIME_MAX},
    compacted_view,
};

impl Topic {
    /// The ordinal of the entry at `position`, if it is stored here, or was and may be compacted.
    pub(super) fn exact_ordinal(&self, position: Position) -> Option<Ordinal> {
        let ordinal = self.ledger.ordinal_of(position);
        (self.ledger.position_of(ordinal)? == position).then_some(ordinal)
    }

    /// The ordinal behind the entry at `position`, stored here or not.
    pub(super) fn next_after(&self, position: Position) -> Ordinal {
        self.ledger.chain_ref().after(position)
    }

    /// The first and last positions of ranges; what is gone is left out.
    pub(super) fn positions_of<'a>(
        &self,
        ranges: impl Iterator<Item = &'a Range<Ordinal>>,
    ) -> Vec<(Position, Position)> {
        let mut lookup = self.ledger.chain_ref().lookup();
        let positions = ranges.filter_map(|range| {
            let last = Ordinal(range.end.0.checked_sub(1)?);
            Some((lookup.position_of(range.start)?, lookup.position_of(last)?))
        });
        positions.collect()
    }

    /// The same for batches acked in part.
    pub(super) fn positions_of_partial(
        &self,
        partial: &[(Ordinal, Box<[i64]>)],
    ) -> Vec<(Position, Vec<i64>)> {
        let mut lookup = self.ledger.chain_ref().lookup();
        let partial = partial.iter();
        partial.filter_map(|(at, set)| Some((lookup.position_of(*at)?, set.to_vec()))).collect()
    }

    /// The same for redelivery counts.
    pub(super) fn positions_of_counts(&self, counts: &[(Ordinal, u32)]) -> Vec<(Position, u32)> {
        let mut lookup = self.ledger.chain_ref().lookup();
        let counts = counts.iter();
        counts.filter_map(|&(at, count)| Some((lookup.position_of(at)?, count))).collect()
    }

    /// Whether it is before everything that is stored here.
    pub(super) fn is_trimmed(&self, position: Position) -> bool {
        match self.ledger.position_of(self.ledger.first()) {
            Some(first) => position < first,
            // Nothing is stored: what was is trimmed.
            None => position <= self.ledger.last_position().unwrap_or(Position::new(-1, -1)),
        }
    }

    /// Finds the first entry published at or after `time`, in the compacted topic or in what is stored.
    pub(super) fn find_by_time(
        &self,
        time: u64,
        reads_compacted: bool,
        making: impl FnOnce(Result<Ordinal, String>) -> Answer + Send + 'static,
    ) {
        let chain = self.ledger.chain();
        let compacted = self.ledger.compacted().cloned().filter(|_| reads_compacted);
        let deps = self.deps.clone();
        let find = async move {
            if let Some(compacted) = compacted
                && let Some(at) = compacted_view::find_by_time(&compacted, &deps, time).await?
            {
                return Ok(chain.ordinal_of(at));
            }
            let is_late_enough = |entry: &[u8]| time <= published_at(entry);
            let found = chain.find_first(&deps.ledger, is_late_enough).await;
            found.map_err(|error| error.to_string())
        };
        self.spawn(READ_TIME_MAX, find, |found| {
            making(match found {
                Ok(found) => found,
                Err(lost) => Err(format!("The position of a time was not found: {lost}")),
            })
        });
    }
}

/// Broker timestamp if the entry has one, else the client's publish time; 0 if unreadable.
pub(super) fn published_at(entry: &[u8]) -> u64 {
    match geminga_wire::entry::EntryMeta::parse(entry) {
        Ok(meta) => meta.published_at(),
        Err(_) => 0,
    }
}
