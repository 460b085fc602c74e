//! Counters, for metrics and tests.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use geminga_env::{Instant, Latencies, LatencyFigures};

/// How long a sync took at most, by bucket, in microseconds; one more bucket has the rest.
pub const SYNC_LIMITS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// What a storage has done since it was opened, and how much it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries that were confirmed.
    pub adds: u64,
    /// Stored bytes of those.
    pub add_bytes: u64,
    /// Groups written to the journal.
    pub groups: u64,
    /// Syncs of the journal.
    pub syncs: u64,
    /// Sum of their durations.
    pub sync_time: Duration,
    /// The longest.
    pub sync_time_max: Duration,
    /// Syncs by how long they took, see [`SYNC_LIMITS_US`].
    pub syncs_by_time: [u64; SYNC_LIMITS_US.len() + 1],
    /// Syncs by how long they took.
    pub sync_latency: LatencyFigures,
    /// Writes of groups, before their sync.
    pub write_latency: LatencyFigures,
    /// Entries by how long it took from their coming to their being confirmed.
    pub add_latency: LatencyFigures,
    /// Bytes of groups written to the journal.
    pub journal_bytes: u64,
    /// Entries that wait for the journal.
    pub journal_waiting: u64,
    /// Flushes by how long they took.
    pub flush_latency: LatencyFigures,
    /// Flushes of the write cache.
    pub flushes: u64,
    /// Journal files and entry logs begun after the first of each.
    pub rollovers: u64,
    /// Journal files used again.
    pub recycles: u64,
    /// Entry logs whose live entries were moved.
    pub compactions: u64,
    /// Entry logs removed.
    pub entry_logs_removed: u64,
    /// Entries read.
    pub reads: u64,
    /// Stored bytes of those.
    pub read_bytes: u64,
    /// Entries read by how long their read took.
    pub read_latency: LatencyFigures,
    /// Blocks of entry logs found in memory.
    pub read_cache_hits: u64,
    /// Blocks read from entry logs.
    pub read_cache_misses: u64,
    /// Groups replayed when it was opened.
    pub groups_replayed: u64,
    /// Passes of the scrubber over all entry logs.
    pub scrub_passes: u64,
    /// Entries that it found undamaged.
    pub scrub_entries: u64,
    /// Bytes that it read.
    pub scrub_bytes: u64,
    /// Places that were damaged when it last came by.
    pub scrub_damages: u64,
    /// Bytes in the write cache.
    pub write_cache_bytes: u64,
    /// Entries in it.
    pub write_cache_entries: u64,
    /// Bytes in the read cache.
    pub read_cache_bytes: u64,
    /// Blocks in it.
    pub read_cache_blocks: u64,
    /// Entry logs.
    pub entry_logs: u64,
    /// Bytes in them.
    pub entry_log_bytes: u64,
    /// Bytes in them that are live.
    pub entry_log_live_bytes: u64,
    /// Journal files, spare ones included.
    pub journal_files: u64,
    /// Ledgers that are known and not deleted.
    pub ledgers: u64,
    /// Rows of the index.
    pub index_rows: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            syncs_by_time: [Counter; SYNC_LIMITS_US.len() + 1],
            sync_latency: Latencies,
            pub(crate) write_latency: Latencies,
            pub(crate) add_latency: Latencies,
            pub(crate) flush_latency: Latencies,
            pub(crate) read_latency: Latencies,
        }
    };
}

counters!(
    adds,
    add_bytes,
    groups,
    syncs,
    sync_micros,
    sync_micros_max,
    flushes,
    rollovers,
    recycles,
    compactions,
    entry_logs_removed,
    reads,
    read_bytes,
    journal_bytes,
    read_cache_hits,
    read_cache_misses,
    groups_replayed,
    scrub_passes,
    scrub_entries,
    scrub_bytes
);

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn raise(&self, to: u64) {
        self.0.fetch_max(to, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    pub(crate) fn note_sync(&self, now: Instant, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sync_latency.note(now, duration);
        self.syncs.add(1);
        self.sync_micros.add(micros);
        self.sync_micros_max.raise(micros);
        self.syncs_by_time[SYNC_LIMITS_US.partition_point(|&limit| limit < micros)].add(1);
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Stats {
        Stats {
            adds: self.adds.get(),
            add_bytes: self.add_bytes.get(),
            groups: self.groups.get(),
            syncs: self.syncs.get(),
            sync_time: Duration::from_micros(self.sync_micros.get()),
            sync_time_max: Duration::from_micros(self.sync_micros_max.get()),
            syncs_by_time: self.syncs_by_time.each_ref().map(Counter::get),
            sync_latency: self.sync_latency.figures(now),
            write_latency: self.write_latency.figures(now),
            add_latency: self.add_latency.figures(now),
            flush_latency: self.flush_latency.figures(now),
            read_latency: self.read_latency.figures(now),
            journal_bytes: self.journal_bytes.get(),
            flushes: self.flushes.get(),
            rollovers: self.rollovers.get(),
            recycles: self.recycles.get(),
            compactions: self.compactions.get(),
            entry_logs_removed: self.entry_logs_removed.get(),
            reads: self.reads.get(),
            read_bytes: self.read_bytes.get(),
            read_cache_hits: self.read_cache_hits.get(),
            read_cache_misses: self.read_cache_misses.get(),
            groups_replayed: self.groups_replayed.get(),
            scrub_passes: self.scrub_passes.get(),
            scrub_entries: self.scrub_entries.get(),
            scrub_bytes: self.scrub_bytes.get(),
            ..Stats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_has_every_counter_in_its_place() {
        let now = geminga_env::sim::World::new(1).env().clock.now();
        let counters = Counters::default();
        for (micros, max) in [(100, 100), (10, 100), (101, 101)] {
            counters.note_sync(now, Duration::from_micros(micros));
            assert_eq!(counters.snapshot(now).sync_time_max, Duration::from_micros(max));
        }
        counters.syncs.add(1);
        let Counters { adds, add_bytes, groups, flushes, rollovers, recycles, .. } = &counters;
        let Counters { compactions, entry_logs_removed, reads, read_cache_hits, .. } = &counters;
        let Counters { read_cache_misses, groups_replayed, scrub_passes, .. } = &counters;
        let Counters { scrub_entries, scrub_bytes, read_bytes, journal_bytes, .. } = &counters;
        let all = [
            [adds, add_bytes, groups, flushes, rollovers],
            [recycles, compactions, entry_logs_removed, reads, read_cache_hits],
            [read_cache_misses, groups_replayed, scrub_passes, scrub_entries, scrub_bytes],
        ];
        all.as_flattened().iter().zip(101..).for_each(|(counter, number)| counter.add(number));
        read_bytes.add(116);
        journal_bytes.add(117);
        let Counters { write_latency, add_latency, flush_latency, read_latency, .. } = &counters;
        let all = [write_latency, add_latency, flush_latency, read_latency];
        all.iter().zip(1..).for_each(|(to, ms)| to.note(now, Duration::from_millis(ms)));
        let expected = Stats {
            syncs: 4,
            sync_time: Duration::from_micros(211),
            sync_time_max: Duration::from_micros(101),
            syncs_by_time: [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            adds: 101,
            add_bytes: 102,
            groups: 103,
            flushes: 104,
            rollovers: 105,
            recycles: 106,
            compactions: 107,
            entry_logs_removed: 108,
            reads: 109,
            read_cache_hits: 110,
            read_cache_misses: 111,
            groups_replayed: 112,
            scrub_passes: 113,
            scrub_entries: 114,
            scrub_bytes: 115,
            read_bytes: 116,
            journal_bytes: 117,
            ..Stats::default()
        };
        let found = counters.snapshot(now);
        let all = [&found.write_latency, &found.add_latency, &found.flush_latency];
        let all = all.into_iter().chain([&found.read_latency, &found.sync_latency]);
        let found_us: Vec<u128> = all.map(|of| of.sum.as_micros()).collect();
        assert_eq!(found_us, [1_000, 2_000, 3_000, 4_000, 211]);
        assert_eq!(found.sync_latency.count, 3);
        let none = LatencyFigures::default;
        let found = Stats {
            sync_latency: none(),
            write_latency: none(),
            add_latency: none(),
            flush_latency: none(),
            read_latency: none(),
            ..found
        };
        assert_eq!(found, expected);
    }
}
