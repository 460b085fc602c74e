//! A stored message, as the admin API hands it out: its payload, with what is known of it in headers.

use std::io::{self, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
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
    let (name, payload) = match std::str::from_utf8(&answer.body) {
        Ok(text) => ("payload", json!(text)),
        Err(_) => ("payload-base64", json!(BASE64.encode(&answer.body))),
    };
    message.insert(name.to_owned(), payload);
    message.into()
}

/// Writes a message for people.
pub(super) fn print(answer: &Answer, out: &mut impl Write) -> io::Result<()> {
    for (name, value) in &answer.headers {
        if let Some(name) = name.strip_prefix(PREFIX) {
            writeln!(out, "{}: {value}", name.replace('-', " "))?;
        }
    }
    writeln!(out, "{}", hex_dump(&answer.body))
}
