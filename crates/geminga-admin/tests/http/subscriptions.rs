//! Subscriptions.

use serde_json::{Value, json};

use crate::server::{Server, with_server};

const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const EARLIEST: &str = r#"{"ledgerId":-1,"entryId":-1,"partitionIndex":-1}"#;
const LATEST: &str =
    r#"{"ledgerId":9223372036854775807,"entryId":9223372036854775807,"partitionIndex":-1}"#;

async fn backlog(server: &Server, subscription: &str) -> Value {
    let stats = server.get(&format!("{TOPIC}/stats")).await.is(200).json();
    stats["subscriptions"][subscription]["msgBacklog"].clone()
}

#[test]
fn a_subscription_begins_where_it_is_told() {
    with_server(async |server| {
        server.publish("t", 5).await;
        let last = server.get(&format!("{TOPIC}/lastMessageId")).await.is(200).json();
        let third = json!({"ledgerId": last["ledgerId"], "entryId": 2, "partitionIndex": -1});
        let bodies = [
            ("none", String::new(), 0),
            ("null", "null".to_owned(), 0),
            ("object", "{}".to_owned(), 0),
            ("latest", LATEST.to_owned(), 0),
            ("earliest", EARLIEST.to_owned(), 5),
            ("word", r#""earliest""#.to_owned(), 5),
        ];
        for (name, body, expected) in bodies {
            let path = format!("{TOPIC}/subscription/{name}");
            server.put(&path, &body).await.is(204);
            server.put(&path, &body).await.is(409);
            assert_eq!(backlog(server, name).await, expected, "{name}");
        }
        server.put(&format!("{TOPIC}/subscription/third"), &third.to_string()).await.is(204);
        let found = backlog(server, "third").await.as_u64().unwrap();
        assert!((2..=3).contains(&found), "{found}");
        let all = server.get(&format!("{TOPIC}/subscriptions")).await.is(200).json();
        assert_eq!(all, json!(["earliest", "latest", "none", "null", "object", "third", "word"]));
        server.put(&format!("{TOPIC}/subscription/bad"), "[1]").await.is(400);
        server.put(&format!("{TOPIC}/subscription/bad"), r#""first""#).await.is(400);
        server.put("/admin/v2/non-persistent/public/default/t/subscription/s", "").await.is(400);
        server.get("/admin/v2/persistent/public/default/none/subscriptions").await.is(404);
    });
}

#[test]
fn a_subscription_survives_an_unload() {
    with_server(async |server| {
        server.put(&format!("{TOPIC}/subscription/s"), EARLIEST).await.is(204);
        server.publish("t", 2).await;
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        assert_eq!(backlog(server, "s").await, 2);
    });
}

#[test]
fn a_subscription_in_use_is_deleted_by_force_only() {
    with_server(async |server| {
        let consumer = server.consumer("t", "s").await;
        let path = format!("{TOPIC}/subscription/s");
        server.delete(&path).await.is(412);
        assert_eq!(backlog(server, "s").await, 0);
        server.delete(&format!("{path}?force=true")).await.is(204);
        assert!(consumer.stats().await.is_err(), "the consumer is still attached");
        assert_eq!(server.get(&format!("{TOPIC}/subscriptions")).await.is(200).json(), json!([]));
        server.delete(&path).await.is(404);
        server.delete("/admin/v2/persistent/public/default/none/subscription/s").await.is(404);
    });
}

#[test]
fn messages_are_skipped() {
    with_server(async |server| {
        server.put(&format!("{TOPIC}/subscription/s"), EARLIEST).await.is(204);
        server.publish("t", 6).await;
        server.post(&format!("{TOPIC}/subscription/s/skip/2"), "").await.is(204);
        assert_eq!(backlog(server, "s").await, 4);
        server.post(&format!("{TOPIC}/subscription/s/skip_all"), "").await.is(204);
        assert_eq!(backlog(server, "s").await, 0);
        server.post(&format!("{TOPIC}/subscription/none/skip_all"), "").await.is(404);
        server.post(&format!("{TOPIC}/subscription/s/skip/x"), "").await.is(412);
        let path = "/admin/v2/non-persistent/public/default/t/subscription/s/skip_all";
        server.post(path, "").await.is(405);
    });
}

#[test]
fn a_partitioned_topic_is_subscribed_as_one() {
    with_server(async |server| {
        server.put(&format!("{TOPIC}/partitions"), "3").await.is(204);
        let path = format!("{TOPIC}/subscription/s");
        server.put(&path, EARLIEST).await.is(204);
        server.put(&path, EARLIEST).await.is(409);
        for index in 0..3 {
            server.publish(&format!("t-partition-{index}"), 2).await;
        }
        let stats = format!("{TOPIC}/partitioned-stats");
        let found = server.get(&stats).await.is(200).json();
        assert_eq!(found["subscriptions"]["s"]["msgBacklog"], 6);
        server.post(&format!("{path}/skip/1"), "").await.is(405);
        server.post(&format!("{path}/skip_all"), "").await.is(204);
        let found = server.get(&stats).await.is(200).json();
        assert_eq!(found["subscriptions"]["s"]["msgBacklog"], 0);
        assert_eq!(
            server.get(&format!("{TOPIC}/subscriptions")).await.is(200).json(),
            json!(["s"])
        );
        server.delete(&path).await.is(204);
        server.delete(&path).await.is(404);
        assert_eq!(server.get(&format!("{TOPIC}/subscriptions")).await.is(200).json(), json!([]));
    });
}

#[test]
fn subscribing_creates_the_topic() {
    with_server(async |server| {
        server.put(&format!("{TOPIC}/subscription/s"), "").await.is(204);
        let topics = server.get("/admin/v2/persistent/public/default").await.is(200).json();
        assert_eq!(topics, json!(["persistent://public/default/t"]));
        server.put("/admin/v2/persistent/public/none/t/subscription/s", "").await.is(404);
    });
}
