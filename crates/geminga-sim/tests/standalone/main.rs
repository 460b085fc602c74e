//! A whole standalone in a simulated world: every fault and every client follows from a seed.
//!
//! `GEMINGA_SIM_SEEDS=COUNT` or `GEMINGA_SIM_SEEDS=FIRST..END` (or else `GEMINGA_SEEDS`) chooses the
//! seeds, `GEMINGA_LOG=debug` shows the server's log.
#![cfg(test)]

mod clients;
mod consumer;
mod drain;
mod life;
mod link;
mod model;
mod operator;
mod producer;

use std::{
    cell::Cell,
    io,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    thread,
};

use geminga_env::sim::Seeds;

use crate::model::Counts;

const SEEDS: u64 = 100;
/// Worlds run side by side, each on one thread.
const THREADS: usize = 2;

thread_local! {
    /// Panics of this thread, those that a runtime caught among them.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Some(filter) = std::env::var_os("GEMINGA_LOG") {
            let filter = tracing_subscriber::EnvFilter::new(filter.to_string_lossy());
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
        }
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            hook(info);
        }));
    });
}

/// Runs one seed: its event hash and what it did, or what was wrong.
fn run(seed: u64, lies: bool) -> Result<(u64, Counts), String> {
    let before = PANICS.get();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| life::run(seed, lies)));
    let Ok((hash, counts, violations)) = outcome else {
        return Err(format!("seed {seed}: panicked, see above"));
    };
    if !violations.is_empty() {
        return Err(format!("seed {seed}: {counts:?}\n  {}", violations.join("\n  ")));
    }
    if PANICS.get() != before {
        return Err(format!("seed {seed}: a task panicked, see above"));
    }
    Ok((hash, counts))
}

fn run_twice(seed: u64) -> Result<Counts, String> {
    let (first, second) = (run(seed, false)?, run(seed, false)?);
    if first != second {
        return Err(format!("seed {seed} did not repeat itself: {first:?}, then {second:?}"));
    }
    Ok(first.1)
}

/// A failing seed is said at once: a run of thousands takes long.
fn tell(outcome: Result<Counts, String>) -> Result<Counts, String> {
    outcome.inspect_err(|failure| eprintln!("FAILED {failure}"))
}

#[test]
fn keeps_its_promises_and_repeats_itself() {
    set_up();
    let seeds = Seeds::of("sim", SEEDS);
    let outcomes: Vec<Result<Counts, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                let share = seeds.range().skip(first).step_by(THREADS);
                scope.spawn(move || share.map(run_twice).map(tell).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut totals = Counts::default();
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(counts) => totals += counts,
            Err(failure) => failures.push(failure),
        }
    }
    println!("{} seeds: {totals:?}", seeds.count());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    if seeds.count() >= SEEDS {
        let Counts { receipts, deliveries, acks, nacks, seeks, crashes, .. } = totals;
        let Counts { unloads, creations, deletions, indexes, .. } = totals;
        let least = receipts.min(deliveries).min(acks).min(nacks).min(seeks).min(crashes);
        let least = least.min(unloads).min(creations).min(deletions).min(indexes);
        assert!(least >= 50, "too little was tested: {totals:?}");
    }
    seeds.passed(format_args!("{totals:?}"));
}

#[test]
fn a_disk_that_lies_is_found_out() {
    set_up();
    let is_caught = (0..20).any(|seed| run(seed, true).is_err());
    assert!(is_caught, "the oracle did not see that nothing was synced");
}
