use std::io::Write;

use proptest::prelude::*;

use super::*;

fn compressed(compression: CompressionType, plain: &[u8]) -> Bytes {
    let size = i32::try_from(plain.len()).unwrap();
    let header =
        CompressionHeader { compression_type: compression.into(), uncompressed_size: size };
    let header = header.encode_to_vec();
    let body = match compression {
        CompressionType::None => plain.to_vec(),
        CompressionType::Lz4 => lz4_flex::block::compress(plain),
        CompressionType::Snappy => snap::raw::Encoder::new().compress_vec(plain).unwrap(),
        CompressionType::Zstd => zstd::encode_all(plain, 3).unwrap(),
        CompressionType::Zlib => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
    };
    let mut bytes = MAGIC.to_be_bytes().to_vec();
    bytes.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
    bytes.extend(header);
    bytes.extend(body);
    bytes.into()
}

fn position() -> impl Strategy<Value = NestedPositionInfo> {
    (any::<i64>(), any::<i64>())
        .prop_map(|(ledger_id, entry_id)| NestedPositionInfo { ledger_id, entry_id })
}

fn ledger_info() -> impl Strategy<Value = LedgerInfo> {
    (any::<i64>(), any::<Option<i64>>(), any::<Option<i64>>()).prop_map(
        |(ledger_id, entries, timestamp)| LedgerInfo {
            ledger_id,
            entries,
            size: entries,
            timestamp,
            offload_context: timestamp.map(|at| OffloadContext {
                uid_msb: Some(at),
                complete: Some(true),
                ..OffloadContext::default()
            }),
            properties: vec![KeyValue { key: "k".to_owned(), value: "v".to_owned() }],
        },
    )
}

fn managed_ledger() -> impl Strategy<Value = ManagedLedgerInfo> {
    let properties = proptest::collection::btree_map(".{0,8}", ".{0,8}", 0..4);
    (proptest::collection::vec(ledger_info(), 0..6), proptest::option::of(position()), properties)
        .prop_map(|(ledger_info, terminated_position, properties)| ManagedLedgerInfo {
            ledger_info,
            terminated_position,
            properties: properties
                .into_iter()
                .map(|(key, value)| KeyValue { key, value })
                .collect(),
        })
}

fn managed_cursor() -> impl Strategy<Value = ManagedCursorInfo> {
    let ranges = proptest::collection::vec((position(), position()), 0..5);
    (any::<i64>(), ranges, any::<Option<i64>>(), proptest::collection::vec(any::<i64>(), 0..5))
        .prop_map(|(cursors_ledger_id, ranges, last_active, words)| ManagedCursorInfo {
            cursors_ledger_id,
            mark_delete_ledger_id: last_active,
            mark_delete_entry_id: Some(-1),
            batched_entry_deletion_index_info: ranges
                .iter()
                .map(|(position, _)| BatchedEntryDeletionIndexInfo {
                    position: *position,
                    delete_set: words.clone(),
                })
                .collect(),
            individual_deleted_messages: ranges
                .into_iter()
                .map(|(lower_endpoint, upper_endpoint)| MessageRange {
                    lower_endpoint,
                    upper_endpoint,
                })
                .collect(),
            properties: vec![LongProperty { name: "p".to_owned(), value: 1 }],
            last_active,
            cursor_properties: vec![],
        })
}

const ALL: [CompressionType; 5] = [
    CompressionType::None,
    CompressionType::Lz4,
    CompressionType::Zlib,
    CompressionType::Zstd,
    CompressionType::Snappy,
];

proptest! {
    #[test]
    fn ledgers_come_back_plain_and_compressed(info in managed_ledger()) {
        let plain = encode(&info);
        prop_assert_eq!(&decode_ledger(plain.clone()).unwrap(), &info);
        for compression in ALL {
            prop_assert_eq!(&decode_ledger(compressed(compression, &plain)).unwrap(), &info);
        }
    }

    #[test]
    fn cursors_come_back_plain_and_compressed(info in managed_cursor()) {
        let plain = encode(&info);
        prop_assert_eq!(&decode_cursor(plain.clone()).unwrap(), &info);
        for compression in ALL {
            prop_assert_eq!(&decode_cursor(compressed(compression, &plain)).unwrap(), &info);
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, with_magic: bool, compression in 0..5_usize, size in 0..300_i32) {
        let mut all = Vec::new();
        if with_magic {
            let kind = ALL[compression].into();
            let header = CompressionHeader { compression_type: kind, uncompressed_size: size };
            let header = header.encode_to_vec();
            all.extend(MAGIC.to_be_bytes());
            all.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
            all.extend(header);
        }
        all.extend(bytes);
        let all = Bytes::from(all);
        let _ = decode_ledger(all.clone());
        let _ = decode_cursor(all.clone());
        let _ = decode_position(all);
    }
}

#[test]
fn a_plain_ledger_has_pulsars_bytes() {
    let info = ManagedLedgerInfo {
        ledger_info: vec![LedgerInfo { ledger_id: 3, entries: Some(5), ..LedgerInfo::default() }],
        ..ManagedLedgerInfo::default()
    };
    // Field 1, 4 bytes: field 1 = 3, field 2 = 5.
    assert_eq!(encode(&info).as_ref(), [0x0a, 4, 0x08, 3, 0x10, 5]);
}

#[test]
fn a_header_that_lies_is_an_error() {
    let plain = encode(&ManagedCursorInfo { cursors_ledger_id: -1, ..Default::default() });
    for compression in ALL {
        let good = compressed(compression, &plain);
        for cut in 0..good.len() {
            assert!(decode_cursor(good.slice(..cut)).is_err() || cut == 0, "{compression:?} {cut}");
        }
        for size in [-1, 0, 1, i32::MAX] {
            let header =
                CompressionHeader { compression_type: compression.into(), uncompressed_size: size };
            let header = header.encode_to_vec();
            let mut bytes = MAGIC.to_be_bytes().to_vec();
            bytes.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
            bytes.extend(header);
            bytes.extend(&compressed(compression, &plain)[10..]);
            assert!(decode_cursor(bytes.into()).is_err(), "{compression:?} {size}");
        }
    }
}
