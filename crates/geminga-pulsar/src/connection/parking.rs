//! SENDs of producers that are over a publish rate: they wait here, in order, while their neighbours on
//! the connection go on.
//!
//! Each producer that has some has a task, its pacer, which waits for the rate and hands them on. They
//! are within the producer's window and the publish budget, and all connections together may park half of
//! that, so that producers without a limit have the other half. Beyond, the connection is not read.
//!
//! # Invariants
//!
//! 1. While something of a producer is parked, what it sends is parked behind that.
//! 2. What is parked is handed on once and in order, or its producer is closed and sends it again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use geminga_broker::{BudgetPermit, ClientKey, Producer, Publish};
use tokio_util::sync::CancellationToken;

use super::{Connection, lock, sends::Batch, unread::Unread};

/// A smaller entry is copied: it would keep the block alive that it came in.
const COPIED_BYTES_MAX: usize = 32 << 10;

/// What is parked on a connection.
#[derive(Debug, Default)]
pub(super) struct Parking {
    by_producer: Mutex<BTreeMap<u64, Lane>>,
    /// How many producers have something here: looked at for each batch, without the lock.
    producers: AtomicUsize,
}

/// Of one producer. It is here as long as its pacer has something, in the queue or in its hands.
#[derive(Debug)]
struct Lane {
    key: ClientKey,
    sends: VecDeque<ParkedSend>,
    /// Ends the pacer.
    stop: CancellationToken,
}

#[derive(Debug)]
struct ParkedSend {
    publish: Publish,
    permit: BudgetPermit,
}

impl Parking {
    /// Whether something of a producer is parked.
    pub(super) fn has(&self, producer_id: u64) -> bool {
        self.has_any() && lock(&self.by_producer).contains_key(&producer_id)
    }

    /// Whether anything is parked.
    pub(super) fn has_any(&self) -> bool {
        0 < self.producers.load(Ordering::Acquire)
    }

    /// Forgets what is parked of a producer that is closed.
    pub(super) fn remove(&self, producer_id: u64) {
        if self.has_any() {
            let mut lanes = lock(&self.by_producer);
            let removed = lanes.remove(&producer_id);
            self.producers.store(lanes.len(), Ordering::Release);
            drop(lanes);
            if let Some(lane) = removed {
                lane.stop.cancel();
            }
        }
    }

    /// Parks a SEND. Given back: a new lane's pacer is to be started, and ends with this token.
    fn push(
        &self,
        key: ClientKey,
        send: ParkedSend,
        connection: &Connection,
    ) -> Option<CancellationToken> {
        let mut lanes = lock(&self.by_producer);
        if let Some(lane) = lanes.get_mut(&key.id).filter(|lane| lane.key == key) {
            lane.sends.push_back(send);
            return None;
        }
        let stop = connection.closed.child_token();
        let lane = Lane { key, sends: VecDeque::from([send]), stop: stop.clone() };
        let before = lanes.insert(key.id, lane);
        self.producers.store(lanes.len(), Ordering::Release);
        drop(lanes);
        if let Some(before) = before {
            before.stop.cancel();
        }
        Some(stop)
    }

    /// What has been parked since. `None`: nothing, and the lane is gone.
    fn take(&self, key: ClientKey) -> Option<VecDeque<ParkedSend>> {
        let mut lanes = lock(&self.by_producer);
        let lane = lanes.get_mut(&key.id).filter(|lane| lane.key == key)?;
        let sends = std::mem::take(&mut lane.sends);
        if sends.is_empty() {
            lanes.remove(&key.id);
            self.producers.store(lanes.len(), Ordering::Release);
            return None;
        }
        Some(sends)
    }
}

impl Connection {
    /// Whether this is the producer that is open under the id.
    pub(super) fn is_open(&self, id: u64, producer: &Arc<Producer>) -> bool {
        self.key_of(id, producer).is_some()
    }

    /// Whether a batch must ask for a rate first, or wait behind others that do.
    pub(super) fn is_held_back(&self, producer_id: u64, batch: &Batch) -> bool {
        batch.producer.is_limited() || self.parking.has(producer_id)
    }

    /// Publishes what the rate lets pass now. Given back: the rest.
    pub(super) async fn publish_some(
        self: &Arc<Self>,
        producer_id: u64,
        mut batch: Batch,
    ) -> Option<Batch> {
        let is_first = !self.parking.has(producer_id);
        let passed = if is_first { batch.producer.admit_now(&batch.publishes) } else { 0 };
        let rest = batch.publishes.split_off(passed);
        let producer = Arc::clone(&batch.producer);
        if !batch.publishes.is_empty() {
            self.publish(producer_id, batch).await;
        }
        (!rest.is_empty()).then_some(Batch { producer, publishes: rest })
    }

    /// Parks a batch. Waits while there is no room for it.
    pub(super) async fn park(
        self: &Arc<Self>,
        producer_id: u64,
        batch: Batch,
        unread: &mut Unread,
    ) {
        let Batch { producer, publishes } = batch;
        for mut publish in publishes {
            let bytes = publish.entry.len();
            let Some(permit) = self.room_to_park(bytes, &producer, unread).await else { return };
            if bytes < COPIED_BYTES_MAX {
                publish.detach();
            }
            // It may have been closed meanwhile.
            let Some(key) = self.key_of(producer_id, &producer) else { return };
            self.windows.park(key, bytes);
            let stop = self.parking.push(key, ParkedSend { publish, permit }, self);
            if !self.is_open(producer_id, &producer) {
                return self.parking.remove(producer_id); // It was closed in between.
            }
            if let Some(stop) = stop {
                let pacer = Arc::clone(self).pace(key, Arc::clone(&producer), stop);
                self.door.tasks.spawn(pacer);
            }
        }
    }

    async fn room_to_park(
        &self,
        bytes: usize,
        producer: &Producer,
        unread: &mut Unread,
    ) -> Option<BudgetPermit> {
        let budget = self.door.broker.parked_budget();
        if let Some(permit) = budget.try_take(bytes) {
            return Some(permit);
        }
        self.note_paused(budget.name(), budget.limit(), budget.used());
        // What takes up the room leaves it at the rates that it waits for.
        let room = async {
            tokio::select! {
                biased;
                () = self.closed.cancelled() => None,
                permit = budget.take_with_priority(bytes, producer.priority()) => Some(permit),
            }
        };
        unread.wait(self, room).await
    }

    fn key_of(&self, id: u64, producer: &Arc<Producer>) -> Option<ClientKey> {
        let producers = lock(&self.producers);
        producers.get(id).filter(|open| Arc::ptr_eq(open, producer))?;
        producers.incarnation(id).map(|incarnation| ClientKey { id, incarnation })
    }

    async fn pace(
        self: Arc<Self>,
        key: ClientKey,
        producer: Arc<Producer>,
        stop: CancellationToken,
    ) {
        let pacing = async {
            while let Some(sends) = self.parking.take(key) {
                if let Err(why) = self.pace_some(key, &producer, sends).await {
                    self.give_up_incarnation(key, &why);
                    self.parking.remove(key.id); // Its client may be closing it: then nothing was given up.
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = pacing => {}
        }
    }

    async fn pace_some(
        self: &Arc<Self>,
        key: ClientKey,
        producer: &Arc<Producer>,
        sends: VecDeque<ParkedSend>,
    ) -> Result<(), String> {
        let (mut publishes, mut permits): (Vec<Publish>, VecDeque<BudgetPermit>) =
            sends.into_iter().map(|send| (send.publish, send.permit)).unzip();
        while !publishes.is_empty() {
            let admitted = producer.admit(&publishes).await;
            let rest = publishes.split_off(admitted);
            permits.drain(..admitted);
            self.windows.unpark(key, publishes.iter().map(|publish| publish.entry.len()));
            self.publish_in_time(producer, publishes).await?;
            publishes = rest;
        }
        Ok(())
    }
}
