//! How long appends took and how large they were, over the last minute, as Pulsar counts them.

use std::time::Duration;

use geminga_env::Instant;

use super::minutes::{Minutes, rate};

/// How long an append took at most, by bucket, in microseconds; one more bucket has the rest.
pub const LATENCY_LIMITS_US: [u64; 9] =
    [500, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 1_000_000];
/// Bytes of an entry at most, by bucket; one more bucket has the rest. Pulsar's, 2,084 among them.
pub const SIZE_LIMITS: [u64; 8] = [128, 512, 1_024, 2_084, 4_096, 16_384, 102_400, 1_232_896];

/// What was appended in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendFigures {
    /// Entries by how long they took, see [`LATENCY_LIMITS_US`].
    pub latency: [u32; LATENCY_LIMITS_US.len() + 1],
    /// How long all of them took.
    pub latency_sum: Duration,
    /// Entries by their size, see [`SIZE_LIMITS`].
    pub size: [u32; SIZE_LIMITS.len() + 1],
    /// Bytes of all of them.
    pub size_sum: u64,
    /// Entries that could not be stored.
    pub errors: u64,
}

/// What is appended to a topic.
#[derive(Debug)]
pub(crate) struct Appends(Minutes<AppendFigures>);

impl AppendFigures {
    /// How many.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.latency.iter().map(|&count| u64::from(count)).sum()
    }

    /// How many in a second.
    #[must_use]
    pub fn entry_rate(&self) -> f64 {
        rate(self.entries())
    }

    /// How many bytes in a second.
    #[must_use]
    pub fn byte_rate(&self) -> f64 {
        rate(self.size_sum)
    }

    /// Adds another topic's.
    pub fn add(&mut self, other: &Self) {
        let counts = self.latency.iter_mut().chain(&mut self.size);
        for (sum, count) in counts.zip(other.latency.iter().chain(&other.size)) {
            *sum = sum.saturating_add(*count);
        }
        self.latency_sum += other.latency_sum;
        self.size_sum += other.size_sum;
        self.errors += other.errors;
    }

    fn note(&mut self, took: Duration, bytes: u64) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let latency = &mut self.latency[LATENCY_LIMITS_US.partition_point(|&limit| limit < us)];
        *latency = latency.saturating_add(1);
        let size = &mut self.size[SIZE_LIMITS.partition_point(|&limit| limit < bytes)];
        *size = size.saturating_add(1);
        self.latency_sum += took;
        self.size_sum += bytes;
    }
}

impl Appends {
    pub(crate) fn new(now: Instant) -> Self {
        Self(Minutes::new(now))
    }

    /// An entry is stored.
    pub(crate) fn note(&mut self, now: Instant, took: Duration, bytes: u64) {
        self.0.running(now).note(took, bytes);
    }

    /// An entry could not be stored.
    pub(crate) fn note_error(&mut self, now: Instant) {
        self.0.running(now).errors += 1;
    }

    /// Of the last whole minute; of the running one if it is the first.
    pub(crate) fn figures(&mut self, now: Instant) -> AppendFigures {
        self.0.last(now)
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::sim;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_minute_is_told_in_the_next() {
        let begin = sim::World::new(1).env().clock.now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut appends = Appends::new(begin);
        appends.note(begin, Duration::from_micros(500), 128);
        appends.note(at(1), Duration::from_micros(501), 129);
        appends.note(at(59), Duration::from_secs(2), 2_000_000);
        let first = appends.figures(at(59));
        assert_eq!(first.latency, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(first.size, [1, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((first.entries(), first.size_sum), (3, 2_000_257));
        assert_eq!(first.latency_sum, Duration::from_micros(2_001_001));
        appends.note(at(61), Duration::ZERO, 0);
        assert_eq!(appends.figures(at(119)), first);
        assert_eq!(appends.figures(at(120)).latency, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        appends.note(at(121), Duration::ZERO, 0);
        assert_eq!(appends.figures(at(240)), AppendFigures::default());
        assert_eq!(appends.figures(at(241)), AppendFigures::default());
    }
}
