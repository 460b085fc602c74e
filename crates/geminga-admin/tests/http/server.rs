//! A broker with its HTTP door, and a client that writes requests by hand.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use geminga_admin::Options;
use geminga_broker::{
    AccessMode, Advertised, Broker, Consumer, Identity, Limits, Outbox, Outgoing, Parts, Producer,
    ProducerRequest, Publish, Sequence, SubscribeError, SubscribeRequest, SubscriptionKind,
    SubscriptionKinds,
};
use geminga_checksum::Sum;
use geminga_env::Env;
use geminga_ledger::{Deps, LedgerOptions};
use geminga_metadata::{MemoryStore, SharedStore};
use geminga_types::TopicName;
use geminga_wire::{entry::encode_entry, proto::MessageMetadata};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::bookie::MemoryBookie;

/// What outlives a broker.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) metadata: SharedStore,
    pub(crate) bookie: MemoryBookie,
}

pub(crate) struct Server {
    pub(crate) broker: Broker,
    pub(crate) address: SocketAddr,
    pub(crate) disk: Disk,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Expects a status and, for an error, the reason in the body.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        if 400 <= status {
            assert!(self.json()["reason"].is_string(), "{self:?}");
        }
        self
    }
}

/// Runs a test before a fresh broker.
pub(crate) fn with_server(test: impl AsyncFnOnce(&Server)) {
    with_options(Options::default(), test);
}

pub(crate) fn with_options(options: Options, test: impl AsyncFnOnce(&Server)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start(Disk::new(), options).await;
        test(&server).await;
        server.stop().await;
    });
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { metadata: Arc::new(MemoryStore::new()), bookie: MemoryBookie::new() }
    }
}

impl Server {
    pub(crate) async fn start(disk: Disk, options: Options) -> Self {
        Self::start_with(disk, options, |_| {}).await
    }

    /// The same, with what a broker is told changed.
    pub(crate) async fn start_with(
        disk: Disk,
        options: Options,
        change: impl FnOnce(&mut geminga_broker::Options),
    ) -> Self {
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let env = Env::system();
        let listener = env.net.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address();
        let bookies = Arc::new(disk.bookie.clone());
        let ledger = Deps::new(env, Arc::clone(&disk.metadata), bookies);
        let parts = Parts { ledger, tasks: tasks.clone(), shutdown: shutdown.child_token() };
        let mut told = broker_options(address);
        change(&mut told);
        let broker = Broker::start(parts, told).await.unwrap();
        let door = geminga_admin::serve(
            broker.clone(),
            listener,
            Arc::new(options),
            tasks.clone(),
            shutdown.clone(),
        );
        tasks.spawn(door);
        Self { broker, address, disk, tasks, shutdown }
    }

    /// Stops as the binary does; hangs when a task does not end.
    pub(crate) async fn stop(self) {
        self.broker.shutdown().await;
        self.shutdown.cancel();
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(20), self.tasks.wait()).await.unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", "").await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, "Content-Type: application/json\r\n", body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, "Content-Type: application/json\r\n", body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "", "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, heads: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{heads}\r\n{body}"
        );
        let bytes = self.raw(request.as_bytes()).await;
        parse(&bytes).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// Sends bytes and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        // The server may close before it has read everything.
        _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("a closed connection");
        answer
    }

    pub(crate) async fn connect(&self) -> geminga_env::net::Stream {
        self.broker.env().net.dial(&self.address.to_string()).await.unwrap()
    }

    pub(crate) async fn producer(&self, topic: &str) -> (Producer, Outbox) {
        let outbox = Outbox::new(1 << 20);
        let request = ProducerRequest {
            producer_id: 7,
            incarnation: 0,
            request_id: 1,
            connection_id: self.broker.next_connection_id(),
            address: "127.0.0.1:1".to_owned(),
            client_version: "Pulsar CPP v1".to_owned(),
            name: None,
            is_name_user_provided: false,
            access_mode: AccessMode::Shared,
            epoch: 0,
            topic_epoch: None,
            is_encrypted: false,
            is_internal: false,
            schema: None,
            metadata: vec![("k".to_owned(), "v".to_owned())],
            initial_subscription: None,
        };
        let topic: TopicName = topic.parse().unwrap();
        (self.broker.produce(&topic, request, &outbox).await.unwrap(), outbox)
    }

    /// Publishes messages, each its own entry, and waits for the receipts.
    pub(crate) async fn publish(&self, topic: &str, count: u64) {
        self.publish_all(topic, (0..count).map(publish).collect()).await;
    }

    /// Publishes entries, and waits for the receipts.
    pub(crate) async fn publish_all(&self, topic: &str, all: Vec<Publish>) {
        let (producer, outbox) = self.producer(topic).await;
        let count = u64::try_from(all.len()).unwrap();
        producer.publish(all).await.unwrap();
        let (mut items, mut receipts) = (VecDeque::new(), 0);
        while receipts < count {
            assert!(outbox.take(&mut items).await);
            for item in items.drain(..) {
                match item {
                    Outgoing::Receipts { receipts: some, .. } => {
                        receipts += u64::try_from(some.len()).unwrap();
                    }
                    item => panic!("{item:?}"),
                }
            }
        }
        producer.close().await;
    }

    /// Publishes entries that are so many seconds old.
    pub(crate) async fn publish_aged(&self, topic: &str, ages: &[u64]) {
        let now = self.broker.env().clock.wall().0;
        let publish = |(sequence_id, age): (u64, &u64)| {
            let metadata = MessageMetadata {
                producer_name: "p".to_owned(),
                sequence_id,
                publish_time: now - age * 1_000,
                ..MessageMetadata::default()
            };
            publish_of(&metadata, b"aged")
        };
        self.publish_all(topic, (0..).zip(ages).map(publish).collect()).await;
    }

    pub(crate) async fn consumer(&self, topic: &str, subscription: &str) -> Consumer {
        self.subscribe(topic, subscription).await.unwrap()
    }

    pub(crate) async fn subscribe(
        &self,
        topic: &str,
        subscription: &str,
    ) -> Result<Consumer, SubscribeError> {
        self.subscribe_with_outbox(topic, subscription).await.0
    }

    pub(crate) async fn consumer_with_outbox(
        &self,
        topic: &str,
        subscription: &str,
    ) -> (Consumer, Outbox) {
        let (consumer, outbox) = self.subscribe_with_outbox(topic, subscription).await;
        (consumer.unwrap(), outbox)
    }

    async fn subscribe_with_outbox(
        &self,
        topic: &str,
        subscription: &str,
    ) -> (Result<Consumer, SubscribeError>, Outbox) {
        let request = SubscribeRequest {
            consumer_id: 3,
            incarnation: 0,
            connection_id: self.broker.next_connection_id(),
            address: "127.0.0.1:2".to_owned(),
            client_version: "Pulsar-Go-version-1".to_owned(),
            subscription: subscription.to_owned(),
            kind: SubscriptionKind::Shared,
            consumer_name: "the consumer".to_owned(),
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
        };
        let topic: TopicName = topic.parse().unwrap();
        let outbox = Outbox::new(1 << 20);
        (self.broker.subscribe(&topic, request, &outbox).await, outbox)
    }
}

fn publish(sequence_id: u64) -> Publish {
    let metadata = MessageMetadata {
        producer_name: "p".to_owned(),
        sequence_id,
        publish_time: 1_000 + sequence_id,
        ..MessageMetadata::default()
    };
    publish_of(&metadata, b"hello")
}

/// A publish of one entry.
pub(crate) fn publish_of(metadata: &MessageMetadata, payload: &[u8]) -> Publish {
    let sequence_id = metadata.sequence_id;
    let entry: Bytes = encode_entry(metadata, payload);
    Publish {
        sequence_id,
        highest_sequence_id: None,
        messages: 1,
        sum: Sum::of(&entry),
        entry,
        key_hash: 0,
        deliver_at: None,
        published_at: metadata.publish_time,
        is_visible: true,
        chunk: None,
        name: "p".into(),
        identity: Identity::Sequence(Sequence::of(sequence_id)),
        permit: None,
    }
}

pub(crate) fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let mut body = answer[end + 4..].to_vec();
    if head.contains("transfer-encoding: chunked") && !body.is_empty() {
        body = unchunked(&body);
    }
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A chunked body, without the chunks' heads.
pub(crate) fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        body = &body[end + 2..];
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[..size]);
        body = &body[size + 2..];
    }
}

fn broker_options(address: SocketAddr) -> geminga_broker::Options {
    let ledger = LedgerOptions {
        ensemble_size: 1,
        write_quorum: 1,
        ack_quorum: 1,
        password: Bytes::new(),
        custom_metadata: std::collections::BTreeMap::new(),
        in_flight_max: 1_000,
        may_use_reserve: false,
    };
    let mut advertised = Advertised {
        broker_url: "pulsar://localhost:6650".to_owned(),
        http_url: format!("http://localhost:{}", address.port()),
        ..Advertised::default()
    };
    let internal =
        geminga_broker::Listener { url: Some("pulsar://internal:6650".to_owned()), url_tls: None };
    advertised.listeners.insert("internal".to_owned(), internal);
    geminga_broker::Options {
        cluster: "standalone".to_owned(),
        advertised,
        limits: limits(),
        domains: geminga_broker::Domains::ALL,
        topic_level_policies: true,
        resource_groups_lend: true,
        auto_topic_creation: true,
        auto_partitions: None,
        auto_subscription_creation: true,
        topics: geminga_broker::TopicOptions::default(),
        dispatch: geminga_broker::DispatchRates::UNLIMITED,
        publishing: geminga_broker::PublishingOptions::default(),
        failover_delay: Duration::from_secs(1),
        tenants: geminga_broker::TenantOptions::default(),
        configuration: std::collections::BTreeMap::new(),
        failover_by_ring: false,
        auto_split: geminga_broker::AutoSplit::Ring(100),
        inactivity: None,
        inactive_topics_interval: Duration::from_secs(60),
        schema: geminga_broker::SchemaOptions::default(),
        bundles_default: 4,
        ack_flush_interval: Duration::from_millis(10),
        trim_interval: Duration::from_secs(60),
        message_ttl: None,
        subscription_expiry: None,
        backlog_bytes: None,
        backlog_age: None,
        unload_idle_after: None,
        memory_parts: Vec::new(),
        phases: None,
        compaction: geminga_broker::CompactionOptions::default(),
        delayed: geminga_broker::DelayedDeliveryOptions::default(),
        broker_metadata: geminga_broker::BrokerMetadataOptions { timestamp: false, index: true },
        deduplication: geminga_broker::DeduplicationOptions::default(),
        managed_ledger: geminga_managed_ledger::Options {
            cursor_ledger: ledger.clone(),
            ledger,
            max_entries_per_ledger: 50_000,
            max_ledger_bytes: 1 << 30,
            min_rollover: Duration::from_secs(600),
            max_rollover: Duration::from_secs(14_400),
            retention_time: Some(Duration::ZERO),
            retention_bytes: Some(0),
            tail_cache_bytes: 1 << 20,
            tail_caches: geminga_env::Gauge::new(64 << 20),
            cursor_roll_entries: 1_000,
            cursor_roll_bytes: 1 << 20,
            cursor_go_on_items: 10_000,
            cursor_part_items: 10_000,
        },
    }
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: 5 << 20,
        concurrent_topic_loads_max: 100,
        concurrent_lookups_max: 100,
        topic_load_timeout: Duration::from_secs(10),
        publish_buffer_bytes: 16 << 20,
        consumers_per_topic_max: 0,
        consumers_per_subscription_max: 0,
        subscriptions_per_topic_max: 0,
        subscription_kinds: SubscriptionKinds::ALL,
        subscribe_rate: None,
        unacked_per_consumer_max: 50_000,
        look_ahead_per_consumer_max: 2_000,
        look_ahead_per_subscription_max: 20_000,
        unacked_per_subscription_max: 200_000,
        round_robin_entries_max: 20,
        unacked_per_broker_max: 0,
        unacked_per_subscription_when_blocked_max: 0,
        read_entries_max: 100,
        read_bytes_max: 5 << 20,
        read_buffer_bytes: 64 << 20,
        ack_state_bytes: 64 << 20,
        timer_bytes: 64 << 20,
        delivery_buffer_bytes: 64 << 20,
    }
}
