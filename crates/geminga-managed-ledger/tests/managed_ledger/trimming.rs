//! Ledgers that nobody needs go; others stay, whatever happens.

use std::time::Duration;

use geminga_managed_ledger::{Options, ReadError, delete, replay_tombstones};
use geminga_types::{LedgerId, Ordinal, Position};

use crate::world::{Topic, World, bodies, options, run, topic};

impl Topic {
    fn trim(&mut self, slowest: Option<u64>) {
        let now = self.deps.env.clock.wall();
        self.ledger.trim(slowest.map(Ordinal), now);
    }

    fn ledger_ids(&self) -> Vec<i64> {
        self.ledger.ledgers().iter().map(|ledger| ledger.ledger_id.0).collect()
    }
}

#[test]
fn consumed_ledgers_go_and_the_last_one_stays() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..30)).await;
        let before = topic.ledger.chain();
        topic.trim(Some(19));
        topic.run_for(100).await;
        assert_eq!(topic.ledger_ids(), [1, 2]);
        assert_eq!((topic.ledger.first(), topic.ledger.end()), (Ordinal(10), Ordinal(30)));
        assert!(topic.bodies().await.into_iter().eq(bodies(10..30)));
        assert_eq!(world.bookie.ledgers(), [LedgerId(1), LedgerId(2)].into());
        let gone = before.read(&topic.deps, Ordinal(0), Ordinal(1), 1).await;
        assert!(matches!(gone, Err(ReadError::Ledger(_))), "{gone:?}");
        assert!(topic.ledger.cached(Ordinal(5), Ordinal(6), 1).is_none());
        assert_eq!(topic.ledger.mark_delete_position(Ordinal(3)), Position::new(1, -1));

        topic.trim(None);
        topic.run_for(100).await;
        assert_eq!(topic.ledger_ids(), [2]);
        topic.close().await;
        let mut topic = world.open().await;
        assert_eq!(topic.ledger.first(), Ordinal(0));
        topic.trim(None);
        topic.run_for(100).await;
        assert_eq!(topic.ledger_ids(), [2], "the last stays, though closed");
        assert!(topic.append_all(bodies(30..31)).await[0].is_ok());
        topic.trim(None);
        topic.run_for(100).await;
        assert_eq!(topic.ledger_ids(), [3]);
        world.assert_no_tombstones().await;
    });
}

#[test]
fn retention_keeps_what_is_consumed() {
    run(async {
        let world = World::new(1);
        let retention_time = Some(Duration::from_secs(100));
        let options = Options { retention_time, retention_bytes: None, ..options() };
        let mut topic = world.open_with(options).await;
        topic.append_all(bodies(0..30)).await;
        topic.trim(None);
        topic.run_for(50_000).await;
        assert_eq!(topic.ledger_ids(), [0, 1, 2]);
        topic.append_all(bodies(30..31)).await;
        topic.run_for(51_000).await;
        topic.trim(None);
        topic.run_for(100).await;
        assert_eq!(topic.ledger_ids(), [2, 3]);
        topic.ledger.set_retention(None, Some(0));
        topic.trim(None);
        topic.run_for(100).await;
        assert_eq!(topic.ledger_ids(), [3]);
    });
}

#[test]
fn a_crash_anywhere_in_a_trim_loses_nothing_needed_and_leaves_nothing_behind() {
    run(async {
        let mut finished_by_replay = 0;
        for seed in 0..200 {
            let world = World::new(seed);
            world.bookie.state().storm.delay_ms_max = 3;
            let mut topic = world.open().await;
            topic.append_all(bodies(0..30)).await;
            let (deps, _adversary) = world.stormy_deps(seed);
            topic.deps = deps;
            topic.trim(Some(20));
            topic.run_for(seed % 40).await;
            drop(topic);
            world.bookie.state().storm.delay_ms_max = 0;

            let left = !world.children("/geminga/tombstones").await.is_empty();
            replay_tombstones(&world.deps()).await.unwrap();
            world.assert_no_tombstones().await;
            let topic = world.open().await;
            let first = if topic.ledger.entries() == 10 { 20 } else { 0 };
            finished_by_replay += usize::from(left && first == 20);
            assert!(topic.bodies().await.into_iter().eq(bodies(first..30)), "seed {seed}");
            let listed = topic.ledger_ids().into_iter().map(LedgerId).collect();
            assert_eq!(world.bookie.ledgers(), listed, "seed {seed}");
        }
        assert!(2 < finished_by_replay, "{finished_by_replay}");
    });
}

#[test]
fn a_deleted_topic_leaves_nothing_behind() {
    run(async {
        let world = World::new(1);
        let mut alive = world.open().await;
        alive.append_all(bodies(0..30)).await;
        alive.create_cursor("a/b", Position::new(0, 3)).await;
        alive.close().await;
        delete(&world.deps(), &topic()).await.unwrap();
        assert_eq!(world.bookie.ledgers(), [].into());
        assert_eq!(world.children("/managed-ledgers").await, [""; 0]);
        world.assert_no_tombstones().await;
        assert!(delete(&world.deps(), &topic()).await.is_err());
        let mut anew = world.open().await;
        assert!(anew.ledger.take_recovered_cursors().is_empty());
        assert_eq!(anew.ledger.end(), Ordinal(0));
    });
}

#[test]
fn a_damaged_tombstone_deletes_nothing() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.append_all(bodies(0..30)).await;
        let path = "/geminga/tombstones/0";
        let put = world.store.put(
            path,
            bytes::Bytes::from_static(b"\x01\x01"),
            geminga_metadata::Expected::Any,
            geminga_metadata::Lifetime::Persistent,
        );
        put.await.unwrap();
        let error = replay_tombstones(&world.deps()).await.unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
        assert_eq!(topic.bodies().await.len(), 30);
    });
}
