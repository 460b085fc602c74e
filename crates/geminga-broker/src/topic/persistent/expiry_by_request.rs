//! Lets messages of one subscription expire because an administrator says so, up to a time or a position.
//!
//! Unlike what time to live does, which goes entry by entry, the time is looked for by halves, as in
//! Pulsar: what lies before the last entry that is too old goes with it.

use std::sync::Arc;

use geminga_subscription::Ack;
use geminga_types::{Ordinal, Position};

use super::{
    super::{ExpireTo, Reply},
    SubscriptionName, Topic,
    ack::AckWaiter,
    background::Answer,
    subscriptions::{is_reserved, reserved},
};
use crate::AdminError;

/// With fewer entries left, one that is being consumed is left alone unless some are past their time.
const BACKLOG_MIN: u64 = 1_000;

/// Where the entries end that are past their time.
#[derive(Debug)]
pub(super) struct ExpiryFound {
    subscription: SubscriptionName,
    incarnation: u64,
    result: Result<Ordinal, String>,
    reply: Reply<Result<(), AdminError>>,
}

impl Topic {
    pub(super) fn expire_up_to(
        &mut self,
        name: &str,
        to: ExpireTo,
        reply: Reply<Result<(), AdminError>>,
    ) {
        let refusal = match self.subscriptions.get_key_value(name) {
            _ if !self.is_serving() => AdminError::Unavailable(self.closing().to_string()),
            None => self.no_subscription(name),
            Some(_) if is_reserved(name) => AdminError::NotAllowed(reserved(name)),
            Some((_, sub)) if sub.seeking.is_some() => self.not_expiring(name, "it is being reset"),
            Some((name, sub)) => match to {
                ExpireTo::Time(_) if sub.machine.backlog() == 0 => {
                    self.not_expiring(name, "it has no backlog")
                }
                ExpireTo::Time(time) => {
                    let (subscription, incarnation) = (Arc::clone(name), sub.incarnation);
                    self.find_by_time(time, false, move |result| {
                        let found = ExpiryFound { subscription, incarnation, result, reply };
                        Answer::ExpiryFound(Box::new(found))
                    });
                    return;
                }
                ExpireTo::Position(at, _)
                    if self.ledger.last_position().unwrap_or(Position::EARLIEST) < at =>
                {
                    self.not_expiring(name, "the position lies behind the last message")
                }
                ExpireTo::Position(at, ack_set) => {
                    let name = Arc::clone(name);
                    match ack_set.filter(|_| self.exact_ordinal(at).is_some()) {
                        None => self.expire(&name, self.next_after(at), reply),
                        Some(ack_set) => {
                            let to = self.ledger.ordinal_of(at);
                            self.expire_part(&name, to, ack_set);
                            self.expire(&name, to, reply);
                        }
                    }
                    return;
                }
            },
        };
        _ = reply.send(Err(refusal));
    }

    pub(super) fn on_expiry_found(&mut self, found: ExpiryFound) {
        let ExpiryFound { subscription, incarnation, result, reply } = found;
        let Some(sub) = self.subscriptions.get(&subscription) else {
            _ = reply.send(Err(self.no_subscription(&subscription)));
            return;
        };
        let is_left_alone = |to| {
            let is_consumed = sub.has_consumers() && sub.machine.backlog() < BACKLOG_MIN;
            is_consumed && to <= sub.machine.mark_delete()
        };
        let refusal = match result {
            _ if sub.incarnation != incarnation => self.no_subscription(&subscription),
            _ if sub.seeking.is_some() => self.not_expiring(&subscription, "it is being reset"),
            Err(reason) => AdminError::Unavailable(reason),
            Ok(to) if is_left_alone(to) => {
                self.not_expiring(&subscription, "it has almost caught up")
            }
            Ok(to) => {
                self.expire(&subscription, to, reply);
                return;
            }
        };
        _ = reply.send(Err(refusal));
    }

    fn expire(
        &mut self,
        name: &SubscriptionName,
        to: Ordinal,
        reply: Reply<Result<(), AdminError>>,
    ) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let change = sub.machine.ack_before(to);
        sub.doings.note_expired(self.deps.ledger.env.clock.now(), change.entries());
        self.note_acks(name, &change, Some(AckWaiter::Admin(reply)));
        self.ready.insert(Arc::clone(name));
    }

    /// Acks a part of a batch.
    fn expire_part(&mut self, name: &SubscriptionName, at: Ordinal, ack_set: Box<[i64]>) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let ack = Ack { ordinal: at, ack_set: Some(ack_set), batch_size: None };
        let change = sub.machine.ack_individual(None, &[ack]);
        sub.doings.note_expired(self.deps.ledger.env.clock.now(), change.entries());
        self.note_acks(name, &change, None);
    }

    fn not_expiring(&self, name: &str, why: &str) -> AdminError {
        let topic = &self.name;
        AdminError::Conflict(format!(
            "Expire message not issued on topic {topic} for subscription {name}: {why}"
        ))
    }
}
