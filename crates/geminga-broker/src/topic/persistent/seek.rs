//! Seek, in the order that clients rely on: close the consumers, move the cursor durably, answer.
//!
//! A SUBSCRIBE that comes in between is told to try again, as Pulsar does: clients that seek by opening
//! another consumer must not find the one they closed attached again before it.

use std::sync::Arc;

use geminga_managed_ledger::CursorDelta;
use geminga_subscription::Ack;
use geminga_types::Ordinal;

use super::{
    super::Reply,
    SubscriptionName, Topic,
    ack::AckWaiter,
    background::Answer,
    sub::InFlight,
    subscriptions::{is_reserved, reserved},
};
use crate::{AckError, AdminError, RequestError, SeekTo};

/// A seek in progress.
pub(super) struct Seeking {
    /// Tells answers for an earlier seek apart.
    attempt: u64,
    /// Whether the cursor has moved, or will not.
    is_settled: Arc<std::sync::atomic::AtomicBool>,
    seeker: Option<Seeker>,
}

/// Who asked for a seek.
enum Seeker {
    Client(Reply<Result<(), RequestError>>),
    Admin(Reply<Result<(), AdminError>>),
}

impl Seeker {
    fn answer(self, result: Result<(), String>) {
        match self {
            Self::Client(reply) => _ = reply.send(result.map_err(RequestError::Unavailable)),
            Self::Admin(reply) => _ = reply.send(result.map_err(AdminError::Unavailable)),
        }
    }
}

/// Answers a seek once it is durable.
pub(super) struct SeekReply {
    seeker: Seeker,
    is_settled: Arc<std::sync::atomic::AtomicBool>,
}

impl SeekReply {
    pub(super) fn answer(self, result: Result<(), AckError>) {
        self.is_settled.store(true, std::sync::atomic::Ordering::Relaxed);
        self.seeker.answer(result.map_err(|error| error.to_string()));
    }
}

impl Seeking {
    /// The subscription goes before the cursor has moved.
    pub(super) fn fail(self, reason: &str) {
        if let Some(seeker) = self.seeker {
            seeker.answer(Err(reason.to_owned()));
        }
    }
}

impl Topic {
    pub(super) fn seek(&mut self, key: u64, to: SeekTo, reply: Reply<Result<(), RequestError>>) {
        let Some(consumer) = self.consumers.get(&key) else {
            _ = reply.send(Err(RequestError::Closed));
            return;
        };
        let name = Arc::clone(&consumer.subscription);
        self.begin_seek(name, to, Seeker::Client(reply));
    }

    /// A seek without a consumer.
    pub(super) fn reset_cursor(
        &mut self,
        name: &str,
        to: SeekTo,
        reply: Reply<Result<(), AdminError>>,
    ) {
        let refusal = match self.subscriptions.get_key_value(name) {
            _ if !self.is_serving() => AdminError::Unavailable(self.closing().to_string()),
            None => self.no_subscription(name),
            Some(_) if is_reserved(name) => AdminError::NotAllowed(reserved(name)),
            Some((_, sub)) if sub.seeking.is_some() => {
                AdminError::Busy(format!("Failed for Subscription Busy: {name} is being reset"))
            }
            Some((name, _)) => {
                self.begin_seek(Arc::clone(name), to, Seeker::Admin(reply));
                return;
            }
        };
        _ = reply.send(Err(refusal));
    }

    fn begin_seek(&mut self, name: SubscriptionName, to: SeekTo, seeker: Seeker) {
        // First, so that no close of a reader's last consumer takes the cursor along.
        let attempt = self.new_key();
        let Some(sub) = self.subscriptions.get_mut(&name) else { return };
        sub.seeking = Some(Seeking { attempt, is_settled: Arc::default(), seeker: Some(seeker) });
        let reads_compacted = sub.reads_compacted;
        self.close_consumers_of(&name);
        let first = match reads_compacted {
            true => self.ledger.chain_ref().first_with_gone(),
            false => self.ledger.first(),
        };
        match to {
            SeekTo::Position(position, ack_set) => {
                let target = self.ledger.ordinal_of(position).max(first);
                let ack_set = ack_set.filter(|_| self.exact_ordinal(position).is_some());
                self.move_cursor(&name, target, ack_set);
            }
            SeekTo::PublishTime(time) => {
                self.find_by_time(time, reads_compacted, move |result| Answer::SeekFound {
                    subscription: name,
                    attempt,
                    result,
                });
            }
        }
    }

    pub(super) fn on_seek_found(
        &mut self,
        name: &SubscriptionName,
        attempt: u64,
        result: Result<Ordinal, String>,
    ) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let is_waited_for = |seeking: &mut Seeking| seeking.attempt == attempt;
        match result {
            Ok(target) if sub.seeking.as_mut().is_some_and(is_waited_for) => {
                self.move_cursor(name, target, None);
            }
            Ok(_) => {}
            Err(reason) => {
                if let Some(seeking) = sub.seeking.take_if(is_waited_for) {
                    seeking.fail(&reason);
                }
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
        let Some(seeker) = seeking.seeker.take() else { return };
        let waiter = SeekReply { seeker, is_settled: Arc::clone(&seeking.is_settled) };
        sub.machine.reset(target);
        let mut partial = Vec::new();
        if let (Some(ack_set), Some(at)) = (ack_set, target_position) {
            partial.push((at, ack_set.to_vec()));
            let ack = Ack { ordinal: target, ack_set: Some(ack_set), batch_size: None };
            _ = sub.machine.ack_individual(None, &[ack]);
        }
        let is_durable = sub.is_durable;
        self.pin_view(name);
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        if !is_durable {
            waiter.answer(Ok(()));
            self.finish_seek(name);
            return;
        }
        // What was acked before no longer counts; whoever waits for it is answered with this one.
        let records = std::mem::take(&mut sub.delta).records;
        let mut waiters = std::mem::take(&mut sub.delta_waiters);
        waiters.push(AckWaiter::Seek(waiter));
        let dead_letters = sub.machine.take_settling();
        sub.flush_at = None;
        self.unflushed.remove(name);
        let delta = CursorDelta {
            mark_delete: Some(position),
            partial,
            records,
            reset: true,
            ..CursorDelta::default()
        };
        let seq = self.ledger.append_cursor(name, delta);
        // Trimming must respect the target at once, whatever else becomes durable before it.
        sub.durable_mark_delete = sub.durable_mark_delete.min(target);
        for write in &mut sub.in_flight {
            write.mark_delete = write.mark_delete.min(target);
        }
        sub.in_flight.push_back(InFlight { seq, waiters, mark_delete: target, dead_letters });
        let wall = self.deps.ledger.env.clock.wall();
        self.ledger.trim(self.slowest(), wall);
    }

    /// The seek is over, once it is settled.
    pub(super) fn finish_seek(&mut self, name: &str) {
        if let Some(sub) = self.subscriptions.get_mut(name) {
            let is_settled = |seeking: &mut Seeking| {
                seeking.is_settled.load(std::sync::atomic::Ordering::Relaxed)
            };
            sub.seeking.take_if(is_settled);
        }
    }
}
