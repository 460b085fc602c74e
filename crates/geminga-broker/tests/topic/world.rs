//! A broker on a fake bookie and a fake store.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use geminga_broker::{
    Advertised, AutoSplit, Broker, DispatchRates, Limits, Options, Parts, StartError,
    SubscriptionKinds,
};
use geminga_env::{Env, sim};
use geminga_ledger::{Deps, LedgerOptions};
use geminga_types::TopicName;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bookie::FakeBookie,
    client::Client,
    store::{FakeStore, Writes},
};

/// Nothing takes longer on the paused clock, unless a test says so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct World {
    pub(crate) env: Env,
    pub(crate) bookie: FakeBookie,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) broker: Broker,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let env = sim::World::new(1).env();
        let (bookie, store) = (FakeBookie::new(), Arc::new(FakeStore::new()));
        let mut options = options();
        change(&mut options);
        let broker = start(&env, &bookie, &store, options).await.unwrap();
        Self { env, bookie, store, broker }
    }

    /// Another broker on the same store.
    pub(crate) async fn start_another(&self) -> Result<Broker, StartError> {
        start(&self.env, &self.bookie, &self.store, options()).await
    }

    /// The broker stops where it is: nothing that it does has an effect any more. Another one starts.
    pub(crate) async fn crash(&self, change: impl FnOnce(&mut Options)) -> Self {
        let store = Arc::new(self.store.another());
        self.store.set_writes("", Writes::Lost);
        let bookie = self.bookie.crash();
        let mut options = options();
        change(&mut options);
        let broker = start(&self.env, &bookie, &store, options).await.unwrap();
        Self { env: self.env.clone(), bookie, store, broker }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.broker.clone())
    }

    /// Waits until `is_so`; on the paused clock.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = self.env.clock.now() + Duration::from_secs(600);
        while !is_so() {
            assert!(self.env.clock.now() < deadline, "never: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn start(
    env: &Env,
    bookie: &FakeBookie,
    store: &Arc<FakeStore>,
    options: Options,
) -> Result<Broker, StartError> {
    let ledger = Deps::new(env.clone(), Arc::<FakeStore>::clone(store), Arc::new(bookie.clone()));
    let parts = Parts { ledger, tasks: TaskTracker::new(), shutdown: CancellationToken::new() };
    Broker::start(parts, options).await
}

pub(crate) fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

/// The work is not done yet, and will not be for a while.
pub(crate) async fn is_pending<T: std::fmt::Debug>(work: &mut (impl Future<Output = T> + Unpin)) {
    if let Ok(done) = tokio::time::timeout(Duration::from_secs(2), work).await {
        panic!("expected nothing yet, got {done:?}");
    }
}

/// The result of work that is done soon.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("done in time")
}

fn options() -> Options {
    let ledger = LedgerOptions {
        ensemble_size: 1,
        write_quorum: 1,
        ack_quorum: 1,
        password: Bytes::new(),
        custom_metadata: BTreeMap::new(),
        in_flight_max: 64,
        may_use_reserve: false,
    };
    Options {
        cluster: "standalone".to_owned(),
        advertised: Advertised::default(),
        limits: limits(),
        dispatch: DispatchRates::UNLIMITED,
        publishing: geminga_broker::PublishingOptions::default(),
        failover_delay: Duration::from_secs(1),
        tenants: geminga_broker::TenantOptions::default(),
        configuration: BTreeMap::new(),
        failover_by_ring: false,
        auto_split: AutoSplit::Ring(100),
        domains: geminga_broker::Domains::ALL,
        topic_level_policies: true,
        resource_groups_lend: true,
        auto_topic_creation: true,
        auto_partitions: None,
        auto_subscription_creation: true,
        topics: geminga_broker::TopicOptions::default(),
        schema: geminga_broker::SchemaOptions::default(),
        bundles_default: 4,
        ack_flush_interval: Duration::from_millis(10),
        trim_interval: Duration::from_secs(60),
        phases: None,
        message_ttl: None,
        subscription_expiry: None,
        backlog_bytes: None,
        backlog_age: None,
        unload_idle_after: None,
        inactivity: None,
        inactive_topics_interval: Duration::from_secs(60),
        memory_parts: Vec::new(),
        compaction: geminga_broker::CompactionOptions::default(),
        delayed: geminga_broker::DelayedDeliveryOptions::default(),
        broker_metadata: geminga_broker::BrokerMetadataOptions::default(),
        deduplication: geminga_broker::DeduplicationOptions::default(),
        managed_ledger: geminga_managed_ledger::Options {
            tail_caches: geminga_env::Gauge::new(64 << 20),
            cursor_ledger: ledger.clone(),
            ledger,
            max_entries_per_ledger: 5,
            max_ledger_bytes: 1 << 30,
            min_rollover: Duration::ZERO,
            max_rollover: Duration::from_secs(3_600),
            retention_time: Some(Duration::ZERO),
            retention_bytes: Some(0),
            tail_cache_bytes: 1 << 20,
            cursor_roll_entries: 1_000,
            cursor_roll_bytes: 1 << 20,
            cursor_go_on_items: 10_000,
            cursor_part_items: 3,
        },
    }
}

fn limits() -> Limits {
    Limits {
        read_buffer_bytes: 64 << 20,
        ack_state_bytes: 64 << 20,
        timer_bytes: 64 << 20,
        delivery_buffer_bytes: 64 << 20,
        message_bytes_max: 100_000,
        concurrent_topic_loads_max: 10,
        concurrent_lookups_max: 10,
        topic_load_timeout: Duration::from_secs(60),
        publish_buffer_bytes: 1 << 20,
        consumers_per_topic_max: 0,
        consumers_per_subscription_max: 0,
        subscriptions_per_topic_max: 0,
        subscription_kinds: SubscriptionKinds::ALL,
        subscribe_rate: None,
        unacked_per_consumer_max: 1_000,
        look_ahead_per_consumer_max: 2_000,
        look_ahead_per_subscription_max: 20_000,
        unacked_per_subscription_max: 1_000,
        read_entries_max: 100,
        read_bytes_max: 1 << 20,
        round_robin_entries_max: 20,
        unacked_per_broker_max: 0,
        unacked_per_subscription_when_blocked_max: 0,
    }
}
