//! Reads that pass over entries which the index has.
//!
//! A run of them is passed over if it is long, or if there is nothing else in what was asked for. What
//! lies scattered between other entries is read with them: so the subscription learns its time.

use std::{ops::Range, sync::Arc};

use geminga_managed_ledger::{Bucket, BucketError, Chain};
use geminga_subscription::ParkedEntries;
use geminga_types::Ordinal;

use super::super::{
    TopicDeps,
    compacted_view::Found,
    dispatch::{Read, read_ranges},
};

/// Most runs in one answer, about.
const RUNS_MAX: usize = 4_096;
/// Shorter ones are read, if other entries are.
const LONG_RUN: u64 = 32;

/// What the index has, from some entry on.
struct Indexed {
    runs: Vec<Range<Ordinal>>,
    due_min: u64,
}

/// Reads what was asked for, but for what is passed over.
pub(in super::super) async fn read_parking(
    chain: &Chain,
    deps: &TopicDeps,
    buckets: &[Arc<Bucket>],
    mut read: Read,
) -> Result<Found, String> {
    let mut found = Found::default();
    match parked(chain, deps, buckets, &read).await {
        Ok(Some(indexed)) => {
            read.ranges = without(&read.ranges, read.park_from, &indexed.runs);
            let Indexed { runs, due_min } = indexed;
            found.parked = Some(ParkedEntries { runs, due_min });
        }
        Ok(None) => {}
        // Everything is read then.
        Err(error) => {
            tracing::warn!(%error, "delayed messages are read one by one");
            found.damaged = error.damaged();
        }
    }
    let entries = read_ranges(chain, &deps.ledger, &read).await;
    found.entries = entries.map_err(|error| error.to_string())?;
    Ok(found)
}

/// What may be passed over, if anything.
async fn parked(
    chain: &Chain,
    deps: &TopicDeps,
    buckets: &[Arc<Bucket>],
    read: &Read,
) -> Result<Option<Indexed>, BucketError> {
    let Some(park_from) = read.park_from else { return Ok(None) };
    let asked = behind(&read.ranges, park_from);
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else { return Ok(None) };
    let mut indexed = runs_from(chain, deps, buckets, first.start, last.end).await?;
    let is_covered = |range: &Range<Ordinal>| {
        let inner = indexed.runs.partition_point(|run| run.end < range.end);
        indexed.runs.get(inner).is_some_and(|run| run.start <= range.start)
    };
    if !asked.iter().all(is_covered) {
        indexed.runs.retain(|run| LONG_RUN <= run.end.0 - run.start.0);
    }
    let is_of_use = indexed.runs.first().is_some_and(|run| run.start < last.end);
    Ok(is_of_use.then_some(indexed))
}

/// The runs that the index has from `from` on, if any lies before `to`.
async fn runs_from(
    chain: &Chain,
    deps: &TopicDeps,
    buckets: &[Arc<Bucket>],
    from: Ordinal,
    to: Ordinal,
) -> Result<Indexed, BucketError> {
    let mut indexed = Indexed { runs: Vec::new(), due_min: u64::MAX };
    let Some(first) = chain.position_of(from) else { return Ok(indexed) };
    for bucket in buckets.iter().filter(|bucket| first <= bucket.last()) {
        let mut next = first;
        while indexed.runs.len() < RUNS_MAX {
            let runs = bucket.runs_from(&deps.ledger, next).await?;
            let Some(last) = runs.last().map(geminga_managed_ledger::DelayedRun::last) else {
                break;
            };
            next = geminga_types::Position::new(last.ledger_id.0, last.entry_id.0 + 1);
            indexed.due_min = indexed.due_min.min(bucket.due_min());
            for run in runs {
                push(&mut indexed.runs, chain.ordinal_of(run.first)..chain.after(run.last()));
            }
        }
        let is_too_far = indexed.runs.first().is_some_and(|run| to <= run.start);
        if RUNS_MAX <= indexed.runs.len() || is_too_far {
            break;
        }
    }
    Ok(indexed)
}

/// Runs go on over the ends of ledgers.
fn push(runs: &mut Vec<Range<Ordinal>>, run: Range<Ordinal>) {
    match runs.last_mut() {
        Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
        _ if run.start < run.end => runs.push(run),
        _ => {}
    }
}

/// What of `ranges` lies from `from` on.
fn behind(ranges: &[Range<Ordinal>], from: Ordinal) -> Vec<Range<Ordinal>> {
    let cut = ranges.iter().map(|range| range.start.max(from)..range.end);
    cut.filter(|range| range.start < range.end).collect()
}

/// `ranges` without the parts of `runs` from `from` on.
fn without(
    ranges: &[Range<Ordinal>],
    from: Option<Ordinal>,
    runs: &[Range<Ordinal>],
) -> Vec<Range<Ordinal>> {
    let from = from.unwrap_or(Ordinal(u64::MAX));
    let mut left = Vec::new();
    for range in ranges {
        let mut start = range.start;
        for run in runs.iter().filter(|run| range.start < run.end && run.start < range.end) {
            let run = run.start.max(from)..run.end;
            if run.start < run.end {
                left.push(start..run.start.max(start));
                start = start.max(run.end);
            }
        }
        left.push(start..range.end);
    }
    left.retain(|range| range.start < range.end);
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Ordinal> {
        Ordinal(start)..Ordinal(end)
    }

    #[test]
    fn what_is_passed_over_is_not_read() {
        let ranges = [range(2, 5), range(8, 20), range(30, 31)];
        let runs = [range(3, 4), range(9, 12), range(15, 40)];
        let left = without(&ranges, Some(Ordinal(8)), &runs);
        assert_eq!(left, [range(2, 5), range(8, 9), range(12, 15)]);
        assert_eq!(without(&ranges, None, &runs), ranges);
        let left = without(&ranges, Some(Ordinal(10)), &runs);
        assert_eq!(left, [range(2, 5), range(8, 10), range(12, 15)]);
        assert_eq!(behind(&ranges, Ordinal(4)), [range(4, 5), range(8, 20), range(30, 31)]);
        assert_eq!(behind(&ranges, Ordinal(20)), [range(30, 31)]);
    }

    #[test]
    fn runs_that_touch_are_one() {
        let mut runs = Vec::new();
        for run in [range(1, 3), range(3, 5), range(5, 5), range(7, 8)] {
            push(&mut runs, run);
        }
        assert_eq!(runs, [range(1, 5), range(7, 8)]);
    }
}
