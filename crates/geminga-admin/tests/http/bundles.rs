//! Bundles: the topics of one, splitting, boundaries of their own.

use geminga_types::{TopicName, bundle_hash, bundle_of};
use serde_json::{Value, json};

use crate::server::{Server, with_server};

const NAMESPACE: &str = "/admin/v2/namespaces/public/n";

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn topics_of_a_bundle_are_listed() {
    with_server(async |server| {
        let mut consumers = Vec::new();
        for topic in ["a", "b", "c", "d", "e"] {
            for domain in ["persistent", "non-persistent"] {
                let name = format!("{domain}://public/default/{topic}");
                consumers.push(server.consumer(&name, "s").await);
            }
        }
        let bundles =
            server.get("/admin/v2/namespaces/public/default/bundles").await.is(200).json();
        let boundaries = names(&bundles["boundaries"]);
        let ranges: Vec<String> =
            boundaries.windows(2).map(|pair| format!("{}_{}", pair[0], pair[1])).collect();
        assert_eq!(ranges.len(), 4);
        for domain in ["persistent", "non-persistent"] {
            let mut all = Vec::new();
            for range in &ranges {
                let path = format!("/admin/v2/{domain}/public/default?bundle={range}");
                let found = names(&server.get(&path).await.is(200).json());
                for name in &found {
                    let topic: TopicName = name.parse().unwrap();
                    assert_eq!(bundle_of(&topic, 4).to_string(), *range, "{name}");
                }
                if domain == "non-persistent" {
                    let path = format!("/admin/v2/non-persistent/public/default/{range}");
                    assert_eq!(names(&server.get(&path).await.is(200).json()), found);
                }
                all.extend(found);
            }
            all.sort();
            let listed = server.get(&format!("/admin/v2/{domain}/public/default")).await.is(200);
            assert_eq!(json!(all), listed.json());
            assert_eq!(all.len(), 5);
        }
        let wrong = "0x00000000_0x00000007";
        server.get(&format!("/admin/v2/non-persistent/public/default/{wrong}")).await.is(412);
        server.get(&format!("/admin/v2/persistent/public/default?bundle={wrong}")).await.is(412);
        server.get("/admin/v2/non-persistent/public/none/0x00000000_0xffffffff").await.is(404);
    });
}

async fn boundaries(server: &Server) -> Vec<String> {
    let found = server.get(&format!("{NAMESPACE}/bundles")).await.is(200).json();
    let boundaries = names(&found["boundaries"]);
    assert_eq!(found["numBundles"], boundaries.len() - 1);
    boundaries
}

async fn positions(server: &Server, range: &str) -> Value {
    let path = format!("{NAMESPACE}/{range}/topicHashPositions");
    server.get(&path).await.is(200).json()["topicHashPositions"].clone()
}

#[test]
fn bundles_have_the_boundaries_that_a_namespace_was_created_with() {
    with_server(async |server| {
        let body = r#"{"bundles":{"boundaries":["0xffffffff","0x00000007","0x0","0x80000000"]}}"#;
        server.put(NAMESPACE, body).await.is(204);
        let expected = ["0x00000000", "0x00000007", "0x80000000", "0xffffffff"];
        assert_eq!(boundaries(server).await, expected);
        let topics: Vec<String> = (0..8).map(|n| format!("persistent://public/n/t-{n}")).collect();
        let mut consumers = Vec::new();
        for topic in &topics {
            consumers.push(server.consumer(topic, "s").await);
        }
        for topic in &topics {
            let half = bundle_hash(&topic.parse().unwrap()) < 0x8000_0000;
            let range = if half { "0x00000007_0x80000000" } else { "0x80000000_0xffffffff" };
            let path = topic.replace("persistent://", "/lookup/v2/topic/persistent/");
            assert_eq!(server.get(&format!("{path}/bundle")).await.is(200).body, range);
            let list = format!("/admin/v2/persistent/public/n?bundle={range}");
            assert!(names(&server.get(&list).await.is(200).json()).contains(topic));
        }
        drop(consumers);
        let before = server.broker.topics_in_use().len();
        server.put(&format!("{NAMESPACE}/0x00000000_0x00000007/unload"), "").await.is(204);
        assert_eq!(server.broker.topics_in_use().len(), before);
    });
}

#[test]
fn a_bundle_is_split_in_the_middle_and_its_topics_go_on() {
    with_server(async |server| {
        server.put(NAMESPACE, r#"{"bundles":{"numBundles":1}}"#).await.is(204);
        let whole = "0x00000000_0xffffffff";
        for n in 0..6 {
            server.publish(&format!("persistent://public/n/t-{n}"), 1).await;
        }
        let split = format!("{NAMESPACE}/{whole}/split");
        server.put(&format!("{split}?splitAlgorithmName=none"), "").await.is(412);
        let (one, other) = tokio::join!(server.put(&split, ""), server.put(&split, ""));
        let mut codes = [one.status, other.status].map(|code| code.to_string());
        codes.sort();
        assert!(codes[0].starts_with("204") && codes[1].starts_with("412"), "{codes:?}");
        assert_eq!(boundaries(server).await, ["0x00000000", "0x7fffffff", "0xffffffff"]);
        assert_eq!(server.broker.topics_in_use().len(), 6);
        let low = positions(server, "0x00000000_0x7fffffff").await;
        let high = positions(server, "0x7fffffff_0xffffffff").await;
        let both = low.as_object().unwrap().iter().chain(high.as_object().unwrap());
        let both: Vec<_> = both.collect();
        assert_eq!(both.len(), 6);
        for (name, position) in both {
            assert_eq!(*position, bundle_hash(&name.parse().unwrap()));
        }
        server.put(&split, "").await.is(412);
        server.put(&format!("{NAMESPACE}/LARGEST/split?unload=true"), "").await.is(204);
        assert_eq!(boundaries(server).await.len(), 4);
        assert!(server.broker.topics_in_use().len() < 6);
        server.publish("persistent://public/n/t-0", 1).await;
        server.put("/admin/v2/namespaces/public/none/LARGEST/split", "").await.is(404);
        server
            .put("/admin/v2/namespaces/public/none/0x00000000_0xffffffff/split", "")
            .await
            .is(404);
    });
}

#[test]
fn a_bundle_is_split_by_its_topics_and_where_it_is_said() {
    with_server(async |server| {
        server.put(NAMESPACE, r#"{"bundles":{"numBundles":1}}"#).await.is(204);
        let whole = "0x00000000_0xffffffff";
        let split = format!("{NAMESPACE}/{whole}/split?splitAlgorithmName");
        server.put(&format!("{NAMESPACE}/LARGEST/split"), "").await.is(404);
        server.put(&format!("{NAMESPACE}/HOT/split"), "").await.is(404);
        server.put(&format!("{split}=topic_count_equally_divide"), "").await.is(204);
        assert_eq!(boundaries(server).await.len(), 2);
        for n in 0..6 {
            server.publish(&format!("persistent://public/n/t-{n}"), 1).await;
        }
        let path = format!("{NAMESPACE}/{whole}/topicHashPositions");
        let topics = "?topics=persistent://public/n/t-1&topics=persistent://public/n/t-9";
        let found = server.get(&format!("{path}{topics}")).await.is(200).json();
        assert_eq!(found["bundle"], whole);
        assert_eq!(found["namespace"], "public/n");
        assert_eq!(found["topicHashPositions"].as_object().unwrap().len(), 1);
        server.put(&format!("{split}=flow_or_qps_equally_divide"), "").await.is(204);
        assert_eq!(boundaries(server).await.len(), 2, "they do not do too much");
        server.put(&format!("{split}=topic_count_equally_divide"), "").await.is(204);
        let found = boundaries(server).await;
        for ends in found.windows(2) {
            let half = positions(server, &ends.join("_")).await;
            assert_eq!(half.as_object().unwrap().len(), 3, "{found:?}");
        }
        let low = format!("{NAMESPACE}/{}/split", found[..2].join("_"));
        let specified = format!("{low}?splitAlgorithmName=specified_positions_divide");
        server.put(&specified, "").await.is(412);
        server.put(&specified, "[-1,0,4294967296]").await.is(204);
        assert_eq!(boundaries(server).await, found);
        server.put(&specified, "[9,5,9,-1]").await.is(204);
        let cut = ["0x00000000", "0x00000005", "0x00000009", &found[1], &found[2]];
        assert_eq!(boundaries(server).await, cut);
        let narrow = format!("{NAMESPACE}/0x00000000_0x00000005");
        server.put(&format!("{narrow}/split"), "").await.is(204);
        server.put(&format!("{NAMESPACE}/0x00000000_0x00000002/split"), "").await.is(204);
        server.put(&format!("{NAMESPACE}/0x00000000_0x00000001/split"), "").await.is(412);
    });
}

/// The bundle that a topic is in.
async fn bundle(server: &Server, topic: &str) -> String {
    let path = format!("/lookup/v2/topic/{}/bundle", topic.replace("://", "/"));
    server.get(&path).await.is(200).body
}

/// Goal: the bundle whose topics do the most is the one that is split.
#[test]
fn the_hot_bundle_is_split() {
    with_server(async |server| {
        server.put(NAMESPACE, r#"{"bundles":{"numBundles":4}}"#).await.is(204);
        let topics: Vec<String> = (0..8).map(|n| format!("persistent://public/n/t-{n}")).collect();
        for topic in &topics {
            server.publish(topic, 1).await;
        }
        server.publish(&topics[5], 500).await;
        let hot = bundle(server, &topics[5]).await;
        server.put(&format!("{NAMESPACE}/HOT/split"), "").await.is(204);
        assert_ne!(bundle(server, &topics[5]).await, hot);
        assert_eq!(boundaries(server).await.len(), 6);
        server.put("/admin/v2/namespaces/public/none/HOT/split", "").await.is(404);
    });
}

/// Goal: a bundle that is deleted is given up: nothing that is stored goes.
#[test]
fn a_bundle_is_deleted_if_nothing_is_stored_in_it_or_by_force() {
    with_server(async |server| {
        server.put(NAMESPACE, r#"{"bundles":{"numBundles":2}}"#).await.is(204);
        let topic = "persistent://public/n/t";
        drop(server.consumer(topic, "s").await);
        server.publish(topic, 3).await;
        let found = boundaries(server).await;
        let used = bundle(server, topic).await;
        for ends in found.windows(2) {
            let range = ends.join("_");
            let path = format!("{NAMESPACE}/{range}");
            if range == used {
                let refused = server.delete(&path).await.is(409);
                assert!(
                    refused.body.contains("Cannot delete non empty bundle"),
                    "{}",
                    refused.body
                );
                assert_eq!(server.broker.topics_in_use().len(), 1);
                server.delete(&format!("{path}?force=true")).await.is(204);
                assert_eq!(server.broker.topics_in_use().len(), 0);
            } else {
                server.delete(&path).await.is(204);
            }
        }
        assert_eq!(boundaries(server).await, found);
        let stats =
            server.get("/admin/v2/persistent/public/n/t/internalStats").await.is(200).json();
        assert_eq!(stats["numberOfEntries"], 3);
        server.delete(&format!("{NAMESPACE}/0x00000000_0x00000001")).await.is(412);
    });
}
