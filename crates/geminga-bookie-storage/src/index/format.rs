//! Bytes of the index log: see `docs/formats/index.md`.

use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};

use super::Row;
use crate::{
    fields::{Fields, short},
    ledgers::Ledger,
};

pub(crate) const BLOCK_BYTES: usize = 4096;
pub(crate) const VERSION: u32 = 1;
pub(crate) const FILE_HEAD_BYTES: usize = 32;
pub(crate) const BATCH_HEAD_BYTES: usize = 32;
pub(crate) const RECORD_BYTES: usize = 64;

const FILE_MAGIC: [u8; 8] = *b"GMGINDX\n";
const BATCH_MAGIC: [u8; 4] = *b"IBT\n";

/// One change of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A run, in place of one of the same name.
    Run(LedgerId, Row),
    /// The state of a ledger.
    Ledger(LedgerId, Ledger),
    /// These ledgers, first to last, are deleted.
    Deleted(LedgerId, LedgerId),
    /// An entry log, new or changed.
    File { number: u64, salt: u64, bytes: u64, is_sealed: bool },
    /// An entry log that is gone, with its rows.
    FileRemoved { number: u64 },
}

/// Head of a file.
pub(crate) fn encode_file_head(generation: u64) -> [u8; FILE_HEAD_BYTES] {
    let mut bytes = [0; FILE_HEAD_BYTES];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&generation.to_le_bytes());
    let crc = Sum::of(&bytes[..28]).crc();
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version and generation in the head of a file; `None` when it is damaged.
pub(crate) fn decode_file_head(bytes: &[u8]) -> Option<(u32, u64)> {
    let crc = Fields(bytes.get(28..FILE_HEAD_BYTES)?).u32()?;
    let mut fields = Fields(bytes);
    if fields.bytes::<8>()? != FILE_MAGIC || Sum::of(&bytes[..28]).crc() != crc {
        return None;
    }
    let version = fields.u32()?;
    fields.u32()?;
    Some((version, fields.u64()?))
}

/// Encodes records that count together.
pub(crate) fn encode_batch(generation: u64, records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BATCH_HEAD_BYTES + records.len() * RECORD_BYTES);
    bytes.extend_from_slice(&BATCH_MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&short(records.len()).to_le_bytes());
    bytes.resize(BATCH_HEAD_BYTES, 0);
    for record in records {
        record.encode(&mut bytes);
    }
    let crc = Sum::of(&bytes[8..]).crc();
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The records of the batch at the start of `bytes`, or `None` when there is no whole one.
pub(crate) fn decode_batch(bytes: &[u8], generation: u64) -> Option<Vec<Record>> {
    let mut fields = Fields(bytes);
    if fields.bytes::<4>()? != BATCH_MAGIC {
        return None;
    }
    let crc = fields.u32()?;
    if fields.u64()? != generation {
        return None;
    }
    let count = fields.u32()? as usize;
    let length = count.checked_mul(RECORD_BYTES)?.checked_add(BATCH_HEAD_BYTES)?;
    let batch = bytes.get(..length)?;
    if Sum::of(&batch[8..]).crc() != crc {
        return None;
    }
    batch[BATCH_HEAD_BYTES..].chunks_exact(RECORD_BYTES).map(Record::decode).collect()
}

/// Bytes of a batch of this many records.
pub(crate) const fn batch_bytes(records: usize) -> usize {
    BATCH_HEAD_BYTES + records * RECORD_BYTES
}

impl Record {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let (kind, flags) = match self {
            Self::Run(..) => (1, 0),
            Self::Ledger(_, ledger) => (2, u8::from(ledger.is_fenced)),
            Self::Deleted(..) => (3, 0),
            Self::File { is_sealed, .. } => (4, u8::from(*is_sealed)),
            Self::FileRemoved { .. } => (5, 0),
        };
        bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 0, 0, 0]);
        match *self {
            Self::Run(ledger_id, row) => {
                for id in [ledger_id.0, row.first.0, row.last.0] {
                    bytes.extend_from_slice(&id.to_le_bytes());
                }
                for number in [row.newness, row.file, row.offset] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                bytes.extend_from_slice(&row.length.to_le_bytes());
                bytes.extend_from_slice(&row.count.to_le_bytes());
            }
            Self::Ledger(ledger_id, ledger) => {
                for id in [ledger_id.0, ledger.last_entry.0, ledger.last_add_confirmed.0] {
                    bytes.extend_from_slice(&id.to_le_bytes());
                }
            }
            Self::Deleted(first, last) => {
                bytes.extend_from_slice(&first.0.to_le_bytes());
                bytes.extend_from_slice(&last.0.to_le_bytes());
            }
            Self::File { number, salt, bytes: file_bytes, .. } => {
                for field in [number, salt, file_bytes] {
                    bytes.extend_from_slice(&field.to_le_bytes());
                }
            }
            Self::FileRemoved { number } => bytes.extend_from_slice(&number.to_le_bytes()),
        }
        bytes.resize(start + RECORD_BYTES, 0);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (kind, flags) = (fields.u8()?, fields.u8()?);
        fields.bytes::<6>()?;
        Some(match kind {
            1 => Self::Run(
                LedgerId(fields.i64()?),
                Row {
                    first: EntryId(fields.i64()?),
                    last: EntryId(fields.i64()?),
                    newness: fields.u64()?,
                    file: fields.u64()?,
                    offset: fields.u64()?,
                    length: fields.u32()?,
                    count: fields.u32()?,
                },
            ),
            2 => Self::Ledger(
                LedgerId(fields.i64()?),
                Ledger {
                    is_fenced: flags & 1 != 0,
                    last_entry: EntryId(fields.i64()?),
                    last_add_confirmed: EntryId(fields.i64()?),
                },
            ),
            3 => Self::Deleted(LedgerId(fields.i64()?), LedgerId(fields.i64()?)),
            4 => Self::File {
                number: fields.u64()?,
                salt: fields.u64()?,
                bytes: fields.u64()?,
                is_sealed: flags & 1 != 0,
            },
            5 => Self::FileRemoved { number: fields.u64()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
