//! Random schedules against a naive model of a subscription, for each kind.
//!
//! Goal: whatever happens, in whatever order, no entry is lost, stuck, delivered where it must not be,
//! or acked by nobody. Method: a world keeps, for each entry and consumer, what must be true in the
//! plainest form (arrays and flags); it plays random steps (connect, disconnect, flow, acks of all
//! sorts, nacks, seeks, reads that fail or come late, dead letters that are stored or not, trims,
//! crashes), polls the machine dry after each or, of those that need no poll of their own, after some, and
//! compares every action with what it knows. At the end the world heals, and everything must be delivered
//! or published as a dead letter, and acked.
#![cfg(test)]

use geminga_env::sim::Seeds;
use geminga_subscription::Kind;

mod model {
    pub(crate) mod checks;
    pub(crate) mod dead;
    pub(crate) mod steps;
    pub(crate) mod world;
}

use model::world::World;

const SEEDS: u64 = 1000;
const STEPS: usize = 100;

fn run(kind: Kind, name: &'static str) {
    let seeds = Seeds::of(name, SEEDS);
    let (mut delivered, mut dead) = (0, 0);
    for seed in seeds.range() {
        let mut world = World::new(kind, seed);
        for _ in 0..STEPS {
            world.steps();
            world.poll_dry();
            world.check();
        }
        world.heal();
        delivered += world.delivered;
        dead += world.dead_stored;
    }
    let has_dead = matches!(kind, Kind::Shared | Kind::KeyShared);
    let is_little = delivered <= 1000 || has_dead && dead <= 300;
    assert!(
        seeds.count() < SEEDS || !is_little,
        "the schedules do next to nothing: {delivered} deliveries, {dead} dead letters"
    );
    seeds.passed(format_args!("{delivered} deliveries, {dead} dead letters"));
}

#[test]
fn exclusive_agrees_with_the_model() {
    run(Kind::Exclusive, "subscription-exclusive");
}

#[test]
fn failover_agrees_with_the_model() {
    run(Kind::Failover, "subscription-failover");
}

#[test]
fn shared_agrees_with_the_model() {
    run(Kind::Shared, "subscription-shared");
}

#[test]
fn key_shared_agrees_with_the_model() {
    run(Kind::KeyShared, "subscription-key-shared");
}
