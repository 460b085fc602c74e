//! The ledger that appends go to, and when it has had enough.

use geminga_bookie_api::{AddEntry, AddError, BookieId};
use geminga_env::Instant;
use geminga_ledger::{Confirmed, Sealed, Writer};
use geminga_types::{EntryId, LedgerId};
use tracing::warn;

use crate::{
    append::{Append, AppendError},
    options::Options,
};

#[derive(Debug)]
pub(crate) struct OpenLedger {
    writer: Writer,
    opened_at: Instant,
    /// The next entry to be added.
    next: EntryId,
    bytes_added: u64,
    is_past_min: bool,
    is_past_max: bool,
}

impl OpenLedger {
    pub(crate) const fn new(writer: Writer, opened_at: Instant, options: &Options) -> Self {
        let next = EntryId(0);
        let is_past_min = options.min_rollover.is_zero();
        Self { writer, opened_at, next, bytes_added: 0, is_past_min, is_past_max: false }
    }

    pub(crate) const fn ledger_id(&self) -> LedgerId {
        self.writer.ledger_id()
    }

    pub(crate) const fn opened_at(&self) -> Instant {
        self.opened_at
    }

    pub(crate) fn has_room(&self) -> bool {
        self.writer.has_room()
    }

    pub(crate) fn add(&mut self, Append { front, body, sum }: Append) {
        self.bytes_added += sum.len() as u64;
        let entry_id = self.writer.add_with_front(front, body, sum);
        self.next = EntryId(entry_id.0 + 1);
    }

    pub(crate) fn poll_send(&mut self) -> Option<(BookieId, Vec<AddEntry>)> {
        self.writer.poll_send()
    }

    pub(crate) fn on_added(
        &mut self,
        bookie: &BookieId,
        entry_id: EntryId,
        result: Result<(), AddError>,
    ) {
        if let Err(error) = self.writer.on_added(bookie, entry_id, result) {
            warn!(%error, %bookie, ledger_id = self.ledger_id().0, entry_id = entry_id.0);
        }
    }

    pub(crate) fn poll_confirmed(&mut self) -> Option<Confirmed> {
        self.writer.poll_confirmed()
    }

    pub(crate) const fn failure(&self) -> Option<&AddError> {
        self.writer.failure()
    }

    /// How many entries are on their way. Confirmed ones must have been polled.
    pub(crate) fn in_flight(&self) -> usize {
        self.writer.in_flight()
    }

    /// Stops for good, and says what became of each entry on its way, oldest first.
    pub(crate) fn fail_in_flight(&mut self, reason: &str) -> Vec<AppendError> {
        let last_confirmed = self.writer.stop().last_entry;
        let in_flight = last_confirmed.0 + 1..self.next.0;
        let error = |entry| {
            if self.writer.may_exist(EntryId(entry)) {
                AppendError::MayExist(reason.to_owned())
            } else {
                AppendError::NotStored(reason.to_owned())
            }
        };
        in_flight.map(error).collect()
    }

    /// Where it ends, once nothing is on its way or it has failed.
    pub(crate) fn stop(&mut self) -> Sealed {
        self.writer.stop()
    }

    /// Whether the next append is to go to another ledger.
    pub(crate) fn is_full(&self, options: &Options) -> bool {
        self.is_past_min && self.is_large(options)
    }

    /// Whether it is to be closed for its age.
    pub(crate) const fn is_old(&self) -> bool {
        self.is_past_max && 0 < self.next.0
    }

    /// Closes it once nothing is on its way, as if it were old.
    pub(crate) const fn retire(&mut self) {
        self.is_past_max = true;
    }

    pub(crate) fn next_timeout(&self, options: &Options) -> Option<Instant> {
        let past_min = !self.is_past_min && self.is_large(options);
        let past_max = !self.is_past_max && 0 < self.next.0;
        let min = past_min.then(|| self.opened_at.checked_add(options.min_rollover)).flatten();
        let max = past_max.then(|| self.opened_at.checked_add(options.max_rollover)).flatten();
        min.into_iter().chain(max).min()
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, options: &Options) {
        let age = now.saturating_duration_since(self.opened_at);
        self.is_past_min |= options.min_rollover <= age;
        self.is_past_max |= options.max_rollover <= age;
    }

    const fn is_large(&self, options: &Options) -> bool {
        options.max_entries_per_ledger <= self.next.0.cast_unsigned()
            || options.max_ledger_bytes <= self.bytes_added
    }
}
