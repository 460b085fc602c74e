//! What a door holds of an open consumer.

use geminga_types::{Position, TopicName};
use tokio::sync::oneshot;

use crate::{
    ClientKey, Outbox, RequestError, Schema,
    topic::{Event, MailboxSender},
};

/// How a subscription shares its messages among consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionKind {
    /// One consumer.
    Exclusive,
    /// One active consumer, others stand by.
    Failover,
    /// Each message to one of them.
    Shared,
    /// Each key to one of them.
    KeyShared,
}

/// What a client asks for when it subscribes.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// The client's id, unique on its connection.
    pub consumer_id: u64,
    /// Which of those opened under that id: the door counts.
    pub incarnation: u64,
    /// Unique number of the connection: a repeated request from it is no conflict.
    pub connection_id: u64,
    /// The peer's address, for stats.
    pub address: String,
    /// The client library's name and version, for stats.
    pub client_version: String,
    /// The subscription.
    pub subscription: String,
    /// Its kind.
    pub kind: SubscriptionKind,
    /// The consumer's name, as stats show it.
    pub consumer_name: String,
    /// Lower is served first.
    pub priority: i32,
    /// False for readers: the cursor lives as long as its consumers.
    pub is_durable: bool,
    /// Where a new cursor begins when not at `is_earliest`: this entry is delivered first.
    pub start: Option<Position>,
    /// A new cursor begins at messages published since this many seconds ago.
    pub start_rollback_seconds: u64,
    /// Where a new cursor begins: true earliest, false latest.
    pub is_earliest: bool,
    /// Whether it is to get the last message of each key only, as far as the topic is compacted.
    /// Exclusive and Failover only.
    pub reads_compacted: bool,
    /// Whether a missing topic may be created.
    pub create_topic: bool,
    /// The schema it expects; `None` for none, BYTES and AUTO_CONSUME.
    pub schema: Option<Schema>,
    /// Whether it takes whatever the topic's schema is (AUTO_CONSUME): it does not keep another consumer
    /// from setting the first one.
    pub takes_any_schema: bool,
    /// Free-form, for stats.
    pub metadata: Vec<(String, String)>,
    /// Properties of a new subscription.
    pub subscription_properties: Vec<(String, String)>,
    /// The client's epoch, given back with messages.
    pub consumer_epoch: Option<u64>,
    /// Key_Shared only: fixed hash ranges (both ends inclusive); `None`: split automatically.
    pub sticky_ranges: Option<Vec<(u32, u32)>>,
    /// Key_Shared only.
    pub allow_out_of_order: bool,
}

/// Individual or cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// Just these.
    Individual,
    /// This and everything before it.
    Cumulative,
}

/// One acked entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckId {
    /// The entry.
    pub position: Position,
    /// What is left of a batch (1 is not acked); `None`: all of it is acked.
    pub ack_set: Option<Box<[i64]>>,
    /// Messages in the batch, if the client says so.
    pub batch_size: Option<u32>,
}

/// An ACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckRequest {
    /// Individual or cumulative.
    pub kind: AckKind,
    /// The entries.
    pub ids: Vec<AckId>,
    /// Answered by [`crate::Outgoing::AckDone`], once durable, if given.
    pub request_id: Option<u64>,
}

/// Where to seek.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// This entry is delivered next; with what is left of its batch.
    Position(Position, Option<Box<[i64]>>),
    /// The first entry published at or after this wall-clock time in milliseconds is next.
    PublishTime(u64),
}

/// Answer to GET_LAST_MESSAGE_ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastMessage {
    /// Last visible entry; [`Position::EARLIEST`] on an empty topic.
    pub position: Position,
    /// Messages in it − 1 when it is a batch, else −1.
    pub batch_index: i32,
    /// Where the subscription's mark-delete position is.
    pub mark_delete: Position,
}

/// Answer to CONSUMER_STATS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumerStats {
    /// Messages per second to this consumer.
    pub message_rate_out: f64,
    /// Bytes per second to this consumer.
    pub byte_rate_out: f64,
    /// Redelivered messages per second.
    pub message_rate_redeliver: f64,
    /// Messages per second that it acked.
    pub message_ack_rate: f64,
    /// Entries of its subscription per second that went since their time was over.
    pub entry_rate_expired: f64,
    /// Its name.
    pub consumer_name: String,
    /// Permits it has left.
    pub available_permits: i64,
    /// Messages it has and has not acked.
    pub unacked_messages: u64,
    /// Whether that is too many.
    pub is_blocked: bool,
    /// The peer's address.
    pub address: String,
    /// Wall-clock milliseconds.
    pub connected_since: u64,
    /// The subscription type's name.
    pub kind: &'static str,
    /// Entries between the mark-delete position and the end, without those acked.
    pub backlog: u64,
}

/// An open consumer. Close it explicitly; a dropped handle leaves the consumer until then.
#[derive(Debug)]
pub struct Consumer {
    pub(crate) topic: TopicName,
    pub(crate) key: u64,
    pub(crate) mailbox: MailboxSender,
}

/// Which kinds of subscription there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionKinds(u8);

impl SubscriptionKinds {
    /// All of them.
    pub const ALL: Self = Self(0b1111);

    /// Those of these names, unless none is one.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let kinds = names.into_iter().filter_map(SubscriptionKind::named);
        let set = kinds.fold(0, |set, kind| set | kind.bit());
        (set != 0).then_some(Self(set))
    }

    /// Whether there may be subscriptions of a kind.
    #[must_use]
    pub const fn contains(self, kind: SubscriptionKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let kinds = SubscriptionKind::ALL.into_iter().filter(move |&kind| self.contains(kind));
        kinds.map(SubscriptionKind::as_str)
    }
}

impl SubscriptionKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exclusive, Self::Failover, Self::Shared, Self::KeyShared];

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Pulsar's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exclusive => "Exclusive",
            Self::Failover => "Failover",
            Self::Shared => "Shared",
            Self::KeyShared => "Key_Shared",
        }
    }
}

impl SubscribeRequest {
    /// Names the consumer in what its topic sends.
    #[must_use]
    pub const fn client_key(&self) -> ClientKey {
        ClientKey { id: self.consumer_id, incarnation: self.incarnation }
    }
}

impl Consumer {
    /// The topic it consumes from.
    #[must_use]
    pub const fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Adds permits. Nothing is answered.
    pub async fn flow(&self, permits: u32) {
        _ = self.mailbox.send(Event::Flow { consumer: self.key, permits }).await;
    }

    /// Acks. Answered through the outbox when the request has an id.
    pub async fn ack(&self, request: AckRequest) {
        _ = self.mailbox.send(Event::Ack { consumer: self.key, request }).await;
    }

    /// Asks for entries again; `None`: all that this consumer has not acked.
    pub async fn redeliver(&self, positions: Option<Vec<Position>>, epoch: Option<u64>) {
        _ = self.mailbox.send(Event::Redeliver { consumer: self.key, positions, epoch }).await;
    }

    /// Deletes the subscription and closes this consumer.
    ///
    /// # Errors
    ///
    /// [`RequestError::Busy`] while others are connected and `force` is false.
    pub async fn unsubscribe(&self, force: bool) -> Result<(), RequestError> {
        self.ask(|reply| Event::Unsubscribe { consumer: self.key, force, reply }).await?
    }

    /// Moves the subscription's cursor; all its consumers are closed first and reconnect.
    ///
    /// # Errors
    ///
    /// See [`RequestError`]; the cursor is where it was, except after `Unavailable`.
    pub async fn seek(&self, to: SeekTo) -> Result<(), RequestError> {
        self.ask(|reply| Event::Seek { consumer: self.key, to, reply }).await?
    }

    /// The topic's last visible message.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub async fn last_message(&self) -> Result<LastMessage, RequestError> {
        self.ask(|reply| Event::LastMessage { consumer: self.key, reply }).await?
    }

    /// Stats of this consumer.
    ///
    /// # Errors
    ///
    /// [`RequestError::Closed`].
    pub async fn stats(&self) -> Result<ConsumerStats, RequestError> {
        self.ask(|reply| Event::ConsumerStats { consumer: self.key, reply }).await?
    }

    /// Closes it: once this returns its slot is free and it is gone from stats.
    pub async fn close(&self) {
        _ = self.ask(|reply| Event::CloseConsumer { consumer: self.key, reply }).await;
    }

    async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<T>) -> Event,
    ) -> Result<T, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(event(reply)).await.map_err(|_| RequestError::Closed)?;
        answer.await.map_err(|_| RequestError::Closed)
    }
}

/// What the topic keeps of how a consumer was opened.
#[derive(Debug)]
pub(crate) struct OpenConsumer {
    pub(crate) request: SubscribeRequest,
    pub(crate) outbox: Outbox,
}
