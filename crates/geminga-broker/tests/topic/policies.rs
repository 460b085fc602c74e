//! What governs a namespace governs its topics: those that are loaded, and those that are loaded later.

use std::time::Duration;

use geminga_broker::{
    Consumer, Outgoing, ProduceError, Producer, SubscribeRequest, SubscriptionKind,
    admin::{BacklogQuota, InactiveTopicPolicies, Policies, RetentionPolicies},
};
use geminga_types::{Domain, EntryId, Position};

use crate::{
    client::{Client, ack, cumulative, publish_at},
    world::{World, topic},
};

async fn limit_unacked(world: &World, max: Option<i32>) {
    let change = |policies: &mut Policies| {
        policies.max_unacked_messages_per_consumer = max;
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

async fn shared(client: &Client) -> Consumer {
    let request =
        SubscribeRequest { kind: SubscriptionKind::Shared, ..client.subscribe_request(1, "sub") };
    client.try_subscribe("t", request).await.unwrap()
}

/// Goal: a limit that is set, changed and removed counts at once for a topic that is in use.
#[tokio::test(start_paused = true)]
async fn a_limit_reaches_a_topic_in_use() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..12).await;
    let consumer = shared(&client).await;
    limit_unacked(&world, Some(2)).await;
    client.quiet().await;
    consumer.flow(100).await;
    client.messages(2).await;
    client.quiet().await;
    limit_unacked(&world, Some(4)).await;
    client.messages(2).await;
    client.quiet().await;
    consumer.ack(ack(&positions[..4], None)).await;
    client.messages(4).await;
    client.quiet().await;
    limit_unacked(&world, None).await;
    client.messages(4).await;
}

/// Goal: the same for a topic that is loaded after the change.
#[tokio::test(start_paused = true)]
async fn a_limit_reaches_a_topic_that_is_loaded_later() {
    let world = World::new().await;
    limit_unacked(&world, Some(3)).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..8).await;
    let consumer = shared(&client).await;
    consumer.flow(100).await;
    client.messages(3).await;
    client.quiet().await;
}

async fn set_ttl(world: &World, seconds: i32) {
    let change = |policies: &mut Policies| {
        policies.message_ttl_in_seconds = Some(seconds);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

/// Publishes a message now.
async fn publish_now(world: &World, client: &mut Client, producer: &Producer) -> Position {
    let now = world.env.clock.wall().0;
    producer.publish(vec![publish_at(now, now)]).await.unwrap();
    match client.next().await {
        Outgoing::Receipts { receipts, .. } => receipts[0].position,
        other => panic!("expected a receipt, got {other:?}"),
    }
}

/// Goal: a message is not delivered once it is past its time, to the millisecond, whether it comes
/// from memory or was read before; readers see it all the same.
#[tokio::test(start_paused = true)]
async fn what_is_past_its_time_is_not_delivered() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    set_ttl(&world, 10).await;
    client.quiet().await;
    let mut positions = Vec::new();
    for _ in 0..4 {
        positions.push(publish_now(&world, &mut client, &producer).await);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    // 12 s after the first one, 9 s after the second.
    let consumer = shared(&client).await;
    consumer.flow(1).await;
    assert_eq!(client.messages(1).await[0].position, positions[1]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    consumer.flow(10).await;
    let got: Vec<Position> = client.messages(2).await.iter().map(|it| it.position).collect();
    assert_eq!(got, positions[2..]);
    let reader = client.read("t", 7).await;
    reader.flow(10).await;
    assert_eq!(client.messages(4).await.len(), 4);
    client.quiet().await;
}

/// Goal: what is past its time leaves the backlog of a subscription that nobody uses, and nothing else
/// does, whatever the clocks of publishers.
#[tokio::test(start_paused = true)]
async fn what_is_past_its_time_leaves_the_backlog() {
    let world = World::with(|options| options.trim_interval = Duration::from_secs(1)).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    shared(&client).await.close().await;
    set_ttl(&world, 10).await;
    client.quiet().await;
    let now = world.env.clock.wall().0;
    for published_at in [now, now + 60_000, now] {
        producer.publish(vec![publish_at(published_at, published_at)]).await.unwrap();
        client.next().await;
    }
    let backlog = async || {
        let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
        stats.subscriptions[0].backlog_entries
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(backlog().await, 3);
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(backlog().await, 2, "the first only: the next one's time has not come");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(backlog().await, 0);
}

async fn set_quota(world: &World, policy: &str, bytes: i64) {
    let quota = BacklogQuota {
        limit_size: Some(bytes),
        policy: Some(policy.to_owned()),
        ..BacklogQuota::default()
    };
    let change = |policies: &mut Policies| {
        policies.backlog_quota_map.insert("destination_storage".to_owned(), quota.clone());
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

/// Publishes until the producer is closed; how many have a receipt.
async fn publish_until_closed(client: &mut Client, producer: &Producer) -> u64 {
    let mut receipts = 0;
    for number in 0..1_000 {
        if producer.publish(vec![publish_at(number, number)]).await.is_err() {
            break;
        }
        match client.next().await {
            Outgoing::Receipts { .. } => receipts += 1,
            Outgoing::ProducerClosed { .. } => return receipts,
            other => panic!("expected a receipt, got {other:?}"),
        }
    }
    panic!("nobody closes the producer: {receipts} receipts");
}

/// Goal: beyond the quota producers are closed and refused, with the code that makes their client wait
/// or fail; what was taken has its receipt; once there is less they may come again.
#[tokio::test(start_paused = true)]
async fn beyond_the_quota_producers_wait_or_fail() {
    for policy in ["producer_request_hold", "producer_exception"] {
        let world = World::new().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        let consumer = client.subscribe("t", 1, "sub").await;
        set_quota(&world, policy, 1_000).await;
        client.quiet().await;
        let stored = publish_until_closed(&mut client, &producer).await;
        let refused = client.try_produce("t", client.producer_request(9)).await.unwrap_err();
        match policy {
            "producer_exception" => assert!(matches!(refused, ProduceError::QuotaExceeded(_))),
            _ => assert!(matches!(refused, ProduceError::QuotaHold(_)), "{refused}"),
        }
        consumer.flow(1_000).await;
        let messages = client.all_messages().await;
        assert_eq!(messages.len() as u64, stored, "{policy}: without a receipt, not stored");
        let last = messages.last().unwrap().position;
        consumer.ack(cumulative(last, 1)).await;
        assert!(client.ack_done(1).await);
        client.produce("t").await;
    }
}

/// Goal: beyond the quota the oldest messages count as acked, and no more of them than need be.
#[tokio::test(start_paused = true)]
async fn beyond_the_quota_the_oldest_are_evicted() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    shared(&client).await.close().await;
    set_quota(&world, "consumer_backlog_eviction", 1_000).await;
    client.quiet().await;
    client.publish(&producer, 0..200).await;
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    let size = stats.storage_bytes / 200;
    let kept = stats.subscriptions[0].backlog_entries;
    assert!(kept * size <= 1_000, "{kept} of {size} bytes each");
    assert!(700 <= kept * size, "{kept} of {size} bytes each");
}

/// Goal: a subscription without consumers goes after its time, one that is used or a reader's does not.
#[tokio::test(start_paused = true)]
async fn a_subscription_that_nobody_uses_is_deleted_after_its_time() {
    let world = World::with(|options| options.trim_interval = Duration::from_secs(10)).await;
    let client = world.client();
    let used = client.subscribe("t", 1, "used").await;
    client.subscribe("t", 2, "unused").await.close().await;
    let change = |policies: &mut Policies| {
        policies.subscription_expiration_time_minutes = Some(5);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
    let names = async || world.broker.subscriptions(&topic("t")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(280)).await;
    assert_eq!(names().await, ["unused", "used"]);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(names().await, ["used"]);
    used.close().await;
    tokio::time::sleep(Duration::from_secs(280)).await;
    assert_eq!(names().await, ["used"]);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!(names().await.is_empty());
}

fn inactive_after(mode: &str, seconds: i32) -> InactiveTopicPolicies {
    InactiveTopicPolicies {
        inactive_topic_delete_mode: mode.to_owned(),
        max_inactive_duration_seconds: seconds,
        delete_while_inactive: true,
        ..InactiveTopicPolicies::default()
    }
}

async fn delete_inactive(world: &World, mode: &str, seconds: i32) {
    let change = |policies: &mut Policies| {
        policies.inactive_topic_policies = Some(inactive_after(mode, seconds));
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

async fn topics(world: &World) -> Vec<String> {
    let namespace = topic("t").namespace().clone();
    let names = world.broker.topic_names(&namespace, Domain::Persistent, false).await.unwrap();
    names.iter().map(|name| name.rsplit('/').next().unwrap().to_owned()).collect()
}

/// Goal: a topic that nobody uses is deleted after its time, and not before; one with a producer, a
/// consumer, a reader or a subscription is not; it can be used again at once.
#[tokio::test(start_paused = true)]
async fn an_inactive_topic_is_deleted_after_its_time() {
    let world = World::with(|options| {
        options.inactive_topics_interval = Duration::from_secs(10);
        options.unload_idle_after = Some(Duration::from_secs(5));
    })
    .await;
    delete_inactive(&world, "delete_when_no_subscriptions", 100).await;
    let mut client = world.client();
    for name in ["unused", "stored"] {
        let producer = client.produce(name).await;
        if name == "stored" {
            client.publish(&producer, 0..7).await;
        }
        producer.close().await;
    }
    let producer = client.produce("produced").await;
    let consumer = client.subscribe("consumed", 1, "sub").await;
    let reader = client.read("read", 2).await;
    client.subscribe("subscribed", 3, "sub").await.close().await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(topics(&world).await.len(), 6);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(topics(&world).await, ["consumed", "produced", "read", "subscribed"]);
    let again = client.produce("stored").await;
    assert_eq!(client.publish(&again, 0..1).await[0].entry_id, EntryId(0));
    producer.close().await;
    drop(producer);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(topics(&world).await.contains(&"produced".to_owned()), "in use until a moment ago");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(topics(&world).await, ["consumed", "read", "stored", "subscribed"]);
    consumer.close().await;
    drop((reader, again));
}

/// Goal: if the policies want it, subscriptions that have everything acked go with their topic, and a
/// backlog of one keeps it; so does retention.
#[tokio::test(start_paused = true)]
async fn a_topic_whose_subscriptions_are_caught_up_is_deleted_if_that_is_wanted() {
    let world =
        World::with(|options| options.inactive_topics_interval = Duration::from_secs(10)).await;
    let mut client = world.client();
    for name in ["acked", "behind"] {
        let consumer = client.subscribe(name, 1, "sub").await;
        let producer = client.produce(name).await;
        let positions = client.publish(&producer, 0..3).await;
        consumer.flow(10).await;
        client.messages(3).await;
        let acked = if name == "acked" { &positions[..] } else { &positions[..2] };
        consumer.ack(ack(acked, Some(1))).await;
        assert!(client.ack_done(1).await);
        producer.close().await;
        consumer.close().await;
    }
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(topics(&world).await, ["acked", "behind"], "nothing wants it");
    let retain = |minutes| {
        move |policies: &mut Policies| {
            policies.retention_policies = Some(RetentionPolicies {
                retention_time_in_minutes: minutes,
                retention_size_in_mb: -1,
            });
            Ok(())
        }
    };
    let namespace = topic("t").namespace().clone();
    world.broker.change_namespace_policies(&namespace, retain(-1)).await.unwrap();
    delete_inactive(&world, "delete_when_subscriptions_caught_up", 20).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(topics(&world).await, ["acked", "behind"], "it is kept for ever");
    world.broker.change_namespace_policies(&namespace, retain(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(topics(&world).await, ["behind"]);
}

/// Goal: once a change of policies is answered, whoever comes next is governed by them.
#[tokio::test(start_paused = true)]
async fn a_change_counts_once_it_is_answered() {
    let world = World::new().await;
    let client = world.client();
    let _producer = client.produce("t").await;
    let namespace = topic("t").namespace().clone();
    for round in 0..20 {
        for max in [Some(1), Some(2)] {
            let change = |policies: &mut Policies| {
                policies.max_producers_per_topic = max;
                Ok(())
            };
            world.broker.change_namespace_policies(&namespace, change).await.unwrap();
            match client.try_produce("t", client.producer_request(7)).await {
                Ok(second) if max == Some(2) => second.close().await,
                Err(ProduceError::Busy(_)) if max == Some(1) => {}
                other => panic!("round {round}, {max:?}: {other:?}"),
            }
        }
    }
}
