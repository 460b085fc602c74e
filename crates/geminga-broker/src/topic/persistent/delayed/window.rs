//! The next entries that are due, from all buckets.

use std::{fmt, sync::Arc};

use geminga_managed_ledger::{Bucket, BucketError, Chain, DueOrder};
use geminga_subscription::{DelayedEntry, LoadedDelayed};
use geminga_types::{Ordinal, Position};

use super::super::{TopicDeps, background::Lost};

/// Records between which others get their turn.
const RECORDS_AT_ONCE: usize = 4_096;

/// What a load has brought.
#[derive(Debug)]
pub(in super::super) struct Loaded {
    pub(super) delayed: LoadedDelayed,
    /// What kept it from bringing more.
    pub(super) unread: Vec<BucketError>,
}

/// Why a load did not succeed.
#[derive(Clone, Debug)]
pub(in super::super) struct LoadError {
    reason: String,
    /// The buckets that were not read; `None`: it is not known.
    pub(super) unread: Option<Vec<BucketError>>,
}

impl LoadError {
    pub(super) fn of(lost: &Lost) -> Self {
        Self { reason: lost.to_string(), unread: None }
    }

    fn unread(unread: Vec<BucketError>) -> Self {
        let reasons: Vec<String> = unread.iter().map(ToString::to_string).collect();
        Self { reason: reasons.join("; "), unread: Some(unread) }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The first `entries_max` from `after` on of what is stored. If a bucket cannot be read, only what is
/// due before anything that it may have.
pub(super) async fn load(
    chain: &Chain,
    deps: &TopicDeps,
    buckets: &[Arc<Bucket>],
    after: (u64, Ordinal),
    entries_max: usize,
) -> Result<Loaded, LoadError> {
    let is_gone = after.1 < chain.first();
    let place = if is_gone { Position::EARLIEST } else { Position::LATEST };
    let place = chain.position_of(after.1).unwrap_or(place);
    let (mut order, unread) = DueOrder::readable(&deps.ledger, buckets, (after.0, place)).await;
    let unknown_from = unread.iter().map(|(bucket, _)| bucket.due_min()).min();
    let mut unread: Vec<BucketError> = unread.into_iter().map(|(_, error)| error).collect();
    if unknown_from.is_some_and(|due| due <= after.0) {
        return Err(LoadError::unread(unread));
    }
    let mut until = unknown_from.map(|due| (due, Ordinal(0)));
    let mut lookup = chain.lookup();
    let mut entries = Vec::new();
    let mut looked_at = 0;
    while let Some(record) = order.peek() {
        if unknown_from.is_some_and(|due| due <= record.due) {
            break;
        }
        let ordinal = lookup.exact_ordinal(record.position);
        let ordinal = ordinal.filter(|&ordinal| chain.first() <= ordinal);
        if let Some(ordinal) = ordinal {
            if entries.len() == entries_max {
                until = Some((record.due, ordinal));
                break;
            }
            entries.push(DelayedEntry { due: record.due, ordinal, slot: record.slot });
        }
        if let Err(error) = order.next(&deps.ledger).await {
            unread.push(error);
            let Some(ordinal) = ordinal else { return Err(LoadError::unread(unread)) };
            until = Some((record.due, ordinal.plus(1)));
            break;
        }
        looked_at += 1;
        if looked_at % RECORDS_AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(Loaded { delayed: LoadedDelayed { entries, until }, unread })
}
