//! Delayed delivery beyond what a subscription holds: buckets made, read, merged, lost and let go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use geminga_broker::{
    Consumer, DelayedDeliveryOptions, Outgoing, Producer, Publish, SubscribeRequest,
    SubscriptionKind,
    admin::{DelayedDeliveryPolicies, Policies},
};
use geminga_checksum::Sum;
use geminga_metadata::{
    paths,
    values::{
        delayed::{self, DelayedBucket},
        managed_ledger::{decode_cursor, decode_ledger},
    },
};
use geminga_types::{LedgerId, Position};
use geminga_wire::{entry::encode_entry, proto::MessageMetadata};

use crate::{
    bookie::Adds,
    client::{Client, ack, publish},
    world::{World, topic},
};

/// No message is later than this.
const LATE_MAX: u64 = 1_000;
/// Longer than closed ledgers wait to be looked over.
const TRIMMED: Duration = Duration::from_secs(130);
const HELD: usize = 8;

fn small() -> DelayedDeliveryOptions {
    DelayedDeliveryOptions {
        bucket_entries_min: 10,
        buckets_max: 3,
        held_entries_max: HELD,
        ..DelayedDeliveryOptions::default()
    }
}

async fn world() -> World {
    World::with(|options| options.delayed = small()).await
}

/// A message that is not to be delivered before `due`.
fn delayed(number: u64, due: u64) -> Publish {
    let metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id: number,
        publish_time: 1,
        deliver_at_time: Some(i64::try_from(due).unwrap()),
        ..MessageMetadata::default()
    };
    let entry = encode_entry(&metadata, b"m");
    let sum = Sum::of(&entry);
    Publish { sum, entry, deliver_at: Some(due), ..publish(number) }
}

/// Mixed: message `n` of `count` is due as the `order(n)`th, tenths of a second apart.
const fn order(n: u64, count: u64) -> u64 {
    n * 37 % count
}

/// Publishes `count` messages that are due from `after` milliseconds on; when each is due.
async fn publish_delayed(
    world: &World,
    client: &mut Client,
    producer: &Producer,
    count: u64,
    after: u64,
) -> BTreeMap<Position, u64> {
    let begin = world.env.clock.wall().0 + after;
    let mut dues = BTreeMap::new();
    for number in 0..count {
        let due = begin + order(number, count) * 100;
        producer.publish(vec![delayed(number, due)]).await.unwrap();
        match client.next().await {
            Outgoing::Receipts { receipts, .. } => {
                dues.insert(receipts[0].position, due);
            }
            other => panic!("expected a receipt of {number}, got {other:?}"),
        }
    }
    dues
}

async fn subscribe(client: &Client, name: &str, subscription: &str) -> Consumer {
    let request = client.subscribe_request(1, subscription);
    let request = SubscribeRequest { kind: SubscriptionKind::Shared, ..request };
    let consumer = client.try_subscribe(name, request).await.unwrap();
    consumer.flow(1_000).await;
    consumer
}

/// Receives `count` messages, each of which must be in `dues`, in time, and once.
async fn receive(
    world: &World,
    client: &mut Client,
    consumer: &Consumer,
    dues: &mut BTreeMap<Position, u64>,
    count: usize,
) {
    let mut received = 0;
    while received < count {
        let Outgoing::Messages { messages, .. } = client.next_within(TRIMMED).await else {
            panic!("something else than messages came");
        };
        let now = world.env.clock.wall().0;
        let positions: Vec<Position> = messages.iter().map(|message| message.position).collect();
        for position in &positions {
            let due = dues.remove(position);
            let due = due.unwrap_or_else(|| panic!("{position} came twice or is not delayed"));
            assert!(due <= now, "{position} is {} ms early", due - now);
            assert!(now <= due + LATE_MAX, "{position} is {} ms late", now - due);
        }
        received += positions.len();
        consumer.ack(ack(&positions, None)).await;
    }
    assert_eq!(received, count);
}

async fn buckets(world: &World, name: &str) -> Vec<DelayedBucket> {
    let value = world.store.value(&paths::managed_ledger(&topic(name))).await.unwrap();
    delayed::buckets(&decode_ledger(value).unwrap()).unwrap()
}

/// Waits until buckets cover all but less than what makes one.
async fn indexed(world: &World, name: &str, count: u64) -> Vec<DelayedBucket> {
    for _ in 0..50_000 {
        let buckets = buckets(world, name).await;
        let records: u64 = buckets.iter().map(|bucket| bucket.records).sum();
        if count < records + 10 && buckets.len() <= 3 {
            return buckets;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never indexed: {:?}", buckets(world, name).await);
}

async fn msg_delayed(world: &World, name: &str) -> u64 {
    world.broker.topic_stats(&topic(name)).await.unwrap().subscriptions[0].delayed_entries
}

/// Waits until the subscription knows, or has parked, so many delayed messages.
async fn until_delayed(world: &World, name: &str, count: u64) {
    for _ in 0..10_000 {
        if msg_delayed(world, name).await == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} of {count} delayed messages are known", msg_delayed(world, name).await);
}

/// Ledgers with entries that no key of the topic names.
async fn strays(world: &World, name: &str, subscriptions: &[&str]) -> BTreeSet<LedgerId> {
    let path = paths::managed_ledger(&topic(name));
    let info = decode_ledger(world.store.value(&path).await.unwrap()).unwrap();
    let listed = info.ledger_info.iter().map(|ledger| LedgerId(ledger.ledger_id));
    let mut named: BTreeSet<LedgerId> = listed.chain(delayed::ledgers(&info).unwrap()).collect();
    for subscription in subscriptions {
        let cursor = world.store.value(&format!("{path}/{subscription}")).await.unwrap();
        named.insert(LedgerId(decode_cursor(cursor).unwrap().cursors_ledger_id));
    }
    world.bookie.ledgers().difference(&named).copied().collect()
}

#[tokio::test(start_paused = true)]
async fn more_than_is_held_come_once_and_in_time() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 200, 60_000).await;
    let buckets = indexed(&world, "t", 200).await;
    assert!(buckets.len() <= 3, "neighbours are merged: {buckets:?}");
    until_delayed(&world, "t", 200).await;
    let explained = world.broker.explain_subscription(&topic("t"), "sub").await.unwrap();
    assert!(150 < explained[0].parked_entries, "{explained:?}");
    receive(&world, &mut client, &consumer, &mut dues, 200).await;
    assert_eq!(dues, BTreeMap::new());
    client.quiet().await;
}

/// Goal: after a crash the topic is not read to find out what is delayed. Method: the bookie counts.
#[tokio::test(start_paused = true)]
async fn after_a_crash_delayed_messages_are_not_read_to_find_them() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 400, 60_000).await;
    indexed(&world, "t", 400).await;
    drop(consumer);
    let world = world.crash(|options| options.delayed = small()).await;
    let mut client = world.client();
    let before = world.bookie.entries_read();
    let consumer = subscribe(&client, "t", "sub").await;
    until_delayed(&world, "t", 400).await;
    let read = world.bookie.entries_read() - before;
    assert!(read < 100, "{read} entries were read");
    receive(&world, &mut client, &consumer, &mut dues, 150).await;
    drop(consumer);
    let world = world.crash(|options| options.delayed = small()).await;
    let mut client = world.client();
    let consumer = subscribe(&client, "t", "sub").await;
    // Acks that were not yet flushed are lost with the broker: those messages come again, late.
    let left = dues.len();
    let mut found = BTreeSet::new();
    while found.len() < left {
        let Outgoing::Messages { messages, .. } = client.next_within(TRIMMED).await else {
            panic!("something else than messages came");
        };
        let positions: Vec<Position> = messages.iter().map(|message| message.position).collect();
        for position in positions.iter().filter(|position| dues.contains_key(position)) {
            assert!(dues[position] <= world.env.clock.wall().0, "{position} is early");
            assert!(found.insert(*position), "{position} came twice");
        }
        consumer.ack(ack(&positions, None)).await;
    }
}

/// Goal: a part that no bucket covers can be indexed later, whatever was merged around it. Method: a
/// crash before there is enough for a bucket, and a subscription that holds too much of that part.
#[tokio::test(start_paused = true)]
async fn what_was_missed_between_buckets_is_indexed_later() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    subscribe(&client, "t", "sub").await.close().await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 10, 90_000).await;
    indexed(&world, "t", 10).await;
    dues.extend(publish_delayed(&world, &mut client, &producer, 9, 95_000).await);
    let world = world.crash(|options| options.delayed = small()).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    dues.extend(publish_delayed(&world, &mut client, &producer, 41, 90_000).await);
    indexed(&world, "t", 51).await;
    let consumer = subscribe(&client, "t", "sub").await;
    until_delayed(&world, "t", 60).await;
    let covered =
        |buckets: &[DelayedBucket]| buckets.iter().map(|bucket| bucket.records).sum::<u64>();
    let mut found = buckets(&world, "t").await;
    for _ in 0..10_000 {
        if 50 < covered(&found) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        found = buckets(&world, "t").await;
    }
    assert!(50 < covered(&found), "{found:?}");
    drop((producer, consumer));
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let mut client = world.client();
    let consumer = subscribe(&client, "t", "sub").await;
    receive(&world, &mut client, &consumer, &mut dues, 60).await;
    assert_eq!(strays(&world, "t", &["sub"]).await, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn what_lies_between_delayed_messages_comes_at_once() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 100, 60_000).await;
    let plain = client.publish(&producer, 500..501).await;
    let _: Vec<_> = client.messages(1).await;
    dues.extend(publish_delayed(&world, &mut client, &producer, 100, 90_000).await);
    indexed(&world, "t", 200).await;
    drop(consumer);
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let mut client = world.client();
    let consumer = subscribe(&client, "t", "sub").await;
    let again = client.messages(1).await;
    assert_eq!(again[0].position, plain[0], "it was not acked");
    consumer.ack(ack(&plain, None)).await;
    receive(&world, &mut client, &consumer, &mut dues, 200).await;
}

#[tokio::test(start_paused = true)]
async fn subscriptions_with_different_acks_get_what_is_theirs() {
    let world = world().await;
    let mut one = world.client();
    let producer = one.produce("t").await;
    let first = subscribe(&one, "t", "one").await;
    let mut dues = publish_delayed(&world, &mut one, &producer, 120, 60_000).await;
    indexed(&world, "t", 120).await;
    let mut other = world.client();
    let second = subscribe(&other, "t", "other").await;
    let mut others: BTreeMap<Position, u64> = dues.clone();
    let acked: Vec<Position> = dues.keys().copied().step_by(3).collect();
    second.ack(ack(&acked, Some(1))).await;
    assert!(other.ack_done(1).await);
    others.retain(|position, _| !acked.contains(position));
    let left = others.len();
    receive(&world, &mut one, &first, &mut dues, 120).await;
    let came = other.all_messages().await;
    let positions: BTreeSet<Position> = came.iter().map(|message| message.position).collect();
    assert_eq!((positions.len(), came.len()), (left, left));
    assert_eq!(positions, others.keys().copied().collect());
}

#[tokio::test(start_paused = true)]
async fn who_reads_in_order_gets_everything_at_once() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let dues = publish_delayed(&world, &mut client, &producer, 60, 600_000).await;
    indexed(&world, "t", 60).await;
    consumer.close().await;
    let request = client.subscribe_request(2, "sub");
    let consumer = client.try_subscribe("t", request).await.unwrap();
    consumer.flow(100).await;
    let came = client.messages(60).await;
    let positions: Vec<Position> = came.iter().map(|message| message.position).collect();
    assert_eq!(positions, dues.keys().copied().collect::<Vec<_>>());
    // And back again.
    consumer.close().await;
    let consumer = subscribe(&client, "t", "sub").await;
    until_delayed(&world, "t", 60).await;
    consumer.ack(ack(&positions, Some(1))).await;
    assert!(client.ack_done(1).await);
    assert_eq!(msg_delayed(&world, "t").await, 0);
}

#[tokio::test(start_paused = true)]
async fn buckets_go_with_the_ledgers_that_they_cover() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 100, 60_000).await;
    indexed(&world, "t", 100).await;
    receive(&world, &mut client, &consumer, &mut dues, 100).await;
    let mut other = world.client();
    let producer = other.produce("t").await;
    other.publish(&producer, 500..512).await;
    let came = client.messages(12).await;
    let positions: Vec<Position> = came.iter().map(|message| message.position).collect();
    consumer.ack(ack(&positions, Some(1))).await;
    assert!(client.ack_done(1).await);
    tokio::time::sleep(TRIMMED).await;
    assert_eq!(buckets(&world, "t").await, []);
    assert_eq!(strays(&world, "t", &["sub"]).await, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_leaves_nothing() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    publish_delayed(&world, &mut client, &producer, 100, 60_000).await;
    indexed(&world, "t", 100).await;
    drop((producer, consumer));
    world.broker.delete_topic(&topic("t"), true).await.unwrap();
    assert_eq!(world.bookie.ledgers(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_cannot_be_read_is_made_anew() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 100, 60_000).await;
    let damaged = indexed(&world, "t", 100).await;
    drop(consumer);
    for bucket in &damaged {
        world.bookie.damage(bucket.ledger_id);
    }
    let world = world.crash(|options| options.delayed = small()).await;
    let mut client = world.client();
    let consumer = subscribe(&client, "t", "sub").await;
    receive(&world, &mut client, &consumer, &mut dues, 100).await;
    let ids: BTreeSet<LedgerId> = damaged.iter().map(|bucket| bucket.ledger_id).collect();
    let after = buckets(&world, "t").await;
    assert!(after.iter().all(|bucket| !ids.contains(&bucket.ledger_id)), "{after:?}");
    assert_eq!(strays(&world, "t", &["sub"]).await, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_stays_unread_is_made_anew() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 100, 60_000).await;
    let unread = indexed(&world, "t", 100).await[0].ledger_id;
    drop(consumer);
    world.bookie.withhold(unread);
    let world = world.crash(|options| options.delayed = small()).await;
    let mut client = world.client();
    let consumer = subscribe(&client, "t", "sub").await;
    while !dues.is_empty() {
        let Outgoing::Messages { messages, .. } = client.next_within(TRIMMED).await else {
            panic!("something else than messages came");
        };
        let positions: Vec<Position> = messages.iter().map(|message| message.position).collect();
        for position in &positions {
            let due = dues.remove(position);
            assert!(due.unwrap() <= world.env.clock.wall().0, "{position} is early");
        }
        consumer.ack(ack(&positions, None)).await;
    }
    let after = buckets(&world, "t").await;
    assert!(after.iter().all(|bucket| bucket.ledger_id != unread), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_was_not_written_is_tried_again() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    // It takes nothing yet, so that it does not hold too much either.
    let request = client.subscribe_request(1, "sub");
    let request = SubscribeRequest { kind: SubscriptionKind::Shared, ..request };
    let consumer = client.try_subscribe("t", request).await.unwrap();
    let mut dues = publish_delayed(&world, &mut client, &producer, 9, 60_000).await;
    world.bookie.set_adds(Adds::Held);
    let due = world.env.clock.wall().0 + 60_000;
    producer.publish(vec![delayed(9, due)]).await.unwrap();
    world.until("the message is on its way", || world.bookie.held() == 1).await;
    world.bookie.release_one();
    let Outgoing::Receipts { receipts, .. } = client.next().await else { panic!("no receipt") };
    dues.insert(receipts[0].position, due);
    world.until("the bucket is on its way", || world.bookie.held() == 1).await;
    world.bookie.set_adds(Adds::Stored);
    assert_eq!(buckets(&world, "t").await, []);
    let found = indexed(&world, "t", 19).await;
    assert_eq!(found.iter().map(|bucket| bucket.records).sum::<u64>(), 10);
    consumer.flow(1_000).await;
    receive(&world, &mut client, &consumer, &mut dues, 10).await;
    assert_eq!(strays(&world, "t", &["sub"]).await, BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_does_not_want_delays_has_everything_delivered_at_once() {
    let world = world().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = subscribe(&client, "t", "sub").await;
    let dues = publish_delayed(&world, &mut client, &producer, 100, 600_000).await;
    until_delayed(&world, "t", 100).await;
    let change = |policies: &mut Policies| {
        policies.delayed_delivery_policies =
            Some(DelayedDeliveryPolicies { active: false, ..DelayedDeliveryPolicies::default() });
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
    let came = client.messages(100).await;
    let positions: Vec<Position> = came.iter().map(|message| message.position).collect();
    assert!(positions.iter().all(|position| dues.contains_key(position)));
    consumer.ack(ack(&positions, Some(1))).await;
    assert!(client.ack_done(1).await);
}

/// What was published before there was an index, or while its list was lost, is read for it.
#[tokio::test(start_paused = true)]
async fn what_is_not_indexed_is_read_for_a_bucket_when_too_much_is_held() {
    let world = World::with(|options| {
        options.delayed = DelayedDeliveryOptions { bucket_entries_min: 1_000_000, ..small() };
    })
    .await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let request = client.subscribe_request(1, "sub");
    let consumer = client.try_subscribe("t", request).await.unwrap();
    consumer.close().await;
    let mut dues = publish_delayed(&world, &mut client, &producer, 100, 60_000).await;
    assert_eq!(buckets(&world, "t").await, []);
    let world = world.crash(|options| options.delayed = small()).await;
    let mut client = world.client();
    let consumer = subscribe(&client, "t", "sub").await;
    until_delayed(&world, "t", 100).await;
    assert_ne!(buckets(&world, "t").await, []);
    receive(&world, &mut client, &consumer, &mut dues, 100).await;
}
