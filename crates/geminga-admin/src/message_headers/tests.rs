use bytes::Bytes;
use geminga_types::Position;
use geminga_wire::{
    entry::BrokerMeta,
    proto::{EncryptionKeys, KeyValue},
};

use super::*;

fn headers(metadata: MessageMetadata, broker: BrokerMeta) -> Vec<(String, String)> {
    let message = StoredMessage {
        position: Position::new(7, 3),
        broker,
        metadata,
        size: 55,
        payload: Bytes::new(),
    };
    let text = |(name, value): (HeaderName, HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8(value.as_bytes().to_vec()).unwrap())
    };
    of(&message).into_iter().map(text).collect()
}

#[track_caller]
fn assert_headers(found: &[(String, String)], expected: &str) {
    let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_there_has_no_header() {
    let metadata = MessageMetadata {
        producer_name: "p".to_owned(),
        sequence_id: 4,
        publish_time: 1_500,
        ..MessageMetadata::default()
    };
    let expected = "
        x-pulsar-message-id: 7:3
        x-pulsar-publish-time: 1970-01-01T00:00:01.500Z
        x-pulsar-is-encrypted: false
        x-pulsar-producer-name: p
        x-pulsar-sequence-id: 4
        x-pulsar-txn-uncommitted: false";
    assert_headers(&headers(metadata, BrokerMeta::default()), expected);
}

fn full() -> MessageMetadata {
    let property = |key: &str, value: &str| KeyValue { key: key.into(), value: value.into() };
    MessageMetadata {
        producer_name: "p".to_owned(),
        sequence_id: 4,
        publish_time: 0,
        properties: vec![property("a", "1"), property("b", "\u{1f600}\r\n"), property("a", "2")],
        replicated_from: Some("west".to_owned()),
        partition_key: Some("key".to_owned()),
        replicate_to: vec!["east".to_owned(), "north".to_owned()],
        compression: Some(3),
        uncompressed_size: Some(90),
        num_messages_in_batch: Some(2),
        event_time: Some(1),
        encryption_keys: vec![EncryptionKeys { key: "k".into(), ..EncryptionKeys::default() }],
        encryption_algo: Some("AES".to_owned()),
        encryption_param: Some(vec![1, 2].into()),
        schema_version: Some(vec![0, 9].into()),
        partition_key_b64_encoded: Some(false),
        ordering_key: Some(vec![255].into()),
        deliver_at_time: Some(2),
        marker_type: Some(21),
        txnid_least_bits: Some(5),
        txnid_most_bits: Some(6),
        highest_sequence_id: Some(8),
        null_value: Some(true),
        uuid: Some("u".to_owned()),
        num_chunks_from_msg: Some(3),
        total_chunk_msg_size: Some(100),
        chunk_id: Some(1),
        null_partition_key: Some(false),
        ..MessageMetadata::default()
    }
}

#[test]
fn everything_has_its_header() {
    let metadata = full();
    let broker = BrokerMeta { timestamp: Some(3), index: Some(12) };
    let expected = r#"
        x-pulsar-message-id: 7:3
        x-pulsar-property: {"a":"2","b":"\ud83d\ude00\r\n"}
        x-pulsar-broker-entry-metadata-timestamp: 1970-01-01T00:00:00.003Z
        x-pulsar-broker-entry-metadata-index: 12
        x-pulsar-publish-time: 1970-01-01T00:00:00.000Z
        x-pulsar-event-time: 1970-01-01T00:00:00.001Z
        x-pulsar-deliver-at-time: 1970-01-01T00:00:00.002Z
        x-pulsar-num-batch-message: 2
        x-pulsar-batch-size: 55
        x-pulsar-null-value: true
        x-pulsar-is-encrypted: true
        x-pulsar-producer-name: p
        x-pulsar-sequence-id: 4
        x-pulsar-highest-sequence-id: 8
        x-pulsar-partition-key: key
        x-pulsar-partition-key-b64-encoded: false
        x-pulsar-null-partition-key: false
        x-pulsar-base64-ordering-key: /w==
        x-pulsar-replicated-from: west
        x-pulsar-replicated-to: east
        x-pulsar-replicated-to: north
        x-pulsar-compression: ZSTD
        x-pulsar-uncompressed-size: 90
        x-pulsar-encryption-algo: AES
        x-pulsar-base64-encryption-keys: CgFrEgA=
        x-pulsar-base64-encryption-param: AQI=
        x-pulsar-base64-schema-version: AAk=
        x-pulsar-property-total-chunks: 3
        x-pulsar-property-chunk-id: 1
        x-pulsar-num-chunks-from-msg: 3
        x-pulsar-uuid: u
        x-pulsar-total-chunk-msg-size: 100
        x-pulsar-chunk-id: 1
        x-pulsar-marker-type: 21
        x-pulsar-txnid-least-bits: 5
        x-pulsar-txnid-most-bits: 6
        x-pulsar-txn-uncommitted: false"#;
    assert_headers(&headers(metadata, broker), expected);
}

#[test]
fn what_a_header_cannot_hold_has_none() {
    let metadata = MessageMetadata {
        producer_name: "p\r\nX-Evil: 1".to_owned(),
        partition_key: Some("line\nbreak".to_owned()),
        ..MessageMetadata::default()
    };
    let found = headers(metadata, BrokerMeta::default());
    assert!(found.iter().all(|(name, _)| name != "x-pulsar-partition-key"), "{found:?}");
    assert!(found.iter().all(|(name, _)| name != "x-pulsar-producer-name"), "{found:?}");
}
