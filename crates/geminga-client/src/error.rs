//! Why something that was asked of the client did not happen.

use std::io;

use geminga_types::InvalidName;
use geminga_wire::proto::ServerError;

/// What the server answered instead of what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code:?})")]
pub struct Refusal {
    /// The protocol's code.
    pub code: ServerError,
    /// The server's words.
    pub message: String,
}

/// Why connecting, creating, receiving or closing failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service URL can't be used: correct it.
    #[error("service URL {url:?}: {reason}")]
    InvalidServiceUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The topic's name is not one: correct it.
    #[error(transparent)]
    InvalidTopic(#[from] InvalidName),
    /// An option has a value that it can't have: correct it.
    #[error("{option}: {reason}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody answers at the address: start the server, or correct the address.
    #[error("server {address} can't be reached: {reason}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What the dialling said.
        reason: io::Error,
    },
    /// The connection ended before the answer came; what was asked may have happened.
    #[error("connection to {address} was lost during {operation}")]
    Disconnected {
        /// `host:port`.
        address: String,
        /// What was asked.
        operation: &'static str,
    },
    /// The answer did not come in time; what was asked may have happened.
    #[error("{operation} was not answered within {seconds} s by {address}")]
    TimedOut {
        /// `host:port`.
        address: String,
        /// What was asked.
        operation: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The server said no.
    #[error("{operation}: {refusal}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// The server's answer.
        refusal: Refusal,
    },
    /// The server answered with something that is no answer to what was asked.
    #[error("server {address} broke the protocol: {what}")]
    Protocol {
        /// `host:port`.
        address: String,
        /// What it did.
        what: String,
    },
    /// The topic is owned by ever another broker: its cluster's look-up goes in circles.
    #[error("look-up of {topic} was redirected {redirects} times")]
    TooManyRedirects {
        /// The topic.
        topic: String,
        /// How often.
        redirects: u32,
    },
    /// The client, the producer or the consumer was closed.
    #[error("closed")]
    Closed,
}

impl ClientError {
    /// Whether asking again, later, may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Disconnected { .. }
            | Self::TimedOut { .. }
            | Self::TooManyRedirects { .. } => true,
            Self::Refused { refusal, .. } => refusal.is_transient(),
            Self::InvalidServiceUrl { .. }
            | Self::InvalidTopic(_)
            | Self::InvalidOption { .. }
            | Self::Protocol { .. }
            | Self::Closed => false,
        }
    }

    /// Whether it says that our own former session may still hold the place.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Refused { refusal, .. } = self else { return false };
        matches!(refusal.code, ServerError::ConsumerBusy | ServerError::ProducerBusy)
    }
}

impl Refusal {
    /// Whether the server may answer otherwise when it is asked again.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.code,
            ServerError::MetadataError
                | ServerError::PersistenceError
                | ServerError::ServiceNotReady
                | ServerError::TooManyRequests
                | ServerError::ProducerBlockedQuotaExceededError
        )
    }

    pub(crate) fn new(code: i32, message: &str) -> Self {
        let code = ServerError::try_from(code).unwrap_or(ServerError::UnknownError);
        // Java sends stack traces; their first line says what happened.
        let message = message.lines().next().unwrap_or_default().to_owned();
        Self { code, message }
    }
}
