//! A connection as a door would hold it.

use std::{collections::VecDeque, ops::Range, time::Duration};

use geminga_broker::{
    AccessMode, AckId, AckKind, AckRequest, Broker, Consumer, Identity, OutMessage, Outbox,
    Outgoing, ProduceError, Producer, ProducerRequest, Publish, Sequence, SubscribeError,
    SubscribeRequest, SubscriptionKind,
};
use geminga_checksum::Sum;
use geminga_types::Position;
use geminga_wire::{entry::encode_entry, proto::MessageMetadata};

use crate::world::{PATIENCE, topic};

pub(crate) struct Client {
    pub(crate) broker: Broker,
    pub(crate) outbox: Outbox,
    connection_id: u64,
    waiting: VecDeque<Outgoing>,
}

impl Client {
    pub(crate) fn new(broker: Broker) -> Self {
        let connection_id = broker.next_connection_id();
        Self { broker, outbox: Outbox::new(1 << 20), connection_id, waiting: VecDeque::new() }
    }

    pub(crate) fn producer_request(&self, id: u64) -> ProducerRequest {
        ProducerRequest {
            producer_id: id,
            incarnation: 0,
            request_id: 0,
            connection_id: self.connection_id,
            address: "test".to_owned(),
            client_version: "test".to_owned(),
            name: None,
            is_name_user_provided: false,
            access_mode: AccessMode::Shared,
            epoch: 0,
            topic_epoch: None,
            is_encrypted: false,
            is_internal: false,
            schema: None,
            metadata: Vec::new(),
            initial_subscription: None,
        }
    }

    pub(crate) async fn produce(&self, name: &str) -> Producer {
        self.try_produce(name, self.producer_request(1)).await.unwrap()
    }

    pub(crate) async fn try_produce(
        &self,
        name: &str,
        request: ProducerRequest,
    ) -> Result<Producer, ProduceError> {
        self.broker.produce(&topic(name), request, &self.outbox).await
    }

    /// From the earliest message.
    pub(crate) fn subscribe_request(&self, id: u64, subscription: &str) -> SubscribeRequest {
        SubscribeRequest {
            consumer_id: id,
            incarnation: 0,
            connection_id: self.connection_id,
            address: "test".to_owned(),
            client_version: "test".to_owned(),
            subscription: subscription.to_owned(),
            kind: SubscriptionKind::Exclusive,
            consumer_name: format!("consumer-{id}"),
            priority: 0,
            is_durable: true,
            start: None,
            start_rollback_seconds: 0,
            is_earliest: true,
            reads_compacted: false,
            create_topic: true,
            schema: None,
            takes_any_schema: false,
            metadata: Vec::new(),
            subscription_properties: Vec::new(),
            consumer_epoch: None,
            sticky_ranges: None,
            allow_out_of_order: false,
        }
    }

    pub(crate) async fn try_subscribe(
        &self,
        name: &str,
        request: SubscribeRequest,
    ) -> Result<Consumer, SubscribeError> {
        self.broker.subscribe(&topic(name), request, &self.outbox).await
    }

    pub(crate) async fn subscribe(&self, name: &str, id: u64, subscription: &str) -> Consumer {
        self.try_subscribe(name, self.subscribe_request(id, subscription)).await.unwrap()
    }

    /// A reader from the earliest message.
    pub(crate) async fn read(&self, name: &str, id: u64) -> Consumer {
        let request = SubscribeRequest {
            is_durable: false,
            ..self.subscribe_request(id, &format!("reader-{id}"))
        };
        self.try_subscribe(name, request).await.unwrap()
    }

    /// Publishes one message for each number and waits for the receipts.
    pub(crate) async fn publish(
        &mut self,
        producer: &Producer,
        numbers: Range<u64>,
    ) -> Vec<Position> {
        let mut positions = Vec::new();
        for number in numbers {
            producer.publish(vec![publish(number)]).await.unwrap();
            match self.next().await {
                Outgoing::Receipts { receipts, .. } => {
                    assert_eq!(receipts.len(), 1);
                    assert_eq!(receipts[0].sequence_id, number);
                    positions.push(receipts[0].position);
                }
                other => panic!("expected a receipt of {number}, got {other:?}"),
            }
        }
        positions
    }

    /// The next thing that a topic sends.
    pub(crate) async fn next(&mut self) -> Outgoing {
        self.next_within(PATIENCE).await
    }

    pub(crate) async fn next_within(&mut self, patience: Duration) -> Outgoing {
        if self.waiting.is_empty() {
            let taking = self.outbox.take(&mut self.waiting);
            let is_open = tokio::time::timeout(patience, taking).await;
            assert!(is_open.expect("something comes in time"), "the outbox is open");
            self.outbox.written(self.waiting.iter().map(Outgoing::size_bytes).sum());
        }
        self.waiting.pop_front().unwrap()
    }

    /// The next thing that a topic sends, if anything comes for a while.
    pub(crate) async fn told(&mut self) -> Option<Outgoing> {
        let patience = Duration::from_millis(200);
        if self.waiting.is_empty() {
            tokio::time::timeout(patience, self.outbox.take(&mut self.waiting)).await.ok()?;
            self.outbox.written(self.waiting.iter().map(Outgoing::size_bytes).sum());
        }
        self.waiting.pop_front()
    }

    /// What has come already, or comes in a moment.
    pub(crate) async fn next_now(&mut self) -> Option<Outgoing> {
        if self.waiting.is_empty() {
            let taking = self.outbox.take(&mut self.waiting);
            tokio::time::timeout(Duration::from_millis(1), taking).await.ok()?;
            self.outbox.written(self.waiting.iter().map(Outgoing::size_bytes).sum());
        }
        self.waiting.pop_front()
    }

    /// Nothing comes for a while.
    pub(crate) async fn quiet(&mut self) {
        assert!(self.waiting.is_empty(), "{:?}", self.waiting);
        let taking = self.outbox.take(&mut self.waiting);
        let came = tokio::time::timeout(Duration::from_secs(2), taking).await.is_ok();
        assert!(!came, "expected nothing, got {:?}", self.waiting);
    }

    /// `count` messages, for whichever consumer.
    pub(crate) async fn messages(&mut self, count: usize) -> Vec<OutMessage> {
        let mut found = Vec::new();
        while found.len() < count {
            match self.next().await {
                Outgoing::Messages { messages, .. } => found.extend(messages),
                other => panic!("expected messages, got {other:?}"),
            }
        }
        assert_eq!(found.len(), count);
        found
    }

    /// All messages that come until none does for a while.
    pub(crate) async fn all_messages(&mut self) -> Vec<OutMessage> {
        let mut found = Vec::new();
        let quiet = Duration::from_secs(2);
        while tokio::time::timeout(quiet, self.outbox.take(&mut self.waiting)).await.is_ok() {
            self.outbox.written(self.waiting.iter().map(Outgoing::size_bytes).sum());
            for outgoing in self.waiting.drain(..) {
                match outgoing {
                    Outgoing::Messages { messages, .. } => found.extend(messages),
                    other => panic!("expected messages, got {other:?}"),
                }
            }
        }
        found
    }

    pub(crate) async fn consumer_closed(&mut self) {
        match self.next().await {
            Outgoing::ConsumerClosed { .. } => {}
            other => panic!("expected that the consumer is closed, got {other:?}"),
        }
    }

    /// The answer to an ack: whether it is durable.
    pub(crate) async fn ack_done(&mut self, request: u64) -> bool {
        match self.next().await {
            Outgoing::AckDone { request_id, result, .. } => {
                assert_eq!(request_id, request);
                result.is_ok()
            }
            other => panic!("expected the answer to ack {request}, got {other:?}"),
        }
    }
}

pub(crate) fn ack(positions: &[Position], request_id: Option<u64>) -> AckRequest {
    let id = |position: &Position| AckId { position: *position, ack_set: None, batch_size: None };
    let ids = positions.iter().map(id).collect();
    AckRequest { kind: AckKind::Individual, ids, request_id }
}

pub(crate) fn cumulative(position: Position, request: u64) -> AckRequest {
    AckRequest { kind: AckKind::Cumulative, ..ack(&[position], Some(request)) }
}

/// Published at `number` milliseconds.
pub(crate) fn publish(number: u64) -> Publish {
    publish_at(number, number)
}

/// Published at `published_at` milliseconds.
pub(crate) fn publish_at(number: u64, published_at: u64) -> Publish {
    publish_with(number, |metadata| metadata.publish_time = published_at)
}

/// With what `change` does to its metadata.
pub(crate) fn publish_with(number: u64, change: impl FnOnce(&mut MessageMetadata)) -> Publish {
    let mut metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id: number,
        publish_time: number,
        ..MessageMetadata::default()
    };
    change(&mut metadata);
    let entry = encode_entry(&metadata, b"m");
    Publish {
        sequence_id: number,
        highest_sequence_id: None,
        messages: 1,
        sum: Sum::of(&entry),
        entry,
        key_hash: 0,
        deliver_at: metadata.deliver_at_time.map(i64::cast_unsigned),
        published_at: metadata.publish_time,
        is_visible: true,
        chunk: None,
        name: "test".into(),
        identity: Identity::Sequence(Sequence::of(number)),
        permit: None,
    }
}
