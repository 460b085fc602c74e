//! The forms of stored state, recorded once per cluster.

use geminga_broker::StartError;
use geminga_metadata::{Expected, Lifetime, MetadataStore as _};

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn forms_are_recorded_at_the_first_start_and_found_at_the_next() {
    let world = World::new().await;
    for kind in ["cursors", "policies", "schemas", "dedup"] {
        let found = world.store.get(&format!("/geminga/formats/{kind}")).await.unwrap().unwrap();
        assert_eq!(found.value, &br#"{"form":"geminga","version":1}"#[..], "{kind}");
    }
    world.start_another().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_does_not_start_where_state_has_another_form() {
    for (kind, value, part) in [
        ("cursors", r#"{"form":"pulsar","version":1}"#, "its cursors in form \"pulsar\""),
        ("dedup", r#"{"form":"geminga","version":2}"#, "its dedup in form \"geminga\" version 2"),
        ("transactions", r#"{"form":"geminga","version":1}"#, "a newer version"),
        ("schemas", "no json", "corrupt"),
    ] {
        let world = World::new().await;
        let key = format!("/geminga/formats/{kind}");
        let put = world.store.put(&key, value.into(), Expected::Any, Lifetime::Persistent);
        put.await.unwrap();
        let error: StartError = world.start_another().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(part) && text.contains(&key), "{text}");
    }
}
