//! Open, close, terminate.

use geminga_ledger::SealError;
use geminga_managed_ledger::{AppendError, CursorDelta, CursorEvent, OpenError, open};
use geminga_types::{EntryId, Ordinal, Position};

use crate::world::{World, bodies, options, run, topic};

#[test]
fn a_topic_that_does_not_exist_is_made_only_when_asked_for() {
    run(async {
        let world = World::new(1);
        let opened = open(&world.deps(), &topic(), options(), false).await;
        assert!(matches!(opened, Err(OpenError::NotFound(_))), "{opened:?}");
        drop(world.open().await);
        assert!(open(&world.deps(), &topic(), options(), false).await.is_ok());
    });
}

#[test]
fn a_close_finishes_what_is_on_its_way_and_the_next_load_writes_nothing() {
    run(async {
        let world = World::new(1);
        world.bookie.state().storm.delay_ms_max = 20;
        let mut alive = world.open().await;
        alive.create_cursor("a", Position::EARLIEST).await;
        alive.append_all(bodies(0..5)).await;
        bodies(5..30).for_each(|body| alive.append(body));
        alive.poll();
        alive.ledger.close();
        alive.append("late");
        let mark_delete = Some(Position::new(1, 0));
        let delta = CursorDelta { mark_delete, ..CursorDelta::default() };
        alive.ledger.append_cursor("a", delta);
        assert_eq!(alive.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
        assert!(!alive.ledger.is_closed());
        let state = geminga_managed_ledger::CursorState::at(Position::new(1, 0));
        alive.ledger.snapshot_cursor("a", state.clone());
        alive.until(|alive| alive.ledger.is_closed()).await;
        assert_eq!(alive.outcomes.len(), 26);
        let closed =
            |o: &&_| matches!(o, geminga_managed_ledger::Outcome::Failed(AppendError::Closed));
        let refused = alive.outcomes.iter().filter(closed).count();
        let stored = 5 + 26 - refused;

        let path = geminga_metadata::paths::managed_ledger(&topic());
        let before = world.store.get(&path).await.unwrap();
        let mut next = world.open().await;
        assert!(next.bodies().await.into_iter().eq(bodies(0..stored)));
        assert_eq!(next.recovered("a"), state);
        next.run_for(1000).await;
        assert_eq!((next.jobs_run, world.store.get(&path).await.unwrap()), (0, before));
        for ledger in next.ledger.ledgers() {
            assert!(!ledger.is_open);
            let elsewhere = EntryId(i64::try_from(ledger.entries).unwrap());
            let sealed = geminga_ledger::seal(&world.deps(), ledger.ledger_id, elsewhere, 0).await;
            assert!(matches!(sealed, Err(SealError::SealedElsewhere { .. })), "{sealed:?}");
        }
    });
}

#[test]
fn a_terminated_topic_takes_nothing_more_in_this_life_or_the_next() {
    run(async {
        let world = World::new(1);
        world.bookie.state().storm.delay_ms_max = 20;
        let mut alive = world.open().await;
        bodies(0..6).for_each(|body| alive.append(body));
        alive.until(|alive| alive.outcomes.len() == 1 || !alive.ledger.ledgers().is_empty()).await;
        alive.ledger.terminate();
        assert_eq!(alive.append_all(bodies(0..0)).await, []);
        alive.until(|alive| alive.ledger.is_terminated()).await;
        let last = alive.ledger.terminated();
        let confirmed = alive.ledger.end().0;
        assert_eq!(last, alive.ledger.last_position());
        assert_eq!(alive.outcomes.len(), 6, "those on their way were finished");
        alive.outcomes.clear();
        assert_eq!(alive.append_all(["no"]).await, [Err(AppendError::Terminated)]);
        drop(alive);
        let mut next = world.open().await;
        assert_eq!((next.ledger.terminated(), next.ledger.end()), (last, Ordinal(confirmed)));
        assert_eq!(next.append_all(["no"]).await, [Err(AppendError::Terminated)]);
        next.close().await;
    });
}

#[test]
fn an_empty_topic_terminates_before_its_first_entry() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.ledger.terminate();
        topic.until(|topic| topic.ledger.is_terminated()).await;
        assert_eq!(topic.ledger.terminated(), Some(Position::EARLIEST));
        topic.close().await;
    });
}
