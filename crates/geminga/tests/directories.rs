#![cfg(test)]
//! Data directories whose parts do not belong together are refused at the start.

use std::path::Path;

use bytes::Bytes;
use geminga::{
    config::Config,
    standalone::{self, Standalone},
};
use geminga_client::{Client, ClientOptions, OutgoingMetadata, ProducerOptions};
use geminga_env::Env;

async fn start(data_dir: &Path) -> anyhow::Result<Standalone> {
    let config = Config {
        broker_service_port: 0,
        web_service_port: 0,
        journal_max_size_mb: 1,
        min_usable_size_for_entry_log_creation: 0,
        ..Config::default()
    };
    standalone::start(Env::system(), &config, data_dir).await
}

/// One message on each topic, so that each has a ledger; then a clean stop.
async fn publish(data_dir: &Path, topics: &[&str]) {
    let server = start(data_dir).await.unwrap();
    let options = ClientOptions::default();
    let client = Client::connect(Env::system(), server.broker_url(), options).await.unwrap();
    for topic in topics {
        let producer = client.producer(topic, ProducerOptions::default()).await.unwrap();
        let sent = producer.send(OutgoingMetadata::default(), Bytes::from_static(b"x")).await;
        sent.await.unwrap();
    }
    server.shutdown().await;
}

async fn refusal(data_dir: &Path) -> String {
    match start(data_dir).await {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn without_its_metadata_a_bookie_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &["a"]).await;
    std::fs::remove_dir_all(dir.path().join("metadata")).unwrap();
    let text = refusal(dir.path()).await;
    assert!(text.contains("metadata is missing or older"), "{text}");
    assert!(text.contains("put back"), "{text}");
}

#[tokio::test]
async fn metadata_that_is_older_than_the_ledgers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &["a"]).await;
    let (metadata, kept) = (dir.path().join("metadata"), dir.path().join("kept"));
    copy(&metadata, &kept);
    // Numbers are reserved in blocks: enough ledgers to be beyond those that the copy knows of.
    let topics: Vec<String> = (0..60).map(|index| format!("t{index}")).collect();
    for _ in 0..3 {
        publish(dir.path(), &topics.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    std::fs::remove_dir_all(&metadata).unwrap();
    copy(&kept, &metadata);
    let text = refusal(dir.path()).await;
    assert!(text.contains("metadata is missing or older"), "{text}");
}

#[tokio::test]
async fn a_bookie_that_is_not_the_metadata_s_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), &["a"]).await;
    std::fs::remove_dir_all(dir.path().join("bookkeeper")).unwrap();
    let text = refusal(dir.path()).await;
    assert!(text.contains("belongs to a bookie with the id"), "{text}");
}

#[tokio::test]
async fn a_directory_that_is_whole_is_served_again() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        publish(dir.path(), &["a", "b"]).await;
    }
}
