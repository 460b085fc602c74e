//! A running hash of what happened, to compare two runs of one seed.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::SimClock;

/// Shared by the parts of one world.
#[derive(Clone)]
pub(super) struct Events {
    hash: Arc<Mutex<u64>>,
    clock: Arc<SimClock>,
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

impl Events {
    pub(super) fn new(clock: Arc<SimClock>) -> Self {
        Self { hash: Arc::new(Mutex::new(SEED)), clock }
    }

    /// Adds one event at the current virtual time.
    pub(super) fn record(&self, kind: &str, texts: &[&[u8]], numbers: &[u64]) {
        let at = self.clock.elapsed().as_micros();
        let mut hash = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = mix(*hash, u64::try_from(at).unwrap_or(u64::MAX));
        next = mix_bytes(next, kind.as_bytes());
        for text in texts {
            next = mix_bytes(next, text);
        }
        for number in numbers {
            next = mix(next, *number);
        }
        *hash = next;
    }

    pub(super) fn hash(&self) -> u64 {
        *self.hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("hash", &self.hash()).finish_non_exhaustive()
    }
}

const fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(PRIME).rotate_left(29)
}

fn mix_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = mix(hash, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}
