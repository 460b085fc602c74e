//! The mutants, as `cargo mutants` lists them.

use std::{path::Path, process::Command};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// One change to the source.
#[derive(Debug, Deserialize)]
pub(crate) struct Mutant {
    /// From 1, in the order of the list.
    #[serde(skip)]
    pub(crate) id: usize,
    pub(crate) name: String,
    /// Below the root.
    pub(crate) file: String,
    pub(crate) genre: Genre,
    pub(crate) replacement: String,
    /// What is replaced.
    pub(crate) span: Span,
    pub(crate) function: Option<Function>,
}

/// What kind of change.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Genre {
    /// A function's body becomes a value.
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) return_type: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: Place,
    pub(crate) end: Place,
}

/// Both from 1; the column in characters.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Mutant {
    /// Whether it can't share a build: two values of an `impl Trait` can't be of two types, and a
    /// match whose arms all have guards is not exhaustive.
    pub(crate) fn is_alone(&self) -> bool {
        let function = self.function.as_ref();
        let is_opaque = function.is_some_and(|function| function.return_type.contains("impl "));
        self.genre == Genre::MatchArm || self.genre == Genre::FnValue && is_opaque
    }
}

impl Place {
    /// As an offset into the text.
    pub(crate) fn offset(&self, text: &str) -> Option<usize> {
        let line = text.split_inclusive('\n').take(self.line.checked_sub(1)?);
        let start: usize = line.map(str::len).sum();
        let rest = text.get(start..)?;
        rest.char_indices().map(|(at, _)| start + at).nth(self.column.checked_sub(1)?)
    }
}

pub(crate) fn mutants(root: &Path, package: &str) -> anyhow::Result<Vec<Mutant>> {
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json", "--package", package])
        .current_dir(root)
        .output()
        .context("cargo mutants could not be started")?;
    if !output.status.success() {
        bail!("cargo mutants --list failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut mutants: Vec<Mutant> = serde_json::from_slice(&output.stdout)?;
    for (at, mutant) in mutants.iter_mut().enumerate() {
        mutant.id = at + 1;
    }
    Ok(mutants)
}
