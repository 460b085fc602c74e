//! PRODUCER, SEND and their answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use geminga_wire::{
    frame::{SendCommand, encode_send},
    proto::{
        Body, CommandProducer, MessageMetadata, Schema, ServerError, command_subscribe::SubType,
        schema::Type,
    },
};

use crate::{
    client::{entry, producer, send},
    server::Server,
};

#[tokio::test(start_paused = true)]
async fn receipts_come_in_order_with_dense_entry_ids() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let success = client.open_producer("t", 1).await;
    assert!(!success.producer_name.is_empty());
    assert_eq!(success.last_sequence_id(), -1);
    assert_eq!(success.schema_version, Some(Bytes::new()));
    assert!(success.producer_ready());
    let mut bytes = BytesMut::new();
    for sequence_id in 0..100 {
        bytes.extend_from_slice(&send(1, sequence_id, b"m"));
    }
    client.write(&bytes).await;
    for sequence_id in 0..100 {
        let receipt = client.receipt().await;
        assert_eq!((receipt.producer_id, receipt.sequence_id), (1, sequence_id));
        let id = receipt.message_id.unwrap();
        assert!(id.ledger_id < u64::MAX / 2);
        assert_eq!(id.entry_id, sequence_id);
    }
}

/// Goal: far more SENDs than any window are all published, in order, of several producers.
#[tokio::test(start_paused = true)]
async fn small_windows_slow_down_and_lose_nothing() {
    let server = Server::with(|options| {
        options.producer_window_messages = 3;
        options.producer_window_bytes = 2_000;
        options.pending_publishes_per_connection = 5;
    })
    .await;
    let mut client = server.connect().await;
    for id in 1..4 {
        client.open_producer(&format!("window-{id}"), id).await;
    }
    let mut bytes = BytesMut::new();
    for sequence_id in 0..200 {
        for id in 1..4 {
            bytes.extend_from_slice(&send(id, sequence_id, &[7; 700]));
        }
    }
    client.write(&bytes).await;
    let mut next = [0; 4];
    for _ in 0..600 {
        let receipt = client.receipt().await;
        let next = &mut next[usize::try_from(receipt.producer_id).unwrap()];
        assert_eq!(receipt.sequence_id, *next);
        assert_eq!(receipt.message_id.unwrap().entry_id, *next);
        *next += 1;
    }
    assert!(0 < server.metric("geminga_pulsar_paused_total"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_entry_and_its_receipt_echoes_both_ids() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("batch", 1).await;
    client.subscribe("batch", 2, SubType::Exclusive).await;
    let metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id: 10,
        publish_time: 1,
        num_messages_in_batch: Some(5),
        highest_sequence_id: Some(14),
        ..MessageMetadata::default()
    };
    let entry = geminga_wire::entry::encode_entry(&metadata, b"opaque to the broker");
    let command = SendCommand {
        producer_id: 1,
        sequence_id: 10,
        num_messages: 5,
        highest_sequence_id: Some(14),
        txn: None,
        is_chunk: false,
        marker: false,
        message_id: None,
    };
    let mut bytes = BytesMut::new();
    encode_send(&command, &entry, &mut bytes);
    client.write(&bytes).await;
    let receipt = client.receipt().await;
    assert_eq!((receipt.sequence_id, receipt.highest_sequence_id()), (10, 14));
    client.flow(2, 5).await;
    let (message, payload) = client.message().await;
    assert_eq!(message.message_id.entry_id, 0);
    assert_eq!(payload, entry);
}

#[tokio::test(start_paused = true)]
async fn names_are_taken_by_others_and_kept_by_ourselves() {
    let server = Server::start().await;
    let named = |id, request_id| CommandProducer {
        producer_name: Some("me".to_owned()),
        ..producer("named", id, request_id)
    };
    let mut client = server.connect().await;
    client.send(named(1, 1)).await;
    assert_eq!(client.producer_success(1).await.producer_name, "me");
    client.send(named(1, 2)).await;
    assert_eq!(client.producer_success(2).await.producer_name, "me");
    client.send(named(2, 3)).await;
    assert_eq!(client.error_code().await, ServerError::ProducerBusy);
    let mut other = server.connect().await;
    other.send(named(1, 1)).await;
    assert_eq!(other.error_code().await, ServerError::ProducerBusy);
    client.close_producer(1).await;
    other.send(named(1, 2)).await;
    other.producer_success(2).await;
}

#[tokio::test(start_paused = true)]
async fn an_unload_closes_the_producer_and_what_it_had_sent_is_no_offence() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("unload", 1).await;
    client.publish(1, 0, b"before").await;
    server.broker.unload_topic(&"unload".parse().unwrap()).await.unwrap();
    match client.body().await {
        Body::CloseProducer(close) => assert_eq!(close.producer_id, 1),
        other => panic!("expected CLOSE_PRODUCER, got {other:?}"),
    }
    client.write(&send(1, 1, b"on its way")).await;
    client.quiet().await;
    client.open_producer("unload", 1).await;
    client.publish(1, 1, b"again").await;
}

#[tokio::test(start_paused = true)]
async fn a_terminated_topic_closes_its_producers_and_tells_the_next() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("end", 1).await;
    client.publish(1, 0, b"last").await;
    server.broker.terminate(&"end".parse().unwrap()).await.unwrap();
    client.write(&send(1, 1, b"too late")).await;
    loop {
        match client.body().await {
            Body::CloseProducer(_) => break,
            Body::SendReceipt(receipt) => panic!("stored after the end: {receipt:?}"),
            _ => {}
        }
    }
    client.send(producer("end", 1, 5)).await;
    let error = client.error().await;
    assert_eq!((error.request_id, error.error()), (5, ServerError::TopicTerminatedError));
}

#[tokio::test(start_paused = true)]
async fn names_that_are_none_and_places_that_do_not_exist() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for (topic, code) in [
        ("persistent://a/b/c/d", ServerError::InvalidTopicName),
        ("http://a/b/c", ServerError::InvalidTopicName),
        ("persistent://nobody/default/t", ServerError::TopicNotFound),
        ("persistent://public/nowhere/t", ServerError::TopicNotFound),
    ] {
        client.send(producer(topic, 1, 1)).await;
        assert_eq!(client.error_code().await, code, "{topic}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_schema_has_a_version_of_eight_bytes_and_one_type() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let with = |id, kind| CommandProducer {
        schema: Some(Schema {
            name: "s".to_owned(),
            schema_data: Bytes::from_static(b"{\"type\":\"string\"}"),
            r#type: kind,
            properties: Vec::new(),
        }),
        ..producer("schema", id, id)
    };
    client.send(with(1, Type::Json as i32)).await;
    assert_eq!(client.producer_success(1).await.schema_version, Some(Bytes::from_static(&[0; 8])));
    client.send(with(2, Type::Json as i32)).await;
    assert_eq!(client.producer_success(2).await.schema_version, Some(Bytes::from_static(&[0; 8])));
    client.send(with(3, Type::Avro as i32)).await;
    assert_eq!(client.error_code().await, ServerError::IncompatibleSchema);
    client.send(with(4, Type::None as i32)).await;
    assert_eq!(client.producer_success(4).await.schema_version, Some(Bytes::new()));
}

#[tokio::test(start_paused = true)]
async fn receipts_reach_a_producer_that_is_being_closed() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.open_producer("closing", 1).await;
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&send(1, 0, b"m"));
    bytes.extend_from_slice(&crate::client::frame(geminga_wire::proto::CommandCloseProducer {
        producer_id: 1,
        request_id: 9,
        ..Default::default()
    }));
    client.write(&bytes).await;
    let mut answers = Vec::new();
    while answers.last() != Some(&"success") {
        answers.push(match client.body().await {
            Body::SendReceipt(_) => "receipt",
            Body::Success(success) if success.request_id == 9 => "success",
            other => panic!("unexpected {other:?}"),
        });
    }
    assert_eq!(answers, ["receipt", "success"]);
    client.subscribe("closing", 1, SubType::Exclusive).await;
    client.flow(1, 10).await;
    assert_eq!(client.message().await.1, entry(0, b"m"));
}

/// On real sockets and a real disk.
#[tokio::test]
async fn a_message_passes_over_real_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let env = geminga_env::Env::system();
    let server = Server::start_in(env, directory.path(), |_| {}).await;
    let mut client = server.connect().await;
    client.open_producer("real", 1).await;
    client.subscribe("real", 1, SubType::Shared).await;
    client.flow(1, 1_000).await;
    for sequence_id in 0..20 {
        let payload =
            vec![u8::try_from(sequence_id).unwrap(); 200 * usize::try_from(sequence_id).unwrap()];
        client.write(&send(1, sequence_id, &payload)).await;
        let (mut id, mut message) = (None, None);
        while id.is_none() || message.is_none() {
            let frame = client.next().await;
            let geminga_wire::frame::Command::Other(body) = frame.command else { continue };
            match *body {
                Body::SendReceipt(receipt) => id = receipt.message_id,
                Body::Message(it) => message = Some((it, frame.payload.unwrap())),
                other => panic!("unexpected {other:?}"),
            }
        }
        let (message, bytes) = message.unwrap();
        assert_eq!(message.message_id.position(), id.unwrap().position());
        assert_eq!(bytes, entry(sequence_id, &payload));
    }
    server.broker.shutdown().await;
    server.shutdown.cancel();
    client.closed().await;
    server.tasks.close();
    tokio::time::timeout(Duration::from_secs(10), server.tasks.wait()).await.unwrap();
}

/// Goal: of what a connection has on its way to topics that store nothing no more is taken than may be.
/// The rest is dropped and counted, its receipts say so and come in order; topics that store take all.
#[tokio::test(start_paused = true)]
async fn too_much_for_non_persistent_topics_is_dropped_in_order() {
    const NP: &str = "non-persistent://public/default/np";
    let server = Server::with(|options| options.nonpersistent_publishes_per_connection = 2).await;
    let mut client = server.connect().await;
    client.open_producer(NP, 1).await;
    client.open_producer("stored", 2).await;
    let mut bytes = BytesMut::new();
    for sequence_id in 0..5 {
        bytes.extend_from_slice(&send(1, sequence_id, b"m"));
        bytes.extend_from_slice(&send(2, sequence_id, b"m"));
    }
    client.write(&bytes).await;
    let (mut next, mut dropped) = ([0, 0], 0);
    for _ in 0..10 {
        let receipt = client.receipt().await;
        let of_producer = usize::try_from(receipt.producer_id).unwrap() - 1;
        assert_eq!(receipt.sequence_id, next[of_producer]);
        next[of_producer] += 1;
        let id = receipt.message_id.unwrap();
        if of_producer == 0 {
            let is_dropped = (id.ledger_id, id.entry_id) == (u64::MAX, u64::MAX);
            assert!(is_dropped || (id.ledger_id, id.entry_id) == (0, 0), "{id:?}");
            dropped += u64::from(is_dropped);
        } else {
            assert_eq!(id.entry_id, receipt.sequence_id);
        }
    }
    assert!((1..=3).contains(&dropped), "{dropped}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stats = server.broker.topic_stats(&NP.parse().unwrap()).await.unwrap();
    assert_eq!(stats.messages_in, 5 - dropped);
    assert!(0.0 < stats.message_rate_dropped);
    assert_eq!(stats.message_rate_dropped, stats.publishers[0].message_rate_dropped);
}
