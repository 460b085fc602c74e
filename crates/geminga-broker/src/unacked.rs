//! Messages at consumers that are not acked, over all subscriptions of a broker.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// How many there are, and may be.
#[derive(Clone, Debug)]
pub(crate) struct UnackedInAll(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// 0 is no limit.
    max: u64,
    count: AtomicU64,
    is_over: AtomicBool,
}

/// What one subscription has of them; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct UnackedShare {
    all: UnackedInAll,
    count: u64,
}

impl UnackedInAll {
    pub(crate) fn new(max: u64) -> Self {
        Self(Arc::new(Inner { max, count: AtomicU64::new(0), is_over: AtomicBool::new(false) }))
    }

    /// Whether there are too many: from the limit on, until there are only half as many.
    pub(crate) fn is_over(&self) -> bool {
        let Inner { max, count, is_over } = &*self.0;
        if *max == 0 {
            return false;
        }
        let count = count.load(Ordering::Relaxed);
        let now = *max <= count || max / 2 < count && is_over.load(Ordering::Relaxed);
        is_over.store(now, Ordering::Relaxed);
        now
    }

    fn change(&self, from: u64, to: u64) {
        if self.0.max == 0 || from == to {
            return;
        }
        if from < to {
            self.0.count.fetch_add(to - from, Ordering::Relaxed);
        } else {
            self.0.count.fetch_sub(from - to, Ordering::Relaxed);
        }
    }
}

impl UnackedShare {
    pub(crate) const fn of(all: UnackedInAll) -> Self {
        Self { all, count: 0 }
    }

    pub(crate) fn set(&mut self, count: u64) {
        self.all.change(self.count, count);
        self.count = count;
    }
}

impl Drop for UnackedShare {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_too_many_from_the_limit_down_to_half_of_it() {
        let all = UnackedInAll::new(10);
        let (mut one, mut other) = (UnackedShare::of(all.clone()), UnackedShare::of(all.clone()));
        one.set(9);
        assert!(!all.is_over());
        other.set(1);
        assert!(all.is_over());
        one.set(5);
        assert!(all.is_over());
        drop(other);
        assert!(!all.is_over());
        one.set(9);
        assert!(!all.is_over());
    }

    #[test]
    fn no_limit_counts_nothing() {
        let all = UnackedInAll::new(0);
        UnackedShare::of(all.clone()).set(1 << 40);
        assert!(!all.is_over());
    }
}
