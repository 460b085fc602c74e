//! The world outside: clock, randomness, disk and net, each with a simulated twin in [`sim`].
//!
//! Everything that listens, dials, reads a clock, draws a random number or touches a file takes an
//! [`Env`] in its constructor. No other crate names `std::fs`, `std::net` or a clock, so that a
//! simulated world can drive the real broker.
//!
//! # Invariants
//!
//! 1. Deadlines use [`Clock::now`] (monotonic); [`Clock::wall`] is for timestamps only.
//! 2. In a simulated world nothing runs outside the one runtime thread: workers are tasks and
//!    blocking work runs where it was asked for.

mod clock;
pub mod disk;
mod latencies;
mod memory;
pub mod net;
mod random;
pub mod sim;
mod worker;

use std::sync::Arc;

pub use clock::{Clock, Instant, SystemClock, Timestamp};
pub use disk::{Disk, File};
pub use latencies::{Latencies, LatencyFigures, LatencyRun};
pub use memory::{Gauge, Share};
pub use net::Net;
pub use random::{OsRandom, Random};
pub use worker::{Bell, Control, Workers};

/// A boxed future, for the object-safe traits of every crate.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;

/// One world: cheap to clone, handed down through constructors.
#[derive(Clone, Debug)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Sockets.
    pub net: Arc<dyn Net>,
    /// Threads for blocking work.
    pub workers: Workers,
}

impl Env {
    /// The real machine. Call inside a tokio runtime.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(OsRandom::new()),
            disk: Arc::new(disk::SystemDisk),
            net: Arc::new(net::SystemNet),
            workers: Workers::threads(),
        }
    }
}
