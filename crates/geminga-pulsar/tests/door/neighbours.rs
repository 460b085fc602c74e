//! Two brokers on the same storage and metadata.
//!
//! Goal: what one publishes to a topic of the other is there once, whichever of them stops meanwhile.
//! Method: a subscription of the first broker's topic has a dead-letter topic that the second serves;
//! whoever is to stop has its writes held and its connections closed, and another takes its place.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use geminga_broker::{
    Advertised, Neighbours, ProduceError, PublisherRequest, SourcePosition, TopicPublisher,
    admin::CursorStart,
};
use geminga_client::{
    Client, ClientOptions, Consumer, ConsumerOptions, Message, OutgoingMetadata, ProducerOptions,
    consumer::{StartAt, SubscriptionType},
};
use geminga_env::{BoxFuture, Env, sim::Seeds};
use geminga_pulsar::RemotePublishers;
use geminga_types::TopicName;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::server::{Ground, Server};

const SOURCE: &str = "persistent://public/default/t";
const DEAD: &str = "persistent://public/default/t-s-DLQ";

/// Which broker serves the dead letters, and where; the source is the other's.
type Map = Arc<Mutex<BTreeMap<TopicName, Arc<Advertised>>>>;

struct Others {
    me: String,
    map: Map,
    remote: RemotePublishers,
}

impl Neighbours for Others {
    fn owner(&self, topic: &TopicName) -> Option<Arc<Advertised>> {
        let map = self.map.lock().unwrap();
        map.get(topic).filter(|owner| owner.broker_url != self.me).cloned()
    }

    fn open<'a>(
        &'a self,
        topic: &'a TopicName,
        request: PublisherRequest,
    ) -> BoxFuture<'a, Result<Box<dyn TopicPublisher>, ProduceError>> {
        Box::pin(async move {
            let owner = self.owner(topic).expect("another's");
            self.remote.open(&owner, topic, request).await
        })
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Others")
    }
}

struct Node {
    server: Server,
    others: Arc<Others>,
    url: String,
}

struct Cluster {
    ground: Ground,
    map: Map,
    /// Serves the source.
    first: Node,
    /// Serves the dead letters.
    second: Node,
}

impl Cluster {
    async fn start(seed: u64) -> Self {
        let ground = Ground::new(seed).await;
        let map = Map::default();
        let first = start(&ground, &map, SOURCE).await;
        let second = start(&ground, &map, DEAD).await;
        Self { ground, map, first, second }
    }

    async fn client(&self) -> Client {
        // Asked of one that serves not all of it.
        let (env, url) = (self.ground.env.clone(), &self.second.url);
        Client::connect(env, url, ClientOptions::default()).await.unwrap()
    }

    async fn replace_first(&mut self) {
        stop(&self.first).await;
        self.first = start(&self.ground, &self.map, SOURCE).await;
    }

    async fn replace_second(&mut self) {
        stop(&self.second).await;
        self.second = start(&self.ground, &self.map, DEAD).await;
    }
}

/// Starts a broker that serves `topic`, and all that nobody else does.
async fn start(ground: &Ground, map: &Map, topic: &str) -> Node {
    let mut found = None;
    let server = Server::on(ground, |address| {
        let url = format!("pulsar://{address}");
        let me = Advertised { broker_url: url.clone(), ..Advertised::default() };
        map.lock().unwrap().insert(topic.parse().unwrap(), Arc::new(me));
        let remote = RemotePublishers::new(ground.env.clone());
        let others = Arc::new(Others { me: url.clone(), map: Arc::clone(map), remote });
        found = Some((url, Arc::clone(&others)));
        others
    })
    .await;
    let (url, others) = found.unwrap();
    Node { server, others, url }
}

/// Nothing that it still does is seen by anybody.
async fn stop(node: &Node) {
    node.server.bookie.hold(b"");
    node.server.store.hold(Some(""));
    node.server.shutdown.cancel();
    node.others.remote.close().await;
}

async fn publish(client: &Client, count: u32) {
    let producer = client.producer(SOURCE, ProducerOptions::default()).await.unwrap();
    for number in 0..count {
        let payload = Bytes::from(number.to_string());
        producer.send(OutgoingMetadata::default(), payload).await.await.unwrap();
    }
    producer.close().await.unwrap();
}

async fn subscribe(client: &Client, topic: &str, subscription: &str) -> Consumer {
    let options = ConsumerOptions {
        subscription_type: SubscriptionType::Shared,
        start_at: StartAt::Earliest,
        ..ConsumerOptions::default()
    };
    client.subscribe(topic, subscription, options).await.unwrap()
}

/// Gives back whatever comes.
async fn give_back(mut consumer: Consumer) {
    while let Ok(message) = consumer.receive().await {
        _ = consumer.control().nack(&message.id).await; // The broker may be gone.
    }
}

async fn backlog(cluster: &Cluster) -> u64 {
    let topic = SOURCE.parse().unwrap();
    let stats = cluster.first.server.broker.topic_stats(&topic).await.unwrap();
    stats.subscriptions[0].backlog_entries
}

async fn until_nothing_is_left(env: &Env, cluster: &Cluster) {
    let deadline = env.clock.now() + Duration::from_secs(600);
    while backlog(cluster).await != 0 {
        assert!(env.clock.now() < deadline, "{} are left", backlog(cluster).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What there is, until nothing comes for a while.
async fn all(mut consumer: Consumer) -> Vec<Message> {
    let mut all = Vec::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(5), consumer.receive()).await {
        all.push(next.unwrap());
    }
    all
}

async fn with_dead_letters(cluster: &Cluster) {
    let properties = vec![("geminga.deadLetter.maxRedeliverCount".to_owned(), "1".to_owned())];
    let (source, start) = (SOURCE.parse().unwrap(), CursorStart::Earliest);
    let broker = &cluster.first.server.broker;
    broker.create_topic(&source).await.unwrap();
    broker.create_subscription(&source, "s", start, properties).await.unwrap();
}

fn numbers(messages: &[Message]) -> Vec<u32> {
    let number =
        |message: &Message| std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
    messages.iter().map(number).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_another_brokers_is_looked_up_and_not_loaded() {
    let cluster = Cluster::start(1).await;
    for (node, topic, owner) in [
        (&cluster.first, SOURCE, &cluster.first),
        (&cluster.first, DEAD, &cluster.second),
        (&cluster.second, SOURCE, &cluster.first),
    ] {
        let found = node.server.broker.lookup(&topic.parse().unwrap(), None).await.unwrap();
        assert_eq!(found.broker_url, owner.url);
    }
    let mut client = cluster.second.server.connect().await;
    let refused = client.ask(crate::client::producer(SOURCE, 1, 7)).await;
    let geminga_wire::proto::Body::Error(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.error(), geminga_wire::proto::ServerError::ServiceNotReady);
    assert!(refused.message.contains("Please redo the lookup"), "{}", refused.message);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_go_to_the_broker_that_serves_their_topic() {
    let cluster = Cluster::start(1).await;
    with_dead_letters(&cluster).await;
    let client = cluster.client().await;
    publish(&client, 20).await;
    let consumer = subscribe(&client, SOURCE, "s").await;
    let giver = cluster.first.server.tasks.spawn(give_back(consumer));
    until_nothing_is_left(&cluster.ground.env, &cluster).await;
    giver.abort();
    assert_eq!(cluster.first.server.broker.dead_letters(), (20, 0));
    let dead = all(subscribe(&client, DEAD, "mourners").await).await;
    assert_eq!(numbers(&dead), (0..20).collect::<Vec<_>>());
    for message in &dead {
        assert!(message.producer_name.starts_with(SourcePosition::PRODUCER_PREFIX));
        let of = message.properties.iter().find(|(name, _)| name == "REAL_TOPIC").unwrap();
        assert_eq!(of.1, SOURCE);
    }
    let stats = cluster.second.server.broker.topic_stats(&DEAD.parse().unwrap()).await.unwrap();
    assert_eq!(stats.publishers.len(), 0);
}

/// Goal: published there and not acked here when this one stops: shown once.
#[tokio::test(start_paused = true)]
async fn a_stop_between_publish_and_ack_shows_it_once() {
    let mut cluster = Cluster::start(1).await;
    with_dead_letters(&cluster).await;
    let client = cluster.client().await;
    publish(&client, 20).await;
    let giver = cluster.first.server.tasks.spawn(give_back(subscribe(&client, SOURCE, "s").await));
    let deadline = cluster.ground.env.clock.now() + Duration::from_secs(600);
    while cluster.first.server.broker.dead_letters().0 < 20 {
        assert!(cluster.ground.env.clock.now() < deadline, "they are not published");
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    // The ack waits for its group commit.
    cluster.replace_first().await;
    assert_eq!(backlog(&cluster).await, 20, "the acks were durable");
    until_nothing_is_left(&cluster.ground.env, &cluster).await;
    giver.abort();
    assert_eq!(cluster.first.server.broker.dead_letters().0, 20, "they were not published again");
    let dead = all(subscribe(&client, DEAD, "mourners").await).await;
    assert_eq!(numbers(&dead), (0..20).collect::<Vec<_>>());
}

/// Goal: whichever stops, whenever: each is there once.
#[tokio::test(start_paused = true)]
async fn whoever_stops_each_is_there_once() {
    let seeds = Seeds::of("door-neighbours", 20);
    for seed in seeds.range() {
        let mut random = StdRng::seed_from_u64(seed);
        let mut cluster = Cluster::start(seed).await;
        with_dead_letters(&cluster).await;
        let client = cluster.client().await;
        publish(&client, 200).await;
        let mut giver =
            cluster.first.server.tasks.spawn(give_back(subscribe(&client, SOURCE, "s").await));
        for _ in 0..random.random_range(1..4) {
            tokio::time::sleep(Duration::from_micros(random.random_range(0..40_000))).await;
            if random.random_bool(0.5) {
                cluster.replace_first().await;
            } else {
                cluster.replace_second().await;
            }
            // What it knew the cluster by may be gone.
            giver.abort();
            let client = cluster.client().await;
            giver =
                cluster.first.server.tasks.spawn(give_back(subscribe(&client, SOURCE, "s").await));
        }
        until_nothing_is_left(&cluster.ground.env, &cluster).await;
        giver.abort();
        let client = cluster.client().await;
        let dead = all(subscribe(&client, DEAD, "mourners").await).await;
        let mut found = numbers(&dead);
        found.sort_unstable();
        assert_eq!(found, (0..200).collect::<Vec<_>>(), "seed {seed}");
    }
    seeds.passed("stops of one of two brokers");
}
