//! What the broker notes of entries: their time and their index.

use std::time::Duration;

use bytes::Bytes;
use geminga_broker::{BrokerMetadataOptions, Options, OutMessage, Outgoing, Producer, Publish};
use geminga_types::Position;
use geminga_wire::entry::{BrokerMeta, EntryMeta};

use crate::{
    bookie::Adds,
    client::{Client, ack, publish, publish_with},
    world::{World, topic},
};

const BOTH: BrokerMetadataOptions = BrokerMetadataOptions { timestamp: true, index: true };

fn both(options: &mut Options) {
    options.broker_metadata = BOTH;
    options.managed_ledger.retention_time = None;
    options.managed_ledger.retention_bytes = None;
}

fn noted(message: &OutMessage) -> BrokerMeta {
    if message.front.is_empty() {
        return BrokerMeta::parse(&message.entry).unwrap();
    }
    assert!(BrokerMeta::parse(&message.entry).unwrap() == BrokerMeta::default());
    BrokerMeta::parse(&message.front).unwrap()
}

fn indexes(messages: &[OutMessage]) -> Vec<Option<u64>> {
    messages.iter().map(|message| noted(message).index).collect()
}

/// What is stored, as a reader from the beginning gets it.
async fn all_indexes(world: &World, name: &str) -> Vec<Option<u64>> {
    let mut client = world.client();
    let reader = client.read(name, 9).await;
    reader.flow(1_000).await;
    let found = indexes(&client.all_messages().await);
    reader.close().await;
    found
}

fn batch(number: u64, messages: u32) -> Publish {
    let count = i32::try_from(messages).unwrap();
    let publish = publish_with(number, |metadata| metadata.num_messages_in_batch = Some(count));
    Publish { messages, ..publish }
}

async fn publish_all(client: &mut Client, producer: &Producer, batch: Vec<Publish>) {
    let mut left = batch.len();
    producer.publish(batch).await.unwrap();
    while 0 < left {
        match client.next().await {
            Outgoing::Receipts { receipts, .. } => left -= receipts.len(),
            other => panic!("expected receipts, got {other:?}"),
        }
    }
}

fn some(indexes: impl IntoIterator<Item = u64>) -> Vec<Option<u64>> {
    indexes.into_iter().map(Some).collect()
}

#[tokio::test(start_paused = true)]
async fn an_entry_gets_the_index_of_its_last_message_and_the_brokers_time() {
    let world = World::with(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let mut other = world.client();
    let reader = other.read("t", 1).await;
    reader.flow(100).await;
    tokio::time::advance(Duration::from_secs(77)).await;
    let now = world.env.clock.wall().0;
    publish_all(&mut client, &producer, vec![publish(0), batch(1, 3), batch(4, 1), publish(5)])
        .await;
    let messages = other.messages(4).await;
    assert_eq!(indexes(&messages), some([0, 3, 4, 5]));
    for message in &messages {
        assert_eq!(noted(message).timestamp, Some(now));
        assert!(
            !message.front.is_empty(),
            "it comes from the tail cache, where nothing was joined"
        );
    }
    let plain: Bytes = publish(0).entry;
    assert_eq!(messages[0].entry, plain);
    // And as they are stored.
    let world = world.crash(both).await;
    let mut client = world.client();
    let reader = client.read("t", 1).await;
    reader.flow(100).await;
    let stored = client.messages(4).await;
    for (message, stored) in messages.iter().zip(&stored) {
        assert!(stored.front.is_empty());
        assert_eq!(stored.entry, [&message.front[..], &message.entry].concat());
        let meta = EntryMeta::parse(&stored.entry).unwrap();
        assert_eq!(meta.published_at(), now);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_noted_unless_that_is_set() {
    for (timestamp, index) in [(false, false), (true, false), (false, true)] {
        let set = |options: &mut Options| {
            both(options);
            options.broker_metadata = BrokerMetadataOptions { timestamp, index };
        };
        let world = World::with(set).await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        let mut other = world.client();
        let reader = other.read("t", 1).await;
        reader.flow(100).await;
        client.publish(&producer, 0..2).await;
        let messages = other.messages(2).await;
        let noted = noted(&messages[1]);
        assert_eq!((noted.timestamp.is_some(), noted.index.is_some()), (timestamp, index));
        assert_eq!(messages[1].front.is_empty(), !timestamp && !index);
    }
}

#[tokio::test(start_paused = true)]
async fn indexes_go_on_after_unloads_and_crashes_over_many_ledgers() {
    let mut world = World::with(both).await;
    let mut expected = 0..0;
    for round in 0..6 {
        let mut client = world.client();
        let producer = client.produce("t").await;
        // Of 5 entries each: some rounds end with a full ledger, some within one.
        client.publish(&producer, 0..4 + round).await;
        expected.end += 4 + round;
        assert_eq!(all_indexes(&world, "t").await, some(expected.clone()), "round {round}");
        drop(producer);
        if round % 2 == 0 {
            world = world.crash(both).await;
        } else {
            world.broker.unload_topic(&topic("t")).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn indexes_go_on_after_everything_was_acked_and_trimmed() {
    let set = |options: &mut Options| options.broker_metadata = BOTH;
    let world = World::with(set).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = client.subscribe("t", 1, "s").await;
    consumer.flow(100).await;
    producer.publish((0..12).map(publish).collect()).await.unwrap();
    let mut positions: Vec<Position> = Vec::new();
    while positions.len() < 12 {
        match client.next().await {
            Outgoing::Messages { messages, .. } => {
                positions.extend(messages.iter().map(|message| message.position));
            }
            Outgoing::Receipts { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    consumer.ack(ack(&positions, Some(5))).await;
    while !matches!(client.next().await, Outgoing::AckDone { request_id: 5, .. }) {}
    tokio::time::sleep(Duration::from_secs(120)).await;
    consumer.close().await;
    drop(producer);
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let world = world.crash(set).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let reader = client.read("t", 7).await;
    reader.flow(100).await;
    let stored = client.all_messages().await;
    assert!(stored.len() < 5, "{} entries are left", stored.len());
    publish_all(&mut client, &producer, vec![publish(20)]).await;
    let found = client.messages(1).await;
    assert_eq!(indexes(&found), some([12]));
}

#[tokio::test(start_paused = true)]
async fn a_failed_append_leaves_a_gap_and_no_index_comes_twice() {
    let world = World::with(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..3).await;
    world.bookie.set_adds(Adds::Failed);
    producer.publish(vec![publish(3), batch(4, 10)]).await.unwrap();
    while !matches!(client.next().await, Outgoing::SendFailed { .. }) {}
    world.bookie.set_adds(Adds::Stored);
    drop(producer);
    let mut client = world.client();
    let found = loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let producer = client.produce("t").await;
        producer.publish(vec![publish(5)]).await.unwrap();
        if matches!(client.next().await, Outgoing::Receipts { .. }) {
            break all_indexes(&world, "t").await;
        }
    };
    assert_eq!(found[..3], some(0..3));
    let next = found[3].unwrap();
    assert!((14..40).contains(&next), "{next}");
    let world = world.crash(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..1).await;
    assert_eq!(all_indexes(&world, "t").await[4], Some(next + 1));
}

#[tokio::test(start_paused = true)]
async fn entries_with_and_without_mix_as_the_setting_changes() {
    let off = |options: &mut Options| {
        both(options);
        options.broker_metadata = BrokerMetadataOptions::default();
    };
    let mut world = World::with(off).await;
    let mut expected = Vec::new();
    let mut next = 0;
    for (round, is_on) in
        [false, true, false, false, true, true, false, true].into_iter().enumerate()
    {
        world = if is_on { world.crash(both).await } else { world.crash(off).await };
        let mut client = world.client();
        let producer = client.produce("t").await;
        client.publish(&producer, 0..7).await;
        for _ in 0..7 {
            expected.push(is_on.then_some(next));
            next += u64::from(is_on);
        }
        assert_eq!(all_indexes(&world, "t").await, expected, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_whose_last_index_cannot_be_read_is_not_loaded_unless_nobody_wants_it() {
    let world = World::with(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..3).await;
    let world = world.crash(both).await;
    // Recovered, and closed.
    drop(world.client().produce("t").await);
    world.broker.unload_topic(&topic("t")).await.unwrap();
    world.bookie.withhold(positions[0].ledger_id);
    let world = world.crash(both).await;
    let client = world.client();
    let refused = client.try_produce("t", client.producer_request(1)).await.unwrap_err();
    assert!(refused.to_string().contains("the last message's index"), "{refused}");
    let off = |options: &mut Options| options.broker_metadata = BrokerMetadataOptions::default();
    let world = world.crash(off).await;
    world.client().produce("t").await;
}
