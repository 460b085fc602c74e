//! Limits of the process: open files, and memory beside what the configuration takes.

use super::{Finding, Machine};
use crate::config::Config;

/// As many files as a busy server may want open: each connection takes one.
const FILES: u64 = 65_536;
const FILES_LEAST: u64 = 4_096;
const MIB: u64 = 1 << 20;
/// What the server takes with its defaults and without a limit, when it is busy.
const USUAL_MIB: u64 = 3_072;

pub(super) fn check(machine: &Machine, config: &Config) -> [Finding; 2] {
    [open_files(machine.open_files_max), memory(machine.memory_bytes(), config.memory_limit_mb)]
}

fn open_files(max: Option<u64>) -> Finding {
    let name = "open files";
    let Some(max) = max else { return Finding::ok(name, "without a limit") };
    let found = format!("at most {max} may be open, {FILES} are wanted");
    let change = format!("raise the hard limit: LimitNOFILE={FILES} of the service, or ulimit -Hn");
    match max {
        FILES.. => Finding::ok(name, format!("at most {max} may be open")),
        FILES_LEAST.. => Finding::warning(name, found, change),
        _ => Finding::problem(name, found, change),
    }
}

/// `limit` is `memoryLimitMb`; 0 for none.
fn memory(available: Option<u64>, limit: u64) -> Finding {
    let name = "memory";
    let Some(available) = available.map(|bytes| bytes / MIB) else {
        return Finding::warning(name, "it could not be told how much there is", "see `free`");
    };
    // A quarter is for the file system's cache, and for what is not counted.
    let sensible = (available / 4 * 3).max(128);
    let change = format!("set memoryLimitMb={sensible}");
    if limit == 0 {
        let found = format!("{available} MiB for the server, memoryLimitMb is not set");
        return match available {
            USUAL_MIB.. => Finding::ok(name, found),
            _ => Finding::warning(name, format!("{found}: it may take {USUAL_MIB} MiB"), change),
        };
    }
    let found = format!("{available} MiB for the server, memoryLimitMb={limit}");
    if available < limit {
        return Finding::problem(name, format!("{found}: the kernel may end the server"), change);
    }
    if available / 10 * 9 < limit {
        return Finding::warning(
            name,
            format!("{found} leaves nothing for the file cache"),
            change,
        );
    }
    Finding::ok(name, found)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn limits_are_held_against_what_is_wanted() {
        for (max, state) in [
            (None, State::Ok),
            (Some(65_536), State::Ok),
            (Some(65_535), State::Warning),
            (Some(1_024), State::Problem),
        ] {
            assert_eq!(open_files(max).state, state, "{max:?}");
        }
        for (available, limit, state) in [
            (16_384, 0, State::Ok),
            (1_024, 0, State::Warning),
            (1_024, 768, State::Ok),
            (1_024, 1_000, State::Warning),
            (1_024, 2_048, State::Problem),
        ] {
            assert_eq!(memory(Some(available * MIB), limit).state, state, "{available} {limit}");
        }
        assert_eq!(memory(None, 0).state, State::Warning);
        assert_eq!(memory(Some(1_024 * MIB), 0).change, "set memoryLimitMb=768");
    }

    #[test]
    fn the_control_group_may_leave_less_than_the_machine_has() {
        let memory = "MemFree: 1 kB\nMemTotal:       2048 kB\n".to_owned();
        let machine = |limit: &str| Machine {
            memory: memory.clone(),
            memory_limit: limit.to_owned(),
            ..Machine::default()
        };
        assert_eq!(machine("1048576\n").memory_bytes(), Some(MIB));
        assert_eq!(machine("max\n").memory_bytes(), Some(2 * MIB));
        assert_eq!(machine("9223372036854771712\n").memory_bytes(), Some(2 * MIB));
        assert_eq!(Machine::default().memory_bytes(), None);
    }
}
