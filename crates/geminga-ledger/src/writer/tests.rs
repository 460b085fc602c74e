//! The writer, against bookies that the test plays by hand.

use super::*;
use crate::envelope;

fn id(index: usize) -> BookieId {
    BookieId(format!("bookie-{index}").into())
}

fn writer(ensemble: u32, write: u32, ack: u32) -> Writer {
    let quorums = Quorums::new(ensemble, write, ack).unwrap();
    Writer::new(LedgerId(7), quorums, (0..ensemble as usize).map(id).collect(), 4)
}

fn add(writer: &mut Writer, body: &'static [u8]) -> EntryId {
    writer.add(Bytes::from_static(body), Sum::of(body))
}

fn sent(writer: &mut Writer) -> Vec<(BookieId, Vec<i64>)> {
    std::iter::from_fn(|| writer.poll_send())
        .map(|(id, entries)| (id, entries.iter().map(|entry| entry.entry_id.0).collect()))
        .collect()
}

fn confirmed(writer: &mut Writer) -> Vec<i64> {
    std::iter::from_fn(|| writer.poll_confirmed()).map(|c| c.entry_id().0).collect()
}

fn ok(writer: &mut Writer, bookie: usize, entry_id: i64) {
    writer.on_added(&id(bookie), EntryId(entry_id), Ok(())).unwrap();
}

fn err(writer: &mut Writer, bookie: usize, entry_id: i64, error: AddError) {
    writer.on_added(&id(bookie), EntryId(entry_id), Err(error)).unwrap();
}

fn fenced() -> AddError {
    AddError::Fenced(LedgerId(7))
}

fn read_only() -> AddError {
    AddError::ReadOnly("disk is full".to_owned())
}

fn failed() -> AddError {
    AddError::Failed("broken pipe".to_owned())
}

#[test]
fn entries_may_use_the_reserve_if_their_ledger_may() {
    let mut writer = writer(1, 1, 1).with_reserve(true);
    add(&mut writer, b"an ack");
    let (_, entries) = writer.poll_send().unwrap();
    assert!(entries[0].may_use_reserve && !entries[0].is_recovery);
}

#[test]
fn an_entry_goes_in_its_envelope_to_its_write_set() {
    let mut writer = writer(3, 2, 2);
    assert_eq!(add(&mut writer, b"hello"), EntryId(0));
    let (first, entries) = writer.poll_send().unwrap();
    let (second, copies) = writer.poll_send().unwrap();
    assert!(writer.poll_send().is_none());
    assert_eq!((first, second), (id(0), id(1)));
    for [entry] in [<[_; 1]>::try_from(entries).unwrap(), copies.try_into().unwrap()] {
        assert!(!entry.is_recovery && !entry.may_use_reserve);
        let stored = Bytes::from([entry.head.as_slice(), &entry.body].concat());
        assert_eq!(entry.sum, Sum::of(&stored));
        let opened = envelope::open(LedgerId(7), EntryId(0), &stored).unwrap();
        assert_eq!((opened.head.last_add_confirmed, opened.head.length), (EntryId::NONE, 5));
        assert_eq!(opened.body(), b"hello".as_slice());
    }
}

#[test]
fn the_envelope_carries_the_lac_and_the_length_with_this_body() {
    let mut writer = writer(1, 1, 1);
    add(&mut writer, b"abc");
    add(&mut writer, b"de");
    ok(&mut writer, 0, 0);
    add(&mut writer, b"f");
    let (_, entries) = writer.poll_send().unwrap();
    let fields: Vec<_> = entries
        .iter()
        .map(|entry| {
            let stored = Bytes::from([entry.head.as_slice(), &entry.body].concat());
            let head = envelope::open(LedgerId(7), entry.entry_id, &stored).unwrap().head;
            (head.last_add_confirmed.0, head.length)
        })
        .collect();
    assert_eq!(fields, [(-1, 3), (-1, 5), (0, 6)]);
}

#[test]
fn what_is_added_together_is_sent_together_and_once() {
    let mut writer = writer(3, 2, 2);
    for body in [b"a", b"b", b"c"] {
        add(&mut writer, body);
    }
    let batches = sent(&mut writer);
    assert_eq!(batches, [(id(0), vec![0, 2]), (id(1), vec![0, 1]), (id(2), vec![1, 2])]);
    assert!(sent(&mut writer).is_empty());
}

#[test]
fn a_confirmed_entry_has_its_place_and_its_body() {
    let mut writer = writer(1, 1, 1);
    add(&mut writer, b"abc");
    ok(&mut writer, 0, 0);
    let confirmed = writer.poll_confirmed().unwrap();
    assert_eq!(confirmed.position(), Position::new(7, 0));
    assert_eq!(confirmed.body(), b"abc".as_slice());
    assert_eq!(confirmed.into_parts(), (Bytes::new(), Bytes::from_static(b"abc")));
    assert!(writer.poll_confirmed().is_none());
    assert_eq!((writer.last_add_confirmed(), writer.length()), (EntryId(0), 3));
}

#[test]
fn a_front_is_a_part_of_the_body_that_is_not_joined_with_it() {
    let mut writer = writer(1, 1, 1);
    add(&mut writer, b"abc");
    let (front, body) = (Bytes::from_static(b"de"), Bytes::from_static(b"fgh"));
    let sum = Sum::of(b"defgh");
    let entry_id = writer.add_with_front(front.clone(), body.clone(), sum);
    let (_, entries) = writer.poll_send().unwrap();
    let sent = &entries[1];
    assert_eq!((entry_id, &sent.front, &sent.body), (EntryId(1), &front, &body));
    let stored = Bytes::from([&sent.head[..], b"defgh"].concat());
    assert_eq!(sent.sum, Sum::of(&stored));
    let opened = envelope::open(LedgerId(7), EntryId(1), &stored).unwrap();
    assert_eq!((opened.head.length, opened.body()), (8, Bytes::from_static(b"defgh")));
    ok(&mut writer, 0, 0);
    ok(&mut writer, 0, 1);
    _ = writer.poll_confirmed().unwrap();
    let confirmed = writer.poll_confirmed().unwrap();
    assert_eq!((confirmed.body_len(), confirmed.into_parts()), (5, (front, body)));
    assert_eq!(writer.length(), 8);
}

#[test]
fn a_bookie_of_another_ledger_is_refused() {
    let mut writer = writer(1, 1, 1);
    add(&mut writer, b"a");
    assert_eq!(writer.on_added(&id(1), EntryId(0), Ok(())), Err(NeverSent));
    let fenced = Err(AddError::Fenced(LedgerId(7)));
    assert_eq!(writer.on_added(&id(0), EntryId(1), fenced), Err(NeverSent));
    assert_eq!(writer.failure(), None);
    assert_eq!(writer.in_flight(), 1);
}

#[test]
fn one_fence_stops_the_writer_at_once() {
    let mut writer = writer(3, 3, 2);
    for body in [b"a", b"b"] {
        add(&mut writer, body);
    }
    ok(&mut writer, 0, 0);
    ok(&mut writer, 1, 0);
    ok(&mut writer, 0, 1);
    err(&mut writer, 2, 1, fenced());
    ok(&mut writer, 1, 1);
    assert_eq!(writer.failure(), Some(&fenced()));
    assert_eq!(confirmed(&mut writer), [0], "what was confirmed before stays so");
    assert!(!writer.has_room());
    assert!(sent(&mut writer).is_empty());
    assert_eq!(writer.stop(), Sealed { last_entry: EntryId(0), length: 1 });
}

#[test]
fn a_minority_of_failures_is_borne() {
    let mut writer = writer(3, 3, 2);
    add(&mut writer, b"a");
    err(&mut writer, 0, 0, failed());
    assert_eq!(writer.failure(), None);
    ok(&mut writer, 1, 0);
    ok(&mut writer, 2, 0);
    assert_eq!(confirmed(&mut writer), [0]);
    assert!(writer.has_room());
}

#[test]
fn a_lost_quorum_stops_the_writer_and_the_first_reason_stays() {
    let mut writer = writer(3, 3, 2);
    add(&mut writer, b"a");
    add(&mut writer, b"b");
    err(&mut writer, 0, 0, failed());
    err(&mut writer, 1, 0, read_only());
    assert_eq!(writer.failure(), Some(&read_only()));
    err(&mut writer, 0, 1, failed());
    err(&mut writer, 1, 1, failed());
    assert_eq!(writer.failure(), Some(&read_only()));
    ok(&mut writer, 2, 0);
    ok(&mut writer, 0, 0);
    assert!(confirmed(&mut writer).is_empty());
    err(&mut writer, 2, 1, fenced());
    assert_eq!(writer.failure(), Some(&fenced()), "a fence is worse than any failure");
}

#[test]
fn only_what_every_bookie_refused_certainly_does_not_exist() {
    let mut writer = writer(2, 2, 1);
    for body in [b"a", b"b", b"c"] {
        add(&mut writer, body);
    }
    assert!(!writer.may_exist(EntryId(0)), "not sent yet");
    assert_eq!(sent(&mut writer).len(), 2);
    add(&mut writer, b"d");
    assert!(writer.may_exist(EntryId(0)));
    err(&mut writer, 0, 0, read_only());
    assert!(writer.may_exist(EntryId(0)), "the other may store it");
    err(&mut writer, 1, 0, read_only());
    assert!(!writer.may_exist(EntryId(0)));
    assert!(writer.may_exist(EntryId(1)), "sent");
    err(&mut writer, 0, 1, failed());
    err(&mut writer, 1, 1, read_only());
    assert!(writer.may_exist(EntryId(1)), "a failed write may have been made");
    err(&mut writer, 1, 2, fenced());
    ok(&mut writer, 0, 2);
    assert!(writer.may_exist(EntryId(2)));
    assert!(!writer.may_exist(EntryId(3)), "not sent, and never will be");
    assert!(writer.may_exist(EntryId(4)), "unknown ids prove nothing");
}

#[test]
fn a_stopped_writer_says_where_to_seal_and_confirms_nothing_more() {
    let mut writer = writer(1, 1, 1);
    assert_eq!(writer.stop(), Sealed { last_entry: EntryId::NONE, length: 0 });
    let mut writer = self::writer(1, 1, 1);
    for body in [b"ab", b"cd", b"ef"] {
        add(&mut writer, body);
    }
    ok(&mut writer, 0, 0);
    ok(&mut writer, 0, 1);
    let sealed = Sealed { last_entry: EntryId(1), length: 4 };
    assert_eq!(writer.stop(), sealed);
    ok(&mut writer, 0, 2);
    assert_eq!(writer.stop(), sealed);
    assert_eq!(confirmed(&mut writer), [0, 1]);
    assert_eq!(writer.failure(), None);
}

#[test]
#[should_panic(expected = "the sum is not this body's")]
fn a_sum_of_something_else_is_refused() {
    writer(1, 1, 1).add(Bytes::from_static(b"ab"), Sum::of(b"a"));
}
