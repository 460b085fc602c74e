use bytes::BufMut;
use geminga_types::Position;
use proptest::{option, prelude::*};
use prost::Message;
use smallvec::SmallVec;

use super::*;
use crate::proto::{
    self, BaseCommand, Body, ServerError, base_command::Type, command_ack::AckType,
};

/// Decodes one frame that must be whole and alone.
fn decode(bytes: &[u8]) -> Result<Frame, FrameError> {
    let mut buf = BytesMut::from(bytes);
    let frame = FrameDecoder::default().decode(&mut buf)?.expect("the frame is whole");
    assert!(buf.is_empty());
    Ok(frame)
}

fn command(command: impl Into<BaseCommand>) -> Result<Command, FrameError> {
    let mut buf = BytesMut::new();
    encode_command(&command.into(), &mut buf);
    decode(&buf).map(|frame| frame.command)
}

/// What the generated code reads in the frame that `encode` writes.
fn body_of(encode: impl FnOnce(&mut BytesMut)) -> (Body, usize) {
    let mut buf = BytesMut::new();
    encode(&mut buf);
    let size = usize::try_from(buf.get_u32()).unwrap();
    let command_size = usize::try_from(buf.get_u32()).unwrap();
    let command = BaseCommand::decode(&buf[..command_size]).unwrap();
    let body = command.body.unwrap();
    assert_eq!(body.kind() as i32, command.r#type);
    (body, size - 4 - command_size)
}

fn raw_frame(size: u32, command: &[u8]) -> BytesMut {
    let mut buf = BytesMut::new();
    buf.put_u32(size);
    buf.put_u32(command.len().try_into().unwrap());
    buf.put_slice(command);
    buf
}

fn raw_command(bytes: &[u8]) -> Result<Command, CommandError> {
    Command::decode(bytes)
}

#[test]
fn a_frame_comes_whole_however_its_bytes_come() {
    let mut bytes = BytesMut::new();
    let send = SendCommand { num_messages: 3, ..send() };
    encode_send(&send, b"the entry", &mut bytes);
    encode_ping(&mut bytes);
    let mut decoder = FrameDecoder::default();
    let mut buf = BytesMut::new();
    let mut frames = Vec::new();
    for byte in bytes {
        buf.put_u8(byte);
        while let Some(frame) = decoder.decode(&mut buf).unwrap() {
            frames.push(frame);
        }
    }
    let [first, second] = &frames[..] else { panic!("{frames:?}") };
    assert!(matches!(&first.command, Command::Send(read) if *read == send));
    assert_eq!(first.payload.as_deref(), Some(&b"the entry"[..]));
    assert!(matches!(second.command, Command::Ping));
    assert_eq!(second.payload, None);
}

#[test]
fn the_payload_is_a_slice_of_the_buffer() {
    let mut buf = BytesMut::new();
    encode_send(&send(), &[7; 1000], &mut buf);
    let range = buf.as_ptr_range();
    let frame = FrameDecoder::default().decode(&mut buf).unwrap().unwrap();
    assert!(range.contains(&frame.payload.unwrap().as_ptr()));
}

#[test]
fn an_oversized_frame_is_refused_by_its_first_four_bytes() {
    let mut decoder = FrameDecoder::for_messages_of(1000);
    let limit = 1000 + FRAME_OVERHEAD;
    let mut buf = BytesMut::from(&u32::try_from(limit - 3).unwrap().to_be_bytes()[..]);
    let error = decoder.decode(&mut buf).unwrap_err();
    assert_eq!(error, FrameError::Oversized { size: limit + 1, limit });
    assert_eq!(error.to_string(), "a frame of 11241 bytes, more than the limit of 11240");
    let mut buf = BytesMut::from(&u32::try_from(limit - 4).unwrap().to_be_bytes()[..]);
    assert!(decoder.decode(&mut buf).unwrap().is_none(), "the limit itself is allowed");
    let mut buf = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
    assert!(matches!(decoder.decode(&mut buf), Err(FrameError::Oversized { .. })));
    let mut buf = BytesMut::from(&[0xff; 4][..]);
    assert!(matches!(decoder.decode(&mut buf), Err(FrameError::Oversized { .. })));
}

#[test]
fn sizes_that_contradict_each_other_are_refused_early() {
    let mut decoder = FrameDecoder::default();
    for size in 0..4_u8 {
        let error = decoder.decode(&mut BytesMut::from(&[0, 0, 0, size][..])).unwrap_err();
        assert_eq!(error, FrameError::Undersized { size: usize::from(size) + 4 });
    }
    let mut buf = BytesMut::from(&[0, 0, 0, 9, 0, 0, 0, 6][..]);
    let error = decoder.decode(&mut buf).unwrap_err();
    assert_eq!(error, FrameError::CommandBeyondFrame { command: 6, room: 5 });
    let mut buf = BytesMut::from(&[0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff][..]);
    assert!(matches!(decoder.decode(&mut buf), Err(FrameError::CommandBeyondFrame { .. })));
}

#[test]
fn after_a_command_that_cannot_be_used_the_next_frame_is_read() {
    let mut buf = raw_frame(4 + 2, &[0x08, 90]);
    encode_pong(&mut buf);
    let mut decoder = FrameDecoder::default();
    let error = decoder.decode(&mut buf).unwrap_err();
    assert_eq!(error, FrameError::Command(CommandError::Unknown(90)));
    let frame = decoder.decode(&mut buf).unwrap().unwrap();
    assert!(matches!(frame.command, Command::Pong));
}

#[test]
fn a_command_says_what_is_wrong_with_it() {
    let error = |bytes| raw_command(bytes).unwrap_err();
    assert_eq!(error(&[]), CommandError::Untyped);
    assert_eq!(error(&[0x08, 0]), CommandError::Unknown(0));
    assert_eq!(error(&[0x08, 6]), CommandError::Bodiless(Type::Send));
    assert_eq!(error(&[0x08, 18, 0x9a, 0x01, 0]), CommandError::Bodiless(Type::Ping));
    assert_eq!(error(&[0x08]), CommandError::Malformed { size: 1 });
    assert_eq!(error(&[0x08, 6, 0x30, 1]), CommandError::Malformed { size: 4 });
    assert_eq!(error(&[0x08, 2, 0x12, 1, 0xff]), CommandError::Malformed { size: 5 });
    let missing = |field| CommandError::Missing { command: Type::Flow, field };
    assert_eq!(error(&[0x08, 11, 0x5a, 0]), missing("consumer_id"));
    assert_eq!(error(&[0x08, 11, 0x5a, 2, 0x08, 1]), missing("messagePermits"));
    let ack = proto::CommandAck { ack_type: 2, ..proto::CommandAck::default() };
    let invalid = CommandError::Invalid { command: Type::Ack, field: "ack_type", value: 2 };
    assert_eq!(command(ack).unwrap_err(), invalid.into());
    let send = proto::CommandSend { num_messages: Some(-1), ..proto::CommandSend::default() };
    let invalid = CommandError::Invalid { command: Type::Send, field: "num_messages", value: -1 };
    assert_eq!(command(send).unwrap_err(), invalid.into());
}

#[test]
fn unknown_fields_are_ignored() {
    let unknown = [0xf8, 0x3f, 1, 0xfa, 0x3f, 2, 9, 9, 0xfd, 0x3f, 1, 2, 3, 4];
    let mut flow = vec![0x08, 7, 0x10, 100];
    flow.extend(unknown);
    let mut bytes = vec![0x08, 11, 0x5a, flow.len().try_into().unwrap()];
    bytes.extend(flow);
    bytes.extend(unknown);
    let Command::Flow(flow) = raw_command(&bytes).unwrap() else { panic!() };
    assert_eq!(flow, FlowCommand { consumer_id: 7, message_permits: 100 });
}

#[test]
fn a_body_in_parts_is_merged() {
    let bytes = [0x5a, 2, 0x08, 7, 0x08, 11, 0x5a, 2, 0x10, 100];
    let Command::Flow(flow) = raw_command(&bytes).unwrap() else { panic!() };
    assert_eq!(flow, FlowCommand { consumer_id: 7, message_permits: 100 });
}

#[test]
fn packed_ack_sets_are_read_too() {
    let id = [0x08, 5, 0x10, 6, 0x2a, 3, 3, 0x80, 0x01];
    let mut ack = vec![0x08, 1, 0x10, 0, 0x1a, id.len().try_into().unwrap()];
    ack.extend(id);
    let mut bytes = vec![0x08, 10, 0x52, ack.len().try_into().unwrap()];
    bytes.extend(ack);
    let Command::Ack(ack) = raw_command(&bytes).unwrap() else { panic!() };
    assert_eq!(ack.message_ids[0].ack_set[..], [3, 128]);
}

#[test]
fn the_other_commands_come_as_their_messages() {
    let lookup = proto::CommandLookupTopic {
        topic: "persistent://public/default/t".into(),
        request_id: 9,
        ..proto::CommandLookupTopic::default()
    };
    let read = command(lookup.clone()).unwrap();
    assert_eq!(read.kind(), Type::Lookup);
    let Command::Other(body) = read else { panic!("{read:?}") };
    assert_eq!(*body, Body::LookupTopic(lookup));
}

#[test]
fn pings_and_pongs_are_read_and_written() {
    assert!(matches!(command(proto::CommandPing {}).unwrap(), Command::Ping));
    assert!(matches!(command(proto::CommandPong {}).unwrap(), Command::Pong));
    assert_eq!(body_of(encode_ping), (Body::Ping(proto::CommandPing {}), 0));
    assert_eq!(body_of(encode_pong), (Body::Pong(proto::CommandPong {}), 0));
}

fn send() -> SendCommand {
    SendCommand {
        producer_id: 1,
        sequence_id: 2,
        num_messages: 1,
        highest_sequence_id: None,
        txn: None,
        is_chunk: false,
        marker: false,
        message_id: None,
    }
}

prop_compose! {
    fn positions()(ledger in any::<i64>(), entry in any::<i64>()) -> Position {
        Position::new(ledger, entry)
    }
}

prop_compose! {
    fn txns()(most in any::<u64>(), least in any::<u64>()) -> TxnId {
        TxnId { most, least }
    }
}

prop_compose! {
    fn sends()(
        (producer_id, sequence_id) in any::<(u64, u64)>(),
        num_messages in 0..=i32::MAX.cast_unsigned(),
        highest_sequence_id in any::<Option<u64>>(),
        txn in option::of(txns()),
        (is_chunk, marker) in any::<(bool, bool)>(),
        message_id in option::of(positions()),
    ) -> SendCommand {
        SendCommand {
            producer_id, sequence_id, num_messages, highest_sequence_id, txn, is_chunk, marker,
            message_id,
        }
    }
}

prop_compose! {
    fn acked_ids()(
        position in positions(),
        (partition, batch_index, batch_size) in any::<(i32, i32, i32)>(),
        ack_set in prop::collection::vec(any::<i64>(), 0..6),
    ) -> AckedId {
        AckedId { position, partition, batch_index, batch_size, ack_set: ack_set.into() }
    }
}

prop_compose! {
    fn acks()(
        consumer_id in any::<u64>(),
        cumulative in any::<bool>(),
        message_ids in prop::collection::vec(acked_ids(), 0..4),
        validation_error in option::of(0..5),
        properties in prop::collection::vec(("[a-z]{0,5}", any::<u64>()), 0..3),
        txn in option::of(txns()),
        request_id in any::<Option<u64>>(),
    ) -> AckCommand {
        let properties =
            properties.into_iter().map(|(key, value)| proto::KeyLongValue { key, value });
        AckCommand {
            consumer_id, cumulative, validation_error, txn, request_id,
            message_ids: message_ids.into(),
            properties: properties.collect(),
        }
    }
}

/// What the generated code makes of the same values.
fn proto_send(send: &SendCommand) -> proto::CommandSend {
    proto::CommandSend {
        producer_id: send.producer_id,
        sequence_id: send.sequence_id,
        num_messages: (send.num_messages != 1).then(|| send.num_messages.try_into().unwrap()),
        txnid_least_bits: send.txn.map(|txn| txn.least),
        txnid_most_bits: send.txn.map(|txn| txn.most),
        highest_sequence_id: send.highest_sequence_id,
        is_chunk: send.is_chunk.then_some(true),
        marker: send.marker.then_some(true),
        message_id: send.message_id.map(Into::into),
    }
}

fn proto_ack(ack: &AckCommand) -> proto::CommandAck {
    let id = |id: &AckedId| proto::MessageIdData {
        partition: (id.partition != -1).then_some(id.partition),
        batch_index: (id.batch_index != -1).then_some(id.batch_index),
        ack_set: id.ack_set.to_vec(),
        batch_size: (id.batch_size != 0).then_some(id.batch_size),
        ..id.position.into()
    };
    let ack_type = if ack.cumulative { AckType::Cumulative } else { AckType::Individual };
    proto::CommandAck {
        consumer_id: ack.consumer_id,
        ack_type: ack_type.into(),
        message_id: ack.message_ids.iter().map(id).collect(),
        validation_error: ack.validation_error,
        properties: ack.properties.clone(),
        txnid_least_bits: ack.txn.map(|txn| txn.least),
        txnid_most_bits: ack.txn.map(|txn| txn.most),
        request_id: ack.request_id,
    }
}

proptest! {
    #[test]
    fn sends_agree_with_the_generated_code(send in sends(), entry in prop::collection::vec(any::<u8>(), 0..50)) {
        let expected = proto_send(&send);
        let (body, payload_len) = body_of(|buf| encode_send(&send, &entry, buf));
        prop_assert_eq!(payload_len, entry.len());
        prop_assert_eq!(body, Body::Send(expected.clone()));
        let Command::Send(read) = command(expected).unwrap() else { panic!() };
        prop_assert_eq!(read, send);
    }

    #[test]
    fn acks_agree_with_the_generated_code(ack in acks()) {
        let expected = proto_ack(&ack);
        let (body, _) = body_of(|buf| encode_ack(&ack, buf));
        prop_assert_eq!(body, Body::Ack(expected.clone()));
        let Command::Ack(read) = command(expected).unwrap() else { panic!() };
        prop_assert_eq!(read, ack);
    }

    #[test]
    fn flows_agree_with_the_generated_code(consumer_id in any::<u64>(), message_permits in any::<u32>()) {
        let flow = FlowCommand { consumer_id, message_permits };
        let expected = proto::CommandFlow { consumer_id, message_permits };
        let (body, _) = body_of(|buf| encode_flow(&flow, buf));
        prop_assert_eq!(body, Body::Flow(expected));
        let Command::Flow(read) = command(expected).unwrap() else { panic!() };
        prop_assert_eq!(read, flow);
    }

    #[test]
    fn receipts_agree_with_the_generated_code(
        (producer_id, sequence_id, highest_sequence_id) in any::<(u64, u64, Option<u64>)>(),
        position in positions(),
    ) {
        let receipt = SendReceipt { producer_id, sequence_id, highest_sequence_id, position };
        let message_id = Some(position.into());
        let expected = proto::CommandSendReceipt { producer_id, sequence_id, message_id, highest_sequence_id };
        let (body, _) = body_of(|buf| encode_send_receipt(&receipt, buf));
        prop_assert_eq!(body, Body::SendReceipt(expected));
    }

    #[test]
    fn message_headers_agree_with_the_generated_code(
        (consumer_id, redelivery_count, partition, consumer_epoch) in any::<(u64, u32, i32, Option<u64>)>(),
        position in positions(),
        ack_set in prop::collection::vec(any::<i64>(), 0..5),
        payload_len in 0_usize..100_000,
    ) {
        let header = MessageHeader {
            consumer_id, position, partition, redelivery_count, ack_set: &ack_set, consumer_epoch,
        };
        let expected = proto::CommandMessage {
            consumer_id,
            message_id: proto::MessageIdData {
                partition: (partition != -1).then_some(partition),
                ..position.into()
            },
            redelivery_count: (redelivery_count != 0).then_some(redelivery_count),
            ack_set: ack_set.clone(),
            consumer_epoch,
        };
        let (body, announced) = body_of(|buf| encode_message_header(&header, payload_len, buf));
        prop_assert_eq!(announced, payload_len);
        prop_assert_eq!(body, Body::Message(expected));
    }

    #[test]
    fn ack_responses_agree_with_the_generated_code(
        (consumer_id, request_id) in any::<(u64, u64)>(),
        txn in option::of(txns()),
        message in option::of("[a-z ]{0,20}"),
    ) {
        let error = message.as_deref().map(|text| (ServerError::ConsumerNotFound, text));
        let response = AckResponse { consumer_id, request_id, txn, error };
        let expected = proto::CommandAckResponse {
            consumer_id,
            request_id: Some(request_id),
            txnid_least_bits: txn.map(|txn| txn.least),
            txnid_most_bits: txn.map(|txn| txn.most),
            error: error.map(|(error, _)| error.into()),
            message: message.clone(),
        };
        let (body, _) = body_of(|buf| encode_ack_response(&response, buf));
        prop_assert_eq!(body, Body::AckResponse(expected));
    }

    #[test]
    fn random_bytes_harm_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buf = BytesMut::from(&bytes[..]);
        _ = FrameDecoder::default().decode(&mut buf);
        _ = Command::decode(&bytes);
        let mut buf = raw_frame(u32::try_from(bytes.len() + 4).unwrap(), &bytes);
        _ = FrameDecoder::default().decode(&mut buf);
    }
}

/// A length is written behind what it counts: of one byte, and of more.
#[test]
fn lengths_of_every_size_are_written() {
    for len in [0, 100, 110, 111, 112, 113, 127, 128, 129, 16_300, 16_383, 16_384, 3 << 20] {
        let message = "x".repeat(len);
        let error = Some((ServerError::ConsumerNotFound, message.as_str()));
        let response = AckResponse { consumer_id: 1, request_id: 2, txn: None, error };
        // What was in the buffer before stays as it is.
        let mut buf = BytesMut::from("before");
        encode_ack_response(&response, &mut buf);
        assert_eq!(buf.split_to(6), "before");
        let frame = decode(&buf).unwrap();
        let Command::Other(body) = frame.command else { panic!("{len}") };
        let Body::AckResponse(read) = *body else { panic!("{len}") };
        assert_eq!((read.request_id, read.message), (Some(2), Some(message)));
    }
}

/// SEND, FLOW and an ACK of one id are read without an allocation: they hold no pointer to one.
#[test]
fn one_acked_id_is_held_in_place() {
    let id = AckedId {
        position: Position::new(1, 2),
        partition: -1,
        batch_index: 0,
        batch_size: 200,
        ack_set: SmallVec::from_slice(&[-1, -1, -1, 255]),
    };
    let ack = AckCommand {
        consumer_id: 1,
        cumulative: false,
        message_ids: SmallVec::from_iter([id]),
        validation_error: None,
        properties: Vec::new(),
        txn: None,
        request_id: Some(3),
    };
    let Command::Ack(read) = command(proto_ack(&ack)).unwrap() else { panic!() };
    assert_eq!(read, ack);
    assert!(!read.message_ids.spilled() && !read.message_ids[0].ack_set.spilled());
    assert_eq!(read.properties.capacity(), 0);
}
