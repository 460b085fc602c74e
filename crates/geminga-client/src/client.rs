//! The client: what producers and consumers share.

mod lookup;
mod pool;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use geminga_env::Env;
use geminga_types::TopicName;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::pool::Pool;
use crate::{
    ClientError, Consumer, ConsumerOptions, Producer, ProducerOptions, backoff::Backoff,
    connection::Settings, consumer, producer, route::parse_service_url,
};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long creating a producer or consumer, with all attempts, and any one request may take.
    pub operation_timeout: Duration,
    /// After how long a silence a PING is sent; after as long again the connection is given up.
    pub keep_alive: Duration,
    /// Which of the broker's advertised listeners to use.
    pub listener_name: Option<String>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(30),
            listener_name: None,
        }
    }
}

/// Talks to one Pulsar cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) options: ClientOptions,
    service: Vec<String>,
    pool: Pool,
    next_id: AtomicU64,
    /// Producers and consumers.
    pub(crate) tasks: TaskTracker,
    /// Tells them to close.
    pub(crate) closing: CancellationToken,
}

impl Client {
    /// Connects to the first host in `service_url` (`pulsar://host:port[,host:port]`) that answers.
    ///
    /// # Errors
    ///
    /// Any of [`ClientError`]; when no host answers, what was wrong with the last.
    pub async fn connect(
        env: Env,
        service_url: &str,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        let service = parse_service_url(service_url)?;
        let settings = Settings {
            connect_timeout: options.connect_timeout,
            request_timeout: options.operation_timeout,
            keep_alive: options.keep_alive,
        };
        let shared = Shared {
            pool: Pool::new(env.clone(), settings),
            env,
            options,
            service,
            next_id: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        shared.service_connection().await?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many partitions a topic has; 0 for one that is not partitioned.
    ///
    /// # Errors
    ///
    /// [`ClientError`], after `operation_timeout` at the latest.
    pub async fn partitions(&self, topic: &TopicName) -> Result<u32, ClientError> {
        let deadline = self.shared.env.clock.now() + self.shared.options.operation_timeout;
        let mut backoff = self.shared.backoff();
        loop {
            match self.shared.partitions(topic).await {
                Err(error) if error.is_transient() => {
                    let at = self.shared.env.clock.now() + backoff.next(&*self.shared.env.random);
                    if deadline <= at {
                        return Err(error);
                    }
                    tokio::time::sleep_until(at).await;
                }
                other => return other,
            }
        }
    }

    /// Creates a producer on a topic, on all partitions if it has some.
    ///
    /// # Errors
    ///
    /// [`ClientError`], after `operation_timeout` at the latest.
    pub async fn producer(
        &self,
        topic: &str,
        options: ProducerOptions,
    ) -> Result<Producer, ClientError> {
        let topic: TopicName = topic.parse()?;
        let partitions = self.partitions(&topic).await?;
        producer::create(&self.shared, &topic, partitions, options).await
    }

    /// Subscribes to a topic, on all partitions if it has some.
    ///
    /// # Errors
    ///
    /// [`ClientError`], after `operation_timeout` at the latest.
    pub async fn subscribe(
        &self,
        topic: &str,
        subscription: &str,
        options: ConsumerOptions,
    ) -> Result<Consumer, ClientError> {
        let topic: TopicName = topic.parse()?;
        let partitions = self.partitions(&topic).await?;
        consumer::create(&self.shared, &topic, partitions, subscription, options).await
    }

    /// Closes every producer and consumer, then the connections, and waits for that.
    ///
    /// Messages that have no receipt by then fail; close producers first to wait for them.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        self.shared.pool.close().await;
    }
}

impl Shared {
    /// An id for a producer or consumer that no other of this client has.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(RETRY_FIRST, RETRY_MOST)
    }
}
