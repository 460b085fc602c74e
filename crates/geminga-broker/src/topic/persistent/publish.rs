//! Producers: opening, appending, receipts.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use geminga_dedup::{Identity, Ticket};
use geminga_env::{Instant, LatencyRun};
use geminga_managed_ledger::{AppendError, Confirmed, EpochEvent, Outcome};
use geminga_types::Position;
use tracing::{debug, warn};

use super::{
    super::{
        Reply,
        consumers::closing,
        mailbox::Sender,
        producers::{OpenedProducer, Opening},
    },
    Topic,
    broker_metadata::Notes,
    close::Phase,
    deduplication::Deduplication,
    tail::Meta,
};
use crate::{
    BudgetPermit, Outgoing, ProduceError, Producer, Publish, PublishError, Receipt, TopicError,
    producer::OpenProducer, topic_row::Appends,
};

/// A publish that is not answered yet.
pub(super) struct Pending {
    pub(super) fate: Fate,
    producer: u64,
    sequence_id: u64,
    highest_sequence_id: Option<u64>,
    meta: Meta,
    came_at: Instant,
    /// Held until the entry is confirmed or has failed.
    _permit: Option<BudgetPermit>,
}

/// What decides about a publish.
#[derive(Debug)]
pub(super) enum Fate {
    /// The managed ledger. The ticket is for deduplication to hear of it.
    Append(Option<Ticket>),
    /// Nothing more: it is stored already.
    Stored,
    /// One before it, which is the same: by the name in its metadata and what it is known by.
    Repeats(Box<(Bytes, Identity)>),
    /// Nothing more: some of its messages are stored already, and some are not.
    Across,
    /// Nothing more: it is beyond a limit.
    Refused(Box<PublishError>),
}

impl Topic {
    pub(super) fn open_producer(
        &mut self,
        open: OpenProducer,
        reply: Reply<Result<Producer, ProduceError>>,
    ) {
        if let Some((open, reply)) = self.wait_to_open(open, reply) {
            self.open_now(open, reply);
        }
    }

    pub(super) fn open_now(
        &mut self,
        open: OpenProducer,
        reply: Reply<Result<Producer, ProduceError>>,
    ) {
        let allowed = self.may_produce().and_then(|mailbox| {
            let last_sequence_id = self.last_sequence_id(&open.name)?;
            Ok((mailbox, last_sequence_id))
        });
        match allowed {
            Err(error) => _ = reply.send(Err(error)),
            Ok((mailbox, last_sequence_id)) => {
                let (key, now) = (self.new_key(), self.now());
                if let Some(known) = &mut self.deduplication {
                    known.machine().hear_of(open.name.as_bytes(), now);
                }
                let with = Opening {
                    topic: &self.name,
                    policies: &self.policies,
                    deps: &self.deps,
                    key,
                    last_sequence_id,
                    mailbox,
                };
                self.producers.open(open, with, reply);
            }
        }
    }

    fn may_produce(&self) -> Result<Sender, ProduceError> {
        if !matches!(self.phase, Phase::Serving) {
            return Err(self.closing().into());
        }
        if self.ledger.is_terminated() {
            return Err(ProduceError::Terminated(self.name.clone()));
        }
        match self.quota_refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(self.mailbox.upgrade().ok_or_else(|| self.closing())?),
        }
    }

    /// Stores the epoch of exclusive producers, and lets them in once it is. False: there was nothing.
    pub(super) fn settle_access(&mut self) -> bool {
        let mut has_any = false;
        while let Some(event) = self.ledger.poll_epoch_event() {
            has_any = true;
            let unavailable = |reason| TopicError::Unavailable { topic: self.name.clone(), reason };
            self.producers.on_epoch(match event {
                EpochEvent::Stored(epoch) => Ok(epoch),
                EpochEvent::Failed(reason) => Err(unavailable(reason)),
            });
        }
        // What an earlier producer has sent is stored, or is not, before the next one gets in.
        if !self.pending.is_empty() {
            return has_any;
        }
        while let Some(name) = self.producers.claimant() {
            if let Some(why) = self.obstacle(name) {
                has_any |= self.refuse_late_claim(why);
                break;
            }
            has_any = true;
            let last_sequence_id = self.last_sequence_id(name).unwrap_or(-1);
            self.producers.grant(last_sequence_id);
        }
        if let Some(epoch) = self.producers.take_epoch() {
            has_any = true;
            self.ledger.store_epoch(epoch);
        }
        has_any
    }

    pub(super) fn closing(&self) -> TopicError {
        closing(&self.name)
    }

    pub(super) fn publish(&mut self, key: u64, batch: Vec<Publish>) {
        let is_terminated = self.ledger.is_terminated();
        let Some(producer) = self.producers.get_mut(key) else {
            debug!(topic = %self.name, "dropped messages of a producer that is closed");
            return;
        };
        if !matches!(self.phase, Phase::Serving) || self.is_closing_producers {
            return; // CLOSE_PRODUCER is on its way; the client resends what has no receipt.
        }
        if is_terminated {
            for publish in batch {
                let error = PublishError::Terminated(self.name.clone());
                fail(producer, publish.sequence_id, publish.highest_sequence_id, error);
            }
            return;
        }
        let now = self.deps.ledger.env.clock.now();
        let options = &self.deps.options.deduplication;
        let mut notes = Notes::of(&self.deps, batch.len());
        let limits = producer.message_limits(&self.policies);
        for publish in batch {
            let is_sourced = matches!(publish.identity, Identity::Source(_));
            let refusal = limits
                .refusal(&self.name, &publish)
                .filter(|_| !is_stored(&self.deduplication, &publish));
            let fate = match (refusal, &mut self.deduplication) {
                (Some(error), _) => Fate::Refused(Box::new(error)),
                (None, None) if !is_sourced => Fate::Append(None),
                (None, Some(known)) if known.takes(&publish.identity, options) => {
                    known.judge(&publish.name, &publish.identity, now)
                }
                _ => {
                    self.send_again_later(key);
                    return;
                }
            };
            if !matches!(fate, Fate::Refused(_)) {
                producer.flow.add(now, u64::from(publish.messages), publish.entry.len() as u64);
                self.flow_in.add(now, u64::from(publish.messages), publish.entry.len() as u64);
            }
            let is_append = matches!(fate, Fate::Append(_));
            self.pending.push_back(Pending {
                fate,
                producer: key,
                sequence_id: publish.sequence_id,
                highest_sequence_id: publish.highest_sequence_id,
                meta: Meta {
                    messages: publish.messages,
                    key_hash: publish.key_hash,
                    deliver_at: publish.deliver_at,
                    published_at: notes.taken_at().unwrap_or(publish.published_at),
                    is_visible: publish.is_visible,
                    chunk: publish.chunk,
                },
                came_at: now,
                _permit: publish.permit,
            });
            if is_append {
                let (front, sum) = notes.next(&mut self.ledger, publish.messages, publish.sum);
                self.ledger.append_with_front(front, publish.entry, sum);
            }
        }
    }

    /// Closes a producer whose message cannot be deduplicated yet; it opens, and sends again, once it
    /// can be.
    fn send_again_later(&mut self, key: u64) {
        if let Some(producer) = self.producers.remove(key) {
            let closed = Outgoing::ProducerClosed { producer: producer.client_key() };
            producer.outbox.push(closed);
            self.await_cursor(producer.name);
        }
    }

    /// Takes what the managed ledger has decided: receipts go out, subscriptions see the entries.
    /// False: there was nothing.
    pub(super) fn settle_publishes(&mut self) -> bool {
        let mut receipts: BTreeMap<u64, Vec<Receipt>> = BTreeMap::new();
        let (mut has_any, mut has_confirmed) = (false, false);
        let mut run = LatencyRun::default();
        let lists_delayed = self.lists_delayed();
        loop {
            has_any |= self.settle_duplicates(&mut receipts);
            let Some(outcome) = self.ledger.poll_outcome() else { break };
            has_any = true;
            let pending = self.pending.pop_front().expect("one pending publish for each append");
            if let Some(known) = &mut self.deduplication {
                known.note_decided();
            }
            match outcome {
                Outcome::Confirmed(confirmed) => {
                    has_confirmed = true;
                    let (now, took) = self.note_confirmed(&pending, &confirmed, lists_delayed);
                    run.note(&self.deps.in_all.published, now, took);
                    let receipt = receipt_of(&pending, confirmed.position);
                    receipts.entry(pending.producer).or_default().push(receipt);
                }
                Outcome::Failed(error) => {
                    self.note_append_error();
                    self.send_receipts(&mut receipts);
                    if let (Fate::Append(Some(ticket)), Some(known)) =
                        (&pending.fate, &mut self.deduplication)
                    {
                        known.machine().on_failed(*ticket);
                    }
                    self.publish_failed(&pending, &error);
                }
            }
        }
        self.send_receipts(&mut receipts);
        if has_confirmed {
            run.flush(&self.deps.in_all.published, self.now());
            self.note_listed(lists_delayed);
            self.last_publish_time = self.deps.ledger.env.clock.wall().0;
            let end = self.ledger.end();
            for (name, sub) in &mut self.subscriptions {
                sub.machine.extend(end);
                if sub.has_consumers() {
                    self.ready.insert(name.clone());
                }
            }
        }
        if has_any {
            self.enforce_quota();
        }
        has_any
    }

    fn note_append_error(&mut self) {
        let now = self.now();
        self.appends.get_or_insert_with(|| Box::new(Appends::new(now))).note_error(now);
    }

    /// When that was, and how long it took.
    fn note_confirmed(
        &mut self,
        pending: &Pending,
        confirmed: &Confirmed,
        lists_delayed: bool,
    ) -> (Instant, Duration) {
        let now = self.now();
        let took = now.saturating_duration_since(pending.came_at);
        let appends = self.appends.get_or_insert_with(|| Box::new(Appends::new(now)));
        appends.note(now, took, confirmed.body.len() as u64);
        self.tail.push(confirmed.ordinal, pending.meta);
        if lists_delayed {
            self.delayed.note(confirmed.ordinal, &pending.meta);
        }
        if let Some(known) = &mut self.deduplication {
            known.note_stored(confirmed.body.len() as u64);
            match pending.fate {
                Fate::Append(Some(ticket)) => known.machine().on_stored(ticket),
                _ => known.note_unjudged(&confirmed.body, confirmed.position, now),
            }
        }
        (now, took)
    }

    /// Answers those in front that are no appends: all before them is decided. False: there were none.
    fn settle_duplicates(&mut self, receipts: &mut BTreeMap<u64, Vec<Receipt>>) -> bool {
        let mut has_any = false;
        while let Some(pending) =
            self.pending.pop_front_if(|pending| !matches!(pending.fate, Fate::Append(_)))
        {
            has_any = true;
            if let Some(known) = &mut self.deduplication {
                known.note_decided();
            }
            let is_stored = match &pending.fate {
                Fate::Append(_) | Fate::Across | Fate::Refused(_) => false,
                Fate::Stored => true,
                Fate::Repeats(known_by) => {
                    let (name, identity) = &**known_by;
                    self.deduplication.as_ref().is_some_and(|it| it.is_stored(name, identity))
                }
            };
            if is_stored {
                // Where it lies is not known any more.
                let receipt = receipt_of(&pending, Position::EARLIEST);
                receipts.entry(pending.producer).or_default().push(receipt);
                continue;
            }
            self.send_receipts(receipts);
            match &pending.fate {
                Fate::Across => self.refuse_across(&pending),
                Fate::Refused(error) => self.refuse(&pending, error),
                Fate::Append(_) | Fate::Stored | Fate::Repeats(_) => {
                    let reason = "neither was the message that it repeats".to_owned();
                    self.publish_failed(&pending, &AppendError::NotStored(reason));
                }
            }
        }
        has_any
    }

    /// A batch is stored whole or not at all, so this one would be stored in part twice, or get lost in
    /// part: the application must know.
    fn refuse_across(&self, pending: &Pending) {
        if let Some(producer) = self.producers.get(pending.producer) {
            let (sequence_id, highest) = (pending.sequence_id, pending.highest_sequence_id);
            let topic = self.name.clone();
            let error = PublishError::Overlapping { topic, first: sequence_id, last: highest };
            fail(producer, sequence_id, highest, error);
        }
    }

    /// Its producer goes on: what it sends next depends on nothing that was refused.
    fn refuse(&self, pending: &Pending, error: &PublishError) {
        if let Some(producer) = self.producers.get(pending.producer) {
            fail(producer, pending.sequence_id, pending.highest_sequence_id, error.clone());
        }
    }

    fn send_receipts(&self, receipts: &mut BTreeMap<u64, Vec<Receipt>>) {
        for (key, receipts) in std::mem::take(receipts) {
            if let Some(producer) = self.producers.get(key) {
                let key = producer.client_key();
                producer.outbox.push(Outgoing::Receipts { producer: key, receipts });
            }
        }
    }

    fn publish_failed(&mut self, pending: &Pending, error: &AppendError) {
        let (sequence_id, highest) = (pending.sequence_id, pending.highest_sequence_id);
        if *error == AppendError::Terminated {
            if let Some(producer) = self.producers.get(pending.producer) {
                fail(producer, sequence_id, highest, PublishError::Terminated(self.name.clone()));
            }
            return;
        }
        // The client resends from here on, in order, when it has opened the producer again: what it
        // has sent since must not overtake, so this producer takes nothing more.
        if let Some(producer) = self.producers.remove(pending.producer) {
            warn!(topic = %self.name, producer = producer.name, %error, "a publish was not stored");
            let (topic, reason) = (self.name.clone(), error.to_string());
            fail(&producer, sequence_id, highest, PublishError::Persistence { topic, reason });
        }
    }
}

/// Whether a message is known to be stored: then it is too late to refuse it.
fn is_stored(known: &Option<Box<Deduplication>>, publish: &Publish) -> bool {
    known.as_ref().is_some_and(|known| known.is_stored(&publish.name, &publish.identity))
}

/// The only maker of receipts: from a position that the managed ledger confirmed, or for what
/// deduplication knows to be stored.
const fn receipt_of(pending: &Pending, position: Position) -> Receipt {
    Receipt {
        sequence_id: pending.sequence_id,
        highest_sequence_id: pending.highest_sequence_id,
        position,
    }
}

fn fail(
    producer: &OpenedProducer,
    sequence_id: u64,
    highest_sequence_id: Option<u64>,
    error: PublishError,
) {
    let key = producer.client_key();
    producer.outbox.push(Outgoing::SendFailed {
        producer: key,
        sequence_id,
        highest_sequence_id,
        error,
    });
}
