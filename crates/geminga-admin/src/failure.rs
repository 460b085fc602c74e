//! Why a request failed, and the one place that knows the HTTP status of each error.
//!
//! The codes are those Pulsar's REST API uses: 404 what does not exist, 409 what exists already,
//! 412 what cannot be done as asked (a bad name, a topic in use), 405 what is never allowed here,
//! 503 what may work later. Clients treat 404 as final and try again after 503.

use std::time::Duration;

use geminga_admin_model::Reason;
use geminga_broker::{AdminError, LookupError, SchemaError, TopicError};
use geminga_types::InvalidName;
use hyper::StatusCode;

use crate::answer::Answer;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("No such resource: {0}")]
    UnknownPath(String),
    #[error("Method {method} is not allowed on {path}")]
    UnknownMethod { method: String, path: String, allowed: Vec<&'static str> },
    #[error("{0}")]
    InvalidBody(String),
    #[error("{0}")]
    InvalidParameter(String),
    /// A partition count that is none.
    #[error("{0}")]
    InvalidCount(String),
    #[error("Request body exceeds {0} bytes")]
    BodyTooLarge(usize),
    /// The process refuses it, for now.
    #[error("{0}")]
    Refused(String),
    /// A service that is not there.
    #[error("{0}")]
    Disabled(&'static str),
    #[error("This door knows no storage of its process")]
    NoProcess,
    #[error("Request took longer than {} s; it may have been done", .0.as_secs())]
    TimedOut(Duration),
    #[error("New messages are refused: {0}")]
    RefusesMessages(String),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl Failure {
    /// The answer that says so.
    pub(crate) fn answer(&self) -> Answer {
        let answer = Answer::json_with(self.status(), &Reason { reason: self.to_string() });
        match self {
            Self::UnknownMethod { allowed, .. } => answer.allowing(allowed),
            _ => answer,
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath(_) => StatusCode::NOT_FOUND,
            Self::UnknownMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidBody(_) => StatusCode::BAD_REQUEST,
            Self::InvalidParameter(_) | Self::Name(_) => StatusCode::PRECONDITION_FAILED,
            Self::InvalidCount(_) => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut(_) | Self::RefusesMessages(_) | Self::Disabled(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::NoProcess => StatusCode::NOT_FOUND,
            Self::Admin(error) => of_admin(error),
            Self::Topic(error) => of_topic(error),
            Self::Lookup(error) => of_lookup(error),
            Self::Schema(error) => of_schema(error),
        }
    }
}

const fn of_admin(error: &AdminError) -> StatusCode {
    match error {
        AdminError::NotFound(_) => StatusCode::NOT_FOUND,
        AdminError::Conflict(_) => StatusCode::CONFLICT,
        AdminError::Busy(_) | AdminError::Invalid(_) => StatusCode::PRECONDITION_FAILED,
        AdminError::Contradictory(_) => StatusCode::BAD_REQUEST,
        AdminError::OutOfRange(_) => StatusCode::NOT_ACCEPTABLE,
        AdminError::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        AdminError::NotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
        AdminError::Forbidden(_) => StatusCode::FORBIDDEN,
        AdminError::Unavailable(_) | AdminError::Unreadable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

const fn of_topic(error: &TopicError) -> StatusCode {
    match error {
        TopicError::InvalidName(_) | TopicError::TooManyTopics { .. } => {
            StatusCode::PRECONDITION_FAILED
        }
        TopicError::NotFound(_) | TopicError::NamespaceNotFound(_) => StatusCode::NOT_FOUND,
        TopicError::NotServed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        TopicError::NotOwned(_)
        | TopicError::Unavailable { .. }
        | TopicError::Unreadable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        TopicError::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        TopicError::Corrupt { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const fn of_lookup(error: &LookupError) -> StatusCode {
    match error {
        LookupError::Topic(error) => of_topic(error),
        LookupError::UnknownListener(_) => StatusCode::PRECONDITION_FAILED,
    }
}

const fn of_schema(error: &SchemaError) -> StatusCode {
    match error {
        SchemaError::Incompatible(_) => StatusCode::CONFLICT,
        SchemaError::NotFound(_) => StatusCode::NOT_FOUND,
        SchemaError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        SchemaError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
