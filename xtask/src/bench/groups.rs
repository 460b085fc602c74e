//! `cargo xtask bench groups`: what a noisy resource group does to its neighbour, by `bench/groups.py`.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{
    Options,
    page::{self, Table},
    tool::Tools,
};
use crate::toolchains::root;

const ROWS: &[(&str, &str, &str)] = &[
    ("1,000 messages of 1 KiB a second, sent and received, alone: p50", "ms", "alone/p50"),
    ("… p99", "ms", "alone/p99"),
    ("beside another group that sends what it may: p50", "ms", "grouped/p50_ms"),
    ("… p99", "ms", "grouped/p99_ms"),
    ("… p99 by that alone just before, median of the pairs", "", "grouped/p99_ratio"),
    ("… the lowest", "", "grouped/p99_ratio_min"),
    ("… the highest", "", "grouped/p99_ratio_max"),
    ("what the other group sends then", "MiB/s", "grouped/noise_mib_per_s"),
    ("beside somebody in no group, who sends what it can: p50", "ms", "free/p50_ms"),
    ("… p99", "ms", "free/p99_ms"),
    ("… p99 by that alone just before, median of the pairs", "", "free/p99_ratio"),
    ("what that one sends then", "MiB/s", "free/noise_mib_per_s"),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let output = Command::new("python3")
        .arg(root().join("bench/groups.py"))
        .args(["--pairs", &options.pairs.to_string(), "--seconds", &options.seconds.to_string()])
        .env("GEMINGA_BINARY", &tools.server)
        .env("TMPDIR", &options.dir)
        .stderr(Stdio::inherit())
        .output()
        .context("python3 could not be started")?;
    ensure!(output.status.success(), "bench/groups.py failed: {}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let table = Table::of_report("figure", ROWS, &report)?;
    page::write(
        "groups",
        "Resource groups beside each other",
        &table.to_markdown(),
        options,
        &report,
    )
}
