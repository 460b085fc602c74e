//! The metadata of an entry, read in place.
//!
//! Only what routing, storing and answering need. Nothing is copied and nothing allocated.

use super::{
    BROKER_PART, EntryError, EntryHeader, MESSAGES_IN_BATCH_MAX, broker_part, key_hash, malformed,
};
use crate::{
    frame::TxnId,
    proto::CompressionType,
    scan::{Fields, Malformed, Value},
};

/// The property that says of which message, as a broker names it, an entry was made.
pub const SOURCE_POSITION: &str = "geminga.source-position";

/// What the broker needs to know of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryMeta<'a> {
    /// Where the parts lie.
    pub header: EntryHeader,
    /// Name of the producer; not checked to be UTF-8, as all text here.
    pub producer_name: &'a [u8],
    /// Sequence id of the first message.
    pub sequence_id: u64,
    /// Sequence id of the last message of a batch.
    pub highest_sequence_id: Option<u64>,
    /// When the producer sent it, in milliseconds since 1970, by its clock.
    pub publish_time: u64,
    /// When it happened, in milliseconds since 1970; 0 when the application did not say.
    pub event_time: u64,
    /// Not to be delivered before, in milliseconds since 1970.
    pub deliver_at: Option<i64>,
    /// Messages in the entry: at least 1, at most [`MESSAGES_IN_BATCH_MAX`].
    pub messages: u32,
    /// Whether the payload is a batch, even if of one message.
    pub is_batch: bool,
    /// The key as sent: base64 if [`Self::partition_key_b64_encoded`].
    pub partition_key: Option<&'a [u8]>,
    /// Whether the key is base64 of the application's bytes.
    pub partition_key_b64_encoded: bool,
    /// The key that orders, where it differs from the one that picks the partition.
    pub ordering_key: Option<&'a [u8]>,
    /// The transaction that the entry belongs to.
    pub txn: Option<TxnId>,
    /// What kind of marker the entry is, if it is one.
    pub marker_type: Option<i32>,
    /// Which part of a larger message the entry is, if it is one.
    pub chunk: Option<Chunk<'a>>,
    /// How the payload is compressed (a [`CompressionType`]).
    pub compression: i32,
    /// Size of the payload before compression, as the producer says.
    pub uncompressed_size: u32,
    /// Whether the value is null, which deletes the key when the topic is compacted.
    pub null_value: bool,
    /// Whether the payload is encrypted.
    pub is_encrypted: bool,
    /// Version of the schema that the payload is written in.
    pub schema_version: Option<&'a [u8]>,
    /// Value of the property [`SOURCE_POSITION`].
    pub source_position: Option<&'a [u8]>,
    /// The cluster that the entry was replicated from.
    pub replicated_from: Option<&'a [u8]>,
    /// What the broker noted.
    pub broker: BrokerMeta,
}

/// What the broker noted of an entry: the front that it put before what the producer sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerMeta {
    /// When the broker took it, in milliseconds since 1970, if it noted that.
    pub timestamp: Option<u64>,
    /// Its last message's index in the topic, if the broker noted that.
    pub index: Option<u64>,
}

/// Which part of a larger message an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Names the message.
    pub uuid: &'a [u8],
    /// The part, from 0.
    pub chunk_id: i32,
    /// How many parts there are.
    pub num_chunks: i32,
    /// Size of the whole message.
    pub total_size: i32,
}

/// Fields that are required, or that mean something only together.
#[derive(Default)]
struct Parts<'a> {
    producer_name: Option<&'a [u8]>,
    sequence_id: Option<u64>,
    publish_time: Option<u64>,
    messages: Option<i32>,
    txn_least: Option<u64>,
    txn_most: Option<u64>,
    uuid: Option<&'a [u8]>,
    chunk_id: Option<i32>,
    num_chunks: Option<i32>,
    total_size: i32,
}

impl BrokerMeta {
    /// Reads what `entry` begins with, which may be the front alone: all `None` if there is no such part.
    ///
    /// # Errors
    ///
    /// [`EntryError::Truncated`] or [`EntryError::Malformed`].
    pub fn parse(entry: &[u8]) -> Result<Self, EntryError> {
        let part = broker_part(entry)?;
        Self::read(&entry[part]).map_err(malformed(BROKER_PART))
    }

    fn read(metadata: &[u8]) -> Result<Self, Malformed> {
        let mut meta = Self::default();
        for field in Fields::of(metadata) {
            match field? {
                (1, value) => meta.timestamp = Some(value.uint64()?),
                (2, value) => meta.index = Some(value.uint64()?),
                _ => {}
            }
        }
        Ok(meta)
    }
}

impl<'a> EntryMeta<'a> {
    /// Reads the metadata of `entry`. The checksum is not verified: see [`EntryHeader::check`].
    ///
    /// # Errors
    ///
    /// [`EntryError`], any but [`EntryError::Checksum`].
    pub fn parse(entry: &'a [u8]) -> Result<Self, EntryError> {
        Self::parse_with(EntryHeader::parse(entry)?, entry)
    }

    /// Reads the metadata of `entry`, whose `header` is known already.
    ///
    /// # Errors
    ///
    /// [`EntryError`], any but [`EntryError::Checksum`]; [`EntryError::Truncated`] when the header
    /// is not this entry's.
    pub fn parse_with(header: EntryHeader, entry: &'a [u8]) -> Result<Self, EntryError> {
        let size = entry.len();
        let truncated = |part| EntryError::Truncated { size, part };
        let metadata =
            entry.get(header.metadata.clone()).ok_or_else(|| truncated("message metadata"))?;
        let broker = entry.get(header.broker_metadata.clone());
        let broker = broker.ok_or_else(|| truncated(BROKER_PART))?;
        let mut meta = Self::empty(header);
        let mut parts = Parts::default();
        meta.read(&mut parts, metadata).map_err(malformed("message metadata"))?;
        meta.broker = BrokerMeta::read(broker).map_err(malformed(BROKER_PART))?;
        meta.check(&parts)?;
        Ok(meta)
    }

    /// The hash by which Key_Shared picks the consumer: 31 bits.
    ///
    /// That of the ordering key, else of the partition key, else of `producer-sequence`, so that
    /// entries without a key spread.
    #[must_use]
    pub fn key_hash(&self) -> u32 {
        key_hash::of_entry(self)
    }

    /// The compression, or `None` if it is one that is unknown here.
    #[must_use]
    pub fn compression(&self) -> Option<CompressionType> {
        CompressionType::try_from(self.compression).ok()
    }

    /// When it was published, in milliseconds since 1970: by the broker's clock if it noted that, else by
    /// the producer's.
    #[must_use]
    pub fn published_at(&self) -> u64 {
        self.broker.timestamp.unwrap_or(self.publish_time)
    }

    /// Sequence id of the last message, which is the first's unless the entry is a batch.
    #[must_use]
    pub fn last_sequence_id(&self) -> u64 {
        self.highest_sequence_id.map_or(self.sequence_id, |highest| highest.max(self.sequence_id))
    }

    const fn empty(header: EntryHeader) -> Self {
        Self {
            header,
            producer_name: &[],
            sequence_id: 0,
            highest_sequence_id: None,
            publish_time: 0,
            event_time: 0,
            deliver_at: None,
            messages: 1,
            is_batch: false,
            partition_key: None,
            partition_key_b64_encoded: false,
            ordering_key: None,
            txn: None,
            marker_type: None,
            chunk: None,
            compression: CompressionType::None as i32,
            uncompressed_size: 0,
            null_value: false,
            is_encrypted: false,
            schema_version: None,
            source_position: None,
            replicated_from: None,
            broker: BrokerMeta { timestamp: None, index: None },
        }
    }

    fn read(&mut self, parts: &mut Parts<'a>, metadata: &'a [u8]) -> Result<(), Malformed> {
        for field in Fields::of(metadata) {
            let (number, value) = field?;
            self.read_field(parts, number, value)?;
        }
        Ok(())
    }

    fn read_field(
        &mut self,
        parts: &mut Parts<'a>,
        number: u32,
        value: Value<'a>,
    ) -> Result<(), Malformed> {
        match number {
            1 => parts.producer_name = Some(value.bytes()?),
            2 => parts.sequence_id = Some(value.uint64()?),
            3 => parts.publish_time = Some(value.uint64()?),
            4 => {
                if let Some(value) = source_position(value.bytes()?)? {
                    self.source_position = Some(value);
                }
            }
            5 => self.replicated_from = Some(value.bytes()?),
            6 => self.partition_key = Some(value.bytes()?),
            8 => self.compression = value.int32()?,
            9 => self.uncompressed_size = value.uint32()?,
            11 => parts.messages = Some(value.int32()?),
            12 => self.event_time = value.uint64()?,
            13 => {
                value.bytes()?;
                self.is_encrypted = true;
            }
            16 => self.schema_version = Some(value.bytes()?),
            17 => self.partition_key_b64_encoded = value.bool()?,
            18 => self.ordering_key = Some(value.bytes()?),
            19 => self.deliver_at = Some(value.int64()?),
            20 => self.marker_type = Some(value.int32()?),
            22 => parts.txn_least = Some(value.uint64()?),
            23 => parts.txn_most = Some(value.uint64()?),
            24 => self.highest_sequence_id = Some(value.uint64()?),
            25 => self.null_value = value.bool()?,
            26 => parts.uuid = Some(value.bytes()?),
            27 => parts.num_chunks = Some(value.int32()?),
            28 => parts.total_size = value.int32()?,
            29 => parts.chunk_id = Some(value.int32()?),
            _ => {}
        }
        Ok(())
    }

    fn check(&mut self, parts: &Parts<'a>) -> Result<(), EntryError> {
        self.producer_name = required(parts.producer_name, "producer_name")?;
        self.sequence_id = required(parts.sequence_id, "sequence_id")?;
        self.publish_time = required(parts.publish_time, "publish_time")?;
        self.is_batch = parts.messages.is_some();
        self.messages = u32::try_from(parts.messages.unwrap_or(1)).unwrap_or(1).max(1);
        if MESSAGES_IN_BATCH_MAX < self.messages {
            return Err(EntryError::TooManyMessages { messages: self.messages });
        }
        self.txn = parts.txn_most.zip(parts.txn_least).map(|(most, least)| TxnId { most, least });
        if let (Some(uuid), Some(chunk_id), Some(num_chunks)) =
            (parts.uuid, parts.chunk_id, parts.num_chunks)
        {
            let total_size = parts.total_size;
            self.chunk = Some(Chunk { uuid, chunk_id, num_chunks, total_size });
        }
        Ok(())
    }
}

/// The value of a property, if it is [`SOURCE_POSITION`]. Others cost a comparison of two bytes: a key
/// comes first, as everybody writes it.
fn source_position(property: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    const KEY_FIELD: u8 = 1 << 3 | 2;
    let Some([KEY_FIELD, len, rest @ ..]) = Some(property) else { return Ok(None) };
    if usize::from(*len) != SOURCE_POSITION.len() || !rest.starts_with(SOURCE_POSITION.as_bytes()) {
        return Ok(None);
    }
    for field in Fields::of(property) {
        if let (2, value) = field? {
            return value.bytes().map(Some);
        }
    }
    Ok(None)
}

fn required<T>(value: Option<T>, field: &'static str) -> Result<T, EntryError> {
    value.ok_or(EntryError::Missing { field })
}
