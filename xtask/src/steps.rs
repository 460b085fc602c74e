//! What is run, in order. Each step says what it needs; what is missing is skipped by name, or is an
//! error when nothing may be skipped.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    report, say,
    toolchains::{has, provide, python, root, run as run_command},
};

/// How much of each test is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Short forms.
    Short,
    /// The issues' full numbers.
    Soak,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) skipped: Option<String>,
}

struct Step {
    name: &'static str,
    /// What is missing, if something is.
    needs: fn() -> Option<String>,
    run: fn(Tier) -> anyhow::Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "format", needs: nothing, run: format },
    Step { name: "lint", needs: nothing, run: lint },
    Step { name: "unit", needs: nothing, run: unit },
    Step { name: "build", needs: nothing, run: build },
    Step { name: "python", needs: needs_python, run: python_clients },
    Step { name: "durability", needs: needs_python, run: durability },
    Step { name: "crash", needs: needs_python_and_java, run: crash },
    Step { name: "churn", needs: needs_python, run: churn },
    Step { name: "memory", needs: needs_python, run: memory },
    Step { name: "rust", needs: nothing, run: rust_client },
    Step { name: "go", needs: needs_go, run: go_client },
    Step { name: "java", needs: needs_java, run: java_client },
];

pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the steps named by `only`, or all.
pub(crate) fn run(tier: Tier, only: &[&str], nothing_skipped: bool) -> anyhow::Result<()> {
    if let Some(unknown) = only.iter().find(|name| !names().contains(name)) {
        bail!("no step {unknown:?}; there are {}", names().join(", "));
    }
    let mut outcomes = Vec::new();
    for step in STEPS.iter().filter(|step| only.is_empty() || only.contains(&step.name)) {
        say(&format!("== {}", step.name));
        let began = now();
        let skipped = (step.needs)();
        match &skipped {
            Some(missing) if nothing_skipped => bail!("{}: {missing}", step.name),
            Some(missing) => say(&format!("== {}: SKIPPED: {missing}", step.name)),
            None if tier == Tier::Soak => {
                report::begin(step.name)?;
                (step.run)(tier).with_context(|| format!("step {}", step.name))?;
            }
            None => (step.run)(tier).with_context(|| format!("step {}", step.name))?,
        }
        let outcome = Outcome { name: step.name, took: now() - began, skipped };
        if tier == Tier::Soak {
            report::note(&outcome)?;
        }
        outcomes.push(outcome);
    }
    for outcome in &outcomes {
        let seconds = outcome.took.as_secs();
        let what = outcome.skipped.as_ref().map_or("ok", |_| "SKIPPED");
        say(&format!("{:>12}  {what:<8} {seconds:>5} s", outcome.name));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a tool that times its own steps")]
fn now() -> Instant {
    Instant::now()
}

fn nothing() -> Option<String> {
    None
}

fn needs_python() -> Option<String> {
    (!has("python3", "--version")).then(|| "needs python3 (3.9 or later, with venv)".to_owned())
}

fn needs_go() -> Option<String> {
    (!has("go", "version")).then(|| "needs Go".to_owned())
}

fn needs_java() -> Option<String> {
    (!has("mvn", "--version")).then(|| "needs Java 17 and Maven".to_owned())
}

fn needs_python_and_java() -> Option<String> {
    needs_python().or_else(needs_java)
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run_command(&root(), Command::new(env!("CARGO")).args(arguments))
}

fn format(_: Tier) -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"])
}

fn lint(_: Tier) -> anyhow::Result<()> {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

/// Packages whose tests take seeds.
const MODELS: [&str; 6] = [
    "geminga-subscription",
    "geminga-bookie-storage",
    "geminga-ledger",
    "geminga-managed-ledger",
    "geminga-metadata-embedded",
    "geminga-sim",
];

/// A seed of the whole standalone, run twice, takes a sixth of a second.
const SIM_SEEDS: &str = "2000";

fn unit(tier: Tier) -> anyhow::Result<()> {
    match tier {
        Tier::Short => cargo(&["test", "--workspace"]),
        Tier::Soak => {
            let mut command = Command::new(env!("CARGO"));
            command.args(["test", "--profile", "sim"]);
            for package in MODELS {
                command.args(["--package", package]);
            }
            command.env("GEMINGA_SEEDS", "20000").env("GEMINGA_SIM_SEEDS", SIM_SEEDS);
            run_command(&root(), command.env("GEMINGA_REPORT_DIR", report::folder("unit")?))?;
            broker_models()
        }
    }
}

/// Seeds of the topic's models, which bring a broker up and down many times each.
const BROKER_SEEDS: &str = "400";

fn broker_models() -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--profile", "sim", "--package", "geminga-broker", "--test", "topic"]);
    command.args(["--", "_model::"]).env("GEMINGA_SEEDS", BROKER_SEEDS);
    run_command(&root(), command.env("GEMINGA_REPORT_DIR", report::folder("unit")?))
}

fn build(_: Tier) -> anyhow::Result<()> {
    cargo(&["build", "--release", "--package", "geminga"])
}

fn pytest(step: &str, folder: &str, tier: Tier) -> anyhow::Result<()> {
    build(tier)?;
    let mut command = Command::new(python()?);
    command.args(["-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", folder]);
    if tier == Tier::Soak {
        command.env("GEMINGA_SOAK", "1").env("GEMINGA_REPORT_DIR", report::folder(step)?);
    }
    run_command(&root(), &mut command)
}

fn python_clients(tier: Tier) -> anyhow::Result<()> {
    pytest("python", "tests/interop/python", tier)
}

fn durability(tier: Tier) -> anyhow::Result<()> {
    provide("strace", "-V", "strace")?;
    pytest("durability", "tests/durability", tier)
}

fn crash(tier: Tier) -> anyhow::Result<()> {
    pytest("crash", "tests/crash", tier)
}

fn churn(tier: Tier) -> anyhow::Result<()> {
    pytest("churn", "tests/churn", tier)
}

fn memory(tier: Tier) -> anyhow::Result<()> {
    provide("strace", "-V", "strace")?;
    pytest("memory", "tests/memory", tier)
}

/// Runs a client's tests against one server, whose URLs it finds in the environment.
fn with_server(folder: &str, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    build(Tier::Short)?;
    let directory = root().join("tests/interop").join(folder);
    let script = root().join("tests/serve.py");
    let mut command = Command::new("python3");
    command.arg(script).arg("--").arg(program).args(arguments);
    run_command(&directory, &mut command)
}

fn rust_client(_: Tier) -> anyhow::Result<()> {
    provide("protoc", "--version", "protobuf-compiler")?; // The client crate's build needs it.
    let target = root().join("target/interop");
    let target = target.to_string_lossy();
    with_server("rust", env!("CARGO"), &["test", "--quiet", "--target-dir", &target])
}

fn go_client(_: Tier) -> anyhow::Result<()> {
    // There is one package; without a list of them Go shows what its tests print.
    with_server("go", "go", &["test", "-count=1"])
}

fn java_client(_: Tier) -> anyhow::Result<()> {
    with_server("java", "mvn", &["-q", "--batch-mode", "test"])
}

/// Mutation tests; what is known to survive, and why, is in `docs/mutants.md`.
pub(crate) fn mutants() -> anyhow::Result<()> {
    if !has("cargo", "mutants --version") {
        cargo(&["install", "--locked", "cargo-mutants"])?;
    }
    let packages =
        ["geminga-subscription", "geminga-ledger", "geminga-bookie-storage", "geminga-dedup"];
    cargo(&[&["run", "--quiet", "--package", "geminga-mutants", "--"], &packages[..]].concat())
}
