//! What was sent, or is to be sent, and has no receipt yet.
//!
//! # Invariants
//!
//! 1. The first `sent` entries are on the wire, in this order; the others are not.
//! 2. An entry leaves once: with its receipt, its refusal or its deadline.

use std::collections::VecDeque;

use bytes::Bytes;
use geminga_env::Instant;

/// An entry without a receipt.
#[derive(Debug)]
pub(super) struct InFlight<W> {
    pub(super) sequence_id: u64,
    /// Of a batch's last message.
    pub(super) highest_sequence_id: Option<u64>,
    /// Messages in the entry.
    pub(super) messages: u32,
    pub(super) entry: Bytes,
    pub(super) deadline: Option<Instant>,
    /// One for each message.
    pub(super) waiters: Vec<W>,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Answered<W> {
    /// It is for the oldest entry.
    Oldest(InFlight<W>),
    /// It is for one that was given up, or was answered before.
    Stale,
    /// It is for a later one: the answers of those before are lost.
    Gap,
}

#[derive(Debug)]
pub(super) struct Window<W> {
    entries: VecDeque<InFlight<W>>,
    sent: usize,
}

impl<W> Window<W> {
    pub(super) const fn new() -> Self {
        Self { entries: VecDeque::new(), sent: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn push(&mut self, entry: InFlight<W>) {
        self.entries.push_back(entry);
    }

    /// The next entry to put on the wire.
    pub(super) fn unsent(&self) -> Option<&InFlight<W>> {
        self.entries.get(self.sent)
    }

    /// [`Self::unsent`] is on the wire.
    pub(super) fn mark_sent(&mut self) {
        self.sent = self.entries.len().min(self.sent + 1);
    }

    /// The wire is gone: all must be sent again.
    pub(super) const fn rewind(&mut self) {
        self.sent = 0;
    }

    /// The server answered an entry.
    pub(super) fn answer(&mut self, sequence_id: u64) -> Answered<W> {
        let mut on_wire = self.entries.iter().take(self.sent).map(|entry| entry.sequence_id);
        match on_wire.position(|id| id == sequence_id) {
            None => Answered::Stale,
            Some(0) => self.pop().map_or(Answered::Stale, Answered::Oldest),
            Some(_) => Answered::Gap,
        }
    }

    /// The oldest entry, if its deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Option<InFlight<W>> {
        if self.next_timeout().is_some_and(|deadline| deadline <= now) { self.pop() } else { None }
    }

    /// Deadlines follow each other as the entries do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.entries.front().and_then(|entry| entry.deadline)
    }

    /// The oldest entry, whatever its state.
    pub(super) fn pop(&mut self) -> Option<InFlight<W>> {
        self.sent = self.sent.saturating_sub(1);
        self.entries.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use geminga_env::sim::World;
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn entry(sequence_id: u64, deadline: Option<Instant>) -> InFlight<u64> {
        let waiters = vec![sequence_id];
        InFlight {
            sequence_id,
            highest_sequence_id: None,
            messages: 1,
            entry: Bytes::new(),
            deadline,
            waiters,
        }
    }

    #[test]
    fn answers_must_come_in_order() {
        let mut window = Window::new();
        (0..4).for_each(|id| window.push(entry(id, None)));
        assert!(matches!(window.answer(0), Answered::Stale), "it was not sent");
        (0..3).for_each(|_| window.mark_sent());
        assert!(matches!(window.answer(3), Answered::Stale), "it was not sent");
        assert!(matches!(window.answer(1), Answered::Gap));
        assert!(matches!(window.answer(0), Answered::Oldest(entry) if entry.sequence_id == 0));
        assert!(matches!(window.answer(0), Answered::Stale));
        assert_eq!(window.unsent().unwrap().sequence_id, 3);
        window.rewind();
        assert_eq!(window.unsent().unwrap().sequence_id, 1);
    }

    /// Goal: whatever is lost and repeated, each entry is sent in order and answered once.
    /// Method: a server that stores what it sees, loses the wire at times, and drops duplicates.
    #[tokio::test(start_paused = true)]
    async fn every_entry_is_stored_in_order() {
        let start = World::new(0).env().clock.now();
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut window, mut stored, mut answered) = (Window::new(), Vec::new(), Vec::new());
            let mut wire: VecDeque<u64> = VecDeque::new();
            let mut answers: VecDeque<u64> = VecDeque::new();
            let (mut next, mut now, mut timed_out) = (0, start, 0);
            while next < 30 || !window.is_empty() {
                match rng.random_range(0..7) {
                    0 if next < 30 => {
                        window.push(entry(next, Some(now + Duration::from_secs(100))));
                        next += 1;
                    }
                    1 | 2 => {
                        wire.extend(window.unsent().map(|entry| entry.sequence_id));
                        window.mark_sent();
                    }
                    3 => {
                        if let Some(id) = wire.pop_front() {
                            if stored.last().is_none_or(|last| *last < id) {
                                stored.push(id);
                            }
                            answers.push_back(id);
                        }
                    }
                    4 => match answers.pop_front().map(|id| window.answer(id)) {
                        Some(Answered::Oldest(entry)) => answered.extend(entry.waiters),
                        Some(Answered::Gap) => panic!("seed {seed}: gap"),
                        Some(Answered::Stale) | None => {}
                    },
                    5 if rng.random_bool(0.2) => {
                        (wire, answers) = (VecDeque::new(), VecDeque::new());
                        window.rewind();
                    }
                    6 => {
                        now += Duration::from_secs(rng.random_range(0..4));
                        while let Some(entry) = window.expire(now) {
                            answered.extend(entry.waiters);
                            timed_out += 1;
                        }
                    }
                    _ => {}
                }
            }
            assert_eq!(answered, (0..30).collect::<Vec<_>>(), "seed {seed}");
            assert!(stored.is_sorted() && stored.len() + timed_out >= 30, "seed {seed}");
        }
    }
}
