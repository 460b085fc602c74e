//! Bytes that no client sends. Whatever comes, its connection is closed and nothing else suffers.

use std::time::Duration;

use bytes::BytesMut;
use geminga_broker::Budget;
use geminga_wire::proto::{
    CommandConnected, CommandPing, CommandSuccess, ServerError, command_subscribe::SubType,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    client::{frame, producer, send, send_entry, subscribe},
    server::{MAX_MESSAGE_SIZE, Server},
};

/// The server still serves.
async fn is_unharmed(server: &Server) {
    let mut client = server.connect().await;
    client.open_producer("unharmed", 1).await;
    client.publish(1, 0, b"still here").await;
}

#[tokio::test(start_paused = true)]
async fn random_bytes_end_their_connection_only() {
    let server = Server::start().await;
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut client = server.dial().await;
        if rng.random_bool(0.5) {
            client.connect().await;
        }
        let mut bytes: Vec<u8> = (0..rng.random_range(1..2_000)).map(|_| rng.random()).collect();
        if rng.random_bool(0.5) {
            // Get past the size check.
            let size = u32::try_from(bytes.len()).unwrap();
            let command = rng.random_range(0..size);
            bytes.splice(
                0..0,
                size.saturating_add(4).to_be_bytes().into_iter().chain(command.to_be_bytes()),
            );
        }
        client.try_write(&bytes).await;
        drop(client);
    }
    server.until_nobody_is_connected().await;
    is_unharmed(&server).await;
}

/// Frames of a working client, with a few bits flipped.
#[tokio::test(start_paused = true)]
async fn flipped_bits_end_their_connection_only() {
    let server = Server::start().await;
    for seed in 0..300_u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut client = server.connect().await;
        let topic = format!("flipped-{}", seed % 4);
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&frame(producer(&topic, 1, 1)));
        bytes.extend_from_slice(&frame(subscribe(&topic, 1, 2, SubType::Shared)));
        bytes.extend_from_slice(&send(1, 0, b"payload"));
        bytes.extend_from_slice(&send(1, 1, b"payload"));
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }
        client.try_write(&bytes).await;
        if rng.random_bool(0.5) {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await;
        }
        drop(client);
    }
    server.until_nobody_is_connected().await;
    is_unharmed(&server).await;
}

#[tokio::test(start_paused = true)]
async fn an_oversized_frame_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.write(&u32::try_from(MAX_MESSAGE_SIZE + 20_000).unwrap().to_be_bytes()).await;
    client.closed().await;
    let mut web = server.dial().await;
    web.write(b"GET /admin/v2/clusters HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    web.closed().await;
    assert_eq!(server.metric("geminga_pulsar_malformed_total"), 2);
    is_unharmed(&server).await;
}

/// Goal: who has not said who they are gets little memory.
#[tokio::test(start_paused = true)]
async fn a_large_frame_before_connect_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.dial().await;
    client.write(&(200_u32 << 10).to_be_bytes()).await;
    client.closed().await;
    assert_eq!(server.metric("geminga_pulsar_malformed_total"), 1);
    is_unharmed(&server).await;
}

/// Goal: half frames hold no more memory than their budget, nor for ever; small ones go on.
#[tokio::test(start_paused = true)]
async fn large_frames_wait_for_room_and_must_become_whole() {
    let limit = 110 << 10;
    let server = Server::with(|options| {
        options.large_frames = Budget::new("test", limit);
        options.keep_alive = Duration::ZERO;
    })
    .await;
    let (mut slow, mut next) = (server.connect().await, server.connect().await);
    slow.open_producer("slow", 1).await;
    next.open_producer("next", 1).await;
    let large = send(1, 0, &vec![7; 90 << 10]);
    slow.write(&large[..large.len() - 1]).await;
    let (begin, rest) = large.split_at(100);
    next.write(begin).await;
    let mut small = server.connect().await;
    small.open_producer("small", 1).await;
    small.publish(1, 0, b"goes on").await;
    let waiting = async {
        next.write(rest).await;
        next.next_within(Duration::from_secs(200)).await.expect("its receipt")
    };
    tokio::join!(waiting, slow.closed_within(Duration::from_secs(200)));
    assert_eq!(server.metric("geminga_pulsar_malformed_total"), 1);
    is_unharmed(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_largest_size_passes() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("large", 1).await;
    client.publish(1, 0, &vec![7; MAX_MESSAGE_SIZE - 100]).await;
}

#[tokio::test(start_paused = true)]
async fn a_truncated_frame_ends_with_its_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("truncated", 1).await;
    let bytes = send(1, 0, b"never whole");
    client.write(&bytes[..bytes.len() - 1]).await;
    drop(client);
    server.until_nobody_is_connected().await;
    assert_eq!(server.metric("geminga_pulsar_malformed_total"), 1);
    is_unharmed(&server).await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_are_none_of_a_client_end_the_connection() {
    let server = Server::start().await;
    // Type 99, with its body.
    let unknown = [0, 0, 0, 10, 0, 0, 0, 6, 0x08, 99, 0x9a, 0x06, 0x01, 0x00];
    let untyped = [0, 0, 0, 4, 0, 0, 0, 0];
    for bytes in [
        unknown.to_vec(),
        untyped.to_vec(),
        frame(CommandConnected::default()).to_vec(),
        frame(CommandSuccess::default()).to_vec(),
    ] {
        let mut client = server.connect().await;
        client.write(&bytes).await;
        client.closed().await;
    }
    is_unharmed(&server).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_to_no_producer_ends_the_connection() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.write(&send(7, 0, b"x")).await;
    client.closed().await;
    is_unharmed(&server).await;
}

/// A bad checksum is told in its place, and the messages around it are stored.
#[tokio::test(start_paused = true)]
async fn a_bad_checksum_is_told_in_order() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("checksum", 1).await;
    let mut bytes = BytesMut::new();
    for sequence_id in 0..6 {
        let mut entry = crate::client::entry(sequence_id, b"payload").to_vec();
        if sequence_id % 2 == 1 {
            *entry.last_mut().unwrap() ^= 1;
        }
        bytes.extend_from_slice(&send_entry(1, sequence_id, &entry));
    }
    client.write(&bytes).await;
    let mut stored = 0;
    for sequence_id in 0..6 {
        match client.body().await {
            geminga_wire::proto::Body::SendReceipt(receipt) => {
                assert_eq!((receipt.sequence_id, sequence_id % 2), (sequence_id, 0));
                assert_eq!(receipt.message_id.unwrap().entry_id, stored);
                stored += 1;
            }
            geminga_wire::proto::Body::SendError(error) => {
                assert_eq!((error.sequence_id, sequence_id % 2), (sequence_id, 1));
                assert_eq!(error.error(), ServerError::ChecksumError);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(server.metric("geminga_pulsar_checksum_errors_total"), 3);
    client.send(CommandPing::default()).await;
    client.next().await;
}
