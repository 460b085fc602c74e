//! Seek, in the order that clients rely on: close the consumers, move the cursor durably, answer.
//!
//! A SUBSCRIBE that comes in between waits, and is attached once the cursor has moved.

use std::sync::Arc;

use geminga_managed_ledger::CursorDelta;
use geminga_subscription::Ack;
use geminga_types::Ordinal;

use super::{
    super::Reply,
    Internal, SubscriptionName, Topic,
    ack::AckWaiter,
    subscriptions::{InFlight, Waiting},
};
use crate::{AckError, RequestError, SeekTo};

/// A seek in progress.
pub(super) struct Seeking {
    /// Who subscribes meanwhile.
    pub(super) opens: Vec<Waiting>,
    /// Whether the cursor has moved, or will not.
    is_settled: Arc<std::sync::atomic::AtomicBool>,
    reply: Option<Reply<Result<(), RequestError>>>,
}

/// Answers a seek once it is durable.
pub(super) struct SeekReply {
    reply: Reply<Result<(), RequestError>>,
    is_settled: Arc<std::sync::atomic::AtomicBool>,
}

impl SeekReply {
    pub(super) fn answer(self, result: Result<(), AckError>) {
        self.is_settled.store(true, std::sync::atomic::Ordering::Relaxed);
        let result = result.map_err(|error| RequestError::Unavailable(error.to_string()));
        _ = self.reply.send(result);
    }
}

impl Topic {
    pub(super) fn seek(&mut self, key: u64, to: SeekTo, reply: Reply<Result<(), RequestError>>) {
        let Some(consumer) = self.consumers.get(&key) else {
            _ = reply.send(Err(RequestError::Closed));
            return;
        };
        let name = Arc::clone(&consumer.subscription);
        // First, so that no close of a reader's last consumer takes the cursor along.
        let Some(sub) = self.subscriptions.get_mut(&name) else { return };
        let incarnation = sub.incarnation;
        sub.seeking =
            Some(Seeking { opens: Vec::new(), is_settled: Arc::default(), reply: Some(reply) });
        self.close_consumers_of(&name);
        match to {
            SeekTo::Position(position, ack_set) => {
                let target = self.ledger.ordinal_of(position);
                let ack_set = ack_set.filter(|_| self.exact_ordinal(position).is_some());
                self.move_cursor(&name, target, ack_set);
            }
            SeekTo::PublishTime(time) => self.find_by_time(time, move |result| {
                Internal::SeekFound { subscription: name, incarnation, result }
            }),
        }
    }

    pub(super) fn on_seek_found(
        &mut self,
        name: &SubscriptionName,
        incarnation: u64,
        result: Result<Ordinal, String>,
    ) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        if sub.incarnation != incarnation {
            return;
        }
        match result {
            Ok(target) => self.move_cursor(name, target, None),
            Err(reason) => {
                if let Some(seeking) = &mut sub.seeking {
                    seeking.is_settled.store(true, std::sync::atomic::Ordering::Relaxed);
                    if let Some(reply) = seeking.reply.take() {
                        _ = reply.send(Err(RequestError::Unavailable(reason)));
                    }
                }
                self.finish_seek(name);
            }
        }
    }

    fn move_cursor(
        &mut self,
        name: &SubscriptionName,
        target: Ordinal,
        ack_set: Option<Box<[i64]>>,
    ) {
        let position = self.position_before(target);
        let target_position = self.ledger.position_of(target);
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let Some(seeking) = &mut sub.seeking else { return };
        let Some(reply) = seeking.reply.take() else { return };
        let waiter = SeekReply { reply, is_settled: Arc::clone(&seeking.is_settled) };
        sub.machine.reset(target);
        let mut partial = Vec::new();
        if let (Some(ack_set), Some(at)) = (ack_set, target_position) {
            partial.push((at, ack_set.to_vec()));
            let ack = Ack { ordinal: target, ack_set: Some(ack_set), batch_size: None };
            _ = sub.machine.ack_individual(None, &[ack]);
        }
        if !sub.is_durable {
            waiter.answer(Ok(()));
            self.finish_seek(name);
            return;
        }
        // What was acked before no longer counts; whoever waits for it is answered with this one.
        sub.delta = CursorDelta::default();
        let mut waiters = std::mem::take(&mut sub.delta_waiters);
        waiters.push(AckWaiter::Seek(waiter));
        sub.flush_at = None;
        self.unflushed.remove(name);
        let delta = CursorDelta {
            mark_delete: Some(position),
            partial,
            reset: true,
            ..CursorDelta::default()
        };
        let seq = self.ledger.append_cursor(name, delta);
        // Trimming must respect the target at once, whatever else becomes durable before it.
        sub.durable_mark_delete = sub.durable_mark_delete.min(target);
        for write in &mut sub.in_flight {
            write.mark_delete = write.mark_delete.min(target);
        }
        sub.in_flight.push_back(InFlight { seq, waiters, mark_delete: target });
        let wall = self.deps.ledger.env.clock.wall();
        self.ledger.trim(self.slowest(), wall);
    }

    /// Attaches those who waited, once the seek is settled.
    pub(super) fn finish_seek(&mut self, name: &SubscriptionName) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let is_settled = sub
            .seeking
            .as_ref()
            .is_some_and(|seeking| seeking.is_settled.load(std::sync::atomic::Ordering::Relaxed));
        if is_settled && let Some(seeking) = sub.seeking.take() {
            for (open, reply) in seeking.opens {
                self.open_consumer(open, reply);
            }
        }
    }
}
