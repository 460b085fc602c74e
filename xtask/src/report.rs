//! The soak's report, committed as `docs/soak.md`.

use std::{fmt::Write as _, process::Command};

use anyhow::Context as _;

use crate::{say, steps::Outcome, toolchains::root};

/// Writes what was run, when, on which commit. Tests leave their counts in `target/soak/*.txt`.
pub(crate) fn write(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let commit = output("git", &["rev-parse", "HEAD"])?;
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    let mut page = format!(
        "# Soak\n\nWritten by `cargo xtask soak`; do not edit.\n\n\
         - commit: `{commit}`\n- date: {date}\n\n| step | result | time |\n|---|---|---|\n"
    );
    for outcome in outcomes {
        let result = outcome.skipped.as_ref().map_or("passed", |_| "skipped");
        writeln!(page, "| {} | {result} | {} s |", outcome.name, outcome.took.as_secs())?;
    }
    let folder = root().join("target/soak");
    if folder.is_dir() {
        let mut files =
            std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>().context("target/soak")?;
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in files {
            let name = file.file_name();
            let text = std::fs::read_to_string(file.path())?;
            writeln!(page, "\n## {}\n\n```\n{}\n```", name.to_string_lossy(), text.trim_end())?;
        }
    }
    std::fs::write(root().join("docs/soak.md"), page)?;
    say("wrote docs/soak.md");
    Ok(())
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
