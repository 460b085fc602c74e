//! Clusters, tenants and namespaces.

use geminga_admin::Options;
use serde_json::json;

use crate::server::{Server, with_server};

#[test]
fn a_first_start_has_pulsars_names() {
    with_server(async |server| {
        assert_eq!(server.get("/admin/v2/clusters").await.is(200).json(), json!(["standalone"]));
        let tenants = server.get("/admin/v2/tenants").await.is(200).json();
        assert_eq!(tenants, json!(["public", "pulsar"]));
        let cluster = server.get("/admin/v2/clusters/standalone").await.is(200).json();
        assert_eq!(cluster["brokerServiceUrl"], "pulsar://localhost:6650");
        let tenant = server.get("/admin/v2/tenants/public").await.is(200).json();
        assert_eq!(tenant, json!({"adminRoles": [], "allowedClusters": ["standalone"]}));
        let namespaces = server.get("/admin/v2/namespaces/public").await.is(200).json();
        assert_eq!(namespaces, json!(["public/default"]));
        let namespaces = server.get("/admin/v2/namespaces/pulsar").await.is(200).json();
        assert_eq!(namespaces, json!(["pulsar/system"]));
        let policies = server.get("/admin/v2/namespaces/public/default").await.is(200).json();
        assert_eq!(policies["replication_clusters"], json!(["standalone"]));
        assert_eq!(policies["bundles"]["numBundles"], 4);
    });
}

#[test]
fn clusters_come_change_and_go() {
    with_server(async |server| {
        let path = "/admin/v2/clusters/other";
        server.get(path).await.is(404);
        server.post(path, r#"{"serviceUrl":"http://o:1"}"#).await.is(404);
        server.put(path, "").await.is(400);
        server.put(path, r#"{"serviceUrl":"http://o:1","listenerName":"l"}"#).await.is(204);
        server.put(path, r#"{"serviceUrl":"http://o:1"}"#).await.is(409);
        let found = server.get(path).await.is(200).json();
        assert_eq!(found, json!({"serviceUrl": "http://o:1", "listenerName": "l"}));
        server.post(path, r#"{"serviceUrl":"http://o:2"}"#).await.is(204);
        assert_eq!(server.get(path).await.is(200).json()["serviceUrl"], "http://o:2");
        server.get("/admin/v2/brokers/other").await.is(405);
        server.delete(path).await.is(204);
        server.delete(path).await.is(404);
        server.delete("/admin/v2/clusters/standalone").await.is(412);
        server.put("/admin/v2/clusters/a%2Fb", r#"{"serviceUrl":"http://o:1"}"#).await.is(412);
    });
}

#[test]
fn tenants_come_change_and_go() {
    with_server(async |server| {
        let path = "/admin/v2/tenants/acme";
        server.get(path).await.is(404);
        server.post(path, r#"{"allowedClusters":["standalone"]}"#).await.is(404);
        server.delete(path).await.is(404);
        server.put(path, r#"{"adminRoles":["a"],"allowedClusters":["nowhere"]}"#).await.is(412);
        server.get(path).await.is(404);
        let body = r#"{"adminRoles":["a"],"allowedClusters":["standalone"]}"#;
        server.put(path, body).await.is(204);
        server.put(path, body).await.is(409);
        assert_eq!(
            server.get(path).await.is(200).json(),
            serde_json::from_str::<serde_json::Value>(body).unwrap()
        );
        server.post(path, r#"{"adminRoles":["b"],"allowedClusters":["standalone"]}"#).await.is(204);
        assert_eq!(server.get(path).await.is(200).json()["adminRoles"], json!(["b"]));
        server.put("/admin/v2/namespaces/acme/ns", "").await.is(204);
        server.delete(path).await.is(409);
        server.delete("/admin/v2/namespaces/acme/ns").await.is(204);
        server.delete(path).await.is(204);
        server.get(path).await.is(404);
        server.put("/admin/v2/tenants/broken", "{").await.is(400);
        server.put("/admin/v2/tenants/a%20b", "").await.is(412);
    });
}

#[test]
fn namespaces_come_and_go() {
    with_server(async |server| {
        for (name, body) in [("a", ""), ("b", "{}"), ("c", "null")] {
            let path = format!("/admin/v2/namespaces/public/{name}");
            server.get(&path).await.is(404);
            server.put(&path, body).await.is(204);
            server.put(&path, body).await.is(409);
            let found = server.get(&path).await.is(200).json();
            assert_eq!(found["bundles"]["numBundles"], 4);
            assert_eq!(found["replication_clusters"], json!(["standalone"]));
        }
        let body = r#"{"bundles":{"numBundles":16},"max_producers_per_topic":10,"new_in_6":[1]}"#;
        server.put("/admin/v2/namespaces/public/d", body).await.is(204);
        let found = server.get("/admin/v2/namespaces/public/d").await.is(200).json();
        assert_eq!(found["bundles"]["boundaries"].as_array().unwrap().len(), 17);
        assert_eq!(found["max_producers_per_topic"], 10);
        assert_eq!(found["new_in_6"], json!([1]));
        let all = server.get("/admin/v2/namespaces/public").await.is(200).json();
        let expected = ["public/a", "public/b", "public/c", "public/d", "public/default"];
        assert_eq!(all, json!(expected));
        server.delete("/admin/v2/namespaces/public/a").await.is(204);
        server.delete("/admin/v2/namespaces/public/a").await.is(404);
        server.get("/admin/v2/namespaces/public/a/topics").await.is(404);
        server.put("/admin/v2/namespaces/nobody/a", "").await.is(404);
        server.get("/admin/v2/namespaces/nobody").await.is(404);
        let uneven = r#"{"bundles":{"boundaries":["0x00000000","0x00000001","0xfffffffe"]}}"#;
        server.put("/admin/v2/namespaces/public/e", uneven).await.is(400);
        server.put("/admin/v2/namespaces/public/e", r#"{"bundles":7}"#).await.is(400);
        server.put("/admin/v2/namespaces/public/e%2F", "").await.is(412);
    });
}

#[test]
fn a_namespace_with_topics_stays_unless_forced() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/n";
        server.put(path, "").await.is(204);
        server.put("/admin/v2/persistent/public/n/p/partitions", "2").await.is(204);
        server.publish("persistent://public/n/t", 5).await;
        let consumer = server.consumer("persistent://public/n/t", "s").await;
        server.delete(path).await.is(409);
        // It was not left marked.
        assert_eq!(server.get(path).await.is(200).json()["deleted"], false);
        server.publish("persistent://public/n/t", 1).await;
        server.delete(&format!("{path}?force=true")).await.is(204);
        drop(consumer);
        server.get(path).await.is(404);
        assert_eq!(server.disk.bookie.entries(), 0);
        server.put(path, "").await.is(204);
        for domain in ["persistent", "non-persistent"] {
            let found = server.get(&format!("/admin/v2/{domain}/public/n")).await.is(200);
            assert_eq!(found.json(), json!([]));
        }
        let found = server.get("/admin/v2/persistent/public/n/partitioned").await.is(200);
        assert_eq!(found.json(), json!([]));
    });
}

/// Goal: an interrupted deletion never hides topics for good.
/// Method: the mark of the first phase is written by hand.
#[test]
fn an_interrupted_deletion_is_undone_or_finished() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/n";
        let mark = async || {
            let marked = bytes::Bytes::from_static(br#"{"deleted":true}"#);
            let (any, persistent) =
                (geminga_metadata::Expected::Any, geminga_metadata::Lifetime::Persistent);
            let key = "/admin/policies/public/n";
            server.disk.metadata.put(key, marked, any, persistent).await.unwrap();
            server.get(path).await.is(404);
        };
        server.put(path, "").await.is(204);
        server.publish("persistent://public/n/t", 2).await;
        mark().await;
        server.delete(path).await.is(409);
        server.get(path).await.is(200);
        server.get("/admin/v2/persistent/public/n/t/stats").await.is(200);
        mark().await;
        server.delete(&format!("{path}?force=true")).await.is(204);
        assert_eq!(server.disk.bookie.entries(), 0);
        server.put(path, "").await.is(204);
        mark().await;
        server.delete(path).await.is(204);
        server.put(path, "").await.is(204);
    });
}

#[test]
fn a_restart_changes_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start(crate::server::Disk::new(), Options::default()).await;
        server.put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await.is(204);
        server.put("/admin/v2/namespaces/acme/ns", "").await.is(204);
        server.put("/admin/v2/persistent/acme/ns/p/partitions", "3").await.is(204);
        server.publish("persistent://acme/ns/t", 4).await;
        let disk = server.disk.clone();
        server.stop().await;
        let server = Server::start(disk, Options::default()).await;
        let partitions = server.get("/admin/v2/persistent/acme/ns/p/partitions").await.is(200);
        assert_eq!(partitions.json()["partitions"], 3);
        let stats = server.get("/admin/v2/persistent/acme/ns/t/internalStats").await.is(200);
        assert_eq!(stats.json()["numberOfEntries"], 4);
        let topics = server.get("/admin/v2/namespaces/acme/ns/topics").await.is(200).json();
        assert_eq!(topics.as_array().unwrap().len(), 4);
        server.stop().await;
    });
}

/// Goal: a policy can be set, read and removed, and what makes no sense is refused and changes nothing.
#[test]
fn policies_are_set_read_and_removed() {
    with_server(async |server| {
        let cases = [
            ("subscriptionExpirationTime", "5", vec!["-1", "true"]),
            ("messageTTL", "60", vec!["-1", "\"x\"", "{}"]),
            ("maxUnackedMessagesPerConsumer", "0", vec!["-5", "1.5"]),
            ("maxUnackedMessagesPerSubscription", "7", vec!["-5", "[]"]),
            (
                "dispatchRate",
                r#"{"dispatchThrottlingRateInMsg":10,"dispatchThrottlingRateInByte":-1,"relativeToPublishRate":false,"ratePeriodInSecond":1}"#,
                vec![r#"{"ratePeriodInSecond":0}"#, "7"],
            ),
            (
                "subscriptionDispatchRate",
                r#"{"dispatchThrottlingRateInMsg":-1,"dispatchThrottlingRateInByte":5,"relativeToPublishRate":true,"ratePeriodInSecond":2}"#,
                vec![r#"{"dispatchThrottlingRateInByte":"x"}"#],
            ),
            (
                "publishRate",
                r#"{"publishThrottlingRateInMsg":10,"publishThrottlingRateInByte":-1}"#,
                vec!["7", r#"{"publishThrottlingRateInMsg":"x"}"#],
            ),
            ("maxProducersPerTopic", "3", vec!["-1", "\"x\""]),
            (
                "inactiveTopicPolicies",
                r#"{"inactiveTopicDeleteMode":"delete_when_no_subscriptions","maxInactiveDurationSeconds":60,"deleteWhileInactive":true}"#,
                vec![
                    r#"{"inactiveTopicDeleteMode":"x","maxInactiveDurationSeconds":60}"#,
                    r#"{"inactiveTopicDeleteMode":"delete_when_no_subscriptions","deleteWhileInactive":true}"#,
                ],
            ),
            (
                "retention",
                r#"{"retentionTimeInMinutes":10,"retentionSizeInMB":-1}"#,
                vec![
                    r#"{"retentionTimeInMinutes":0,"retentionSizeInMB":10}"#,
                    r#"{"retentionTimeInMinutes":-2,"retentionSizeInMB":-2}"#,
                    "7",
                ],
            ),
        ];
        for (name, good, bad) in cases {
            let path = format!("/admin/v2/namespaces/public/default/{name}");
            assert_eq!(server.get(&path).await.is(204).body, "", "{name}");
            server.post(&path, good).await.is(204);
            let expected: serde_json::Value = serde_json::from_str(good).unwrap();
            assert_eq!(server.get(&path).await.is(200).json(), expected, "{name}");
            for bad in bad {
                let status = server.post(&path, bad).await.status;
                assert!(matches!(status, 400 | 412), "{name}: {bad} got {status}");
                assert_eq!(server.get(&path).await.is(200).json(), expected, "{name}: {bad}");
            }
            server.delete(&path).await.is(204);
            assert_eq!(server.get(&path).await.is(204).body, "", "{name}");
            let nowhere = format!("/admin/v2/namespaces/public/nowhere/{name}");
            server.get(&nowhere).await.is(404);
            server.post(&nowhere, good).await.is(404);
        }
    });
}

#[test]
fn a_compaction_threshold_is_put_read_and_removed() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/compactionThreshold";
        assert_eq!(server.get(path).await.is(204).body, "");
        server.put(path, "100000000000").await.is(204);
        assert_eq!(server.get(path).await.is(200).json(), json!(100_000_000_000_i64));
        server.put(path, "-1").await.is(412);
        server.post(path, "1").await.is(405);
        assert_eq!(server.get(path).await.is(200).json(), json!(100_000_000_000_i64));
        server.delete(path).await.is(204);
        assert_eq!(server.get(path).await.is(204).body, "");
    });
}

#[test]
fn delayed_delivery_is_set_read_and_removed() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/delayedDelivery";
        assert_eq!(server.get(path).await.is(204).body, "");
        let off = r#"{"active":false,"tickTime":1000,"maxDeliveryDelayInMillis":0}"#;
        server.post(path, r#"{"active":false,"tickTime":1000}"#).await.is(204);
        let expected = json!({"active": false, "tickTime": 1000, "maxDeliveryDelayInMillis": 0});
        assert_eq!(server.get(path).await.is(200).json(), expected, "no limit");
        server.post(path, off).await.is(204);
        assert_eq!(server.get(path).await.is(200).json(), expected);
        server.post(path, r#"{"active":true,"tickTime":0}"#).await.is(412);
        server.put(path, off).await.is(405);
        assert_eq!(server.get(path).await.is(200).json(), expected);
        server.delete(path).await.is(204);
        assert_eq!(server.get(path).await.is(204).body, "");
    });
}

#[test]
fn encryption_is_required_or_not() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/encryptionRequired";
        for is_required in ["false", "true", "false"] {
            server.post(path, is_required).await.is(204);
            assert_eq!(server.get(path).await.is(200).body, is_required);
        }
        server.post(path, "\"maybe\"").await.is(400);
        server.get("/admin/v2/namespaces/public/nowhere/encryptionRequired").await.is(404);
    });
}

#[test]
fn deduplication_is_switched_read_and_removed() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/deduplication";
        assert_eq!(server.get(path).await.is(204).body, "");
        for is_enabled in ["true", "false"] {
            server.post(path, is_enabled).await.is(204);
            assert_eq!(server.get(path).await.is(200).body, is_enabled);
        }
        server.post(path, "\"maybe\"").await.is(400);
        server.delete(path).await.is(204);
        assert_eq!(server.get(path).await.is(204).body, "");
    });
}

/// Goal: quotas are kept by kind; an unknown kind or policy is refused.
#[test]
fn backlog_quotas_are_set_by_kind() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/backlogQuota";
        let map = async || {
            server.get("/admin/v2/namespaces/public/default/backlogQuotaMap").await.is(200).json()
        };
        assert_eq!(map().await, json!({}));
        let size = r#"{"limitSize":1000,"limitTime":-1,"policy":"producer_exception"}"#;
        server.post(path, size).await.is(204);
        let age = r#"{"limitTime":60,"policy":"consumer_backlog_eviction"}"#;
        server.post(&format!("{path}?backlogQuotaType=message_age"), age).await.is(204);
        server.post(&format!("{path}?backlogQuotaType=other"), age).await.is(412);
        server.post(path, r#"{"limitSize":1,"policy":"other"}"#).await.is(412);
        let expected = json!({
            "destination_storage":
                {"limitSize": 1000, "limitTime": -1, "policy": "producer_exception"},
            "message_age":
                {"limitSize": -1, "limitTime": 60, "policy": "consumer_backlog_eviction"},
        });
        assert_eq!(map().await, expected);
        let retention = "/admin/v2/namespaces/public/default/retention";
        server
            .post(retention, r#"{"retentionTimeInMinutes":1,"retentionSizeInMB":1}"#)
            .await
            .is(412);
        server
            .post(retention, r#"{"retentionTimeInMinutes":2,"retentionSizeInMB":1}"#)
            .await
            .is(204);
        server.post(path, r#"{"limitSize":1048576}"#).await.is(412);
        server.delete(path).await.is(204);
        assert_eq!(map().await.as_object().unwrap().len(), 1);
    });
}

const TOPICS: &str = "/admin/v2/persistent/public/default";

/// A partitioned topic of the namespace's own choice; what makes no sense is refused.
#[test]
fn automatic_creation_of_topics_is_set_read_and_removed() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/autoTopicCreation";
        server.get(path).await.is(204);
        let set = |allows: bool, kind: Option<&str>, count: Option<i64>| {
            let body = json!({
                "allowAutoTopicCreation": allows, "topicType": kind, "defaultNumPartitions": count,
            });
            async move { server.post(path, &body.to_string()).await.status }
        };
        assert_eq!(set(true, None, None).await, 412);
        assert_eq!(set(true, Some("round"), Some(1)).await, 412);
        assert_eq!(set(true, Some("partitioned"), None).await, 412);
        assert_eq!(set(true, Some("partitioned"), Some(0)).await, 412);
        assert_eq!(set(true, Some("partitioned"), Some(-3)).await, 412);
        assert_eq!(set(true, Some("non-partitioned"), Some(3)).await, 412);
        assert_eq!(set(true, Some("partitioned"), Some(10_001)).await, 406);
        server.post(path, "null").await.is(412);
        server.get(path).await.is(204);
        let created = format!("{TOPICS}/a/partitions?checkAllowAutoCreation=true");
        assert_eq!(set(true, Some("partitioned"), Some(3)).await, 204);
        let found = server.get(path).await.is(200).json();
        assert_eq!(found["defaultNumPartitions"], 3);
        assert_eq!(found["topicType"], "partitioned");
        assert_eq!(server.get(&created).await.is(200).json()["partitions"], 3);
        assert_eq!(server.get(TOPICS).await.is(200).json().as_array().unwrap().len(), 3);
        assert_eq!(set(false, None, None).await, 204);
        let refused = format!("{TOPICS}/b/partitions?checkAllowAutoCreation=true");
        server.get(&refused).await.is(404);
        server.put(&format!("{TOPICS}/b/subscription/s"), "").await.is(404);
        assert_eq!(server.get(&created).await.is(200).json()["partitions"], 3);
        server.delete(path).await.is(204);
        server.get(path).await.is(204);
        assert_eq!(server.get(&refused).await.is(200).json()["partitions"], 0);
        server.put(&format!("{TOPICS}/b/subscription/s"), "").await.is(204);
        server.get("/admin/v2/namespaces/public/none/autoTopicCreation").await.is(404);
    });
}

#[test]
fn automatic_creation_of_subscriptions_is_set_read_and_removed() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/autoSubscriptionCreation";
        server.get(path).await.is(204);
        server.post(path, "null").await.is(412);
        server.post(path, r#"{"allowAutoSubscriptionCreation":false}"#).await.is(204);
        let found = server.get(path).await.is(200).json();
        assert_eq!(found, json!({"allowAutoSubscriptionCreation": false}));
        server.put(&format!("{TOPICS}/a/subscription/s"), "").await.is(204);
        server.delete(path).await.is(204);
        server.get(path).await.is(204);
    });
}

#[test]
fn a_namespace_has_no_more_topics_than_it_may() {
    with_server(async |server| {
        let path = "/admin/v2/namespaces/public/default/maxTopicsPerNamespace";
        server.get(path).await.is(204);
        server.post(path, "-1").await.is(412);
        server.post(path, "3").await.is(204);
        assert_eq!(server.get(path).await.is(200).json(), 3);
        server.put(&format!("{TOPICS}/p/partitions"), "4").await.is(412);
        server.put(&format!("{TOPICS}/p/partitions"), "2").await.is(204);
        server.put(&format!("{TOPICS}/a"), "").await.is(204);
        server.put(&format!("{TOPICS}/b"), "").await.is(412);
        server.put(&format!("{TOPICS}/b/subscription/s"), "").await.is(412);
        server.post(&format!("{TOPICS}/p/partitions"), "3").await.is(412);
        server.put(&format!("{TOPICS}/a"), "").await.is(409);
        server.delete(&format!("{TOPICS}/a")).await.is(204);
        server.post(&format!("{TOPICS}/p/partitions"), "3").await.is(204);
        server.delete(path).await.is(204);
        server.put(&format!("{TOPICS}/b"), "").await.is(204);
    });
}
