//! Any bytes as a batch.

#![no_main]

use bytes::Bytes;
use geminga_wire::batch::{BatchBuilder, BatchReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut builder = BatchBuilder::default();
    let mut messages = Vec::new();
    for message in BatchReader::new(Bytes::copy_from_slice(bytes), u32::MAX) {
        let Ok(message) = message else { break };
        builder.push(message.metadata.clone(), &message.payload);
        messages.push(message);
    }
    assert!(messages.len() <= bytes.len() / 4, "more messages than bytes");
    let count = builder.messages();
    let again: Result<Vec<_>, _> = BatchReader::new(builder.take(), count).collect();
    assert_eq!(again.expect("what is built can be read"), messages);
});
