//! What a broker publishes by itself to a topic, wherever that is served.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use geminga_env::BoxFuture;
use geminga_types::TopicName;
use geminga_wire::entry::key_hash;
use tokio_util::task::TaskTracker;

use crate::{
    AccessMode, Neighbours, Outbox, Outgoing, ProduceError, Producer, ProducerRequest, Publish,
    PublishError, Schema, SchemaVersion, TopicError, broker::WeakBroker,
};

/// How a publisher is opened.
#[derive(Clone, Debug)]
pub struct PublisherRequest {
    /// Its name. Another one of that name that this broker has open is closed.
    pub name: String,
    /// What its messages are written in.
    pub schema: Option<Schema>,
    /// A subscription that is to be there before the first message.
    pub initial_subscription: Option<String>,
    /// To which partition of the topic it publishes, modulo their number.
    pub partition: u32,
}

/// What became of messages.
#[derive(Debug)]
pub struct Published {
    /// How many are stored, the first ones.
    pub stored: usize,
    /// Why the others may not be.
    pub failure: Option<PublishError>,
}

/// An open publisher. Dropped, it is closed some time later.
pub trait TopicPublisher: Send {
    /// Version of its schema on the topic.
    fn schema_version(&self) -> Option<SchemaVersion>;

    /// The last sequence id that was published under its name, or -1.
    fn last_sequence_id(&self) -> i64;

    /// Publishes in order, and waits until all is stored or something has failed. What is behind that may
    /// be stored too, and is recognised when it comes again.
    fn publish(&mut self, messages: Vec<Publish>) -> BoxFuture<'_, Published>;

    /// Closes it.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// Opens publishers, to whichever broker serves a topic.
#[derive(Debug)]
pub(crate) struct Publishers {
    /// This broker, and the number that all publishers to its own topics have for their connection.
    broker: OnceLock<(WeakBroker, u64)>,
    neighbours: Arc<dyn Neighbours>,
}

/// A publisher to a topic that this broker serves.
struct LocalPublisher {
    producer: Option<Producer>,
    schema_version: Option<SchemaVersion>,
    last_sequence_id: i64,
    outbox: Outbox,
    tasks: TaskTracker,
}

impl Publishers {
    pub(crate) fn new(neighbours: Arc<dyn Neighbours>) -> Self {
        Self { broker: OnceLock::new(), neighbours }
    }

    /// Says through which broker they publish.
    pub(crate) fn begin(&self, broker: WeakBroker, connection_id: u64) {
        _ = self.broker.set((broker, connection_id));
    }

    /// Opens one to `topic`, which is created if that is allowed.
    pub(crate) async fn open(
        &self,
        topic: &TopicName,
        request: PublisherRequest,
    ) -> Result<Box<dyn TopicPublisher>, ProduceError> {
        let broker = self.broker.get().and_then(|(broker, id)| Some((broker.upgrade()?, *id)));
        let Some((broker, connection_id)) = broker else {
            let reason = "the broker has stopped".to_owned();
            return Err(TopicError::Unavailable { topic: topic.clone(), reason }.into());
        };
        let part = match broker.partitions(topic, true).await? {
            0 => topic.clone(),
            count => topic.with_partition(request.partition % count),
        };
        if self.neighbours.owner(&part).is_some() {
            return self.neighbours.open(&part, request).await;
        }
        let outbox = broker.outbox(usize::MAX);
        let request = ProducerRequest {
            producer_id: key_hash(request.name.as_bytes()).into(),
            incarnation: 0,
            request_id: 0,
            connection_id,
            address: String::new(),
            client_version: "Geminga".to_owned(),
            name: Some(request.name),
            is_name_user_provided: true,
            access_mode: AccessMode::Shared,
            epoch: 0,
            topic_epoch: None,
            is_encrypted: false,
            is_internal: true,
            schema: request.schema,
            metadata: Vec::new(),
            initial_subscription: request.initial_subscription,
        };
        let producer = broker.produce(&part, request, &outbox).await?;
        Ok(Box::new(LocalPublisher {
            schema_version: producer.schema_version(),
            last_sequence_id: producer.last_sequence_id(),
            producer: Some(producer),
            outbox,
            tasks: broker.tasks().clone(),
        }))
    }
}

impl LocalPublisher {
    async fn publish_all(&mut self, messages: Vec<Publish>) -> Published {
        let (count, mut stored) = (messages.len(), 0);
        let Some(producer) = &self.producer else { return Published { stored, failure: None } };
        let closed = PublishError::Closed(producer.topic().clone());
        let last = messages.iter().map(|message| message.sequence_id).max();
        if let Err(error) = producer.publish(messages).await {
            return Published { stored, failure: Some(error) };
        }
        let mut items = VecDeque::new();
        while stored < count {
            if !self.outbox.take(&mut items).await {
                return Published { stored, failure: Some(closed) };
            }
            self.outbox.written(items.iter().map(Outgoing::size_bytes).sum());
            for item in items.drain(..) {
                match item {
                    Outgoing::Receipts { receipts, .. } => stored += receipts.len(),
                    Outgoing::SendFailed { error, .. } => {
                        return Published { stored, failure: Some(error) };
                    }
                    Outgoing::ProducerClosed { .. } => {
                        return Published { stored, failure: Some(closed) };
                    }
                    _ => {}
                }
            }
        }
        if let Some(last) = last.and_then(|last| i64::try_from(last).ok()) {
            self.last_sequence_id = self.last_sequence_id.max(last);
        }
        Published { stored, failure: None }
    }
}

impl TopicPublisher for LocalPublisher {
    fn schema_version(&self) -> Option<SchemaVersion> {
        self.schema_version
    }

    fn last_sequence_id(&self) -> i64 {
        self.last_sequence_id
    }

    fn publish(&mut self, messages: Vec<Publish>) -> BoxFuture<'_, Published> {
        Box::pin(self.publish_all(messages))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(producer) = &self.producer {
                producer.close().await;
            }
            self.producer = None;
        })
    }
}

impl Drop for LocalPublisher {
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            self.tasks.spawn(async move { producer.close().await });
        }
    }
}
