//! Topics with partitions.

use serde_json::{Value, json};

use crate::server::{Server, with_server};

const DEFAULT: &str = "/admin/v2/persistent/public/default";

async fn partitions(server: &Server, topic: &str) -> Value {
    let path = format!("{DEFAULT}/{topic}/partitions");
    server.get(&path).await.is(200).json()["partitions"].clone()
}

#[test]
fn a_partition_count_is_taken_in_every_shape() {
    with_server(async |server| {
        let json = "Content-Type: application/json\r\n";
        let text = "Content-Type: text/plain\r\n";
        let vendor = "Content-Type: application/vnd.partitioned-topic-metadata+json\r\n";
        let full = r#"{"partitions":4,"properties":{"a":"b"}}"#;
        let shapes = [(text, "4"), (json, "4"), (json, "\"4\""), ("", "4"), (vendor, full)];
        for (index, (kind, body)) in shapes.into_iter().enumerate() {
            let path = format!("{DEFAULT}/t{index}/partitions");
            server.send("PUT", &path, kind, body).await.is(204);
            server.send("PUT", &path, kind, body).await.is(409);
            assert_eq!(partitions(server, &format!("t{index}")).await, 4);
        }
        let found = server.get(&format!("{DEFAULT}/t4/partitions")).await.is(200).json();
        assert_eq!(found, json!({"partitions": 4, "deleted": false, "properties": {"a": "b"}}));
        for (body, status) in [("0", 406), ("-1", 406), ("x", 400), ("", 400), ("99999", 406)] {
            server.put(&format!("{DEFAULT}/no/partitions"), body).await.is(status);
        }
        server.get(&format!("{DEFAULT}/no/partitions")).await.is(404);
        server.put("/admin/v2/persistent/public/none/t/partitions", "2").await.is(404);
        server.put(&format!("{DEFAULT}/x-partition-1/partitions"), "2").await.is(412);
    });
}

#[test]
fn partition_metadata_of_what_is_not_there() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/new/partitions");
        server.get(&path).await.is(404);
        let may_be_created = format!("{path}?checkAllowAutoCreation=true");
        assert_eq!(server.get(&may_be_created).await.is(200).json()["partitions"], 0);
        assert_eq!(server.get(DEFAULT).await.is(200).json(), json!([]), "nothing was created");
        server.put(&format!("{DEFAULT}/plain"), "").await.is(204);
        assert_eq!(partitions(server, "plain").await, 0);
        server.get("/admin/v2/persistent/public/none/t/partitions").await.is(404);
    });
}

#[test]
fn partitions_are_listed_one_by_one() {
    with_server(async |server| {
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        let listed = server.get(DEFAULT).await.is(200).json();
        let name = "persistent://public/default/p";
        assert_eq!(listed, json!([format!("{name}-partition-0"), format!("{name}-partition-1")]));
        let listed = server.get(&format!("{DEFAULT}/partitioned")).await.is(200).json();
        assert_eq!(listed, json!([name]));
        server.put(&format!("{DEFAULT}/p"), "").await.is(409);
        server.get(&format!("{DEFAULT}/p/stats")).await.is(404);
        server.delete(&format!("{DEFAULT}/p")).await.is(409);
        let path = "/admin/v2/non-persistent/public/default";
        server.put(&format!("{path}/np/partitions"), "3").await.is(204);
        let listed = server.get(&format!("{path}/partitioned")).await.is(200).json();
        assert_eq!(listed, json!(["non-persistent://public/default/np"]));
        server.delete(&format!("{path}/np/partitions")).await.is(204);
        let listed = server.get(&format!("{path}/partitioned")).await.is(200).json();
        assert_eq!(listed, json!([]));
    });
}

#[test]
fn partitions_grow_with_their_subscriptions() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/p/partitions");
        server.post(&path, "2").await.is(422);
        server.put(&path, "1").await.is(204);
        let body = r#"{"ledgerId":-1,"entryId":-1,"partitionIndex":-1}"#;
        server.put(&format!("{DEFAULT}/p/subscription/s"), body).await.is(204);
        for count in ["2", "3", "10"] {
            server.post(&path, count).await.is(204);
            assert_eq!(partitions(server, "p").await.to_string(), count);
        }
        server.post(&path, "10").await.is(204);
        server.post(&path, "9").await.is(422);
        server.post(&path, "10001").await.is(406);
        server.post(&path, "0").await.is(406);
        assert_eq!(partitions(server, "p").await, 10);
        for index in 0..10 {
            let part = format!("{DEFAULT}/p-partition-{index}/subscriptions");
            assert_eq!(server.get(&part).await.is(200).json(), json!(["s"]), "{index}");
        }
        server.publish("p-partition-9", 2).await;
        let stats = server.get(&format!("{DEFAULT}/p-partition-9/stats")).await.is(200).json();
        assert_eq!(stats["subscriptions"]["s"]["msgBacklog"], 2);
    });
}

#[test]
fn missed_partitions_are_created() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/p/createMissedPartitions");
        server.post(&path, "").await.is(404);
        server.put(&format!("{DEFAULT}/p/partitions"), "3").await.is(204);
        server.delete(&format!("{DEFAULT}/p-partition-1")).await.is(204);
        server.get(&format!("{DEFAULT}/p-partition-1/stats")).await.is(404);
        for _ in 0..2 {
            server.post(&path, "").await.is(204);
            server.get(&format!("{DEFAULT}/p-partition-1/stats")).await.is(200);
        }
        assert_eq!(server.get(DEFAULT).await.is(200).json().as_array().unwrap().len(), 3);
    });
}

#[test]
fn partitioned_stats_add_up() {
    with_server(async |server| {
        server.get(&format!("{DEFAULT}/p/partitioned-stats")).await.is(404);
        server.put(&format!("{DEFAULT}/p/partitions"), "3").await.is(204);
        let _consumer = server.consumer("p-partition-0", "s").await;
        server.publish("p-partition-0", 2).await;
        server.publish("p-partition-1", 3).await;
        let stats = server.get(&format!("{DEFAULT}/p/partitioned-stats")).await.is(200).json();
        assert_eq!(stats["msgInCounter"], 5);
        assert_eq!(stats["metadata"]["partitions"], 3);
        assert_eq!(stats["subscriptions"]["s"]["msgBacklog"], 2);
        let parts = stats["partitions"].as_object().unwrap();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts["persistent://public/default/p-partition-1"]["msgInCounter"], 3);
        let path = format!("{DEFAULT}/p/partitioned-stats?perPartition=false");
        assert_eq!(server.get(&path).await.is(200).json()["partitions"], json!({}));
        let path = format!("{DEFAULT}/p/partitioned-internalStats");
        let internal = server.get(&path).await.is(200).json();
        let part = &internal["partitions"]["persistent://public/default/p-partition-1"];
        assert_eq!(part["numberOfEntries"], 3);
        let last = server.get(&format!("{DEFAULT}/p-partition-1/lastMessageId")).await.is(200);
        assert_eq!(last.json()["partitionIndex"], 1);
        server.get(&format!("{DEFAULT}/p/lastMessageId")).await.is(405);
        server.post(&format!("{DEFAULT}/p/terminate"), "").await.is(405);
    });
}

#[test]
fn a_partitioned_topic_is_deleted_whole() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/p/partitions");
        server.delete(&path).await.is(404);
        server.put(&path, "3").await.is(204);
        server.publish("p-partition-2", 4).await;
        let (producer, _outbox) = server.producer("p-partition-1").await;
        server.delete(&path).await.is(412);
        assert_eq!(partitions(server, "p").await, 3, "it is all there");
        server.publish("p-partition-2", 1).await;
        producer.close().await;
        server.delete(&path).await.is(204);
        server.delete(&path).await.is(404);
        assert_eq!(server.disk.bookie.entries(), 0);
        assert_eq!(server.get(DEFAULT).await.is(200).json(), json!([]));
        server.put(&path, "2").await.is(204);
        assert_eq!(partitions(server, "p").await, 2);
        let _consumer = server.consumer("p-partition-0", "s").await;
        server.delete(&path).await.is(412);
        server.delete(&format!("{path}?force=true")).await.is(204);
        assert_eq!(server.get(DEFAULT).await.is(200).json(), json!([]));
    });
}

/// Goal: a deletion that was interrupted after its first phase is finished by whoever comes next.
/// Method: the mark is written by hand.
#[test]
fn an_interrupted_deletion_is_finished() {
    with_server(async |server| {
        let path = format!("{DEFAULT}/p/partitions");
        let key = "/admin/partitioned-topics/public/default/persistent/p";
        for resume in ["DELETE", "PUT"] {
            server.put(&path, "3").await.is(204);
            server.publish("p-partition-2", 4).await;
            let marked = bytes::Bytes::from_static(br#"{"partitions":3,"deleted":true}"#);
            let (any, persistent) =
                (geminga_metadata::Expected::Any, geminga_metadata::Lifetime::Persistent);
            server.disk.metadata.put(key, marked, any, persistent).await.unwrap();
            let listed = server.get(&format!("{DEFAULT}/partitioned")).await.is(200).json();
            assert_eq!(listed, json!([]));
            let body = if resume == "PUT" { "2" } else { "" };
            server.send(resume, &path, "", body).await.is(204);
            assert_eq!(server.disk.bookie.entries(), 0);
            let left = if resume == "PUT" { 2 } else { 0 };
            let listed = server.get(DEFAULT).await.is(200).json();
            assert_eq!(listed.as_array().unwrap().len(), left);
        }
    });
}
