//! How long something takes, for metrics: counted by how long, since the start and by the minute.
//!
//! Noting is two relaxed additions and two relaxed loads: no lock, no allocation. Who reads goes by the
//! last whole minute, or by the first as far as it goes, whoever else reads and how often.
//!
//! # Invariants
//!
//! 1. What was noted is in one bucket, for good: buckets only grow.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::Instant;

/// How long it took at most, by bucket, in microseconds; one more bucket has the rest.
const LIMITS_US: [u64; 30] = [
    10, 20, 50, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000,
    15_000, 20_000, 30_000, 50_000, 70_000, 100_000, 150_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000, 60_000_000,
];
const BUCKETS: usize = LIMITS_US.len() + 1;
const PERIOD_SECONDS: u64 = 60;

/// Counts how long something takes.
#[derive(Debug, Default)]
pub struct Latencies {
    /// When the first was noted.
    began: OnceLock<Instant>,
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
    /// How many minutes are over.
    minute: AtomicU64,
    /// The buckets as they were when the running minute began.
    before: [AtomicU64; BUCKETS],
    /// What the last whole minute added.
    last: [AtomicU64; BUCKETS],
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyFigures {
    /// How many there ever were.
    pub count: u64,
    /// How long all of those took together.
    pub sum: Duration,
    recent: [u64; BUCKETS],
}

impl Latencies {
    /// One took so long.
    pub fn note(&self, now: Instant, took: Duration) {
        self.note_many(now, took, 1);
    }

    /// So many took so long each.
    pub fn note_many(&self, now: Instant, took: Duration, count: u64) {
        let us = micros(took);
        self.add(now, bucket_of(us), count, us.saturating_mul(count));
    }

    fn add(&self, now: Instant, bucket: usize, count: u64, sum_us: u64) {
        self.roll(now);
        self.buckets[bucket].fetch_add(count, Relaxed);
        self.sum_us.fetch_add(sum_us, Relaxed);
    }

    /// What there is at this moment.
    #[must_use]
    pub fn figures(&self, now: Instant) -> LatencyFigures {
        self.roll(now);
        let read = |from: &[AtomicU64; BUCKETS]| from.each_ref().map(|it| it.load(Relaxed));
        let buckets = read(&self.buckets);
        let is_first = self.minute.load(Relaxed) == 0;
        LatencyFigures {
            count: buckets.iter().sum(),
            sum: Duration::from_micros(self.sum_us.load(Relaxed)),
            recent: if is_first { buckets } else { read(&self.last) },
        }
    }

    /// Ends the running minute, if it is over. Of several at a time one does it.
    fn roll(&self, now: Instant) {
        let began = *self.began.get_or_init(|| now);
        let minute = now.saturating_duration_since(began).as_secs() / PERIOD_SECONDS;
        let running = self.minute.load(Relaxed);
        if minute <= running
            || self.minute.compare_exchange(running, minute, Relaxed, Relaxed).is_err()
        {
            return;
        }
        let parts = self.buckets.iter().zip(&self.before).zip(&self.last);
        for ((bucket, before), last) in parts {
            let now = bucket.load(Relaxed);
            let added = now.saturating_sub(before.swap(now, Relaxed));
            last.store(if minute == running + 1 { added } else { 0 }, Relaxed);
        }
    }
}

impl LatencyFigures {
    /// How long so large a part of the last minute's took at most: what lies in one bucket counts as
    /// spread evenly. `None`: there were none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let all: u64 = self.recent.iter().sum();
        let wanted = (part * all as f64).max(f64::MIN_POSITIVE);
        let (mut below, mut from_us) = (0, 0);
        for (at, &count) in self.recent.iter().enumerate() {
            // The last bucket has no end.
            let to_us = LIMITS_US.get(at).copied().unwrap_or(from_us);
            if wanted <= (below + count) as f64 && 0 < count {
                let part = (wanted - below as f64) / count as f64;
                let us = (to_us - from_us) as f64;
                return Some(Duration::from_secs_f64((from_us as f64 + us * part) / 1e6));
            }
            (below, from_us) = (below + count, to_us);
        }
        // Rounding may leave a little.
        let last = self.recent.iter().rposition(|&count| 0 < count)?;
        Some(Duration::from_micros(LIMITS_US[last.min(LIMITS_US.len() - 1)]))
    }
}

/// Latencies that follow each other and are alike, noted together: for one task that has many at a time.
#[derive(Debug, Default)]
pub struct LatencyRun {
    bucket: usize,
    count: u64,
    sum_us: u64,
}

impl LatencyRun {
    /// One took so long.
    pub fn note(&mut self, to: &Latencies, now: Instant, took: Duration) {
        let us = micros(took);
        let bucket = bucket_of(us);
        if bucket != self.bucket {
            self.flush(to, now);
            self.bucket = bucket;
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// What was not passed on yet. To be called at the end.
    pub fn flush(&mut self, to: &Latencies, now: Instant) {
        let Self { bucket, count, sum_us } = std::mem::take(self);
        if 0 < count {
            to.add(now, bucket, count, sum_us);
        }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn bucket_of(us: u64) -> usize {
    LIMITS_US.partition_point(|&limit| limit < us)
}

#[cfg(test)]
mod tests;
