//! Entries as a list of numbers, given out in the order of appends.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use geminga_managed_ledger::{AppendError, Outcome};

#[derive(Debug, Default)]
pub(super) struct EntryModel {
    next: u64,
    /// Appended in this life, without an outcome.
    pending: VecDeque<u64>,
    /// Confirmed in any life, or found by a load; also what was trimmed.
    pub(super) confirmed: Vec<u64>,
    /// May be found by the next load.
    may_exist: BTreeSet<u64>,
    /// So many of `confirmed` were found to be trimmed, or may be.
    trimmed: usize,
    trimmed_max: usize,
}

fn number(body: &[u8]) -> u64 {
    u64::from_be_bytes(body[..8].try_into().unwrap())
}

impl EntryModel {
    pub(super) fn append(&mut self) -> Bytes {
        let number = self.next;
        self.next += 1;
        self.pending.push_back(number);
        let filler = vec![0xab; usize::try_from(number % 50).unwrap()];
        Bytes::from([number.to_be_bytes().as_slice(), &filler].concat())
    }

    pub(super) fn on_their_way(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn may_trim(&mut self, before: usize) {
        self.trimmed_max = self.trimmed_max.max(before);
    }

    pub(super) fn outcome(&mut self, outcome: Outcome, seed: u64) {
        let expected = self.pending.pop_front().expect("one outcome for each append");
        match outcome {
            Outcome::Confirmed(confirmed) => {
                assert_eq!(number(&confirmed.body), expected, "seed {seed}");
                self.confirmed.push(expected);
                // What failed before it was cut off when its ledger was closed.
                self.may_exist.clear();
            }
            Outcome::Failed(AppendError::MayExist(_)) => _ = self.may_exist.insert(expected),
            Outcome::Failed(AppendError::NotStored(_) | AppendError::Closed) => {}
            Outcome::Failed(error) => panic!("seed {seed}: {error}"),
        }
    }

    /// Compares with what a load found. Returns how many entries are trimmed before it.
    pub(super) fn reopened(&mut self, bodies: &[Bytes], seed: u64) -> usize {
        self.may_exist.extend(self.pending.drain(..));
        let found: Vec<u64> = bodies.iter().map(|body| number(body)).collect();
        let Some(&first) = found.first() else {
            assert!(self.confirmed.is_empty(), "seed {seed}: all of {:?} lost", self.confirmed);
            return 0;
        };
        let is_first = |number: &u64| *number == first;
        let start = self.confirmed.iter().position(is_first).unwrap_or(self.confirmed.len());
        assert!(self.trimmed <= start, "seed {seed}: trimmed entries are back");
        assert!(
            start <= self.trimmed_max,
            "seed {seed}: lost {:?}",
            &self.confirmed[self.trimmed_max..start]
        );
        let known = &self.confirmed[start..];
        assert!(found.starts_with(known), "seed {seed}: {known:?} became {found:?}");
        for &number in &found[known.len()..] {
            assert!(self.may_exist.contains(&number), "seed {seed}: {number} should not exist");
            assert!(
                self.confirmed.last().is_none_or(|&last| last < number),
                "seed {seed}: {number} is out of order"
            );
            self.confirmed.push(number);
        }
        self.may_exist.clear();
        self.trimmed = start;
        start
    }
}
