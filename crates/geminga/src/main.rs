//! Geminga: Apache Pulsar, as one small native program.
//!
//! Reads the configuration, builds the parts, runs a role or a tool.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use geminga::{
    admin_command::{self, AdminCommand},
    client_command::{self, ClientCommand},
    config::{self, Config, Remarks},
    doctor, exit, file_limit,
    perf::{self, PerfCommand},
    standalone,
    storage_command::{self, StorageCommand},
};
use geminga_env::Env;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Apache Pulsar, as one small native program.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run broker, bookie and metadata store in this process.
    Standalone(Standalone),
    /// Send and receive messages, as pulsar-client does.
    Client(ClientCommand),
    /// Administer a running server.
    Admin(AdminCommand),
    /// Verify, dump, back up and restore a data directory.
    Storage(StorageCommand),
    /// Put a server under load and measure it.
    Perf(PerfCommand),
    /// Look at this machine and a configuration, and say what to change.
    Doctor(Doctor),
    /// Print what a shell needs to complete this program's command lines.
    Completions(Completions),
    /// Print the reference page of the configuration.
    #[command(hide = true)]
    ConfigReference,
}

#[derive(Debug, Args)]
struct Standalone {
    #[command(flatten)]
    settings: Settings,
    /// Where everything is kept; created when missing.
    #[arg(long, value_name = "DIR", default_value = "data/standalone")]
    data_dir: PathBuf,
    /// Keep everything in a temporary directory that is gone at exit.
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
}

#[derive(Debug, Args)]
struct Doctor {
    #[command(flatten)]
    settings: Settings,
    /// Where everything is kept, or is to be.
    #[arg(long, value_name = "DIR", default_value = "data/standalone")]
    data_dir: PathBuf,
    /// Print a report for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Completions {
    /// For which shell.
    shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
struct Settings {
    /// A file in the format of Pulsar's standalone.conf.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting; may be repeated, and wins over the file and the environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

fn main() -> ExitCode {
    let words = admin_command::with_long_names(std::env::args_os().collect());
    let cli = Cli::parse_from(client_command::with_long_names(words));
    let is_tool = !matches!(cli.command, Command::Standalone(_));
    let level = if is_tool { "warn" } else { "info" };
    let filter = EnvFilter::try_from_env("GEMINGA_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(std::io::stderr)
        .init();
    let result = match cli.command {
        Command::Standalone(args) => run_standalone(args).map(|()| ExitCode::SUCCESS),
        Command::Client(command) => run_client(command).map(|()| ExitCode::SUCCESS),
        Command::Perf(command) => run_perf(command).map(|()| ExitCode::SUCCESS),
        Command::Admin(command) => run_admin(command).map(|()| ExitCode::SUCCESS),
        Command::Storage(command) => run_storage(command),
        Command::Doctor(doctor) => run_doctor(&doctor),
        Command::Completions(Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "geminga", &mut script);
            std::io::stdout().write_all(&script).context("writing").map(|()| ExitCode::SUCCESS)
        }
        Command::ConfigReference => print_reference().map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            exit::code(&error).into()
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn complain(error: &anyhow::Error) {
    eprintln!("geminga: {error:#}");
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print_reference() -> anyhow::Result<()> {
    print!("{}", config::reference_page());
    Ok(())
}

fn run_standalone(args: Standalone) -> anyhow::Result<()> {
    let (config, remarks) = load_config(&args.settings)?;
    warn_of(&remarks);
    let temporary = if args.ephemeral {
        Some(tempfile::Builder::new().prefix("geminga-").tempdir().context("temporary directory")?)
    } else {
        None
    };
    let data_dir = temporary.as_ref().map_or(args.data_dir, |dir| dir.path().to_owned());
    file_limit::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("geminga")
        .build()
        .context("runtime")?;
    let result = runtime.block_on(serve(&config, &data_dir));
    drop(temporary);
    result
}

/// Runs until a signal or a failure that is final.
async fn serve(config: &Config, data_dir: &std::path::Path) -> anyhow::Result<()> {
    // Before anything else: a signal that comes early ends the start, and not the process in the midst of it.
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT handler")?;
    let env = Env::system();
    let began = env.clock.now();
    let running = tokio::select! {
        started = standalone::start(env.clone(), config, data_dir) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let millis = env.clock.now().duration_since(began).as_millis();
    announce(&running, millis);
    let failure = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = running.failed() => Some(reason),
    };
    if let Some(reason) = failure {
        // Nothing can be made durable any more: what was receipted is on the disk, the rest is not.
        error!("stopping: {reason}");
        anyhow::bail!("stopped because storage failed: {reason}");
    }
    info!("stopping");
    running.shutdown().await;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the one line that scripts wait for")]
fn announce(running: &standalone::Standalone, millis: u128) {
    let durability = if running.is_durable() { "" } else { " durability=none" };
    let (broker, web) = (running.broker_url(), running.http_url());
    println!("ready: {broker} {web} in {millis} ms{durability}");
}

fn run_client(command: ClientCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(client_command::run(Env::system(), command))
}

fn run_admin(command: AdminCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(admin_command::run(Env::system(), command, &mut std::io::stdout()))
}

fn run_storage(command: StorageCommand) -> anyhow::Result<ExitCode> {
    file_limit::raise();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(storage_command::run(Env::system(), command))
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn run_perf(command: PerfCommand) -> anyhow::Result<()> {
    let usual_limit = 500;
    if usual_limit < command.connections() {
        file_limit::raise();
    }
    let runtime = match command.threads() {
        0 | 1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads).enable_all().build()
        }
    };
    let report = runtime.context("runtime")?.block_on(perf::run(Env::system(), command))?;
    print!("{report}");
    Ok(())
}

fn run_doctor(command: &Doctor) -> anyhow::Result<ExitCode> {
    let config = load_config(&command.settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (env, mut out) = (Env::system(), std::io::stdout());
    let looked_at = doctor::run(&env, &config, &command.data_dir, command.json, &mut out);
    Ok(if runtime.block_on(looked_at)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load_config(settings: &Settings) -> anyhow::Result<(Config, Remarks)> {
    let mut config = Config::default();
    let mut remarks = Remarks::default();
    if let Some(path) = &settings.config {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("configuration file {name} could not be read"))?;
        let from_file = config::parse_properties(&name, &text)?;
        config.apply(&name, &from_file, &mut remarks)?;
    }
    config.apply("environment", &from_environment(), &mut remarks)?;
    let from_flags = settings.set.iter().map(|setting| {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--set {setting}: expected KEY=VALUE"))?;
        Ok((key.to_owned(), value.to_owned()))
    });
    let from_flags = from_flags.collect::<anyhow::Result<Vec<_>>>()?;
    config.apply("--set", &from_flags, &mut remarks)?;
    Ok((config, remarks))
}

/// Warns of keys that do nothing.
fn warn_of(remarks: &Remarks) {
    for (key, closest) in &remarks.unknown {
        let hint = closest.as_ref().map(|key| format!("; did you mean {key}?")).unwrap_or_default();
        tracing::warn!("unknown configuration key {key}{hint}");
    }
    if !remarks.unused.is_empty() {
        let keys = remarks.unused.join(", ");
        tracing::warn!("keys of Pulsar's that have no effect here yet: {keys}");
    }
}

/// `GEMINGA_<key>` for every key there is.
fn from_environment() -> Vec<(String, String)> {
    let settings = std::env::vars().filter_map(|(name, value)| {
        let key = name.strip_prefix("GEMINGA_")?;
        let is_setting = config::KEYS.iter().any(|known| known.key == key);
        // Others of that prefix belong to tests and tools, so they are no settings to warn about.
        is_setting.then(|| (key.to_owned(), value))
    });
    let mut settings: Vec<_> = settings.collect();
    settings.sort();
    settings
}
