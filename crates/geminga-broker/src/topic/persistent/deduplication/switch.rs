//! Deduplication is switched on and off, and its cursor made and deleted.
//!
//! It is on durably exactly while the cursor exists and says so: by a property that it is made with, and
//! from its first records on by one of them. Only then are producers opened, so that a load judges a
//! name as its producer was judged; what is open goes on meanwhile.

use std::{collections::BTreeMap, time::Duration};

use geminga_dedup::{Dedup, Identity, Ticket};
use tracing::{info, warn};

use super::{
    super::{Topic, publish::Fate},
    CURSOR, Deduplication,
};

/// How long after the cursor was not made or deleted that is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Most names of those for whom the cursor is made; others come back too early, and again.
const AWAITING_MAX: usize = 1_000;

/// A property of a cursor that is made to judge clients' messages.
pub(super) const JUDGING: &str = "geminga.judging";

/// Where the cursor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Missing,
    Creating {
        /// Whether it is made with [`JUDGING`].
        is_judging: bool,
    },
    There,
    Deleting,
}

impl Topic {
    /// Does what the policies want, from now on: what was sent before is not known. False: it is done, or
    /// has to wait.
    pub(in super::super) fn switch_deduplication(&mut self) -> bool {
        let is_wanted = self.policies.deduplication;
        if self.is_deduplicating() == is_wanted {
            return false;
        }
        if !is_wanted && self.has_repeated_sends() {
            return false; // Only what is known now can tell their fate.
        }
        info!(topic = %self.name, is_wanted, "deduplication is switched");
        let end = self.ledger.end();
        let since = is_wanted.then(|| self.position_before(end));
        let pending = self.pending.len();
        let deduplication = self.deduplication();
        deduplication.machine.judge_sequences(since);
        deduplication.begin = end;
        deduplication.unjudged = if is_wanted { pending } else { 0 };
        if !matches!(deduplication.stage, Stage::There) {
            deduplication.forget_bytes();
        }
        for pending in &mut self.pending {
            if let Fate::Append(ticket) = &mut pending.fate {
                ticket.take_if(|ticket| matches!(ticket, Ticket::Sequence(_)));
            }
        }
        true
    }

    fn has_repeated_sends(&self) -> bool {
        self.pending.iter().any(|pending| match &pending.fate {
            Fate::Repeats(known_by) => matches!(known_by.1, Identity::Sequence(_)),
            Fate::Append(_) | Fate::Stored | Fate::Across | Fate::Refused(_) => false,
        })
    }

    /// The machine, made if there is none.
    pub(in super::super) fn deduplication(&mut self) -> &mut Deduplication {
        let options = Deduplication::options_of(&self.deps.options.deduplication);
        let end = self.ledger.end();
        self.deduplication.get_or_insert_with(|| {
            Box::new(Deduplication::new(Dedup::new(options), Stage::Missing, end))
        })
    }

    /// A message came that cannot be judged: its producer is to be closed, and opens again once it can.
    pub(in super::super) fn await_cursor(&mut self, name: String) {
        let awaiting = &mut self.deduplication().awaiting;
        if awaiting.len() < AWAITING_MAX {
            awaiting.insert(name);
        }
    }

    /// Switches, and makes or deletes the cursor, as needed. False: all is as it should be, or under way.
    pub(in super::super) fn settle_deduplication(&mut self) -> bool {
        if !self.is_serving() {
            return false;
        }
        let is_switched = self.switch_deduplication();
        self.settle_cursor() || is_switched
    }

    fn settle_cursor(&mut self) -> bool {
        let (now, end) = (self.now(), self.ledger.end());
        let Some(deduplication) = &mut self.deduplication else { return false };
        if deduplication.next_try.is_some_and(|at| now < at) {
            return false;
        }
        deduplication.next_try = None;
        let is_judging = deduplication.machine.judges_sequences();
        let is_wanted = !deduplication.awaiting.is_empty() || !deduplication.machine.is_idle();
        match deduplication.stage {
            Stage::Missing if is_wanted => {
                deduplication.stage = Stage::Creating { is_judging };
                if !is_judging {
                    deduplication.forget_bytes();
                }
                let at = if is_judging { deduplication.begin } else { end };
                (deduplication.durable.end, deduplication.taken.end) = (at, at);
                deduplication.next_store = None;
                let mark_delete = self.position_before(at);
                let property = is_judging.then(|| (JUDGING.to_owned(), String::new()));
                let properties: BTreeMap<String, String> = property.into_iter().collect();
                self.ledger.create_cursor(CURSOR, mark_delete, properties);
            }
            Stage::Missing if deduplication.opening.is_empty() => self.deduplication = None,
            Stage::There if !is_wanted => {
                deduplication.stage = Stage::Deleting;
                deduplication.in_flight.clear();
                self.ledger.delete_cursor(CURSOR);
            }
            Stage::Missing | Stage::Creating { .. } | Stage::There | Stage::Deleting => {
                return false;
            }
        }
        true
    }

    pub(super) fn on_records_created(&mut self, result: Result<(), String>) {
        let next_try = self.now() + RETRY;
        let Some(deduplication) = &mut self.deduplication else { return };
        match result {
            Ok(()) => {
                let was = std::mem::replace(&mut deduplication.stage, Stage::There);
                let is_judging = deduplication.machine.judges_sequences();
                // Had it been switched off and on again meanwhile, it would begin elsewhere.
                let is_as_made = deduplication.begin == deduplication.durable.end;
                if was == (Stage::Creating { is_judging }) && (!is_judging || is_as_made) {
                    deduplication.machine.note_recorded();
                }
            }
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
            Ok(()) => {
                deduplication.stage = Stage::Missing;
                deduplication.machine.on_records_gone();
            }
            Err(reason) => {
                warn!(topic = %self.name, reason, "deduplication's cursor was not deleted");
                deduplication.stage = Stage::There;
                deduplication.next_try = Some(next_try);
                deduplication.machine.on_writes_lost();
            }
        }
    }
}
