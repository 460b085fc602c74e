use bytes::{BufMut, BytesMut};
use proptest::{option, prelude::*};
use prost::Message;

use super::*;
use crate::{
    frame::TxnId,
    proto::{BrokerEntryMetadata, EncryptionKeys, KeyValue, MessageMetadata},
};

fn metadata() -> MessageMetadata {
    MessageMetadata {
        producer_name: "p".into(),
        sequence_id: 7,
        publish_time: 1_700_000_000_000,
        ..MessageMetadata::default()
    }
}

/// The same entry as it was before checksums, and as the broker keeps it.
fn variants(entry: &Bytes) -> [Bytes; 4] {
    let plain = entry.slice(MAGIC_LEN + SIZE_LEN..);
    let with_broker = |entry: &Bytes| {
        let mut buf = BytesMut::new();
        let metadata = BrokerEntryMetadata { broker_timestamp: Some(5), index: Some(6) };
        encode_broker_entry_metadata(&metadata, &mut buf);
        buf.put_slice(entry);
        buf.freeze()
    };
    [entry.clone(), plain.clone(), with_broker(entry), with_broker(&plain)]
}

#[test]
fn an_entry_has_the_bytes_that_the_protocol_says() {
    let entry = encode_entry(&metadata(), b"payload");
    let encoded = metadata().encode_to_vec();
    assert_eq!(entry[..2], [0x0e, 0x01]);
    assert_eq!(entry[2..6], crc_of(&entry[6..]).to_be_bytes());
    assert_eq!(entry[6..10], u32::try_from(encoded.len()).unwrap().to_be_bytes());
    assert_eq!(entry[10..], [&encoded[..], b"payload"].concat());
}

fn crc_of(bytes: &[u8]) -> u32 {
    Sum::of(bytes).crc()
}

#[test]
fn the_sum_is_that_of_the_whole_entry() {
    for entry in variants(&encode_entry(&metadata(), &[9; 5000])) {
        let checked = EntryHeader::check(&entry).unwrap();
        assert_eq!(checked.sum, Sum::of(&entry));
        assert_eq!(entry[checked.header.payload..], [9; 5000]);
        let read = MessageMetadata::decode(&entry[checked.header.metadata]).unwrap();
        assert_eq!(read, metadata());
    }
}

#[test]
fn every_flipped_bit_under_the_checksum_is_noticed() {
    let entry = encode_entry(&metadata(), b"payload");
    for bit in MAGIC_LEN * 8..entry.len() * 8 {
        let mut bytes = BytesMut::from(&entry[..]);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(EntryHeader::check(&bytes.freeze()).is_err(), "bit {bit}");
    }
}

#[test]
fn a_bad_checksum_names_both() {
    let entry = encode_entry(&metadata(), b"payload");
    let mut bytes = BytesMut::from(&entry[..]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let stated = crc_of(&entry[6..]);
    let found = crc_of(&bytes[6..]);
    let error = EntryHeader::check(&bytes.freeze()).unwrap_err();
    assert_eq!(error, EntryError::Checksum { found, stated });
}

#[test]
fn a_cut_entry_names_the_part_that_is_cut() {
    for entry in variants(&encode_entry(&metadata(), b"")) {
        for size in 0..entry.len() {
            let error = EntryHeader::parse(&entry[..size]).map(|_| ());
            assert!(matches!(error, Err(EntryError::Truncated { size: at, .. }) if at == size));
        }
        assert!(EntryHeader::parse(&entry).is_ok());
    }
    let error = EntryHeader::parse(&[0x0e, 0x02, 0xff, 0xff, 0xff, 0xff]).unwrap_err();
    assert_eq!(error.to_string(), "an entry of 6 bytes ends inside its broker entry metadata");
}

#[test]
fn what_the_broker_noted_is_read() {
    let [_, plain, with_both, with_broker] = variants(&encode_entry(&metadata(), b""));
    for entry in [&with_both, &with_broker] {
        let meta = EntryMeta::parse(entry).unwrap();
        assert_eq!((meta.broker.timestamp, meta.broker.index), (Some(5), Some(6)));
        assert_eq!(meta.sequence_id, 7);
    }
    assert_eq!(with_broker[EntryHeader::parse(&with_broker).unwrap().start..], plain);
    let meta = EntryMeta::parse(&plain).unwrap();
    assert_eq!((meta.broker.timestamp, meta.broker.index), (None, None));
}

#[test]
fn the_brokers_part_has_the_bytes_that_the_protocol_says() {
    let golden = |broker_timestamp, index, bytes: &[u8]| {
        let mut buf = BytesMut::new();
        encode_broker_entry_metadata(&BrokerEntryMetadata { broker_timestamp, index }, &mut buf);
        assert_eq!(buf, bytes);
        assert!(buf.len() <= BROKER_METADATA_LEN_MAX);
        let read = BrokerMeta::parse(&buf).unwrap();
        assert_eq!(read, BrokerMeta { timestamp: broker_timestamp, index });
        buf.put_slice(&encode_entry(&metadata(), b"payload"));
        assert_eq!(BrokerMeta::parse(&buf).unwrap(), read);
        assert_eq!(EntryMeta::parse(&buf).unwrap().broker, read);
        assert_eq!(EntryHeader::parse(&buf).unwrap().start, bytes.len());
    };
    golden(Some(5), None, b"\x0e\x02\0\0\0\x02\x08\x05");
    golden(None, Some(300), b"\x0e\x02\0\0\0\x03\x10\xac\x02");
    golden(
        Some(1_700_000_000_000),
        Some(0),
        b"\x0e\x02\0\0\0\x09\x08\x80\xd0\x95\xff\xbc\x31\x10\0",
    );
    golden(
        Some(u64::MAX),
        Some(u64::MAX),
        &[&b"\x0e\x02\0\0\0\x16\x08"[..], &[0xff; 9], b"\x01\x10", &[0xff; 9], b"\x01"].concat(),
    );
    assert_eq!(BrokerMeta::parse(b"").unwrap(), BrokerMeta::default());
    assert_eq!(BrokerMeta::parse(&encode_entry(&metadata(), b"")).unwrap(), BrokerMeta::default());
    let malformed = EntryError::Malformed { part: "broker entry metadata" };
    assert_eq!(BrokerMeta::parse(b"\x0e\x02\0\0\0\x01\x08").unwrap_err(), malformed);
}

#[test]
fn the_time_is_the_brokers_where_it_noted_one() {
    let [entry, _, noted, _] = variants(&encode_entry(&metadata(), b""));
    assert_eq!(EntryMeta::parse(&entry).unwrap().published_at(), 1_700_000_000_000);
    assert_eq!(EntryMeta::parse(&noted).unwrap().published_at(), 5);
}

#[test]
fn required_fields_are_required() {
    let entry = |metadata: &[u8]| {
        let mut entry = BytesMut::new();
        entry.put_u32(metadata.len().try_into().unwrap());
        entry.put_slice(metadata);
        entry
    };
    let missing = |metadata: &[u8]| EntryMeta::parse(&entry(metadata)).unwrap_err();
    assert_eq!(missing(&[]), EntryError::Missing { field: "producer_name" });
    assert_eq!(missing(&[0x0a, 0]), EntryError::Missing { field: "sequence_id" });
    assert_eq!(missing(&[0x0a, 0, 0x10, 1]), EntryError::Missing { field: "publish_time" });
    assert!(EntryMeta::parse(&entry(&[0x0a, 0, 0x10, 1, 0x18, 1])).is_ok());
    let malformed = EntryError::Malformed { part: "message metadata" };
    assert_eq!(missing(&[0x08, 0]), malformed, "a number where a name should be");
    assert_eq!(missing(&[0x0a]), malformed);
}

#[test]
fn a_batch_claims_no_more_messages_than_can_be() {
    let parse = |messages| {
        let metadata = MessageMetadata { num_messages_in_batch: Some(messages), ..metadata() };
        let entry = encode_entry(&metadata, b"");
        EntryMeta::parse(&entry).map(|meta| (meta.messages, meta.is_batch))
    };
    assert_eq!(parse(1), Ok((1, true)));
    assert_eq!(parse(0), Ok((1, true)));
    assert_eq!(parse(-1), Ok((1, true)));
    assert_eq!(parse(1 << 20), Ok((1 << 20, true)));
    let messages = (1 << 20) + 1;
    let error = EntryError::TooManyMessages { messages };
    assert_eq!(parse(messages.cast_signed()), Err(error));
    assert_eq!(EntryMeta::parse(&encode_entry(&metadata(), b"")).unwrap().messages, 1);
}

#[test]
fn the_key_that_is_hashed() {
    let hash = |metadata: &MessageMetadata| {
        EntryMeta::parse(&encode_entry(metadata, b"")).unwrap().key_hash()
    };
    let mut metadata = metadata();
    assert_eq!(hash(&metadata), key_hash(b"p-7"));
    metadata.sequence_id = u64::MAX;
    assert_eq!(hash(&metadata), key_hash(b"p--1"));
    metadata.partition_key = Some("QQ==".into());
    assert_eq!(hash(&metadata), key_hash(b"QQ=="));
    metadata.partition_key_b64_encoded = Some(true);
    assert_eq!(hash(&metadata), key_hash(b"A"));
    metadata.partition_key = Some("?".into());
    assert_eq!(hash(&metadata), key_hash(b"NONE_KEY"));
    metadata.ordering_key = Some(Bytes::from_static(b"B"));
    assert_eq!(hash(&metadata), key_hash(b"B"));
}

#[test]
fn a_header_of_another_entry_is_refused() {
    let header = EntryHeader::parse(&encode_entry(&metadata(), b"")).unwrap();
    assert!(matches!(EntryMeta::parse_with(header, b"short"), Err(EntryError::Truncated { .. })));
}

prop_compose! {
    fn keys()(
        partition_key in option::of("[a-zA-Z0-9+/=]{0,12}"),
        partition_key_b64_encoded in any::<Option<bool>>(),
        ordering_key in option::of(prop::collection::vec(any::<u8>(), 0..9)),
        null_value in any::<Option<bool>>(),
        schema_version in option::of(prop::collection::vec(any::<u8>(), 0..9)),
        replicated_from in option::of("[a-z]{0,5}"),
    ) -> MessageMetadata {
        MessageMetadata {
            partition_key, partition_key_b64_encoded, null_value, replicated_from,
            ordering_key: ordering_key.map(Bytes::from),
            schema_version: schema_version.map(Bytes::from),
            ..metadata()
        }
    }
}

prop_compose! {
    fn numbers()(
        (deliver_at_time, marker_type) in any::<(Option<i64>, Option<i32>)>(),
        (txnid_least_bits, txnid_most_bits) in any::<(Option<u64>, Option<u64>)>(),
        (chunk_id, num_chunks_from_msg, total_chunk_msg_size) in any::<(Option<i32>, Option<i32>, Option<i32>)>(),
        uuid in option::of("[a-f0-9-]{0,9}"),
        (highest_sequence_id, event_time) in any::<(Option<u64>, Option<u64>)>(),
    ) -> MessageMetadata {
        MessageMetadata {
            deliver_at_time, marker_type, txnid_least_bits, txnid_most_bits, chunk_id,
            num_chunks_from_msg, total_chunk_msg_size, uuid, highest_sequence_id, event_time,
            ..metadata()
        }
    }
}

prop_compose! {
    fn all_metadata()(
        keys in keys(),
        numbers in numbers(),
        producer_name in "\\PC{0,9}",
        (sequence_id, publish_time, uncompressed_size) in any::<(u64, u64, Option<u32>)>(),
        compression in option::of(0..6),
        num_messages_in_batch in option::of(1..2000),
        properties in prop::collection::vec(("[a-z]{0,5}", "\\PC{0,9}"), 0..3),
        encryption_keys in 0_usize..3,
        compacted_batch_indexes in prop::collection::vec(any::<i32>(), 0..3),
    ) -> MessageMetadata {
        let properties = properties.into_iter().map(|(key, value)| KeyValue { key, value });
        MessageMetadata {
            producer_name, sequence_id, publish_time, uncompressed_size, compression,
            num_messages_in_batch, compacted_batch_indexes,
            properties: properties.collect(),
            encryption_keys: vec![EncryptionKeys::default(); encryption_keys],
            partition_key: keys.partition_key,
            partition_key_b64_encoded: keys.partition_key_b64_encoded,
            ordering_key: keys.ordering_key,
            null_value: keys.null_value,
            schema_version: keys.schema_version,
            replicated_from: keys.replicated_from,
            ..numbers
        }
    }
}

fn text(text: Option<&String>) -> Option<&[u8]> {
    text.map(String::as_bytes)
}

proptest! {
    #[test]
    fn agrees_with_the_generated_code(metadata in all_metadata()) {
        let entry = encode_entry(&metadata, b"payload");
        let meta = EntryMeta::parse(&entry).unwrap();
        let expected = EntryMeta {
            header: EntryHeader::parse(&entry).unwrap(),
            producer_name: metadata.producer_name.as_bytes(),
            sequence_id: metadata.sequence_id,
            highest_sequence_id: metadata.highest_sequence_id,
            publish_time: metadata.publish_time,
            event_time: metadata.event_time(),
            deliver_at: metadata.deliver_at_time,
            messages: metadata.num_messages_in_batch().cast_unsigned(),
            is_batch: metadata.num_messages_in_batch.is_some(),
            partition_key: text(metadata.partition_key.as_ref()),
            partition_key_b64_encoded: metadata.partition_key_b64_encoded(),
            ordering_key: metadata.ordering_key.as_deref(),
            txn: metadata
                .txnid_most_bits
                .zip(metadata.txnid_least_bits)
                .map(|(most, least)| TxnId { most, least }),
            marker_type: metadata.marker_type,
            chunk: (metadata.uuid.is_some()
                && metadata.chunk_id.is_some()
                && metadata.num_chunks_from_msg.is_some())
            .then(|| Chunk {
                uuid: metadata.uuid().as_bytes(),
                chunk_id: metadata.chunk_id(),
                num_chunks: metadata.num_chunks_from_msg(),
                total_size: metadata.total_chunk_msg_size(),
            }),
            compression: metadata.compression.unwrap_or(0),
            uncompressed_size: metadata.uncompressed_size(),
            null_value: metadata.null_value(),
            is_encrypted: !metadata.encryption_keys.is_empty(),
            schema_version: metadata.schema_version.as_deref(),
            source_position: None,
            replicated_from: text(metadata.replicated_from.as_ref()),
            broker: BrokerMeta::default(),
        };
        prop_assert_eq!(meta.compression().is_some(), metadata.compression != Some(5));
        prop_assert_eq!(meta, expected);
    }

    #[test]
    fn mutated_bytes_harm_nothing(
        metadata in all_metadata(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let entry = encode_entry(&metadata, b"payload");
        for entry in variants(&entry) {
            let mut bytes = BytesMut::from(&entry[..]);
            for (at, with) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            bytes.truncate(cut.index(bytes.len()) + bytes.len() / 2);
            _ = EntryMeta::parse(&bytes).map(|meta| meta.key_hash());
            _ = EntryHeader::check(&bytes.freeze());
        }
    }

    #[test]
    fn random_bytes_harm_nothing(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        _ = EntryMeta::parse(&bytes).map(|meta| meta.key_hash());
        _ = EntryHeader::check(&bytes.into());
    }
}

#[test]
fn a_source_position_is_found_among_the_properties() {
    let property =
        |key: &str, value: &str| KeyValue { key: key.to_owned(), value: value.to_owned() };
    let mut metadata = MessageMetadata { producer_name: "p".to_owned(), ..metadata() };
    let longer = format!("{SOURCE_POSITION}s");
    metadata.properties = vec![property("a", "b"), property(&longer, "1"), property("", "")];
    assert_eq!(EntryMeta::parse(&encode_entry(&metadata, b"")).unwrap().source_position, None);
    metadata.properties.push(property(SOURCE_POSITION, "7:12:-1"));
    metadata.properties.push(property("z", "y"));
    let entry = encode_entry(&metadata, b"");
    assert_eq!(EntryMeta::parse(&entry).unwrap().source_position, Some(&b"7:12:-1"[..]));
}
