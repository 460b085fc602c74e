//! `cargo xtask bench`: what the machine can do, what the standalone does beside it, and how Apache
//! Pulsar does under the same client.
//!
//! Everything is measured on release builds, on the disk of `--dir` (a folder of `target/` unless
//! told otherwise). Results go to `target/bench/*.json` and to a section of `docs/performance.md`.

mod compare;
mod cursor;
mod delayed;
mod figures;
mod groups;
mod limits;
mod million;
mod moving;
mod nats;
mod page;
mod process;
mod profile;
mod pulsar_perf;
mod recovery;
mod scrape;
mod server;
mod stats;
mod tool;

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::toolchains::root;

/// What the command line says.
#[derive(Debug)]
struct Options {
    /// Where data is kept while it is measured.
    dir: PathBuf,
    /// The server's binary; our own release build when it is not given.
    server: Option<PathBuf>,
    /// Seconds of each measurement.
    seconds: u64,
    /// Pairs of measurements that medians are of.
    pairs: usize,
    /// Entries of the topic whose cursor is measured.
    entries: u64,
    /// Delayed messages of one topic.
    messages: u64,
}

const USAGE: &str = "\
cargo xtask bench limits|figures|moving|recovery|million|cursor|delayed|scrape|groups|compare|nats|profile
    [--dir DIR] [--server BINARY] [--seconds N] [--pairs N] [--entries N] [--messages N]";

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (what, rest) = arguments.split_first().context(USAGE)?;
    let options = parse(rest)?;
    std::fs::create_dir_all(&options.dir).context("the directory for data")?;
    match what.as_str() {
        "limits" => limits::run(&options),
        "figures" => figures::run(&options),
        "moving" => moving::run(&options),
        "recovery" => recovery::run(&options),
        "million" => million::run(&options),
        "cursor" => cursor::run(&options),
        "delayed" => delayed::run(&options),
        "groups" => groups::run(&options),
        "scrape" => scrape::run(&options),
        "nats" => nats::run(&options),
        "compare" => compare::run(&options),
        "profile" => profile::run(&options),
        _ => bail!("unknown benchmark {what:?}\n{USAGE}"),
    }
}

fn parse(arguments: &[String]) -> anyhow::Result<Options> {
    let dir = root().join("target/bench");
    let mut options = Options {
        dir,
        server: None,
        seconds: 5,
        pairs: 5,
        entries: 20_000_000,
        messages: 10_000_000,
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { bail!("{}: a value is missing\n{USAGE}", pair.join(" ")) };
        match name.as_str() {
            "--dir" => options.dir = value.into(),
            "--server" => options.server = Some(value.into()),
            "--seconds" => options.seconds = value.parse().context("--seconds")?,
            "--pairs" => options.pairs = value.parse().context("--pairs")?,
            "--messages" => options.messages = value.parse().context("--messages")?,
            "--entries" => options.entries = value.parse().context("--entries")?,
            _ => bail!("unknown option {name}\n{USAGE}"),
        }
    }
    Ok(options)
}
