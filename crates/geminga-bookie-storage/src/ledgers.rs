//! What the bookie knows of each ledger besides its entries, and which ledgers are deleted.
//!
//! # Invariants
//!
//! 1. A deleted ledger has no state; ids are never reused, so it stays deleted for ever. The set
//!    is kept as ranges, which deletion of neighbours keeps short.

use std::collections::BTreeMap;

use geminga_types::{EntryId, LedgerId};

/// One ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) is_fenced: bool,
    /// Last entry held here; −1 for none.
    pub(crate) last_entry: EntryId,
    /// Highest LAC that an envelope held here names.
    pub(crate) last_add_confirmed: EntryId,
}

/// All ledgers.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    known: BTreeMap<LedgerId, Ledger>,
    deleted: IdRanges,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { is_fenced: false, last_entry: EntryId::NONE, last_add_confirmed: EntryId::NONE }
    }
}

impl Ledgers {
    pub(crate) fn get(&self, ledger_id: LedgerId) -> Option<&Ledger> {
        self.known.get(&ledger_id)
    }

    /// The state of a ledger that is not deleted, made when it is new.
    pub(crate) fn entry(&mut self, ledger_id: LedgerId) -> Option<&mut Ledger> {
        if self.is_deleted(ledger_id) {
            return None;
        }
        Some(self.known.entry(ledger_id).or_default())
    }

    pub(crate) fn is_deleted(&self, ledger_id: LedgerId) -> bool {
        self.deleted.contains(ledger_id.0)
    }

    pub(crate) fn delete(&mut self, ledger_id: LedgerId) {
        self.known.remove(&ledger_id);
        self.deleted.insert(ledger_id.0, ledger_id.0);
    }

    /// Takes over a range of deleted ids from the index.
    pub(crate) fn delete_range(&mut self, first: LedgerId, last: LedgerId) {
        self.deleted.insert(first.0, last.0);
        if first <= last {
            let gone: Vec<LedgerId> = self.known.range(first..=last).map(|(id, _)| *id).collect();
            gone.iter().for_each(|ledger_id| _ = self.known.remove(ledger_id));
        }
    }

    /// Fences every ledger: for when it is not known which were.
    pub(crate) fn fence_all(&mut self) {
        for ledger in self.known.values_mut() {
            ledger.is_fenced = true;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LedgerId, &Ledger)> {
        self.known.iter().map(|(ledger_id, ledger)| (*ledger_id, ledger))
    }

    /// The deleted ids, as ranges of first and last.
    pub(crate) fn deleted(&self) -> impl Iterator<Item = (LedgerId, LedgerId)> {
        self.deleted.0.iter().map(|(first, last)| (LedgerId(*first), LedgerId(*last)))
    }

    /// The highest id of all, deleted ones too.
    pub(crate) fn newest(&self) -> Option<LedgerId> {
        let known = self.known.last_key_value().map(|(ledger_id, _)| *ledger_id);
        let deleted = self.deleted.0.last_key_value().map(|(_, last)| LedgerId(*last));
        known.max(deleted)
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

/// A set of ids as disjoint ranges that do not touch, first to last.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdRanges(BTreeMap<i64, i64>);

impl IdRanges {
    /// The ranges between `first` and `last` that are not in the set.
    pub(crate) fn gaps(&self, first: i64, last: i64) -> Vec<(i64, i64)> {
        let mut gaps = Vec::new();
        let mut next = first;
        for (&held_first, &held_last) in self.0.range(..=last) {
            if next < held_first {
                gaps.push((next, held_first - 1));
            }
            next = next.max(held_last.saturating_add(1));
        }
        if next <= last {
            gaps.push((next, last));
        }
        gaps
    }

    pub(crate) fn contains(&self, id: i64) -> bool {
        self.0.range(..=id).next_back().is_some_and(|(_, last)| id <= *last)
    }

    pub(crate) fn insert(&mut self, mut first: i64, mut last: i64) {
        if first > last {
            return;
        }
        // Every range that begins in or right after the new one, or reaches or touches its begin.
        while let Some((&other_first, &other_last)) =
            self.0.range(..=last.saturating_add(1)).next_back()
        {
            if other_last.saturating_add(1) < first {
                break;
            }
            self.0.remove(&other_first);
            first = first.min(other_first);
            last = last.max(other_last);
        }
        self.0.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(inserts in prop::collection::vec((0_i64..60, 0_i64..4), 0..40)) {
            let (mut ranges, mut set) = (IdRanges::default(), BTreeSet::new());
            for (first, more) in inserts {
                ranges.insert(first, first + more);
                set.extend(first..=first + more);
            }
            for id in -1..70 {
                prop_assert_eq!(ranges.contains(id), set.contains(&id), "{}", id);
            }
            let gaps: Vec<i64> =
                ranges.gaps(-1, 69).into_iter().flat_map(|(first, last)| first..=last).collect();
            let absent: Vec<i64> = (-1..70).filter(|id| !set.contains(id)).collect();
            prop_assert_eq!(gaps, absent);
            let touching = ranges.0.iter().zip(ranges.0.keys().skip(1)).any(|((_, last), next)| last + 1 >= *next);
            prop_assert!(!touching);
        }
    }

    #[test]
    fn a_deleted_ledger_has_no_state() {
        let mut ledgers = Ledgers::default();
        ledgers.entry(LedgerId(3)).unwrap().last_entry = EntryId(7);
        ledgers.delete(LedgerId(3));
        assert!(ledgers.get(LedgerId(3)).is_none());
        assert!(ledgers.entry(LedgerId(3)).is_none());
        ledgers.entry(LedgerId(4)).unwrap();
        ledgers.delete_range(LedgerId(4), LedgerId(9));
        assert!(ledgers.get(LedgerId(4)).is_none());
        assert_eq!(ledgers.newest(), Some(LedgerId(9)));
        ledgers.entry(LedgerId(11)).unwrap();
        assert_eq!(ledgers.newest(), Some(LedgerId(11)));
        assert_eq!(ledgers.deleted().collect::<Vec<_>>(), [(LedgerId(3), LedgerId(9))]);
    }
}
