//! Golden bytes, computed by a bitwise CRC32C that shares no code with ours.

use super::*;

const HELLO: [u8; 36] = [
    0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3,
    0xed, 0x75, 0x4b, 0x43, 0x6e,
];

fn head(ledger_id: i64, entry_id: i64, lac: i64, length: u64) -> Head {
    Head {
        ledger_id: LedgerId(ledger_id),
        entry_id: EntryId(entry_id),
        last_add_confirmed: EntryId(lac),
        length,
    }
}

fn stored(head: Head, body: &[u8]) -> Bytes {
    let (bytes, sum) = head.enclose(Sum::of(body));
    let stored = [&bytes, body].concat();
    assert_eq!(sum, Sum::of(&stored));
    Bytes::from(stored)
}

fn open_bytes(ledger_id: i64, entry_id: i64, bytes: &Bytes) -> Result<Opened, Damaged> {
    open(LedgerId(ledger_id), EntryId(entry_id), bytes)
}

#[test]
fn the_envelope_is_bookkeepers() {
    let (bytes, _) = head(7, 3, 1, 1005).enclose(Sum::of(b"hello"));
    assert_eq!(bytes, HELLO);
    let (empty, _) = head(0, 0, -1, 0).enclose(Sum::EMPTY);
    assert_eq!(empty[16..24], [0xff; 8]);
    assert_eq!(empty[32..], [0xe3, 0x81, 0x19, 0x1d]);
}

#[test]
fn what_was_enclosed_is_opened() {
    let bytes = Bytes::from([HELLO.as_slice(), b"hello"].concat());
    let opened = open_bytes(7, 3, &bytes).unwrap();
    assert_eq!(opened.head, head(7, 3, 1, 1005));
    assert_eq!(opened.body(), b"hello".as_slice());
    assert_eq!(opened.stored, bytes);
    let empty = open_bytes(0, 0, &stored(head(0, 0, -1, 0), b"")).unwrap();
    assert!(empty.body().is_empty());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = stored(head(7, 3, 1, 1005), b"hello");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(open_bytes(7, 3, &flipped.into()), Err(Damaged::Digest), "bit {bit}");
    }
}

#[test]
fn every_shortening_is_noticed() {
    let bytes = stored(head(7, 3, 1, 1005), b"hello");
    for len in 0..bytes.len() {
        let expected = if len < 36 { Damaged::Short(len) } else { Damaged::Digest };
        assert_eq!(open_bytes(7, 3, &bytes.slice(..len)), Err(expected), "{len} bytes");
    }
}

#[test]
fn another_entry_with_a_right_digest_is_not_this_one() {
    let bytes = stored(head(7, 3, 1, 1005), b"hello");
    let other = Err(Damaged::Other(LedgerId(7), EntryId(3)));
    assert_eq!(open_bytes(8, 3, &bytes), other);
    assert_eq!(open_bytes(7, 2, &bytes), other);
}

#[test]
fn impossible_fields_are_refused_and_the_extremes_are_not() {
    let open = |lac, length: i64| {
        let mut bytes = HELLO.to_vec();
        bytes[16..24].copy_from_slice(&i64::to_be_bytes(lac));
        bytes[24..32].copy_from_slice(&length.to_be_bytes());
        let digest = Sum::of(&bytes[..32]).append(b"hello").crc();
        bytes[32..].copy_from_slice(&digest.to_be_bytes());
        bytes.extend_from_slice(b"hello");
        open_bytes(7, 3, &bytes.into()).map(|_| ())
    };
    assert_eq!(open(-1, 5), Ok(()));
    assert_eq!(open(2, i64::MAX), Ok(()));
    assert_eq!(open(-2, 5), Err(Damaged::Impossible));
    assert_eq!(open(3, 5), Err(Damaged::Impossible));
    assert_eq!(open(2, 4), Err(Damaged::Impossible));
    assert_eq!(open(2, -1), Err(Damaged::Impossible));
}
