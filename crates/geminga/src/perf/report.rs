//! What a run says at its end.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{
    figures::Figures,
    watch::{Process, Watched},
};

#[derive(Debug)]
pub(super) struct Report {
    command: &'static str,
    watched: Watched,
    sent: Option<Figures>,
    received: Option<Figures>,
}

const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];
const MIB: f64 = 1_048_576.0;

impl Report {
    pub(super) const fn new(command: &'static str, watched: Watched) -> Self {
        Self { command, watched, sent: None, received: None }
    }

    pub(super) fn with_sent(self, sent: Figures) -> Self {
        Self { sent: Some(sent), ..self }
    }

    pub(super) fn with_received(self, received: Figures) -> Self {
        Self { received: Some(received), ..self }
    }

    /// Fails when everything failed.
    pub(super) fn checked(self) -> Result<Self> {
        for figures in [&self.sent, &self.received].into_iter().flatten() {
            if let (0, Some(why)) = (figures.total, &figures.first_failure) {
                bail!("nothing succeeded: {} failures, the first: {why}", figures.failed);
            }
        }
        Ok(self)
    }

    /// Messages that the server's work is divided by.
    fn messages(&self) -> u64 {
        let figures = self.sent.as_ref().or(self.received.as_ref());
        figures.map_or(0, |figures| figures.messages)
    }

    pub(super) fn to_json(&self) -> String {
        let Watched { seconds, client, server } = self.watched;
        let per_million = self.messages();
        let mut report = json!({
            "command": self.command,
            "seconds": seconds,
            "client": process_json(client, per_million),
        });
        if let Some((pid, process)) = server {
            report["server"] = process_json(process, per_million);
            report["server"]["pid"] = pid.into();
        }
        for (name, latency, figures) in self.parts() {
            report[name] = figures_json(figures, seconds);
            if !figures.latency.is_empty() {
                report[name][latency] = latency_json(&figures.latency);
            }
        }
        format!("{report}\n")
    }

    pub(super) fn to_text(&self) -> String {
        let Watched { seconds, client, server } = self.watched;
        let mut text = String::new();
        for (name, latency, figures) in self.parts() {
            let (rate, mib) = rates(figures, seconds);
            line(
                &mut text,
                format_args!(
                    "{name}: {} messages in {seconds:.2} s: {rate:.0} msg/s, {mib:.1} MiB/s; {} failed",
                    figures.messages, figures.failed,
                ),
            );
            if 0 < figures.unsent {
                line(
                    &mut text,
                    format_args!(
                        "  {} more were due and not sent: the server did not keep up",
                        figures.unsent,
                    ),
                );
            }
            if let Some(why) = &figures.first_failure {
                line(&mut text, format_args!("  the first failure: {why}"));
            }
            if figures.latency.is_empty() {
                continue; // What was received is older than the run.
            }
            let latency = latency.replace('_', " ").replace(" ms", "");
            line(&mut text, format_args!("  {latency}: {}", latency_text(&figures.latency)));
        }
        let mut say = |who: &str, process: Process| {
            let Process { cpu_seconds, peak_rss } = process;
            let million = per_million(cpu_seconds, self.messages());
            line(
                &mut text,
                format_args!(
                    "{who}: {cpu_seconds:.2} CPU s ({:.0} % of a core), {million:.2} CPU s per million \
                 messages, peak RSS {:.1} MiB",
                    100.0 * cpu_seconds / seconds.max(f64::MIN_POSITIVE),
                    real(peak_rss) / MIB,
                ),
            );
        };
        say("client", client);
        if let Some((pid, process)) = server {
            say(&format!("server ({pid})"), process);
        }
        text
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, &'static str, &Figures)> {
        let sent = self.sent.as_ref().map(|sent| ("sent", "publish_latency_ms", sent));
        let received =
            self.received.as_ref().map(|received| ("received", "end_to_end_latency_ms", received));
        sent.into_iter().chain(received)
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    _ = writeln!(text, "{line}"); // Writing to a string does not fail.
}

fn rates(figures: &Figures, seconds: f64) -> (f64, f64) {
    let seconds = seconds.max(f64::MIN_POSITIVE);
    (real(figures.messages) / seconds, real(figures.bytes) / seconds / MIB)
}

fn figures_json(figures: &Figures, seconds: f64) -> Value {
    let (rate, mib) = rates(figures, seconds);
    json!({
        "messages": figures.messages,
        "total_messages": figures.total,
        "failed": figures.failed,
        "first_failure": figures.first_failure,
        "unsent": figures.unsent,
        "messages_per_second": rate,
        "mib_per_second": mib,
    })
}

fn latency_json(latency: &Histogram<u64>) -> Value {
    let mut values = json!({ "mean": latency.mean() / 1e6, "max": millis(latency.max()) });
    for (name, quantile) in QUANTILES {
        values[name] = millis(latency.value_at_quantile(quantile)).into();
    }
    values
}

fn latency_text(latency: &Histogram<u64>) -> String {
    let mut text = format!("mean {:.3} ms", latency.mean() / 1e6);
    for (name, quantile) in QUANTILES {
        let name = match name {
            "p999" => "p99.9",
            "p9999" => "p99.99",
            name => name,
        };
        _ = write!(text, ", {name} {:.3}", millis(latency.value_at_quantile(quantile)));
    }
    _ = write!(text, ", max {:.3}", millis(latency.max()));
    text
}

fn process_json(process: Process, messages: u64) -> Value {
    json!({
        "cpu_seconds": process.cpu_seconds,
        "cpu_seconds_per_million": per_million(process.cpu_seconds, messages),
        "peak_rss_mib": real(process.peak_rss) / MIB,
    })
}

fn per_million(cpu_seconds: f64, messages: u64) -> f64 {
    if messages == 0 { 0.0 } else { cpu_seconds * 1e6 / real(messages) }
}

fn millis(nanos: u64) -> f64 {
    real(nanos) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
const fn real(number: u64) -> f64 {
    number as f64
}
