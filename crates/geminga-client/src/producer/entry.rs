//! Turns a draft into an entry: one message as it is, several as a batch.

use bytes::Bytes;
use geminga_env::{Instant, Timestamp};
use geminga_wire::{
    batch::BatchBuilder,
    entry::encode_entry,
    proto::{KeyValue, MessageMetadata, SingleMessageMetadata},
};

use super::{
    SendError,
    batcher::{Draft, Item},
    window::InFlight,
};
use crate::{Compression, OutgoingMetadata};

/// What all entries of a producer have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format<'a> {
    pub(super) producer_name: &'a str,
    pub(super) compression: Compression,
    /// Of the producer's schema; a message may say another.
    pub(super) schema_version: Option<&'a Bytes>,
    pub(super) max_message_size: usize,
    pub(super) now: Timestamp,
}

/// Builds the entry, or answers those who wait with the reason why not.
pub(super) fn encode<W>(
    draft: Draft<W>,
    format: Format<'_>,
    deadline: Option<Instant>,
) -> Result<InFlight<W>, (SendError, Vec<W>)> {
    let first = draft.first().map_or(0, |item| item.sequence_id);
    let highest = draft.last().map(|item| item.sequence_id).filter(|_| 1 < draft.len());
    let built = match draft.as_slice() {
        [item] => single(item, format),
        items => batch(items, format),
    };
    let waiters: Vec<_> = draft.into_iter().map(|item| item.waiter).collect();
    match built {
        Ok(entry) => {
            let messages = u32::try_from(waiters.len()).unwrap_or(u32::MAX);
            let (sequence_id, highest_sequence_id) = (first, highest);
            Ok(InFlight { sequence_id, highest_sequence_id, messages, entry, deadline, waiters })
        }
        Err(error) => Err((error, waiters)),
    }
}

fn single<W>(item: &Item<W>, format: Format<'_>) -> Result<Bytes, SendError> {
    let told = &item.metadata;
    let metadata = MessageMetadata {
        publish_time: told.publish_time.unwrap_or(format.now).0,
        properties: properties(told),
        replicated_from: told.replicated_from.clone(),
        event_time: told.event_time.map(|Timestamp(ms)| ms),
        deliver_at_time: told.deliver_at.map(|Timestamp(ms)| i64::try_from(ms).unwrap_or(i64::MAX)),
        null_value: told.null_value.then_some(true),
        ..of_first(item, format)
    };
    finish(metadata, item.payload.clone(), format)
}

fn batch<W>(items: &[Item<W>], format: Format<'_>) -> Result<Bytes, SendError> {
    let mut builder = BatchBuilder::default();
    for item in items {
        let told = &item.metadata;
        let metadata = SingleMessageMetadata {
            properties: properties(told),
            partition_key: told.key.clone(),
            event_time: told.event_time.map(|Timestamp(ms)| ms),
            partition_key_b64_encoded: told.key_is_base64.then_some(true),
            ordering_key: told.ordering_key.clone(),
            sequence_id: Some(item.sequence_id),
            null_value: told.null_value.then_some(true),
            ..SingleMessageMetadata::default()
        };
        builder.push(metadata, &item.payload);
    }
    let (Some(first), Some(last)) = (items.first(), items.last()) else {
        return Err(SendError::Closed); // A draft has a message.
    };
    let metadata = MessageMetadata {
        publish_time: format.now.0,
        num_messages_in_batch: Some(i32::try_from(items.len()).unwrap_or(i32::MAX)),
        highest_sequence_id: Some(last.sequence_id),
        ..of_first(first, format)
    };
    finish(metadata, builder.take(), format)
}

/// What routes the entry, and numbers it, is its first message's.
fn of_first<W>(first: &Item<W>, format: Format<'_>) -> MessageMetadata {
    MessageMetadata {
        producer_name: format.producer_name.to_owned(),
        sequence_id: first.sequence_id,
        partition_key: first.metadata.key.clone(),
        partition_key_b64_encoded: first.metadata.key_is_base64.then_some(true),
        ordering_key: first.metadata.ordering_key.clone(),
        schema_version: first.metadata.schema_version.as_ref().or(format.schema_version).cloned(),
        ..MessageMetadata::default()
    }
}

fn finish(
    mut metadata: MessageMetadata,
    payload: Bytes,
    format: Format<'_>,
) -> Result<Bytes, SendError> {
    let too_large = |size| SendError::TooLarge { size, limit: format.max_message_size };
    let size = u32::try_from(payload.len()).map_err(|_| too_large(payload.len()))?;
    let compressed = format.compression.compress(payload.clone());
    let compressed = compressed.map_err(|error| SendError::Uncompressible(error.to_string()))?;
    // What does not get smaller goes as it is, so that a limit is never broken by compressing.
    let payload = if compressed.len() < payload.len() {
        metadata.compression = Some(format.compression.code());
        metadata.uncompressed_size = Some(size);
        compressed
    } else {
        payload
    };
    if format.max_message_size < payload.len() {
        return Err(too_large(payload.len()));
    }
    Ok(encode_entry(&metadata, &payload))
}

fn properties(metadata: &OutgoingMetadata) -> Vec<KeyValue> {
    let properties = metadata.properties.iter();
    properties.map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() }).collect()
}
