//! Random lives of one topic: appends, acks, seeks, trims, bad weather, and a crash or a close at
//! the end of each.
//!
//! Goal: nothing confirmed is lost or reordered, nothing refused appears, no ack that was reported
//! durable is undone and none is invented, and no outage is taken for another owner.
//!
//! Method: naive models beside the topic, a list of numbers for entries and one state after each
//! change for a cursor. Each seed picks the faults and the delays; the paused clock makes the
//! schedule from them. A crash drops the topic with its jobs wherever they are; entries on their way
//! still arrive. After each life the topic is opened again and compared.

mod cursor_model;
mod entry_model;

use std::{collections::BTreeMap, time::Duration};

use geminga_env::sim::Seeds;
use geminga_managed_ledger::{
    CursorError, CursorEvent, CursorState, OpenError, Options, Outcome, SnapshotAttempt,
    replay_tombstones,
};
use geminga_types::{Ordinal, Position};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use self::{cursor_model::CursorModel, entry_model::EntryModel};
use crate::{
    bookie::Storm,
    world::{Topic, World, options, run},
};

const SEEDS: u64 = 1000;
const NAMES: [&str; 2] = ["a", "b"];

/// What the rounds came to, to see that they are not all alike.
#[derive(Debug, Default)]
struct Seen {
    confirmed: usize,
    found_unconfirmed: usize,
    may_exist: usize,
    not_stored: usize,
    trimmed: usize,
    durable_acks: usize,
    undurable_acks_kept: usize,
    undurable_acks_lost: usize,
    closes: usize,
    failed_opens: usize,
    made_in_parts: usize,
}

struct Round {
    seed: u64,
    rng: StdRng,
    world: World,
    entries: EntryModel,
    cursors: BTreeMap<&'static str, CursorModel>,
    /// Of the topic that is open: where its numbering begins in the list of all entries.
    base: usize,
    asked: Vec<&'static str>,
    /// Snapshots that were begun, with what they were then.
    making: Vec<(&'static str, SnapshotAttempt, Option<CursorState>)>,
    seen: Seen,
}

fn known(name: &str) -> &'static str {
    NAMES.iter().find(|known| **known == name).unwrap()
}

impl Round {
    fn new(seed: u64) -> Self {
        let cursors = NAMES.map(|name| (name, CursorModel::default()));
        Self {
            seed,
            rng: StdRng::seed_from_u64(seed),
            world: World::new(seed),
            entries: EntryModel::default(),
            cursors: cursors.into(),
            base: 0,
            asked: Vec::new(),
            making: Vec::new(),
            seen: Seen::default(),
        }
    }

    fn options(&mut self) -> Options {
        let min_rollover = Duration::from_millis([0, 0, 30][self.rng.random_range(0..3)]);
        let max_rollover = Duration::from_millis([50, 3_600_000][self.rng.random_range(0..2)]);
        Options {
            max_entries_per_ledger: self.rng.random_range(1..8),
            min_rollover,
            max_rollover,
            cursor_roll_entries: self.rng.random_range(1..6),
            cursor_go_on_items: self.rng.random_range(0..4),
            ..options()
        }
    }

    fn storm(&mut self) {
        let percent = |rng: &mut StdRng| [0, 0, 0, 10, 40][rng.random_range(0..5)];
        let storm = Storm {
            delay_ms_max: [0, 2, 20][self.rng.random_range(0..3)],
            failed_percent: percent(&mut self.rng),
            lied_percent: percent(&mut self.rng),
            is_full: self.rng.random_range(0..10) == 0,
        };
        self.world.bookie.state().storm = storm;
    }

    /// Opens the topic, in whatever weather, and compares it with the models.
    async fn open(&mut self) -> Topic {
        let options = self.options();
        for attempt in 0.. {
            assert!(attempt < 200, "seed {}: it does not open", self.seed);
            let (deps, adversary) = self.world.stormy_deps(self.rng.random());
            let is_calm = self.rng.random_range(0..3) == 0;
            if is_calm {
                adversary.calm_down();
                self.world.bookie.state().storm = Storm::default();
            }
            drop(replay_tombstones(&deps).await);
            match Topic::open(deps, options.clone()).await {
                Ok(mut topic) => {
                    self.compare(&mut topic).await;
                    return topic;
                }
                Err(OpenError::Metadata(_) | OpenError::Recover(_) | OpenError::Cursor { .. }) => {
                    assert!(!is_calm, "seed {}: it does not open in calm weather", self.seed);
                    self.seen.failed_opens += 1;
                }
                Err(error) => panic!("seed {}: {error}", self.seed),
            }
        }
        unreachable!("the loop ends by itself")
    }

    async fn compare(&mut self, topic: &mut Topic) {
        // Reads have no retries of their own; the chain does not depend on who reads it.
        let stormy = std::mem::replace(&mut topic.deps, self.world.deps());
        let bodies = topic.bodies().await;
        topic.deps = stormy;
        let before = self.entries.confirmed.len();
        self.base = self.entries.reopened(&bodies, self.seed);
        self.seen.found_unconfirmed += self.entries.confirmed.len() - before;
        self.seen.trimmed = self.seen.trimmed.max(self.base);
        let mut recovered = topic.ledger.take_recovered_cursors();
        for (name, model) in &mut self.cursors {
            let [kept, lost] = model.reopened(recovered.remove(*name), self.seed);
            self.seen.undurable_acks_kept += kept;
            self.seen.undurable_acks_lost += lost;
        }
        assert!(recovered.is_empty(), "seed {}: {recovered:?}", self.seed);
        self.asked.clear();
        self.making.clear();
    }

    async fn live(&mut self, topic: &mut Topic) {
        for _ in 0..self.rng.random_range(1..60) {
            match self.rng.random_range(0..12) {
                0..4 => {
                    for _ in 0..self.rng.random_range(1..6) {
                        topic.append(self.entries.append());
                    }
                }
                4..8 => topic.run_for(self.rng.random_range(0..25)).await,
                8 => self.trim(topic),
                9 => self.storm(),
                10 => self.make_or_delete_cursor(topic),
                _ => self.ack(topic),
            }
            topic.poll();
            self.take(topic);
            if self.rng.random_range(0..3) == 0 {
                self.answer(topic);
            }
        }
    }

    fn trim(&mut self, topic: &mut Topic) {
        let slowest = self.rng.random_range(0..=topic.ledger.end().0);
        topic.ledger.trim(Some(Ordinal(slowest)), topic.deps.env.clock.wall());
        self.entries.may_trim(self.base + usize::try_from(slowest).unwrap());
    }

    fn make_or_delete_cursor(&mut self, topic: &mut Topic) {
        let name = NAMES[self.rng.random_range(0..2)];
        let model = self.cursors.get_mut(name).unwrap();
        if model.may_be_made() {
            let at = topic.ledger.mark_delete_position(topic.ledger.first());
            model.make(at);
            topic.ledger.create_cursor(name, at, BTreeMap::new());
        } else if model.exists() && self.rng.random_range(0..6) == 0 {
            model.delete();
            topic.ledger.delete_cursor(name);
        }
    }

    fn ack(&mut self, topic: &mut Topic) {
        let chain = topic.ledger.chain();
        let name = NAMES[self.rng.random_range(0..2)];
        let model = self.cursors.get_mut(name).unwrap();
        if !model.exists() || chain.entries() == 0 {
            return;
        }
        for _ in 0..self.rng.random_range(1..4) {
            let ordinal = self.rng.random_range(chain.first().0..chain.end().0);
            let position: Position = chain.position_of(Ordinal(ordinal)).unwrap();
            let delta = model.random_delta(position, &mut self.rng);
            let seq = topic.ledger.append_cursor(name, delta);
            assert_eq!(seq.0, model.last_seq(), "seed {}", self.seed);
        }
    }

    /// Answers what the topic asked for.
    fn answer(&mut self, topic: &mut Topic) {
        for (name, attempt, early) in std::mem::take(&mut self.making) {
            // Some items are as they were when it was begun, others as they are now.
            let now = self.cursors[name].snapshot();
            let snapshot = if self.rng.random() { early } else { now };
            if let Some(snapshot) = snapshot {
                topic.ledger.finish_snapshot(name, attempt, snapshot);
                self.seen.made_in_parts += 1;
            }
        }
        for name in self.asked.drain(..) {
            let Some(snapshot) = self.cursors[name].snapshot() else { continue };
            if self.rng.random() {
                topic.ledger.snapshot_cursor(name, snapshot);
            } else if let Some(attempt) = topic.ledger.begin_snapshot(name) {
                self.making.push((name, attempt, Some(snapshot)));
            }
        }
    }

    fn take(&mut self, topic: &mut Topic) {
        assert!(!topic.ledger.is_fenced(), "seed {}: fenced by itself", self.seed);
        for outcome in topic.outcomes.drain(..) {
            match &outcome {
                Outcome::Confirmed(confirmed) => {
                    self.seen.confirmed += 1;
                    let index = self.base + usize::try_from(confirmed.ordinal.0).unwrap();
                    assert_eq!(index, self.entries.confirmed.len(), "seed {}", self.seed);
                }
                Outcome::Failed(geminga_managed_ledger::AppendError::MayExist(_)) => {
                    self.seen.may_exist += 1;
                }
                Outcome::Failed(_) => self.seen.not_stored += 1,
            }
            self.entries.outcome(outcome, self.seed);
        }
        while let Some(event) = topic.events.pop_front() {
            self.cursor_event(event);
        }
    }

    fn model(&mut self, name: &str) -> &mut CursorModel {
        self.cursors.get_mut(known(name)).unwrap()
    }

    fn cursor_event(&mut self, event: CursorEvent) {
        let seed = self.seed;
        match event {
            CursorEvent::Created { name } => self.model(&name).made(seed),
            CursorEvent::CreateFailed { name, error } => {
                assert!(!matches!(error, CursorError::Fenced), "seed {seed}");
                self.model(&name).make_failed();
            }
            CursorEvent::Deleted { name } => self.model(&name).deleted(),
            CursorEvent::DeleteFailed { name, error } => {
                assert!(!matches!(error, CursorError::Fenced), "seed {seed}");
                self.model(&name).delete_failed();
            }
            CursorEvent::Durable { name, up_to } => {
                self.seen.durable_acks += self.model(&name).durable(up_to.0, seed);
            }
            CursorEvent::NeedsSnapshot { name } => self.asked.push(known(&name)),
            CursorEvent::Failed { error, .. } => {
                assert!(matches!(error, CursorError::Unavailable(_)), "seed {seed}: {error}");
            }
        }
    }

    /// Ends the life well: then every change of every cursor is durable.
    async fn close(&mut self, mut topic: Topic) {
        self.world.bookie.state().storm = Storm { delay_ms_max: 2, ..Storm::default() };
        topic.ledger.close();
        for waited in 0.. {
            assert!(waited < 3000, "seed {}: does not close: {:?}", self.seed, topic.ledger);
            topic.run_for(20).await;
            self.take(&mut topic);
            if topic.ledger.is_closed() {
                break;
            }
            self.answer(&mut topic);
        }
        assert_eq!(self.entries.on_their_way(), 0, "seed {}", self.seed);
        for model in self.cursors.values() {
            model.assert_all_durable(self.seed);
        }
        self.seen.closes += 1;
    }

    async fn play(mut self) -> Seen {
        for _ in 0..self.rng.random_range(2..5) {
            self.storm();
            let mut topic = self.open().await;
            self.live(&mut topic).await;
            if self.rng.random_range(0..4) == 0 {
                self.close(topic).await;
            }
        }
        self.world.bookie.state().storm = Storm::default();
        drop(self.open().await);
        self.seen
    }
}

#[test]
fn what_was_confirmed_survives_any_crash() {
    let mut total = Seen::default();
    let seeds = Seeds::of("managed-ledger", SEEDS);
    for seed in seeds.range() {
        let seen = run(Round::new(seed).play());
        total.confirmed += seen.confirmed;
        total.found_unconfirmed += seen.found_unconfirmed;
        total.may_exist += seen.may_exist;
        total.not_stored += seen.not_stored;
        total.trimmed += seen.trimmed;
        total.durable_acks += seen.durable_acks;
        total.undurable_acks_kept += seen.undurable_acks_kept;
        total.undurable_acks_lost += seen.undurable_acks_lost;
        total.closes += seen.closes;
        total.failed_opens += seen.failed_opens;
        total.made_in_parts += seen.made_in_parts;
    }
    println!("{total:?}");
    let counts = [
        total.confirmed,
        total.found_unconfirmed,
        total.may_exist,
        total.not_stored,
        total.trimmed,
        total.durable_acks,
        total.undurable_acks_kept,
        total.undurable_acks_lost,
        total.closes,
        total.failed_opens,
        total.made_in_parts,
    ];
    let is_much = seeds.count() < SEEDS || counts.iter().all(|&count| 50 < count);
    assert!(is_much, "too much of one kind: {total:?}");
    seeds.passed(format_args!("{total:?}"));
}
