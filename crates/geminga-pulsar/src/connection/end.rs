//! Why a connection ended, and what is cleaned up then.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use geminga_wire::{frame::FrameError, proto::base_command::Type};
use tracing::{debug, error, warn};

use super::{Connection, Door, lock};

/// Why a connection is not served any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client closed it.
    ByPeer,
    /// The client closed it in the middle of a frame.
    Truncated { bytes: usize },
    /// The socket failed.
    Failed(io::Error),
    /// The client sent nothing for too long.
    Silent { limit: Duration },
    /// The client did not connect in time.
    NoHandshake { limit: Duration },
    /// The client broke the protocol.
    Violation(Violation),
    /// Reading it panicked, here.
    Panicked,
    /// This side closes it: shutdown, or the writer failed.
    Closed,
}

/// How a client broke the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0:?} before CONNECT")]
    NotConnected(Type),
    #[error("a second CONNECT")]
    ConnectedTwice,
    #[error("{0:?}, which only servers send")]
    ServerOnly(Type),
    #[error("SEND for producer {producer_id}, which is not open")]
    UnknownProducer { producer_id: u64 },
    #[error("{bytes} bytes of a frame came, and its rest did not within {limit:?}")]
    SlowFrame { bytes: usize, limit: Duration },
    #[error("more than {limit} bytes of answers are not read")]
    AnswersUnread { limit: usize },
}

impl From<Violation> for Ended {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        Self::Violation(error.into())
    }
}

/// One line for each connection that did not end well.
pub(super) fn log(ended: &Ended, peer: SocketAddr, door: &Door) {
    match ended {
        Ended::ByPeer | Ended::Closed => debug!(%peer, ?ended, "connection ended"),
        Ended::Panicked => {
            error!(%peer, "connection closed: a panic; its producers and consumers are closed too");
        }
        Ended::Failed(error) => debug!(%peer, %error, "connection failed"),
        Ended::Truncated { bytes } => {
            door.options.counters.note_malformed();
            warn!(%peer, bytes, "connection closed by its client inside a frame");
        }
        Ended::Silent { limit } => {
            warn!(%peer, ?limit, "connection closed: nothing came, not even a PONG");
        }
        Ended::NoHandshake { limit } => {
            warn!(%peer, ?limit, "connection closed: no CONNECT came");
        }
        Ended::Violation(violation) => {
            door.options.counters.note_malformed();
            warn!(%peer, %violation, "connection closed: its client broke the protocol");
        }
    }
}

/// Closes what is open on a connection, when dropped.
pub(super) struct Cleanup(Arc<Connection>);

impl Cleanup {
    pub(super) fn new(connection: &Arc<Connection>) -> Self {
        Self(Arc::clone(connection))
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let connection = &self.0;
        connection.closed.cancel();
        let producers = lock(&connection.producers).end();
        let consumers = lock(&connection.consumers).end();
        for (id, producer) in producers {
            connection.spawn_close_producer(id, producer);
        }
        for (id, consumer) in consumers {
            connection.spawn_close_consumer(id, consumer);
        }
    }
}
