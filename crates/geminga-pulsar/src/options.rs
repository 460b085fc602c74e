//! What the operator decides about connections. The binary builds it from the configuration.

use std::{sync::Arc, time::Duration};

use geminga_broker::Budget;

use crate::Counters;

const LARGE_FRAMES_BYTES: usize = 256 << 20;

/// Memory of a connection with a producer or a consumer, beside what has budgets of its own.
pub const CONNECTION_BYTES: usize = 12 << 10;

/// How connections are served; limits have Pulsar's names.
#[derive(Clone, Debug)]
pub struct Options {
    /// Largest frame in bytes, its size field included: more than `max_message_size`, as command
    /// and metadata come on top.
    pub max_frame: usize,
    /// `maxMessageSize` in bytes, announced to clients, which enforce it too.
    pub max_message_size: usize,
    /// `keepAliveIntervalSeconds`: after this long without a byte the client gets a PING, after as
    /// long again without a byte the connection is closed.
    pub keep_alive: Duration,
    /// How long a client may take to send CONNECT.
    pub handshake_timeout: Duration,
    /// `brokerMaxConnections`; 0 is no limit.
    pub connections_max: usize,
    /// `brokerMaxConnectionsPerIp`; 0 is no limit.
    pub connections_per_address_max: usize,
    /// As many as there is memory for; 0 is no limit.
    pub connections_in_memory_max: usize,
    /// `maxConcurrentLookupRequest`, over all connections.
    pub concurrent_lookups_max: usize,
    /// Topics put no more messages into a connection's outbox above this, and a connection whose
    /// client leaves this many bytes of answers unread is not read.
    pub outbox_high_water_bytes: usize,
    /// `maxPendingPublishRequestsPerConnection`: SENDs in flight of all of a connection's producers.
    pub pending_publishes_per_connection: usize,
    /// `maxConcurrentNonPersistentMessagePerConnection`: SENDs in flight of all of a connection's
    /// producers on non-persistent topics; what comes beyond is dropped.
    pub nonpersistent_publishes_per_connection: usize,
    /// SENDs in flight of one producer.
    pub producer_window_messages: usize,
    /// Bytes in flight of one producer.
    pub producer_window_bytes: usize,
    /// How long a connection stays unread because of a full window before the producer that fills
    /// it gets CLOSE_PRODUCER.
    pub window_timeout: Duration,
    /// `exposingBrokerEntryMetadataToClientEnabled`: whether clients that say that they understand it get
    /// what the broker noted of entries.
    pub exposes_broker_metadata: bool,
    /// Bytes of frames larger than a read block that have begun to come, over all connections.
    pub large_frames: Budget,
    /// Announced in CONNECTED.
    pub server_version: String,
    /// What is counted, and the connections that the limits are about. Share it among listeners.
    pub counters: Arc<Counters>,
}

impl Options {
    /// Pulsar's defaults for messages of up to `max_message_size` bytes.
    #[must_use]
    pub fn for_messages_of(max_message_size: usize) -> Self {
        Self {
            max_frame: max_message_size.saturating_add(geminga_wire::FRAME_OVERHEAD),
            max_message_size,
            keep_alive: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            connections_max: 0,
            connections_per_address_max: 0,
            connections_in_memory_max: 0,
            concurrent_lookups_max: 50_000,
            outbox_high_water_bytes: 1 << 20,
            pending_publishes_per_connection: 1_000,
            nonpersistent_publishes_per_connection: 1_000,
            producer_window_messages: 1_000,
            producer_window_bytes: 16 << 20,
            window_timeout: Duration::from_secs(30),
            exposes_broker_metadata: false,
            large_frames: Budget::new("large_frames", LARGE_FRAMES_BYTES),
            server_version: concat!("Geminga-", env!("CARGO_PKG_VERSION")).to_owned(),
            counters: Arc::default(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::for_messages_of(geminga_wire::MAX_MESSAGE_SIZE)
    }
}
