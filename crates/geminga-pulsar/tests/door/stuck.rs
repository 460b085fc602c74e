//! A producer whose topic does not get on, and its neighbours on the connection.

use std::time::Duration;

use bytes::Bytes;
use geminga_wire::proto::{Body, CommandPing, command_subscribe::SubType};

use crate::{
    client::{Client, entry, frame, send},
    server::Server,
};

const STUCK: u64 = 1;
const FREE: u64 = 2;
const WINDOW: u64 = 3;

/// A window of three SENDs, and a keep-alive that is over long before a full window is.
async fn server() -> Server {
    Server::with(|options| {
        options.producer_window_messages = 3;
        options.keep_alive = Duration::from_secs(5);
        options.window_timeout = Duration::from_secs(30);
    })
    .await
}

/// One producer's topic takes nothing: its window is full, and so far nobody is harmed.
async fn with_full_window(server: &Server) -> Client {
    let mut client = server.connect().await;
    client.open_producer("stuck", STUCK).await;
    client.open_producer("free", FREE).await;
    server.bookie.hold(b"slow");
    for sequence_id in 0..WINDOW {
        client.write(&send(STUCK, sequence_id, b"slow")).await;
    }
    for sequence_id in 0..10 {
        client.publish(FREE, sequence_id, b"fast").await;
    }
    client
}

async fn messages(client: &mut Client, topic: &str, count: usize) -> Vec<Bytes> {
    client.subscribe(topic, 9, SubType::Exclusive).await;
    client.flow(9, 1_000).await;
    let mut found = Vec::new();
    while found.len() < count {
        found.push(client.message().await.1);
    }
    client.quiet().await;
    client.close_consumer(9).await;
    found
}

#[tokio::test(start_paused = true)]
async fn neighbours_go_on_within_the_window_and_all_go_on_behind_it() {
    let server = server().await;
    let mut client = with_full_window(&server).await;
    client.write(&send(STUCK, WINDOW, b"slow")).await;
    client.write(&send(FREE, 10, b"fast")).await;
    client.write(&frame(CommandPing::default())).await;
    client.quiet().await; // Not read, the PING neither; PONGs come when its client would wait for one.
    assert_eq!(server.metric("geminga_pulsar_paused_total"), 1);
    server.bookie.release();
    let (mut stuck, mut has_pong, mut has_free) = (0, false, false);
    while stuck <= WINDOW || !has_pong || !has_free {
        match client.next().await.command {
            geminga_wire::frame::Command::Pong => has_pong = true,
            geminga_wire::frame::Command::Other(body) => match *body {
                Body::SendReceipt(receipt) if receipt.producer_id == STUCK => {
                    assert_eq!(receipt.sequence_id, stuck);
                    stuck += 1;
                }
                Body::SendReceipt(receipt) => {
                    assert_eq!(receipt.sequence_id, 10);
                    has_free = true;
                }
                other => panic!("unexpected {other:?}"),
            },
            other => panic!("unexpected {other:?}"),
        }
    }
    let expected: Vec<Bytes> = (0..=WINDOW).map(|n| entry(n, b"slow")).collect();
    assert_eq!(messages(&mut client, "stuck", expected.len()).await, expected);
}

/// Goal: who fills its window for too long is closed alone, and the connection, which we did not
/// read for longer than the keep-alive allows, stays.
#[tokio::test(start_paused = true)]
async fn a_producer_that_is_stuck_for_too_long_is_closed_and_the_others_go_on() {
    let server = server().await;
    let mut client = with_full_window(&server).await;
    client.write(&send(STUCK, WINDOW, b"slow")).await;
    client.write(&send(FREE, 10, b"fast")).await;
    let start = server.env.clock.now();
    let mut pongs = 0;
    let closing = loop {
        let frame = client.next_within(Duration::from_secs(40)).await.expect("an open connection");
        match frame.command {
            geminga_wire::frame::Command::Pong => pongs += 1,
            _ => break frame,
        }
    };
    let waited = server.env.clock.now() - start;
    assert!((10..=12).contains(&pongs), "{pongs}: twice in each keep-alive");
    assert!((Duration::from_secs(29)..Duration::from_secs(32)).contains(&waited), "{waited:?}");
    match closing.command {
        geminga_wire::frame::Command::Other(body) => match *body {
            Body::CloseProducer(close) => assert_eq!(close.producer_id, STUCK),
            other => panic!("expected CLOSE_PRODUCER, got {other:?}"),
        },
        other => panic!("expected CLOSE_PRODUCER, got {other:?}"),
    }
    assert_eq!(client.receipt().await.sequence_id, 10);
    client.publish(FREE, 11, b"fast").await;
    // What a client does then: it opens the producer again and sends what has no receipt.
    server.bookie.release();
    client.open_producer("stuck", STUCK).await;
    for sequence_id in 0..=WINDOW {
        client.publish(STUCK, sequence_id, b"slow").await;
    }
    let expected: Vec<Bytes> = (0..12).map(|n| entry(n, b"fast")).collect();
    assert_eq!(messages(&mut client, "free", expected.len()).await, expected);
    // Those on their way when it was closed were stored; what never went to the topic was not.
    let twice = (0..WINDOW).chain(0..=WINDOW);
    let expected: Vec<Bytes> = twice.map(|n| entry(n, b"slow")).collect();
    assert_eq!(messages(&mut client, "stuck", expected.len()).await, expected);
}
