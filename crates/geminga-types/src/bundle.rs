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

impl BundleRange {
    /// Whether a topic of its namespace is in it.
    #[must_use]
    pub fn holds(self, topic: &TopicName) -> bool {
        let hash = bundle_hash(topic);
        self.low <= hash && (hash < self.high || self.high == u32::MAX)
    }
}

/// How a namespace's hash range is cut.
///
/// # Invariants
///
/// 1. Boundaries ascend, from 0 to `0xffff_ffff`: each hash is in exactly one bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundles(Vec<u32>);

impl Bundles {
    /// Bundles of a namespace, at most.
    pub const COUNT_MAX: u32 = 1 << 16;

    /// Cuts the range evenly; at least into one bundle, and at most into [`Self::COUNT_MAX`].
    #[must_use]
    pub fn even(count: u32) -> Self {
        let count = u64::from(count.clamp(1, Self::COUNT_MAX));
        let width = (1_u64 << 32) / count;
        let lows = (0..count).map(|index| u32::try_from(width * index).unwrap_or(u32::MAX));
        Self(lows.chain([u32::MAX]).collect())
    }

    /// Cuts it at boundaries as Pulsar writes them, in any order. `None` if one is no number of 32 bits, or
    /// if they do not reach from `0x00000000` to `0xffffffff`.
    #[must_use]
    pub fn parse(boundaries: &[String]) -> Option<Self> {
        let parsed = boundaries.iter().map(|boundary| boundary_of(boundary));
        let mut found = parsed.collect::<Option<Vec<u32>>>()?;
        found.sort_unstable();
        found.dedup();
        (found.first() == Some(&0) && found.last() == Some(&u32::MAX)).then_some(Self(found))
    }

    /// The boundaries as Pulsar writes them.
    #[must_use]
    pub fn boundaries(&self) -> Vec<String> {
        self.0.iter().map(|boundary| format!("0x{boundary:08x}")).collect()
    }

    /// All bundles, in order.
    pub fn ranges(&self) -> impl Iterator<Item = BundleRange> {
        self.0.windows(2).map(|ends| BundleRange { low: ends[0], high: ends[1] })
    }

    /// The bundle that holds `topic`.
    #[must_use]
    pub fn of(&self, topic: &TopicName) -> BundleRange {
        let hash = bundle_hash(topic);
        let index = self.0.partition_point(|&low| low <= hash).clamp(1, self.0.len() - 1);
        BundleRange { low: self.0[index - 1], high: self.0[index] }
    }

    /// Cuts one bundle at `positions`. `None` if there is no such bundle, or if a position is not inside it.
    #[must_use]
    pub fn split(&self, range: BundleRange, positions: &[u32]) -> Option<Self> {
        let is_inside = |&at: &u32| range.low < at && at < range.high;
        if !self.ranges().any(|known| known == range) || !positions.iter().all(is_inside) {
            return None;
        }
        let mut boundaries = [&self.0, positions].concat();
        boundaries.sort_unstable();
        boundaries.dedup();
        Some(Self(boundaries))
    }
}

/// Where a topic is in the hash range.
#[must_use]
pub fn bundle_hash(topic: &TopicName) -> u32 {
    crc32fast::hash(topic.to_string().as_bytes())
}

/// The bundle that holds `topic` in a namespace cut evenly into `count` bundles.
///
/// # Panics
///
/// If `count` is 0: every namespace has at least one bundle.
#[must_use]
pub fn bundle_of(topic: &TopicName, count: u32) -> BundleRange {
    assert!(0 < count, "a namespace has at least one bundle");
    let hash = bundle_hash(topic);
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

/// A boundary, hexadecimal with `0x` or decimal.
fn boundary_of(written: &str) -> Option<u32> {
    match written.strip_prefix("0x").or_else(|| written.strip_prefix("0X")) {
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => written.parse().ok(),
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

    #[test]
    fn each_topic_is_in_exactly_one_bundle_however_often_they_are_split() {
        for seed in 1..200_u32 {
            let mut random = seed;
            let mut next = || {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                random
            };
            let mut bundles = Bundles::even(1 + seed % 7);
            let topics: Vec<TopicName> =
                (0..50).map(|n| format!("t-{seed}-{n}").parse().unwrap()).collect();
            for _ in 0..12 {
                let before = bundles.clone();
                let all: Vec<_> = before.ranges().collect();
                let range = all[next() as usize % all.len()];
                let at = next();
                let is_inside = range.low < at && at < range.high;
                match before.split(range, &[at]) {
                    Some(split) => bundles = split,
                    None => assert!(!is_inside, "seed {seed}: {at} in {range}"),
                }
                let ends = &bundles.0;
                assert!(ends.windows(2).all(|ends| ends[0] < ends[1]), "seed {seed}: {ends:?}");
                assert_eq!((ends.first(), ends.last()), (Some(&0), Some(&u32::MAX)), "seed {seed}");
                assert_eq!(Bundles::parse(&bundles.boundaries()).as_ref(), Some(&bundles));
                for topic in &topics {
                    let is_in = |range: &BundleRange| range.holds(topic);
                    let naive: Vec<_> = bundles.ranges().filter(is_in).collect();
                    assert_eq!(naive, [bundles.of(topic)], "seed {seed}: {topic}");
                    let was = before.of(topic);
                    let expected = if was != range || !is_inside { was } else { bundles.of(topic) };
                    assert_eq!(bundles.of(topic), expected, "seed {seed}: {topic}");
                }
            }
        }
    }

    #[test]
    fn boundaries_that_do_not_cover_the_range_are_refused() {
        let parse = |written: &[&str]| {
            Bundles::parse(&written.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
        };
        for wrong in [
            &[][..],
            &["0x00000000"],
            &["0x00000001", "0xffffffff"],
            &["0x00000000", "0xfffffffe"],
            &["0x00000000", "0x100000000", "0xffffffff"],
            &["0x00000000", "0x-1", "0xffffffff"],
            &["0x00000000", "0x+1", "0xffffffff"],
            &["0x00000000", "é", "0xffffffff"],
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        let found = parse(&["0xffffffff", "0x00000007", "0x0", "0x7"]).unwrap();
        assert_eq!(found.boundaries(), ["0x00000000", "0x00000007", "0xffffffff"]);
        for count in [1, 3, 4, 4096] {
            let topic: TopicName = "t".parse().unwrap();
            assert_eq!(Bundles::even(count).of(&topic), bundle_of(&topic, count));
        }
        let most = Bundles::even(u32::MAX);
        assert_eq!(most.ranges().count(), Bundles::COUNT_MAX as usize, "a record may say anything");
    }
}
