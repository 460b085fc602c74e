use geminga_types::Position;

use super::*;
use crate::{Chunk, Sequence, SourcePosition, WINDOW};

mod model;

fn now() -> Instant {
    geminga_env::Env::system().clock.now()
}

fn dedup(producers_max: usize) -> Dedup {
    judging(Options { producers_max, ..Options::default() })
}

fn judging(options: Options) -> Dedup {
    let mut dedup = Dedup::new(options);
    dedup.judge_sequences(Some(Position::EARLIEST));
    dedup.note_recorded();
    dedup
}

fn mark_of(dedup: &Dedup, name: &[u8]) -> Option<u64> {
    dedup.last_sequence_id(name)
}

const fn at(entry: i64) -> Position {
    Position::new(1, entry)
}

const fn single(id: u64) -> Identity {
    Identity::Sequence(Sequence::of(id))
}

const fn source(entry: i64) -> Identity {
    Identity::Source(SourcePosition { position: Position::new(1, entry), batch_index: -1 })
}

/// Sends it, which must be fresh, and has it stored.
fn store(dedup: &mut Dedup, name: &[u8], identity: &Identity, now: Instant) {
    match dedup.judge(name, identity, now) {
        Verdict::Fresh(Some(ticket)) => dedup.on_stored(ticket),
        other => panic!("{other:?}"),
    }
}

/// What a crash leaves: records only.
fn reloaded(dedup: &Dedup, now: Instant) -> Dedup {
    let mut found = Dedup::new(dedup.options);
    for (key, value) in dedup.all_records() {
        found.load(&key, &value, now).unwrap();
    }
    found
}

#[test]
fn a_send_is_fresh_then_in_flight_then_stored() {
    let (mut dedup, now) = (dedup(10), now());
    assert_eq!(dedup.last_sequence_id(b"a"), None);
    let Verdict::Fresh(Some(ticket)) = dedup.judge(b"a", &single(5), now) else { panic!() };
    assert_eq!(dedup.judge(b"a", &single(5), now), Verdict::InFlight);
    assert_eq!(dedup.judge(b"a", &single(3), now), Verdict::InFlight);
    assert!(dedup.is_in_flight(b"a") && !dedup.is_stored(b"a", &single(5)));
    assert_eq!(dedup.last_sequence_id(b"a"), Some(5));
    dedup.on_stored(ticket);
    assert!(!dedup.is_in_flight(b"a") && dedup.is_stored(b"a", &single(5)));
    assert_eq!(dedup.judge(b"a", &single(5), now), Verdict::Stored);
    assert!(matches!(dedup.judge(b"b", &single(5), now), Verdict::Fresh(Some(_))));
    // Gaps mean nothing.
    store(&mut dedup, b"a", &single(1_000), now);
    assert_eq!(dedup.judge(b"a", &single(999), now), Verdict::Stored);
}

#[test]
fn what_failed_was_never_sent() {
    let (mut dedup, now) = (dedup(10), now());
    store(&mut dedup, b"a", &single(1), now);
    let Verdict::Fresh(Some(first)) = dedup.judge(b"a", &single(2), now) else { panic!() };
    let Verdict::Fresh(Some(second)) = dedup.judge(b"a", &single(3), now) else { panic!() };
    dedup.on_failed(first);
    dedup.on_failed(second);
    assert_eq!(dedup.last_sequence_id(b"a"), Some(1));
    store(&mut dedup, b"a", &single(2), now);
    store(&mut dedup, b"a", &single(3), now);
}

#[test]
fn a_batch_that_is_stored_in_part_is_neither_fresh_nor_stored() {
    let (mut dedup, now) = (dedup(10), now());
    store(&mut dedup, b"a", &Identity::Sequence(Sequence::batch(0, 9)), now);
    assert_eq!(
        dedup.judge(b"a", &Identity::Sequence(Sequence::batch(5, 12)), now),
        Verdict::Across
    );
    assert_eq!(dedup.judge(b"a", &Identity::Sequence(Sequence::batch(5, 9)), now), Verdict::Stored);
    store(&mut dedup, b"a", &Identity::Sequence(Sequence::batch(10, 12)), now);
}

#[test]
fn records_hold_marks_parts_and_windows() {
    let (mut dedup, now) = (dedup(10), now());
    let part = |id| {
        Identity::Sequence(Sequence { chunk: Some(Chunk::new(id, 3, b"u", 9)), ..Sequence::of(4) })
    };
    store(&mut dedup, b"whole", &single(7), now);
    store(&mut dedup, b"part", &part(0), now);
    store(&mut dedup, b"part", &part(1), now);
    store(&mut dedup, b"sources", &source(9), now);
    store(&mut dedup, b"sources", &source(2), now);
    let mut found = reloaded(&dedup, now);
    assert_eq!(found.names(), 3);
    assert_eq!(found.judge(b"whole", &single(7), now), Verdict::Stored);
    assert_eq!(found.judge(b"part", &part(1), now), Verdict::Stored);
    store(&mut found, b"part", &part(2), now);
    assert_eq!(found.judge(b"sources", &source(9), now), Verdict::Stored);
    store(&mut found, b"sources", &source(1), now);
    assert_eq!(found.last_sequence_id(b"sources"), None);
}

#[test]
fn records_are_stable() {
    let (mut dedup, now) = (dedup(10), now());
    store(&mut dedup, b"a", &single(0x0102), now);
    let chunk = Some(Chunk { id: 1, count: 3, message: 0x0a0b });
    store(&mut dedup, b"b", &Identity::Sequence(Sequence { chunk, ..Sequence::of(3) }), now);
    store(&mut dedup, b"c", &source(5), now);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let all = dedup.all_records();
    let all: Vec<_> = all.iter().map(|(key, value)| (hex(key), hex(value))).collect();
    let expected = [
        ("0161", "010000000000000102"),
        ("0162", "010000000000000003000000010000000000000a0b"),
        ("0263", "0100000000000000010000000000000005ffffffff"),
        ("03", "01ffffffffffffffffffffffffffffffff"),
    ];
    assert_eq!(all, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn damaged_and_newer_records_are_refused() {
    let (mut dedup, now) = (dedup(10), now());
    let mark = [1, 0, 0, 0, 0, 0, 0, 0, 9];
    assert_eq!(dedup.load(&[1, b'a'], &mark, now), Ok(()));
    assert_eq!(dedup.load(&[1, b'a'], &[2], now), Err(RecordError::Newer(2)));
    for (key, value) in [
        (&[][..], &mark[..]),
        (&[3, b'a'], &mark),
        (&[1, b'a'], &[]),
        (&[1, b'a'], &[0]),
        (&[1, b'a'], &mark[..8]),
        (&[1, b'a'], &[1; 22]),
        (&[2, b'a'], &mark),
    ] {
        let error = dedup.load(key, value, now).unwrap_err();
        assert!(matches!(error, RecordError::Malformed(_)), "{key:?} {value:?}");
    }
}

#[test]
fn the_oldest_source_of_a_full_window_goes() {
    let (mut dedup, now) = (Dedup::new(Options::default()), now());
    let window = i64::try_from(WINDOW).unwrap();
    (0..window).for_each(|entry| store(&mut dedup, b"a", &source(-entry), now));
    assert_eq!(dedup.judge(b"a", &source(0), now), Verdict::Stored);
    store(&mut dedup, b"a", &source(window), now);
    assert!(!dedup.is_stored(b"a", &source(0)));
    assert!(dedup.is_stored(b"a", &source(-1)) && dedup.is_stored(b"a", &source(window)));
    let mut found = reloaded(&dedup, now);
    assert!(!found.is_stored(b"a", &source(0)) && found.is_stored(b"a", &source(-1)));
    // In the order of storing also after a reload.
    store(&mut found, b"a", &source(7_000), now);
    assert!(!found.is_stored(b"a", &source(-1)) && found.is_stored(b"a", &source(-2)));
}

#[test]
fn without_judging_sequences_only_sources_count() {
    let (mut dedup, now) = (Dedup::new(Options::default()), now());
    assert!(dedup.is_idle());
    assert_eq!(dedup.judge(b"a", &single(1), now), Verdict::Fresh(None));
    assert_eq!(dedup.names(), 0);
    store(&mut dedup, b"a", &source(1), now);
    assert!(!dedup.is_idle());
    dedup.judge_sequences(Some(at(7)));
    store(&mut dedup, b"a", &single(1), now);
    let (key, marker) = (Bytes::from_static(b"\x01a"), Bytes::from_static(b"\x03"));
    assert!(!dedup.is_recorded() && dedup.has_urgent_changes());
    let changes = dedup.take_changes();
    assert!(changes.records.iter().any(|change| change.key == key && change.value.is_some()));
    assert!(changes.records.last().is_some_and(|change| change.key == marker));
    assert!(!dedup.is_recorded() && !dedup.has_urgent_changes());
    dedup.on_durable(changes.number);
    assert!(dedup.is_recorded());
    assert_eq!(reloaded(&dedup, now).judging(), Some(at(7)));

    dedup.judge_sequences(None);
    assert!(dedup.has_urgent_changes() && dedup.is_going(b"a"));
    assert_eq!(reloaded(&dedup, now).judging(), None);
    let changes = dedup.take_changes();
    let off = Change { key: marker, value: Some(Bytes::from_static(&[1])) };
    assert_eq!(changes.records, [Change { key, value: None }, off]);
    assert_eq!(dedup.judge(b"a", &single(1), now), Verdict::Fresh(None));
    assert_eq!(dedup.judge(b"a", &source(1), now), Verdict::Stored);
    dedup.on_durable(changes.number - 1);
    assert!(!dedup.is_recorded() && dedup.is_going(b"a"));
    dedup.on_durable(changes.number);
    assert!(dedup.is_recorded() && !dedup.is_going(b"a"));
}

/// What was stored before the switch, while it was not loaded, goes as well.
#[test]
fn records_of_before_go_when_judging_ends_or_begins_anew() {
    for since in [None, Some(at(5))] {
        let mut dedup = Dedup::new(Options::default());
        dedup.load(b"\x01b", &[1, 0, 0, 0, 0, 0, 0, 0, 9], now()).unwrap();
        dedup.judge_sequences(since);
        assert_eq!((dedup.names(), dedup.last_sequence_id(b"b")), (0, None));
        let gone = Change { key: Bytes::from_static(b"\x01b"), value: None };
        assert_eq!(dedup.take_changes().records[0], gone);
    }
}

/// A name that began again at 0, while nobody judged, is known by what it sent since.
#[test]
fn at_a_replay_the_entries_decide_also_downwards() {
    let (mut dedup, now) = (dedup(10), now());
    for (entry, id) in [100, 101, 0, 1].into_iter().enumerate() {
        dedup.replay(b"a", &single(id), at(i64::try_from(entry).unwrap()), now);
    }
    assert_eq!(mark_of(&dedup, b"a"), Some(1));
    store(&mut dedup, b"a", &single(2), now);
    // Parts of a message that begins anew, behind more of them.
    let part = |id| {
        Identity::Sequence(Sequence { chunk: Some(Chunk::new(id, 3, b"u", 9)), ..Sequence::of(4) })
    };
    for (entry, id) in [0, 1, 0].into_iter().enumerate() {
        dedup.replay(b"b", &part(id), at(10 + i64::try_from(entry).unwrap()), now);
    }
    store(&mut dedup, b"b", &part(1), now);
}

#[test]
fn entries_before_judging_began_say_nothing() {
    let (mut dedup, now) = (Dedup::new(Options::default()), now());
    dedup.judge_sequences(Some(at(5)));
    dedup.replay(b"a", &single(100), at(5), now);
    assert_eq!(mark_of(&dedup, b"a"), None);
    dedup.replay(b"a", &single(0), at(6), now);
    assert_eq!(mark_of(&dedup, b"a"), Some(0));
}

/// The log before may go on, or the snapshot not be written.
#[test]
fn a_snapshot_leaves_the_changes_to_be_taken_out() {
    let (mut dedup, now) = (dedup(10), now());
    store(&mut dedup, b"a", &single(1), now);
    assert_eq!(dedup.all_records().len(), 2);
    assert_eq!(dedup.take_changes().records.len(), 1);
    dedup.judge_sequences(None);
    assert_eq!(dedup.all_records().len(), 1);
    assert_eq!(dedup.take_changes().records.len(), 2);
}

/// Once its records are deleted, they are put anew.
#[test]
fn records_that_are_gone_say_nothing() {
    let (mut dedup, now) = (dedup(10), now());
    store(&mut dedup, b"a", &single(1), now);
    dedup.judge_sequences(None);
    dedup.judge_sequences(Some(at(3)));
    store(&mut dedup, b"a", &single(0), now);
    dedup.on_records_gone();
    assert!(!dedup.is_recorded() && !dedup.is_going(b"a"));
    let records = dedup.take_changes().records;
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|change| change.value.is_some()));
}

/// One such id would cover all others for ever.
#[test]
fn ids_that_nobody_counts_to_and_empty_names_are_not_judged() {
    let (mut dedup, now) = (dedup(10), now());
    for id in [u64::MAX, 1 << 63] {
        assert_eq!(dedup.judge(b"a", &single(id), now), Verdict::Fresh(None));
        let batch = Identity::Sequence(Sequence::batch(3, id));
        assert_eq!(dedup.judge(b"a", &batch, now), Verdict::Fresh(None));
        dedup.replay(b"a", &single(id), at(1), now);
    }
    assert_eq!(dedup.judge(b"", &single(1), now), Verdict::Fresh(None));
    assert_eq!(dedup.names(), 0);
    store(&mut dedup, b"a", &single((1 << 63) - 1), now);
    assert_eq!(mark_of(&dedup, b"a"), Some((1 << 63) - 1));
}

#[test]
fn sources_are_bounded_over_all_publishers() {
    let (mut dedup, start) = (Dedup::new(Options::default()), now());
    let (publishers, window) = (SOURCES_MAX / WINDOW + 5, i64::try_from(WINDOW).unwrap());
    for publisher in 0..publishers {
        let now = start + Duration::from_secs(publisher as u64);
        let name = format!("{publisher}").into_bytes();
        (0..window).for_each(|entry| store(&mut dedup, &name, &source(entry), now));
        assert!(100 <= publisher || dedup.names() == publisher + 1, "a hundred have room");
        assert!(dedup.names() * WINDOW <= SOURCES_MAX);
    }
    assert!(!dedup.is_stored(b"0", &source(0)), "not heard of longest");
    let last = format!("{}", publishers - 1).into_bytes();
    assert!(dedup.is_stored(&last, &source(0)));
}

#[test]
fn names_are_bounded_and_those_not_heard_of_longest_go() {
    let (mut dedup, start) = (dedup(32), now());
    let at = |second: u64| start + Duration::from_secs(second);
    let name = |number: u64| format!("producer-{number}").into_bytes();
    let Verdict::Fresh(Some(_)) = dedup.judge(b"waits", &single(1), at(0)) else { panic!() };
    for number in 1..=100 {
        store(&mut dedup, &name(number), &single(1), at(number));
        assert!(dedup.names() <= 32);
    }
    assert!(dedup.is_in_flight(b"waits"), "what is not decided stays");
    assert!(dedup.is_stored(&name(100), &single(1)));
    assert!(!dedup.is_stored(&name(1), &single(1)));
    let goes = |change: &Change| change.value.is_none();
    assert_eq!(
        dedup.take_changes().records.iter().filter(|change| goes(change)).count(),
        100 + 1 - dedup.names()
    );
    let long = vec![b'x'; NAME_BYTES_MAX + 1];
    assert_eq!(dedup.judge(&long, &single(1), at(101)), Verdict::Fresh(None));
}

#[test]
fn names_are_bounded_in_bytes() {
    let (mut dedup, now) = (dedup(1_000), now());
    for number in 0..1_000 {
        let name = format!("{number:>10000}").into_bytes();
        store(&mut dedup, &name, &single(1), now);
    }
    assert!(dedup.names() <= 256 * 1_000 / 10_000, "{}", dedup.names());
}

#[test]
fn names_without_a_producer_are_forgotten_after_a_while() {
    let start = now();
    let inactivity = Duration::from_secs(60);
    let options = Options { inactivity, source_inactivity: inactivity, ..Options::default() };
    let mut dedup = judging(options);
    store(&mut dedup, b"open", &single(1), start);
    store(&mut dedup, b"left", &single(1), start);
    store(&mut dedup, b"new", &single(1), start + Duration::from_secs(30));
    assert!(matches!(dedup.judge(b"waits", &single(1), start), Verdict::Fresh(_)));
    assert_eq!(dedup.take_changes().records.len(), 3);
    let at = |second| start + Duration::from_secs(second);
    dedup.forget_inactive(at(60), |name| name == b"open");
    assert_eq!(dedup.names(), 4);
    dedup.forget_inactive(at(61), |name| name == b"open");
    assert!(dedup.is_stored(b"open", &single(1)) && dedup.is_stored(b"new", &single(1)));
    assert!(!dedup.is_stored(b"left", &single(1)) && dedup.is_in_flight(b"waits"));
    // It comes back before that is stored: what was known of it must not come back with it.
    assert!(dedup.is_going(b"left") && !dedup.is_going(b"new") && dedup.has_urgent_changes());
    assert!(matches!(dedup.judge(b"left", &single(0), start), Verdict::Fresh(_)));
    let gone = Change { key: Bytes::from_static(b"\x01left"), value: None };
    let changes = dedup.take_changes();
    assert_eq!(changes.records, [gone]);
    dedup.on_durable(changes.number);
    assert!(!dedup.is_going(b"left") && !dedup.has_urgent_changes());
    // A name is forgotten so long after its producer left, not after its last message.
    dedup.forget_inactive(at(120), |_| false);
    assert!(dedup.is_stored(b"open", &single(1)) && !dedup.is_stored(b"new", &single(1)));
    dedup.hear_of(b"open", at(120));
    dedup.forget_inactive(at(180), |_| false);
    assert!(dedup.is_stored(b"open", &single(1)));
    dedup.forget_inactive(at(181), |_| false);
    assert!(!dedup.is_stored(b"open", &single(1)));
}

/// Goal: who has sent nothing that was stored leaves no record when it is forgotten, and is not forgotten
/// while the fate of something is open.
#[test]
fn who_has_nothing_stored_goes_without_a_trace() {
    let start = now();
    let later = start + Duration::from_secs(30 * 24 * 3_600);
    for identity in [single(5), source(5)] {
        let mut dedup = judging(Options::default());
        let Verdict::Fresh(Some(ticket)) = dedup.judge(b"geminga.sourced:a", &identity, start)
        else {
            panic!("{identity:?}")
        };
        dedup.forget_inactive(later, |_| false);
        assert_eq!(dedup.names(), 1, "{identity:?}: on its way");
        dedup.on_failed(ticket);
        let again = dedup.judge(b"geminga.sourced:a", &identity, start);
        let Verdict::Fresh(Some(ticket)) = again else { panic!("{identity:?}: {again:?}") };
        dedup.on_failed(ticket);
        let records = dedup.all_records().len();
        dedup.forget_inactive(later, |_| false);
        assert_eq!((dedup.names(), dedup.has_urgent_changes()), (0, false), "{identity:?}");
        assert_eq!(dedup.all_records().len(), records);
    }
}

#[test]
fn what_is_not_known_to_be_recorded_is_to_be_recorded_again() {
    let mut dedup = Dedup::new(Options::default());
    assert!(!dedup.judges_sequences());
    dedup.judge_sequences(Some(Position::EARLIEST));
    assert!(dedup.judges_sequences() && dedup.has_urgent_changes());
    let number = dedup.take_changes().number;
    assert!(!dedup.has_urgent_changes() && !dedup.is_recorded());
    dedup.on_writes_lost();
    assert!(dedup.has_urgent_changes());
    dedup.on_durable(number);
    assert!(!dedup.is_recorded());
}
