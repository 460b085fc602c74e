//! Decides which messages share an entry.
//!
//! # Invariants
//!
//! 1. Messages leave in the order in which they came.
//! 2. A batch has messages of one key only, so that Key_Shared sends it to the right consumer.
//! 3. What is not closed by a limit is closed by its delay.

use bytes::Bytes;
use geminga_env::Instant;
use smallvec::SmallVec;

use super::Batching;
use crate::OutgoingMetadata;

/// A message with its place in the producer's order.
#[derive(Debug)]
pub(super) struct Item<W> {
    pub(super) sequence_id: u64,
    pub(super) metadata: OutgoingMetadata,
    pub(super) payload: Bytes,
    pub(super) waiter: W,
    pub(super) since: Instant,
}

/// Messages that become one entry: at least one.
pub(super) type Draft<W> = Vec<Item<W>>;

#[derive(Debug)]
pub(super) struct Batcher<W> {
    limits: Option<Batching>,
    open: Draft<W>,
    bytes: usize,
}

impl<W> Batcher<W> {
    pub(super) const fn new(limits: Option<Batching>) -> Self {
        Self { limits, open: Vec::new(), bytes: 0 }
    }

    /// No batch may be larger than that.
    pub(super) fn limit_bytes(&mut self, bytes_max: usize) {
        if let Some(limits) = &mut self.limits {
            limits.bytes_max = limits.bytes_max.min(bytes_max);
        }
    }

    /// Adds a message; answers what is complete by that.
    pub(super) fn push(&mut self, item: Item<W>) -> SmallVec<[Draft<W>; 2]> {
        let mut complete = SmallVec::new();
        let Some(limits) = self.limits.filter(|_| item.metadata.is_batchable()) else {
            complete.extend(self.flush());
            complete.push(vec![item]);
            return complete;
        };
        let size = size_of(&item);
        let bytes = self.bytes.saturating_add(size);
        if limits.bytes_max < bytes || !self.open.first().is_none_or(|first| shares(first, &item)) {
            complete.extend(self.flush());
        }
        self.open.push(item);
        self.bytes = self.bytes.saturating_add(size);
        let messages = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        if limits.messages_max <= messages || limits.bytes_max <= self.bytes {
            complete.extend(self.flush());
        }
        complete
    }

    /// Closes the open batch, if there is one.
    pub(super) fn flush(&mut self) -> Option<Draft<W>> {
        self.bytes = 0;
        let draft = std::mem::take(&mut self.open);
        (!draft.is_empty()).then_some(draft)
    }

    /// When the open batch must be closed.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let delay = self.limits?.delay;
        self.open.first().map(|first| first.since + delay)
    }

    /// Closes the open batch if its time has come.
    pub(super) fn on_timeout(&mut self, now: Instant) -> Option<Draft<W>> {
        if self.next_timeout().is_some_and(|at| at <= now) { self.flush() } else { None }
    }
}

/// Two that differ in what routes them can't share an entry, nor can numbers that go back.
fn shares<W>(first: &Item<W>, item: &Item<W>) -> bool {
    first.metadata.key == item.metadata.key
        && first.metadata.key_is_base64 == item.metadata.key_is_base64
        && first.metadata.ordering_key == item.metadata.ordering_key
        && first.sequence_id <= item.sequence_id
}

/// At least what it takes in a batch: all lengths and numbers of its metadata included.
fn size_of<W>(item: &Item<W>) -> usize {
    const METADATA_MAX: usize = 64;
    const PROPERTY_MAX: usize = 18;
    let Item { metadata, payload, .. } = item;
    let properties = metadata.properties.iter();
    let properties = properties.map(|(name, value)| name.len() + value.len() + PROPERTY_MAX);
    let key = metadata.key.as_ref().map_or(0, String::len);
    let ordering_key = metadata.ordering_key.as_ref().map_or(0, Bytes::len);
    METADATA_MAX + properties.sum::<usize>() + key + ordering_key + payload.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use geminga_env::sim::World;
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    const LIMITS: Batching =
        Batching { messages_max: 4, bytes_max: 330, delay: Duration::from_millis(5) };

    fn item(sequence_id: u64, size: usize, since: Instant) -> Item<u64> {
        let payload = Bytes::from(vec![0; size]);
        let metadata = OutgoingMetadata::default();
        Item { sequence_id, metadata, payload, waiter: sequence_id, since }
    }

    fn ids<'a>(drafts: impl IntoIterator<Item = &'a Draft<u64>>) -> Vec<Vec<u64>> {
        drafts.into_iter().map(|draft| draft.iter().map(|item| item.waiter).collect()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn limits_close_a_batch() {
        let now = World::new(0).env().clock.now();
        let mut batcher = Batcher::new(Some(LIMITS));
        for sequence_id in 0..3 {
            assert!(batcher.push(item(sequence_id, 1, now)).is_empty());
        }
        assert_eq!(ids(&batcher.push(item(3, 1, now))), [[0, 1, 2, 3]]);
        assert!(batcher.push(item(4, 140, now)).is_empty());
        assert_eq!(ids(&batcher.push(item(5, 140, now))), [[4]]);
        assert_eq!(ids(&batcher.push(item(6, 1_000, now))), [[5], [6]]);
        assert!(batcher.push(item(7, 1, now)).is_empty());
        assert!(batcher.on_timeout(now + Duration::from_millis(4)).is_none());
        assert_eq!(ids(&batcher.on_timeout(now + Duration::from_millis(5))), [[7]]);
        assert_eq!(batcher.next_timeout(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn keys_and_delays_are_kept_apart() {
        let now = World::new(0).env().clock.now();
        let mut batcher = Batcher::new(Some(LIMITS));
        let mut keyed = item(1, 1, now);
        keyed.metadata.key = Some("k".to_owned());
        let mut delayed = item(2, 1, now);
        delayed.metadata.deliver_at = Some(geminga_env::Timestamp(1));
        assert!(batcher.push(item(0, 1, now)).is_empty());
        assert_eq!(ids(&batcher.push(keyed)), [[0]]);
        assert_eq!(ids(&batcher.push(delayed)), [[1], [2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_lost_or_reordered() {
        let start = World::new(0).env().clock.now();
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let limits = rng.random_bool(0.9).then_some(LIMITS);
            let mut batcher = Batcher::new(limits);
            let (mut now, mut next, mut left) = (start, 0, Vec::new());
            for _ in 0..rng.random_range(0..40) {
                now += Duration::from_millis(rng.random_range(0..3));
                let drafts = if rng.random_bool(0.8) {
                    let mut message = item(next, rng.random_range(0..300), now);
                    message.metadata.key = rng.random_bool(0.2).then(|| "k".to_owned());
                    next += 1;
                    batcher.push(message)
                } else {
                    batcher.on_timeout(now).into_iter().collect()
                };
                for draft in &drafts {
                    let size: usize = draft.iter().map(size_of).sum();
                    assert!(draft.len() == 1 || size <= LIMITS.bytes_max, "seed {seed}");
                    assert!(
                        draft.len() <= 4 && (limits.is_some() || draft.len() == 1),
                        "seed {seed}"
                    );
                    assert!(
                        draft.iter().all(|i| i.metadata.key == draft[0].metadata.key),
                        "seed {seed}"
                    );
                }
                left.extend(ids(&drafts).concat());
            }
            left.extend(ids(&batcher.flush()).concat());
            assert_eq!(left, (0..next).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}
