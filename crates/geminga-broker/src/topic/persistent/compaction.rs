//! Topic compaction: by request or by threshold, one at a time, as a job in two passes.
//!
//! The first pass finds the last message of each key, the second writes those into a new ledger, with
//! their message ids; then the managed ledger's key names that ledger instead of the one before, and
//! the cursor `__compaction` moves up to the last entry that was looked at. The cursor is a
//! subscription without consumers: it keeps what is not yet compacted from being trimmed.
//!
//! # Invariants
//!
//! 1. The cursor moves only after the compacted ledger counts, durably.
//! 2. A ledger that was begun either counts in the end or is given up.
//! 3. While a pass is under way the topic is not deleted.

mod content;
mod rewrite;
mod run;
mod source;
mod survivors;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use geminga_env::Instant;
use geminga_managed_ledger::{CompactionEvent, SideWriter};
use geminga_types::{LedgerId, Position};
use geminga_wire::proto::MessageIdData;
use prost::Message as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

pub(super) use self::run::{Chosen, Written};
use self::source::Source;
use super::{
    super::Reply,
    Topic,
    background::{Answer, Lost},
    close::Phase,
};
use crate::{AdminError, CompactionStats, CompactionStatus};

/// Name of the cursor, as in Pulsar.
pub(super) const CURSOR: &str = "__compaction";
/// How long a pass may take: it goes over all that the topic holds.
const PASS_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long a threshold waits after a failure, and after many: each pass reads all that there is.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// What is known of a topic's compaction.
#[derive(Debug)]
pub(super) struct Compaction {
    stage: Stage,
    /// Dropping it ends the pass that is under way.
    pass: Option<DropGuard>,
    /// Tells answers for an earlier one apart.
    attempt: u64,
    began: Instant,
    last: Option<Result<(), String>>,
    stats: CompactionStats,
    /// How often one ended well, and badly, since the topic was loaded.
    ended: [u64; 2],
    /// When the threshold is looked at again.
    pub(super) next_look: Instant,
    /// Failures since the last success: the threshold then waits for longer and longer.
    failures: u32,
    not_before: Instant,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// The cursor is being made.
    MakingCursor,
    Choosing,
    /// The ledger is being made.
    Opening {
        chosen: Box<Chosen>,
    },
    Writing {
        ledger_id: LedgerId,
    },
    /// The key is being changed.
    Swapping {
        removed: u64,
    },
}

impl Compaction {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Idle,
            pass: None,
            attempt: 0,
            began: now,
            last: None,
            stats: CompactionStats::default(),
            ended: [0, 0],
            next_look: now,
            failures: 0,
            not_before: now,
        }
    }

    const fn is_running(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    /// Whether a pass is under way, which must not write after the topic is deleted.
    pub(super) const fn has_pass(&self) -> bool {
        matches!(self.stage, Stage::Choosing | Stage::Writing { .. })
    }

    pub(super) const fn stats(&self) -> CompactionStats {
        self.stats
    }

    pub(super) const fn ended(&self) -> [u64; 2] {
        self.ended
    }
}

impl Topic {
    /// Begins a compaction, unless there is one.
    pub(super) fn compact(&mut self, reply: Reply<Result<(), AdminError>>) {
        let answer = if !matches!(self.phase, Phase::Serving) {
            Err(AdminError::Unavailable(self.closing().to_string()))
        } else if self.compaction.is_running() {
            Err(AdminError::Conflict("Compaction already in progress".to_owned()))
        } else {
            self.start_compaction();
            Ok(())
        };
        _ = reply.send(answer);
    }

    /// How the last one went, since the topic was loaded.
    pub(super) fn compaction_status(&self) -> CompactionStatus {
        match &self.compaction.last {
            _ if self.compaction.is_running() => CompactionStatus::Running,
            None => CompactionStatus::NotRun,
            Some(Ok(())) => CompactionStatus::Success,
            Some(Err(reason)) => CompactionStatus::Error(reason.clone()),
        }
    }

    fn start_compaction(&mut self) {
        self.compaction.began = self.now();
        if self.subscriptions.contains_key(CURSOR) {
            self.choose_survivors();
        } else {
            self.compaction.stage = Stage::MakingCursor;
            self.make_compaction_cursor();
        }
    }

    fn make_compaction_cursor(&mut self) {
        if !self.is_busy_name(CURSOR) {
            let first = self.ledger.first();
            self.create_durable(CURSOR.into(), first, Vec::new());
        }
    }

    /// The cursor is there, or could not be made, or is gone.
    pub(super) fn on_compaction_cursor(&mut self, result: &Result<(), String>) {
        if matches!(self.compaction.stage, Stage::MakingCursor) {
            match result {
                Ok(()) if self.subscriptions.contains_key(CURSOR) => self.choose_survivors(),
                Ok(()) => self.end_compaction(Err("its cursor was deleted".to_owned())),
                Err(reason) => self.end_compaction(Err(reason.clone())),
            }
        }
    }

    fn choose_survivors(&mut self) {
        let before = self.ledger.compacted().cloned();
        let chain = self.ledger.chain();
        let behind = before.as_ref().map(|before| chain.after(before.horizon()));
        let from = behind.unwrap_or_else(|| chain.first()).max(chain.first());
        let to = chain.end();
        if to <= from {
            self.end_compaction(Ok(())); // Nothing is new.
            return;
        }
        self.deps.options.trace("compaction", true);
        let source = Source { before, chain, from, to };
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let deps = self.deps.clone();
        let choose = async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => Err("the topic was closed".to_owned()),
                chosen = run::choose(source, &deps) => chosen.map(Box::new),
            }
        };
        self.compaction.attempt += 1;
        let attempt = self.compaction.attempt;
        self.spawn(PASS_TIME_MAX, choose, move |result| Answer::Chosen {
            attempt,
            result: flat(result),
        });
        self.compaction.stage = Stage::Choosing;
        self.compaction.pass = Some(cancel.drop_guard());
    }

    pub(super) fn on_chosen(&mut self, attempt: u64, result: Result<Box<Chosen>, String>) {
        let is_waited_for = matches!(self.compaction.stage, Stage::Choosing);
        if attempt != self.compaction.attempt || !is_waited_for {
            return;
        }
        match result {
            Ok(chosen) if matches!(self.phase, Phase::Serving) => {
                let about = self.about_ledger(chosen.horizon);
                self.compaction.stage = Stage::Opening { chosen };
                self.ledger.begin_compacted(about);
            }
            Ok(_) => self.end_compaction(Err("the topic was closed".to_owned())),
            Err(reason) => self.end_compaction(Err(reason)),
        }
    }

    /// What Pulsar notes in the metadata of such a ledger.
    fn about_ledger(&self, horizon: Position) -> BTreeMap<String, Bytes> {
        let horizon = MessageIdData::from(horizon).encode_to_vec();
        let about = [
            ("application", Bytes::from_static(b"pulsar")),
            ("component", Bytes::from_static(b"compacted-ledger")),
            ("pulsar/compactedTopic", Bytes::from(self.name.to_string())),
            ("pulsar/compactedTo", horizon.into()),
        ];
        about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Takes what became of compacted ledgers. False: there was nothing.
    pub(super) fn settle_compaction(&mut self) -> bool {
        let mut has_any = false;
        while let Some(event) = self.ledger.poll_compaction_event() {
            has_any = true;
            match event {
                CompactionEvent::Begun(writer) => self.on_ledger_begun(writer),
                CompactionEvent::NotBegun { reason } => self.end_compaction(Err(reason)),
                CompactionEvent::Finished => self.on_swapped(),
            }
        }
        has_any
    }

    fn on_ledger_begun(&mut self, writer: SideWriter) {
        let ledger_id = writer.ledger_id();
        let stage = std::mem::replace(&mut self.compaction.stage, Stage::Idle);
        let Stage::Opening { chosen } = stage else {
            self.compaction.stage = stage;
            self.ledger.abandon_compacted(ledger_id);
            return;
        };
        if !matches!(self.phase, Phase::Serving) {
            self.ledger.abandon_compacted(ledger_id);
            self.end_compaction(Err("the topic was closed".to_owned()));
            return;
        }
        let cancel = CancellationToken::new();
        let cancelled = cancel.clone();
        let (deps, partition) = (self.deps.clone(), self.name.partition());
        let write = async move {
            tokio::select! {
                biased;
                () = cancelled.cancelled() => Err("the topic was closed".to_owned()),
                written = run::write(*chosen, writer, partition, &deps) => written.map(Box::new),
            }
        };
        let attempt = self.compaction.attempt;
        self.spawn(PASS_TIME_MAX, write, move |result| Answer::Written {
            attempt,
            result: flat(result),
        });
        self.compaction.stage = Stage::Writing { ledger_id };
        self.compaction.pass = Some(cancel.drop_guard());
    }

    pub(super) fn on_written(&mut self, attempt: u64, result: Result<Box<Written>, String>) {
        let Stage::Writing { ledger_id, .. } = self.compaction.stage else { return };
        if attempt != self.compaction.attempt {
            return;
        }
        match result {
            Ok(written) => {
                let Written { record, removed } = *written;
                self.compaction.stage = Stage::Swapping { removed };
                self.ledger.finish_compacted(record);
            }
            Err(reason) => {
                self.ledger.abandon_compacted(ledger_id);
                self.end_compaction(Err(reason));
            }
        }
    }

    fn on_swapped(&mut self) {
        let Stage::Swapping { removed } = self.compaction.stage else { return };
        self.compaction.stats.removed_last = removed;
        self.release_horizon();
        self.end_compaction(Ok(()));
    }

    /// Lets the cursor go up to what is compacted: also at a load, if it did not get there.
    pub(super) fn release_horizon(&mut self) {
        let Some(horizon) = self.ledger.compacted().map(|compacted| compacted.horizon()) else {
            return;
        };
        let to = self.next_after(horizon);
        let Some((name, sub)) = self.subscriptions.get_key_value(CURSOR) else { return };
        if sub.machine.mark_delete() < to {
            let name = name.clone();
            let Some(sub) = self.subscriptions.get_mut(&name) else { return };
            let change = sub.machine.ack_before(to);
            self.note_acks(&name, &change, None);
            self.ready.insert(name);
        }
    }

    fn end_compaction(&mut self, result: Result<(), String>) {
        if !matches!(self.compaction.stage, Stage::Idle | Stage::MakingCursor) {
            self.deps.options.trace("compaction", false);
        }
        let wall = self.deps.ledger.env.clock.wall().0;
        let now = self.now();
        let took = now.saturating_duration_since(self.compaction.began);
        let stats = &mut self.compaction.stats;
        stats.duration_last = took;
        match &result {
            Ok(()) => {
                stats.succeeded_at = wall;
                self.compaction.ended[0] += 1;
                self.compaction.failures = 0;
                let millis = took.as_millis();
                info!(topic = %self.name, millis, removed = stats.removed_last, "compacted");
            }
            Err(reason) => {
                stats.failed_at = wall;
                self.compaction.ended[1] += 1;
                let pause = FIRST_PAUSE.saturating_mul(1 << self.compaction.failures.min(16));
                self.compaction.failures = self.compaction.failures.saturating_add(1);
                self.compaction.not_before = now + pause.min(LONGEST_PAUSE);
                warn!(topic = %self.name, reason, "compaction failed");
            }
        }
        self.compaction.stage = Stage::Idle;
        self.compaction.pass = None;
        self.compaction.last = Some(result);
    }

    /// Ends the pass under way, which answers at once: the topic closes. What it wrote is given up.
    pub(super) fn cancel_compaction(&mut self) {
        self.compaction.pass = None;
    }

    /// Looks whether so much is not compacted that it is time to, if there is a threshold.
    pub(super) fn look_at_threshold(&mut self) {
        let Some(threshold) = self.policies.compaction_threshold else { return };
        if !matches!(self.phase, Phase::Serving) || self.compaction.is_running() {
            return;
        }
        let Some(sub) = self.subscriptions.get(CURSOR) else {
            // From now on nothing is trimmed that is not compacted.
            self.make_compaction_cursor();
            return;
        };
        let is_exceeded = threshold < self.ledger.bytes_from(sub.machine.mark_delete());
        if is_exceeded && self.compaction.not_before <= self.now() {
            self.start_compaction();
        }
    }
}

fn flat<T>(result: Result<Result<T, String>, Lost>) -> Result<T, String> {
    result.unwrap_or_else(|lost| Err(lost.to_string()))
}
