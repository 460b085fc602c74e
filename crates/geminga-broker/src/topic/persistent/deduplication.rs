//! Deduplication: which sends are stored already, and how the topic remembers that.
//!
//! The machine (`geminga-dedup`) judges sends and follows their fate. What it knows is kept as records
//! in the log of the cursor `pulsar.dedup` ([`records`]), whose mark-delete position says up to which
//! entry they tell; a load replays the entries behind it ([`recover`]), and until the records cover them
//! they are not trimmed. Where the policies want no deduplication there is a machine only while brokers
//! publish messages with sources here.
//!
//! # Invariants
//!
//! 1. Every entry from `durable` on that the machine noted is stored, and not trimmed.
//! 2. A message with a source is appended only while the cursor exists durably: every load finds it.
//! 3. A producer is opened only once nothing that was sent under its name is undecided, and a load would
//!    judge it as it is judged now: whether messages are judged, and what was forgotten, is durable.
//! 4. What a load has to go through is bounded: beyond that nothing is judged, and so nothing appended.

mod opening;
mod records;
mod recover;
mod switch;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use geminga_dedup::{Dedup, Identity, Verdict};
use geminga_env::Instant;
use geminga_managed_ledger::CursorEvent;
use geminga_types::{Ordinal, Position};
use tracing::warn;

pub(crate) use self::recover::recover;
use self::{
    opening::Opening,
    records::{Extent, Write},
    switch::Stage,
};
use super::{Topic, publish::Fate};
use crate::DeduplicationOptions;

/// Name of the cursor, as in Pulsar.
pub(crate) const CURSOR: &str = "pulsar.dedup";

/// What a topic with deduplication has more than one without.
#[derive(Debug)]
pub(crate) struct Deduplication {
    machine: Dedup,
    stage: Stage,
    /// When making or deleting the cursor may be tried again, if that failed.
    next_try: Option<Instant>,
    /// Where clients' messages began to be judged: a cursor that is made begins there.
    begin: Ordinal,
    /// What is noted so far.
    noted_bytes: u64,
    /// What is in durable records.
    durable: Extent,
    /// What is in records that were stored or are on their way.
    taken: Extent,
    /// Records on their way to the cursor's log.
    in_flight: VecDeque<Write>,
    /// When records are stored at the latest.
    next_store: Option<Instant>,
    /// Publishes on their way that were sent before clients' messages were judged.
    unjudged: usize,
    opening: Vec<Opening>,
    /// Names of producers that sent what could not be judged.
    awaiting: BTreeSet<String>,
}

impl Deduplication {
    fn new(machine: Dedup, stage: Stage, end: Ordinal) -> Self {
        let extent = Extent { end, bytes: 0 };
        Self {
            machine,
            stage,
            next_try: None,
            begin: end,
            noted_bytes: 0,
            durable: extent,
            taken: extent,
            in_flight: VecDeque::new(),
            next_store: None,
            unjudged: 0,
            opening: Vec::new(),
            awaiting: BTreeSet::new(),
        }
    }

    /// Judges a send; by the name in its metadata, since a load knows no other.
    pub(super) fn judge(&mut self, name: &Bytes, identity: &Identity, now: Instant) -> Fate {
        match self.machine.judge(name, identity, now) {
            Verdict::Fresh(ticket) => Fate::Append(ticket),
            Verdict::Stored => Fate::Stored,
            Verdict::InFlight => Fate::Repeats(Box::new((name.clone(), *identity))),
            Verdict::Across => Fate::Across,
        }
    }

    /// Whether a message with that identity may be appended now.
    pub(super) fn takes(&self, identity: &Identity, options: &DeduplicationOptions) -> bool {
        match identity {
            Identity::Source(_) if !matches!(self.stage, Stage::There) => false,
            Identity::Sequence(_) if !self.machine.judges_sequences() => true,
            _ => !self.is_behind(options),
        }
    }

    pub(super) const fn machine(&mut self) -> &mut Dedup {
        &mut self.machine
    }

    pub(super) fn is_stored(&self, name: &[u8], identity: &Identity) -> bool {
        self.machine.is_stored(name, identity)
    }

    /// Notes that a publish of the ones that were pending is decided.
    pub(super) const fn note_decided(&mut self) {
        self.unjudged = self.unjudged.saturating_sub(1);
    }

    /// Notes an append that was judged by nobody, since nobody was asked when it was sent.
    pub(super) fn note_unjudged(&mut self, entry: &[u8], position: Position, now: Instant) {
        if self.machine.judges_sequences() {
            recover::note(&mut self.machine, entry, position, now);
        }
    }

    /// The first entry that records do not cover durably, if a load needs any.
    pub(super) fn needed(&self) -> Option<Ordinal> {
        match self.stage {
            Stage::There | Stage::Creating { .. } => Some(self.durable.end),
            Stage::Missing | Stage::Deleting => {
                self.machine.judges_sequences().then_some(self.begin)
            }
        }
    }

    /// Whether nothing is being done.
    pub(super) fn is_quiet(&self) -> bool {
        self.in_flight.is_empty()
            && self.opening.is_empty()
            && !matches!(self.stage, Stage::Creating { .. } | Stage::Deleting)
    }

    fn options_of(options: &DeduplicationOptions) -> geminga_dedup::Options {
        let base = geminga_dedup::Options::default();
        geminga_dedup::Options {
            producers_max: options.producers_max,
            inactivity: options.producer_inactivity,
            source_inactivity: base.source_inactivity.max(options.producer_inactivity),
        }
    }
}

impl Topic {
    /// Whether clients' messages are judged.
    pub(super) fn is_deduplicating(&self) -> bool {
        self.deduplication.as_ref().is_some_and(|it| it.machine.judges_sequences())
    }

    /// When records are to be stored, the cursor is to be tried again, or somebody has waited for too
    /// long.
    pub(super) fn deduplication_timeout(&self) -> Option<Instant> {
        let deduplication = self.deduplication.as_ref()?;
        if !self.is_serving() {
            return None; // Nothing of this is done any more.
        }
        let can_store = deduplication.can_store();
        let store = deduplication.next_store.filter(|_| can_store);
        let until = deduplication.opening.iter().map(|opening| opening.until).min();
        let claim = self.producers.claim_until().filter(|until| self.now() < *until);
        store.into_iter().chain(deduplication.next_try).chain(until).chain(claim).min()
    }

    /// Forgets names that nobody has had for long, and for whom the cursor was made.
    pub(super) fn forget_producers(&mut self) {
        let now = self.now();
        let Some(deduplication) = &mut self.deduplication else { return };
        let names = self.producers.names();
        deduplication.machine.forget_inactive(now, |name| names.contains(name));
        if matches!(deduplication.stage, Stage::There) {
            deduplication.awaiting.clear();
        }
    }

    /// News of the cursor.
    pub(super) fn on_deduplication_cursor(&mut self, event: CursorEvent) {
        match event {
            CursorEvent::Created { .. } => self.on_records_created(Ok(())),
            CursorEvent::CreateFailed { error, .. } => {
                self.on_records_created(Err(error.to_string()));
            }
            CursorEvent::Deleted { .. } => self.on_records_deleted(Ok(())),
            CursorEvent::DeleteFailed { error, .. } => {
                self.on_records_deleted(Err(error.to_string()));
            }
            CursorEvent::Durable { up_to, .. } => self.on_records_durable(up_to),
            CursorEvent::NeedsSnapshot { .. } => self.send_all_records(),
            CursorEvent::Failed { error, .. } => {
                // They stay in the machine; the log begins anew with all of them.
                warn!(topic = %self.name, %error, "deduplication's records were not stored");
            }
        }
    }
}
