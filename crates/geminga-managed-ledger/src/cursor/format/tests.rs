use proptest::prelude::*;

use super::*;

fn position() -> impl Strategy<Value = Position> {
    (-1..50_i64, -1..1000_i64).prop_map(|(ledger, entry)| Position::new(ledger, entry))
}

fn acked() -> impl Strategy<Value = Vec<(Position, Position)>> {
    prop::collection::vec((position(), position()), 0..20)
}

fn partial() -> impl Strategy<Value = Vec<(Position, Vec<i64>)>> {
    prop::collection::vec((position(), prop::collection::vec(any::<i64>(), 0..4)), 0..5)
}

fn counts() -> impl Strategy<Value = Vec<(Position, u32)>> {
    prop::collection::vec((position(), any::<u32>()), 0..5)
}

fn records() -> impl Strategy<Value = Vec<(Bytes, Option<Bytes>)>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
    prop::collection::vec((bytes(), prop::option::of(bytes())), 0..5)
}

fn decode_parts(parts: &[Bytes]) -> CursorState {
    let mut whole = CursorState::at(Position::EARLIEST);
    for (index, bytes) in parts.iter().enumerate() {
        let LogEntry::Snapshot { part, is_last, mut state } = decode(bytes).unwrap() else {
            panic!("not a snapshot")
        };
        assert_eq!(part, index as u64);
        assert_eq!(is_last, index == parts.len() - 1);
        if index == 0 {
            whole = state;
        } else {
            whole.acked.append(&mut state.acked);
            whole.partial.append(&mut state.partial);
            whole.redelivery_counts.append(&mut state.redelivery_counts);
            whole.records.append(&mut state.records);
        }
    }
    whole
}

proptest! {
    #[test]
    fn a_delta_is_read_back(mark_delete in prop::option::of(position()), acked in acked(), partial in partial(), redelivery_counts in counts(), reset: bool) {
        let records = Vec::new();
        let delta = CursorDelta { mark_delete, acked, partial, redelivery_counts, records, reset };
        let entries = encode_delta(&delta);
        prop_assert_eq!(entries.len(), 1);
        prop_assert_eq!(entries[0][0], VERSION_WITHOUT_RECORDS);
        prop_assert_eq!(decode(&entries[0]), Ok(LogEntry::Delta(delta)));
    }

    #[test]
    fn a_delta_with_records_is_read_back(mark_delete in prop::option::of(position()), records in records()) {
        let delta = CursorDelta { mark_delete, records, ..CursorDelta::default() };
        let entries = encode_delta(&delta);
        prop_assert_eq!(entries.len(), 1);
        prop_assert_eq!(decode(&entries[0]), Ok(LogEntry::Delta(delta)));
    }

    #[test]
    fn a_snapshot_is_read_back(mark_delete in position(), acked in acked(), partial in partial(), redelivery_counts in counts(), number: i64, text: String, records in records()) {
        let records = records.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let properties = [(text.clone(), number)].into();
        let cursor_properties = [("a".to_owned(), text)].into();
        let state = CursorState { mark_delete, acked, partial, redelivery_counts, properties, cursor_properties, records };
        prop_assert_eq!(decode_parts(&encode_snapshot(&state)), state);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, version in 1..=VERSION, kind in 1..3_u8) {
        _ = decode(&bytes);
        _ = decode(&[&[version, kind], bytes.as_slice()].concat());
    }
}

#[test]
fn a_large_state_is_cut_into_parts_of_bounded_size() {
    let range = |n: i64| (Position::new(n * 7, i64::MAX - n), Position::new(n * 7, i64::MAX));
    let state = CursorState {
        acked: (0..30_000).map(range).collect(),
        partial: (0..500).map(|n| (Position::new(n, n), vec![-1; 300])).collect(),
        redelivery_counts: (0..50_000).map(|n| (Position::new(n, i64::MAX - n), 3)).collect(),
        ..CursorState::at(Position::new(3, 4))
    };
    let parts = encode_snapshot(&state);
    assert!(2 < parts.len());
    assert!(parts.iter().all(|part| part.len() < ITEMS_BYTES_MAX + 64));
    assert_eq!(decode_parts(&parts), state);

    let one_huge = CursorState {
        partial: vec![(Position::new(1, 1), vec![-1; 100_000]); 2],
        ..CursorState::at(Position::new(1, 0))
    };
    assert_eq!(decode_parts(&encode_snapshot(&one_huge)), one_huge);

    let counts =
        CursorDelta { redelivery_counts: state.redelivery_counts, ..CursorDelta::default() };
    let parts = encode_delta(&counts);
    assert!(1 < parts.len());
    let read = parts.iter().map(|part| match decode(part).unwrap() {
        LogEntry::Delta(delta) => delta.redelivery_counts,
        LogEntry::Snapshot { .. } => panic!("not a delta"),
    });
    assert_eq!(read.flatten().collect::<Vec<_>>(), counts.redelivery_counts);
}

#[test]
fn the_bytes_are_as_documented() {
    let delta = CursorDelta {
        mark_delete: Some(Position::new(3, 5)),
        acked: vec![(Position::new(3, 7), Position::new(3, 9))],
        partial: vec![(Position::new(4, 0), vec![2])],
        redelivery_counts: vec![(Position::new(4, 0), 3)],
        reset: true,
        records: Vec::new(),
    };
    let expected: &[u8] = &[
        2, 2, 3, // version, kind, flags
        6, 10, // mark-delete 3:5
        1, 0, 4, 0, 4, // one range: 3:7 to 3:9
        1, 2, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, // 4:0, one word
        1, 0, 0, 3, // 4:0, asked for again three times
    ];
    assert_eq!(encode_delta(&delta), [expected]);

    let mut state = CursorState::at(Position::new(1, -1));
    state.properties.insert("p".to_owned(), -1);
    state.cursor_properties.insert("c".to_owned(), "d".to_owned());
    let expected: &[u8] = &[
        2, 1, 0, 1, // version, kind, part, flags
        2, 1, // mark-delete 1:-1
        1, 1, b'p', 1, // one property
        1, 1, b'c', 1, b'd', // one property of the cursor
        0, 0, 0, // nothing behind
    ];
    assert_eq!(encode_snapshot(&state), [expected]);
}

#[test]
fn entries_of_version_1_are_read() {
    let delta: &[u8] = &[
        1, 2, 3, // version, kind, flags
        6, 10, // mark-delete 3:5
        1, 0, 4, 0, 4, // one range: 3:7 to 3:9
        1, 2, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, // 4:0, one word
    ];
    let expected = CursorDelta {
        mark_delete: Some(Position::new(3, 5)),
        acked: vec![(Position::new(3, 7), Position::new(3, 9))],
        partial: vec![(Position::new(4, 0), vec![2])],
        reset: true,
        ..CursorDelta::default()
    };
    assert_eq!(decode(delta), Ok(LogEntry::Delta(expected)));

    let snapshot: &[u8] = &[
        1, 1, 0, 1, // version, kind, part, flags
        2, 1, // mark-delete 1:-1
        1, 1, b'p', 1, // one property
        1, 1, b'c', 1, b'd', // one property of the cursor
        1, 0, 6, 0, 2, // one range: 1:2 to 1:3
        0, // nothing acked in part
    ];
    let state = CursorState {
        acked: vec![(Position::new(1, 2), Position::new(1, 3))],
        properties: [("p".to_owned(), -1)].into(),
        cursor_properties: [("c".to_owned(), "d".to_owned())].into(),
        ..CursorState::at(Position::new(1, -1))
    };
    assert_eq!(decode(snapshot), Ok(LogEntry::Snapshot { part: 0, is_last: true, state }));
    // What version 2 has more is no part of version 1.
    assert!(decode(&[delta, &[1, 0, 0, 3]].concat()).is_err());
}

#[test]
fn a_newer_version_says_so_and_a_damaged_entry_too() {
    assert_eq!(decode(&[4, 1]), Err(FormatError::Newer(4)));
    assert!(matches!(decode(&[1, 9]), Err(FormatError::Malformed(_))));
    assert!(matches!(decode(&[]), Err(FormatError::Malformed(_))));
    let whole = encode_delta(&CursorDelta::default());
    assert!(decode(&[&whole[0][..], &[0]].concat()).is_err());
}

#[test]
fn an_entry_with_records_is_stable() {
    let key = |text: &'static str| Bytes::from_static(text.as_bytes());
    let delta = CursorDelta {
        mark_delete: Some(Position::new(3, 5)),
        records: vec![(key("a"), Some(key("xy"))), (key("b"), None)],
        ..CursorDelta::default()
    };
    let entries = encode_delta(&delta);
    let expected =
        [&[3, 2, 2, 6, 10, 0, 0, 0, 2, 1][..], b"a", &[1, 2], b"xy", &[1], b"b", &[0]].concat();
    assert_eq!(entries, [expected]);
    let damaged = [3, 2, 0, 0, 0, 0, 1, 1, b'a', 2];
    assert!(matches!(decode(&damaged), Err(FormatError::Malformed(_))));
}

#[test]
fn the_mark_delete_position_comes_with_the_last_of_many_records() {
    let record = |number: u32| (Bytes::from(number.to_string()), Some(Bytes::from(vec![0; 300])));
    let mark_delete = Some(Position::new(1, 2));
    let range = (Position::new(1, 4), Position::new(1, 4));
    let acked = vec![range];
    let records: Vec<_> = (0..10_000).map(record).collect();
    let delta = CursorDelta { mark_delete, acked, records, ..CursorDelta::default() };
    let entries = encode_delta(&delta);
    assert!(3 < entries.len());
    assert!(entries.iter().all(|entry| entry.len() < ITEMS_BYTES_MAX + 64));
    let (mut records, mut has_mark_delete) = (Vec::new(), false);
    for entry in &entries {
        let LogEntry::Delta(part) = decode(entry).unwrap() else { panic!("not a delta") };
        assert!(!has_mark_delete || part.records.is_empty());
        has_mark_delete |= part.mark_delete.is_some();
        records.extend(part.records);
    }
    assert!(has_mark_delete);
    assert_eq!(records, delta.records);

    let records = delta.records.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let state = CursorState { records: records.collect(), ..CursorState::at(Position::new(1, 2)) };
    let parts = encode_snapshot(&state);
    assert!(3 < parts.len());
    assert_eq!(decode_parts(&parts), state);
}
