//! Subscriptions: made, found, deleted; and who waits while that happens.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use geminga_env::{Instant, Share};
use geminga_managed_ledger::{CursorDelta, CursorSeq, CursorState};
use geminga_subscription::{AckState, ConsumerKey, ReadFailed, ReadId, Subscription};
use geminga_types::{Ordinal, Position};
use tracing::{error, info, warn};

use super::{
    super::{Reply, StartAt, attach::failover_slot, rates::Flow},
    Stored, SubscriptionName, Topic,
    ack::AckWaiter,
    background::Answer,
    close::Phase,
    compacted_view::{Found, Horizon, View},
    compaction,
    seek::Seeking,
    throttle::limiter_for,
};
use crate::{
    AdminError, ClientKey, Consumer, Outbox, Outgoing, RequestError, SubscribeError,
    SubscriptionKind, consumer::OpenConsumer, feedback::Feedback, policies::TopicPolicies,
    rate::Limiter, unacked::UnackedShare,
};

/// Subscriptions that are recounted together: a topic stands still for them.
const AUDITED_AT_ONCE: usize = 16;

/// Somebody who waits for an answer to SUBSCRIBE.
pub(super) type Waiting = (Box<OpenConsumer>, Reply<Result<Consumer, SubscribeError>>);

/// One subscription.
pub(super) struct Sub {
    pub(super) machine: Subscription<Stored>,
    /// Tells answers for an earlier subscription of the same name apart.
    pub(super) incarnation: u64,
    pub(super) is_durable: bool,
    /// Kind of the last consumer that was attached.
    pub(super) kind: Option<SubscriptionKind>,
    pub(super) properties: Vec<(String, String)>,
    /// Acks, and raised redelivery counts, that are not yet in the cursor log.
    pub(super) delta: CursorDelta,
    /// Who wants to know when `delta` is durable.
    pub(super) delta_waiters: Vec<AckWaiter>,
    /// When `delta` goes to the cursor log at the latest.
    pub(super) flush_at: Option<Instant>,
    /// What is on its way to the cursor log, oldest first: who waits, and the mark-delete position.
    pub(super) in_flight: VecDeque<InFlight>,
    /// First entry that is not durably acked; what is before it may be trimmed.
    pub(super) durable_mark_delete: Ordinal,
    pub(super) seeking: Option<Seeking>,
    /// Whether its consumers see the compacted topic, as far as there is one.
    pub(super) reads_compacted: bool,
    /// The active consumer that the view is of.
    pub(super) settled_for: Option<ConsumerKey>,
    /// The compacted ledger, until all of it is acked.
    pub(super) view: Option<View>,
    /// Where the newest one ends that it has read.
    pub(super) horizon: Option<Horizon>,
    pub(super) flow_out: Flow,
    pub(super) flow_redelivered: Flow,
    /// Its shares of what all subscriptions hold.
    ack_state: Share,
    timers: Share,
    unacked: UnackedShare,
    /// Holds its dispatch rate.
    pub(super) limiter: Option<Box<Limiter>>,
    /// If its properties want it.
    pub(super) feedback: Option<Box<Feedback>>,
    consumers: usize,
    /// Since when it has no consumers; a load begins anew.
    unused_since: Instant,
    /// A reader's, without consumers when ledgers were last looked over: see `drop_abandoned`.
    is_abandoned: bool,
}

/// One write to the cursor log.
pub(super) struct InFlight {
    pub(super) seq: CursorSeq,
    pub(super) waiters: Vec<AckWaiter>,
    pub(super) mark_delete: Ordinal,
}

/// A name that is being made or deleted.
pub(super) struct Busy {
    what: BusyWith,
    opens: Vec<Waiting>,
    replies: Vec<Reply<Result<(), AdminError>>>,
    unsubscribes: Vec<Unsubscribe>,
    /// What is being deleted: it is put back if that fails, and until then its backlog is kept.
    deleting: Option<Box<Sub>>,
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

enum BusyWith {
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

impl Sub {
    /// Tells the gauges what the machine holds.
    pub(super) fn charge(&mut self) {
        let held = self.machine.held();
        self.ack_state.set(held.ack_state);
        self.timers.set(held.timers);
        self.unacked.set(self.machine.unacked_messages());
    }

    /// Takes the answer to a read.
    pub(super) fn on_read(&mut self, id: ReadId, result: Result<Found, ReadFailed>) {
        match result {
            Ok(Found { entries, absent, place }) => {
                if let (Some(view), Some(place)) = (&mut self.view, place) {
                    view.note_place(place);
                }
                // Of a view that has gone meanwhile, only what is there counts.
                let absent = if self.view.is_some() { &absent[..] } else { &[] };
                self.machine.on_sparse_read(id, Ok(entries), absent);
            }
            Err(failed) => self.machine.on_read(id, Err(failed)),
        }
    }

    /// The compacted ledger is not needed any more once all up to its horizon is acked.
    pub(super) fn let_view_go(&mut self) {
        let acked = self.machine.mark_delete();
        self.view.take_if(|view| view.end() <= acked);
    }

    pub(super) fn set_policies(&mut self, policies: &TopicPolicies) {
        let (per_consumer, all) =
            (policies.unacked_per_consumer_max, policies.unacked_per_subscription_max);
        self.machine.set_unacked_limits(per_consumer, all);
        self.machine.set_ttl(policies.ttl_ms().filter(|_| self.is_durable));
    }

    pub(super) const fn has_consumers(&self) -> bool {
        0 < self.consumers
    }

    pub(super) const fn note_attached(&mut self) {
        self.consumers += 1;
        self.is_abandoned = false;
    }

    pub(super) const fn note_detached(&mut self, now: Instant) {
        self.consumers = self.consumers.saturating_sub(1);
        self.unused_since = now;
    }

    pub(super) const fn note_delivered(&mut self, messages: u32, bytes: u64, redelivery: u32) {
        self.flow_out.add(messages as u64, bytes);
        if 0 < redelivery {
            self.flow_redelivered.add(messages as u64, bytes);
        }
    }

    /// Whether everything is acked: when Pulsar tells consumers of the end of a topic.
    pub(super) const fn has_consumed_all(&self) -> bool {
        self.machine.backlog() == 0
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
        for (name, state) in self.ledger.take_recovered_cursors() {
            let acks = self.ack_state_of(&state);
            let properties = state.cursor_properties.into_iter().collect();
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

    fn insert_subscription(
        &mut self,
        name: SubscriptionName,
        acks: AckState,
        is_durable: bool,
        properties: Vec<(String, String)>,
    ) {
        let options = &self.deps.options;
        let limits = &options.limits;
        let options = geminga_subscription::Options {
            partition: self.name.partition(),
            failover_slot: failover_slot(&self.name, options),
            hand_over_ms: u64::try_from(options.failover_delay.as_millis()).unwrap_or(u64::MAX),
            auto_split: options.auto_split,
            round_robin_entries_max: limits.round_robin_entries_max,
            scarce_unacked_messages_max: limits.unacked_per_subscription_when_blocked_max,
            read_entries_max: limits.read_entries_max,
            read_bytes_max: limits.read_bytes_max,
            consumer_unacked_messages_max: self.policies.unacked_per_consumer_max,
            unacked_messages_max: self.policies.unacked_per_subscription_max,
            look_ahead_entries_max_per_consumer: limits.look_ahead_per_consumer_max,
            look_ahead_entries_max: limits.look_ahead_per_subscription_max,
            ttl_ms: self.policies.ttl_ms().filter(|_| is_durable),
            ..geminga_subscription::Options::default()
        };
        let now = self.now();
        let durable_mark_delete = acks.next_unacked;
        // Whether it may read what is only in a compacted ledger is known when a consumer comes.
        let first = self.ledger.chain_ref().first_with_gone();
        let machine = Subscription::new(options, acks, first, self.ledger.end());
        self.next_incarnation += 1;
        let mut sub = Sub {
            machine,
            incarnation: self.next_incarnation,
            is_durable,
            kind: None,
            feedback: Feedback::wanted(&properties, now),
            properties,
            delta: CursorDelta::default(),
            delta_waiters: Vec::new(),
            flush_at: None,
            in_flight: VecDeque::new(),
            durable_mark_delete,
            seeking: None,
            reads_compacted: false,
            settled_for: None,
            view: None,
            horizon: None,
            unused_since: now,
            flow_out: Flow::new(now),
            flow_redelivered: Flow::new(now),
            ack_state: Share::of(self.deps.ack_states.clone()),
            unacked: UnackedShare::of(self.deps.unacked.clone()),
            limiter: limiter_for(&self.policies.subscription_dispatch_rate, None, now),
            timers: Share::of(self.deps.timers.clone()),
            consumers: 0,
            is_abandoned: false,
        };
        sub.charge();
        self.subscriptions.insert(name, Box::new(sub));
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
        if &*name == compaction::CURSOR {
            _ = reply.send(Err(SubscribeError::NotAllowed(reserved())));
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
        if request.is_durable && !self.deps.options.auto_subscription_creation {
            let (topic, subscription) = (self.name.clone(), name.to_string());
            _ = reply.send(Err(SubscribeError::NotFound { topic, subscription }));
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
        } else if &*name == compaction::CURSOR {
            _ = reply.send(Err(AdminError::NotAllowed(reserved())));
        } else if self.subscriptions.contains_key(&name) || self.busy.contains_key(&name) {
            let text = format!("Subscription {name} already exists for topic {}", self.name);
            _ = reply.send(Err(AdminError::Conflict(text)));
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
                _ = reply.send(Err(AdminError::NotAllowed(reserved())));
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
    fn remove_subscription(&mut self, name: &str) -> Option<&mut Busy> {
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
            _ = reply.send(Err(AdminError::NotAllowed(reserved())));
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

    /// Drops readers' subscriptions that a seek has left without consumers and nobody came back to.
    pub(super) fn drop_abandoned(&mut self) {
        self.subscriptions.retain(|_, sub| {
            let is_idle = !sub.is_durable && !sub.has_consumers() && sub.seeking.is_none();
            let stays = !(is_idle && sub.is_abandoned);
            sub.is_abandoned = is_idle;
            stays
        });
    }

    /// Deletes durable subscriptions that nobody has used for as long as the policies want.
    pub(super) fn delete_unused(&mut self) {
        let Some(limit) = self.policies.subscription_expiry else { return };
        if !matches!(self.phase, Phase::Serving) {
            return;
        }
        let now = self.now();
        let is_over = |name: &SubscriptionName, sub: &Sub| {
            is_consumed(name, sub)
                && !sub.has_consumers()
                && sub.seeking.is_none()
                && limit < now.saturating_duration_since(sub.unused_since)
                && !self.busy.contains_key(name)
        };
        let over = self.subscriptions.iter().filter(|(name, sub)| is_over(name, sub));
        let over: Vec<SubscriptionName> = over.map(|(name, _)| Arc::clone(name)).collect();
        for name in over {
            let minutes = limit.as_secs() / 60;
            info!(topic = %self.name, subscription = %name, minutes, "not used for so long: deleted");
            self.remove_subscription(&name);
        }
    }

    /// Recounts what some machines know, others each time. One that is wrong delivers again what is not
    /// acked: a message may come twice, and none is stuck.
    pub(super) fn audit(&mut self) {
        let count = self.subscriptions.len();
        let first = usize::try_from(self.audits).unwrap_or(0) * AUDITED_AT_ONCE % count.max(1);
        self.audits += 1;
        let subs = self.subscriptions.iter_mut().skip(first).take(AUDITED_AT_ONCE);
        for (name, sub) in subs {
            if !self.ready.contains(name) && !sub.machine.audit(self.audits) {
                let stats = sub.machine.stats();
                error!(
                    topic = %self.name, subscription = %name, ?stats,
                    "its books did not balance: everything that is not acked is delivered again"
                );
                self.deps.repairs.fetch_add(1, Ordering::Relaxed);
                sub.machine.repair();
                self.ready.insert(Arc::clone(name));
            }
        }
    }

    /// First entries that durable subscriptions still need; `None` when there is no such one.
    pub(super) fn slowest(&self) -> Option<Ordinal> {
        let durable = self.subscriptions.values().filter(|sub| sub.is_durable);
        let needed = durable.map(|sub| sub.durable_mark_delete);
        let creating = self.busy.values().filter_map(|busy| match busy.what {
            BusyWith::Creating { at, .. } => Some(at),
            BusyWith::Deleting => busy.deleting.as_ref().map(|sub| sub.durable_mark_delete),
            BusyWith::FindingStart { .. } => None,
        });
        needed.chain(creating).min()
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

/// Whether it is durable and consumers are to consume it: compaction's cursor has none.
pub(super) fn is_consumed(name: &str, sub: &Sub) -> bool {
    sub.is_durable && name != compaction::CURSOR
}

fn reserved() -> String {
    format!("Subscription {} is the topic's compaction: nobody else uses it", compaction::CURSOR)
}

fn in_progress(name: &str) -> AdminError {
    AdminError::Unavailable(format!("Subscription {name} is being created or deleted; try again"))
}
