//! Deduplication: which sends are stored already, and how the topic remembers that.
//!
//! The machine (`geminga-dedup`) judges sends and follows their fate. What it knows is kept as records
//! in the log of the cursor `pulsar.dedup`, whose mark-delete position says up to which entry they tell;
//! a load replays the entries behind it ([`recover`]), and until the records cover them they are not
//! trimmed. Where the policies want no deduplication there is a machine only while brokers publish
//! messages with sources here.
//!
//! # Invariants
//!
//! 1. Every entry from `durable` on that the machine noted is stored, and not trimmed.
//! 2. A message with a source is appended only while the cursor exists durably: every load finds it.
//! 3. A producer is opened only once nothing that was sent under its name is undecided.

mod recover;
mod switch;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use geminga_dedup::{Dedup, Identity, NAME_BYTES_MAX, Verdict};
use geminga_env::Instant;
use geminga_managed_ledger::{CursorDelta, CursorEvent, CursorSeq, CursorState};
use geminga_types::Ordinal;
use tracing::warn;

pub(crate) use self::recover::recover;
use self::switch::Stage;
use super::{super::Reply, Topic, close::Phase, publish::Fate};
use crate::{DeduplicationOptions, ProduceError, Producer, producer::OpenProducer};

/// Name of the cursor, as in Pulsar.
pub(super) const CURSOR: &str = "pulsar.dedup";

/// Bytes after which records are stored, however few entries they are: a load reads as many.
const UNSTORED_BYTES_MAX: u64 = 32 << 20;

/// Somebody who waits for an answer to PRODUCER.
type Opening = (OpenProducer, Reply<Result<Producer, ProduceError>>);

/// What a topic with deduplication has more than one without.
#[derive(Debug)]
pub(crate) struct Deduplication {
    machine: Dedup,
    stage: Stage,
    /// When making or deleting the cursor may be tried again, if that failed.
    next_try: Option<Instant>,
    /// What is before it is in durable records.
    durable: Ordinal,
    /// Records on their way to the cursor's log, and what is before in them.
    in_flight: VecDeque<(CursorSeq, Ordinal)>,
    /// What is before it is in records that were stored or are on their way.
    taken: Ordinal,
    /// Bytes of the entries from there on.
    unstored_bytes: u64,
    /// When records are stored at the latest.
    next_store: Option<Instant>,
    opening: Vec<Opening>,
    /// Names of producers that sent a message with a source before the cursor was there.
    awaiting: BTreeSet<String>,
}

impl Deduplication {
    fn new(machine: Dedup, stage: Stage, durable: Ordinal) -> Self {
        Self {
            machine,
            stage,
            next_try: None,
            durable,
            in_flight: VecDeque::new(),
            taken: durable,
            unstored_bytes: 0,
            next_store: None,
            opening: Vec::new(),
            awaiting: BTreeSet::new(),
        }
    }

    /// Judges a send.
    pub(super) fn judge(&mut self, name: &str, identity: &Identity, now: Instant) -> Fate {
        match self.machine.judge(name.as_bytes(), identity, now) {
            Verdict::Fresh(ticket) => Fate::Append(ticket),
            Verdict::Stored => Fate::Stored,
            Verdict::InFlight => Fate::Repeats(Box::new((name.into(), *identity))),
            Verdict::Across => Fate::Across,
        }
    }

    /// Whether a message with that identity may be appended now.
    pub(super) const fn takes(&self, identity: &Identity) -> bool {
        !matches!(identity, Identity::Source(_)) || matches!(self.stage, Stage::There)
    }

    pub(super) const fn machine(&mut self) -> &mut Dedup {
        &mut self.machine
    }

    pub(super) fn is_stored(&self, name: &str, identity: &Identity) -> bool {
        self.machine.is_stored(name.as_bytes(), identity)
    }

    pub(super) const fn note_stored(&mut self, bytes: u64) {
        self.unstored_bytes = self.unstored_bytes.saturating_add(bytes);
    }

    /// The first entry that records do not cover durably.
    pub(super) const fn needed(&self) -> Ordinal {
        self.durable
    }

    /// Whether nothing is being done.
    pub(super) fn is_quiet(&self) -> bool {
        self.in_flight.is_empty()
            && self.opening.is_empty()
            && !matches!(self.stage, Stage::Creating | Stage::Deleting)
    }

    fn options_of(options: &DeduplicationOptions) -> geminga_dedup::Options {
        geminga_dedup::Options {
            producers_max: options.producers_max,
            inactivity: options.producer_inactivity,
        }
    }
}

impl Topic {
    /// Whether clients' messages are judged.
    pub(super) fn is_deduplicating(&self) -> bool {
        self.deduplication.as_ref().is_some_and(|it| it.machine.judges_sequences())
    }

    /// Has a producer wait if its name's last sequence id is not decided yet, or the cursor is awaited.
    pub(super) fn wait_to_open(
        &mut self,
        open: OpenProducer,
        reply: Reply<Result<Producer, ProduceError>>,
    ) -> Option<Opening> {
        let is_serving = matches!(self.phase, Phase::Serving);
        let Some(deduplication) = &mut self.deduplication else { return Some((open, reply)) };
        let waits = match deduplication.stage {
            Stage::There => false,
            _ => deduplication.awaiting.contains(&open.name),
        };
        let waits = waits || deduplication.machine.is_in_flight(open.name.as_bytes());
        if !waits || !is_serving || self.producers.is_taken(&open) {
            return Some((open, reply));
        }
        deduplication.opening.push((open, reply));
        None
    }

    /// Opens producers that waited, if they can be by now. False: none was.
    pub(super) fn settle_opening(&mut self) -> bool {
        let Some(deduplication) = &mut self.deduplication else { return false };
        let opening = std::mem::take(&mut deduplication.opening);
        let waited = opening.len();
        for (open, reply) in opening {
            self.open_producer(open, reply);
        }
        self.deduplication.as_ref().map_or(0, |it| it.opening.len()) < waited
    }

    /// What a producer that opens is told, −1 without deduplication.
    pub(super) fn last_sequence_id(&self, name: &str) -> Result<i64, ProduceError> {
        if NAME_BYTES_MAX < name.len() {
            let len = name.len();
            return Err(ProduceError::NotAllowed(format!(
                "Producer name has {len} bytes, the limit is {NAME_BYTES_MAX}"
            )));
        }
        let last =
            self.deduplication.as_ref().and_then(|it| it.machine.last_sequence_id(name.as_bytes()));
        Ok(last.map_or(-1, u64::cast_signed))
    }

    /// Stores what has changed, if it is time to: one write at a time. False: it was not.
    pub(super) fn store_due_records(&mut self) -> bool {
        let now = self.now();
        let end = self.ledger.end();
        let options = &self.deps.options.deduplication;
        let Some(deduplication) = &mut self.deduplication else { return false };
        if end <= deduplication.taken {
            return false;
        }
        if deduplication.next_store.is_none() {
            deduplication.next_store = options.snapshot_interval.map(|interval| now + interval);
        }
        let is_due = options.snapshot_entries <= end.0 - deduplication.taken.0
            || UNSTORED_BYTES_MAX <= deduplication.unstored_bytes
            || deduplication.next_store.is_some_and(|at| at <= now);
        let is_possible = matches!(deduplication.stage, Stage::There)
            && deduplication.in_flight.is_empty()
            && matches!(self.phase, Phase::Serving);
        if !is_due || !is_possible {
            return false;
        }
        self.store_records();
        true
    }

    /// Stores what has changed since the last time, so that the next load finds it without a replay.
    pub(super) fn store_records(&mut self) {
        let end = self.ledger.end();
        let mark_delete = self.position_before(end);
        let Some(deduplication) = &mut self.deduplication else { return };
        if !matches!(deduplication.stage, Stage::There) || end <= deduplication.taken {
            return;
        }
        let changes = deduplication.machine.take_changes().into_iter();
        let records = changes.map(|change| (change.key, change.value)).collect();
        let delta =
            CursorDelta { mark_delete: Some(mark_delete), records, ..CursorDelta::default() };
        self.deps.options.trace("dedup-write", true);
        let seq = self.ledger.append_cursor(CURSOR, delta);
        deduplication.in_flight.push_back((seq, end));
        deduplication.taken = end;
        deduplication.unstored_bytes = 0;
        deduplication.next_store = None;
    }

    /// When records are to be stored, or the cursor is to be tried again.
    pub(super) fn deduplication_timeout(&self) -> Option<Instant> {
        let deduplication = self.deduplication.as_ref()?;
        let is_waiting = matches!(deduplication.stage, Stage::There)
            && deduplication.in_flight.is_empty()
            && matches!(self.phase, Phase::Serving);
        let store = deduplication.next_store.filter(|_| is_waiting);
        store.into_iter().chain(deduplication.next_try).min()
    }

    /// Forgets names that nobody has used for long, and for whom the cursor was made.
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

    fn on_records_durable(&mut self, up_to: CursorSeq) {
        let options = Arc::clone(&self.deps.options);
        let Some(deduplication) = &mut self.deduplication else { return };
        while let Some(&(seq, end)) = deduplication.in_flight.front()
            && seq <= up_to
        {
            deduplication.in_flight.pop_front();
            deduplication.durable = end;
            options.trace("dedup-write", false);
        }
    }

    fn send_all_records(&mut self) {
        let mark_delete = self.position_before(self.ledger.end());
        let Some(deduplication) = &mut self.deduplication else { return };
        let records = deduplication.machine.take_all().into_iter().collect();
        let state = CursorState { records, ..CursorState::at(mark_delete) };
        self.ledger.snapshot_cursor(CURSOR, state);
    }
}
