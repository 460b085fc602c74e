//! Counts by the minute.

use std::time::Duration;

use geminga_env::Instant;

/// What a minute is: Pulsar's `managedLedgerStatsPeriodSeconds`.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// Counts of the running minute, and of the one before.
#[derive(Debug)]
pub(crate) struct Minutes<T> {
    began: Instant,
    running: T,
    /// Of the minute before, if there was one.
    last: Option<T>,
}

impl<T: Copy + Default> Minutes<T> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { began: now, running: T::default(), last: None }
    }

    /// The running one, to be added to.
    pub(crate) fn running(&mut self, now: Instant) -> &mut T {
        self.roll(now);
        &mut self.running
    }

    /// The last whole minute; the running one if it is the first.
    pub(crate) fn last(&mut self, now: Instant) -> T {
        self.roll(now);
        self.last.unwrap_or(self.running)
    }

    fn roll(&mut self, now: Instant) {
        let running = now.saturating_duration_since(self.began);
        if running < PERIOD {
            return;
        }
        let ended = std::mem::take(&mut self.running);
        self.last = Some(if running < 2 * PERIOD { ended } else { T::default() });
        let over = Duration::from_secs(running.as_secs() % PERIOD.as_secs());
        self.began = now.checked_sub(over).unwrap_or(now);
    }
}

/// How many in a second, of so many in a minute.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
pub(super) fn rate(count: u64) -> f64 {
    count as f64 / PERIOD.as_secs_f64()
}
