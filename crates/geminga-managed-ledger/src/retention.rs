//! Which ledgers nobody needs any more.

use std::{collections::BTreeSet, time::Duration};

use geminga_env::Timestamp;
use geminga_types::{LedgerId, Ordinal};

use crate::chain::Span;

/// How long and how much of what nobody needs is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// At least this long; `None`: forever.
    pub(crate) time: Option<Duration>,
    /// At most this much; `None`: all of it.
    pub(crate) bytes: Option<u64>,
}

/// Chooses the closed ledgers that may go: a prefix, entirely before `needed`, each either kept for
/// its time or over the size that is kept. Never the last ledger that has entries: `closed` comes
/// with whether that is its last.
pub(crate) fn expendable(
    retention: Retention,
    (closed, is_last_closed): (&[Span], bool),
    chain_bytes: u64,
    needed: Option<Ordinal>,
    now: Timestamp,
) -> BTreeSet<LedgerId> {
    let candidates = closed.len() - usize::from(is_last_closed && !closed.is_empty());
    let mut bytes_left = chain_bytes;
    let mut chosen = BTreeSet::new();
    for span in &closed[..candidates] {
        bytes_left = bytes_left.saturating_sub(span.bytes);
        let is_needed = needed.is_some_and(|needed| needed < span.end());
        let age = span.closed_at.map_or(0, |at| now.0.saturating_sub(at.0));
        let is_expired = retention.time.is_some_and(|time| time.as_millis() <= u128::from(age));
        let is_over_size = retention.bytes.is_some_and(|bytes| bytes <= bytes_left);
        if is_needed || !(is_expired || is_over_size) {
            break;
        }
        chosen.insert(span.ledger_id);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(ledger: i64, closed_at: u64) -> Span {
        Span {
            ledger_id: LedgerId(ledger),
            first: Ordinal(u64::try_from(ledger).unwrap() * 10),
            entries: 10,
            bytes: 100,
            closed_at: Some(Timestamp(closed_at)),
        }
    }

    /// Five closed ledgers of ten entries and 100 bytes, closed at 1000, 2000, …; an open one behind.
    fn chosen(time: Option<u64>, bytes: Option<u64>, needed: Option<u64>, now: u64) -> Vec<i64> {
        let closed: Vec<Span> = (0..5).map(|n| span(n, 1000 * (n.unsigned_abs() + 1))).collect();
        let retention = Retention { time: time.map(Duration::from_millis), bytes };
        let needed = needed.map(Ordinal);
        let chosen = expendable(retention, (&closed, false), 550, needed, Timestamp(now));
        chosen.into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn without_retention_everything_that_is_consumed_goes() {
        assert_eq!(chosen(Some(0), Some(0), None, 5000), [0, 1, 2, 3, 4]);
        assert_eq!(chosen(Some(0), Some(0), Some(30), 5000), [0, 1, 2]);
        assert_eq!(chosen(Some(0), Some(0), Some(29), 5000), [0, 1]);
        assert_eq!(chosen(Some(0), Some(0), Some(0), 5000), [0_i64; 0]);
    }

    #[test]
    fn what_is_within_the_time_and_the_size_stays() {
        assert_eq!(chosen(Some(1000), None, None, 3000), [0, 1]);
        assert_eq!(chosen(Some(1000), None, Some(10), 3000), [0]);
        assert_eq!(chosen(None, Some(350), None, 9000), [0, 1]);
        assert_eq!(chosen(None, Some(351), None, 9000), [0]);
        assert_eq!(chosen(None, None, None, 9000), [0_i64; 0]);
        assert_eq!(chosen(Some(1000), Some(350), None, 2000), [0, 1]);
    }

    #[test]
    fn a_clock_that_stepped_back_expires_nothing_early() {
        assert_eq!(chosen(Some(1000), None, None, 0), [0_i64; 0]);
    }

    #[test]
    fn the_last_ledger_stays() {
        let retention = Retention { time: Some(Duration::ZERO), bytes: None };
        let chosen =
            |closed: &[Span]| expendable(retention, (closed, true), 0, None, Timestamp(9000));
        assert_eq!(chosen(&[]).len(), 0);
        assert_eq!(chosen(&[span(0, 1)]).len(), 0);
        assert_eq!(chosen(&[span(0, 1), span(1, 1)]), [LedgerId(0)].into());
    }
}
