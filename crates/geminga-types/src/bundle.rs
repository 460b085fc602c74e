//! Which bundle of its namespace a topic belongs to.
//!
//! Pulsar hashes the full topic name with CRC-32 (IEEE) into `0..=0xffff_ffff` and cuts that range
//! into bundles; a bundle is written `0x40000000_0x80000000`, its upper end exclusive but for the
//! last. Source: Pulsar's `NamespaceBundleFactory` and its default hash function.

use std::fmt;

use crate::TopicName;

/// A bundle's part of the hash range: `low..high`, the last one including `0xffff_ffff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleRange {
    /// First hash in the bundle.
    pub low: u32,
    /// First hash behind it, or `0xffff_ffff` (inclusive) for the last bundle.
    pub high: u32,
}

/// The bundle that holds `topic` in a namespace cut evenly into `count` bundles.
///
/// # Panics
///
/// If `count` is 0: every namespace has at least one bundle.
#[must_use]
pub fn bundle_of(topic: &TopicName, count: u32) -> BundleRange {
    assert!(0 < count, "a namespace has at least one bundle");
    let hash = crc32fast::hash(topic.to_string().as_bytes());
    let width = 0xffff_ffff_u32 / count;
    let index = (hash / width.max(1)).min(count - 1);
    let high = if index + 1 == count { 0xffff_ffff } else { width * (index + 1) };
    BundleRange { low: width * index, high }
}

impl fmt::Display for BundleRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}_0x{:08x}", self.low, self.high)
    }
}
