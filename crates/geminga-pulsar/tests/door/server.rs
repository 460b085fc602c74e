//! A broker with its door.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use geminga_bookie::LocalBookies;
use geminga_bookie_storage::Storage;
use geminga_broker::{Advertised, Broker, Limits, Neighbours, Parts, SubscriptionKinds};
use geminga_env::{Env, sim::World};
use geminga_ledger::{Deps, LedgerOptions};
use geminga_metadata::MemoryStore;
use geminga_pulsar::Options;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    client::Client,
    storage::{HeldBookie, HeldStore},
};

pub(crate) const MAX_MESSAGE_SIZE: usize = 100_000;

pub(crate) struct Server {
    pub(crate) env: Env,
    pub(crate) broker: Broker,
    pub(crate) options: Arc<Options>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) bookie: HeldBookie,
    pub(crate) store: Arc<HeldStore>,
    address: SocketAddr,
}

/// What brokers share.
pub(crate) struct Ground {
    pub(crate) env: Env,
    bookies: LocalBookies,
    store: Arc<MemoryStore>,
}

impl Ground {
    pub(crate) async fn new(seed: u64) -> Self {
        let env = World::new(seed).env();
        let directory = Path::new("/data");
        env.disk.create_dir_all(directory).unwrap();
        let storage = Storage::open(env.clone(), storage_options(directory)).await.unwrap();
        Self { env, bookies: LocalBookies::new(storage), store: Arc::new(MemoryStore::new()) }
    }
}

impl Server {
    /// In a simulated world.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// In a simulated world, with other options.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let env = World::new(1).env();
        env.disk.create_dir_all("/data".as_ref()).unwrap();
        Self::start_in(env, "/data".as_ref(), change).await
    }

    /// In a simulated world, with other options of the door and of the broker.
    pub(crate) async fn with_broker(
        change: impl FnOnce(&mut Options),
        change_broker: impl FnOnce(&mut geminga_broker::Options),
    ) -> Self {
        let env = World::new(1).env();
        env.disk.create_dir_all("/data".as_ref()).unwrap();
        let mut broker_options = broker_options();
        change_broker(&mut broker_options);
        Self::build(env, "/data".as_ref(), change, broker_options).await
    }

    pub(crate) async fn start_in(
        env: Env,
        directory: &Path,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        Self::build(env, directory, change, broker_options()).await
    }

    async fn build(
        env: Env,
        directory: &Path,
        change: impl FnOnce(&mut Options),
        broker_options: geminga_broker::Options,
    ) -> Self {
        let storage = Storage::open(env.clone(), storage_options(directory)).await.unwrap();
        let ground = Ground {
            env,
            bookies: LocalBookies::new(storage),
            store: Arc::new(MemoryStore::new()),
        };
        Self::build_on(&ground, change, broker_options, |_| None).await
    }

    /// One of several that share what is stored; `neighbours` is told where it listens.
    pub(crate) async fn on(
        ground: &Ground,
        neighbours: impl FnOnce(SocketAddr) -> Arc<dyn Neighbours>,
    ) -> Self {
        let neighbours = |address| Some(neighbours(address));
        Self::build_on(ground, |_| {}, broker_options(), neighbours).await
    }

    async fn build_on(
        ground: &Ground,
        change: impl FnOnce(&mut Options),
        mut broker_options: geminga_broker::Options,
        neighbours: impl FnOnce(SocketAddr) -> Option<Arc<dyn Neighbours>>,
    ) -> Self {
        let env = ground.env.clone();
        let bookie = HeldBookie::new(ground.bookies.clone());
        let store = Arc::new(HeldStore::over(Arc::clone(&ground.store)));
        let listener = env.net.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address();
        let ledger =
            Deps::new(env.clone(), Arc::<HeldStore>::clone(&store), Arc::new(bookie.clone()));
        let tasks = TaskTracker::new();
        let parts = Parts { ledger, tasks: tasks.clone(), shutdown: CancellationToken::new() };
        let broker = match neighbours(address) {
            Some(neighbours) => {
                broker_options.advertised.broker_url = format!("pulsar://{address}");
                Broker::start_among(parts, broker_options, neighbours).await
            }
            None => Broker::start(parts, broker_options).await,
        };
        let broker = broker.unwrap();
        let mut options = Options::for_messages_of(MAX_MESSAGE_SIZE);
        change(&mut options);
        let options = Arc::new(options);
        let shutdown = CancellationToken::new();
        tasks.spawn(geminga_pulsar::serve(
            broker.clone(),
            listener,
            Arc::clone(&options),
            tasks.clone(),
            shutdown.clone(),
        ));
        Self { env, broker, options, shutdown, tasks, bookie, store, address }
    }

    /// A client that has not sent anything.
    pub(crate) async fn dial(&self) -> Client {
        let stream = self.env.net.dial(&self.address.to_string()).await.unwrap();
        Client::new(stream)
    }

    /// A client that is connected.
    pub(crate) async fn connect(&self) -> Client {
        let mut client = self.dial().await;
        client.connect().await;
        client
    }

    pub(crate) fn metric(&self, name: &str) -> u64 {
        let metrics = self.options.counters.metrics();
        metrics.iter().find(|(known, _)| *known == name).expect("a known metric").1
    }

    /// Waits, in virtual time, until no connection is open.
    pub(crate) async fn until_nobody_is_connected(&self) {
        let deadline = self.env.clock.now() + Duration::from_secs(120);
        while self.metric("pulsar_active_connections") != 0 {
            assert!(self.env.clock.now() < deadline, "a connection stays open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn storage_options(directory: &Path) -> geminga_bookie_storage::Options {
    geminga_bookie_storage::Options {
        journal_file_bytes: 1 << 20,
        min_free_bytes: 0,
        ..geminga_bookie_storage::Options::new(directory.join("journal"), directory.join("ledgers"))
    }
}

fn broker_options() -> geminga_broker::Options {
    let ledger = |in_flight_max| LedgerOptions {
        ensemble_size: 1,
        write_quorum: 1,
        ack_quorum: 1,
        password: Bytes::new(),
        custom_metadata: std::collections::BTreeMap::new(),
        in_flight_max,
        may_use_reserve: false,
    };
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    geminga_broker::Options {
        cluster: "standalone".to_owned(),
        advertised: Advertised {
            broker_url: "pulsar://localhost:6650".to_owned(),
            http_url: "http://localhost:8080".to_owned(),
            ..Advertised::default()
        },
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
        broker_metadata: geminga_broker::BrokerMetadataOptions::default(),
        deduplication: geminga_broker::DeduplicationOptions::default(),
        managed_ledger: geminga_managed_ledger::Options {
            ledger: ledger(1_000),
            cursor_ledger: ledger(16),
            max_entries_per_ledger: 50_000,
            max_ledger_bytes: 1 << 30,
            min_rollover: hours(1),
            max_rollover: hours(4),
            retention_time: Some(Duration::ZERO),
            retention_bytes: Some(0),
            tail_cache_bytes: 4 << 20,
            tail_caches: geminga_env::Gauge::new(64 << 20),
            cursor_roll_entries: 50_000,
            cursor_roll_bytes: 1 << 20,
            cursor_go_on_items: 10_000,
            cursor_part_items: 10_000,
        },
    }
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: MAX_MESSAGE_SIZE,
        concurrent_topic_loads_max: 1_000,
        concurrent_lookups_max: 1_000,
        topic_load_timeout: Duration::from_secs(60),
        publish_buffer_bytes: 64 << 20,
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
