//! Turns a delivered entry into messages: checks, decompresses, takes batches apart.

use std::sync::Arc;

use bytes::Bytes;
use geminga_env::Timestamp;
use geminga_wire::{
    ack_set,
    batch::{BatchMessage, BatchReader},
    entry::{EntryHeader, MESSAGES_IN_BATCH_MAX},
    proto::{KeyValue, MessageMetadata},
};
use prost::Message as _;

use crate::{Compression, Message, MessageId, connection::Delivery, message::BatchPlace};

/// What an entry holds.
#[derive(Debug, Default)]
pub(super) struct Unpacked {
    pub(super) messages: Vec<Message>,
    /// Messages that cost a permit and are not for the application.
    pub(super) skipped: u32,
}

/// An entry that can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) reason: String,
    /// What it cost in permits.
    pub(super) messages: u32,
}

/// Where an entry came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) topic: &'a Arc<str>,
    pub(super) partition: Option<u32>,
}

pub(super) fn unpack(delivery: &Delivery, source: Source<'_>) -> Result<Unpacked, Unreadable> {
    let entry = &delivery.entry;
    let unreadable = |reason: String| Unreadable { reason, messages: 1 };
    let checked = EntryHeader::check(entry).map_err(|error| unreadable(format!("has {error}")))?;
    let metadata = MessageMetadata::decode(entry.slice(checked.header.metadata))
        .map_err(|_| unreadable("has malformed metadata".to_owned()))?;
    let claimed = metadata.num_messages_in_batch.map(u32::try_from);
    let batch = match claimed {
        None => None,
        Some(Ok(messages)) if messages <= MESSAGES_IN_BATCH_MAX => Some(messages),
        Some(_) => return Err(unreadable("claims an impossible batch size".to_owned())),
    };
    let messages = cost(batch, &delivery.ack_set);
    if metadata.marker_type.is_some() {
        return Ok(Unpacked { messages: Vec::new(), skipped: messages });
    }
    let payload = plain_payload(&metadata, entry.slice(checked.header.payload..))
        .map_err(|reason| Unreadable { reason, messages })?;
    let id = MessageId::of_entry(delivery.message_id.position(), source.partition);
    let whole =
        Whole { metadata, id, topic: source.topic, redeliveries: delivery.redelivery_count };
    let Some(size) = batch else {
        return Ok(Unpacked { messages: vec![whole.single(payload)], skipped: 0 });
    };
    whole.batch(payload, size, &delivery.ack_set).map_err(|reason| Unreadable { reason, messages })
}

/// The broker counts what is not acked yet.
fn cost(batch: Option<u32>, acks: &[i64]) -> u32 {
    match batch {
        Some(_) if !acks.is_empty() => ack_set::count(acks),
        Some(messages) => messages,
        None => 1,
    }
}

fn plain_payload(metadata: &MessageMetadata, payload: Bytes) -> Result<Bytes, String> {
    if !metadata.encryption_keys.is_empty() {
        return Err("is encrypted, which is not supported".to_owned());
    }
    if metadata.num_chunks_from_msg.is_some_and(|chunks| 1 < chunks) {
        return Err("is a chunk of a larger message, which is not supported".to_owned());
    }
    let compression = metadata.compression.unwrap_or_default();
    let compression = Compression::of_code(compression)
        .ok_or_else(|| format!("has an unknown compression ({compression})"))?;
    let plain = compression.decompress(payload, metadata.uncompressed_size());
    plain.map_err(|error| error.to_string())
}

/// What all messages of an entry have in common.
struct Whole<'a> {
    metadata: MessageMetadata,
    id: MessageId,
    topic: &'a Arc<str>,
    redeliveries: u32,
}

impl Whole<'_> {
    fn single(self, payload: Bytes) -> Message {
        let metadata = self.metadata;
        Message {
            id: self.id,
            topic: Arc::clone(self.topic),
            payload,
            key_is_base64: metadata.partition_key_b64_encoded(),
            publish_time: Timestamp(metadata.publish_time),
            event_time: event_time(metadata.event_time),
            null_value: metadata.null_value(),
            key: metadata.partition_key,
            ordering_key: metadata.ordering_key,
            properties: properties(metadata.properties),
            producer_name: metadata.producer_name.into(),
            sequence_id: metadata.sequence_id,
            redelivery_count: self.redeliveries,
            schema_version: metadata.schema_version,
            replicated_from: metadata.replicated_from,
        }
    }

    fn batch(self, payload: Bytes, size: u32, acks: &[i64]) -> Result<Unpacked, String> {
        let producer_name: Arc<str> = self.metadata.producer_name.as_str().into();
        let mut unpacked = Unpacked::default();
        for (index, part) in (0..).zip(BatchReader::new(payload, size)) {
            let part = part.map_err(|error| error.to_string())?;
            if !acks.is_empty() && !ack_set::is_set(acks, index) {
                continue;
            }
            if part.metadata.compacted_out() {
                unpacked.skipped += 1;
                continue;
            }
            let id = MessageId { batch: Some(BatchPlace { index, size }), ..self.id };
            unpacked.messages.push(self.part(id, &producer_name, part));
        }
        Ok(unpacked)
    }

    fn part(&self, id: MessageId, producer_name: &Arc<str>, part: BatchMessage) -> Message {
        let BatchMessage { metadata, payload } = part;
        Message {
            id,
            topic: Arc::clone(self.topic),
            payload,
            key_is_base64: metadata.partition_key_b64_encoded(),
            publish_time: Timestamp(self.metadata.publish_time),
            event_time: event_time(metadata.event_time),
            null_value: metadata.null_value(),
            key: metadata.partition_key,
            ordering_key: metadata.ordering_key,
            properties: properties(metadata.properties),
            producer_name: Arc::clone(producer_name),
            sequence_id: metadata.sequence_id.unwrap_or(self.metadata.sequence_id),
            redelivery_count: self.redeliveries,
            schema_version: self.metadata.schema_version.clone(),
            replicated_from: self.metadata.replicated_from.clone(),
        }
    }
}

fn event_time(ms: Option<u64>) -> Option<Timestamp> {
    ms.filter(|ms| *ms != 0).map(Timestamp)
}

fn properties(properties: Vec<KeyValue>) -> Vec<(String, String)> {
    properties.into_iter().map(|KeyValue { key, value }| (key, value)).collect()
}

#[cfg(test)]
mod tests;
