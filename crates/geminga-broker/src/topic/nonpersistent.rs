//! A non-persistent topic: hands each message to who is connected and has permits, or drops it.
//!
//! The same mailbox as a persistent topic. Nothing is stored: acks are ignored, a seek or a last
//! message id makes no sense. A subscription stays when its consumers leave, as in Pulsar, and counts
//! what it drops, unless it is a reader's; it goes with the topic.

mod group;
mod rest;
mod row;
mod stats;
mod subscriptions;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use geminga_env::Instant;
use geminga_subscription::{
    ConsumerKey,
    nonpersistent::{Dispatch, Message},
};
use geminga_types::{Position, TopicName};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

use super::{
    Event, Reply, TopicHandle,
    activity::Doings,
    admission::Admission,
    consumers::{OpenedConsumer, closing},
    inbox::Inbox,
    mailbox::{Receiver, WeakSender, mailbox},
    persistent::TopicDeps,
    producers::{Opening, Producers},
    rates::Flow,
};
use crate::{
    AdminError, LastMessage, OutMessage, Outgoing, ProduceError, Producer, Publish, Receipt,
    RequestError, SubscriptionKind, ownership::Grant, policies::TopicPolicies,
    producer::OpenProducer, resource_groups::Member,
};

const BATCH: usize = 64;
/// What every receipt of a non-persistent topic names, as in Pulsar.
const NOWHERE: Position = Position::new(0, 0);

struct Topic {
    name: TopicName,
    deps: TopicDeps,
    policies: Arc<TopicPolicies>,
    inbox: Inbox<Infallible>,
    mailbox: WeakSender,
    producers: Producers,
    consumers: BTreeMap<u64, Box<OpenedConsumer>>,
    admission: Admission,
    subscriptions: BTreeMap<Arc<str>, Sub>,
    next_key: u64,
    /// When the last producer or consumer left.
    unused_since: Instant,
    is_ended: bool,
    unloaded: Vec<Reply<()>>,
    flow_in: Flow,
    flow_out: Flow,
    group: Option<Member>,
}

struct Sub {
    dispatch: Dispatch,
    kind: SubscriptionKind,
    /// Whether it stays without consumers.
    is_durable: bool,
    /// When the last consumer left.
    unused_since: Instant,
    flow: Flow,
    dropped: Flow,
    doings: Doings,
}

/// Starts the task.
pub(super) fn spawn(
    name: TopicName,
    policies: Arc<TopicPolicies>,
    grant: Grant,
    deps: TopicDeps,
    shutdown: CancellationToken,
) -> TopicHandle {
    let (mailbox, inbox) = mailbox();
    let now = deps.ledger.env.clock.now();
    let tasks = deps.tasks.clone();
    let mut topic = Topic {
        name: name.clone(),
        deps,
        policies,
        inbox: Inbox::default(),
        mailbox: mailbox.downgrade(),
        producers: Producers::default(),
        consumers: BTreeMap::new(),
        admission: Admission::default(),
        subscriptions: BTreeMap::new(),
        next_key: 0,
        unused_since: now,
        is_ended: false,
        unloaded: Vec::new(),
        flow_in: Flow::new(now),
        flow_out: Flow::new(now),
        group: None,
    };
    topic.set_group();
    let span = info_span!("topic", topic = %name);
    tasks.spawn(run(topic, grant, inbox, shutdown).instrument(span));
    TopicHandle { mailbox }
}

async fn run(mut topic: Topic, grant: Grant, mut mailbox: Receiver, shutdown: CancellationToken) {
    let inbox = topic.inbox.clone();
    let mut events = Vec::new();
    while !topic.is_ended {
        let expiry = topic.next_expiry();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => topic.is_ended = true,
            () = grant.revoked() => topic.is_ended = true,
            () = inbox.arrived() => topic.on_writable(),
            () = until(expiry) => topic.delete_unused(),
            count = mailbox.recv_many(&mut events, BATCH) => {
                topic.is_ended = count == 0;
                events.drain(..).for_each(|event| topic.on_event(event));
            }
        }
    }
    mailbox.close();
    drop(topic);
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Topic {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::OpenProducer { open, reply } => {
                self.open_producer(*open, reply);
            }
            Event::Publish { producer, batch } => self.publish(producer, batch),
            // It lives as long as somebody knows it.
            Event::Sleep { reply } => drop(reply),
            Event::CloseProducer { producer, reply } => {
                self.producers.remove(producer);
                self.settle_access();
                self.unused_since = self.now();
                _ = reply.send(());
            }
            Event::OpenConsumer { open, reply } => {
                _ = reply.send(self.open_consumer(*open));
            }
            Event::Flow { consumer, permits } => {
                self.flow(consumer, permits);
            }
            Event::Ack { consumer, request } => self.ack(consumer, request.request_id),
            Event::Redeliver { .. } => {} // Nothing is kept that could be delivered again.
            Event::Unsubscribe { consumer, force, reply } => {
                _ = reply.send(self.unsubscribe(consumer, force));
            }
            Event::Seek { reply, .. } => _ = reply.send(Err(self.not_stored("seek"))),
            Event::LastMessage { reply, .. } => {
                _ = reply.send(Err(self.not_stored("last message id")));
            }
            Event::ConsumerStats { consumer, reply } => {
                let stats = self.consumer_entry(consumer).map(|entry| entry.stats);
                _ = reply.send(stats.ok_or(RequestError::Closed));
            }
            Event::CloseConsumer { consumer, reply } => {
                self.detach(consumer);
                _ = reply.send(());
            }
            // Who asked may have given up since: then it would be work for nothing.
            Event::Stats { reply } if reply.is_closed() => {}
            Event::Stats { reply } => _ = reply.send(self.stats()),
            Event::Row { reply, .. } if reply.is_closed() => {}
            Event::Row { detail, reply } => _ = reply.send(self.row(detail)),
            Event::IsIdle { reply } => {
                let takes_any = self.consumers.values().all(|it| it.request.takes_any_schema);
                _ = reply.send(self.producers.len() == 0 && takes_any);
            }
            Event::Unload { reply } => {
                self.unloaded.push(reply);
                self.is_ended = true;
            }
            Event::Policies(policies) => {
                self.producers.set_policies(&policies);
                if policies.subscribe_rate.is_none() {
                    self.admission.forget();
                }
                self.policies = policies;
                self.set_group();
            }
            Event::DeleteSubscription { name, force, reply } => {
                _ = reply.send(self.delete_subscription(&name, force));
            }
            Event::PrepareDelete { force, reply } => self.prepare_delete(force, reply),
            Event::DeleteInactive { reply } => self.delete_inactive(reply),
            event => self.refuse(event),
        }
    }

    /// Administrative requests that only make sense where something is stored.
    fn refuse(&self, event: Event) {
        let error = || {
            AdminError::NotAllowed(format!(
                "Topic {} is non-persistent: nothing is stored",
                self.name
            ))
        };
        match event {
            Event::CreateSubscription { reply, .. }
            | Event::Compact { reply }
            | Event::ResetCursor { reply, .. }
            | Event::Expire { reply, .. }
            | Event::SetSubscriptionProperties { reply, .. }
            | Event::Trim { reply }
            | Event::Skip { reply, .. } => _ = reply.send(Err(error())),
            Event::CompactionStatus { reply } => _ = reply.send(Err(error())),
            Event::CountBacklog { reply, .. } => _ = reply.send(Err(error())),
            Event::BytesFrom { reply, .. } => _ = reply.send(Err(error())),
            Event::ReadEntry { reply, .. } => _ = reply.send(Err(error())),
            Event::PositionOfTime { reply, .. } => _ = reply.send(Err(error())),
            Event::Terminate { reply } | Event::PositionOfIndex { reply, .. } => {
                _ = reply.send(Err(error()));
            }
            Event::Properties { reply } => _ = reply.send(Err(error())),
            Event::ChangeProperties { reply, .. } | Event::Truncate { reply } => {
                _ = reply.send(Err(error()));
            }
            Event::Explain { reply, .. } => _ = reply.send(Err(error())),
            Event::LastMessageId { reply } => {
                _ = reply.send(Err::<LastMessage, _>(error()));
            }
            _ => {}
        }
    }

    fn not_stored(&self, what: &str) -> RequestError {
        RequestError::NotAllowed(format!("Topic {} is non-persistent: no {what}", self.name))
    }

    fn now(&self) -> Instant {
        self.deps.ledger.env.clock.now()
    }

    fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    fn open_producer(&mut self, open: OpenProducer, reply: Reply<Result<Producer, ProduceError>>) {
        let Some(mailbox) = self.mailbox.upgrade() else {
            _ = reply.send(Err(closing(&self.name).into()));
            return;
        };
        let key = self.new_key();
        let with = Opening {
            topic: &self.name,
            policies: &self.policies,
            deps: &self.deps,
            key,
            last_sequence_id: -1,
            mailbox,
        };
        self.producers.open(open, with, reply);
        self.settle_access();
    }

    /// Nothing is stored here, nor is who has exclusive access.
    fn settle_access(&mut self) {
        loop {
            while self.producers.claimant().is_some() {
                self.producers.grant(-1);
            }
            match self.producers.take_epoch() {
                Some(epoch) => self.producers.on_epoch(Ok(epoch)),
                None => break,
            }
        }
    }

    fn publish(&mut self, key: u64, batch: Vec<Publish>) {
        let now = self.now();
        let mut share = self.share(now);
        let Some(producer) = self.producers.get_mut(key) else { return };
        producer.note_dropped(now);
        let limits = producer.message_limits(&self.policies).without_delay();
        let mut receipts = Vec::with_capacity(batch.len());
        let mut out: BTreeMap<u64, Vec<OutMessage>> = BTreeMap::new();
        for publish in batch {
            if let Some(error) = limits.refusal(&self.name, &publish) {
                producer.receive(std::mem::take(&mut receipts));
                producer.refuse_message(&publish, error);
                continue;
            }
            let size = publish.entry.len() as u64;
            producer.flow.add(now, u64::from(publish.messages), size);
            self.flow_in.add(now, u64::from(publish.messages), size);
            for sub in self.subscriptions.values_mut() {
                if !share.has_room() {
                    sub.dispatch.note_dropped(publish.messages);
                    continue;
                }
                let (messages, key_hash) = (publish.messages, publish.key_hash);
                let payload = publish.entry.clone();
                let message = Message { messages, key_hash, payload };
                if let Some(delivery) = sub.dispatch.publish(message) {
                    sub.flow.add(now, u64::from(delivery.messages), size);
                    share.take(delivery.messages, size);
                    out.entry(delivery.consumer.0).or_default().push(OutMessage {
                        position: NOWHERE,
                        redelivery_count: 0,
                        ack_set: None,
                        front: bytes::Bytes::new(),
                        entry: delivery.payload,
                    });
                }
            }
            receipts.push(Receipt {
                sequence_id: publish.sequence_id,
                highest_sequence_id: publish.highest_sequence_id,
                position: NOWHERE,
            });
        }
        producer.receive(receipts);
        self.note_share(now, &share);
        for sub in self.subscriptions.values_mut() {
            sub.dropped.note_messages(now, sub.dispatch.dropped_messages());
        }
        for (key, messages) in out {
            self.send(now, key, messages);
        }
    }

    fn send(&mut self, now: Instant, key: u64, messages: Vec<OutMessage>) {
        let Some(consumer) = self.consumers.get_mut(&key) else { return };
        let bytes = messages.iter().map(|message| message.entry.len() as u64).sum();
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        consumer.note_delivered(now, count, bytes, 0);
        consumer.doings.note_delivered(now);
        if let Some(sub) = self.subscriptions.get_mut(&consumer.subscription) {
            sub.doings.note_delivered(now);
        }
        self.flow_out.add(now, messages.len() as u64, bytes);
        let item =
            Outgoing::Messages { consumer: consumer.client_key(), consumer_epoch: None, messages };
        consumer.outbox.push(item);
        if !consumer.outbox.is_writable() {
            let inbox = self.inbox.clone();
            let waker = Box::new(move || inbox.put_writable(key));
            consumer.outbox.wake_when_writable(waker);
            if let Some(sub) = self.subscriptions.get_mut(&consumer.subscription) {
                sub.dispatch.set_writable(ConsumerKey(key), false);
            }
        }
    }

    fn on_writable(&mut self) {
        for key in self.inbox.take().writable {
            if let Some((key, sub)) = self.sub_of(key) {
                sub.dispatch.set_writable(key, true);
            }
        }
    }

    fn ack(&self, key: u64, request_id: Option<u64>) {
        if let (Some(consumer), Some(request_id)) = (self.consumers.get(&key), request_id) {
            let consumer_id = consumer.request.consumer_id;
            let result = Ok(());
            consumer.outbox.push(Outgoing::AckDone { consumer_id, request_id, result });
        }
    }

    fn flow(&mut self, key: u64, permits: u32) {
        let now = self.now();
        if let Some(consumer) = self.consumers.get_mut(&key) {
            consumer.doings.note_flow(now);
        }
        if let Some((key, sub)) = self.sub_of(key) {
            sub.doings.note_flow(now);
            sub.dispatch.flow(key, permits);
        }
    }

    fn sub_of(&mut self, key: u64) -> Option<(ConsumerKey, &mut Sub)> {
        let consumer = self.consumers.get(&key)?;
        let sub = self.subscriptions.get_mut(&consumer.subscription)?;
        Some((ConsumerKey(key), sub))
    }
}

impl Drop for Topic {
    /// However the task ends, a panic included, nobody is left attached to nothing.
    fn drop(&mut self) {
        self.producers.close_all(closing(&self.name));
        self.consumers.values().for_each(|consumer| consumer.tell_closed());
        for reply in std::mem::take(&mut self.unloaded) {
            _ = reply.send(());
        }
    }
}
