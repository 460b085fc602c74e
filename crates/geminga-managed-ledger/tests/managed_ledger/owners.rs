//! Two owners of one topic: one of them stops, and nothing it confirmed is lost.

use geminga_managed_ledger::{AppendError, CursorError, CursorEvent};
use geminga_types::Position;

use crate::world::{World, bodies, run};

#[test]
fn an_owner_that_was_writing_is_fenced_by_the_next_load() {
    run(async {
        let world = World::new(1);
        let mut old = world.open().await;
        old.append_all(bodies(0..3)).await;
        let mut new = world.open().await;
        assert_eq!(
            old.append_all(["late", "later"]).await,
            [Err(AppendError::Fenced), Err(AppendError::Fenced)]
        );
        assert!(old.ledger.is_fenced());
        assert_eq!(old.append_all(["last"]).await, [Err(AppendError::Fenced)]);
        assert!(new.append_all(bodies(3..4)).await[0].is_ok());
        old.close().await;
        assert!(new.bodies().await.into_iter().eq(bodies(0..4)));
    });
}

#[test]
fn of_two_idle_owners_the_first_to_write_wins() {
    run(async {
        let world = World::new(1);
        let mut old = world.open().await;
        let mut new = world.open().await;
        assert!(old.append_all(bodies(0..1)).await[0].is_ok());
        assert_eq!(new.append_all(["late"]).await, [Err(AppendError::Fenced)]);
        assert!(new.ledger.is_fenced());
        assert!(old.append_all(bodies(1..2)).await[0].is_ok());
        assert!(world.open().await.bodies().await.into_iter().eq(bodies(0..2)));
    });
}

#[test]
fn a_cursor_changed_elsewhere_fences_too() {
    run(async {
        let world = World::new(1);
        let mut old = world.open().await;
        old.create_cursor("a", Position::EARLIEST).await;
        let mut new = world.open().await;
        new.ledger.delete_cursor("a");
        assert_eq!(new.event().await, CursorEvent::Deleted { name: "a".into() });
        old.ledger.append_cursor("a", geminga_managed_ledger::CursorDelta::default());
        assert_eq!(old.event().await, CursorEvent::NeedsSnapshot { name: "a".into() });
        old.ledger.snapshot_cursor("a", geminga_managed_ledger::CursorState::default());
        let error = CursorError::Fenced;
        assert_eq!(old.event().await, CursorEvent::Failed { name: "a".into(), error });
        assert!(old.ledger.is_fenced());
    });
}
