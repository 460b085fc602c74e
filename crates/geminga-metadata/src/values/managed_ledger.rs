//! A topic's chain of ledgers and its cursors: Pulsar's messages, plain or compressed.
//!
//! A compressed value is the magic `0x4778`, a four-byte length, a [`CompressionHeader`] of that
//! length, and the compressed message. Ours are written plain, which Pulsar reads. A plain value
//! cannot begin with the magic: it would be field 8 of a wire type that both messages lack there.
//!
//! Fields that Pulsar adds later are not kept by a read and write; it has added three since 2.0.

use std::io::Read;

use bytes::{Buf, Bytes};
use prost::Message;

use super::{InvalidValue, damaged};

#[expect(unnameable_types, unreachable_pub, reason = "generated, and partly exported")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/managed_ledger.rs"));
}

pub use generated::{
    BatchedEntryDeletionIndexInfo, KeyValue, LedgerInfo, LongListMap, LongProperty,
    ManagedCursorInfo, ManagedLedgerInfo, MessageRange, NestedPositionInfo, OffloadContext,
    OffloadDriverMetadata, OffloadSegment, PositionInfo, StringProperty,
};
use generated::{CompressionHeader, CompressionType};

const MAGIC: u16 = 0x4778;
const LEDGER: &str = "managed ledger info";
const CURSOR: &str = "managed cursor info";
const POSITION: &str = "cursor position";
/// Largest value that is decompressed: a damaged size must not take all memory.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Reads a value at [`crate::paths::managed_ledger`].
///
/// # Errors
///
/// If the bytes are not one.
pub fn decode_ledger(bytes: Bytes) -> Result<ManagedLedgerInfo, InvalidValue> {
    decode(LEDGER, decompressed(LEDGER, bytes)?)
}

/// Reads a value at [`crate::paths::cursor`].
///
/// # Errors
///
/// If the bytes are not one.
pub fn decode_cursor(bytes: Bytes) -> Result<ManagedCursorInfo, InvalidValue> {
    decode(CURSOR, decompressed(CURSOR, bytes)?)
}

/// Reads an entry of a cursor's ledger.
///
/// # Errors
///
/// If the bytes are not one.
pub fn decode_position(bytes: Bytes) -> Result<PositionInfo, InvalidValue> {
    decode(POSITION, bytes)
}

/// Writes one of these values, plain.
#[must_use]
pub fn encode(value: &impl Message) -> Bytes {
    value.encode_to_vec().into()
}

fn decode<T: Message + Default>(kind: &'static str, bytes: Bytes) -> Result<T, InvalidValue> {
    T::decode(bytes).map_err(|error| damaged(kind, error))
}

fn decompressed(kind: &'static str, mut bytes: Bytes) -> Result<Bytes, InvalidValue> {
    if !bytes.starts_with(&MAGIC.to_be_bytes()) {
        return Ok(bytes);
    }
    bytes.advance(2);
    let header_len = bytes.try_get_u32().map_err(|error| damaged(kind, error))?;
    let header_len = usize::try_from(header_len).unwrap_or(usize::MAX);
    if header_len > bytes.len() {
        return Err(damaged(kind, "its compression header is cut off"));
    }
    let header: CompressionHeader = decode(kind, bytes.split_to(header_len))?;
    let compression = CompressionType::try_from(header.compression_type).map_err(|_| {
        let format = format!("compression type {}", header.compression_type);
        InvalidValue::UnknownFormat { kind, format }
    })?;
    let size = usize::try_from(header.uncompressed_size).unwrap_or(usize::MAX);
    if size > DECOMPRESSED_BYTES_MAX {
        return Err(damaged(kind, format!("its size is said to be {}", header.uncompressed_size)));
    }
    let plain = decompress(compression, &bytes, size).map_err(|reason| damaged(kind, reason))?;
    if plain.len() != size {
        return Err(damaged(kind, format!("it has {} bytes, not {size}", plain.len())));
    }
    Ok(plain.into())
}

fn decompress(compression: CompressionType, bytes: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    match compression {
        CompressionType::None => Ok(bytes.to_vec()),
        CompressionType::Lz4 => {
            lz4_flex::block::decompress(bytes, size).map_err(|error| text(&error))
        }
        CompressionType::Snappy => {
            // Its own header says the size: check it before the memory is taken.
            match snap::raw::decompress_len(bytes) {
                Ok(len) if len == size => {}
                Ok(len) => return Err(format!("it has {len} bytes, not {size}")),
                Err(error) => return Err(text(&error)),
            }
            snap::raw::Decoder::new().decompress_vec(bytes).map_err(|error| text(&error))
        }
        CompressionType::Zlib => read_up_to(flate2::read::ZlibDecoder::new(bytes), size),
        CompressionType::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(bytes).map_err(|error| text(&error))?;
            read_up_to(decoder, size)
        }
    }
}

/// Reads one byte more than expected at most, so that a wrong size shows.
fn read_up_to(reader: impl Read, size: usize) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
    match reader.take(limit).read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
