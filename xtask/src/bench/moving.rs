//! `cargo xtask bench moving`: how fast large entries get to the disk, and what a delivery costs,
//! beside what the same disk and the same sockets do bare, in turn.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{
    Options,
    page::{self, Table},
    process::{cpu_seconds, written_bytes},
    server::{Server, now, rest},
    stats::{ratio, shown, spread},
    tool::{Tools, number, numbers},
};
use crate::say;

const MB: f64 = 1e6;

/// Entries of one size to the disk; bytes of payload.
const LARGE: [(&str, f64); 2] = [("65536", 65_536.0), ("1048576", 1_048_576.0)];

/// Deliveries to `SUBSCRIPTIONS` of each message that is sent at a rate that leaves room.
struct Delivered {
    name: &'static str,
    size: &'static str,
    rate: &'static str,
    messages: &'static str,
    /// Of all subscriptions.
    deliveries: &'static str,
    count: f64,
    bare: &'static str,
}

const SUBSCRIPTIONS: &str = "10";
const DELIVERED: [Delivered; 2] = [
    Delivered {
        name: "1 KiB",
        size: "1024",
        rate: "10000",
        messages: "50000",
        deliveries: "500000",
        count: 500_000.0,
        bare: "forwarder_1k/frames_per_cpu_second",
    },
    Delivered {
        name: "64 KiB",
        size: "65536",
        rate: "400",
        messages: "2000",
        deliveries: "20000",
        count: 20_000.0,
        bare: "forwarder_64k/frames_per_cpu_second",
    },
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let mut bares = Vec::new();
    let mut published = vec![Vec::new(); LARGE.len()];
    let mut delivered = vec![Vec::new(); DELIVERED.len()];
    for pair in 0..options.pairs {
        say(&format!("== round {} of {}", pair + 1, options.pairs));
        let home = dir.path().join(pair.to_string());
        let (seconds, bare) = (options.seconds.to_string(), home.with_extension("bare"));
        let bare = bare.to_string_lossy();
        bares.push(tools.bench(&["moving", "--dir", &bare, "--seconds", &seconds])?);
        let server = Server::geminga(&tools.server, &home)?;
        for (figures, (size, _)) in published.iter_mut().zip(LARGE) {
            figures.push(publish(&tools, &server, size, options)?);
        }
        drop(server);
        std::fs::remove_dir_all(&home)?;
        // Another one, which has nothing to flush.
        let server = Server::geminga(&tools.server, &home)?;
        for (figures, what) in delivered.iter_mut().zip(&DELIVERED) {
            figures.push(what.count / deliver(&tools, &server, what)?);
        }
        drop(server);
        std::fs::remove_dir_all(&home)?;
    }
    let text = disk_table(&published, &bares)? + "\n" + &delivery_table(&delivered, &bares)?;
    let figures = json!({ "bare": bares, "published": published, "delivered": delivered });
    page::write("moving", "To the disk, and out of the door", &text, options, &figures)
}

/// MB of payload that were receipted per second, and MB that the server had written per second.
fn publish(
    tools: &Tools,
    server: &Server,
    size: &str,
    options: &Options,
) -> anyhow::Result<(f64, f64)> {
    let seconds = options.seconds.to_string();
    let (began, before) = (now(), written_bytes(server.pid())?);
    let load = ["produce", size, "--size", size, "--disable-batching", "--in-flight", "64"];
    let more = ["--producers", "2", "--connections", "2", "--warm-up", "1", "--duration", &seconds];
    let report = tools.perf(&server.url, server.pid(), &[&load[..], &more].concat())?;
    let written = (written_bytes(server.pid())? - before) / began.elapsed().as_secs_f64();
    Ok((number(&report, "sent/mib_per_second")? * f64::from(1 << 20) / MB, written / MB))
}

/// The server's CPU seconds for all deliveries: what sending costs alone is taken off.
fn deliver(tools: &Tools, server: &Server, what: &Delivered) -> anyhow::Result<f64> {
    let cpu = |topic: &str| {
        let load = ["produce", topic, "--size", what.size, "--rate", what.rate];
        let more = ["--messages", what.messages, "--disable-batching"];
        let before = cpu_seconds(server.pid())?;
        tools.perf(&server.url, server.pid(), &[&load[..], &more].concat())?;
        Ok::<_, anyhow::Error>((before, cpu_seconds(server.pid())?))
    };
    let (before, after) = cpu(&format!("alone-{}", what.size))?;
    let alone = after - before;
    let topic = format!("shared-{}", what.size);
    let read = ["consume", &topic, "--subscriptions", SUBSCRIPTIONS, "--position", "Earliest"];
    let count = ["--messages", what.deliveries];
    let consumers = tools.start_perf(&server.url, server.pid(), &[&read[..], &count].concat())?;
    rest(); // They subscribe.
    let (before, _) = cpu(&topic)?;
    consumers.report()?;
    let with = cpu_seconds(server.pid())? - before;
    ensure!(alone < with, "{}: {with} s with consumers, {alone} s without", what.name);
    Ok(with - alone)
}

fn disk_table(published: &[Vec<(f64, f64)>], bares: &[Value]) -> anyhow::Result<String> {
    let appended = numbers(bares, "appended_mb_per_second")?;
    let rewritten = numbers(bares, "rewritten_mb_per_second")?;
    let mut table = Table::new(&[
        "entries, unbatched",
        "receipted, MB/s",
        "written to disk meanwhile, MB/s",
        "1 MiB writes + fdatasync, appended, MB/s",
        "… on blocks written before",
        "receipted of appended",
        "written of appended",
        "written of the other",
    ]);
    for (figures, (_, size)) in published.iter().zip(LARGE) {
        let (receipted, written): (Vec<f64>, Vec<f64>) = figures.iter().copied().unzip();
        table.row(&[
            format!("{} KiB", shown(size / 1_024.0)),
            spread(&receipted),
            spread(&written),
            spread(&appended),
            spread(&rewritten),
            shown(ratio(&receipted, &appended)),
            shown(ratio(&written, &appended)),
            shown(ratio(&written, &rewritten)),
        ]);
    }
    Ok(table.to_markdown())
}

fn delivery_table(delivered: &[Vec<f64>], bares: &[Value]) -> anyhow::Result<String> {
    let mut table = Table::new(&[
        "delivered and acked, unbatched",
        "per CPU second",
        "bare forwarder",
        "ratio",
        "MB per CPU second",
        "loopback's writer",
        "ratio",
    ]);
    let loopback = numbers(bares, "loopback_mb_per_cpu_second")?;
    for (figures, what) in delivered.iter().zip(&DELIVERED) {
        let bare = numbers(bares, what.bare)?;
        let size: f64 = what.size.parse()?;
        let bytes: Vec<f64> = figures.iter().map(|count| count * size / MB).collect();
        table.row(&[
            what.name.to_owned(),
            spread(figures),
            spread(&bare),
            shown(ratio(figures, &bare)),
            spread(&bytes),
            spread(&loopback),
            shown(ratio(&bytes, &loopback)),
        ]);
    }
    Ok(table.to_markdown())
}
