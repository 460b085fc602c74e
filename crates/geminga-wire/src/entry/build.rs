//! Builds entries: for our own client, for markers and for tests.

use bytes::{BufMut, Bytes, BytesMut};
use geminga_checksum::Sum;
use prost::Message;

use super::{MAGIC_BROKER, MAGIC_CHECKSUM, MAGIC_LEN, SIZE_LEN};
use crate::proto::{BrokerEntryMetadata, MessageMetadata};

/// Builds an entry with its checksum.
///
/// # Panics
///
/// If the metadata has 4 GiB.
#[must_use]
pub fn encode_entry(metadata: &MessageMetadata, payload: &[u8]) -> Bytes {
    let metadata_len = metadata.encoded_len();
    let mut checked = BytesMut::with_capacity(SIZE_LEN + metadata_len);
    put_size(&mut checked, metadata_len);
    metadata.encode_raw(&mut checked);
    let sum = Sum::of(&checked).append(payload);
    let mut entry = BytesMut::with_capacity(MAGIC_LEN + SIZE_LEN + checked.len() + payload.len());
    entry.put_u16(MAGIC_CHECKSUM);
    entry.put_u32(sum.crc());
    entry.put_slice(&checked);
    entry.put_slice(payload);
    entry.freeze()
}

/// The longest part that [`encode_broker_entry_metadata`] makes: two numbers of up to 10 bytes.
pub const BROKER_METADATA_LEN_MAX: usize = MAGIC_LEN + SIZE_LEN + 2 * (1 + 10);

/// Appends the broker's part of an entry; what the producer sent must follow.
///
/// # Panics
///
/// If the metadata has 4 GiB.
pub fn encode_broker_entry_metadata(metadata: &BrokerEntryMetadata, buf: &mut BytesMut) {
    buf.put_u16(MAGIC_BROKER);
    put_size(buf, metadata.encoded_len());
    metadata.encode_raw(buf);
}

fn put_size(buf: &mut BytesMut, size: usize) {
    buf.put_u32(u32::try_from(size).expect("metadata fits in a frame, far below 4 GiB"));
}
