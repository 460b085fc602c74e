//! What was counted and timed.

use hdrhistogram::Histogram;

use super::run::Window;

/// Of one sender or receiver, or of all.
#[derive(Debug)]
pub(super) struct Figures {
    /// All there were, measured or not.
    pub(super) total: u64,
    /// While it was measured.
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) failed: u64,
    pub(super) first_failure: Option<String>,
    /// Due, but never sent: the server did not keep up.
    pub(super) unsent: u64,
    /// Nanoseconds.
    pub(super) latency: Histogram<u64>,
}

/// Latencies are kept to three digits, up to an hour.
const LATENCY_MAX: u64 = 3_600_000_000_000;

impl Figures {
    pub(super) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX, 3);
        Self {
            total: 0,
            messages: 0,
            bytes: 0,
            failed: 0,
            first_failure: None,
            unsent: 0,
            latency: latency.expect("the bounds are constants, and right"),
        }
    }

    /// A message is done. It counts when it was done while it was measured; its latency does when it
    /// was due then.
    pub(super) fn done(&mut self, window: &Window, due: u64, now: u64, bytes: u64) {
        self.total += 1;
        if window.holds(now) {
            self.messages += 1;
            self.bytes += bytes;
        }
        if window.holds(due) {
            self.latency.saturating_record(now.saturating_sub(due).max(1));
        }
    }

    pub(super) fn failed(&mut self, why: impl ToString) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| why.to_string());
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.unsent += other.unsent;
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
        self.latency += &other.latency;
    }
}
