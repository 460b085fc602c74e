//! Looking at messages.

use geminga_wire::{
    batch::BatchBuilder,
    proto::{KeyValue, MessageMetadata, SingleMessageMetadata},
};
use serde_json::json;

use crate::server::{Answer, Server, publish_of, with_server};

const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const EARLIEST: &str = r#"{"ledgerId":-1,"entryId":-1,"partitionIndex":-1}"#;

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let mut lines = answer.head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The entry that an answer is about.
fn entry(answer: &Answer) -> i64 {
    let id = header(answer, "x-pulsar-message-id").unwrap();
    id.split_once(':').unwrap().1.parse().unwrap()
}

async fn ledger(server: &Server) -> i64 {
    let last = server.get(&format!("{TOPIC}/lastMessageId")).await.is(200).json();
    last["ledgerId"].as_i64().unwrap()
}

#[test]
fn a_backlog_is_peeked_at() {
    with_server(async |server| {
        server.put(&format!("{TOPIC}/subscription/s"), EARLIEST).await.is(204);
        server.publish("t", 5).await;
        let path = format!("{TOPIC}/subscription/s/position");
        let first = server.get(&format!("{path}/1")).await.is(200);
        assert_eq!((entry(&first), first.body.as_str()), (0, "hello"));
        assert_eq!(header(&first, "x-pulsar-producer-name"), Some("p"));
        assert_eq!(header(&first, "x-pulsar-publish-time"), Some("1970-01-01t00:00:01.000z"));
        server.post(&format!("{TOPIC}/subscription/s/skip/2"), "").await.is(204);
        assert_eq!(entry(&server.get(&format!("{path}/1")).await.is(200)), 2);
        assert_eq!(entry(&server.get(&format!("{path}/3")).await.is(200)), 4);
        server.get(&format!("{path}/4")).await.is(404);
        server.get(&format!("{path}/18446744073709551615")).await.is(404);
        server.get(&format!("{path}/0")).await.is(412);
        server.get(&format!("{path}/first")).await.is(412);
        server.get(&format!("{TOPIC}/subscription/none/position/1")).await.is(404);
    });
}

#[test]
fn a_message_is_found_by_its_id() {
    with_server(async |server| {
        server.publish("t", 3).await;
        let ledger = ledger(server).await;
        let path = |ledger: i64, entry: i64| format!("{TOPIC}/ledger/{ledger}/entry/{entry}");
        let found = server.get(&path(ledger, 1)).await.is(200);
        assert_eq!((entry(&found), found.body.as_str()), (1, "hello"));
        assert_eq!(header(&found, "x-pulsar-sequence-id"), Some("1"));
        for (ledger, entry) in [(ledger, 3), (ledger, -1), (ledger + 1, 0), (ledger - 1, 0)] {
            server.get(&path(ledger, entry)).await.is(404);
        }
        server.get(&format!("{TOPIC}/ledger/x/entry/0")).await.is(412);
    });
}

#[test]
fn messages_are_counted_from_both_ends() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        server.get(&format!("{TOPIC}/examinemessage")).await.is(404);
        server.publish("t", 4).await;
        let cases = [
            ("", 3),
            ("?initialPosition=latest&messagePosition=1", 3),
            ("?initialPosition=latest&messagePosition=4", 0),
            ("?initialPosition=earliest&messagePosition=1", 0),
            ("?initialPosition=earliest&messagePosition=-7", 0),
            ("?initialPosition=earliest&messagePosition=3", 2),
        ];
        for (query, expected) in cases {
            let found = server.get(&format!("{TOPIC}/examinemessage{query}")).await.is(200);
            assert_eq!(entry(&found), expected, "{query}");
        }
        for from in ["latest", "earliest"] {
            let query = format!("?initialPosition={from}&messagePosition=5");
            server.get(&format!("{TOPIC}/examinemessage{query}")).await.is(404);
        }
        server.get(&format!("{TOPIC}/examinemessage?messagePosition=x")).await.is(412);
    });
}

#[test]
fn a_message_id_is_found_by_its_time() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        server.get(&format!("{TOPIC}/messageid/0")).await.is(204);
        server.publish("t", 4).await;
        let ledger = ledger(server).await;
        for (time, expected) in [(-5, 0), (0, 0), (1_000, 0), (1_002, 2), (1_003, 3), (1_004, 4)] {
            let found = server.get(&format!("{TOPIC}/messageid/{time}")).await.is(200).json();
            let expected = json!({"ledgerId": ledger, "entryId": expected, "partitionIndex": -1});
            assert_eq!(found, expected, "{time}");
        }
        server.get(&format!("{TOPIC}/messageid/now")).await.is(412);
    });
}

/// Goal: a batch comes as clients decode it, whatever it was compressed with.
/// Method: one compressed batch; its plain bytes are compared.
#[test]
fn a_batch_comes_decompressed() {
    with_server(async |server| {
        let mut batch = BatchBuilder::default();
        for text in ["one", "two"] {
            batch.push(SingleMessageMetadata::default(), text.as_bytes());
        }
        let plain = batch.take();
        let packed = geminga_compression::Compression::Lz4.compress(plain.clone()).unwrap();
        let metadata = MessageMetadata {
            producer_name: "p".to_owned(),
            publish_time: 1,
            compression: Some(1),
            uncompressed_size: Some(u32::try_from(plain.len()).unwrap()),
            num_messages_in_batch: Some(2),
            properties: vec![KeyValue { key: "k\u{e9}y".to_owned(), value: "a\nb".to_owned() }],
            ..MessageMetadata::default()
        };
        let cut = MessageMetadata { uncompressed_size: Some(3), ..metadata.clone() };
        let huge = MessageMetadata { uncompressed_size: Some(u32::MAX), ..metadata.clone() };
        let all = [&metadata, &cut, &huge].map(|metadata| publish_of(metadata, &packed));
        server.publish_all("t", all.into()).await;
        let from_first = |nth: u32| {
            format!("{TOPIC}/examinemessage?initialPosition=earliest&messagePosition={nth}")
        };
        let found = server.get(&from_first(1)).await.is(200);
        assert_eq!(found.body.as_bytes(), &*plain);
        assert_eq!(header(&found, "x-pulsar-num-batch-message"), Some("2"));
        assert_eq!(header(&found, "x-pulsar-compression"), Some("lz4"));
        let properties = header(&found, "x-pulsar-property").unwrap();
        assert_eq!(properties, r#"{"k\u00e9y":"a\nb"}"#);
        let request =
            format!("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", from_first(1));
        let raw = String::from_utf8_lossy(&server.raw(request.as_bytes()).await).into_owned();
        assert!(raw.contains("\r\nX-Pulsar-PROPERTY: {"), "the Java client looks for this: {raw}");
        server.get(&from_first(2)).await.is(500);
        server.get(&from_first(3)).await.is(500);
    });
}

#[test]
fn only_what_is_stored_is_looked_at() {
    with_server(async |server| {
        server.put("/admin/v2/persistent/public/default/p/partitions", "2").await.is(204);
        server.publish("p-partition-1", 1).await;
        let last = "messageid/0 ledger/0/entry/0 examinemessage subscription/s/position/1";
        for what in last.split(' ') {
            server.get(&format!("/admin/v2/persistent/public/default/none/{what}")).await.is(404);
            server.get(&format!("/admin/v2/persistent/public/default/p/{what}")).await.is(405);
            let path = format!("/admin/v2/non-persistent/public/default/t/{what}");
            server.get(&path).await.is(405);
        }
        let part = "/admin/v2/persistent/public/default/p-partition-1";
        server.get(&format!("{part}/examinemessage")).await.is(200);
        let found = server.get(&format!("{part}/messageid/0")).await.is(200).json();
        assert_eq!(found["partitionIndex"], 1);
    });
}
