//! Deduplication is switched on and off, and its cursor made and deleted.

use std::{collections::BTreeMap, time::Duration};

use geminga_dedup::{Dedup, Ticket};
use tracing::{info, warn};

use super::{
    super::{Topic, close::Phase, publish::Fate},
    CURSOR, Deduplication,
};

/// How long after the cursor was not made or deleted that is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where the cursor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Missing,
    Creating,
    There,
    Deleting,
}

impl Topic {
    /// Does what the policies want, from now on: what was sent before is not known.
    pub(in super::super) fn switch_deduplication(&mut self) {
        let is_wanted = self.policies.deduplication;
        if self.is_deduplicating() == is_wanted {
            return;
        }
        info!(topic = %self.name, is_wanted, "deduplication is switched");
        self.deduplication().machine.set_judges_sequences(is_wanted);
        for pending in &mut self.pending {
            if let Fate::Append(ticket) = &mut pending.fate {
                ticket.take_if(|ticket| !is_wanted && matches!(ticket, Ticket::Sequence(_)));
            }
        }
    }

    /// The machine, made if there is none.
    pub(in super::super) fn deduplication(&mut self) -> &mut Deduplication {
        let options = Deduplication::options_of(&self.deps.options.deduplication);
        let end = self.ledger.end();
        self.deduplication.get_or_insert_with(|| {
            Box::new(Deduplication::new(Dedup::new(options, false), Stage::Missing, end))
        })
    }

    /// A message with a source came, and the cursor is not there: its producer is to be closed, and
    /// opens again once the cursor is.
    pub(in super::super) fn await_cursor(&mut self, name: String) {
        self.deduplication().awaiting.insert(name);
    }

    /// Makes or deletes the cursor, as needed. False: it is as it should be, or that is under way.
    pub(in super::super) fn settle_deduplication(&mut self) -> bool {
        let now = self.now();
        let is_serving = matches!(self.phase, Phase::Serving);
        let Some(deduplication) = &mut self.deduplication else { return false };
        if !is_serving || deduplication.next_try.is_some_and(|at| now < at) {
            return false;
        }
        let is_wanted = !deduplication.awaiting.is_empty() || !deduplication.machine.is_idle();
        match deduplication.stage {
            Stage::Missing if is_wanted => {
                deduplication.stage = Stage::Creating;
                deduplication.next_try = None;
                let durable = deduplication.durable;
                let mark_delete = self.position_before(durable);
                self.ledger.create_cursor(CURSOR, mark_delete, BTreeMap::new());
            }
            Stage::Missing if deduplication.opening.is_empty() => self.deduplication = None,
            Stage::There if !is_wanted => {
                deduplication.stage = Stage::Deleting;
                deduplication.next_try = None;
                deduplication.in_flight.clear();
                self.ledger.delete_cursor(CURSOR);
            }
            Stage::Missing | Stage::Creating | Stage::There | Stage::Deleting => return false,
        }
        true
    }

    pub(super) fn on_records_created(&mut self, result: Result<(), String>) {
        let next_try = self.now() + RETRY;
        let Some(deduplication) = &mut self.deduplication else { return };
        match result {
            Ok(()) => deduplication.stage = Stage::There,
            Err(reason) => {
                warn!(topic = %self.name, reason, "deduplication's cursor was not made");
                deduplication.stage = Stage::Missing;
                deduplication.next_try = Some(next_try);
            }
        }
    }

    pub(super) fn on_records_deleted(&mut self, result: Result<(), String>) {
        let next_try = self.now() + RETRY;
        let Some(deduplication) = &mut self.deduplication else { return };
        match result {
            Ok(()) => deduplication.stage = Stage::Missing,
            Err(reason) => {
                warn!(topic = %self.name, reason, "deduplication's cursor was not deleted");
                deduplication.stage = Stage::There;
                deduplication.next_try = Some(next_try);
            }
        }
    }
}
