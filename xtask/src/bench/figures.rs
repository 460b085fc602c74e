//! `cargo xtask bench figures`: what the standalone does, beside the bare group-commit server of the
//! same run, in turn.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{
    Options,
    page::{self, Table},
    server::{Server, rest},
    stats::{median, ratio, shown, spread},
    tool::{Tools, number, numbers},
};
use crate::say;

/// A way to publish, and what the bare server is loaded with beside it.
struct Shape {
    name: &'static str,
    arguments: &'static [&'static str],
    in_flight: &'static str,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "unbatched, 1 in flight",
        arguments: &["--disable-batching", "--in-flight", "1"],
        in_flight: "1",
    },
    Shape {
        name: "unbatched, 1,000 in flight",
        arguments: &["--disable-batching", "--in-flight", "1000"],
        in_flight: "1000",
    },
    Shape {
        name: "batched, 10,000 in flight",
        arguments: &["--in-flight", "10000"],
        in_flight: "10000",
    },
];

const STARTS: usize = 11;
const TOPICS: &str = "10000";
/// Messages that are read from where they lie.
const BACKLOG: &str = "1000000";

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let mut figures = Map::new();
    let mut text = String::new();
    text += &footprint(&tools, dir.path(), &mut figures)?;
    text += "\nPublish, 1 KiB, one producer, each message on the disk before its receipt; medians of the \
             pairs, and their range:\n\n";
    text += &publishing(&tools, dir.path(), options, &mut figures)?;
    text += "\nReading a backlog of 1 KiB messages from the first, one consumer, each acked:\n\n";
    text += &catch_up(&tools, dir.path(), &mut figures)?;
    let title = "What the standalone does";
    page::write("figures", title, &text, options, &Value::Object(figures))
}

fn footprint(
    tools: &Tools,
    dir: &Path,
    figures: &mut Map<String, Value>,
) -> anyhow::Result<String> {
    let mut starts = Vec::new();
    for index in 0..STARTS {
        let server = Server::geminga(&tools.server, &dir.join(format!("start-{index}")))?;
        starts.push(server.start_took.as_secs_f64() * 1e3);
    }
    let server = Server::geminga(&tools.server, &dir.join("footprint"))?;
    rest();
    let idle = server.rss_mib()?;
    let messages =
        ["produce", "many", "--topics", TOPICS, "--messages", TOPICS, "--in-flight", "1"];
    tools.perf(&server.url, server.pid(), &messages)?;
    rest();
    let loaded = server.rss_mib()?;
    let mut table = Table::new(&["figure", "", "unit"]);
    let start = median(starts);
    table.row(&["from exec to ready, new directory".to_owned(), shown(start), "ms".to_owned()]);
    table.row(&["RSS, idle".to_owned(), shown(idle), "MiB".to_owned()]);
    let what = format!("RSS, {TOPICS} topics loaded, a message in each");
    table.row(&[what, shown(loaded), "MiB".to_owned()]);
    figures.insert("start_ms".to_owned(), start.into());
    figures.insert("idle_rss_mib".to_owned(), idle.into());
    figures.insert("topics_rss_mib".to_owned(), loaded.into());
    Ok(table.to_markdown())
}

fn publishing(
    tools: &Tools,
    dir: &Path,
    options: &Options,
    figures: &mut Map<String, Value>,
) -> anyhow::Result<String> {
    let mut table = Table::new(&[
        "shape",
        "msg/s",
        "bare",
        "ratio",
        "p50 ms",
        "bare",
        "ratio",
        "p99 ms",
        "bare",
        "server CPU s per \
         million",
        "client",
    ]);
    for shape in &SHAPES {
        say(shape.name);
        let (mut ours, mut bares) = (Vec::new(), Vec::new());
        for pair in 0..options.pairs {
            ours.push(publish(tools, &dir.join(format!("publish-{pair}")), options, shape)?);
            bares.push(bare(tools, &dir.join("bare"), options, shape)?);
        }
        table.row(&publish_row(shape.name, &ours, &bares)?);
        figures.insert(shape.name.to_owned(), json!({ "geminga": ours, "bare": bares }));
    }
    Ok(table.to_markdown())
}

/// Of a server of its own, whose data is gone afterwards.
fn publish(tools: &Tools, dir: &Path, options: &Options, shape: &Shape) -> anyhow::Result<Value> {
    let server = Server::geminga(&tools.server, dir)?;
    let seconds = options.seconds.to_string();
    let common = ["produce", "figures", "--size", "1024", "--warm-up", "1", "--duration", &seconds];
    let arguments: Vec<&str> = common.iter().chain(shape.arguments).copied().collect();
    let report = tools.perf(&server.url, server.pid(), &arguments)?;
    drop(server);
    std::fs::remove_dir_all(dir)?;
    Ok(report)
}

fn bare(tools: &Tools, dir: &Path, options: &Options, shape: &Shape) -> anyhow::Result<Value> {
    let bare = tools.bare_server(dir)?;
    let seconds = options.seconds.to_string();
    let arguments =
        ["drive", "--port", &bare.port, "--in-flight", shape.in_flight, "--seconds", &seconds];
    tools.bench(&arguments)
}

fn publish_row(name: &str, ours: &[Value], bares: &[Value]) -> anyhow::Result<Vec<String>> {
    let mut row = vec![name.to_owned()];
    let pairs = [
        ("sent/messages_per_second", "messages_per_second"),
        ("sent/publish_latency_ms/p50", "latency_ms/p50"),
        ("sent/publish_latency_ms/p99", "latency_ms/p99"),
    ];
    for (index, (our_path, bare_path)) in pairs.into_iter().enumerate() {
        let (ours, bares) = (numbers(ours, our_path)?, numbers(bares, bare_path)?);
        let ratio = ratio(&ours, &bares);
        row.extend([spread(&ours), spread(&bares)]);
        if index < 2 {
            row.push(shown(ratio));
        }
    }
    row.push(spread(&numbers(ours, "server/cpu_seconds_per_million")?));
    row.push(spread(&numbers(ours, "client/cpu_seconds_per_million")?));
    Ok(row)
}

fn catch_up(tools: &Tools, dir: &Path, figures: &mut Map<String, Value>) -> anyhow::Result<String> {
    let server = Server::geminga(&tools.server, &dir.join("catch-up"))?;
    let mut table = Table::new(&[
        "entries",
        "msg/s",
        "MiB/s",
        "server CPU s per million",
        "client",
        "peak RSS MiB",
    ]);
    let shapes: [(&str, &[&str]); 2] = [("unbatched", &["--disable-batching"]), ("batched", &[])];
    for (name, arguments) in shapes {
        let fill = ["produce", name, "--messages", BACKLOG, "--in-flight", "5000"];
        let fill: Vec<&str> = fill.iter().chain(arguments).copied().collect();
        tools.perf(&server.url, server.pid(), &fill)?;
        let read = ["consume", name, "--messages", BACKLOG, "--position", "Earliest"];
        let report = tools.perf(&server.url, server.pid(), &read)?;
        let at = |path| number(&report, path).map(shown);
        table.row(&[
            name.to_owned(),
            at("received/messages_per_second")?,
            at("received/mib_per_second")?,
            at("server/cpu_seconds_per_million")?,
            at("client/cpu_seconds_per_million")?,
            at("server/peak_rss_mib")?,
        ]);
        figures.insert(format!("catch-up, {name}"), report);
    }
    Ok(table.to_markdown())
}
