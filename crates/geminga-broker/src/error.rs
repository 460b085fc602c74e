//! What can go wrong, one enum per public operation. Front doors map them to their own codes.
//!
//! Every message names the topic, and where there is one the limit and the value.

use geminga_types::{InvalidName, Position, TopicName};

/// Why a topic cannot be had. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The name is not one.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// It does not exist and may not be created here.
    #[error("Topic {0} does not exist")]
    NotFound(TopicName),
    /// Its namespace or tenant does not exist. Clients stop at once.
    #[error("Namespace {0} not found")]
    NamespaceNotFound(String),
    /// Topics of its kind are not served here: the configuration says so.
    #[error("Topic {topic} is not served: {key} is false")]
    NotServed {
        /// The topic.
        topic: TopicName,
        /// The configuration key.
        key: &'static str,
    },
    /// This broker does not own it (any more); look it up again.
    #[error("Topic {0} is not served by this broker. Please redo the lookup.")]
    NotOwned(TopicName),
    /// It is being closed or loaded, or the store is away; try again.
    #[error("Topic {topic} is temporarily unavailable: {reason}")]
    Unavailable {
        /// The topic.
        topic: TopicName,
        /// Why.
        reason: String,
    },
    /// It cannot be loaded, since something that it needs cannot be read. An operator may give that up.
    #[error("Topic {topic} is not loaded: {reason}")]
    Unreadable {
        /// The topic.
        topic: TopicName,
        /// What cannot be read, and what can be done.
        reason: String,
    },
    /// Too many loads or lookups at a time; try again later.
    #[error("{what}: {value} are in progress, the limit is {limit}")]
    TooManyRequests {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        value: usize,
        /// The configured limit.
        limit: usize,
    },
    /// Its namespace has as many topics as it may have.
    #[error(
        "Topic {topic} is not created: a namespace may have {limit} topics (maxTopicsPerNamespace)"
    )]
    TooManyTopics {
        /// The topic.
        topic: TopicName,
        /// The limit.
        limit: u64,
    },
    /// Stored data is damaged. A person must look.
    #[error("Topic {topic} has corrupt data: {reason}")]
    Corrupt {
        /// The topic.
        topic: TopicName,
        /// What is damaged.
        reason: String,
    },
}

/// Why a lookup has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// See [`TopicError`].
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// No such advertised listener. Clients know this text.
    #[error("the broker do not have {0} listener")]
    UnknownListener(String),
}

/// Why a schema was not taken or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It may not follow the topic's, or it is none where one is demanded.
    #[error("Incompatible schema: {0}")]
    Incompatible(String),
    /// The topic has no schema, or not of that version.
    #[error("Schema not found for topic {0}")]
    NotFound(TopicName),
    /// Not a schema at all.
    #[error("Invalid schema: {0}")]
    Invalid(String),
    /// The store is away; try again.
    #[error("Schema store is unavailable: {0}")]
    Unavailable(String),
}

/// Why a producer was not opened. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// See [`TopicError`].
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Another producer has the name, or excludes this one, or there are as many as there may be.
    #[error("ProducerBusy: {0}")]
    Busy(String),
    /// An exclusive producer exists or has taken over.
    #[error("ProducerFenced: {0}")]
    Fenced(String),
    /// The topic takes no more messages, for good.
    #[error("TopicTerminatedError: topic {0} was terminated")]
    Terminated(TopicName),
    /// Too much waits for a subscription: try again when there is less.
    #[error("{0}")]
    QuotaHold(String),
    /// Too much waits for a subscription: the application is to know.
    #[error("{0}")]
    QuotaExceeded(String),
    /// It does not say that it will encrypt, and must.
    #[error("Encryption is required in {0}")]
    NotEncrypting(TopicName),
    /// Asked for something that is not served.
    #[error("{0}")]
    NotAllowed(String),
}

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Storing failed or cannot be proven; the data **may exist**. The client resends.
    #[error("Persistence failed on topic {topic}: {reason}")]
    Persistence {
        /// The topic.
        topic: TopicName,
        /// What failed.
        reason: String,
    },
    /// The topic takes no more messages, for good. Not stored.
    #[error("TopicTerminatedError: topic {0} was terminated")]
    Terminated(TopicName),
    /// Bigger than the limit. Not stored.
    #[error("Message of {size} bytes exceeds maxMessageSize of {limit} bytes on topic {topic}")]
    TooLarge {
        /// The topic.
        topic: TopicName,
        /// The message's size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Delayed for longer than the limit. Not stored.
    #[error(
        "Message delayed by {delay_ms} ms exceeds the max allowed delivery delay of {limit_ms} ms on topic {topic}"
    )]
    DelayedTooLong {
        /// The topic.
        topic: TopicName,
        /// From its publish time to the time that it is not to be delivered before, in milliseconds.
        delay_ms: u64,
        /// The limit.
        limit_ms: u64,
    },
    /// A batch of which some messages are stored already. The others are not; sending them without those
    /// helps.
    #[error(
        "Batch of sequence ids {first} to {} repeats messages that topic {topic} has already, and has \
         others that it has not",
        .last.unwrap_or(*.first)
    )]
    Overlapping {
        /// The topic.
        topic: TopicName,
        /// Sequence id of its first message.
        first: u64,
        /// Sequence id of its last message.
        last: Option<u64>,
    },
    /// The producer or topic was closed here. Not stored; the client reconnects and resends.
    #[error("Producer is closed on topic {0}")]
    Closed(TopicName),
}

/// Why a subscription was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// See [`TopicError`].
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// See [`SchemaError`].
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Another consumer excludes this one, now. Clients stop at once.
    #[error("ConsumerBusy: {0}")]
    Busy(String),
    /// It does not exist and may not be created here.
    #[error("Subscription {subscription} does not exist on topic {topic}")]
    NotFound {
        /// The topic.
        topic: TopicName,
        /// The subscription.
        subscription: String,
    },
    /// Hash ranges that do not fit.
    #[error("{0}")]
    Assign(String),
    /// Asked for something that is not served.
    #[error("{0}")]
    NotAllowed(String),
    /// A seek or a metadata write is in progress or failed; try again.
    #[error("{0}")]
    Unavailable(String),
}

/// Why an ack was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// A cumulative ack where each consumer sees only a part.
    #[error("Cumulative acks are not allowed on {0} subscriptions")]
    NotAllowed(&'static str),
    /// A cumulative ack of what is no entry here: taken for its neighbour it could ack everything.
    #[error("{0} is not the position of an entry of this topic")]
    NoEntry(Position),
    /// Not proven durable; the messages may be delivered again.
    #[error("Ack was not stored: {0}")]
    Persistence(String),
    /// The consumer or topic was closed here.
    #[error("Consumer is closed")]
    Closed,
}

/// Why a request on an open consumer failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The consumer or topic was closed here.
    #[error("Consumer is closed")]
    Closed,
    /// Other consumers are connected.
    #[error("Subscription {0} has other connected consumers")]
    Busy(String),
    /// Not possible on this topic or subscription.
    #[error("{0}")]
    NotAllowed(String),
    /// The store failed; try again.
    #[error("{0}")]
    Unavailable(String),
}

/// Why an administrative operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The thing does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It exists already, or changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// In use (has producers, consumers, topics…): refused.
    #[error("{0}")]
    Busy(String),
    /// The request makes no sense; says what would.
    #[error("{0}")]
    Invalid(String),
    /// What it gives is not what it must be, or contradicts what is there; says how.
    #[error("{0}")]
    Malformed(String),
    /// A number beyond what is allowed; says what is.
    #[error("{0}")]
    OutOfRange(String),
    /// It is not something that this can be done with; says why.
    #[error("{0}")]
    Unprocessable(String),
    /// Not possible in this state.
    #[error("{0}")]
    NotAllowed(String),
    /// What is above it does not permit it; says what.
    #[error("{0}")]
    Forbidden(String),
    /// The store is away; may have been done.
    #[error("{0}")]
    Unavailable(String),
    /// Something that is stored cannot be read; says what an operator can do.
    #[error("{0}")]
    Unreadable(String),
}
