//! Which buffered entries go to whom.

use geminga_types::{Ordinal, key_slot};

use super::Subscription;
use crate::{Action, ConsumerKey, Delivery, Kind, acks, members::Member, pending::Unacked};

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
        Some((consumer, self.hand_out_first(consumer, usize::MAX, now)))
    }

    /// The next one's turn. What a read has brought is divided evenly, so that none takes all of it;
    /// the remainder moves on the turn.
    fn deliver_shared(&mut self, now: u64) -> Option<(ConsumerKey, Vec<Delivery<P>>)> {
        if self.blocked.is_so() {
            return None;
        }
        let (consumer, peers) = self.members.take_turn()?;
        if self.turn_entries == 0 {
            let (entries, peers) = (self.queue.buffer().len(), peers.max(1));
            let round = peers.saturating_mul(self.options.round_robin_entries_max.max(1));
            let turns = peers.saturating_mul(entries.div_ceil(round));
            self.turn_entries = (entries / turns.max(1)).max(1);
        }
        Some((consumer, self.hand_out_first(consumer, self.turn_entries, now)))
    }

    fn hand_out_first(
        &mut self,
        consumer: ConsumerKey,
        entries_max: usize,
        now: u64,
    ) -> Vec<Delivery<P>> {
        let mut deliveries = Vec::new();
        while deliveries.len() < entries_max
            && !self.blocked.is_so()
            && !self.allowance.is_used_up()
            && self.members.is_ready(consumer)
            && let Some((&at, _)) = self.queue.buffer().first_key_value()
        {
            deliveries.extend(self.hand_out(consumer, at, now));
        }
        deliveries
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
        let is_over = |ttl| entry.published_at.saturating_add(ttl) <= now;
        let wants = |member: &Member| member.wants(key_slot(entry.key_hash));
        if self.options.ttl_ms.is_some_and(is_over)
            || !self.members.get(consumer).is_some_and(wants)
        {
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
            let (batch_size, slot) = (entry.messages.max(1), key_slot(entry.key_hash));
            let unacked = Unacked { messages, batch_size, slot };
            let unacked_messages = self.pending.insert(consumer, at, unacked);
            self.refresh_blocked_of(consumer, unacked_messages);
        }
        Some(delivery)
    }
}
