//! How many messages the broker may send: as many as the queue has room for.
//!
//! # Invariants
//!
//! 1. Granted less sent, and what waits to be granted, is the queue's size less what is in it.

#[derive(Debug)]
pub(super) struct Permits {
    threshold: u32,
    /// Room that the broker was not told of yet.
    free: u32,
}

impl Permits {
    /// For a queue that is empty, and a broker that knows of no permit yet.
    pub(super) fn new(queue_size: u32) -> Self {
        Self { threshold: (queue_size / 2).max(1), free: queue_size }
    }

    /// Messages left the queue.
    pub(super) const fn taken(&mut self, messages: u32) {
        self.free = self.free.saturating_add(messages);
    }

    /// Whether it is worth a FLOW.
    pub(super) const fn is_due(&self) -> bool {
        self.threshold <= self.free
    }

    /// What to grant.
    pub(super) const fn grant(&mut self) -> u32 {
        std::mem::replace(&mut self.free, 0)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    #[test]
    fn the_broker_never_overfills_and_never_starves() {
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let size = rng.random_range(1..20);
            let mut permits = Permits::new(size);
            let (mut granted, mut queued) = (0, 0);
            for _ in 0..100 {
                if permits.is_due() {
                    granted += permits.grant();
                }
                let sent = rng.random_range(0..=granted);
                (granted, queued) = (granted - sent, queued + sent);
                assert!(queued + granted <= size, "seed {seed}");
                let taken = rng.random_range(0..=queued);
                queued -= taken;
                permits.taken(taken);
                assert!(0 < granted || 0 < queued || permits.is_due(), "seed {seed}: starved");
            }
        }
    }
}
