//! Which buffered entries go to whom.

use std::cell::OnceCell;

use geminga_types::Ordinal;

use super::Subscription;
use crate::{
    Action, ConsumerKey, Delivery, Entry, Kind, acks, members::Member, pending::Unacked,
    slots::is_chunk,
};

/// The first entry that is to be read again, found out once it matters.
type Earliest = OnceCell<Option<Ordinal>>;

/// What a consumer takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    Any,
    /// Chunks of messages that it has begun to get.
    ItsOwn,
}

/// Who may take an entry now.
enum Taker {
    Anyone,
    /// Who has other chunks of the message.
    Only(ConsumerKey),
    Nobody,
}

impl<P> Subscription<P> {
    /// Deliveries to one consumer, if one can take something that is buffered. What is past its time is
    /// acked instead: if that was all, there may be more.
    pub(super) fn deliver(&mut self, now_wall_ms: u64) -> Option<Action<P>> {
        if self.queue.buffer().is_empty() || self.waits_for_allowance(now_wall_ms) {
            return None;
        }
        let (consumer, deliveries) = match self.members.kind()? {
            Kind::Exclusive | Kind::Failover => self.deliver_in_order(now_wall_ms)?,
            Kind::Shared => self.deliver_shared(now_wall_ms)?,
            Kind::KeyShared => self.deliver_by_key(now_wall_ms)?,
        };
        if deliveries.is_empty() {
            return None;
        }
        let epoch = self.members.get(consumer).and_then(|member| member.epoch);
        let consumer_epoch = epoch.filter(|_| !self.is_shared());
        Some(Action::Deliver { consumer, consumer_epoch, deliveries })
    }

    fn deliver_in_order(&mut self, now: u64) -> Option<(ConsumerKey, Vec<Delivery<P>>)> {
        let consumer = self.members.active()?;
        Some((consumer, self.hand_out_first(consumer, Taking::Any, usize::MAX, now)))
    }

    /// The next one's turn. What a read has brought is divided evenly, so that none takes all of it;
    /// the remainder moves on the turn.
    fn deliver_shared(&mut self, now: u64) -> Option<(ConsumerKey, Vec<Delivery<P>>)> {
        if self.blocked.is_so() {
            return None;
        }
        let earliest = OnceCell::new();
        let mut takers = self.queue.buffer().values().map(|entry| self.taker(entry, &earliest));
        let taker = takers.find(|taker| match taker {
            Taker::Anyone => true,
            Taker::Only(holder) => self.members.is_ready(*holder),
            Taker::Nobody => false,
        });
        if let Taker::Only(holder) = taker? {
            // No turn of its own: it gets what nobody else may have, and nothing beside.
            return Some((holder, self.hand_out_first(holder, Taking::ItsOwn, usize::MAX, now)));
        }
        let consumer = self.take_turn()?;
        let entries_max = self.turn_entries.max(1);
        Some((consumer, self.hand_out_first(consumer, Taking::Any, entries_max, now)))
    }

    fn take_turn(&mut self) -> Option<ConsumerKey> {
        let (consumer, peers) = self.members.take_turn()?;
        if self.turn_entries == 0 {
            let (entries, peers) = (self.queue.buffer().len(), peers.max(1));
            let round = peers.saturating_mul(self.options.round_robin_entries_max.max(1));
            let turns = peers.saturating_mul(entries.div_ceil(round));
            self.turn_entries = (entries / turns.max(1)).max(1);
        }
        Some(consumer)
    }

    fn hand_out_first(
        &mut self,
        consumer: ConsumerKey,
        taking: Taking,
        entries_max: usize,
        now: u64,
    ) -> Vec<Delivery<P>> {
        let mut deliveries = Vec::new();
        let (mut from, earliest) = (Ordinal(0), OnceCell::new());
        while deliveries.len() < entries_max
            && !self.blocked.is_so()
            && !self.allowance.is_used_up()
            && self.members.is_ready(consumer)
            && let Some(at) = self.first_for((consumer, taking), from, &earliest)
        {
            deliveries.extend(self.hand_out(consumer, at, now));
            from = at.plus(1);
        }
        deliveries
    }

    /// The first buffered entry that a consumer may take, of those from `from` on.
    fn first_for(
        &self,
        (consumer, taking): (ConsumerKey, Taking),
        from: Ordinal,
        earliest: &Earliest,
    ) -> Option<Ordinal> {
        let may_take = |entry: &Entry<P>| match self.taker(entry, earliest) {
            Taker::Anyone => taking == Taking::Any,
            Taker::Only(holder) => holder == consumer,
            Taker::Nobody => false,
        };
        let mut buffered = self.queue.buffer().range(from..);
        buffered.find(|(_, entry)| may_take(entry)).map(|(&at, _)| at)
    }

    /// Who may take an entry of a Shared subscription, or of one that is in order: all chunks of a message
    /// go to one consumer, one after the other, since none can put it together otherwise.
    fn taker(&self, entry: &Entry<P>, earliest: &Earliest) -> Taker {
        let Some(chunk) = entry.chunk else { return Taker::Anyone };
        if !chunk.is_first {
            let earliest = earliest.get_or_init(|| self.readable_replay().next());
            if earliest.is_some_and(|at| at < entry.ordinal) {
                return Taker::Nobody; // Among those are perhaps the chunks before.
            }
        }
        self.pending.slot_holder(entry.slot()).map_or(Taker::Anyone, Taker::Only)
    }

    /// Chunks that wait for a consumer of a Shared subscription, which has others of their message.
    pub(super) fn chunks_for(&self, key: ConsumerKey) -> impl Iterator<Item = Ordinal> {
        let buffered = self.queue.buffer().values().map(|entry| (entry.ordinal, entry.slot()));
        let waiting = buffered.chain(self.queue.replay().iter().map(|(&at, &slot)| (at, slot)));
        let is_its = move |slot| is_chunk(slot) && self.pending.slot_holder(slot) == Some(key);
        waiting.filter(move |&(_, slot)| is_its(slot)).map(|(at, _)| at)
    }

    /// What is to be read again, in order, but for chunks that wait for a consumer that takes nothing
    /// now.
    pub(super) fn readable_replay(&self) -> impl Iterator<Item = Ordinal> {
        self.readable(self.queue.replay().iter())
    }

    /// The same from the one whose turn it is up to the last.
    pub(super) fn readable_replay_behind(&self) -> impl Iterator<Item = Ordinal> {
        self.readable(self.queue.replay_behind())
    }

    fn readable<'a>(
        &'a self,
        replay: impl Iterator<Item = (&'a Ordinal, &'a u32)>,
    ) -> impl Iterator<Item = Ordinal> {
        let waits = |slot: u32| {
            let holder = Some(slot).filter(|&slot| is_chunk(slot));
            let holder = holder.and_then(|slot| self.pending.slot_holder(slot));
            holder.is_some_and(|holder| !self.members.is_ready(holder))
        };
        replay.filter(move |&(_, &slot)| !waits(slot)).map(|(&at, _)| at)
    }

    /// What waits at the front of a lane, for the next consumer that can take it. An entry that is yet
    /// to be read again holds back the later ones of its lane: it comes with the next read.
    fn deliver_by_key(&mut self, now: u64) -> Option<(ConsumerKey, Vec<Delivery<P>>)> {
        if self.blocked.is_so() {
            return None;
        }
        let consumer = self.queue.take_turn(|key| self.members.is_ready(key))?;
        let mut deliveries = Vec::new();
        while !self.blocked.is_so()
            && !self.allowance.is_used_up()
            && self.members.is_ready(consumer)
            && let Some(at) = self.queue.lanes.first(consumer)
            && self.queue.buffer().contains_key(&at)
        {
            self.queue.lanes.pop_first(consumer);
            deliveries.extend(self.hand_out(consumer, at, now));
        }
        Some((consumer, deliveries))
    }

    /// Takes an entry out of the buffer, for a consumer unless it is past its time or the consumer does
    /// not want to see it.
    fn hand_out(&mut self, consumer: ConsumerKey, at: Ordinal, now: u64) -> Option<Delivery<P>> {
        let entry = self.queue.take_buffered(at)?;
        let slot = entry.slot();
        let is_over = |ttl| entry.published_at.saturating_add(ttl) <= now;
        let wants = |member: &Member| member.wants(slot);
        let is_expired = self.options.ttl_ms.is_some_and(is_over);
        if is_expired || !self.members.get(consumer).is_some_and(wants) {
            self.expired_entries += u64::from(is_expired);
            self.ack_by_itself(at);
            return None;
        }
        let ack_set = self.acks.partial(at);
        let messages = entry.messages.max(1);
        let messages = ack_set.map_or(messages, |set| acks::count(set, messages));
        let delivery = Delivery {
            ordinal: at,
            redelivery_count: self.redelivery_counts.get(&at).copied().unwrap_or(0),
            ack_set: ack_set.map(Into::into),
            messages,
            payload: entry.payload,
        };
        self.allowance.charge(u64::from(messages), entry.bytes as u64);
        if let Some(member) = self.members.get_mut(consumer) {
            member.charge(messages);
        }
        if self.is_shared() {
            let unacked = Unacked { messages, batch_size: entry.messages.max(1), slot };
            let unacked_messages = self.pending.insert(consumer, at, unacked);
            self.refresh_blocked_of(consumer, unacked_messages);
        }
        Some(delivery)
    }
}
