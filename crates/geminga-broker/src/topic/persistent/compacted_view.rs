//! A topic as a consumer with `readCompacted` sees it: the compacted ledger up to its horizon, then
//! the topic itself.
//!
//! Both are one space of ordinals: an entry of the compacted ledger has the ordinal of its original,
//! stored or not, and the ordinals between count as acked once the reading has passed them. A
//! subscription stays with the compacted ledger that it began with until it has acked all up to its
//! horizon, so that it misses nothing that a later compaction leaves out, such as the deletion of a key
//! that it has seen; only when the topic behind that horizon is trimmed does it go on with a newer one.

use std::{ops::Range, sync::Arc};

use geminga_managed_ledger::{Chain, Compacted};
use geminga_subscription::ParkedEntries;
use geminga_types::{LedgerId, Ordinal, Position};
use geminga_wire::raw_message;

use super::{ReadEntry, SubscriptionName, Topic, TopicDeps, dispatch::read_entry, tail::Meta};

/// One search step reads one entry, whatever its size.
const PROBE_BYTES: usize = 1;

/// The compacted ledger that a subscription reads.
#[derive(Clone, Debug)]
pub(super) struct View {
    compacted: Arc<Compacted>,
    /// From here on the topic itself is read.
    end: Ordinal,
    place: Option<Place>,
}

/// Where a read of a compacted ledger ended: its next entry is the first from an ordinal on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    ledger_id: LedgerId,
    next: Ordinal,
    number: u64,
}

/// Where the compacted ledger that a subscription began with ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Horizon {
    pub(super) position: Position,
    /// The last message in it: behind it there is none up to the horizon.
    pub(super) last: Option<(Position, i32)>,
}

/// What a read has brought.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<ReadEntry>,
    /// Not in the view.
    pub(super) absent: Vec<Range<Ordinal>>,
    pub(super) place: Option<Place>,
    /// Left out, since the topic's index of delayed entries has it.
    pub(super) parked: Option<ParkedEntries>,
    /// The ledger of a bucket of that index which cannot be read.
    pub(super) damaged: Option<LedgerId>,
}

impl View {
    /// Whether it has what is to be read from `from` on.
    pub(super) fn holds(&self, from: Ordinal) -> bool {
        from < self.end
    }

    pub(super) const fn end(&self) -> Ordinal {
        self.end
    }

    pub(super) fn note_place(&mut self, place: Place) {
        if place.ledger_id == self.compacted.ledger_id() {
            self.place = Some(place);
        }
    }

    /// Reads what there is from `from` on.
    pub(super) async fn read(
        self,
        chain: &Chain,
        deps: &TopicDeps,
        from: Ordinal,
        (entries_max, bytes_max): (usize, usize),
    ) -> Result<Found, String> {
        let compacted = &self.compacted;
        let ledger_id = compacted.ledger_id();
        let known = self.place.filter(|place| place.next == from && place.ledger_id == ledger_id);
        let first = match known {
            Some(place) => place.number,
            None => {
                let is_wanted = |at: Position, _: &[u8]| from <= chain.ordinal_of(at);
                find_first(compacted, deps, is_wanted).await?
            }
        };
        let mut found = Found::default();
        let mut next = from;
        let mut number = first;
        if first < compacted.entries() {
            let end = first.saturating_add(entries_max as u64);
            let read = compacted.read(&deps.ledger, first, end, bytes_max).await;
            for raw in read.map_err(|error| error.to_string())? {
                let (position, entry) = raw_message::decode(&raw).map_err(|error| {
                    format!("compacted ledger {ledger_id}, entry {number}: {error}")
                })?;
                let ordinal = chain.ordinal_of(position);
                if chain.position_of(ordinal) != Some(position) || ordinal < next {
                    return Err(format!(
                        "compacted ledger {ledger_id}, entry {number}: {position} is not in order \
                         or not of this topic"
                    ));
                }
                if next < ordinal {
                    found.absent.push(next..ordinal);
                }
                let meta = Meta::parse(&entry);
                let entry = geminga_managed_ledger::Entry {
                    ordinal,
                    position,
                    front: bytes::Bytes::new(),
                    body: entry,
                };
                found.entries.push(read_entry(entry, Some(meta)));
                next = ordinal.plus(1);
                number += 1;
            }
        }
        if compacted.entries() <= number && next < self.end {
            found.absent.push(next..self.end);
        }
        found.place = Some(Place { ledger_id, next, number });
        Ok(found)
    }
}

/// The number of the first entry for which `is_wanted` says yes, given that it says no for all before
/// it and yes for all behind it.
async fn find_first(
    compacted: &Compacted,
    deps: &TopicDeps,
    is_wanted: impl Fn(Position, &[u8]) -> bool + Send,
) -> Result<u64, String> {
    let (mut low, mut high) = (0, compacted.entries());
    while low < high {
        let middle = low + (high - low) / 2;
        let read = compacted.read(&deps.ledger, middle, middle + 1, PROBE_BYTES).await;
        let read = read.map_err(|error| error.to_string())?;
        let raw = read.first().ok_or("a compacted ledger ends early")?;
        let (position, entry) = raw_message::decode(raw).map_err(|error| error.to_string())?;
        if is_wanted(position, &entry) { high = middle } else { low = middle + 1 }
    }
    Ok(low)
}

/// Where the first entry lies that was published at or after `time`, if it is in the ledger.
pub(super) async fn find_by_time(
    compacted: &Compacted,
    deps: &TopicDeps,
    time: u64,
) -> Result<Option<Position>, String> {
    let is_late_enough = |_: Position, entry: &[u8]| time <= super::positions::published_at(entry);
    let number = find_first(compacted, deps, is_late_enough).await?;
    if compacted.entries() <= number {
        return Ok(None);
    }
    let read = compacted.read(&deps.ledger, number, number + 1, PROBE_BYTES).await;
    let read = read.map_err(|error| error.to_string())?;
    let raw = read.first().ok_or("a compacted ledger ends early")?;
    Ok(Some(raw_message::decode(raw).map_err(|error| error.to_string())?.0))
}

impl Topic {
    /// Gives a subscription the view that its active consumer asks for.
    pub(super) fn settle_view(&mut self, name: &SubscriptionName) {
        let first = self.ledger.first();
        let with_gone = self.ledger.chain_ref().first_with_gone();
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let active = sub.machine.active();
        if active.is_some() && sub.settled_for == active {
            return; // It stays with what it began.
        }
        sub.settled_for = active;
        let active = active.and_then(|key| self.consumers.get(&key.0));
        match active.map(|consumer| consumer.request.reads_compacted) {
            // A reader that was closed by a seek comes back.
            None if sub.has_consumers() => {}
            None => return,
            Some(true) => {
                sub.reads_compacted = true;
                sub.machine.reveal(with_gone);
                self.pin_view(name);
                return;
            }
            Some(false) => {}
        }
        sub.reads_compacted = false;
        sub.view = None;
        sub.machine.trim(first);
    }

    /// Lets a subscription that reads compacted do so from its first unacked entry on, if the newest
    /// compacted ledger has that.
    pub(super) fn pin_view(&mut self, name: &SubscriptionName) {
        let compacted = self.ledger.compacted().cloned();
        let first = self.ledger.first();
        let chain = self.ledger.chain_ref();
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let Some(compacted) = compacted.filter(|_| sub.reads_compacted) else { return };
        let end = chain.after(compacted.horizon()).max(first);
        if sub.view.is_none() {
            sub.horizon = Some(Horizon { position: compacted.horizon(), last: compacted.last() });
        }
        let is_needed = sub.machine.mark_delete() < end;
        let is_pinned =
            sub.view.as_ref().is_some_and(|view| Arc::ptr_eq(&view.compacted, &compacted));
        if is_needed && !is_pinned {
            sub.horizon = Some(Horizon { position: compacted.horizon(), last: compacted.last() });
            sub.view = Some(View { compacted, end, place: None });
        }
    }

    /// Ledgers have gone that a subscription which reads compacted may need: then a newer compacted
    /// ledger has what survived of them. False: it needs none, or there is none.
    pub(super) fn survives_trimming(&mut self, name: &SubscriptionName) -> bool {
        let first = self.ledger.first();
        let Some(sub) = self.subscriptions.get_mut(name) else { return false };
        if !sub.reads_compacted || first <= sub.machine.mark_delete() {
            return false;
        }
        if sub.view.as_ref().is_none_or(|view| view.end < first) {
            sub.view = None;
            self.pin_view(name);
        }
        self.subscriptions.get(name).is_some_and(|sub| sub.view.is_some())
    }
}
