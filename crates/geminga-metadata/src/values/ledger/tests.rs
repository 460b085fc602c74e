use proptest::prelude::*;

use super::*;

fn example() -> LedgerMetadata {
    LedgerMetadata {
        ensemble_size: 1,
        write_quorum: 1,
        ack_quorum: 1,
        state: LedgerState::Open,
        ensembles: BTreeMap::from([(EntryId(0), vec!["b:1".to_owned()])]),
        digest_type: Some(DigestType::Crc32c),
        password: Bytes::new(),
        created_ms: None,
        custom: BTreeMap::new(),
        creation_token: None,
    }
}

fn metadata() -> impl Strategy<Value = LedgerMetadata> {
    let sizes = (1..4_u32, 0..3_u32, 0..3_u32);
    let state = prop_oneof![
        Just(LedgerState::Open),
        Just(LedgerState::InRecovery),
        (-1..i64::MAX, 0..i64::MAX as u64)
            .prop_map(|(last, length)| LedgerState::Closed { last_entry: EntryId(last), length }),
    ];
    let digest = prop_oneof![
        Just(DigestType::Crc32),
        Just(DigestType::Hmac),
        Just(DigestType::Crc32c),
        Just(DigestType::Dummy)
    ];
    let firsts = proptest::collection::btree_set(1..i64::MAX, 0..4);
    let custom = proptest::collection::btree_map(".{0,6}", any::<Vec<u8>>(), 0..4);
    let rest = (any::<Option<i64>>(), any::<Option<i64>>(), any::<Vec<u8>>());
    (sizes, state, proptest::option::of(digest), firsts, custom, rest).prop_map(
        |((qa, more_w, more_e), state, digest_type, firsts, custom, rest)| {
            let ensemble_size = qa + more_w + more_e;
            let bookies: Vec<_> = (0..ensemble_size).map(|i| format!("bookie-{i}:3181")).collect();
            LedgerMetadata {
                ensemble_size,
                write_quorum: qa + more_w,
                ack_quorum: qa,
                state,
                ensembles: firsts
                    .into_iter()
                    .chain([0])
                    .map(|first| (EntryId(first), bookies.clone()))
                    .collect(),
                digest_type,
                password: rest.2.into(),
                created_ms: rest.0,
                custom: custom.into_iter().map(|(key, value)| (key, value.into())).collect(),
                creation_token: rest.1,
            }
        },
    )
}

proptest! {
    #[test]
    fn it_comes_back(metadata in metadata()) {
        prop_assert_eq!(LedgerMetadata::decode(&metadata.encode()).unwrap(), metadata);
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, cut in 0..40_usize) {
        let _ = LedgerMetadata::decode(&Bytes::from(bytes.clone()));
        let mut damaged = example().encode().to_vec();
        damaged.truncate(cut.max(damaged.len().saturating_sub(cut)));
        damaged.extend(bytes);
        let _ = LedgerMetadata::decode(&damaged.into());
    }
}

#[test]
fn the_bytes_are_bookkeepers() {
    let bytes = example().encode();
    let body: &[u8] = &[
        0x08, 1, // Qw
        0x10, 1, // E
        0x18, 0, // length
        0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, // last entry: -1
        0x28, 1, // open
        0x32, 7, 0x0a, 3, b'b', b':', b'1', 0x10, 0, // one segment
        0x38, 3, // CRC32C
        0x42, 0, // no password
        0x48, 1, // Qa
    ];
    let len = [u8::try_from(body.len()).unwrap()];
    let expected = [b"BookieMetadataFormatVersion\t3\n", len.as_slice(), body];
    assert_eq!(bytes.as_ref(), expected.concat());
}

#[test]
fn other_formats_are_named() {
    for version in ["1", "2", "4", "x"] {
        let bytes = Bytes::from(format!("BookieMetadataFormatVersion\t{version}\nrest"));
        let error = LedgerMetadata::decode(&bytes).unwrap_err();
        assert!(matches!(error, InvalidValue::UnknownFormat { .. }), "{error}");
        assert!(error.to_string().contains(version));
    }
}

#[test]
fn broken_invariants_are_refused() {
    type Spoil = fn(&mut LedgerMetadata);
    let spoils: [Spoil; 7] = [
        |metadata| metadata.ack_quorum = 0,
        |metadata| metadata.ack_quorum = 2,
        |metadata| metadata.write_quorum = 2,
        |metadata| metadata.ensemble_size = 65,
        |metadata| metadata.ensembles.clear(),
        |metadata| {
            metadata.ensembles.insert(EntryId(5), vec![]);
        },
        |metadata| {
            metadata.state = LedgerState::Closed { last_entry: EntryId(-2), length: 0 };
        },
    ];
    for (index, spoil) in spoils.iter().enumerate() {
        let mut metadata = example();
        spoil(&mut metadata);
        assert!(LedgerMetadata::decode(&metadata.encode()).is_err(), "spoil {index}");
    }
}

#[test]
fn an_entry_is_in_the_last_ensemble_that_began() {
    let mut metadata = example();
    metadata.ensembles.insert(EntryId(10), vec!["c:1".to_owned()]);
    let first = |entry| metadata.ensemble_at(EntryId(entry)).map(|(first, _)| first.0);
    assert_eq!([first(0), first(9), first(10), first(99)], [Some(0), Some(0), Some(10), Some(10)]);
    assert_eq!(first(-1), None);
}
