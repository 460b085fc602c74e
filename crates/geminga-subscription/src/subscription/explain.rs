//! What to say to whoever asks why nothing moves.

use super::Subscription;
use crate::{
    ConsumerKey, Kind,
    explain::{ConsumerState, DeadLetters, Draining, Explanation, Limit, State, Waits},
    members::Member,
};

impl<P> Subscription<P> {
    /// Tells what it waits for, once polled dry. Costs time in what it holds.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let is_by_key = self.members.kind() == Some(Kind::KeyShared);
        let held_back = match self.members.kind() {
            Some(Kind::KeyShared) => self.held_back(),
            _ => self.members.iter().map(|(key, _)| self.chunks_for(key).count()).sum(),
        };
        let max = u64::try_from(self.look_ahead_entries_max()).unwrap_or(u64::MAX);
        Explanation {
            state: self.explain_state(),
            next_read: self.queue.next_read,
            end: self.end,
            next_due: self.queue.next_due(),
            parked_entries: self.parked_entries(),
            parked_due: self.parked.known_until().map(|(due, _)| due),
            held_back_entries: held_back as u64,
            held_back_entries_max: ((is_by_key || 0 < held_back) && max < u64::MAX).then_some(max),
            consumers: self
                .members
                .iter()
                .map(|(key, it)| self.explain_consumer(key, it))
                .collect(),
            draining: self.explain_draining(),
            dead_letters: self.explain_dead_letters(),
        }
    }

    fn explain_dead_letters(&self) -> Option<DeadLetters> {
        let unsettled_messages_max = self.options.dead_letters.as_ref()?.messages_max;
        let dead = &self.pending.dead;
        let (out_entries, unsettled_messages) = dead.out();
        Some(DeadLetters {
            waiting_entries: dead.len() as u64 - out_entries,
            out_entries,
            unsettled_messages,
            unsettled_messages_max,
            retry_at: dead.retry_at(),
        })
    }

    fn explain_state(&self) -> State {
        let delayed = self.queue.delayed_len() as u64 + self.parked_entries();
        let waiting = self.held_back() as u64 + delayed;
        let has_unread = self.acks.unacked(self.queue.next_read..self.end).next().is_some();
        let delayed_max = self.delayed_max();
        let is_ready = match self.members.active() {
            Some(active) => self.members.is_ready(active),
            None => 0 < self.members.ready_permits(),
        };
        if self.members.is_empty() {
            State::NoConsumers
        } else if waiting == 0 && !has_unread {
            if self.pending.dead.len() == 0 { State::NothingToDeliver } else { State::DeadLetters }
        } else if self.blocked.by_own_limit {
            let unacked_messages = self.pending.messages();
            State::AtLimit(Limit::TooManyUnacked {
                unacked_messages,
                max: self.options.unacked_messages_max,
            })
        } else if self.blocked.by_common_limit {
            let (unacked_messages, max) =
                (self.pending.messages(), self.options.scarce_unacked_messages_max);
            State::AtLimit(Limit::TooManyUnackedInAll { unacked_messages, max })
        } else if let Some(going) = self.hand_over {
            State::HandingOver { from: going.from, until: going.known_until() }
        } else if is_ready && self.allowance.is_used_up() {
            State::AtLimit(Limit::DispatchRate { again_at: self.allowance.again_at })
        } else if self.reader.is_out() || self.parked.is_loading() {
            State::Reading
        } else if !self.reader.may_read() {
            State::ReadFailed { retry_at: self.reader.retry_at() }
        } else if let Some(retry_at) = self.parked.retry_at() {
            State::ReadFailed { retry_at: Some(retry_at) }
        } else if !is_ready {
            State::NoConsumerReady
        } else if has_unread && self.readable_end() < self.end {
            State::AtLimit(Limit::ScarceMemory)
        } else if has_unread && self.is_shared() && delayed_max <= self.queue.delayed_len() {
            let delayed_entries = self.queue.delayed_len() as u64;
            State::AtLimit(Limit::TooManyDelayed { delayed_entries, max: delayed_max as u64 })
        } else if has_unread && self.look_ahead_entries_max() <= self.held_back() {
            State::AtLimit(Limit::TooManyHeldBack)
        } else if self.due_max() <= self.held_back() && 0 < self.parked_entries() {
            let (held_back_entries, max) = (self.held_back() as u64, self.due_max() as u64);
            State::AtLimit(Limit::TooManyDue { held_back_entries, max })
        } else {
            State::PartlyHeldBack
        }
    }

    fn explain_consumer(&self, key: ConsumerKey, member: &Member) -> ConsumerState {
        let waits = match self.members.active() {
            Some(active) if active != key => Waits::ToBeActive,
            _ if !member.is_writable => Waits::ForConnection,
            _ if member.is_blocked || self.blocked.is_so() => Waits::ForAcks,
            _ if member.permits() <= 0 => Waits::ForPermits,
            _ => Waits::ForMessages,
        };
        ConsumerState {
            consumer: key,
            waits,
            permits: member.permits(),
            unacked_messages: match self.holder() {
                Some(holder) if holder == key => self.acks.unacked_before(self.delivered_end()),
                _ => self.pending.messages_of(key),
            },
            waiting_entries: match self.members.kind() {
                Some(Kind::Shared) => self.chunks_for(key).count() as u64,
                _ => self.queue.lanes.waiting_for(key) as u64,
            },
        }
    }

    fn explain_draining(&self) -> Vec<Draining> {
        let lanes = self.queue.lanes.draining();
        let (firsts, dead) = (self.pending.first_by_slot(), self.pending.dead.first_by_slot());
        let explained = lanes.filter_map(|(slot, since, waiting)| {
            let moved =
                firsts.get(&slot).filter(|&&(_, key)| self.members.owner(slot) != Some(key));
            let moved = moved.map(|&(held, holder)| (held, Some(holder)));
            let (held, holder) = moved.or_else(|| Some((*dead.get(&slot)?, None)))?;
            Some(Draining { slot, holder, held, waiting_entries: waiting as u64, since })
        });
        explained.collect()
    }
}
