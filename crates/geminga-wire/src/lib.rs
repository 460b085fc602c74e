//! Pulsar's binary protocol: frames, commands, entries, checksums; no I/O, no clock.
//!
//! [`frame`] turns a read buffer into commands and commands into bytes; [`entry`] reads the bytes
//! that follow a SEND, which are the bytes at rest; [`batch`] reads what lies in an entry's
//! decompressed payload. [`raw_message`] is what a compacted ledger holds. [`proto`] holds the
//! generated messages. Payloads are not decompressed here.
//!
//! # Invariants
//!
//! 1. No bytes make a function here panic, and none makes it allocate by a size it only claims.
//! 2. A payload is never copied on its way in: what comes out is a slice of the read buffer.

pub mod ack_set;
pub mod batch;
pub mod entry;
pub mod frame;
pub mod message_id;
pub mod proto;
pub mod raw_message;
mod scan;
pub mod version;
mod write;

/// The largest payload of a message unless configured otherwise (`maxMessageSize`): 5 MiB.
pub const MAX_MESSAGE_SIZE: usize = 5 * 1024 * 1024;

/// What a frame may hold beyond the payload: lengths, command and metadata (10 KiB).
pub const FRAME_OVERHEAD: usize = 10 * 1024;
