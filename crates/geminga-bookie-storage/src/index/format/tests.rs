//! The index log: golden bytes, every flipped bit.

use proptest::prelude::*;

use super::*;

fn records() -> Vec<Record> {
    let row = Row {
        first: EntryId(1),
        last: EntryId(2),
        newness: 3,
        file: 4,
        offset: 5,
        length: 6,
        count: 7,
    };
    let ledger = Ledger { is_fenced: true, last_entry: EntryId(8), last_add_confirmed: EntryId(7) };
    vec![
        Record::Run(LedgerId(9), row),
        Record::Ledger(LedgerId(9), ledger),
        Record::Deleted(LedgerId(10), LedgerId(12)),
        Record::File { number: 4, salt: 13, bytes: 14, is_sealed: true },
        Record::FileRemoved { number: 3 },
    ]
}

#[test]
fn bytes_are_as_documented() {
    let batch = encode_batch(0x77, &records());
    assert_eq!(batch.len(), 32 + 5 * 64);
    assert_eq!(batch[..4], *b"IBT\n");
    assert_eq!(batch[4..8], Sum::of(&batch[8..]).crc().to_le_bytes());
    assert_eq!(batch[8..16], 0x77_u64.to_le_bytes());
    assert_eq!(batch[16..20], 5_u32.to_le_bytes());
    let run = &batch[32..96];
    assert_eq!(run[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
    for (at, field) in (8..).step_by(8).zip([9_u64, 1, 2, 3, 4, 5]) {
        assert_eq!(run[at..at + 8], field.to_le_bytes());
    }
    assert_eq!(run[56..64], [6, 0, 0, 0, 7, 0, 0, 0]);
    let kinds: Vec<_> = (0..5).map(|at| batch[32 + at * 64]).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5]);
    assert_eq!([batch[32 + 64 + 1], batch[32 + 3 * 64 + 1]], [1, 1]);
    assert_eq!(decode_batch(&batch, 0x77), Some(records()));
    assert_eq!(decode_batch(&batch, 0x78), None);
    let head = encode_file_head(3);
    assert_eq!(head[..12], *b"GMGINDX\n\x01\0\0\0");
    assert_eq!(decode_file_head(&head), Some((1, 3)));
}

#[test]
fn every_flipped_bit_is_detected() {
    let batch = encode_batch(1, &records());
    for bit in 0..batch.len() * 8 {
        let mut flipped = batch.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode_batch(&flipped, 1), None, "bit {bit}");
    }
    let head = encode_file_head(3);
    for bit in 0..head.len() * 8 {
        let mut flipped = head;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode_file_head(&flipped), None, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        _ = decode_batch(&bytes, 0);
        _ = decode_file_head(&bytes);
        _ = bytes.get(..RECORD_BYTES).map(Record::decode);
    }
}
