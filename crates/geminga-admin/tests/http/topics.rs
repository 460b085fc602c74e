//! Topics without partitions.

use serde_json::{Value, json};

use crate::server::with_server;

const DEFAULT: &str = "/admin/v2/persistent/public/default";

#[test]
fn topics_come_and_go() {
    with_server(async |server| {
        for (name, body) in [("a", ""), ("b", "{}"), ("c", "null"), ("d", "{\"k\":\"v\"}")] {
            let path = format!("{DEFAULT}/{name}");
            server.put(&path, body).await.is(204);
            server.put(&path, body).await.is(409);
        }
        let listed = server.get(DEFAULT).await.is(200).json();
        let expected: Vec<String> =
            ["a", "b", "c", "d"].map(|name| format!("persistent://public/default/{name}")).into();
        assert_eq!(listed, json!(expected));
        let by_namespace = server.get("/admin/v2/namespaces/public/default/topics").await.is(200);
        assert_eq!(by_namespace.json(), json!(expected));
        for body in ["{}", "null", ""] {
            server.put(&format!("{DEFAULT}/x"), "").await.is(204);
            let path = format!("{DEFAULT}/x");
            server.send("DELETE", &path, "", body).await.is(204);
            server.send("DELETE", &path, "", body).await.is(404);
        }
        server.put("/admin/v2/persistent/public/none/a", "").await.is(404);
        server.get("/admin/v2/persistent/public/none").await.is(404);
        server.put(&format!("{DEFAULT}/a-partition-0"), "").await.is(412);
    });
}

#[test]
fn names_hold_anything() {
    with_server(async |server| {
        let encoded = "topic%40%25%2A%29%28%26%21%25%24%23%40%23%24%3E%3C%3F%2F%2e%2e%20%C3%BC";
        let path = format!("{DEFAULT}/{encoded}");
        server.put(&path, "").await.is(204);
        let listed = server.get(DEFAULT).await.is(200).json();
        assert_eq!(listed, json!(["persistent://public/default/topic@%*)(&!%$#@#$><?/.. ü"]));
        server.get(&format!("{path}/stats")).await.is(200);
        server.put(&format!("{path}/subscription/%3A%3A%2C%3A%3Abf11"), "").await.is(204);
        let found = server.get(&format!("{path}/subscriptions")).await.is(200);
        assert_eq!(found.json(), json!(["::,::bf11"]));
        server.delete(&path).await.is(204);
        assert_eq!(server.get(DEFAULT).await.is(200).json(), json!([]));
    });
}

#[test]
fn a_deleted_topic_takes_its_data_along() {
    with_server(async |server| {
        server.publish("t", 5).await;
        assert_eq!(server.disk.bookie.entries(), 5);
        let (producer, _outbox) = server.producer("t").await;
        let refused = server.delete(&format!("{DEFAULT}/t")).await.is(412);
        assert!(refused.body.contains("persistent://public/default/t"), "{refused:?}");
        server.get(&format!("{DEFAULT}/t/stats")).await.is(200);
        producer.close().await;
        server.delete(&format!("{DEFAULT}/t")).await.is(204);
        assert_eq!(server.disk.bookie.entries(), 0);
        server.get(&format!("{DEFAULT}/t/stats")).await.is(404);
        server.delete(&format!("{DEFAULT}/t")).await.is(404);
        server.publish("t", 1).await;
        let stats = server.get(&format!("{DEFAULT}/t/internalStats")).await.is(200).json();
        assert_eq!(stats["numberOfEntries"], 1);
    });
}

#[test]
fn force_deletes_what_is_in_use() {
    with_server(async |server| {
        let consumer = server.consumer("t", "s").await;
        server.publish("t", 2).await;
        server.delete(&format!("{DEFAULT}/t")).await.is(412);
        server.delete(&format!("{DEFAULT}/t?force=true")).await.is(204);
        assert!(consumer.stats().await.is_err(), "the consumer is still attached");
        assert_eq!(server.get(DEFAULT).await.is(200).json(), json!([]));
    });
}

#[test]
fn stats_show_who_is_there() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/t/stats");
        server.get(&path).await.is(404);
        let consumer = server.consumer("t", "s").await;
        server.publish("t", 3).await;
        let (producer, _outbox) = server.producer("t").await;
        let stats = server.get(&path).await.is(200).json();
        assert_eq!(stats["msgInCounter"], 3);
        assert!(0 < stats["storageSize"].as_u64().unwrap());
        let publisher = &stats["publishers"][0];
        assert_eq!(publisher["accessMode"], "Shared");
        assert_eq!(publisher["producerName"], producer.name());
        assert_eq!(publisher["producerId"], 7);
        assert_eq!(publisher["clientVersion"], "Pulsar-CPP-v1");
        assert_eq!(publisher["metadata"], json!({"k": "v"}));
        let subscription = &stats["subscriptions"]["s"];
        assert_eq!(subscription["type"], "Shared");
        assert_eq!(subscription["msgBacklog"], 3);
        assert_eq!(subscription["isDurable"], true);
        assert_eq!(subscription["consumers"][0]["consumerName"], "the consumer");
        assert_eq!(subscription["consumers"][0]["clientVersion"], "Pulsar-Go-version-1");
        producer.close().await;
        consumer.close().await;
        let stats = server.get(&path).await.is(200).json();
        assert_eq!(stats["publishers"], json!([]));
        assert_eq!(stats["subscriptions"]["s"]["consumers"], json!([]));
    });
}

#[test]
fn internal_stats_show_the_ledgers() {
    with_server(async |server| {
        let _consumer = server.consumer("t", "s").await;
        server.publish("t", 3).await;
        for name in ["internalStats", "internal-stats"] {
            let stats = server.get(&format!("{DEFAULT}/t/{name}")).await.is(200).json();
            assert_eq!(stats["numberOfEntries"], 3);
            assert_eq!(stats["currentLedgerEntries"], 3);
            assert_eq!(stats["state"], "LedgerOpened");
            assert_eq!(stats["ledgers"].as_array().unwrap().len(), 1);
            let ledger = stats["ledgers"][0]["ledgerId"].as_i64().unwrap();
            assert_eq!(stats["lastConfirmedEntry"], format!("{ledger}:2"));
            assert!(stats["cursors"]["s"]["markDeletePosition"].is_string());
        }
        server.get(&format!("{DEFAULT}/none/internalStats")).await.is(404);
        server.get("/admin/v2/non-persistent/public/default/t/internalStats").await.is(405);
    });
}

#[test]
fn an_unloaded_topic_comes_back_as_it_was() {
    with_server(async |server| {
        let consumer = server.consumer("t", "s").await;
        server.publish("t", 3).await;
        server.put(&format!("{DEFAULT}/t/unload"), "").await.is(204);
        assert!(consumer.stats().await.is_err(), "the consumer is still attached");
        let stats = server.get(&format!("{DEFAULT}/t/stats")).await.is(200).json();
        assert_eq!(stats["subscriptions"]["s"]["msgBacklog"], 3);
        server.put(&format!("{DEFAULT}/none/unload"), "").await.is(404);
        let consumer = server.consumer("t", "s").await;
        server.put("/admin/v2/namespaces/public/default/unload", "").await.is(204);
        assert!(consumer.stats().await.is_err(), "the consumer is still attached");
        server.put("/admin/v2/namespaces/public/none/unload", "").await.is(404);
    });
}

#[test]
fn a_terminated_topic_says_where_it_ended() {
    with_server(async |server| {
        server.publish("t", 3).await;
        let before = server.get(&format!("{DEFAULT}/t/lastMessageId")).await.is(200).json();
        assert_eq!((&before["entryId"], &before["partitionIndex"]), (&json!(2), &json!(-1)));
        for _ in 0..2 {
            let ended = server.post(&format!("{DEFAULT}/t/terminate"), "").await.is(200).json();
            assert_eq!(ended, before);
        }
        let stats = server.get(&format!("{DEFAULT}/t/internalStats")).await.is(200).json();
        assert_eq!(stats["state"], "Terminated");
        server.post(&format!("{DEFAULT}/none/terminate"), "").await.is(404);
        server.post("/admin/v2/non-persistent/public/default/t/terminate", "").await.is(405);
        server.put(&format!("{DEFAULT}/empty"), "").await.is(204);
        let last = server.get(&format!("{DEFAULT}/empty/lastMessageId")).await.is(200).json();
        assert_eq!(last, json!({"ledgerId": -1, "entryId": -1, "partitionIndex": -1}));
        server.get(&format!("{DEFAULT}/none/lastMessageId")).await.is(404);
    });
}

#[test]
fn non_persistent_topics_are_listed_while_used() {
    with_server(async |server| {
        let name = "non-persistent://public/default/np";
        let list = "/admin/v2/non-persistent/public/default";
        assert_eq!(server.get(list).await.is(200).json(), json!([]));
        let (producer, _outbox) = server.producer(name).await;
        assert_eq!(server.get(list).await.is(200).json(), json!([name]));
        assert_eq!(server.get(DEFAULT).await.is(200).json(), json!([]));
        let topics = "/admin/v2/namespaces/public/default/topics";
        for (mode, expected) in [("", json!([])), ("?mode=ALL", json!([name]))] {
            let found = server.get(&format!("{topics}{mode}")).await.is(200).json();
            assert_eq!(found, expected, "{mode}");
        }
        let found = server.get(&format!("{topics}?mode=NON_PERSISTENT")).await.is(200).json();
        assert_eq!(found, json!([name]));
        server.get(&format!("{topics}?mode=SOME")).await.is(412);
        let stats: Value = server.get(&format!("{list}/np/stats")).await.is(200).json();
        assert_eq!(stats["publishers"].as_array().unwrap().len(), 1);
        server.delete(&format!("{list}/np")).await.is(412);
        producer.close().await;
        server.delete(&format!("{list}/np")).await.is(204);
        assert_eq!(server.get(list).await.is(200).json(), json!([]));
    });
}

#[test]
fn system_topics_are_hidden() {
    with_server(async |server| {
        server.put(&format!("{DEFAULT}/__change_events"), "").await.is(204);
        server.put(&format!("{DEFAULT}/seen"), "").await.is(204);
        for list in [DEFAULT, "/admin/v2/namespaces/public/default/topics"] {
            let seen = server.get(list).await.is(200).json();
            assert_eq!(seen, json!(["persistent://public/default/seen"]));
            let all = server.get(&format!("{list}?includeSystemTopic=true")).await.is(200).json();
            assert_eq!(all.as_array().unwrap().len(), 2);
        }
    });
}

/// Goal: a compaction is asked for, followed and seen in the stats; what cannot be compacted is refused.
#[test]
fn a_topic_is_compacted_by_request() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/t/compaction");
        server.put(&path, "").await.is(404);
        server.publish("t", 5).await;
        let status = server.get(&path).await.is(200).json();
        assert_eq!(status, json!({"status": "NOT_RUN", "lastError": ""}));
        let internal = format!("{DEFAULT}/t/internalStats");
        let none = &server.get(&internal).await.is(200).json()["compactedLedger"];
        assert_eq!((&none["ledgerId"], &none["entries"]), (&json!(-1), &json!(-1)));
        server.put(&path, "").await.is(204);
        loop {
            let status = server.get(&path).await.is(200).json();
            match status["status"].as_str() {
                Some("RUNNING") => {}
                Some("SUCCESS") => break,
                _ => panic!("{status}"),
            }
        }
        let found = &server.get(&internal).await.is(200).json()["compactedLedger"];
        assert_eq!(found["entries"], 0, "none of them has a key");
        let stats = server.get(&format!("{DEFAULT}/t/stats")).await.is(200).json();
        assert_eq!(stats["compaction"]["lastCompactionRemovedEventCount"], 5);
        assert_ne!(stats["compaction"]["lastCompactionSucceedTimestamp"], 0);
        assert_eq!(stats["subscriptions"]["__compaction"]["msgBacklog"], 0);
        server.put("/admin/v2/non-persistent/public/default/n/compaction", "").await.is(405);
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.put(&format!("{DEFAULT}/p/compaction"), "").await.is(204);
        server.get(&format!("{DEFAULT}/p/compaction")).await.is(405);
        server.get(&format!("{DEFAULT}/p-partition-1/compaction")).await.is(200);
    });
}

#[test]
fn a_message_is_found_by_its_index() {
    with_server(async |server| {
        server.publish("t", 3).await;
        let at = async |index: &str| {
            server.get(&format!("{DEFAULT}/t/getMessageIdByIndex?index={index}")).await
        };
        let last = server.get(&format!("{DEFAULT}/t/lastMessageId")).await.is(200).json();
        assert_eq!(at("2").await.is(200).json(), last);
        let first = json!({"ledgerId": last["ledgerId"], "entryId": 0, "partitionIndex": -1});
        assert_eq!(at("0").await.is(200).json(), first);
        at("3").await.is(404);
        at("-1").await.is(404);
        at("9223372036854775807").await.is(404);
        at("").await.is(412);
        at("x").await.is(412);
        server.get(&format!("{DEFAULT}/none/getMessageIdByIndex?index=0")).await.is(404);
        let path = "/admin/v2/non-persistent/public/default/t/getMessageIdByIndex?index=0";
        server.get(path).await.is(405);
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.get(&format!("{DEFAULT}/p/getMessageIdByIndex?index=0")).await.is(405);
        server.publish("p-partition-1", 1).await;
        let part =
            server.get(&format!("{DEFAULT}/p-partition-1/getMessageIdByIndex?index=0")).await;
        assert_eq!(part.is(200).json()["partitionIndex"], 1);
    });
}

#[test]
fn what_is_noted_about_a_topic_is_shown_and_removed() {
    with_server(async |server| {
        let whole = format!("{DEFAULT}/p");
        server
            .put(&format!("{whole}/partitions"), r#"{"partitions":2,"properties":{"a":"1"}}"#)
            .await
            .is(204);
        server.put(&format!("{DEFAULT}/t"), r#"{"a":"1"}"#).await.is(204);
        server.put(&format!("{DEFAULT}/u"), "[1]").await.is(400);
        for topic in ["t", "p"] {
            let path = format!("{DEFAULT}/{topic}/properties");
            assert_eq!(server.get(&path).await.is(200).json(), json!({"a": "1"}));
            server.put(&path, r#"{"b":"2"}"#).await.is(204);
            server.put(&path, "{}").await.is(204);
            server.put(&path, "7").await.is(400);
            assert_eq!(server.get(&path).await.is(200).json(), json!({"a": "1", "b": "2"}));
            server.delete(&format!("{path}?key=a")).await.is(204);
            server.delete(&path).await.is(412);
            assert_eq!(server.get(&path).await.is(200).json(), json!({"b": "2"}));
        }
        server
            .put(&format!("{DEFAULT}/t/properties"), r#"{"geminga.created":"1 5"}"#)
            .await
            .is(412);
        server.get(&format!("{DEFAULT}/none/properties")).await.is(404);
        let stats = server.get(&format!("{DEFAULT}/t/stats")).await.is(200).json();
        assert!(stats["topicCreationTimeStamp"].is_u64(), "{stats}");
        let metadata = server.get(&format!("{whole}/partitions")).await.is(200).json();
        assert_eq!(metadata["properties"], json!({"b": "2"}));
    });
}

/// A shadow shows another topic's messages. One that shows none of them is not made.
#[test]
fn a_shadow_of_a_topic_is_refused() {
    with_server(async |server| {
        server.put(&format!("{DEFAULT}/t"), "").await.is(204);
        let source = r#"{"PULSAR.SHADOW_SOURCE":"persistent://public/default/t"}"#;
        let refused = server.put(&format!("{DEFAULT}/s"), source).await.is(405).json();
        let reason = refused["reason"].as_str().expect("a reason");
        assert!(reason.contains("shadow of persistent://public/default/t"), "{reason}");
        let whole = format!(r#"{{"partitions":2,"properties":{source}}}"#);
        server.put(&format!("{DEFAULT}/p/partitions"), &whole).await.is(405);
        server.put(&format!("{DEFAULT}/t/properties"), source).await.is(405);
        assert_eq!(
            server.get(DEFAULT).await.is(200).json(),
            json!(["persistent://public/default/t"])
        );
        server.get(&format!("{DEFAULT}/p/properties")).await.is(404);
        assert_eq!(server.get(&format!("{DEFAULT}/t/properties")).await.is(200).json(), json!({}));
    });
}

#[test]
fn a_topic_is_truncated() {
    with_server(async |server| {
        server.delete(&format!("{DEFAULT}/t/truncate")).await.is(404);
        let consumer = server.consumer("t", "s").await;
        server.publish("t", 5).await;
        server.delete(&format!("{DEFAULT}/t/truncate")).await.is(204);
        let stats = server.get(&format!("{DEFAULT}/t/stats")).await.is(200).json();
        assert_eq!(
            (&stats["storageSize"], &stats["subscriptions"]["s"]["msgBacklog"]),
            (&json!(0), &json!(0))
        );
        assert!(consumer.stats().await.is_ok(), "it stays");
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.publish("p-partition-1", 5).await;
        server.delete(&format!("{DEFAULT}/p/truncate")).await.is(204);
        let stats = server.get(&format!("{DEFAULT}/p/partitioned-stats")).await.is(200).json();
        assert_eq!(stats["storageSize"], 0);
        server.delete("/admin/v2/non-persistent/public/default/t/truncate").await.is(412);
    });
}

#[test]
fn the_partitions_of_a_topic_are_terminated() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/p/terminate/partitions");
        server.post(&path, "").await.is(404);
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.publish("p-partition-1", 3).await;
        let last = server.post(&path, "").await.is(200).json();
        assert_eq!(last["0"]["partitionIndex"], 0);
        assert_eq!((&last["1"]["entryId"], &last["1"]["partitionIndex"]), (&json!(2), &json!(1)));
        server.put(&format!("{DEFAULT}/t"), "").await.is(204);
        server.post(&format!("{DEFAULT}/t/terminate/partitions"), "").await.is(405);
        server.put(&format!("{DEFAULT}/__change_events"), "").await.is(204);
        server.post(&format!("{DEFAULT}/__change_events/terminate"), "").await.is(405);
    });
}
