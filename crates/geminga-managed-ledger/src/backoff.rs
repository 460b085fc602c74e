//! A gate that stays closed for longer after each failure, so that a full disk makes no storm.

use std::time::Duration;

use geminga_env::Instant;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Open at first. A failure closes it until a time; passing time opens it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
    closed_until: Option<Instant>,
}

impl Backoff {
    pub(crate) const fn is_open(&self) -> bool {
        self.closed_until.is_none()
    }

    pub(crate) const fn closed_until(&self) -> Option<Instant> {
        self.closed_until
    }

    /// Closes the gate, counting from `since`: when the failed attempt began or ended.
    pub(crate) fn on_failure(&mut self, since: Instant) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.closed_until = Some(since + pause);
    }

    pub(crate) const fn on_success(&mut self) {
        self.failures = 0;
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) {
        if self.closed_until.is_some_and(|until| until <= now) {
            self.closed_until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::{Clock as _, SystemClock};

    use super::*;

    #[test]
    fn stays_closed_twice_as_long_each_time_up_to_a_bound() {
        let start = SystemClock::new().now();
        let mut backoff = Backoff::default();
        let mut closed_for = Vec::new();
        for _ in 0..9 {
            assert!(backoff.is_open());
            backoff.on_failure(start);
            let until = backoff.closed_until().unwrap();
            closed_for.push((until - start).as_millis());
            backoff.on_timeout(until - Duration::from_millis(1));
            assert!(!backoff.is_open());
            backoff.on_timeout(until);
        }
        assert_eq!(closed_for, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.on_success();
        backoff.on_failure(start);
        assert_eq!(backoff.closed_until(), Some(start + FIRST));
    }
}
