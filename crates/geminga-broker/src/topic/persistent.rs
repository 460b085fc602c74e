//! A persistent topic: decides, given events, completions and the time. `task.rs` waits and moves.
//!
//! # Invariants
//!
//! 1. `pending` holds one item for each append that the managed ledger has not decided, in order, and
//!    between them duplicates, which are answered in their turn; a receipt is made only from the managed
//!    ledger's [`Confirmed`](geminga_managed_ledger::Confirmed), or of what was confirmed before.
//! 2. A consumer is in `consumers` exactly while its subscription's machine has it attached.
//! 3. An ack is answered only when the cursor log says that its delta is durable.
//! 4. While a name is in `busy`, its subscription is being created or deleted, and whoever asks for
//!    it waits there.
//! 5. What is stored is deleted only after every job has answered: none writes after it.

mod ack;
mod background;
mod backlog_scan;
mod broker_metadata;
mod close;
mod compacted_view;
mod compaction;
mod consumers;
mod cursor_events;
mod dead_letters;
mod deduplication;
mod delayed;
mod dispatch;
mod examine;
mod expiry;
mod expiry_by_request;
mod explain;
mod index_search;
mod positions;
mod properties;
mod publish;
mod quota;
mod row;
mod seek;
mod sleep;
mod snapshots;
mod stats;
mod sub;
mod subscription_properties;
mod subscriptions;
mod tail;
mod task;
mod throttle;
mod upkeep;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use bytes::Bytes;
use geminga_env::{Gauge, Instant};
use geminga_managed_ledger::ManagedLedger;
use geminga_types::{Position, TopicName};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use self::{
    background::Answer, close::Phase, compaction::Compaction, delayed::Delayed,
    properties::Truncation, publish::Pending, sub::Sub, subscriptions::Busy, tail::Tail,
};
use super::{
    Event, admission::Admission, consumers::OpenedConsumer, inbox::Inbox, mailbox::WeakSender,
    producers::Producers, rates::Flow,
};
use crate::{
    Budget, Neighbours, Options,
    dynamic::LiveOptions,
    in_all::InAll,
    ownership::Grant,
    policies::TopicPolicies,
    publish_gate::PublishLimiter,
    publisher::Publishers,
    rate::Limiter,
    resource_groups::{Member, ResourceGroups},
    schema::Registry,
    topic_row::{Appends, Minutes, ReadFigures},
    unacked::UnackedInAll,
};

pub(crate) use broker_metadata::recover_index;
pub(crate) use deduplication::{
    CURSOR as DEDUPLICATION_CURSOR, Deduplication, recover as recover_deduplication,
};
pub(crate) use subscriptions::is_reserved;
pub(super) use task::spawn;

type SubscriptionName = Arc<str>;

/// An entry as the subscription machines hand it through.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    position: Position,
    /// Its first bytes, while they are in a piece of their own.
    front: Bytes,
    entry: Bytes,
}

impl Stored {
    const fn len(&self) -> usize {
        self.front.len() + self.entry.len()
    }
}

pub(super) type ReadEntry = geminga_subscription::Entry<Stored>;

/// What a topic is given to live with.
#[derive(Clone, Debug)]
pub(crate) struct TopicDeps {
    pub(crate) ledger: geminga_ledger::Deps,
    pub(crate) schemas: Arc<Registry>,
    /// What the operator decided at the start.
    pub(crate) options: Arc<Options>,
    /// The same, with what was set since.
    pub(crate) live: Arc<LiveOptions>,
    /// Reads in flight, over all topics.
    pub(crate) reads: Budget,
    /// Memory for acks, over all subscriptions.
    pub(crate) ack_states: Gauge,
    /// Memory for what waits for its time, over all subscriptions.
    pub(crate) timers: Gauge,
    /// The dispatch rate of all topics, if there is one.
    pub(crate) dispatch: Option<Arc<Mutex<Limiter>>>,
    /// The publish rate of all topics.
    pub(crate) publish_rate: Arc<PublishLimiter>,
    /// What namespaces may take together.
    pub(crate) resource_groups: Arc<ResourceGroups>,
    /// Subscriptions whose books did not balance.
    pub(crate) repairs: Arc<AtomicU64>,
    /// Unacked messages, over all subscriptions.
    pub(crate) unacked: UnackedInAll,
    /// Memory for the keys of topics that are being compacted.
    pub(crate) compaction_keys: Gauge,
    /// How many topics may be compacted at once.
    pub(crate) compactions: Arc<Semaphore>,
    /// How many topics may be read at once for their delayed messages.
    pub(crate) delayed_scans: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// Bytes of publishes in flight.
    pub(crate) publishes: Budget,
    /// Publish for it to other topics.
    pub(crate) publishers: Arc<Publishers>,
    pub(crate) neighbours: Arc<dyn Neighbours>,
    pub(crate) dead_letters: Arc<DeadLetterCounts>,
    /// How often a topic did not answer in time.
    pub(crate) silences: Arc<AtomicU64>,
    /// What is counted for metrics.
    pub(crate) in_all: Arc<InAll>,
}

/// Dead letters of all subscriptions.
#[derive(Debug, Default)]
pub(crate) struct DeadLetterCounts {
    /// Messages that were published.
    pub(crate) published: AtomicU64,
    /// How often publishing failed.
    pub(crate) failures: AtomicU64,
}

struct Topic {
    name: TopicName,
    deps: TopicDeps,
    policies: Arc<TopicPolicies>,
    grant: Grant,
    inbox: Inbox<Answer>,
    mailbox: WeakSender,
    ledger: ManagedLedger,
    /// Jobs of `ledger` that have not answered.
    jobs: usize,
    pending: VecDeque<Pending>,
    tail: Tail,
    producers: Producers,
    // Boxed: a map's node is made for eleven, and most topics have one of each.
    consumers: BTreeMap<u64, Box<OpenedConsumer>>,
    admission: Admission,
    subscriptions: BTreeMap<SubscriptionName, Box<Sub>>,
    busy: BTreeMap<SubscriptionName, Busy>,
    /// Subscriptions that may have something to do.
    ready: BTreeSet<SubscriptionName>,
    /// Holds its dispatch rate.
    limiter: Option<Box<Limiter>>,
    /// Its resource group.
    group: Option<Member>,
    /// Who was last to take of a rate that others take of.
    last_throttled: Option<SubscriptionName>,
    /// Who found nothing left of such a rate.
    throttled: BTreeSet<SubscriptionName>,
    /// Subscriptions with acks that are not yet in the cursor log.
    unflushed: BTreeSet<SubscriptionName>,
    /// Snapshots of cursors that are being collected.
    snapshots: BTreeMap<SubscriptionName, Box<snapshots::Making>>,
    next_key: u64,
    next_incarnation: u64,
    phase: Phase,
    flow_in: Flow,
    flow_out: Flow,
    last_publish_time: u64,
    /// How long appends take and how large they are, once there was one.
    appends: Option<Box<Appends>>,
    /// What is read for subscriptions, once there was anything.
    reads: Option<Box<Minutes<ReadFigures>>>,
    next_trim: Instant,
    /// When something that uses it was there last.
    unused_since: Instant,
    /// How often its subscriptions were audited.
    audits: u64,
    backlog: quota::Backlog,
    compaction: Compaction,
    delayed: Delayed,
    /// Nothing, while nobody wants it.
    deduplication: Option<Box<Deduplication>>,
    /// Whether what producers send is left to be sent again, since they are about to be closed.
    is_closing_producers: bool,
    /// Whether somebody looks for what is past its time.
    is_expiring: bool,
    terminating: Vec<super::Reply<Result<Position, crate::AdminError>>>,
    /// Who waits for properties to be durable, in order.
    noting: VecDeque<super::Reply<Result<(), crate::AdminError>>>,
    truncation: Truncation,
}

impl Topic {
    fn now(&self) -> Instant {
        self.deps.ledger.env.clock.now()
    }

    fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    #[expect(clippy::too_many_lines, reason = "a table, exhaustive so that no event is forgotten")]
    fn on_event(&mut self, event: Event) {
        match event {
            Event::OpenProducer { open, reply } => self.open_producer(*open, reply),
            Event::Publish { producer, batch } => self.publish(producer, batch),
            Event::CloseProducer { producer, reply } => {
                self.producers.remove(producer);
                self.unused_since = self.now();
                _ = reply.send(());
            }
            Event::OpenConsumer { open, reply } => self.open_consumer(open, reply),
            Event::Flow { consumer, permits } => self.flow(consumer, permits),
            Event::Ack { consumer, request } => self.ack(consumer, &request),
            Event::Redeliver { consumer, positions, epoch } => {
                self.redeliver(consumer, positions.as_deref(), epoch);
            }
            Event::Unsubscribe { consumer, force, reply } => {
                self.unsubscribe(consumer, force, reply);
            }
            Event::Seek { consumer, to, reply } => self.seek(consumer, to, reply),
            Event::LastMessage { consumer, reply } => self.last_message(consumer, reply),
            Event::ConsumerStats { consumer, reply } => {
                _ = reply.send(self.consumer_stats(consumer));
            }
            Event::CloseConsumer { consumer, reply } => {
                self.close_consumer(consumer);
                _ = reply.send(());
            }
            // Who asked may have given up since: then it would be work for nothing.
            Event::Stats { reply } if reply.is_closed() => {}
            Event::Stats { reply } => _ = reply.send(self.stats()),
            Event::Row { reply, .. } if reply.is_closed() => {}
            Event::Row { detail, reply } => _ = reply.send(self.row(detail)),
            Event::Explain { subscription, reply } => {
                _ = reply.send(self.explain(&subscription));
            }
            Event::IsIdle { reply } => _ = reply.send(self.is_idle()),
            Event::LastMessageId { reply } => self.last_message_id(reply),
            Event::PositionOfIndex { index, reply } => self.position_of_index(index, reply),
            Event::PositionOfTime { time, reply } => self.position_of_time(time, reply),
            Event::ReadEntry { which, reply } => self.read_entry(&which, reply),
            Event::CreateSubscription { name, at, properties, reply } => {
                self.create_subscription(&name, at, properties, reply);
            }
            Event::DeleteSubscription { name, force, reply } => {
                self.delete_subscription(&name, force, reply);
            }
            Event::Skip { subscription, entries, reply } => {
                self.skip(&subscription, entries, reply);
            }
            Event::ResetCursor { subscription, to, reply } => {
                self.reset_cursor(&subscription, to, reply);
            }
            Event::Expire { subscription, to, reply } => {
                self.expire_up_to(&subscription, to, reply);
            }
            Event::SetSubscriptionProperties { subscription, properties, reply } => {
                self.set_subscription_properties(&subscription, properties, reply);
            }
            Event::CountBacklog { subscription, from, reply } => {
                self.count_backlog(&subscription, from, reply);
            }
            Event::BytesFrom { position, reply } => {
                let from = self.ledger.ordinal_of(position);
                _ = reply.send(Ok(self.ledger.bytes_from(from)));
            }
            Event::Trim { reply } => {
                let wall = self.deps.ledger.env.clock.wall();
                self.ledger.trim(self.slowest(), wall);
                _ = reply.send(Ok(()));
            }
            Event::Compact { reply } => self.compact(reply),
            Event::CompactionStatus { reply } => _ = reply.send(Ok(self.compaction_status())),
            Event::Terminate { reply } => self.terminate(reply),
            Event::Properties { reply } => _ = reply.send(Ok(self.properties())),
            Event::ChangeProperties { changes, reply } => self.change_properties(changes, reply),
            Event::Truncate { reply } => self.truncate(reply),
            Event::Policies(policies) => self.set_policies(policies),
            Event::Sleep { reply } => self.sleep(reply),
            Event::Unload { reply } => self.start_unload(Some(reply)),
            Event::DeleteInactive { reply } => self.delete_inactive(reply),
            Event::PrepareDelete { force, reply } => self.prepare_delete(force, reply),
        }
    }

    fn set_policies(&mut self, policies: Arc<TopicPolicies>) {
        if policies.subscribe_rate.is_none() {
            self.admission.forget();
        }
        if policies.snapshot_interval != self.policies.snapshot_interval {
            self.reschedule_records();
        }
        self.policies = policies;
        self.apply_policies();
        for (name, sub) in &mut self.subscriptions {
            sub.set_policies(&self.policies);
            self.ready.insert(Arc::clone(name));
        }
        self.enforce_quota();
        self.look_at_threshold();
    }

    /// Lets the managed ledger, the limiters and producers know; most topics share one set of its options.
    fn apply_policies(&mut self) {
        self.set_dispatch_rates();
        self.producers.set_policies(&self.policies);
        self.switch_deduplication();
        let (time, bytes) = (self.policies.retention_time, self.policies.retention_bytes);
        let options = self.ledger.options();
        if (options.retention_time, options.retention_bytes) != (time, bytes) {
            self.ledger.set_retention(time, bytes);
        }
    }

    /// Ledgers have gone: nobody may wait for what was in them.
    fn note_trimmed(&mut self) {
        let first = self.ledger.first();
        let names: Vec<SubscriptionName> = self.subscriptions.keys().cloned().collect();
        for name in names {
            if !self.survives_trimming(&name)
                && let Some(sub) = self.subscriptions.get_mut(&name)
            {
                sub.machine.trim(first);
            }
            self.ready.insert(name);
        }
    }

    fn on_arrived(&mut self) {
        let arrived = self.inbox.take();
        for (bookie, results) in &arrived.added {
            self.ledger.on_added(bookie, results);
        }
        arrived.answers.into_iter().for_each(|answer| self.on_answer(answer));
        for key in arrived.writable {
            if let Some(consumer) = self.consumers.get(&key)
                && let Some(sub) = self.subscriptions.get_mut(&consumer.subscription)
            {
                sub.machine.set_writable(consumer.key(), true);
                self.ready.insert(Arc::clone(&consumer.subscription));
            }
        }
    }

    /// Does everything that can be done now; called after each batch of events.
    ///
    /// Each step may give another something to do (a flush needs a snapshot, a polled job closes a
    /// cursor), so it ends only after a round in which none had anything.
    fn pump(&mut self) {
        loop {
            let mut is_busy = self.settle_publishes();
            is_busy |= self.settle_opening();
            is_busy |= self.settle_deduplication();
            is_busy |= self.store_due_records();
            is_busy |= self.flush_due_acks();
            is_busy |= self.settle_cursors();
            is_busy |= self.settle_compaction();
            is_busy |= self.settle_access();
            is_busy |= self.settle_delayed();
            is_busy |= self.dispatch();
            is_busy |= self.move_phase();
            is_busy |= self.send_and_spawn();
            is_busy |= self.settle_properties();
            is_busy |= self.settle_truncation();
            is_busy |= self.end_if_sealed();
            if !is_busy {
                break;
            }
        }
        self.let_cached_go();
    }

    /// What everybody has read need not be cached once memory is short; what stays is parked.
    fn let_cached_go(&mut self) {
        if self.ledger.options().tail_caches.is_half_full() {
            self.evict_read();
        }
        if 0 < self.ledger.cached_bytes() {
            let has_readers = !self.consumers.is_empty();
            if has_readers { self.ledger.park_cached() } else { self.evict_read() }
        }
    }

    fn evict_read(&mut self) {
        let read = self.subscriptions.values().filter(|sub| sub.has_consumers());
        let needed = read.map(|sub| sub.machine.next_read()).min();
        self.ledger.evict_cached(needed.unwrap_or_else(|| self.ledger.end()));
    }

    /// Lets go of memory that is only needed when there is much to do.
    fn shrink(&mut self) {
        self.evict_read();
        self.ledger.shrink();
        self.pending.shrink_to_fit();
        self.tail.shrink();
    }

    /// Hands entries to bookies and jobs to the tracker. False: there were none.
    fn send_and_spawn(&mut self) -> bool {
        let mut has_any = false;
        while let Some((bookie, entries)) = self.ledger.poll_send() {
            has_any = true;
            match self.deps.ledger.bookies.get(&bookie) {
                Some(client) => client.add(entries, self.inbox.sink()),
                None => self.inbox.refuse(&bookie, &entries),
            }
        }
        if matches!(self.phase, Phase::Deleting { .. }) {
            return has_any; // The jobs are counted out.
        }
        while let Some(job) = self.ledger.poll_job() {
            has_any = true;
            self.spawn_job(job);
        }
        has_any
    }
}
