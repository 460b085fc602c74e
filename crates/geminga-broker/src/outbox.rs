//! What a connection is to be sent, put there by topics and taken by the connection's writer.
//!
//! Topics never wait for a slow connection: what they put is bounded by the permits that the client
//! gave and by [`Outbox::is_writable`], which turns false above the high-water mark. The writer
//! reports what it wrote; once below the low-water mark, topics that found it full are woken.
//!
//! # Invariants
//!
//! 1. Items come out in the order in which they were put.
//! 2. `queued_bytes` is the sum over what was put and not yet reported written.
//! 3. A topic that saw `is_writable() == false` and left a [`Waker`] is woken once it is true again.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use geminga_env::Gauge;
use geminga_types::Position;
use tokio::sync::Notify;

use crate::{AckError, ProduceError, PublishError};

/// A producer or consumer of a connection. Clients use their ids again, and what is on its way for one
/// that is closed must not be taken for its successor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey {
    /// The client's id.
    pub id: u64,
    /// Which of those that were opened under it, as the door counts them.
    pub incarnation: u64,
}

/// One thing to be sent to the client.
#[derive(Debug)]
pub enum Outgoing {
    /// A frame that the door itself encoded, such as the answer to a request.
    Frame(Bytes),
    /// Messages were published, in this order.
    Receipts {
        /// Which.
        producer: ClientKey,
        /// One for each SEND.
        receipts: Vec<Receipt>,
    },
    /// A message was not published.
    SendFailed {
        /// Which.
        producer: ClientKey,
        /// As the SEND had it.
        sequence_id: u64,
        /// As the SEND had it.
        highest_sequence_id: Option<u64>,
        /// Why.
        error: PublishError,
    },
    /// A producer that waited for exclusive access has it now: a second PRODUCER_SUCCESS.
    ProducerReady {
        /// Which.
        producer: ClientKey,
        /// The request that opened it.
        request_id: u64,
        /// The topic's epoch.
        topic_epoch: Option<u64>,
        /// Last sequence id published under its name, −1 without deduplication.
        last_sequence_id: i64,
    },
    /// A producer that waited for exclusive access does not get it: the answer to its request.
    ProducerRefused {
        /// Which.
        producer: ClientKey,
        /// The request that opened it.
        request_id: u64,
        /// Why.
        error: ProduceError,
    },
    /// The topic closed this producer; the client reconnects.
    ProducerClosed {
        /// Which.
        producer: ClientKey,
    },
    /// Messages for a consumer, in this order.
    Messages {
        /// Which.
        consumer: ClientKey,
        /// Given back as it came with REDELIVER or SUBSCRIBE.
        consumer_epoch: Option<u64>,
        /// One for each entry.
        messages: Vec<OutMessage>,
    },
    /// The answer to an ack that asked for one.
    AckDone {
        /// The client's consumer id.
        consumer_id: u64,
        /// As the ACK had it.
        request_id: u64,
        /// Durable when `Ok`.
        result: Result<(), AckError>,
    },
    /// Whether this is now the active consumer of a Failover subscription.
    ActiveConsumer {
        /// Which.
        consumer: ClientKey,
        /// Active or not.
        is_active: bool,
    },
    /// The topic was terminated and everything was delivered.
    EndOfTopic {
        /// Which.
        consumer: ClientKey,
    },
    /// The topic closed this consumer; the client reconnects.
    ConsumerClosed {
        /// Which.
        consumer: ClientKey,
    },
}

/// A message was published: on disk, synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// As the SEND had it.
    pub sequence_id: u64,
    /// As the SEND had it.
    pub highest_sequence_id: Option<u64>,
    /// Where it lies; −1:−1 if it was stored before, by another send.
    pub position: Position,
}

/// One entry for a consumer.
#[derive(Clone, Debug)]
pub struct OutMessage {
    /// Where it lies.
    pub position: Position,
    /// How often it was delivered before.
    pub redelivery_count: u32,
    /// What is left of a batch; 1 is not acked.
    pub ack_set: Option<Box<[i64]>>,
    /// What the broker noted, while it is in a piece of its own; else it is how `entry` begins, if it
    /// noted anything.
    pub front: Bytes,
    /// The entry as it is at rest, from there on: metadata and payload with their checksum.
    pub entry: Bytes,
}

impl OutMessage {
    fn size_bytes(&self) -> usize {
        self.front.len() + self.entry.len() + OVERHEAD_BYTES
    }
}

/// Called once when a full outbox has room again.
pub(crate) type Waker = Box<dyn FnOnce() + Send>;

/// A connection's queue of things to send. Clones are the same queue.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    high_water_bytes: usize,
    queued_bytes: AtomicUsize,
    /// What the outboxes of all connections hold.
    all: Gauge,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Outgoing>,
    wakers: Vec<Waker>,
    is_closed: bool,
}

/// Bytes that a frame takes besides what it carries, roughly.
const OVERHEAD_BYTES: usize = 64;
/// More than this and the connection does not keep up.
const LAGGING_BYTES: usize = 64 << 10;

impl Outgoing {
    /// Bytes to be reported to [`Outbox::written`] once this has been sent.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let carried = match self {
            Self::Frame(frame) => frame.len(),
            Self::Receipts { receipts, .. } => receipts.len() * OVERHEAD_BYTES,
            Self::Messages { messages, .. } => messages.iter().map(OutMessage::size_bytes).sum(),
            _ => 0,
        };
        carried + OVERHEAD_BYTES
    }
}

impl Outbox {
    /// An empty outbox that counts as full above `high_water_bytes`.
    #[must_use]
    pub fn new(high_water_bytes: usize) -> Self {
        Self::within(Gauge::new(usize::MAX), high_water_bytes)
    }

    /// The same, one of many: while they hold more than `all` allows, one that is not empty counts as
    /// full.
    #[must_use]
    pub fn within(all: Gauge, high_water_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            high_water_bytes,
            queued_bytes: AtomicUsize::new(0),
            all,
            queue: Mutex::default(),
            filled: Notify::new(),
        }))
    }

    /// Puts an item; dropped when the connection is closed. Never blocks.
    pub fn push(&self, item: Outgoing) {
        let size_bytes = item.size_bytes();
        let mut queue = self.lock();
        if queue.is_closed {
            return;
        }
        self.0.queued_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        self.0.all.add(size_bytes);
        queue.items.push_back(item);
        drop(queue);
        self.0.filled.notify_one();
    }

    /// Whether topics may put more messages.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let queued = self.queued_bytes();
        queued < self.0.high_water_bytes && (queued == 0 || !self.0.all.is_over())
    }

    /// Whether what is put now may stay for a while.
    #[must_use]
    pub(crate) fn is_lagging(&self) -> bool {
        LAGGING_BYTES < self.queued_bytes()
    }

    fn queued_bytes(&self) -> usize {
        self.0.queued_bytes.load(Ordering::Relaxed)
    }

    /// Moves everything that waits into `into`; waits until there is something. False: closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken unless this returns.
    pub async fn take(&self, into: &mut VecDeque<Outgoing>) -> bool {
        loop {
            let filled = self.0.filled.notified();
            {
                let mut queue = self.lock();
                if !queue.items.is_empty() {
                    into.append(&mut queue.items);
                    return true;
                }
                if queue.is_closed {
                    return false;
                }
            }
            filled.await;
        }
    }

    /// The writer says that items of `bytes` (see [`Outgoing::size_bytes`]) went to the socket.
    pub fn written(&self, bytes: usize) {
        let before = self.0.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.0.all.sub(bytes);
        let left = before.saturating_sub(bytes);
        if left == 0 || (left < self.0.high_water_bytes / 2 && !self.0.all.is_over()) {
            let wakers = std::mem::take(&mut self.lock().wakers);
            for waker in wakers {
                waker();
            }
        }
    }

    /// The connection is gone: drops what waits and what will be put.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.is_closed = true;
        queue.items.clear();
        queue.wakers.clear();
        drop(queue);
        self.0.filled.notify_one();
    }

    /// Calls `waker` once there is room; at once when there is now.
    pub(crate) fn wake_when_writable(&self, waker: Waker) {
        let mut queue = self.lock();
        // Below half: `written` may not come again, so whoever asks now must not wait for it.
        let queued = self.queued_bytes();
        let is_low = queued < self.0.high_water_bytes / 2 && !self.0.all.is_over();
        if queued == 0 || is_low {
            drop(queue);
            waker();
        } else if !queue.is_closed {
            queue.wakers.push(waker);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// What was never written is gone with the connection.
    fn drop(&mut self) {
        self.all.sub(*self.queued_bytes.get_mut());
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued_bytes = self.0.queued_bytes.load(Ordering::Relaxed);
        f.debug_struct("Outbox").field("queued_bytes", &queued_bytes).finish_non_exhaustive()
    }
}
