//! A small Pulsar client: for the command line, for load and for geo-replication.
//!
//! [`Client`] finds topics and keeps one connection per broker; [`Producer`] sends, pipelined, and
//! [`Consumer`] receives. Both reconnect by themselves and go on where they were.
//!
//! What decides is synchronous and knows no socket: [`producer`]'s window and batcher, [`consumer`]'s
//! permits and ack tracker, the connection's requests and keep-alive. A thin task around each waits
//! and moves bytes.
//!
//! # Invariants
//!
//! 1. No bytes from a server make anything here panic, or allocate by a size that they only claim.
//! 2. Messages of one producer are sent, and sent again, in the order of their `send` calls.
//! 3. Every wait for a server has a deadline, but for a producer whose `send_timeout` is `None` and
//!    for the next message of a consumer.

mod backoff;
mod client;
mod connection;
pub mod consumer;
mod error;
mod link;
mod message;
pub mod producer;
mod route;

pub use client::{Client, ClientOptions};
pub use consumer::{Consumer, ConsumerOptions};
pub use error::{ClientError, Refusal};
pub use geminga_compression::Compression;
pub use geminga_wire::proto::{Schema, ServerError, schema::Type as SchemaType};
pub use message::{BatchPlace, InvalidMessageId, Message, MessageId, OutgoingMetadata};
pub use producer::{Producer, ProducerOptions};
