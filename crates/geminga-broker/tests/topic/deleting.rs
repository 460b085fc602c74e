//! The deletion of a topic, and what its jobs still write.

use std::time::Duration;

use geminga_broker::{AdminError, admin::CursorStart};
use geminga_metadata::MetadataStore as _;

use crate::{
    store::Writes,
    world::{World, is_pending, soon, topic},
};

const CURSOR: &str = "/managed-ledgers/public/default/persistent/t/late";

/// Goal: a subscription whose creation was under way does not come back with a topic of the same
/// name. Method: the store holds its record back while the topic is deleted.
#[tokio::test(start_paused = true)]
async fn a_deletion_waits_for_a_cursor_that_is_being_made() {
    let world = World::new().await;
    let client = world.client();
    client.produce("t").await.close().await;
    world.store.set_writes(CURSOR, Writes::Held);
    let name = topic("t");
    let at = CursorStart::Earliest;
    let mut creating = Box::pin(world.broker.create_subscription(&name, "late", at, Vec::new()));
    is_pending(&mut creating).await;
    assert_eq!(world.store.held(), 1);
    let mut deleting = Box::pin(world.broker.delete_topic(&name, false));
    is_pending(&mut deleting).await;
    assert!(matches!(soon(creating).await, Err(AdminError::Unavailable(_))));
    world.store.set_writes("", Writes::Made);
    soon(deleting).await.unwrap();
    assert_eq!(world.store.get(CURSOR).await, Ok(None));
    client.produce("t").await.close().await;
    assert!(world.broker.topic_stats(&topic("t")).await.unwrap().subscriptions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_does_not_wait_for_ever_and_can_be_tried_again() {
    let world = World::new().await;
    let client = world.client();
    client.produce("t").await.close().await;
    world.store.set_writes(CURSOR, Writes::Held);
    let name = topic("t");
    let at = CursorStart::Earliest;
    let mut creating = Box::pin(world.broker.create_subscription(&name, "late", at, Vec::new()));
    is_pending(&mut creating).await;
    let refused = world.broker.delete_topic(&name, false);
    let refused = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(matches!(refused, Err(AdminError::Unavailable(_))), "{refused:?}");
    let mut again = Box::pin(world.broker.delete_topic(&name, false));
    is_pending(&mut again).await;
    world.store.set_writes("", Writes::Made);
    soon(again).await.unwrap();
    assert_eq!(world.store.get(CURSOR).await, Ok(None));
}
