//! Where a bundle is cut.

use geminga_types::BundleRange;

use crate::TopicRow;

/// What a bundle may do before it is cut by what its topics do, with Pulsar's defaults of
/// `loadBalancerNamespaceBundleMaxMsgRate`, `loadBalancerNamespaceBundleMaxBandwidthMbytes` and
/// `flowOrQpsDifferenceThresholdPercentage`.
const MESSAGES_MAX: f64 = 30_000.0;
const BYTES_MAX: f64 = 100.0 * 1024.0 * 1024.0;
const TOLERANCE: f64 = 1.1;

/// Where a bundle is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleSplit {
    /// In the middle of its range.
    Range,
    /// Between the two halves of its topics in use; one with fewer than two stays as it is.
    TopicCount,
    /// So that no part does more than a bundle may, if this one does and has several topics that are busy.
    Load,
    /// At those of some hashes that are inside it; one with fewer than two topics in use stays as it is.
    Positions(Vec<i64>),
}

/// A topic in use: where it is, and what it does in a second, in and out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) hash: u32,
    pub(super) messages: f64,
    pub(super) bytes: f64,
}

impl Used {
    /// Where it is, when nothing else matters.
    pub(super) const fn at(hash: u32) -> Self {
        Self { hash, messages: 0.0, bytes: 0.0 }
    }

    pub(super) fn of(row: &TopicRow) -> Self {
        let figures = &row.figures;
        Self {
            hash: geminga_types::bundle_hash(&row.topic),
            messages: figures.message_rate_in + figures.message_rate_out,
            bytes: figures.byte_rate_in + figures.byte_rate_out,
        }
    }
}

/// Where to cut, given the topics in use.
pub(super) fn positions(whole: BundleRange, how: &BundleSplit, mut used: Vec<Used>) -> Vec<u32> {
    used.sort_unstable_by_key(|topic| topic.hash);
    match how {
        BundleSplit::Range => vec![whole.low + (whole.high - whole.low) / 2],
        _ if used.len() < 2 => Vec::new(),
        BundleSplit::TopicCount => {
            let (below, above) = (used[used.len() / 2 - 1].hash, used[used.len() / 2].hash);
            vec![below + (above - below) / 2]
        }
        BundleSplit::Load => by_load(&used),
        BundleSplit::Positions(asked) => {
            let asked = asked.iter().filter_map(|&position| u32::try_from(position).ok());
            asked.filter(|&at| whole.low < at && at < whole.high).collect()
        }
    }
}

/// Before each topic with which the part would do too much.
fn by_load(used: &[Used]) -> Vec<u32> {
    let busy = used.iter().filter(|topic| 0.0 < topic.messages || 0.0 < topic.bytes);
    let busy: Vec<Used> = busy.copied().collect();
    let sum = |of: fn(&Used) -> f64| busy.iter().map(of).sum::<f64>();
    let (messages, bytes) = (sum(|topic| topic.messages), sum(|topic| topic.bytes));
    let (mut part_messages, mut part_bytes) = (0.0, 0.0);
    let mut cuts = Vec::new();
    if messages < MESSAGES_MAX * TOLERANCE && bytes < BYTES_MAX * TOLERANCE {
        return cuts;
    }
    let mut before: Option<u32> = None;
    for topic in busy {
        let is_too_much =
            MESSAGES_MAX < part_messages + topic.messages || BYTES_MAX < part_bytes + topic.bytes;
        if let Some(below) = before.filter(|&below| is_too_much && below < topic.hash) {
            cuts.push(below + (topic.hash - below) / 2 + 1);
            (part_messages, part_bytes) = (0.0, 0.0);
        }
        part_messages += topic.messages;
        part_bytes += topic.bytes;
        before = Some(topic.hash);
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(of: &[(u32, f64)]) -> Vec<Used> {
        of.iter().map(|&(hash, messages)| Used { hash, messages, bytes: messages * 10.0 }).collect()
    }

    const NOWHERE: [u32; 0] = [];

    fn cut(of: &[(u32, f64)]) -> Vec<u32> {
        let whole = BundleRange { low: 0, high: u32::MAX };
        positions(whole, &BundleSplit::Load, used(of))
    }

    #[test]
    fn a_bundle_that_does_too_much_is_cut_between_its_busy_topics() {
        assert_eq!(
            cut(&[(10, 16_000.0), (20, 16_000.0)]),
            NOWHERE,
            "that is not too much by a tenth"
        );
        assert_eq!(cut(&[(30, 17_000.0), (10, 17_000.0)]), [21]);
        assert_eq!(cut(&[(10, 90_000.0)]), NOWHERE, "one topic cannot be divided");
        assert_eq!(
            cut(&[(10, 90_000.0), (20, 0.0)]),
            NOWHERE,
            "nor one beside those that do nothing"
        );
        assert_eq!(cut(&[(10, 50_000.0), (12, 1.0), (40, 50_000.0), (50, 1.0)]), [12, 27, 46]);
        assert_eq!(cut(&[(7, 40_000.0), (7, 40_000.0)]), NOWHERE, "nothing is between them");
        assert_eq!(cut(&[(7, 40_000.0), (8, 40_000.0)]), [8]);
    }

    #[test]
    fn bytes_count_as_well() {
        let of = |bytes| Used { hash: 0, messages: 1.0, bytes };
        let of = [Used { hash: 100, ..of(60e6) }, Used { hash: 200, ..of(60e6) }];
        let whole = BundleRange { low: 0, high: u32::MAX };
        assert_eq!(positions(whole, &BundleSplit::Load, of.to_vec()), [151]);
    }
}
