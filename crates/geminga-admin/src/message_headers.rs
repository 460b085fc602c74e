//! What is known of a stored message beside its payload, as Pulsar's admin clients read it: in headers.
//!
//! Only what is there has a header. What is no text, or could be none in a header, is base64, as the
//! header's name says; properties are one JSON object without a character that a header could not hold.

use std::{collections::BTreeMap, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use geminga_admin_model::iso_8601;
use geminga_broker::StoredMessage;
use geminga_wire::proto::{CompressionType, MessageMetadata};
use hyper::header::{HeaderName, HeaderValue};
use prost::Message as _;

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The headers of a message.
pub(crate) fn of(message: &StoredMessage) -> Headers {
    let mut to = Headers::new();
    let StoredMessage { position, broker, metadata, .. } = message;
    put(
        &mut to,
        "x-pulsar-message-id",
        format!("{}:{}", position.ledger_id.0, position.entry_id.0),
    );
    put_properties(&mut to, metadata);
    let timestamp = broker.timestamp.map(iso_8601);
    put_some(&mut to, "x-pulsar-broker-entry-metadata-timestamp", timestamp);
    put_some(&mut to, "x-pulsar-broker-entry-metadata-index", broker.index);
    put_times(&mut to, metadata);
    if let Some(messages) = metadata.num_messages_in_batch {
        put(&mut to, "x-pulsar-num-batch-message", messages);
        put(&mut to, "x-pulsar-batch-size", message.size);
    }
    put_some(&mut to, "x-pulsar-null-value", metadata.null_value);
    put(&mut to, "x-pulsar-is-encrypted", !metadata.encryption_keys.is_empty());
    put(&mut to, "x-pulsar-producer-name", &metadata.producer_name);
    put(&mut to, "x-pulsar-sequence-id", metadata.sequence_id);
    put_some(&mut to, "x-pulsar-highest-sequence-id", metadata.highest_sequence_id);
    put_keys(&mut to, metadata);
    put_replication(&mut to, metadata);
    put_encoding(&mut to, metadata);
    put_chunk(&mut to, metadata);
    put_some(&mut to, "x-pulsar-marker-type", metadata.marker_type);
    put_some(&mut to, "x-pulsar-txnid-least-bits", metadata.txnid_least_bits);
    put_some(&mut to, "x-pulsar-txnid-most-bits", metadata.txnid_most_bits);
    put(&mut to, "x-pulsar-txn-uncommitted", false);
    to
}

fn put_properties(to: &mut Headers, metadata: &MessageMetadata) {
    if metadata.properties.is_empty() {
        return;
    }
    // Of a key that is there twice the last one counts, as for consumers.
    let properties = metadata.properties.iter();
    let properties: BTreeMap<&str, &str> =
        properties.map(|found| (found.key.as_str(), found.value.as_str())).collect();
    if let Ok(json) = serde_json::to_string(&properties) {
        put(to, "x-pulsar-property", ascii(&json));
    }
}

fn put_times(to: &mut Headers, metadata: &MessageMetadata) {
    put(to, "x-pulsar-publish-time", iso_8601(metadata.publish_time));
    put_some(to, "x-pulsar-event-time", metadata.event_time.map(iso_8601));
    let deliver_at = metadata.deliver_at_time.and_then(|at| u64::try_from(at).ok());
    put_some(to, "x-pulsar-deliver-at-time", deliver_at.map(iso_8601));
}

fn put_keys(to: &mut Headers, metadata: &MessageMetadata) {
    put_some(to, "x-pulsar-partition-key", metadata.partition_key.as_ref());
    put_some(to, "x-pulsar-partition-key-b64-encoded", metadata.partition_key_b64_encoded);
    put_some(to, "x-pulsar-null-partition-key", metadata.null_partition_key);
    let ordering_key = metadata.ordering_key.as_ref().map(|key| BASE64.encode(key));
    put_some(to, "x-pulsar-base64-ordering-key", ordering_key);
}

fn put_replication(to: &mut Headers, metadata: &MessageMetadata) {
    put_some(to, "x-pulsar-replicated-from", metadata.replicated_from.as_ref());
    for cluster in &metadata.replicate_to {
        put(to, "x-pulsar-replicated-to", cluster);
    }
}

/// How the payload was before, or is.
fn put_encoding(to: &mut Headers, metadata: &MessageMetadata) {
    let compression = metadata.compression.and_then(|code| CompressionType::try_from(code).ok());
    put_some(to, "x-pulsar-compression", compression.map(|found| found.as_str_name()));
    put_some(to, "x-pulsar-uncompressed-size", metadata.uncompressed_size);
    put_some(to, "x-pulsar-encryption-algo", metadata.encryption_algo.as_ref());
    for key in &metadata.encryption_keys {
        put(to, "x-pulsar-base64-encryption-keys", BASE64.encode(key.encode_to_vec()));
    }
    let param = metadata.encryption_param.as_ref().map(|param| BASE64.encode(param));
    put_some(to, "x-pulsar-base64-encryption-param", param);
    let version = metadata.schema_version.as_ref().map(|version| BASE64.encode(version));
    put_some(to, "x-pulsar-base64-schema-version", version);
}

fn put_chunk(to: &mut Headers, metadata: &MessageMetadata) {
    if let Some(chunks) = metadata.num_chunks_from_msg {
        put(to, "x-pulsar-property-total-chunks", chunks);
        put(to, "x-pulsar-property-chunk-id", metadata.chunk_id.unwrap_or(0));
        put(to, "x-pulsar-num-chunks-from-msg", chunks);
    }
    put_some(to, "x-pulsar-uuid", metadata.uuid.as_ref());
    put_some(to, "x-pulsar-total-chunk-msg-size", metadata.total_chunk_msg_size);
    put_some(to, "x-pulsar-chunk-id", metadata.chunk_id);
}

fn put_some(to: &mut Headers, name: &'static str, value: Option<impl ToString>) {
    if let Some(value) = value {
        put(to, name, value);
    }
}

/// What a header cannot hold has none.
fn put(to: &mut Headers, name: &'static str, value: impl ToString) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        to.push((HeaderName::from_static(name), value));
    }
}

/// JSON with everything escaped that is not ASCII.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
