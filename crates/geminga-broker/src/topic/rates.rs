//! Counters of messages and bytes, and their rates over the last while.
//!
//! Time is cut into periods. A rate is what the last whole period had, by the share of it that is not yet
//! longer ago than a period, and what the running one has: so it goes by what happened alone, however often
//! and by how many it is asked for.

use std::time::Duration;

use geminga_env::Instant;

/// What rates are over. As long as the shortest interval at which metrics are usually collected.
const PERIOD: Duration = Duration::from_secs(10);
/// In the first period a rate is over the time since the beginning, and this at least.
const TIME_MIN: Duration = Duration::from_secs(1);
/// Instead of a count: there was no period yet.
const NO_PERIOD: u64 = u64::MAX;

/// One counted flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// When the running period began, and what was counted by then.
    began: Instant,
    messages_before: u64,
    bytes_before: u64,
    /// What the period before had.
    last_messages: u64,
    last_bytes: u64,
}

impl Flow {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            messages: 0,
            bytes: 0,
            began: now,
            messages_before: 0,
            bytes_before: 0,
            last_messages: NO_PERIOD,
            last_bytes: 0,
        }
    }

    pub(super) fn add(&mut self, now: Instant, messages: u64, bytes: u64) {
        self.roll(now);
        self.messages += messages;
        self.bytes += bytes;
    }

    /// The same for messages that somebody else counts: so many there were by now.
    pub(super) fn note_messages(&mut self, now: Instant, messages: u64) {
        if self.messages != messages {
            self.add(now, messages.saturating_sub(self.messages), 0);
        }
    }

    /// Messages and bytes per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub(super) fn rates(&mut self, now: Instant) -> (f64, f64) {
        self.roll(now);
        let running = now.saturating_duration_since(self.began);
        let messages = (self.messages - self.messages_before) as f64;
        let bytes = (self.bytes - self.bytes_before) as f64;
        if self.last_messages == NO_PERIOD {
            let seconds = running.max(TIME_MIN).as_secs_f64();
            return (messages / seconds, bytes / seconds);
        }
        let period = PERIOD.as_secs_f64();
        let share = 1.0 - running.as_secs_f64() / period;
        let rate = |last: u64, now: f64| (last as f64).mul_add(share, now) / period;
        (rate(self.last_messages, messages), rate(self.last_bytes, bytes))
    }

    /// Ends the running period if it is over.
    fn roll(&mut self, now: Instant) {
        let running = now.saturating_duration_since(self.began);
        if running < PERIOD {
            return;
        }
        let is_next = running < 2 * PERIOD;
        let last = |counted, before| if is_next { counted - before } else { 0 };
        self.last_messages = last(self.messages, self.messages_before);
        self.last_bytes = last(self.bytes, self.bytes_before);
        (self.messages_before, self.bytes_before) = (self.messages, self.bytes);
        let over = running.as_nanos() % PERIOD.as_nanos();
        let over = Duration::from_nanos(u64::try_from(over).unwrap_or(0));
        self.began = now.checked_sub(over).unwrap_or(now);
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::sim;
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn begin() -> Instant {
        sim::World::new(1).env().clock.now()
    }

    fn at(begin: Instant, ms: u64) -> Instant {
        begin + Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_flow_has_its_rate_at_any_time() {
        let begin = begin();
        let mut flow = Flow::new(begin);
        for ms in (0..60_000).step_by(10) {
            flow.add(at(begin, ms), 1, 20);
            if 1_000 <= ms {
                let (messages, bytes) = flow.rates(at(begin, ms));
                assert!((messages - 100.0).abs() < 1.5, "{messages} after {ms} ms");
                assert!((bytes - 20.0 * messages).abs() < 0.1, "{bytes} after {ms} ms");
            }
        }
        assert!(flow.rates(at(begin, 69_000)).0 < 11.0);
        assert_eq!(flow.rates(at(begin, 80_000)), (0.0, 0.0));
        assert_eq!(flow.messages, 6_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_messages_count_at_once() {
        let begin = begin();
        let mut flow = Flow::new(begin);
        flow.add(begin, 6, 60);
        assert_eq!(flow.rates(begin), (6.0, 60.0));
        assert_eq!(flow.rates(at(begin, 2_000)), (3.0, 30.0));
    }

    /// Goal: nobody's rates depend on how often others ask.
    /// Method: two flows have the same, of which one is asked at random times between.
    #[tokio::test(start_paused = true)]
    async fn who_else_asks_makes_no_difference() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let begin = begin();
            let (mut asked, mut other) = (Flow::new(begin), Flow::new(begin));
            let mut ms = 0;
            for _ in 0..200 {
                ms += rng.random_range(0..4_000);
                if rng.random_bool(0.5) {
                    let messages = rng.random_range(0..100);
                    asked.add(at(begin, ms), messages, 7);
                    other.add(at(begin, ms), messages, 7);
                } else {
                    asked.rates(at(begin, ms));
                }
                if rng.random_bool(0.1) {
                    let found = (asked.rates(at(begin, ms)), other.rates(at(begin, ms)));
                    assert_eq!(found.0, found.1, "seed {seed}, after {ms} ms");
                }
            }
        }
    }
}
