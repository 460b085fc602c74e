//! What is counted over all topics of a broker, for metrics.
//!
//! Nobody waits for anybody here: these are relaxed counters, of which each answer is a moment's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use geminga_env::{Instant, Latencies, LatencyFigures};

use crate::TopicError;

/// Counters of all topics.
#[derive(Debug, Default)]
pub(crate) struct InAll {
    /// From when a publish came to when its entry was stored.
    pub(crate) published: Latencies,
    loaded: Latencies,
    loads_failed: AtomicU64,
    loading: AtomicU64,
}

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InAllFigures {
    /// Entries published, by how long it took from when they came to when they were stored.
    pub published: LatencyFigures,
    /// Topics loaded, by how long that took, waiting for other loads included.
    pub loaded: LatencyFigures,
    /// Loads that failed, without those of topics that do not exist or may not.
    pub loads_failed: u64,
    /// Loads that wait or run.
    pub loading: u64,
}

impl InAll {
    /// A load begins.
    pub(crate) fn begin_load(&self) {
        self.loading.fetch_add(1, Relaxed);
    }

    /// A load ends, however.
    pub(crate) fn end_load(&self) {
        self.loading.fetch_sub(1, Relaxed);
    }

    /// What became of a load that began at `began`.
    pub(crate) fn note_load<T>(
        &self,
        began: Instant,
        now: Instant,
        loaded: &Result<T, TopicError>,
    ) {
        match loaded {
            Ok(_) => self.loaded.note(now, now.saturating_duration_since(began)),
            Err(error) if is_failure(error) => _ = self.loads_failed.fetch_add(1, Relaxed),
            Err(_) => {}
        }
    }

    pub(crate) fn figures(&self, now: Instant) -> InAllFigures {
        InAllFigures {
            published: self.published.figures(now),
            loaded: self.loaded.figures(now),
            loads_failed: self.loads_failed.load(Relaxed),
            loading: self.loading.load(Relaxed),
        }
    }
}

/// Whether the broker failed, not the request.
const fn is_failure(error: &TopicError) -> bool {
    matches!(
        error,
        TopicError::Unavailable { .. } | TopicError::Unreadable { .. } | TopicError::Corrupt { .. }
    )
}
