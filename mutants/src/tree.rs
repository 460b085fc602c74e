//! The copy of the source that is changed, and its builds.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{
    list::Mutant,
    run::{self, Verdict},
    say, switch,
};

/// Builds until those that don't compile are known.
const ATTEMPTS_MAX: usize = 40;

/// A copy of the repository's tracked files below `target/mutants`.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    copy: PathBuf,
    package: String,
}

/// The test binaries with all mutants in them.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) binaries: Vec<Binary>,
    /// Mutants that are in them.
    pub(crate) ids: BTreeSet<usize>,
    /// Mutants that can't be compiled at all.
    pub(crate) unviable: BTreeSet<usize>,
}

/// A test binary and where it runs.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    pub(crate) directory: PathBuf,
}

/// What can't be switched, found build by build.
#[derive(Debug, Default)]
struct Limits {
    kept_const: BTreeSet<String>,
    /// To be built alone.
    alone: BTreeSet<usize>,
    unviable: BTreeSet<usize>,
}

#[derive(Debug, Deserialize)]
struct Line {
    reason: String,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
    message: Option<Diagnostic>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    test: bool,
}

#[derive(Debug, Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    rendered: Option<String>,
    spans: Vec<DiagnosticSpan>,
}

#[derive(Debug, Deserialize)]
struct DiagnosticSpan {
    file_name: String,
    byte_start: usize,
    is_primary: bool,
}

impl Tree {
    pub(crate) fn copy(root: &Path, package: &str) -> anyhow::Result<Self> {
        let copy = root.join("target/mutants/tree");
        let tree = Self { root: root.to_owned(), copy, package: package.to_owned() };
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
        for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
            let source = root.join(name);
            if source.is_file() {
                tree.put(name, &std::fs::read(source)?)?;
            }
        }
        Ok(tree)
    }

    /// Writes a file of the copy, unless that is what it holds: so cargo builds no more than it must.
    fn put(&self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.copy.join(name);
        if std::fs::read(&path).is_ok_and(|now| now == content) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, content).with_context(|| path.display().to_string())
    }

    fn original(&self, name: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.root.join(name)).with_context(|| name.to_owned())
    }

    /// Builds the package's tests with all mutants that can be switched on at run time.
    pub(crate) fn switch(&self, mutants: &[Mutant]) -> anyhow::Result<Built> {
        let mut limits = Limits::default();
        limits.alone.extend(mutants.iter().filter(|it| it.is_alone()).map(|mutant| mutant.id));
        for _ in 0..ATTEMPTS_MAX {
            let ids = self.write_switched(mutants, &limits)?;
            match self.build()? {
                Ok(binaries) => return Ok(Built { binaries, ids, unviable: limits.unviable }),
                Err(errors) => self.learn(&errors, mutants, &mut limits)?,
            }
        }
        bail!("still not compiling after {ATTEMPTS_MAX} builds")
    }

    fn write_switched(
        &self,
        mutants: &[Mutant],
        limits: &Limits,
    ) -> anyhow::Result<BTreeSet<usize>> {
        let mut by_file: BTreeMap<String, Vec<&Mutant>> = BTreeMap::new();
        by_file.insert(format!("crates/{}/src/lib.rs", self.package), Vec::new());
        for mutant in mutants {
            // A file that has none left goes back to what it was.
            let of_file = by_file.entry(mutant.file.clone()).or_default();
            if !limits.alone.contains(&mutant.id) && !limits.unviable.contains(&mutant.id) {
                of_file.push(mutant);
            }
        }
        let mut ids = BTreeSet::new();
        for (file, mutants) in by_file {
            let switched = switch::switch(&self.original(&file)?, &mutants, &limits.kept_const)
                .with_context(|| file.clone())?;
            let mut text = switched.text;
            if file.ends_with("src/lib.rs") {
                text.push_str(switch::QUESTION);
            }
            self.put(&file, text.as_bytes())?;
            ids.extend(switched.ids);
        }
        Ok(ids)
    }

    /// Finds out which mutants the errors are of.
    fn learn(
        &self,
        errors: &[Diagnostic],
        mutants: &[Mutant],
        limits: &mut Limits,
    ) -> anyhow::Result<()> {
        let mut has_learnt = false;
        for error in errors {
            for span in error.spans.iter().filter(|span| span.is_primary) {
                let text = std::fs::read_to_string(self.copy.join(&span.file_name))?;
                let found = blame(&text, span.byte_start, mutants);
                has_learnt |= match found {
                    Some(Blame::Question(id)) => limits.alone.insert(id),
                    Some(Blame::Text(id)) => limits.unviable.insert(id),
                    None => const_name(&error.message)
                        .is_some_and(|name| limits.kept_const.insert(name)),
                };
            }
        }
        if has_learnt {
            say(&format!(
                "building again: {} unviable, {} alone, {} const",
                limits.unviable.len(),
                limits.alone.len(),
                limits.kept_const.len()
            ));
            return Ok(());
        }
        let shown = errors.iter().filter_map(|error| error.rendered.clone()).collect::<String>();
        bail!("errors that are of no mutant:\n{shown}")
    }

    /// The test binaries, or why there are none.
    fn build(&self) -> anyhow::Result<Result<Vec<Binary>, Vec<Diagnostic>>> {
        let output = Command::new("cargo")
            .args(["test", "--no-run", "--message-format=json", "--package", &self.package])
            .env("CARGO_TARGET_DIR", self.root.join("target/mutants/build"))
            .env("RUSTFLAGS", "--cap-lints=allow")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .current_dir(&self.copy)
            .output()
            .context("cargo could not be started")?;
        let (mut binaries, mut errors) = (Vec::new(), Vec::new());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
            let is_test = line.profile.is_some_and(|profile| profile.test); // Examples are built too.
            match (line.reason.as_str(), line.executable, line.message) {
                ("compiler-artifact", Some(path), _) if is_test => {
                    let directory = self.copy.join("crates").join(&self.package);
                    binaries.push(Binary { path, directory });
                }
                ("compiler-message", _, Some(message))
                    if message.level == "error" && !message.spans.is_empty() =>
                {
                    errors.push(message);
                }
                _ => {}
            }
        }
        if output.status.success() {
            return Ok(Ok(binaries));
        }
        if errors.is_empty() {
            bail!("cargo failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Err(errors))
    }

    /// Builds and tests one mutant by itself.
    pub(crate) fn test_alone(&self, mutant: &Mutant) -> anyhow::Result<Verdict> {
        let original = self.original(&mutant.file)?;
        let place = |place: &crate::list::Place| {
            place.offset(&original).context("a span outside of the text")
        };
        let (start, end) = (place(&mutant.span.start)?, place(&mutant.span.end)?);
        let mut text = original.clone();
        text.replace_range(start..end, &mutant.replacement);
        if mutant.file.ends_with("src/lib.rs") {
            text.push_str(switch::QUESTION);
        }
        let switched = std::fs::read(self.copy.join(&mutant.file))?;
        self.put(&mutant.file, text.as_bytes())?;
        let verdict = match self.build()? {
            Ok(binaries) => run::one(&binaries, None, run::ALONE_TIMEOUT)?,
            Err(_) => Verdict::Unviable,
        };
        self.put(&mutant.file, &switched)?;
        Ok(verdict)
    }
}

enum Blame {
    /// The question itself can't stand where it is.
    Question(usize),
    /// The mutant's text is wrong.
    Text(usize),
}

fn blame(text: &str, at: usize, mutants: &[Mutant]) -> Option<Blame> {
    let is_question = |start: usize| {
        let rest = text.get(start..)?.strip_prefix("crate::__is_mutant(")?;
        rest.split_once(')')?.0.parse().ok()
    };
    if let Some(id) = is_question(at) {
        return Some(Blame::Question(id));
    }
    let is_inside = |mutant: &&Mutant| {
        let (begin, end) = switch::marks(mutant.id);
        let range = text.find(&begin).zip(text.find(&end));
        range.is_some_and(|(begin, end)| begin <= at && at < end)
    };
    mutants.iter().filter(is_inside).map(|mutant| mutant.id).next_back().map(Blame::Text)
}

/// The function that a constant calls.
fn const_name(message: &str) -> Option<String> {
    let path = message.strip_prefix("cannot call non-const ")?.split('`').nth(1)?;
    let path = path.split("::<").next().unwrap_or(path);
    path.rsplit("::").next().map(str::to_owned)
}
