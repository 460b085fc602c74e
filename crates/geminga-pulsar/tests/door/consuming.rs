//! SUBSCRIBE and what follows it.

use bytes::BytesMut;
use geminga_wire::{
    entry::encode_entry,
    frame::encode_ack,
    proto::{
        Body, CommandConsumerStats, CommandGetLastMessageId,
        CommandRedeliverUnacknowledgedMessages, CommandSeek, CommandSubscribe, CommandUnsubscribe,
        MessageIdData, MessageMetadata, ServerError, command_subscribe::SubType,
    },
};

use crate::{
    client::{Client, ack, entry, send, send_entry, subscribe},
    server::Server,
};

async fn with_messages(server: &Server, topic: &str, count: u64) -> Client {
    let mut client = server.connect().await;
    client.open_producer(topic, 1).await;
    client.subscribe(topic, 1, SubType::Exclusive).await;
    for sequence_id in 0..count {
        client.publish(1, sequence_id, b"m").await;
    }
    client
}

async fn reads(client: &mut Client, entries: std::ops::Range<u64>) {
    for entry_id in entries {
        let (message, payload) = client.message().await;
        assert_eq!((message.consumer_id, message.message_id.entry_id), (1, entry_id));
        assert_eq!(payload, entry(entry_id, b"m"));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_come_as_permitted_and_acks_are_kept() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 10).await;
    client.flow(1, 4).await;
    reads(&mut client, 0..4).await;
    client.quiet().await;
    client.flow(1, 2).await;
    let (message, _) = client.message().await;
    assert_eq!((message.message_id.entry_id, message.redelivery_count()), (4, 0));
    reads(&mut client, 5..6).await;
    client.ack(1, &message.message_id, true).await;
    client.close_consumer(1).await;
    client.subscribe("t", 1, SubType::Exclusive).await;
    client.flow(1, 100).await;
    reads(&mut client, 5..10).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_exclusive_consumer_is_busy_until_the_first_has_gone() {
    let server = Server::start().await;
    let mut first = server.connect().await;
    first.subscribe("t", 1, SubType::Exclusive).await;
    let mut second = server.connect().await;
    second.send(subscribe("t", 1, 1, SubType::Exclusive)).await;
    assert_eq!(second.error_code().await, ServerError::ConsumerBusy);
    first.close_consumer(1).await;
    second.subscribe("t", 1, SubType::Exclusive).await;
    drop(second);
    // At once: as soon as the server knows that the socket is gone.
    server_notices(&server, 1).await;
    first.subscribe("t", 1, SubType::Exclusive).await;
}

async fn server_notices(server: &Server, connections: u64) {
    while server.metric("pulsar_active_connections") != connections {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn acks_in_one_write_reach_the_topic_in_order() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 8).await;
    client.flow(1, 100).await;
    reads(&mut client, 0..8).await;
    let ledger_id = last_message_id(&mut client).await.last_message_id.ledger_id;
    let id = |entry_id| MessageIdData { ledger_id, entry_id, ..MessageIdData::default() };
    let mut bytes = BytesMut::new();
    for entry_id in [0, 1, 3, 4] {
        encode_ack(&ack(1, &id(entry_id), false, None), &mut bytes);
    }
    encode_ack(&ack(1, &id(2), false, Some(77)), &mut bytes);
    client.write(&bytes).await;
    match client.body().await {
        Body::AckResponse(response) => assert_eq!(response.request_id, Some(77)),
        other => panic!("expected ACK_RESPONSE, got {other:?}"),
    }
    let answer = last_message_id(&mut client).await;
    let mark = answer.consumer_mark_delete_position.unwrap();
    assert_eq!((mark.ledger_id, mark.entry_id), (ledger_id, 4));
}

#[tokio::test(start_paused = true)]
async fn acks_for_nobody_are_refused_if_they_ask() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let mut bytes = BytesMut::new();
    encode_ack(&ack(9, &MessageIdData::default(), false, None), &mut bytes);
    encode_ack(&ack(9, &MessageIdData::default(), false, Some(5)), &mut bytes);
    client.write(&bytes).await;
    match client.body().await {
        Body::AckResponse(response) => {
            assert_eq!(response.request_id, Some(5));
            assert_eq!(response.error(), ServerError::ConsumerNotFound);
        }
        other => panic!("expected ACK_RESPONSE, got {other:?}"),
    }
    client.flow(9, 10).await;
    client.quiet().await;
}

async fn last_message_id(
    client: &mut Client,
) -> geminga_wire::proto::CommandGetLastMessageIdResponse {
    let request_id = client.request_id();
    match client.ask(CommandGetLastMessageId { consumer_id: 1, request_id }).await {
        Body::GetLastMessageIdResponse(response) => {
            assert_eq!(response.request_id, request_id);
            response
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_message_id_of_an_empty_topic_is_none() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 0).await;
    let last = last_message_id(&mut client).await.last_message_id;
    assert_eq!((last.ledger_id, last.entry_id), (u64::MAX, u64::MAX));
    client.publish(1, 0, b"m").await;
    let last = last_message_id(&mut client).await.last_message_id;
    assert_eq!((last.entry_id, last.partition(), last.batch_index()), (0, -1, -1));
}

/// Goal: a reader that asks whether there is more is not told of what it will never be given whole.
#[tokio::test(start_paused = true)]
async fn the_last_message_id_is_of_no_chunk_in_the_middle() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 1).await;
    for (chunk_id, last) in [(0, 0), (1, 0), (2, 3)] {
        let chunk = MessageMetadata {
            uuid: Some("u".to_owned()),
            chunk_id: Some(chunk_id),
            num_chunks_from_msg: Some(3),
            total_chunk_msg_size: Some(3),
            ..metadata()
        };
        client.write(&send_entry(1, 1, &encode_entry(&chunk, b"m"))).await;
        client.receipt().await;
        let id = last_message_id(&mut client).await.last_message_id;
        assert_eq!(id.entry_id, last, "chunk {chunk_id}");
    }
    // What a client says of a chunk may be anything.
    let odd = MessageMetadata {
        uuid: Some("u".to_owned()),
        chunk_id: Some(i32::MAX),
        num_chunks_from_msg: Some(i32::MIN),
        ..metadata()
    };
    client.write(&send_entry(1, 1, &encode_entry(&odd, b"m"))).await;
    client.receipt().await;
    assert_eq!(last_message_id(&mut client).await.last_message_id.entry_id, 4);
}

#[tokio::test(start_paused = true)]
async fn a_marker_is_delivered_to_nobody() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 1).await;
    client.flow(1, 100).await;
    reads(&mut client, 0..1).await;
    let marker = MessageMetadata { marker_type: Some(10), ..metadata() };
    client.write(&send_entry(1, 1, &encode_entry(&marker, b""))).await;
    client.receipt().await;
    assert_eq!(last_message_id(&mut client).await.last_message_id.entry_id, 0);
    client.write(&send(1, 2, b"m")).await;
    let (mut receipts, mut delivered) = (0, Vec::new());
    while receipts == 0 || delivered.is_empty() {
        match client.body().await {
            Body::Message(message) => delivered.push(message.message_id.entry_id),
            Body::SendReceipt(_) => receipts += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(delivered, [2]);
}

fn metadata() -> MessageMetadata {
    MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id: 1,
        publish_time: 1_700_000_000_000,
        ..MessageMetadata::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_seek_closes_the_consumer_and_the_next_one_begins_there() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 6).await;
    client.flow(1, 100).await;
    reads(&mut client, 0..6).await;
    for (to, from) in [(u64::MAX, 0), (3, 3)] {
        let ledger_id = last_message_id(&mut client).await.last_message_id.ledger_id;
        let ledger_id = if to == u64::MAX { u64::MAX } else { ledger_id };
        let id = MessageIdData { ledger_id, entry_id: to, ..MessageIdData::default() };
        client
            .send(CommandSeek {
                consumer_id: 1,
                request_id: 50,
                message_id: Some(id),
                message_publish_time: None,
            })
            .await;
        match client.body().await {
            Body::CloseConsumer(close) => assert_eq!(close.consumer_id, 1),
            other => panic!("expected CLOSE_CONSUMER, got {other:?}"),
        }
        client.success(50).await;
        client.subscribe("t", 1, SubType::Exclusive).await;
        client.flow(1, 100).await;
        reads(&mut client, from..6).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_seek_right_before_a_subscribe_still_ends_well() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 3).await;
    let seek = CommandSeek {
        consumer_id: 1,
        request_id: 50,
        message_id: None,
        message_publish_time: Some(0),
    };
    let mut bytes = crate::client::frame(seek).to_vec();
    bytes.extend_from_slice(&crate::client::frame(subscribe("t", 2, 51, SubType::Exclusive)));
    client.write(&bytes).await;
    let mut answers = 0;
    while answers < 2 {
        match client.body().await {
            Body::CloseConsumer(_) => {}
            Body::Success(_) => answers += 1,
            Body::Error(error) => {
                assert_eq!(error.error(), ServerError::ServiceNotReady, "{error:?}");
                answers += 1;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn redelivery_brings_all_that_is_not_acked() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 4).await;
    client.flow(1, 100).await;
    let (first, _) = client.message().await;
    reads(&mut client, 1..4).await;
    client.ack(1, &first.message_id, false).await;
    client
        .send(CommandRedeliverUnacknowledgedMessages {
            consumer_id: 1,
            message_ids: Vec::new(),
            consumer_epoch: None,
        })
        .await;
    reads(&mut client, 1..4).await;
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_deletes_the_subscription_once() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 1).await;
    let unsubscribe = |request_id| CommandUnsubscribe { consumer_id: 1, request_id, force: None };
    client.send(unsubscribe(1)).await;
    client.success(1).await;
    client.send(unsubscribe(2)).await;
    assert_eq!(client.error_code().await, ServerError::ConsumerNotFound);
    client.close_consumer(1).await;
    let subscriptions = server.broker.subscriptions(&"t".parse().unwrap()).await.unwrap();
    assert!(subscriptions.is_empty(), "{subscriptions:?}");
}

#[tokio::test(start_paused = true)]
async fn stats_are_those_of_the_consumer() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 3).await;
    let ask = |consumer_id| CommandConsumerStats { request_id: 3, consumer_id };
    let Body::ConsumerStatsResponse(stats) = client.ask(ask(1)).await else { panic!() };
    assert_eq!((stats.request_id, stats.error_code), (3, None));
    assert_eq!(stats.consumer_name(), "consumer-1");
    assert_eq!(stats.r#type(), "Exclusive");
    assert_eq!(stats.msg_backlog(), 3);
    let Body::ConsumerStatsResponse(stats) = client.ask(ask(9)).await else { panic!() };
    assert_eq!(stats.error_code(), ServerError::ConsumerNotFound);
}

#[tokio::test(start_paused = true)]
async fn a_reader_begins_at_its_message_and_leaves_nothing() {
    let server = Server::start().await;
    let mut client = with_messages(&server, "t", 5).await;
    let ledger_id = last_message_id(&mut client).await.last_message_id.ledger_id;
    client.close_consumer(1).await;
    let reader = CommandSubscribe {
        subscription: "reader".to_owned(),
        durable: Some(false),
        consumer_name: None,
        start_message_id: Some(MessageIdData {
            ledger_id,
            entry_id: 2,
            ..MessageIdData::default()
        }),
        ..subscribe("t", 1, 1, SubType::Exclusive)
    };
    client.send(reader).await;
    client.success(1).await;
    client.flow(1, 10).await;
    reads(&mut client, 2..5).await;
    let topic = "t".parse().unwrap();
    let stats = server.broker.topic_stats(&topic).await.unwrap();
    let reader = stats.subscriptions.iter().find(|found| found.name == "reader").unwrap();
    assert!(!reader.consumers[0].stats.consumer_name.is_empty());
    assert_eq!(reader.consumers[0].client_version, "Test-client-1.0");
    client.close_consumer(1).await;
    let stats = server.broker.topic_stats(&topic).await.unwrap();
    assert!(stats.subscriptions.iter().all(|found| found.name != "reader"));
}

#[tokio::test(start_paused = true)]
async fn failover_consumers_are_told_who_is_active() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(subscribe("t", 1, 1, SubType::Failover)).await;
    let (mut is_open, mut is_told) = (false, false);
    while !(is_open && is_told) {
        match client.body().await {
            Body::Success(_) => is_open = true,
            Body::ActiveConsumerChange(change) => {
                assert_eq!((change.consumer_id, change.is_active()), (1, true));
                is_told = true;
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}
