//! When a subscription, or a consumer, last did what it does, and how much it acked and let expire.
//!
//! Times are kept as monotonic ones, which are at hand where things happen, and said as wall-clock ones.
//! Nothing is noted by message: once for a batch that is sent, a FLOW, an ack.

use std::time::Duration;

use geminga_env::{Clock, Instant};

use super::rates::Flow;
use crate::Activity;

/// By how much the wall clock may have been set since before times go by what it says now.
const STEP_MAX_MS: u64 = 1_000;

/// What is noted: 128 bytes, and 72 more once something has expired.
#[derive(Debug)]
pub(super) struct Doings {
    began: Instant,
    began_wall_ms: u64,
    acked: Flow,
    expired: Option<Box<Expired>>,
    flow_at: At,
    delivered_at: At,
    acked_at: At,
    mark_delete_at: At,
}

#[derive(Debug)]
struct Expired {
    entries: Flow,
    at: At,
}

/// Milliseconds after the beginning, and 1; 0: not yet.
#[derive(Clone, Copy, Debug, Default)]
struct At(u64);

impl Doings {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        let began = clock.now();
        Self {
            began,
            began_wall_ms: clock.wall().0,
            acked: Flow::new(began),
            expired: None,
            flow_at: At::default(),
            delivered_at: At::default(),
            acked_at: At::default(),
            mark_delete_at: At::default(),
        }
    }

    /// The client has asked for more.
    pub(super) fn note_flow(&mut self, now: Instant) {
        self.flow_at = self.at(now);
    }

    /// Messages were sent.
    pub(super) fn note_delivered(&mut self, now: Instant) {
        self.delivered_at = self.at(now);
    }

    /// A client has acked so many messages that were not acked.
    pub(super) fn note_acked(&mut self, now: Instant, messages: u64) {
        self.acked.add(now, messages, 0);
        self.acked_at = self.at(now);
    }

    /// The mark-delete position has moved.
    pub(super) fn note_mark_delete(&mut self, now: Instant) {
        self.mark_delete_at = self.at(now);
    }

    /// So many entries went, since their time was over or an administrator said so.
    pub(super) fn note_expired(&mut self, now: Instant, entries: u64) {
        if entries == 0 {
            return;
        }
        let at = self.at(now);
        let new = || Box::new(Expired { entries: Flow::new(now), at });
        let expired = self.expired.get_or_insert_with(new);
        expired.entries.add(now, entries, 0);
        expired.at = at;
    }

    /// All of it, at this moment.
    pub(super) fn read(&mut self, clock: &dyn Clock) -> Activity {
        let now = clock.now();
        let since = now.saturating_duration_since(self.began);
        let began_now = clock.wall().0.saturating_sub(ms(since));
        // Two readings of two clocks differ by a millisecond now and then: a time that is told stays.
        let is_step = STEP_MAX_MS < began_now.abs_diff(self.began_wall_ms);
        let began = if is_step { began_now } else { self.began_wall_ms };
        let wall = |at: At| at.0.checked_sub(1).map_or(0, |after| began.saturating_add(after));
        let (entries_expired, entry_rate_expired, last_expired) = match &mut self.expired {
            Some(it) => (it.entries.messages, it.entries.rates(now).0, wall(it.at)),
            None => (0, 0.0, 0),
        };
        Activity {
            message_ack_rate: self.acked.rates(now).0,
            entry_rate_expired,
            entries_expired,
            last_expired,
            last_flow: wall(self.flow_at),
            last_delivered: wall(self.delivered_at),
            last_acked: wall(self.acked_at),
            last_mark_delete: wall(self.mark_delete_at),
        }
    }

    fn at(&self, now: Instant) -> At {
        At(ms(now.saturating_duration_since(self.began)).saturating_add(1))
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use geminga_env::sim;

    use super::*;

    #[test]
    fn the_cost_is_as_written() {
        assert_eq!(size_of::<Doings>(), 128);
        assert_eq!(size_of::<Expired>(), 72);
    }

    #[tokio::test(start_paused = true)]
    async fn times_are_of_the_wall_clock_and_follow_when_it_is_set() {
        let world = sim::World::new(1);
        let clock = world.env().clock;
        let mut doings = Doings::new(&*clock);
        assert_eq!(doings.read(&*clock), Activity::default());
        tokio::time::sleep(Duration::from_millis(2_345)).await;
        let acked_at = clock.wall().0;
        doings.note_acked(clock.now(), 20);
        doings.note_expired(clock.now(), 0);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let found = doings.read(&*clock);
        assert_eq!((found.last_acked, found.last_expired, found.last_flow), (acked_at, 0, 0));
        assert!(2.0 < found.message_ack_rate && found.message_ack_rate < 3.0, "{found:?}");
        doings.note_expired(clock.now(), 7);
        assert_eq!(doings.read(&*clock).entries_expired, 7);
        assert_eq!(doings.read(&*clock).last_expired, clock.wall().0);
        world.clock().step_wall(-60_000);
        let found = doings.read(&*clock);
        assert_eq!(found.last_expired, clock.wall().0, "it was just now, whatever now is called");
        assert_eq!(found.last_acked, acked_at - 60_000);
    }
}
