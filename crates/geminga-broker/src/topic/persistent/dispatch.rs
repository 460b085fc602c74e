//! Runs the subscription machines: reads entries for them, sends what they hand out.

use std::{ops::Range, sync::Arc};

use bytes::BytesMut;
use futures_util::future::join_all;
use geminga_env::Instant;
use geminga_managed_ledger::{Chain, ManagedLedger, ReadError};
use geminga_subscription::{Action, ConsumerKey, Delivery, ReadFailed, ReadId, Scarce};
use geminga_types::Ordinal;
use tracing::warn;

use super::{
    ReadEntry, Stored, SubscriptionName, Topic,
    background::{Answer, READ_TIME_MAX},
    compacted_view::Found,
    delayed::read_parking,
    tail::{Meta, Tail},
};
use crate::{OutMessage, Outgoing, ReadFigures, resource_groups::Member, topic_row::Minutes};

/// Larger entries are a good part of the block that they are in.
const DETACHED_BYTES_MAX: usize = 4 << 10;

/// Most ranges that are read at once.
const AT_ONCE_MAX: usize = 16;

/// One read that a machine asked for.
pub(super) struct Read {
    id: ReadId,
    pub(super) ranges: Vec<Range<Ordinal>>,
    entries_max: usize,
    bytes_max: usize,
    /// From here on, what the index of delayed entries has may be passed over.
    pub(super) park_from: Option<Ordinal>,
}

impl Topic {
    /// Runs every subscription that may have something to do. False: there was none.
    pub(super) fn dispatch(&mut self) -> bool {
        let ready = std::mem::take(&mut self.ready);
        let was_ready = !ready.is_empty();
        for name in self.in_turn(ready) {
            let now = self.deps.ledger.env.clock.wall().0;
            while let Some(action) = self.next_action(&name, now) {
                self.act(&name, action);
            }
            self.note_polled(&name);
            self.note_wanted_index(&name);
        }
        was_ready
    }

    fn next_action(&mut self, name: &SubscriptionName, now: u64) -> Option<Action<Stored>> {
        let allowance = self.allowance(name);
        let sub = self.subscriptions.get_mut(name)?;
        sub.charge();
        sub.machine.set_allowance(allowance);
        sub.let_view_go();
        let (ack_state, timers) = (self.deps.ack_states.is_over(), self.deps.timers.is_over());
        let unacked = self.deps.unacked.is_over();
        sub.machine.set_scarce(Scarce { ack_state, timers, unacked });
        sub.machine.next_action(now)
    }

    fn act(&mut self, name: &SubscriptionName, action: Action<Stored>) {
        match action {
            Action::Read { id, ranges, entries_max, bytes_max, park_from } => {
                self.read(name, Read { id, ranges, entries_max, bytes_max, park_from });
            }
            Action::LoadDelayed { id, after, entries_max } => {
                self.load_delayed(name, id, after, entries_max);
            }
            Action::Deliver { consumer, consumer_epoch, deliveries } => {
                self.deliver(name, consumer, consumer_epoch, deliveries);
            }
            Action::ActiveChanged { consumer, active } => {
                if let Some(opened) = self.consumers.get(&consumer.0)
                    && opened.wants_active_changes()
                {
                    let consumer = opened.client_key();
                    opened.outbox.push(Outgoing::ActiveConsumer { consumer, is_active: active });
                }
            }
            Action::Acked(change) => {
                let now = self.now();
                if let Some(sub) = self.subscriptions.get_mut(name) {
                    let expired = sub.machine.take_expired();
                    sub.doings.note_expired(now, expired);
                }
                self.note_acks(name, &change, None);
            }
            Action::DeadLetters { letters, raised } => {
                self.note_counts(name, &raised);
                self.publish_dead_letters(name, letters);
            }
        }
    }

    fn read(&mut self, name: &SubscriptionName, read: Read) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let from = read.ranges.first().map_or(Ordinal(0), |range| range.start);
        if sub.view.as_ref().is_some_and(|view| view.holds(from)) {
            self.spawn_read(name, read);
            return;
        }
        let (cached, bytes) = cached(&self.ledger, &self.tail, &read);
        if cached.is_empty() {
            self.spawn_read(name, read);
        } else {
            let entries = cached.len() as u64;
            sub.machine.on_read(read.id, Ok(cached));
            self.note_read(self.now(), |reads| reads.note_cached(entries, bytes as u64));
        }
    }

    /// Counts what is read, and what is not, for metrics.
    pub(super) fn note_read(&mut self, now: Instant, note: impl FnOnce(&mut ReadFigures)) {
        note(self.reads.get_or_insert_with(|| Box::new(Minutes::new(now))).running(now));
    }

    /// The same of a read from storage.
    pub(super) fn note_stored_read(&mut self, result: &Result<Found, ReadFailed>) {
        let now = self.now();
        match result {
            Ok(found) => {
                let entries = found.entries.len() as u64;
                let bytes: usize = found.entries.iter().map(|entry| entry.payload.len()).sum();
                self.note_read(now, |reads| reads.note_stored(entries, bytes as u64));
            }
            Err(ReadFailed) => self.note_read(now, |reads| reads.errors += 1),
        }
    }

    fn spawn_read(&self, name: &SubscriptionName, read: Read) {
        let Some(sub) = self.subscriptions.get(name) else { return };
        let (subscription, incarnation) = (Arc::clone(name), sub.incarnation);
        let chain = self.ledger.chain();
        let deps = self.deps.clone();
        let (topic, id) = (self.name.clone(), read.id);
        let from = read.ranges.first().map_or(Ordinal(0), |range| range.start);
        let view = sub.view.clone().filter(|view| view.holds(from));
        let buckets = match read.park_from {
            Some(_) => self.ledger.delayed_buckets().to_vec(),
            None => Vec::new(),
        };
        let priority = self.group.as_ref().map_or(0, Member::priority);
        let work = async move {
            let permit = deps.reads.take_with_priority(read.bytes_max, priority).await;
            let result = match view {
                Some(view) => {
                    view.read(&chain, &deps, from, (read.entries_max, read.bytes_max)).await
                }
                None if !buckets.is_empty() => read_parking(&chain, &deps, &buckets, read).await,
                None => {
                    let entries = read_ranges(&chain, &deps.ledger, &read).await;
                    let entries = entries.map_err(|error| error.to_string());
                    entries.map(|entries| Found { entries, ..Found::default() })
                }
            };
            drop(permit);
            result
        };
        self.spawn(READ_TIME_MAX, work, move |result| {
            let result = result.unwrap_or_else(|lost| Err(lost.to_string())).map_err(|error| {
                warn!(%topic, %subscription, error, "a read for dispatch failed; it will be tried again");
                ReadFailed
            });
            Answer::Read { subscription, incarnation, id, result }
        });
    }

    fn deliver(
        &mut self,
        name: &SubscriptionName,
        consumer: ConsumerKey,
        consumer_epoch: Option<u64>,
        deliveries: Vec<Delivery<Stored>>,
    ) {
        let Some(opened) = self.consumers.get_mut(&consumer.0) else { return };
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let mut deliveries = deliveries;
        if opened.outbox.is_lagging() {
            detach(&mut deliveries);
        }
        let mut messages = Vec::with_capacity(deliveries.len());
        let (mut message_count, mut bytes) = (0, 0);
        let now = self.deps.ledger.env.clock.now();
        for delivery in deliveries {
            let size = delivery.payload.len() as u64;
            opened.note_delivered(now, delivery.messages, size, delivery.redelivery_count);
            sub.note_delivered(now, delivery.messages, size, delivery.redelivery_count);
            message_count += u64::from(delivery.messages);
            bytes += size;
            messages.push(OutMessage {
                position: delivery.payload.position,
                redelivery_count: delivery.redelivery_count,
                ack_set: delivery.ack_set,
                front: delivery.payload.front,
                entry: delivery.payload.entry,
            });
        }
        opened.doings.note_delivered(now);
        sub.doings.note_delivered(now);
        let (key, entries) = (opened.client_key(), messages.len() as u64);
        opened.outbox.push(Outgoing::Messages { consumer: key, consumer_epoch, messages });
        if !opened.outbox.is_writable() {
            sub.machine.set_writable(consumer, false);
            let inbox = self.inbox.clone();
            let waker = Box::new(move || inbox.put_writable(consumer.0));
            opened.outbox.wake_when_writable(waker);
        }
        self.flow_out.add(now, message_count, bytes);
        self.note_dispatched(name, entries, message_count, bytes);
    }

    /// Tells consumers of a terminated topic that they have everything.
    pub(super) fn tell_end_of_topic(&mut self) {
        if !self.ledger.is_terminated() {
            return;
        }
        for opened in self.consumers.values_mut() {
            let sub = self.subscriptions.get(&opened.subscription);
            if !opened.was_told_end && sub.is_some_and(|sub| sub.has_consumed_all()) {
                opened.was_told_end = true;
                let consumer = opened.client_key();
                opened.outbox.push(Outgoing::EndOfTopic { consumer });
            }
        }
    }
}

/// What of a read is in the tail cache, from its beginning on, and its bytes.
fn cached(ledger: &ManagedLedger, tail: &Tail, read: &Read) -> (Vec<ReadEntry>, usize) {
    let mut entries = Vec::new();
    let mut bytes = 0;
    for range in &read.ranges {
        let room = read.entries_max - entries.len();
        let to = range.end.min(range.start.plus(room as u64));
        if to <= range.start || read.bytes_max <= bytes {
            break;
        }
        let Some(found) = ledger.cached(range.start, to, read.bytes_max - bytes) else { break };
        let is_whole = found.last().is_some_and(|last| last.ordinal.plus(1) == range.end);
        for entry in found {
            bytes += entry.front.len() + entry.body.len();
            let meta = tail.get(entry.ordinal);
            entries.push(read_entry(entry, meta));
        }
        if !is_whole {
            break;
        }
    }
    (entries, bytes)
}

/// What stays for a while is not to keep the blocks alive that it was read with: small entries are
/// copied, into one allocation, since they leave one after the other.
fn detach(deliveries: &mut [Delivery<Stored>]) {
    let small = |delivery: &&mut Delivery<Stored>| delivery.payload.len() <= DETACHED_BYTES_MAX;
    let bytes = deliveries.iter_mut().filter(small).map(|it| it.payload.len()).sum();
    let mut copies = BytesMut::with_capacity(bytes);
    for delivery in deliveries.iter_mut().filter(small) {
        copies.extend_from_slice(&std::mem::take(&mut delivery.payload.front));
        copies.extend_from_slice(&delivery.payload.entry);
        delivery.payload.entry = copies.split().freeze();
    }
}

/// Reads what was asked for, several ranges at once: what falls due or comes again lies scattered, and
/// each entry of it is a read of its own.
pub(super) async fn read_ranges(
    chain: &Chain,
    deps: &geminga_ledger::Deps,
    read: &Read,
) -> Result<Vec<ReadEntry>, ReadError> {
    let mut entries: Vec<ReadEntry> = Vec::new();
    let (mut bytes, mut largest) = (0, 0);
    let mut ranges = &read.ranges[..];
    // Until it is known how large entries are: what is read at once should not be more than `bytes_max`.
    let mut at_once = 1;
    while !ranges.is_empty() && entries.len() < read.entries_max && bytes < read.bytes_max {
        let (now, later) = ranges.split_at(at_once.min(ranges.len()));
        ranges = later;
        let left = (read.entries_max - entries.len(), (read.bytes_max - bytes) / now.len());
        let parts = now.iter().map(|range| read_range(chain, deps, range.clone(), left));
        for (range, part) in now.iter().zip(join_all(parts).await) {
            let part = match part {
                Ok(part) => part,
                Err(_) if !entries.is_empty() => return Ok(entries),
                Err(error) => return Err(error),
            };
            let is_cut = part.last().is_some_and(|last| last.ordinal.plus(1) < range.end);
            for entry in part {
                bytes += entry.payload.len();
                largest = largest.max(entry.payload.len());
                entries.push(entry);
            }
            if is_cut {
                return Ok(entries);
            }
        }
        at_once = (read.bytes_max.saturating_sub(bytes) / largest.max(1)).clamp(1, AT_ONCE_MAX);
    }
    Ok(entries)
}

/// Reads a range up to a number of entries, and no more after so many bytes.
async fn read_range(
    chain: &Chain,
    deps: &geminga_ledger::Deps,
    range: Range<Ordinal>,
    (entries_max, bytes_max): (usize, usize),
) -> Result<Vec<ReadEntry>, ReadError> {
    let mut entries = Vec::new();
    let (mut from, mut bytes) = (range.start, 0);
    while from < range.end
        && entries.len() < entries_max
        && (entries.is_empty() || bytes < bytes_max)
    {
        let to = range.end.min(from.plus((entries_max - entries.len()) as u64));
        let part = match chain.read(deps, from, to, bytes_max.saturating_sub(bytes)).await {
            Ok(part) => part,
            Err(_) if !entries.is_empty() => break,
            Err(error) => return Err(error),
        };
        let Some(last) = part.last() else { break };
        from = last.ordinal.plus(1);
        for entry in part {
            bytes += entry.body.len();
            let meta = Meta::parse(&entry.body);
            entries.push(read_entry(entry, Some(meta)));
        }
    }
    Ok(entries)
}

pub(super) fn read_entry(entry: geminga_managed_ledger::Entry, meta: Option<Meta>) -> ReadEntry {
    let meta = meta.unwrap_or_else(|| Meta::parse_with_front(&entry.front, &entry.body));
    let payload = Stored { position: entry.position, front: entry.front, entry: entry.body };
    ReadEntry {
        ordinal: entry.ordinal,
        messages: meta.messages,
        bytes: payload.len(),
        key_hash: meta.key_hash,
        deliver_at: meta.deliver_at,
        published_at: meta.published_at,
        visible: meta.is_visible,
        chunk: meta.chunk,
        payload,
    }
}
