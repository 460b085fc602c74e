//! Backlogs of a topic and of a namespace, and properties of subscriptions.

use geminga_types::{TopicName, bundle_of};
use serde_json::{Value, json};

use crate::server::{Disk, Server, publish_of, with_server};

const DEFAULT: &str = "/admin/v2/persistent/public/default";
const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const SUB: &str = "/admin/v2/persistent/public/default/t/subscription/s";
const NAMESPACE: &str = "/admin/v2/namespaces/public/default";
const EARLIEST: &str = r#""earliest""#;

async fn backlog(server: &Server, topic: &str, subscription: &str) -> Value {
    let stats = server.get(&format!("{DEFAULT}/{topic}/stats")).await.is(200).json();
    stats["subscriptions"][subscription]["msgBacklog"].clone()
}

#[test]
fn properties_of_a_subscription_are_replaced() {
    with_server(async |server| {
        let made = r#"{"ledgerId":-1,"entryId":-1,"properties":{"a":"1","b":"2"}}"#;
        server.put(SUB, made).await.is(204);
        let path = format!("{SUB}/properties");
        assert_eq!(server.get(&path).await.is(200).json(), json!({"a": "1", "b": "2"}));
        server.put(&path, r#"{"b":"3","c":"\u00e9"}"#).await.is(204);
        let expected = json!({"b": "3", "c": "\u{e9}"});
        assert_eq!(server.get(&path).await.is(200).json(), expected);
        let stats = server.get(&format!("{TOPIC}/stats")).await.is(200).json();
        assert_eq!(stats["subscriptions"]["s"]["subscriptionProperties"], expected);
        server.publish("t", 3).await;
        server.post(&format!("{SUB}/skip/1"), "").await.is(204);
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        assert_eq!(server.get(&path).await.is(200).json(), expected);
        assert_eq!(backlog(server, "t", "s").await, 2);
        server.put(&path, "{}").await.is(204);
        assert_eq!(server.get(&path).await.is(200).json(), json!({}));
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        assert_eq!(server.get(&path).await.is(200).json(), json!({}));
    });
}

/// Goal: properties are found in a log that is not replaced.
/// Method: the log is there already when they change, and is read by another load.
#[test]
fn properties_of_a_subscription_are_found_in_its_log() {
    with_server(async |server| {
        let made = r#"{"ledgerId":-1,"entryId":-1,"properties":{"a":"1"}}"#;
        server.put(SUB, made).await.is(204);
        server.publish("t", 3).await;
        server.post(&format!("{SUB}/skip/1"), "").await.is(204);
        let path = format!("{SUB}/properties");
        for given in [json!({"b": "2"}), json!({}), json!({"c": "3"})] {
            server.post(&format!("{SUB}/skip/0"), "").await.is(204);
            server.put(&path, &given.to_string()).await.is(204);
        }
        server.post(&format!("{SUB}/resetcursor"), EARLIEST).await.is(204);
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        assert_eq!(server.get(&path).await.is(200).json(), json!({"c": "3"}));
        assert_eq!(backlog(server, "t", "s").await, 3);
    });
}

/// Goal: properties outlive the log that has them, in a snapshot.
/// Method: a log that is replaced after every second change.
#[test]
fn properties_of_a_subscription_outlive_its_log() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let change = |options: &mut geminga_broker::Options| {
            options.managed_ledger.cursor_roll_entries = 2;
        };
        let options = geminga_admin::Options::default;
        let disk = Disk::new();
        let server = Server::start_with(disk.clone(), options(), change).await;
        server.put(SUB, EARLIEST).await.is(204);
        server.put(&format!("{SUB}/properties"), r#"{"k":"v"}"#).await.is(204);
        server.publish("t", 9).await;
        for _ in 0..9 {
            server.post(&format!("{SUB}/skip/1"), "").await.is(204);
        }
        server.stop().await;
        let server = Server::start_with(disk, options(), change).await;
        let found = server.get(&format!("{SUB}/properties")).await.is(200).json();
        assert_eq!(found, json!({"k": "v"}));
        assert_eq!(backlog(&server, "t", "s").await, 0);
        server.stop().await;
    });
}

#[test]
fn properties_that_a_subscription_cannot_have_are_refused() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        let path = format!("{SUB}/properties");
        server.put(&path, "[1]").await.is(400);
        server.put(&path, r#"{"geminga.deadLetter.maxRedeliverCount":"3"}"#).await.is(412);
        let large = json!({"k": "v".repeat(70_000)});
        server.put(&path, &large.to_string()).await.is(412);
        assert_eq!(server.get(&path).await.is(200).json(), json!({}));
        let none = format!("{TOPIC}/subscription/none/properties");
        server.get(&none).await.is(404);
        server.put(&none, "{}").await.is(404);
        server.get(&format!("{DEFAULT}/none/subscription/s/properties")).await.is(404);
        let path = "/admin/v2/non-persistent/public/default/t/subscription/s/properties";
        server.get(path).await.is(405);
        server.put(path, "{}").await.is(405);
    });
}

#[test]
fn partitions_share_the_properties_of_a_subscription() {
    with_server(async |server| {
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.put(&format!("{DEFAULT}/p/subscription/s"), EARLIEST).await.is(204);
        let path = format!("{DEFAULT}/p/subscription/s/properties");
        server.put(&path, r#"{"k":"v"}"#).await.is(204);
        for topic in ["p", "p-partition-0", "p-partition-1"] {
            let path = format!("{DEFAULT}/{topic}/subscription/s/properties");
            assert_eq!(server.get(&path).await.is(200).json(), json!({"k": "v"}), "{topic}");
        }
    });
}

#[test]
fn a_backlog_is_analyzed() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        let path = format!("{SUB}/analyzeBacklog");
        let nothing = server.post(&path, "").await.is(200).json();
        assert_eq!(nothing["entries"], 0);
        assert_eq!(nothing["firstMessageId"], Value::Null);
        server.publish("t", 4).await;
        let metadata = geminga_wire::proto::MessageMetadata {
            producer_name: "p".to_owned(),
            sequence_id: 9,
            num_messages_in_batch: Some(5),
            ..geminga_wire::proto::MessageMetadata::default()
        };
        let mut batch = publish_of(&metadata, b"five");
        batch.messages = 5;
        server.publish_all("t", vec![batch]).await;
        server.post(&format!("{SUB}/skip/2"), "").await.is(204);
        let last = server.get(&format!("{TOPIC}/lastMessageId")).await.is(200).json();
        let ledger = &last["ledgerId"];
        let found = server.post(&path, "").await.is(200).json();
        let expected = json!({
            "entries": 3, "messages": 7, "aborted": false,
            "filterAcceptedEntries": 3, "filterAcceptedMessages": 7,
            "filterRejectedEntries": 0, "filterRejectedMessages": 0,
            "filterRescheduledEntries": 0, "filterRescheduledMessages": 0,
            "firstMessageId": format!("{ledger}:2"), "lastMessageId": format!("{ledger}:4"),
        });
        assert_eq!(found, expected);
        let from = json!({"ledgerId": ledger, "entryId": 4});
        let found = server.post(&path, &from.to_string()).await.is(200).json();
        assert_eq!((&found["entries"], &found["messages"]), (&json!(1), &json!(5)));
        server.post(&format!("{TOPIC}/subscription/none/analyzeBacklog"), "").await.is(404);
    });
}

#[test]
fn the_size_of_a_backlog_is_told() {
    with_server(async |server| {
        server.publish("t", 4).await;
        let path = format!("{TOPIC}/backlogSize");
        let all = server.put(&path, r#"{"ledgerId":-1,"entryId":-1}"#).await.is(200).json();
        let all = all.as_u64().unwrap();
        let stats = server.get(&format!("{TOPIC}/stats")).await.is(200).json();
        assert_eq!(stats["storageSize"], all);
        let last = server.get(&format!("{TOPIC}/lastMessageId")).await.is(200).json();
        for (entry, expected) in [(0, all), (1, all * 3 / 4), (3, all / 4), (4, 0)] {
            let from = json!({"ledgerId": last["ledgerId"], "entryId": entry});
            let found = server.put(&path, &from.to_string()).await.is(200).json();
            assert_eq!(found, expected, "{entry}");
        }
        server.put(&path, "").await.is(400);
        server.put(&format!("{DEFAULT}/p/partitions"), "1").await.is(204);
        let all = r#"{"ledgerId":-1,"entryId":-1}"#;
        server.put(&format!("{DEFAULT}/p/backlogSize"), all).await.is(405);
        server.put(&format!("{DEFAULT}/none/backlogSize"), all).await.is(404);
    });
}

#[test]
fn backlogs_of_a_namespace_are_cleared() {
    with_server(async |server| {
        let topics = ["a", "b", "c", "d", "p-partition-0"];
        server.put(&format!("{DEFAULT}/p/partitions"), "1").await.is(204);
        let fill = async || {
            for topic in topics {
                server.publish(topic, 2).await;
            }
        };
        for topic in topics {
            for name in ["s", "other"] {
                let path = format!("{DEFAULT}/{topic}/subscription/{name}");
                server.put(&path, EARLIEST).await.is(204);
            }
        }
        fill().await;
        server.post(&format!("{NAMESPACE}/clearBacklog/s"), "").await.is(204);
        for topic in topics {
            assert_eq!(backlog(server, topic, "s").await, 0, "{topic}");
            assert_eq!(backlog(server, topic, "other").await, 2, "{topic}");
        }
        server.post(&format!("{NAMESPACE}/clearBacklog"), "").await.is(204);
        assert_eq!(backlog(server, "p-partition-0", "other").await, 0);
        fill().await;
        let bundle_of =
            |topic: &str| bundle_of(&topic.parse::<TopicName>().unwrap(), 4).to_string();
        let bundle = bundle_of("a");
        server.post(&format!("{NAMESPACE}/{bundle}/clearBacklog/none"), "").await.is(204);
        server.post(&format!("{NAMESPACE}/{bundle}/clearBacklog/other"), "").await.is(204);
        assert_eq!(backlog(server, "a", "s").await, 2);
        server.post(&format!("{NAMESPACE}/{bundle}/clearBacklog"), "").await.is(204);
        for topic in topics {
            let expected = if bundle_of(topic) == bundle { 0 } else { 2 };
            assert_eq!(backlog(server, topic, "s").await, expected, "{topic}");
            assert_eq!(backlog(server, topic, "other").await, expected, "{topic}");
        }
        server.post(&format!("{NAMESPACE}/0x00000000_0x00000001/clearBacklog"), "").await.is(412);
        server.post("/admin/v2/namespaces/public/none/clearBacklog", "").await.is(404);
    });
}

#[test]
fn a_subscription_is_deleted_from_a_namespace() {
    with_server(async |server| {
        for topic in ["a", "b"] {
            server.put(&format!("{DEFAULT}/{topic}/subscription/s"), "").await.is(204);
        }
        server.put(&format!("{DEFAULT}/c/subscription/other"), "").await.is(204);
        let consumer = server.consumer("b", "s").await;
        server.post(&format!("{NAMESPACE}/unsubscribe/s"), "").await.is(412);
        consumer.close().await;
        server.post(&format!("{NAMESPACE}/unsubscribe/s"), "").await.is(204);
        for (topic, expected) in [("a", json!([])), ("b", json!([])), ("c", json!(["other"]))] {
            let found =
                server.get(&format!("{DEFAULT}/{topic}/subscriptions")).await.is(200).json();
            assert_eq!(found, expected, "{topic}");
        }
        let bundle = bundle_of(&"c".parse().unwrap(), 4);
        server.post(&format!("{NAMESPACE}/{bundle}/unsubscribe/other"), "").await.is(204);
        let found = server.get(&format!("{DEFAULT}/c/subscriptions")).await.is(200).json();
        assert_eq!(found, json!([]));
        server.post("/admin/v2/namespaces/public/none/unsubscribe/s", "").await.is(404);
    });
}

#[test]
fn a_topic_is_trimmed_by_request() {
    with_server(async |server| {
        server.publish("t", 2).await;
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        server.publish("t", 1).await;
        let ledgers = async || {
            let found = server.get(&format!("{TOPIC}/internalStats")).await.is(200).json();
            found["ledgers"].as_array().unwrap().len()
        };
        assert_eq!(ledgers().await, 2);
        server.post(&format!("{TOPIC}/trim"), "").await.is(204);
        assert_eq!(ledgers().await, 1);
        server.post(&format!("{DEFAULT}/none/trim"), "").await.is(404);
        server.post("/admin/v2/non-persistent/public/default/t/trim", "").await.is(405);
    });
}

/// Goal: what is stored of a topic is told, be it loaded or not.
#[test]
fn a_topics_ledgers_and_cursors_are_counted() {
    with_server(async |server| {
        const PATH: &str = "/admin/v2/persistent/public/default/t/backlog";
        server.get(PATH).await.is(404);
        let earliest = r#"{"ledgerId":-1,"entryId":-1,"partitionIndex":-1}"#;
        for name in ["a", "b"] {
            let path = format!("/admin/v2/persistent/public/default/t/subscription/{name}");
            server.put(&path, earliest).await.is(204);
        }
        server.publish("persistent://public/default/t", 3).await;
        let skipped = "/admin/v2/persistent/public/default/t/subscription/b/skip/1";
        server.post(skipped, "").await.is(204);
        for is_loaded in [true, false] {
            if !is_loaded {
                server.put("/admin/v2/persistent/public/default/t/unload", "").await.is(204);
            }
            let found = server.get(PATH).await.is(200).json();
            assert_eq!(found["topicName"], "persistent://public/default/t");
            assert_eq!(found["totalMessages"], 3);
            assert_eq!(found["messageBacklog"], 5);
            assert_eq!(found["cursorDetails"]["a"]["cursorBacklog"], 3);
            assert_eq!(found["cursorDetails"]["b"]["cursorBacklog"], 2);
            let ledgers = found["dataLedgerDetails"].as_array().unwrap();
            let entries: u64 = ledgers.iter().map(|it| it["entries"].as_u64().unwrap()).sum();
            assert_eq!(entries, 3, "{found}");
            assert!(0 < found["storageSize"].as_u64().unwrap(), "{found}");
            assert!(0 < found["statGeneratedAt"].as_u64().unwrap(), "{found}");
        }
        server.put("/admin/v2/persistent/public/default/p/partitions", "2").await.is(204);
        server.get("/admin/v2/persistent/public/default/p-partition-0/backlog").await.is(200);
        server.get("/admin/v2/persistent/public/default/p/backlog").await.is(405);
        server.get("/admin/v2/non-persistent/public/default/t/backlog").await.is(405);
    });
}
