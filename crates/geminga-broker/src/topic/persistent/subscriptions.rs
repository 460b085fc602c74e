//! Subscriptions: made, found, deleted; and who waits while that happens.

use std::{collections::BTreeMap, sync::Arc};

use geminga_managed_ledger::CursorState;
use geminga_subscription::AckState;
use geminga_types::{Ordinal, Position};
use tracing::{info, warn};

use super::{
    super::{Reply, StartAt},
    SubscriptionName, Topic,
    ack::AckWaiter,
    background::Answer,
    close::Phase,
    compaction, deduplication,
    sub::Sub,
};
use crate::{
    AdminError, ClientKey, Consumer, Outbox, Outgoing, RequestError, SubscribeError,
    consumer::OpenConsumer, dead_letter::DeadLetterPolicy,
};

/// Somebody who waits for an answer to SUBSCRIBE.
pub(super) type Waiting = (Box<OpenConsumer>, Reply<Result<Consumer, SubscribeError>>);

/// A name that is being made or deleted.
pub(super) struct Busy {
    pub(super) what: BusyWith,
    opens: Vec<Waiting>,
    replies: Vec<Reply<Result<(), AdminError>>>,
    unsubscribes: Vec<Unsubscribe>,
    /// What is being deleted: it is put back if that fails, and until then its backlog is kept.
    pub(super) deleting: Option<Box<Sub>>,
}

/// Somebody who waits for an answer to UNSUBSCRIBE, and the consumer to close if it fails.
struct Unsubscribe {
    reply: Reply<Result<(), RequestError>>,
    outbox: Outbox,
    consumer: ClientKey,
}

impl Unsubscribe {
    fn answer(self, result: Result<(), RequestError>) {
        if result.is_err() {
            self.outbox.push(Outgoing::ConsumerClosed { consumer: self.consumer });
        }
        _ = self.reply.send(result);
    }
}

pub(super) enum BusyWith {
    FindingStart { attempt: u64 },
    Creating { at: Ordinal, properties: Vec<(String, String)> },
    Deleting,
}

impl Busy {
    fn new(what: BusyWith) -> Self {
        let (opens, replies, unsubscribes) = (Vec::new(), Vec::new(), Vec::new());
        Self { what, opens, replies, unsubscribes, deleting: None }
    }
}

impl Topic {
    /// The subscription, also while it is being deleted: it is put back if that fails.
    pub(super) fn sub_mut(&mut self, name: &str) -> Option<&mut Sub> {
        match self.subscriptions.get_mut(name) {
            Some(sub) => Some(sub),
            None => self.busy.get_mut(name)?.deleting.as_deref_mut(),
        }
    }

    /// Makes subscriptions of the cursors found in metadata.
    pub(super) fn adopt_recovered_cursors(&mut self) {
        for (name, mut state) in self.ledger.take_recovered_cursors() {
            let acks = self.ack_state_of(&state);
            let properties = self.recovered_properties(&name, &mut state);
            self.insert_subscription(Arc::from(name), acks, true, properties);
        }
    }

    fn ack_state_of(&self, state: &CursorState) -> AckState {
        let mut lookup = self.ledger.chain_ref().lookup();
        let acked = state.acked.iter();
        let acked = acked.map(|&(first, last)| lookup.ordinal_of(first)..lookup.next_after(last));
        let acked = acked.collect();
        let partial = state.partial.iter().filter_map(|(position, ack_set)| {
            Some((lookup.exact_ordinal(*position)?, ack_set.clone().into_boxed_slice()))
        });
        let partial = partial.collect();
        let counts = state.redelivery_counts.iter();
        let counts = counts
            .filter_map(|&(position, count)| Some((lookup.exact_ordinal(position)?, count)))
            .collect();
        let next_unacked = self.next_after(state.mark_delete);
        AckState { next_unacked, acked, partial, redelivery_counts: counts }
    }

    pub(super) fn open_consumer(
        &mut self,
        open: Box<OpenConsumer>,
        reply: Reply<Result<Consumer, SubscribeError>>,
    ) {
        if !matches!(self.phase, Phase::Serving) {
            _ = reply.send(Err(self.closing().into()));
            return;
        }
        let name: SubscriptionName = Arc::from(open.request.subscription.as_str());
        if is_reserved(&name) {
            _ = reply.send(Err(SubscribeError::NotAllowed(reserved(&name))));
            return;
        }
        if let Some(busy) = self.busy.get_mut(&name) {
            busy.opens.push((open, reply));
            return;
        }
        match self.subscriptions.get(&name).map(|sub| &sub.seeking) {
            Some(Some(_)) => {
                let text = format!("Subscription {name} is being reset; try again");
                _ = reply.send(Err(SubscribeError::Unavailable(text)));
            }
            Some(None) => self.attach(&name, *open, reply),
            None => self.open_new_subscription(name, open, reply),
        }
    }

    fn open_new_subscription(
        &mut self,
        name: SubscriptionName,
        open: Box<OpenConsumer>,
        reply: Reply<Result<Consumer, SubscribeError>>,
    ) {
        let request = &open.request;
        if request.is_durable && !self.policies.creates_subscriptions {
            let (topic, subscription) = (self.name.clone(), name.to_string());
            _ = reply.send(Err(SubscribeError::NotFound { topic, subscription }));
            return;
        }
        if let Err(refusal) = self.check_dead_letters(&name, request) {
            _ = reply.send(Err(SubscribeError::NotAllowed(refusal)));
            return;
        }
        if let Err(refused) = self.refuse_consumer(request) {
            _ = reply.send(Err(refused)); // Before a subscription is made for nobody.
            return;
        }
        if request.is_durable
            && let Err(refusal) = self.refuse_one_more()
        {
            _ = reply.send(Err(SubscribeError::NotAllowed(refusal)));
            return;
        }
        if 0 < request.start_rollback_seconds {
            let since = request.start_rollback_seconds.saturating_mul(1_000);
            let at = self.deps.ledger.env.clock.wall().0.saturating_sub(since);
            let reads_compacted = request.reads_compacted;
            let attempt = self.new_key();
            let mut busy = Busy::new(BusyWith::FindingStart { attempt });
            busy.opens.push((open, reply));
            self.busy.insert(Arc::clone(&name), busy);
            self.find_by_time(at, reads_compacted, move |result| Answer::StartFound {
                subscription: name,
                attempt,
                result,
            });
            return;
        }
        let first = match request.reads_compacted {
            true => self.ledger.chain_ref().first_with_gone(),
            false => self.ledger.first(),
        };
        let at = match request.start {
            Some(start) if !request.is_durable => self.ledger.ordinal_of(start).max(first),
            _ if request.is_earliest => first,
            _ => self.ledger.end(),
        };
        self.create_at(name, at, (open, reply));
    }

    /// Refuses one more durable subscription if there are as many as there may be.
    fn refuse_one_more(&self) -> Result<(), String> {
        let limit = self.policies.subscriptions_max;
        if limit == 0 {
            return Ok(());
        }
        let durable = self.subscriptions.iter().filter(|(_, sub)| sub.is_durable);
        let making = self.busy.iter().filter(|(_, busy)| !matches!(busy.what, BusyWith::Deleting));
        let names = durable.map(|(name, _)| name).chain(making.map(|(name, _)| name));
        let count = names.filter(|name| !is_reserved(name)).count() as u64;
        if count < limit {
            return Ok(());
        }
        let topic = &self.name;
        Err(format!(
            "Exceed the maximum number of subscriptions of the topic: {topic} has {count}, the limit \
             is {limit}"
        ))
    }

    /// The start of a subscription that begins at a time has been found.
    pub(super) fn on_start_found(
        &mut self,
        name: &SubscriptionName,
        attempt: u64,
        result: Result<Ordinal, String>,
    ) {
        let found = self.busy.get(name).map(|busy| &busy.what);
        if !matches!(found, Some(BusyWith::FindingStart { attempt: of }) if *of == attempt) {
            return;
        }
        let Some(mut busy) = self.busy.remove(name) else { return };
        let mut opens = std::mem::take(&mut busy.opens).into_iter();
        match result {
            Ok(at) => {
                if let Some(first) = opens.next() {
                    self.create_at(Arc::clone(name), at, first);
                }
                opens.for_each(|(open, reply)| self.open_consumer(open, reply));
            }
            Err(reason) => {
                opens.for_each(|(_, reply)| {
                    _ = reply.send(Err(SubscribeError::Unavailable(reason.clone())));
                });
            }
        }
        self.answer_rest(name, busy);
    }

    /// Whoever else waited for a name is asked again now that it is free.
    fn answer_rest(&mut self, name: &SubscriptionName, busy: Busy) {
        for unsubscribe in busy.unsubscribes {
            unsubscribe.answer(Ok(()));
        }
        for reply in busy.replies {
            let exists = self.subscriptions.contains_key(name);
            let answer = if exists { Ok(()) } else { Err(in_progress(name)) };
            _ = reply.send(answer);
        }
    }

    fn create_at(&mut self, name: SubscriptionName, at: Ordinal, waiting: Waiting) {
        let (open, reply) = waiting;
        if open.request.is_durable {
            let properties = open.request.subscription_properties.clone();
            self.create_durable(name, at, properties).opens.push((open, reply));
        } else {
            let acks = AckState::before(at);
            let properties = open.request.subscription_properties.clone();
            self.insert_subscription(Arc::clone(&name), acks, false, properties);
            self.attach(&name, *open, reply);
        }
    }

    pub(super) fn create_durable(
        &mut self,
        name: SubscriptionName,
        at: Ordinal,
        properties: Vec<(String, String)>,
    ) -> &mut Busy {
        let position = self.ledger.mark_delete_position(at);
        let cursor_properties: BTreeMap<String, String> = properties.iter().cloned().collect();
        self.ledger.create_cursor(&name, position, cursor_properties);
        let what = BusyWith::Creating { at, properties };
        self.busy.entry(name).or_insert_with(|| Busy::new(what))
    }

    /// The cursor log has the new cursor, or could not make it.
    pub(super) fn on_cursor_created(&mut self, name: &str, result: Result<(), String>) {
        let Some((name, mut busy)) = self.busy.remove_entry(name) else { return };
        let opens = std::mem::take(&mut busy.opens);
        if let (Ok(()), BusyWith::Creating { at, properties }) = (&result, &busy.what) {
            info!(topic = %self.name, subscription = %name, "subscription created");
            let acks = AckState::before(*at);
            self.insert_subscription(Arc::clone(&name), acks, true, properties.clone());
        }
        for (open, reply) in opens {
            match &result {
                Ok(()) => self.open_consumer(open, reply),
                Err(reason) => _ = reply.send(Err(SubscribeError::Unavailable(reason.clone()))),
            }
        }
        for reply in busy.replies {
            _ = reply.send(result.clone().map_err(AdminError::Unavailable));
        }
        if &*name == compaction::CURSOR {
            self.on_compaction_cursor(&result);
        }
    }

    pub(super) fn on_cursor_deleted(&mut self, name: &str, result: Result<(), String>) {
        let Some((name, busy)) = self.busy.remove_entry(name) else { return };
        if let Err(reason) = &result {
            warn!(topic = %self.name, subscription = %name, reason, "a cursor was not deleted");
            if let Some(mut sub) = busy.deleting {
                sub.machine.trim(self.ledger.first());
                sub.machine.extend(self.ledger.end());
                sub.machine.set_indexed(self.delayed.indexed());
                if sub.dead_letters.as_mut().is_some_and(|it| it.give_up_held()) {
                    sub.machine.on_dead_letters(&[], true);
                }
                if sub.flush_at.is_some() {
                    self.unflushed.insert(Arc::clone(&name));
                }
                self.subscriptions.insert(Arc::clone(&name), sub);
                self.ready.insert(Arc::clone(&name));
            }
        }
        for unsubscribe in busy.unsubscribes {
            unsubscribe.answer(result.clone().map_err(RequestError::Unavailable));
        }
        for reply in busy.replies {
            _ = reply.send(result.clone().map_err(AdminError::Unavailable));
        }
        for (open, reply) in busy.opens {
            self.open_consumer(open, reply);
        }
        if &*name == compaction::CURSOR {
            self.on_compaction_cursor(&Ok(()));
        }
    }

    pub(super) fn create_subscription(
        &mut self,
        name: &str,
        at: StartAt,
        properties: Vec<(String, String)>,
        reply: Reply<Result<(), AdminError>>,
    ) {
        let name: SubscriptionName = Arc::from(name);
        if !matches!(self.phase, Phase::Serving) {
            _ = reply.send(Err(AdminError::Unavailable(self.closing().to_string())));
        } else if is_reserved(&name) {
            _ = reply.send(Err(AdminError::NotAllowed(reserved(&name))));
        } else if self.subscriptions.contains_key(&name) || self.busy.contains_key(&name) {
            let text = format!("Subscription {name} already exists for topic {}", self.name);
            _ = reply.send(Err(AdminError::Conflict(text)));
        } else if let Err(refusal) = self.refuse_one_more() {
            _ = reply.send(Err(AdminError::NotAllowed(refusal)));
        } else if let Err(refusal) = DeadLetterPolicy::wanted(&properties, &self.name, &name) {
            _ = reply.send(Err(AdminError::Invalid(refusal)));
        } else {
            let at = match at {
                StartAt::Earliest => self.ledger.first(),
                StartAt::Latest => self.ledger.end(),
                StartAt::Position(position) => {
                    self.ledger.ordinal_of(position).max(self.ledger.first())
                }
            };
            self.create_durable(name, at, properties).replies.push(reply);
        }
    }

    pub(super) fn delete_subscription(
        &mut self,
        name: &str,
        force: bool,
        reply: Reply<Result<(), AdminError>>,
    ) {
        if self.busy.contains_key(name) {
            _ = reply.send(Err(in_progress(name)));
            return;
        }
        match self.subscriptions.get(name) {
            None => _ = reply.send(Err(self.no_subscription(name))),
            Some(_) if name == compaction::CURSOR => {
                _ = reply.send(Err(AdminError::NotAllowed(reserved(name))));
            }
            Some(sub) if sub.has_consumers() && !force => {
                let text = format!("Subscription {name} has active connected consumers");
                _ = reply.send(Err(AdminError::Busy(text)));
            }
            Some(_) => {
                if let Some(busy) = self.remove_subscription(name) {
                    busy.replies.push(reply);
                } else {
                    _ = reply.send(Ok(()));
                }
            }
        }
    }

    pub(super) fn no_subscription(&self, name: &str) -> AdminError {
        AdminError::NotFound(format!("Subscription {name} not found on topic {}", self.name))
    }

    pub(super) fn unsubscribe(
        &mut self,
        key: u64,
        force: bool,
        reply: Reply<Result<(), RequestError>>,
    ) {
        let Some(consumer) = self.consumers.get(&key) else {
            _ = reply.send(Err(RequestError::Closed));
            return;
        };
        let name = Arc::clone(&consumer.subscription);
        let others = self
            .consumers
            .iter()
            .any(|(other, consumer)| *other != key && consumer.subscription == name);
        if others && !force {
            _ = reply.send(Err(RequestError::Busy(name.to_string())));
            return;
        }
        let (outbox, consumer) = (consumer.outbox.clone(), consumer.client_key());
        let unsubscribe = Unsubscribe { reply, outbox, consumer };
        self.detach(key);
        match self.remove_subscription(&name) {
            Some(busy) => busy.unsubscribes.push(unsubscribe),
            None => unsubscribe.answer(Ok(())),
        }
    }

    /// Closes its consumers and forgets it. `None`: it was not durable, nothing is to be deleted.
    pub(super) fn remove_subscription(&mut self, name: &str) -> Option<&mut Busy> {
        self.close_consumers_of(name);
        let (name, mut sub) = self.subscriptions.remove_entry(name)?;
        self.unused_since = self.now();
        sub.charge();
        sub.fail_waiters("the subscription was deleted");
        if let Some(seeking) = sub.seeking.take() {
            seeking.fail("the subscription was deleted");
        }
        self.ready.remove(&name);
        self.unflushed.remove(&name);
        if !sub.is_durable {
            return None;
        }
        self.ledger.delete_cursor(&name);
        let busy = self.busy.entry(name).or_insert_with(|| Busy::new(BusyWith::Deleting));
        busy.deleting = Some(sub);
        Some(busy)
    }

    /// Acks the next `entries` entries of a subscription, or all of its backlog.
    pub(super) fn skip(
        &mut self,
        name: &str,
        entries: Option<u64>,
        reply: Reply<Result<(), AdminError>>,
    ) {
        let Some((key, sub)) = self.subscriptions.get_key_value(name) else {
            _ = reply.send(Err(self.no_subscription(name)));
            return;
        };
        if name == compaction::CURSOR {
            _ = reply.send(Err(AdminError::NotAllowed(reserved(name))));
            return;
        }
        let name = Arc::clone(key);
        let is_durable = sub.is_durable;
        let Some(sub) = self.subscriptions.get_mut(&name) else { return };
        let change = match entries {
            Some(entries) => sub.machine.skip(entries),
            None => sub.machine.clear_backlog(),
        };
        if is_durable {
            // Also when nothing changed: what an earlier try changed may not be durable yet.
            self.note_acks(&name, &change, Some(AckWaiter::Admin(reply)));
        } else {
            _ = reply.send(Ok(()));
        }
        self.ready.insert(name);
    }

    /// Whether this name is being made or deleted.
    pub(super) fn is_busy_name(&self, name: &str) -> bool {
        self.busy.contains_key(name)
    }

    /// Whether a name is being made or deleted.
    pub(super) fn has_busy_names(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Answers everyone who waits for a name: the topic is closing.
    pub(super) fn fail_busy(&mut self) {
        let error = self.closing();
        for (_, busy) in std::mem::take(&mut self.busy) {
            for (_, reply) in busy.opens {
                _ = reply.send(Err(error.clone().into()));
            }
            for reply in busy.replies {
                _ = reply.send(Err(AdminError::Unavailable(error.to_string())));
            }
            for unsubscribe in busy.unsubscribes {
                unsubscribe.answer(Err(RequestError::Unavailable(error.to_string())));
            }
        }
    }

    pub(super) fn position_before(&self, next: Ordinal) -> Position {
        self.ledger.mark_delete_position(next)
    }
}

/// Whether the topic itself has a cursor of that name: no client uses it.
pub(crate) fn is_reserved(name: &str) -> bool {
    name == compaction::CURSOR || name == deduplication::CURSOR
}

pub(super) fn reserved(name: &str) -> String {
    let what = if name == compaction::CURSOR { "compaction" } else { "deduplication" };
    format!("Subscription {name} is the topic's {what}: nobody else uses it")
}

fn in_progress(name: &str) -> AdminError {
    AdminError::Unavailable(format!("Subscription {name} is being created or deleted; try again"))
}
