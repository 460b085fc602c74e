//! What to read next, and what to do with what was read.

use std::ops::Range;

use geminga_types::Ordinal;

use super::Subscription;
use crate::{
    Action, Entry, Kind, Options, ParkedEntries, ReadFailed, ReadId, Scarce, acks, lanes::Router,
    members::Member,
};

/// Most ranges in one read: a subscription with many holes reads a part at a time.
const RANGES_MAX: usize = 256;

/// The ranges of a read that is being put together.
struct Plan {
    ranges: Vec<Range<Ordinal>>,
    entries: usize,
    entries_max: usize,
}

impl<P> Subscription<P> {
    /// Takes the answer to a read. Entries may be missing at the end, which are asked for again; an
    /// answer without any that was wanted counts as failed. Answers to other reads have no effect.
    pub fn on_read(&mut self, id: ReadId, result: Result<Vec<Entry<P>>, ReadFailed>) {
        self.on_sparse_read(id, result, &[]);
    }

    /// The same, with entries that were left out since the topic's index has them.
    pub fn on_parking_read(
        &mut self,
        id: ReadId,
        result: Result<Vec<Entry<P>>, ReadFailed>,
        parked: &ParkedEntries,
    ) {
        self.take_read(id, result, &[], Some(parked));
    }

    /// The same, of a view of the topic in which the entries of `absent` are not: they count as acked.
    /// Together with the entries they are what was looked at, from the beginning of the read on.
    pub fn on_sparse_read(
        &mut self,
        id: ReadId,
        result: Result<Vec<Entry<P>>, ReadFailed>,
        absent: &[Range<Ordinal>],
    ) {
        self.take_read(id, result, absent, None);
    }

    fn take_read(
        &mut self,
        id: ReadId,
        result: Result<Vec<Entry<P>>, ReadFailed>,
        absent: &[Range<Ordinal>],
        parked: Option<&ParkedEntries>,
    ) {
        if !self.reader.take_answer(id) {
            return;
        }
        let passed = self.pass_over(absent);
        let mut entries = result.unwrap_or_default();
        entries.sort_by_key(|entry| entry.ordinal); // They nearly always are.
        entries.dedup_by_key(|entry| entry.ordinal);
        self.turn_entries = 0;
        let (count, mut messages, mut is_useful) = (entries.len() as u64, 0, passed);
        let (mut runs, due_min) = parked.map_or((&[][..], 0), |it| (&it.runs[..], it.due_min));
        for entry in entries {
            messages += u64::from(entry.messages.max(1));
            let before = runs.partition_point(|run| run.start < entry.ordinal);
            is_useful |= self.park(&runs[..before], due_min);
            runs = &runs[before..];
            is_useful |= self.acks.is_acked(entry.ordinal) || self.accept(entry);
        }
        is_useful |= self.park(runs, due_min);
        if is_useful {
            if 0 < count {
                self.messages_per_entry = messages.div_ceil(count).max(1);
            }
            self.reader.on_success();
        } else {
            // That is perhaps why: the others are not to wait for it.
            let first = self.readable_replay_behind().next();
            if let Some(first) = first {
                self.queue.pass_turn(first);
            }
            self.reader.on_failure();
        }
    }

    /// Acks what is not in the view that was read. False: nothing of it was unacked.
    fn pass_over(&mut self, absent: &[Range<Ordinal>]) -> bool {
        let is_unacked = |range: &&Range<Ordinal>| {
            self.acks.unacked(range.start..range.end.min(self.end)).next().is_some()
        };
        let unacked: Vec<_> = absent.iter().filter(is_unacked).cloned().collect();
        let mut change = std::mem::take(&mut self.own_acks);
        for range in &unacked {
            self.ack_range(range.start..range.end.min(self.end), &mut change);
        }
        self.own_acks = change;
        !unacked.is_empty()
    }

    /// Buffers an entry that was read, if it is wanted: to be read again, or the next unread one. What
    /// follows a hole is not taken, so that nothing is passed over.
    fn accept(&mut self, mut entry: Entry<P>) -> bool {
        entry.chunk = entry.chunk.filter(|_| self.members.kind() == Some(Kind::Shared));
        let at = entry.ordinal;
        let is_next = at < self.end && at == self.acks.next_unacked_from(self.queue.next_read);
        let router = Router { members: &self.members, pending: &self.pending };
        if is_next {
            self.queue.next_read = at.plus(1);
        } else if !self.pending.dead.is_waiting(at) && !self.queue.take_replay(at, router) {
            return false;
        }
        let is_all_acked = |set: &[i64]| acks::count(set, entry.messages.max(1)) == 0;
        if !entry.visible || self.acks.partial(at).is_some_and(is_all_acked) {
            self.ack_by_itself(at);
        } else if self.pending.dead.contains(at) || self.is_dead(at) {
            self.meet_dead(entry);
        } else {
            self.queue.push_buffer(entry, router);
        }
        true
    }

    /// A read of exactly these entries, ascending; of as many as one read may have.
    pub(super) fn read_exactly(&mut self, wanted: Vec<Ordinal>) -> Option<Action<P>> {
        let entries_max = self.options.read_entries_max.max(1);
        let mut plan = Plan { ranges: Vec::new(), entries: 0, entries_max };
        wanted.into_iter().for_each(|at| plan.push_one(at));
        if plan.ranges.is_empty() { None } else { Some(self.start_read(plan, None)) }
    }

    fn start_read(&mut self, plan: Plan, park_from: Option<Ordinal>) -> Action<P> {
        Action::Read {
            id: self.reader.issue(),
            ranges: plan.ranges,
            entries_max: plan.entries,
            bytes_max: self.options.read_bytes_max,
            park_from,
        }
    }

    /// The next read, if somebody can take what it brings.
    pub(super) fn read(&mut self, now_wall_ms: u64) -> Option<Action<P>> {
        if !self.reader.may_read() || self.blocked.is_so() || !self.has_to_read() {
            return None;
        }
        if self.waits_for_allowance(now_wall_ms) {
            return None;
        }
        let permits = match self.members.active() {
            Some(active) if !self.members.is_ready(active) => 0,
            Some(active) => self.members.get(active)?.permits().unsigned_abs(),
            None => self.members.ready_permits(),
        };
        if permits == 0 {
            return None;
        }
        self.evict_held_back();
        let entries =
            usize::try_from(permits.div_ceil(self.messages_per_entry)).unwrap_or(usize::MAX);
        let entries_max = entries.min(self.options.read_entries_max).max(1);
        let mut plan = Plan { ranges: Vec::new(), entries: 0, entries_max };
        self.plan_replay(&mut plan);
        let end = self.readable_end();
        self.plan_unread(&mut plan, end);
        let may_park = self.is_shared() && self.options.honours_delays;
        let park_from = may_park.then_some(self.queue.next_read);
        if end < self.end {
            self.look_again(now_wall_ms.saturating_add(self.options.scarce_retry_ms));
        }
        if plan.ranges.is_empty() {
            return None;
        }
        Some(self.start_read(plan, park_from))
    }

    /// Whether there is anything to read, or to give up and read again.
    fn has_to_read(&self) -> bool {
        let has_unread = self.queue.next_read < self.end;
        has_unread || !self.queue.replay().is_empty() || self.holds_a_read()
    }

    /// Where reading ends for now. While memory is scarce, what lies between acked entries may still
    /// be read, since it takes none in the end, and something whenever nothing else could be acked.
    pub(super) fn readable_end(&self) -> Ordinal {
        let something_is_out = self.acks.next_unacked() < self.queue.next_read;
        if self.scarce == Scarce::default() || !something_is_out {
            return self.end;
        }
        let (held, much) = (self.held(), self.options.scarce_bytes);
        let holds_much = self.scarce.ack_state && much <= held.ack_state
            || self.scarce.timers && much <= held.timers;
        if holds_much { self.acks.acked_end().min(self.end) } else { self.end }
    }

    /// Gives up payloads that wait for their key, or for the consumer that has the other chunks of their
    /// message, once they fill a read's worth of memory.
    fn evict_held_back(&mut self) {
        if self.holds_a_read() {
            self.queue.evict_buffer();
        }
    }

    fn holds_a_read(&self) -> bool {
        self.options.read_entries_max <= self.queue.buffer().len()
            || self.options.read_bytes_max <= self.queue.buffered_bytes()
    }

    /// Of a Shared subscription, everything has its turn: otherwise what is far behind would wait for as
    /// long as enough comes in front, as messages that fall due do.
    fn plan_replay(&mut self, plan: &mut Plan) {
        if self.members.kind() == Some(Kind::KeyShared) {
            for at in self.replay_by_lane(plan.entries_max) {
                plan.push_one(at);
            }
        } else {
            if self.readable_replay_behind().next().is_none() {
                self.queue.turn_back();
            }
            for at in self.readable_replay_behind().take(plan.entries_max) {
                plan.push_one(at);
            }
        }
    }

    /// Of what is to be read again, what consumers that are ready wait for: each gets its part of
    /// `entries_max`, from the front of its lane, and no more than it can be sent. Ascending. Those for
    /// whom there is no room are first next time.
    fn replay_by_lane(&self, entries_max: usize) -> Vec<Ordinal> {
        let mut chosen = Vec::new();
        if self.queue.replay().is_empty() {
            return chosen;
        }
        let lanes = || self.queue.lanes.turns().filter(|&(key, _)| self.members.is_ready(key));
        let count = lanes().count();
        for (key, lane) in lanes() {
            let permits = self.members.get(key).map_or(0, Member::permits).unsigned_abs();
            let entries = permits.div_ceil(self.messages_per_entry);
            let sendable = lane.iter().take(usize::try_from(entries).unwrap_or(usize::MAX));
            let replay = sendable.filter(|at| self.queue.replay().contains_key(at));
            chosen.extend(replay.take(entries_max.div_ceil(count)));
        }
        chosen.truncate(entries_max.min(RANGES_MAX));
        chosen.sort_unstable();
        chosen
    }

    /// Most entries that may wait for their keys: so many for each consumer, and for all of them; in
    /// want of such limits, as many as may be unacked.
    pub(super) fn look_ahead_entries_max(&self) -> usize {
        let Options {
            look_ahead_entries_max_per_consumer: each,
            look_ahead_entries_max: all,
            consumer_unacked_messages_max: each_unacked,
            unacked_messages_max: all_unacked,
            ..
        } = self.options;
        let consumers = self.members.len();
        let limits = [each.saturating_mul(consumers), all].into_iter().filter(|&max| 0 < max);
        limits.min().unwrap_or_else(|| {
            let unacked = [all_unacked, each_unacked.saturating_mul(consumers as u64)];
            let limit = unacked.into_iter().find(|&max| 0 < max);
            limit.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX)
        })
    }

    /// Entries that are known and not delivered, but for those that wait for their time.
    pub(super) fn held_back(&self) -> usize {
        self.queue.buffer().len() + self.queue.replay().len()
    }

    fn plan_unread(&mut self, plan: &mut Plan, end: Ordinal) {
        let is_by_key = self.members.kind() == Some(Kind::KeyShared);
        // On Shared, what is to be read again and is not in this read waits for one consumer.
        let held_back = self.held_back() - if is_by_key { 0 } else { plan.entries };
        let key_room = self.look_ahead_entries_max().saturating_sub(held_back);
        let has_key_room = 0 < key_room || !is_by_key && held_back == 0;
        let has_unread = self.acks.unacked(self.queue.next_read..end).next().is_some();
        if self.is_shared() && has_key_room && has_unread && !plan.is_full() {
            self.make_room_for_delayed();
        }
        let delayed_room = self.delayed_max().saturating_sub(self.queue.delayed_len());
        let room = match self.members.kind() {
            Some(Kind::Shared) if held_back == 0 => delayed_room,
            Some(Kind::Shared | Kind::KeyShared) => delayed_room.min(key_room),
            Some(Kind::Exclusive | Kind::Failover) | None => usize::MAX,
        };
        plan.entries_max = plan.entries_max.min(plan.entries.saturating_add(room));
        for gap in self.acks.unacked(self.queue.next_read..end) {
            if plan.is_full() {
                return;
            }
            plan.push(gap);
        }
    }
}

impl Plan {
    const fn is_full(&self) -> bool {
        self.entries_max <= self.entries || RANGES_MAX <= self.ranges.len()
    }

    /// Adds an entry behind all before, if there is room.
    fn push_one(&mut self, at: Ordinal) {
        if !self.is_full() {
            self.push(at..at.plus(1));
        }
    }

    /// Adds what of `range` there is room for; it lies behind all before.
    fn push(&mut self, range: Range<Ordinal>) {
        let room = self.entries_max - self.entries;
        let end = range.end.min(range.start.plus(room as u64));
        self.entries += usize::try_from(end.0 - range.start.0).unwrap_or(room);
        match self.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = end,
            _ => self.ranges.push(range.start..end),
        }
    }
}
