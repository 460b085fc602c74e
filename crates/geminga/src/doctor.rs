//! `geminga doctor`: looks at the machine and the configuration, and says what to change.
//!
//! What decides is synchronous and sees a [`Machine`] that was read before, so that tests can make one;
//! what measures (syncs, ports) does only that. Nothing is changed: the file that is written to measure
//! syncs is removed.

mod clock;
mod configuration;
mod disk;
mod limits;
mod machine;
mod ports;
mod sync;

use std::{io::Write, path::Path};

use geminga_env::Env;
use serde_json::json;

use self::machine::Machine;
use crate::config::{Config, Remarks};

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, but not as well as it should.
    Warning,
    /// It does not work, or loses data.
    Problem,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// What was looked at.
    name: &'static str,
    state: State,
    found: String,
    /// What to change; empty where nothing is to be.
    change: String,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), change: String::new() }
    }

    fn warning(name: &'static str, found: impl Into<String>, change: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), change: change.into() }
    }

    fn problem(name: &'static str, found: impl Into<String>, change: impl Into<String>) -> Self {
        Self { name, state: State::Problem, found: found.into(), change: change.into() }
    }
}

/// Looks at everything, writes the report, and says whether there is no problem.
///
/// # Errors
///
/// If the report cannot be written.
pub async fn run(
    env: &Env,
    config: &anyhow::Result<(Config, Remarks)>,
    data_dir: &Path,
    as_json: bool,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let machine = Machine::read();
    let began = clock::Reading::now(env);
    let mut findings = configuration::check(config);
    let defaults = Config::default();
    let config = config.as_ref().map_or(&defaults, |(config, _)| config);
    findings.extend(disk::check(env, &machine, config, data_dir));
    findings.push(sync::check(env, data_dir));
    findings.extend(clock::check(env, &machine, began, data_dir));
    findings.extend(limits::check(&machine, config));
    findings.extend(ports::check(env, config).await);
    report(&findings, as_json, out)?;
    Ok(findings.iter().all(|finding| finding.state != State::Problem))
}

fn report(findings: &[Finding], as_json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if as_json {
        let all = findings.iter().map(|Finding { name, state, found, change }| {
            json!({"name": name, "state": state.name(), "found": found, "change": change})
        });
        return writeln!(out, "{}", json!({"checks": all.collect::<Vec<_>>()}));
    }
    for Finding { name, state, found, change } in findings {
        writeln!(out, "{:<8} {name:<14} {found}", state.name())?;
        if !change.is_empty() {
            writeln!(out, "{:<8} {:<14} -> {change}", "", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
