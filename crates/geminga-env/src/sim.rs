//! Simulated twins: a clock that a paused runtime drives, a seeded random source, a disk that loses
//! what was not synced, and a net in memory.
//!
//! Run a [`World`] on a `current_thread` runtime started with paused time. The same seed then gives
//! the same run, which [`World::event_hash`] shows.
//!
//! # Invariants
//!
//! 1. Nothing here reads the machine's clock, files, sockets or randomness.
//! 2. Every disk operation and every transfer goes into the event hash, with its virtual time.

mod clock;
pub mod disk;
mod events;
pub mod net;
mod random;
mod seeds;

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};

use self::events::Events;
pub use self::{clock::SimClock, disk::SimDisk, net::SimNet, random::SimRandom, seeds::Seeds};
use crate::{Env, Random, Workers};

/// One simulated machine room: everything in it follows from the seed.
#[derive(Clone, Debug)]
pub struct World {
    clock: Arc<SimClock>,
    random: Arc<SimRandom>,
    disk: Arc<SimDisk>,
    net: Arc<SimNet>,
    events: Events,
}

impl World {
    /// Makes a world with an empty disk. Call inside the paused runtime.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        let events = Events::new(Arc::clone(&clock));
        Self {
            random: Arc::new(SimRandom::new(seed)),
            disk: Arc::new(SimDisk::with_events(seed ^ 0x6469_736b, events.clone())),
            net: Arc::new(SimNet::new(seed ^ 0x6e65_7400, Arc::clone(&clock), events.clone())),
            clock,
            events,
        }
    }

    /// What the code under test is given.
    #[must_use]
    pub fn env(&self) -> Env {
        Env {
            clock: Arc::<SimClock>::clone(&self.clock),
            random: Arc::<SimRandom>::clone(&self.random),
            disk: Arc::<SimDisk>::clone(&self.disk),
            net: Arc::<SimNet>::clone(&self.net),
            workers: Workers::tasks(),
        }
    }

    /// The clock, to step its wall time.
    #[must_use]
    pub const fn clock(&self) -> &Arc<SimClock> {
        &self.clock
    }

    /// The random source.
    #[must_use]
    pub const fn random(&self) -> &Arc<SimRandom> {
        &self.random
    }

    /// The disk, to plan its faults.
    #[must_use]
    pub const fn disk(&self) -> &Arc<SimDisk> {
        &self.disk
    }

    /// The net, to cut and reset it.
    #[must_use]
    pub const fn net(&self) -> &Arc<SimNet> {
        &self.net
    }

    /// A generator for a test's own choices, drawn from this world's seed.
    #[must_use]
    pub fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.random.next_u64())
    }

    /// Power loss: the disk keeps what survived, every connection is reset, every handle fails.
    ///
    /// Tasks are not stopped; drop them (or their runtime) before starting anew.
    pub fn lose_power(&self) {
        self.net.reset_all();
        self.disk.crash(&mut self.rng());
    }

    /// A hash over everything that happened on disk and net so far, with virtual times.
    #[must_use]
    pub fn event_hash(&self) -> u64 {
        self.events.hash()
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::World;
    use crate::{Timestamp, disk::OpenMode};

    #[tokio::test(start_paused = true)]
    async fn wall_time_steps_and_monotonic_time_does_not() {
        let world = World::new(1);
        let clock = world.env().clock;
        let (now, Timestamp(wall)) = (clock.now(), clock.wall());
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(clock.wall(), Timestamp(wall + 3_000));
        world.clock().step_wall(-10_000);
        assert_eq!(clock.wall(), Timestamp(wall - 7_000));
        assert_eq!(clock.now() - now, Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn losing_power_keeps_only_what_was_synced() {
        let world = World::new(1);
        let env = world.env();
        let file = env.disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        env.disk.sync_dir(Path::new("/")).unwrap();
        file.write_at(b"x", 0).unwrap();
        file.sync_data().unwrap();
        let before = world.event_hash();
        world.lose_power();
        assert_ne!(world.event_hash(), before);
        assert!(file.read_at(&mut [0], 0).is_err());
        let file = env.disk.open(Path::new("/f"), OpenMode::Read).unwrap();
        assert_eq!(file.len().unwrap(), 1);
    }
}
