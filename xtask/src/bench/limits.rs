//! `cargo xtask bench limits`: what the machine can do.

use serde_json::Value;

use super::{
    Options,
    page::{self, Table},
    tool::Tools,
};

/// What is shown of what was measured.
const ROWS: &[(&str, &str, &str)] = &[
    ("4 KiB write + fdatasync, appended, p50", "ms", "fdatasync_4k_appended_ms/p50"),
    ("… p99", "ms", "fdatasync_4k_appended_ms/p99"),
    (
        "4 KiB write + fdatasync, on blocks written before, p50",
        "ms",
        "fdatasync_4k_preallocated_ms/p50",
    ),
    ("… p99", "ms", "fdatasync_4k_preallocated_ms/p99"),
    ("1 MiB writes with fdatasync each, appended", "MB/s", "durable_1m_appended_mb_per_second"),
    ("… on blocks written before", "MB/s", "durable_1m_preallocated_mb_per_second"),
    ("CRC32C of 1 KiB", "GB/s", "crc32c_1k_gb_per_second"),
    ("CRC32C of 64 KiB", "GB/s", "crc32c_64k_gb_per_second"),
    ("TCP over loopback, one connection", "GB/s", "loopback_gb_per_second"),
    ("… per second of the writer's processor", "GB/s", "loopback_gb_per_cpu_second"),
    (
        "bare group-commit server, 1 KiB, 1 in flight, p50",
        "ms",
        "group_commit_1_in_flight/latency_ms/p50",
    ),
    ("… p99", "ms", "group_commit_1_in_flight/latency_ms/p99"),
    (
        "bare group-commit server, 1 KiB, 1,000 in flight",
        "msg/s",
        "group_commit_1000_in_flight/messages_per_second",
    ),
    ("… p50", "ms", "group_commit_1000_in_flight/latency_ms/p50"),
    ("… p99", "ms", "group_commit_1000_in_flight/latency_ms/p99"),
    ("bare frame forwarder, 1 KiB", "frames/s", "forwarder_1k/frames_per_second"),
    ("… per second of its processor", "frames/s", "forwarder_1k/frames_per_cpu_second"),
    ("bare frame forwarder, 64 KiB", "frames/s", "forwarder_64k/frames_per_second"),
    ("… per second of its processor", "frames/s", "forwarder_64k/frames_per_cpu_second"),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let limits = measure(&tools, dir.path(), options)?;
    let table = Table::of_report("limit", ROWS, &limits)?;
    page::write("limits", "What the machine can do", &table.to_markdown(), options, &limits)
}

fn measure(tools: &Tools, dir: &std::path::Path, options: &Options) -> anyhow::Result<Value> {
    let dir = dir.to_string_lossy();
    tools.bench(&["limits", "--dir", &dir, "--seconds", &options.seconds.to_string()])
}
