//! `cargo xtask bench compare`: Apache Pulsar's load client on Apache Pulsar and on Geminga, in turn.
//!
//! Each round starts both servers on new directories, one after the other, and runs every scenario on
//! each. Both sync before they answer: a run in which the disk did not flush is void.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    Options,
    page::{self, Table},
    process::{cpu_seconds, disk_flushes, ended_children_cpu_seconds},
    pulsar_perf::{PulsarPerf, Running, class_path},
    server::{Server, rest, wait},
    stats::{median, range, shown},
    tool::Tools,
};
use crate::say;

/// What is measured of both, by name.
type Figures = BTreeMap<&'static str, Vec<f64>>;

/// A way to publish.
struct Publish {
    name: &'static str,
    topic: &'static str,
    arguments: &'static [&'static str],
}

const PUBLISH: [Publish; 3] = [
    Publish { name: "1 KiB batched", topic: "a", arguments: &["-r", "10000000", "-s", "1024"] },
    Publish {
        name: "128 B unbatched",
        topic: "b",
        arguments: &["-r", "10000000", "-s", "128", "-db"],
    },
    Publish { name: "100 B batched", topic: "c", arguments: &["-r", "10000000", "-s", "100"] },
];
const FIXED: [&str; 4] = ["-r", "10000", "-s", "1024"];
/// The Java virtual machines are warm by then.
const WARM_UP: u64 = 5;

/// What is in the table, and whether less is better.
const ROWS: &[(&str, &str, bool)] = &[
    ("start", "ms", true),
    ("RSS idle", "MiB", true),
    ("RSS after the load", "MiB", true),
    ("publish 1 KiB batched", "msg/s", false),
    ("… server CPU per million", "s", true),
    ("… client CPU per million", "s", true),
    ("publish 128 B unbatched", "msg/s", false),
    ("… its server CPU per million", "s", true),
    ("… its client CPU per million", "s", true),
    ("publish 100 B batched", "msg/s", false),
    ("… with server CPU per million", "s", true),
    ("… with client CPU per million", "s", true),
    ("10,000 msg/s of 1 KiB: publish p50", "ms", true),
    ("… p99", "ms", true),
    ("… p99.9", "ms", true),
    ("fan-out of 10,000 msg/s to 10 subscriptions: received", "msg/s", false),
    ("… server CPU per million received", "s", true),
    ("catch-up read while 10,000 msg/s are written", "msg/s", false),
];

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let tools = Tools::build(options)?;
    let server_classes = class_path("server")?;
    let client = PulsarPerf { class_path: class_path("client")? };
    let dir = tempfile::tempdir_in(&options.dir)?;
    let (mut ours, mut theirs) = (Figures::new(), Figures::new());
    for round in 0..options.pairs {
        say(&format!("== round {} of {}", round + 1, options.pairs));
        let home = dir.path().join("geminga");
        let start = || Server::geminga(&tools.server, &home);
        measure(start, &client, &home.with_extension("client"), options, &mut ours)?;
        std::fs::remove_dir_all(&home)?;
        let home = dir.path().join("pulsar");
        let start = || Server::pulsar(&server_classes, &home);
        measure(start, &client, &home.with_extension("client"), options, &mut theirs)?;
        std::fs::remove_dir_all(&home)?;
    }
    let text = table(&ours, &theirs)?;
    let figures = json!({ "geminga": ours, "pulsar": theirs });
    page::write("compare", "Beside Apache Pulsar", &text, options, &figures)
}

/// One round on one server.
fn measure(
    start: impl FnOnce() -> anyhow::Result<Server>,
    client: &PulsarPerf,
    dir: &Path,
    options: &Options,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let server = start()?;
    let mut keep = |name, value: f64| {
        say(&format!("{name}: {}", shown(value)));
        figures.entry(name).or_default().push(value);
    };
    keep("start", server.start_took.as_secs_f64() * 1e3);
    rest();
    keep("RSS idle", server.rss_mib()?);
    let bench = Bench { server: &server, client, dir, seconds: options.seconds };
    let names = [
        ["publish 1 KiB batched", "… server CPU per million", "… client CPU per million"],
        ["publish 128 B unbatched", "… its server CPU per million", "… its client CPU per million"],
        ["publish 100 B batched", "… with server CPU per million", "… with client CPU per million"],
    ];
    for (publish, [rate, server_cpu, client_cpu]) in PUBLISH.iter().zip(names) {
        let published = bench.publish(publish)?;
        keep(rate, published.rate);
        keep(server_cpu, published.server_cpu);
        keep(client_cpu, published.client_cpu);
    }
    let report = bench.produce("fixed", &FIXED)?.report()?;
    for (name, key) in
        [("10,000 msg/s of 1 KiB: publish p50", "p50"), ("… p99", "p99"), ("… p99.9", "p999")]
    {
        keep(name, number(&report, key)?);
    }
    let (rate, cpu) = bench.fan_out()?;
    keep("fan-out of 10,000 msg/s to 10 subscriptions: received", rate);
    keep("… server CPU per million received", cpu);
    keep("catch-up read while 10,000 msg/s are written", bench.catch_up()?);
    keep("RSS after the load", server.rss_mib()?);
    Ok(())
}

struct Bench<'a> {
    server: &'a Server,
    client: &'a PulsarPerf,
    dir: &'a Path,
    seconds: u64,
}

struct Published {
    rate: f64,
    server_cpu: f64,
    client_cpu: f64,
}

impl Bench<'_> {
    /// Starts to send to a topic for the time of a measurement.
    fn produce(&self, topic: &str, arguments: &[&str]) -> anyhow::Result<Running> {
        let (time, warm_up) = (self.seconds.to_string(), WARM_UP.to_string());
        let common = ["-time", &time, "--warmup-time", &warm_up];
        let all: Vec<&str> = arguments.iter().chain(&common).copied().chain([topic]).collect();
        self.client.start(&self.dir.join(topic), "produce", &self.server.url, &all)
    }

    fn consume(&self, topic: &str, arguments: &[&str]) -> anyhow::Result<Running> {
        let all: Vec<&str> = arguments.iter().copied().chain([topic]).collect();
        self.client.start(&self.dir.join(topic), "consume", &self.server.url, &all)
    }

    fn publish(&self, publish: &Publish) -> anyhow::Result<Published> {
        let (cpu, children) = (cpu_seconds(self.server.pid())?, ended_children_cpu_seconds()?);
        let flushes = disk_flushes()?;
        let report = self.produce(publish.topic, publish.arguments)?.report()?;
        let flushes = disk_flushes()?.saturating_sub(flushes);
        ensure!(
            self.seconds < flushes,
            "{}: void: {flushes} flushes of the disk in {} s",
            publish.name,
            self.seconds
        );
        let millions = number(&report, "records")? / 1e6;
        Ok(Published {
            rate: number(&report, "messages_per_second")?,
            server_cpu: (cpu_seconds(self.server.pid())? - cpu) / millions,
            client_cpu: (ended_children_cpu_seconds()? - children) / millions,
        })
    }

    /// Messages that ten subscriptions receive per second, and what a million of them costs.
    fn fan_out(&self) -> anyhow::Result<(f64, f64)> {
        let cpu = cpu_seconds(self.server.pid())?;
        let time = (self.seconds + 3).to_string();
        let consumer = self.consume("fan-out", &["-ss", "s", "-ns", "10", "-time", &time])?;
        wait(std::time::Duration::from_secs(3)); // Until it has subscribed: it says nothing of that.
        let producer = self.produce("fan-out", &FIXED)?;
        producer.report()?;
        let report = consumer.report()?;
        let cpu = cpu_seconds(self.server.pid())? - cpu;
        let records = number(&report, "records")?;
        ensure!(0.0 < records, "nothing was received");
        Ok((number(&report, "messages_per_second")?, cpu * 1e6 / records))
    }

    /// Messages that one consumer reads per second of what was published first, while more is.
    fn catch_up(&self) -> anyhow::Result<f64> {
        let topic = PUBLISH[0].topic;
        let producer = self.produce(topic, &FIXED)?;
        let arguments = ["-ss", "late", "-sp", "Earliest", "-m", "500000"];
        let report = self.consume(topic, &arguments)?.report()?;
        producer.report()?;
        number(&report, "messages_per_second")
    }
}

fn number(report: &Value, key: &str) -> anyhow::Result<f64> {
    report[key].as_f64().with_context(|| format!("no {key} in {report}"))
}

fn table(ours: &Figures, theirs: &Figures) -> anyhow::Result<String> {
    let mut table = Table::new(&["", "unit", "Geminga", "Apache Pulsar", "ratio", "better"]);
    for (name, unit, less_is_better) in ROWS {
        let of = |figures: &Figures| figures.get(name).cloned().context("a figure is missing");
        let (ours, theirs) = (of(ours)?, of(theirs)?);
        let ratio = median(ours.clone()) / median(theirs.clone());
        let better = if *less_is_better { ratio.recip() } else { ratio };
        let cell = |values: Vec<f64>| {
            let (smallest, largest) = range(&values);
            format!("{} ({}–{})", shown(median(values)), shown(smallest), shown(largest))
        };
        table.row(&[
            (*name).to_owned(),
            (*unit).to_owned(),
            cell(ours),
            cell(theirs),
            shown(ratio),
            format!("{} ×", shown(better)),
        ]);
    }
    Ok(table.to_markdown())
}
