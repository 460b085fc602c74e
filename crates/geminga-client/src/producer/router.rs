//! Which partition a message goes to.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(super) struct Router {
    partitions: usize,
    next: AtomicUsize,
}

impl Router {
    pub(super) const fn new(partitions: usize) -> Self {
        Self { partitions, next: AtomicUsize::new(0) }
    }

    /// The key's partition; without a key all in turn.
    pub(super) fn pick(&self, key: Option<&str>) -> usize {
        match key {
            _ if self.partitions <= 1 => 0,
            Some(key) => usize::try_from(java_hash(key)).unwrap_or(0) % self.partitions,
            None => self.next.fetch_add(1, Ordering::Relaxed) % self.partitions,
        }
    }
}

/// The hash that Pulsar's Java client routes by: that of Java's `String`, without its sign.
fn java_hash(key: &str) -> u32 {
    let hash = key
        .encode_utf16()
        .fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    hash & (u32::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("key"), 106_079);
        assert_eq!(java_hash("hello"), 99_162_322);
        // "polygenelubricants".hashCode() is i32::MIN.
        assert_eq!(java_hash("polygenelubricants"), 0);
    }

    #[test]
    fn keys_stay_and_others_go_round() {
        let router = Router::new(3);
        let turns: Vec<usize> = (0..6).map(|_| router.pick(None)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2]);
        assert!((0..9).all(|_| router.pick(Some("key")) == 106_079 % 3));
        assert_eq!(Router::new(1).pick(Some("key")), 0);
    }
}
