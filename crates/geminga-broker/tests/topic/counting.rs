//! What metrics are made from: publishes and loads by their time, reads by where they came from.

use std::time::Duration;

use geminga_broker::{AppendFigures, ReadFigures, RowDetail, TopicFigures};

use crate::{
    bookie::Adds,
    client::{ack, publish_at},
    store::Writes,
    world::{World, is_pending, topic},
};

async fn figures(world: &World) -> TopicFigures {
    world.broker.survey(RowDetail::default()).await.rows.remove(0).figures
}

async fn reads(world: &World) -> ReadFigures {
    *figures(world).await.reads.unwrap_or_default()
}

async fn appends(world: &World) -> AppendFigures {
    *figures(world).await.appends.unwrap_or_default()
}

/// Goal: publishes count over all topics by how long they took, and what failed counts where it is.
#[tokio::test(start_paused = true)]
async fn publishes_are_counted_by_their_time_and_failures_too() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..2).await;
    world.bookie.set_adds(Adds::Held);
    producer.publish((2..5).map(|number| publish_at(number, number)).collect()).await.unwrap();
    client.quiet().await;
    let waited = world.env.clock.now();
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.bookie.release();
    client.next().await;
    let published = world.broker.in_all().published;
    assert_eq!(published.count, 5);
    let least = 3 * (world.env.clock.now() - waited);
    assert!(least <= published.sum, "{published:?}");
    assert!(published.quantile(0.5).unwrap() >= Duration::from_secs(2), "{published:?}");
    assert!(published.quantile(0.2).unwrap() < Duration::from_secs(1), "{published:?}");
    assert_eq!((appends(&world).await.entries(), appends(&world).await.errors), (5, 0));
    world.bookie.set_adds(Adds::Failed);
    producer.publish(vec![publish_at(5, 5)]).await.unwrap();
    client.next().await;
    let found = appends(&world).await;
    assert_eq!((found.entries(), found.errors), (5, 1));
    assert_eq!(world.broker.in_all().published.count, 5);
}

/// Goal: an entry counts as read from where it came, and each move of a mark-delete position counts.
#[tokio::test(start_paused = true)]
async fn reads_are_counted_by_where_they_came_from() {
    let world = World::new().await;
    let (mut client, mut publisher) = (world.client(), world.client());
    let consumer = client.subscribe("t", 1, "sub").await;
    let producer = publisher.produce("t").await;
    assert_eq!(figures(&world).await.reads, None);
    consumer.flow(10).await;
    publisher.publish(&producer, 0..4).await;
    let messages = client.messages(4).await;
    let found = reads(&world).await;
    assert_eq!((found.cached_entries, found.stored_entries, found.mark_deletes), (4, 0, 0));
    let bytes: usize = messages.iter().map(|it| it.front.len() + it.entry.len()).sum();
    assert_eq!(found.cached_bytes, bytes as u64);
    consumer.ack(ack(&[messages[0].position], None)).await;
    client.quiet().await;
    assert_eq!(reads(&world).await.mark_deletes, 1);
    consumer.close().await;
    world.broker.unload_topic(&topic("t")).await.unwrap();
    // What was in the cache went with the topic.
    let consumer = client.subscribe("t", 2, "sub").await;
    consumer.flow(10).await;
    client.messages(3).await;
    let found = reads(&world).await;
    assert_eq!((found.cached_entries, found.stored_entries, found.errors), (0, 3, 0));
    assert_eq!(found.stored_bytes, bytes as u64 * 3 / 4);
    assert!((found.stored_rate() - 0.05).abs() < 1e-9, "{found:?}");
    let loads = world.broker.in_all();
    assert_eq!((loads.loaded.count, loads.loads_failed, loads.loading), (2, 0, 0));
}

/// Goal: a load counts as in progress until it ends, then by what became of it; of what does not exist
/// there is none. Method: the store holds a new topic's record back, then refuses it.
#[tokio::test(start_paused = true)]
async fn loads_are_counted_by_what_becomes_of_them() {
    let world = World::new().await;
    let client = world.client();
    let counted = || {
        let found = world.broker.in_all();
        (found.loaded.count, found.loads_failed, found.loading)
    };
    assert!(client.try_produce("persistent://a/b/none", client.producer_request(1)).await.is_err());
    assert_eq!(counted(), (0, 0, 0), "there is no such namespace");
    world.store.set_writes("/managed-ledgers/", Writes::Held);
    let request = client.producer_request(1);
    let mut opening = std::pin::pin!(client.try_produce("t", request));
    is_pending(&mut opening).await;
    assert_eq!(counted(), (0, 0, 1));
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.store.set_writes("", Writes::Made);
    opening.await.unwrap();
    assert_eq!(counted(), (1, 0, 0));
    assert!(Duration::from_secs(2) <= world.broker.in_all().loaded.sum);
    world.store.set_writes("/managed-ledgers/", Writes::Refused);
    assert!(client.try_produce("u", client.producer_request(2)).await.is_err());
    assert_eq!(counted(), (1, 1, 0));
}
