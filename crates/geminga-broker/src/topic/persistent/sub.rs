//! One subscription of the topic: its machine, and what is kept beside it.

use std::collections::VecDeque;

use geminga_env::{Instant, Share};
use geminga_managed_ledger::{CursorDelta, CursorSeq};
use geminga_subscription::{AckState, ConsumerKey, ReadFailed, ReadId, Subscription};
use geminga_types::Ordinal;

use super::{
    super::{activity::Doings, attach::failover_slot, rates::Flow},
    Stored, SubscriptionName, Topic,
    ack::AckWaiter,
    compacted_view::{Found, Horizon, View},
    compaction,
    dead_letters::DeadLetters,
    seek::Seeking,
    throttle::limiter_for,
};
use crate::{
    SubscriptionKind, feedback::Feedback, policies::TopicPolicies, rate::Limiter,
    unacked::UnackedShare,
};

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
    pub(super) doings: Doings,
    /// Its shares of what all subscriptions hold.
    ack_state: Share,
    timers: Share,
    unacked: UnackedShare,
    /// Holds its dispatch rate.
    pub(super) limiter: Option<Box<Limiter>>,
    /// If its properties want it.
    pub(super) feedback: Option<Box<Feedback>>,
    /// If its properties want them to go elsewhere.
    pub(super) dead_letters: Option<Box<DeadLetters>>,
    consumers: usize,
    /// Since when it has no consumers; a load begins anew.
    pub(super) unused_since: Instant,
    /// A reader's, without consumers when ledgers were last looked over: see `drop_abandoned`.
    pub(super) is_abandoned: bool,
}

/// One write to the cursor log.
pub(super) struct InFlight {
    pub(super) seq: CursorSeq,
    pub(super) waiters: Vec<AckWaiter>,
    pub(super) mark_delete: Ordinal,
    /// Messages that were handed out as dead letters and are acked with it.
    pub(super) dead_letters: u64,
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
            Ok(Found { entries, parked: Some(parked), .. }) => {
                self.machine.on_parking_read(id, Ok(entries), &parked);
            }
            Ok(Found { entries, absent, place, .. }) => {
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
        self.machine.set_honours_delays(policies.honours_delays);
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

    pub(super) fn note_delivered(
        &mut self,
        now: Instant,
        messages: u32,
        bytes: u64,
        redelivery: u32,
    ) {
        self.flow_out.add(now, u64::from(messages), bytes);
        if 0 < redelivery {
            self.flow_redelivered.add(now, u64::from(messages), bytes);
        }
    }

    /// Whether everything is acked: when Pulsar tells consumers of the end of a topic.
    pub(super) const fn has_consumed_all(&self) -> bool {
        self.machine.backlog() == 0
    }
}

impl Topic {
    /// Adds a subscription with what is acked of it.
    pub(super) fn insert_subscription(
        &mut self,
        name: SubscriptionName,
        acks: AckState,
        is_durable: bool,
        properties: Vec<(String, String)>,
    ) {
        let dead_letters = self.dead_letters_of(&name, &properties, is_durable);
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
            honours_delays: self.policies.honours_delays,
            delayed_entries_max: self.deps.options.delayed.held_entries_max,
            dead_letters: dead_letters.as_ref().map(|found| found.options()),
            ..geminga_subscription::Options::default()
        };
        let now = self.now();
        let durable_mark_delete = acks.next_unacked;
        // Whether it may read what is only in a compacted ledger is known when a consumer comes.
        let first = self.ledger.chain_ref().first_with_gone();
        let mut machine = Subscription::new(options, acks, first, self.ledger.end());
        machine.set_indexed(self.delayed.indexed());
        self.next_incarnation += 1;
        let mut sub = Sub {
            machine,
            incarnation: self.next_incarnation,
            is_durable,
            kind: None,
            feedback: Feedback::wanted(&properties, now),
            dead_letters,
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
            doings: Doings::new(&*self.deps.ledger.env.clock),
            ack_state: Share::of(self.deps.ack_states.clone()),
            unacked: UnackedShare::of(self.deps.unacked.clone()),
            limiter: limiter_for(self.policies.rate_of_subscription(&name), None, now),
            timers: Share::of(self.deps.timers.clone()),
            consumers: 0,
            is_abandoned: false,
        };
        sub.charge();
        self.subscriptions.insert(name, Box::new(sub));
    }
}

/// Whether it is durable and consumers are to consume it: compaction's cursor has none.
pub(super) fn is_consumed(name: &str, sub: &Sub) -> bool {
    sub.is_durable && name != compaction::CURSOR
}
