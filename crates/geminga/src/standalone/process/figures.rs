//! The storage's numbers, and the process's, under the names of metrics.

use std::{path::Path, time::Duration};

use geminga_admin::{LatencyMetric, Metric};
use geminga_bookie_storage::{SYNC_LIMITS_US, Stats, Storage};
use geminga_env::{Disk, disk::OpenMode};

use super::metric;

const SUCCESS: &str = "success=\"true\"";
const JOURNAL: &str = "journalIndex=\"0\"";
const JOURNAL_SUCCESS: &str = "journalIndex=\"0\",success=\"true\"";
/// Labels of the buckets of syncs, as [`SYNC_LIMITS_US`] has them, and of all.
const SYNC_LABELS: [&str; SYNC_LIMITS_US.len() + 1] = [
    "le=\"0.0001\"",
    "le=\"0.00025\"",
    "le=\"0.0005\"",
    "le=\"0.001\"",
    "le=\"0.0025\"",
    "le=\"0.005\"",
    "le=\"0.01\"",
    "le=\"0.025\"",
    "le=\"0.05\"",
    "le=\"0.1\"",
    "le=\"0.25\"",
    "le=\"1\"",
    "le=\"+Inf\"",
];

/// Ticks of a second in `/proc`: Linux has it so on all that it runs on here.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes of a page in `/proc`'s counts.
const PAGE_BYTES: u64 = 4_096;

/// What the bookie does and holds.
pub(super) fn of_storage(storage: &Storage) -> Vec<Metric> {
    let stats = storage.stats();
    let is_writable = storage.read_only().is_none();
    let mut metrics = vec![
        metric("bookie_SERVER_STATUS", "", f64::from(is_writable)),
        metric("bookie_journal_JOURNAL_WRITE_BYTES", JOURNAL, count(stats.journal_bytes)),
        metric("bookie_journal_JOURNAL_QUEUE_SIZE", JOURNAL, count(stats.journal_waiting)),
    ];
    let plain = [
        ("bookie_ledgers_count", stats.ledgers),
        ("bookie_write_cache_size", stats.write_cache_bytes),
        ("bookie_write_cache_count", stats.write_cache_entries),
        ("bookie_read_cache_size", stats.read_cache_bytes),
        ("bookie_read_cache_count", stats.read_cache_blocks),
        ("bookie_READ_BYTES", stats.read_bytes),
        ("bookie_read_cache_hits", stats.read_cache_hits),
        ("bookie_read_cache_misses", stats.read_cache_misses),
        ("bookie_WRITE_BYTES", stats.add_bytes),
        ("geminga_bookie_journal_groups_total", stats.groups),
        ("geminga_bookie_journal_files", stats.journal_files),
        ("geminga_bookie_flushes_total", stats.flushes),
        ("geminga_bookie_compactions_total", stats.compactions),
        ("geminga_bookie_entry_logs", stats.entry_logs),
        ("geminga_bookie_entry_log_bytes", stats.entry_log_bytes),
        ("geminga_bookie_entry_log_live_bytes", stats.entry_log_live_bytes),
        ("geminga_bookie_scrub_passes_total", stats.scrub_passes),
        ("geminga_bookie_scrub_entries_total", stats.scrub_entries),
        ("geminga_bookie_scrub_bytes_total", stats.scrub_bytes),
        ("geminga_bookie_scrub_damages", stats.scrub_damages),
    ];
    metrics.extend(plain.map(|(name, value)| metric(name, "", count(value))));
    metrics.extend(syncs(&stats));
    metrics
}

/// How long it takes.
pub(super) fn latencies_of_storage(storage: &Storage) -> Vec<LatencyMetric> {
    let stats = storage.stats();
    let found = [
        ("bookkeeper_server_ADD_ENTRY", SUCCESS, stats.add_latency.clone()),
        ("bookkeeper_server_READ_ENTRY", SUCCESS, stats.read_latency),
        ("bookie_flush", SUCCESS, stats.flush_latency),
        ("bookie_journal_JOURNAL_ADD_ENTRY", JOURNAL_SUCCESS, stats.add_latency),
        ("bookie_journal_JOURNAL_SYNC", JOURNAL_SUCCESS, stats.sync_latency),
        ("bookie_journal_JOURNAL_FLUSH_LATENCY", JOURNAL_SUCCESS, stats.write_latency),
    ];
    found.map(|(name, labels, figures)| LatencyMetric { name, labels, figures }).into()
}

fn syncs(stats: &Stats) -> Vec<Metric> {
    let seconds = stats.sync_time.as_secs_f64();
    let mut metrics = Vec::new();
    let mut sum = 0;
    for (labels, found) in SYNC_LABELS.into_iter().zip(stats.syncs_by_time) {
        sum += found;
        metrics.push(metric("geminga_bookie_journal_sync_seconds_bucket", labels, count(sum)));
    }
    metrics.push(metric("geminga_bookie_journal_sync_seconds_sum", "", seconds));
    metrics.push(metric("geminga_bookie_journal_sync_seconds_count", "", count(sum)));
    let max = Duration::as_secs_f64(&stats.sync_time_max);
    metrics.push(metric("geminga_bookie_journal_sync_seconds_max", "", max));
    metrics
}

/// Memory and processor time, where the machine tells of them: a simulated one does not.
pub(super) fn of_process(disk: &dyn Disk) -> Vec<Metric> {
    let read = |path| beginning(disk, path).unwrap_or_default();
    let [size, resident] = [0, 1].map(|field| pages_bytes(&read("/proc/self/statm"), field));
    let size = size.map(|bytes| metric("process_virtual_memory_bytes", "", count(bytes)));
    let cpu = cpu_seconds(&read("/proc/self/stat"));
    let resident = resident.map(|bytes| metric("process_resident_memory_bytes", "", count(bytes)));
    let cpu = cpu.map(|seconds| metric("process_cpu_seconds_total", "", seconds));
    [resident, cpu, size].into_iter().flatten().collect()
}

/// The beginning of a file, whose length need not be known.
fn beginning(disk: &dyn Disk, path: &str) -> Option<String> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut text = vec![0; 4_096];
    let length = file.read_at(&mut text, 0).ok()?;
    text.truncate(length);
    String::from_utf8(text).ok()
}

/// A field of `statm`: the first is all address space, the second what is resident.
fn pages_bytes(statm: &str, field: usize) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().nth(field)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// User and system time: fields 14 and 15, of which the second, the name, may have anything in it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_SECOND)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating point only")]
pub(super) const fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_the_limits_that_their_labels_say() {
        for (limit, label) in SYNC_LIMITS_US.into_iter().zip(SYNC_LABELS) {
            let seconds: f64 = label[4..label.len() - 1].parse().unwrap();
            assert!((seconds * 1e6 - count(limit)).abs() < 1e-6, "{limit} {label}");
        }
    }

    #[test]
    fn buckets_count_what_is_below_too() {
        let mut stats = Stats::default();
        (stats.syncs_by_time[0], stats.syncs_by_time[2]) = (3, 4);
        let found = syncs(&stats);
        let buckets = found.iter().filter(|found| found.name.ends_with("_bucket"));
        let buckets: Vec<f64> = buckets.map(|found| found.value).collect();
        assert_eq!(buckets[..4], [3.0, 3.0, 7.0, 7.0]);
        assert_eq!(buckets.last(), Some(&7.0));
    }

    #[test]
    fn a_process_is_read() {
        assert_eq!(pages_bytes("100 7 3 1 0 5 0", 0), Some(100 * 4_096));
        assert_eq!(pages_bytes("100 7 3 1 0 5 0", 1), Some(7 * 4_096));
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 250 150 30 20 20 0 4 0 99 1 2";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!((pages_bytes("", 1), cpu_seconds("7 (a) S")), (None, None));
    }
}
