//! Memory of one kind, counted over the whole process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts bytes of one kind. Nobody waits for it: whoever holds such memory asks whether there is too
/// much of it, and lets go of some. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
}

impl Gauge {
    /// Nothing is held yet.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Inner { limit, used: AtomicUsize::new(0) }))
    }

    /// How many bytes there should be at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many there are.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Whether there are more than there should be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.limit() < self.used()
    }

    /// Whether there is less than half of it left.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.limit() / 2 < self.used()
    }

    /// `bytes` more are held.
    pub fn add(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `bytes` that were added are held no more.
    pub fn sub(&self, bytes: usize) {
        let before = self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(bytes <= before, "more was given back than was taken");
    }
}

/// What one holder has of a [`Gauge`]; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    gauge: Gauge,
    bytes: usize,
}

impl Share {
    /// Changes are told in steps of this size: who holds less than one costs the gauge nothing.
    pub const STEP: usize = 4 << 10;

    /// Holds nothing yet.
    #[must_use]
    pub const fn of(gauge: Gauge) -> Self {
        Self { gauge, bytes: 0 }
    }

    /// So many bytes are held now.
    pub fn set(&mut self, bytes: usize) {
        let bytes = bytes / Self::STEP * Self::STEP;
        if self.bytes < bytes {
            self.gauge.add(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.gauge.sub(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_in_steps_and_given_back() {
        let gauge = Gauge::new(10 * Share::STEP);
        let (mut one, mut other) = (Share::of(gauge.clone()), Share::of(gauge.clone()));
        one.set(Share::STEP - 1);
        assert_eq!(gauge.used(), 0);
        one.set(3 * Share::STEP + 7);
        other.set(Share::STEP);
        assert_eq!(gauge.used(), 4 * Share::STEP);
        one.set(2 * Share::STEP);
        assert_eq!(gauge.used(), 3 * Share::STEP);
        drop(one);
        assert_eq!(gauge.used(), Share::STEP);
    }

    #[test]
    fn counts_what_is_held() {
        let gauge = Gauge::new(10);
        let same = gauge.clone();
        gauge.add(5);
        assert!(!same.is_half_full());
        same.add(5);
        assert_eq!((gauge.used(), gauge.is_over(), gauge.is_half_full()), (10, false, true));
        gauge.add(1);
        assert!(gauge.is_over());
        same.sub(11);
        assert_eq!((gauge.used(), gauge.limit()), (0, 10));
    }
}
