//! Virtual time: tokio's, which a paused runtime advances, and a wall clock on top of it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{Clock, Instant, Timestamp};

/// When simulated worlds begin: 2030-01-01T00:00:00Z.
const EPOCH_MS: u64 = 1_893_456_000_000;

/// The simulated clocks.
#[derive(Debug)]
pub struct SimClock {
    base: Mutex<Instant>,
    step_ms: AtomicI64,
}

impl SimClock {
    /// Starts at the simulated epoch, now. Call inside the paused runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a paused runtime's clock is the simulated one")]
    pub fn new() -> Self {
        Self { base: Mutex::new(Instant::now()), step_ms: AtomicI64::new(0) }
    }

    /// Steps the wall clock by `milliseconds`, backwards if negative. `now` goes on as before.
    pub fn step_wall(&self, milliseconds: i64) {
        self.step_ms.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Virtual time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        let base = *self.base.lock().unwrap_or_else(PoisonError::into_inner);
        self.now().saturating_duration_since(base)
    }

    /// Continues in another runtime: its clock is taken to be `elapsed` after the beginning.
    ///
    /// A crash test may start its world in a new runtime, whose paused clock begins elsewhere.
    pub fn rebase(&self, elapsed: Duration) {
        let now = self.now();
        let base = now.checked_sub(elapsed).unwrap_or(now);
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = base;
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    #[expect(clippy::disallowed_methods, reason = "a paused runtime's clock is the simulated one")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        let elapsed = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        let stepped = EPOCH_MS
            .saturating_add(elapsed)
            .saturating_add_signed(self.step_ms.load(Ordering::Relaxed));
        Timestamp(stepped)
    }
}
