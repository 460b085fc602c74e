use geminga_types::Position;
use geminga_wire::{
    batch::BatchBuilder,
    entry::encode_entry,
    proto::{EncryptionKeys, SingleMessageMetadata},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

fn metadata() -> MessageMetadata {
    MessageMetadata {
        producer_name: "p".to_owned(),
        sequence_id: 7,
        publish_time: 1_000,
        ..MessageMetadata::default()
    }
}

fn delivery(entry: Bytes, ack_set: &[i64]) -> Delivery {
    let message_id = Position::new(3, 4).into();
    Delivery { message_id, redelivery_count: 2, ack_set: ack_set.to_vec(), entry }
}

fn unpacked(delivery: &Delivery) -> Result<Unpacked, Unreadable> {
    let topic = "persistent://public/default/t".into();
    unpack(delivery, Source { topic: &topic, partition: Some(1) })
}

fn batch_of(payloads: &[&str], compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::default();
    for (sequence_id, payload) in (7..).zip(payloads) {
        let single = SingleMessageMetadata {
            sequence_id: Some(sequence_id),
            partition_key: Some(format!("key {payload}")),
            compacted_out: Some(payload.is_empty()),
            ..SingleMessageMetadata::default()
        };
        builder.push(single, payload.as_bytes());
    }
    let metadata = MessageMetadata {
        num_messages_in_batch: Some(i32::try_from(payloads.len()).unwrap()),
        compression: Some(compression.code()),
        uncompressed_size: Some(u32::try_from(builder.size()).unwrap()),
        ..metadata()
    };
    encode_entry(&metadata, &compression.compress(builder.take()).unwrap())
}

fn texts(unpacked: &Unpacked) -> Vec<&str> {
    unpacked.messages.iter().map(|m| str::from_utf8(&m.payload).unwrap()).collect()
}

#[test]
fn a_single_message_is_what_was_sent() {
    let sent = MessageMetadata {
        properties: vec![KeyValue { key: "k".to_owned(), value: "v".to_owned() }],
        partition_key: Some("key".to_owned()),
        event_time: Some(5),
        ..metadata()
    };
    let unpacked = unpacked(&delivery(encode_entry(&sent, b"hello"), &[])).unwrap();
    assert_eq!(texts(&unpacked), ["hello"]);
    let message = &unpacked.messages[0];
    assert_eq!(message.id.to_string(), "3:4:1");
    assert_eq!(message.properties, [("k".to_owned(), "v".to_owned())]);
    assert_eq!((message.key.as_deref(), message.event_time), (Some("key"), Some(Timestamp(5))));
    assert_eq!((message.redelivery_count, message.sequence_id), (2, 7));
}

#[test]
fn batches_come_apart() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let entry = batch_of(&["a", "b", "", "d"], compression);
        let all = unpacked(&delivery(entry.clone(), &[])).unwrap();
        assert_eq!((texts(&all), all.skipped), (vec!["a", "b", "d"], 1));
        let ids: Vec<String> = all.messages.iter().map(|m| m.id.to_string()).collect();
        assert_eq!(ids, ["3:4:1:0", "3:4:1:1", "3:4:1:3"]);
        assert_eq!(all.messages[1].key.as_deref(), Some("key b"));
        assert_eq!(all.messages[2].sequence_id, 10);
        let rest = unpacked(&delivery(entry, &[0b1001])).unwrap();
        assert_eq!((texts(&rest), rest.skipped), (vec!["a", "d"], 0));
    }
}

#[test]
fn what_cant_be_read_says_why_and_costs_what_it_cost() {
    let mut broken = batch_of(&["a", "b"], Compression::None).to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let encrypted =
        MessageMetadata { encryption_keys: vec![EncryptionKeys::default()], ..metadata() };
    let chunk = MessageMetadata { num_chunks_from_msg: Some(2), ..metadata() };
    let unknown = MessageMetadata { compression: Some(9), ..metadata() };
    let negative = MessageMetadata { num_messages_in_batch: Some(-1), ..metadata() };
    let short = MessageMetadata { num_messages_in_batch: Some(3), ..metadata() };
    let cases: [(Bytes, &str, u32); 7] = [
        (broken.into(), "checksum", 1),
        (Bytes::new(), "ends inside", 1),
        (encode_entry(&encrypted, b"x"), "encrypted", 1),
        (encode_entry(&chunk, b"x"), "chunk", 1),
        (encode_entry(&unknown, b"x"), "compression (9)", 1),
        (encode_entry(&negative, b"x"), "batch size", 1),
        (encode_entry(&short, b"x"), "ends inside message 0", 3),
    ];
    for (entry, reason, messages) in cases {
        let unreadable = unpacked(&delivery(entry, &[])).unwrap_err();
        assert!(unreadable.reason.contains(reason), "{unreadable:?}");
        assert_eq!(unreadable.messages, messages, "{unreadable:?}");
    }
    let marker = MessageMetadata { marker_type: Some(1), ..metadata() };
    let marker = unpacked(&delivery(encode_entry(&marker, b"x"), &[])).unwrap();
    assert_eq!((marker.messages.len(), marker.skipped), (0, 1));
}

#[test]
fn changed_bytes_never_panic() {
    let entries = [
        batch_of(&["a", "b", "", "d"], Compression::None),
        batch_of(&["a", "b", "c"], Compression::Snappy),
        encode_entry(&metadata(), b"hello"),
    ];
    for seed in 0..2_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        // Without its checksum, so that what is behind it is reached.
        let mut entry = entries[rng.random_range(0..entries.len())][6..].to_vec();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..entry.len());
            entry[at] = rng.random();
        }
        entry.truncate(rng.random_range(0..=entry.len()));
        let ack_set: Vec<i64> = (0..rng.random_range(0..3)).map(|_| rng.random()).collect();
        if let Ok(unpacked) = unpacked(&delivery(entry.into(), &ack_set)) {
            assert!(unpacked.messages.len() < 100, "seed {seed}");
        }
    }
}
