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
