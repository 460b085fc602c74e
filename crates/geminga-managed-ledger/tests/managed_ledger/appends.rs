//! Appends, their outcomes, rollover and failures.

use std::time::Duration;

use geminga_managed_ledger::{AppendError, Options, Outcome};
use geminga_types::{Ordinal, Position};

use crate::{
    bookie::Storm,
    world::{World, bodies, options, run},
};

fn not_stored(outcomes: &[Result<Position, AppendError>]) -> usize {
    outcomes.iter().filter(|o| matches!(o, Err(AppendError::NotStored(_)))).count()
}

#[test]
fn a_topic_at_rest_has_no_ledger_and_the_first_append_makes_one() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.run_for(10_000).await;
        assert_eq!((topic.jobs_run, topic.ledger.ledgers().len()), (0, 0));
        assert_eq!(topic.ledger.last_position(), None);
        assert_eq!(topic.ledger.mark_delete_position(Ordinal(0)), Position::EARLIEST);
        let appended = topic.append_all(bodies(0..3)).await;
        assert_eq!(appended, (0..3).map(|entry| Ok(Position::new(0, entry))).collect::<Vec<_>>());
        assert_eq!((topic.jobs_run, topic.ledger.ledgers().len()), (1, 1));
        assert_eq!(topic.ledger.end(), Ordinal(3));
        assert!(topic.bodies().await.into_iter().eq(bodies(0..3)));
    });
}

#[test]
fn appends_that_wait_go_out_in_one_batch() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..1)).await;
        topic.append_all(bodies(1..6)).await;
        assert_eq!(world.bookie.state().batches, [1, 5]);
    });
}

#[test]
fn entries_go_on_in_the_next_ledger_when_one_is_full() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        let appended = topic.append_all(bodies(0..25)).await;
        let expected = (0..25).map(|n| Ok(Position::new(n / 10, n % 10)));
        assert_eq!(appended, expected.collect::<Vec<_>>());
        let ledgers = topic.ledger.ledgers();
        let counts: Vec<_> = ledgers.iter().map(|l| (l.entries, l.is_open)).collect();
        assert_eq!(counts, [(10, false), (10, false), (5, true)]);
        assert!(topic.bodies().await.into_iter().eq(bodies(0..25)));
        assert_eq!(topic.ledger.bytes(), bodies(0..25).map(|body| body.len() as u64).sum::<u64>());

        // A full ledger with nothing behind it stays open.
        topic.append_all(bodies(25..30)).await;
        topic.run_for(1000).await;
        assert!(topic.ledger.ledgers().last().unwrap().is_open);
    });
}

#[test]
fn bytes_fill_a_ledger_too() {
    run(async {
        let world = World::new(1);
        let options = Options { max_ledger_bytes: 100, ..options() };
        let mut topic = world.open_with(options).await;
        let appended = topic.append_all((0..4).map(|_| vec![7; 50])).await;
        let expected = (0..4).map(|n| Ok(Position::new(n / 2, n % 2)));
        assert_eq!(appended, expected.collect::<Vec<_>>());
    });
}

#[test]
fn a_young_ledger_goes_on_though_full_and_an_old_one_is_closed_though_not() {
    run(async {
        let world = World::new(1);
        let (min_rollover, max_rollover) = (Duration::from_secs(60), Duration::from_secs(600));
        let mut topic = world.open_with(Options { min_rollover, max_rollover, ..options() }).await;
        topic.append_all(bodies(0..15)).await;
        assert_eq!(topic.ledger.ledgers().len(), 1);
        topic.run_for(61_000).await;
        topic.append_all(bodies(15..16)).await;
        assert_eq!(topic.ledger.ledgers().len(), 2);
        topic.run_for(599_000).await;
        assert!(topic.ledger.ledgers()[1].is_open);
        topic.run_for(2_000).await;
        assert!(!topic.ledger.ledgers()[1].is_open);
        assert_eq!(topic.ledger.next_timeout(), None);
        topic.append_all(bodies(16..17)).await;
        assert_eq!(topic.ledger.ledgers().len(), 3);
        assert!(topic.bodies().await.into_iter().eq(bodies(0..17)));
    });
}

#[test]
fn a_full_disk_refuses_without_a_storm_of_ledgers_and_writes_come_back() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..2)).await;
        world.bookie.state().storm.is_full = true;
        let appended = topic.append_all(bodies(2..20)).await;
        assert_eq!(not_stored(&appended), 18);
        for _ in 0..200 {
            let appended = topic.append_all(bodies(0..1)).await;
            assert_eq!(not_stored(&appended), 1);
        }
        let now = topic.deps.env.clock.now();
        let pause = topic.ledger.next_timeout().map(|at| at - now);
        assert!(pause.is_none_or(|pause| pause <= Duration::from_secs(10)));
        assert!(topic.jobs_run < 700, "{}", topic.jobs_run);

        world.bookie.state().storm.is_full = false;
        assert!(topic.append_all(bodies(2..4)).await.iter().all(Result::is_ok));
        assert!(topic.bodies().await.into_iter().eq(bodies(0..4)));
        topic.run_for(60_000).await;
        assert_eq!(topic.ledger.ledgers().len(), 2, "empty ledgers are dropped");
        world.assert_no_tombstones().await;
    });
}

#[test]
fn what_a_bookie_failed_may_exist_and_what_waited_behind_it_does_not() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..2)).await;
        world.bookie.state().storm = Storm { lied_percent: 100, ..Storm::default() };
        // Eight are in flight at most.
        let appended = topic.append_all(bodies(2..14)).await;
        let may_exist = |o: &&Result<_, _>| matches!(o, Err(AppendError::MayExist(_)));
        assert_eq!(appended.iter().take_while(may_exist).count(), 8);
        assert_eq!(not_stored(&appended[8..]), 4);
        world.bookie.state().storm = Storm::default();
        assert!(topic.append_all(bodies(2..3)).await[0].is_ok());
        assert!(topic.bodies().await.into_iter().eq(bodies(0..3)));
        // They were behind the end at which the ledger was closed.
        drop(topic);
        assert!(world.open().await.bodies().await.into_iter().eq(bodies(0..3)));
    });
}

#[test]
fn an_entry_stored_and_never_confirmed_is_found_by_the_next_load() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..2)).await;
        topic.append(bodies(2..3).next().unwrap());
        topic.poll();
        tokio::task::yield_now().await;
        drop(topic);
        let topic = world.open().await;
        assert!(topic.bodies().await.into_iter().eq(bodies(0..3)));
    });
}

#[test]
fn the_tail_is_served_from_memory_with_the_appended_bytes() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        for body in bodies(0..25) {
            topic.append(body);
        }
        topic.until(|topic| topic.outcomes.len() == 25).await;
        let read = topic.read_all().await;
        for (ordinal, outcome) in (0..25).map(Ordinal).zip(&topic.outcomes) {
            let Outcome::Confirmed(confirmed) = outcome else { panic!("{outcome:?}") };
            let cached = topic.ledger.cached(ordinal, Ordinal(99), 10_000);
            if let Some(cached) = cached {
                assert_eq!(cached, read[usize::try_from(ordinal.0).unwrap()..]);
                assert_eq!(cached[0].body.as_ptr(), confirmed.body.as_ptr());
            } else {
                assert!(ordinal < Ordinal(15));
            }
        }
        assert!(topic.ledger.cached(Ordinal(24), Ordinal(25), 0).is_some());
        assert!(topic.ledger.cached(Ordinal(25), Ordinal(26), 100).is_none());
        topic.ledger.evict_cached(Ordinal(24));
        assert!(topic.ledger.cached(Ordinal(23), Ordinal(24), 100).is_none());
        topic.ledger.set_tail_cache_bytes(0);
        assert_eq!(topic.ledger.cached_bytes(), 0);
    });
}

#[test]
fn finds_the_first_entry_that_is_wanted() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..34)).await;
        let chain = topic.ledger.chain();
        for wanted in 0..36 {
            let is_wanted = |body: &[u8]| {
                let number = body.split(|byte| *byte == b':').next().unwrap();
                wanted <= std::str::from_utf8(number).unwrap().parse::<u64>().unwrap()
            };
            let found = chain.find_first(&topic.deps, is_wanted).await.unwrap();
            assert_eq!(found, Ordinal(wanted.min(34)));
        }
        assert!(chain.read(&topic.deps, Ordinal(34), Ordinal(35), 1).await.is_err());
        assert!(chain.read(&topic.deps, Ordinal(5), Ordinal(5), 1).await.is_err());
    });
}
