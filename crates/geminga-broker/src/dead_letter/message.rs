//! A dead letter as it is published: the message that it was, with where it comes from.

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_compression::Compression;
use geminga_dedup::{Identity, Sequence, SourcePosition};
use geminga_types::{Position, TopicName};
use geminga_wire::{
    batch::BatchMessage,
    entry::{EntryMeta, encode_entry},
    proto::{KeyValue, MessageMetadata},
};
use prost::Message as _;

use crate::{Publish, batch, producer::chunk_of};

/// As Java's client says where a dead letter comes from; the one before last is from its former days.
const REAL_TOPIC: &str = "REAL_TOPIC";
const REAL_SUBSCRIPTION: &str = "REAL_SUBSCRIPTION";
const ORIGIN_MESSAGE_ID_OLD: &str = "ORIGIN_MESSAGE_IDY_TIME";
const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// By this a topic recognises what a broker publishes again.
const SOURCE_POSITION: &str = SourcePosition::PROPERTY;
/// Why a batch is published as it is, and which of its messages were not acked.
const WHOLE: &str = "geminga.deadLetter.whole";
const ACK_SET: &str = "geminga.deadLetter.ackSet";
/// What became of the message's schema, if it has none here.
const SCHEMA: &str = "geminga.deadLetter.schema";

/// Where dead letters come from, and what they are published with.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub(super) topic: &'a TopicName,
    pub(super) subscription: &'a str,
    pub(super) producer_name: &'a str,
    /// The version that the messages' schema has on the topic they go to.
    pub(super) schema_version: Option<Bytes>,
    /// Whether that topic does not take the schema that they have.
    pub(super) is_schema_refused: bool,
    pub(super) now_wall_ms: u64,
}

/// An entry of which something is to be published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dead<'a> {
    pub(super) entry: &'a Bytes,
    pub(super) position: Position,
    /// Which of its messages are not acked (bit = 1), if some are.
    pub(super) ack_set: Option<&'a [i64]>,
    /// How many of them to publish.
    pub(super) messages_max: u32,
}

/// What an entry becomes.
pub(super) struct Rebuilt {
    /// Ready to be published, in order.
    pub(super) publishes: Vec<Publish>,
    /// Of a batch, the index of each. `None`: the entry is published as a whole.
    pub(super) indexes: Option<Vec<u32>>,
    /// How many messages it has.
    pub(super) messages: u32,
}

impl Origin<'_> {
    /// Builds what is to be published of an entry, with sequence ids from `sequence_id` on.
    pub(super) fn rebuild(&self, dead: Dead<'_>, sequence_id: u64) -> Rebuilt {
        let Ok(meta) = EntryMeta::parse(dead.entry) else {
            return self.opaque(dead, sequence_id);
        };
        let metadata = dead.entry.slice(meta.header.metadata.clone());
        let Ok(metadata) = MessageMetadata::decode(metadata) else {
            return self.opaque(dead, sequence_id);
        };
        let payload = dead.entry.slice(meta.header.payload..);
        if !meta.is_batch {
            let metadata = self.adapt(metadata, (dead.position, None), sequence_id);
            return Rebuilt::whole(publish_of(&metadata, &payload), meta.messages);
        }
        let unread = if meta.is_encrypted { "encrypted" } else { "unreadable" };
        let messages = Some(&meta).filter(|meta| !meta.is_encrypted);
        let messages = messages.and_then(|meta| batch::messages_of(meta, dead.entry));
        let compression = Compression::of_code(meta.compression).unwrap_or_default();
        let split = messages
            .and_then(|messages| self.split(dead, messages, (&metadata, compression), sequence_id));
        split.unwrap_or_else(|| {
            let mut metadata = self.adapt(metadata, (dead.position, None), sequence_id);
            metadata.properties.push(property(WHOLE, unread));
            if let Some(ack_set) = dead.ack_set {
                let words: Vec<_> = ack_set.iter().map(i64::to_string).collect();
                metadata.properties.push(property(ACK_SET, &words.join(",")));
            }
            Rebuilt::whole(publish_of(&metadata, &payload), meta.messages)
        })
    }

    /// The messages of a batch that are not acked, each on its own.
    fn split(
        &self,
        dead: Dead<'_>,
        messages: Vec<BatchMessage>,
        (batch, compression): (&MessageMetadata, Compression),
        sequence_id: u64,
    ) -> Option<Rebuilt> {
        let count = u32::try_from(messages.len()).ok()?;
        let is_unacked = |index: u32| {
            let word = |set: &[i64]| set.get(index as usize / 64).copied().unwrap_or(0);
            dead.ack_set.is_none_or(|set| word(set) >> (index % 64) & 1 == 1)
        };
        let unacked = (0..).zip(messages).filter(|(index, _)| is_unacked(*index));
        let (mut publishes, mut indexes) = (Vec::new(), Vec::new());
        for (index, message) in unacked.take(dead.messages_max as usize) {
            let sequence_id = sequence_id + u64::from(index);
            let BatchMessage { metadata: single, payload } = message;
            let metadata = MessageMetadata {
                properties: single.properties,
                partition_key: single.partition_key,
                partition_key_b64_encoded: single.partition_key_b64_encoded,
                null_partition_key: single.null_partition_key,
                ordering_key: single.ordering_key,
                event_time: single.event_time,
                null_value: single.null_value,
                schema_version: batch.schema_version.clone(),
                compression: batch.compression,
                uncompressed_size: u32::try_from(payload.len()).ok(),
                ..MessageMetadata::default()
            };
            let index_of = i32::try_from(index).ok()?;
            let metadata = self.adapt(metadata, (dead.position, Some(index_of)), sequence_id);
            let payload = compression.compress(payload).ok()?;
            publishes.push(publish_of(&metadata, &payload));
            indexes.push(index);
        }
        Some(Rebuilt { publishes, indexes: Some(indexes), messages: count })
    }

    /// What is no entry that anybody could read is published as bytes.
    fn opaque(&self, dead: Dead<'_>, sequence_id: u64) -> Rebuilt {
        let mut metadata =
            self.adapt(MessageMetadata::default(), (dead.position, None), sequence_id);
        metadata.schema_version = None;
        metadata.properties.push(property(WHOLE, "unreadable"));
        Rebuilt::whole(publish_of(&metadata, dead.entry), 1)
    }

    /// Makes the metadata that of a message published here and now, which says where it comes from.
    fn adapt(
        &self,
        metadata: MessageMetadata,
        (position, index): (Position, Option<i32>),
        sequence_id: u64,
    ) -> MessageMetadata {
        let (ledger, entry) = (position.ledger_id.0, position.entry_id.0);
        let partition = self.topic.partition().map_or(-1, i64::from);
        let mut id = format!("{ledger}:{entry}:{partition}");
        if let Some(index) = index {
            id = format!("{id}:{index}");
        }
        let source = SourcePosition { position, batch_index: index.unwrap_or(-1) };
        let mut properties = metadata.properties;
        properties.retain(|property| property.key != SOURCE_POSITION);
        for (key, value) in [
            (REAL_TOPIC, &self.topic.without_partition().to_string()),
            (REAL_SUBSCRIPTION, &self.subscription.to_owned()),
            (ORIGIN_MESSAGE_ID_OLD, &id),
            (ORIGIN_MESSAGE_ID, &id),
            (SOURCE_POSITION, &source.to_string()),
        ] {
            // What a message says already is from its first topic, before the one that it is on now.
            if properties.iter().all(|property| property.key != key) {
                properties.push(property(key, value));
            }
        }
        if self.is_schema_refused {
            properties.push(property(SCHEMA, "refused"));
        }
        MessageMetadata {
            producer_name: self.producer_name.to_owned(),
            sequence_id,
            highest_sequence_id: None,
            publish_time: self.now_wall_ms,
            properties,
            schema_version: self.schema_version.clone(),
            replicated_from: None,
            replicate_to: Vec::new(),
            deliver_at_time: None,
            txnid_least_bits: None,
            txnid_most_bits: None,
            ..metadata
        }
    }
}

impl Rebuilt {
    fn whole(publish: Publish, messages: u32) -> Self {
        Self { publishes: vec![publish], indexes: None, messages }
    }

    /// What of the entry is not acked once the first `stored` were published; `None`: nothing.
    pub(super) fn rest(&self, ack_set: Option<&[i64]>, stored: usize) -> Option<Box<[i64]>> {
        let indexes = self.indexes.as_ref()?;
        let words = (self.messages as usize).div_ceil(64);
        let full = |word: usize| match self.messages as usize - word * 64 {
            left if left < 64 => (1_i64 << left).wrapping_sub(1),
            _ => -1,
        };
        let mut rest: Vec<i64> = match ack_set {
            Some(set) => set.to_vec(),
            None => (0..words).map(full).collect(),
        };
        for &index in indexes.iter().take(stored) {
            if let Some(word) = rest.get_mut(index as usize / 64) {
                *word &= !(1 << (index % 64));
            }
        }
        rest.iter().any(|&word| word != 0).then(|| rest.into())
    }
}

fn property(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: value.to_owned() }
}

fn publish_of(metadata: &MessageMetadata, payload: &[u8]) -> Publish {
    let entry = encode_entry(metadata, payload);
    let sequence_id = metadata.sequence_id;
    let (messages, key_hash, identity, chunk) = match EntryMeta::parse(&entry) {
        Ok(meta) => (meta.messages, meta.key_hash(), Identity::of_entry(&meta), chunk_of(&meta)),
        Err(_) => (1, 0, Identity::Sequence(Sequence::of(sequence_id)), None),
    };
    Publish {
        sequence_id,
        highest_sequence_id: None,
        messages,
        sum: Sum::of(&entry),
        key_hash,
        deliver_at: None,
        published_at: metadata.publish_time,
        is_visible: true,
        chunk,
        name: Bytes::copy_from_slice(metadata.producer_name.as_bytes()),
        identity,
        entry,
        permit: None,
    }
}

#[cfg(test)]
mod tests;
