//! The next entries that are due, from all buckets.

use std::{fmt, sync::Arc};

use geminga_managed_ledger::{Bucket, BucketError, Chain, DueOrder};
use geminga_subscription::{DelayedEntry, LoadedDelayed};
use geminga_types::{LedgerId, Ordinal, Position};

use super::super::{TopicDeps, background::Lost};

/// Records between which others get their turn.
const RECORDS_AT_ONCE: usize = 4_096;

/// Why a load did not succeed.
#[derive(Clone, Debug)]
pub(in super::super) struct LoadError {
    reason: String,
    /// The ledger of a bucket that never can be read.
    pub(super) damaged: Option<LedgerId>,
}

impl LoadError {
    pub(super) fn of(lost: &Lost) -> Self {
        Self { reason: lost.to_string(), damaged: None }
    }
}

impl From<BucketError> for LoadError {
    fn from(error: BucketError) -> Self {
        Self { reason: error.to_string(), damaged: error.damaged() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The first `entries_max` from `after` on of what is stored.
pub(super) async fn load(
    chain: &Chain,
    deps: &TopicDeps,
    buckets: &[Arc<Bucket>],
    after: (u64, Ordinal),
    entries_max: usize,
) -> Result<LoadedDelayed, LoadError> {
    let is_gone = after.1 < chain.first();
    let place = if is_gone { Position::EARLIEST } else { Position::LATEST };
    let place = chain.position_of(after.1).unwrap_or(place);
    let mut order = DueOrder::new(&deps.ledger, buckets, (after.0, place)).await?;
    let mut lookup = chain.lookup();
    let mut entries = Vec::new();
    let mut looked_at = 0;
    while let Some(record) = order.peek() {
        let ordinal = lookup.exact_ordinal(record.position);
        if let Some(ordinal) = ordinal.filter(|&ordinal| chain.first() <= ordinal) {
            if entries.len() == entries_max {
                return Ok(LoadedDelayed { entries, until: Some((record.due, ordinal)) });
            }
            entries.push(DelayedEntry { due: record.due, ordinal, slot: record.slot });
        }
        order.next(&deps.ledger).await?;
        looked_at += 1;
        if looked_at % RECORDS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(LoadedDelayed { entries, until: None })
}
