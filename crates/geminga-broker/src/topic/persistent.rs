//! A persistent topic: decides, given events, completions and the time. `task.rs` waits and moves.
//!
//! # Invariants
//!
//! 1. `pending` holds one item for each append that the managed ledger has not decided, in order; a
//!    receipt is made only from the managed ledger's [`Confirmed`](geminga_managed_ledger::Confirmed).
//! 2. A consumer is in `consumers` exactly while its subscription's machine has it attached.
//! 3. An ack is answered only when the cursor log says that its delta is durable.
//! 4. While a name is in `busy`, its subscription is being created or deleted, and whoever asks for
//!    it waits there.

mod ack;
mod close;
mod consumers;
mod cursor_events;
mod dispatch;
mod positions;
mod publish;
mod seek;
mod stats;
mod subscriptions;
mod tail;
mod task;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use geminga_env::Instant;
use geminga_managed_ledger::ManagedLedger;
use geminga_subscription::{ReadFailed, ReadId};
use geminga_types::{Ordinal, Position, TopicName};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use self::{
    close::Phase,
    consumers::OpenedConsumer,
    publish::OpenedProducer,
    publish::Pending,
    subscriptions::{Busy, Sub},
    tail::Tail,
};
use super::{Event, inbox::Inbox, rates::Flow};
use crate::{Budget, Options, ownership::Grant};

pub(super) use task::spawn;

type SubscriptionName = Arc<str>;

/// An entry as the subscription machines hand it through.
#[derive(Clone, Debug)]
struct Stored {
    position: Position,
    entry: Bytes,
}

type ReadEntry = geminga_subscription::Entry<Stored>;

/// What a topic is given to live with.
#[derive(Clone, Debug)]
pub(crate) struct TopicDeps {
    pub(crate) ledger: geminga_ledger::Deps,
    pub(crate) options: Arc<Options>,
    /// Reads in flight, over all topics.
    pub(crate) reads: Budget,
    pub(crate) tasks: TaskTracker,
}

/// What comes back from work that the topic started on its tracker.
#[derive(Debug)]
enum Internal {
    /// Boxed: a channel's memory is made of slots for the largest.
    JobDone(Box<geminga_managed_ledger::JobDone>),
    Read {
        subscription: SubscriptionName,
        incarnation: u64,
        id: ReadId,
        result: Result<Vec<ReadEntry>, ReadFailed>,
    },
    SeekFound {
        subscription: SubscriptionName,
        incarnation: u64,
        result: Result<Ordinal, String>,
    },
    StartFound {
        subscription: SubscriptionName,
        result: Result<Ordinal, String>,
    },
}

struct Topic {
    name: TopicName,
    deps: TopicDeps,
    grant: Grant,
    inbox: Inbox,
    internal: mpsc::Sender<Internal>,
    mailbox: mpsc::WeakSender<Event>,
    ledger: ManagedLedger,
    pending: VecDeque<Pending>,
    tail: Tail,
    producers: BTreeMap<u64, OpenedProducer>,
    consumers: BTreeMap<u64, OpenedConsumer>,
    subscriptions: BTreeMap<SubscriptionName, Sub>,
    busy: BTreeMap<SubscriptionName, Busy>,
    /// Subscriptions that may have something to do.
    ready: BTreeSet<SubscriptionName>,
    /// Subscriptions with acks that are not yet in the cursor log.
    unflushed: BTreeSet<SubscriptionName>,
    next_key: u64,
    next_incarnation: u64,
    phase: Phase,
    flow_in: Flow,
    flow_out: Flow,
    last_publish_time: u64,
    next_trim: Instant,
    terminating: Vec<super::Reply<Result<Position, crate::AdminError>>>,
}

impl Topic {
    fn now(&self) -> Instant {
        self.deps.ledger.env.clock.now()
    }

    fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::OpenProducer { open, reply } => self.open_producer(*open, reply),
            Event::Publish { producer, batch } => self.publish(producer, batch),
            Event::CloseProducer { producer, reply } => {
                self.producers.remove(&producer);
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
            Event::Stats { reply } => _ = reply.send(self.stats()),
            Event::IsIdle { reply } => _ = reply.send(self.is_idle()),
            Event::LastMessageId { reply } => self.last_message_id(reply),
            Event::CreateSubscription { name, at, properties, reply } => {
                self.create_subscription(&name, at, properties, reply);
            }
            Event::DeleteSubscription { name, force, reply } => {
                self.delete_subscription(&name, force, reply);
            }
            Event::Skip { subscription, entries, reply } => {
                self.skip(&subscription, entries, reply);
            }
            Event::Terminate { reply } => self.terminate(reply),
            Event::Unload { reply } => self.start_unload(Some(reply)),
            Event::PrepareDelete { force, reply } => self.prepare_delete(force, reply),
        }
    }

    fn on_internal(&mut self, internal: Internal) {
        match internal {
            Internal::JobDone(done) => {
                let (now, first) = (self.now(), self.ledger.first());
                self.ledger.on_job_done(*done, now);
                if self.ledger.first() != first {
                    self.note_trimmed();
                }
            }
            Internal::Read { subscription, incarnation, id, result } => {
                if let Some(sub) = self.subscriptions.get_mut(&subscription)
                    && sub.incarnation == incarnation
                {
                    sub.machine.on_read(id, result);
                    self.ready.insert(subscription);
                }
            }
            Internal::SeekFound { subscription, incarnation, result } => {
                self.on_seek_found(&subscription, incarnation, result);
            }
            Internal::StartFound { subscription, result } => {
                self.on_start_found(&subscription, result);
            }
        }
    }

    /// Ledgers have gone: nobody may wait for what was in them.
    fn note_trimmed(&mut self) {
        let first = self.ledger.first();
        for (name, sub) in &mut self.subscriptions {
            sub.machine.trim(first);
            self.ready.insert(Arc::clone(name));
        }
    }

    fn on_arrived(&mut self) {
        let arrived = self.inbox.take();
        for (bookie, results) in &arrived.added {
            self.ledger.on_added(bookie, results);
        }
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
            is_busy |= self.flush_due_acks();
            is_busy |= self.settle_cursors();
            is_busy |= self.dispatch();
            is_busy |= self.move_phase();
            is_busy |= self.send_and_spawn();
            is_busy |= self.end_if_sealed();
            if !is_busy {
                break;
            }
        }
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
        while let Some(job) = self.ledger.poll_job() {
            has_any = true;
            let deps = self.deps.ledger.clone();
            let options = Arc::clone(&self.deps.options);
            let internal = self.internal.clone();
            self.deps.tasks.spawn(async move {
                let name = job.name();
                options.trace(name, true);
                let done = job.run(&deps).await;
                options.trace(name, false);
                _ = internal.send(Internal::JobDone(Box::new(done))).await; // The topic may have ended.
            });
        }
        has_any
    }
}
