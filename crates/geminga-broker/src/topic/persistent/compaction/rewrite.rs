//! A batch of which some messages are left out: their places stay, so that indexes mean the same.

use bytes::{Bytes, BytesMut};
use geminga_compression::Compression;
use geminga_wire::{
    batch::{BatchBuilder, BatchMessage},
    entry::{EntryHeader, encode_entry},
    proto::{MessageMetadata, SingleMessageMetadata},
};
use prost::Message as _;

/// A batch that could be read before cannot be written again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch is not rewritten: {0}")]
pub(super) struct NotRewritten(String);

/// Builds the entry again with the messages for which `is_kept`; the others are marked as compacted
/// out and have no payload. What the broker put before the entry stays.
pub(super) fn rewrite(
    entry: &Bytes,
    messages: Vec<BatchMessage>,
    is_kept: &[bool],
) -> Result<Bytes, NotRewritten> {
    let failed = |error: &dyn std::fmt::Display| NotRewritten(error.to_string());
    let header = EntryHeader::parse(entry).map_err(|error| failed(&error))?;
    let metadata = MessageMetadata::decode(entry.slice(header.metadata.clone()));
    let mut metadata = metadata.map_err(|error| failed(&error))?;
    let mut batch = BatchBuilder::default();
    for (message, is_kept) in messages.into_iter().zip(is_kept) {
        if *is_kept {
            batch.push(message.metadata, &message.payload);
        } else {
            let gone = SingleMessageMetadata { compacted_out: Some(true), ..Default::default() };
            batch.push(gone, &[]);
        }
    }
    let indexes = (0..).zip(is_kept).filter(|(_, is_kept)| **is_kept).map(|(index, _)| index);
    metadata.compacted_batch_indexes = indexes.collect();
    metadata.uncompressed_size = Some(u32::try_from(batch.size()).map_err(|error| failed(&error))?);
    let compression = Compression::of_code(metadata.compression.unwrap_or_default());
    let compression = compression.ok_or_else(|| failed(&"its compression is unknown"))?;
    let payload = compression.compress(batch.take()).map_err(|error| failed(&error))?;
    let rewritten = encode_entry(&metadata, &payload);
    if header.start == 0 {
        return Ok(rewritten);
    }
    let mut whole = BytesMut::with_capacity(header.start + rewritten.len());
    whole.extend_from_slice(&entry[..header.start]);
    whole.extend_from_slice(&rewritten);
    Ok(whole.freeze())
}
