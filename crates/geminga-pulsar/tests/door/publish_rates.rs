//! Producers over a publish rate: the rate holds, they lose nothing, and their neighbours go on.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use geminga_broker::{PublishRate, admin::Policies};
use geminga_env::Instant;
use geminga_wire::{
    entry::encode_entry,
    frame::Command,
    proto::{
        Body, CommandCloseProducer, CommandPing, CommandProducer, EncryptionKeys, MessageMetadata,
        ServerError, command_subscribe::SubType,
    },
};

use crate::{
    client::{Client, entry, frame, producer, send, send_entry},
    server::Server,
};

const SLOW: u64 = 1;
const FREE: u64 = 2;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

const fn per_second(messages: u64) -> PublishRate {
    PublishRate { messages: Some(messages), bytes: None }
}

/// With that rate for topics, and a namespace `public/slow`.
async fn server(rate: PublishRate) -> Server {
    let server = Server::with_broker(|_| {}, |options| options.publishing.topic_rate = rate).await;
    server.broker.create_namespace(&"public/slow".parse().unwrap(), None).await.unwrap();
    server
}

/// What a client has been answered.
#[derive(Debug, Default)]
struct Answers {
    /// How many receipts of each producer, which come in order.
    receipts: BTreeMap<u64, u64>,
    pongs: Vec<Instant>,
}

impl Answers {
    fn receipts(&self, producer_id: u64) -> u64 {
        self.receipts.get(&producer_id).copied().unwrap_or(0)
    }

    /// Takes what comes until there are so many receipts of a producer.
    async fn until(&mut self, server: &Server, client: &mut Client, producer_id: u64, count: u64) {
        while self.receipts(producer_id) < count {
            let frame = client.next_within(PATIENCE).await.expect("an open connection");
            self.note(server, frame.command);
        }
    }

    /// Takes what comes for so long.
    async fn for_a_while(&mut self, server: &Server, client: &mut Client, time: Duration) {
        let end = server.env.clock.now() + time;
        while let Ok(frame) = tokio::time::timeout_at(end, client.next_within(PATIENCE)).await {
            self.note(server, frame.expect("an open connection").command);
        }
    }

    fn note(&mut self, server: &Server, command: Command) {
        match command {
            Command::Pong => self.pongs.push(server.env.clock.now()),
            Command::Ping => {} // It only waits, and not for so long that it must answer.
            Command::Other(body) => match *body {
                Body::SendReceipt(receipt) => {
                    let count = self.receipts.entry(receipt.producer_id).or_default();
                    assert_eq!(receipt.sequence_id, *count, "of {}", receipt.producer_id);
                    *count += 1;
                }
                other => panic!("unexpected {other:?}"),
            },
            other => panic!("unexpected {other:?}"),
        }
    }
}

async fn send_all(client: &mut Client, producer_id: u64, numbers: std::ops::Range<u64>) {
    let frames: Vec<Bytes> = numbers.map(|number| send(producer_id, number, b"m")).collect();
    client.write(&frames.concat()).await;
}

/// Everything that is stored in a topic.
async fn stored(server: &Server, topic: &str, count: u64) -> Vec<Bytes> {
    let mut client = server.connect().await;
    client.subscribe(topic, 9, SubType::Exclusive).await;
    client.flow(9, 10_000).await;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(client.message().await.1);
    }
    client.quiet().await;
    found
}

fn entries(count: u64) -> Vec<Bytes> {
    (0..count).map(|number| entry(number, b"m")).collect()
}

/// Goal: a rate is held within a twentieth over ten seconds, of messages and of bytes, of a topic and of
/// the broker; whether what is sent fits in the window or not, all is stored once and in order.
#[tokio::test(start_paused = true)]
async fn a_rate_is_held_and_all_is_stored_in_order() {
    let size = entry(0, b"m").len() as u64;
    let by_bytes = PublishRate { messages: None, bytes: Some(200 * size) };
    for (rate, of_broker, window) in [
        (per_second(200), false, 1_000),
        (per_second(200), false, 50),
        (per_second(200), true, 50),
        (by_bytes, false, 1_000),
        (by_bytes, true, 50),
    ] {
        let server = Server::with_broker(
            |options| options.producer_window_messages = window,
            |options| {
                let options = &mut options.publishing;
                *if of_broker { &mut options.broker_rate } else { &mut options.topic_rate } = rate;
            },
        )
        .await;
        let mut client = server.connect().await;
        client.open_producer("t", SLOW).await;
        let (start, mut answers) = (server.env.clock.now(), Answers::default());
        for burst in 0..10 {
            send_all(&mut client, SLOW, burst * 200..(burst + 1) * 200).await;
            answers.until(&server, &mut client, SLOW, (burst + 1) * 200).await;
        }
        let took = server.env.clock.now() - start;
        let is_held = (Duration::from_millis(9_500)..Duration::from_millis(10_500)).contains(&took);
        assert!(is_held, "{rate:?} {of_broker} {window}: {took:?}");
        assert_eq!(stored(&server, "t", 2_000).await, entries(2_000));
        let stats = server.broker.topic_stats(&"t".parse().unwrap()).await.unwrap();
        assert!(0 < stats.publish_limited_times);
    }
}

/// Publishes with the free producer, one message after the other, for 10 s, and counts them. So many of the
/// slow one are on their way all the time.
async fn publish_freely(server: &Server, client: &mut Client, slow: u64) -> u64 {
    let (end, mut answers) = (server.env.clock.now() + Duration::from_secs(10), Answers::default());
    let (mut sent, mut slow_sent) = (0, 0);
    while server.env.clock.now() < end {
        let end_of_slow = answers.receipts(SLOW) + slow;
        send_all(client, SLOW, slow_sent..end_of_slow).await;
        slow_sent = end_of_slow;
        send_all(client, FREE, sent..sent + 1).await;
        sent += 1;
        answers.until(server, client, FREE, sent).await;
    }
    sent
}

/// Goal: within the window a producer over its rate costs its neighbour on the connection less than a
/// twentieth, even if it fills its window, which is as many SENDs as a connection may have in flight.
#[tokio::test(start_paused = true)]
async fn within_the_window_a_neighbour_goes_on() {
    let mut published = Vec::new();
    for slow in [0, 1_000] {
        let server = server(PublishRate::UNLIMITED).await;
        let mut client = server.connect().await;
        client.open_producer("persistent://public/slow/t", SLOW).await;
        client.open_producer("free", FREE).await;
        set_rate(&server, Some(10)).await;
        published.push(publish_freely(&server, &mut client, slow).await);
    }
    assert!(1_000 < published[0], "{published:?}");
    assert!(published[0] * 19 / 20 < published[1], "{published:?}");
}

/// Sets the publish rate of `public/slow`, or removes it.
async fn set_rate(server: &Server, messages: Option<i32>) {
    let cluster = server.broker.options().cluster.clone();
    let change = |policies: &mut Policies| {
        policies.publish_rate.clear();
        if let Some(publish_throttling_rate_in_msg) = messages {
            let rate = geminga_broker::admin::PublishRate {
                publish_throttling_rate_in_msg,
                ..Default::default()
            };
            policies.publish_rate.insert(cluster.clone(), rate);
        }
        Ok(())
    };
    let namespace = "public/slow".parse().unwrap();
    server.broker.change_namespace_policies(&namespace, change).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await; // It is followed in the background.
}

/// Goal: beyond the window, however long nothing moves, the client gets the PONGs that its keep-alive
/// wants, nobody is disconnected or closed, and all is stored once and in order.
/// Method: a batch of a thousand messages at ten messages a second, behind it more than the window holds,
/// then a PING; and a keep-alive that is short.
#[tokio::test(start_paused = true)]
async fn beyond_the_window_the_connection_stays() {
    let keep_alive = Duration::from_secs(6);
    let server = Server::with_broker(
        |options| {
            options.producer_window_messages = 3;
            options.keep_alive = keep_alive;
        },
        |options| options.publishing.topic_rate = per_second(10),
    )
    .await;
    let mut client = server.connect().await;
    client.open_producer("t", SLOW).await;
    client.open_producer("other", FREE).await;
    let batch = encode_entry(
        &MessageMetadata {
            producer_name: "test".to_owned(),
            num_messages_in_batch: Some(1_000),
            ..MessageMetadata::default()
        },
        b"batch",
    );
    client.write(&send_entry(SLOW, 0, &batch)).await;
    send_all(&mut client, SLOW, 1..20).await;
    send_all(&mut client, FREE, 0..1).await;
    client.write(&frame(CommandPing::default())).await;
    let (start, mut answers) = (server.env.clock.now(), Answers::default());
    answers.for_a_while(&server, &mut client, Duration::from_secs(99)).await;
    assert_eq!((answers.receipts(SLOW), answers.receipts(FREE)), (1, 0), "the batch is on credit");
    let mut before = start;
    for pong in &answers.pongs {
        assert!(*pong - before < keep_alive, "{:?}", *pong - before);
        before = *pong;
    }
    assert!(server.env.clock.now() - before < keep_alive);
    answers.until(&server, &mut client, FREE, 1).await;
    answers.until(&server, &mut client, SLOW, 20).await;
    let took = server.env.clock.now() - start;
    assert!((Duration::from_secs(101)..Duration::from_secs(103)).contains(&took), "{took:?}");
    let expected: Vec<Bytes> =
        std::iter::once(batch).chain(entries(20).into_iter().skip(1)).collect();
    assert_eq!(stored(&server, "t", 20).await, expected);
}

/// Goal: what a neighbour has sent, and what is read long after it was closed, is no violation.
#[tokio::test(start_paused = true)]
async fn beyond_the_window_a_neighbour_may_be_closed() {
    let server = Server::with_broker(
        |options| options.producer_window_messages = 3,
        |options| options.publishing.topic_rate = per_second(1),
    )
    .await;
    let mut client = server.connect().await;
    client.open_producer("t", SLOW).await;
    client.open_producer("other", FREE).await;
    send_all(&mut client, SLOW, 0..90).await;
    send_all(&mut client, FREE, 0..1).await;
    let mut answers = Answers::default();
    answers.until(&server, &mut client, SLOW, 5).await;
    server.broker.unload_topic(&"other".parse().unwrap()).await.unwrap();
    let mut is_closed = false;
    while answers.receipts(SLOW) < 90 {
        let frame = client.next_within(PATIENCE).await.expect("an open connection");
        match frame.command {
            Command::Other(body) if matches!(*body, Body::CloseProducer(_)) => is_closed = true,
            command => answers.note(&server, command),
        }
    }
    assert!(is_closed && answers.receipts(FREE) == 0);
    client.quiet().await;
    client.open_producer("other", FREE).await;
}

/// Goal: a producer's close waits for what it had sent, which is answered first.
#[tokio::test(start_paused = true)]
async fn a_close_waits_for_what_was_sent_before() {
    let server = server(per_second(10)).await;
    let mut client = server.connect().await;
    client.open_producer("t", SLOW).await;
    send_all(&mut client, SLOW, 0..50).await;
    let close = CommandCloseProducer { producer_id: SLOW, request_id: 7, ..Default::default() };
    client.send(close).await;
    let mut answers = Answers::default();
    answers.until(&server, &mut client, SLOW, 50).await;
    client.success(7).await;
    assert_eq!(stored(&server, "t", 50).await, entries(50));
    client.open_producer("t", SLOW).await;
}

/// Goal: when a client vanishes, or its producer is closed, what waited is gone, so that what the next one
/// sends again is there once; its name is free at once.
#[tokio::test(start_paused = true)]
async fn what_waits_goes_with_its_producer() {
    for is_unloaded in [false, true] {
        let server = server(per_second(1)).await;
        let mut client = server.connect().await;
        let named = |request_id| CommandProducer {
            producer_name: Some("me".to_owned()),
            ..producer("t", SLOW, request_id)
        };
        client.send(named(1)).await;
        client.producer_success(1).await;
        send_all(&mut client, SLOW, 0..40).await;
        let mut answers = Answers::default();
        answers.until(&server, &mut client, SLOW, 5).await;
        if is_unloaded {
            server.broker.unload_topic(&"t".parse().unwrap()).await.unwrap();
            match client.body().await {
                Body::CloseProducer(close) => assert_eq!(close.producer_id, SLOW),
                other => panic!("expected CLOSE_PRODUCER, got {other:?}"),
            }
        } else {
            drop(client);
            client = server.connect().await;
            tokio::time::sleep(Duration::from_millis(800)).await;
        }
        client.send(named(2)).await;
        client.producer_success(2).await;
        send_all(&mut client, SLOW, 5..40).await;
        answers.until(&server, &mut client, SLOW, 40).await;
        assert_eq!(stored(&server, "t", 40).await, entries(40));
        assert_eq!(server.broker.parked_budget().used(), 0);
    }
}

/// Goal: what waits goes on as soon as there is no rate any more, and is still in order.
#[tokio::test(start_paused = true)]
async fn without_the_rate_all_goes_on() {
    let server = server(PublishRate::UNLIMITED).await;
    let mut client = server.connect().await;
    client.open_producer("persistent://public/slow/t", SLOW).await;
    set_rate(&server, Some(1)).await;
    send_all(&mut client, SLOW, 0..500).await;
    let mut answers = Answers::default();
    answers.for_a_while(&server, &mut client, Duration::from_secs(10)).await;
    assert!((10..13).contains(&answers.receipts(SLOW)), "{answers:?}");
    set_rate(&server, None).await;
    send_all(&mut client, SLOW, 500..600).await;
    let start = server.env.clock.now();
    answers.until(&server, &mut client, SLOW, 600).await;
    assert!(server.env.clock.now() - start < Duration::from_secs(1));
    assert_eq!(stored(&server, "persistent://public/slow/t", 600).await, entries(600));
}

/// Goal: those who wait for rates leave half of the publish buffer to the others, and lose nothing.
#[tokio::test(start_paused = true)]
async fn those_who_wait_leave_room_for_others() {
    let server = Server::with_broker(
        |_| {},
        |options| {
            options.limits.publish_buffer_bytes = 10_000;
            options.publishing.topic_rate = per_second(20);
        },
    )
    .await;
    let mut slow = [server.connect().await, server.connect().await];
    for (client, topic) in slow.iter_mut().zip(["one", "two"]) {
        client.open_producer(topic, SLOW).await;
        send_all(client, SLOW, 0..400).await;
    }
    let budget = server.broker.parked_budget();
    assert_eq!(budget.limit(), 5_000);
    let mut client = server.connect().await;
    client.open_producer("free", FREE).await;
    let mut answers = Answers::default();
    for number in 0..100 {
        send_all(&mut client, FREE, number..number + 1).await;
        answers.until(&server, &mut client, FREE, number + 1).await;
        assert!(0 < budget.used() || 90 < number);
    }
    for (client, topic) in slow.iter_mut().zip(["one", "two"]) {
        Answers::default().until(&server, client, SLOW, 400).await;
        assert_eq!(stored(&server, topic, 400).await, entries(400));
    }
    assert_eq!(budget.used(), 0);
}

/// Goal: where encryption is required a producer that does not encrypt is closed by its next SEND, and
/// told why when it comes back; of one that does, a message that is not encrypted is refused alone.
#[tokio::test(start_paused = true)]
async fn what_is_not_encrypted_is_refused_where_it_must_be() {
    let server = server(PublishRate::UNLIMITED).await;
    let mut client = server.connect().await;
    client.open_producer("t", 1).await;
    client.send(CommandProducer { encrypted: Some(true), ..producer("t", 2, 2) }).await;
    client.producer_success(2).await;
    client.publish(1, 0, b"plain").await;
    client.publish(2, 0, b"plain").await;
    let require = |policies: &mut Policies| {
        policies.encryption_required = true;
        Ok(())
    };
    let namespace = "public/default".parse().unwrap();
    server.broker.change_namespace_policies(&namespace, require).await.unwrap();
    client.quiet().await;
    client.write(&send(1, 1, b"plain")).await;
    match client.body().await {
        Body::CloseProducer(close) => assert_eq!(close.producer_id, 1),
        other => panic!("expected CLOSE_PRODUCER, got {other:?}"),
    }
    client.send(producer("t", 1, 3)).await;
    let refused = client.error().await;
    assert_eq!((refused.request_id, refused.error()), (3, ServerError::MetadataError));
    assert_eq!(refused.message, "Encryption is required in persistent://public/default/t");
    client.write(&send(2, 1, b"plain")).await;
    match client.body().await {
        Body::SendError(error) => {
            assert_eq!((error.producer_id, error.sequence_id), (2, 1));
            assert_eq!(error.error(), ServerError::NotAllowedError);
        }
        other => panic!("expected SEND_ERROR, got {other:?}"),
    }
    let metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        encryption_keys: vec![EncryptionKeys::default()],
        ..MessageMetadata::default()
    };
    let encrypted = encode_entry(&metadata, b"secret");
    client.write(&send_entry(2, 2, &encrypted)).await;
    assert_eq!(client.receipt().await.sequence_id, 2);
    let expected = [entry(0, b"plain"), entry(0, b"plain"), encrypted];
    assert_eq!(stored(&server, "t", 3).await, expected);
}
