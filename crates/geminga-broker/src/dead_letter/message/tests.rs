//! What is published of an entry.

use geminga_wire::{
    batch::BatchBuilder,
    proto::{EncryptionKeys, SingleMessageMetadata},
};

use super::*;

const NAME: &str = "geminga.sourced:dead-letter/t/s";

fn rebuild(
    entry: &Bytes,
    ack_set: Option<&[i64]>,
    messages_max: u32,
) -> (Rebuilt, Vec<(MessageMetadata, Bytes)>) {
    let topic: TopicName = "persistent://public/default/t-partition-3".parse().unwrap();
    let origin = Origin {
        topic: &topic,
        subscription: "s",
        producer_name: NAME,
        schema_version: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9])),
        is_schema_refused: false,
        now_wall_ms: 77,
    };
    let position = Position::new(5, 6);
    let rebuilt = origin.rebuild(Dead { entry, position, ack_set, messages_max }, 100);
    let decoded = rebuilt.publishes.iter().map(|publish| {
        let meta = EntryMeta::parse(&publish.entry).unwrap();
        assert_eq!(publish.sum, Sum::of(&publish.entry));
        assert_eq!((publish.sequence_id, publish.published_at), (meta.sequence_id, 77));
        assert_eq!((publish.messages, publish.key_hash), (meta.messages, meta.key_hash()));
        assert!(
            matches!(publish.identity, Identity::Source(source) if source.position == position)
        );
        let metadata = MessageMetadata::decode(&publish.entry[meta.header.metadata.clone()]);
        (metadata.unwrap(), publish.entry.slice(meta.header.payload..))
    });
    let decoded = decoded.collect();
    (rebuilt, decoded)
}

fn value<'a>(metadata: &'a MessageMetadata, key: &str) -> Option<&'a str> {
    let found: Vec<_> = metadata.properties.iter().filter(|it| it.key == key).collect();
    assert!(found.len() <= 1, "{key} is there twice");
    found.first().map(|found| found.value.as_str())
}

fn metadata() -> MessageMetadata {
    MessageMetadata {
        producer_name: "p".to_owned(),
        sequence_id: 4,
        publish_time: 3,
        schema_version: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 1])),
        ..MessageMetadata::default()
    }
}

/// A batch of so many messages: "m0", "m1" with keys "k0", "k1" and so on.
fn batch(count: u32, compression: Compression) -> (MessageMetadata, Bytes) {
    let mut builder = BatchBuilder::default();
    for index in 0..count {
        let single = SingleMessageMetadata {
            partition_key: Some(format!("k{index}")),
            ordering_key: Some(Bytes::from(format!("o{index}"))),
            event_time: Some(index.into()),
            properties: vec![property("of", &index.to_string())],
            null_value: Some(index == 1),
            ..SingleMessageMetadata::default()
        };
        builder.push(single, format!("m{index}").as_bytes());
    }
    let metadata = MessageMetadata {
        num_messages_in_batch: Some(builder.messages().cast_signed()),
        compression: Some(compression.code()),
        uncompressed_size: Some(u32::try_from(builder.size()).unwrap()),
        ..metadata()
    };
    (metadata, compression.compress(builder.take()).unwrap())
}

#[test]
fn a_message_stays_what_it_was_and_says_where_it_comes_from() {
    let payload = Compression::Lz4.compress(Bytes::from_static(b"payload")).unwrap();
    let before = MessageMetadata {
        properties: vec![property("a", "b")],
        partition_key: Some("k".to_owned()),
        ordering_key: Some(Bytes::from_static(b"o")),
        event_time: Some(12),
        compression: Some(Compression::Lz4.code()),
        uncompressed_size: Some(7),
        deliver_at_time: Some(9),
        replicated_from: Some("elsewhere".to_owned()),
        txnid_least_bits: Some(1),
        txnid_most_bits: Some(1),
        ..metadata()
    };
    let (rebuilt, decoded) = rebuild(&encode_entry(&before, &payload), None, 1);
    assert_eq!(rebuilt.rest(None, 1), None);
    let [(after, published)] = &decoded[..] else { panic!("{decoded:?}") };
    assert_eq!(*published, payload);
    let said: Vec<_> =
        after.properties.iter().map(|it| (it.key.as_str(), it.value.as_str())).collect();
    let expected = [
        ("a", "b"),
        ("REAL_TOPIC", "persistent://public/default/t"),
        ("REAL_SUBSCRIPTION", "s"),
        ("ORIGIN_MESSAGE_IDY_TIME", "5:6:3"),
        ("ORIGIN_MESSAGE_ID", "5:6:3"),
        ("geminga.source-position", "5:6:-1"),
    ];
    assert_eq!(said, expected);
    let expected = MessageMetadata {
        producer_name: NAME.to_owned(),
        sequence_id: 100,
        publish_time: 77,
        properties: after.properties.clone(),
        schema_version: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 9])),
        deliver_at_time: None,
        replicated_from: None,
        txnid_least_bits: None,
        txnid_most_bits: None,
        ..before
    };
    assert_eq!(*after, expected);
}

#[test]
fn what_of_a_batch_is_not_acked_goes_message_by_message() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let (metadata, payload) = batch(70, compression);
        let set = [0b1010, 0b10_0001];
        let (rebuilt, decoded) = rebuild(&encode_entry(&metadata, &payload), Some(&set), 3);
        assert_eq!(rebuilt.indexes.as_deref(), Some(&[1, 3, 64][..]));
        for ((after, published), index) in decoded.iter().zip([1_u32, 3, 64]) {
            assert_eq!(after.partition_key, Some(format!("k{index}")));
            assert_eq!(after.ordering_key, Some(Bytes::from(format!("o{index}"))));
            assert_eq!(after.event_time, Some(index.into()));
            assert_eq!(after.null_value, Some(index == 1));
            assert_eq!(after.num_messages_in_batch, None);
            assert_eq!(after.sequence_id, 100 + u64::from(index));
            assert_eq!(value(after, "of"), Some(index.to_string().as_str()));
            assert_eq!(value(after, ORIGIN_MESSAGE_ID), Some(format!("5:6:3:{index}").as_str()));
            assert_eq!(value(after, SOURCE_POSITION), Some(format!("5:6:{index}").as_str()));
            let size = after.uncompressed_size.unwrap();
            let plain = compression.decompress(published.clone(), size).unwrap();
            assert_eq!(plain, format!("m{index}"));
        }
        assert_eq!(rebuilt.rest(Some(&set), 0).as_deref(), Some(&set[..]));
        assert_eq!(rebuilt.rest(Some(&set), 2).as_deref(), Some(&[0, 0b10_0001][..]));
        assert_eq!(rebuilt.rest(Some(&set), 3).as_deref(), Some(&[0, 0b10_0000][..]));
    }
}

#[test]
fn of_a_whole_batch_nothing_rests() {
    let (metadata, payload) = batch(66, Compression::None);
    let (rebuilt, decoded) = rebuild(&encode_entry(&metadata, &payload), None, 100);
    assert_eq!((decoded.len(), rebuilt.messages), (66, 66));
    assert_eq!(rebuilt.rest(None, 65).as_deref(), Some(&[0, 0b10][..]));
    assert_eq!(rebuilt.rest(None, 66), None);
    for count in [1, 63, 64, 65, 127, 128] {
        let (metadata, payload) = batch(count, Compression::None);
        let (rebuilt, _) = rebuild(&encode_entry(&metadata, &payload), None, count);
        let left = rebuilt.rest(None, count as usize - 1);
        let ones: u32 = left.iter().flatten().map(|word| word.count_ones()).sum();
        assert_eq!(ones, 1, "of {count}");
        assert_eq!(rebuilt.rest(None, count as usize), None, "of {count}");
    }
}

#[test]
fn what_cannot_be_opened_goes_as_it_is_and_says_so() {
    let (mut encrypted, payload) = batch(3, Compression::Lz4);
    encrypted.encryption_keys = vec![EncryptionKeys {
        key: "key".to_owned(),
        value: Bytes::from_static(b"value"),
        metadata: Vec::new(),
    }];
    let (unreadable, _) = batch(3, Compression::Lz4);
    for (metadata, payload, why) in
        [(encrypted, payload, "encrypted"), (unreadable, Bytes::from_static(b"?"), "unreadable")]
    {
        let entry = encode_entry(&metadata, &payload);
        let (rebuilt, decoded) = rebuild(&entry, Some(&[0b101]), 1);
        let [(after, published)] = &decoded[..] else { panic!("{decoded:?}") };
        assert_eq!(*published, payload);
        assert_eq!(after.num_messages_in_batch, Some(3));
        assert_eq!(after.encryption_keys, metadata.encryption_keys);
        assert_eq!((value(after, WHOLE), value(after, ACK_SET)), (Some(why), Some("5")));
        assert_eq!(value(after, SOURCE_POSITION), Some("5:6:-1"));
        assert_eq!(rebuilt.rest(Some(&[0b101]), 1), None);
    }
}

#[test]
fn what_is_no_entry_goes_as_bytes() {
    let (rebuilt, decoded) = rebuild(&Bytes::from_static(b"no entry"), None, 1);
    let [(after, published)] = &decoded[..] else { panic!("{decoded:?}") };
    assert_eq!(published, "no entry");
    assert_eq!((value(after, WHOLE), &after.schema_version), (Some("unreadable"), &None));
    assert_eq!(rebuilt.rest(None, 1), None);
}

/// Goal: who looks for the first topic of a message that has come by others finds it; and a message that
/// dies twice is no duplicate of itself.
#[test]
fn what_came_from_elsewhere_says_so_still() {
    let before = MessageMetadata {
        properties: vec![property(REAL_TOPIC, "first"), property(SOURCE_POSITION, "1:1:-1")],
        ..metadata()
    };
    let (_, decoded) = rebuild(&encode_entry(&before, b"m"), None, 1);
    assert_eq!(value(&decoded[0].0, REAL_TOPIC), Some("first"));
    assert_eq!(value(&decoded[0].0, SOURCE_POSITION), Some("5:6:-1"));
}
