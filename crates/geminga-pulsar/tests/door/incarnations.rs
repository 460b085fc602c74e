//! Ids that clients use again, while something for the one before is still on its way.
//!
//! Method, of all: the client does not read, its socket holds 1 KiB, and enough PONGs are before
//! what the topic sends.

use std::time::Duration;

use bytes::BytesMut;
use geminga_broker::TopicStats;
use geminga_wire::{
    frame::Command,
    proto::{
        Body, CommandCloseConsumer, CommandCloseProducer, CommandPing, command_subscribe::SubType,
    },
};

use crate::{
    client::{Client, frame, producer, send, subscribe},
    limits::handing,
    server::Server,
};

async fn until(server: &Server, topic: &str, is_so: impl Fn(&TopicStats) -> bool) {
    let deadline = server.env.clock.now() + Duration::from_secs(60);
    let topic = topic.parse().unwrap();
    loop {
        if let Ok(stats) = server.broker.topic_stats(&topic).await
            && is_so(&stats)
        {
            return;
        }
        assert!(server.env.clock.now() < deadline, "{topic} never gets there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A client whose socket is full.
async fn connect(server: &Server) -> Client {
    let streams = handing(server).await;
    let (near, far) = tokio::io::duplex(1_024);
    streams.send(Ok(Box::new(far))).await.unwrap();
    let mut client = Client::new(Box::new(near));
    client.connect().await;
    client
}

async fn fill_socket(client: &mut Client) {
    let mut pings = BytesMut::new();
    for _ in 0..400 {
        pings.extend_from_slice(&frame(CommandPing::default()));
    }
    client.write(&pings).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// What comes, but PONGs.
async fn body(client: &mut Client) -> Body {
    loop {
        match client.next().await.command {
            Command::Pong => {}
            Command::Other(body) => return *body,
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_of_an_earlier_consumer_does_not_close_its_successor() {
    let server = Server::start().await;
    let mut client = connect(&server).await;
    client.subscribe("first", 1, SubType::Exclusive).await;
    fill_socket(&mut client).await;
    server.broker.unload_topic(&"first".parse().unwrap()).await.unwrap();
    let close =
        CommandCloseConsumer { consumer_id: 1, request_id: 50, ..CommandCloseConsumer::default() };
    client.write(&frame(close)).await;
    client.write(&frame(subscribe("second", 1, 51, SubType::Exclusive))).await;
    let has_consumer = |stats: &TopicStats| {
        stats.subscriptions.first().is_some_and(|found| found.consumers.len() == 1)
    };
    until(&server, "second", has_consumer).await;
    let mut answered = Vec::new();
    while answered.len() < 2 {
        match body(&mut client).await {
            Body::Success(success) => answered.push(success.request_id),
            other => panic!("expected SUCCESS, got {other:?}"),
        }
    }
    assert_eq!(answered, [50, 51]);
    until(&server, "second", has_consumer).await;
    client.open_producer("second", 7).await;
    client.publish(7, 0, b"m").await;
    client.flow(1, 10).await;
    assert_eq!(client.message().await.0.consumer_id, 1);
}

#[tokio::test(start_paused = true)]
async fn receipts_of_an_earlier_producer_are_not_taken_for_its_successors() {
    let server = Server::start().await;
    let mut client = connect(&server).await;
    client.open_producer("first", 1).await;
    fill_socket(&mut client).await;
    client.write(&send(1, 5, b"m")).await;
    until(&server, "first", |stats| stats.storage_entries == 1).await;
    let close =
        CommandCloseProducer { producer_id: 1, request_id: 50, ..CommandCloseProducer::default() };
    client.write(&frame(close)).await;
    client.write(&frame(producer("second", 1, 51))).await;
    until(&server, "second", |stats| stats.publishers.len() == 1).await;
    client.write(&send(1, 0, b"m")).await;
    until(&server, "second", |stats| stats.storage_entries == 1).await;
    loop {
        match body(&mut client).await {
            Body::Success(_) | Body::ProducerSuccess(_) => {}
            Body::SendReceipt(receipt) => {
                assert_eq!(receipt.sequence_id, 0, "of the producer before");
                break;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    client.publish(1, 1, b"m").await;
}
