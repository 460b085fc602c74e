//! Cursors that are moved.

use std::collections::VecDeque;

use geminga_broker::Outgoing;
use geminga_wire::proto::MessageMetadata;
use serde_json::{Value, json};

use crate::server::{Server, publish_of, with_server};

const DEFAULT: &str = "/admin/v2/persistent/public/default";
const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const SUB: &str = "/admin/v2/persistent/public/default/t/subscription/s";
const EARLIEST: &str = r#""earliest""#;

async fn backlog_of(server: &Server, subscription: &str) -> Value {
    let stats = server.get(&format!("{TOPIC}/stats")).await.is(200).json();
    stats["subscriptions"][subscription]["msgBacklog"].clone()
}

async fn backlog(server: &Server) -> Value {
    backlog_of(server, "s").await
}

async fn ledger(server: &Server) -> i64 {
    let last = server.get(&format!("{TOPIC}/lastMessageId")).await.is(200).json();
    last["ledgerId"].as_i64().unwrap()
}

fn at(ledger: i64, entry: i64, is_excluded: bool) -> String {
    let position = json!({
        "ledgerId": ledger, "entryId": entry, "partitionIndex": -1, "batchIndex": -1,
        "properties": null, "excluded": is_excluded,
    });
    position.to_string()
}

/// Messages that say to be so many seconds old.
#[test]
fn a_cursor_is_reset_to_a_time() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        server.publish("t", 5).await;
        let consumer = server.consumer("t", "s").await;
        server.post(&format!("{SUB}/skip_all"), "").await.is(204);
        server.post(&format!("{SUB}/resetcursor/1002"), "").await.is(204);
        assert_eq!(backlog(server).await, 3);
        assert!(consumer.stats().await.is_err(), "the consumer is still attached");
        for (time, expected) in [("0", 5), ("9999", 0), ("-4", 5), ("1004", 1)] {
            server.post(&format!("{SUB}/resetcursor/{time}"), "").await.is(204);
            assert_eq!(backlog(server).await, expected, "{time}");
        }
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        assert_eq!(backlog(server).await, 1);
        server.post(&format!("{SUB}/resetcursor/now"), "").await.is(412);
    });
}

#[test]
fn a_cursor_is_reset_to_a_position() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        server.publish("t", 5).await;
        let ledger = ledger(server).await;
        let cases = [
            (at(ledger, 2, false), 3),
            (at(ledger, 2, true), 2),
            (at(ledger, 4, true), 0),
            (at(-1, -1, false), 5),
            (at(i64::MAX, i64::MAX, false), 0),
            (at(ledger - 1, 7, false), 5),
            (at(i64::MAX, i64::MAX, true), 0),
            (EARLIEST.to_owned(), 5),
            (r#""latest""#.to_owned(), 0),
        ];
        for (body, expected) in cases {
            server.post(&format!("{SUB}/resetcursor"), &body).await.is(204);
            assert_eq!(backlog(server).await, expected, "{body}");
        }
        for bad in ["", "null", "{}", r#""first""#] {
            server.post(&format!("{SUB}/resetcursor"), bad).await.is(400);
        }
    });
}

/// Goal: a reset into a batch delivers the rest of it.
/// Method: a consumer is sent the batch, with what is left of it.
#[test]
fn a_cursor_is_reset_into_a_batch() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        let metadata = MessageMetadata {
            producer_name: "p".to_owned(),
            num_messages_in_batch: Some(3),
            ..MessageMetadata::default()
        };
        let mut batch = publish_of(&metadata, b"three");
        batch.messages = 3;
        server.publish_all("t", vec![batch]).await;
        let ledger = ledger(server).await;
        let left: [(i32, bool, Option<i64>); 5] = [
            (0, false, None),
            (1, false, Some(0b110)),
            (1, true, Some(0b100)),
            (0, true, Some(0b110)),
            (9, false, Some(0)),
        ];
        for (index, is_excluded, expected) in left {
            let body = json!({
                "ledgerId": ledger, "entryId": 0, "batchIndex": index, "isExcluded": is_excluded,
            });
            server.post(&format!("{SUB}/resetcursor"), &body.to_string()).await.is(204);
            if expected == Some(0) {
                assert_eq!(backlog(server).await, 0);
                continue;
            }
            let (consumer, outbox) = server.consumer_with_outbox("t", "s").await;
            consumer.flow(3).await;
            let mut items = VecDeque::new();
            assert!(outbox.take(&mut items).await);
            let Some(Outgoing::Messages { messages, .. }) = items.pop_front() else {
                panic!("{items:?}")
            };
            let found = messages[0].ack_set.as_ref().map(|words| words[0]);
            assert_eq!(found, expected, "{body}");
        }
    });
}

#[test]
fn messages_expire_by_their_age() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        server.publish_aged("t", &[600, 500, 400, 10, 0]).await;
        let expire = |seconds: i64| format!("{SUB}/expireMessages/{seconds}");
        for (seconds, expected) in [(0, 5), (700, 5), (450, 3), (300, 2)] {
            server.post(&expire(seconds), "").await.is(204);
            assert_eq!(backlog(server).await, expected, "{seconds}");
        }
        let _consumer = server.consumer("t", "s").await;
        server.post(&expire(300), "").await.is(409);
        server.post(&expire(5), "").await.is(204);
        assert_eq!(backlog(server).await, 1);
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        assert_eq!(backlog(server).await, 1);
        server.post(&format!("{SUB}/skip_all"), "").await.is(204);
        server.post(&expire(5), "").await.is(409);
        server.post(&expire(-1), "").await.is(412);
        server.post(&format!("{SUB}/expireMessages/old"), "").await.is(412);
    });
}

#[test]
fn messages_expire_up_to_a_position() {
    with_server(async |server| {
        server.put(SUB, EARLIEST).await.is(204);
        let path = format!("{SUB}/expireMessages");
        server.post(&path, &at(-1, -1, false)).await.is(204);
        server.publish("t", 6).await;
        let ledger = ledger(server).await;
        server.post(&path, &at(ledger, 1, false)).await.is(204);
        assert_eq!(backlog(server).await, 4);
        server.post(&path, &at(ledger, 2, true)).await.is(204);
        assert_eq!(backlog(server).await, 2);
        server.post(&path, &at(ledger, 1, false)).await.is(204);
        assert_eq!(backlog(server).await, 2, "nothing comes back");
        server.post(&path, &at(ledger, 6, false)).await.is(409);
        server.post(&path, &at(ledger, 5, true)).await.is(409);
        server.post(&path, &at(ledger, 5, false).replace("-1,\"prop", "0,\"prop")).await.is(412);
        server.post(&path, "").await.is(400);
        server.post(&path, &at(ledger, 5, false)).await.is(204);
        assert_eq!(backlog(server).await, 0);
    });
}

#[test]
fn messages_expire_on_all_subscriptions() {
    with_server(async |server| {
        for name in ["a", "b", "c"] {
            server.put(&format!("{TOPIC}/subscription/{name}"), EARLIEST).await.is(204);
        }
        server.publish_aged("t", &[600, 500, 0]).await;
        let path = format!("{TOPIC}/all_subscription/expireMessages");
        server.post(&format!("{path}/550"), "").await.is(204);
        assert_eq!(backlog_of(server, "a").await, 2);
        server.post(&format!("{TOPIC}/subscription/b/skip_all"), "").await.is(204);
        server.post(&format!("{path}/300"), "").await.is(409);
        for (name, expected) in [("a", 1), ("b", 0), ("c", 1)] {
            assert_eq!(backlog_of(server, name).await, expected, "{name}");
        }
    });
}

#[test]
fn a_partitioned_topic_is_reset_and_expired_as_one() {
    with_server(async |server| {
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        server.put(&format!("{DEFAULT}/p/subscription/s"), EARLIEST).await.is(204);
        let backlog = async || {
            let stats = server.get(&format!("{DEFAULT}/p/partitioned-stats")).await.is(200).json();
            stats["subscriptions"]["s"]["msgBacklog"].clone()
        };
        for index in 0..2 {
            server.publish(&format!("p-partition-{index}"), 4).await;
        }
        let sub = format!("{DEFAULT}/p/subscription/s");
        server.post(&format!("{sub}/resetcursor/1003"), "").await.is(204);
        assert_eq!(backlog().await, 2);
        server.post(&format!("{sub}/resetcursor/1000"), "").await.is(204);
        server.post(&format!("{sub}/resetcursor"), EARLIEST).await.is(405);
        server.post(&format!("{sub}/expireMessages"), &at(1, 1, false)).await.is(405);
        let part = format!("{DEFAULT}/p-partition-1/subscription/s");
        server.post(&format!("{part}/expireMessages/1"), "").await.is(204);
        assert_eq!(backlog().await, 4);
        server.post(&format!("{part}/resetcursor"), EARLIEST).await.is(204);
        assert_eq!(backlog().await, 8);
        server.post(&format!("{DEFAULT}/p/all_subscription/expireMessages/1"), "").await.is(204);
        assert_eq!(backlog().await, 0);
        server.post(&format!("{sub}/expireMessages/1"), "").await.is(409);
    });
}

#[test]
fn a_cursor_that_is_not_there_is_not_moved() {
    with_server(async |server| {
        server.publish("t", 1).await;
        server.put(&format!("{DEFAULT}/p/partitions"), "1").await.is(204);
        let somewhere = at(1, 1, false);
        let all = [
            ("resetcursor/5", ""),
            ("resetcursor", EARLIEST),
            ("expireMessages/5", ""),
            ("expireMessages", somewhere.as_str()),
        ];
        for (what, body) in all {
            server.post(&format!("{TOPIC}/subscription/none/{what}"), body).await.is(404);
            server.post(&format!("{DEFAULT}/none/subscription/s/{what}"), body).await.is(404);
            let path = format!("/admin/v2/non-persistent/public/default/t/subscription/s/{what}");
            server.post(&path, body).await.is(405);
        }
        for what in ["resetcursor/5", "expireMessages/5"] {
            server.post(&format!("{DEFAULT}/p/subscription/none/{what}"), "").await.is(404);
        }
        let path = "all_subscription/expireMessages/5";
        server.post(&format!("{DEFAULT}/none/{path}"), "").await.is(404);
        server.post(&format!("/admin/v2/non-persistent/public/default/t/{path}"), "").await.is(405);
    });
}
