//! Who gets which message, acks and what becomes of messages without one.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use geminga_interop_rust::*;
use pulsar::{SubType, consumer::DeadLetterPolicy, producer::Message};

#[tokio::test(flavor = "multi_thread")]
async fn exclusive_is_exclusive() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let refusal = try_subscribe(&client, &topic, SubType::Exclusive).await.map(drop).unwrap_err();
    assert!(format!("{refusal:?}").contains("ConsumerBusy"), "{refusal:?}");
    consumer.close().await.unwrap();
    subscribe(&client, &topic, SubType::Shared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_hands_over_in_order() {
    let (client, topic) = (client().await, new_topic());
    let builder = client.consumer().with_topic(&topic).with_subscription("s");
    let builder = builder.with_subscription_type(SubType::Failover);
    let mut first = builder.clone().with_consumer_name("a").build::<Bytes>().await.unwrap();
    let mut second = builder.with_consumer_name("b").build::<Bytes>().await.unwrap();
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..10).await;
    for message in &receive_numbers(&mut first, 0..10).await[..4] {
        first.ack(message).await.unwrap();
    }
    nothing_more(&mut second).await;
    wait_for("acknowledged", async || backlog(&topic).await == 6).await;
    first.close().await.unwrap();
    receive_numbers(&mut second, 4..10).await;
    nothing_more(&mut second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_spreads_and_gives_on_what_a_closed_consumer_held() {
    let (client, topic) = (client().await, new_topic());
    let builder = client.consumer().with_topic(&topic).with_subscription("s").with_batch_size(20);
    let builder = builder.with_subscription_type(SubType::Shared);
    let mut first = builder.clone().build::<Bytes>().await.unwrap();
    let mut second = builder.build::<Bytes>().await.unwrap();
    let mut producer = producer(&client, &topic).build().await.unwrap();
    let (mut held, mut own) = (BTreeSet::new(), BTreeSet::new());
    for n in 0..20 {
        send_numbers(&mut producer, n..n + 1).await;
    }
    for _ in 0..10 {
        held.insert(receive(&mut first).await.deserialize());
        let message = receive(&mut second).await;
        second.ack(&message).await.unwrap();
        own.insert(message.deserialize());
    }
    assert_eq!((held.len(), own.len()), (10, 10));
    first.close().await.unwrap();
    for _ in 0..10 {
        assert!(held.remove(&receive(&mut second).await.deserialize()));
    }
    nothing_more(&mut second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_shared_keeps_a_key_at_one_consumer_in_order() {
    let (client, topic) = (client().await, new_topic());
    let mut first = subscribe(&client, &topic, SubType::KeyShared).await;
    let mut second = subscribe(&client, &topic, SubType::KeyShared).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    const KEYS: usize = 20;
    for n in 0..KEYS * 5 {
        let partition_key = Some(format!("k{}", n % KEYS));
        let message = Message { payload: number(n / KEYS), partition_key, ..Message::default() };
        producer.send_non_blocking(message).await.unwrap().await.unwrap();
    }
    let mut got = BTreeMap::<(String, bool), Bytes>::new();
    for _ in 0..KEYS * 5 {
        let (message, is_first) = tokio::select! {
            message = receive(&mut first) => (message, true),
            message = receive(&mut second) => (message, false),
        };
        let key = message.key().expect("each message has a key");
        got.entry((key, is_first)).or_default().extend(message.deserialize());
        let consumer = if is_first { &mut first } else { &mut second };
        consumer.ack(&message).await.unwrap();
    }
    assert_eq!(got.len(), KEYS, "a key came to two consumers: {got:?}");
    assert!(got.values().all(|numbers| numbers == b"01234"), "{got:?}");
    let firsts = got.keys().filter(|(_, is_first)| *is_first).count();
    assert!((1..KEYS).contains(&firsts), "one consumer has all keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_negative_ack_redelivers() {
    let client = client().await;
    for kind in [SubType::Exclusive, SubType::Failover, SubType::Shared, SubType::KeyShared] {
        let topic = new_topic();
        let mut consumer = subscribe(&client, &topic, kind).await;
        let mut producer = producer(&client, &topic).build().await.unwrap();
        send_numbers(&mut producer, 0..1).await;
        for count in 0..4 {
            let message = receive(&mut consumer).await;
            match count {
                3 => consumer.ack(&message).await.unwrap(),
                _ => consumer.nack(&message).await.unwrap(),
            }
        }
        nothing_more(&mut consumer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_outlive_the_consumer() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..10).await;
    let messages = receive_numbers(&mut consumer, 0..10).await;
    consumer.cumulative_ack(&messages[3]).await.unwrap();
    consumer.ack(&messages[5]).await.unwrap();
    consumer.ack(&messages[6]).await.unwrap();
    wait_for("acknowledged", async || backlog(&topic).await == 4).await;
    consumer.close().await.unwrap();
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    receive_numbers(&mut consumer, [4, 7, 8, 9]).await;
    nothing_more(&mut consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_never_acked_goes_to_the_dead_letter_topic() {
    let (client, topic) = (client().await, new_topic());
    let dead_letter_topic = format!("{topic}-dead");
    let mut graveyard = subscribe(&client, &dead_letter_topic, SubType::Exclusive).await;
    let builder = client.consumer().with_topic(&topic).with_subscription("s");
    let builder = builder.with_subscription_type(SubType::Shared);
    let policy = DeadLetterPolicy { max_redeliver_count: 2, dead_letter_topic };
    let builder = builder.with_dead_letter_policy(policy);
    let mut consumer = builder.build::<Bytes>().await.unwrap();
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..1).await;
    // This client shows no redelivery count, but goes by it.
    for _ in 0..2 {
        let message = receive(&mut consumer).await;
        consumer.nack(&message).await.unwrap();
    }
    receive_numbers(&mut graveyard, 0..1).await;
    nothing_more(&mut consumer).await;
    wait_for("acknowledged when dead", async || backlog(&topic).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsubscribe_forgets_the_position() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..3).await;
    receive_numbers(&mut consumer, 0..1).await;
    consumer.unsubscribe().await.unwrap();
    let mut consumer = subscribe(&client, &topic, SubType::Exclusive).await;
    send_numbers(&mut producer, 3..4).await;
    receive_numbers(&mut consumer, 3..4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_counts_what_a_consumer_got() {
    let (client, topic) = (client().await, new_topic());
    let mut consumer = subscribe(&client, &topic, SubType::Shared).await;
    let mut producer = producer(&client, &topic).build().await.unwrap();
    send_numbers(&mut producer, 0..5).await;
    let messages = receive_numbers(&mut consumer, 0..5).await;
    consumer.ack(&messages[0]).await.unwrap();
    wait_for("acknowledged", async || backlog(&topic).await == 4).await;
    let stats = consumer.get_stats().await.unwrap();
    assert_eq!((stats[0].msg_backlog, stats[0].unacked_messages), (Some(4), Some(4)));
    assert_eq!(stats[0].r#type.as_deref(), Some("Shared"));
}
