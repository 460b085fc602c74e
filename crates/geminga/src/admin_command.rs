//! `geminga admin`: asks and changes a running server, as `pulsar-admin` does.

mod explain;

use clap::{Args, Subcommand};
use geminga_env::Env;

/// Administers a running server.
#[derive(Debug, Args)]
pub struct AdminCommand {
    /// The server's admin API.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080", global = true)]
    admin_url: String,
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Topics and their subscriptions.
    #[command(subcommand)]
    Topics(Topics),
}

#[derive(Debug, Subcommand)]
enum Topics {
    /// Say why a subscription moves, or does not.
    ExplainSubscription(explain::Explain),
}

/// Runs the command.
///
/// # Errors
///
/// What the server refuses with, or that it does not answer.
pub async fn run(env: Env, command: AdminCommand) -> anyhow::Result<()> {
    let AdminCommand { admin_url, subject } = command;
    match subject {
        Subject::Topics(Topics::ExplainSubscription(explain)) => {
            explain.run(&env, &admin_url, &mut std::io::stdout()).await
        }
    }
}
