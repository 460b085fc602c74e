//! Deletions of what holds much: jobs that go on without who asked, and after a crash.

use std::time::Duration;

use geminga_broker::{
    AdminError,
    admin::{CursorStart, TenantInfo},
};
use geminga_metadata::MetadataStore as _;
use geminga_types::NamespaceName;

use crate::{
    store::{FakeStore, Writes},
    world::{World, is_pending, soon, topic},
};

const NAMESPACE: &str = "tenant/doomed";
const PLAIN: [&str; 2] = ["persistent://tenant/doomed/a", "persistent://tenant/doomed/b"];
const PARTITIONED: &str = "persistent://tenant/doomed/p";
const DELETIONS: &str = "/geminga/deletions";

fn namespace() -> NamespaceName {
    NAMESPACE.parse().unwrap()
}

/// A tenant with a namespace, topics with a message and a subscription each, and partitions.
async fn make(world: &World) {
    let clusters = ["standalone".to_owned()].into();
    let info = TenantInfo { allowed_clusters: clusters, ..TenantInfo::default() };
    world.broker.create_tenant("tenant", info).await.unwrap();
    world.broker.create_namespace(&namespace(), None).await.unwrap();
    world.broker.create_partitioned_topic(&topic(PARTITIONED), 2, None).await.unwrap();
    let client = world.client();
    let partition = format!("{PARTITIONED}-partition-0");
    for name in PLAIN.into_iter().chain([partition.as_str()]) {
        client.produce(name).await.close().await;
        let at = CursorStart::Earliest;
        world.broker.create_subscription(&topic(name), "s", at, Vec::new()).await.unwrap();
    }
}

/// All keys below a path that contain a text.
async fn keys(store: &FakeStore, path: &str, part: &str) -> Vec<String> {
    let (mut found, mut paths) = (Vec::new(), vec![path.to_owned()]);
    while let Some(path) = paths.pop() {
        for name in store.children(&path, None, 1_000).await.unwrap().names {
            let child = format!("{path}/{name}");
            if child.contains(part) && store.value(&child).await.is_some() {
                found.push(child.clone());
            }
            paths.push(child);
        }
    }
    found
}

async fn all_keys(world: &World, part: &str) -> Vec<String> {
    let mut found = Vec::new();
    for root in ["/admin", "/managed-ledgers", "/geminga", "/schemas"] {
        found.extend(keys(&world.store, root, part).await);
    }
    found
}

async fn until_no_deletion(world: &World) {
    let deadline = world.env.clock.now() + Duration::from_secs(600);
    while !keys(&world.store, DELETIONS, "").await.is_empty() {
        assert!(world.env.clock.now() < deadline, "the deletion does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Goal: whatever write of a forced deletion the broker dies at, the next one finishes it, and nothing is left;
/// or nothing of it has begun.
/// Method: all writes behind the n-th are lost, for each n until the deletion is answered.
#[tokio::test(start_paused = true)]
async fn a_broker_that_starts_finishes_what_another_began() {
    let mut begun = 0;
    for writes in 0.. {
        let world = World::new().await;
        let before = world.bookie.ledgers();
        make(&world).await;
        world.store.lose_after(writes);
        let deletion = world.broker.delete_tenant("tenant", true);
        let answer = tokio::time::timeout(Duration::from_secs(5), deletion).await;
        let is_recorded = !keys(&world.store, DELETIONS, "").await.is_empty();
        let world = world.crash(|_| {}).await;
        until_no_deletion(&world).await;
        let left = all_keys(&world, "doomed").await;
        if is_recorded || answer.is_ok() {
            begun += 1;
            assert_eq!(left, Vec::<String>::new(), "after {writes} writes");
            assert_eq!(world.bookie.ledgers(), before, "after {writes} writes");
            assert_eq!(world.store.value("/admin/policies/tenant").await, None);
        } else {
            assert_eq!(writes, 0, "left: {left:?}");
        }
        if let Ok(answer) = answer {
            answer.unwrap();
            assert!(10 < begun, "only {begun}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_goes_on_when_nobody_waits_for_it() {
    let world = World::new().await;
    make(&world).await;
    world.store.set_writes("managed-ledgers/tenant", Writes::Held);
    let namespace = namespace();
    {
        let mut deletion = Box::pin(world.broker.delete_namespace(&namespace, true));
        is_pending(&mut deletion).await;
    }
    world.store.set_writes("", Writes::Made);
    until_no_deletion(&world).await;
    assert_eq!(all_keys(&world, "doomed").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn while_it_runs_others_join_it_and_nothing_is_created() {
    let world = World::new().await;
    make(&world).await;
    world.store.set_writes("managed-ledgers/tenant", Writes::Held);
    let namespace = namespace();
    let mut deletion = Box::pin(world.broker.delete_tenant("tenant", true));
    is_pending(&mut deletion).await;
    let mut joined = Box::pin(world.broker.delete_namespace(&namespace, false));
    is_pending(&mut joined).await;
    let other: NamespaceName = "tenant/other".parse().unwrap();
    let refused = world.broker.create_namespace(&other, None).await.unwrap_err();
    assert!(matches!(&refused, AdminError::Conflict(_)), "{refused}");
    assert_eq!(refused.to_string(), "The tenant tenant is being deleted");
    let refused = world.broker.create_namespace(&namespace, None).await.unwrap_err();
    assert!(matches!(refused, AdminError::Conflict(_)), "{refused}");
    let again = topic(PARTITIONED);
    let refused = world.broker.create_partitioned_topic(&again, 1, None).await.unwrap_err();
    assert!(matches!(refused, AdminError::NotFound(_) | AdminError::Conflict(_)), "{refused}");
    world.store.set_writes("", Writes::Made);
    soon(deletion).await.unwrap();
    soon(joined).await.unwrap();
    make(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_fails_says_so_and_is_tried_again() {
    let world = World::new().await;
    make(&world).await;
    world.store.set_writes("managed-ledgers/tenant", Writes::Refused);
    let refused = soon(world.broker.delete_namespace(&namespace(), true)).await.unwrap_err();
    assert!(matches!(refused, AdminError::Unavailable(_)), "{refused}");
    world.store.set_writes("", Writes::Made);
    until_no_deletion(&world).await;
    assert_eq!(all_keys(&world, "doomed").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_stops_nobody() {
    let world = World::new().await;
    let (expected, lifetime) =
        (geminga_metadata::Expected::Absent, geminga_metadata::Lifetime::Persistent);
    let path = "/geminga/deletions/x";
    world.store.put(path, bytes::Bytes::from_static(b"{"), expected, lifetime).await.unwrap();
    let world = world.crash(|_| {}).await;
    make(&world).await;
    world.broker.delete_tenant("tenant", true).await.unwrap();
}
