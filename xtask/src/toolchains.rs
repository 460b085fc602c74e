//! What the tests need beyond Rust, and how it gets here.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

/// Whether a program can be started with these arguments.
pub(crate) fn has(program: &str, arguments: &str) -> bool {
    let mut command = Command::new(program);
    command.args(arguments.split(' '));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command in `directory` and fails with its name when it fails.
pub(crate) fn run(directory: &Path, command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let status = command
        .current_dir(directory)
        .status()
        .with_context(|| format!("{shown} could not be started"))?;
    if !status.success() {
        bail!("{shown} failed: {status}");
    }
    Ok(())
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| manifest.to_owned(), Path::to_owned)
}

/// A Python with the packages of `tests/requirements.txt`, made when missing; its interpreter.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    let root = root();
    let venv = root.join("target/venv");
    let python = venv.join("bin/python");
    let requirements = root.join("tests/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)?;
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(&root, Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    run(&root, pip.arg(&requirements))?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

/// Makes sure that a program is there; installs Debian's package where that is possible.
pub(crate) fn provide(program: &str, argument: &str, package: &str) -> anyhow::Result<()> {
    if has(program, argument) {
        return Ok(());
    }
    let root = root();
    let mut update = Command::new("apt-get");
    _ = run(&root, update.args(["update", "-q"]));
    let mut install = Command::new("apt-get");
    run(&root, install.args(["install", "-y", "-q", package]))
        .with_context(|| format!("{program} is missing; {package} could not be installed"))
}
