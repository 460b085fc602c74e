//! The entries of a bucket: blocks by time, blocks by place, a footer. See
//! `docs/formats/delayed-delivery.md`.

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_types::Position;

use super::{Record, Run};
use crate::codec::{Decoder, Encoder, Malformed};

const VERSION: u8 = 1;
const BY_TIME: u8 = 1;
const BY_PLACE: u8 = 2;
const FOOTER: u8 = 3;
const CRC_BYTES: usize = 4;

/// What is in which block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footer {
    /// The first record of each block by time, which are the first entries of the ledger.
    pub(super) by_time: Vec<(u64, Position)>,
    /// The first position of each block by place, which follow.
    pub(super) by_place: Vec<Position>,
}

pub(super) fn encode_by_time(records: &[Record]) -> Bytes {
    let mut encoder = begin(BY_TIME, records.len());
    let mut before = 0;
    for record in records {
        encoder.unsigned(record.due - before);
        encoder.position(record.position);
        encoder.unsigned(u64::from(record.slot));
        before = record.due;
    }
    end(encoder)
}

pub(super) fn decode_by_time(bytes: &[u8]) -> Result<Vec<Record>, Malformed> {
    let (mut decoder, count) = open(bytes, BY_TIME)?;
    let mut records: Vec<Record> = Vec::with_capacity(count);
    for _ in 0..count {
        let before = records.last().map_or(0, |record| record.due);
        let due = before.checked_add(decoder.unsigned()?);
        let due = due.ok_or_else(|| decoder.malformed("a time below 2^64"))?;
        let position = place(&mut decoder)?;
        let slot = u32::try_from(decoder.unsigned()?);
        let slot = slot.map_err(|_| decoder.malformed("a slot below 2^32"))?;
        let record = Record { due, position, slot };
        if records.last().is_some_and(|last| (record.due, position) <= (last.due, last.position)) {
            return Err(decoder.malformed("records in the order of their times"));
        }
        records.push(record);
    }
    decoder.finish()?;
    Ok(records)
}

pub(super) fn encode_by_place(runs: &[Run]) -> Bytes {
    let mut encoder = begin(BY_PLACE, runs.len());
    for run in runs {
        encoder.position(run.first);
        encoder.unsigned(run.count);
    }
    end(encoder)
}

pub(super) fn decode_by_place(bytes: &[u8]) -> Result<Vec<Run>, Malformed> {
    let (mut decoder, count) = open(bytes, BY_PLACE)?;
    let mut runs: Vec<Run> = Vec::with_capacity(count);
    for _ in 0..count {
        let first = place(&mut decoder)?;
        let count = decoder.unsigned()?;
        let room = u64::try_from(i64::MAX - first.entry_id.0).unwrap_or(0);
        if count == 0 || room < count {
            return Err(decoder.malformed("a count of entries"));
        }
        if runs.last().is_some_and(|last| first <= last.last()) {
            return Err(decoder.malformed("places in their order"));
        }
        runs.push(Run { first, count });
    }
    decoder.finish()?;
    Ok(runs)
}

impl Footer {
    pub(super) fn encode(&self) -> Bytes {
        let mut encoder = begin(FOOTER, self.by_time.len());
        let mut before = 0;
        for &(due, position) in &self.by_time {
            encoder.unsigned(due - before);
            encoder.position(position);
            before = due;
        }
        encoder.count(self.by_place.len());
        self.by_place.iter().for_each(|&position| encoder.position(position));
        end(encoder)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut decoder, count) = open(bytes, FOOTER)?;
        let mut footer = Self::default();
        for _ in 0..count {
            let before = footer.by_time.last().map_or(0, |&(due, _)| due);
            let due = before.checked_add(decoder.unsigned()?);
            let due = due.ok_or_else(|| decoder.malformed("a time below 2^64"))?;
            footer.by_time.push((due, place(&mut decoder)?));
        }
        for _ in 0..decoder.count()? {
            footer.by_place.push(place(&mut decoder)?);
        }
        decoder.finish()?;
        let is_ascending =
            footer.by_time.is_sorted_by(|a, b| a < b) && footer.by_place.is_sorted_by(|a, b| a < b);
        if is_ascending { Ok(footer) } else { Err(decoder.malformed("blocks in their order")) }
    }
}

fn begin(kind: u8, count: usize) -> Encoder {
    let mut encoder = Encoder::default();
    encoder.byte(VERSION);
    encoder.byte(kind);
    encoder.count(count);
    encoder
}

fn end(mut encoder: Encoder) -> Bytes {
    encoder.crc32c();
    encoder.finish()
}

fn open(bytes: &[u8], kind: u8) -> Result<(Decoder<'_>, usize), Malformed> {
    let (body, crc) = bytes.split_at(bytes.len().saturating_sub(CRC_BYTES));
    let mut decoder = Decoder::new(body);
    if crc != Sum::of(body).crc().to_le_bytes() {
        return Err(decoder.malformed("a block with its checksum"));
    }
    if decoder.byte()? != VERSION {
        return Err(decoder.malformed("a version that this program reads"));
    }
    if decoder.byte()? != kind {
        return Err(decoder.malformed("a block of another kind"));
    }
    let count = decoder.count()?;
    Ok((decoder, count))
}

fn place(decoder: &mut Decoder<'_>) -> Result<Position, Malformed> {
    let position = decoder.position()?;
    if position.ledger_id.0 < 0 || position.entry_id.0 < 0 {
        return Err(decoder.malformed("the place of an entry"));
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(due: u64, ledger: i64, entry: i64) -> Record {
        Record { due, position: Position::new(ledger, entry), slot: 7 }
    }

    fn samples() -> (Vec<Record>, Vec<Run>, Footer) {
        let records = vec![record(5, 3, 9), record(5, 4, 0), record(900, 1, 70), record(901, 1, 2)];
        let runs = vec![
            Run { first: Position::new(1, 2), count: 1 },
            Run { first: Position::new(1, 70), count: 300 },
            Run { first: Position::new(3, 0), count: 10 },
        ];
        let footer = Footer {
            by_time: records.iter().map(|record| (record.due, record.position)).collect(),
            by_place: runs.iter().map(|run| run.first).collect(),
        };
        (records, runs, footer)
    }

    #[test]
    fn the_bytes_of_a_released_version_are_read_and_written() {
        let (records, runs, footer) = samples();
        let by_time = encode_by_time(&records);
        assert_eq!(by_time[..], BY_TIME_1[..], "{by_time:?}");
        let by_place = encode_by_place(&runs);
        assert_eq!(by_place[..], BY_PLACE_1[..], "{by_place:?}");
        let encoded = footer.encode();
        assert_eq!(encoded[..], FOOTER_1[..], "{encoded:?}");
        assert_eq!(decode_by_time(&by_time), Ok(records));
        assert_eq!(decode_by_place(&by_place), Ok(runs));
        assert_eq!(Footer::decode(&encoded), Ok(footer));
    }

    const BY_TIME_1: [u8; 26] = [
        1, 1, 4, 5, 6, 18, 7, 0, 2, 0, 7, 255, 6, 5, 140, 1, 7, 1, 0, 135, 1, 7, 163, 228, 100, 100,
    ];
    const BY_PLACE_1: [u8; 18] = [1, 2, 3, 2, 4, 1, 0, 136, 1, 172, 2, 4, 0, 10, 166, 182, 6, 162];
    const FOOTER_1: [u8; 30] = [
        1, 3, 4, 5, 6, 18, 0, 2, 0, 255, 6, 5, 140, 1, 1, 0, 135, 1, 3, 0, 0, 0, 136, 1, 4, 0, 80,
        27, 255, 253,
    ];

    #[test]
    fn a_flipped_bit_or_a_missing_end_is_an_error() {
        let (records, runs, footer) = samples();
        let blocks = [encode_by_time(&records), encode_by_place(&runs), footer.encode()];
        for block in blocks {
            let is_read = |bytes: &[u8]| {
                decode_by_time(bytes).is_ok()
                    || decode_by_place(bytes).is_ok()
                    || Footer::decode(bytes).is_ok()
            };
            assert!(is_read(&block));
            for at in 0..block.len() {
                for bit in 0..8 {
                    let mut damaged = block.to_vec();
                    damaged[at] ^= 1 << bit;
                    assert!(!is_read(&damaged), "bit {bit} of byte {at}");
                }
                assert!(!is_read(&block[..at]), "{at} bytes");
            }
        }
    }

    #[test]
    fn what_is_not_in_order_or_of_another_kind_is_an_error() {
        let (records, runs, footer) = samples();
        let same_due = [record(5, 3, 9), record(5, 3, 8)];
        assert!(decode_by_time(&encode_by_time(&same_due)).is_err());
        let overlapping = [runs[1], Run { first: Position::new(1, 369), count: 1 }];
        assert!(decode_by_place(&encode_by_place(&overlapping)).is_err());
        let negative = [Run { first: Position::new(1, -1), count: 1 }];
        assert!(decode_by_place(&encode_by_place(&negative)).is_err());
        let many = [Run { first: Position::new(1, 1), count: u64::MAX }];
        assert!(decode_by_place(&encode_by_place(&many)).is_err());
        assert!(decode_by_time(&footer.encode()).is_err());
        assert!(Footer::decode(&encode_by_time(&records)).is_err());
        assert!(decode_by_place(&encode_by_time(&records)).is_err());
        let mut encoder = Encoder::default();
        encoder.byte(VERSION + 1);
        encoder.byte(BY_TIME);
        encoder.count(0);
        assert!(decode_by_time(&end(encoder)).is_err());
    }
}
