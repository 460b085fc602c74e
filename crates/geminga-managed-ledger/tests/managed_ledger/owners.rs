//! Two owners of one topic: one of them stops, and nothing it confirmed is lost.

use std::collections::BTreeSet;

use geminga_env::sim::Seeds;
use geminga_managed_ledger::{
    AppendError, CursorDelta, CursorError, CursorEvent, CursorState, Outcome,
};
use geminga_types::Position;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    bookie::Storm,
    world::{Topic, World, bodies, options, run},
};

const SEEDS: u64 = 300;

#[test]
fn an_owner_that_was_writing_is_fenced_by_the_next_load() {
    run(async {
        let world = World::new(1);
        let mut old = world.open().await;
        old.append_all(bodies(0..3)).await;
        let mut new = world.open().await;
        assert_eq!(
            old.append_all(["late", "later"]).await,
            [Err(AppendError::Fenced), Err(AppendError::Fenced)]
        );
        assert!(old.ledger.is_fenced());
        assert_eq!(old.append_all(["last"]).await, [Err(AppendError::Fenced)]);
        assert!(new.append_all(bodies(3..4)).await[0].is_ok());
        old.close().await;
        assert!(new.bodies().await.into_iter().eq(bodies(0..4)));
    });
}

#[test]
fn of_two_idle_owners_the_first_to_write_wins() {
    run(async {
        let world = World::new(1);
        let mut old = world.open().await;
        let mut new = world.open().await;
        assert!(old.append_all(bodies(0..1)).await[0].is_ok());
        assert_eq!(new.append_all(["late"]).await, [Err(AppendError::Fenced)]);
        assert!(new.ledger.is_fenced());
        assert!(old.append_all(bodies(1..2)).await[0].is_ok());
        assert!(world.open().await.bodies().await.into_iter().eq(bodies(0..2)));
    });
}

#[test]
fn a_cursor_changed_elsewhere_fences_too() {
    run(async {
        let world = World::new(1);
        let mut old = world.open().await;
        old.create_cursor("a", Position::EARLIEST).await;
        let mut new = world.open().await;
        new.ledger.delete_cursor("a");
        assert_eq!(new.event().await, CursorEvent::Deleted { name: "a".into() });
        old.ledger.append_cursor("a", CursorDelta::default());
        assert_eq!(old.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
        old.ledger.snapshot_cursor("a", CursorState::default());
        let error = CursorError::Fenced;
        assert_eq!(old.event().await, CursorEvent::Failed { name: "a".into(), error });
        assert!(old.ledger.is_fenced());
    });
}

/// One of several that believe they own the topic.
struct Owner {
    topic: Topic,
    /// What is acked after each change, the first as it was loaded.
    acked: Vec<BTreeSet<i64>>,
    last_confirmed: Option<usize>,
}

#[derive(Default)]
struct Promised {
    entries: BTreeSet<usize>,
    acked: BTreeSet<i64>,
    owners_fenced: usize,
}

fn acked(state: &CursorState) -> BTreeSet<i64> {
    state.acked.iter().flat_map(|(first, last)| first.entry_id.0..=last.entry_id.0).collect()
}

fn snapshot(acked: &BTreeSet<i64>) -> CursorState {
    let range = |&entry| (Position::new(0, entry), Position::new(0, entry));
    CursorState { acked: acked.iter().map(range).collect(), ..CursorState::default() }
}

impl Owner {
    async fn open(world: &World) -> Option<Self> {
        let mut topic = Topic::open(world.deps(), options()).await.ok()?;
        let state = topic.ledger.take_recovered_cursors().remove("a")?;
        Some(Self { topic, acked: vec![acked(&state)], last_confirmed: None })
    }

    fn ack(&mut self, entry: i64) {
        let mut acked = self.acked.last().unwrap().clone();
        acked.insert(entry);
        self.acked.push(acked);
        let position = Position::new(0, entry);
        let acked = vec![(position, position)];
        self.topic.ledger.append_cursor("a", CursorDelta { acked, ..CursorDelta::default() });
    }

    fn take(&mut self, promised: &mut Promised, seed: u64) {
        for outcome in self.topic.outcomes.drain(..) {
            if let Outcome::Confirmed(confirmed) = outcome {
                let body = std::str::from_utf8(&confirmed.body).unwrap();
                let number = body.split(':').next().unwrap().parse().unwrap();
                assert!(self.last_confirmed < Some(number), "seed {seed}");
                self.last_confirmed = Some(number);
                promised.entries.insert(number);
            }
        }
        for event in std::mem::take(&mut self.topic.events) {
            match event {
                CursorEvent::Durable { up_to, .. } => {
                    promised.acked.extend(&self.acked[usize::try_from(up_to.0).unwrap()]);
                }
                CursorEvent::NeedsSnapshot { .. } => {
                    let snapshot = snapshot(self.acked.last().unwrap());
                    self.topic.ledger.snapshot_cursor("a", snapshot);
                }
                _ => {}
            }
        }
    }
}

/// Goal: whoever confirms an entry or an ack, it is there in the end, once; and nobody is stuck
/// between owning the topic and being fenced.
///
/// Method: up to three owners at once, opened at any time, all writing and acking; the last load,
/// when all is calm and all are gone, must find what any of them was promised.
#[test]
fn nothing_promised_by_any_owner_is_lost() {
    let mut owners_fenced = 0;
    let seeds = Seeds::of("managed-ledger-owners", SEEDS);
    for seed in seeds.range() {
        owners_fenced += run(several_owners(seed)).owners_fenced;
    }
    assert!(seeds.count() < SEEDS || 300 < owners_fenced, "{owners_fenced}");
    seeds.passed(format_args!("owners fenced: {owners_fenced}"));
}

async fn several_owners(seed: u64) -> Promised {
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::new(seed);
    let mut first = world.open().await;
    first.create_cursor("a", Position::EARLIEST).await;
    drop(first);
    world.bookie.state().storm = Storm {
        delay_ms_max: rng.random_range(0..30),
        failed_percent: [0, 10][rng.random_range(0..2)],
        ..Storm::default()
    };
    let mut promised = Promised::default();
    let mut owners = Vec::new();
    for next in 0..rng.random_range(10..80) {
        if owners.is_empty() || (owners.len() < 3 && rng.random_range(0..15) == 0) {
            owners.extend(Owner::open(&world).await);
        }
        if owners.is_empty() {
            continue;
        }
        let at = rng.random_range(0..owners.len());
        let owner = &mut owners[at];
        match rng.random_range(0..3) {
            0 => bodies(next..next + 1).for_each(|body| owner.topic.append(body)),
            1 => owner.ack(i64::try_from(next).unwrap()),
            _ => owner.topic.run_for(rng.random_range(0..40)).await,
        }
        owner.topic.poll();
        owner.take(&mut promised, seed);
        if owner.topic.ledger.is_fenced() {
            promised.owners_fenced += 1;
            owners.remove(at);
        }
    }
    for owner in &mut owners {
        owner.topic.run_for(100).await;
        owner.take(&mut promised, seed);
    }
    drop(owners);
    world.bookie.state().storm = Storm::default();
    let last = Owner::open(&world).await.unwrap();
    let mut found = BTreeSet::new();
    for body in last.topic.bodies().await {
        let number = std::str::from_utf8(&body).unwrap().split(':').next().unwrap();
        assert!(found.insert(number.parse::<usize>().unwrap()), "seed {seed}: twice {number}");
    }
    assert!(promised.entries.is_subset(&found), "seed {seed}: {found:?}");
    assert!(promised.acked.is_subset(&last.acked[0]), "seed {seed}: {:?}", last.acked[0]);
    promised
}
