//! Which entries are in flight, who has stored them, and which are confirmed.
//!
//! An entry is *confirmed* once its ack quorum has stored it **and** every entry before it is
//! confirmed. The last confirmed id is the LAC (last add confirmed).
//!
//! # Invariants
//!
//! 1. Ids are handed out in order, without gaps.
//! 2. The LAC only grows, and not at all once the window is frozen.
//! 3. `ready` entries at the front are confirmed and not yet polled; the one behind them is short of
//!    its ack quorum, or the window is frozen.

use std::collections::VecDeque;

use bytes::Bytes;
use geminga_types::{BookieIndex, EntryId};

use crate::quorum::Quorums;

/// The adds in flight on one ledger.
#[derive(Debug)]
pub(crate) struct AddWindow {
    quorums: Quorums,
    in_flight_max: usize,
    next: i64,
    in_flight: VecDeque<InFlight>,
    ready: usize,
    is_frozen: bool,
    confirmed_bytes: u64,
}

#[derive(Debug)]
struct InFlight {
    front: Bytes,
    body: Bytes,
    stored_by: u64,
    failed_by: u64,
    /// Of those, the ones that certainly do not have it.
    refused_by: u64,
}

/// A bookie says what became of an entry nobody sent it: it misbehaves, so close its connection.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bookie answered for an entry that it was never sent")]
pub struct NeverSent;

/// How a bookie failed an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It does not have it.
    Refused,
    /// It may have it.
    Unknown,
}

impl AddWindow {
    /// A window whose first entry is `first`, with room for `in_flight_max` entries.
    pub(crate) fn new(quorums: Quorums, first: EntryId, in_flight_max: usize) -> Self {
        assert!(0 < in_flight_max);
        assert!(0 <= first.0);
        Self {
            quorums,
            in_flight_max,
            next: first.0,
            in_flight: VecDeque::new(),
            ready: 0,
            is_frozen: false,
            confirmed_bytes: 0,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.is_frozen && self.in_flight.len() < self.in_flight_max
    }

    /// Takes the next entry id. The caller sends the entry to its write set.
    pub(crate) fn add(&mut self, front: Bytes, body: Bytes) -> EntryId {
        assert!(self.has_room());
        let entry_id = EntryId(self.next);
        self.next += 1;
        let entry = InFlight { front, body, stored_by: 0, failed_by: 0, refused_by: 0 };
        self.in_flight.push_back(entry);
        entry_id
    }

    /// Notes that `bookie` has the entry on its disk. Late and repeated answers change nothing.
    pub(crate) fn on_stored(
        &mut self,
        entry_id: EntryId,
        bookie: BookieIndex,
    ) -> Result<(), NeverSent> {
        if let Some(entry) = self.answered(entry_id, bookie)? {
            entry.stored_by |= bookie.bit();
            entry.failed_by &= !bookie.bit();
            entry.refused_by &= !bookie.bit();
        }
        self.confirm();
        Ok(())
    }

    /// Notes that `bookie` failed the entry. Returns whether its ack quorum is out of reach.
    pub(crate) fn on_failed(
        &mut self,
        entry_id: EntryId,
        bookie: BookieIndex,
        failed: Failed,
    ) -> Result<bool, NeverSent> {
        let quorums = self.quorums;
        let Some(entry) = self.answered(entry_id, bookie)? else { return Ok(false) };
        if entry.stored_by & bookie.bit() != 0 {
            return Ok(false);
        }
        entry.failed_by |= bookie.bit();
        if failed == Failed::Refused {
            entry.refused_by |= bookie.bit();
        }
        Ok(quorums.excludes_ack_quorum(entry.failed_by.count_ones()))
    }

    /// Confirms nothing and takes nothing from now on.
    pub(crate) fn freeze(&mut self) {
        self.is_frozen = true;
    }

    pub(crate) const fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Takes the oldest confirmed entry out. Call until `None`.
    pub(crate) fn poll_confirmed(&mut self) -> Option<(EntryId, Bytes, Bytes)> {
        self.ready = self.ready.checked_sub(1)?;
        let entry_id = self.oldest();
        let entry = self.in_flight.pop_front()?;
        Some((entry_id, entry.front, entry.body))
    }

    /// The bookies that certainly do not have an entry that is in flight and not confirmed.
    pub(crate) fn refused_by(&self, entry_id: EntryId) -> Option<u64> {
        let index = self.index_of(entry_id)?;
        if index < self.ready { None } else { self.in_flight.get(index).map(|e| e.refused_by) }
    }

    pub(crate) fn last_add_confirmed(&self) -> EntryId {
        let unconfirmed = self.in_flight.len() - self.ready;
        EntryId(self.next - 1 - i64::try_from(unconfirmed).expect("a window is small"))
    }

    /// Bytes of the bodies confirmed since the window was made.
    pub(crate) const fn confirmed_bytes(&self) -> u64 {
        self.confirmed_bytes
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn confirm(&mut self) {
        while !self.is_frozen
            && let Some(entry) = self.in_flight.get(self.ready)
            && self.quorums.ack() <= entry.stored_by.count_ones()
        {
            self.ready += 1;
            self.confirmed_bytes += (entry.front.len() + entry.body.len()) as u64;
        }
    }

    /// Id of the oldest entry in flight, or of the next entry when none is.
    fn oldest(&self) -> EntryId {
        EntryId(self.next - i64::try_from(self.in_flight.len()).expect("a window is small"))
    }

    fn index_of(&self, entry_id: EntryId) -> Option<usize> {
        usize::try_from(entry_id.0.checked_sub(self.oldest().0)?).ok()
    }

    /// The entry, unless it was polled already.
    fn answered(
        &mut self,
        entry_id: EntryId,
        bookie: BookieIndex,
    ) -> Result<Option<&mut InFlight>, NeverSent> {
        let in_write_set = self.quorums.write_set_bits(entry_id) & bookie.bit() != 0;
        if entry_id.0 < 0 || self.next <= entry_id.0 || !in_write_set {
            return Err(NeverSent);
        }
        let index = self.index_of(entry_id);
        Ok(index.and_then(|index| self.in_flight.get_mut(index)))
    }
}

#[cfg(test)]
mod tests;
