//! A naive model beside the storage, on a simulated disk, through thousands of crashes.
//!
//! Goal: nothing confirmed is lost, nothing deleted comes back, fences hold, and "no entry" is never
//! said of a confirmed entry; and five planted defects are each caught.
//!
//! Method: each seed makes a world and runs random adds, reads, fences, deletions, flushes,
//! collections, power cuts at random changes to the disk, full disks and failed syncs, with options so
//! small that all of the machinery turns. After each crash everything is compared with the model.

mod model;
mod run;

use std::{collections::BTreeMap, num::NonZero, panic::resume_unwind, thread};

use geminga_env::sim::Seeds;

use self::run::{Plan, run_seed};
use crate::options::{Phase, PlantedBug};

/// Seeds of a run in CI.
const SEEDS: u64 = 20_000;
/// From so many seeds on each phase must have been hit.
const SEEDS_TO_HIT: u64 = 80;
/// A planted defect must be caught within this many seeds.
const SEEDS_TO_CATCH: u64 = 60;

type Hits = BTreeMap<Phase, u64>;

#[test]
fn nothing_confirmed_is_lost() {
    let seeds = Seeds::of("bookie-storage", SEEDS);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let of_thread = |first: usize| run_seeds(seeds.range().skip(first).step_by(threads));
    let hits = thread::scope(|scope| {
        let spawn = |first| scope.spawn(move || of_thread(first));
        let running: Vec<_> = (0..threads).map(spawn).collect();
        let mut hits = Hits::new();
        for running in running {
            let found = running.join().unwrap_or_else(|panic| resume_unwind(panic));
            found.into_iter().for_each(|(phase, count)| *hits.entry(phase).or_default() += count);
        }
        hits
    });
    if seeds.count() >= SEEDS_TO_HIT {
        for phase in
            [Phase::Flush, Phase::Rollover, Phase::Recycle, Phase::Compaction, Phase::Checkpoint]
        {
            assert!(hits.contains_key(&phase), "no power cut fell inside {phase:?}: {hits:?}");
        }
    }
    seeds.passed(format_args!("power cuts inside: {hits:?}"));
}

/// Runs them; inside which phases the power was cut.
fn run_seeds(seeds: impl Iterator<Item = u64>) -> Hits {
    let mut hits = Hits::new();
    for seed in seeds {
        let report = run_seed(seed, Plan::default());
        for phase in report.cuts_inside {
            *hits.entry(phase).or_default() += 1;
        }
        if let Err(error) = report.result {
            panic!("seed {seed}: {error}");
        }
    }
    hits
}

#[test]
fn a_seed_runs_the_same_twice() {
    for seed in 0..5 {
        let hashes = [0, 1].map(|_| run_seed(seed, Plan::default()).event_hash);
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}

fn is_caught(bug: PlantedBug) {
    let plan = Plan { bug: Some(bug) };
    let mut seeds = 0..SEEDS_TO_CATCH;
    let caught = seeds.find_map(|seed| Some((seed, run_seed(seed, plan).result.err()?)));
    println!("{bug:?}: {caught:?}");
    assert!(caught.is_some(), "{bug:?} was not caught in {SEEDS_TO_CATCH} seeds");
}

#[test]
fn no_sync_is_caught() {
    is_caught(PlantedBug::NoSync);
}

#[test]
fn ack_before_sync_is_caught() {
    is_caught(PlantedBug::AckBeforeSync);
}

#[test]
fn no_directory_sync_is_caught() {
    is_caught(PlantedBug::NoDirectorySync);
}

#[test]
fn checkpoint_before_entry_log_sync_is_caught() {
    is_caught(PlantedBug::CheckpointBeforeEntryLogSync);
}

#[test]
fn recycle_before_checkpoint_is_caught() {
    is_caught(PlantedBug::RecycleBeforeCheckpoint);
}
