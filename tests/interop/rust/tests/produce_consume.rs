//! Messages in every form, and the kinds of topics.
#![cfg(test)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use geminga_interop_rust::*;
use pulsar::{
    ProducerOptions, SubType,
    compression::{
        Compression, CompressionLz4, CompressionSnappy, CompressionZlib, CompressionZstd,
    },
    producer::Message,
    proto::{Schema, schema},
};

fn payload(n: usize) -> Bytes {
    format!("{n}-{}", "x".repeat(7 * n)).into_bytes()
}

async fn payloads_come_out_as_they_went_in(compression: Compression) {
    let client = client().await;
    for batch_size in [None, Some(30)] {
        let topic = new_topic();
        let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
        let options = ProducerOptions {
            compression: Some(compression.clone()),
            batch_size,
            ..ProducerOptions::default()
        };
        let mut producer = producer(&client, &topic).with_options(options).build().await.unwrap();
        let mut receipts = Vec::new();
        for n in 0..100 {
            let message = producer.create_message().with_content(payload(n));
            let message = message.with_key(format!("k{n}")).with_property("n", n.to_string());
            receipts.push(message.event_time(1000 + n as u64).send_non_blocking().await.unwrap());
        }
        if batch_size.is_some() {
            producer.send_batch().await.unwrap();
        }
        for (n, receipt) in receipts.into_iter().enumerate() {
            receipt.await.unwrap();
            let message = receive(&mut consumer).await;
            assert_eq!(message.deserialize(), payload(n));
            assert_eq!(message.key(), Some(format!("k{n}")));
            let properties = &message.metadata().properties;
            assert_eq!((properties.len(), properties[0].value.clone()), (1, n.to_string()));
            consumer.ack(&message).await.unwrap();
        }
        nothing_more(&mut consumer).await;
        wait_for("acknowledged", async || backlog(&topic).await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_without_compression() {
    payloads_come_out_as_they_went_in(Compression::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_with_lz4() {
    payloads_come_out_as_they_went_in(Compression::Lz4(CompressionLz4::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_with_zlib() {
    payloads_come_out_as_they_went_in(Compression::Zlib(CompressionZlib::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_with_zstd() {
    payloads_come_out_as_they_went_in(Compression::Zstd(CompressionZstd::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_with_snappy() {
    payloads_come_out_as_they_went_in(Compression::Snappy(CompressionSnappy::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_dense_and_equal_what_is_delivered() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    let ids = send_numbers(&mut producer, 0..20).await;
    for (n, message) in receive_numbers(&mut consumer, 0..20).await.iter().enumerate() {
        assert_eq!(ids[n].entry_id, n as u64);
        assert_eq!(message.message_id().entry_id, n as u64);
        assert_eq!(message.message_id().ledger_id, ids[0].ledger_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_topic_keeps_the_order_of_a_key() {
    let (client, topic) = (client().await, new_topic());
    make_partitions(&topic, 3).await;
    assert_eq!(client.lookup_partitioned_topic_number(&topic).await.unwrap(), 3);
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    for n in 0..60 {
        let partition_key = Some(format!("k{}", n % 10));
        let message = Message { payload: number(n), partition_key, ..Message::default() };
        producer.send_non_blocking(message).await.unwrap().await.unwrap();
    }
    let (mut by_key, mut topics) = (BTreeMap::<_, Vec<usize>>::new(), BTreeSet::new());
    for _ in 0..60 {
        let message = receive(&mut consumer).await;
        let n = String::from_utf8(message.deserialize()).unwrap().parse().unwrap();
        by_key.entry(message.key()).or_default().push(n);
        topics.insert(message.topic.clone());
        consumer.ack(&message).await.unwrap();
    }
    assert_eq!(by_key.len(), 10);
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
    assert_eq!(topics.len(), 3);
    nothing_more(&mut consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_non_persistent_topic_delivers() {
    let (client, topic) = (client().await, format!("non-{}", new_topic()));
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..10).await;
    receive_numbers(&mut consumer, 0..10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_messages_are_not_early() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Shared).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    let begun = Instant::now();
    let later = producer.create_message().with_content(number(1)).delay(Duration::from_secs(1));
    later.unwrap().send_non_blocking().await.unwrap().await.unwrap();
    send_numbers(&mut producer, 0..1).await;
    receive_numbers(&mut consumer, 0..2).await;
    assert!(Duration::from_secs(1) <= begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_finds_topics() {
    let (client, prefix) = (client().await, new_topic());
    let names: BTreeSet<String> = (0..3).map(|n| format!("{prefix}-{n}")).collect();
    for name in &names {
        producer(&client, name).build().await.unwrap();
    }
    let regex = regex::Regex::new(&format!("{prefix}-.*")).unwrap();
    let builder = client.consumer().with_topic_regex(regex).with_subscription("s");
    let mut consumer = builder.with_lookup_namespace("public/default").build().await.unwrap();
    for name in &names {
        let mut producer = producer(&client, name).build().await.unwrap();
        send_numbers(&mut producer, 0..1).await;
    }
    let mut found = BTreeSet::new();
    for _ in 0..3 {
        found.insert(receive(&mut consumer).await.topic);
    }
    assert_eq!(found, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_type_is_refused() {
    let (client, topic) = (client().await, new_topic());
    let with = |kind: schema::Type| {
        let schema = Schema { r#type: kind.into(), ..Schema::default() };
        let options = ProducerOptions { schema: Some(schema), ..ProducerOptions::default() };
        producer(&client, &topic).with_options(options).build()
    };
    let _first = with(schema::Type::String).await.unwrap();
    let refusal = with(schema::Type::Int32).await.map(drop).unwrap_err();
    assert!(format!("{refusal:?}").contains("IncompatibleSchema"), "{refusal:?}");
}
