//! SUBSCRIBE and CLOSE_CONSUMER, and what clients ask of an open consumer.

use std::sync::Arc;

use geminga_broker::{ClientKey, Consumer, SubscribeRequest, SubscriptionKind};
use geminga_types::{Position, TopicName};
use geminga_wire::proto::{
    CommandCloseConsumer, CommandSubscribe, KeySharedMeta, KeySharedMode, ServerError,
    command_subscribe::{InitialPosition, SubType},
};
use tracing::debug;

use super::{
    Connection, RequestPermit, lock,
    producers::{CLOSE_WAIT, refusal},
    slots::{Step, Steps},
    writer::close_consumer,
};
use crate::{
    errors::{Coded, Refusal},
    schema,
};

mod acks;
mod asks;

pub(super) use acks::Acks;

/// What it takes to subscribe.
#[derive(Debug)]
pub(super) struct ConsumerOrder {
    topic: TopicName,
    request: Box<SubscribeRequest>,
    permit: RequestPermit,
}

impl Connection {
    pub(super) async fn on_subscribe(self: &Arc<Self>, command: CommandSubscribe) {
        let (consumer_id, request_id) = (command.consumer_id, command.request_id);
        let Some(permit) = self.request_permit().await else { return };
        let (topic, request) = match self.subscribe_request(command) {
            Ok(order) => order,
            Err(refusal) => return self.answer_error(request_id, refusal),
        };
        let steps = {
            let mut consumers = lock(&self.consumers);
            let other = consumers.get(consumer_id).map(|open| open.topic().clone());
            match other.filter(|open| *open != topic) {
                None => {
                    let order = ConsumerOrder { topic, request: Box::new(request), permit };
                    Ok(consumers.open(consumer_id, request_id, order))
                }
                Some(other) => Err(other),
            }
        };
        match steps {
            Ok(steps) => self.consumer_steps(consumer_id, steps),
            Err(other) => {
                let message = format!("Consumer id {consumer_id} is in use on topic {other}");
                self.answer_error(request_id, Refusal::not_allowed(message));
            }
        }
    }

    pub(super) fn on_close_consumer(self: &Arc<Self>, command: &CommandCloseConsumer) {
        let (consumer_id, request_id) = (command.consumer_id, command.request_id);
        let (steps, waits) = {
            let mut consumers = lock(&self.consumers);
            let steps = consumers.close(consumer_id, request_id);
            let waits = consumers.is_opening(consumer_id);
            (steps, waits)
        };
        self.consumer_steps(consumer_id, steps);
        if waits {
            let me = Arc::clone(self);
            self.door.tasks.spawn(async move {
                tokio::time::sleep_until(me.now() + CLOSE_WAIT).await;
                if lock(&me.consumers).give_up_waiting(consumer_id, request_id) {
                    me.answer_success(request_id);
                }
            });
        }
    }

    /// The consumer under `id`, if it is open.
    pub(super) fn consumer(&self, id: u64) -> Option<Arc<Consumer>> {
        lock(&self.consumers).get(id).cloned()
    }

    /// The consumer under `id`, if it is open, and its whole name.
    fn consumer_and_key(&self, id: u64) -> Option<(Arc<Consumer>, ClientKey)> {
        let consumers = lock(&self.consumers);
        let incarnation = consumers.incarnation(id)?;
        Some((Arc::clone(consumers.get(id)?), ClientKey { id, incarnation }))
    }

    /// Closes a consumer that its topic has closed. True: the client must be told.
    pub(super) fn drop_consumer(self: &Arc<Self>, consumer: ClientKey) -> bool {
        let dropped = lock(&self.consumers).drop_open_as(consumer);
        dropped.map(|open| self.spawn_close_consumer(consumer.id, open)).is_some()
    }

    /// Closes a consumer whose topic does not take its commands, and tells the client.
    pub(super) fn give_up_consumer(self: &Arc<Self>, consumer_id: u64) {
        let dropped = lock(&self.consumers).drop_open(consumer_id);
        if let Some(open) = dropped {
            self.spawn_close_consumer(consumer_id, open);
            debug!(peer = %self.peer, consumer_id, "consumer closed: its topic is stuck");
            self.answer(close_consumer(consumer_id));
        }
    }

    pub(super) fn spawn_close_consumer(self: &Arc<Self>, consumer_id: u64, open: Arc<Consumer>) {
        let me = Arc::clone(self);
        self.door.tasks.spawn(async move {
            open.close().await;
            let steps = lock(&me.consumers).closed(consumer_id);
            me.consumer_steps(consumer_id, steps);
        });
    }

    fn consumer_steps(self: &Arc<Self>, id: u64, steps: Steps<Consumer, ConsumerOrder>) {
        for step in steps {
            match step {
                Step::Open(order, incarnation) => {
                    self.spawn_subscribe(id, incarnation, order);
                }
                Step::Close(consumer) => self.spawn_close_consumer(id, consumer),
                Step::AnswerOpen(_, requests) | Step::AnswerClosed(requests) => {
                    requests.into_iter().for_each(|request_id| self.answer_success(request_id));
                }
                Step::AnswerAgain(_, request_id) => self.answer_success(request_id),
                Step::AnswerRefused(refusal, requests) => {
                    for request_id in requests {
                        self.answer_error(request_id, refusal.clone());
                    }
                }
                Step::AnswerCancelled(requests) => self.answer_cancelled(&requests),
                Step::AnswerTooMany(request_id) => self.answer_too_many(request_id),
            }
        }
    }

    fn spawn_subscribe(self: &Arc<Self>, id: u64, incarnation: u64, order: ConsumerOrder) {
        let me = Arc::clone(self);
        self.door.tasks.spawn(async move {
            let ConsumerOrder { topic, request, permit } = order;
            let request = SubscribeRequest { incarnation, ..*request };
            let opened = me.door.broker.subscribe(&topic, request, &me.outbox).await;
            let opened = opened.map_err(|error| error.refusal());
            let steps = lock(&me.consumers).opened(id, opened);
            me.consumer_steps(id, steps);
            drop(permit);
        });
    }

    fn subscribe_request(
        &self,
        command: CommandSubscribe,
    ) -> Result<(TopicName, SubscribeRequest), Refusal> {
        let topic: TopicName = command.topic.parse().map_err(refusal)?;
        if command.subscription.is_empty() {
            return Err(Refusal::not_allowed("Empty subscription name"));
        }
        let kind = match SubType::try_from(command.sub_type) {
            Ok(SubType::Exclusive) => SubscriptionKind::Exclusive,
            Ok(SubType::Failover) => SubscriptionKind::Failover,
            Ok(SubType::Shared) => SubscriptionKind::Shared,
            Ok(SubType::KeyShared) => SubscriptionKind::KeyShared,
            Err(_) => {
                let message = format!("Unknown subscription type {}", command.sub_type);
                return Err(Refusal::not_allowed(message));
            }
        };
        let is_durable = command.durable();
        let start = start_of(&command, is_durable);
        let is_earliest = match start {
            Some(Position::EARLIEST) => true,
            Some(Position::LATEST) => false,
            _ => command.initial_position() == InitialPosition::Earliest,
        };
        let is_end = |start: &Position| [Position::EARLIEST, Position::LATEST].contains(start);
        let key_shared = command.key_shared_meta.as_ref();
        let request = SubscribeRequest {
            consumer_id: command.consumer_id,
            incarnation: 0, // Set when it is opened.
            connection_id: self.id,
            address: self.peer.to_string(),
            client_version: self.client.version.clone(),
            kind,
            priority: command.priority_level(),
            is_durable,
            start: start.filter(|start| !is_end(start)),
            start_rollback_seconds: command.start_message_rollback_duration_sec(),
            is_earliest,
            reads_compacted: command.read_compacted(),
            create_topic: command.force_topic_creation(),
            sticky_ranges: key_shared.map(sticky_ranges).transpose()?.flatten(),
            allow_out_of_order: key_shared.is_some_and(KeySharedMeta::allow_out_of_order_delivery),
            takes_any_schema: schema::takes_any(command.schema.as_ref()),
            schema: schema::from_wire(command.schema),
            subscription: command.subscription,
            consumer_name: self.name_or_random(command.consumer_name),
            metadata: schema::pairs(command.metadata),
            subscription_properties: schema::pairs(command.subscription_properties),
            consumer_epoch: command.consumer_epoch,
        };
        Ok((topic, request))
    }

    /// Stats need a name even if the client gives none.
    fn name_or_random(&self, name: Option<String>) -> String {
        name.filter(|name| !name.is_empty())
            .unwrap_or_else(|| format!("{:05x}", self.env().random.next_u64() >> 44))
    }
}

/// Where a reader wants to begin. Durable subscriptions begin at their initial position.
fn start_of(command: &CommandSubscribe, is_durable: bool) -> Option<Position> {
    let start = command.start_message_id.as_ref().filter(|_| !is_durable)?;
    Some(start.position())
}

fn sticky_ranges(meta: &KeySharedMeta) -> Result<Option<Vec<(u32, u32)>>, Refusal> {
    if meta.key_shared_mode() == KeySharedMode::AutoSplit {
        return Ok(None);
    }
    let range = |range: &geminga_wire::proto::IntRange| {
        let ends = u32::try_from(range.start).ok().zip(u32::try_from(range.end).ok());
        ends.ok_or_else(|| {
            let message = format!("Invalid hash range [{}, {}]", range.start, range.end);
            Refusal::new(ServerError::ConsumerAssignError, message)
        })
    };
    meta.hash_ranges.iter().map(range).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use geminga_wire::proto::{IntRange, MessageIdData};

    use super::*;

    #[test]
    fn only_readers_begin_at_a_message() {
        let mut command = CommandSubscribe {
            start_message_id: Some(MessageIdData::from(Position::new(3, 4))),
            ..CommandSubscribe::default()
        };
        assert_eq!(start_of(&command, true), None);
        assert_eq!(start_of(&command, false), Some(Position::new(3, 4)));
        command.start_message_id = Some(MessageIdData::from(Position::EARLIEST));
        assert_eq!(start_of(&command, false), Some(Position::EARLIEST));
    }

    #[test]
    fn ranges_are_for_sticky_consumers() {
        let mut meta = KeySharedMeta {
            key_shared_mode: KeySharedMode::AutoSplit.into(),
            hash_ranges: vec![IntRange { start: 0, end: 65_535 }],
            ..KeySharedMeta::default()
        };
        assert_eq!(sticky_ranges(&meta), Ok(None));
        meta.key_shared_mode = KeySharedMode::Sticky.into();
        assert_eq!(sticky_ranges(&meta), Ok(Some(vec![(0, 65_535)])));
        meta.hash_ranges[0].start = -1;
        let code = sticky_ranges(&meta).unwrap_err().code;
        assert_eq!(code, ServerError::ConsumerAssignError);
    }
}
