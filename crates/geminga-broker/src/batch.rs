//! The messages of a batch, within limits: a few bytes can be made to look like many.

use bytes::Bytes;
use geminga_compression::Compression;
use geminga_wire::{
    batch::{BatchMessage, BatchReader},
    entry::EntryMeta,
};

/// A batch that says to be larger is not looked into.
pub(crate) const UNCOMPRESSED_MAX: u32 = 32 << 20;
/// The same for messages and fields of their metadata.
const PARTS_MAX: usize = 200_000;

/// The messages of an entry that is a batch and not encrypted. `None`: they cannot be read.
pub(crate) fn messages_of(meta: &EntryMeta<'_>, entry: &Bytes) -> Option<Vec<BatchMessage>> {
    let compression = Compression::of_code(meta.compression)?;
    if UNCOMPRESSED_MAX < meta.uncompressed_size {
        return None;
    }
    let payload = entry.slice(meta.header.payload..);
    let payload = compression.decompress(payload, meta.uncompressed_size).ok()?;
    let batch = BatchReader::new(payload, meta.messages);
    let parts = batch.clone().parts().ok()?;
    if PARTS_MAX < parts {
        return None;
    }
    batch.collect::<Result<_, _>>().ok()
}
