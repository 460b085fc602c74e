//! Apache Pulsar's own load client, unmodified, and what it says.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::toolchains::{root, run};

/// The class path of an artifact with all it needs; Maven fetches what is missing.
pub(super) fn class_path(name: &str) -> anyhow::Result<String> {
    let folder = root().join("bench/pulsar").join(name);
    let file = root().join(format!("target/bench/{name}.classpath"));
    let mut maven = Command::new("mvn");
    maven.args(["-q", "--batch-mode", "dependency:build-classpath"]);
    maven.arg(format!("-Dmdep.outputFile={}", file.display()));
    run(&folder, &mut maven)?;
    Ok(fs::read_to_string(file)?.trim().to_owned())
}

/// The load client.
#[derive(Debug)]
pub(super) struct PulsarPerf {
    pub(super) class_path: String,
}

impl PulsarPerf {
    /// Starts it in `dir`.
    pub(super) fn start(
        &self,
        dir: &Path,
        verb: &str,
        url: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Running> {
        fs::create_dir_all(dir)?;
        fs::write(dir.join("client.conf"), "")?;
        let output = dir.join(format!("{verb}.txt"));
        let mut command = Command::new("java");
        command.current_dir(dir).args(["-Xms1g", "-Xmx1g", "-XX:MaxDirectMemorySize=1g"]);
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-cp", &self.class_path]);
        command.args(["org.apache.pulsar.testclient.PulsarPerfTestTool", "client.conf", verb]);
        command.args(["--service-url", url]).args(arguments);
        let file = fs::File::create(&output)?;
        let process = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("java could not be started")?;
        Ok(Running { process, output })
    }
}

/// A load client that runs. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Running {
    process: Child,
    output: std::path::PathBuf,
}

impl Running {
    /// Whether it has said something so far.
    pub(super) fn has_said(&self, text: &str) -> anyhow::Result<bool> {
        Ok(fs::read_to_string(&self.output)?.contains(text))
    }

    /// Waits for its end; what it says.
    pub(super) fn report(mut self) -> anyhow::Result<Value> {
        let status = self.process.wait()?;
        let text = fs::read_to_string(&self.output)?;
        match parse(&text) {
            Some(report) if status.success() => Ok(report),
            _ => bail!("the load client failed ({status}):\n{text}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Reads the summary: records and their rate; and of the second interval, if there was one, as
/// `steady`, the rate, and latencies in milliseconds.
fn parse(text: &str) -> Option<Value> {
    let (_, summary) = text.rsplit_once("Aggregated throughput stats --- ")?;
    let (_, behind) = summary.split_once(" records ")?;
    let records = first_number(summary)?;
    let rate = first_number(behind.split_once(" --- ")?.1)?;
    let mut report = json!({ "records": records, "messages_per_second": rate });
    let is_interval = |line: &&str| {
        line.contains("Throughput produced:") || line.contains("Throughput received:")
    };
    if let Some(line) = text.lines().filter(is_interval).nth(1) {
        let rate = first_number(line.split_once(" msg --- ")?.1)?;
        let mut steady = json!({ "messages_per_second": rate });
        for (name, label) in [("p50", "med:"), ("p99", "99pct:"), ("p999", "99.9pct:")] {
            steady[name] = first_number(line.split_once(&format!(" {label}"))?.1)?.into();
        }
        report["steady"] = steady;
    }
    Some(report)
}

fn first_number(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_read() {
        let interval = |count: u32, rate: &str| {
            format!(
                "x INFO - Throughput produced: {count} msg --- {rate} msg/s ---      78.1 Mbit/s  --- \
                 failure      0.0 msg/s --- Latency: mean:   2.1 ms - med:   1.700 - 95pct:   2.9 - \
                 99pct:   4.500 - 99.9pct:   8.000 - 99.99pct:   9.100 - Max:   9.300\n"
            )
        };
        let produced = interval(70_000, "  7000.0")
            + &interval(170_000, "  9964.1")
            + "x INFO - Aggregated throughput stats --- 180000 records sent --- 9000.123 msg/s --- \
               19.461 Mbit/s \n INFO - Aggregated latency stats --- Latency: mean: 1.815 ms\n";
        let expected = json!({
            "records": 180_000.0, "messages_per_second": 9000.123,
            "steady": { "messages_per_second": 9964.1, "p50": 1.7, "p99": 4.5, "p999": 8.0 },
        });
        assert_eq!(parse(&produced), Some(expected));
        let consumed =
            "Aggregated throughput stats --- 5 records received --- 2.5 msg/s --- 1 Mbit/s";
        assert_eq!(parse(consumed), Some(json!({ "records": 5.0, "messages_per_second": 2.5 })));
        assert_eq!(parse("nothing"), None);
    }
}
