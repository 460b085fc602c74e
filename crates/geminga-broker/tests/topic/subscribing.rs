//! Subscriptions whose record is not written or not deleted.

use std::time::Duration;

use geminga_broker::{ProduceError, ProducerRequest, RequestError, TopicError};

use crate::{
    bookie::Reads,
    store::Writes,
    world::{World, is_pending, soon},
};

const CURSOR: &str = "persistent/t/sub";

/// Goal: a subscription that could not be deleted is as it was, its backlog too. Method: ledgers
/// are looked over while its deletion is under way, and then it fails.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_is_undone() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..12).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    world.store.set_writes(CURSOR, Writes::Held);
    let mut unsubscribing = Box::pin(consumer.unsubscribe(false));
    let early = tokio::time::timeout(Duration::from_secs(70), &mut unsubscribing).await;
    assert!(early.is_err(), "{early:?}");
    world.store.set_writes(CURSOR, Writes::Refused);
    let failed = soon(unsubscribing).await;
    assert!(matches!(failed, Err(RequestError::Unavailable(_))), "{failed:?}");
    client.consumer_closed().await;
    world.store.set_writes("", Writes::Made);
    client.subscribe("t", 1, "sub").await.flow(12).await;
    assert_eq!(client.messages(12).await[0].position, positions[0]);
}

/// Goal: what is answered during a deletion that fails counts. Method: a read hangs until it is
/// given up, and the deletion lasts longer.
#[tokio::test(start_paused = true)]
async fn a_read_that_ends_during_a_failed_deletion_is_made_again() {
    let world = World::with(|options| options.managed_ledger.tail_cache_bytes = 0).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..3).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    world.bookie.set_reads(Reads::Hanging);
    consumer.flow(10).await;
    world.store.set_writes(CURSOR, Writes::Held);
    let mut unsubscribing = Box::pin(consumer.unsubscribe(false));
    is_pending(&mut unsubscribing).await;
    world.bookie.set_reads(Reads::Answered);
    let early = tokio::time::timeout(Duration::from_secs(40), &mut unsubscribing).await;
    assert!(early.is_err(), "{early:?}");
    world.store.set_writes(CURSOR, Writes::Refused);
    assert!(soon(unsubscribing).await.is_err());
    client.consumer_closed().await;
    world.store.set_writes("", Writes::Made);
    client.subscribe("t", 1, "sub").await.flow(10).await;
    client.messages(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_whose_initial_subscription_is_not_written_may_try_again() {
    let world = World::new().await;
    let client = world.client();
    let request = || ProducerRequest {
        initial_subscription: Some("sub".to_owned()),
        ..client.producer_request(1)
    };
    client.produce("t").await.close().await;
    world.store.set_writes(CURSOR, Writes::Refused);
    let failed = soon(client.try_produce("t", request())).await;
    let is_unavailable = matches!(failed, Err(ProduceError::Topic(TopicError::Unavailable { .. })));
    assert!(is_unavailable, "{failed:?}");
    world.store.set_writes("", Writes::Made);
    soon(client.try_produce("t", request())).await.unwrap();
}
