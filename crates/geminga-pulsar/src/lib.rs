//! The front door for Pulsar's binary protocol, version 21.
//!
//! [`serve`] accepts connections. Each is a reader task ([`connection::reader`]) and a writer task
//! ([`connection::writer`]) around the broker's outbox. The reader decodes all complete frames of a
//! wake-up, checks and parses every SEND, and hands each producer's to its topic as one batch;
//! requests that may take time run beside it. The writer takes all that waits and sends it with one
//! vectored write.
//!
//! # Invariants
//!
//! 1. No bytes from the network end the server, or any connection but their own.
//! 2. Commands for one consumer, and SENDs for one producer, reach the topic in the order they came.
//! 3. When a connection ends, for whatever reason, each of its producers and consumers is closed,
//!    those that are still opening too.
//! 4. What a connection may make the broker hold is bounded: SENDs by the windows and the publish
//!    budget, answers by [`Options::outbox_high_water_bytes`], requests by a fixed number.

mod connection;
mod counters;
mod errors;
mod options;
mod permission;
mod remote;
mod schema;
mod serve;
mod topic_list;

pub use counters::Counters;
pub use options::{CONNECTION_BYTES, Options};
pub use permission::{Permission, required_permission};
pub use remote::RemotePublishers;
pub use serve::serve;
