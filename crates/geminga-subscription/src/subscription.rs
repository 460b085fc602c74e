//! One subscription of a persistent topic.
//!
//! Every entry before `end` is in exactly one state: acked; pending at a consumer (Shared,
//! `Key_Shared`) or delivered to the active one (Exclusive, Failover); a dead letter; waiting in the
//! [`Queue`] (buffered, to be read again, delayed); parked, when only the topic's index of delayed entries
//! has it; or unread, from `next_read` on, where what was a dead letter before everything was read anew
//! still is one. Exclusive and Failover
//! keep no list of what was delivered: it is what lies before the buffer and is not acked, and
//! "again" is a rewind to the mark-delete position.
//!
//! # Invariants
//!
//! 1. No entry is in two states, and none is lost between them: so a nack that races with a detach
//!    or an ack moves an entry once.
//! 2. No consumer is sent an entry without a permit left; the last batch may cost more than that.
//! 3. Polled dry, with no read out and no back-off, a ready consumer has got all it could.
//! 4. Only unacked entries have redelivery counts.
//! 5. What was asked for again more often than it may be is sent to no consumer.

use std::{collections::BTreeMap, ops::Range};

use geminga_types::Ordinal;

pub use ack_state::AckPart;

use crate::{
    Ack, AckChange, AckState, Allowance, AttachError, ConsumerInfo, ConsumerKey, ConsumerStats,
    Entry, Held, Kind, NotCumulative, Options, Scarce, Stats,
    acks::{self, Acks},
    hand_over::HandOver,
    lanes::{Lane, Router},
    members::{Member, Members},
    parked::Parked,
    pending::Pending,
    queue::Queue,
    reader::Reader,
};

mod ack_state;
mod audit;
mod delayed;
mod deliver;
mod explain;
mod letters;
mod poll;
mod read;

/// Bytes for each of the things in the maps, with their share of a map's node.
const INTERVAL_BYTES: usize = 32;
const PARTIAL_BYTES: usize = 64;
const WORD_BYTES: usize = 8;
const COUNT_BYTES: usize = 24;
const WAITING_BYTES: usize = 80;
const DELAYED_BYTES: usize = 80;

/// A subscription of a persistent topic, generic over the payload it hands through.
#[derive(Debug)]
pub struct Subscription<P> {
    options: Options,
    first: Ordinal,
    end: Ordinal,
    acks: Acks,
    members: Members,
    pending: Pending,
    queue: Queue<P>,
    parked: Parked,
    /// Dead letters that were read, to be handed out with the next poll.
    letters: Vec<Entry<P>>,
    /// Whether slots have other owners, or may have drained, since what waits was put into lanes.
    has_stale_lanes: bool,
    reader: Reader,
    hand_over: Option<HandOver>,
    redelivery_counts: BTreeMap<Ordinal, u32>,
    /// What it acked by itself and has not yet said.
    own_acks: AckChange,
    /// Entries of those that were past their time, until they are asked for.
    expired_entries: u64,
    blocked: Blocked,
    /// Whether a limit may hold back anybody.
    may_be_blocked: bool,
    /// How many messages an entry had in the last read, rounded up.
    messages_per_entry: u64,
    /// Of what the process has too much.
    scarce: Scarce,
    allowance: Allowance,
    /// When to look again after nothing new was read for that.
    look_again_at: Option<u64>,
    /// Entries for one turn on Shared, for what the last read brought; 0 is not yet known.
    turn_entries: usize,
}

/// What was given back to be delivered again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// How many entries.
    pub entries: u64,
    /// The redelivery counts that were raised, to be persisted; of one entry's the last one counts.
    pub raised: Vec<(Ordinal, u32)>,
}

/// What holds everything back because too much is unacked.
#[derive(Clone, Copy, Debug, Default)]
struct Blocked {
    /// The limit of this subscription.
    by_own_limit: bool,
    /// That of all subscriptions together.
    by_common_limit: bool,
}

impl Blocked {
    const fn is_so(self) -> bool {
        self.by_own_limit || self.by_common_limit
    }
}

impl<P> Subscription<P> {
    /// Begins where `start` left off, on a topic that now holds the entries `first..end`.
    #[must_use]
    pub fn new(options: Options, mut start: AckState, first: Ordinal, end: Ordinal) -> Self {
        let end = end.max(first);
        let counts = std::mem::take(&mut start.redelivery_counts);
        let acks = Acks::new(start, first, end);
        let counts = counts.into_iter().filter(|&(at, _)| at < end && !acks.is_acked(at));
        let redelivery_counts: BTreeMap<_, _> = counts.collect();
        let mut pending = Pending::default();
        if let Some(dead_letters) = &options.dead_letters {
            let mark = dead_letters.count_of_handed_out();
            let handed_out = redelivery_counts.iter().filter(|&(_, &count)| mark <= count);
            handed_out.for_each(|(&at, _)| pending.dead.restore(at));
        }
        Self {
            members: Members::new(&options),
            options,
            first,
            end,
            pending,
            queue: Queue::new(acks.next_unacked()),
            parked: Parked::new(),
            letters: Vec::new(),
            has_stale_lanes: false,
            reader: Reader::default(),
            hand_over: None,
            redelivery_counts,
            own_acks: AckChange::default(),
            expired_entries: 0,
            blocked: Blocked::default(),
            may_be_blocked: false,
            messages_per_entry: 1,
            scarce: Scarce::default(),
            allowance: Allowance::UNLIMITED,
            look_again_at: None,
            turn_entries: 0,
            acks,
        }
    }

    /// Adds a consumer, without permits and writable.
    ///
    /// # Errors
    ///
    /// As [`AttachError`] says; nothing has changed then.
    pub fn attach(&mut self, key: ConsumerKey, info: ConsumerInfo) -> Result<(), AttachError> {
        let is_shared = matches!(info.kind, Kind::Shared | Kind::KeyShared);
        if self.options.dead_letters.is_some() && !is_shared {
            return Err(AttachError::NotShared);
        }
        let active_before = self.members.active();
        self.members.attach(key, info)?;
        self.has_stale_lanes = true;
        if self.pending.len() == 0 {
            self.pending.begin(self.members.keeps_key_order());
        }
        if self.members.active() != active_before {
            self.change_active(active_before);
        }
        Ok(())
    }

    /// Removes a consumer; what it has not acked goes to others, its redelivery count as it was.
    pub fn detach(&mut self, key: ConsumerKey) {
        let active_before = self.members.active();
        if !self.members.detach(key) {
            return;
        }
        self.has_stale_lanes = true;
        for (at, unacked) in self.pending.take_all(key) {
            self.wait_again(at, unacked.slot);
        }
        if self.members.is_empty() || self.hand_over.is_some_and(|going| going.from == key) {
            self.rewind();
        } else if self.members.active() != active_before {
            self.change_active(active_before);
        }
    }

    /// Grants a consumer more permits.
    pub fn flow(&mut self, key: ConsumerKey, permits: u32) {
        self.members.grant(key, permits);
    }

    /// Notes whether a consumer's connection takes more; it does at first.
    pub fn set_writable(&mut self, key: ConsumerKey, is_writable: bool) {
        if let Some(member) = self.members.get_mut(key) {
            member.is_writable = is_writable;
        }
    }

    /// Sets the consumer epoch that came with SUBSCRIBE.
    pub fn set_epoch(&mut self, key: ConsumerKey, epoch: u64) {
        if let Some(member) = self.members.get_mut(key) {
            member.epoch = Some(epoch);
        }
    }

    /// Notes of what there is too much, over all subscriptions. As long as there is, one that holds a
    /// good part of it reads nothing that would add to it.
    pub const fn set_scarce(&mut self, scarce: Scarce) {
        self.may_be_blocked |= self.scarce.unacked != scarce.unacked;
        self.scarce = scarce;
    }

    /// Says how much may be sent from now on. Before each poll, if there is a limit.
    pub const fn set_allowance(&mut self, allowance: Allowance) {
        self.allowance = allowance;
    }

    /// Changes how many messages of one consumer, and of all, may be unacked. Nobody is held back any
    /// longer by the limits before.
    pub fn set_unacked_limits(&mut self, per_consumer_max: u64, max: u64) {
        let Options { consumer_unacked_messages_max: each, unacked_messages_max: all, .. } =
            &mut self.options;
        if (*each, *all) == (per_consumer_max, max) {
            return;
        }
        (*each, *all) = (per_consumer_max, max);
        self.blocked.by_own_limit = false;
        self.members.iter_mut().for_each(|(_, member)| member.is_blocked = false);
        if self.is_shared() {
            self.refresh_blocked();
        }
    }

    /// Changes how long entries live.
    pub const fn set_ttl(&mut self, ttl_ms: Option<u64>) {
        self.options.ttl_ms = ttl_ms;
    }

    /// How many entries it has acked by itself since they were past their time, since this was last asked.
    pub const fn take_expired(&mut self) -> u64 {
        std::mem::replace(&mut self.expired_entries, 0)
    }

    /// The topic has grown: its entries before `end` may be read.
    pub fn extend(&mut self, end: Ordinal) {
        self.end = self.end.max(end);
    }

    /// The topic's entries before `first` are gone; they count as acked.
    pub fn trim(&mut self, first: Ordinal) {
        self.first = self.first.max(first.min(self.end));
        let mut change = std::mem::take(&mut self.own_acks);
        self.ack_range(Ordinal(0)..self.first, &mut change);
        self.own_acks = change;
    }

    /// Entries from `first` on can be read again that were gone, or begin to: a later reset may go
    /// back to them. What is acked stays so.
    pub fn reveal(&mut self, first: Ordinal) {
        self.first = self.first.min(first);
    }

    /// Acks entries, or messages in them, whoever has them. Entries not yet delivered count as well;
    /// those that the topic does not have are ignored.
    pub fn ack_individual(&mut self, _key: Option<ConsumerKey>, acks: &[Ack]) -> AckChange {
        let mut change = AckChange::default();
        for ack in acks {
            self.ack(ack, &mut change);
        }
        change.tidied(&self.acks)
    }

    /// Acks everything before `ordinal`, and that entry: as a whole, or with an ack set the messages
    /// whose bits are 0. An entry that the topic does not have is ignored.
    ///
    /// # Errors
    ///
    /// [`NotCumulative`] on Shared and `Key_Shared` subscriptions; nothing has changed then.
    pub fn ack_cumulative(
        &mut self,
        _key: Option<ConsumerKey>,
        ordinal: Ordinal,
        ack_set: Option<Box<[i64]>>,
    ) -> Result<AckChange, NotCumulative> {
        if matches!(self.members.kind(), Some(Kind::Shared | Kind::KeyShared)) {
            return Err(NotCumulative);
        }
        let mut change = AckChange::default();
        if ordinal < self.end {
            self.ack_range(Ordinal(0)..ordinal, &mut change);
            self.ack(&Ack { ordinal, ack_set, batch_size: None }, &mut change);
        }
        Ok(change.tidied(&self.acks))
    }

    /// Delivers again what a consumer has not acked. On Shared and `Key_Shared`: the entries `ids`, as
    /// far as they are at this consumer, or all that are, with their redelivery counts raised; on Shared,
    /// with a chunk all those of its message that are there. On
    /// Exclusive and Failover: everything from the mark-delete position on, in order, if this is the
    /// consumer that has it; the counts of `ids` are raised. An `epoch` older than the consumer's is void.
    pub fn redeliver(
        &mut self,
        key: ConsumerKey,
        ids: Option<&[Ordinal]>,
        epoch: Option<u64>,
    ) -> Redelivered {
        let Some(member) = self.members.get_mut(key) else { return Redelivered::default() };
        if epoch.is_some() && epoch < member.epoch {
            return Redelivered::default();
        }
        member.epoch = epoch.or(member.epoch);
        match self.members.kind() {
            Some(Kind::Shared | Kind::KeyShared) => self.redeliver_shared(key, ids),
            Some(Kind::Exclusive | Kind::Failover) if self.holder() == Some(key) => {
                self.redeliver_in_order(ids)
            }
            Some(Kind::Exclusive | Kind::Failover) | None => Redelivered::default(),
        }
    }

    /// Seeks: exactly the entries before `to` are acked. A read that is out is void. The caller has
    /// detached the consumers, as Pulsar does; one still attached is served from `to` on.
    pub fn reset(&mut self, to: Ordinal) {
        self.acks.reset(to.max(self.first).min(self.end));
        self.own_acks = AckChange::default();
        self.redelivery_counts.clear();
        self.pending.dead.clear();
        self.rewind();
    }

    /// Acks everything that the topic holds.
    pub fn clear_backlog(&mut self) -> AckChange {
        self.ack_before(self.end)
    }

    /// Acks everything before `to`, at consumers or not.
    pub fn ack_before(&mut self, to: Ordinal) -> AckChange {
        let mut change = AckChange::default();
        self.ack_range(Ordinal(0)..to.min(self.end), &mut change);
        change.tidied(&self.acks)
    }

    /// Acks the next `entries` that are not acked.
    pub fn skip(&mut self, entries: u64) -> AckChange {
        let mut left = entries;
        let mut to = self.acks.next_unacked();
        for gap in self.acks.unacked(to..self.end) {
            let taken = left.min(gap.end.0 - gap.start.0);
            left -= taken;
            to = if 0 < taken { gap.start.plus(taken) } else { to };
        }
        let mut change = AckChange::default();
        self.ack_range(Ordinal(0)..to, &mut change);
        change.tidied(&self.acks)
    }

    /// The first entry that was never read: what is before it is read again only to be redelivered.
    #[must_use]
    pub const fn next_read(&self) -> Ordinal {
        self.queue.next_read
    }

    /// The first entry that is not acked: the one behind the mark-delete position.
    #[must_use]
    pub const fn mark_delete(&self) -> Ordinal {
        self.acks.next_unacked()
    }

    /// The entry of which `index` entries before it, of those not acked, are to be consumed first. Costs
    /// time in the number of acked ranges.
    #[must_use]
    pub fn unacked_entry(&self, index: u64) -> Option<Ordinal> {
        let mut left = index;
        for gap in self.acks.unacked(self.acks.next_unacked().max(self.first)..self.end) {
            let entries = gap.end.0 - gap.start.0;
            if left < entries {
                return Some(gap.start.plus(left));
            }
            left -= entries;
        }
        None
    }

    /// What is not acked from an entry on: so many entries at most.
    #[must_use]
    pub fn unacked_from(&self, from: Ordinal, entries_max: u64) -> Vec<Range<Ordinal>> {
        let mut left = entries_max;
        let gaps = self.acks.unacked(from.max(self.first)..self.end);
        let gaps = gaps.map_while(|gap| {
            let end = gap.end.min(gap.start.plus(left));
            left -= end.0 - gap.start.0;
            (gap.start < end).then_some(gap.start..end)
        });
        gaps.collect()
    }

    /// The type of the consumers attached, if any.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.members.kind()
    }

    /// The active consumer of an Exclusive or Failover subscription.
    #[must_use]
    pub const fn active(&self) -> Option<ConsumerKey> {
        self.members.active()
    }

    /// Who is sent the keys of `slot` on `Key_Shared`, if anybody is.
    #[must_use]
    pub fn owner_of(&self, slot: u32) -> Option<ConsumerKey> {
        self.members.owner(slot)
    }

    /// Entries not acked.
    #[must_use]
    pub const fn backlog(&self) -> u64 {
        self.acks.backlog(self.end)
    }

    /// Messages at consumers that are not acked, on Shared and `Key_Shared`.
    #[must_use]
    pub const fn unacked_messages(&self) -> u64 {
        self.pending.messages()
    }

    /// Memory that it holds beside payloads.
    #[must_use]
    pub fn held(&self) -> Held {
        let waiting = self.pending.len() + self.pending.dead.len() + self.queue.replay().len();
        let ack_state = self.acks.intervals() * INTERVAL_BYTES
            + self.acks.partials() * PARTIAL_BYTES
            + self.acks.partial_words() * WORD_BYTES
            + self.redelivery_counts.len() * COUNT_BYTES
            + waiting * WAITING_BYTES;
        Held { ack_state, timers: self.queue.delayed_len() * DELAYED_BYTES }
    }

    /// Tells how it stands. Costs time in the number of consumers and of acked ranges: of all on
    /// Exclusive and Failover, of those behind what was read on the others while something is parked.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let in_order = self.holder().map(|_| self.acks.unacked_before(self.delivered_end()));
        let consumer = |(key, member): (ConsumerKey, &Member)| ConsumerStats {
            consumer: key,
            permits: member.permits(),
            unacked_messages: match in_order {
                Some(entries) if self.holder() == Some(key) => entries,
                _ => self.pending.messages_of(key),
            },
            delivered_messages: member.delivered_messages,
            delivered_entries: member.delivered_entries,
            is_blocked_on_unacked: member.is_blocked,
        };
        let parked_entries = self.parked_entries();
        Stats {
            kind: self.members.kind(),
            mark_delete: self.mark_delete(),
            backlog_entries: self.backlog(),
            unacked_messages: in_order.unwrap_or_else(|| self.pending.messages()),
            delayed_entries: self.queue.delayed_len() as u64 + parked_entries,
            parked_entries,
            redelivery_entries: self.queue.replay().len() as u64,
            buffered_entries: self.queue.buffer().len() as u64,
            dead_letter_entries: self.pending.dead.len() as u64,
            acked_ranges: self.acks.intervals() as u64,
            is_reading: self.reader.is_out(),
            is_loading: self.parked.is_loading(),
            is_blocked_on_unacked: self.blocked.is_so(),
            active: self.members.active(),
            consumers: self.members.iter().map(consumer).collect(),
        }
    }

    fn redeliver_shared(&mut self, key: ConsumerKey, ids: Option<&[Ordinal]>) -> Redelivered {
        let again = match ids {
            None => self.pending.take_all(key),
            Some(ids) => ids.iter().flat_map(|&at| self.pending.take_whole(key, at)).collect(),
        };
        let mut raised = Vec::with_capacity(again.len());
        for (at, unacked) in again {
            raised.push((at, raise(&mut self.redelivery_counts, at)));
            self.released(unacked.slot);
            self.wait_again(at, unacked.slot);
        }
        Redelivered { entries: raised.len() as u64, raised }
    }

    fn redeliver_in_order(&mut self, ids: Option<&[Ordinal]>) -> Redelivered {
        let delivered_end = self.delivered_end();
        let mut raised = Vec::new();
        for &at in ids.unwrap_or_default() {
            if at < delivered_end && !self.acks.is_acked(at) {
                raised.push((at, raise(&mut self.redelivery_counts, at)));
            }
        }
        let entries = match ids {
            Some(_) => raised.len() as u64,
            None => self.acks.unacked_before(delivered_end),
        };
        self.rewind();
        Redelivered { entries, raised }
    }

    fn wait_again(&mut self, at: Ordinal, slot: u32) {
        if self.is_dead(at) {
            return self.bury(at, slot);
        }
        let router = Router { members: &self.members, pending: &self.pending };
        self.queue.push_replay(at, slot, router);
    }

    /// An entry of `slot` is at nobody any more: if it was the last, what waited for that may go.
    fn released(&mut self, slot: u32) {
        if self.queue.lanes.has_draining(slot) {
            let router = Router { members: &self.members, pending: &self.pending };
            if let Lane::Of(owner) = router.lane(slot) {
                self.queue.lanes.drained(slot, owner);
            }
        }
    }

    /// Another consumer is active, or none. Who had what is not acked may still ack it for a while, if
    /// it is there.
    fn change_active(&mut self, before: Option<ConsumerKey>) {
        let Some(from) = self.hand_over.map(|going| going.from).or(before) else {
            return self.rewind();
        };
        let may_ack = self.members.kind() == Some(Kind::Failover)
            && 0 < self.options.hand_over_ms
            && self.members.get(from).is_some()
            && self.acks.next_unacked() < self.delivered_end();
        if self.members.active() == Some(from) {
            self.hand_over = None; // It has what it had.
        } else if may_ack {
            self.hand_over.get_or_insert_with(|| HandOver::new(from));
        } else {
            self.rewind();
        }
    }

    /// Who has what was delivered on an Exclusive or Failover subscription.
    fn holder(&self) -> Option<ConsumerKey> {
        self.hand_over.map(|going| going.from).or_else(|| self.members.active())
    }

    /// Delivers everything again that is not acked, from the mark-delete position on.
    fn rewind(&mut self) {
        self.hand_over = None;
        self.reader.cancel();
        self.parked.clear();
        self.pending.rewind();
        self.letters.clear();
        self.blocked = Blocked::default(); // Nothing is unacked, and the next type may have no limit.
        self.queue = Queue::new(self.acks.next_unacked());
    }

    /// What lies before was delivered to the active consumer of an Exclusive or Failover subscription.
    fn delivered_end(&self) -> Ordinal {
        self.queue.buffer().first_key_value().map_or(self.queue.next_read, |(&at, _)| at)
    }

    fn ack(&mut self, ack: &Ack, change: &mut AckChange) {
        if self.end <= ack.ordinal {
            return;
        }
        // Only ack sets need it.
        let known = ack.ack_set.as_ref().and_then(|_| self.batch_size(ack.ordinal));
        let batch_size = known.or(ack.batch_size);
        self.acks.ack(ack.ordinal, ack.ack_set.as_deref(), batch_size, change);
        if self.acks.is_acked(ack.ordinal) {
            self.forget_one(ack.ordinal);
        } else if let Some(remaining) = self.acks.partial(ack.ordinal) {
            self.pending.narrow(ack.ordinal, || acks::count(remaining, u32::MAX));
        }
    }

    /// How many messages an entry has, as far as that is known here.
    fn batch_size(&self, at: Ordinal) -> Option<u32> {
        let buffered = self.queue.buffer().get(&at).map(|entry| entry.messages.max(1));
        buffered.or_else(|| self.pending.get(at).map(|unacked| unacked.batch_size))
    }

    /// Acks an entry that no consumer is to see, to be said with the next poll.
    fn ack_by_itself(&mut self, at: Ordinal) {
        let mut change = std::mem::take(&mut self.own_acks);
        self.ack_range(at..at.plus(1), &mut change);
        self.own_acks = change;
    }

    fn ack_range(&mut self, range: Range<Ordinal>, change: &mut AckChange) {
        self.acks.ack_range(range.clone(), change);
        self.forget(range);
    }

    /// Drops all that is known of entries that are now acked.
    fn forget(&mut self, range: Range<Ordinal>) {
        let were_pending = self.pending.forget(range.clone());
        if self.pending.dead.forget(range.clone()) || were_pending {
            self.has_stale_lanes = true; // Slots may have drained.
        }
        self.letters.retain(|letter| !range.contains(&letter.ordinal));
        let router = Router { members: &self.members, pending: &self.pending };
        self.queue.forget(range.clone(), router);
        self.forget_counts(range);
    }

    /// The same for one entry, which nearly always is at a consumer.
    fn forget_one(&mut self, at: Ordinal) {
        if let Some(unacked) = self.pending.take_anywhere(at) {
            self.released(unacked.slot);
        } else if let Some(slot) = self.pending.dead.remove(at) {
            self.letters.retain(|letter| letter.ordinal != at);
            self.released(slot);
        } else {
            let router = Router { members: &self.members, pending: &self.pending };
            self.queue.forget(at..at.plus(1), router);
        }
        self.forget_counts(at..at.plus(1));
    }

    fn forget_counts(&mut self, range: Range<Ordinal>) {
        self.redelivery_counts.extract_if(range, |_, _| true).for_each(drop);
        self.queue.next_read = self.queue.next_read.max(self.acks.next_unacked());
    }
}

fn raise(counts: &mut BTreeMap<Ordinal, u32>, at: Ordinal) -> u32 {
    let count = counts.entry(at).or_default();
    *count = count.saturating_add(1);
    *count
}

#[cfg(test)]
mod tests;
