//! The file's tables and records.

use bytes::Bytes;
use geminga_metadata::{MetadataError, Version, Versioned};
use redb::TableDefinition;

/// A record's bytes in a table.
pub(crate) type Records = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Encoded path → checksum (4 bytes), version (8), value.
pub(crate) const KEYS: Records = TableDefinition::new("keys");
/// Encoded path → checksum (4 bytes), first number that is not reserved (8).
pub(crate) const SEQUENCES: Records = TableDefinition::new("sequences");
/// What describes the file itself.
pub(crate) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// In [`META`]: which format this is. It is read before anything else.
pub(crate) const FORMAT: &str = "format";
/// The format that this release reads and writes.
pub(crate) const CURRENT_FORMAT: u64 = 1;
/// In [`META`]: how many records there are in both tables.
pub(crate) const RECORD_COUNT: &str = "records";
/// In [`META`]: the sum of their checksums.
pub(crate) const CHECKSUM_SUM: &str = "checksums";

const HEADER_BYTES: usize = 12;

/// How many records there are, and the sum of their checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) checksums: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, record: &[u8]) {
        self.records = self.records.wrapping_add(1);
        self.checksums = self.checksums.wrapping_add(stored_checksum(record));
    }

    pub(crate) fn remove(&mut self, record: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.checksums = self.checksums.wrapping_sub(stored_checksum(record));
    }
}

fn stored_checksum(record: &[u8]) -> u64 {
    record.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes).into())
}

pub(crate) fn encode_value(key: &[u8], version: Version, value: &[u8]) -> Vec<u8> {
    encode(key, version.0.to_le_bytes(), value)
}

pub(crate) fn encode_number(key: &[u8], number: u64) -> Vec<u8> {
    encode(key, number.to_le_bytes(), &[])
}

fn encode(key: &[u8], number: [u8; 8], value: &[u8]) -> Vec<u8> {
    let checksum = checksum(key, number, value).to_le_bytes();
    [checksum.as_slice(), &number, value].concat()
}

fn checksum(key: &[u8], number: [u8; 8], value: &[u8]) -> u32 {
    let of_key = crc32c::crc32c(key);
    crc32c::crc32c_append(crc32c::crc32c_append(of_key, &number), value)
}

pub(crate) fn decode_value(key: &[u8], record: &[u8]) -> Result<Versioned, MetadataError> {
    let (number, value) = decode(key, record)?;
    let version = Version(i64::from_le_bytes(number));
    Ok(Versioned { value: Bytes::copy_from_slice(value), version })
}

pub(crate) fn decode_number(key: &[u8], record: &[u8]) -> Result<u64, MetadataError> {
    let (number, _) = decode(key, record)?;
    Ok(u64::from_le_bytes(number))
}

pub(crate) fn verify(key: &[u8], record: &[u8]) -> Result<(), MetadataError> {
    decode(key, record).map(|_| ())
}

fn decode<'a>(key: &[u8], record: &'a [u8]) -> Result<([u8; 8], &'a [u8]), MetadataError> {
    let damaged = || {
        let path = String::from_utf8_lossy(key).replace('\0', "/");
        MetadataError::Corrupt(format!("the record of {path:?} does not match its checksum"))
    };
    if record.len() < HEADER_BYTES {
        return Err(damaged());
    }
    let (header, value) = record.split_at(HEADER_BYTES);
    let number = *header.last_chunk().ok_or_else(damaged)?;
    if u64::from(checksum(key, number, value)) == stored_checksum(record) {
        Ok((number, value))
    } else {
        Err(damaged())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_every_flipped_bit_is_found() {
        let (key, version) = (b"\0a\0b".as_slice(), Version(-7));
        let record = encode_value(key, version, b"value");
        let expected = Versioned { value: Bytes::from_static(b"value"), version };
        assert_eq!(decode_value(key, &record), Ok(expected));
        assert!(decode_value(b"\0a\0c", &record).is_err(), "another key's record");
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_value(key, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..record.len() {
            assert!(decode_value(key, &record[..len]).is_err(), "cut to {len}");
        }
        assert_eq!(decode_number(key, &encode_number(key, u64::MAX)), Ok(u64::MAX));
    }
}
