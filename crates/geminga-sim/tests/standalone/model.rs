//! What the clients know, and what follows from it: the oracle.
//!
//! An index of a message is *maybe* acked once an ACK of it was sent, and *surely* acked once the
//! ACK_RESPONSE came and no seek can have undone it. What is not maybe acked must be delivered; what
//! is surely acked must not be.
//!
//! Times are those of the world's clock, which goes on through power losses.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::Duration,
};

use geminga_types::Position;

/// How long a copy that was sent before an ack was confirmed may be on its way, or longer by as long as its
/// client is parted from the broker.
const IN_FLIGHT: Duration = Duration::from_millis(40);

pub(crate) const TOPICS: [&str; 2] =
    ["persistent://public/default/kept", "persistent://public/default/trimmed"];

/// The subscription that reads all of the first topic at the end.
pub(crate) const WITNESS: &str = "witness";

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) entries: Vec<Entry>,
    pub(crate) topics: [Topic; 2],
    pub(crate) violations: Vec<String>,
    pub(crate) counts: Counts,
    /// By the number of a host, when it was last healed: what was on its way until then comes all at once.
    pub(crate) healed: BTreeMap<u8, Duration>,
    /// The operator's own topics: whether they exist, if that is known.
    pub(crate) made: BTreeMap<u8, Option<bool>>,
    ticks: u64,
    last_ack: u64,
    last_name: u64,
}

/// How much was done, so that a test that does nothing is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) receipts: u64,
    pub(crate) deliveries: u64,
    pub(crate) acks: u64,
    pub(crate) ack_errors: u64,
    pub(crate) send_errors: u64,
    pub(crate) nacks: u64,
    pub(crate) seeks: u64,
    pub(crate) crashes: u64,
    pub(crate) failed_starts: u64,
    pub(crate) requests: u64,
    pub(crate) unloads: u64,
    pub(crate) creations: u64,
    pub(crate) deletions: u64,
    pub(crate) indexes: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.receipts += other.receipts;
        self.deliveries += other.deliveries;
        self.acks += other.acks;
        self.ack_errors += other.ack_errors;
        self.send_errors += other.send_errors;
        self.nacks += other.nacks;
        self.seeks += other.seeks;
        self.crashes += other.crashes;
        self.failed_starts += other.failed_starts;
        self.requests += other.requests;
        self.unloads += other.unloads;
        self.creations += other.creations;
        self.deletions += other.deletions;
        self.indexes += other.indexes;
    }
}

pub(crate) struct Entry {
    pub(crate) topic: usize,
    pub(crate) producer: String,
    pub(crate) sequence: u64,
    pub(crate) messages: u32,
    sent: u64,
    position: Option<Position>,
    receipted: bool,
}

#[derive(Default)]
pub(crate) struct Topic {
    pub(crate) by_position: BTreeMap<Position, usize>,
    /// Of what was delivered: how many messages it has, and the index of the last, if it has one.
    noted: BTreeMap<Position, (u32, Option<u64>)>,
    pub(crate) subscriptions: BTreeMap<&'static str, Subscription>,
}

#[derive(Default)]
pub(crate) struct Subscription {
    /// When its creation was confirmed.
    confirmed: Option<u64>,
    maybe: BTreeMap<Position, u64>,
    maybe_through: Option<Position>,
    surely: BTreeMap<(Position, u32), Duration>,
    surely_through: Option<(Position, Duration)>,
    /// ACKs without an answer yet.
    pending: BTreeMap<u64, Ack>,
    /// Counts the seeks' beginnings and ends.
    epoch: u64,
    unanswered_seeks: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) position: Position,
    /// Which messages of the entry.
    pub(crate) mask: u64,
    pub(crate) cumulative: bool,
    epoch: u64,
}

/// Which subscription of which topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubId {
    pub(crate) topic: usize,
    pub(crate) name: &'static str,
}

pub(crate) const fn all(messages: u32) -> u64 {
    (1 << messages) - 1
}

/// A message's bytes: which it is, and some more that follow from that.
pub(crate) fn payload(entry: usize, index: u32) -> Vec<u8> {
    let mut bytes = Vec::from((entry as u64).to_be_bytes());
    bytes.extend(index.to_be_bytes());
    let more = if entry % 17 == 3 { 3_000 } else { entry * 7 % 90 };
    bytes.resize(12 + more, entry.to_le_bytes()[0]);
    bytes
}

impl Model {
    pub(crate) fn violate(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }

    pub(crate) fn unique_name(&mut self) -> String {
        self.last_name += 1;
        format!("client-{}", self.last_name)
    }

    pub(crate) fn sub(&mut self, id: SubId) -> &mut Subscription {
        self.topics[id.topic].subscriptions.entry(id.name).or_default()
    }

    pub(crate) fn subscribed(&mut self, id: SubId) {
        let tick = self.tick();
        self.sub(id).confirmed.get_or_insert(tick);
    }

    pub(crate) fn sent(
        &mut self,
        topic: usize,
        producer: &str,
        sequence: u64,
        messages: u32,
    ) -> usize {
        let sent = self.tick();
        let producer = producer.to_owned();
        let (position, receipted) = (None, false);
        self.entries.push(Entry { topic, producer, sequence, messages, sent, position, receipted });
        self.entries.len() - 1
    }

    pub(crate) fn receipted(&mut self, entry: usize, position: Position) {
        self.counts.receipts += 1;
        self.entries[entry].receipted = true;
        self.place(entry, position);
    }

    fn place(&mut self, entry: usize, position: Position) {
        let topic = self.entries[entry].topic;
        let before = self.entries[entry].position.replace(position);
        if before.is_some_and(|before| before != position) {
            self.violate(format!("entry {entry} was at {before:?} and is at {position:?}"));
        }
        let there = self.topics[topic].by_position.insert(position, entry);
        if there.is_some_and(|there| there != entry) {
            self.violate(format!("{position:?} held entry {there:?} and holds {entry}"));
        }
    }

    /// Checks a delivery of `mask` of `entry` to a host.
    pub(crate) fn delivered(
        &mut self,
        id: SubId,
        host: u8,
        (entry, position, mask): (usize, Position, u64),
        now: Duration,
    ) {
        self.counts.deliveries += 1;
        if self.entries[entry].topic != id.topic {
            self.violate(format!("{id:?} got entry {entry} of another topic"));
            return;
        }
        self.place(entry, position);
        let healed = self.healed.get(&host).copied().unwrap_or_default();
        let sub = self.sub(id);
        let through = sub.surely_through.filter(|(through, _)| position <= *through);
        let acked = (0..64).filter(|index| mask >> index & 1 == 1).filter_map(|index| {
            let one = sub.surely.get(&(position, index)).copied();
            one.or_else(|| through.map(|(_, when)| when))
                .filter(|when| healed.max(*when) + IN_FLIGHT < now)
        });
        if let Some(when) = acked.max() {
            self.violate(format!(
                "{id:?} got {position:?} (entry {entry}, {mask:#x}) at {now:?}, its ack was confirmed at {when:?}"
            ));
        }
    }

    /// Checks that an entry keeps its index, and that indexes grow with the positions by at least the
    /// messages: none is given out twice.
    pub(crate) fn noted(
        &mut self,
        topic: usize,
        position: Position,
        messages: u32,
        index: Option<u64>,
    ) {
        let noted = &mut self.topics[topic].noted;
        let before = noted.insert(position, (messages, index));
        self.counts.indexes += u64::from(index.is_some());
        if before.is_some() {
            if before != Some((messages, index)) {
                self.violate(format!("{position:?} has index {index:?}, and had {before:?}"));
            }
            return;
        }
        let Some(last) = index else { return };
        let first = last.checked_sub(u64::from(messages) - 1);
        let indexed = |(at, (messages, index)): (&Position, &(u32, Option<u64>))| {
            index.map(|index| (*at, *messages, index))
        };
        let lower = noted.range(..position).rev().find_map(indexed);
        let rest = noted.range((Bound::Excluded(position), Bound::Unbounded));
        let upper = { rest }.find_map(indexed);
        let is_wrong = first.is_none()
            || lower.is_some_and(|(.., lower)| first <= Some(lower))
            || upper.is_some_and(|(_, messages, upper)| upper < last + u64::from(messages));
        if is_wrong {
            self.violate(format!(
                "{position:?} of {messages} messages has index {last} between {lower:?} and {upper:?}"
            ));
        }
    }

    /// Checks that nothing lies between two deliveries to an Exclusive consumer.
    pub(crate) fn followed(&mut self, id: SubId, before: Position, after: Position) {
        let topic = &self.topics[id.topic];
        let Some(sub) = topic.subscriptions.get(id.name) else { return };
        let between = topic.by_position.range(before..after).skip(1);
        let skipped: Vec<Position> = between
            .filter(|(position, entry)| {
                let entry = &self.entries[**entry];
                sub.confirmed.is_some_and(|confirmed| confirmed < entry.sent)
                    && entry.receipted
                    && sub.unacked(**position, entry.messages) != 0
            })
            .map(|(position, _)| *position)
            .collect();
        if !skipped.is_empty() {
            self.violate(format!("{id:?} got {after:?} after {before:?}, without {skipped:?}"));
        }
    }

    /// Notes an ACK and gives it a number.
    pub(crate) fn ack_sent(
        &mut self,
        id: SubId,
        position: Position,
        mask: u64,
        cumulative: bool,
    ) -> u64 {
        self.last_ack += 1;
        let number = self.last_ack;
        let sub = self.sub(id);
        if cumulative {
            sub.maybe_through = sub.maybe_through.max(Some(position));
        } else {
            *sub.maybe.entry(position).or_default() |= mask;
        }
        let epoch = sub.epoch;
        sub.pending.insert(number, Ack { position, mask, cumulative, epoch });
        number
    }

    pub(crate) fn ack_answered(&mut self, id: SubId, number: u64, confirmed: bool, now: Duration) {
        self.counts.acks += 1;
        self.counts.ack_errors += u64::from(!confirmed);
        let sub = self.sub(id);
        let Some(ack) = sub.pending.remove(&number) else {
            return self.violate(format!("{id:?}: an ACK was answered twice"));
        };
        if !confirmed || ack.epoch != sub.epoch || sub.unanswered_seeks > 0 {
            return;
        }
        if ack.cumulative {
            let through = sub.surely_through.map(|(through, _)| through).max(Some(ack.position));
            sub.surely_through = through.map(|through| (through, now));
        } else {
            let indexes = (0..64).filter(|index| ack.mask >> index & 1 == 1);
            sub.surely.extend(indexes.map(|index| ((ack.position, index), now)));
        }
    }

    pub(crate) fn seek_sent(&mut self, id: SubId, to: Position) {
        let sub = self.sub(id);
        sub.epoch += 1;
        sub.unanswered_seeks += 1;
        sub.surely.clear();
        sub.surely_through = None;
        sub.maybe_through = sub.maybe_through.max(Some(before(to)));
    }

    pub(crate) fn seek_done(&mut self, id: SubId, to: Position) {
        self.counts.seeks += 1;
        let sub = self.sub(id);
        sub.epoch += 1;
        sub.unanswered_seeks -= 1;
        if sub.unanswered_seeks > 0 {
            return;
        }
        let pending: BTreeSet<Position> = sub.pending.values().map(|ack| ack.position).collect();
        sub.maybe.retain(|position, _| pending.contains(position));
        let cumulative = sub.pending.values().filter(|ack| ack.cumulative);
        sub.maybe_through = cumulative.map(|ack| ack.position).max().max(Some(before(to)));
    }

    /// After a power loss nothing is on its way any more.
    pub(crate) fn restarted(&mut self) {
        for topic in &mut self.topics {
            for sub in topic.subscriptions.values_mut() {
                sub.pending.clear();
                sub.unanswered_seeks = 0;
                sub.epoch += 1;
            }
        }
    }

    /// What must still come, if nothing more is acked.
    pub(crate) fn owed(&self, id: SubId) -> BTreeMap<Position, u64> {
        let Some(sub) = self.topics[id.topic].subscriptions.get(id.name) else {
            return BTreeMap::new();
        };
        let Some(confirmed) = sub.confirmed else { return BTreeMap::new() };
        let entries = self
            .entries
            .iter()
            .filter(|entry| entry.topic == id.topic && entry.receipted && confirmed < entry.sent);
        let owed = entries.filter_map(|entry| {
            let position = entry.position?;
            Some((position, sub.unacked(position, entry.messages)))
        });
        owed.filter(|(_, mask)| *mask != 0).collect()
    }

    /// Checks the order and density of all that was seen of a topic that a witness has read.
    pub(crate) fn check_chain(&mut self, topic: usize) {
        let mut wrong = Vec::new();
        let mut last: Option<Position> = None;
        let mut sequences: BTreeMap<&str, u64> = BTreeMap::new();
        for (position, entry) in &self.topics[topic].by_position {
            let expected = match last {
                Some(last) if last.ledger_id == position.ledger_id => last.entry_id.0 + 1,
                _ => 0,
            };
            if position.entry_id.0 != expected {
                wrong.push(format!("{position:?} follows {last:?}: ids are not dense"));
            }
            last = Some(*position);
            let entry = &self.entries[*entry];
            let before = sequences.insert(&entry.producer, entry.sequence);
            if before.is_some_and(|before| entry.sequence <= before) {
                let (producer, sequence) = (&entry.producer, entry.sequence);
                wrong.push(format!("{producer}'s {sequence} comes after its {before:?}"));
            }
        }
        self.violations.append(&mut wrong);
    }
}

impl Subscription {
    fn unacked(&self, position: Position, messages: u32) -> u64 {
        if self.maybe_through.is_some_and(|through| position <= through) {
            return 0;
        }
        all(messages) & !self.maybe.get(&position).copied().unwrap_or(0)
    }
}

const fn before(position: Position) -> Position {
    Position::new(position.ledger_id.0, position.entry_id.0 - 1)
}
