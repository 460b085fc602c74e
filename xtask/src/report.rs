//! The soak's report, committed as `docs/soak.md`.
//!
//! Steps may be run one after the other, by several calls and on several commits: each says on which it
//! passed, and what it left before that is forgotten when it begins.

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

/// A step's row of the table, beside its counts.
const ROW: &str = "row";

/// Where the tests of a step leave their counts, as `NAME.txt`.
pub(crate) fn folder(step: &str) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/soak").join(step);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Forgets what a step has left before.
pub(crate) fn begin(step: &str) -> anyhow::Result<()> {
    fs::remove_dir_all(folder(step)?)?;
    Ok(())
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
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"])?;
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    let (name, took) = (outcome.name, outcome.took.as_secs());
    let row = format!("| {name} | {result} | `{commit}` | {date} | {took} s |");
    fs::write(folder(name)?.join(ROW), row)?;
    Ok(())
}

/// Writes what was run, of each step the last time.
pub(crate) fn write() -> anyhow::Result<()> {
    let mut page = "# Soak\n\nWritten by `cargo xtask soak`; do not edit.\n\n\
                    | step | result | commit | ended | time |\n|---|---|---|---|---|\n"
        .to_owned();
    let mut details = String::new();
    for name in steps::names() {
        let folder = root().join("target/soak").join(name);
        let Ok(row) = fs::read_to_string(folder.join(ROW)) else { continue };
        writeln!(page, "{row}")?;
        for file in counts(&folder)? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&file)?;
            writeln!(details, "\n## {name}\n\n```\n{}\n```", text.trim_end())?;
        }
    }
    fs::write(root().join("docs/soak.md"), page + &details)?;
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
