//! What is not done here, cold storage and other clusters, is asked for.

use serde_json::json;

use crate::server::with_server;

const DEFAULT: &str = "/admin/v2/persistent/public/default";
const EARLIEST: &str = r#"{"ledgerId":-1,"entryId":-1,"partitionIndex":-1}"#;

#[test]
fn nothing_is_offloaded() {
    with_server(async |server| {
        server.publish("t", 1).await;
        let status = server.get(&format!("{DEFAULT}/t/offload")).await.is(200).json();
        assert_eq!(status, json!({"status": "NOT_RUN", "lastError": ""}));
        server.put(&format!("{DEFAULT}/t/offload"), EARLIEST).await.is(405);
        server.get(&format!("{DEFAULT}/none/offload")).await.is(404);
        server.put(&format!("{DEFAULT}/none/offload"), EARLIEST).await.is(404);
    });
}

#[test]
fn no_subscription_is_replicated() {
    with_server(async |server| {
        let path = |topic: &str, name: &str| {
            format!("{DEFAULT}/{topic}/subscription/{name}/replicatedSubscriptionStatus")
        };
        server.put(&format!("{DEFAULT}/t/subscription/s"), EARLIEST).await.is(204);
        let found = server.get(&path("t", "s")).await.is(200).json();
        assert_eq!(found, json!({"persistent://public/default/t": false}));
        server.post(&path("t", "s"), "false").await.is(204);
        server.post(&path("t", "s"), "true").await.is(405);
        server.post(&path("t", "s"), "maybe").await.is(400);
        server.get(&path("t", "none")).await.is(404);
        server.post(&path("none", "s"), "false").await.is(404);
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.put(&format!("{DEFAULT}/p/subscription/s"), EARLIEST).await.is(204);
        let found = server.get(&path("p", "s")).await.is(200).json();
        let expected = json!({
            "persistent://public/default/p-partition-0": false,
            "persistent://public/default/p-partition-1": false,
        });
        assert_eq!(found, expected);
        let path =
            "/admin/v2/non-persistent/public/default/t/subscription/s/replicatedSubscriptionStatus";
        server.get(path).await.is(405);
    });
}

#[test]
fn a_scan_of_cold_storage_finds_nothing() {
    with_server(async |server| {
        let path = |name: &str| format!("/admin/v2/namespaces/public/{name}/scanOffloadedLedgers");
        let found = server.get(&path("default")).await.is(200).json();
        assert_eq!(found, json!({"objects": [], "total": 0, "errors": 0, "unknown": 0}));
        server.get(&path("none")).await.is(404);
    });
}

#[test]
fn no_topic_has_shadows() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/t/shadowTopics");
        server.get(&path).await.is(404);
        server.put(&format!("{DEFAULT}/t"), "").await.is(204);
        let shadows = r#"["persistent://public/default/u"]"#;
        for answer in
            [server.get(&path).await, server.put(&path, shadows).await, server.delete(&path).await]
        {
            let reason = answer.is(405).json()["reason"].to_string();
            assert!(reason.contains("no shadow topics"), "{reason}");
        }
    });
}

/// Goal: that a namespace was sent elsewhere is kept with what is said of it in this cluster, and its topics
/// stay in use, since no other cluster is known.
#[test]
fn a_migration_is_noted() {
    with_server(async |server| {
        let namespace = "/admin/v2/namespaces/public/default";
        let path = format!("{namespace}/migration");
        let migrated =
            async || server.get(namespace).await.is(200).json()["migrated"] == json!(true);
        server.post(&format!("{namespace}/antiAffinity"), "apart").await.is(204);
        server.post(&path, "maybe").await.is(400);
        server.post("/admin/v2/namespaces/public/none/migration", "true").await.is(404);
        assert!(!migrated().await);
        server.post(&path, "true").await.is(204);
        assert!(migrated().await);
        server.publish("persistent://public/default/t", 1).await;
        assert_eq!(server.get(&format!("{namespace}/antiAffinity")).await.is(200).body, "apart");
        server.post(&path, "false").await.is(204);
        assert!(!migrated().await);
    });
}
