//! Consumers: attached, detached, their permits and redelivery requests.

use std::sync::Arc;

use geminga_subscription::ConsumerKey;
use geminga_types::{Ordinal, Position};

use super::{
    super::{
        Reply,
        attach::{info_of, refusal},
        consumers::{OpenedConsumer, keys_of, refuse_too_many, twin_of},
    },
    SubscriptionName, Topic,
};
use crate::{Consumer, SubscribeError, SubscribeRequest, SubscriptionKind, consumer::OpenConsumer};

impl Topic {
    /// Attaches a consumer to a subscription that exists.
    pub(super) fn attach(
        &mut self,
        name: &SubscriptionName,
        open: OpenConsumer,
        reply: Reply<Result<Consumer, SubscribeError>>,
    ) {
        let attached = self.try_attach(name, open);
        if let Err(Ok(consumer)) = reply.send(attached) {
            self.close_consumer(consumer.key); // Nobody waits for it any more.
        }
    }

    fn try_attach(
        &mut self,
        name: &SubscriptionName,
        open: OpenConsumer,
    ) -> Result<Consumer, SubscribeError> {
        let request = open.request;
        if request.reads_compacted
            && !matches!(request.kind, SubscriptionKind::Exclusive | SubscriptionKind::Failover)
        {
            let text = "readCompacted only allowed on failover or exclusive subscriptions";
            return Err(SubscribeError::NotAllowed(text.to_owned()));
        }
        self.refuse_consumer(&request)?;
        if let Some(rate) = self.policies.subscribe_rate {
            self.admission.note(&request, rate, self.now());
        }
        if let Some(key) = twin_of(&request, &self.consumers) {
            self.detach(key); // A request repeated after a time-out: the later one counts.
        }
        let Some(mailbox) = self.mailbox.upgrade() else {
            return Err(self.closing().into());
        };
        let key = self.new_key();
        let Some(sub) = self.subscriptions.get_mut(name) else {
            return Err(self.closing().into());
        };
        if sub.is_durable != request.is_durable {
            let (is, wants) = (durability(sub.is_durable), durability(request.is_durable));
            return Err(SubscribeError::NotAllowed(format!(
                "Subscription {name} is {is}, the consumer asks for a {wants} one"
            )));
        }
        sub.machine
            .attach(ConsumerKey(key), info_of(&request))
            .map_err(|error| refusal(name, error))?;
        if let Some(epoch) = request.consumer_epoch {
            sub.machine.set_epoch(ConsumerKey(key), epoch);
        }
        sub.note_attached();
        sub.kind = Some(request.kind);
        let env = &self.deps.ledger.env;
        let open = OpenConsumer { request, outbox: open.outbox };
        let opened = OpenedConsumer::new(key, open, Arc::clone(name), env);
        self.consumers.insert(key, Box::new(opened));
        self.settle_view(name);
        self.ready.insert(Arc::clone(name));
        Ok(Consumer { topic: self.name.clone(), key, mailbox })
    }

    /// Refuses one that may not come, or not now.
    pub(super) fn refuse_consumer(&self, request: &SubscribeRequest) -> Result<(), SubscribeError> {
        let (topic, policies) = (&self.name, &self.policies);
        self.admission.check(topic, request, policies, self.now())?;
        refuse_too_many(topic, request, &self.consumers, policies)
    }

    pub(super) fn flow(&mut self, key: u64, permits: u32) {
        let now = self.now();
        if let Some(consumer) = self.consumers.get_mut(&key)
            && let Some(sub) = self.subscriptions.get_mut(&consumer.subscription)
        {
            consumer.doings.note_flow(now);
            sub.doings.note_flow(now);
            sub.machine.flow(ConsumerKey(key), permits);
            self.ready.insert(Arc::clone(&consumer.subscription));
        }
    }

    pub(super) fn redeliver(
        &mut self,
        key: u64,
        positions: Option<&[Position]>,
        epoch: Option<u64>,
    ) {
        let ordinals: Option<Vec<Ordinal>> = positions.map(|positions| {
            positions.iter().filter_map(|&position| self.exact_ordinal(position)).collect()
        });
        if let Some(consumer) = self.consumers.get(&key)
            && let Some(sub) = self.subscriptions.get_mut(&consumer.subscription)
        {
            let again = sub.machine.redeliver(ConsumerKey(key), ordinals.as_deref(), epoch);
            if let Some(feedback) = &mut sub.feedback {
                feedback.note_again(self.deps.ledger.env.clock.now(), again.entries);
            }
            let name = Arc::clone(&consumer.subscription);
            if !again.raised.is_empty() {
                self.note_counts(&name, &again.raised);
            }
            self.ready.insert(name);
        }
    }

    /// The client closed it, or is gone. What it had goes to others; a reader's cursor goes with it.
    pub(super) fn close_consumer(&mut self, key: u64) {
        let Some(name) = self.detach(key) else { return };
        let sub = self.subscriptions.get(&name);
        if sub.is_some_and(|sub| !sub.is_durable && !sub.has_consumers() && sub.seeking.is_none()) {
            self.subscriptions.remove(&name);
            self.ready.remove(&name);
        }
    }

    /// Takes it off its subscription and returns that subscription's name.
    pub(super) fn detach(&mut self, key: u64) -> Option<SubscriptionName> {
        let now = self.now();
        let consumer = self.consumers.remove(&key)?;
        self.unused_since = now;
        if let Some(sub) = self.subscriptions.get_mut(&consumer.subscription) {
            sub.machine.detach(ConsumerKey(key));
            sub.note_detached(now);
            self.ready.insert(Arc::clone(&consumer.subscription));
            self.settle_view(&consumer.subscription);
        }
        Some(consumer.subscription)
    }

    /// Closes all consumers of a subscription from our side; they will reconnect.
    pub(super) fn close_consumers_of(&mut self, name: &str) {
        for key in keys_of(name, &self.consumers) {
            if let Some(consumer) = self.consumers.get(&key) {
                consumer.tell_closed();
            }
            self.detach(key);
        }
    }
}

const fn durability(is_durable: bool) -> &'static str {
    if is_durable { "durable" } else { "non-durable" }
}
