#![cfg(test)]
//! The client against a scripted broker, on a simulated net and its virtual time.

mod fake;

use std::time::Duration;

use bytes::Bytes;
use fake::{Fake, URL};
use geminga_client::{
    Client, ClientError, ClientOptions, Compression, Consumer, ConsumerOptions, Message,
    OutgoingMetadata, Producer, ProducerOptions, ServerError,
    consumer::{SeekTo, StartAt},
    producer::{Batching, Outcome, OutgoingMessage, Receipts, SendError},
};
use geminga_env::sim::World;
use geminga_wire::proto::command_lookup_topic_response::LookupType;
use rand::Rng as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

const TOPIC: &str = "persistent://public/default/t";
const LONG: Duration = Duration::from_secs(600);

async fn connected(world: &World) -> (Fake, Client) {
    let fake = Fake::start(world).await;
    let client = Client::connect(world.env(), URL, ClientOptions::default()).await.unwrap();
    (fake, client)
}

async fn producer(client: &Client) -> Producer {
    client.producer("t", ProducerOptions::default()).await.unwrap()
}

async fn consumer(client: &Client) -> Consumer {
    let options = ConsumerOptions { queue_size: 20, ..ConsumerOptions::default() };
    client.subscribe("t", "s", options).await.unwrap()
}

async fn send_all(producer: &Producer, count: usize) {
    let mut receipts = Vec::new();
    for index in 0..count {
        let payload = Bytes::from(index.to_string());
        receipts.push(producer.send(OutgoingMetadata::default(), payload).await);
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}

async fn next(consumer: &mut Consumer) -> Message {
    timeout(LONG, consumer.receive()).await.expect("no message came").unwrap()
}

fn number(message: &Message) -> usize {
    str::from_utf8(&message.payload).unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_as_they_were_sent() {
    let world = World::new(1);
    let (fake, client) = connected(&world).await;
    let connect = fake.state().connects[0].clone();
    assert!(connect.client_version.starts_with("Geminga-client-"));
    assert_eq!(connect.protocol_version, Some(21));
    for (turn, compression) in
        [Compression::None, Compression::Lz4, Compression::Zstd].into_iter().enumerate()
    {
        for batching in [None, Some(Batching::default())] {
            let options = ProducerOptions { compression, batching, ..ProducerOptions::default() };
            let producer = client.producer("t", options).await.unwrap();
            assert_eq!(producer.name(), "given");
            let mut receipts = Vec::new();
            for payload in ["hello hello hello", "", "x"] {
                let properties = vec![("a".to_owned(), "b".to_owned())];
                let metadata = OutgoingMetadata { properties, ..OutgoingMetadata::default() };
                receipts.push(producer.send(metadata, payload.into()).await);
            }
            let mut ids = Vec::new();
            for receipt in receipts {
                ids.push(receipt.await.unwrap());
            }
            assert_eq!(ids[2].batch.is_some(), batching.is_some());
            let mut consumer = consumer(&client).await;
            for (id, payload) in ids.iter().zip(["hello hello hello", "", "x"]) {
                let message = next(&mut consumer).await;
                assert_eq!((message.id, &*message.payload), (*id, payload.as_bytes()), "{turn}");
                assert_eq!(message.properties, [("a".to_owned(), "b".to_owned())]);
                assert_eq!((&*message.topic, &*message.producer_name), (TOPIC, "given"));
                consumer.ack(&message.id).await.unwrap();
            }
            consumer.close().await.unwrap();
            assert_eq!(fake.unacked(TOPIC), 0, "close waits for the acks");
            producer.close().await.unwrap();
        }
    }
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_followed_but_not_in_circles() {
    let world = World::new(2);
    let (fake, client) = connected(&world).await;
    fake.listen(&world, 6651).await;
    let there = || "pulsar://localhost:6651".to_owned();
    fake.state().lookups.push_back((there(), LookupType::Redirect));
    fake.state().lookups.push_back((there(), LookupType::Connect));
    send_all(&producer(&client).await, 3).await;
    assert_eq!(fake.state().connects.len(), 2);

    let circle = std::iter::repeat_with(|| (there(), LookupType::Redirect)).take(10_000);
    fake.state().lookups.extend(circle);
    let error = client.producer("t", ProducerOptions::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::TooManyRedirects { redirects: 20, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nobody_at_the_address_is_said_at_once() {
    let world = World::new(3);
    let before = world.clock().elapsed();
    let failed = Client::connect(world.env(), URL, ClientOptions::default()).await.unwrap_err();
    assert!(failed.to_string().contains("localhost:6650 can't be reached"), "{failed}");
    assert!(world.clock().elapsed() - before < Duration::from_secs(1));
    let _fake = Fake::start(&world).await;
    let hosts = "pulsar://localhost:1,localhost:6650";
    Client::connect(world.env(), hosts, ClientOptions::default()).await.unwrap();
}

/// Goal: what has a receipt is stored, in the order of its sends, and once.
/// Method: connections are reset and producers closed while messages are sent.
#[tokio::test(start_paused = true)]
async fn losses_neither_lose_nor_reorder_messages() {
    for seed in 0..60 {
        let world = World::new(seed);
        let mut rng = world.rng();
        let (fake, client) = connected(&world).await;
        let options = ProducerOptions {
            batching: rng.random_bool(0.5).then(Batching::default),
            pending_messages_max: rng.random_range(1..60),
            ..ProducerOptions::default()
        };
        let producer = client.producer("t", options).await.unwrap();
        let mut receipts = Vec::new();
        for index in 0..200_usize {
            let payload = Bytes::from(index.to_string());
            receipts.push(producer.send(OutgoingMetadata::default(), payload).await);
            match rng.random_range(0..40) {
                0 => world.net().reset_all(),
                1 => fake.unload(),
                2 => fake.state().send_answers.push_back(Some(ServerError::PersistenceError)),
                3 => tokio::time::sleep(Duration::from_millis(rng.random_range(0..20))).await,
                _ => {}
            }
        }
        for receipt in receipts {
            let outcome = timeout(LONG, receipt).await.expect("a receipt is missing");
            outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        assert_eq!(fake.stored(TOPIC), (0..200).collect::<Vec<_>>(), "seed {seed}");
        producer.close().await.unwrap();
    }
}

/// Goal: every message is received; those that were acked do not come again.
/// Method: connections are reset and consumers closed while messages are received.
#[tokio::test(start_paused = true)]
async fn losses_neither_skip_nor_repeat_acked_messages() {
    for seed in 0..60 {
        let world = World::new(seed);
        let mut rng = world.rng();
        let (fake, client) = connected(&world).await;
        let batching = rng.random_bool(0.7).then(Batching::default);
        let options = ProducerOptions { batching, ..ProducerOptions::default() };
        send_all(&client.producer("t", options).await.unwrap(), 150).await;
        let options = ConsumerOptions {
            queue_size: rng.random_range(1..50),
            batch_index_acks: rng.random(),
            ..ConsumerOptions::default()
        };
        let mut consumer = client.subscribe("t", "s", options).await.unwrap();
        let mut received = vec![0; 150];
        let mut losses = 0;
        while received.contains(&0) || 0 < fake.unacked(TOPIC) {
            let Ok(message) = timeout(Duration::from_secs(20), consumer.receive()).await else {
                let left = fake.unacked(TOPIC);
                assert_eq!(left, 0, "seed {seed}: nothing comes and {left} are unacked");
                assert!(!received.contains(&0), "seed {seed}: {received:?}");
                break;
            };
            let message = message.unwrap();
            received[number(&message)] += 1;
            consumer.ack(&message.id).await.unwrap();
            if losses < 20 && rng.random_bool(0.05) {
                losses += 1;
                if rng.random() { world.net().reset_all() } else { fake.unload() }
            }
        }
        let repeats: usize = received.iter().map(|count| count - 1).sum();
        assert!(0 < losses || repeats == 0, "seed {seed}: repeated without a loss");
        consumer.close().await.unwrap();
        assert_eq!(fake.unacked(TOPIC), 0, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn permits_are_given_at_half_of_the_queue() {
    let world = World::new(4);
    let (fake, client) = connected(&world).await;
    send_all(&producer(&client).await, 100).await;
    let mut consumer = consumer(&client).await;
    for expected in 0..100 {
        assert_eq!(number(&next(&mut consumer).await), expected);
    }
    let flows = fake.state().flows.clone();
    assert_eq!(flows[0], 20);
    assert!(flows[1..].iter().all(|permits| (10..=20).contains(permits)), "{flows:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_final_or_tried_again() {
    let world = World::new(5);
    let (fake, client) = connected(&world).await;
    fake.state().refusals.extend([ServerError::ServiceNotReady, ServerError::MetadataError]);
    let producer = producer(&client).await;
    for code in [ServerError::TopicNotFound, ServerError::ConsumerBusy] {
        fake.state().refusals.push_back(code);
        let error = client.subscribe("t", "s", ConsumerOptions::default()).await.unwrap_err();
        assert!(matches!(&error, ClientError::Refused { refusal, .. } if refusal.code == code));
        assert_eq!(error.to_string(), format!("subscribing: scripted ({code:?})"));
    }
    // Once it was attached, a busy place is our own former session's.
    let mut consumer = consumer(&client).await;
    fake.state().refusals.extend([ServerError::ConsumerBusy; 3]);
    fake.unload();
    send_all(&producer, 1).await;
    assert_eq!(number(&next(&mut consumer).await), 0);
}

#[tokio::test(start_paused = true)]
async fn sends_fail_for_what_they_are() {
    let world = World::new(6);
    let (fake, client) = connected(&world).await;
    let producer = producer(&client).await;
    let send = |size: usize| {
        let payload = Bytes::from(vec![7; size]);
        async { producer.send(OutgoingMetadata::default(), payload).await.await }
    };
    let too_large = SendError::TooLarge { size: 1_001, limit: 1_000 };
    assert_eq!(send(1_001).await, Err(too_large));
    send(1_000).await.unwrap();
    fake.state().send_answers.push_back(Some(ServerError::NotAllowedError));
    assert!(matches!(send(1).await, Err(SendError::Refused(_))));
    send(1).await.unwrap();
    fake.state().send_answers.push_back(None);
    let before = world.clock().elapsed();
    assert_eq!(send(1).await, Err(SendError::TimedOut));
    assert_eq!((world.clock().elapsed() - before).as_secs(), 30);
    send(1).await.unwrap();
    fake.state().send_answers.push_back(Some(ServerError::TopicTerminatedError));
    assert!(
        matches!(send(1).await, Err(SendError::Refused(refusal)) if refusal.code == ServerError::TopicTerminatedError)
    );
    assert_eq!(send(1).await, Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left() {
    let world = World::new(7);
    let (fake, client) = connected(&world).await;
    let producer = producer(&client).await;
    fake.state().is_mute = true;
    let before = world.clock().elapsed();
    let error = client.subscribe("t", "s", ConsumerOptions::default()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!((world.clock().elapsed() - before).as_secs() <= 65);
    tokio::time::sleep(Duration::from_secs(70)).await;
    fake.state().is_mute = false;
    tokio::time::sleep(Duration::from_secs(100)).await;
    send_all(&producer, 3).await;
    assert!(fake.state().seen.iter().any(|kind| kind == "Ping"));
    assert!(1 < fake.state().connects.len(), "it did not connect again");
}

#[tokio::test(start_paused = true)]
async fn seeks_nacks_and_unsubscribes() {
    let world = World::new(8);
    let (fake, client) = connected(&world).await;
    send_all(&producer(&client).await, 10).await;
    let mut consumer = consumer(&client).await;
    let mut messages = Vec::new();
    for _ in 0..10 {
        messages.push(next(&mut consumer).await);
    }
    let control = consumer.control().clone();
    control.ack_cumulative(&messages[5].id).await.unwrap();
    control.nack(&messages[8].id).await.unwrap();
    assert_eq!(number(&next(&mut consumer).await), 8);
    assert_eq!(number(&next(&mut consumer).await), 9);
    control.redeliver_unacked().await.unwrap();
    assert_eq!(number(&next(&mut consumer).await), 6);
    control.seek(SeekTo::Id { id: messages[3].id, inclusive: false }).await.unwrap();
    assert_eq!(number(&next(&mut consumer).await), 4);
    control.seek(SeekTo::Id { id: messages[3].id, inclusive: true }).await.unwrap();
    assert_eq!(number(&next(&mut consumer).await), 3);
    control.seek(SeekTo::Earliest).await.unwrap();
    assert_eq!(number(&next(&mut consumer).await), 0);
    let last = control.last_message_ids().await.unwrap();
    assert_eq!(last, [Some(messages[9].id)]);
    control.unsubscribe().await.unwrap();
    assert!(fake.state().seen.iter().any(|kind| kind == "Unsubscribe"));
    while consumer.receive().await.is_ok() {}
    assert!(matches!(control.ack(&messages[0].id).await, Err(ClientError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_durable_goes_on_where_it_was() {
    let world = World::new(9);
    let (fake, client) = connected(&world).await;
    send_all(&producer(&client).await, 30).await;
    let options = ConsumerOptions {
        is_durable: false,
        start_at: StartAt::Earliest,
        queue_size: 3,
        ..ConsumerOptions::default()
    };
    let mut reader = client.subscribe("t", "r", options).await.unwrap();
    for expected in 0..30 {
        assert_eq!(number(&next(&mut reader).await), expected);
        if expected % 7 == 3 {
            fake.unload();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    let state = fake.state();
    let starts = state.subscribes.iter().map(|s| s.start_message_id.as_ref().unwrap().entry_id);
    let starts: Vec<u64> = starts.collect();
    assert_eq!((starts.len(), starts[0]), (5, u64::MAX));
    // After what was handed out, some of which is on its way to the application.
    for (start, received) in starts[1..].iter().zip([3, 10, 17, 24]) {
        assert!((received..=received + 3).contains(start), "{starts:?}");
    }
}

/// Goal: after a seek the next message is the one sought, and a seek that failed acks nothing.
/// Method: seeks into batches and elsewhere, while connections are reset.
#[tokio::test(start_paused = true)]
async fn seeks_hold_across_losses() {
    const COUNT: usize = 60;
    for seed in 0..60 {
        let world = World::new(seed);
        let mut rng = world.rng();
        let (fake, client) = connected(&world).await;
        let batching = rng.random_bool(0.7).then(Batching::default);
        let options = ProducerOptions { batching, ..ProducerOptions::default() };
        send_all(&client.producer("t", options).await.unwrap(), COUNT).await;
        let mut consumer = consumer(&client).await;
        let mut messages = Vec::new();
        while messages.len() < COUNT {
            messages.push(next(&mut consumer).await);
        }
        let mut floor = 0;
        for _ in 0..15 {
            let target = rng.random_range(0..COUNT);
            let inclusive = rng.random();
            let seek = consumer.control().seek(SeekTo::Id { id: messages[target].id, inclusive });
            let loss = async {
                tokio::time::sleep(Duration::from_micros(rng.random_range(0..4_000))).await;
                if rng.random_bool(0.5) {
                    world.net().reset_all();
                }
            };
            let (outcome, ()) = tokio::join!(seek, loss);
            let expected = if inclusive { target } else { target + 1 };
            // When it failed, the broker may have done it or not.
            floor = if outcome.is_ok() { expected } else { floor.max(expected) };
            if outcome.is_ok() && expected < COUNT {
                assert_eq!(number(&next(&mut consumer).await), expected, "seed {seed}");
            }
            let unacked = usize::try_from(fake.unacked(TOPIC)).unwrap();
            assert!(COUNT <= floor + unacked, "seed {seed}: acked what nobody acked");
        }
        while consumer.control().seek(SeekTo::Earliest).await.is_err() {}
        for expected in 0..COUNT {
            assert_eq!(number(&next(&mut consumer).await), expected, "seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_are_one_topic() {
    let world = World::new(10);
    let (fake, client) = connected(&world).await;
    fake.state().partitions = 3;
    let producer = producer(&client).await;
    send_all(&producer, 30).await;
    let key = || OutgoingMetadata { key: Some("key".to_owned()), ..OutgoingMetadata::default() };
    let keyed = producer.send(key(), "30".into()).await.await.unwrap();
    let again = producer.send(key(), "31".into()).await.await.unwrap();
    assert_eq!(keyed.partition, again.partition);
    let sizes: Vec<usize> = fake.state().topics.values().map(|topic| topic.entries.len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (3, 32));
    assert!(sizes.iter().all(|size| 10 <= *size), "{sizes:?}");
    let mut consumer = consumer(&client).await;
    let mut received = Vec::new();
    for _ in 0..32 {
        let message = next(&mut consumer).await;
        received.push(number(&message));
        consumer.ack(&message.id).await.unwrap();
    }
    received.sort_unstable();
    assert_eq!(received, (0..32).collect::<Vec<_>>());
    consumer.close().await.unwrap();
    let topics: Vec<String> = fake.state().topics.keys().cloned().collect();
    assert!(topics.iter().all(|topic| fake.unacked(topic) == 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_closed() {
    let world = World::new(11);
    let (fake, client) = connected(&world).await;
    let producer = producer(&client).await;
    let first = consumer(&client).await;
    drop(first);
    // Exclusive: the place must be free, and soon.
    let mut second = None;
    while second.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        second = client.subscribe("t", "s", ConsumerOptions::default()).await.ok();
    }
    let receipt = producer.send(OutgoingMetadata::default(), "0".into()).await;
    drop(producer);
    receipt.await.unwrap();
    drop((second, client));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = fake.state().seen.clone();
    let count = |kind: &str| seen.iter().filter(|seen| *seen == kind).count();
    assert_eq!((count("CloseConsumer"), count("CloseProducer")), (2, 1), "{seen:?}");
}

/// Goal: no bytes from a server make the client panic or hang.
/// Method: a server that answers CONNECT and then sends noise, or frames with some bytes changed.
#[tokio::test(start_paused = true)]
async fn noise_from_a_server_is_survived() {
    for seed in 0..300 {
        let world = World::new(seed);
        let mut rng = world.rng();
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], fake::PORT));
        let mut listener = world.env().net.listen(address).await.unwrap();
        let mut noise = fake::some_frames();
        for _ in 0..rng.random_range(0..8) {
            // Beyond the CONNECTED, most times.
            let least = rng.random_range(0..40);
            let at = rng.random_range(least..noise.len());
            noise[at] = rng.random();
        }
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                _ = stream.write_all(&noise).await;
                let mut sink = vec![0; 10_000];
                _ = timeout(Duration::from_secs(5), stream.read(&mut sink)).await;
                _ = timeout(Duration::from_secs(5), stream.read(&mut sink)).await;
            }
        };
        let using = async {
            let options =
                ClientOptions { operation_timeout: Duration::from_secs(2), ..Default::default() };
            let client = Client::connect(world.env(), URL, options).await?;
            _ = client.producer("t", ProducerOptions::default()).await;
            let mut consumer = client.subscribe("t", "s", ConsumerOptions::default()).await?;
            _ = timeout(Duration::from_secs(9), consumer.receive()).await;
            Ok::<(), ClientError>(())
        };
        tokio::select! {
            biased;
            outcome = timeout(LONG, using) => {
                _ = outcome.unwrap_or_else(|_| panic!("seed {seed}"));
            }
            () = serve => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bulks_have_their_outcomes_collected() {
    let world = World::new(9);
    let (fake, client) = connected(&world).await;
    for batching in [None, Some(Batching::default())] {
        fake.state().partitions = if batching.is_some() { 3 } else { 0 };
        let topic = if batching.is_some() { "many" } else { "one" };
        // A window of which a bulk is several times the size.
        let options = ProducerOptions {
            batching,
            pending_messages_max: 10,
            pending_bytes_max: 100,
            ..ProducerOptions::default()
        };
        let producer = client.producer(topic, options).await.unwrap();
        let mut receipts = Receipts::new();
        let bulk = (0..50).map(|token| {
            let payload = Bytes::from(token.to_string());
            OutgoingMessage { token, payload, ..OutgoingMessage::default() }
        });
        producer.send_many(bulk, &receipts).await;
        let mut outcomes = Vec::new();
        while outcomes.len() < 50 {
            timeout(LONG, receipts.take(&mut outcomes)).await.expect("outcomes are missing");
        }
        assert!(!receipts.try_take(&mut outcomes), "more outcomes than messages");
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
        let mut tokens: Vec<u64> = outcomes.iter().map(|outcome| outcome.token).collect();
        if batching.is_none() {
            assert!(tokens.is_sorted(), "one partition's come in order");
        }
        tokens.sort_unstable();
        assert!(tokens.into_iter().eq(0..50));
    }
}

#[tokio::test(start_paused = true)]
async fn bulks_that_can_not_be_sent_say_so() {
    let world = World::new(10);
    let (fake, client) = connected(&world).await;
    let producer = producer(&client).await;
    let mut receipts = Receipts::new();
    let message = |token| OutgoingMessage { token, ..OutgoingMessage::default() };
    // No receipt comes, so that what was taken is in flight when the client closes.
    fake.state().send_answers.extend([None, None]);
    producer.send_many((0..2).map(message), &receipts).await;
    client.close().await;
    producer.send_many((2..4).map(message), &receipts).await;
    let mut outcomes = Vec::new();
    while outcomes.len() < 4 {
        timeout(LONG, receipts.take(&mut outcomes)).await.expect("outcomes are missing");
    }
    outcomes.sort_by_key(|outcome| outcome.token);
    let closed = |token| Outcome { token, result: Err(SendError::Closed) };
    assert!(outcomes.into_iter().eq((0..4).map(closed)));
}

#[tokio::test(start_paused = true)]
async fn many_are_received_and_acked_at_once() {
    let world = World::new(11);
    let (fake, client) = connected(&world).await;
    send_all(&producer(&client).await, 50).await;
    let mut consumer = consumer(&client).await;
    let mut messages = Vec::new();
    while messages.len() < 50 {
        let before = messages.len();
        let more = consumer.receive_many(&mut messages, 7);
        timeout(LONG, more).await.expect("no message came").unwrap();
        assert!((1..=7).contains(&(messages.len() - before)));
        let ids: Vec<_> = messages[before..].iter().map(|message| message.id).collect();
        consumer.control().ack_many(&ids).await.unwrap();
    }
    assert!(messages.iter().map(number).eq(0..50));
    consumer.close().await.unwrap();
    assert_eq!(fake.unacked(TOPIC), 0);
}
