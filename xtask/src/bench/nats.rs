//! `cargo xtask bench nats`: NATS JetStream, as Debian ships it, and Geminga, in turn.
//!
//! That release has no setting to sync before it answers, so the disk's flushes are counted and shown:
//! its receipts promise less. Each side has its own load client.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    Options,
    page::{self, Table},
    process::{cpu_seconds, disk_flushes},
    server::{Server, rest},
    stats::shown,
    tool::{Tools, number},
};
use crate::{
    say,
    toolchains::{provide, root, run as run_command},
};

const MESSAGES: &str = "500000";
const COUNT: f64 = 500_000.0;
const IN_FLIGHT: &str = "1000";

/// What is measured of both, in this order, in what unit, and whether less is better, if it matters.
const ROWS: [(&str, &str, Option<bool>); 8] = [
    ("start", "ms", Some(true)),
    ("RSS idle", "MiB", Some(true)),
    ("publish 1 KiB, 1,000 in flight", "msg/s", Some(false)),
    ("flushes of the disk meanwhile", "per 1,000 messages", None),
    ("server CPU per million published", "s", Some(true)),
    ("read and ack all of them", "msg/s", Some(false)),
    ("server CPU per million read", "s", Some(true)),
    ("RSS then", "MiB", Some(true)),
];

type Figures = [f64; ROWS.len()];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    provide("nats-server", "--version", "nats-server")?;
    let client = build_client()?;
    let dir = tempfile::tempdir_in(&options.dir)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..options.pairs {
        say(&format!("== round {} of {}", round + 1, options.pairs));
        let home = dir.path().join("geminga");
        let server = Server::geminga(&tools.server, &home)?;
        ours.push(measure(&server, |verb| load_ours(&tools, &server, verb))?);
        drop(server);
        std::fs::remove_dir_all(&home)?;
        let home = dir.path().join("nats");
        let server = Server::nats(&home)?;
        theirs.push(measure(&server, |verb| load_theirs(&client, &server, verb))?);
        drop(server);
        std::fs::remove_dir_all(&home)?;
    }
    let text = table(&ours, &theirs);
    let figures = json!({ "geminga": ours, "nats": theirs });
    page::write("nats", "Beside NATS JetStream 2.9, which does not sync", &text, options, &figures)
}

fn build_client() -> anyhow::Result<PathBuf> {
    let program = root().join("target/bench/nats-load");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".");
    run_command(&root().join("bench/nats"), &mut build)?;
    Ok(program)
}

fn measure(server: &Server, load: impl Fn(&str) -> anyhow::Result<f64>) -> anyhow::Result<Figures> {
    rest();
    let idle = server.rss_mib()?;
    let (cpu, flushes) = (cpu_seconds(server.pid())?, disk_flushes()?);
    let published = load("produce")?;
    let flushes = u32::try_from(disk_flushes()? - flushes).unwrap_or(u32::MAX);
    let publish_cpu = cpu_seconds(server.pid())?;
    let read = load("consume")?;
    let read_cpu = cpu_seconds(server.pid())? - publish_cpu;
    let millions = COUNT / 1e6;
    let figures = [
        server.start_took.as_secs_f64() * 1e3,
        idle,
        published,
        f64::from(flushes) / COUNT * 1e3,
        (publish_cpu - cpu) / millions,
        read,
        read_cpu / millions,
        server.rss_mib()?,
    ];
    for ((name, ..), value) in ROWS.iter().zip(figures) {
        say(&format!("{name}: {}", shown(value)));
    }
    Ok(figures)
}

/// Messages per second.
fn load_ours(tools: &Tools, server: &Server, verb: &str) -> anyhow::Result<f64> {
    let (arguments, figure): (&[&str], _) = match verb {
        "produce" => {
            (&["--disable-batching", "--in-flight", IN_FLIGHT], "sent/messages_per_second")
        }
        _ => (&["--position", "Earliest"], "received/messages_per_second"),
    };
    let common = [verb, "nats", "--messages", MESSAGES];
    let report = tools.perf(&server.url, server.pid(), &[&common[..], arguments].concat())?;
    number(&report, figure)
}

fn load_theirs(client: &Path, server: &Server, verb: &str) -> anyhow::Result<f64> {
    let output = Command::new(client)
        .args(["-url", &server.url, "-verb", verb, "-size", "1024"])
        .args(["-in-flight", IN_FLIGHT, "-messages", MESSAGES])
        .output()
        .context("the load client could not be started")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    number(&serde_json::from_slice::<Value>(&output.stdout)?, "messages_per_second")
}

fn table(ours: &[Figures], theirs: &[Figures]) -> String {
    let mut table = Table::beside("NATS JetStream");
    for (index, (name, unit, less_is_better)) in ROWS.into_iter().enumerate() {
        let of = |figures: &[Figures]| figures.iter().map(|all| all[index]).collect::<Vec<f64>>();
        table.compare((name, unit), &of(ours), &of(theirs), less_is_better);
    }
    table.to_markdown()
}
