//! A topic's mailbox: bounded, many senders, one receiver.
//!
//! Not a tokio channel: that holds blocks of slots for each topic even while nothing is in it, and
//! there may be a million topics. Here an empty mailbox holds no slots.
//!
//! # Invariants
//!
//! 1. At most [`CAPACITY`] events wait: who sends one more waits for room.
//! 2. Events come out in the order in which they went in.
//! 3. Once closed, nothing more goes in; what is in it is dropped with the receiver, so that whoever
//!    waits for a reply hears of it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, Semaphore};

use super::Event;

/// Most events that wait.
const CAPACITY: usize = 256;

/// Makes a mailbox.
pub(super) fn mailbox() -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        queue: Mutex::default(),
        room: Semaphore::new(CAPACITY),
        senders: AtomicUsize::new(1),
        filled: Notify::new(),
        closed: Notify::new(),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// Where events go in. The topic ends once there are no senders.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Shared>);

/// Makes senders as long as there are some.
#[derive(Debug)]
pub(super) struct WeakSender(Weak<Shared>);

/// Where events come out.
#[derive(Debug)]
pub(super) struct Receiver(Arc<Shared>);

/// The mailbox is closed; the event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

#[derive(Debug)]
struct Shared {
    queue: Mutex<VecDeque<Event>>,
    /// Closed with the mailbox.
    room: Semaphore,
    senders: AtomicUsize,
    filled: Notify,
    closed: Notify,
}

impl Sender {
    /// Puts an event in; waits while there is no room.
    pub(crate) async fn send(&self, event: Event) -> Result<(), Closed> {
        let room = self.0.room.acquire().await.map_err(|_| Closed)?;
        let mut queue = self.0.lock();
        // Looked at under the lock, so that no event goes in behind the receiver's back.
        if self.is_closed() {
            return Err(Closed);
        }
        queue.push_back(event);
        drop(queue);
        room.forget();
        self.0.filled.notify_one();
        Ok(())
    }

    /// Whether nothing more goes in.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.room.is_closed()
    }

    /// Completes once nothing more goes in.
    pub(crate) async fn closed(&self) {
        loop {
            let closed = self.0.closed.notified();
            if self.is_closed() {
                return;
            }
            closed.await;
        }
    }

    /// Whether there are other senders than this one.
    pub(crate) fn has_others(&self) -> bool {
        1 < self.0.senders.load(Ordering::Acquire)
    }

    /// For the topic itself, whose own does not keep it alive.
    pub(super) fn downgrade(&self) -> WeakSender {
        WeakSender(Arc::downgrade(&self.0))
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.filled.notify_one();
        }
    }
}

impl WeakSender {
    /// A sender, unless there are none any more.
    pub(super) fn upgrade(&self) -> Option<Sender> {
        let shared = self.0.upgrade()?;
        let more = |count: usize| (0 < count).then_some(count + 1);
        let added = shared.senders.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        added.ok().map(|_| Sender(shared))
    }
}

impl Receiver {
    /// Waits for events and moves up to `limit` into `into`. 0: there are none, and no senders.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken unless this returns.
    pub(super) async fn recv_many(&mut self, into: &mut Vec<Event>, limit: usize) -> usize {
        loop {
            let count = self.take(into, limit);
            if 0 < count || self.0.senders.load(Ordering::Acquire) == 0 {
                return count;
            }
            self.0.filled.notified().await;
        }
    }

    fn take(&self, into: &mut Vec<Event>, limit: usize) -> usize {
        let mut queue = self.0.lock();
        let count = queue.len().min(limit);
        into.extend(queue.drain(..count));
        if !queue.is_empty() {
            // Its notification was for all of them.
            self.0.filled.notify_one();
        }
        drop(queue);
        self.0.room.add_permits(count);
        count
    }

    /// Lets go of memory that is not in use.
    pub(super) fn shrink(&self) {
        self.0.lock().shrink_to_fit();
    }

    /// Lets nothing more in.
    pub(super) fn close(&self) {
        let queue = self.0.lock();
        self.0.room.close();
        drop(queue);
        self.0.closed.notify_waiters();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
        let left = std::mem::take(&mut *self.0.lock());
        drop(left); // Not under the lock: a reply may wake somebody who sends.
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, time::Duration};

    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tokio::sync::oneshot;

    use super::*;

    fn event(number: u64) -> Event {
        Event::Flow { consumer: number, permits: 0 }
    }

    fn number(event: &Event) -> u64 {
        match event {
            Event::Flow { consumer, .. } => *consumer,
            other => panic!("never sent: {other:?}"),
        }
    }

    /// Goal: nothing is lost, nothing overtakes, nobody waits for ever.
    /// Method: a few senders and a receiver that takes random portions; each sender's events are
    /// numbered, and all must come out in order.
    #[tokio::test(start_paused = true)]
    async fn everything_comes_out_in_order() {
        for seed in 0..100 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (sender, mut receiver) = mailbox();
            let tasks = tokio_util::task::TaskTracker::new();
            let counts: Vec<u64> = (0..3).map(|_| rng.random_range(0..600)).collect();
            for (who, count) in counts.iter().copied().enumerate() {
                let sender = sender.clone();
                tasks.spawn(async move {
                    for at in 0..count {
                        sender.send(event(who as u64 * 1_000 + at)).await.unwrap();
                    }
                });
            }
            drop(sender);
            let (mut next, mut events) = ([0; 3], Vec::new());
            while 0 < receiver.recv_many(&mut events, rng.random_range(1..100)).await {
                assert!(receiver.0.lock().len() <= CAPACITY, "seed {seed}");
                for event in events.drain(..) {
                    let (who, at) = (number(&event) / 1_000, number(&event) % 1_000);
                    let next = &mut next[usize::try_from(who).unwrap()];
                    assert_eq!(at, *next, "seed {seed}: of sender {who}");
                    *next += 1;
                }
            }
            assert_eq!(next.as_slice(), counts, "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_mailbox_makes_senders_wait_and_a_closed_one_lets_them_go() {
        let (sender, mut receiver) = mailbox();
        for at in 0..CAPACITY as u64 {
            sender.send(event(at)).await.unwrap();
        }
        let more = tokio::time::timeout(Duration::from_secs(1), sender.send(event(0)));
        assert!(more.await.is_err());
        receiver.recv_many(&mut Vec::new(), 1).await;
        sender.send(event(0)).await.unwrap();
        let (refused, ()) = tokio::join!(sender.send(event(1)), async { receiver.close() });
        assert_eq!(refused, Err(Closed));
        sender.closed().await;
        assert!(sender.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_reply_hears_of_the_end() {
        let (sender, receiver) = mailbox();
        let (reply, answer) = oneshot::channel();
        sender.send(Event::IsIdle { reply }).await.unwrap();
        let closed = sender.closed();
        drop(receiver);
        closed.await;
        assert!(answer.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn senders_are_counted() {
        let (sender, mut receiver) = mailbox();
        let weak = sender.downgrade();
        assert!(!sender.has_others());
        let other = weak.upgrade().unwrap();
        assert!(sender.has_others() && other.has_others());
        drop(sender);
        assert!(!other.has_others());
        let ended = AtomicU64::new(0);
        tokio::join!(
            async {
                assert_eq!(receiver.recv_many(&mut Vec::new(), 1).await, 0);
                ended.fetch_add(1, Ordering::Relaxed);
            },
            async { drop(other) },
        );
        assert_eq!(ended.into_inner(), 1);
        assert!(weak.upgrade().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_mailbox_holds_no_slots() {
        let (sender, mut receiver) = mailbox();
        assert_eq!(receiver.0.lock().capacity(), 0);
        for at in 0..100 {
            sender.send(event(at)).await.unwrap();
        }
        receiver.recv_many(&mut Vec::new(), 100).await;
        receiver.shrink();
        assert_eq!(receiver.0.lock().capacity(), 0);
        assert!(size_of::<Shared>() <= 192, "{}", size_of::<Shared>());
    }
}
