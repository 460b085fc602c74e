//! What the broker notes of entries: their time and their index.

use std::time::Duration;

use bytes::Bytes;
use geminga_broker::{
    AdminError, BrokerMetadataOptions, CompactionStatus, Options, OutMessage, Outgoing, Producer,
    Publish, SeekTo,
};
use geminga_types::Position;
use geminga_wire::entry::{BrokerMeta, EntryMeta};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    bookie::Adds,
    client::{Client, ack, publish, publish_at, publish_with},
    keyed::{all_seen, item},
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

async fn at_index(world: &World, index: u64) -> Option<Position> {
    match world.broker.position_of_index(&topic("t"), index).await {
        Ok(position) => Some(position),
        Err(AdminError::NotFound(_)) => None,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_found_by_its_index_with_few_reads() {
    let world = World::with(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    assert_eq!(at_index(&world, 0).await, None);
    // 60 ledgers of 5 entries, each of up to 3 messages.
    let mut at = Vec::new();
    for number in 0..300 {
        let messages = u32::try_from(number % 3).unwrap() + 1;
        producer.publish(vec![batch(number, messages)]).await.unwrap();
        let Outgoing::Receipts { receipts, .. } = client.next().await else { panic!() };
        at.extend((0..messages).map(|_| receipts[0].position));
    }
    for index in (0..at.len()).step_by(7).chain(at.len() - 8..at.len()) {
        let before = world.bookie.entries_read();
        assert_eq!(at_index(&world, index as u64).await, Some(at[index]), "{index}");
        let reads = world.bookie.entries_read() - before;
        assert!(reads <= 6 + 3 + 2, "{reads} reads");
    }
    assert_eq!(at_index(&world, at.len() as u64).await, None);
    assert_eq!(at_index(&world, u64::MAX).await, None);
}

/// Rounds that give indexes or do not; after each, every index is looked for.
#[tokio::test(start_paused = true)]
async fn a_message_is_found_by_its_index_among_entries_without() {
    let off = |options: &mut Options| {
        both(options);
        options.broker_metadata = BrokerMetadataOptions::default();
    };
    for seed in 0..8_u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::with(off).await;
        let mut at = Vec::new();
        for round in 0..8 {
            let is_on = rng.random_bool(0.5);
            world = if is_on { world.crash(both).await } else { world.crash(off).await };
            let mut client = world.client();
            let producer = client.produce("t").await;
            for number in 0..rng.random_range(1..20) {
                let messages = rng.random_range(1..4);
                producer.publish(vec![batch(number, messages)]).await.unwrap();
                let Outgoing::Receipts { receipts, .. } = client.next().await else { panic!() };
                if is_on {
                    at.extend((0..messages).map(|_| receipts[0].position));
                }
            }
            if !is_on {
                let refused = world.broker.position_of_index(&topic("t"), 0).await.unwrap_err();
                assert!(matches!(refused, AdminError::Invalid(_)), "{refused}");
                world = world.crash(both).await;
                world.client().produce("t").await;
            }
            for (index, position) in (0..).zip(&at) {
                let found = at_index(&world, index).await;
                assert_eq!(found, Some(*position), "seed {seed}, round {round}, index {index}");
            }
            assert_eq!(at_index(&world, at.len() as u64).await, None, "seed {seed}, round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_trimmed_is_found_at_the_earliest_and_one_in_a_gap_behind_it() {
    let set = |options: &mut Options| options.broker_metadata = BOTH;
    let world = World::with(set).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let mut positions = client.publish(&producer, 0..12).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    // Nobody needs what is before the open ledger.
    assert_eq!(at_index(&world, 0).await, Some(Position::EARLIEST));
    assert_eq!(at_index(&world, 9).await, Some(Position::EARLIEST));
    assert_eq!(at_index(&world, 10).await, Some(positions[10]));
    world.bookie.set_adds(Adds::Failed);
    producer.publish(vec![batch(12, 5)]).await.unwrap();
    while !matches!(client.next().await, Outgoing::SendFailed { .. }) {}
    world.bookie.set_adds(Adds::Stored);
    let mut other = world.client();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let producer = other.produce("t").await;
    positions.extend(other.publish(&producer, 0..1).await);
    assert_eq!(at_index(&world, 11).await, Some(positions[11]));
    for index in 12..18 {
        assert_eq!(at_index(&world, index).await, Some(positions[12]), "{index}");
    }
    assert_eq!(at_index(&world, 18).await, None);
}

/// Producers' clocks say what they like: here each message is older than the one before.
#[tokio::test(start_paused = true)]
async fn times_are_the_brokers_where_it_noted_them() {
    let world = World::with(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let mut times = Vec::new();
    for number in 0..12 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        times.push(world.env.clock.wall().0);
        publish_all(&mut client, &producer, vec![publish_at(number, 1_000 - number)]).await;
    }
    let world = world.crash(both).await;
    let mut client = world.client();
    for first in [0, 3, 7, 11] {
        let consumer = client.subscribe("t", 1, "s").await;
        consumer.seek(SeekTo::PublishTime(times[first])).await.unwrap();
        client.consumer_closed().await;
        let consumer = client.subscribe("t", 1, "s").await;
        consumer.flow(100).await;
        let found = indexes(&client.all_messages().await);
        assert_eq!(found, some(first as u64..12));
        consumer.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn messages_live_from_when_the_broker_took_them() {
    let set = |options: &mut Options| {
        both(options);
        options.message_ttl = Some(Duration::from_secs(100));
    };
    let world = World::with(set).await;
    let mut client = world.client();
    let mut other = world.client();
    let reader = other.read("t", 1).await;
    reader.flow(100).await;
    let producer = client.produce("t").await;
    let mut live = world.client();
    let at_once = live.subscribe("t", 1, "live").await;
    at_once.flow(100).await;
    // By its producer's clock from 1970, by another's from the year 2100.
    let late = 4_102_444_800_000;
    publish_all(&mut client, &producer, vec![publish_at(0, 0), publish_at(1, late)]).await;
    assert_eq!(indexes(&other.messages(2).await), some([0, 1]));
    assert_eq!(indexes(&live.messages(2).await), some([0, 1]), "from the tail cache");
    let consumer = other.subscribe("t", 2, "s").await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    publish_all(&mut client, &producer, vec![publish_at(2, 0)]).await;
    assert_eq!(indexes(&other.messages(1).await), some([2]));
    tokio::time::sleep(Duration::from_secs(70)).await;
    consumer.flow(100).await;
    assert_eq!(indexes(&other.messages(1).await), some([2]));
}

#[tokio::test(start_paused = true)]
async fn a_compacted_topic_keeps_what_was_noted() {
    let world = World::with(both).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish_keyed(&producer, &[("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")]).await;
    client.publish_items(&producer, 4, &[item("d", "1"), item("b", "2")], true).await;
    world.broker.compact(&topic("t")).await.unwrap();
    let deadline = world.env.clock.now() + Duration::from_secs(60);
    while world.broker.compaction_status(&topic("t")).await.unwrap() != CompactionStatus::Success {
        assert!(world.env.clock.now() < deadline, "never compacted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut other = world.client();
    let reader = other.read_compacted("t", 1).await;
    reader.flow(100).await;
    let messages = other.all_messages().await;
    assert_eq!(indexes(&messages), some([2, 3, 5]));
    assert!(messages.iter().all(|message| noted(message).timestamp.is_some()));
    assert_eq!(all_seen(&messages).len(), 4);
}
