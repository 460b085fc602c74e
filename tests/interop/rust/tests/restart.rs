//! What clients see when the server is killed.
#![cfg(test)]

use std::collections::BTreeSet;

use geminga_interop_rust::*;
use pulsar::SubType;

/// Goal: nothing that had its receipt is lost, no ack that the server counted is undone, and clients
/// go on by themselves.
///
/// Method: send, acknowledge a part, kill the server, send more through the same producer, and read to
/// the end with the same consumer and with a new one.
#[tokio::test(flavor = "multi_thread")]
async fn clients_come_back_and_lose_nothing() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..100).await;
    for message in &receive_numbers(&mut consumer, 0..40).await[..30] {
        consumer.ack(message).await.unwrap();
    }
    restart_server().await;
    // A send that the kill interrupts may fail; then the caller sends again.
    let mut sent = 100;
    while sent < 120 {
        if let Ok(receipt) = producer.send_non_blocking(number(sent)).await
            && receipt.await.is_ok()
        {
            sent += 1;
        }
    }
    let mut seen = BTreeSet::new();
    while !(40..120).all(|n| seen.contains(&number(n))) {
        match receive_if_open(&mut consumer).await {
            Some(message) => _ = seen.insert(message.deserialize()),
            // This client gives up where a connection that it makes is cut by the kill.
            None => consumer = subscribe(&client, &topic, SubType::Exclusive).await,
        }
    }
    consumer.close().await.unwrap();
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut last = None;
    while last != Some(119) {
        let n: usize =
            String::from_utf8(receive(&mut consumer).await.deserialize()).unwrap().parse().unwrap();
        // Acks without an answer may be lost, also those before others: what the client has not sent when
        // the server is killed it sends to the next one. What is sent again may be there twice.
        assert!(last.map_or(30, |last| 30.max(last + 1)) >= n, "{n} after {last:?}");
        last = last.max(Some(n));
    }
}
