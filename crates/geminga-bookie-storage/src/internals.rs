//! Parts that benchmarks time by themselves. Not for use: they change without notice.

use geminga_bookie_api::AddEntry;
use geminga_types::{EntryId, LedgerId};

use crate::{
    index::{Index, Row},
    journal::{format::GroupHead, group::encode},
};

/// Builds a journal group of these entries.
#[must_use]
pub fn build_group(entries: &[AddEntry]) -> Vec<u8> {
    let head =
        GroupHead { generation: 1, salt: 2, sequence: 3, durable_before: 3, length: 0, count: 0 };
    encode(head, entries, &[], &mut Vec::with_capacity(entries.len()))
}

/// An index by itself.
#[derive(Debug, Default)]
pub struct Rows(Index);

impl Rows {
    /// `per_ledger` rows of a hundred entries each in each of `ledgers` ledgers.
    #[must_use]
    pub fn filled(ledgers: i64, per_ledger: i64) -> Self {
        let mut index = Index::default();
        index.put_file(0, 0, 0, true);
        for flush in 0..per_ledger {
            for ledger in 0..ledgers {
                let row = Row {
                    first: EntryId(flush * 100),
                    last: EntryId(flush * 100 + 99),
                    newness: flush.unsigned_abs(),
                    file: 0,
                    offset: 4096,
                    length: 100_000,
                    count: 100,
                };
                index.insert(LedgerId(ledger), row);
            }
        }
        Self(index)
    }

    /// How many rows hold an entry.
    #[must_use]
    pub fn look_up(&self, ledger_id: LedgerId, entry_id: EntryId) -> usize {
        self.0.select(ledger_id, entry_id, entry_id).count()
    }
}
