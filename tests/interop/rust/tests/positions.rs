//! Readers, seek and the last message id.
#![cfg(test)]

use std::{
    collections::BTreeSet,
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use geminga_interop_rust::*;
use pulsar::{Consumer, SubType, TokioExecutor, proto::MessageIdData};

/// How a client names the position before all messages, and the one behind them.
fn earliest() -> MessageIdData {
    MessageIdData { ledger_id: u64::MAX, entry_id: u64::MAX, ..MessageIdData::default() }
}

fn latest() -> MessageIdData {
    let last = i64::MAX as u64;
    MessageIdData { ledger_id: last, entry_id: last, ..MessageIdData::default() }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_begins_where_it_is_told() {
    let (client, topic) = (client().await, new_topic());
    let mut producer = producer(&client, &topic).build().await.unwrap();
    let ids = send_numbers(&mut producer, 0..10).await;
    let mut reader = read(&client, &topic, earliest()).await;
    for n in 0..10 {
        assert_eq!(next(&mut reader).await, number(n));
    }
    assert_eq!(reader.get_last_message_id().await.unwrap().entry_id, 9);
    // This client leaves it to its user to skip the message it begins at.
    let mut reader = read(&client, &topic, ids[4].clone()).await;
    assert_eq!(next(&mut reader).await, number(4));
    assert_eq!(next(&mut reader).await, number(5));
    let mut reader = read(&client, &topic, latest()).await;
    send_numbers(&mut producer, 10..11).await;
    assert_eq!(next(&mut reader).await, number(10));
}

/// Receives these numbers once each.
///
/// While this client seeks, its consumer and the one that takes its place are both there for a moment.
/// So it can't seek in an Exclusive subscription, and in a Shared one the order is not fixed.
async fn receive_all(consumer: &mut Consumer<Bytes, TokioExecutor>, numbers: Range<usize>) {
    let mut left: BTreeSet<Bytes> = numbers.map(number).collect();
    while !left.is_empty() {
        let message = receive(consumer).await.deserialize();
        assert!(left.remove(&message), "{message:?} is one too many");
    }
    nothing_more(consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seek_by_id_and_to_the_ends() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Shared).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    let ids = send_numbers(&mut producer, 0..10).await;
    for message in &receive_numbers(&mut consumer, 0..10).await {
        consumer.ack(message).await.unwrap();
    }
    consumer.seek(None, Some(ids[6].clone()), None, client.clone()).await.unwrap();
    receive_all(&mut consumer, 6..10).await;
    consumer.seek(None, Some(earliest()), None, client.clone()).await.unwrap();
    receive_all(&mut consumer, 0..10).await;
    consumer.seek(None, Some(latest()), None, client.clone()).await.unwrap();
    nothing_more(&mut consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seek_by_time() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Shared).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..5).await;
    let last = receive_numbers(&mut consumer, 0..5).await[4].metadata().publish_time;
    wait_for("a later millisecond", async || last < now_ms()).await;
    let middle = now_ms();
    send_numbers(&mut producer, 5..10).await;
    consumer.seek(None, None, Some(middle), client.clone()).await.unwrap();
    receive_all(&mut consumer, 5..10).await;
    consumer.seek(None, None, Some(1), client.clone()).await.unwrap();
    receive_all(&mut consumer, 0..10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_id() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    for n in 0..3 {
        let sent = send_numbers(&mut producer, n..n + 1).await;
        let last = &consumer.get_last_message_id().await.unwrap()[0];
        assert_eq!((last.ledger_id, last.entry_id), (sent[0].ledger_id, n as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_one_entry() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).with_options(batches_of(5)).build().await.unwrap();
    let mut receipts = Vec::new();
    for n in 0..10 {
        receipts.push(producer.send_non_blocking(number(n)).await.unwrap());
    }
    for (n, receipt) in receipts.into_iter().enumerate() {
        let id = receipt.await.unwrap().message_id.expect("a receipt has an id");
        assert_eq!(id.entry_id, n as u64 / 5);
    }
    let messages = receive_numbers(&mut consumer, 0..10).await;
    assert_eq!(messages[7].message_id().entry_id, 1);
    assert_eq!(messages[7].message_id().batch_index, Some(2));
}
