//! Micro benchmarks: `cargo bench -p geminga-managed-ledger`. A cursor with a million holes over a
//! billion entries, of which only the metadata exists: written as a whole, and read back.

use divan::Bencher;
use geminga_managed_ledger::{CursorDelta, CursorEvent, CursorState};
use geminga_types::Position;
use world::{Topic, World, run};

#[expect(dead_code, clippy::unwrap_used, reason = "of the tests, which use more of it")]
#[path = "../tests/managed_ledger/bookie.rs"]
mod bookie;
#[expect(dead_code, clippy::unwrap_used, reason = "of the tests, which use more of it")]
#[path = "../tests/managed_ledger/world.rs"]
mod world;

const LEDGERS: i64 = 20_000;
const ENTRIES: i64 = 50_000;
/// In each ledger.
const HOLES: i64 = 50;

fn main() {
    divan::main();
}

/// All that is acked: everything but the holes.
fn state() -> CursorState {
    let ranges = (0..LEDGERS * HOLES).map(|hole| {
        let (ledger, first) = (hole / HOLES, hole % HOLES * (ENTRIES / HOLES));
        let last = first + ENTRIES / HOLES - 1;
        (Position::new(ledger, first + 1), Position::new(ledger, last))
    });
    CursorState { acked: ranges.collect(), ..CursorState::at(Position::new(0, -1)) }
}

/// A topic whose cursor waits for its first snapshot.
async fn waiting() -> (World, Topic) {
    let world = World::new(1);
    world.list_ledgers(LEDGERS, ENTRIES).await;
    let mut topic = world.open().await;
    topic.create_cursor("a", Position::new(0, -1)).await;
    let (first, last) = (Position::new(0, 1), Position::new(0, 1));
    topic
        .ledger
        .append_cursor("a", CursorDelta { acked: vec![(first, last)], ..CursorDelta::default() });
    assert_eq!(topic.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
    (world, topic)
}

async fn persist(topic: &mut Topic, state: CursorState) {
    topic.ledger.snapshot_cursor("a", state);
    assert!(matches!(topic.event().await, CursorEvent::Durable { .. }));
}

/// From the snapshot until it is durable.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn persist_a_million_holes(bencher: Bencher<'_, '_>) {
    let state = state();
    let prepare = || (run(waiting()), state.clone());
    bencher.with_inputs(prepare).bench_local_values(|((world, mut topic), state)| {
        run(persist(&mut topic, state));
        (world, topic)
    });
}

/// From the start of a load until every range is in the numbers of the loaded topic.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn recover_a_million_holes(bencher: Bencher<'_, '_>) {
    let (world, mut topic) = run(waiting());
    run(persist(&mut topic, state()));
    drop(topic);
    bencher.bench_local(|| {
        run(async {
            let mut topic = world.open().await;
            let state = topic.recovered("a");
            let chain = topic.ledger.chain();
            let mut lookup = chain.lookup();
            let acked = state
                .acked
                .iter()
                .map(|&(first, last)| lookup.next_after(last).0 - lookup.ordinal_of(first).0);
            assert_eq!(acked.sum::<u64>(), 999_000_000);
        });
    });
}
