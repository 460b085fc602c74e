//! The soak's report, committed as `docs/soak.md`.
//!
//! Steps may be run one after the other or by several calls: what was run on one commit is one report,
//! and nothing of another commit gets into it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    say,
    steps::{self, Outcome},
    toolchains::root,
};

/// Where the tests of a soak on this commit leave their counts, as `NAME.txt`.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/soak").join(output("git", &["rev-parse", "HEAD"])?);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Refuses to soak what no commit names.
pub(crate) fn check() -> anyhow::Result<()> {
    let but_the_report = [".", ":!docs/soak.md"];
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let changed = output("git", &[&status[..], &but_the_report].concat())?;
    if !changed.is_empty() {
        bail!("the report names a commit, and these files are not as committed:\n{changed}");
    }
    Ok(())
}

/// Notes a step that has passed on this commit.
pub(crate) fn note(outcome: &Outcome) -> anyhow::Result<()> {
    let result = outcome.skipped.as_ref().map_or("passed", |_| "skipped");
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    let row = format!("| {} | {result} | {date} | {} s |", outcome.name, outcome.took.as_secs());
    let steps = folder()?.join("steps");
    fs::create_dir_all(&steps)?;
    fs::write(steps.join(outcome.name), row)?;
    Ok(())
}

/// Writes what was run on this commit.
pub(crate) fn write() -> anyhow::Result<()> {
    let folder = folder()?;
    let commit = output("git", &["rev-parse", "HEAD"])?;
    let mut page = format!(
        "# Soak\n\nWritten by `cargo xtask soak`; do not edit.\n\n- commit: `{commit}`\n\n\
         | step | result | ended | time |\n|---|---|---|---|\n"
    );
    for name in steps::names() {
        if let Ok(row) = fs::read_to_string(folder.join("steps").join(name)) {
            writeln!(page, "{row}")?;
        }
    }
    for file in counts(&folder)? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file)?;
        writeln!(page, "\n## {name}\n\n```\n{}\n```", text.trim_end())?;
    }
    fs::write(root().join("docs/soak.md"), page)?;
    say("wrote docs/soak.md");
    Ok(())
}

fn counts(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("{program} could not be started"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
