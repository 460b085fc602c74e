use super::*;
use crate::{
    Action, DeadLetter, DelayedEntry, Delivery, Entry, KeySharedMode, KeySharedOptions,
    LoadedDelayed, ParkedEntries, ReadFailed, ReadId,
};

mod auditing;
mod by_key;
mod chunks;
mod dead;
mod delayed;
mod explaining;
mod holding;
mod in_order;
mod parts;
mod reading;
mod shared;

const A: ConsumerKey = ConsumerKey(1);
const B: ConsumerKey = ConsumerKey(2);
const C: ConsumerKey = ConsumerKey(3);

/// A subscription with a topic behind it that answers reads at once.
struct Rig {
    sub: Subscription<u64>,
    stored: Vec<Entry<u64>>,
    now: u64,
    told: Vec<(ConsumerKey, bool)>,
    own: Vec<AckChange>,
    /// Parts of the topic of which there is an index of delayed entries.
    indexed: Vec<Range<Ordinal>>,
    /// What was asked of it.
    loads: Vec<((u64, Ordinal), usize)>,
    /// What was read.
    read: Vec<u64>,
    letters: Vec<DeadLetter<u64>>,
}

fn entry(at: u64) -> Entry<u64> {
    Entry {
        ordinal: Ordinal(at),
        messages: 1,
        bytes: 10,
        key_hash: 0,
        deliver_at: None,
        published_at: at,
        visible: true,
        chunk: None,
        payload: at,
    }
}

fn info(name: &str, kind: Kind, priority: i32) -> ConsumerInfo {
    ConsumerInfo { name: name.into(), priority, kind, key_shared: None }
}

fn ack(at: u64) -> Ack {
    Ack { ordinal: Ordinal(at), ack_set: None, batch_size: None }
}

fn ack_set(at: u64, words: &[i64], batch_size: Option<u32>) -> Ack {
    Ack { ordinal: Ordinal(at), ack_set: Some(words.into()), batch_size }
}

fn range(start: u64, end: u64) -> Range<Ordinal> {
    Ordinal(start)..Ordinal(end)
}

impl Rig {
    /// A topic with `count` entries of one message and nothing acked.
    fn new(options: Options, count: u64) -> Self {
        let start = AckState::before(Ordinal(0));
        Self {
            sub: Subscription::new(options, start, Ordinal(0), Ordinal(count)),
            stored: (0..count).map(entry).collect(),
            now: 1000,
            told: vec![],
            own: vec![],
            indexed: vec![],
            loads: vec![],
            read: vec![],
            letters: vec![],
        }
    }

    fn with(mut self, kind: Kind, keys: &[ConsumerKey]) -> Self {
        for &key in keys {
            self.sub.attach(key, info(&format!("c{}", key.0), kind, 0)).unwrap();
        }
        self
    }

    fn publish(&mut self, change: impl FnOnce(&mut Entry<u64>)) {
        let mut new = entry(self.stored.len() as u64);
        change(&mut new);
        self.stored.push(new);
        self.sub.extend(Ordinal(self.stored.len() as u64));
    }

    /// Polls dry, answering reads; returns what was delivered.
    fn poll(&mut self) -> Vec<(ConsumerKey, Delivery<u64>)> {
        let mut delivered = vec![];
        while let Some(action) = self.sub.next_action(self.now) {
            match action {
                Action::Read { id, ranges, .. } => self.answer(id, &ranges),
                Action::Deliver { consumer, deliveries, .. } => {
                    delivered.extend(deliveries.into_iter().map(|delivery| (consumer, delivery)));
                }
                Action::ActiveChanged { consumer, active } => self.told.push((consumer, active)),
                Action::Acked(change) => self.own.push(change),
                Action::LoadDelayed { id, after, entries_max } => {
                    self.load(id, after, entries_max);
                }
                Action::DeadLetters { letters, .. } => self.letters.extend(letters),
            }
        }
        delivered
    }

    fn answer(&mut self, id: ReadId, ranges: &[Range<Ordinal>]) {
        let is_wanted = |entry: &&Entry<u64>| ranges.iter().any(|r| r.contains(&entry.ordinal));
        let entries: Vec<_> = self.stored.iter().filter(is_wanted).cloned().collect();
        self.read.extend(entries.iter().map(|entry| entry.payload));
        self.sub.on_read(id, Ok(entries));
    }

    /// What the index has, in its order.
    fn listed(&self) -> Vec<DelayedEntry> {
        let is_indexed = |at: Ordinal| self.indexed.iter().any(|range| range.contains(&at));
        let stored = self.stored.iter().filter(|entry| is_indexed(entry.ordinal));
        let listed = stored.filter_map(|entry| {
            Some(DelayedEntry {
                due: entry.deliver_at?,
                ordinal: entry.ordinal,
                slot: geminga_types::key_slot(entry.key_hash),
            })
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by_key(|entry| (entry.due, entry.ordinal));
        listed
    }

    fn load(&mut self, id: ReadId, after: (u64, Ordinal), entries_max: usize) {
        self.loads.push((after, entries_max));
        let listed = self.listed().into_iter();
        let mut listed = listed.filter(|entry| after <= (entry.due, entry.ordinal)).peekable();
        let entries = listed.by_ref().take(entries_max).collect();
        let until = listed.peek().map(|entry| (entry.due, entry.ordinal));
        self.sub.on_delayed(id, Ok(LoadedDelayed { entries, until }));
    }

    /// Polls once, for a read.
    fn read(&mut self) -> (ReadId, Vec<Range<Ordinal>>, usize) {
        match self.sub.next_action(self.now) {
            Some(Action::Read { id, ranges, entries_max, .. }) => (id, ranges, entries_max),
            other => panic!("not a read: {other:?}"),
        }
    }

    /// Polls dry; returns the ordinals each consumer got.
    fn got(&mut self) -> Vec<(u64, u64)> {
        self.poll().into_iter().map(|(key, delivery)| (key.0, delivery.ordinal.0)).collect()
    }

    /// Polls dry; returns the ordinals and redelivery counts.
    fn counts(&mut self) -> Vec<(u64, u32)> {
        let count = |(_, d): (_, Delivery<u64>)| (d.ordinal.0, d.redelivery_count);
        self.poll().into_iter().map(count).collect()
    }

    fn ack(&mut self, ordinals: &[u64]) -> AckChange {
        let acks: Vec<Ack> = ordinals.iter().map(|&at| ack(at)).collect();
        self.sub.ack_individual(None, &acks)
    }
}

fn ones(ordinals: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    ordinals.into_iter().map(|at| (1, at)).collect()
}
