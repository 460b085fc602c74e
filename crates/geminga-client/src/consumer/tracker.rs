//! Which messages of batches are acked, until the whole entry can be.
//!
//! # Invariants
//!
//! 1. An entry is acked as a whole only once each of its messages is.

use std::collections::BTreeMap;

use geminga_types::{EntryId, Position};
use geminga_wire::{
    ack_set::{self, AckWords},
    entry::MESSAGES_IN_BATCH_MAX,
    frame::AckedId,
};

use crate::{MessageId, message::BatchPlace};

#[derive(Debug)]
pub(super) struct AckTracker {
    /// Entries that are acked in part.
    partial: BTreeMap<Position, AckWords>,
    /// Whether the broker is told of parts.
    tells_indexes: bool,
}

impl AckTracker {
    pub(super) const fn new(tells_indexes: bool) -> Self {
        Self { partial: BTreeMap::new(), tells_indexes }
    }

    /// An entry was delivered, perhaps again: what the broker says of its parts is what counts.
    pub(super) fn delivered(&mut self, position: Position, ack_set: &[i64]) {
        if ack_set.is_empty() {
            self.partial.remove(&position);
        } else {
            self.partial.insert(position, AckWords::from_slice(ack_set));
        }
    }

    /// What to tell the broker about one message that was acked, if anything.
    pub(super) fn ack(&mut self, id: MessageId) -> Option<AckedId> {
        let Some(place) = id.batch else {
            self.partial.remove(&id.position);
            return Some(acked(id, AckWords::new()));
        };
        let left = self.left(id.position, place);
        ack_set::clear(left, place.index);
        self.settle(id)
    }

    /// What to tell the broker about a message that was acked with all before it, if anything.
    pub(super) fn ack_cumulative(&mut self, id: MessageId) -> Option<AckedId> {
        self.partial = self.partial.split_off(&id.position);
        let Some(place) = id.batch else {
            self.partial.remove(&id.position);
            return Some(acked(id, AckWords::new()));
        };
        let left = self.left(id.position, place);
        ack_set::clear_through(left, place.index);
        self.settle(id).or_else(|| {
            // The broker is not told of parts, but of all before this entry.
            let EntryId(entry_id) = id.position.entry_id;
            let before = Position { entry_id: EntryId(entry_id.checked_sub(1)?), ..id.position };
            let before = MessageId::of_entry(before, id.partition);
            (0 <= before.position.entry_id.0).then(|| acked(before, AckWords::new()))
        })
    }

    fn left(&mut self, position: Position, place: BatchPlace) -> &mut AckWords {
        let size = place.size.min(MESSAGES_IN_BATCH_MAX);
        self.partial.entry(position).or_insert_with(|| ack_set::full(size))
    }

    fn settle(&mut self, id: MessageId) -> Option<AckedId> {
        let left = self.partial.get(&id.position)?;
        if ack_set::is_empty(left) {
            self.partial.remove(&id.position);
            return Some(acked(id, AckWords::new()));
        }
        self.tells_indexes.then(|| acked(id, left.clone()))
    }
}

/// A whole entry when `ack_set` is empty, else all of it but what is in the set.
fn acked(id: MessageId, ack_set: AckWords) -> AckedId {
    let (batch_index, batch_size) = if ack_set.is_empty() { (-1, 0) } else { id.wire_batch() };
    let (position, partition) = (id.position, id.wire_partition());
    AckedId { position, partition, batch_index, batch_size, ack_set }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn id(entry_id: i64, batch: Option<(u32, u32)>) -> MessageId {
        let batch = batch.map(|(index, size)| BatchPlace { index, size });
        MessageId { partition: None, position: Position::new(1, entry_id), batch }
    }

    #[test]
    fn a_batch_is_acked_with_its_last_message() {
        let mut tracker = AckTracker::new(false);
        assert!(tracker.ack(id(5, Some((0, 3)))).is_none());
        assert!(tracker.ack(id(5, Some((2, 3)))).is_none());
        let whole = tracker.ack(id(5, Some((1, 3)))).unwrap();
        assert!(whole.ack_set.is_empty() && whole.batch_index == -1);
        let before = tracker.ack_cumulative(id(9, Some((1, 3)))).unwrap();
        assert_eq!(before.position, Position::new(1, 8));
        assert!(tracker.ack_cumulative(id(0, Some((1, 3)))).is_none());
    }

    #[test]
    fn the_brokers_word_counts_on_delivery() {
        let mut tracker = AckTracker::new(true);
        tracker.delivered(Position::new(1, 5), &[0b101]);
        assert_eq!(tracker.ack(id(5, Some((0, 3)))).unwrap().ack_set.as_slice(), [0b100]);
        tracker.delivered(Position::new(1, 5), &[]);
        assert_eq!(tracker.ack(id(5, Some((0, 3)))).unwrap().ack_set.as_slice(), [0b110]);
    }

    /// Goal: the broker's view is what the application acked, and no more.
    /// Method: a broker that keeps a set of unacked messages for each entry.
    #[test]
    fn the_broker_knows_what_was_acked() {
        const ENTRIES: i64 = 5;
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let tells = rng.random();
            let sizes: Vec<Option<u32>> = (0..ENTRIES)
                .map(|_| rng.random_bool(0.7).then(|| rng.random_range(1..130)))
                .collect();
            let messages: Vec<(i64, Option<(u32, u32)>)> = (0..)
                .zip(&sizes)
                .flat_map(|(entry, size)| match *size {
                    None => vec![(entry, None)],
                    Some(size) => (0..size).map(|index| (entry, Some((index, size)))).collect(),
                })
                .collect();
            let mut tracker = AckTracker::new(tells);
            let mut acked_by_app = BTreeSet::new();
            let mut unacked_at_broker: BTreeSet<_> = messages.iter().copied().collect();
            for _ in 0..rng.random_range(0..400) {
                let chosen = rng.random_range(0..messages.len());
                let (entry, batch) = messages[chosen];
                let cumulative = rng.random_bool(0.01);
                let told = if cumulative {
                    acked_by_app.extend(messages[..=chosen].iter().copied());
                    tracker.ack_cumulative(id(entry, batch))
                } else {
                    acked_by_app.insert(messages[chosen]);
                    tracker.ack(id(entry, batch))
                };
                let Some(told) = told else { continue };
                unacked_at_broker.retain(|(entry, batch)| {
                    let is_it = *entry == told.position.entry_id.0;
                    let index = batch.map_or(0, |(index, _)| index);
                    let is_left = is_it && ack_set::is_set(&told.ack_set, index);
                    let is_before = cumulative && *entry < told.position.entry_id.0;
                    !is_before && (!is_it || is_left)
                });
            }
            for message in &messages {
                let is_acked = !unacked_at_broker.contains(message);
                assert!(!is_acked || acked_by_app.contains(message), "seed {seed}: {message:?}");
                if tells || message.1.is_none() {
                    assert_eq!(
                        is_acked,
                        acked_by_app.contains(message),
                        "seed {seed}: {message:?}"
                    );
                }
            }
            for (entry, size) in (0..).zip(&sizes) {
                let all =
                    (0..size.unwrap_or(1)).map(|index| (entry, size.map(|size| (index, size))));
                if all.clone().all(|message| acked_by_app.contains(&message)) {
                    assert!(all.clone().all(|m| !unacked_at_broker.contains(&m)), "seed {seed}");
                }
            }
        }
    }
}
