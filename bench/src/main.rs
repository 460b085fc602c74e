//! What the machine can do, for the product's figures to be seen beside: bare disk, bare sockets, a
//! bare group-commit server, a bare frame forwarder, and a Pulsar door with nothing behind it.
//!
//! Nothing of the product's path is in here but the protocol's frames. `cargo xtask bench` runs it.

mod clock;
mod disk;
mod drive;
mod forward;
mod frame;
mod group_commit;
mod limits;
mod loopback;
mod receipts;
mod spread;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

/// Measures the machine; prints JSON.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure all limits.
    Limits {
        /// Where files are written: on the disk to measure.
        #[arg(long)]
        dir: PathBuf,
        /// How long each measurement takes.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Measure how fast bytes move to the disk and through sockets.
    Moving {
        /// Where files are written: on the disk to measure.
        #[arg(long)]
        dir: PathBuf,
        /// How long each measurement takes.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// Serve as the bare group-commit server, until the input ends; prints the port.
    Serve {
        /// Where its file is.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Load a bare group-commit server.
    Drive(Drive),
    /// Serve Pulsar's producers without storing anything, until the input ends; prints the port.
    Receipts,
}

#[derive(Clone, Copy, Debug, Args)]
struct Drive {
    /// The server's port on this machine.
    #[arg(long)]
    port: u16,
    /// Bytes of each message.
    #[arg(long, default_value_t = 1_024)]
    size: u32,
    /// Messages without a receipt.
    #[arg(long, default_value_t = 1_000)]
    in_flight: u32,
    /// How long to load it.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Limits { dir, seconds } => say(&limits::measure(&dir, seconds)?),
        Command::Moving { dir, seconds } => say(&limits::moving(&dir, seconds)?),
        Command::Serve { dir } => serve(|| group_commit::start(&dir))?,
        Command::Drive(drive) => say(&drive::drive(&drive)?.to_json()),
        Command::Receipts => serve(receipts::start)?,
    }
    Ok(())
}

/// Says the port of what was started, and lives as long as whoever started us wants.
fn serve(start: impl FnOnce() -> anyhow::Result<u16>) -> anyhow::Result<()> {
    let port = start()?;
    say(&Value::from(port));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn say(value: &Value) {
    println!("{value}");
}
