use proptest::prelude::*;

use super::*;

fn metadata(sequence_id: u64) -> SingleMessageMetadata {
    SingleMessageMetadata {
        sequence_id: Some(sequence_id),
        partition_key: Some(format!("key-{sequence_id}")),
        ..SingleMessageMetadata::default()
    }
}

fn batch(payloads: &[Vec<u8>]) -> (Bytes, u32) {
    let mut builder = BatchBuilder::default();
    for (sequence_id, payload) in (0..).zip(payloads) {
        builder.push(metadata(sequence_id), payload);
    }
    let messages = builder.messages();
    let size = builder.size();
    let bytes = builder.take();
    assert_eq!(bytes.len(), size);
    assert_eq!((builder.messages(), builder.size()), (0, 0));
    (bytes, messages)
}

#[test]
fn a_batch_has_the_bytes_that_the_protocol_says() {
    let mut builder = BatchBuilder::default();
    builder.push(SingleMessageMetadata::default(), b"ab");
    builder.push(SingleMessageMetadata::default(), b"");
    assert_eq!(builder.take()[..], [0, 0, 0, 2, 0x18, 2, b'a', b'b', 0, 0, 0, 2, 0x18, 0]);
}

#[test]
fn a_cut_batch_names_the_message_and_ends() {
    let (bytes, messages) = batch(&[vec![1; 10], vec![2; 10]]);
    let first = batch(&[vec![1; 10]]).0.len();
    for size in 0..bytes.len() {
        let read: Vec<_> = BatchReader::new(bytes.slice(..size), messages).collect();
        let index = u32::from(first <= size);
        assert_eq!(read.len(), index as usize + 1);
        assert_eq!(read.last(), Some(&Err(BatchError::Truncated { index })));
    }
}

#[test]
fn a_negative_size_is_malformed() {
    let mut bytes = BytesMut::new();
    let metadata = SingleMessageMetadata { payload_size: -1, ..metadata(0) };
    bytes.put_u32(metadata.encoded_len().try_into().unwrap());
    metadata.encode_raw(&mut bytes);
    let mut reader = BatchReader::new(bytes.freeze(), 1);
    assert_eq!(reader.next(), Some(Err(BatchError::Malformed { index: 0 })));
    assert_eq!(reader.next(), None);
}

#[test]
fn what_follows_the_last_message_is_ignored() {
    let (bytes, _) = batch(&[vec![1; 10], vec![2; 10]]);
    assert_eq!(BatchReader::new(bytes, 1).count(), 1);
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let (bytes, messages) = batch(&payloads);
        let read: Result<Vec<_>, _> = BatchReader::new(bytes, messages).collect();
        let read = read.unwrap();
        prop_assert_eq!(read.len(), payloads.len());
        for ((sequence_id, message), payload) in (0..).zip(read).zip(payloads) {
            prop_assert_eq!(&message.payload, &payload);
            let payload_size = i32::try_from(payload.len()).unwrap();
            prop_assert_eq!(message.metadata, SingleMessageMetadata { payload_size, ..metadata(sequence_id) });
        }
    }

    #[test]
    fn random_bytes_harm_nothing(bytes in prop::collection::vec(any::<u8>(), 0..100), messages in any::<u32>()) {
        let len = bytes.len();
        prop_assert!(BatchReader::new(bytes.into(), messages).count() <= len / 4 + 1);
    }
}

/// Goal: what a reader would have to hold is known without holding it, and wherever the reader fails so
/// does the count.
#[test]
fn the_parts_of_a_batch_are_counted_without_reading_them() {
    let (bytes, messages) = batch(&[vec![1; 10], vec![2; 10]]);
    let fields = 3; // Sequence id, key, payload size.
    let parts = BatchReader::new(bytes.clone(), messages).parts();
    assert_eq!(parts, Ok(2 * (1 + fields)));
    for size in 0..bytes.len() {
        let reader = BatchReader::new(bytes.slice(..size), messages);
        let read: Result<Vec<_>, _> = reader.clone().collect();
        assert_eq!(reader.parts().is_ok(), read.is_ok(), "{size}");
    }
    let mut bomb = BytesMut::new();
    let metadata = [[0x0a, 0].repeat(50_000), vec![0x18, 0]].concat();
    bomb.put_u32(u32::try_from(metadata.len()).unwrap());
    bomb.extend_from_slice(&metadata);
    assert_eq!(BatchReader::new(bomb.freeze(), 1).parts(), Ok(50_002));
}
