//! `geminga client`: sends and receives from the command line, as `pulsar-client` does.
//!
//! Options, defaults and output are those of `pulsar-client`, so that scripts go on working.

mod consume;
mod pace;
mod print;
mod produce;

use std::io;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use geminga_client::{Client, ClientError, ClientOptions};
use geminga_env::Env;

use crate::exit::NoServer;

pub(crate) use self::{pace::parse_rate, print::hex_dump};

/// Sends and receives messages.
#[derive(Debug, Args)]
pub struct ClientCommand {
    /// Where the cluster is.
    #[arg(long, value_name = "URL", default_value = "pulsar://localhost:6650", global = true)]
    url: String,
    /// Which of the brokers' advertised listeners to use.
    #[arg(long, value_name = "NAME", global = true)]
    listener_name: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Send messages to a topic.
    Produce(produce::Produce),
    /// Receive, print and ack messages of a subscription.
    Consume(consume::Consume),
}

/// Runs the command until it is done.
///
/// # Errors
///
/// Whatever kept it from doing what was asked, in words for the terminal.
pub async fn run(env: Env, command: ClientCommand) -> anyhow::Result<()> {
    let ClientCommand { url, listener_name, verb } = command;
    let connect = || connect(&env, &url, listener_name);
    match verb {
        Verb::Produce(produce) => {
            let messages = produce.messages()?;
            let client = connect().await?;
            let outcome = produce.run(&env, &client, messages, &mut io::stdout()).await;
            client.close().await;
            outcome
        }
        Verb::Consume(consume) => {
            let client = connect().await?;
            let outcome = consume.run(&env, &client, &mut io::stdout()).await;
            client.close().await;
            outcome
        }
    }
}

pub(crate) async fn connect(
    env: &Env,
    url: &str,
    listener_name: Option<String>,
) -> anyhow::Result<Client> {
    let options = ClientOptions { listener_name, ..ClientOptions::default() };
    let client = Client::connect(env.clone(), url, options).await;
    client.map_err(|error| {
        let is_down =
            matches!(error, ClientError::Unreachable { .. } | ClientError::TimedOut { .. });
        let error = anyhow::Error::new(error);
        if is_down {
            error.context(NoServer { url: url.to_owned(), option: "--url" })
        } else {
            error.context(format!("connecting to {url}"))
        }
    })
}

/// A failed write to the terminal or pipe.
fn write_failed(result: io::Result<()>) -> anyhow::Result<()> {
    result.context("writing the output")
}

#[cfg(test)]
mod tests;
