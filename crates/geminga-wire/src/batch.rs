//! Batches: the messages in an entry's payload, once decompressed.
//!
//! ```text
//! size u32 | SingleMessageMetadata | payload      for each message
//! ```
//!
//! Sizes are big endian; the length of the payload is the metadata's `payload_size`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::{
    proto::SingleMessageMetadata,
    scan::{Fields, Value},
};

/// Number of the field that is always there.
const PAYLOAD_SIZE: u32 = 3;

/// One message of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchMessage {
    /// What the producer says of it.
    pub metadata: SingleMessageMetadata,
    /// Its bytes: a slice of the batch.
    pub payload: Bytes,
}

/// The payload is not the batch that the entry's metadata says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The batch ends inside a message.
    #[error("the batch ends inside message {index}")]
    Truncated {
        /// The message, from 0.
        index: u32,
    },
    /// A message's metadata is not what it should be.
    #[error("malformed metadata of message {index}")]
    Malformed {
        /// The message, from 0.
        index: u32,
    },
}

/// Reads the messages of a batch, in order; ends after the first error.
#[derive(Clone, Debug)]
pub struct BatchReader {
    rest: Bytes,
    index: u32,
    messages: u32,
}

/// Builds a batch.
#[derive(Clone, Debug, Default)]
pub struct BatchBuilder {
    bytes: BytesMut,
    messages: u32,
}

impl BatchReader {
    /// Reads `messages` messages from `payload`. As in Pulsar, bytes after the last are ignored.
    #[must_use]
    pub const fn new(payload: Bytes, messages: u32) -> Self {
        Self { rest: payload, index: 0, messages }
    }

    /// How many messages and fields of metadata there are to be read. Each takes memory beyond its bytes:
    /// whoever reads what is not its own asks first.
    ///
    /// # Errors
    ///
    /// As reading does.
    pub fn parts(mut self) -> Result<usize, BatchError> {
        let mut count = 0;
        while self.index < self.messages {
            let index = self.index;
            let malformed = || BatchError::Malformed { index };
            let truncated = || BatchError::Truncated { index };
            let size = self.rest.try_get_u32().map_err(|_| truncated())? as usize;
            if self.rest.len() < size {
                return Err(truncated());
            }
            let metadata = self.rest.split_to(size);
            let mut payload_size = 0;
            for field in Fields::of(&metadata) {
                let (number, value) = field.map_err(|_| malformed())?;
                count += 1;
                if let (PAYLOAD_SIZE, Value::Varint(size)) = (number, value) {
                    payload_size = usize::try_from(size).map_err(|_| malformed())?;
                }
            }
            if self.rest.len() < payload_size {
                return Err(truncated());
            }
            self.rest.advance(payload_size);
            count += 1;
            self.index += 1;
        }
        Ok(count)
    }

    fn message(&mut self) -> Result<BatchMessage, BatchError> {
        let index = self.index;
        let truncated = || BatchError::Truncated { index };
        let size = self.rest.try_get_u32().map_err(|_| truncated())? as usize;
        if self.rest.len() < size {
            return Err(truncated());
        }
        let metadata = self.rest.split_to(size);
        let metadata = SingleMessageMetadata::decode(&*metadata)
            .map_err(|_| BatchError::Malformed { index })?;
        let payload_size =
            usize::try_from(metadata.payload_size).map_err(|_| BatchError::Malformed { index })?;
        if self.rest.len() < payload_size {
            return Err(truncated());
        }
        Ok(BatchMessage { metadata, payload: self.rest.split_to(payload_size) })
    }
}

impl Iterator for BatchReader {
    type Item = Result<BatchMessage, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.messages {
            return None;
        }
        let message = self.message();
        self.index += 1;
        if message.is_err() {
            self.index = self.messages;
        }
        Some(message)
    }
}

impl BatchBuilder {
    /// Appends a message; `payload_size` is filled in.
    ///
    /// # Panics
    ///
    /// If the payload has 2 GiB, or the batch 4 Gi messages.
    pub fn push(&mut self, mut metadata: SingleMessageMetadata, payload: &[u8]) {
        metadata.payload_size =
            i32::try_from(payload.len()).expect("a payload is at most maxMessageSize");
        let size = u32::try_from(metadata.encoded_len()).expect("metadata fits in a frame");
        self.bytes.put_u32(size);
        metadata.encode_raw(&mut self.bytes);
        self.bytes.put_slice(payload);
        self.messages = self.messages.checked_add(1).expect("each message has bytes of its own");
    }

    /// How many messages there are: the entry's `num_messages_in_batch`.
    #[must_use]
    pub const fn messages(&self) -> u32 {
        self.messages
    }

    /// How many bytes there are: the entry's `uncompressed_size`.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch, ready to be compressed, and a builder of the next one in its place.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        self.messages = 0;
        self.bytes.split().freeze()
    }
}

#[cfg(test)]
mod tests;
