//! Runs the tests with a mutant switched on.

use std::{
    collections::BTreeMap,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{list::Mutant, say, tree::Binary};

/// For tests of a mutant that is built alone.
pub(crate) const ALONE_TIMEOUT: Duration = Duration::from_secs(60);
/// At least this, and many times what the tests take without a mutant.
const TIMEOUT_MIN: Duration = Duration::from_secs(20);
const TIMEOUT_FACTOR: u32 = 10;
const POLL: Duration = Duration::from_millis(5);

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A test failed.
    Caught,
    /// The tests did not end.
    TimedOut,
    /// It does not compile.
    Unviable,
    /// All tests passed.
    Survived,
}

/// Tests each mutant, as many at a time as there are cores.
pub(crate) fn all(
    binaries: &[Binary],
    mutants: &[&Mutant],
) -> anyhow::Result<BTreeMap<usize, Verdict>> {
    let began = now();
    for binary in binaries {
        if one(std::slice::from_ref(binary), None, ALONE_TIMEOUT * 10)? != Verdict::Survived {
            bail!("{} fails without a mutant", binary.path.display());
        }
    }
    let timeout = TIMEOUT_MIN.max((now() - began) * TIMEOUT_FACTOR);
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let work = || -> anyhow::Result<()> {
            while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                let verdict = one(binaries, Some(mutant.id), timeout)?;
                let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
                verdicts.insert(mutant.id, verdict);
                if verdicts.len() % 100 == 0 {
                    say(&format!("{} of {}", verdicts.len(), mutants.len()));
                }
            }
            Ok(())
        };
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(_) => bail!("a worker panicked"),
            }
        }
        Ok(())
    })?;
    Ok(verdicts.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Runs one binary after the other until one fails.
pub(crate) fn one(
    binaries: &[Binary],
    mutant: Option<usize>,
    timeout: Duration,
) -> anyhow::Result<Verdict> {
    let deadline = now() + timeout;
    for binary in binaries {
        let mut command = Command::new(&binary.path);
        command.current_dir(&binary.directory).env("RUST_BACKTRACE", "0");
        command.env("GEMINGA_MUTANT", mutant.unwrap_or(0).to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match wait(command.spawn()?, deadline)? {
            Some(status) if status.success() => {}
            Some(_) => return Ok(Verdict::Caught),
            None => return Ok(Verdict::TimedOut),
        }
    }
    Ok(Verdict::Survived)
}

/// `None`: it did not end, and was killed.
#[expect(clippy::disallowed_methods, reason = "a thread that waits for a process")]
fn wait(mut child: Child, deadline: Instant) -> anyhow::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if deadline < now() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool that times its own work")]
fn now() -> Instant {
    Instant::now()
}
