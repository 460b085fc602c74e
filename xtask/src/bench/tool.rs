//! Builds and runs the programs that measure; they print JSON.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Options;
use crate::toolchains::{root, run};

/// The programs.
#[derive(Debug)]
pub(super) struct Tools {
    pub(super) server: PathBuf,
    pub(super) geminga: PathBuf,
    pub(super) bench: PathBuf,
}

impl Tools {
    /// Builds them.
    pub(super) fn build(options: &Options) -> anyhow::Result<Self> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--package=geminga", "--package=geminga-bench"]);
        run(&root(), &mut cargo)?;
        let built = root().join("target/release");
        let geminga = built.join("geminga");
        let server = options.server.clone().unwrap_or_else(|| geminga.clone());
        Ok(Self { server, geminga, bench: built.join("geminga-bench") })
    }

    /// `geminga perf`.
    pub(super) fn perf(&self, url: &str, pid: u32, arguments: &[&str]) -> anyhow::Result<Value> {
        json(&mut self.perf_command(url, pid, arguments))
    }

    /// `geminga perf`, to go on while other things are done.
    pub(super) fn start_perf(
        &self,
        url: &str,
        pid: u32,
        arguments: &[&str],
    ) -> anyhow::Result<Perf> {
        let mut command = self.perf_command(url, pid, arguments);
        let process = command.stdout(Stdio::piped()).spawn().context("starting a load")?;
        Ok(Perf { process: Some(process) })
    }

    fn perf_command(&self, url: &str, pid: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.geminga);
        command.args(["perf", "--json", "--url", url, "--server-pid", &pid.to_string()]);
        command.args(arguments);
        command
    }

    pub(super) fn bench<A: AsRef<OsStr>>(&self, arguments: &[A]) -> anyhow::Result<Value> {
        json(Command::new(&self.bench).args(arguments))
    }

    /// The bare group-commit server, with its file in `dir`.
    pub(super) fn bare_server(&self, dir: &Path) -> anyhow::Result<Bare> {
        std::fs::create_dir_all(dir)?;
        let mut command = Command::new(&self.bench);
        command.arg("serve").arg("--dir").arg(dir);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("a pipe")?).read_line(&mut line)?;
        Ok(Bare { process, port: line.trim().to_owned() })
    }
}

/// A load that runs. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Perf {
    process: Option<Child>,
}

impl Perf {
    /// Waits for its end; what it printed.
    pub(super) fn report(mut self) -> anyhow::Result<Value> {
        let process = self.process.take().context("a load reports once")?;
        parsed("the load", &process.wait_with_output()?)
    }
}

impl Drop for Perf {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            _ = process.kill(); // Fails only if it has ended.
            _ = process.wait();
        }
    }
}

/// A bare server; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Bare {
    process: Child,
    pub(super) port: String,
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        _ = self.process.wait(); // It ends with its input.
    }
}

fn json(command: &mut Command) -> anyhow::Result<Value> {
    let shown = format!("{command:?}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{shown} could not be started"))?;
    parsed(&shown, &output)
}

fn parsed(what: &str, output: &Output) -> anyhow::Result<Value> {
    if !output.status.success() {
        bail!("{what} failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("output of {what}"))
}

/// The same number of several reports.
pub(super) fn numbers(reports: &[Value], path: &str) -> anyhow::Result<Vec<f64>> {
    reports.iter().map(|report| number(report, path)).collect()
}

/// A number in what a program printed: `number(&report, "sent/messages")`.
pub(super) fn number(report: &Value, path: &str) -> anyhow::Result<f64> {
    let value = report.pointer(&format!("/{path}"));
    value.and_then(Value::as_f64).with_context(|| format!("no {path} in {report}"))
}
