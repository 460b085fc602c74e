//! Counters of messages and bytes, and their rates over the last period.

use std::time::Duration;

use geminga_env::Instant;

/// Shortest period that rates are taken over; asking more often returns the last ones.
const PERIOD_MIN: Duration = Duration::from_secs(1);

/// One counted flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    sampled_at: Instant,
    sampled_messages: u64,
    sampled_bytes: u64,
    message_rate: f64,
    byte_rate: f64,
}

impl Flow {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            messages: 0,
            bytes: 0,
            sampled_at: now,
            sampled_messages: 0,
            sampled_bytes: 0,
            message_rate: 0.0,
            byte_rate: 0.0,
        }
    }

    pub(super) const fn add(&mut self, messages: u64, bytes: u64) {
        self.messages += messages;
        self.bytes += bytes;
    }

    /// Messages and bytes per second since the rates were last taken.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
    pub(super) fn rates(&mut self, now: Instant) -> (f64, f64) {
        let elapsed = now.saturating_duration_since(self.sampled_at);
        if PERIOD_MIN <= elapsed {
            let seconds = elapsed.as_secs_f64();
            self.message_rate = (self.messages - self.sampled_messages) as f64 / seconds;
            self.byte_rate = (self.bytes - self.sampled_bytes) as f64 / seconds;
            self.sampled_at = now;
            self.sampled_messages = self.messages;
            self.sampled_bytes = self.bytes;
        }
        (self.message_rate, self.byte_rate)
    }
}
