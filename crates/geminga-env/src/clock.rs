//! Monotonic and wall-clock time.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// Milliseconds since the Unix epoch, from the wall clock. Never used for deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// Monotonic time. Tokio's, so that a paused runtime's clock is the simulated one.
pub type Instant = tokio::time::Instant;

/// Reads time. Sleep with `tokio::time::sleep_until`, which both worlds drive.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Monotonic: for deadlines and durations.
    fn now(&self) -> Instant;
    /// Wall clock: for timestamps that leave the process. May step backwards.
    fn wall(&self) -> Timestamp;
}

/// The machine's clocks.
#[derive(Debug, Default)]
pub struct SystemClock {}

impl SystemClock {
    /// The machine's clocks.
    #[must_use]
    pub const fn new() -> Self {
        Self {}
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}
