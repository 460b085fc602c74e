//! Reads and jobs that hang or panic: whoever waits is told, and the topic goes on.

use std::time::Duration;

use geminga_broker::{Outgoing, RequestError, SeekTo, SubscribeError, SubscribeRequest};
use geminga_types::Position;

use crate::{
    bookie::Reads,
    store::Writes,
    world::{World, soon},
};

/// Longer than any deadline of the topic.
const LONG: Duration = Duration::from_secs(200);

async fn uncached() -> World {
    World::with(|options| options.managed_ledger.tail_cache_bytes = 0).await
}

#[tokio::test(start_paused = true)]
async fn a_seek_whose_search_is_lost_is_answered_and_the_subscription_goes_on() {
    for reads in [Reads::Panicking, Reads::Hanging] {
        let world = uncached().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        client.publish(&producer, 0..3).await;
        let consumer = client.subscribe("t", 1, "sub").await;
        world.bookie.set_reads(reads);
        let failed = tokio::time::timeout(LONG, consumer.seek(SeekTo::PublishTime(1))).await;
        let failed = failed.expect("a seek is answered");
        assert!(matches!(failed, Err(RequestError::Unavailable(_))), "{reads:?}: {failed:?}");
        client.consumer_closed().await;
        world.bookie.set_reads(Reads::Answered);
        let consumer = client.subscribe("t", 1, "sub").await;
        soon(consumer.seek(SeekTo::PublishTime(1))).await.unwrap();
        client.consumer_closed().await;
        client.subscribe("t", 1, "sub").await.flow(10).await;
        assert_eq!(client.messages(2).await[0].position.entry_id.0, 1, "{reads:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_start_is_not_found_is_refused_and_can_be_tried_again() {
    for reads in [Reads::Panicking, Reads::Hanging] {
        let world = uncached().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        client.publish(&producer, 0..3).await;
        let request = || SubscribeRequest {
            start_rollback_seconds: 1_000_000_000_000,
            ..client.subscribe_request(1, "sub")
        };
        world.bookie.set_reads(reads);
        let failed = tokio::time::timeout(LONG, client.try_subscribe("t", request())).await;
        let failed = failed.expect("a SUBSCRIBE is answered");
        assert!(matches!(failed, Err(SubscribeError::Unavailable(_))), "{reads:?}: {failed:?}");
        world.bookie.set_reads(Reads::Answered);
        soon(client.try_subscribe("t", request())).await.unwrap().flow(10).await;
        client.messages(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_for_dispatch_that_is_lost_is_made_again() {
    for reads in [Reads::Panicking, Reads::Hanging] {
        let world = uncached().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        client.publish(&producer, 0..3).await;
        let consumer = client.subscribe("t", 1, "sub").await;
        world.bookie.set_reads(reads);
        consumer.flow(10).await;
        client.quiet().await;
        world.bookie.set_reads(Reads::Answered);
        let mut count = 0;
        while count < 3 {
            match client.next_within(LONG).await {
                Outgoing::Messages { messages, .. } => count += messages.len(),
                other => panic!("expected messages, got {other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_message_is_answered_even_if_it_is_not_read() {
    for reads in [Reads::Panicking, Reads::Hanging] {
        let world = uncached().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        let positions: Vec<Position> = client.publish(&producer, 0..1).await;
        let consumer = client.subscribe("t", 1, "sub").await;
        world.bookie.set_reads(reads);
        let failed = tokio::time::timeout(LONG, consumer.last_message()).await.expect("an answer");
        assert!(failed.is_err(), "{reads:?}: {failed:?}");
        world.bookie.set_reads(Reads::Answered);
        assert_eq!(soon(consumer.last_message()).await.unwrap().position, positions[0]);
    }
}

/// Goal: a job that never answers costs its topic one load, no more.
#[tokio::test(start_paused = true)]
async fn a_topic_whose_job_is_lost_closes_and_loads_again() {
    for writes in [Writes::Panicking, Writes::Held] {
        let world = World::new().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        client.publish(&producer, 0..1).await;
        world.store.set_writes("persistent/t/sub", writes);
        let request = client.subscribe_request(1, "sub");
        let failed = tokio::time::timeout(LONG, client.try_subscribe("t", request)).await;
        let failed = failed.expect("a SUBSCRIBE is answered");
        assert!(matches!(failed, Err(SubscribeError::Topic(_))), "{writes:?}: {failed:?}");
        match client.next().await {
            Outgoing::ProducerClosed { .. } => {}
            other => panic!("expected that the producer is closed, got {other:?}"),
        }
        world.store.set_writes("", Writes::Made);
        soon(client.subscribe("t", 1, "sub")).await.flow(10).await;
        client.messages(1).await;
        let producer = client.produce("t").await;
        client.publish(&producer, 1..2).await;
        client.messages(1).await;
    }
}
