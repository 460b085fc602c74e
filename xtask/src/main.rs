//! The project's chores: `cargo xtask test`, `soak`, `mutants` and `bench`.

mod bench;
mod report;
mod steps;
mod toolchains;

use std::process::ExitCode;

use anyhow::bail;
use steps::Tier;

const USAGE: &str = "\
cargo xtask test [--all] [STEP…]   every test in a short form
cargo xtask soak [STEP…]           the issues' full numbers; writes docs/soak.md
cargo xtask mutants                mutation tests of the crates that can lose data
cargo xtask bench limits           what the machine can do
cargo xtask bench figures          what the standalone does, beside it
cargo xtask bench moving           large entries to the disk, and deliveries, beside it
cargo xtask bench recovery         how long a start takes after a kill
cargo xtask bench million          a million topics on one node
cargo xtask bench cursor           a cursor with a million holes
cargo xtask bench delayed          ten million delayed messages on one topic
cargo xtask bench compare          the same load client on Apache Pulsar and on Geminga
cargo xtask bench nats             NATS JetStream and Geminga
cargo xtask bench profile          where the time goes, as flame graphs

With --all a missing toolchain is an error instead of a skip. Steps:";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    if command == "bench" {
        return bench::run(&rest);
    }
    let nothing_skipped = rest.iter().any(|argument| argument == "--all");
    let only: Vec<&str> =
        rest.iter().map(String::as_str).filter(|argument| *argument != "--all").collect();
    match command.as_str() {
        "test" => steps::run(Tier::Short, &only, nothing_skipped),
        "soak" => {
            report::check()?;
            steps::run(Tier::Soak, &only, true)?;
            report::write()
        }
        "mutants" => steps::mutants(),
        _ => {
            let steps = steps::names().join(" ");
            bail!("unknown command {command:?}\n{USAGE} {steps}")
        }
    }
}

#[expect(clippy::print_stderr, reason = "a command-line tool talks to its user")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
