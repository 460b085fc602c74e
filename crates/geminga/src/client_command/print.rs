//! How a received message is printed: as `pulsar-client` does, whose output scripts read.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use geminga_client::Message;
use geminga_env::Timestamp;

const BOUNDARY: &str = "----- got message -----";

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
