//! How long to wait before trying again: twice as long each time, up to a limit.

use std::time::Duration;

use geminga_env::Random;

/// The waits between attempts.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    first: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Self { next: first, first, most }
    }

    /// The next wait, up to a tenth shorter than its turn, so that many clients spread.
    pub(crate) fn next(&mut self, random: &dyn Random) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.most);
        let tenths_of_percent = u32::try_from(random.next_u64() % 100).unwrap_or(0);
        wait - wait / 1_000 * tenths_of_percent
    }

    /// An attempt succeeded.
    pub(crate) const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::sim::SimRandom;

    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_begin_again() {
        let random = SimRandom::new(1);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        for turn in [100, 200, 400, 500, 500] {
            let wait = backoff.next(&random);
            let turn = Duration::from_millis(turn);
            assert!(turn * 9 / 10 <= wait && wait <= turn, "{wait:?} for {turn:?}");
        }
        backoff.reset();
        assert!(backoff.next(&random) <= Duration::from_millis(100));
    }
}
