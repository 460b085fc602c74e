//! `geminga perf`: puts a server under load and says what came of it.
//!
//! A *sender* drives the producers of one connection, a *receiver* one consumer. At a fixed rate a
//! message's latency counts from when it was due, not from when it was sent: what a stall holds up is
//! part of the figures (no coordinated omission). Times are nanoseconds since the run's epoch.

mod alarm;
mod connect;
mod figures;
mod options;
mod payload;
mod process;
mod receiver;
mod report;
mod run;
mod schedule;
mod sender;
mod watch;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use geminga_client::Client;
use geminga_env::Env;
use tokio_util::task::TaskTracker;

use self::{
    figures::Figures,
    options::{Consume, Latency, Produce},
    payload::Payload,
    receiver::Receiver,
    report::Report,
    run::Run,
    sender::Sender,
};

/// How long what is on its way may take at the end.
const GRACE: Duration = Duration::from_secs(10);

/// Measures how fast messages are sent and received.
#[derive(Debug, Args)]
pub struct PerfCommand {
    /// Where the cluster is.
    #[arg(long, value_name = "URL", default_value = "pulsar://localhost:6650", global = true)]
    url: String,
    /// Threads that the load runs on.
    #[arg(long, value_name = "NUM", default_value_t = 1, global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// Process of the server, whose CPU and memory are sampled; found by itself on this machine.
    #[arg(long, value_name = "PID", global = true)]
    server_pid: Option<u32>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send messages; measures until their receipts.
    Produce(Produce),
    /// Receive and ack messages; measures from the first.
    Consume(Consume),
    /// Send and receive messages; measures from when they are due until they are received.
    Latency(Latency),
}

impl PerfCommand {
    /// How many sockets it takes.
    #[must_use]
    pub const fn connections(&self) -> u32 {
        match &self.verb {
            Verb::Produce(produce) => produce.connections,
            Verb::Consume(consume) => consume.connections,
            Verb::Latency(latency) => latency.produce.connections.saturating_mul(2),
        }
    }

    /// How many threads the runtime should have.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.into()
    }
}

/// Runs the command until it is done; the report is text for the terminal, or JSON.
///
/// # Errors
///
/// Whatever kept it from doing what was asked, in words for the terminal.
pub async fn run(env: Env, command: PerfCommand) -> anyhow::Result<String> {
    let PerfCommand { url, json, server_pid, verb, .. } = command;
    let server = server_pid.or_else(|| process::listener_on(&url));
    let report = match verb {
        Verb::Produce(options) => produce(&env, &url, server, options).await?,
        Verb::Consume(options) => consume(&env, &url, server, options).await?,
        Verb::Latency(options) => latency(&env, &url, server, options).await?,
    };
    Ok(if json { report.to_json() } else { report.to_text() })
}

async fn produce(
    env: &Env,
    url: &str,
    server: Option<u32>,
    options: Produce,
) -> anyhow::Result<Report> {
    let run = Arc::new(Run::new(env.clone(), options.length));
    let clients = connect::clients(env, url, options.connections).await?;
    let payload = Payload::opaque(options.sending.size_bytes());
    let senders = senders(&run, &clients, &options, payload).await?;
    let tasks = TaskTracker::new();
    let watch = tasks.spawn(watch::watch(Arc::clone(&run), server));
    run.start();
    let sent = all_sent(&tasks, senders).await;
    run.stop();
    let watched = watch.await.context("the watch ended early")?;
    let report = Report::new("produce", watched).with_sent(sent?);
    close(clients).await;
    report.checked()
}

async fn consume(
    env: &Env,
    url: &str,
    server: Option<u32>,
    options: Consume,
) -> anyhow::Result<Report> {
    let run = Arc::new(Run::new(env.clone(), options.length));
    let clients = connect::clients(env, url, options.connections).await?;
    let consumers = connect::consumers(&clients, &options.topics, &options.receiving).await?;
    let tasks = TaskTracker::new();
    let watch = tasks.spawn(watch::watch(Arc::clone(&run), server));
    let receivers = consumers.into_iter().map(|consumer| {
        let receiver = Receiver { run: Arc::clone(&run), consumer, due_in: None };
        tasks.spawn(receiver.run())
    });
    let receivers: Vec<_> = receivers.collect();
    tokio::select! {
        biased;
        () = run.stopped() => {}
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("handler of Ctrl-C")?;
            run.start(); // There may have been no message.
        }
    }
    run.stop();
    run.finish();
    let received = merge(receivers).await?;
    let watched = watch.await.context("the watch ended early")?;
    close(clients).await;
    Report::new("consume", watched).with_received(received).checked()
}

async fn latency(
    env: &Env,
    url: &str,
    server: Option<u32>,
    options: Latency,
) -> anyhow::Result<Report> {
    let Latency { produce, receiving } = options;
    let run = Arc::new(Run::new(env.clone(), produce.length));
    let clients = connect::clients(env, url, produce.connections).await?;
    let receiving_clients = connect::clients(env, url, produce.connections).await?;
    let consumers = connect::consumers(&receiving_clients, &produce.topics, &receiving).await?;
    let payload = Payload::with_due_time(produce.sending.size_bytes(), &*env.random)?;
    let tasks = TaskTracker::new();
    let receivers = consumers.into_iter().map(|consumer| {
        let due_in = Some(payload.clone());
        tasks.spawn(Receiver { run: Arc::clone(&run), consumer, due_in }.run())
    });
    let receivers: Vec<_> = receivers.collect();
    let senders = senders(&run, &clients, &produce, payload).await?;
    let watch = tasks.spawn(watch::watch(Arc::clone(&run), server));
    run.start();
    let sent = all_sent(&tasks, senders).await;
    if let Ok(sent) = &sent {
        let wanted = sent.total.saturating_mul(u64::from(receiving.subscriptions));
        // Without them the report says how many came.
        _ = tokio::time::timeout(GRACE, run.received_at_least(wanted)).await;
    }
    run.stop();
    run.finish();
    let received = merge(receivers).await;
    let watched = watch.await.context("the watch ended early")?;
    let report = Report::new("latency", watched).with_sent(sent?).with_received(received?);
    close(clients).await;
    close(receiving_clients).await;
    report.checked()
}

async fn senders(
    run: &Arc<Run>,
    clients: &[Client],
    options: &Produce,
    payload: Payload,
) -> anyhow::Result<Vec<Sender>> {
    let producers = connect::producers(clients, options).await?;
    let count = producers.len();
    let senders = producers.into_iter().enumerate().map(|(index, producers)| {
        Sender::new(run, producers, &options.sending, (index, count), payload.clone())
    });
    Ok(senders.collect())
}

/// Runs the senders to their end.
async fn all_sent(tasks: &TaskTracker, senders: Vec<Sender>) -> anyhow::Result<Figures> {
    let running: Vec<_> = senders.into_iter().map(|sender| tasks.spawn(sender.run())).collect();
    merge(running).await
}

async fn merge(
    running: Vec<tokio::task::JoinHandle<anyhow::Result<Figures>>>,
) -> anyhow::Result<Figures> {
    let mut all = Figures::new();
    for task in running {
        all.add(&task.await.context("a task of the load failed")??);
    }
    Ok(all)
}

async fn close(clients: Vec<Client>) {
    for client in clients {
        // A server that is stuck must not hold up the report.
        _ = tokio::time::timeout(GRACE, client.close()).await;
    }
}

fn check(is_valid: bool, what: &str) -> anyhow::Result<()> {
    if !is_valid {
        bail!("{what}");
    }
    Ok(())
}
