use std::task::Poll;

use futures_util::{FutureExt as _, future::BoxFuture, poll};
use geminga_env::sim::Seeds;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

#[tokio::test]
async fn the_highest_priority_is_served_first_and_equals_in_order() {
    let budget = Budget::new("test", 100);
    let held = budget.try_take(100).unwrap();
    let order = [(1, 0), (2, -5), (3, 7), (4, 0), (5, 7)];
    let mut waiting: Vec<_> = order
        .iter()
        .map(|&(name, priority)| (name, budget.take_with_priority(100, priority).boxed()))
        .collect();
    for (_, taking) in &mut waiting {
        assert!(poll!(taking).is_pending());
    }
    assert!(budget.try_take(0).is_none());
    let mut held = Some(held);
    let mut served = Vec::new();
    while !waiting.is_empty() {
        drop(held.take());
        let mut ready = Vec::new();
        for (at, (name, taking)) in waiting.iter_mut().enumerate() {
            if let Poll::Ready(permit) = poll!(taking) {
                ready.push((at, *name, permit));
            }
        }
        let [(at, name, permit)] = <[_; 1]>::try_from(ready).unwrap();
        served.push(name);
        drop(waiting.remove(at));
        held = Some(permit);
    }
    assert_eq!(served, [3, 5, 1, 4, 2]);
}

#[tokio::test]
async fn the_lowest_does_not_starve() {
    let budget = Budget::new("test", 1);
    let mut held = budget.try_take(1);
    let mut low = budget.take_with_priority(1, 0).boxed();
    let mut high: Vec<_> = vec![budget.take_with_priority(1, 1).boxed()];
    assert!(poll!(&mut high[0]).is_pending());
    assert!(poll!(&mut low).is_pending());
    for _ in 0..100 {
        high.push(budget.take_with_priority(1, 1).boxed());
        assert!(poll!(high.last_mut().unwrap()).is_pending());
        drop(held.take());
        if poll!(&mut low).is_ready() {
            return;
        }
        held = Some(high.remove(0).now_or_never().unwrap());
    }
    panic!("it starves");
}

/// Goal: whoever gives up, and when, bytes are neither lost nor taken twice, and who is next is served as
/// soon as there is room. Method: takes, releases and cancellations at random beside a sum.
#[tokio::test]
async fn nothing_is_lost_whoever_gives_up() {
    let seeds = Seeds::of("broker-budget", 300);
    for seed in seeds.range() {
        // Its polls are more than a task has in one go.
        tokio::task::unconstrained(give_up_at_random(seed)).await;
    }
    seeds.passed("300 steps each");
}

async fn give_up_at_random(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let budget = Budget::new("test", 10);
    let waiting_count = || budget.shared.waiting.load(Ordering::SeqCst);
    let mut waiting: Vec<(usize, BoxFuture<'_, BudgetPermit>)> = Vec::new();
    let mut held: Vec<(usize, BudgetPermit)> = Vec::new();
    for step in 0..300 {
        let bytes = rng.random_range(0..=10);
        let priority = rng.random_range(0..3);
        match rng.random_range(0..5) {
            0 => held.extend(budget.try_take(bytes).map(|permit| (bytes, permit))),
            1 | 2 => waiting.push((bytes, budget.take_with_priority(bytes, priority).boxed())),
            3 if !held.is_empty() => drop(held.swap_remove(rng.random_range(0..held.len()))),
            4 if !waiting.is_empty() => {
                drop(waiting.swap_remove(rng.random_range(0..waiting.len())));
            }
            _ => {}
        }
        // Of those that were served meanwhile one may give up before it is looked at.
        if rng.random_bool(0.3) {
            continue;
        }
        // Who is served leaves room for others to be next.
        let mut looked_at = usize::MAX;
        while looked_at != held.len() {
            looked_at = held.len();
            let mut still = Vec::new();
            for (bytes, mut taking) in waiting {
                match poll!(&mut taking) {
                    Poll::Ready(permit) => held.push((bytes, permit)),
                    Poll::Pending => still.push((bytes, taking)),
                }
            }
            waiting = still;
        }
        let sum: usize = held.iter().map(|(bytes, _)| bytes).sum();
        assert_eq!(
            (sum, waiting.len()),
            (budget.used(), waiting_count()),
            "seed {seed}, step {step}"
        );
        let next = budget.shared.lock().next();
        assert!(
            next.is_none_or(|(_, bytes)| 10 < sum + bytes),
            "seed {seed}, step {step}: {next:?}"
        );
    }
    drop((waiting, held));
    assert_eq!((budget.used(), waiting_count()), (0, 0), "seed {seed}");
}

/// Goal: nobody waits for ever, whatever overlaps. Method: threads that take and give back.
#[test]
fn threads_wake_each_other() {
    let budget = Budget::new("test", 3);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let budget = &budget;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for turn in 0..20_000 {
                    drop(runtime.block_on(budget.take_with_priority(1 + (turn + thread) % 3, 0)));
                }
            });
        }
    });
    assert_eq!(budget.used(), 0);
}
