//! The journal's worker: takes all that waits, writes one group, syncs, answers all.
//!
//! It decides from what is applied already (a fence or deletion earlier in the same group counts)
//! and applies a group once it is durable, before anyone is answered.
//!
//! # Invariants
//!
//! 1. `Ok` is answered for an entry only after the sync of its group.
//! 2. A group is decided when the one before it is applied.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    vec,
};

use bytes::Bytes;
use geminga_bookie_api::{
    AddEntry, AddError, AddSink, ENVELOPE_HEAD_BYTES, FenceAnswer, ReadError,
};
use geminga_env::{Control as Worker, Instant};
use geminga_types::{EntryId, LedgerId};
use tokio::sync::oneshot;

use super::{
    format::GroupHead,
    group::{Control, encode, padded_bytes},
    writer::Writer,
};
use crate::{error::WriteError, inbox::Request, shared::Shared, state::State, write_cache::Placed};

/// Largest entry that is accepted.
const ENTRY_BYTES_MAX: usize = 128 << 20;

/// The state of the worker.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Writer,
    waiting: VecDeque<Waiting>,
    group: Group,
    done: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
enum Waiting {
    Add(vec::IntoIter<AddEntry>, Arc<dyn AddSink>, Instant),
    Fence(LedgerId, oneshot::Sender<Result<FenceAnswer, ReadError>>),
    Delete(LedgerId, oneshot::Sender<Result<(), AddError>>),
}

/// What is being made durable. Its vectors are used again for the next.
#[derive(Debug, Default)]
struct Group {
    entries: Vec<AddEntry>,
    /// The place in `results` of each entry's result.
    answers: Vec<(usize, usize)>,
    entry_bytes: usize,
    /// When how many of the entries came.
    came: Vec<(Instant, u64)>,
    controls: Vec<Control>,
    fenced: BTreeSet<LedgerId>,
    deleted: BTreeSet<LedgerId>,
    placed: Vec<Placed>,
    results: Results,
    fences: Vec<(LedgerId, oneshot::Sender<Result<FenceAnswer, ReadError>>)>,
    deletions: Vec<oneshot::Sender<Result<(), AddError>>>,
}

type AddResults = Vec<(LedgerId, EntryId, Result<(), AddError>)>;

/// Results by sink, in order of first appearance.
#[derive(Debug, Default)]
struct Results {
    by_sink: Vec<(Arc<dyn AddSink>, AddResults)>,
    /// By the sink's address; only looked up.
    places: HashMap<usize, usize>,
}

/// What a group is checked against.
struct Decider<'a> {
    state: &'a State,
    bytes_max: usize,
    has_room: bool,
    is_stopping: bool,
}

impl Journal {
    pub(crate) fn new(shared: Arc<Shared>, writer: Writer, done: oneshot::Sender<()>) -> Self {
        let (waiting, group) = (VecDeque::new(), Group::default());
        Self { shared, writer, waiting, group, done: Some(done) }
    }

    /// Does all that waits.
    pub(crate) fn work(&mut self) -> Worker {
        loop {
            let is_stopping = self.shared.inbox.is_stopping();
            self.take_waiting();
            if let Some(reason) = self.shared.poison.get() {
                self.fail_waiting(&reason);
            }
            if !self.run_group(is_stopping) {
                if is_stopping {
                    return self.stop();
                }
                return Worker::Continue;
            }
        }
    }

    fn take_waiting(&mut self) {
        let requests = self.shared.inbox.take();
        self.waiting.extend(requests.into_iter().map(Waiting::from));
    }

    fn stop(&mut self) -> Worker {
        let last = self.shared.inbox.close();
        self.waiting.extend(last.into_iter().map(Waiting::from));
        self.fail_waiting("the bookie is closed");
        if let Some(done) = self.done.take() {
            _ = done.send(()); // Whoever closed may have gone away.
        }
        Worker::Stop
    }

    /// Writes one group; `false` when nothing could be done.
    fn run_group(&mut self, is_stopping: bool) -> bool {
        self.decide(is_stopping);
        if self.group.is_empty() {
            return false;
        }
        let mut written = self.write_group();
        if let Err(error @ WriteError::Full { .. }) = &written {
            let reason = self.shared.full_reason(error);
            self.shared.state().read_only.get_or_insert_with(|| reason.clone());
            self.group.fail_entries(&AddError::ReadOnly(reason));
            // What frees space still has a place.
            written = self.write_group();
        }
        match written {
            Ok(()) => {}
            Err(error @ WriteError::Full { .. }) => {
                let reason = self.shared.full_reason(&error);
                self.group.fail(&AddError::ReadOnly(reason));
            }
            Err(error @ WriteError::Fatal { .. }) => {
                self.shared.poison.set(&error.to_string());
                self.shared.store_bell.ring(); // To fail those who wait there.
                self.group.fail(&AddError::Failed(error.to_string()));
            }
        }
        self.answer();
        true
    }

    /// Moves what can be done now from `waiting` to the group.
    fn decide(&mut self, is_stopping: bool) {
        if self.waiting.is_empty() {
            return;
        }
        let state = self.shared.state();
        let has_room = state.cached_bytes() < self.shared.options.write_cache_bytes;
        let decider = Decider {
            state: &state,
            bytes_max: self.shared.options.group_bytes_max,
            has_room,
            is_stopping,
        };
        let mut kept = VecDeque::new();
        while let Some(mut waiting) = self.waiting.pop_front() {
            if !self.group.take(&decider, &mut waiting) {
                kept.push_back(waiting);
                if has_room {
                    break; // The group is full.
                }
            } else if let Waiting::Fence(..) | Waiting::Delete(..) = waiting {
                self.group.take_control(&decider, waiting);
            }
        }
        kept.append(&mut self.waiting);
        self.waiting = kept;
        drop(state);
        if !has_room {
            self.shared.store_bell.ring();
        }
    }

    /// Makes the group durable and applies it.
    fn write_group(&mut self) -> Result<(), WriteError> {
        let group = &mut self.group;
        let count = group.entries.len() + group.controls.len();
        if count == 0 {
            return Ok(()); // Only refusals.
        }
        let bytes = padded_bytes(group.entry_bytes, count);
        let place = self.writer.reserve(bytes, !group.entries.is_empty())?;
        let head = GroupHead {
            generation: place.generation,
            salt: place.salt,
            sequence: place.sequence,
            durable_before: place.durable_before,
            length: 0,
            count: 0,
        };
        group.placed.clear();
        let buffer = Bytes::from(encode(head, &group.entries, &group.controls, &mut group.placed));
        let clock = Arc::clone(&self.shared.env.clock);
        let began = clock.now();
        if let Err(error) = self.writer.write(&buffer) {
            // All of it may be on the disk, so nobody may be told that it is not.
            let reason = error.to_string();
            group.fail(&AddError::Failed(reason));
            return Err(error);
        }
        let acks_before_sync = self.shared.options.acks_before_sync();
        if acks_before_sync {
            group.results.send(&self.shared);
        }
        let before = clock.now();
        let position = self.writer.sync(buffer.len())?;
        let (now, counters) = (clock.now(), &self.shared.counters);
        counters.write_latency.note(now, before - began);
        counters.note_sync(now, now - before);
        for &(came_at, count) in &group.came {
            let confirmed = if acks_before_sync { before } else { now };
            let took = confirmed.saturating_duration_since(came_at);
            counters.add_latency.note_many(now, took, count);
        }
        counters.journal_bytes.add(buffer.len() as u64);
        counters.groups.add(1);
        counters.adds.add(group.entries.len() as u64);
        counters.add_bytes.add(group.entry_bytes as u64);
        let mut state = self.shared.state();
        state.apply(&buffer, &group.placed, &group.controls, position);
        let is_half_full = state.active.bytes() >= self.shared.options.write_cache_bytes / 2;
        drop(state);
        if is_half_full || self.shared.journal_files.wants_spare() {
            self.shared.store_bell.ring();
        }
        Ok(())
    }

    /// Answers everyone in the group.
    fn answer(&mut self) {
        self.group.results.send(&self.shared);
        let fences = std::mem::take(&mut self.group.fences);
        if !fences.is_empty() {
            let state = self.shared.state();
            for (ledger_id, reply) in fences {
                _ = reply.send(fence_answer(&state, ledger_id)); // The asker may be gone.
            }
        }
        for reply in self.group.deletions.drain(..) {
            _ = reply.send(Ok(())); // The asker may be gone.
        }
        self.group.clear();
    }

    fn fail_waiting(&mut self, reason: &str) {
        for waiting in self.waiting.drain(..) {
            match waiting {
                Waiting::Add(entries, sink, _) => {
                    let error = AddError::Failed(reason.to_owned());
                    sink.on_added(&self.shared.id, refusals(entries, &error));
                }
                Waiting::Fence(_, reply) => _ = reply.send(Err(ReadError::Failed(reason.into()))),
                Waiting::Delete(_, reply) => _ = reply.send(Err(AddError::Failed(reason.into()))),
            }
        }
    }
}

/// One refusal for each entry.
pub(crate) fn refusals(
    entries: impl IntoIterator<Item = AddEntry>,
    error: &AddError,
) -> Vec<(LedgerId, EntryId, Result<(), AddError>)> {
    let refuse = |entry: AddEntry| (entry.ledger_id, entry.entry_id, Err(error.clone()));
    entries.into_iter().map(refuse).collect()
}

fn fence_answer(state: &State, ledger_id: LedgerId) -> Result<FenceAnswer, ReadError> {
    let ledger = state.ledgers.get(ledger_id).ok_or(ReadError::NoLedger(ledger_id))?;
    Ok(FenceAnswer { last_entry: ledger.last_entry, last_add_confirmed: ledger.last_add_confirmed })
}

impl From<Request> for Waiting {
    fn from(request: Request) -> Self {
        match request {
            Request::Add { entries, sink, came_at } => {
                Self::Add(entries.into_iter(), sink, came_at)
            }
            Request::Fence { ledger_id, reply } => Self::Fence(ledger_id, reply),
            Request::Delete { ledger_id, reply } => Self::Delete(ledger_id, reply),
        }
    }
}

impl Group {
    fn is_empty(&self) -> bool {
        self.results.by_sink.is_empty() && self.fences.is_empty() && self.deletions.is_empty()
    }

    /// Takes the entries of an add that can be decided now; `true` when none is left, and for
    /// anything but an add.
    fn take(&mut self, decider: &Decider<'_>, waiting: &mut Waiting) -> bool {
        let Waiting::Add(entries, sink, came_at) = waiting else { return true };
        let came_at = *came_at;
        let at = self.results.place(sink);
        while let Some(next) = entries.as_slice().first() {
            let refusal = self.refusal(decider, next);
            if refusal.is_none() && !self.fits(decider, next) {
                self.results.drop_unused();
                return false;
            }
            let Some(entry) = entries.next() else { break };
            let place = (at, self.results.by_sink[at].1.len());
            let result = refusal.map_or(Ok(()), Err);
            self.results.by_sink[at].1.push((entry.ledger_id, entry.entry_id, result.clone()));
            if result.is_ok() {
                self.entry_bytes += entry.sum.len();
                self.answers.push(place);
                self.entries.push(entry);
                self.note_came(came_at);
            }
        }
        true
    }

    fn note_came(&mut self, at: Instant) {
        match self.came.last_mut() {
            Some((came_at, count)) if *came_at == at => *count += 1,
            _ => self.came.push((at, 1)),
        }
    }

    fn refusal(&self, decider: &Decider<'_>, entry: &AddEntry) -> Option<AddError> {
        let (ledger_id, state) = (entry.ledger_id, decider.state);
        let bytes = ENVELOPE_HEAD_BYTES + entry.front.len() + entry.body.len();
        if ledger_id.0 < 0 || entry.entry_id.0 < 0 || entry.sum.len() != bytes {
            let entry_id = entry.entry_id;
            return Some(AddError::Failed(format!(
                "entry {ledger_id}:{entry_id} of {bytes} bytes with a sum of {} is malformed",
                entry.sum.len()
            )));
        }
        if bytes > ENTRY_BYTES_MAX {
            return Some(AddError::Failed(format!(
                "an entry of {bytes} bytes is over the limit of {ENTRY_BYTES_MAX}"
            )));
        }
        if state.ledgers.is_deleted(ledger_id) || self.deleted.contains(&ledger_id) {
            return Some(AddError::Fenced(ledger_id)); // Its writer must stop all the same.
        }
        let is_fenced = || {
            self.fenced.contains(&ledger_id)
                || state.ledgers.get(ledger_id).is_some_and(|ledger| ledger.is_fenced)
        };
        if !entry.is_recovery && is_fenced() {
            return Some(AddError::Fenced(ledger_id));
        }
        // Nobody may wait for a flush that may never find space.
        let may_use_reserve = entry.may_use_reserve && decider.has_room;
        if let Some(reason) = state.read_only.as_ref().filter(|_| !may_use_reserve) {
            return Some(AddError::ReadOnly(reason.clone()));
        }
        if decider.is_stopping && !decider.has_room {
            return Some(AddError::Failed("the bookie is closing".to_owned()));
        }
        None
    }

    fn fits(&self, decider: &Decider<'_>, entry: &AddEntry) -> bool {
        let records = self.entries.len() + self.controls.len();
        decider.has_room
            && (records == 0
                || padded_bytes(self.entry_bytes + entry.sum.len(), records + 1)
                    <= decider.bytes_max)
    }

    fn take_control(&mut self, decider: &Decider<'_>, waiting: Waiting) {
        let state = decider.state;
        let is_deleted = |id: LedgerId, group: &Self| {
            state.ledgers.is_deleted(id) || group.deleted.contains(&id)
        };
        match waiting {
            Waiting::Fence(ledger_id, reply) => {
                let is_fenced = state.ledgers.get(ledger_id).is_some_and(|it| it.is_fenced);
                if !is_fenced && !is_deleted(ledger_id, self) && self.fenced.insert(ledger_id) {
                    self.controls.push(Control::Fence(ledger_id));
                }
                self.fences.push((ledger_id, reply));
            }
            Waiting::Delete(ledger_id, reply) => {
                if !is_deleted(ledger_id, self) {
                    self.deleted.insert(ledger_id);
                    self.controls.push(Control::Delete(ledger_id));
                }
                self.deletions.push(reply);
            }
            Waiting::Add(..) => {}
        }
    }

    /// Turns entries that were to succeed into failures, once, and takes them out.
    fn fail_entries(&mut self, error: &AddError) {
        self.entries.clear();
        self.came.clear();
        self.entry_bytes = 0;
        for (sink, at) in self.answers.drain(..) {
            if let Some((_, results)) = self.results.by_sink.get_mut(sink)
                && let Some((.., result)) = results.get_mut(at)
            {
                *result = Err(error.clone());
            }
        }
    }

    /// Turns what was to succeed into failures, once.
    fn fail(&mut self, error: &AddError) {
        self.fail_entries(error);
        for (_, reply) in self.fences.drain(..) {
            _ = reply.send(Err(ReadError::Failed(error.to_string()))); // The asker may be gone.
        }
        for reply in self.deletions.drain(..) {
            _ = reply.send(Err(error.clone())); // The asker may be gone.
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.came.clear();
        self.answers.clear();
        self.entry_bytes = 0;
        self.controls.clear();
        self.fenced.clear();
        self.deleted.clear();
        self.placed.clear();
    }
}

impl Results {
    /// The place of a sink.
    fn place(&mut self, sink: &Arc<dyn AddSink>) -> usize {
        let address = Arc::as_ptr(sink).cast::<()>().addr();
        *self.places.entry(address).or_insert_with(|| {
            self.by_sink.push((Arc::clone(sink), Vec::new()));
            self.by_sink.len() - 1
        })
    }

    /// Forgets the sink placed last if it has no results.
    fn drop_unused(&mut self) {
        if let Some((sink, _)) = self.by_sink.pop_if(|(_, results)| results.is_empty()) {
            self.places.remove(&Arc::as_ptr(&sink).cast::<()>().addr());
        }
    }

    fn send(&mut self, shared: &Shared) {
        self.places.clear();
        for (sink, results) in self.by_sink.drain(..) {
            sink.on_added(&shared.id, results);
        }
    }
}
