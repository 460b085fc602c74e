//! `cargo xtask bench cursor`: a cursor with very many holes, once, by `bench/cursor.py` with the
//! official client.

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
    ("entries, all of them stored", "", "entries"),
    ("entries not acked", "", "holes"),
    ("published, one message in each entry", "per second", "published/per_s"),
    ("acked, 1,000 in a command", "per second", "acked/per_s"),
    ("such a command's answer at the end, 32 on their way, p50", "ms", "list_ack_ms/p50"),
    ("… p99", "ms", "list_ack_ms/p99"),
    ("… the slowest", "ms", "list_ack_ms/max"),
    ("RSS then", "MiB", "acked/rss_mib"),
    ("kill -9 after all these acks: ready", "ms", "after_kill/ready_ms"),
    (
        "… from the start of the process to a client's first message",
        "ms",
        "after_kill/first_message_ms",
    ),
    ("first ack after that, which writes the cursor anew", "ms", "first_ack_ms"),
    ("ack of one entry, alone, p50", "ms", "single_ack_ms/p50"),
    ("… p99", "ms", "single_ack_ms/p99"),
    ("the cursor's log", "bytes", "cursor/cursorLedgerSize"),
    ("kill -9 after acks one by one: ready", "ms", "after_second_kill/ready_ms"),
    (
        "… from the start of the process to a client's first message",
        "ms",
        "after_second_kill/first_message_ms",
    ),
    ("RSS then", "MiB", "after_second_kill/rss_mib"),
    ("received then, all of them not acked before, each once", "", "received/holes"),
    ("… and acked", "per second", "received/per_s"),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let output = Command::new(python()?)
        .arg(root().join("bench/cursor.py"))
        .args(["--entries", &options.entries.to_string()])
        .env("GEMINGA_BINARY", &tools.server)
        .env("TMPDIR", &options.dir)
        .stderr(Stdio::inherit())
        .output()
        .context("python could not be started")?;
    ensure!(output.status.success(), "bench/cursor.py failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let table = Table::of_report("figure", ROWS, &report)?;
    page::write("cursor", "A cursor with many holes", &table.to_markdown(), options, &report)
}
