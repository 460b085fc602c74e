//! Seeks, and who comes meanwhile.

use std::time::Duration;

use geminga_broker::{AdminError, SeekTo, SubscribeError};
use geminga_types::Position;

use crate::{
    bookie::Adds,
    client::ack,
    world::{World, is_pending, soon},
};

/// Goal: who subscribes during a seek is told to come again, so that the consumer that the seek
/// closed does not get ahead of the one that its client opens instead. Method: the cursor's new
/// place is not stored yet.
#[tokio::test(start_paused = true)]
async fn a_subscribe_during_a_seek_is_told_to_try_again() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..2).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    world.bookie.set_adds(Adds::Held);
    let mut seeking = Box::pin(consumer.seek(SeekTo::Position(Position::LATEST, None)));
    is_pending(&mut seeking).await;
    client.consumer_closed().await;
    for id in [1, 2] {
        let refused = soon(client.try_subscribe("t", client.subscribe_request(id, "sub"))).await;
        assert!(matches!(refused, Err(SubscribeError::Unavailable(_))), "{refused:?}");
    }
    world.bookie.release();
    soon(seeking).await.unwrap();
    client.subscribe("t", 2, "sub").await.flow(10).await;
    client.quiet().await;
}

/// Goal: a cursor that is being reset is not reset again, nor do its messages expire meanwhile.
/// Method: the cursor's new place is not stored yet.
#[tokio::test(start_paused = true)]
async fn a_cursor_is_reset_once_at_a_time() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..2).await;
    client.subscribe("t", 1, "sub").await;
    world.bookie.set_adds(Adds::Held);
    let topic = "t".parse().unwrap();
    let mut resetting = Box::pin(world.broker.reset_cursor_to_time(&topic, "sub", 0));
    is_pending(&mut resetting).await;
    client.consumer_closed().await;
    let again = soon(world.broker.reset_cursor_to_time(&topic, "sub", 0)).await;
    assert!(matches!(again, Err(AdminError::Busy(_))), "{again:?}");
    let expired = soon(world.broker.expire_messages(&topic, "sub", u64::MAX)).await;
    assert!(matches!(expired, Err(AdminError::Conflict(_))), "{expired:?}");
    world.bookie.release();
    soon(resetting).await.unwrap();
    soon(world.broker.expire_messages(&topic, "sub", u64::MAX)).await.unwrap();
}

/// Goal: what a seek goes back to is not trimmed while the seek is on its way. Method: an ack of
/// everything, sent before, becomes durable in between, and ledgers are looked over.
#[tokio::test(start_paused = true)]
async fn a_seek_holds_back_trimming_at_once() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..12).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    consumer.flow(12).await;
    client.messages(12).await;
    consumer.ack(ack(&positions[..1], Some(1))).await;
    assert!(client.ack_done(1).await);
    world.bookie.set_adds(Adds::Held);
    consumer.ack(ack(&positions[1..], Some(2))).await;
    world.until("the ack is on its way", || world.bookie.held() == 1).await;
    let to = SeekTo::Position(positions[0], None);
    let mut seeking = Box::pin(consumer.seek(to));
    is_pending(&mut seeking).await;
    client.consumer_closed().await;
    world.bookie.release_one();
    assert!(client.ack_done(2).await);
    let looked_over = tokio::time::timeout(Duration::from_secs(100), &mut seeking).await;
    assert!(looked_over.is_err(), "the seek is held");
    world.bookie.release();
    soon(seeking).await.unwrap();
    client.subscribe("t", 1, "sub").await.flow(12).await;
    let first = client.messages(12).await[0].position;
    assert_eq!(first, positions[0]);
}
