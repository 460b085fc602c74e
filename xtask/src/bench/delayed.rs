//! `cargo xtask bench delayed`: very many delayed messages on one topic, once, by `bench/delayed.py`
//! with the official client.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    Options,
    page::{self, Table},
    tool::Tools,
};
use crate::toolchains::{python, root};

const ROWS: &[(&str, &str, &str)] = &[
    ("delayed messages on one topic", "", "messages"),
    ("seconds over which they are due", "s", "window_s"),
    ("RSS with nothing published", "MiB", "empty/rss_mib"),
    ("published, a consumer attached", "per second", "published/per_s"),
    ("RSS then", "MiB", "published/rss_mib"),
    ("RSS once all are known to be delayed", "MiB", "known/rss_mib"),
    ("… its peak", "MiB", "known/peak_mib"),
    ("kill -9: ready", "ms", "after_kill/ready_ms"),
    (
        "… from the start of the process to a client's message that was due meanwhile",
        "ms",
        "after_kill/first_message_ms",
    ),
    ("… until all are known to be delayed", "ms", "after_kill/known_ms"),
    ("RSS then", "MiB", "after_kill/rss_mib"),
    ("received, each once", "", "received/messages"),
    ("before their time", "", "received/early"),
    ("late, p50", "ms", "received/late_ms/p50"),
    ("… p99", "ms", "received/late_ms/p99"),
    ("… the latest", "ms", "received/late_ms/max"),
    ("RSS when all are received", "MiB", "received_memory/rss_mib"),
    ("… its peak since the restart", "MiB", "received_memory/peak_mib"),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let output = Command::new(python()?)
        .arg(root().join("bench/delayed.py"))
        .args(["--messages", &options.messages.to_string()])
        .env("GEMINGA_BINARY", &tools.server)
        .env("TMPDIR", &options.dir)
        .stderr(Stdio::inherit())
        .output()
        .context("python could not be started")?;
    ensure!(output.status.success(), "bench/delayed.py failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let table = Table::of_report("figure", ROWS, &report)?;
    page::write("delayed", "Delayed messages", &table.to_markdown(), options, &report)
}
