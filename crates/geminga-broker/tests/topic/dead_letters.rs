//! Dead letters: what consumers give back too often goes to another topic.

use std::time::Duration;

use geminga_broker::{
    AdminError, Consumer, DeadLettersExplanation, OutMessage, Outgoing, ProducerRequest, Schema,
    SchemaVersion, SubscribeError, SubscribeRequest, SubscriptionKind, admin::CursorStart,
};
use geminga_types::Position;
use geminga_wire::{entry::EntryMeta, proto::MessageMetadata};
use prost::Message as _;

use crate::{
    bookie::Adds,
    client::{Client, ack, publish},
    store::Writes,
    world::{World, topic},
};

const DLQ: &str = "t-s-DLQ";

/// Types of schemas.
const AVRO: i32 = 4;
const INT16: i32 = 7;
const OTHER: &str = r#"{"type": "record", "name": "R", "fields": []}"#;
const OURS: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "a", "type": "int", "default": 0}]}"#;

fn policy(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let all = [("maxRedeliverCount", "1")].iter().chain(more);
    all.map(|(name, value)| (format!("geminga.deadLetter.{name}"), (*value).to_owned())).collect()
}

async fn shared(client: &Client, more: &[(&str, &str)]) -> Consumer {
    let request = SubscribeRequest {
        kind: SubscriptionKind::Shared,
        subscription_properties: policy(more),
        ..client.subscribe_request(1, "s")
    };
    client.try_subscribe("t", request).await.unwrap()
}

/// Receives so many messages and gives them back, until they are dead.
async fn kill(client: &mut Client, consumer: &Consumer, count: usize) -> Vec<Position> {
    consumer.flow(1_000).await;
    let mut positions = Vec::new();
    for _ in 0..2 {
        let messages = client.messages(count).await;
        positions = messages.iter().map(|message| message.position).collect();
        consumer.redeliver(Some(positions.clone()), None).await;
    }
    positions
}

/// What comes to the dead-letter topic, with the sequence ids of the messages that they were.
async fn dead(world: &World, name: &str, count: usize) -> Vec<MessageMetadata> {
    let mut client = world.client();
    let reader = client.read(name, 9).await;
    reader.flow(1_000).await;
    let messages = client.messages(count).await;
    client.quiet().await;
    reader.close().await;
    messages.iter().map(metadata).collect()
}

fn metadata(message: &OutMessage) -> MessageMetadata {
    let meta = EntryMeta::parse(&message.entry).unwrap();
    MessageMetadata::decode(&message.entry[meta.header.metadata]).unwrap()
}

fn origins(dead: &[MessageMetadata]) -> Vec<String> {
    let origin = |metadata: &MessageMetadata| {
        let found = metadata.properties.iter().find(|it| it.key == "ORIGIN_MESSAGE_ID");
        found.unwrap().value.clone()
    };
    dead.iter().map(origin).collect()
}

fn ids(positions: &[Position]) -> Vec<String> {
    let id = |at: &Position| format!("{}:{}:-1", at.ledger_id.0, at.entry_id.0);
    positions.iter().map(id).collect()
}

async fn explained(world: &World) -> DeadLettersExplanation {
    let found = world.broker.explain_subscription(&topic("t"), "s").await.unwrap();
    found[0].dead_letters.clone().unwrap()
}

async fn backlog(world: &World) -> u64 {
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    stats.subscriptions[0].backlog_entries
}

/// Waits until so many entries are not acked.
async fn until_backlog(world: &World, wanted: u64) {
    let deadline = world.env.clock.now() + Duration::from_secs(300);
    while backlog(world).await != wanted {
        assert!(world.env.clock.now() < deadline, "{} and not {wanted}", backlog(world).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_too_often_is_published_in_order_and_acked() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..12).await;
    let consumer = shared(&client, &[("initialSubscription", "mourners")]).await;
    kill(&mut client, &consumer, 12).await;
    until_backlog(&world, 0).await;
    client.quiet().await;
    let dead = dead(&world, DLQ, 12).await;
    assert_eq!(origins(&dead), ids(&positions));
    assert_eq!(
        dead[0].producer_name,
        "geminga.sourced:dead-letter/persistent://public/default/t/s"
    );
    let stats = world.broker.topic_stats(&topic(DLQ)).await.unwrap();
    assert_eq!(stats.subscriptions[0].name, "mourners");
    assert_eq!(stats.subscriptions[0].backlog_entries, 12);
    assert_eq!(stats.publishers.len(), 0);
    assert_eq!(world.broker.dead_letters(), (12, 0));
    let explained = explained(&world).await;
    assert_eq!((explained.published_messages, explained.failure), (12, None));
}

#[tokio::test(start_paused = true)]
async fn a_bad_policy_is_refused_when_the_subscription_is_made() {
    let world = World::new().await;
    let client = world.client();
    client.produce("t").await;
    let (of, start) = (topic("t"), CursorStart::Earliest);
    let bad = vec![("geminga.deadLetter.maxRedeliverCount".to_owned(), "0".to_owned())];
    let made = world.broker.create_subscription(&of, "s", start, bad);
    let refusal = made.await.unwrap_err();
    assert!(
        matches!(&refusal, AdminError::Invalid(text) if text.contains("is \"0\"")),
        "{refusal}"
    );
    let request = SubscribeRequest {
        kind: SubscriptionKind::Shared,
        subscription_properties: policy(&[("topic", "t")]),
        ..client.subscribe_request(1, "s")
    };
    let refusal = client.try_subscribe("t", request.clone()).await.unwrap_err();
    assert!(refusal.to_string().contains("the subscription's own topic"), "{refusal}");
    for (kind, is_durable) in [
        (SubscriptionKind::Exclusive, true),
        (SubscriptionKind::Failover, true),
        (SubscriptionKind::Shared, false),
    ] {
        let subscription_properties = policy(&[]);
        let request =
            SubscribeRequest { kind, is_durable, subscription_properties, ..request.clone() };
        let refusal = client.try_subscribe("t", request).await.unwrap_err();
        assert!(matches!(refusal, SubscribeError::NotAllowed(_)), "{refusal}");
    }
    assert_eq!(world.broker.subscriptions(&topic("t")).await.unwrap(), Vec::<String>::new());
    let made = world.broker.create_subscription(&of, "s", start, policy(&[]));
    made.await.unwrap();
    let refusal = client.try_subscribe("t", client.subscribe_request(1, "s")).await.unwrap_err();
    assert!(matches!(refusal, SubscribeError::NotAllowed(_)), "{refusal}");
}

/// Goal: what cannot be published stays, says why, hinders nobody, and goes once it can be.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_hinders_nobody() {
    let world = World::with(|options| options.auto_topic_creation = false).await;
    world.broker.create_topic(&topic("t")).await.unwrap();
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = shared(&client, &[]).await;
    let dead_ones = client.publish(&producer, 0..2).await;
    kill(&mut client, &consumer, 2).await;
    client.quiet().await;
    let before = explained(&world).await;
    assert!(before.failure.as_ref().unwrap().contains("does not exist"), "{before:?}");
    assert_eq!((before.waiting_entries + before.out_entries, before.published_messages), (2, 0));
    // The others go on.
    producer.publish(vec![publish(2)]).await.unwrap();
    let mut live = None;
    while live.is_none() {
        if let Outgoing::Messages { messages, .. } = client.next().await {
            live = Some(messages[0].position);
        }
    }
    consumer.ack(ack(&[live.unwrap()], None)).await;
    tokio::time::sleep(Duration::from_secs(180)).await;
    let later = explained(&world).await;
    assert_eq!(later.failing_since, before.failing_since);
    let (_, failures) = world.broker.dead_letters();
    assert!((7..=12).contains(&failures), "tried {failures} times in three minutes");
    world.broker.create_topic(&topic(DLQ)).await.unwrap();
    until_backlog(&world, 0).await;
    assert_eq!(explained(&world).await.failure, None);
    assert_eq!(origins(&dead(&world, DLQ, 2).await), ids(&dead_ones));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_it_is_published_all_the_same() {
    let world = World::with(|options| options.auto_topic_creation = false).await;
    world.broker.create_topic(&topic("t")).await.unwrap();
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = shared(&client, &[]).await;
    let positions = client.publish(&producer, 0..3).await;
    kill(&mut client, &consumer, 3).await;
    client.quiet().await;
    let world = world.crash(|_| {}).await;
    let mut client = world.client();
    let consumer = shared(&client, &[]).await;
    consumer.flow(1_000).await;
    until_backlog(&world, 0).await;
    client.quiet().await;
    assert_eq!(origins(&dead(&world, DLQ, 3).await), ids(&positions));
}

/// Goal: what was published when the broker stopped, and not yet durably acked, is there once: it goes to no
/// consumer again, and is known when it is published again.
#[tokio::test(start_paused = true)]
async fn a_crash_between_publish_and_ack_shows_it_once() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = shared(&client, &[]).await;
    let positions = client.publish(&producer, 0..20).await;
    kill(&mut client, &consumer, 20).await;
    // Published in an instant; the ack waits for its group commit.
    while world.broker.dead_letters().0 < 20 {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    world.bookie.set_adds(Adds::Held);
    let world = world.crash(|_| {}).await;
    world.bookie.set_adds(Adds::Stored);
    let mut client = world.client();
    let consumer = shared(&client, &[]).await;
    assert_eq!(backlog(&world).await, 20, "the acks were not durable");
    consumer.flow(100).await;
    until_backlog(&world, 0).await;
    client.quiet().await;
    assert_eq!(world.broker.dead_letters(), (20, 0));
    assert_eq!(origins(&dead(&world, DLQ, 20).await), ids(&positions));
}

#[tokio::test(start_paused = true)]
async fn a_topic_with_partitions_gets_all_of_one_source_in_one_of_them() {
    let world = World::new().await;
    world.broker.create_partitioned_topic(&topic(DLQ), 3, None).await.unwrap();
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..5).await;
    let consumer = shared(&client, &[]).await;
    kill(&mut client, &consumer, 5).await;
    until_backlog(&world, 0).await;
    let partition = format!("{DLQ}-partition-0");
    assert_eq!(origins(&dead(&world, &partition, 5).await), ids(&positions));
}

/// Publishes a message in a schema of text, which dies; its version.
async fn die_with_schema(world: &World, text: &'static str) -> SchemaVersion {
    let mut client = world.client();
    let request =
        ProducerRequest { schema: Some(schema(AVRO, text)), ..client.producer_request(1) };
    let producer = client.try_produce("t", request).await.unwrap();
    let version = producer.schema_version().unwrap();
    let consumer = shared(&client, &[]).await;
    let written = crate::client::publish_with(0, |metadata| {
        metadata.schema_version = Some(bytes::Bytes::copy_from_slice(&version.to_bytes()));
    });
    producer.publish(vec![written]).await.unwrap();
    assert!(matches!(client.next().await, Outgoing::Receipts { .. }));
    kill(&mut client, &consumer, 1).await;
    until_backlog(world, 0).await;
    version
}

fn schema(kind: i32, text: &'static str) -> Schema {
    let data = bytes::Bytes::from_static(text.as_bytes());
    Schema { name: "n".to_owned(), kind, data, properties: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn a_message_keeps_its_schema() {
    let world = World::new().await;
    // Another schema is the first there, so that versions differ.
    world.broker.post_schema(&topic(DLQ), schema(AVRO, OTHER)).await.unwrap();
    let version = die_with_schema(&world, OURS).await;
    let dead = dead(&world, DLQ, 1).await;
    let found = world.broker.schema(&topic(DLQ), None).await.unwrap();
    assert_eq!((found.schema, found.version.0, version.0), (schema(AVRO, OURS), 1, 0));
    assert_eq!(dead[0].schema_version.as_deref(), Some(&found.version.to_bytes()[..]));
}

/// Goal: what the target cannot take as it is does not stay for ever, nor what is behind it.
#[tokio::test(start_paused = true)]
async fn a_schema_that_is_refused_is_left_out() {
    let world = World::new().await;
    world.broker.post_schema(&topic(DLQ), schema(INT16, "")).await.unwrap();
    die_with_schema(&world, OURS).await;
    let dead = dead(&world, DLQ, 1).await;
    assert_eq!(dead[0].schema_version, None);
    let told = dead[0].properties.iter().find(|it| it.key == "geminga.deadLetter.schema");
    assert_eq!(told.unwrap().value, "refused");
}

/// Goal: a target that hangs does not take an unload the time to store the acks of others.
#[tokio::test(start_paused = true)]
async fn an_unload_does_not_wait_for_a_target_that_hangs() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = shared(&client, &[]).await;
    client.publish(&producer, 0..1).await;
    world.store.set_writes(DLQ, Writes::Lost);
    kill(&mut client, &consumer, 1).await;
    let before = world.env.clock.now();
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let took = world.env.clock.now() - before;
    assert!(took < Duration::from_secs(6), "{took:?}");
}

/// Goal: an unload in the middle of it waits for the answer, so that nothing is published twice.
#[tokio::test(start_paused = true)]
async fn an_unload_waits_for_what_is_being_published() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = shared(&client, &[]).await;
    let positions = client.publish(&producer, 0..4).await;
    kill(&mut client, &consumer, 4).await;
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let client = world.client();
    let consumer = shared(&client, &[]).await;
    consumer.flow(10).await;
    until_backlog(&world, 0).await;
    assert_eq!(origins(&dead(&world, DLQ, 4).await), ids(&positions));
}
