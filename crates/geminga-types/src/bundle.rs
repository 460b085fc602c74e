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
    let width = (1_u64 << 32) / u64::from(count);
    let index = (u64::from(hash) / width).min(u64::from(count) - 1);
    let low = u32::try_from(width * index).expect("an index is below the count");
    // The last one's end, 2^32, does not fit: it is written as the last hash, which it includes.
    let high =
        if index + 1 == u64::from(count) { None } else { u32::try_from(width * (index + 1)).ok() };
    BundleRange { low, high: high.unwrap_or(u32::MAX) }
}

impl fmt::Display for BundleRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08x}_0x{:08x}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_bundles_begin_at_quarters_and_hold_each_topic_once() {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..200 {
            let topic: TopicName = format!("t-{n}").parse().unwrap();
            let hash = crc32fast::hash(topic.to_string().as_bytes());
            let bundle = bundle_of(&topic, 4);
            assert!(bundle.low <= hash && (hash < bundle.high || bundle.high == u32::MAX));
            seen.insert(bundle.to_string());
            assert_eq!(bundle_of(&topic, 1).to_string(), "0x00000000_0xffffffff");
        }
        let expected = [
            "0x00000000_0x40000000",
            "0x40000000_0x80000000",
            "0x80000000_0xc0000000",
            "0xc0000000_0xffffffff",
        ];
        assert!(seen.iter().map(String::as_str).eq(expected));
    }
}
