//! One connection: handshake, then a reader and a writer around the broker's outbox.
//!
//! What both need is in [`Connection`]: leaf values, each behind its own lock, never two locks at
//! once and none across an await.

mod answer;
mod consumers;
mod encode;
mod end;
mod handshake;
mod incoming;
mod parking;
mod producers;
mod reader;
mod requests;
mod schemas;
mod sends;
mod slots;
mod turns;
mod unread;
mod unsupported;
mod watchers;
mod window;
mod writer;

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt as _;
use geminga_broker::{Broker, Consumer, Outbox, Producer};
use geminga_env::{Env, Instant, net::Stream};
use geminga_wire::proto::command_ack::ValidationError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{debug, warn};

use self::{
    consumers::ConsumerOrder,
    end::Ended,
    handshake::Client,
    incoming::Incoming,
    parking::Parking,
    producers::{ProducerOrder, RecentlyClosed},
    slots::Slots,
    turns::Turns,
    watchers::Watchers,
    window::Windows,
};
use crate::{Options, counters::Admitted};

/// Requests of one connection in progress; beyond, it is not read.
const REQUESTS_MAX: usize = 2_048;

/// As many full windows, by messages, may wait for publish rates on one connection.
const PARKED_WINDOWS: usize = 4;

/// How long the last answers may take to reach a client that is being disconnected.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What all connections of a listener share.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) broker: Broker,
    pub(crate) options: Arc<Options>,
    pub(crate) tasks: TaskTracker,
    pub(crate) shutdown: CancellationToken,
}

/// What reader, writer and requests share.
struct Connection {
    door: Door,
    /// Unique among the broker's connections, of all doors.
    id: u64,
    peer: SocketAddr,
    client: Client,
    outbox: Outbox,
    /// Cancelled once the connection is not to be read any more.
    closed: CancellationToken,
    producers: Mutex<Slots<Producer, ProducerOrder>>,
    consumers: Mutex<Slots<Consumer, ConsumerOrder>>,
    recently_closed: Mutex<RecentlyClosed>,
    watchers: Mutex<Watchers>,
    windows: Windows,
    parking: Parking,
    turns: Turns,
    answers: Answers,
    requests: Arc<Semaphore>,
    /// Whether one of its many possible complaints was logged: a broken client sends thousands.
    has_complained: AtomicBool,
}

/// Bytes of this side's own frames in the outbox: what a client asks for and does not read.
#[derive(Default)]
struct Answers {
    bytes: AtomicUsize,
    written: Notify,
}

/// Room for one request in progress.
#[derive(Debug)]
struct RequestPermit {
    _held: OwnedSemaphorePermit,
}

/// Serves one connection until it ends.
pub(crate) async fn run(mut stream: Stream, peer: SocketAddr, door: Door, _admitted: Admitted) {
    let mut incoming = Incoming::new(handshake::FRAME_MAX.min(door.options.max_frame));
    // Boxed, so that what it needs is not held for as long as the connection.
    let client = match Box::pin(handshake::run(&mut stream, &mut incoming, &door)).await {
        Ok(client) => client,
        Err(ended) => {
            door.options.counters.note_handshake(false);
            return end::log(&ended, peer, &door);
        }
    };
    incoming.allow(door.options.max_frame);
    door.options.counters.note_handshake(true);
    debug!(%peer, client = client.version, protocol = client.protocol, "connected");
    let (read, write) = tokio::io::split(stream);
    let connection = Arc::new(Connection::new(door, peer, client));
    // Closes what is open even if the reader panics.
    let cleanup = end::Cleanup::new(&connection);
    let drain = CancellationToken::new();
    let writer = writer::run(Arc::clone(&connection), write, drain.clone());
    // However this ends, the writer and its half of the socket end with it.
    let mut writer = AbortOnDropHandle::new(connection.door.tasks.spawn(writer));
    let reader = reader::run(Arc::clone(&connection), read, incoming);
    let ended = AssertUnwindSafe(reader).catch_unwind().await.unwrap_or(Ended::Panicked);
    end::log(&ended, peer, &connection.door);
    drop(cleanup);
    if matches!(ended, Ended::Closed | Ended::Violation(_)) {
        drain.cancel();
        let deadline = connection.now() + DRAIN_TIMEOUT;
        if tokio::time::timeout_at(deadline, &mut writer).await.is_err() {
            debug!(%peer, "the client did not read its last answers");
        }
    }
    connection.outbox.close();
}

impl Connection {
    fn new(door: Door, peer: SocketAddr, client: Client) -> Self {
        let options = &door.options;
        let limits = window::Limits {
            producer_messages: options.producer_window_messages,
            producer_bytes: options.producer_window_bytes,
            connection_messages: options.pending_publishes_per_connection,
            nonpersistent_messages: options.nonpersistent_publishes_per_connection,
            parked_messages: options.producer_window_messages.saturating_mul(PARKED_WINDOWS),
            parked_bytes: options.producer_window_bytes,
        };
        Self {
            id: door.broker.next_connection_id(),
            peer,
            client,
            outbox: door.broker.outbox(options.outbox_high_water_bytes),
            closed: door.shutdown.child_token(),
            producers: Mutex::new(Slots::new()),
            consumers: Mutex::new(Slots::new()),
            recently_closed: Mutex::default(),
            watchers: Mutex::default(),
            windows: Windows::new(limits),
            parking: Parking::default(),
            turns: Turns::default(),
            answers: Answers::default(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            has_complained: AtomicBool::new(false),
            door,
        }
    }

    fn env(&self) -> &Env {
        self.door.broker.env()
    }

    fn options(&self) -> &Options {
        &self.door.options
    }

    fn now(&self) -> Instant {
        self.env().clock.now()
    }

    /// Waits until one more request may be in progress; `None` once the connection has ended.
    async fn request_permit(&self) -> Option<RequestPermit> {
        let permit = Arc::clone(&self.requests).acquire_owned();
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            permit = permit => permit.ok().map(|held| RequestPermit { _held: held }),
        }
    }

    /// Runs `work` beside the reader. What it does before it first waits, such as posting an event to
    /// a topic, is done when this returns, so that it keeps its place among the other commands.
    async fn start(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let Some(permit) = self.request_permit().await else { return };
        let mut work = Box::pin(async move {
            work.await;
            drop(permit);
        });
        let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
        if tokio::task::unconstrained(first).await.is_pending() {
            self.door.tasks.spawn(work);
        }
    }

    /// Waits while the client leaves too many answers unread. False: it went on for too long.
    async fn answers_are_read(&self) -> bool {
        let limit = self.options().outbox_high_water_bytes;
        let is_read = || self.answers.bytes.load(Ordering::Relaxed) <= limit;
        if is_read() {
            return true;
        }
        let deadline = self.now() + self.options().window_timeout;
        loop {
            let written = self.answers.written.notified();
            if is_read() {
                return true;
            }
            tokio::select! {
                biased;
                () = self.closed.cancelled() => return true,
                () = written => {}
                () = tokio::time::sleep_until(deadline) => return false,
            }
        }
    }

    fn note_paused(&self, what: &'static str, limit: usize, value: usize) {
        self.options().counters.note_paused();
        debug!(peer = %self.peer, what, limit, value, "not read until there is room");
    }

    /// Logs that something of this client was refused: the first time as a warning.
    fn complain(&self, what: &'static str, id: u64, reason: &str) {
        let peer = self.peer;
        if self.has_complained.swap(true, Ordering::Relaxed) {
            debug!(%peer, what, id, reason, "refused");
        } else {
            warn!(%peer, what, id, reason, "refused; more of this connection is logged as DEBUG");
        }
    }

    /// Logs that a consumer acks what it can not read: the first time as a warning.
    fn note_unreadable(&self, id: u64, messages: usize, error: i32) {
        let error = ValidationError::try_from(error).map_or("unknown", |it| it.as_str_name());
        let peer = self.peer;
        if self.has_complained.swap(true, Ordering::Relaxed) {
            debug!(%peer, id, messages, error, "a consumer acks messages that it can not read");
        } else {
            warn!(%peer, id, messages, error, "a consumer acks messages that it can not read");
        }
    }

    fn warn_about_producer(&self, producer_id: u64, why: &str) {
        warn!(peer = %self.peer, producer_id, why, "producer closed");
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
