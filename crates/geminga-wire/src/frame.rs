//! Frames: a command, and behind it the payload if it has one.
//!
//! ```text
//! size u32 | command size u32 | command (protobuf) | payload
//! ```
//!
//! All numbers are big endian; `size` counts what follows it. The payload of SEND and MESSAGE is an
//! entry, byte for byte as it is at rest: see [`crate::entry`].
//!
//! [`FrameDecoder`] cuts a read buffer into [`Frame`]s. SEND, ACK, FLOW, PING and PONG are read in
//! place; of them only an ACK with several ids allocates.

use bytes::{Buf, Bytes, BytesMut};

use crate::{FRAME_OVERHEAD, MAX_MESSAGE_SIZE};

mod body;
mod command;
mod encode;

pub use command::{AckCommand, AckedId, Command, CommandError, FlowCommand, SendCommand, TxnId};
pub use encode::{
    AckResponse, MessageHeader, SendReceipt, encode_ack, encode_ack_response, encode_command,
    encode_flow, encode_message_header, encode_ping, encode_pong, encode_send, encode_send_receipt,
};

/// Bytes of each of a frame's two sizes.
const SIZE_LEN: usize = 4;

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What the peer wants.
    pub command: Command,
    /// Everything after the command: a slice of the read buffer, `None` when there is nothing.
    pub payload: Option<Bytes>,
}

/// Cuts a connection's read buffer into frames.
#[derive(Clone, Debug)]
pub struct FrameDecoder {
    max_frame: usize,
}

/// The peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced size is beyond the limit. The stream can't be followed further: close.
    #[error("a frame of {size} bytes, more than the limit of {limit}")]
    Oversized {
        /// The whole frame, its size field included.
        size: usize,
        /// The decoder's limit.
        limit: usize,
    },
    /// The announced size has no room for a command's size. Close.
    #[error("a frame of {size} bytes has no room for a command")]
    Undersized {
        /// The whole frame, its size field included.
        size: usize,
    },
    /// The command is announced as longer than its frame. Close.
    #[error("a command of {command} bytes in a frame with room for {room}")]
    CommandBeyondFrame {
        /// The announced size of the command.
        command: usize,
        /// What the frame has room for.
        room: usize,
    },
    /// The frame was well formed and has been taken from the buffer, but its command can't be used.
    /// The next frame can be decoded; Pulsar's brokers close the connection.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl FrameDecoder {
    /// Accepts frames of up to `max_frame` bytes, size field included.
    #[must_use]
    pub const fn new(max_frame: usize) -> Self {
        Self { max_frame }
    }

    /// Accepts messages of up to `max_message_size` bytes, and [`FRAME_OVERHEAD`] around them.
    #[must_use]
    pub const fn for_messages_of(max_message_size: usize) -> Self {
        Self::new(max_message_size.saturating_add(FRAME_OVERHEAD))
    }

    /// Takes the next frame from `buf`, or nothing while it is incomplete. Call until `None`.
    ///
    /// Never reserves room in `buf`: how much is read ahead is the caller's to bound.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: after [`FrameError::Command`] decoding can go on, after all others the
    /// connection must be closed.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(size) = peek_size(buf, 0) else { return Ok(None) };
        let size = size.saturating_add(SIZE_LEN);
        if self.max_frame < size {
            return Err(FrameError::Oversized { size, limit: self.max_frame });
        }
        let Some(room) = size.checked_sub(2 * SIZE_LEN) else {
            return Err(FrameError::Undersized { size });
        };
        let Some(command) = peek_size(buf, SIZE_LEN) else { return Ok(None) };
        if room < command {
            return Err(FrameError::CommandBeyondFrame { command, room });
        }
        if buf.len() < size {
            return Ok(None);
        }
        let payload_at = 2 * SIZE_LEN + command;
        let command = Command::decode(&buf[2 * SIZE_LEN..payload_at]);
        buf.advance(payload_at);
        let has_payload = payload_at < size;
        let payload = has_payload.then(|| buf.split_to(size - payload_at).freeze());
        Ok(Some(Frame { command: command?, payload }))
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::for_messages_of(MAX_MESSAGE_SIZE)
    }
}

fn peek_size(buf: &[u8], at: usize) -> Option<usize> {
    let bytes = buf.get(at..at + SIZE_LEN)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests;
