//! `geminga admin`: asks and changes a running server, as `pulsar-admin` does.
//!
//! Nouns, verbs and options are those of `pulsar-admin` 4.0. The table of verbs says all of it: grammar,
//! help, completions and requests are made from it.

mod call;
mod explain;
mod grammar;
mod message;
mod print;
mod progress;
mod steps;
mod table;
mod value;
mod verb;

use std::{ffi::OsString, io::Write, time::Duration};

use clap::{ArgMatches, Args, Command, FromArgMatches};
use geminga_env::Env;

use self::{call::Values, verb::Verb};
use crate::admin_client::AdminClient;

/// Administers a running server.
#[derive(Debug)]
pub struct AdminCommand {
    common: Common,
    verb: &'static Verb,
    values: Values,
}

#[derive(Debug, Args)]
struct Common {
    /// The server's admin API.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://localhost:8080",
        global = true,
        help_heading = "Options of all verbs"
    )]
    admin_url: String,
    /// Print the server's JSON as it is.
    #[arg(long, global = true, help_heading = "Options of all verbs")]
    json: bool,
    /// Longest time in seconds for one answer.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        global = true,
        help_heading = "Options of all verbs"
    )]
    request_timeout: u64,
}

impl Args for AdminCommand {
    fn augment_args(command: Command) -> Command {
        let command = Common::augment_args(command);
        let command = command.subcommand_required(true).arg_required_else_help(true);
        let nouns = table::nouns();
        nouns.iter().fold(command, |command, noun| command.subcommand(grammar::noun(noun)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for AdminCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let common = Common::from_arg_matches(matches)?;
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (noun, of_noun) = matches.subcommand().ok_or_else(missing)?;
        let (name, of_verb) = of_noun.subcommand().ok_or_else(missing)?;
        let nouns = table::nouns().iter();
        let mut verbs = nouns.filter(|known| known.name == noun).flat_map(|noun| &noun.verbs);
        let verb = verbs.find(|verb| verb.name == name).ok_or_else(missing)?;
        let values = grammar::values(verb, of_verb);
        Ok(Self { common, verb, values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Understands what clap cannot: options of several letters and one dash, as `pulsar-admin` has them.
#[must_use]
pub fn with_long_names(words: Vec<OsString>) -> Vec<OsString> {
    match words.get(1) {
        Some(word) if word == "admin" => grammar::with_long_names(table::nouns(), words),
        _ => words,
    }
}

/// Runs the command.
///
/// # Errors
///
/// What the server refuses with, or that it does not answer.
pub async fn run(env: Env, command: AdminCommand, out: &mut impl Write) -> anyhow::Result<()> {
    let AdminCommand { common, verb, values } = command;
    let timeout = Duration::from_secs(common.request_timeout);
    let client = AdminClient::new(&env, &common.admin_url, timeout);
    steps::run(&env, &client, (verb, &values), common.json, out).await
}

#[cfg(test)]
mod tests;
