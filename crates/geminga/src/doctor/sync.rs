//! How long the disk takes to make something durable: every receipt waits for that.

use std::{io, path::Path, time::Duration};

use geminga_env::{Env, disk::OpenMode};

use super::{Finding, disk::existing};

/// What is written to measure; gone afterwards.
pub(super) const FILE: &str = ".geminga-doctor";
const SYNCS: usize = 40;
const BLOCK: usize = 4_096;
/// Slower than this, a sync is felt by everybody who publishes.
const SLOW: Duration = Duration::from_millis(20);
const VERY_SLOW: Duration = Duration::from_millis(100);
/// No disk is so fast.
const TOO_FAST: Duration = Duration::from_micros(5);

pub(super) fn check(env: &Env, data_dir: &Path) -> Finding {
    let directory = existing(data_dir);
    match measure(env, &directory.join(FILE)) {
        Ok(times) => judge(times),
        Err(error) => {
            let found = format!("syncs could not be measured: {error}");
            Finding::problem("sync", found, "see what is said of the data directory")
        }
    }
}

fn measure(env: &Env, path: &Path) -> io::Result<Vec<Duration>> {
    let file = env.disk.open(path, OpenMode::CreateOrOpen)?;
    let block = [0x67; BLOCK];
    let mut times = Vec::with_capacity(SYNCS);
    let mut outcome = Ok(());
    for index in 0..SYNCS {
        let began = env.clock.now();
        outcome = file.write_at(&block, (index * BLOCK) as u64).and_then(|()| file.sync_data());
        if outcome.is_err() {
            break;
        }
        times.push(env.clock.now().duration_since(began));
    }
    drop(file);
    env.disk.remove_file(path)?;
    outcome.map(|()| times)
}

fn judge(mut times: Vec<Duration>) -> Finding {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    let (middle, high) = (at(50), at(99));
    let found = format!(
        "{} writes of 4 KiB with a sync each: p50 {} µs, p99 {} µs",
        times.len(),
        middle.as_micros(),
        high.as_micros()
    );
    if middle < TOO_FAST {
        let found = format!("{found}: too fast for a disk, so nothing may be durable");
        return Finding::warning("sync", found, "see what is said of the file system");
    }
    if SLOW < middle || VERY_SLOW < high {
        let change = "a receipt takes at least as long: use a faster disk, one with power-loss \
                      protection if there is one, and nothing else that writes to it";
        return Finding::warning("sync", found, change);
    }
    Finding::ok("sync", found)
}

#[cfg(test)]
mod tests {
    use super::{super::State, *};

    #[test]
    fn slow_and_impossible_disks_are_named() {
        let times = |micros: u64| vec![Duration::from_micros(micros); SYNCS];
        assert_eq!(judge(times(900)).state, State::Ok);
        assert_eq!(judge(times(1)).state, State::Warning);
        assert_eq!(judge(times(25_000)).state, State::Warning);
        let mut one_stall = times(900);
        one_stall[3] = Duration::from_secs(1);
        let finding = judge(one_stall);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.found.contains("p50 900 µs, p99 1000000 µs"), "{finding:?}");
    }
}
