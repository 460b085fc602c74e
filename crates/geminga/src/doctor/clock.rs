//! Whether the clock can be right: messages are stamped with it, and retention, TTL and seeks by time
//! go by it.

use std::{
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use geminga_env::{Env, Instant, Timestamp};

use super::{Finding, Machine};
use crate::data_dir::DataDir;

const NAME: &str = "clock";
/// 2026-01-01: no clock that is right is before this program was made.
const MADE: u64 = 1_767_225_600_000;
/// Difference between the clocks that is no measuring error.
const STEP: Duration = Duration::from_millis(250);
const AHEAD: Duration = Duration::from_secs(60);

/// Both clocks at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    monotonic: Instant,
    wall: Timestamp,
}

impl Reading {
    pub(super) fn now(env: &Env) -> Self {
        Self { monotonic: env.clock.now(), wall: env.clock.wall() }
    }
}

pub(super) fn check(env: &Env, machine: &Machine, began: Reading, data_dir: &Path) -> Vec<Finding> {
    let now = Reading::now(env);
    let passed = now.monotonic.duration_since(began.monotonic);
    let mut findings = Vec::new();
    findings.extend(sane(now.wall.0, began.wall.0, passed));
    findings.extend(behind_data(now.wall.0, newest(data_dir)));
    findings.extend(source(&machine.clock_source));
    findings.push(synchronized(machine.is_synchronized));
    findings
}

/// Whether the wall clock is after this program was made, and goes as fast as the other one.
fn sane(wall: u64, before: u64, passed: Duration) -> Option<Finding> {
    if wall < MADE {
        let found = format!("it says {wall} ms since 1970, which is before this program was made");
        return Some(Finding::problem(NAME, found, "set the clock"));
    }
    let told = Duration::from_millis(wall.saturating_sub(before));
    let apart = told.abs_diff(passed);
    if wall < before || STEP < apart {
        let found = format!(
            "it was set while it was watched: {} ms passed, it says {} ms",
            passed.as_millis(),
            i128::from(wall) - i128::from(before)
        );
        let change = "let a time service slew the clock, not step it";
        return Some(Finding::warning(NAME, found, change));
    }
    None
}

/// When something was last written in the data directory.
fn newest(data_dir: &Path) -> Option<u64> {
    let layout = DataDir::new(data_dir);
    let directories = [layout.journal(), layout.ledgers(), layout.metadata()];
    let files = directories.iter().filter_map(|path| std::fs::read_dir(path).ok()).flatten();
    let written = files.filter_map(|file| file.ok()?.metadata().ok()?.modified().ok());
    let since = written.max()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

fn behind_data(wall: u64, newest: Option<u64>) -> Option<Finding> {
    let ahead = newest?.checked_sub(wall).map(Duration::from_millis)?;
    (AHEAD < ahead).then(|| {
        let found = format!("it is {} s behind what was written last", ahead.as_secs());
        Finding::problem(NAME, found, "set the clock before the server starts")
    })
}

fn source(name: &str) -> Option<Finding> {
    matches!(name, "hpet" | "acpi_pm" | "jiffies").then(|| {
        let found = format!("its source is {name}, which is slow to read");
        Finding::warning(NAME, found, "see why the kernel does not take tsc (dmesg)")
    })
}

fn synchronized(is_synchronized: Option<bool>) -> Finding {
    match is_synchronized {
        Some(true) => Finding::ok(NAME, "a time service keeps it right"),
        Some(false) => {
            let change = "start chrony or systemd-timesyncd";
            Finding::warning(NAME, "no time service keeps it right", change)
        }
        None => {
            let found = "whether a time service keeps it right cannot be told here";
            Finding::ok(NAME, found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn a_clock_that_cannot_be_right_is_named() {
        let passed = Duration::from_millis(100);
        assert_eq!(sane(MADE + 100, MADE, passed), None);
        assert_eq!(sane(MADE - 1, MADE - 101, passed).unwrap().state, State::Problem);
        assert_eq!(sane(MADE + 5_000, MADE, passed).unwrap().state, State::Warning);
        let back = sane(MADE, MADE + 10, passed).unwrap();
        assert!(back.found.contains("-10 ms"), "{back:?}");
    }

    #[test]
    fn a_clock_behind_the_data_is_a_problem() {
        assert_eq!(behind_data(100_000, None), None);
        assert_eq!(behind_data(100_000, Some(99_000)), None);
        assert_eq!(behind_data(100_000, Some(160_000)), None);
        assert_eq!(behind_data(100_000, Some(161_000)).unwrap().state, State::Problem);
    }

    #[test]
    fn who_keeps_it_right_is_said_as_far_as_it_is_known() {
        assert_eq!(synchronized(Some(true)).state, State::Ok);
        assert_eq!(synchronized(Some(false)).state, State::Warning);
        assert_eq!(synchronized(None).state, State::Ok);
        assert_eq!(source("hpet").unwrap().state, State::Warning);
        assert_eq!(source("kvm-clock"), None);
    }
}
