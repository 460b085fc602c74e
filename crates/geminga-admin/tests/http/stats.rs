//! What is told of a topic on request only, and what is stored of it.

use std::collections::VecDeque;

use geminga_broker::{AckId, AckKind, AckRequest, Outgoing};
use serde_json::{Value, json};

use crate::server::{Server, with_server};

const DEFAULT: &str = "/admin/v2/persistent/public/default";
const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const EARLIEST: &str = r#""earliest""#;

async fn stats(server: &Server, query: &str) -> Value {
    server.get(&format!("{TOPIC}/stats?{query}")).await.is(200).json()
}

#[test]
fn the_bytes_of_a_backlog_are_told_unless_they_are_not_wanted() {
    with_server(async |server| {
        for name in ["s", "behind"] {
            server.put(&format!("{TOPIC}/subscription/{name}"), EARLIEST).await.is(204);
        }
        server.publish("t", 4).await;
        server.post(&format!("{TOPIC}/subscription/s/skip/3"), "").await.is(204);
        let with = stats(server, "").await;
        let all = with["storageSize"].as_u64().unwrap();
        assert_eq!(with["subscriptions"]["behind"]["backlogSize"], all);
        assert_eq!(with["subscriptions"]["s"]["backlogSize"], all / 4);
        let without = stats(server, "subscriptionBacklogSize=false").await;
        assert_eq!(without["subscriptions"]["s"]["backlogSize"], -1);
    });
}

#[test]
fn the_age_of_a_backlog_is_told_if_it_is_wanted() {
    with_server(async |server| {
        for name in ["s", "behind", "done"] {
            server.put(&format!("{TOPIC}/subscription/{name}"), EARLIEST).await.is(204);
        }
        server.publish("t", 4).await;
        server.post(&format!("{TOPIC}/subscription/s/skip/2"), "").await.is(204);
        server.post(&format!("{TOPIC}/subscription/done/skip_all"), "").await.is(204);
        let times = |stats: &Value| {
            let of = |name: &str| {
                stats["subscriptions"][name]["earliestMsgPublishTimeInBacklog"].as_u64().unwrap()
            };
            (of("s"), of("behind"), of("done"), stats["earliestMsgPublishTimeInBacklogs"].clone())
        };
        assert_eq!(times(&stats(server, "").await), (0, 0, 0, json!(0)));
        let found = stats(server, "getEarliestTimeInBacklog=true").await;
        assert_eq!(times(&found), (1_002, 1_000, 0, json!(1_000)));
    });
}

#[test]
fn producers_and_consumers_are_left_out_if_they_are_not_wanted() {
    with_server(async |server| {
        let (_producer, _outbox) = server.producer("t").await;
        let _consumer = server.consumer("t", "s").await;
        let all = stats(server, "").await;
        assert_eq!(all["publishers"].as_array().unwrap().len(), 1);
        assert_eq!(all["subscriptions"]["s"]["consumers"].as_array().unwrap().len(), 1);
        let less = stats(server, "excludePublishers=true&excludeConsumers=true").await;
        assert_eq!(less["publishers"], json!([]));
        assert_eq!(less["subscriptions"]["s"]["consumers"], json!([]));
    });
}

#[test]
fn partitions_add_up_what_is_asked_for() {
    with_server(async |server| {
        server.put(&format!("{DEFAULT}/p/partitions"), "3").await.is(204);
        server.put(&format!("{DEFAULT}/p/subscription/s"), EARLIEST).await.is(204);
        server.publish("p-partition-1", 3).await;
        server.publish("p-partition-2", 3).await;
        let skip = format!("{DEFAULT}/p-partition-2/subscription/s/skip/1");
        server.post(&skip, "").await.is(204);
        let path = format!("{DEFAULT}/p/partitioned-stats");
        let get = async |query: &str| {
            let found = server.get(&format!("{path}?{query}")).await.is(200).json();
            (found["subscriptions"]["s"].clone(), found["storageSize"].as_u64().unwrap())
        };
        let (found, all) = get("getEarliestTimeInBacklog=true").await;
        assert_eq!(found["backlogSize"], all * 5 / 6);
        assert_eq!(found["earliestMsgPublishTimeInBacklog"], 1_000);
        let (found, _) = get("subscriptionBacklogSize=false").await;
        assert_eq!(found["backlogSize"], -1);
        assert_eq!(found["earliestMsgPublishTimeInBacklog"], 0);
    });
}

/// What is delivered, and acked, is told with its rate and its time; so is what expires.
const TIMES: [&str; 4] = [
    "lastConsumedFlowTimestamp",
    "lastConsumedTimestamp",
    "lastAckedTimestamp",
    "lastMarkDeleteAdvancedTimestamp",
];

/// Takes one message of a subscription, acks it, and waits until that is durable.
async fn consume_one(server: &Server, topic: &str) {
    let (consumer, outbox) = server.consumer_with_outbox(topic, "s").await;
    consumer.flow(1).await;
    let mut items = VecDeque::new();
    let mut next = async || {
        while items.is_empty() {
            assert!(outbox.take(&mut items).await);
        }
        items.pop_front()
    };
    let Some(Outgoing::Messages { messages, .. }) = next().await else { panic!("no messages") };
    let position = messages[0].position;
    let ids = vec![AckId { position, ack_set: None, batch_size: None }];
    consumer.ack(AckRequest { kind: AckKind::Individual, ids, request_id: Some(1) }).await;
    let answer = next().await;
    assert!(matches!(answer, Some(Outgoing::AckDone { .. })), "{answer:?}");
    consumer.close().await;
}

/// Goal: acks, expiry and their times are told, and of partitions together the rates add up and each
/// time is the last one of any.
/// Method: of one partition a message is consumed, of the other two expire; either may be first.
#[test]
fn what_a_subscription_did_is_told_of_partitions_and_of_all() {
    with_server(async |server| {
        for (name, consumed, expired) in [("p", 0, 1), ("q", 1, 0)] {
            let part = |index: usize| format!("{name}-partition-{index}");
            let path = |index: usize| format!("{DEFAULT}/{}/subscription/s", part(index));
            server.put(&format!("{DEFAULT}/{name}/partitions"), "2").await.is(204);
            server.put(&format!("{DEFAULT}/{name}/subscription/s"), EARLIEST).await.is(204);
            let before = server.broker.env().clock.wall().0;
            for index in 0..2 {
                server.publish_aged(&part(index), &[600, 500, 0]).await;
            }
            consume_one(server, &part(consumed)).await;
            server.post(&format!("{}/expireMessages/300", path(expired)), "").await.is(204);
            let after = server.broker.env().clock.wall().0;
            let all = server.get(&format!("{DEFAULT}/{name}/partitioned-stats")).await.is(200);
            let all = all.json();
            let of = |index: usize| {
                let part = format!("persistent://public/default/{}", part(index));
                all["partitions"][part]["subscriptions"]["s"].clone()
            };
            let time = |of: &Value, key: &str| of[key].as_u64().unwrap();
            let is_now = |found: u64| before <= found + 1 && found <= after;
            let total = &all["subscriptions"]["s"];
            let (consumed, expired) = (of(consumed), of(expired));
            for key in TIMES {
                assert!(is_now(time(&consumed, key)), "{key}: {before} {consumed} {after}");
                let last = time(&consumed, key).max(time(&expired, key));
                assert_eq!(time(total, key), last, "{name} {key}");
            }
            assert_eq!(time(&consumed, "lastExpireTimestamp"), 0);
            assert!(is_now(time(&expired, "lastExpireTimestamp")), "{expired}");
            assert_eq!(time(&expired, "lastAckedTimestamp"), 0, "expiry is no ack");
            assert_eq!(total["lastExpireTimestamp"], expired["lastExpireTimestamp"]);
            assert!(0.0 < consumed["messageAckRate"].as_f64().unwrap(), "{consumed}");
            assert!(0.0 < expired["msgRateExpired"].as_f64().unwrap(), "{expired}");
            for key in ["messageAckRate", "msgRateExpired"] {
                let sum = consumed[key].as_f64().unwrap() + expired[key].as_f64().unwrap();
                assert_eq!(total[key].as_f64(), Some(sum), "{key}");
            }
            let counts = [&consumed, &expired, total].map(|of| of["totalMsgExpired"].clone());
            assert_eq!(counts, [json!(0), json!(2), json!(2)]);
        }
    });
}

#[test]
fn what_is_stored_of_a_topic_is_told() {
    with_server(async |server| {
        server.put(TOPIC, r#"{"k":"v"}"#).await.is(204);
        server.put(&format!("{TOPIC}/subscription/s"), EARLIEST).await.is(204);
        server.publish("t", 3).await;
        server.put(&format!("{TOPIC}/unload"), "").await.is(204);
        server.publish("t", 2).await;
        let info = server.get(&format!("{TOPIC}/internal-info")).await.is(200).json();
        assert_eq!(info["properties"]["k"], "v");
        let ledgers = info["ledgers"].as_array().unwrap();
        assert_eq!(ledgers.len(), 2);
        assert_eq!(ledgers[0]["entries"], 3);
        assert!(0 < ledgers[0]["size"].as_u64().unwrap());
        assert_eq!(ledgers[1]["entries"], Value::Null, "it is open");
        let mark_delete = &info["cursors"]["s"]["markDelete"];
        assert_eq!(mark_delete, &json!({"ledgerId": ledgers[0]["ledgerId"], "entryId": -1}));
        assert_eq!(info["terminatedPosition"], Value::Null);
        let last = server.post(&format!("{TOPIC}/terminate"), "").await.is(200).json();
        let info = server.get(&format!("{TOPIC}/internal-info")).await.is(200).json();
        let expected = json!({"ledgerId": last["ledgerId"], "entryId": last["entryId"]});
        assert_eq!(info["terminatedPosition"], expected);
        server.put(&format!("{DEFAULT}/p/partitions"), "2").await.is(204);
        let info = server.get(&format!("{DEFAULT}/p/internal-info")).await.is(200).json();
        let names: Vec<&String> = info["partitions"].as_object().unwrap().keys().collect();
        let expected = ["p-partition-0", "p-partition-1"];
        assert_eq!(
            names,
            expected.map(|name| format!("persistent://public/default/{name}")).each_ref()
        );
        server.get(&format!("{DEFAULT}/none/internal-info")).await.is(404);
        server.get("/admin/v2/non-persistent/public/default/t/internal-info").await.is(405);
    });
}
