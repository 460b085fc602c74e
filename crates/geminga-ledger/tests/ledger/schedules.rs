//! Random schedules: an old writer, two recoverers, and bookies and a store in bad weather.
//!
//! Goal: whatever is lost, late, failed or answered wrongly, in any order, no confirmed entry is
//! lost, all agree on the end, and the old writer confirms nothing behind it.
//!
//! Method: each seed picks the quorums, the faults and the delays; the paused clock makes the
//! schedule from them. When all is over the weather turns calm, the ledger is recovered once more
//! and read whole.

use std::time::Duration;

use bytes::Bytes;
use geminga_env::sim::Seeds;
use geminga_ledger::{Confirmed, RecoverError, SealError, Sealed, read, recover, seal};
use geminga_types::{EntryId, LedgerId};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{sleep, timeout};

use crate::{
    bookie::{Mode, Storm},
    world::{Driver, World, run},
};

const SEEDS: u64 = 1000;
/// E, Qw, Qa.
const QUORUMS: [(u32, u32, u32); 7] =
    [(1, 1, 1), (2, 2, 2), (3, 3, 2), (3, 3, 3), (3, 2, 2), (4, 3, 2), (5, 3, 2)];

/// What a round came to, to see that the schedules are not all alike.
#[derive(Debug, Default, Clone, Copy)]
struct Outcome {
    confirmed: usize,
    /// Entries behind the last confirmed one that recovery kept.
    unconfirmed_kept: usize,
    writer_sealed: bool,
    recovered_in_storm: usize,
    writer_failed: bool,
}

/// What a seed makes of a round.
struct Plan {
    /// E, Qw, Qa.
    quorums: (u32, u32, u32),
    storm: Storm,
    entries_max: usize,
    bookies_break: bool,
}

fn any_plan(rng: &mut StdRng) -> Plan {
    let percent = |rng: &mut StdRng| [0, 0, 0, 2, 10][rng.random_range(0..5)];
    let storm = Storm {
        delay_ms_max: [0, 3, 40][rng.random_range(0..3)],
        add_delay_ms_max: [0, 0, 40, 400][rng.random_range(0..4)],
        read_failed_percent: [0, 0, 30][rng.random_range(0..3)],
        fence_failed_percent: [0, 50][rng.random_range(0..2)],
        failed_percent: percent(rng),
        lied_percent: percent(rng),
        lost_percent: [0, 0, 2][rng.random_range(0..3)],
    };
    let quorums = QUORUMS[rng.random_range(0..QUORUMS.len())];
    Plan { quorums, storm, entries_max: 30, bookies_break: true }
}

/// An entry or none, long on its way, while fences and reads fail: what recovery saw of an entry on one
/// bookie is over when it comes to the next.
fn half_seen_plan(_: &mut StdRng) -> Plan {
    let storm = Storm {
        delay_ms_max: 3,
        add_delay_ms_max: 400,
        read_failed_percent: 50,
        fence_failed_percent: 50,
        ..Storm::default()
    };
    Plan { quorums: (3, 3, 2), storm, entries_max: 1, bookies_break: false }
}

fn body(entry: usize) -> String {
    format!("{entry}:{}", "x".repeat(entry % 7))
}

async fn pause(rng: &mut StdRng, most_ms: u64) {
    sleep(Duration::from_millis(rng.random_range(0..=most_ms))).await;
}

/// Writes until everything is confirmed or nothing comes any more; then maybe seals.
async fn write(
    world: &World,
    driver: &mut Driver,
    entries_max: usize,
    mut rng: StdRng,
) -> Option<Sealed> {
    let entries = rng.random_range(0..=entries_max);
    let burst = rng.random_range(1..=8);
    let mut added = 0;
    let mut silences = 0;
    while silences < 3 && (added < entries || 0 < driver.writer.in_flight()) {
        for _ in 0..burst {
            if added < entries && driver.writer.has_room() {
                driver.add(&body(added));
                added += 1;
            }
        }
        driver.send();
        let patience = Duration::from_millis([1, 20, 400][rng.random_range(0..3)]);
        let answered = timeout(patience, driver.answered()).await.is_ok();
        let is_busy = driver.take_answers() > 0 || answered || driver.writer.failure().is_none();
        silences = if is_busy && added < entries { 0 } else { silences + 1 };
    }
    if rng.random_bool(0.5) {
        return None;
    }
    let end = driver.writer.stop();
    for _ in 0..20 {
        let deps = world.deps();
        let ledger_id = driver.writer.ledger_id();
        match seal(&deps, ledger_id, end.last_entry, end.length).await {
            Ok(()) => return Some(end),
            Err(SealError::Fenced(_)) => return None,
            Err(SealError::SealedElsewhere { sealed, .. }) => return Some(sealed),
            Err(SealError::NoLedger(_)) => panic!("nobody deleted it"),
            Err(SealError::Contended(_) | SealError::Metadata(_)) => pause(&mut rng, 100).await,
        }
    }
    None
}

async fn keep_recovering(world: &World, ledger_id: LedgerId, mut rng: StdRng) -> Option<Sealed> {
    let deps = world.deps();
    pause(&mut rng, 300).await;
    for _ in 0..10 {
        match timeout(Duration::from_secs(120), recover(&deps, ledger_id)).await {
            Ok(Ok(sealed)) => return Some(sealed),
            Ok(Err(error @ (RecoverError::NoLedger(_) | RecoverError::Corrupt { .. }))) => {
                panic!("{error}")
            }
            _ => pause(&mut rng, 1000).await,
        }
    }
    None
}

async fn break_bookies(world: &World, is_on: bool, mut rng: StdRng) {
    let times = if is_on { rng.random_range(0..6) } else { 0 };
    for _ in 0..times {
        pause(&mut rng, 100).await;
        let modes = [Mode::Up, Mode::Down, Mode::ReadOnly, Mode::Silent];
        let mode = modes[rng.random_range(0..4)];
        let bookie = &world.bookies[rng.random_range(0..world.bookies.len())];
        bookie.state().mode = mode;
        pause(&mut rng, 100).await;
        bookie.state().mode = Mode::Up;
    }
}

fn check_confirmed(confirmed: &[Confirmed], sealed: Sealed, at: &str) {
    for (entry, confirmed) in confirmed.iter().enumerate() {
        assert_eq!(confirmed.entry_id().0, i64::try_from(entry).unwrap(), "{at}: out of order");
        assert_eq!(confirmed.body(), body(entry).as_bytes(), "{at}: entry {entry}");
        assert!(confirmed.entry_id() <= sealed.last_entry, "{at}: entry {entry} is lost");
    }
}

/// Takes in whatever still comes for the old writer: none of it may be confirmed behind the end.
async fn outlive(driver: &mut Driver) {
    if driver.writer.has_room() {
        driver.add("after the end");
    }
    for _ in 0..5 {
        driver.send();
        sleep(Duration::from_secs(1)).await;
        driver.take_answers();
    }
}

async fn round(seed: u64, plan: impl Fn(&mut StdRng) -> Plan) -> Outcome {
    let mut rng = StdRng::seed_from_u64(seed);
    let plan = plan(&mut rng);
    let (ensemble, write_quorum, ack) = plan.quorums;
    let at = format!("seed {seed} E={ensemble} Qw={write_quorum} Qa={ack}");
    let world = World::new(seed, ensemble as usize);
    let mut driver = world.create(ensemble, write_quorum, ack).await;
    let ledger_id = driver.writer.ledger_id();
    world.weather.set(plan.storm);
    let mut child = || StdRng::seed_from_u64(rng.random());
    let (by_writer, by_first, by_second, ()) = tokio::join!(
        write(&world, &mut driver, plan.entries_max, child()),
        keep_recovering(&world, ledger_id, child()),
        keep_recovering(&world, ledger_id, child()),
        break_bookies(&world, plan.bookies_break, child()),
    );
    world.weather.set(Storm::default());
    outlive(&mut driver).await;
    let deps = world.deps();
    let sealed = recover(&deps, ledger_id).await.unwrap_or_else(|error| panic!("{at}: {error}"));
    for said in [by_writer, by_first, by_second].into_iter().flatten() {
        assert_eq!(said, sealed, "{at}: not all agree on the end");
    }
    outlive(&mut driver).await;
    check_confirmed(&driver.confirmed, sealed, &at);
    check_stored(&world, (ledger_id, ack as usize), sealed, &at).await;
    let kept = usize::try_from(sealed.last_entry.0 + 1).unwrap();
    Outcome {
        confirmed: driver.confirmed.len(),
        unconfirmed_kept: kept - driver.confirmed.len(),
        writer_sealed: by_writer.is_some(),
        recovered_in_storm: [by_first, by_second].iter().flatten().count(),
        writer_failed: driver.writer.failure().is_some(),
    }
}

/// Everything up to the end can be read, is what was added, and is on an ack quorum.
async fn check_stored(
    world: &World,
    (ledger_id, ack_quorum): (LedgerId, usize),
    sealed: Sealed,
    at: &str,
) {
    if sealed.last_entry == EntryId::NONE {
        assert_eq!(sealed.length, 0, "{at}");
        return;
    }
    let mut entries = Vec::new();
    while entries.len() <= usize::try_from(sealed.last_entry.0).unwrap() {
        let first = EntryId(i64::try_from(entries.len()).unwrap());
        let some = read(&world.deps(), ledger_id, first, sealed.last_entry, 1 << 20).await;
        entries.extend(some.unwrap_or_else(|error| panic!("{at}: {error}")));
    }
    for (entry, found) in entries.iter().enumerate() {
        let holders =
            world.bookies.iter().filter(|bookie| bookie.holds(ledger_id, found.entry_id.0)).count();
        assert!(ack_quorum <= holders, "{at}: entry {entry} is on {holders} bookies");
        assert_eq!(found.body, Bytes::from(body(entry)), "{at}: entry {entry}");
    }
    let length: usize = entries.iter().map(|entry| entry.body.len()).sum();
    assert_eq!(sealed.length, length as u64, "{at}");
}

#[test]
fn no_confirmed_entry_is_lost_in_any_schedule() {
    let seeds = Seeds::of("ledger", SEEDS);
    let outcomes: Vec<_> = seeds.range().map(|seed| run(round(seed, any_plan))).collect();
    let mut shares = Vec::new();
    let mut share = |what: &str, is: &dyn Fn(&Outcome) -> bool| {
        let count = outcomes.iter().filter(|outcome| is(outcome)).count();
        assert!(is_enough(&seeds, count), "too few schedules in which {what}: {count}");
        shares.push(format!("{what}: {count}"));
    };
    share("some were confirmed", &|outcome| 0 < outcome.confirmed);
    share("recovery kept unconfirmed entries", &|outcome| 0 < outcome.unconfirmed_kept);
    share("the writer sealed", &|outcome| outcome.writer_sealed);
    share("the writer failed", &|outcome| outcome.writer_failed);
    share("both recovered in the storm", &|outcome| outcome.recovered_in_storm == 2);
    seeds.passed(shares.join("\n"));
}

/// Whether the schedules are not all alike. Of a few seeds that somebody picked nothing is expected.
const fn is_enough(seeds: &Seeds, count: usize) -> bool {
    seeds.count() < SEEDS || seeds.count() / 50 <= count as u64
}

#[test]
fn an_entry_that_arrives_while_recovery_looks_is_not_lost() {
    let seeds = Seeds::of("ledger-half-seen", SEEDS);
    let outcomes = seeds.range().map(|seed| run(round(seed, half_seen_plan)));
    let confirmed = outcomes.filter(|outcome| 0 < outcome.confirmed).count();
    assert!(is_enough(&seeds, confirmed), "some were confirmed in {confirmed} schedules only");
    seeds.passed(format_args!("some were confirmed: {confirmed}"));
}
