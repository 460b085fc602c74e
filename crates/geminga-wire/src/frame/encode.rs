//! Frames on their way out: each function appends one frame to a buffer.
//!
//! The frequent commands are written field by field, in place; everything else goes through the
//! generated messages.
//!
//! A frame's sizes are `u32`: all functions panic on a frame of 4 GiB or more, which nobody may
//! build since payloads are bounded far below by `maxMessageSize`.

use bytes::{BufMut, BytesMut};
use geminga_types::Position;
use prost::Message;

use super::{AckCommand, AckedId, FlowCommand, SIZE_LEN, SendCommand, TxnId};
use crate::{
    proto::{BaseCommand, ServerError, base_command::Type, command_ack::AckType},
    write::Writer,
};

/// Room for a frame of the frequent commands, up to its payload.
const COMMAND_LEN_USUAL: usize = 64;

/// What a SEND_RECEIPT says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendReceipt {
    /// Echoes SEND.
    pub producer_id: u64,
    /// Echoes SEND.
    pub sequence_id: u64,
    /// Echoes SEND.
    pub highest_sequence_id: Option<u64>,
    /// Where the entry is stored.
    pub position: Position,
}

/// What a MESSAGE says, beside the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader<'a> {
    /// The consumer, by its client's id.
    pub consumer_id: u64,
    /// Where the entry lies.
    pub position: Position,
    /// The topic's partition, −1 for a topic without partitions.
    pub partition: i32,
    /// How often the entry was redelivered before.
    pub redelivery_count: u32,
    /// Which messages of the batch are not acked yet; empty when none is.
    pub ack_set: &'a [i64],
    /// The consumer epoch that the delivery belongs to, for clients that have them.
    pub consumer_epoch: Option<u64>,
}

/// What an ACK_RESPONSE says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckResponse<'a> {
    /// Echoes ACK.
    pub consumer_id: u64,
    /// Echoes ACK.
    pub request_id: u64,
    /// Echoes ACK.
    pub txn: Option<TxnId>,
    /// What went wrong, if anything.
    pub error: Option<(ServerError, &'a str)>,
}

/// Appends a frame of any command.
///
/// # Panics
///
/// If the frame would have 4 GiB.
pub fn encode_command(command: &BaseCommand, buf: &mut BytesMut) {
    let command_len = command.encoded_len();
    buf.reserve(2 * SIZE_LEN + command_len);
    buf.put_slice(&sizes(command_len, 0));
    command.encode_raw(buf);
}

/// Appends a SEND frame with `entry` as its payload.
///
/// # Panics
///
/// If the frame would have 4 GiB.
pub fn encode_send(send: &SendCommand, entry: &[u8], buf: &mut BytesMut) {
    put_command(buf, Type::Send, entry.len(), |body| {
        body.uint64(1, send.producer_id);
        body.uint64(2, send.sequence_id);
        if send.num_messages != 1 {
            body.uint64(3, send.num_messages.into());
        }
        put_txn(body, (4, 5), send.txn);
        if let Some(highest_sequence_id) = send.highest_sequence_id {
            body.uint64(6, highest_sequence_id);
        }
        if send.is_chunk {
            body.bool(7, true);
        }
        if send.marker {
            body.bool(8, true);
        }
        if let Some(position) = send.message_id {
            body.message(9, |id| put_position(id, position));
        }
    });
    buf.put_slice(entry);
}

/// Appends a SEND_RECEIPT frame.
pub fn encode_send_receipt(receipt: &SendReceipt, buf: &mut BytesMut) {
    put_command(buf, Type::SendReceipt, 0, |body| {
        body.uint64(1, receipt.producer_id);
        body.uint64(2, receipt.sequence_id);
        body.message(3, |id| put_position(id, receipt.position));
        if let Some(highest_sequence_id) = receipt.highest_sequence_id {
            body.uint64(4, highest_sequence_id);
        }
    });
}

/// Appends a MESSAGE frame up to its payload, the entry's `payload_len` bytes, which must follow.
///
/// # Panics
///
/// If the frame would have 4 GiB.
pub fn encode_message_header(message: &MessageHeader<'_>, payload_len: usize, buf: &mut BytesMut) {
    put_command(buf, Type::Message, payload_len, |body| {
        body.uint64(1, message.consumer_id);
        body.message(2, |id| {
            put_position(id, message.position);
            if message.partition != -1 {
                id.int64(3, message.partition.into());
            }
        });
        if message.redelivery_count != 0 {
            body.uint64(3, message.redelivery_count.into());
        }
        message.ack_set.iter().for_each(|word| body.int64(4, *word));
        if let Some(consumer_epoch) = message.consumer_epoch {
            body.uint64(5, consumer_epoch);
        }
    });
}

/// Appends an ACK frame.
pub fn encode_ack(ack: &AckCommand, buf: &mut BytesMut) {
    let ack_type = if ack.cumulative { AckType::Cumulative } else { AckType::Individual };
    put_command(buf, Type::Ack, 0, |body| {
        body.uint64(1, ack.consumer_id);
        body.int64(2, i64::from(ack_type as i32));
        ack.message_ids.iter().for_each(|id| body.message(3, |body| put_acked_id(body, id)));
        if let Some(validation_error) = ack.validation_error {
            body.int64(4, validation_error.into());
        }
        for property in &ack.properties {
            body.message(5, |body| {
                body.bytes(1, property.key.as_bytes());
                body.uint64(2, property.value);
            });
        }
        put_txn(body, (6, 7), ack.txn);
        if let Some(request_id) = ack.request_id {
            body.uint64(8, request_id);
        }
    });
}

/// Appends an ACK_RESPONSE frame.
pub fn encode_ack_response(response: &AckResponse<'_>, buf: &mut BytesMut) {
    put_command(buf, Type::AckResponse, 0, |body| {
        body.uint64(1, response.consumer_id);
        put_txn(body, (2, 3), response.txn);
        if let Some((error, message)) = response.error {
            body.int64(4, i64::from(error as i32));
            body.bytes(5, message.as_bytes());
        }
        body.uint64(6, response.request_id);
    });
}

/// Appends a FLOW frame.
pub fn encode_flow(flow: &FlowCommand, buf: &mut BytesMut) {
    put_command(buf, Type::Flow, 0, |body| {
        body.uint64(1, flow.consumer_id);
        body.uint64(2, flow.message_permits.into());
    });
}

/// Appends a PING frame.
pub fn encode_ping(buf: &mut BytesMut) {
    put_command(buf, Type::Ping, 0, |_| {});
}

/// Appends a PONG frame.
pub fn encode_pong(buf: &mut BytesMut) {
    put_command(buf, Type::Pong, 0, |_| {});
}

/// Writes a frame up to its payload: the body's field number is the type's number.
fn put_command(
    buf: &mut BytesMut,
    kind: Type,
    payload_len: usize,
    body: impl FnOnce(&mut Writer<'_>),
) {
    buf.reserve(COMMAND_LEN_USUAL);
    let start = buf.len();
    buf.put_bytes(0, 2 * SIZE_LEN);
    let number = (kind as i32).cast_unsigned();
    let mut command = Writer::to(buf);
    command.uint64(1, number.into());
    command.message(number, body);
    let command_len = buf.len() - start - 2 * SIZE_LEN;
    buf[start..start + 2 * SIZE_LEN].copy_from_slice(&sizes(command_len, payload_len));
}

/// What opens a frame: the size of the rest, and of its command.
fn sizes(command_len: usize, payload_len: usize) -> [u8; 2 * SIZE_LEN] {
    let size = SIZE_LEN.saturating_add(command_len).saturating_add(payload_len);
    let size = u32::try_from(size).expect("payloads are bounded far below 4 GiB");
    let command_size = u32::try_from(command_len).expect("a part is no larger than the whole");
    let mut bytes = [0; 2 * SIZE_LEN];
    bytes[..SIZE_LEN].copy_from_slice(&size.to_be_bytes());
    bytes[SIZE_LEN..].copy_from_slice(&command_size.to_be_bytes());
    bytes
}

fn put_position(id: &mut Writer<'_>, position: Position) {
    id.int64(1, position.ledger_id.0);
    id.int64(2, position.entry_id.0);
}

fn put_acked_id(body: &mut Writer<'_>, id: &AckedId) {
    put_position(body, id.position);
    if id.partition != -1 {
        body.int64(3, id.partition.into());
    }
    if id.batch_index != -1 {
        body.int64(4, id.batch_index.into());
    }
    id.ack_set.iter().for_each(|word| body.int64(5, *word));
    if id.batch_size != 0 {
        body.int64(6, id.batch_size.into());
    }
}

fn put_txn(body: &mut Writer<'_>, (least, most): (u32, u32), txn: Option<TxnId>) {
    if let Some(txn) = txn {
        body.uint64(least, txn.least);
        body.uint64(most, txn.most);
    }
}
