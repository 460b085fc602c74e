//! How many SENDs are in flight: handed to a topic, and not yet taken from the outbox as a receipt
//! or an error. Beyond its producer's window, or the connection's, nothing more is read.
//!
//! SENDs that were refused here (a bad checksum), or dropped, wait among the others, so that their
//! answer comes after the answers to what was sent before them.
//!
//! # Invariants
//!
//! 1. Answers of one producer come in the order of its SENDs, one for each.
//! 2. `total` is the number of SENDs in all windows but for parked ones, and `parked` is of those; a
//!    debug build recounts.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use geminga_broker::ClientKey;
use tokio::sync::{Notify, futures::Notified};

use crate::errors::Refusal;

/// Closed producers whose last answers are waited for; their client has closed them and can't miss
/// much when more are forgotten.
const RETIRED_MAX: usize = 1_024;

/// What may be in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) producer_messages: usize,
    pub(super) producer_bytes: usize,
    pub(super) connection_messages: usize,
    /// Of producers on non-persistent topics.
    pub(super) nonpersistent_messages: usize,
    /// Of those that wait for a publish rate, which are not among the ones before.
    pub(super) parked_messages: usize,
    pub(super) parked_bytes: usize,
}

/// The windows of all producers of a connection.
#[derive(Debug)]
pub(super) struct Windows {
    limits: Limits,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    by_producer: BTreeMap<u64, Window>,
    total: usize,
    parked: Parked,
}

/// SENDs that wait for a publish rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parked {
    messages: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Window {
    /// Of the producer: answers to another's SENDs do not count.
    incarnation: u64,
    /// Whether its topic stores nothing.
    is_nonpersistent: bool,
    sends: VecDeque<Sent>,
    /// Published ones of them.
    messages: usize,
    bytes: usize,
    /// The last of those wait for a publish rate.
    parked: Parked,
    /// Its producer is closed; what is left counts no more.
    is_retired: bool,
}

#[derive(Debug)]
enum Sent {
    Published { bytes: usize },
    Answered(Answered),
}

/// A SEND that never went to the topic: how it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// With a SEND_ERROR.
    Refused { sequence_id: u64, refusal: Refusal },
    /// With a receipt of no position.
    Dropped { sequence_id: u64, highest_sequence_id: Option<u64> },
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full {
    /// The producer that takes up most of it.
    pub(super) producer_id: u64,
    pub(super) what: &'static str,
    pub(super) limit: usize,
    pub(super) value: usize,
}

impl Windows {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), freed: Notify::new() }
    }

    /// A producer was opened: nothing of it is in flight.
    pub(super) fn reset(&self, producer: ClientKey, is_nonpersistent: bool) {
        let incarnation = producer.incarnation;
        let window = Window { incarnation, is_nonpersistent, ..Window::default() };
        self.lock().replace(producer.id, Some(window));
        self.freed.notify_waiters();
    }

    /// A producer was closed: answers that are in the outbox are told, others will not come.
    pub(super) fn retire(&self, producer_id: u64) {
        self.lock().retire(producer_id);
        self.freed.notify_waiters();
    }

    /// A producer was closed: nothing of it is to be answered.
    pub(super) fn remove(&self, producer_id: u64) {
        self.lock().replace(producer_id, None);
        self.freed.notify_waiters();
    }

    /// A SEND of `bytes` is on its way to the topic.
    pub(super) fn add(&self, producer_id: u64, bytes: usize) {
        let mut state = self.lock();
        if let Some(window) = state.by_producer.get_mut(&producer_id) {
            window.sends.push_back(Sent::Published { bytes });
            window.messages += 1;
            window.bytes += bytes;
            if !window.is_retired {
                state.total += 1;
            }
        }
    }

    /// The last SEND that is not parked yet waits for a publish rate.
    pub(super) fn park(&self, producer: ClientKey, bytes: usize) {
        self.lock().park(producer, bytes);
    }

    /// The first SENDs that are parked, of these sizes, do not wait any more.
    pub(super) fn unpark(&self, producer: ClientKey, sizes: impl Iterator<Item = usize>) {
        let mut state = self.lock();
        sizes.for_each(|bytes| state.unpark(producer, bytes));
        drop(state);
        self.freed.notify_waiters();
    }

    /// A SEND is answered here. Given back when nothing before it is unanswered: tell it now.
    pub(super) fn answer(&self, producer_id: u64, answered: Answered) -> Option<Answered> {
        let mut state = self.lock();
        match state.by_producer.get_mut(&producer_id) {
            Some(window) if !window.sends.is_empty() => {
                window.sends.push_back(Sent::Answered(answered));
                None
            }
            _ => Some(answered),
        }
    }

    /// Whether one more SEND of this producer, on a non-persistent topic, is one too many.
    pub(super) fn must_drop(&self, producer_id: u64) -> bool {
        let state = self.lock();
        let Limits { nonpersistent_messages, .. } = self.limits;
        let is_meant =
            state.by_producer.get(&producer_id).is_some_and(|window| window.is_nonpersistent);
        if !is_meant || state.total < nonpersistent_messages {
            return false;
        }
        let of_such = state.in_use().filter(|(_, window)| window.is_nonpersistent);
        nonpersistent_messages <= of_such.map(|(_, window)| window.in_flight()).sum()
    }

    /// The topic has answered the oldest SEND: what was answered here right after it is to be told next.
    /// `None`: no SEND of this producer waits for an answer, it was closed. Who waits for room learns
    /// of it by [`Self::notify_freed`], once for many.
    pub(super) fn settle(&self, producer: ClientKey) -> Option<Vec<Answered>> {
        let mut state = self.lock();
        let ClientKey { id: producer_id, incarnation } = producer;
        let window = state.by_producer.get_mut(&producer_id)?;
        if window.incarnation != incarnation {
            return None;
        }
        let Some(Sent::Published { bytes }) = window.sends.pop_front() else { return None };
        window.messages -= 1;
        window.bytes -= bytes;
        let mut answered = Vec::new();
        while let Some(Sent::Answered(send)) =
            window.sends.pop_front_if(|sent| matches!(sent, Sent::Answered(_)))
        {
            answered.push(send);
        }
        if window.is_retired {
            if window.sends.is_empty() {
                state.by_producer.remove(&producer_id);
            }
        } else {
            state.total -= 1;
        }
        Some(answered)
    }

    /// Wakes who waits for [`Self::freed`].
    pub(super) fn notify_freed(&self) {
        self.freed.notify_waiters();
    }

    /// Whether every SEND of a producer is answered.
    pub(super) fn is_settled(&self, producer_id: u64) -> bool {
        self.lock().by_producer.get(&producer_id).is_none_or(|window| window.sends.is_empty())
    }

    /// The limit that one more SEND of this producer would break, if any.
    pub(super) fn full(&self, producer_id: u64) -> Option<Full> {
        let state = self.lock();
        let Limits { producer_messages, producer_bytes, connection_messages, .. } = self.limits;
        let window = state.by_producer.get(&producer_id)?;
        let full = |producer_id, what, limit, value| Full { producer_id, what, limit, value };
        // Those answered here take room too: their answers wait.
        if producer_messages <= window.sends.len() {
            let what = "SENDs in flight of the producer";
            return Some(full(producer_id, what, producer_messages, window.sends.len()));
        }
        if producer_bytes <= window.bytes {
            let what = "bytes in flight of the producer";
            return Some(full(producer_id, what, producer_bytes, window.bytes));
        }
        let Parked { messages, bytes } = state.parked;
        if 0 < window.parked.messages && self.limits.parked_messages <= messages {
            let what = "SENDs of the connection that wait for a publish rate";
            return Some(full(producer_id, what, self.limits.parked_messages, messages));
        }
        if 0 < window.parked.messages && self.limits.parked_bytes <= bytes {
            let what = "bytes of the connection that wait for a publish rate";
            return Some(full(producer_id, what, self.limits.parked_bytes, bytes));
        }
        if connection_messages <= state.total {
            let most = state.in_use().max_by_key(|(_, window)| window.in_flight());
            let most = most.map_or(producer_id, |(id, _)| id);
            let what = "maxPendingPublishRequestsPerConnection";
            return Some(full(most, what, connection_messages, state.total));
        }
        None
    }

    /// Waits for the next change. Ask for it before [`Self::full`].
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert_eq!(
            state.total,
            state.in_use().map(|(_, window)| window.in_flight()).sum::<usize>()
        );
        debug_assert_eq!(
            (state.parked.messages, state.parked.bytes),
            state.in_use().fold((0, 0), |(messages, bytes), (_, window)| {
                (messages + window.parked.messages, bytes + window.parked.bytes)
            })
        );
        state
    }
}

impl State {
    fn in_use(&self) -> impl Iterator<Item = (u64, &Window)> {
        let in_use = self.by_producer.iter().filter(|(_, window)| !window.is_retired);
        in_use.map(|(id, window)| (*id, window))
    }

    fn retire(&mut self, producer_id: u64) {
        let Some(window) = self.by_producer.get_mut(&producer_id) else { return };
        if window.is_retired {
            return;
        }
        window.is_retired = true;
        let parked = std::mem::take(&mut window.parked);
        self.total -= window.messages - parked.messages;
        self.parked.sub(parked);
        let Some(window) = self.by_producer.get(&producer_id) else { return };
        if window.sends.is_empty() {
            self.by_producer.remove(&producer_id);
        } else if RETIRED_MAX < self.by_producer.len() - self.in_use().count() {
            self.by_producer.retain(|_, window| !window.is_retired);
        }
    }

    fn replace(&mut self, producer_id: u64, window: Option<Window>) {
        if let Some(old) = self.by_producer.remove(&producer_id)
            && !old.is_retired
        {
            self.total -= old.in_flight();
            self.parked.sub(old.parked);
        }
        if let Some(window) = window {
            self.by_producer.insert(producer_id, window);
        }
    }
}

impl State {
    fn park(&mut self, producer: ClientKey, bytes: usize) {
        let Some(window) = self.window_of(producer).filter(|it| 0 < it.in_flight()) else { return };
        window.parked.messages += 1;
        window.parked.bytes += bytes;
        self.parked.messages += 1;
        self.parked.bytes += bytes;
        self.total -= 1;
    }

    fn unpark(&mut self, producer: ClientKey, bytes: usize) {
        let parked = Parked { messages: 1, bytes };
        let Some(window) = self.window_of(producer) else { return };
        if window.parked.messages == 0 {
            return; // Its producer is closed.
        }
        window.parked.sub(parked);
        self.parked.sub(parked);
        self.total += 1;
    }

    fn window_of(&mut self, producer: ClientKey) -> Option<&mut Window> {
        let window = self.by_producer.get_mut(&producer.id)?;
        (window.incarnation == producer.incarnation && !window.is_retired).then_some(window)
    }
}

impl Window {
    /// Published ones that are not parked.
    const fn in_flight(&self) -> usize {
        self.messages - self.parked.messages
    }
}

impl Parked {
    const fn sub(&mut self, other: Self) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use geminga_wire::proto::ServerError;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const LIMITS: Limits = Limits {
        producer_messages: 4,
        producer_bytes: 100,
        connection_messages: 6,
        nonpersistent_messages: 3,
        parked_messages: 5,
        parked_bytes: 150,
    };

    const fn key(id: u64) -> ClientKey {
        ClientKey { id, incarnation: 1 }
    }

    fn refused(sequence_id: u64) -> Answered {
        let refusal = Refusal::new(ServerError::ChecksumError, "bad");
        Answered::Refused { sequence_id, refusal }
    }

    #[test]
    fn each_limit_is_found_with_its_producer() {
        let windows = Windows::new(LIMITS);
        windows.reset(key(1), false);
        windows.reset(key(2), false);
        windows.add(1, 99);
        assert_eq!(windows.full(1), None);
        windows.add(1, 1);
        assert_eq!(windows.full(1).map(|full| (full.limit, full.value)), Some((100, 100)));
        assert_eq!(windows.full(2), None);
        for _ in 0..3 {
            windows.add(2, 1);
        }
        assert_eq!(windows.full(2), None);
        windows.add(2, 1);
        assert_eq!(windows.full(2).map(|full| (full.producer_id, full.limit)), Some((2, 4)));
        windows.settle(key(2));
        windows.reset(key(3), false);
        windows.add(3, 1);
        let full = windows.full(3).unwrap();
        assert_eq!((full.producer_id, full.limit, full.value), (2, 6, 6));
        windows.remove(2);
        assert_eq!(windows.full(3), None);
    }

    #[test]
    fn a_refused_send_is_told_after_what_was_sent_before_it() {
        let windows = Windows::new(LIMITS);
        windows.reset(key(1), false);
        assert_eq!(windows.answer(1, refused(0)), Some(refused(0)));
        windows.add(1, 1);
        windows.add(1, 1);
        assert_eq!(windows.answer(1, refused(3)), None);
        assert_eq!(windows.answer(1, refused(4)), None);
        windows.add(1, 1);
        assert_eq!(windows.full(1).map(|full| full.value), Some(5));
        assert_eq!(windows.settle(key(1)), Some(vec![]));
        assert_eq!(windows.settle(key(1)), Some(vec![refused(3), refused(4)]));
        assert_eq!(windows.settle(key(1)), Some(vec![]));
        assert_eq!(windows.settle(key(1)), None);
    }

    #[test]
    fn the_last_answers_of_a_closed_producer_are_told_and_do_not_count() {
        let windows = Windows::new(LIMITS);
        windows.reset(key(1), false);
        assert!(windows.is_settled(1));
        windows.add(1, 100);
        windows.add(1, 1);
        assert!(!windows.is_settled(1));
        windows.retire(1);
        windows.retire(1);
        assert_eq!(windows.lock().total, 0);
        assert_eq!(windows.settle(key(1)), Some(vec![]));
        assert_eq!(windows.settle(key(1)), Some(vec![]));
        assert_eq!(windows.settle(key(1)), None);
        assert!(windows.lock().by_producer.is_empty());
        for id in 0..2 * RETIRED_MAX as u64 {
            windows.reset(key(id), false);
            windows.add(id, 1);
            windows.retire(id);
        }
        assert!(windows.lock().by_producer.len() <= RETIRED_MAX + 1);
    }

    #[test]
    fn stale_answers_change_nothing() {
        let windows = Windows::new(LIMITS);
        assert_eq!(windows.settle(key(1)), None);
        windows.reset(key(1), false);
        windows.add(1, 1);
        windows.reset(key(1), false);
        assert_eq!(windows.settle(key(1)), None);
        windows.add(1, 1);
        assert_eq!(windows.settle(ClientKey { id: 1, incarnation: 0 }), None);
        assert_eq!(windows.settle(key(1)), Some(vec![]));
        windows.add(9, 1);
        assert_eq!(windows.lock().total, 0);
    }

    /// Goal: what waits for a rate takes room in its producer's window, and none that neighbours need.
    #[test]
    fn parked_sends_are_counted_apart() {
        let windows = Windows::new(LIMITS);
        for id in 1..=3 {
            windows.reset(key(id), false);
        }
        for id in 1..=2 {
            for _ in 0..3 {
                windows.add(id, 10);
            }
        }
        windows.add(3, 10);
        let limit_of = |id| windows.full(id).map(|full| (full.limit, full.value));
        assert_eq!(limit_of(3), Some((6, 7)));
        for _ in 0..3 {
            windows.park(key(1), 10);
        }
        assert_eq!(limit_of(3), None);
        windows.park(key(2), 10);
        assert_eq!(limit_of(1), None);
        windows.park(key(2), 100);
        assert_eq!(limit_of(1), Some((5, 5)));
        assert_eq!(limit_of(3), None, "it parks nothing");
        windows.unpark(key(1), [10].into_iter());
        assert_eq!(limit_of(1), None);
        windows.unpark(ClientKey { id: 1, incarnation: 0 }, [10].into_iter());
        windows.retire(2);
        windows.unpark(key(2), [10, 100].into_iter());
        windows.remove(1);
        windows.unpark(key(1), [10].into_iter());
        assert_eq!(windows.lock().parked, Parked::default());
    }

    #[test]
    fn random_histories_agree_with_lists() {
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let windows = Windows::new(LIMITS);
            let mut model: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            for _ in 0..50 {
                let id = rng.random_range(0..3);
                match rng.random_range(0..8) {
                    0 => {
                        windows.reset(key(id), false);
                        model.insert(id, Vec::new());
                    }
                    1 => {
                        windows.remove(id);
                        model.remove(&id);
                    }
                    2..5 => {
                        windows.settle(key(id));
                        if let Some(sends) = model.get_mut(&id).filter(|sends| !sends.is_empty()) {
                            sends.remove(0);
                        }
                    }
                    _ => {
                        let bytes = rng.random_range(1..40);
                        windows.add(id, bytes);
                        if let Some(sends) = model.get_mut(&id) {
                            sends.push(bytes);
                        }
                    }
                }
                let total: usize = model.values().map(Vec::len).sum();
                let is_full = model.get(&id).is_some_and(|sends| {
                    4 <= sends.len() || 100 <= sends.iter().sum::<usize>() || 6 <= total
                });
                assert_eq!(windows.full(id).is_some(), is_full, "seed {seed}");
            }
        }
    }
}
