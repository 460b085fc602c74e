//! What governs a namespace governs its topics: those that are loaded, and those that are loaded later.

use geminga_broker::{Consumer, SubscribeRequest, SubscriptionKind, admin::Policies};

use crate::{
    client::{Client, ack},
    world::{World, topic},
};

async fn limit_unacked(world: &World, max: Option<i32>) {
    let change = |policies: &mut Policies| policies.max_unacked_messages_per_consumer = max;
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

async fn shared(client: &Client) -> Consumer {
    let request = SubscribeRequest {
        kind: SubscriptionKind::Shared,
        ..client.subscribe_request(1, "sub")
    };
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
