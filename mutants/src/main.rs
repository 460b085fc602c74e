//! Mutation tests: `geminga-mutants PACKAGE…`.
//!
//! `cargo mutants` lists a package's mutants, but builds and links the package anew for each, which
//! takes most of a day for the crates that can lose data. Here all mutants of a package are written
//! into one copy of its source, each behind a question at run time, so that one build serves them
//! all; those that can't be written so (constants) are built one by one.
//!
//! Results are in `target/mutants/PACKAGE.json`; what survived is printed.

mod list;
mod run;
mod switch;
mod tree;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Context as _;
use list::Mutant;
use run::Verdict;

fn main() -> ExitCode {
    let packages: Vec<String> = std::env::args().skip(1).collect();
    for package in &packages {
        if let Err(error) = test(package) {
            complain(&format!("geminga-mutants: {package}: {error:#}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn test(package: &str) -> anyhow::Result<()> {
    let root = std::env::current_dir()?;
    let mutants = list::mutants(&root, package)?;
    say(&format!("{package}: {} mutants", mutants.len()));
    let tree = tree::Tree::copy(&root, package)?;
    let switched = tree.switch(&mutants)?;
    let mut verdicts = BTreeMap::new();
    for id in &switched.unviable {
        verdicts.insert(*id, Verdict::Unviable);
    }
    let (on, alone) = mutants
        .iter()
        .filter(|mutant| !switched.unviable.contains(&mutant.id))
        .partition::<Vec<_>, _>(|mutant| switched.ids.contains(&mutant.id));
    say(&format!("{} in one build, {} of their own", on.len(), alone.len()));
    verdicts.extend(run::all(&switched.binaries, &on)?);
    for mutant in alone {
        verdicts.insert(mutant.id, tree.test_alone(mutant)?);
    }
    report(package, &root, &mutants, &verdicts)
}

fn report(
    package: &str,
    root: &std::path::Path,
    mutants: &[Mutant],
    verdicts: &BTreeMap<usize, Verdict>,
) -> anyhow::Result<()> {
    let verdict = |mutant: &Mutant| verdicts.get(&mutant.id).copied();
    let rows: Vec<_> = mutants
        .iter()
        .map(|mutant| {
            let verdict = verdict(mutant).map(|verdict| format!("{verdict:?}"));
            serde_json::json!({ "mutant": mutant.name, "verdict": verdict })
        })
        .collect();
    let path = root.join(format!("target/mutants/{package}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(&rows)?)
        .with_context(|| path.display().to_string())?;
    for mutant in mutants.iter().filter(|mutant| verdict(mutant) == Some(Verdict::Survived)) {
        say(&format!("SURVIVED {}", mutant.name));
    }
    let count = |wanted| mutants.iter().filter(|mutant| verdict(mutant) == Some(wanted)).count();
    say(&format!(
        "{package}: {} caught, {} timed out, {} unviable, {} survived",
        count(Verdict::Caught),
        count(Verdict::TimedOut),
        count(Verdict::Unviable),
        count(Verdict::Survived),
    ));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a command-line tool talks to its user")]
fn complain(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]
fn say(text: &str) {
    println!("{text}");
}
