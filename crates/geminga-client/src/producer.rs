//! Sends messages to a topic, pipelined, and tells when each is stored.
//!
//! Each partition has a task that owns a batcher (which messages share an entry), a window (what has
//! no receipt yet) and a link to the broker. After a loss everything in the window is sent again, in
//! order; the broker's deduplication, when it is on, drops what it had stored.
//!
//! # Invariants
//!
//! 1. A message holds its place in the window, and its bytes, from `send` until its receipt.
//! 2. Receipts of one partition resolve in the order of its sends, but for those that time out.

mod batcher;
mod entry;
mod receipts;
mod router;
mod state;
mod task;
mod window;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use geminga_types::TopicName;
use geminga_wire::proto::CommandProducer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub use self::receipts::{Outcome, OutgoingMessage, Receipts};
use self::{receipts::Member, router::Router, state::State};
use crate::{
    ClientError, Compression, MessageId, OutgoingMetadata, Refusal, Schema, client::Shared,
    link::Link,
};

/// Event queue of a producer beyond one receipt for each entry in flight.
const EVENTS_SLACK: usize = 64;
/// Groups of a bulk that a window has room for.
const GROUPS: usize = 8;

/// Which messages share an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// At most so many messages.
    pub messages_max: u32,
    /// At most so many bytes before compression, unless one message has more.
    pub bytes_max: usize,
    /// The first waits for others so long.
    pub delay: Duration,
}

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Its name; one that the broker makes up when it is not set.
    pub name: Option<String>,
    /// How payloads are compressed.
    pub compression: Compression,
    /// Whether messages share entries.
    pub batching: Option<Batching>,
    /// Messages without a receipt, of each partition; `send` waits beyond that.
    pub pending_messages_max: u32,
    /// Bytes of all messages without a receipt; `send` waits beyond that.
    pub pending_bytes_max: u32,
    /// When a message is given up; `None` keeps it until the broker answers.
    pub send_timeout: Option<Duration>,
    /// What messages are written in: the broker registers it, and refuses it if it does not fit the
    /// topic's.
    pub schema: Option<Schema>,
    /// A subscription that the broker makes before the first message, if there is none of that name.
    pub initial_subscription: Option<String>,
}

/// A producer. Cheap to clone; the last clone that is dropped closes it, after what was sent.
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    topic: TopicName,
    attached: Attached,
    parts: Vec<Part>,
    router: Router,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// What the broker says when it takes a producer for the first time.
#[derive(Clone, Debug)]
struct Attached {
    name: String,
    last_sequence_id: Option<u64>,
    schema_version: Option<Bytes>,
}

#[derive(Debug)]
struct Part {
    mailbox: mpsc::Sender<Message>,
    messages: Arc<Semaphore>,
    /// How many of a bulk share their places: a part of the window, so that it stays in use.
    group_max: usize,
}

/// Why a message has no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It was not sent: the broker takes no message of that size.
    #[error("a message of {size} bytes, more than the broker's limit of {limit}")]
    TooLarge {
        /// The payload, compressed.
        size: usize,
        /// The broker's limit.
        limit: usize,
    },
    /// It was not sent: its payload can't be compressed.
    #[error("the payload can't be compressed: {0}")]
    Uncompressible(String),
    /// It is not stored: the broker refused it, or no longer lets this producer send.
    #[error("the broker refused the message: {0}")]
    Refused(Refusal),
    /// It may be stored: no receipt came in time.
    #[error("no receipt came within the send timeout")]
    TimedOut,
    /// It may be stored: the producer was closed, or can't go on, before a receipt came.
    #[error("the producer is closed")]
    Closed,
}

/// Resolves when a message is stored, or is given up.
#[derive(Debug)]
#[must_use = "a message is stored when its receipt says so"]
pub struct Receipt(oneshot::Receiver<Result<MessageId, SendError>>);

/// What a partition's task is told.
#[derive(Debug)]
enum Message {
    Send(Queued),
    SendMany(Vec<Queued>),
    SendEntry(QueuedEntry),
    Flush(oneshot::Sender<()>),
    Close(oneshot::Sender<Result<(), ClientError>>),
}

/// A message on its way to a partition's task.
#[derive(Debug)]
struct Queued {
    metadata: OutgoingMetadata,
    payload: Bytes,
    waiter: Waiter,
}

/// An entry that is sent as it is.
#[derive(Debug)]
struct QueuedEntry {
    sequence_id: u64,
    messages: u32,
    entry: Bytes,
    waiter: Waiter,
}

/// Who waits for a message's receipt; its places in the windows are freed with it.
#[derive(Debug)]
enum Waiter {
    One { reply: oneshot::Sender<Result<MessageId, SendError>>, _places: [OwnedSemaphorePermit; 2] },
    Member(Member),
}

impl Waiter {
    fn answer(self, answer: Result<MessageId, SendError>) {
        match self {
            Self::One { reply, .. } => _ = reply.send(answer), // The caller may not care.
            Self::Member(member) => member.answer(answer),
        }
    }
}

impl Default for Batching {
    fn default() -> Self {
        let delay = Duration::from_millis(1);
        Self { messages_max: 1_000, bytes_max: 128 * 1024, delay }
    }
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            name: None,
            compression: Compression::None,
            batching: None,
            pending_messages_max: 1_000,
            pending_bytes_max: 64 * 1024 * 1024,
            send_timeout: Some(Duration::from_secs(30)),
            schema: None,
            initial_subscription: None,
        }
    }
}

impl Producer {
    /// The topic, without a partition.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.shared.topic
    }

    /// Its name, as the broker knows it: of its first partition, if it made them up.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.attached.name
    }

    /// The last sequence id that the broker knew under its name when it came, if it knew one: on its first
    /// partition.
    #[must_use]
    pub fn last_sequence_id(&self) -> Option<u64> {
        self.shared.attached.last_sequence_id
    }

    /// Which version of the topic's schema its own is; none if it has none.
    #[must_use]
    pub fn schema_version(&self) -> Option<&Bytes> {
        self.shared.attached.schema_version.as_ref()
    }

    /// Sends a message; waits while the window is full.
    ///
    /// Messages with a key go to the key's partition, others to all in turn.
    ///
    /// # Cancel safety
    ///
    /// When dropped before it returned, nothing is sent. A dropped [`Receipt`] withdraws nothing.
    pub async fn send(&self, metadata: OutgoingMetadata, payload: Bytes) -> Receipt {
        let (reply, receipt) = oneshot::channel();
        let receipt = Receipt(receipt);
        let handle = &*self.shared;
        let part = &handle.parts[handle.router.pick(metadata.key.as_deref())];
        let size = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let Some(places) = handle.places(part, 1, size).await else { return receipt };
        let waiter = Waiter::One { reply, _places: places };
        // When the task is gone, the waiter is dropped and the receipt says so.
        _ = part.mailbox.send(Message::Send(Queued { metadata, payload, waiter })).await;
        receipt
    }

    /// Sends an entry as it is, of so many messages, which has this producer's name and `sequence_id` in its
    /// metadata; to the first partition. Waits while the window is full.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Self::send`].
    pub async fn send_entry(&self, sequence_id: u64, messages: u32, entry: Bytes) -> Receipt {
        let (reply, receipt) = oneshot::channel();
        let receipt = Receipt(receipt);
        let handle = &*self.shared;
        let Some(part) = handle.parts.first() else { return receipt };
        let size = u64::try_from(entry.len()).unwrap_or(u64::MAX);
        let Some(places) = handle.places(part, 1, size).await else { return receipt };
        let waiter = Waiter::One { reply, _places: places };
        let queued = QueuedEntry { sequence_id, messages, entry, waiter };
        // When the task is gone, the waiter is dropped and the receipt says so.
        _ = part.mailbox.send(Message::SendEntry(queued)).await;
        receipt
    }

    /// Sends messages in their order, and has their outcomes collected by `receipts`; waits while the
    /// window is full.
    ///
    /// # Cancel safety
    ///
    /// Not safe: when dropped before it returned, some may be sent.
    pub async fn send_many(
        &self,
        messages: impl IntoIterator<Item = OutgoingMessage>,
        receipts: &Receipts,
    ) {
        let handle = &*self.shared;
        if let [part] = handle.parts.as_slice() {
            return handle.send_to(part, messages, receipts).await;
        }
        let mut by_part: Vec<Vec<OutgoingMessage>> = handle.parts.iter().map(|_| vec![]).collect();
        for message in messages {
            let index = handle.router.pick(message.metadata.key.as_deref());
            by_part[index].push(message);
        }
        for (part, messages) in handle.parts.iter().zip(by_part) {
            handle.send_to(part, messages, receipts).await;
        }
    }

    /// Sends what waits for its batch, and returns once everything sent before has its outcome.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the producer was closed meanwhile. Other outcomes are the receipts'.
    pub async fn flush(&self) -> Result<(), SendError> {
        let mut waits = Vec::with_capacity(self.shared.parts.len());
        for part in &self.shared.parts {
            let (reply, done) = oneshot::channel();
            part.mailbox.send(Message::Flush(reply)).await.map_err(|_| SendError::Closed)?;
            waits.push(done);
        }
        for done in waits {
            done.await.map_err(|_| SendError::Closed)?;
        }
        Ok(())
    }

    /// Waits for the receipts of what was sent, then closes the producer at the broker. Sends of
    /// clones that come later fail.
    ///
    /// # Errors
    ///
    /// [`ClientError`] of the first partition that did not close as asked; it is closed here.
    pub async fn close(self) -> Result<(), ClientError> {
        let mut waits = Vec::with_capacity(self.shared.parts.len());
        for part in &self.shared.parts {
            let (reply, done) = oneshot::channel();
            if part.mailbox.send(Message::Close(reply)).await.is_ok() {
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

impl Handle {
    /// Waits for room in the windows; `None` when the producer is closed.
    async fn places(
        &self,
        part: &Part,
        messages: u32,
        bytes: u64,
    ) -> Option<[OwnedSemaphorePermit; 2]> {
        let place = Arc::clone(&part.messages).acquire_many_owned(messages).await.ok()?;
        // What is larger than the budget takes all of it, not forever.
        let size = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()?;
        Some([place, bytes])
    }

    /// Sends groups of a part's window.
    async fn send_to(
        &self,
        part: &Part,
        messages: impl IntoIterator<Item = OutgoingMessage>,
        receipts: &Receipts,
    ) {
        let mut messages = messages.into_iter();
        loop {
            let group: Vec<_> = messages.by_ref().take(part.group_max).collect();
            if group.is_empty() {
                return;
            }
            self.send_group(part, group, receipts).await;
        }
    }

    async fn send_group(&self, part: &Part, group: Vec<OutgoingMessage>, receipts: &Receipts) {
        let bytes = group.iter().map(|message| u64::try_from(message.payload.len()).unwrap_or(0));
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let Some(places) = self.places(part, count, bytes.sum()).await else {
            return receipts.refuse(group, &SendError::Closed);
        };
        let places = receipts.group(places);
        let queued = group.into_iter().map(|OutgoingMessage { token, metadata, payload }| Queued {
            metadata,
            payload,
            waiter: Waiter::Member(Member::new(token, &places)),
        });
        // When the task is gone, the members are dropped and say so.
        _ = part.mailbox.send(Message::SendMany(queued.collect())).await;
    }
}

impl Future for Receipt {
    type Output = Result<MessageId, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = Pin::new(&mut self.0).poll(context);
        outcome.map(|answer| answer.unwrap_or(Err(SendError::Closed)))
    }
}

/// Starts a task for each partition and waits until all are attached.
pub(crate) async fn create(
    shared: &Arc<Shared>,
    topic: &TopicName,
    partitions: u32,
    options: ProducerOptions,
) -> Result<Producer, ClientError> {
    let option = "pending_messages_max";
    if options.pending_messages_max == 0 {
        return Err(ClientError::InvalidOption { option, reason: "must be at least 1" });
    }
    let indexes: Vec<Option<u32>> =
        if partitions == 0 { vec![None] } else { (0..partitions).map(Some).collect() };
    let mut parts = Vec::with_capacity(indexes.len());
    let mut waits = Vec::with_capacity(indexes.len());
    for partition in indexes {
        let (part, attached) = start(shared, topic, partition, &options);
        parts.push(part);
        waits.push(attached);
    }
    let mut first = None;
    for wait in waits {
        let attached = wait.await.map_err(|_| ClientError::Closed)??;
        first.get_or_insert(attached);
    }
    let attached = first.ok_or(ClientError::Closed)?; // There is one partition at least.
    let router = Router::new(parts.len());
    let bytes_max = options.pending_bytes_max.max(1);
    let bytes = Arc::new(Semaphore::new(usize::try_from(bytes_max).unwrap_or(usize::MAX)));
    let handle = Handle { topic: topic.clone(), attached, parts, router, bytes, bytes_max };
    Ok(Producer { shared: Arc::new(handle) })
}

fn start(
    shared: &Arc<Shared>,
    topic: &TopicName,
    partition: Option<u32>,
    options: &ProducerOptions,
) -> (Part, oneshot::Receiver<Result<Attached, ClientError>>) {
    let full = partition.map_or_else(|| topic.clone(), |index| topic.with_partition(index));
    let full: Arc<str> = full.to_string().into();
    let command = CommandProducer {
        topic: full.to_string(),
        producer_name: options.name.clone(),
        user_provided_producer_name: Some(options.name.is_some()),
        schema: options.schema.clone(),
        initial_subscription_name: options.initial_subscription.clone(),
        ..CommandProducer::default()
    };
    let window = usize::try_from(options.pending_messages_max).unwrap_or(usize::MAX);
    let link = Link::new(shared, &full, command.into(), window.saturating_add(EVENTS_SLACK));
    let (mailbox, inbox) = mpsc::channel(window.saturating_add(EVENTS_SLACK));
    let (attach, attached) = oneshot::channel();
    let state = State::new(shared, partition, options.clone(), attach);
    shared.tasks.spawn(task::run(state, link, inbox, shared.closing.clone()));
    let messages = Arc::new(Semaphore::new(window));
    (Part { mailbox, messages, group_max: (window / GROUPS).max(1) }, attached)
}
