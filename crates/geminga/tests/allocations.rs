#![cfg(test)]
//! What a message costs in allocations, on its way in and on its way out: counted in a whole server,
//! under the load of another process.

use std::alloc::System;

use geminga::{
    config::Config,
    standalone::{self, Standalone},
};
use geminga_env::Env;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::process::Command;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGES: u32 = 20_000;
/// Each message an entry of its own: what is allocated is allocated for many at once.
const PUBLISHED_MAX: f64 = 1.0;
/// Read from where they lie, and each acked by a command of its own.
const DELIVERED_MAX: f64 = 3.0;
const BATCHED_MAX: f64 = 0.5;

/// Allocations, new and grown, for each message of a run of `geminga perf`.
async fn per_message(server: &Standalone, arguments: &[&str]) -> f64 {
    let before = ALLOCATOR.stats();
    let output = Command::new(env!("CARGO_BIN_EXE_geminga"))
        .args(["perf", "--url", server.broker_url()])
        .args(arguments)
        .args(["allocations", "--messages", &MESSAGES.to_string()])
        .output()
        .await
        .unwrap();
    let during = ALLOCATOR.stats() - before;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = during.allocations + during.reallocations;
    f64::from(u32::try_from(count).unwrap()) / f64::from(MESSAGES)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_costs_few_allocations() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        broker_service_port: 0,
        web_service_port: 0,
        min_usable_size_for_entry_log_creation: 0,
        ..Config::default()
    };
    let server = standalone::start(Env::system(), &config, dir.path()).await.unwrap();
    let publish = ["produce", "--in-flight", "1000"];
    let published = per_message(&server, &[&publish[..], &["--disable-batching"]].concat()).await;
    let delivered = per_message(&server, &["consume", "--position", "Earliest"]).await;
    let batched = per_message(&server, &publish).await;
    let counts = format!("published {published}, delivered {delivered}, in batches {batched}");
    assert!(
        published < PUBLISHED_MAX && delivered < DELIVERED_MAX && batched < BATCHED_MAX,
        "allocations for each message: {counts}"
    );
    server.shutdown().await;
}
