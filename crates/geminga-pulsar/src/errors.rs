//! Which code of the protocol each of the broker's errors is.
//!
//! C++, Python and Node clients stop at once on a few codes (TopicNotFound, ConsumerBusy,
//! ProducerBusy, ProducerFenced, IncompatibleSchema, TopicTerminatedError, InvalidTopicName,
//! NotAllowedError …) and retry the others until their operation timeout, so a code is chosen by
//! what the client should do. Every match is exhaustive: a new error does not compile until it has
//! its code.

use std::fmt;

use geminga_broker::{
    AckError, AdminError, LookupError, ProduceError, PublishError, RequestError, SchemaError,
    SubscribeError, TopicError,
};
use geminga_types::InvalidName;
use geminga_wire::{entry::EntryError, proto::ServerError};

/// An error that has a code of the protocol; its text is what `Display` says.
pub(crate) trait Coded: fmt::Display {
    /// The code.
    fn code(&self) -> ServerError;

    /// Code and text, to be sent.
    fn refusal(&self) -> Refusal {
        Refusal { code: self.code(), message: self.to_string() }
    }
}

/// What a client is told instead of what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ServerError,
    pub(crate) message: String,
}

/// What becomes of a producer whose SEND failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendFailure {
    /// SEND_ERROR with this code. C++ closes its whole connection on any but ChecksumError.
    Error(ServerError),
    /// CLOSE_PRODUCER: just this producer is opened anew, which answers a lasting condition with its
    /// code, and resends.
    CloseProducer,
}

impl Refusal {
    pub(crate) fn new(code: ServerError, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(ServerError::NotAllowedError, message)
    }
}

impl Coded for InvalidName {
    fn code(&self) -> ServerError {
        match self {
            Self::Namespace(_)
            | Self::Topic(_)
            | Self::V1 { .. }
            | Self::TooLong { .. }
            | Self::Control { .. } => ServerError::InvalidTopicName,
        }
    }
}

impl Coded for TopicError {
    fn code(&self) -> ServerError {
        match self {
            Self::InvalidName(error) => error.code(),
            Self::NotFound(_) | Self::NamespaceNotFound(_) => ServerError::TopicNotFound,
            Self::NotServed { .. } => ServerError::NotAllowedError,
            Self::NotOwned(_) | Self::Unavailable { .. } | Self::Unreadable { .. } => {
                ServerError::ServiceNotReady
            }
            Self::TooManyRequests { .. } => ServerError::TooManyRequests,
            Self::TooManyTopics { .. } => ServerError::NotAllowedError,
            Self::Corrupt { .. } => ServerError::PersistenceError,
        }
    }
}

impl Coded for LookupError {
    fn code(&self) -> ServerError {
        match self {
            Self::Topic(error) => error.code(),
            Self::UnknownListener(_) => ServerError::ServiceNotReady,
        }
    }
}

impl Coded for SchemaError {
    fn code(&self) -> ServerError {
        match self {
            Self::Incompatible(_) | Self::Invalid(_) => ServerError::IncompatibleSchema,
            Self::NotFound(_) => ServerError::TopicNotFound,
            Self::Unavailable(_) => ServerError::ServiceNotReady,
        }
    }
}

impl Coded for ProduceError {
    fn code(&self) -> ServerError {
        match self {
            Self::Topic(error) => error.code(),
            Self::Schema(error) => error.code(),
            Self::Busy(_) => ServerError::ProducerBusy,
            Self::Fenced(_) => ServerError::ProducerFenced,
            Self::Terminated(_) => ServerError::TopicTerminatedError,
            Self::QuotaHold(_) => ServerError::ProducerBlockedQuotaExceededError,
            Self::QuotaExceeded(_) => ServerError::ProducerBlockedQuotaExceededException,
            Self::NotEncrypting(_) => ServerError::MetadataError,
            Self::NotAllowed(_) => ServerError::NotAllowedError,
        }
    }
}

impl Coded for SubscribeError {
    fn code(&self) -> ServerError {
        match self {
            Self::Topic(error) => error.code(),
            Self::Schema(error) => error.code(),
            Self::Busy(_) => ServerError::ConsumerBusy,
            Self::NotFound { .. } => ServerError::SubscriptionNotFound,
            Self::Assign(_) => ServerError::ConsumerAssignError,
            Self::NotAllowed(_) => ServerError::NotAllowedError,
            Self::Unavailable(_) => ServerError::ServiceNotReady,
        }
    }
}

impl Coded for AckError {
    fn code(&self) -> ServerError {
        match self {
            Self::NotAllowed(_) | Self::NoEntry(_) => ServerError::NotAllowedError,
            Self::Persistence(_) => ServerError::PersistenceError,
            Self::Closed => ServerError::ConsumerNotFound,
        }
    }
}

impl Coded for RequestError {
    fn code(&self) -> ServerError {
        match self {
            Self::Closed => ServerError::ConsumerNotFound,
            Self::Busy(_) => ServerError::ConsumerBusy,
            Self::NotAllowed(_) => ServerError::NotAllowedError,
            Self::Unavailable(_) => ServerError::ServiceNotReady,
        }
    }
}

impl Coded for AdminError {
    fn code(&self) -> ServerError {
        match self {
            Self::NotFound(_) => ServerError::TopicNotFound,
            Self::Invalid(_)
            | Self::Malformed(_)
            | Self::NotAllowed(_)
            | Self::Forbidden(_)
            | Self::OutOfRange(_)
            | Self::Unprocessable(_) => ServerError::NotAllowedError,
            Self::Conflict(_) | Self::Busy(_) | Self::Unavailable(_) | Self::Unreadable(_) => {
                ServerError::ServiceNotReady
            }
        }
    }
}

impl Coded for EntryError {
    fn code(&self) -> ServerError {
        match self {
            Self::Checksum { .. } => ServerError::ChecksumError,
            Self::Truncated { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::TooManyMessages { .. } => ServerError::NotAllowedError,
        }
    }
}

/// How a client learns that its message was not published.
pub(crate) const fn send_failure(error: &PublishError) -> SendFailure {
    match error {
        PublishError::Persistence { .. }
        | PublishError::Terminated(_)
        | PublishError::Closed(_) => SendFailure::CloseProducer,
        // Resending can't help: a new producer would only be told the same.
        PublishError::TooLarge { .. }
        | PublishError::DelayedTooLong { .. }
        | PublishError::Overlapping { .. } => SendFailure::Error(ServerError::NotAllowedError),
    }
}

#[cfg(test)]
mod tests {
    use geminga_types::TopicName;

    use super::*;

    #[test]
    fn what_clients_know_by_code_and_text() {
        let listener = LookupError::UnknownListener("test".to_owned()).refusal();
        assert_eq!(listener.code, ServerError::ServiceNotReady);
        assert!(listener.message.contains("the broker do not have test listener"));

        let topic: TopicName = "t".parse().unwrap();
        let fenced = ProduceError::Fenced("taken over".to_owned()).refusal();
        assert_eq!(fenced.code, ServerError::ProducerFenced);
        assert!(fenced.message.contains("ProducerFenced"));

        let unknown = TopicError::NamespaceNotFound("a/b".to_owned());
        assert_eq!(ProduceError::from(unknown).code(), ServerError::TopicNotFound);

        let v1: InvalidName = "persistent://a/b/c/d".parse::<TopicName>().unwrap_err();
        assert_eq!(v1.refusal().code, ServerError::InvalidTopicName);
        assert!(v1.refusal().message.contains("persistent://a/c/d"));

        let failed = PublishError::Persistence { topic, reason: String::new() };
        assert_eq!(send_failure(&failed), SendFailure::CloseProducer);
    }
}
