//! Acks: decided by the subscription's machine, then made durable in the cursor log.
//!
//! Deltas are merged until they are flushed: at once when somebody waits for the answer, else after
//! `ack_flush_interval`. Raised redelivery counts go with them. The cursor log merges again what comes while a write is in flight.

use std::sync::Arc;

use geminga_env::Instant;
use geminga_managed_ledger::CursorDelta;
use geminga_subscription::{Ack, AckChange, ConsumerKey};
use geminga_types::Ordinal;
use tracing::debug;

use super::{
    super::Reply,
    SubscriptionName, Topic,
    seek::SeekReply,
    sub::{InFlight, Sub},
};
use crate::{AckError, AckKind, AckRequest, AdminError, Outbox, Outgoing, SubscriptionKind};

/// Who is told when an ack is durable.
pub(super) enum AckWaiter {
    Client { outbox: Outbox, consumer_id: u64, request_id: u64 },
    Admin(Reply<Result<(), AdminError>>),
    Seek(SeekReply),
}

impl AckWaiter {
    pub(super) fn answer(self, result: Result<(), AckError>) {
        match self {
            Self::Client { outbox, consumer_id, request_id } => {
                outbox.push(Outgoing::AckDone { consumer_id, request_id, result });
            }
            Self::Admin(reply) => {
                let result = result.map_err(|error| AdminError::Unavailable(error.to_string()));
                _ = reply.send(result);
            }
            Self::Seek(reply) => reply.answer(result),
        }
    }
}

impl Sub {
    /// Tells everyone who waits for an ack of this subscription that it may not be stored. What is on
    /// its way stays there: it becomes durable later, and until then no retry may be answered.
    pub(super) fn fail_waiters(&mut self, reason: &str) {
        let waiting = std::mem::take(&mut self.delta_waiters);
        let in_flight = self.in_flight.iter_mut();
        let in_flight = in_flight.flat_map(|write| std::mem::take(&mut write.waiters));
        for waiter in in_flight.chain(waiting) {
            waiter.answer(Err(AckError::Persistence(reason.to_owned())));
        }
    }
}

impl Topic {
    pub(super) fn ack(&mut self, key: u64, request: &AckRequest) {
        let Some(consumer) = self.consumers.get(&key) else { return };
        let name = Arc::clone(&consumer.subscription);
        let waiter = request.request_id.map(|request_id| AckWaiter::Client {
            outbox: consumer.outbox.clone(),
            consumer_id: consumer.request.consumer_id,
            request_id,
        });
        let kind = consumer.request.kind;
        let unacked_before = self.unacked_messages(&name);
        match self.apply(&name, key, kind, request) {
            Ok(change) => {
                let now = self.now();
                let messages = unacked_before.saturating_sub(self.unacked_messages(&name));
                self.note_acked(&name, key, now, messages.max(change.entries()));
                self.note_acks_at(&name, &change, waiter, now);
            }
            Err(error) => {
                debug!(topic = %self.name, subscription = %name, %error, "an ack was refused");
                if let Some(waiter) = waiter {
                    waiter.answer(Err(error));
                }
            }
        }
        self.ready.insert(name);
    }

    /// Messages at consumers, on Shared and `Key_Shared`.
    fn unacked_messages(&self, name: &SubscriptionName) -> u64 {
        self.subscriptions.get(name).map_or(0, |sub| sub.machine.unacked_messages())
    }

    fn note_acked(&mut self, name: &SubscriptionName, key: u64, now: Instant, messages: u64) {
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.doings.note_acked(now, messages);
        }
        if let Some(sub) = self.subscriptions.get_mut(name) {
            sub.doings.note_acked(now, messages);
        }
    }

    fn apply(
        &mut self,
        name: &SubscriptionName,
        key: u64,
        kind: SubscriptionKind,
        request: &AckRequest,
    ) -> Result<AckChange, AckError> {
        match request.kind {
            AckKind::Individual => {
                let acks = request.ids.iter().filter_map(|id| {
                    let ordinal = self.exact_ordinal(id.position)?;
                    Some(Ack { ordinal, ack_set: id.ack_set.clone(), batch_size: id.batch_size })
                });
                let acks: Vec<Ack> = acks.collect();
                let sub = self.subscriptions.get_mut(name).ok_or(AckError::Closed)?;
                Ok(sub.machine.ack_individual(Some(ConsumerKey(key)), &acks))
            }
            AckKind::Cumulative => {
                let Some(id) = request.ids.iter().max_by_key(|id| id.position) else {
                    return Ok(AckChange::default());
                };
                let Some(last) = self.exact_ordinal(id.position) else {
                    return if self.is_trimmed(id.position) {
                        Ok(AckChange::default())
                    } else {
                        Err(AckError::NoEntry(id.position))
                    };
                };
                let ack_set = id.ack_set.clone();
                let sub = self.subscriptions.get_mut(name).ok_or(AckError::Closed)?;
                sub.machine
                    .ack_cumulative(Some(ConsumerKey(key)), last, ack_set)
                    .map_err(|_| AckError::NotAllowed(kind.as_str()))
            }
        }
    }

    /// Notes what an ack changed, to be flushed with the next delta.
    pub(super) fn note_acks(
        &mut self,
        name: &SubscriptionName,
        change: &AckChange,
        waiter: Option<AckWaiter>,
    ) {
        self.note_acks_at(name, change, waiter, self.now());
    }

    fn note_acks_at(
        &mut self,
        name: &SubscriptionName,
        change: &AckChange,
        waiter: Option<AckWaiter>,
        now: Instant,
    ) {
        if change.mark_delete.is_some()
            && let Some(sub) = self.subscriptions.get_mut(name)
        {
            sub.doings.note_mark_delete(now);
            self.note_read(now, |reads| reads.mark_deletes += 1);
        }
        let part = self.delta_of(change);
        self.note_delta_at(name, part, waiter, now);
    }

    /// Notes redelivery counts that were raised, to be flushed with the next delta.
    pub(super) fn note_counts(&mut self, name: &SubscriptionName, raised: &[(Ordinal, u32)]) {
        let redelivery_counts = self.positions_of_counts(raised);
        let part = CursorDelta { redelivery_counts, ..CursorDelta::default() };
        self.note_delta(name, part, None);
    }

    /// Notes a change of the cursor, to be flushed with the next delta.
    pub(super) fn note_delta(
        &mut self,
        name: &SubscriptionName,
        part: CursorDelta,
        waiter: Option<AckWaiter>,
    ) {
        self.note_delta_at(name, part, waiter, self.now());
    }

    fn note_delta_at(
        &mut self,
        name: &SubscriptionName,
        part: CursorDelta,
        waiter: Option<AckWaiter>,
        now: Instant,
    ) {
        let interval = self.deps.options.ack_flush_interval;
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        if !sub.is_durable {
            if let Some(waiter) = waiter {
                waiter.answer(Ok(()));
            }
            return;
        }
        sub.delta.merge(part);
        let is_urgent = waiter.is_some();
        sub.delta_waiters.extend(waiter);
        if sub.delta.is_empty() && sub.delta_waiters.is_empty() {
            return;
        }
        let flush_at = if is_urgent { now } else { now + interval };
        sub.flush_at = Some(sub.flush_at.map_or(flush_at, |at| at.min(flush_at)));
        self.unflushed.insert(Arc::clone(name));
    }

    fn delta_of(&self, change: &AckChange) -> CursorDelta {
        let mark_delete = change.mark_delete.map(|next| self.position_before(next));
        let is_behind =
            |next: &Ordinal| change.mark_delete.is_none_or(|mark_delete| mark_delete < *next);
        CursorDelta {
            mark_delete,
            acked: self.positions_of(change.acked.iter().filter(|range| is_behind(&range.end))),
            partial: self.positions_of_partial(&change.partial),
            ..CursorDelta::default()
        }
    }

    /// Sends deltas to the cursor log whose time has come. False: there was none.
    pub(super) fn flush_due_acks(&mut self) -> bool {
        if self.unflushed.is_empty() {
            return false;
        }
        let now = self.now();
        let is_due = |name: &&SubscriptionName| {
            let sub = self.subscriptions.get(*name);
            sub.is_some_and(|sub| sub.flush_at.is_some_and(|at| at <= now))
        };
        let due: Vec<SubscriptionName> = self.unflushed.iter().filter(is_due).cloned().collect();
        for name in &due {
            self.flush_acks(name);
        }
        !due.is_empty()
    }

    pub(super) fn flush_acks(&mut self, name: &SubscriptionName) {
        self.unflushed.remove(name);
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        sub.flush_at = None;
        let delta = std::mem::take(&mut sub.delta);
        let waiters = std::mem::take(&mut sub.delta_waiters);
        let dead_letters = sub.machine.take_settling();
        if delta.is_empty() {
            // Nothing new: durable once what is in flight is.
            match sub.in_flight.back_mut() {
                Some(last) => {
                    last.waiters.extend(waiters);
                    last.dead_letters += dead_letters;
                }
                None => {
                    waiters.into_iter().for_each(|waiter| waiter.answer(Ok(())));
                    sub.machine.on_dead_letters_durable(dead_letters);
                }
            }
            return;
        }
        let mark_delete = sub.machine.mark_delete();
        self.deps.options.trace("cursor-write", true);
        let seq = self.ledger.append_cursor(name, delta);
        sub.in_flight.push_back(InFlight { seq, waiters, mark_delete, dead_letters });
    }
}
