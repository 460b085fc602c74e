//! The consumers that are attached to a topic, whether it stores messages or not.

use std::{collections::BTreeMap, sync::Arc};

use geminga_env::{Clock, Env, Instant};
use geminga_subscription::ConsumerKey;
use geminga_types::TopicName;

use super::{activity::Doings, rates::Flow};
use crate::{
    AdminError, ClientKey, ConsumerEntry, ConsumerStats, Outbox, Outgoing, SubscribeError,
    SubscribeRequest, SubscriptionKind, TopicError, consumer::OpenConsumer,
    policies::TopicPolicies, topic_row::ConsumerRow,
};

/// A consumer that is attached.
pub(super) struct OpenedConsumer {
    key: u64,
    pub(super) subscription: Arc<str>,
    pub(super) request: SubscribeRequest,
    pub(super) outbox: Outbox,
    pub(super) was_told_end: bool,
    flow_out: Flow,
    flow_redelivered: Flow,
    pub(super) doings: Doings,
    connected_since: u64,
}

impl OpenedConsumer {
    pub(super) fn new(key: u64, open: OpenConsumer, subscription: Arc<str>, env: &Env) -> Self {
        let now = env.clock.now();
        Self {
            key,
            subscription,
            request: open.request,
            outbox: open.outbox,
            was_told_end: false,
            flow_out: Flow::new(now),
            flow_redelivered: Flow::new(now),
            doings: Doings::new(&*env.clock),
            connected_since: env.clock.wall().0,
        }
    }

    pub(super) const fn key(&self) -> ConsumerKey {
        ConsumerKey(self.key)
    }

    pub(super) const fn client_key(&self) -> ClientKey {
        self.request.client_key()
    }

    /// Pulsar tells Failover consumers, and only them.
    pub(super) fn wants_active_changes(&self) -> bool {
        self.request.kind == SubscriptionKind::Failover
    }

    pub(super) fn note_delivered(
        &mut self,
        now: Instant,
        messages: u32,
        bytes: u64,
        redelivery: u32,
    ) {
        self.flow_out.add(now, u64::from(messages), bytes);
        if 0 < redelivery {
            self.flow_redelivered.add(now, u64::from(messages), bytes);
        }
    }

    /// Tells the client that we have closed it.
    pub(super) fn tell_closed(&self) {
        self.outbox.push(Outgoing::ConsumerClosed { consumer: self.client_key() });
    }

    /// Its stats, but for what its subscription knows.
    pub(super) fn stats(&mut self, now: Instant) -> ConsumerStats {
        let (message_rate_out, byte_rate_out) = self.flow_out.rates(now);
        let (message_rate_redeliver, _) = self.flow_redelivered.rates(now);
        ConsumerStats {
            message_rate_out,
            byte_rate_out,
            message_rate_redeliver,
            consumer_name: self.request.consumer_name.clone(),
            address: self.request.address.clone(),
            connected_since: self.connected_since,
            kind: self.request.kind.as_str(),
            ..ConsumerStats::default()
        }
    }

    /// The same in few numbers.
    pub(super) fn row(&mut self, clock: &dyn Clock) -> ConsumerRow {
        let now = clock.now();
        let (message_rate_out, byte_rate_out) = self.flow_out.rates(now);
        let (message_rate_redeliver, _) = self.flow_redelivered.rates(now);
        ConsumerRow {
            name: self.request.consumer_name.clone(),
            consumer_id: self.request.consumer_id,
            available_permits: 0,
            unacked_messages: 0,
            is_blocked: false,
            message_rate_out,
            byte_rate_out,
            message_rate_redeliver,
            message_ack_rate: self.doings.read(clock).message_ack_rate,
        }
    }

    pub(super) fn entry(&mut self, stats: ConsumerStats, clock: &dyn Clock) -> ConsumerEntry {
        ConsumerEntry {
            stats,
            activity: self.doings.read(clock),
            messages_out: self.flow_out.messages,
            bytes_out: self.flow_out.bytes,
            client_version: self.request.client_version.clone(),
            metadata: self.request.metadata.clone(),
        }
    }
}

/// The consumer that an earlier, equal request has attached: the client did not see its answer.
pub(super) fn twin_of(
    request: &SubscribeRequest,
    consumers: &BTreeMap<u64, Box<OpenedConsumer>>,
) -> Option<u64> {
    let is_twin = |other: &SubscribeRequest| {
        other.connection_id == request.connection_id && other.consumer_id == request.consumer_id
    };
    consumers.iter().find(|(_, other)| is_twin(&other.request)).map(|(&key, _)| key)
}

/// Keys of the consumers of one subscription.
pub(super) fn keys_of(name: &str, consumers: &BTreeMap<u64, Box<OpenedConsumer>>) -> Vec<u64> {
    let of_it = consumers.iter().filter(|(_, consumer)| &*consumer.subscription == name);
    of_it.map(|(&key, _)| key).collect()
}

/// Refuses one more consumer if its topic, or its subscription, has as many as there may be. One that takes
/// its own place is not one more.
pub(super) fn refuse_too_many(
    topic: &TopicName,
    request: &SubscribeRequest,
    consumers: &BTreeMap<u64, Box<OpenedConsumer>>,
    policies: &TopicPolicies,
) -> Result<(), SubscribeError> {
    let (of_topic, of_one) = (policies.consumers_max, policies.consumers_per_subscription_max);
    if of_topic == 0 && of_one == 0 {
        return Ok(());
    }
    let twin = twin_of(request, consumers);
    let others = consumers.iter().filter(|&(&key, _)| Some(key) != twin);
    let (mut in_all, mut of_subscription) = (0_u64, 0_u64);
    for (_, other) in others {
        in_all += 1;
        of_subscription += u64::from(*other.subscription == *request.subscription);
    }
    let refused = |what: String, limit| {
        Err(SubscribeError::Busy(format!("{what} reached max consumers limit: {limit}")))
    };
    if of_topic != 0 && of_topic <= in_all {
        return refused(format!("Topic {topic}"), of_topic);
    }
    if of_one != 0 && of_one <= of_subscription {
        return refused(format!("Subscription {} of topic {topic}", request.subscription), of_one);
    }
    Ok(())
}

/// What is answered while a topic closes.
pub(super) fn closing(topic: &TopicName) -> TopicError {
    let reason = "it is being closed; look it up again".to_owned();
    TopicError::Unavailable { topic: topic.clone(), reason }
}

/// Why a topic with so many producers and consumers is not deleted.
pub(super) fn refuse_in_use(
    topic: &TopicName,
    producers: usize,
    consumers: usize,
) -> Result<(), AdminError> {
    if producers + consumers == 0 {
        return Ok(());
    }
    Err(AdminError::Busy(format!(
        "Topic {topic} has {producers} connected producers and {consumers} consumers"
    )))
}
