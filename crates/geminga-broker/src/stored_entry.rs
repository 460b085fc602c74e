//! An entry as it is stored, and as who looks at it sees it.

use bytes::Bytes;
use geminga_compression::Compression;
use geminga_types::Position;
use geminga_wire::{
    entry::{BrokerMeta, EntryHeader},
    proto::MessageMetadata,
};
use prost::Message as _;

use crate::batch::UNCOMPRESSED_MAX;

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Where it lies.
    pub position: Position,
    /// All its bytes.
    pub entry: Bytes,
}

/// What is in an entry: one message, a part of one, or a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// Where it lies.
    pub position: Position,
    /// What the broker noted of it.
    pub broker: BrokerMeta,
    /// What the producer said of it.
    pub metadata: MessageMetadata,
    /// Bytes of the entry beside that.
    pub size: usize,
    /// The payload, decompressed unless it is encrypted or a part of a larger one.
    pub payload: Bytes,
}

impl StoredEntry {
    /// Looks into it. This decompresses, so it takes its time.
    ///
    /// # Errors
    ///
    /// If it is no entry, or its payload cannot be decompressed, or would be too large: says why.
    pub fn message(&self) -> Result<StoredMessage, String> {
        let position = self.position;
        let failed = |reason: &dyn std::fmt::Display| {
            let (ledger, entry) = (position.ledger_id.0, position.entry_id.0);
            format!("Entry {ledger}:{entry} cannot be read: {reason}")
        };
        let header = EntryHeader::parse(&self.entry).map_err(|error| failed(&error))?;
        let broker = BrokerMeta::parse(&self.entry).map_err(|error| failed(&error))?;
        let encoded = self.entry.slice(header.metadata.clone());
        let metadata_bytes = encoded.len();
        let metadata = MessageMetadata::decode(encoded).map_err(|error| failed(&error))?;
        let payload = self.entry.slice(header.payload..);
        let is_sealed = !metadata.encryption_keys.is_empty();
        let is_part = metadata.num_chunks_from_msg.is_some_and(|chunks| 1 < chunks);
        let payload = if is_sealed || is_part {
            payload
        } else {
            decompressed(&metadata, payload).map_err(|error| failed(&error))?
        };
        let size = self.entry.len() - metadata_bytes;
        Ok(StoredMessage { position, broker, metadata, size, payload })
    }
}

fn decompressed(metadata: &MessageMetadata, payload: Bytes) -> Result<Bytes, String> {
    let code = metadata.compression.unwrap_or(0);
    let compression =
        Compression::of_code(code).ok_or_else(|| format!("compression {code} is unknown here"))?;
    let stated = metadata.uncompressed_size.unwrap_or(0);
    if compression != Compression::None && UNCOMPRESSED_MAX < stated {
        return Err(format!("{stated} bytes uncompressed exceed the limit of {UNCOMPRESSED_MAX}"));
    }
    compression.decompress(payload, stated).map_err(|error| error.to_string())
}
