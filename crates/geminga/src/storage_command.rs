//! `geminga storage`: verify, dump, back up and restore a data directory.

mod backup;
mod verify;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use geminga_bookie_storage::dump::{Kind, dump};
use geminga_env::Env;

use crate::data_dir::DataDir;

/// Looks after what is stored.
#[derive(Debug, Args)]
pub struct StorageCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prove that every pointer leads to whole data, and all data has a pointer. Read-only; the server
    /// must be stopped. Ends with 0 when nothing is damaged, 1 when something is, 2 when it could not
    /// tell.
    Verify {
        /// The data directory, or a backup.
        #[arg(long, value_name = "DIR", default_value = "data/standalone")]
        data_dir: PathBuf,
    },
    /// Print the records of one file.
    Dump {
        /// What the file is.
        kind: FileKind,
        /// The file.
        file: PathBuf,
    },
    /// Copy everything, also while a server writes: every receipt of before is in the copy.
    Backup(backup::Backup),
    /// Make a data directory from a backup.
    Restore {
        /// The backup.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// The new data directory: empty, or not there.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FileKind {
    /// bookkeeper/journal/journal-…
    Journal,
    /// bookkeeper/ledgers/entry-log-…
    EntryLog,
    /// bookkeeper/ledgers/index-…
    Index,
}

/// Could not tell, as `verify` ends.
const UNKNOWN: u8 = 2;

/// Runs the command until it is done.
///
/// # Errors
///
/// Whatever kept it from doing what was asked, in words for the terminal.
pub async fn run(env: Env, command: StorageCommand) -> anyhow::Result<ExitCode> {
    match command.verb {
        Verb::Verify { data_dir } => {
            let verified = verify::verify(&env.disk, &DataDir::new(&data_dir), &mut io::stdout());
            Ok(match verified {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::FAILURE,
                Err(error) => {
                    let complaint = writeln!(io::stderr(), "geminga: {error:#}");
                    complaint.context("writing to the terminal")?;
                    UNKNOWN.into()
                }
            })
        }
        Verb::Dump { kind, file } => {
            let kind = match kind {
                FileKind::Journal => Kind::Journal,
                FileKind::EntryLog => Kind::EntryLog,
                FileKind::Index => Kind::Index,
            };
            let mut out = io::BufWriter::new(io::stdout());
            dump(&*env.disk, kind, &file, &mut |line| writeln!(out, "{line}"))?;
            out.flush().context("writing the output")?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Backup(backup) => {
            let (bytes, to) = (backup.run(&env).await?, backup.to.display());
            say(&format!("{bytes} bytes of entries in {to}, with all receipts from before"))
        }
        Verb::Restore { from, data_dir } => {
            let bytes = crate::backup::restore(&*env.disk, &from, &DataDir::new(&data_dir))?;
            say(&format!("{bytes} bytes in {}", data_dir.display()))
        }
    }
}

fn say(line: &str) -> anyhow::Result<ExitCode> {
    writeln!(io::stdout(), "{line}").context("writing the output")?;
    Ok(ExitCode::SUCCESS)
}
