//! Micro benchmarks: `cargo bench -p geminga-wire`. Each is of one frame, or of one entry.

use bytes::{Bytes, BytesMut};
use divan::{Bencher, black_box, counter::BytesCount};
use geminga_types::Position;
use geminga_wire::{
    entry::{EntryHeader, EntryMeta, encode_entry},
    frame::{
        AckCommand, AckedId, FrameDecoder, MessageHeader, SendCommand, SendReceipt, encode_ack,
        encode_message_header, encode_send, encode_send_receipt,
    },
    proto::MessageMetadata,
};

const SIZES: [usize; 3] = [100, 1_024, 65_536];
const FRAMES: usize = 64;

fn main() {
    divan::main();
}

fn entry(size: usize) -> Bytes {
    let metadata = MessageMetadata {
        producer_name: "standalone-0-1".to_owned(),
        sequence_id: 1_000_000,
        publish_time: 1_760_000_000_000,
        ..MessageMetadata::default()
    };
    encode_entry(&metadata, &vec![7; size])
}

const fn send() -> SendCommand {
    SendCommand {
        producer_id: 1,
        sequence_id: 1_000_000,
        num_messages: 1,
        txn: None,
        highest_sequence_id: None,
        is_chunk: false,
        marker: false,
        message_id: None,
    }
}

/// Takes SENDs from a read buffer, as they arrive: many in one allocation.
#[divan::bench(args = SIZES)]
fn decode_send(bencher: Bencher<'_, '_>, size: usize) {
    let mut frames = BytesMut::new();
    let entry = entry(size);
    (0..FRAMES).for_each(|_| encode_send(&send(), &entry, &mut frames));
    let mut decoder = FrameDecoder::default();
    let mut unread = BytesMut::new();
    bencher.bench_local(|| {
        if unread.is_empty() {
            unread = frames.clone();
        }
        decoder.decode(&mut unread)
    });
}

#[divan::bench]
fn decode_ack(bencher: Bencher<'_, '_>) {
    let id = AckedId {
        position: Position::new(100, 1_000),
        partition: -1,
        batch_index: -1,
        batch_size: 0,
        ack_set: Default::default(),
    };
    let ack = AckCommand {
        consumer_id: 1,
        cumulative: false,
        message_ids: std::iter::once(id).collect(),
        validation_error: None,
        properties: Vec::new(),
        txn: None,
        request_id: None,
    };
    let mut frame = BytesMut::new();
    encode_ack(&ack, &mut frame);
    let mut decoder = FrameDecoder::default();
    bencher.bench_local(|| decoder.decode(&mut black_box(&frame).clone()));
}

#[divan::bench]
fn encode_receipt(bencher: Bencher<'_, '_>) {
    let receipt = SendReceipt {
        producer_id: 1,
        sequence_id: 1_000_000,
        highest_sequence_id: None,
        position: Position::new(100, 1_000),
    };
    let mut out = BytesMut::with_capacity(1 << 10);
    bencher.bench_local(|| {
        out.clear();
        encode_send_receipt(black_box(&receipt), &mut out);
    });
}

#[divan::bench]
fn encode_message(bencher: Bencher<'_, '_>) {
    let message = MessageHeader {
        consumer_id: 1,
        position: Position::new(100, 1_000),
        partition: 3,
        redelivery_count: 0,
        ack_set: &[],
        consumer_epoch: None,
    };
    let mut out = BytesMut::with_capacity(1 << 10);
    bencher.bench_local(|| {
        out.clear();
        encode_message_header(black_box(&message), 1_024, &mut out);
    });
}

/// The checksum of a SEND's entry, and its sum for the envelope.
#[divan::bench(args = SIZES)]
fn check_entry(bencher: Bencher<'_, '_>, size: usize) {
    let entry = entry(size);
    let bytes = BytesCount::new(entry.len());
    bencher.counter(bytes).bench_local(|| EntryHeader::check(black_box(&entry)));
}

#[divan::bench]
fn parse_metadata(bencher: Bencher<'_, '_>) {
    let entry = entry(0);
    bencher.bench_local(|| EntryMeta::parse(black_box(&entry)).is_ok());
}
