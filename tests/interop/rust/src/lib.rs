//! What the tests with the official Rust client share: a client, topics of their own, REST, restarts.
//!
//! They run under `serve.py`, which starts a fresh server and says where it is.

use std::{
    env, fs,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use pulsar::{
    Consumer, ConsumerOptions, OperationRetryOptions, Producer, ProducerOptions, Pulsar, SubType,
    TokioExecutor, consumer::Message, producer::ProducerBuilder, proto::MessageIdData,
    reader::Reader,
};

pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a consumer is watched that must get nothing.
const SILENCE: Duration = Duration::from_millis(200);

pub type Client = Pulsar<TokioExecutor>;
pub type Bytes = Vec<u8>;

pub async fn client() -> Client {
    let url = env::var("PULSAR_URL").expect("serve.py says where the server is");
    // Else it repeats for ever what was refused.
    let retries = OperationRetryOptions {
        max_retries: Some(10),
        retry_delay: Duration::from_millis(50),
        ..OperationRetryOptions::default()
    };
    let builder = Pulsar::builder(url, TokioExecutor);
    builder.with_operation_retry_options(retries).build().await.unwrap()
}

/// The name of a topic that no other test has.
pub fn new_topic() -> String {
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    let number = TOPICS.fetch_add(1, Ordering::Relaxed);
    format!("persistent://public/default/rust-{}-{number}", std::process::id())
}

pub fn number(n: usize) -> Bytes {
    n.to_string().into_bytes()
}

pub fn batches_of(size: u32) -> ProducerOptions {
    let batch_timeout = Some(Duration::from_secs(60));
    ProducerOptions { batch_size: Some(size), batch_timeout, ..ProducerOptions::default() }
}

pub fn producer(client: &Client, topic: &str) -> ProducerBuilder<TokioExecutor> {
    client.producer().with_topic(topic)
}

/// Sends `from`, …, `to - 1`, an entry each, and returns their ids.
pub async fn send_numbers(
    producer: &mut Producer<TokioExecutor>,
    numbers: std::ops::Range<usize>,
) -> Vec<MessageIdData> {
    let mut ids = Vec::new();
    for n in numbers {
        let receipt = producer.send_non_blocking(number(n)).await.unwrap();
        let receipt = tokio::time::timeout(PATIENCE, receipt).await.expect("no receipt").unwrap();
        ids.push(receipt.message_id.expect("a receipt has an id"));
    }
    ids
}

/// A consumer of the subscription "s".
pub async fn subscribe(
    client: &Client,
    topic: &str,
    kind: SubType,
) -> Consumer<Bytes, TokioExecutor> {
    try_subscribe(client, topic, kind).await.unwrap()
}

pub async fn try_subscribe(
    client: &Client,
    topic: &str,
    kind: SubType,
) -> Result<Consumer<Bytes, TokioExecutor>, pulsar::Error> {
    let builder = client.consumer().with_topic(topic).with_subscription("s");
    builder.with_subscription_type(kind).build().await
}

pub async fn read(
    client: &Client,
    topic: &str,
    start: MessageIdData,
) -> Reader<Bytes, TokioExecutor> {
    let options = ConsumerOptions::default().durable(false).starting_on_message(start);
    client.reader().with_topic(topic).with_options(options).into_reader().await.unwrap()
}

pub async fn receive(consumer: &mut Consumer<Bytes, TokioExecutor>) -> Message<Bytes> {
    receive_if_open(consumer).await.expect("the consumer is open")
}

/// The next message; nothing once the client has given up the consumer.
pub async fn receive_if_open(
    consumer: &mut Consumer<Bytes, TokioExecutor>,
) -> Option<Message<Bytes>> {
    let message = tokio::time::timeout(PATIENCE, consumer.try_next()).await;
    message.expect("no message").unwrap()
}

pub async fn next(reader: &mut Reader<Bytes, TokioExecutor>) -> Bytes {
    let message = tokio::time::timeout(PATIENCE, reader.try_next()).await;
    message.expect("no message").unwrap().expect("the reader is open").deserialize()
}

/// Receives these numbers in this order.
pub async fn receive_numbers(
    consumer: &mut Consumer<Bytes, TokioExecutor>,
    numbers: impl IntoIterator<Item = usize>,
) -> Vec<Message<Bytes>> {
    let mut messages = Vec::new();
    for n in numbers {
        let message = receive(consumer).await;
        assert_eq!(message.deserialize(), number(n));
        messages.push(message);
    }
    messages
}

pub async fn nothing_more(consumer: &mut Consumer<Bytes, TokioExecutor>) {
    if let Ok(message) = tokio::time::timeout(SILENCE, consumer.try_next()).await {
        panic!("one message too many: {:?}", message.unwrap().map(|message| message.deserialize()));
    }
}

/// Polls until the condition is true.
pub async fn wait_for<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn rest_url(topic: &str, what: &str) -> String {
    let web = env::var("PULSAR_WEB").expect("serve.py says where the server is");
    format!("{web}/admin/v2/{}/{what}", topic.replace("://", "/"))
}

pub async fn make_partitions(topic: &str, count: u32) {
    let request = reqwest::Client::new().put(rest_url(topic, "partitions"));
    let request = request.header("Content-Type", "application/json").body(count.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// How many messages the only subscription of the topic has not acknowledged.
pub async fn backlog(topic: &str) -> usize {
    let stats = reqwest::get(rest_url(topic, "stats")).await.unwrap().text().await.unwrap();
    let (_, after) = stats.split_once("\"msgBacklog\":").expect("a backlog in the stats");
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Kills the server with SIGKILL and returns when it is up again, with the same data and ports.
pub async fn restart_server() {
    let flag = env::var("GEMINGA_RESTART").expect("serve.py restarts the server");
    fs::write(&flag, b"").unwrap();
    wait_for("restart", || async { !Path::new(&flag).exists() }).await;
}
