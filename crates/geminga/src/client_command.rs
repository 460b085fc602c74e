//! `geminga client`: sends and receives from the command line, as `pulsar-client` does.
//!
//! Options, defaults and output are those of `pulsar-client`, so that scripts go on working.

mod consume;
mod pace;
mod print;
mod produce;
mod read;
mod schema;

use std::{ffi::OsString, io};

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
    /// Print messages of a topic without a subscription that stays.
    Read(read::Read),
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
            consume.options()?;
            let client = connect().await?;
            let outcome = consume.run(&env, &client, &mut io::stdout()).await;
            client.close().await;
            outcome
        }
        Verb::Read(read) => {
            read.options()?;
            let client = connect().await?;
            let outcome = read.run(&env, &client, &mut io::stdout()).await;
            client.close().await;
            outcome
        }
    }
}

/// Understands what clap cannot: options of several letters and one dash, as `pulsar-client` has them.
#[must_use]
pub fn with_long_names(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|word| word != "client") {
        return words;
    }
    for at in 2..words.len() {
        // A message may look like one.
        let is_value = words[at - 1] == "-m" || words[at - 1] == "--messages";
        let name = LONG_NAMES.iter().find(|(short, _)| words[at] == *short);
        if let Some((_, long)) = name.filter(|_| !is_value) {
            words[at] = (*long).into();
        }
    }
    words
}

const LONG_NAMES: [(&str, &str); 2] = [("-db", "--disable-batching"), ("-st", "--schema-type")];

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
