//! Reads the bodies of the frequent commands in place.
//!
//! Each body is read in two steps: its fields as they come, in any order and repeated as protobuf
//! allows, and then a check that what is required was there.

use prost::Message;
use smallvec::SmallVec;

use super::command::{AckCommand, AckedId, CommandError, FlowCommand, SendCommand, TxnId};
use crate::{
    ack_set::AckWords,
    message_id::position_of,
    proto::{self, Body, base_command::Type, command_ack::AckType},
    scan::{Fields, Malformed, repeated_int64},
};

/// Reads the type, and makes sure that the body which it announces is there.
pub(super) fn read_type(bytes: &[u8]) -> Result<Type, CommandError> {
    let kind = last_type(bytes).map_err(|Malformed| malformed(bytes))?;
    let kind = kind.ok_or(CommandError::Untyped)?;
    let kind = Type::try_from(kind).map_err(|_| CommandError::Unknown(kind))?;
    match has_body(bytes, kind) {
        Ok(true) => Ok(kind),
        Ok(false) => Err(CommandError::Bodiless(kind)),
        Err(Malformed) => Err(malformed(bytes)),
    }
}

/// Reads a `BaseCommand` of type SEND.
pub(super) fn read_send(bytes: &[u8]) -> Result<SendCommand, CommandError> {
    SendFields::read(bytes).map_err(|Malformed| malformed(bytes))?.check()
}

/// Reads a `BaseCommand` of type ACK.
pub(super) fn read_ack(bytes: &[u8]) -> Result<AckCommand, CommandError> {
    AckFields::read(bytes).map_err(|Malformed| malformed(bytes))?.check()
}

/// Reads a `BaseCommand` of type FLOW.
pub(super) fn read_flow(bytes: &[u8]) -> Result<FlowCommand, CommandError> {
    FlowFields::read(bytes).map_err(|Malformed| malformed(bytes))?.check()
}

/// Reads a `BaseCommand` of type `kind` with the generated code.
pub(super) fn read_other(bytes: &[u8], kind: Type) -> Result<Body, CommandError> {
    let command = proto::BaseCommand::decode(bytes).map_err(|_| malformed(bytes))?;
    let body = command.body.filter(|body| body.kind() == kind);
    body.ok_or(CommandError::Bodiless(kind))
}

const fn malformed(command: &[u8]) -> CommandError {
    CommandError::Malformed { size: command.len() }
}

fn last_type(bytes: &[u8]) -> Result<Option<i32>, Malformed> {
    let mut kind = None;
    for field in Fields::of(bytes) {
        if let (1, value) = field? {
            kind = Some(value.int32()?);
        }
    }
    Ok(kind)
}

fn has_body(bytes: &[u8], kind: Type) -> Result<bool, Malformed> {
    let mut has_body = false;
    for field in Fields::of(bytes) {
        let (number, value) = field?;
        if i32::try_from(number) == Ok(kind as i32) {
            value.bytes()?;
            has_body = true;
        }
    }
    Ok(has_body)
}

/// The fields of all bodies with this number: protobuf merges a message that comes in parts.
fn fields_of_body(bytes: &[u8], body: Type) -> impl Iterator<Item = FieldOf<'_>> {
    Fields::of(bytes)
        .filter_map(move |field| match field {
            Ok((number, value)) if i32::try_from(number) == Ok(body as i32) => value.bytes().ok(),
            _ => None,
        })
        .flat_map(Fields::of)
}

type FieldOf<'a> = <Fields<'a> as Iterator>::Item;

#[derive(Default)]
struct SendFields {
    producer_id: Option<u64>,
    sequence_id: Option<u64>,
    num_messages: Option<i32>,
    txn: TxnFields,
    highest_sequence_id: Option<u64>,
    is_chunk: bool,
    marker: bool,
    message_id: Option<IdFields>,
}

impl SendFields {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut send = Self::default();
        for field in fields_of_body(bytes, Type::Send) {
            match field? {
                (1, value) => send.producer_id = Some(value.uint64()?),
                (2, value) => send.sequence_id = Some(value.uint64()?),
                (3, value) => send.num_messages = Some(value.int32()?),
                (4, value) => send.txn.least = Some(value.uint64()?),
                (5, value) => send.txn.most = Some(value.uint64()?),
                (6, value) => send.highest_sequence_id = Some(value.uint64()?),
                (7, value) => send.is_chunk = value.bool()?,
                (8, value) => send.marker = value.bool()?,
                (9, value) => send.message_id.get_or_insert_default().merge(value.bytes()?)?,
                _ => {}
            }
        }
        Ok(send)
    }

    fn check(self) -> Result<SendCommand, CommandError> {
        let command = Type::Send;
        let num_messages = self.num_messages.unwrap_or(1);
        let message_id = self.message_id.map(|id| id.check(command)).transpose()?;
        Ok(SendCommand {
            producer_id: required(self.producer_id, command, "producer_id")?,
            sequence_id: required(self.sequence_id, command, "sequence_id")?,
            num_messages: u32::try_from(num_messages).map_err(|_| CommandError::Invalid {
                command,
                field: "num_messages",
                value: num_messages.into(),
            })?,
            highest_sequence_id: self.highest_sequence_id,
            txn: self.txn.check(),
            is_chunk: self.is_chunk,
            marker: self.marker,
            message_id: message_id.map(|id| id.position),
        })
    }
}

#[derive(Default)]
struct AckFields {
    consumer_id: Option<u64>,
    ack_type: Option<i32>,
    message_ids: SmallVec<[IdFields; 1]>,
    validation_error: Option<i32>,
    properties: Vec<proto::KeyLongValue>,
    txn: TxnFields,
    request_id: Option<u64>,
}

impl AckFields {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut ack = Self::default();
        for field in fields_of_body(bytes, Type::Ack) {
            match field? {
                (1, value) => ack.consumer_id = Some(value.uint64()?),
                (2, value) => ack.ack_type = Some(value.int32()?),
                (3, value) => {
                    let mut id = IdFields::default();
                    id.merge(value.bytes()?)?;
                    ack.message_ids.push(id);
                }
                (4, value) => ack.validation_error = Some(value.int32()?),
                (5, value) => {
                    let property = proto::KeyLongValue::decode(value.bytes()?);
                    ack.properties.push(property.map_err(|_| Malformed)?);
                }
                (6, value) => ack.txn.least = Some(value.uint64()?),
                (7, value) => ack.txn.most = Some(value.uint64()?),
                (8, value) => ack.request_id = Some(value.uint64()?),
                _ => {}
            }
        }
        Ok(ack)
    }

    fn check(self) -> Result<AckCommand, CommandError> {
        let command = Type::Ack;
        let ack_type = required(self.ack_type, command, "ack_type")?;
        let cumulative = match AckType::try_from(ack_type) {
            Ok(AckType::Individual) => false,
            Ok(AckType::Cumulative) => true,
            Err(_) => {
                let value = ack_type.into();
                return Err(CommandError::Invalid { command, field: "ack_type", value });
            }
        };
        let message_ids = self.message_ids.into_iter().map(|id| id.check(command));
        Ok(AckCommand {
            consumer_id: required(self.consumer_id, command, "consumer_id")?,
            cumulative,
            message_ids: message_ids.collect::<Result<_, _>>()?,
            validation_error: self.validation_error,
            properties: self.properties,
            txn: self.txn.check(),
            request_id: self.request_id,
        })
    }
}

#[derive(Default)]
struct FlowFields {
    consumer_id: Option<u64>,
    message_permits: Option<u32>,
}

impl FlowFields {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut flow = Self::default();
        for field in fields_of_body(bytes, Type::Flow) {
            match field? {
                (1, value) => flow.consumer_id = Some(value.uint64()?),
                (2, value) => flow.message_permits = Some(value.uint32()?),
                _ => {}
            }
        }
        Ok(flow)
    }

    fn check(self) -> Result<FlowCommand, CommandError> {
        Ok(FlowCommand {
            consumer_id: required(self.consumer_id, Type::Flow, "consumer_id")?,
            message_permits: required(self.message_permits, Type::Flow, "messagePermits")?,
        })
    }
}

/// A `MessageIdData` on its way in.
#[derive(Default)]
struct IdFields {
    ledger_id: Option<u64>,
    entry_id: Option<u64>,
    partition: Option<i32>,
    batch_index: Option<i32>,
    batch_size: i32,
    ack_set: AckWords,
}

impl IdFields {
    fn merge(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => self.ledger_id = Some(value.uint64()?),
                (2, value) => self.entry_id = Some(value.uint64()?),
                (3, value) => self.partition = Some(value.int32()?),
                (4, value) => self.batch_index = Some(value.int32()?),
                (5, value) => repeated_int64(value, |word| self.ack_set.push(word))?,
                (6, value) => self.batch_size = value.int32()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn check(self, command: Type) -> Result<AckedId, CommandError> {
        let ledger_id = required(self.ledger_id, command, "ledgerId")?;
        let entry_id = required(self.entry_id, command, "entryId")?;
        Ok(AckedId {
            position: position_of(ledger_id, entry_id),
            partition: self.partition.unwrap_or(-1),
            batch_index: self.batch_index.unwrap_or(-1),
            batch_size: self.batch_size,
            ack_set: self.ack_set,
        })
    }
}

#[derive(Default)]
struct TxnFields {
    most: Option<u64>,
    least: Option<u64>,
}

impl TxnFields {
    /// A transaction is named by both halves; one alone names none.
    fn check(self) -> Option<TxnId> {
        self.most.zip(self.least).map(|(most, least)| TxnId { most, least })
    }
}

fn required<T>(value: Option<T>, command: Type, field: &'static str) -> Result<T, CommandError> {
    value.ok_or(CommandError::Missing { command, field })
}
