//! `cargo xtask bench scrape`: metrics and stats of 100,000 topics, once, by `bench/scrape.py`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    Options,
    page::{self, Table},
    tool::Tools,
};
use crate::toolchains::root;

const TOPICS: &str = "100000";

const ROWS: &[(&str, &str, &str)] = &[
    ("topics, each with a producer, a subscription and a message", "", "topics"),
    ("RSS with all of them", "MiB", "loaded/rss_mib"),
    ("a publish while nothing else is done, p99", "ms", "publishing_alone/publish_ms/p99"),
    ("… the slowest", "ms", "publishing_alone/publish_ms/max"),
    ("`/metrics`: took", "s", "metrics/took_s"),
    ("… server CPU, the publisher's messages too", "s", "metrics/cpu_s"),
    ("… size", "MiB", "metrics/mib"),
    ("… RSS at its peak", "MiB", "metrics/peak_mib"),
    ("… publish p99 meanwhile", "ms", "metrics/publish_ms/p99"),
    ("… the slowest", "ms", "metrics/publish_ms/max"),
    ("`/metrics`, gzip: took", "s", "metrics_gzip/took_s"),
    ("… server CPU", "s", "metrics_gzip/cpu_s"),
    ("… size", "MiB", "metrics_gzip/mib"),
    ("… publish p99 meanwhile", "ms", "metrics_gzip/publish_ms/p99"),
    ("… the slowest", "ms", "metrics_gzip/publish_ms/max"),
    ("`broker-stats/topics`: took", "s", "topics/took_s"),
    ("… server CPU", "s", "topics/cpu_s"),
    ("… size", "MiB", "topics/mib"),
    ("… RSS at its peak", "MiB", "topics/peak_mib"),
    ("… publish p99 meanwhile", "ms", "topics/publish_ms/p99"),
    ("… the slowest", "ms", "topics/publish_ms/max"),
    ("`broker-stats/topics`, gzip: took", "s", "topics_gzip/took_s"),
    ("… server CPU", "s", "topics_gzip/cpu_s"),
    ("… size", "MiB", "topics_gzip/mib"),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let output = Command::new("python3")
        .arg(root().join("bench/scrape.py"))
        .args(["--topics", TOPICS])
        .env("GEMINGA_BINARY", &tools.server)
        .env("TMPDIR", &options.dir)
        .stderr(Stdio::inherit())
        .output()
        .context("python3 could not be started")?;
    ensure!(output.status.success(), "bench/scrape.py failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let table = Table::of_report("figure", ROWS, &report)?;
    let title = "Metrics and stats of 100,000 topics";
    page::write("scrape", title, &table.to_markdown(), options, &report)
}
