//! How a received message is printed: as `pulsar-client` does, whose output scripts read.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use clap::Args;
use geminga_client::Message;
use geminga_env::Timestamp;
use serde_json::{Map, Value, json};

const BOUNDARY: &str = "----- got message -----";

/// In which form messages are printed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct Form {
    /// Print content as hexadecimal numbers.
    #[arg(long, conflicts_with = "json")]
    hex: bool,
    /// Print no messages.
    #[arg(long)]
    hide_content: bool,
    /// Print one JSON object a line, for programs, and nothing else.
    #[arg(long)]
    pub(super) json: bool,
}

impl Form {
    /// Writes a message, if that is wanted.
    pub(super) fn print(self, message: &Message, out: &mut impl Write) -> io::Result<()> {
        if self.hide_content {
            return Ok(());
        }
        if self.json {
            writeln!(out, "{}", json_of(message))?;
            return out.flush();
        }
        print(message, self.hex, out)
    }
}

/// A message as an object: what is not there has no field; what is not text is base64.
pub(super) fn json_of(message: &Message) -> Value {
    let properties: Map<String, Value> = message
        .properties
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let mut shown = json!({
        "messageId": message.id.to_string(),
        "topic": &*message.topic,
        "publishTime": message.publish_time.0,
        "producerName": &*message.producer_name,
        "sequenceId": message.sequence_id,
        "redeliveryCount": message.redelivery_count,
        "properties": properties,
    });
    let mut put = |name: &str, value: Value| shown[name] = value;
    if let Some(key) = &message.key {
        put(if message.key_is_base64 { "keyBase64" } else { "key" }, json!(key));
    }
    if let Some(key) = &message.ordering_key {
        put("orderingKeyBase64", json!(BASE64.encode(key)));
    }
    if let Some(Timestamp(ms)) = message.event_time {
        put("eventTime", json!(ms));
    }
    if let Some(Ok(version)) = message.schema_version.as_deref().map(<[u8; 8]>::try_from) {
        put("schemaVersion", json!(u64::from_be_bytes(version)));
    }
    match std::str::from_utf8(&message.payload) {
        _ if message.null_value => put("payload", Value::Null),
        Ok(text) => put("payload", json!(text)),
        Err(_) => put("payloadBase64", json!(BASE64.encode(&message.payload))),
    }
    shown
}

/// Writes a message: a line before it, what is known of it, its content.
pub(super) fn print(message: &Message, hex: bool, out: &mut impl Write) -> io::Result<()> {
    let event_time = message.event_time.map_or(0, |Timestamp(ms)| ms);
    let key = message.key.as_deref().unwrap_or("null");
    let properties: Vec<String> =
        message.properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    writeln!(out, "{BOUNDARY}")?;
    write!(
        out,
        "publishTime:[{}], eventTime:[{event_time}], key:[{key}], properties:[{}], content:",
        message.publish_time.0,
        properties.join(", "),
    )?;
    if message.null_value {
        writeln!(out, "null")?;
    } else if hex {
        writeln!(out, "{}", hex_dump(&message.payload))?;
    } else {
        writeln!(out, "{}", String::from_utf8_lossy(&message.payload))?;
    }
    out.flush()
}

/// Sixteen bytes a line: offset, bytes, and what of them is text.
pub(crate) fn hex_dump(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let mut hex = String::new();
        for byte in chunk {
            _ = write!(hex, "{byte:02X} "); // Writing to a string does not fail.
        }
        let printable =
            |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
        let text: String = chunk.iter().map(printable).collect();
        _ = writeln!(dump, "{:08X} {hex:<48}{text}", line * 16);
    }
    dump
}
