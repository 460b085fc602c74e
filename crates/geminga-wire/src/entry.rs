//! An entry: one message, or one batch, as producers send it, topics keep it and consumers get it.
//!
//! ```text
//! [0x0e02 u16 | size u32 | BrokerEntryMetadata]          what the broker added, if it is set to
//! [0x0e01 u16 | crc u32]                                 CRC32C of all that follows
//! metadata size u32 | MessageMetadata | payload
//! ```
//!
//! All numbers are big endian. The payload may be compressed and encrypted; the broker never looks.
//! [`EntryHeader`] finds the parts and verifies the checksum, [`EntryMeta`] reads the metadata in
//! place, [`encode_entry`] builds an entry.

use std::ops::Range;

use bytes::Bytes;
use geminga_checksum::Sum;

use crate::scan::Malformed;

mod build;
mod key_hash;
mod meta;

pub use build::{BROKER_METADATA_LEN_MAX, encode_broker_entry_metadata, encode_entry};
pub use key_hash::key_hash;
pub use meta::{BrokerMeta, Chunk, EntryMeta, SOURCE_POSITION};

/// Opens the broker's part.
const MAGIC_BROKER: u16 = 0x0e02;
/// Opens the checksum.
const MAGIC_CHECKSUM: u16 = 0x0e01;
const MAGIC_LEN: usize = 2;
const SIZE_LEN: usize = 4;
/// What errors call it.
const BROKER_PART: &str = "broker entry metadata";

/// The most messages that a batch may claim: what a frame of 5 MiB could hold uncompressed.
///
/// Ack sets and permits are counted in messages, so the claim must be bounded.
pub const MESSAGES_IN_BATCH_MAX: u32 = 1 << 20;

/// Where the parts of an entry lie, as offsets into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// The `BrokerEntryMetadata`, empty when there is none.
    pub broker_metadata: Range<usize>,
    /// Where what the producer sent begins: all before it is the broker's.
    pub start: usize,
    /// The CRC32C as the entry states it, of all from [`Self::checked`] on.
    pub checksum: Option<u32>,
    /// Where the bytes under the checksum begin.
    pub checked: usize,
    /// The `MessageMetadata`.
    pub metadata: Range<usize>,
    /// Where the payload begins; it ends with the entry.
    pub payload: usize,
}

/// An entry whose bytes are what the producer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Where its parts lie.
    pub header: EntryHeader,
    /// The sum of the whole entry.
    pub sum: Sum,
}

/// The bytes are not an entry that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A part is announced as longer than what is there.
    #[error("an entry of {size} bytes ends inside its {part}")]
    Truncated {
        /// The entry.
        size: usize,
        /// The part.
        part: &'static str,
    },
    /// The bytes were changed on their way.
    #[error("checksum is {found:#010x}, the entry says {stated:#010x}")]
    Checksum {
        /// The CRC32C of the bytes.
        found: u32,
        /// What the entry states.
        stated: u32,
    },
    /// A part is not the protobuf message that it should be.
    #[error("malformed {part}")]
    Malformed {
        /// The part.
        part: &'static str,
    },
    /// A required field is missing.
    #[error("metadata without its {field}")]
    Missing {
        /// The field, by its name in the protocol.
        field: &'static str,
    },
    /// A batch claims more messages than any can hold.
    #[error("a batch of {messages} messages, more than {MESSAGES_IN_BATCH_MAX}")]
    TooManyMessages {
        /// The claim.
        messages: u32,
    },
}

impl EntryHeader {
    /// Finds the parts of `entry`; verifies nothing but that they fit.
    ///
    /// # Errors
    ///
    /// [`EntryError::Truncated`].
    pub fn parse(entry: &[u8]) -> Result<Self, EntryError> {
        let broker_metadata = broker_part(entry)?;
        let start = broker_metadata.end;
        let mut at = start;
        let mut checksum = None;
        if magic(entry, at) == Some(MAGIC_CHECKSUM) {
            checksum = Some(number(entry, at + MAGIC_LEN, "checksum")?);
            at += MAGIC_LEN + SIZE_LEN;
        }
        let metadata = sized(entry, at, "message metadata")?;
        let payload = metadata.end;
        Ok(Self { broker_metadata, start, checksum, checked: at, metadata, payload })
    }

    /// Finds the parts of `entry` and verifies the checksum, reading every byte once.
    ///
    /// # Errors
    ///
    /// [`EntryError::Truncated`] or [`EntryError::Checksum`].
    pub fn check(entry: &Bytes) -> Result<Checked, EntryError> {
        let header = Self::parse(entry)?;
        let (before, checked) = entry.split_at(header.checked);
        let checked = Sum::of(checked);
        match header.checksum {
            Some(stated) if stated != checked.crc() => {
                Err(EntryError::Checksum { found: checked.crc(), stated })
            }
            _ => Ok(Checked { header, sum: Sum::of(before).then(checked) }),
        }
    }
}

/// Where the broker's metadata lies; empty, at the beginning, when there is none.
fn broker_part(entry: &[u8]) -> Result<Range<usize>, EntryError> {
    match magic(entry, 0) {
        Some(MAGIC_BROKER) => sized(entry, MAGIC_LEN, BROKER_PART),
        _ => Ok(0..0),
    }
}

fn magic(entry: &[u8], at: usize) -> Option<u16> {
    let bytes = entry.get(at..at.checked_add(MAGIC_LEN)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn number(entry: &[u8], at: usize, part: &'static str) -> Result<u32, EntryError> {
    entry
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or(EntryError::Truncated { size: entry.len(), part })
}

/// A part with its size before it.
fn sized(entry: &[u8], at: usize, part: &'static str) -> Result<Range<usize>, EntryError> {
    let start = at + SIZE_LEN;
    let len = number(entry, at, part)? as usize;
    match start.checked_add(len) {
        Some(end) if end <= entry.len() => Ok(start..end),
        _ => Err(EntryError::Truncated { size: entry.len(), part }),
    }
}

fn malformed(part: &'static str) -> impl Fn(Malformed) -> EntryError {
    move |Malformed| EntryError::Malformed { part }
}

#[cfg(test)]
mod tests;
