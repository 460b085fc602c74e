//! `cargo xtask bench recovery`: how long a start takes after a kill, by how much of the journal is in
//! no entry log yet. That is never more than the write cache holds, so its size bounds the time.
//! It is flushed when half full, so what is published here stays below that.

use serde_json::{Value, json};

use super::{
    Options,
    page::{self, Table},
    server::Server,
    stats::{median, shown, spread},
    tool::{Tools, number},
};
use crate::say;

/// MiB.
const CACHES: [f64; 4] = [64.0, 256.0, 1_024.0, 4_096.0];
/// Bytes of entries, and how much of a cache they may fill: each also has a head and a sum in it.
const SIZES: [(&str, f64, f64); 2] = [("1024", 1_024.0, 0.4), ("100", 100.0, 0.15)];
/// A run is not to take hours.
const ENTRIES_MAX: f64 = 3e6;
const MIB: f64 = 1_048_576.0;

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let mut table = Table::new(&[
        "entries",
        "write cache, MiB",
        "not flushed, MiB",
        "entries in it",
        "from exec to ready, ms",
        "MiB/s",
    ]);
    let mut figures = Vec::new();
    for (size, bytes, share) in SIZES {
        for cache in CACHES {
            let mib = cache * share;
            let count = (mib * MIB / bytes).round();
            if ENTRIES_MAX < count {
                continue;
            }
            let cache_setting = format!("dbStorage_writeCacheMaxSizeMb={cache}");
            let settings = [cache_setting.as_str(), "flushInterval=86400000"];
            let mut took = Vec::new();
            for pair in 0..options.pairs {
                let home = dir.path().join(format!("{size}-{cache}-{pair}"));
                took.push(start_after_kill(&tools, &home, &settings, size, count)?);
            }
            let middle = median(took.clone());
            table.row(&[
                format!("{size} B"),
                shown(cache),
                shown(mib),
                shown(count),
                spread(&took),
                shown(mib / middle * 1e3),
            ]);
            figures.push(json!({ "entry_bytes": bytes, "mib": mib, "ready_ms": took }));
        }
    }
    let title = "Start after a kill";
    page::write("recovery", title, &table.to_markdown(), options, &Value::Array(figures))
}

/// Milliseconds from exec to ready, with so many messages that only the journal has.
fn start_after_kill(
    tools: &Tools,
    dir: &std::path::Path,
    settings: &[&str],
    size: &str,
    count: f64,
) -> anyhow::Result<f64> {
    let server = Server::geminga_with(&tools.server, dir, settings)?;
    let messages = format!("{count}");
    let load = ["produce", "journal", "--size", size, "--messages", &messages];
    let more = ["--disable-batching", "--in-flight", "5000"];
    let report = tools.perf(&server.url, server.pid(), &[&load[..], &more].concat())?;
    anyhow::ensure!(number(&report, "sent/failed")? < 0.5, "messages failed: {report}");
    drop(server); // By SIGKILL.
    let server = Server::geminga_with(&tools.server, dir, settings)?;
    let took = server.start_took.as_secs_f64() * 1e3;
    say(&format!("{messages} messages of {size} bytes: {} ms", shown(took)));
    drop(server);
    std::fs::remove_dir_all(dir)?;
    Ok(took)
}
