//! Publishes to topics that other brokers serve, through their door for this protocol.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use geminga_broker::{
    Advertised, ProduceError, Publish, PublishError, Published, PublisherRequest, SchemaError,
    SchemaVersion, TopicError, TopicPublisher,
};
use geminga_client::{
    Client, ClientError, ClientOptions, Producer, ProducerOptions, ServerError, producer::SendError,
};
use geminga_env::{BoxFuture, Env};
use geminga_types::TopicName;
use tokio::sync::OnceCell;

use crate::schema;

/// How long connecting to a broker, and any request of it, may take.
const TIME_MAX: Duration = Duration::from_secs(10);

type Connected = Arc<OnceCell<Client>>;

/// Opens publishers to other brokers: one client for each, by which all publishers go.
pub struct RemotePublishers {
    env: Env,
    clients: Mutex<BTreeMap<String, Connected>>,
}

struct RemotePublisher {
    topic: TopicName,
    producer: Option<Producer>,
    schema_version: Option<SchemaVersion>,
    last_sequence_id: i64,
}

impl RemotePublishers {
    /// Has no connections yet.
    #[must_use]
    pub const fn new(env: Env) -> Self {
        Self { env, clients: Mutex::new(BTreeMap::new()) }
    }

    /// Opens a publisher to `topic`, or partition, which `owner` serves; when that changes, it follows.
    ///
    /// For `owner` it is a producer like any other: its limits hold, and a name is open once.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn open(
        &self,
        owner: &Advertised,
        topic: &TopicName,
        request: PublisherRequest,
    ) -> Result<Box<dyn TopicPublisher>, ProduceError> {
        let url = &owner.broker_url;
        let failed = |error| failure(topic, url, error);
        let client = self.client(url).await.map_err(failed)?;
        let options = ProducerOptions {
            name: Some(request.name),
            schema: request.schema.map(schema::to_wire),
            initial_subscription: request.initial_subscription,
            ..ProducerOptions::default()
        };
        let opened = client.producer(&topic.to_string(), options).await;
        let producer = opened.map_err(failed)?;
        let version = producer.schema_version().and_then(|version| version[..].try_into().ok());
        let last = producer.last_sequence_id().and_then(|last| i64::try_from(last).ok());
        Ok(Box::new(RemotePublisher {
            topic: topic.clone(),
            producer: Some(producer),
            schema_version: version.map(|version| SchemaVersion(u64::from_be_bytes(version))),
            last_sequence_id: last.unwrap_or(-1),
        }))
    }

    /// Closes all publishers, and the connections.
    pub async fn close(&self) {
        let clients =
            std::mem::take(&mut *self.clients.lock().unwrap_or_else(PoisonError::into_inner));
        for client in clients.values().filter_map(|client| client.get()) {
            client.close().await;
        }
    }

    /// The client of a broker; whoever asks while it connects waits for the same connection.
    async fn client(&self, url: &str) -> Result<Client, ClientError> {
        let cell = {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(clients.entry(url.to_owned()).or_default())
        };
        let options = ClientOptions {
            connect_timeout: TIME_MAX,
            operation_timeout: TIME_MAX,
            ..ClientOptions::default()
        };
        let connect = || Client::connect(self.env.clone(), url, options);
        cell.get_or_try_init(connect).await.cloned()
    }
}

impl fmt::Debug for RemotePublishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemotePublishers")
    }
}

impl RemotePublisher {
    async fn publish_all(&mut self, messages: Vec<Publish>) -> Published {
        let closed = PublishError::Closed(self.topic.clone());
        let Some(producer) = &self.producer else {
            return Published { stored: 0, failure: Some(closed) };
        };
        let (mut receipts, mut permits) = (Vec::new(), Vec::new());
        for message in messages {
            let Publish { sequence_id, messages, entry, permit, .. } = message;
            permits.extend(permit);
            let receipt = producer.send_entry(sequence_id, messages, entry).await;
            receipts.push((sequence_id, receipt));
        }
        let mut stored = 0;
        for (sequence_id, receipt) in receipts {
            if let Err(error) = receipt.await {
                return Published { stored, failure: Some(self.not_published(error)) };
            }
            stored += 1;
            let sequence_id = i64::try_from(sequence_id).unwrap_or(i64::MAX);
            self.last_sequence_id = self.last_sequence_id.max(sequence_id);
        }
        Published { stored, failure: None }
    }

    fn not_published(&self, error: SendError) -> PublishError {
        let topic = self.topic.clone();
        match error {
            SendError::Closed => PublishError::Closed(topic),
            SendError::TooLarge { size, limit } => PublishError::TooLarge { topic, size, limit },
            SendError::Refused(refusal) if refusal.code == ServerError::TopicTerminatedError => {
                PublishError::Terminated(topic)
            }
            SendError::Refused(_) | SendError::TimedOut | SendError::Uncompressible(_) => {
                PublishError::Persistence { topic, reason: error.to_string() }
            }
        }
    }
}

impl TopicPublisher for RemotePublisher {
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
            if let Some(producer) = self.producer.take() {
                _ = producer.close().await; // It is closed here, and there when the connection ends.
            }
        })
    }
}

fn failure(topic: &TopicName, url: &str, error: ClientError) -> ProduceError {
    let topic = topic.clone();
    match error {
        ClientError::Refused { refusal, .. } => match refusal.code {
            ServerError::IncompatibleSchema => SchemaError::Incompatible(refusal.message).into(),
            ServerError::TopicTerminatedError => ProduceError::Terminated(topic),
            ServerError::TopicNotFound => TopicError::NotFound(topic).into(),
            ServerError::ProducerBusy => ProduceError::Busy(refusal.message),
            _ => ProduceError::NotAllowed(format!("{url} refuses: {}", refusal.message)),
        },
        error => TopicError::Unavailable { topic, reason: error.to_string() }.into(),
    }
}
