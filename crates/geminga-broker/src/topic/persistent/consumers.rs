//! Consumers: attached, detached, their permits and redelivery requests.

use std::sync::Arc;

use geminga_subscription::ConsumerKey;
use geminga_types::{Ordinal, Position};

use super::{
    super::{
        Reply,
        attach::{info_of, refusal},
        rates::Flow,
    },
    SubscriptionName, Topic,
};
use crate::{
    Consumer, Outbox, Outgoing, SubscribeError, SubscribeRequest, SubscriptionKind,
    consumer::OpenConsumer,
};

/// A consumer that is attached.
pub(super) struct OpenedConsumer {
    key: u64,
    pub(super) subscription: SubscriptionName,
    pub(super) request: SubscribeRequest,
    pub(super) outbox: Outbox,
    pub(super) was_told_end: bool,
    pub(super) flow_out: Flow,
    pub(super) flow_redelivered: Flow,
    pub(super) connected_since: u64,
}

impl OpenedConsumer {
    pub(super) fn subscription_name(&self) -> SubscriptionName {
        Arc::clone(&self.subscription)
    }

    pub(super) const fn key(&self) -> ConsumerKey {
        ConsumerKey(self.key)
    }

    /// Pulsar tells Failover consumers, and only them.
    pub(super) fn wants_active_changes(&self) -> bool {
        self.request.kind == SubscriptionKind::Failover
    }

    pub(super) const fn note_delivered(&mut self, messages: u32, bytes: u64, redelivery: u32) {
        self.flow_out.add(messages as u64, bytes);
        if 0 < redelivery {
            self.flow_redelivered.add(messages as u64, bytes);
        }
    }
}

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
        let twin = self.consumers.iter().find(|(_, other)| {
            other.request.connection_id == request.connection_id
                && other.request.consumer_id == request.consumer_id
        });
        if let Some((&key, _)) = twin {
            self.detach(key); // A request repeated after a time-out: the later one counts.
        }
        let Some(mailbox) = self.mailbox.upgrade() else {
            return Err(self.closing().into());
        };
        let key = self.new_key();
        let now = self.now();
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
        let opened = OpenedConsumer {
            key,
            subscription: Arc::clone(name),
            request,
            outbox: open.outbox,
            was_told_end: false,
            flow_out: Flow::new(now),
            flow_redelivered: Flow::new(now),
            connected_since: self.deps.ledger.env.clock.wall().0,
        };
        self.consumers.insert(key, opened);
        self.ready.insert(Arc::clone(name));
        Ok(Consumer { topic: self.name.clone(), key, mailbox })
    }

    pub(super) fn flow(&mut self, key: u64, permits: u32) {
        if let Some(consumer) = self.consumers.get(&key)
            && let Some(sub) = self.subscriptions.get_mut(&consumer.subscription)
        {
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
            sub.machine.redeliver(ConsumerKey(key), ordinals.as_deref(), epoch);
            self.ready.insert(Arc::clone(&consumer.subscription));
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
        let consumer = self.consumers.remove(&key)?;
        if let Some(sub) = self.subscriptions.get_mut(&consumer.subscription) {
            sub.machine.detach(ConsumerKey(key));
            sub.note_detached();
            self.ready.insert(Arc::clone(&consumer.subscription));
        }
        Some(consumer.subscription)
    }

    /// Closes all consumers of a subscription from our side; they will reconnect.
    pub(super) fn close_consumers_of(&mut self, name: &str) {
        let of_it = self.consumers.iter().filter(|(_, consumer)| &*consumer.subscription == name);
        let keys: Vec<u64> = of_it.map(|(&key, _)| key).collect();
        for key in keys {
            if let Some(consumer) = self.consumers.get(&key) {
                let key = consumer.request.client_key();
                consumer.outbox.push(Outgoing::ConsumerClosed { consumer: key });
            }
            self.detach(key);
        }
    }
}

const fn durability(is_durable: bool) -> &'static str {
    if is_durable { "durable" } else { "non-durable" }
}
