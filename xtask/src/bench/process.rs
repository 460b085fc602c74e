//! What processes and disks use, as the system counts it.

use std::fs;

use anyhow::{Context as _, bail};

/// Resident memory of a process, in MiB.
pub(super) fn rss_mib(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(kib.parse::<f64>()? / 1_024.0)
}

/// Seconds of processor that a process has used.
pub(super) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
    seconds(&stat, 11)
}

/// Seconds of processor that those of our children have used that have ended.
pub(super) fn ended_children_cpu_seconds() -> anyhow::Result<f64> {
    seconds(&fs::read_to_string("/proc/self/stat")?, 13)
}

/// User and system time, side by side at `field` behind the name; Linux says it in 1/100 s.
fn seconds(stat: &str, field: usize) -> anyhow::Result<f64> {
    let (_, rest) = stat.rsplit_once(')').context("no name in a process's stat")?;
    let mut fields = rest.split_whitespace().skip(field);
    let mut next = || fields.next().context("a short stat")?.parse::<f64>().context("a time");
    Ok((next()? + next()?) / 100.0)
}

/// Bytes that a process has had written to disks.
pub(super) fn written_bytes(pid: u32) -> anyhow::Result<f64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).context("the server is gone")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(line.context("no write_bytes")?.trim().parse()?)
}

/// Flushes that the machine's disks have done: `/proc/diskstats` has them in its 19th field.
pub(super) fn disk_flushes() -> anyhow::Result<u64> {
    let stats = fs::read_to_string("/proc/diskstats")?;
    let flushes =
        stats.lines().filter_map(|line| line.split_whitespace().nth(18)?.parse::<u64>().ok());
    let flushes: Vec<u64> = flushes.collect();
    if flushes.is_empty() {
        bail!("this system does not count flushes; it can't be told whether data was synced");
    }
    Ok(flushes.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_behind_a_name_with_anything_in_it() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 150 30 20 20 0 4 0 99 1 2";
        assert!((seconds(stat, 11).unwrap() - 4.0).abs() < 1e-9);
        assert!((seconds(stat, 13).unwrap() - 0.5).abs() < 1e-9);
        assert!(seconds("7 (a) S 1", 11).is_err());
    }
}
