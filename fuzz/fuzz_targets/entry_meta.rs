//! Any bytes as an entry.

#![no_main]

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_wire::{
    entry::{EntryHeader, EntryMeta},
    proto::MessageMetadata,
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    let entry = Bytes::copy_from_slice(bytes);
    if let Ok(checked) = EntryHeader::check(&entry) {
        assert_eq!(checked.sum, Sum::of(bytes));
    }
    let Ok(meta) = EntryMeta::parse(&entry) else { return };
    let _ = meta.key_hash();
    // The generated code also wants text to be UTF-8, and fields that are not scanned to be right.
    let Ok(read) = MessageMetadata::decode(&bytes[meta.header.metadata.clone()]) else { return };
    assert_eq!(meta.producer_name, read.producer_name.as_bytes());
    assert_eq!(meta.sequence_id, read.sequence_id);
    assert_eq!(meta.publish_time, read.publish_time);
    assert_eq!(meta.highest_sequence_id, read.highest_sequence_id);
    assert_eq!(meta.partition_key, read.partition_key.as_deref().map(str::as_bytes));
    assert_eq!(meta.ordering_key, read.ordering_key.as_deref());
    assert_eq!(meta.deliver_at, read.deliver_at_time);
    assert_eq!(meta.is_batch, read.num_messages_in_batch.is_some());
    assert_eq!(meta.marker_type, read.marker_type);
    assert_eq!(meta.uncompressed_size, read.uncompressed_size());
    assert_eq!(meta.is_encrypted, !read.encryption_keys.is_empty());
});
