//! Metadata writes whose outcome is not known: made but not answered, or made late.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use geminga_env::BoxFuture;
use geminga_ledger::SealError;
use geminga_managed_ledger::{AppendError, CursorDelta, CursorEvent, CursorState, Deps};
use geminga_metadata::{
    Expected, Lifetime, MetadataError, MetadataStore, Page, SharedStore, Version, Versioned, Watch,
    paths, values::managed_ledger::decode_ledger,
};
use geminga_types::{EntryId, LedgerId, Position};

use crate::world::{Topic, World, bodies, options, run, topic};

/// What happens to calls for the keys below `/managed-ledgers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Well,
    /// Everything is done and nothing answered.
    Deaf,
    /// Deletions are refused.
    Kept,
    /// The next write is made when the one after it arrives.
    LateOnce,
}

#[derive(Debug)]
struct Unreliable {
    inner: SharedStore,
    mode: Mutex<Mode>,
    late: Mutex<Option<(String, Bytes, Expected)>>,
}

impl Unreliable {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn mode(&self, path: &str) -> Mode {
        if path.starts_with("/managed-ledgers") { *self.mode.lock().unwrap() } else { Mode::Well }
    }

    fn answer<T>(&self, path: &str, answer: Result<T, MetadataError>) -> Result<T, MetadataError> {
        if self.mode(path) == Mode::Deaf { Err(outage()) } else { answer }
    }
}

fn outage() -> MetadataError {
    MetadataError::Unavailable("connection loss".to_owned())
}

impl MetadataStore for Unreliable {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        Box::pin(async move { self.answer(path, self.inner.get(path).await) })
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(async move {
            let late = self.late.lock().unwrap().take();
            if let Some((path, value, expected)) = late {
                self.inner.put(&path, value, expected, lifetime).await.unwrap();
            }
            if self.mode(path) == Mode::LateOnce {
                self.set(Mode::Well);
                *self.late.lock().unwrap() = Some((path.to_owned(), value, expected));
                return Err(outage());
            }
            self.answer(path, self.inner.put(path, value, expected, lifetime).await)
        })
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move {
            if self.mode(path) == Mode::Kept {
                return Err(outage());
            }
            self.answer(path, self.inner.delete(path, expected).await)
        })
    }

    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        self.inner.children(path, after, limit)
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        self.inner.next_in_sequence(path)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
}

async fn open(world: &World) -> (Topic, Arc<Unreliable>) {
    let inner = Arc::clone(&world.store);
    let store = Arc::new(Unreliable { inner, mode: Mutex::default(), late: Mutex::default() });
    let shared: SharedStore = Arc::<Unreliable>::clone(&store);
    let deps = Deps::new(world.env.clone(), shared, Arc::new(world.bookie.clone()));
    (Topic::open(deps, options()).await.unwrap(), store)
}

/// The ledgers that the topic's key lists.
async fn listed(world: &World) -> Vec<i64> {
    let found = world.store.get(&paths::managed_ledger(&topic())).await.unwrap().unwrap();
    let info = decode_ledger(found.value).unwrap();
    info.ledger_info.iter().map(|ledger| ledger.ledger_id).collect()
}

#[test]
fn a_write_that_lands_late_is_ones_own() {
    run(async {
        let world = World::new(1);
        let (mut topic, store) = open(&world).await;
        store.set(Mode::LateOnce);
        assert!(topic.append_all(bodies(0..1)).await[0].is_ok());
        store.set(Mode::LateOnce);
        assert!(topic.append_all(bodies(1..25)).await.iter().all(Result::is_ok));
        drop(topic);
        assert!(world.open().await.bodies().await.into_iter().eq(bodies(0..25)));
    });
}

#[test]
fn a_ledger_that_was_listed_unknowingly_is_listed_no_more_after_the_next_change() {
    run(async {
        let world = World::new(1);
        let (mut topic, store) = open(&world).await;
        assert!(topic.append_all(bodies(0..10)).await.iter().all(Result::is_ok));
        store.set(Mode::Deaf);
        let appended = topic.append_all(bodies(10..11)).await;
        assert!(matches!(appended[0], Err(AppendError::NotStored(_))), "{appended:?}");
        let unknowingly = listed(&world).await;
        assert_eq!(unknowingly.len(), 2, "it was made");
        store.set(Mode::Well);
        assert!(topic.append_all(bodies(10..11)).await[0].is_ok());
        topic.run_for(1000).await;
        let ledgers = topic.ledger.ledgers();
        let known: Vec<i64> = ledgers.iter().map(|ledger| ledger.ledger_id.0).collect();
        assert_eq!((known.len(), listed(&world).await), (2, known));
        let orphan = LedgerId(unknowingly[1]);
        let sealed = geminga_ledger::seal(&world.deps(), orphan, EntryId::NONE, 0).await;
        assert!(matches!(sealed, Err(SealError::NoLedger(_))), "{sealed:?}");
        world.assert_no_tombstones().await;
        drop(topic);
        assert!(world.open().await.bodies().await.into_iter().eq(bodies(0..11)));
    });
}

#[test]
fn a_crash_after_a_change_that_was_not_answered_is_that_change_or_none() {
    run(async {
        let world = World::new(1);
        let (mut topic, store) = open(&world).await;
        assert!(topic.append_all(bodies(0..10)).await.iter().all(Result::is_ok));
        store.set(Mode::Deaf);
        assert!(topic.append_all(bodies(10..11)).await[0].is_err());
        drop(topic);
        let mut topic = world.open().await;
        assert!(topic.append_all(bodies(10..11)).await[0].is_ok());
        assert!(topic.bodies().await.into_iter().eq(bodies(0..11)));
        assert_eq!(listed(&world).await.len(), 2, "the empty ledger in between is dropped");
    });
}

#[test]
fn a_cursor_whose_new_log_was_named_unknowingly_goes_on() {
    run(async {
        let world = World::new(1);
        let (mut topic, store) = open(&world).await;
        topic.create_cursor("a", Position::EARLIEST).await;
        store.set(Mode::Deaf);
        let position = Position::new(0, 3);
        let delta = CursorDelta { mark_delete: Some(position), ..CursorDelta::default() };
        topic.ledger.append_cursor("a", delta);
        assert_eq!(topic.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
        topic.ledger.snapshot_cursor("a", CursorState::at(position));
        assert!(matches!(topic.event().await, CursorEvent::Failed { .. }));
        store.set(Mode::Well);
        assert_eq!(topic.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
        topic.ledger.snapshot_cursor("a", CursorState::at(position));
        assert!(matches!(topic.event().await, CursorEvent::Durable { .. }));
        topic.run_for(1000).await;
        assert_eq!(world.bookie.ledgers().len(), 1, "the first log is deleted");
        world.assert_no_tombstones().await;
        drop(topic);
        assert_eq!(world.open().await.recovered("a"), CursorState::at(position));
    });
}

/// Goal: a cursor whose making was never answered can be made later, where it is then wanted.
#[test]
fn a_cursor_left_of_an_unanswered_try_is_made_by_the_next() {
    run(async {
        let world = World::new(1);
        let (mut topic, store) = open(&world).await;
        store.set(Mode::Deaf);
        topic.ledger.create_cursor("a", Position::new(0, 3), BTreeMap::new());
        assert!(matches!(topic.event().await, CursorEvent::CreateFailed { .. }));
        store.set(Mode::Well);
        let properties = BTreeMap::from([("of".to_owned(), "the next".to_owned())]);
        topic.ledger.create_cursor("a", Position::new(0, 5), properties.clone());
        assert_eq!(topic.event().await, CursorEvent::Created { name: "a".into() });
        // And it is one that can be written.
        let position = Position::new(0, 6);
        let delta = CursorDelta { mark_delete: Some(position), ..CursorDelta::default() };
        drop(topic);
        let mut topic = world.open().await;
        let state =
            CursorState { cursor_properties: properties, ..CursorState::at(Position::new(0, 5)) };
        assert_eq!(topic.recovered("a"), state);
        topic.ledger.append_cursor("a", delta);
        assert_eq!(topic.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
        topic.ledger.snapshot_cursor("a", CursorState::at(position));
        assert!(matches!(topic.event().await, CursorEvent::Durable { .. }));
        // One that is in use is not put anew.
        topic.ledger.create_cursor("a", Position::EARLIEST, BTreeMap::new());
        assert!(matches!(topic.event().await, CursorEvent::CreateFailed { .. }));
    });
}

/// Goal: a cursor that could not be deleted while a snapshot of it was made goes on, wherever the snapshot
/// was.
#[test]
fn a_cursor_that_is_not_deleted_after_all_goes_on() {
    for is_made in [false, true] {
        run(async {
            let world = World::new(1);
            let (mut topic, store) = open(&world).await;
            topic.create_cursor("a", Position::EARLIEST).await;
            let at = |entry| CursorState::at(Position::new(0, entry));
            let to = |entry| CursorDelta {
                mark_delete: Some(Position::new(0, entry)),
                ..CursorDelta::default()
            };
            let needs_snapshot = CursorEvent::NeedsSnapshot { name: "a".into() };
            topic.ledger.append_cursor("a", to(3));
            assert_eq!(topic.event().await, needs_snapshot);
            let attempt = topic.ledger.begin_snapshot("a").unwrap();
            world.bookie.state().held_from = Some(LedgerId(0));
            if is_made {
                topic.ledger.finish_snapshot("a", attempt, at(3));
                topic.run_for(100).await;
            }
            store.set(Mode::Kept);
            topic.ledger.delete_cursor("a");
            assert!(matches!(topic.event().await, CursorEvent::DeleteFailed { .. }));
            store.set(Mode::Well);
            world.bookie.state().held_from = None;
            topic.ledger.append_cursor("a", to(4));
            assert_eq!(topic.event().await, needs_snapshot);
            // The one before is nobody's.
            let next = topic.ledger.begin_snapshot("a").unwrap();
            topic.ledger.finish_snapshot("a", attempt, at(9));
            topic.ledger.finish_snapshot("a", next, at(4));
            let event = topic.event().await;
            assert!(matches!(event, CursorEvent::Durable { .. }), "{is_made}: {event:?}");
            drop(topic);
            assert_eq!(world.open().await.recovered("a"), at(4));
        });
    }
}
