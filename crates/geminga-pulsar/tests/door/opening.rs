//! Producers and consumers that are opened, closed and dropped faster than the broker follows.

use std::{collections::BTreeSet, time::Duration};

use bytes::BytesMut;
use geminga_wire::proto::{
    Body, CommandCloseConsumer, CommandCloseProducer, CommandProducer, command_subscribe::SubType,
};

use crate::{
    client::{Client, frame, producer, subscribe},
    server::Server,
};

fn named(topic: &str, id: u64, request_id: u64) -> CommandProducer {
    CommandProducer { producer_name: Some("me".to_owned()), ..producer(topic, id, request_id) }
}

fn close_producer(producer_id: u64, request_id: u64) -> CommandCloseProducer {
    CommandCloseProducer { producer_id, request_id, ..CommandCloseProducer::default() }
}

fn close_consumer(consumer_id: u64, request_id: u64) -> CommandCloseConsumer {
    CommandCloseConsumer { consumer_id, request_id, ..CommandCloseConsumer::default() }
}

/// The request ids that the next `count` frames answer, whatever they answer.
async fn answered(client: &mut Client, count: usize) -> BTreeSet<u64> {
    let mut requests = BTreeSet::new();
    for _ in 0..count {
        let request_id = match client.body().await {
            Body::Success(it) => it.request_id,
            Body::ProducerSuccess(it) => it.request_id,
            Body::Error(it) => it.request_id,
            other => panic!("unexpected {other:?}"),
        };
        assert!(requests.insert(request_id), "{request_id} is answered twice");
    }
    requests
}

#[tokio::test(start_paused = true)]
async fn a_close_that_overtakes_its_opening_leaves_nothing() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for round in 0..20_u64 {
        let topic = format!("overtaken-{}", round % 3);
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&frame(named(&topic, 1, 1)));
        bytes.extend_from_slice(&frame(close_producer(1, 2)));
        bytes.extend_from_slice(&frame(subscribe(&topic, 1, 3, SubType::Exclusive)));
        bytes.extend_from_slice(&frame(close_consumer(1, 4)));
        client.write(&bytes).await;
        assert_eq!(answered(&mut client, 4).await, BTreeSet::from([1, 2, 3, 4]));

        let mut other = server.connect().await;
        other.send(named(&topic, 1, 1)).await;
        other.producer_success(1).await;
        other.subscribe(&topic, 1, SubType::Exclusive).await;
        other.close_producer(1).await;
        other.close_consumer(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_can_be_opened_again_while_it_is_being_closed() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&frame(named("again", 1, 1)));
    bytes.extend_from_slice(&frame(close_producer(1, 2)));
    bytes.extend_from_slice(&frame(named("again", 1, 3)));
    bytes.extend_from_slice(&frame(subscribe("again", 1, 4, SubType::Exclusive)));
    bytes.extend_from_slice(&frame(close_consumer(1, 5)));
    bytes.extend_from_slice(&frame(subscribe("again", 1, 6, SubType::Exclusive)));
    client.write(&bytes).await;
    assert_eq!(answered(&mut client, 6).await, (1..7).collect());
    client.publish(1, 0, b"m").await;
    client.flow(1, 1).await;
    client.message().await;
}

#[tokio::test(start_paused = true)]
async fn repeated_requests_are_answered_alike() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let mut bytes = BytesMut::new();
    for request_id in 1..6 {
        bytes.extend_from_slice(&frame(named("repeated", 1, request_id)));
        bytes.extend_from_slice(&frame(subscribe(
            "repeated",
            1,
            request_id + 10,
            SubType::Exclusive,
        )));
    }
    client.write(&bytes).await;
    let mut succeeded = 0;
    for _ in 0..10 {
        match client.body().await {
            Body::ProducerSuccess(success) => assert_eq!(success.producer_name, "me"),
            Body::Success(_) => {}
            other => panic!("unexpected {other:?}"),
        }
        succeeded += 1;
    }
    assert_eq!(succeeded, 10);
    let stats = server.broker.topic_stats(&"repeated".parse().unwrap()).await.unwrap();
    assert_eq!((stats.publishers.len(), stats.subscriptions[0].consumers.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_on_another_topic_is_refused() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("one", 1).await;
    client.send(producer("two", 1, 5)).await;
    assert_eq!(client.error().await.request_id, 5);
    client.publish(1, 0, b"still open").await;
}

/// Goal: a client that drops its socket leaves nothing, however far its requests had come.
#[tokio::test(start_paused = true)]
async fn a_dropped_connection_leaves_nothing() {
    let server = Server::start().await;
    for round in 0..60_u64 {
        let topic = format!("dropped-{}", round % 5);
        let mut client = server.connect().await;
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&frame(named(&topic, 1, 1)));
        bytes.extend_from_slice(&frame(subscribe(&topic, 1, 2, SubType::Exclusive)));
        client.write(&bytes).await;
        tokio::time::sleep(Duration::from_micros(round * 100)).await;
        drop(client);
        server.until_nobody_is_connected().await;
        let mut next = server.connect().await;
        // An opening that was in progress may end a moment after the connection.
        let mut tries = 0;
        loop {
            next.send(named(&topic, 1, 1)).await;
            match next.body().await {
                Body::ProducerSuccess(_) => break,
                Body::Error(error) => assert!(tries < 50, "round {round}: {error:?}"),
                other => panic!("unexpected {other:?}"),
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        next.send(subscribe(&topic, 1, 2, SubType::Exclusive)).await;
        next.success(2).await;
        drop(next);
        server.until_nobody_is_connected().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_readers_come_and_go_on_one_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let mut bytes = BytesMut::new();
    for id in 0..1_000 {
        let mut reader = subscribe("readers", id, id, SubType::Exclusive);
        reader.durable = Some(false);
        reader.subscription = format!("reader-{id}");
        bytes.extend_from_slice(&frame(reader));
        bytes.extend_from_slice(&frame(close_consumer(id, 1_000 + id)));
    }
    client.write(&bytes).await;
    assert_eq!(answered(&mut client, 2_000).await.len(), 2_000);
    let stats = server.broker.topic_stats(&"readers".parse().unwrap()).await.unwrap();
    assert!(stats.subscriptions.is_empty());
}
