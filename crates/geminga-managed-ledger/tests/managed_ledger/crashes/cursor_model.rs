//! A cursor as one naive state after each of its changes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use geminga_managed_ledger::{CursorDelta, CursorState};
use geminga_types::{EntryId, Position};
use rand::{Rng as _, rngs::StdRng};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Acks {
    mark_delete: Position,
    acked: BTreeSet<Position>,
    partial: BTreeMap<Position, Vec<i64>>,
    counts: BTreeMap<Position, u32>,
    records: BTreeMap<Bytes, Bytes>,
}

#[derive(Debug, Default)]
pub(super) struct CursorModel {
    existence: Existence,
    /// After each change of this life; the first is what the load found.
    states: Vec<Acks>,
    durable: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Existence {
    #[default]
    No,
    Making,
    Yes,
    Deleting,
    /// An attempt to make or delete it failed without saying whether it did.
    Unknown,
}

impl Acks {
    fn of(state: &CursorState) -> Self {
        let entries = |&(first, last): &(Position, Position)| {
            assert_eq!(first.ledger_id, last.ledger_id);
            let position = move |entry| Position { entry_id: EntryId(entry), ..first };
            (first.entry_id.0..=last.entry_id.0).map(position)
        };
        Self {
            mark_delete: state.mark_delete,
            acked: state.acked.iter().flat_map(entries).collect(),
            partial: state.partial.iter().cloned().collect(),
            counts: state.redelivery_counts.iter().copied().collect(),
            records: state.records.clone(),
        }
    }

    fn apply(&mut self, delta: &CursorDelta) {
        if delta.reset {
            let records = std::mem::take(&mut self.records);
            *self = Self { records, ..Self::of(&CursorState::default()) };
        }
        for (key, value) in &delta.records {
            match value {
                Some(value) => self.records.insert(key.clone(), value.clone()),
                None => self.records.remove(key),
            };
        }
        self.partial.extend(delta.partial.iter().cloned());
        self.counts.extend(delta.redelivery_counts.iter().copied());
        self.acked.extend(delta.acked.iter().map(|(position, _)| *position));
        self.mark_delete = self.mark_delete.max(delta.mark_delete.unwrap_or(self.mark_delete));
        self.acked.retain(|position| self.mark_delete < *position);
        let Self { mark_delete, acked, partial, counts, .. } = self;
        let is_open = |position: &Position| *mark_delete < *position && !acked.contains(position);
        partial.retain(|position, _| is_open(position));
        counts.retain(|position, _| is_open(position));
    }
}

impl CursorModel {
    pub(super) fn may_be_made(&self) -> bool {
        matches!(self.existence, Existence::No)
    }

    pub(super) fn exists(&self) -> bool {
        matches!(self.existence, Existence::Yes)
    }

    pub(super) fn make(&mut self, at: Position) {
        self.existence = Existence::Making;
        self.states = vec![Acks::of(&CursorState::at(at))];
        self.durable = 0;
    }

    pub(super) fn made(&mut self, seed: u64) {
        assert_eq!(self.existence, Existence::Making, "seed {seed}");
        self.existence = Existence::Yes;
    }

    pub(super) fn make_failed(&mut self) {
        self.existence = Existence::Unknown;
    }

    pub(super) fn delete(&mut self) {
        self.existence = Existence::Deleting;
    }

    pub(super) fn deleted(&mut self) {
        self.existence = Existence::No;
    }

    pub(super) fn delete_failed(&mut self) {
        self.existence = Existence::Unknown;
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// All that the owner knows, as it answers when asked for it.
    pub(super) fn snapshot(&self) -> Option<CursorState> {
        let last = self.states.last()?;
        Some(CursorState {
            acked: last.acked.iter().map(|&position| (position, position)).collect(),
            partial: last.partial.clone().into_iter().collect(),
            redelivery_counts: last.counts.clone().into_iter().collect(),
            records: last.records.clone(),
            ..CursorState::at(last.mark_delete)
        })
    }

    pub(super) fn random_delta(&mut self, at: Position, rng: &mut StdRng) -> CursorDelta {
        let mut state = self.states.last().unwrap().clone();
        let delta = match rng.random_range(0..24) {
            0..10 => CursorDelta { acked: vec![(at, at)], ..CursorDelta::default() },
            10..14 if state.mark_delete < at => {
                CursorDelta { mark_delete: Some(at), ..CursorDelta::default() }
            }
            10..14 => {
                let redelivery_counts = vec![(at, rng.random_range(1..9))];
                CursorDelta { redelivery_counts, ..CursorDelta::default() }
            }
            14..18 => {
                let ack_set = vec![rng.random_range(1..16)];
                CursorDelta { partial: vec![(at, ack_set)], ..CursorDelta::default() }
            }
            18..22 => {
                let key = Bytes::from(vec![rng.random_range(0..3)]);
                let value = rng.random_bool(0.8).then(|| Bytes::from(vec![rng.random()]));
                let mark_delete = (state.mark_delete < at).then_some(at);
                CursorDelta { mark_delete, records: vec![(key, value)], ..CursorDelta::default() }
            }
            _ => CursorDelta { mark_delete: Some(at), reset: true, ..CursorDelta::default() },
        };
        state.apply(&delta);
        self.states.push(state);
        delta
    }

    /// Returns how many changes became durable.
    pub(super) fn durable(&mut self, up_to: u64, seed: u64) -> usize {
        let up_to = usize::try_from(up_to).unwrap();
        assert!(self.durable < up_to && up_to < self.states.len(), "seed {seed}: {up_to}");
        up_to - std::mem::replace(&mut self.durable, up_to)
    }

    pub(super) fn assert_all_durable(&self, seed: u64) {
        if self.existence == Existence::Yes {
            assert_eq!(self.durable, self.states.len() - 1, "seed {seed}");
        }
    }

    /// Compares with what a load found. Returns how many changes that were not reported durable it
    /// found and did not find.
    pub(super) fn reopened(&mut self, found: Option<CursorState>, seed: u64) -> [usize; 2] {
        let Some(found) = found else {
            assert_ne!(self.existence, Existence::Yes, "seed {seed}: a cursor is lost");
            *self = Self::default();
            return [0, 0];
        };
        assert_ne!(self.existence, Existence::No, "seed {seed}: a cursor is back: {found:?}");
        let acks = Acks::of(&found);
        let after_durable = &self.states[self.durable..];
        let Some(kept) = after_durable.iter().rposition(|state| *state == acks) else {
            panic!("seed {seed}: found {acks:?}, expected one of {after_durable:?}")
        };
        let lost = after_durable.len() - 1 - kept;
        *self = Self { existence: Existence::Yes, states: vec![acks], durable: 0 };
        [kept, lost]
    }
}
