//! Receives the messages of a subscription.
//!
//! Each partition has a task that owns a queue, the permits behind it, what is acked of batches, and
//! a link to the broker. After a loss it subscribes again and the broker sends again what is unacked;
//! what was received before and not taken is dropped, so that little comes twice.
//!
//! # Invariants
//!
//! 1. The broker never has more permits than the queue has room.
//! 2. A batch is acked once each of its messages is; until then only its indexes are, if at all.

mod create;
mod permits;
mod state;
mod task;
mod tracker;
mod unpack;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use geminga_env::Timestamp;
use geminga_types::{Position, TopicName};
use geminga_wire::proto::{
    Body, CommandGetLastMessageId, CommandSeek, CommandUnsubscribe, command_subscribe::SubType,
};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::create::create;
use crate::{ClientError, Message, MessageId, Schema, connection::Connection};

/// How the messages of a subscription are divided among its consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionType {
    /// There is one consumer.
    #[default]
    Exclusive,
    /// Any consumer gets any message.
    Shared,
    /// One consumer gets all; the others wait.
    Failover,
    /// All messages of a key go to one consumer.
    KeyShared,
}

/// Where a new subscription, or one that is not durable, begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// At what is published from now on.
    #[default]
    Latest,
    /// At the first message that there is.
    Earliest,
    /// At a message; only for subscriptions that are not durable, of one partition.
    Id {
        /// The message.
        id: MessageId,
        /// Whether it is received too.
        inclusive: bool,
    },
}

/// How a consumer behaves.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    /// How messages are divided.
    pub subscription_type: SubscriptionType,
    /// Where a new subscription begins.
    pub start_at: StartAt,
    /// Whether the broker keeps the subscription when its last consumer is gone.
    pub is_durable: bool,
    /// Its name; a random one when it is not set.
    pub name: Option<String>,
    /// Messages that are fetched ahead, of each partition.
    pub queue_size: u32,
    /// Failover: the lowest is active first. Shared: the lowest gets messages first.
    pub priority_level: Option<i32>,
    /// Only the last message of each key, on a topic that is compacted.
    pub read_compacted: bool,
    /// Whether parts of batches are acked at the broker, if it supports that.
    pub batch_index_acks: bool,
    /// What it reads messages as: the broker refuses it if it does not fit the topic's.
    pub schema: Option<Schema>,
}

/// Where to seek to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// The first message that there is.
    Earliest,
    /// What is published from now on.
    Latest,
    /// A message of one partition.
    Id {
        /// The message.
        id: MessageId,
        /// Whether it is received again.
        inclusive: bool,
    },
    /// The first message published at that time or later; for durable subscriptions.
    Time(Timestamp),
}

/// Why there is no next message.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// An entry can't be read. It is not acked: ack it to leave it behind. The next can be received.
    #[error("entry {id} of {topic} can't be read: it {reason}")]
    Unreadable {
        /// The entry.
        id: MessageId,
        /// The topic, with `-partition-N` when it is one.
        topic: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// A partition can't go on; others may.
    #[error(transparent)]
    Failed(#[from] ClientError),
    /// The consumer is closed, or no partition can go on.
    #[error("the consumer is closed")]
    Closed,
}

/// A consumer. Dropping it closes it at the broker.
#[derive(Debug)]
pub struct Consumer {
    incoming: mpsc::Receiver<Item>,
    /// Why there is no next message, found while there were others to return.
    failure: Option<ReceiveError>,
    control: ConsumerControl,
}

/// Acks and moves a consumer, from wherever that is to be done. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConsumerControl {
    shared: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    topic: TopicName,
    subscription: String,
    is_durable: bool,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    mailbox: mpsc::Sender<Request>,
    /// What was received in an earlier epoch will come again, or was sought away from.
    epoch: Arc<AtomicU64>,
}

/// What a partition's task hands out.
#[derive(Debug)]
struct Item {
    part: usize,
    epoch: u64,
    outcome: Result<Message, ReceiveError>,
}

/// What a partition's task is told.
#[derive(Debug)]
enum Request {
    Ack { id: MessageId, cumulative: bool },
    AckMany(Vec<MessageId>),
    Redeliver(MessageId),
    RedeliverAll,
    Session(oneshot::Sender<Session>),
    Seek(Seek),
    Close(oneshot::Sender<Result<(), ClientError>>),
}

/// A SEEK that a caller sends itself, in the session that it is given.
#[derive(Debug)]
struct Seek {
    to: SeekTo,
    session: oneshot::Sender<Session>,
    /// Whether the broker did it; dropped when the caller went away.
    outcome: oneshot::Receiver<bool>,
    /// Answered once nothing from before can be received any more.
    applied: oneshot::Sender<()>,
}

/// The consumer as the broker knows it, for now.
type Session = (Connection, u64);

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            subscription_type: SubscriptionType::Exclusive,
            start_at: StartAt::Latest,
            is_durable: true,
            name: None,
            queue_size: 1_000,
            priority_level: None,
            read_compacted: false,
            batch_index_acks: true,
            schema: None,
        }
    }
}

impl SubscriptionType {
    const fn wire(self) -> SubType {
        match self {
            Self::Exclusive => SubType::Exclusive,
            Self::Shared => SubType::Shared,
            Self::Failover => SubType::Failover,
            Self::KeyShared => SubType::KeyShared,
        }
    }
}

impl Consumer {
    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`]; after any but [`ReceiveError::Closed`] it can be called again.
    ///
    /// # Cancel safety
    ///
    /// Safe: no message is lost.
    pub async fn receive(&mut self) -> Result<Message, ReceiveError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        loop {
            let Some(item) = self.incoming.recv().await else { return Err(ReceiveError::Closed) };
            if self.is_valid(&item) {
                return item.outcome;
            }
        }
    }

    /// Waits for the next message, and appends it with those that are here already, at most `max`.
    ///
    /// # Errors
    ///
    /// As [`Self::receive`]; then nothing was appended.
    ///
    /// # Cancel safety
    ///
    /// Safe: no message is lost.
    pub async fn receive_many(
        &mut self,
        messages: &mut Vec<Message>,
        max: usize,
    ) -> Result<(), ReceiveError> {
        messages.push(self.receive().await?);
        for _ in 1..max {
            let Ok(item) = self.incoming.try_recv() else { break };
            if !self.is_valid(&item) {
                continue;
            }
            match item.outcome {
                Ok(message) => messages.push(message),
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether nothing happened since it was handed out that makes it come again, or not wanted.
    fn is_valid(&self, item: &Item) -> bool {
        let part = self.control.shared.parts.get(item.part);
        part.map_or(0, |part| part.epoch.load(Ordering::Acquire)) <= item.epoch
    }

    /// What acks and moves this consumer.
    #[must_use]
    pub const fn control(&self) -> &ConsumerControl {
        &self.control
    }

    /// Acks one message. See [`ConsumerControl::ack`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub async fn ack(&self, id: &MessageId) -> Result<(), ClientError> {
        self.control.ack(id).await
    }

    /// Sends the acks that were made, then closes the consumer at the broker.
    ///
    /// # Errors
    ///
    /// [`ClientError`] of the first partition that did not close as asked; it is closed here.
    pub async fn close(self) -> Result<(), ClientError> {
        let mut waits = Vec::with_capacity(self.control.shared.parts.len());
        for part in &self.control.shared.parts {
            let (reply, done) = oneshot::channel();
            if part.mailbox.send(Request::Close(reply)).await.is_ok() {
                waits.push(done);
            }
        }
        let mut outcome = Ok(());
        for done in waits {
            let closed = done.await.unwrap_or(Ok(()));
            outcome = outcome.and(closed);
        }
        outcome
    }
}

impl ConsumerControl {
    /// The topic, without a partition.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.shared.topic
    }

    /// The subscription.
    #[must_use]
    pub fn subscription(&self) -> &str {
        &self.shared.subscription
    }

    /// Acks one message. The broker is told soon; it does not answer.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub async fn ack(&self, id: &MessageId) -> Result<(), ClientError> {
        self.tell(id, Request::Ack { id: *id, cumulative: false }).await
    }

    /// Acks messages one by one, but tells the task of it at once.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub async fn ack_many(&self, ids: &[MessageId]) -> Result<(), ClientError> {
        if let [part] = self.shared.parts.as_slice() {
            return part.send(Request::AckMany(ids.to_vec())).await;
        }
        for id in ids {
            self.ack(id).await?;
        }
        Ok(())
    }

    /// Acks a message and all before it, of its partition; not for Shared and Key_Shared.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub async fn ack_cumulative(&self, id: &MessageId) -> Result<(), ClientError> {
        self.tell(id, Request::Ack { id: *id, cumulative: true }).await
    }

    /// Asks the broker to deliver a message again; with it come all unacked ones of its batch, and
    /// for Exclusive and Failover everything unacked.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub async fn nack(&self, id: &MessageId) -> Result<(), ClientError> {
        self.tell(id, Request::Redeliver(*id)).await
    }

    /// Asks the broker to deliver everything again that this consumer has not acked.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`].
    pub async fn redeliver_unacked(&self) -> Result<(), ClientError> {
        for part in &self.shared.parts {
            part.send(Request::RedeliverAll).await?;
        }
        Ok(())
    }

    /// Moves the subscription; what was fetched ahead is dropped.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; when a partition's fails, those before it were moved.
    pub async fn seek(&self, to: SeekTo) -> Result<(), ClientError> {
        let invalid = |reason| Err(ClientError::InvalidOption { option: "seek", reason });
        if matches!(to, SeekTo::Time(_)) && !self.shared.is_durable {
            return invalid("by time needs a durable subscription");
        }
        if let SeekTo::Id { id, .. } = to {
            return self.part_of(&id)?.seek(to).await;
        }
        for part in &self.shared.parts {
            part.seek(to).await?;
        }
        Ok(())
    }

    /// Where the last message of each partition lies; `None` for one that is empty.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn last_message_ids(&self) -> Result<Vec<Option<MessageId>>, ClientError> {
        let mut ids = Vec::with_capacity(self.shared.parts.len());
        let is_partitioned = self.is_partitioned();
        for (index, part) in (0..).zip(&self.shared.parts) {
            let (connection, consumer_id) = part.session().await?;
            let request = |request_id| CommandGetLastMessageId { consumer_id, request_id }.into();
            match connection.request("last message id", request).await? {
                Body::GetLastMessageIdResponse(answer) => {
                    let partition = is_partitioned.then_some(index);
                    let id = MessageId::from_wire(&answer.last_message_id, partition);
                    ids.push(Some(id).filter(|id| 0 <= id.position.entry_id.0));
                }
                other => return Err(connection.unexpected(&other)),
            }
        }
        Ok(ids)
    }

    /// Deletes the subscription; the consumer is of no more use.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; it is refused while other consumers are connected.
    pub async fn unsubscribe(&self) -> Result<(), ClientError> {
        for part in &self.shared.parts {
            let (connection, consumer_id) = part.session().await?;
            let request = |request_id| {
                CommandUnsubscribe { consumer_id, request_id, ..CommandUnsubscribe::default() }
                    .into()
            };
            connection.request("unsubscribing", request).await?;
            let (reply, _) = oneshot::channel();
            // One that is gone already is as closed as it can be.
            _ = part.send(Request::Close(reply)).await;
        }
        Ok(())
    }

    fn is_partitioned(&self) -> bool {
        1 < self.shared.parts.len()
    }

    fn part_of(&self, id: &MessageId) -> Result<&Part, ClientError> {
        let index = id.partition.and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
        let reason = "of another topic: it has fewer partitions";
        let parts = &self.shared.parts;
        parts.get(index).ok_or(ClientError::InvalidOption { option: "message id", reason })
    }

    async fn tell(&self, id: &MessageId, request: Request) -> Result<(), ClientError> {
        self.part_of(id)?.send(request).await
    }
}

impl Part {
    async fn send(&self, request: Request) -> Result<(), ClientError> {
        self.mailbox.send(request).await.map_err(|_| ClientError::Closed)
    }

    async fn session(&self) -> Result<Session, ClientError> {
        let (reply, session) = oneshot::channel();
        self.send(Request::Session(reply)).await?;
        session.await.map_err(|_| ClientError::Closed)
    }

    async fn seek(&self, to: SeekTo) -> Result<(), ClientError> {
        let (session, begun) = oneshot::channel();
        let (done, outcome) = oneshot::channel();
        let (applied, is_applied) = oneshot::channel();
        self.send(Request::Seek(Seek { to, session, outcome, applied })).await?;
        let (connection, consumer_id) = begun.await.map_err(|_| ClientError::Closed)?;
        let request = |request_id| seek_command(consumer_id, request_id, to).into();
        let answer = connection.request("seeking", request).await;
        _ = done.send(answer.is_ok()); // When the task is gone, the next line says so.
        is_applied.await.map_err(|_| ClientError::Closed)?;
        answer.map(drop)
    }
}

fn seek_command(consumer_id: u64, request_id: u64, to: SeekTo) -> CommandSeek {
    let at = |position: Position| (Some(position.into()), None);
    let (message_id, message_publish_time) = match to {
        SeekTo::Earliest => at(Position::EARLIEST),
        SeekTo::Latest => at(Position::LATEST),
        SeekTo::Id { id, .. } => at(id.position),
        SeekTo::Time(Timestamp(ms)) => (None, Some(ms)),
    };
    CommandSeek { consumer_id, request_id, message_id, message_publish_time }
}
