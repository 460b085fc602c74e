//! What a frame's command says.
//!
//! A command is a `BaseCommand`: its type, and the body whose field number is the type's number.
//! Both are checked here, so that a [`Command`] always has the body that its type announced.

use geminga_types::Position;
use smallvec::SmallVec;

use super::body::{read_ack, read_flow, read_other, read_send, read_type};
use crate::{
    ack_set::AckWords,
    proto::{self, Body, base_command::Type},
};

/// A decoded command: the frequent ones read in place, the others as generated messages.
#[derive(Clone, Debug)]
pub enum Command {
    /// SEND: the frame's payload is the entry to store.
    Send(SendCommand),
    /// ACK.
    Ack(AckCommand),
    /// FLOW.
    Flow(FlowCommand),
    /// PING: must be answered with PONG.
    Ping,
    /// PONG.
    Pong,
    /// Any other command, never one of the above.
    Other(Box<Body>),
}

/// A command that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command's type is not one of protocol version 21.
    #[error("unknown command type {0}")]
    Unknown(i32),
    /// The command names no type.
    #[error("a command without a type")]
    Untyped,
    /// The body that the type announces is missing.
    #[error("command {0:?} without its body")]
    Bodiless(Type),
    /// A required field is missing.
    #[error("command {command:?} without its {field}")]
    Missing {
        /// The command.
        command: Type,
        /// The field, by its name in the protocol.
        field: &'static str,
    },
    /// A field has a value that it can't have.
    #[error("command {command:?}: {field} can't be {value}")]
    Invalid {
        /// The command.
        command: Type,
        /// The field, by its name in the protocol.
        field: &'static str,
        /// The value that came.
        value: i64,
    },
    /// The bytes are not a protobuf message of the command.
    #[error("a malformed command of {size} bytes")]
    Malformed {
        /// The size of the command.
        size: usize,
    },
}

/// A transaction's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxnId {
    /// The upper half: the coordinator.
    pub most: u64,
    /// The lower half: the transaction at its coordinator.
    pub least: u64,
}

/// SEND: an entry to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendCommand {
    /// The producer, by the id that its client chose on this connection.
    pub producer_id: u64,
    /// The sequence id of the entry's first message.
    pub sequence_id: u64,
    /// How many messages the entry holds, as the client says.
    pub num_messages: u32,
    /// The sequence id of the last message of a batch.
    pub highest_sequence_id: Option<u64>,
    /// The transaction that the entry belongs to.
    pub txn: Option<TxnId>,
    /// Whether the entry is one chunk of a larger message.
    pub is_chunk: bool,
    /// Whether the entry is a marker, sent by a replicator.
    pub marker: bool,
    /// Where the entry lies in the cluster that it is replicated from.
    pub message_id: Option<Position>,
}

/// ACK: entries, or parts of entries, that a consumer is done with.
#[derive(Clone, Debug, PartialEq)]
pub struct AckCommand {
    /// The consumer, by the id that its client chose on this connection.
    pub consumer_id: u64,
    /// Whether everything before the ids is acked too.
    pub cumulative: bool,
    /// What is acked.
    pub message_ids: SmallVec<[AckedId; 1]>,
    /// Why the client could not read the message; such an ack counts as any other.
    pub validation_error: Option<i32>,
    /// Properties to keep with the mark-delete position.
    pub properties: Vec<proto::KeyLongValue>,
    /// The transaction that the ack belongs to.
    pub txn: Option<TxnId>,
    /// Set when the client waits for an ACK_RESPONSE.
    pub request_id: Option<u64>,
}

/// One id of an ACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckedId {
    /// The entry.
    pub position: Position,
    /// The partition, −1 when the client did not say.
    pub partition: i32,
    /// The message in its batch, −1 when the client did not say.
    pub batch_index: i32,
    /// Messages in the batch, 0 when the client did not say.
    pub batch_size: i32,
    /// Which messages of the batch are **not** acked yet; empty when the whole entry is acked.
    pub ack_set: AckWords,
}

/// FLOW: messages that a consumer has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowCommand {
    /// The consumer, by the id that its client chose on this connection.
    pub consumer_id: u64,
    /// How many more messages may be sent to it.
    pub message_permits: u32,
}

impl Command {
    /// Reads the bytes of a `BaseCommand`.
    ///
    /// # Errors
    ///
    /// [`CommandError`], which says what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        let kind = read_type(bytes)?;
        match kind {
            Type::Send => read_send(bytes).map(Self::Send),
            Type::Ack => read_ack(bytes).map(Self::Ack),
            Type::Flow => read_flow(bytes).map(Self::Flow),
            Type::Ping => Ok(Self::Ping),
            Type::Pong => Ok(Self::Pong),
            _ => read_other(bytes, kind).map(|body| Self::Other(Box::new(body))),
        }
    }

    /// The type on the wire.
    #[must_use]
    pub fn kind(&self) -> Type {
        match self {
            Self::Send(_) => Type::Send,
            Self::Ack(_) => Type::Ack,
            Self::Flow(_) => Type::Flow,
            Self::Ping => Type::Ping,
            Self::Pong => Type::Pong,
            Self::Other(body) => body.kind(),
        }
    }
}
