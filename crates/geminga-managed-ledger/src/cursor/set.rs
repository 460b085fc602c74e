//! The cursors of one managed ledger: whose turn it is to send, to run a job, to be told.
//!
//! # Invariants
//!
//! 1. `by_ledger` names exactly the open cursor ledgers.
//! 2. A cursor with something to send, to start or to wait for is in the set of that name; so no
//!    poll visits cursors that are idle.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use geminga_bookie_api::{AddEntry, AddError, BookieId};
use geminga_env::Instant;
use geminga_types::{EntryId, LedgerId};
use tracing::warn;

use super::{
    CursorDelta, CursorError, CursorEvent, CursorSeq, CursorState, SnapshotAttempt,
    log::{CursorLog, Phase, RollAt, Told},
};
use crate::{
    info,
    job::{
        ContinueCursor, ContinueCursorDone, CreateCursor, CreateCursorDone, DeleteCursor,
        DeleteCursorDone, JobError, Kind, PointCursor, PointCursorDone, SealCursor, SealCursorDone,
        WriteSnapshot, WriteSnapshotDone, Written,
    },
    options::Options,
    owned_key::OwnedKey,
    tombstone::Doomed,
};

type Name = Arc<str>;

#[derive(Debug)]
pub(crate) struct Cursors {
    /// The managed ledger's key.
    path: Arc<str>,
    logs: BTreeMap<Name, CursorLog>,
    by_ledger: BTreeMap<LedgerId, Name>,
    to_send: BTreeSet<Name>,
    to_start: BTreeSet<Name>,
    backing_off: BTreeSet<Name>,
    jobs: VecDeque<Kind>,
    /// Snapshots that jobs are writing.
    writing: usize,
    /// Snapshots that were begun: a name may be that of another cursor by the time one is written.
    attempts: u64,
    /// Whether the topic is being deleted: what no key names is cleaned up, and nothing else is done.
    is_abandoned: bool,
    events: VecDeque<CursorEvent>,
    is_closing: bool,
    is_fenced: bool,
}

impl Cursors {
    /// Each key with whether its log may go on without a snapshot.
    pub(crate) fn new(path: Arc<str>, keys: Vec<(Name, OwnedKey, bool)>) -> Self {
        let logs = keys.into_iter();
        let logs = logs.map(|(name, key, goes_on)| (name, CursorLog::new(Some(key), goes_on)));
        Self {
            path,
            logs: logs.collect(),
            by_ledger: BTreeMap::new(),
            to_send: BTreeSet::new(),
            to_start: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            jobs: VecDeque::new(),
            writing: 0,
            attempts: 0,
            is_abandoned: false,
            events: VecDeque::new(),
            is_closing: false,
            is_fenced: false,
        }
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.is_fenced
    }

    pub(crate) fn poll_event(&mut self) -> Option<CursorEvent> {
        self.events.pop_front()
    }

    pub(crate) fn create(&mut self, name: &str, state: CursorState) {
        let name: Name = Arc::from(name);
        let refusal = match () {
            () if self.is_fenced => Some(CursorError::Fenced),
            () if self.is_closing => Some(CursorError::Closed),
            () if self.logs.contains_key(&name) => Some(CursorError::Exists),
            () => None,
        };
        if let Some(error) = refusal {
            self.events.push_back(CursorEvent::CreateFailed { name, error });
            return;
        }
        let path = info::cursor_path(&self.path, &name);
        self.logs.insert(Arc::clone(&name), CursorLog::new(None, false));
        self.jobs.push_back(Kind::CreateCursor(Box::new(CreateCursor { name, path, state })));
    }

    pub(crate) fn on_created(&mut self, done: CreateCursorDone) {
        let CreateCursorDone { name, result } = done;
        match (result, self.logs.get_mut(&name)) {
            (Ok(key), Some(log)) => {
                log.key = Some(key);
                log.phase = Phase::Idle;
                self.events.push_back(CursorEvent::Created { name: Arc::clone(&name) });
                self.to_start.insert(Arc::clone(&name));
                self.ask(&name, RollAt { entries: u64::MAX, bytes: u64::MAX });
            }
            (Err(error), _) => {
                self.logs.remove(&name);
                self.events.push_back(CursorEvent::CreateFailed { name, error });
            }
            (Ok(_), None) => {}
        }
    }

    pub(crate) fn delete(&mut self, name: &str) {
        match self.logs.get_key_value(name) {
            Some((name, _)) if !self.is_closing && !self.is_fenced => {
                let name = Arc::clone(name);
                if let Some(log) = self.logs.get_mut(&name) {
                    log.is_doomed = true;
                }
                self.to_start.insert(name);
            }
            found => {
                let error = match found {
                    None => CursorError::NotFound,
                    Some(_) if self.is_fenced => CursorError::Fenced,
                    Some(_) => CursorError::Closed,
                };
                let name = Arc::from(name);
                self.events.push_back(CursorEvent::DeleteFailed { name, error });
            }
        }
    }

    pub(crate) fn on_deleted(&mut self, done: DeleteCursorDone, now: Instant) -> Option<Doomed> {
        let DeleteCursorDone { name, key, result } = done;
        match result {
            Ok(doomed) => {
                self.logs.remove(&name);
                self.events.push_back(CursorEvent::Deleted { name });
                return doomed;
            }
            Err(JobError::Fenced) => self.fence(),
            Err(JobError::Failed(reason)) => {
                if let Some(log) = self.logs.get_mut(&name) {
                    log.is_doomed = false;
                    log.on_job_failed(key, now);
                    self.backing_off.insert(Arc::clone(&name));
                    self.to_start.insert(Arc::clone(&name));
                }
                let error = CursorError::Unavailable(reason);
                self.events.push_back(CursorEvent::DeleteFailed { name, error });
            }
        }
        None
    }

    pub(crate) fn append(
        &mut self,
        name: &str,
        delta: CursorDelta,
        options: &Options,
    ) -> CursorSeq {
        let Some((name, _)) = self.logs.get_key_value(name) else {
            let failed =
                CursorEvent::Failed { name: Arc::from(name), error: CursorError::NotFound };
            self.events.push_back(failed);
            return CursorSeq(0);
        };
        let name = Arc::clone(name);
        let log = self.logs.get_mut(&name).expect("the name was just found");
        let seq = log.append(delta);
        let is_closed = matches!(log.phase, Phase::Sealing | Phase::Deleting | Phase::Closed);
        if log.wants_to_send() {
            self.to_send.insert(Arc::clone(&name));
        }
        if self.is_fenced || is_closed {
            let error = if self.is_fenced { CursorError::Fenced } else { CursorError::Closed };
            self.events.push_back(CursorEvent::Failed { name, error });
        } else {
            self.ask(&name, roll_at(options));
        }
        seq
    }

    pub(crate) fn begin_snapshot(&mut self, name: &str) -> Option<SnapshotAttempt> {
        let log = self.logs.get_mut(name).filter(|_| !self.is_fenced && !self.is_abandoned)?;
        log.begin_snapshot(&mut self.attempts).map(SnapshotAttempt)
    }

    pub(crate) fn finish_snapshot(
        &mut self,
        name: &str,
        attempt: SnapshotAttempt,
        state: CursorState,
    ) {
        let Some((name, _)) = self.logs.get_key_value(name) else { return };
        let name = Arc::clone(name);
        let Some(log) = self.logs.get_mut(&name) else { return };
        if log.finish_snapshot(attempt.0, state) {
            self.to_start.insert(name);
        }
    }

    pub(crate) fn on_written(&mut self, done: WriteSnapshotDone, now: Instant) {
        let WriteSnapshotDone { name, attempt, result } = done;
        self.writing -= 1;
        let result = match result {
            Ok(written) => Ok(written),
            Err(JobError::Fenced) => {
                self.fence();
                return;
            }
            Err(JobError::Failed(reason)) => {
                self.backing_off.insert(Arc::clone(&name));
                Err(reason)
            }
        };
        let log = self.logs.get_mut(&name).filter(|_| !self.is_abandoned);
        let Some(log) = log else {
            self.discard(result.ok());
            return;
        };
        let (unwanted, told) = log.on_written(attempt, result, now);
        self.discard(unwanted);
        self.tell(&name, told);
        self.to_start.insert(name);
    }

    /// Deletes what was written for nothing.
    fn discard(&mut self, unwanted: Option<Written>) {
        let ledger_id = unwanted.map(|written| written.writer.ledger_id());
        self.jobs.extend(ledger_id.map(Kind::Discard));
    }

    pub(crate) fn on_pointed(
        &mut self,
        done: PointCursorDone,
        now: Instant,
        options: &Options,
    ) -> Option<Doomed> {
        let PointCursorDone { name, key, result } = done;
        let log = self.logs.get_mut(&name)?;
        let mut doomed = None;
        match result {
            Ok(pointed) => {
                let ledger_id = pointed.written.writer.ledger_id();
                self.by_ledger.insert(ledger_id, Arc::clone(&name));
                doomed = pointed.doomed;
                let told = log.on_pointed(key, pointed.written, now);
                self.tell(&name, told);
            }
            Err(error) => self.on_job_failed(&name, key, error, now),
        }
        self.go_on(name, options);
        doomed
    }

    pub(crate) fn on_continued(
        &mut self,
        done: ContinueCursorDone,
        now: Instant,
        options: &Options,
    ) {
        let ContinueCursorDone { name, key, result } = done;
        let Some(log) = self.logs.get_mut(&name) else { return };
        match result {
            Ok(writer) => {
                self.by_ledger.insert(writer.ledger_id(), Arc::clone(&name));
                log.on_gone_on(key, writer, now);
            }
            Err(error) => self.on_job_failed(&name, key, error, now),
        }
        self.go_on(name, options);
    }

    fn on_job_failed(&mut self, name: &Name, key: OwnedKey, error: JobError, now: Instant) {
        match error {
            JobError::Fenced => self.fence(),
            JobError::Failed(reason) => {
                if let Some(log) = self.logs.get_mut(name) {
                    log.on_job_failed(key, now);
                }
                self.backing_off.insert(Arc::clone(name));
                self.tell(name, Some(Told::Failed(reason)));
            }
        }
    }

    /// Does what is next for a cursor whose job has answered.
    fn go_on(&mut self, name: Name, options: &Options) {
        if self.logs.get(&name).is_some_and(CursorLog::wants_to_send) {
            self.to_send.insert(Arc::clone(&name));
        }
        self.ask(&name, roll_at(options));
        self.to_start.insert(name);
    }

    /// The ledger that a cursor's changes go to, and what is in it, in bytes.
    pub(crate) fn log_size(&self, name: &str) -> Option<(LedgerId, u64)> {
        self.logs.get(name)?.size()
    }

    /// Takes out what is to be sent, into `outbox`.
    pub(crate) fn poll_send(&mut self, outbox: &mut VecDeque<(BookieId, Vec<AddEntry>)>) {
        while let Some(name) = self.to_send.pop_first() {
            let Some(log) = self.logs.get_mut(&name) else { continue };
            while let Some((bookie, entries)) = log.poll_send() {
                match outbox.iter_mut().find(|(id, _)| *id == bookie) {
                    Some((_, queued)) => queued.extend(entries),
                    None => outbox.push_back((bookie, entries)),
                }
            }
        }
    }

    /// Notes what a bookie answered for a cursor's ledger. Late answers are welcome.
    pub(crate) fn on_added(
        &mut self,
        bookie: &BookieId,
        (ledger_id, entry_id): (LedgerId, EntryId),
        result: &Result<(), AddError>,
        options: &Options,
    ) {
        let Some(name) = self.by_ledger.get(&ledger_id).map(Arc::clone) else { return };
        let Some(log) = self.logs.get_mut(&name) else { return };
        let told = log.on_added(bookie, entry_id, result.clone());
        if log.open_ledger().is_none() {
            self.by_ledger.remove(&ledger_id);
            self.backing_off.insert(Arc::clone(&name));
        }
        if log.wants_to_send() {
            self.to_send.insert(Arc::clone(&name));
        }
        if self.is_closing {
            self.to_start.insert(Arc::clone(&name));
        }
        self.tell(&name, told);
        self.ask(&name, roll_at(options));
    }

    /// The topic is to be deleted: from now on there are only jobs that clean up.
    pub(crate) fn abandon(&mut self) {
        self.is_abandoned = true;
        self.to_start.clear();
        self.to_send.clear();
        self.jobs.retain(|job| matches!(job, Kind::Discard(_)));
        let unwanted: Vec<_> = self.logs.values_mut().filter_map(CursorLog::take_unnamed).collect();
        unwanted.into_iter().for_each(|written| self.discard(Some(written)));
    }

    pub(crate) fn poll_job(&mut self, options: &Options) -> Option<Kind> {
        if self.is_abandoned {
            return self.jobs.pop_front();
        }
        while let Some(name) = self.to_start.pop_first() {
            self.start(&name, options);
        }
        if self.is_fenced { None } else { self.jobs.pop_front() }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let closed_until = |name: &Name| self.logs.get(name)?.backoff.closed_until();
        self.backing_off.iter().filter_map(closed_until).min()
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, options: &Options) {
        for name in std::mem::take(&mut self.backing_off) {
            let Some(log) = self.logs.get_mut(&name) else { continue };
            log.backoff.on_timeout(now);
            if log.backoff.is_open() {
                self.ask(&name, roll_at(options));
            } else {
                self.backing_off.insert(name);
            }
        }
    }

    /// Closes each cursor once its changes are durable.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
        self.to_start = self.logs.keys().cloned().collect();
    }

    pub(crate) fn is_closed(&self) -> bool {
        let is_closed = |log: &CursorLog| matches!(log.phase, Phase::Closed);
        let is_idle = self.jobs.is_empty() && self.writing == 0;
        self.is_fenced || (is_idle && self.logs.values().all(is_closed))
    }

    pub(crate) fn on_sealed(&mut self, done: SealCursorDone) {
        if let Err(error) = done.result {
            warn!(%error, cursor = %done.name, "the cursor's ledger is recovered at the next load");
        }
        if let Some(log) = self.logs.get_mut(&done.name) {
            log.phase = Phase::Closed;
        }
    }

    /// Stops for good: the topic has another owner.
    pub(crate) fn fence(&mut self) {
        if self.is_fenced {
            return;
        }
        self.is_fenced = true;
        self.to_send.clear();
        self.backing_off.clear();
        for (name, log) in &self.logs {
            if log.owes() {
                let (name, error) = (Arc::clone(name), CursorError::Fenced);
                self.events.push_back(CursorEvent::Failed { name, error });
            }
        }
    }

    fn start(&mut self, name: &Name, options: &Options) {
        let Some(log) = self.logs.get_mut(name) else { return };
        let before = log.open_ledger();
        let name = Arc::clone(name);
        if log.is_doomed
            && let Some(key) = log.take_for_deletion()
        {
            let job = DeleteCursor { name: Arc::clone(&name), key };
            self.jobs.push_back(Kind::DeleteCursor(Box::new(job)));
        }
        let unwanted = if self.is_closing || log.is_doomed { log.give_up_next() } else { None };
        if let Some(key) = log.take_going_on() {
            let options = options.cursor_ledger.clone();
            let job = ContinueCursor { name: Arc::clone(&name), key, options };
            self.jobs.push_back(Kind::ContinueCursor(Box::new(job)));
        }
        if let Some((attempt, snapshot)) = log.take_snapshot() {
            self.writing += 1;
            let options = options.cursor_ledger.clone();
            let job = WriteSnapshot { name: Arc::clone(&name), attempt, options, snapshot };
            self.jobs.push_back(Kind::WriteSnapshot(Box::new(job)));
        }
        if let Some((key, written, since)) = log.take_written() {
            let job = PointCursor { name: Arc::clone(&name), key, written, since };
            self.jobs.push_back(Kind::PointCursor(Box::new(job)));
        }
        if self.is_closing
            && let Some((ledger_id, sealed)) = log.close()
        {
            let job = SealCursor { name, ledger_id, sealed };
            self.jobs.push_back(Kind::SealCursor(Box::new(job)));
        }
        if let Some(ledger_id) = before.filter(|_| log.open_ledger().is_none()) {
            self.by_ledger.remove(&ledger_id);
        }
        self.discard(unwanted);
    }

    fn ask(&mut self, name: &Name, roll_at: RollAt) {
        if self.is_fenced {
            return;
        }
        let Some(log) = self.logs.get_mut(name) else { return };
        let told = log.ask(roll_at);
        if log.wants_to_go_on() {
            self.to_start.insert(Arc::clone(name));
        }
        self.tell(name, told);
    }

    fn tell(&mut self, name: &Name, told: Option<Told>) {
        let name = Arc::clone(name);
        match told {
            None => {}
            Some(Told::Fenced) => self.fence(),
            Some(Told::Durable(up_to)) => {
                self.events.push_back(CursorEvent::Durable { name, up_to });
            }
            Some(Told::NeedsSnapshot) => {
                self.events.push_back(CursorEvent::NeedsSnapshot { name });
            }
            Some(Told::Failed(reason)) => {
                let error = CursorError::Unavailable(reason);
                self.events.push_back(CursorEvent::Failed { name, error });
            }
        }
    }
}

const fn roll_at(options: &Options) -> RollAt {
    RollAt { entries: options.cursor_roll_entries, bytes: options.cursor_roll_bytes }
}
