//! Makes one bucket.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use geminga_managed_ledger::{
    Bucket, BucketWriter, Chain, DelayedBucket, DelayedRecord, SideWriter, merge_buckets,
};
use geminga_subscription::DelayedEntry;
use geminga_types::{LedgerId, Ordinal, Position, key_slot};

use super::super::{TopicDeps, tail::Meta};

/// Entries and bytes read at once.
const READ_ENTRIES: u64 = 1_000;
const READ_BYTES: usize = 1 << 20;

/// A bucket to be made.
#[derive(Debug)]
pub(super) struct Plan {
    chain: Chain,
    /// What it covers. Of entries that are to be read, the rest is left for another if there are too
    /// many.
    pub(super) ranges: Vec<Range<Ordinal>>,
    pub(super) content: Content,
    /// The ledgers of buckets that do not count any more once it does.
    pub(super) replaced: BTreeSet<LedgerId>,
}

/// Where it has its records from.
#[derive(Debug)]
pub(super) enum Content {
    Listed(Vec<DelayedEntry>),
    Read { records_max: usize },
    Merged(Vec<Arc<Bucket>>),
}

/// What became of it.
#[derive(Debug)]
pub(in super::super) enum Made {
    /// It is written and sealed.
    Bucket(DelayedBucket),
    /// There are no delayed entries.
    Nothing,
    /// The bucket in this ledger cannot be read.
    Damaged(LedgerId),
}

impl Plan {
    pub(super) fn listed(chain: Chain, range: Range<Ordinal>, listed: Vec<DelayedEntry>) -> Self {
        let content = Content::Listed(listed);
        Self { chain, ranges: vec![range], content, replaced: BTreeSet::new() }
    }

    pub(super) fn read(chain: Chain, ranges: Vec<Range<Ordinal>>, records_max: usize) -> Self {
        let content = Content::Read { records_max };
        Self { chain, ranges, content, replaced: BTreeSet::new() }
    }

    pub(super) fn anew(chain: Chain, ranges: Vec<Range<Ordinal>>, damaged: LedgerId) -> Self {
        let content = Content::Read { records_max: usize::MAX };
        Self { chain, ranges, content, replaced: [damaged].into() }
    }

    pub(super) fn merged(
        chain: Chain,
        ranges: Vec<Range<Ordinal>>,
        buckets: Vec<Arc<Bucket>>,
    ) -> Self {
        let replaced = buckets.iter().map(|bucket| bucket.ledger_id()).collect();
        Self { chain, ranges, content: Content::Merged(buckets), replaced }
    }

    /// The first and last positions of what it covers, as far as that is stored.
    fn positions(&self) -> Vec<(Position, Position)> {
        let mut lookup = self.chain.lookup();
        let positions = self.ranges.iter().filter_map(|range| {
            let first = range.start.max(self.chain.first());
            let last = Ordinal(range.end.0.checked_sub(1)?);
            (first <= last).then_some(())?;
            Some((lookup.position_of(first)?, lookup.position_of(last)?))
        });
        positions.collect()
    }
}

/// Makes it, in an empty ledger.
pub(super) async fn make(
    mut plan: Plan,
    writer: SideWriter,
    deps: &TopicDeps,
) -> Result<Made, String> {
    let records = match &plan.content {
        Content::Listed(listed) => records_of(&plan.chain, listed),
        Content::Read { records_max } => {
            let _turn = deps.delayed_scans.acquire().await.map_err(|error| error.to_string())?;
            let (records, ranges) = read(&plan, *records_max, deps).await?;
            plan.ranges = ranges;
            records
        }
        Content::Merged(buckets) => {
            let ranges = plan.positions();
            if ranges.is_empty() {
                return Ok(Made::Nothing);
            }
            return match merge_buckets(&deps.ledger, buckets, ranges, writer).await {
                Ok(written) => Ok(Made::Bucket(written.map_err(|error| error.to_string())?)),
                Err(error) => error.damaged().map(Made::Damaged).ok_or_else(|| error.to_string()),
            };
        }
    };
    let ranges = plan.positions();
    // One that takes the place of another is made even if it is empty.
    if ranges.is_empty() || records.is_empty() && plan.replaced.is_empty() {
        return Ok(Made::Nothing);
    }
    let written = BucketWriter::new(writer).write_all(&deps.ledger, records, ranges).await;
    Ok(Made::Bucket(written.map_err(|error| error.to_string())?))
}

fn records_of(chain: &Chain, listed: &[DelayedEntry]) -> Vec<DelayedRecord> {
    let mut lookup = chain.lookup();
    let records = listed.iter().filter_map(|entry| {
        let position = lookup.position_of(entry.ordinal)?;
        Some(DelayedRecord { due: entry.due, position, slot: entry.slot })
    });
    records.collect()
}

/// Reads the entries of the plan, until there are enough records. Also returns what was read.
async fn read(
    plan: &Plan,
    records_max: usize,
    deps: &TopicDeps,
) -> Result<(Vec<DelayedRecord>, Vec<Range<Ordinal>>), String> {
    let (mut records, mut read) = (Vec::new(), Vec::new());
    for range in &plan.ranges {
        let mut from = range.start.max(plan.chain.first());
        let start = from;
        while from < range.end && records.len() < records_max {
            let permit = deps.reads.take(READ_BYTES).await;
            let to = range.end.min(from.plus(READ_ENTRIES));
            let entries = plan.chain.read(&deps.ledger, from, to, READ_BYTES).await;
            for entry in entries.map_err(|error| error.to_string())? {
                from = entry.ordinal.plus(1);
                let meta = Meta::parse(&entry.body);
                records.extend(meta.deliver_at.map(|due| DelayedRecord {
                    due,
                    position: entry.position,
                    slot: key_slot(meta.key_hash),
                }));
            }
            drop(permit);
            tokio::task::yield_now().await;
        }
        if start < from {
            read.push(start..from);
        }
    }
    Ok((records, read))
}
