//! Randomness.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use rand::{RngCore, SeedableRng, rngs::StdRng};

/// Draws random numbers.
pub trait Random: fmt::Debug + Send + Sync {
    /// A uniform 64-bit number.
    fn next_u64(&self) -> u64;

    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Seeded once from the operating system.
#[derive(Debug)]
pub struct OsRandom(Mutex<StdRng>);

impl OsRandom {
    /// Seeds from the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(StdRng::from_os_rng()))
    }
}

impl Default for OsRandom {
    fn default() -> Self {
        Self::new()
    }
}

impl Random for OsRandom {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}
