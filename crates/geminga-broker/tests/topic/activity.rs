//! What stats and metrics tell of acks, expiry and times: of a world whose clock stands still but in waits.

use std::time::Duration;

use geminga_broker::{
    Activity, Consumer, RowDetail, SubscribeRequest, SubscriptionKind, admin::Policies,
};

use crate::{
    client::{Client, ack, publish_at},
    world::{World, topic},
};

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn shared(client: &Client, name: &str) -> Consumer {
    let request =
        SubscribeRequest { kind: SubscriptionKind::Shared, ..client.subscribe_request(1, "sub") };
    client.try_subscribe(name, request).await.unwrap()
}

/// What the stats have, and that the metrics have the same; of the only consumer too.
async fn activity(world: &World) -> (Activity, Activity) {
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap().subscriptions.remove(0);
    let survey = world.broker.survey(RowDetail::default()).await;
    assert_eq!(survey.rows[0].subscriptions[0].activity, stats.activity);
    (stats.activity, stats.consumers.first().map(|it| it.activity).unwrap_or_default())
}

/// Goal: each time is that of what it is named after, and acks count by message.
#[tokio::test(start_paused = true)]
async fn acks_and_times_are_told() {
    let world = World::new().await;
    let (mut client, mut publisher) = (world.client(), world.client());
    let wall = || world.env.clock.wall().0;
    let consumer = shared(&client, "t").await;
    let producer = publisher.produce("t").await;
    assert_eq!(activity(&world).await, (Activity::default(), Activity::default()));
    wait(2).await;
    consumer.flow(100).await;
    client.quiet().await;
    let flow_at = activity(&world).await.0.last_flow;
    wait(3).await;
    publisher.publish(&producer, 0..4).await;
    let messages = client.messages(4).await;
    let delivered_at = activity(&world).await.0.last_delivered;
    assert!(flow_at + 3_000 <= delivered_at && delivered_at <= wall(), "{flow_at} {delivered_at}");
    wait(4).await;
    // The second one: the mark-delete position stays.
    consumer.ack(ack(&[messages[1].position], None)).await;
    client.quiet().await;
    let (found, of_consumer) = activity(&world).await;
    assert!(delivered_at + 4_000 <= found.last_acked, "{found:?}");
    assert_eq!((found.last_flow, found.last_delivered), (flow_at, delivered_at));
    assert_eq!((found.last_mark_delete, found.last_expired), (0, 0));
    assert!(0.0 < found.message_ack_rate, "{found:?}");
    assert_eq!(of_consumer, found, "there is one consumer");
    wait(5).await;
    let again = activity(&world).await.0;
    let acked_at = found.last_acked;
    assert_eq!(again.last_acked, acked_at, "time goes by, and times stay");
    consumer.ack(ack(&[messages[0].position], None)).await;
    client.quiet().await;
    let found = activity(&world).await.0;
    assert!(acked_at + 5_000 <= found.last_mark_delete, "{found:?}");
    consumer.close().await;
    let (found_then, of_none) = activity(&world).await;
    assert_eq!((found_then.last_acked, of_none), (found.last_acked, Activity::default()));
}

/// Goal: what goes for its age is counted, whether nobody consumes, somebody does, or it is asked for;
/// what is acked is not.
#[tokio::test(start_paused = true)]
async fn expiry_is_told() {
    let world = World::with(|options| options.trim_interval = Duration::from_secs(1)).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = shared(&client, "t").await;
    let change = |policies: &mut Policies| {
        policies.message_ttl_in_seconds = Some(10);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
    client.quiet().await;
    let now = world.env.clock.wall().0;
    // The third says that it comes from the future: it keeps the one behind it.
    for published_at in [now, now, now + 60_000, now] {
        producer.publish(vec![publish_at(published_at, published_at)]).await.unwrap();
        client.next().await;
    }
    wait(13).await;
    let found = activity(&world).await.0;
    assert_eq!(found.entries_expired, 2, "{found:?}");
    assert!(now + 10_000 <= found.last_expired && 0.0 < found.entry_rate_expired, "{found:?}");
    assert_eq!(found.last_mark_delete, found.last_expired);
    // The last one goes when it would be delivered.
    consumer.flow(100).await;
    let messages = client.messages(1).await;
    client.quiet().await;
    assert_eq!(activity(&world).await.0.entries_expired, 3);
    consumer.ack(ack(&[messages[0].position], None)).await;
    client.quiet().await;
    assert_eq!(activity(&world).await.0.entries_expired, 3, "that was an ack");
    consumer.close().await;
    client.publish(&producer, 5..7).await;
    world.broker.expire_messages(&topic("t"), "sub", u64::MAX).await.unwrap();
    assert_eq!(activity(&world).await.0.entries_expired, 5);
}

/// Goal: a non-persistent topic has what there is of it.
#[tokio::test(start_paused = true)]
async fn a_topic_that_stores_nothing_tells_of_flow_and_delivery() {
    let world = World::new().await;
    let (mut client, publisher) = (world.client(), world.client());
    let name = "non-persistent://public/default/t";
    let consumer = shared(&client, name).await;
    consumer.flow(10).await;
    client.quiet().await;
    let stats = world.broker.topic_stats(&topic(name)).await.unwrap();
    let found = stats.subscriptions[0].activity;
    assert!(0 < found.last_flow && found.last_delivered == 0, "{found:?}");
    let producer = publisher.produce(name).await;
    producer.publish(vec![publish_at(0, 0)]).await.unwrap();
    client.messages(1).await;
    let stats = world.broker.topic_stats(&topic(name)).await.unwrap();
    let of_consumer = stats.subscriptions[0].consumers[0].activity;
    assert!(0 < of_consumer.last_delivered, "{of_consumer:?}");
    assert_eq!(stats.subscriptions[0].activity, of_consumer);
}
