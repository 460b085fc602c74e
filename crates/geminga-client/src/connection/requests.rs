//! Requests that wait for their answers, and their deadlines.
//!
//! # Invariants
//!
//! 1. Whoever waits gets its place back exactly once: by its answer, or at its deadline.
//! 2. `waiting` and `deadlines` hold the same requests.

use std::collections::{BTreeMap, BTreeSet};

use geminga_env::Instant;

/// Requests in flight, by id; `W` is who waits.
#[derive(Debug)]
pub(super) struct Requests<W> {
    waiting: BTreeMap<u64, (Instant, W)>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl<W> Requests<W> {
    pub(super) const fn new() -> Self {
        Self { waiting: BTreeMap::new(), deadlines: BTreeSet::new() }
    }

    /// A request with a fresh id was sent.
    pub(super) fn insert(&mut self, id: u64, deadline: Instant, waiter: W) {
        if let Some((former, _)) = self.waiting.insert(id, (deadline, waiter)) {
            self.deadlines.remove(&(former, id));
        }
        self.deadlines.insert((deadline, id));
    }

    /// The answer came; nobody waits for an answer that is late or was never asked for.
    pub(super) fn answer(&mut self, id: u64) -> Option<W> {
        let (deadline, waiter) = self.waiting.remove(&id)?;
        self.deadlines.remove(&(deadline, id));
        Some(waiter)
    }

    /// One whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Option<W> {
        let &(deadline, id) = self.deadlines.first()?;
        if now < deadline {
            return None;
        }
        self.answer(id)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use geminga_env::sim::World;
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn agrees_with_a_list() {
        let now = World::new(0).env().clock.now();
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut requests = Requests::new();
            let mut list: Vec<(u64, Instant)> = Vec::new();
            for id in 0..rng.random_range(0..60) {
                let at = now + Duration::from_secs(rng.random_range(0..10));
                match rng.random_range(0..4) {
                    0 | 1 => {
                        requests.insert(id, at, id);
                        list.push((id, at));
                    }
                    2 => {
                        let asked = rng.random_range(0..=id);
                        let index = list.iter().position(|(other, _)| *other == asked);
                        let expected = index.map(|index| list.remove(index).0);
                        assert_eq!(requests.answer(asked), expected, "seed {seed}");
                    }
                    _ => {
                        let mut expired = Vec::new();
                        while let Some(waiter) = requests.expire(at) {
                            expired.push(waiter);
                        }
                        expired.sort_unstable();
                        let mut expected: Vec<u64> = list
                            .extract_if(.., |(_, deadline)| *deadline <= at)
                            .map(|(id, _)| id)
                            .collect();
                        expected.sort_unstable();
                        assert_eq!(expired, expected, "seed {seed}");
                    }
                }
                assert_eq!(
                    requests.next_timeout(),
                    list.iter().map(|(_, at)| *at).min(),
                    "seed {seed}"
                );
            }
        }
    }
}
