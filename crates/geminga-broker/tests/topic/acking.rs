//! Acks, and what they set free.

use std::time::Duration;

use geminga_broker::{Outgoing, SubscribeRequest, SubscriptionKind};
use geminga_types::Position;

use crate::{
    bookie::Adds,
    client::{ack, cumulative, publish},
    world::{World, topic},
};

/// Goal: nothing waits for something else to happen on the topic.
#[tokio::test(start_paused = true)]
async fn one_publish_and_one_ack_are_answered_with_nothing_else_going_on() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let consumer = client.subscribe("t", 1, "sub").await;
    consumer.flow(1).await;
    client.quiet().await;
    producer.publish(vec![publish(0)]).await.unwrap();
    let (mut has_receipt, mut delivered) = (false, None);
    while !has_receipt || delivered.is_none() {
        match client.next().await {
            Outgoing::Receipts { .. } => has_receipt = true,
            Outgoing::Messages { messages, .. } => delivered = Some(messages[0].position),
            other => panic!("unexpected {other:?}"),
        }
    }
    client.quiet().await;
    consumer.ack(ack(&[delivered.unwrap()], Some(7))).await;
    assert!(client.ack_done(7).await);
}

/// Goal: an ack that failed and is sent again is answered once it is durable, not before.
#[tokio::test(start_paused = true)]
async fn an_ack_that_is_tried_again_waits_until_it_is_durable() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..2).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    consumer.flow(2).await;
    client.messages(2).await;
    world.bookie.set_adds(Adds::Failed);
    consumer.ack(ack(&positions[..1], Some(1))).await;
    assert!(!client.ack_done(1).await);
    world.bookie.set_adds(Adds::Held);
    consumer.ack(ack(&positions[..1], Some(2))).await;
    client.quiet().await;
    world.bookie.release();
    assert!(client.ack_done(2).await);
}

/// Goal: acks that wait for others cost a bounded memory, and nothing stays stuck for that.
#[tokio::test(start_paused = true)]
async fn who_holds_much_ack_state_reads_on_once_there_is_room() {
    let world = World::with(|options| {
        options.limits.ack_state_bytes = 0;
        options.limits.unacked_per_consumer_max = 0;
        options.limits.unacked_per_subscription_max = 0;
        options.managed_ledger.max_entries_per_ledger = 10_000;
    })
    .await;
    let used = || {
        let all = world.broker.memory();
        all.into_iter().find(|part| part.name == "ack_state").unwrap().used_bytes
    };
    let mut client = world.client();
    let producer = client.produce("t").await;
    let shared = SubscriptionKind::Shared;
    let request = SubscribeRequest { kind: shared, ..client.subscribe_request(1, "sub") };
    let consumer = client.try_subscribe("t", request).await.unwrap();
    client.publish(&producer, 0..3_000).await;
    consumer.flow(3_000).await;
    let mut all = 0;
    while all < 3_000 {
        let positions: Vec<_> =
            client.all_messages().await.iter().map(|message| message.position).collect();
        all += positions.len();
        assert!(!positions.is_empty(), "stuck after {all}");
        assert!(positions.len() < 500, "{} at once", positions.len());
        assert!(16 << 10 <= used() || all == 3_000, "{all}: {}", used());
        // The first stays, so that the others are behind it.
        consumer.ack(ack(&positions[usize::from(all == positions.len())..], None)).await;
    }
    client.quiet().await;
    assert_eq!(used(), 0);
}

/// Goal: an id from elsewhere acks nothing; one of what was trimmed is no error.
#[tokio::test(start_paused = true)]
async fn a_cumulative_ack_of_no_entry_is_refused() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..3).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    let last = *positions.last().unwrap();
    let beyond = [
        Position::new(last.ledger_id.0, last.entry_id.0 + 1),
        Position::new(last.ledger_id.0 + 70_000, 0),
        Position::new(i64::MAX, i64::MAX),
    ];
    for (request, position) in (1..).zip(beyond) {
        consumer.ack(cumulative(position, request)).await;
        assert!(!client.ack_done(request).await, "{position}");
    }
    consumer.ack(cumulative(Position::new(-1, -1), 9)).await;
    assert!(client.ack_done(9).await);
    consumer.flow(10).await;
    let delivered = client.messages(3).await;
    let delivered: Vec<_> = delivered.iter().map(|message| message.position).collect();
    assert_eq!(delivered, positions);
    consumer.ack(cumulative(last, 10)).await;
    assert!(client.ack_done(10).await);
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_at_once_behind_what_was_trimmed() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..12).await;
    let reader = client.read("t", 2).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    consumer.flow(12).await;
    client.messages(12).await;
    consumer.ack(ack(&positions, Some(1))).await;
    assert!(client.ack_done(1).await);
    let first_left = loop {
        let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
        if stats.storage_entries < 12 {
            break positions[12 - usize::try_from(stats.storage_entries).unwrap()];
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    reader.flow(20).await;
    match client.next().await {
        Outgoing::Messages { messages, .. } => assert_eq!(messages[0].position, first_left),
        other => panic!("expected messages, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_topic_is_told_when_all_is_acked() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..2).await;
    let consumer = client.subscribe("t", 1, "sub").await;
    consumer.flow(10).await;
    client.messages(2).await;
    world.broker.terminate(&topic("t")).await.unwrap();
    client.quiet().await;
    consumer.ack(ack(&positions[..1], None)).await;
    client.quiet().await;
    consumer.ack(ack(&positions[1..], None)).await;
    match client.next().await {
        Outgoing::EndOfTopic { .. } => {}
        other => panic!("expected the end of the topic, got {other:?}"),
    }
    client.quiet().await;
}
