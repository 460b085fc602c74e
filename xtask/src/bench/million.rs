//! `cargo xtask bench million`: a million topics on one node, once, by `bench/million.py`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    Options,
    page::{self, Table},
    tool::Tools,
};
use crate::toolchains::root;

const TOPICS: &str = "1000000";

const ROWS: &[(&str, &str, &str)] = &[
    ("topics created", "per second", "created/per_s"),
    ("RSS when all are created", "MiB", "created/rss_mib"),
    ("RSS with a producer on 1 % of them", "MiB", "producers/rss_mib"),
    ("RSS with a message in each of those", "MiB", "after_one_message_each/rss_mib"),
    ("RSS at its peak, all topics listed", "MiB", "after_listing/peak_mib"),
    ("first message of a topic that is not loaded, p50", "ms", "cold_ms/p50"),
    ("… the slowest", "ms", "cold_ms/max"),
    ("a publish while nothing else is done, p99", "ms", "publishing_alone/publish_ms/p99"),
    ("… the slowest", "ms", "publishing_alone/publish_ms/max"),
    ("all listed by REST: the slowest publish", "ms", "listing_by_rest/publish_ms/max"),
    ("… took", "s", "listing_by_rest/took_s"),
    (
        "asked for by the binary protocol (refused: no frame holds them): the slowest publish",
        "ms",
        "listing_by_protocol/publish_ms/max",
    ),
    ("ready after a clean stop", "ms", "clean_stop/ready_ms"),
    ("RSS then", "MiB", "clean_stop/rss_mib"),
    ("first message of a topic then, the slowest", "ms", "cold_after_restart_ms/max"),
    ("ready after kill -9", "ms", "unclean_stop/ready_ms"),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let script = root().join("bench/million.py");
    let output = Command::new("python3")
        .arg(script)
        .args(["--topics", TOPICS])
        .env("GEMINGA_BINARY", &tools.server)
        .env("TMPDIR", &options.dir)
        .stderr(Stdio::inherit())
        .output()
        .context("python3 could not be started")?;
    ensure!(output.status.success(), "bench/million.py failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let table = Table::of_report("figure", ROWS, &report)?;
    page::write("million", "A million topics", &table.to_markdown(), options, &report)
}
