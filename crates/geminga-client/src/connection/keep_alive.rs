//! Notices that the peer is gone: a PING when it is silent, the end when it stays so.

use std::time::Duration;

use geminga_env::Instant;

/// What to do about the peer's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing yet.
    Fine,
    /// Send a PING.
    Ask,
    /// Close.
    Gone,
}

#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Duration,
    /// When it was heard last, or asked.
    since: Instant,
    asked: bool,
}

impl KeepAlive {
    pub(super) const fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, since: now, asked: false }
    }

    /// Bytes came.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.since = now;
        self.asked = false;
    }

    pub(super) fn poll(&mut self, now: Instant) -> Silence {
        if now < self.next_timeout() {
            return Silence::Fine;
        }
        if self.asked {
            return Silence::Gone;
        }
        self.since = now;
        self.asked = true;
        Silence::Ask
    }

    pub(super) fn next_timeout(&self) -> Instant {
        self.since + self.interval
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::sim::World;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_asked_about_once_and_then_final() {
        let start = World::new(0).env().clock.now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut keep_alive = KeepAlive::new(Duration::from_secs(30), start);
        assert_eq!(keep_alive.poll(at(29)), Silence::Fine);
        assert_eq!(keep_alive.poll(at(30)), Silence::Ask);
        assert_eq!(keep_alive.poll(at(31)), Silence::Fine);
        keep_alive.heard(at(40));
        assert_eq!(keep_alive.next_timeout(), at(70));
        assert_eq!(keep_alive.poll(at(75)), Silence::Ask);
        assert_eq!(keep_alive.poll(at(104)), Silence::Fine);
        assert_eq!(keep_alive.poll(at(105)), Silence::Gone);
    }
}
