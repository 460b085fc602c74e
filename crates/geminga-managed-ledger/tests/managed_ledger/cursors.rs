//! Cursors: what was reported durable is there after a crash.

use std::collections::BTreeMap;

use geminga_managed_ledger::{
    CursorDelta, CursorError, CursorEvent, CursorSeq, CursorState, Options,
};
use geminga_types::{LedgerId, Position};

use crate::world::{Topic, World, options, run};

fn p(entry: i64) -> Position {
    Position::new(0, entry)
}

fn acked(entry: i64) -> CursorDelta {
    CursorDelta { acked: vec![(p(entry), p(entry))], ..CursorDelta::default() }
}

fn moved(entry: i64) -> CursorDelta {
    CursorDelta { mark_delete: Some(p(entry)), ..CursorDelta::default() }
}

fn state(mark_delete: i64, acked: &[(i64, i64)]) -> CursorState {
    let acked = acked.iter().map(|&(first, last)| (p(first), p(last))).collect();
    CursorState { acked, ..CursorState::at(p(mark_delete)) }
}

fn needs_snapshot() -> CursorEvent {
    CursorEvent::NeedsSnapshot { name: "a".into() }
}

fn durable(seq: u64) -> CursorEvent {
    CursorEvent::Durable { name: "a".into(), up_to: CursorSeq(seq) }
}

/// A topic with cursor `a`, whose first change was made durable by a snapshot.
async fn with_log(world: &World, options: Options) -> Topic {
    let mut topic = world.open_with(options).await;
    topic.create_cursor("a", p(-1)).await;
    topic.ledger.append_cursor("a", acked(3));
    assert_eq!(topic.event().await, needs_snapshot());
    topic.ledger.snapshot_cursor("a", state(-1, &[(3, 3)]));
    assert_eq!(topic.event().await, durable(1));
    topic
}

/// The same with five changes more, up to 0:6: as many as a log has before it is to be replaced.
async fn with_long_log(world: &World) -> Topic {
    let mut topic = with_log(world, options()).await;
    for seq in 2..7 {
        topic.ledger.append_cursor("a", moved(i64::try_from(seq).unwrap()));
        assert_eq!(topic.event().await, durable(seq));
    }
    assert_eq!(topic.event().await, needs_snapshot());
    topic
}

#[test]
fn a_cursor_without_changes_is_one_key() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        let properties = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        topic.ledger.create_cursor("a/ b", p(7), properties.clone());
        assert_eq!(topic.event().await, CursorEvent::Created { name: "a/ b".into() });
        topic.ledger.create_cursor("a/ b", p(0), BTreeMap::new());
        let error = CursorError::Exists;
        assert_eq!(topic.event().await, CursorEvent::CreateFailed { name: "a/ b".into(), error });
        assert!(world.bookie.ledgers().is_empty());
        drop(topic);
        let mut topic = world.open().await;
        let cursors = topic.ledger.take_recovered_cursors();
        let expected = CursorState { cursor_properties: properties, ..state(7, &[]) };
        assert_eq!(cursors, BTreeMap::from([("a/ b".to_owned(), expected)]));
        topic.run_for(1000).await;
        assert_eq!(topic.jobs_run, 0);
    });
}

#[test]
fn the_first_change_after_a_load_begins_a_new_log() {
    run(async {
        let world = World::new(1);
        let topic = with_log(&world, options()).await;
        let first = world.bookie.ledgers();
        assert_eq!(first.len(), 1);
        drop(topic);
        let mut topic = world.open().await;
        assert_eq!(topic.recovered("a"), state(-1, &[(3, 3)]));
        topic.ledger.append_cursor("a", acked(4));
        assert_eq!(topic.event().await, needs_snapshot());
        topic.ledger.snapshot_cursor("a", state(-1, &[(3, 4)]));
        assert_eq!(topic.event().await, durable(1));
        topic.run_for(100).await;
        assert_eq!(world.bookie.ledgers().len(), 1, "the old log is deleted");
        assert_ne!(world.bookie.ledgers(), first);
        world.assert_no_tombstones().await;
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), state(-1, &[(3, 4)]));
    });
}

fn go_on_items(cursor_go_on_items: usize) -> Options {
    Options { cursor_go_on_items, ..options() }
}

#[test]
fn a_log_with_many_holes_goes_on_after_a_load_before_its_snapshot() {
    run(async {
        let world = World::new(1);
        drop(with_log(&world, options()).await);
        let mut topic = world.open_with(go_on_items(1)).await;
        assert_eq!(topic.recovered("a"), state(-1, &[(3, 3)]));
        topic.ledger.append_cursor("a", acked(5));
        let mut events = [topic.event().await, topic.event().await];
        events.sort_by_key(|event| *event == needs_snapshot());
        assert_eq!(events, [durable(1), needs_snapshot()]);
        assert_eq!(world.bookie.ledgers().len(), 2);
        drop(topic);

        let mut topic = world.open_with(go_on_items(3)).await;
        assert_eq!(topic.recovered("a"), state(-1, &[(3, 3), (5, 5)]));
        topic.ledger.append_cursor("a", acked(7));
        assert_eq!(topic.event().await, needs_snapshot(), "too few: a snapshot comes first");
        topic.ledger.snapshot_cursor("a", state(-1, &[(3, 3), (5, 5), (7, 7)]));
        assert_eq!(topic.event().await, durable(1));
        topic.run_for(100).await;
        assert_eq!(world.bookie.ledgers().len(), 1, "all of the log before is deleted");
        world.assert_no_tombstones().await;
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), state(-1, &[(3, 3), (5, 5), (7, 7)]));
    });
}

#[test]
fn a_log_does_not_go_on_for_ever() {
    run(async {
        let world = World::new(1);
        drop(with_log(&world, options()).await);
        for life in 0..20 {
            let mut topic = world.open_with(go_on_items(0)).await;
            topic.ledger.append_cursor("a", acked(10 + 2 * life));
            topic.run_for(100).await;
            if topic.events.iter().all(|event| *event == needs_snapshot()) {
                let acks = (0..=life).map(|life| (10 + 2 * life, 10 + 2 * life));
                let acks: Vec<_> = [(3, 3)].into_iter().chain(acks).collect();
                topic.ledger.snapshot_cursor("a", state(-1, &acks));
                topic.run_for(100).await;
            }
            assert!(topic.events.contains(&durable(1)), "{:?}", topic.events);
            assert!(world.bookie.ledgers().len() <= 8);
        }
        assert_eq!(world.open().await.recovered("a").acked.len(), 21);
    });
}

#[test]
fn changes_are_durable_while_the_next_log_is_prepared() {
    run(async {
        let world = World::new(1);
        let mut topic = with_long_log(&world).await;
        let old = world.bookie.ledgers();
        let next = LedgerId(old.last().unwrap().0 + 1);
        world.bookie.state().held_from = Some(next);
        topic.ledger.snapshot_cursor("a", state(6, &[]));
        for seq in 7..12 {
            topic.ledger.append_cursor("a", acked(i64::try_from(seq * 2).unwrap()));
            assert_eq!(topic.event().await, durable(seq), "the old log takes it");
        }
        assert!(old.is_subset(&world.bookie.ledgers()));
        world.bookie.state().held_from = None;
        topic.run_for(100).await;
        assert!(old.is_disjoint(&world.bookie.ledgers()), "the new log has it all");
        drop(topic);
        let acks: Vec<_> = (7..12).map(|seq| (seq * 2, seq * 2)).collect();
        assert_eq!(world.open().await.recovered("a"), state(6, &acks));
    });
}

/// Goal: a snapshot that is still being written when its cursor is deleted is not taken for one of the
/// next cursor of that name.
#[test]
fn a_snapshot_of_a_deleted_cursor_does_not_count() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.create_cursor("a", p(-1)).await;
        world.bookie.state().held_from = Some(LedgerId(0));
        topic.ledger.append_cursor("a", acked(3));
        assert_eq!(topic.event().await, needs_snapshot());
        topic.ledger.snapshot_cursor("a", state(50, &[(60, 60)]));
        topic.run_for(100).await;
        topic.ledger.delete_cursor("a");
        assert_eq!(topic.event().await, CursorEvent::Deleted { name: "a".into() });
        topic.create_cursor("a", p(-1)).await;
        let old = world.bookie.state().batches.len();
        topic.ledger.append_cursor("a", acked(4));
        assert_eq!(topic.event().await, needs_snapshot());
        topic.ledger.snapshot_cursor("a", state(-1, &[(4, 4)]));
        topic.run_for(100).await;
        assert!(old < world.bookie.state().batches.len(), "both are held");
        world.bookie.state().held_from = None;
        assert_eq!(topic.event().await, durable(1));
        topic.run_for(100).await;
        assert_eq!(world.bookie.ledgers().len(), 1, "the other is deleted");
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), state(-1, &[(4, 4)]));
    });
}

/// Goal: a topic that is deleted while a snapshot is written leaves no ledger that nothing names.
#[test]
fn a_snapshot_that_is_written_for_nothing_is_deleted() {
    run(async {
        let world = World::new(1);
        let mut topic = with_long_log(&world).await;
        let before = world.bookie.ledgers();
        let next = LedgerId(before.last().unwrap().0 + 1);
        world.bookie.state().held_from = Some(next);
        topic.ledger.snapshot_cursor("a", state(6, &[]));
        topic.run_for(100).await;
        topic.ledger.abandon();
        world.bookie.state().held_from = None;
        topic.run_for(100).await;
        assert!(world.bookie.state().written.contains(&next));
        assert_eq!(world.bookie.ledgers(), before);
    });
}

#[test]
fn changes_behind_one_on_its_way_become_one_entry() {
    run(async {
        let world = World::new(1);
        let mut topic = with_log(&world, options()).await;
        world.bookie.state().storm.delay_ms_max = 5;
        world.bookie.state().batches.clear();
        for entry in 5..50 {
            let seq = topic.ledger.append_cursor("a", acked(entry));
            assert_eq!(seq, CursorSeq(2 + u64::try_from(entry).unwrap() - 5));
            topic.poll();
        }
        assert_eq!(topic.event().await, durable(2));
        assert_eq!(topic.event().await, durable(46));
        assert_eq!(world.bookie.state().batches, [1, 1]);
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), state(-1, &[(3, 3), (5, 49)]));
    });
}

#[test]
fn a_long_log_is_replaced_by_one_that_begins_with_a_snapshot() {
    run(async {
        let world = World::new(1);
        let mut topic = with_long_log(&world).await;
        // Until the snapshot comes, and while it is written, changes go on.
        topic.ledger.append_cursor("a", acked(9));
        assert_eq!(topic.event().await, durable(7));
        topic.ledger.append_cursor("a", acked(11));
        topic.ledger.snapshot_cursor("a", state(6, &[(9, 9), (11, 11)]));
        topic.ledger.append_cursor("a", acked(13));
        assert_eq!(topic.event().await, durable(9));
        topic.run_for(100).await;
        assert_eq!(world.bookie.ledgers().len(), 1);
        drop(topic);
        let expected = state(6, &[(9, 9), (11, 11), (13, 13)]);
        assert_eq!(world.open().await.recovered("a"), expected);
    });
}

/// Goal: while a snapshot is collected the log goes on, what comes meanwhile is in both, and a snapshot that
/// is never finished holds up nothing.
#[test]
fn a_snapshot_in_parts_has_what_came_meanwhile_and_holds_up_nothing() {
    run(async {
        let world = World::new(1);
        let mut topic = with_long_log(&world).await;
        let attempt = topic.ledger.begin_snapshot("a").unwrap();
        assert_eq!(topic.ledger.begin_snapshot("a"), None);
        topic.ledger.append_cursor("a", acked(9));
        assert_eq!(topic.event().await, durable(7));
        topic.ledger.append_cursor("a", acked(11));
        // As if 9 had been acked behind the part that it belongs to, and 11 before.
        topic.ledger.finish_snapshot("a", attempt, state(6, &[(11, 11)]));
        topic.ledger.append_cursor("a", acked(13));
        assert_eq!(topic.event().await, durable(9));
        topic.run_for(100).await;
        assert_eq!(world.bookie.ledgers().len(), 1, "the log is replaced");
        for seq in 10..15 {
            topic.ledger.append_cursor("a", acked(2 * i64::try_from(seq).unwrap()));
            assert_eq!(topic.event().await, durable(seq));
        }
        assert_eq!(topic.event().await, needs_snapshot());
        topic.ledger.begin_snapshot("a").unwrap();
        topic.close().await;
        let acks = [9, 11, 13, 20, 22, 24, 26, 28].map(|at| (at, at));
        assert_eq!(world.open().await.recovered("a"), state(6, &acks));
    });
}

#[test]
fn a_reset_forgets_everything_before_it() {
    run(async {
        let world = World::new(1);
        let mut topic = with_log(&world, options()).await;
        topic.ledger.append_cursor("a", moved(20));
        topic.ledger.append_cursor("a", acked(30));
        let reset = CursorDelta { mark_delete: Some(p(4)), reset: true, ..CursorDelta::default() };
        topic.ledger.append_cursor("a", reset);
        topic.ledger.append_cursor("a", acked(6));
        assert_eq!(topic.event().await, durable(5));
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), state(4, &[(6, 6)]));
    });
}

#[test]
fn partly_acked_entries_are_kept_until_they_are_acked() {
    run(async {
        let world = World::new(1);
        let mut topic = with_log(&world, options()).await;
        let partial = vec![(p(5), vec![0b101]), (p(6), vec![-1, 1])];
        let delta = CursorDelta { partial: partial.clone(), ..CursorDelta::default() };
        topic.ledger.append_cursor("a", delta);
        topic.ledger.append_cursor("a", acked(5));
        assert_eq!(topic.event().await, durable(3));
        drop(topic);
        let expected =
            CursorState { partial: partial[1..].to_vec(), ..state(-1, &[(3, 3), (5, 5)]) };
        assert_eq!(world.open().await.recovered("a"), expected);
    });
}

#[test]
fn a_failed_write_asks_for_a_snapshot_and_loses_nothing() {
    run(async {
        let world = World::new(1);
        let mut topic = with_log(&world, options()).await;
        world.bookie.state().storm.is_full = true;
        topic.ledger.append_cursor("a", acked(5));
        assert!(matches!(topic.event().await, CursorEvent::Failed { .. }));
        assert_eq!(topic.event().await, needs_snapshot());
        topic.ledger.append_cursor("a", acked(6));
        let snapshot = state(-1, &[(3, 3), (5, 6)]);
        topic.ledger.snapshot_cursor("a", snapshot.clone());
        assert!(matches!(topic.event().await, CursorEvent::Failed { .. }));
        world.bookie.state().storm.is_full = false;
        assert_eq!(topic.event().await, needs_snapshot());
        topic.ledger.snapshot_cursor("a", snapshot.clone());
        assert_eq!(topic.event().await, durable(3));
        topic.run_for(100).await;
        assert_eq!(world.bookie.ledgers().len(), 1);
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), snapshot);
    });
}

#[test]
fn a_deleted_cursor_is_gone_with_its_log() {
    run(async {
        let world = World::new(1);
        let mut topic = with_log(&world, options()).await;
        topic.ledger.append_cursor("a", acked(5));
        topic.ledger.delete_cursor("a");
        topic
            .until(|topic| topic.events.contains(&CursorEvent::Deleted { name: "a".into() }))
            .await;
        topic.events.clear();
        topic.run_for(100).await;
        assert!(world.bookie.ledgers().is_empty());
        world.assert_no_tombstones().await;
        topic.ledger.delete_cursor("a");
        let error = CursorError::NotFound;
        assert_eq!(
            topic.event().await,
            CursorEvent::DeleteFailed { name: "a".into(), error: error.clone() }
        );
        topic.ledger.append_cursor("a", acked(5));
        assert_eq!(topic.event().await, CursorEvent::Failed { name: "a".into(), error });
        topic.create_cursor("a", p(2)).await;
        topic.close().await;
        assert_eq!(world.open().await.recovered("a"), state(2, &[]));
    });
}

#[test]
fn a_damaged_log_is_an_error_and_not_an_empty_cursor() {
    run(async {
        let world = World::new(1);
        let mut topic = with_log(&world, options()).await;
        topic.ledger.append_cursor("a", acked(5));
        assert_eq!(topic.event().await, durable(2));
        topic.close().await;
        for stored in world.bookie.state().entries.values_mut() {
            let mut bytes = stored.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            *stored = bytes.into();
        }
        assert!(Topic::open(world.deps(), options()).await.is_err());
    });
}

#[test]
fn many_holes_over_a_billion_entries_are_found_again() {
    run(async {
        let world = World::new(1);
        // Ledgers are told from one another only by what the topic's key says of them.
        world.list_ledgers(20_000, 50_000).await;
        let mut topic = world.open().await;
        assert_eq!(topic.ledger.entries(), 1_000_000_000);
        topic.create_cursor("a", Position::new(0, 6)).await;
        topic.ledger.append_cursor("a", CursorDelta { acked: vec![], ..moved(7) });
        assert_eq!(topic.event().await, needs_snapshot());
        // Five in each ledger.
        let hole = |n: i64| (n / 5, 9_999 * (n % 5) + n % 7);
        let ranges = (0..100_000).map(|n| {
            let (ledger, entry) = hole(n);
            (Position::new(ledger, entry + 8), Position::new(ledger, entry + 9_990))
        });
        let snapshot = CursorState { acked: ranges.collect(), ..state(7, &[]) };
        topic.ledger.snapshot_cursor("a", snapshot.clone());
        assert_eq!(topic.event().await, durable(1));
        drop(topic);
        let bytes: usize = world.bookie.state().entries.values().map(bytes::Bytes::len).sum();
        assert!(bytes < 100_000 * 8, "{bytes}");
        let mut topic = world.open().await;
        assert_eq!(topic.recovered("a"), snapshot);
        let chain = topic.ledger.chain();
        let mut lookup = chain.lookup();
        for (first, last) in snapshot.acked {
            assert_eq!(lookup.next_after(last).0 - lookup.ordinal_of(first).0, 9_983);
        }
    });
}

#[test]
fn acks_survive_in_a_size_that_follows_the_holes() {
    run(async {
        let world = World::new(1);
        let mut topic = world.open().await;
        topic.create_cursor("a", p(-1)).await;
        topic.ledger.append_cursor("a", acked(1));
        assert_eq!(topic.event().await, needs_snapshot());
        let ranges: Vec<(i64, i64)> = (0..100_000).map(|n| (n * 10 + 1, n * 10 + 7)).collect();
        let snapshot = state(-1, &ranges);
        topic.ledger.snapshot_cursor("a", snapshot.clone());
        assert_eq!(topic.event().await, durable(1));
        drop(topic);
        let bytes: usize = world.bookie.state().entries.values().map(bytes::Bytes::len).sum();
        assert!(bytes < 100_000 * 5, "{bytes}");
        assert_eq!(world.open().await.recovered("a"), snapshot);
    });
}
