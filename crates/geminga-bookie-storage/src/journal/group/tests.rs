//! Groups: golden bytes, round trips, every flipped bit.

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, ENVELOPE_HEAD_BYTES};
use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};
use proptest::prelude::*;

use super::*;
use crate::journal::format::{BadHead, FILE_HEAD_BYTES, FileHead};

fn entry(ledger: i64, entry: i64, body: &[u8]) -> AddEntry {
    let mut head = [0; ENVELOPE_HEAD_BYTES];
    head[..8].copy_from_slice(&ledger.to_be_bytes());
    head[8..16].copy_from_slice(&entry.to_be_bytes());
    head[16..24].copy_from_slice(&(entry - 1).to_be_bytes());
    AddEntry {
        ledger_id: LedgerId(ledger),
        entry_id: EntryId(entry),
        head,
        front: Bytes::copy_from_slice(&body[..body.len() / 3]),
        body: Bytes::copy_from_slice(&body[body.len() / 3..]),
        sum: Sum::of(&head).append(body),
        is_recovery: false,
        may_use_reserve: false,
    }
}

const HEAD: GroupHead = GroupHead {
    generation: 0x11,
    salt: 0x22,
    sequence: 0x33,
    durable_before: 0x32,
    length: 0,
    count: 0,
};

fn example() -> Vec<u8> {
    let controls = [Control::Fence(LedgerId(5)), Control::Delete(LedgerId(6))];
    encode(HEAD, &[entry(5, 1, b"one"), entry(5, 2, b"two!")], &controls, &mut Vec::new())
}

fn read(bytes: &[u8]) -> Result<Group, BadGroup> {
    let head = GroupHead::peek(bytes).ok_or(BadGroup::Damaged)?;
    let length = head.length as usize;
    let group = bytes.get(..length).ok_or(BadGroup::Damaged)?;
    decode(head, Bytes::copy_from_slice(group))
}

#[test]
fn bytes_are_as_documented() {
    let group = example();
    assert_eq!(group.len(), 4096);
    assert_eq!(group[..4], *b"GRP\n");
    for (at, field) in [(8, 0x11_u64), (16, 0x22), (24, 0x33), (32, 0x32)] {
        assert_eq!(group[at..at + 8], field.to_le_bytes());
    }
    let length = 64 + 4 * 32 + 39 + 40_u32;
    assert_eq!(group[40..44], length.to_le_bytes());
    assert_eq!(group[44..48], 4_u32.to_le_bytes());
    assert_eq!(group[48..64], [0; 16]);
    assert_eq!(group[4..8], Sum::of(&group[8..64 + 4 * 32]).crc().to_le_bytes());
    // The first record: an entry of 39 bytes.
    let record = &group[64..96];
    assert_eq!(record[..4], [1, 0, 0, 0]);
    assert_eq!(record[4..8], entry(5, 1, b"one").sum.crc().to_le_bytes());
    assert_eq!(record[8..16], 5_i64.to_le_bytes());
    assert_eq!(record[16..24], 1_i64.to_le_bytes());
    assert_eq!(record[24..28], 39_u32.to_le_bytes());
    assert_eq!([group[128], group[160]], [3, 6]);
    // The bodies, then zeros.
    assert_eq!(group[64 + 4 * 32 + 36..][..3], *b"one");
    assert_eq!(group[64 + 4 * 32 + 39 + 36..][..4], *b"two!");
    assert!(group[length as usize..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_group_is_read_as_it_was_written() {
    let group = read(&example()).unwrap();
    assert_eq!(group.controls, [Control::Fence(LedgerId(5)), Control::Delete(LedgerId(6))]);
    let entries: Vec<_> = group
        .entries
        .iter()
        .map(|entry| {
            let at = entry.offset as usize;
            let stored = group.buffer.slice(at..at + entry.length as usize);
            (entry.entry_id.0, entry.last_add_confirmed.0, stored.slice(36..))
        })
        .collect();
    assert_eq!(entries, [(1, 0, "one".into()), (2, 1, "two!".into())]);
}

#[test]
fn every_flipped_bit_is_detected_or_harmless() {
    let group = example();
    let original = read(&group).unwrap();
    let end = original.head.length as usize;
    for bit in 0..group.len() * 8 {
        let mut flipped = group.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match read(&flipped) {
            Ok(found) => {
                assert!(bit / 8 >= end, "bit {bit}");
                assert_eq!(found.entries, original.entries);
            }
            Err(error) => {
                assert_eq!(error, BadGroup::Damaged, "bit {bit}");
                assert!(bit / 8 < end, "bit {bit}");
            }
        }
    }
}

#[test]
fn a_record_of_a_newer_version_says_so() {
    for kind in [2, 4, 5, 99] {
        let mut group = example();
        group[64 + 2 * 32] = kind;
        GroupHead::peek(&group).unwrap().seal(&mut group);
        assert_eq!(read(&group).unwrap_err(), BadGroup::Newer, "kind {kind}");
    }
}

#[test]
fn every_flipped_bit_of_a_file_head_is_detected() {
    let head = FileHead { generation: 1, salt: 2, first_sequence: 3, durable_before: 3 };
    let bytes = head.encode();
    assert_eq!(bytes[..12], *b"GMGJRNL\n\x01\0\0\0");
    assert_eq!(FileHead::decode(&bytes), Ok(head));
    for bit in 0..FILE_HEAD_BYTES * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(FileHead::decode(&flipped), Err(BadHead::Damaged), "bit {bit}");
    }
    let mut newer = bytes;
    newer[8] = 2;
    let crc = Sum::of(&newer[..60]).crc();
    newer[60..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(FileHead::decode(&newer), Err(BadHead::Newer(2)));
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), is_sealed: bool, count in 0_u32..9) {
        if is_sealed && bytes.len() >= 64 + 9 * 32 {
            let length = u32::try_from(bytes.len()).unwrap();
            GroupHead { length, count, ..HEAD }.seal(&mut bytes);
        }
        _ = read(&bytes);
        _ = FileHead::decode(&bytes);
    }

    #[test]
    fn any_group_is_read_as_it_was_written(sizes in prop::collection::vec(0_usize..3000, 1..20)) {
        let body = vec![7; 3000];
        let adds: Vec<_> = sizes.iter().zip(0..).map(|(size, id)| entry(id % 3, id, &body[..*size])).collect();
        let mut placed = Vec::new();
        let bytes = encode(HEAD, &adds, &[], &mut placed);
        let total = adds.iter().map(|add| add.sum.len()).sum();
        prop_assert_eq!(bytes.len(), padded_bytes(total, adds.len()));
        prop_assert_eq!(read(&bytes).unwrap().entries, placed);
    }
}
