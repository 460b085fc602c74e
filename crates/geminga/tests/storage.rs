//! `geminga storage` against the binary: verify, backup while a writer runs, restore.
//!
//! Goal: a restored directory holds every receipt from before the backup began, in order, and every
//! confirmed ack; verify is clean on it and names damage. Method: a real server in a process of its
//! own, killed without warning.
#![cfg(test)]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use geminga_client::{
    Client, ClientOptions, Consumer, ConsumerOptions, OutgoingMetadata, ProducerOptions,
    consumer::StartAt,
};
use geminga_env::Env;
use tokio::time::timeout;

const TOPIC: &str = "persistent://public/default/backed-up";
const DEADLINE: Duration = Duration::from_secs(60);

struct Server {
    process: Child,
    broker: String,
    web: String,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_geminga"));
        command.arg("standalone").arg("--data-dir").arg(dir);
        let small = [
            "bindAddress=127.0.0.1",
            "brokerServicePort=0",
            "webServicePort=0",
            "journalMaxSizeMB=1",
            "dbStorage_writeCacheMaxSizeMb=1",
            "logSizeLimit=1048576",
            "minUsableSizeForEntryLogCreation=0",
        ];
        for setting in small {
            command.args(["--set", setting]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words.first(), Some(&"ready:"), "{line}");
        Self { process, broker: words[1].to_owned(), web: words[2].to_owned() }
    }

    /// Without warning.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn client(&self) -> Client {
        let connected = Client::connect(Env::system(), &self.broker, ClientOptions::default());
        timeout(DEADLINE, connected).await.unwrap().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill(); // It may be gone already.
        _ = self.process.wait();
    }
}

fn storage(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_geminga")).arg("storage").args(arguments).output().unwrap()
}

#[track_caller]
fn ends_with(output: &Output, code: i32) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

async fn subscribe(client: &Client, name: &str, is_durable: bool) -> Consumer {
    let options =
        ConsumerOptions { start_at: StartAt::Earliest, is_durable, ..ConsumerOptions::default() };
    timeout(DEADLINE, client.subscribe(TOPIC, name, options)).await.unwrap().unwrap()
}

async fn number(consumer: &mut Consumer) -> (usize, geminga_client::MessageId) {
    let message = timeout(DEADLINE, consumer.receive()).await.unwrap().unwrap();
    let text = std::str::from_utf8(&message.payload).unwrap();
    (text.trim_end_matches('.').parse().unwrap(), message.id)
}

/// Sends numbered messages until it is stopped; `receipted` counts those that are stored.
async fn write(client: &Client, receipted: &AtomicUsize, is_stopped: &AtomicBool) {
    let producer = client.producer(TOPIC, ProducerOptions::default()).await.unwrap();
    while !is_stopped.load(SeqCst) {
        let mut receipts = Vec::new();
        let first = receipted.load(SeqCst);
        for number in first..first + 50 {
            let text = format!("{number}{}", ".".repeat(number % 700));
            receipts.push(producer.send(OutgoingMetadata::default(), Bytes::from(text)).await);
        }
        for receipt in receipts {
            timeout(DEADLINE, receipt).await.unwrap().unwrap();
            receipted.fetch_add(1, SeqCst);
        }
    }
}

async fn until(what: &str, is_done: impl Fn() -> bool) {
    let waited = timeout(DEADLINE, async {
        while !is_done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not in time: {what}");
}

#[tokio::test]
async fn a_backup_while_writing_holds_every_receipt_from_before() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let (data, backup, restored) = (path("data"), path("backup"), path("restored"));
    let server = Server::start(Path::new(&data));
    let client = server.client().await;
    let mut consumer = subscribe(&client, "sub", true).await;
    let (receipted, is_stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = async {
        for expected in 0..100 {
            let (number, id) = number(&mut consumer).await;
            assert_eq!(number, expected);
            timeout(DEADLINE, consumer.ack(&id)).await.unwrap().unwrap();
        }
        until("5000 receipts", || 5_000 <= receipted.load(SeqCst)).await;
        ends_with(&storage_while(&["verify", "--data-dir", &data]).await, 2);
        let before = receipted.load(SeqCst);
        let arguments =
            ["backup", "--data-dir", &data, "--to", &backup, "--admin-url", &server.web];
        ends_with(&storage_while(&arguments).await, 0);
        let after = receipted.load(SeqCst);
        until("more receipts", || after + 500 < receipted.load(SeqCst)).await;
        // Another one to the same place is refused, and so is one of another directory.
        let again = ends_with(&storage_while(&arguments).await, 1);
        assert!(again.contains("not empty"), "{again}");
        is_stopped.store(true, SeqCst);
        before
    };
    let ((), before) = tokio::join!(write(&client, &receipted, &is_stopped), work);
    server.kill();

    let killed = ends_with(&storage(&["verify", "--data-dir", &data]), 0);
    assert!(killed.contains("clean"), "{killed}");
    ends_with(&storage(&["verify", "--data-dir", &backup]), 0);
    ends_with(&storage(&["restore", "--from", &backup, "--data-dir", &restored]), 0);
    ends_with(&storage(&["restore", "--from", &backup, "--data-dir", &restored]), 1);
    ends_with(&storage(&["verify", "--data-dir", &restored]), 0);

    let server = Server::start(Path::new(&restored));
    let client = server.client().await;
    let mut reader = subscribe(&client, "reader", false).await;
    for expected in 0..before {
        assert_eq!(number(&mut reader).await.0, expected, "of {before} receipts");
    }
    let mut consumer = subscribe(&client, "sub", true).await;
    assert_eq!(number(&mut consumer).await.0, 100, "acked messages stay acked");
    server.kill();
    ends_with(&storage(&["verify", "--data-dir", &restored]), 0);
}

/// Without blocking the writer's runtime.
async fn storage_while(arguments: &[&str]) -> Output {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let run = move || storage(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn damage_is_named_and_a_damaged_backup_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let path = |name: &str| temporary.path().join(name).to_str().unwrap().to_owned();
    let (data, backup) = (path("data"), path("backup"));
    let server = Server::start(Path::new(&data));
    let client = server.client().await;
    let producer = client.producer(TOPIC, ProducerOptions::default()).await.unwrap();
    for number in 0..100 {
        let sent = producer.send(OutgoingMetadata::default(), format!("message {number}").into());
        timeout(DEADLINE, sent.await).await.unwrap().unwrap();
    }
    server.kill();
    // Nobody serves it: the command itself recovers and copies it.
    ends_with(&storage(&["backup", "--data-dir", &data, "--to", &backup]), 0);
    for dir in [&data, &backup] {
        ends_with(&storage(&["verify", "--data-dir", dir]), 0);
    }
    let log = Path::new(&backup).join("bookkeeper/ledgers/entry-log-00000000");
    let dumped = storage(&["dump", "entry-log", log.to_str().unwrap()]);
    let dumped = ends_with(&dumped, 0);
    assert!(dumped.contains("run of ledger") && !dumped.contains("DAMAGED"), "{dumped}");

    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(10).position(|window| window == b"message 42").unwrap();
    bytes[at] ^= 1;
    std::fs::File::create(&log).unwrap().write_all(&bytes).unwrap();
    let verified = ends_with(&storage(&["verify", "--data-dir", &backup]), 1);
    let named = ["damage: ", "entry-log-00000000 at byte", "ledger ", "entry "];
    assert!(named.iter().all(|part| verified.contains(part)), "{verified}");
    let refused =
        ends_with(&storage(&["restore", "--from", &backup, "--data-dir", &path("new")]), 1);
    assert!(refused.contains("entry-log-00000000 of the backup is damaged"), "{refused}");
    // What there is of it is not taken for a storage.
    let started = Command::new(env!("CARGO_BIN_EXE_geminga"))
        .args(["standalone", "--set", "brokerServicePort=0", "--set", "webServicePort=0"])
        .args(["--data-dir", &path("new")])
        .output()
        .unwrap();
    assert!(ends_with(&started, 1).contains("no cookie"));
}
