//! `cargo xtask bench compare`: Apache Pulsar's load client on Apache Pulsar and on Geminga, in turn.
//!
//! Each round starts both servers on new directories, one after the other, and runs every scenario on
//! each, behind one that nobody counts. Both sync before they answer: a run in which the disk did not
//! flush is void. Rates and latencies are those of the second ten seconds of each load, when the
//! Java machines at both ends are warm; CPU is of all of it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    Options,
    page::{self, Table},
    process::{cpu_seconds, disk_flushes, ended_children_cpu_seconds},
    pulsar_perf::{PulsarPerf, Running, class_path},
    server::{Server, now, rest, wait},
    stats::shown,
    tool::Tools,
};
use crate::say;

/// What is measured of both, by name.
type Figures = BTreeMap<&'static str, Vec<f64>>;

/// A way to publish, with as many messages in flight (`-o`) as the client has memory for, and what its figures are called.
struct Publish {
    topic: &'static str,
    arguments: &'static [&'static str],
    rate: &'static str,
    server_cpu: &'static str,
    client_cpu: &'static str,
}

const PUBLISH: [Publish; 3] = [
    Publish {
        topic: "a",
        arguments: &["-r", "10000000", "-s", "1024", "-o", "10000"],
        rate: "publish 1 KiB batched",
        server_cpu: "1 KiB batched: server CPU per million",
        client_cpu: "1 KiB batched: client CPU per million",
    },
    Publish {
        topic: "b",
        arguments: &["-r", "10000000", "-s", "128", "-db", "-o", "5000"],
        rate: "publish 128 B unbatched",
        server_cpu: "128 B unbatched: server CPU per million",
        client_cpu: "128 B unbatched: client CPU per million",
    },
    Publish {
        topic: "c",
        arguments: &["-r", "10000000", "-s", "100", "-o", "20000"],
        rate: "publish 100 B batched",
        server_cpu: "100 B batched: server CPU per million",
        client_cpu: "100 B batched: client CPU per million",
    },
];
const FIXED: [&str; 4] = ["-r", "10000", "-s", "1024"];
/// The load client tells every ten seconds how it does; the second of them ends before this does.
const LOAD_SECONDS: &str = "21";
/// Whoever syncs for each message, or even each group of them, has more.
const FLUSHES_MIN: u64 = 21;
/// Before anything is measured: a Java machine serves the first minute slowly.
const WARM_UP: [&str; 6] = ["-r", "10000000", "-s", "1024", "-o", "10000"];
/// How long a consumer may take to subscribe.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(60);

const FIXED_PUBLISH: [(&str, &str); 3] = [
    ("10,000 msg/s: publish p50", "p50"),
    ("10,000 msg/s: publish p99", "p99"),
    ("10,000 msg/s: publish p99.9", "p999"),
];
const FIXED_RECEIVE: [(&str, &str); 3] = [
    ("10,000 msg/s: end to end p50", "p50"),
    ("10,000 msg/s: end to end p99", "p99"),
    ("10,000 msg/s: end to end p99.9", "p999"),
];
const FAN_OUT: &str = "10,000 msg/s to 10 subscriptions: received of what was sent";
const FAN_OUT_CPU: &str = "10,000 msg/s to 10 subscriptions: server CPU per million received";
const CATCH_UP: &str = "read a backlog while 10,000 msg/s are written";
const CATCH_UP_TOPIC: &str = PUBLISH[0].topic;
/// Fewer than the slower one was sent before, or it would wait for ever.
const CATCH_UP_MESSAGES: &str = "400000";
/// Many small producers on one topic, whose messages 20 consumers share by their keys.
const KEYED: [&str; 11] =
    ["-r", "10000000", "-s", "128", "-db", "-n", "500", "-mk", "random", "-o", "100"];
const KEYED_CONSUMERS: [&str; 6] = ["-st", "Key_Shared", "-n", "20", "-time", "35"];
const KEYED_SENT: &str = "500 producers, 128 B unbatched, 20 Key_Shared consumers: sent";
const KEYED_RECEIVED: &str = "…: received of what was sent";
const KEYED_CPU: &str = "…: server CPU, for sending too, per million received";

/// What is in the table, in what unit, and whether less is better.
const ROWS: &[(&str, &str, bool)] = &[
    ("start", "ms", true),
    ("RSS idle", "MiB", true),
    ("RSS after the load", "MiB", true),
    (PUBLISH[0].rate, "msg/s", false),
    (PUBLISH[0].server_cpu, "s", true),
    (PUBLISH[0].client_cpu, "s", true),
    (PUBLISH[1].rate, "msg/s", false),
    (PUBLISH[1].server_cpu, "s", true),
    (PUBLISH[1].client_cpu, "s", true),
    (PUBLISH[2].rate, "msg/s", false),
    (PUBLISH[2].server_cpu, "s", true),
    (PUBLISH[2].client_cpu, "s", true),
    (FIXED_PUBLISH[0].0, "ms", true),
    (FIXED_PUBLISH[1].0, "ms", true),
    (FIXED_PUBLISH[2].0, "ms", true),
    (FIXED_RECEIVE[0].0, "ms", true),
    (FIXED_RECEIVE[1].0, "ms", true),
    (FIXED_RECEIVE[2].0, "ms", true),
    (FAN_OUT, "%", false),
    (FAN_OUT_CPU, "s", true),
    (CATCH_UP, "msg/s", false),
    (KEYED_SENT, "msg/s", false),
    (KEYED_RECEIVED, "%", false),
    (KEYED_CPU, "s", true),
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
        measure(start, &client, &home.with_extension("client"), &mut ours)?;
        std::fs::remove_dir_all(&home)?;
        let home = dir.path().join("pulsar");
        let start = || Server::pulsar(&server_classes, &home);
        measure(start, &client, &home.with_extension("client"), &mut theirs)?;
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
    let bench = Bench { server: &server, client, dir };
    bench.produce("warm", &WARM_UP)?.report()?;
    for publish in &PUBLISH {
        let published = bench.publish(publish)?;
        keep(publish.rate, published.rate);
        keep(publish.server_cpu, published.server_cpu);
        keep(publish.client_cpu, published.client_cpu);
        if publish.topic == CATCH_UP_TOPIC {
            keep(CATCH_UP, bench.catch_up()?); // Pulsar deletes a topic that is not used for a minute.
        }
    }
    let (sent, received) = bench.with_consumers("fixed", &["-ns", "1", "-time", "25"], &FIXED)?;
    for (names, report) in [(FIXED_PUBLISH, &sent), (FIXED_RECEIVE, &received)] {
        for (name, key) in names {
            keep(name, number(&report["steady"], key)?);
        }
    }
    let cpu = cpu_seconds(server.pid())?;
    let (sent, received) =
        bench.with_consumers("fan-out", &["-ns", "10", "-time", "25"], &FIXED)?;
    let received = number(&received, "records")?;
    ensure!(0.0 < received, "nothing was received");
    keep(FAN_OUT, 10.0 * received / number(&sent, "records")?); // A tenth of each, in percent.
    keep(FAN_OUT_CPU, (cpu_seconds(server.pid())? - cpu) * 1e6 / received);
    let cpu = cpu_seconds(server.pid())?;
    let (sent, received) = bench.with_consumers("keyed", &KEYED_CONSUMERS, &KEYED)?;
    keep(KEYED_SENT, number(&sent["steady"], "messages_per_second")?);
    let (sent, received) = (number(&sent, "records")?, number(&received, "records")?);
    ensure!(0.0 < received, "nothing was received");
    keep(KEYED_RECEIVED, 100.0 * received / sent);
    keep(KEYED_CPU, (cpu_seconds(server.pid())? - cpu) * 1e6 / received);
    keep("RSS after the load", server.rss_mib()?);
    Ok(())
}

struct Bench<'a> {
    server: &'a Server,
    client: &'a PulsarPerf,
    dir: &'a Path,
}

struct Published {
    rate: f64,
    server_cpu: f64,
    client_cpu: f64,
}

impl Bench<'_> {
    /// Starts to send to a topic for the time of a measurement.
    fn produce(&self, topic: &str, arguments: &[&str]) -> anyhow::Result<Running> {
        let common = ["-time", LOAD_SECONDS];
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
        ensure!(FLUSHES_MIN < flushes, "{}: void: {flushes} flushes of the disk", publish.rate);
        let millions = number(&report, "records")? / 1e6;
        Ok(Published {
            rate: number(&report["steady"], "messages_per_second")?,
            server_cpu: (cpu_seconds(self.server.pid())? - cpu) / millions,
            client_cpu: (ended_children_cpu_seconds()? - children) / millions,
        })
    }

    /// Sends while others receive, for longer than what is sent takes with the start of a Java
    /// machine; what both sides say.
    fn with_consumers(
        &self,
        topic: &str,
        consumers: &[&str],
        producers: &[&str],
    ) -> anyhow::Result<(Value, Value)> {
        let arguments: Vec<&str> = ["-ss", "s"].iter().chain(consumers).copied().collect();
        let consumer = self.consume(topic, &arguments)?;
        let began = now();
        while !consumer.has_said("Start receiving")? {
            ensure!(began.elapsed() < SUBSCRIBE_MAX, "the consumer does not subscribe");
            wait(Duration::from_millis(100));
        }
        let sent = self.produce(topic, producers)?.report()?;
        Ok((sent, consumer.report()?))
    }

    /// Messages that one consumer reads per second of what was published first, while more is.
    fn catch_up(&self) -> anyhow::Result<f64> {
        let topic = CATCH_UP_TOPIC;
        let producer = self.produce(topic, &FIXED)?;
        let arguments = ["-ss", "late", "-sp", "Earliest", "-m", CATCH_UP_MESSAGES];
        let report = self.consume(topic, &arguments)?.report()?;
        producer.report()?;
        number(&report, "messages_per_second")
    }
}

fn number(report: &Value, key: &str) -> anyhow::Result<f64> {
    report[key].as_f64().with_context(|| format!("no {key} in {report}"))
}

fn table(ours: &Figures, theirs: &Figures) -> anyhow::Result<String> {
    let mut table = Table::beside("Apache Pulsar");
    for (name, unit, less_is_better) in ROWS {
        let of = |figures: &Figures| figures.get(name).cloned().context("a figure is missing");
        table.compare((name, unit), &of(ours)?, &of(theirs)?, Some(*less_is_better));
    }
    Ok(table.to_markdown())
}
