//! What compaction sees in an entry: keys and sizes, of one message or of each in a batch.

use bytes::Bytes;
use geminga_wire::{
    batch::BatchMessage,
    entry::{Chunk, EntryMeta},
};

use crate::batch;

/// What an entry holds.
pub(super) enum Content<'a> {
    /// Nothing for consumers.
    Marker,
    /// What cannot be read, or is too large to be: kept as it is.
    Opaque,
    /// One message, or a batch that is encrypted and looked at as a whole, as in Pulsar.
    One(One<'a>),
    /// A batch.
    Batch(Vec<BatchMessage>),
}

/// One message.
pub(super) struct One<'a> {
    pub(super) key: Option<&'a [u8]>,
    /// Whether it deletes its key.
    pub(super) is_delete: bool,
    pub(super) chunk: Option<Chunk<'a>>,
    /// Index of its last message, if it is a batch.
    pub(super) last_index: i32,
}

impl<'a> Content<'a> {
    /// Looks into `entry`, which decompresses a batch.
    pub(super) fn of(entry: &'a Bytes) -> Self {
        let Ok(meta) = EntryMeta::parse(entry) else { return Self::Opaque };
        if meta.marker_type.is_some() {
            return Self::Marker;
        }
        if meta.is_batch && !meta.is_encrypted {
            return batch::messages_of(&meta, entry).map_or(Self::Opaque, Self::Batch);
        }
        Self::One(One {
            key: meta.partition_key,
            is_delete: meta.null_value || size(&meta, entry) == 0,
            chunk: meta.chunk.filter(|chunk| 1 < chunk.num_chunks),
            last_index: if meta.is_batch { last_index(&meta) } else { -1 },
        })
    }
}

/// Index of the last message of an entry that is kept as it is, or -1.
pub(super) fn last_index_of(entry: &[u8]) -> i32 {
    match EntryMeta::parse(entry) {
        Ok(meta) if meta.is_batch => last_index(&meta),
        _ => -1,
    }
}

fn last_index(meta: &EntryMeta<'_>) -> i32 {
    i32::try_from(meta.messages).unwrap_or(i32::MAX) - 1
}

/// Its size before compression: what it says, or what it has.
fn size(meta: &EntryMeta<'_>, entry: &[u8]) -> usize {
    match usize::try_from(meta.uncompressed_size) {
        Ok(said) if 0 < said => said,
        _ if meta.compression == 0 => entry.len() - meta.header.payload,
        _ => 0,
    }
}
