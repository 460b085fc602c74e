//! The subscriptions of a non-persistent topic, and who is attached to them.

use std::sync::Arc;

use geminga_subscription::{ConsumerKey, nonpersistent::Dispatch};
use geminga_types::TopicName;

use super::{
    super::{
        activity::Doings,
        attach::{failover_slot, info_of, refusal},
        consumers::{OpenedConsumer, closing, keys_of, refuse_too_many, twin_of},
        rates::Flow,
    },
    Sub, Topic,
};
use crate::{AdminError, Consumer, Outgoing, RequestError, SubscribeError, consumer::OpenConsumer};

impl Topic {
    pub(super) fn open_consumer(&mut self, open: OpenConsumer) -> Result<Consumer, SubscribeError> {
        let request = &open.request;
        if request.reads_compacted {
            let text = "readCompacted only valid on persistent topics";
            return Err(SubscribeError::NotAllowed(text.to_owned()));
        }
        let now = self.deps.ledger.env.clock.now();
        self.admission.check(&self.name, request, &self.policies, now)?;
        refuse_too_many(&self.name, request, &self.consumers, &self.policies)?;
        if let Some(rate) = self.policies.subscribe_rate {
            self.admission.note(request, rate, now);
        }
        if let Some(key) = twin_of(request, &self.consumers) {
            self.detach(key);
        }
        let mailbox = self.mailbox.upgrade().ok_or_else(|| closing(&self.name))?;
        let key = self.new_key();
        let name: Arc<str> = Arc::from(open.request.subscription.as_str());
        let options = options_of(&self.name, &self.deps.options);
        let sub = self.subscriptions.entry(Arc::clone(&name)).or_insert_with(|| Sub {
            dispatch: Dispatch::new(&options),
            kind: open.request.kind,
            is_durable: false,
            unused_since: now,
            flow: Flow::new(now),
            dropped: Flow::new(now),
            doings: Doings::new(&*self.deps.ledger.env.clock),
        });
        if let Err(error) = sub.dispatch.attach(ConsumerKey(key), info_of(&open.request)) {
            self.drop_unwanted(&name);
            return Err(refusal(&name, error));
        }
        sub.is_durable |= open.request.is_durable;
        sub.kind = open.request.kind;
        let env = &self.deps.ledger.env;
        let opened = OpenedConsumer::new(key, open, Arc::clone(&name), env);
        self.consumers.insert(key, Box::new(opened));
        self.announce(&name);
        Ok(Consumer { topic: self.name.clone(), key, mailbox })
    }

    /// Tells Failover consumers which of them is active.
    fn announce(&mut self, name: &str) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        while let Some((key, is_active)) = sub.dispatch.poll_active_changed() {
            if let Some(consumer) = self.consumers.get(&key.0) {
                let key = consumer.client_key();
                consumer.outbox.push(Outgoing::ActiveConsumer { consumer: key, is_active });
            }
        }
    }

    pub(super) fn unsubscribe(&mut self, key: u64, force: bool) -> Result<(), RequestError> {
        let consumer = self.consumers.get(&key).ok_or(RequestError::Closed)?;
        let name = Arc::clone(&consumer.subscription);
        let keys = keys_of(&name, &self.consumers);
        if 1 < keys.len() && !force {
            return Err(RequestError::Busy(name.to_string()));
        }
        for other in keys {
            if other != key
                && let Some(consumer) = self.consumers.get(&other)
            {
                consumer.tell_closed();
            }
            self.detach(other);
        }
        self.subscriptions.remove(&name);
        Ok(())
    }

    pub(super) fn detach(&mut self, key: u64) {
        let Some(consumer) = self.consumers.remove(&key) else { return };
        let name = consumer.subscription;
        self.unused_since = self.now();
        if let Some(sub) = self.subscriptions.get_mut(&name) {
            sub.dispatch.detach(ConsumerKey(key));
            sub.unused_since = self.unused_since;
        }
        self.drop_unwanted(&name);
        self.announce(&name);
    }

    /// A reader's goes with its last consumer.
    fn drop_unwanted(&mut self, name: &str) {
        let is_unwanted = |sub: &Sub| sub.dispatch.is_empty() && !sub.is_durable;
        if self.subscriptions.get(name).is_some_and(is_unwanted) {
            self.subscriptions.remove(name);
        }
    }

    pub(super) fn delete_subscription(
        &mut self,
        name: &str,
        force: bool,
    ) -> Result<(), AdminError> {
        if !self.subscriptions.contains_key(name) {
            let text = format!("Subscription {name} not found on topic {}", self.name);
            return Err(AdminError::NotFound(text));
        }
        let keys = keys_of(name, &self.consumers);
        if !keys.is_empty() && !force {
            let text = format!("Subscription {name} has {} consumers connected", keys.len());
            return Err(AdminError::Busy(text));
        }
        for key in keys {
            if let Some(consumer) = self.consumers.get(&key) {
                consumer.tell_closed();
            }
            self.detach(key);
        }
        self.subscriptions.remove(name);
        Ok(())
    }
}

/// What decides who is active, and who has which key.
fn options_of(topic: &TopicName, options: &crate::Options) -> geminga_subscription::Options {
    geminga_subscription::Options {
        partition: topic.partition(),
        failover_slot: failover_slot(topic, options),
        auto_split: options.auto_split,
        ..geminga_subscription::Options::default()
    }
}
