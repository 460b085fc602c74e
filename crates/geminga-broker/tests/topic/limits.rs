//! How many producers there may be, and that they encrypt.

use geminga_broker::{
    AccessMode, ProduceError, Producer, ProducerRequest, PublishRate,
    admin::{self, Policies},
};
use geminga_types::NamespaceName;

use crate::{
    client::{Client, publish},
    world::{World, topic},
};

async fn change(world: &World, change: impl FnMut(&mut Policies) + Send) {
    let mut change = change;
    let namespace: NamespaceName = topic("t").namespace().clone();
    let changed = world.broker.change_namespace_policies(&namespace, move |policies| {
        change(policies);
        Ok(())
    });
    changed.await.unwrap();
}

/// A producer of client `id`, from that address.
async fn open(
    client: &Client,
    name: &str,
    id: u64,
    (address, access_mode): (&str, AccessMode),
) -> Result<Producer, ProduceError> {
    let address = address.to_owned();
    let request = ProducerRequest { address, access_mode, ..client.producer_request(id) };
    client.try_produce(name, request).await
}

fn is_busy(result: Result<Producer, ProduceError>) -> bool {
    match result {
        Err(ProduceError::Busy(text)) => text.contains("reached max"),
        other => panic!("expected to be one too many, got {other:?}"),
    }
}

const HERE: (&str, AccessMode) = ("10.0.0.1:1000", AccessMode::Shared);
const HERE_TOO: (&str, AccessMode) = ("10.0.0.1:2000", AccessMode::Shared);
const THERE: (&str, AccessMode) = ("10.0.0.2:1000", AccessMode::Shared);
const WAITING: (&str, AccessMode) = ("10.0.0.1:1000", AccessMode::WaitForExclusive);
const FENCING: (&str, AccessMode) = ("10.0.0.1:1000", AccessMode::ExclusiveWithFencing);

/// Goal: there are never more producers than may be, of either kind of topic; one that leaves makes
/// room, and one that comes again needs none.
#[tokio::test(start_paused = true)]
async fn one_producer_too_many_is_refused() {
    let world = World::with(|options| options.publishing.producers_per_topic_max = 2).await;
    for name in ["t", "non-persistent://public/default/t"] {
        let (client, other) = (world.client(), world.client());
        let first = open(&client, name, 1, HERE).await.unwrap();
        open(&client, name, 2, THERE).await.unwrap();
        assert!(is_busy(open(&other, name, 3, THERE).await));
        let name_of_first = Some(first.name().to_owned());
        let again = ProducerRequest { name: name_of_first, ..client.producer_request(1) };
        let again = client.try_produce(name, again).await.unwrap();
        assert!(is_busy(open(&other, name, 3, THERE).await));
        again.close().await;
        open(&other, name, 3, THERE).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_producer_too_many_of_an_address_is_refused() {
    let world = World::with(|options| options.publishing.producers_per_address_max = 2).await;
    let client = world.client();
    let first = open(&client, "t", 1, HERE).await.unwrap();
    open(&client, "t", 2, HERE_TOO).await.unwrap();
    assert!(is_busy(open(&client, "t", 3, HERE).await));
    open(&client, "t", 3, THERE).await.unwrap();
    first.close().await;
    open(&client, "t", 4, HERE).await.unwrap();
}

/// Goal: who waits for exclusive access counts; who throws all others out is not one too many.
#[tokio::test(start_paused = true)]
async fn who_waits_counts_and_who_fences_does_not() {
    let world = World::with(|options| options.publishing.producers_per_topic_max = 2).await;
    let client = world.client();
    open(&client, "t", 1, HERE).await.unwrap();
    assert!(!open(&client, "t", 2, WAITING).await.unwrap().is_ready());
    assert!(is_busy(open(&client, "t", 3, WAITING).await));
    assert!(open(&client, "t", 4, FENCING).await.unwrap().is_ready());
}

/// Goal: a namespace's limit counts before the broker's, at once, for new producers alone; 0 is none.
#[tokio::test(start_paused = true)]
async fn a_namespaces_limit_of_producers_counts_at_once() {
    let world = World::with(|options| options.publishing.producers_per_topic_max = 2).await;
    let mut client = world.client();
    let first = open(&client, "t", 1, HERE).await.unwrap();
    open(&client, "t", 2, HERE).await.unwrap();
    change(&world, |policies| policies.max_producers_per_topic = Some(1)).await;
    client.quiet().await;
    client.publish(&first, 0..2).await;
    first.close().await;
    assert!(is_busy(open(&client, "t", 3, HERE).await));
    change(&world, |policies| policies.max_producers_per_topic = Some(0)).await;
    client.quiet().await;
    for id in 3..9 {
        open(&client, "t", id, HERE).await.unwrap();
    }
    change(&world, |policies| policies.max_producers_per_topic = None).await;
    client.quiet().await;
    assert!(is_busy(open(&client, "t", 9, HERE).await));
}

async fn open_encrypting(client: &Client, name: &str) -> Result<Producer, ProduceError> {
    let request = ProducerRequest { is_encrypted: true, ..client.producer_request(7) };
    client.try_produce(name, request).await
}

/// Goal: while a namespace requires it, or the broker does, only who encrypts gets in; handles know at
/// once, both ways.
#[tokio::test(start_paused = true)]
async fn who_does_not_encrypt_is_refused_where_that_is_required() {
    let world = World::new().await;
    for name in ["t", "non-persistent://public/default/t"] {
        let mut client = world.client();
        let plain = open(&client, name, 1, HERE).await.unwrap();
        assert!(!plain.must_encrypt());
        change(&world, |policies| policies.encryption_required = true).await;
        client.quiet().await;
        assert!(plain.must_encrypt() && !plain.is_encrypted());
        let refused = open(&client, name, 2, HERE).await.unwrap_err();
        assert_eq!(refused, ProduceError::NotEncrypting(topic(name)));
        assert_eq!(refused.to_string(), format!("Encryption is required in {}", topic(name)));
        assert!(open_encrypting(&client, name).await.unwrap().is_encrypted());
        change(&world, |policies| policies.encryption_required = false).await;
        client.quiet().await;
        assert!(!plain.must_encrypt());
        open(&client, name, 2, HERE).await.unwrap();
    }
    let world = World::with(|options| options.publishing.requires_encryption = true).await;
    let client = world.client();
    let refused = open(&client, "t", 1, HERE).await.unwrap_err();
    assert_eq!(refused, ProduceError::NotEncrypting(topic("t")));
    open_encrypting(&client, "t").await.unwrap();
}

fn rate(messages: i32, bytes: i64) -> admin::PublishRate {
    admin::PublishRate {
        publish_throttling_rate_in_msg: messages,
        publish_throttling_rate_in_byte: bytes,
        ..admin::PublishRate::default()
    }
}

/// Goal: a namespace's publish rate counts before the broker's, at once; without limits it is none. Who
/// has to wait is counted.
#[tokio::test(start_paused = true)]
async fn a_namespaces_publish_rate_counts_at_once() {
    let per_second = PublishRate { messages: Some(1), bytes: None };
    let world = World::with(|options| options.publishing.topic_rate = per_second).await;
    let cluster = world.broker.options().cluster.clone();
    for name in ["t", "non-persistent://public/default/t"] {
        let mut client = world.client();
        let producer = client.produce(name).await;
        let batch: Vec<_> = (0..9).map(publish).collect();
        let admitted = async || {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            producer.admit_now(&batch)
        };
        assert_eq!(admitted().await, 1, "the broker's");
        for (given, expected) in [(rate(40, -1), 5), (rate(0, 1), 1), (rate(0, -1), 1)] {
            let insert = |policies: &mut Policies| {
                policies.publish_rate.insert(cluster.clone(), given.clone());
            };
            change(&world, insert).await;
            client.quiet().await;
            assert_eq!(admitted().await, expected, "{given:?}");
        }
        let stats = world.broker.topic_stats(&topic(name)).await.unwrap();
        assert_eq!(stats.publish_limited_times, 4);
        change(&world, |policies| policies.publish_rate.clear()).await;
    }
}
