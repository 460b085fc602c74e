//! A stored message, as the admin API hands it out: its payload, with what is known of it in headers. A
//! batch is one payload; its messages are shown one by one.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use geminga_wire::batch::{BatchMessage, BatchReader};
use serde_json::{Map, Value, json};

use crate::{admin_client::Answer, client_command::hex_dump};

const PREFIX: &str = "x-pulsar-";

/// What is known of a message, with its payload as text if it is text, else as base64.
pub(super) fn json(answer: &Answer) -> Value {
    let known = answer.headers.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(PREFIX)?.to_owned();
        Some((name, serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into())))
    });
    let mut message: Map<String, Value> = known.collect();
    match batch(answer) {
        Some(messages) => {
            let messages = messages.iter().map(|one| {
                let (name, payload) = payload(&one.payload);
                json!({"key": one.metadata.partition_key, name: payload})
            });
            message.insert("messages".to_owned(), messages.collect());
        }
        None => {
            let (name, payload) = payload(&answer.body);
            message.insert(name.to_owned(), payload);
        }
    }
    message.into()
}

fn payload(bytes: &[u8]) -> (&'static str, Value) {
    match std::str::from_utf8(bytes) {
        Ok(text) => ("payload", json!(text)),
        Err(_) => ("payload-base64", json!(BASE64.encode(bytes))),
    }
}

/// The messages of a batch, if it is one that can be read: one that is encrypted cannot.
fn batch(answer: &Answer) -> Option<Vec<BatchMessage>> {
    let mut headers = answer.headers.iter();
    let (_, count) = headers.find(|(name, _)| name == "x-pulsar-num-batch-message")?;
    let payload = Bytes::copy_from_slice(&answer.body);
    BatchReader::new(payload, count.parse().ok()?).collect::<Result<_, _>>().ok()
}

/// Writes a message for people.
pub(super) fn print(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    for (name, value) in &answer.headers {
        if let Some(name) = name.strip_prefix(PREFIX) {
            writeln!(out, "{}: {value}", name.replace('-', " "))?;
        }
    }
    let Some(messages) = batch(answer) else {
        return writeln!(out, "{}", hex_dump(&answer.body));
    };
    for (index, BatchMessage { metadata, payload }) in messages.iter().enumerate() {
        let key = metadata.partition_key.as_deref().unwrap_or("null");
        writeln!(out, "message {index} of the batch, key:[{key}]")?;
        writeln!(out, "{}", hex_dump(payload))?;
    }
    Ok(())
}
