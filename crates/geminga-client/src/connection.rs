//! One connection to a broker: its handle, and how it is opened.
//!
//! A task owns the socket and everything that waits for it; the handle is a front for its mailbox.
//! Requests are matched to answers by id, each with a deadline. Producers and consumers attach an
//! event queue each; the queue ends when the server closed them or the connection was lost.

mod handshake;
mod keep_alive;
mod requests;
mod state;
mod task;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use geminga_env::Env;
use geminga_types::Position;
use geminga_wire::{
    frame::{AckCommand, FlowCommand, SendCommand},
    proto::{Body, MessageIdData},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{ClientError, Refusal, route::Route};

const MAILBOX_CAPACITY: usize = 1_024;

/// A cheap handle on an open connection; the last one that is dropped closes it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    mailbox: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: String,
    max_message_size: usize,
    request_timeout: Duration,
    next_request_id: AtomicU64,
}

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Request {
        id: u64,
        body: Body,
        reply: Reply,
    },
    Send(SendCommand, Bytes),
    Ack(AckCommand),
    Flow(FlowCommand),
    /// A command that has no answer.
    Command(Body),
    Attach(Owner, mpsc::Sender<Event>),
    /// The owner is gone; it is closed at the server unless the server did that before.
    Detach(Owner),
}

type Reply = oneshot::Sender<Result<Body, RequestError>>;

/// Who owns an event queue, by the id that this client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Producer(u64),
    Consumer(u64),
}

/// What the server tells a producer or a consumer.
#[derive(Debug)]
pub(crate) enum Event {
    Receipt { sequence_id: u64, position: Position },
    SendError { sequence_id: u64, refusal: Refusal },
    Entry(Box<Delivery>),
    EndOfTopic,
}

/// A MESSAGE.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message_id: MessageIdData,
    pub(crate) redelivery_count: u32,
    /// Which messages of the batch are not acked; empty when none is.
    pub(crate) ack_set: Vec<i64>,
    /// As it is at rest.
    pub(crate) entry: Bytes,
}

#[derive(Debug)]
pub(crate) enum RequestError {
    Refused(Refusal),
    TimedOut,
}

/// What a connection is opened with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) keep_alive: Duration,
}

impl Connection {
    /// Dials, introduces us and starts the task.
    pub(crate) async fn open(
        env: &Env,
        route: &Route,
        settings: &Settings,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, ClientError> {
        let introduced =
            tokio::time::timeout(settings.connect_timeout, handshake::open(env, route));
        let server = introduced.await.unwrap_or_else(|_| {
            Err(ClientError::TimedOut {
                address: route.address.clone(),
                operation: "connecting",
                seconds: settings.connect_timeout.as_secs(),
            })
        })?;
        let shared = Shared {
            address: route.address.clone(),
            max_message_size: server.max_message_size,
            request_timeout: settings.request_timeout,
            next_request_id: AtomicU64::new(0),
        };
        let (mailbox, inbox) = mpsc::channel(MAILBOX_CAPACITY);
        let state = state::State::new(settings, env.clock.now());
        tasks.spawn(task::run(env.clone(), server, state, inbox, shutdown));
        Ok(Self { mailbox, shared: Arc::new(shared) })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }

    /// The largest payload that the server takes.
    pub(crate) fn max_message_size(&self) -> usize {
        self.shared.max_message_size
    }

    /// Whether it has ended: nothing can be asked any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    /// Sends the request that `body` makes with its id, and waits for the answer.
    pub(crate) async fn request(
        &self,
        operation: &'static str,
        body: impl FnOnce(u64) -> Body,
    ) -> Result<Body, ClientError> {
        let id = self.shared.next_request_id.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let request = Outgoing::Request { id, body: body(id), reply };
        let lost = || ClientError::Disconnected { address: self.address().to_owned(), operation };
        self.mailbox.send(request).await.map_err(|_| lost())?;
        match answer.await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(RequestError::Refused(refusal))) => {
                Err(ClientError::Refused { operation, refusal })
            }
            Ok(Err(RequestError::TimedOut)) => Err(ClientError::TimedOut {
                address: self.address().to_owned(),
                operation,
                seconds: self.shared.request_timeout.as_secs(),
            }),
            Err(_) => Err(lost()),
        }
    }

    /// Waits for room for one message to the task.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is sent before the permit is used.
    pub(crate) async fn reserve(&self) -> Option<mpsc::Permit<'_, Outgoing>> {
        self.mailbox.reserve().await.ok()
    }

    /// Room for one message, if there is some now.
    pub(crate) fn try_reserve(&self) -> Option<mpsc::Permit<'_, Outgoing>> {
        self.mailbox.try_reserve().ok()
    }

    /// Opens an event queue for `owner`, before the request that makes it known to the server.
    ///
    /// When the queue is full the server has sent more than it was allowed to, and the connection
    /// is closed.
    pub(crate) async fn attach(
        &self,
        owner: Owner,
        capacity: usize,
    ) -> Result<Attachment, ClientError> {
        let (sender, events) = mpsc::channel(capacity);
        let attach = Outgoing::Attach(owner, sender);
        self.mailbox.send(attach).await.map_err(|_| ClientError::Disconnected {
            address: self.address().to_owned(),
            operation: "attaching",
        })?;
        Ok(Attachment { connection: self.clone(), owner, events })
    }

    /// What an answer that is none says of the server.
    pub(crate) fn unexpected(&self, body: &Body) -> ClientError {
        ClientError::Protocol {
            address: self.address().to_owned(),
            what: format!("unexpected answer {:?}", body.kind()),
        }
    }
}

/// A producer's or consumer's place on a connection. Dropping it closes it at the server.
#[derive(Debug)]
pub(crate) struct Attachment {
    connection: Connection,
    owner: Owner,
    events: mpsc::Receiver<Event>,
}

impl Attachment {
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The next event; `None` when the server closed us or the connection is lost.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// An event that is here already.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Closes it at the server and waits until the server says so.
    pub(crate) async fn close(self) -> Result<(), ClientError> {
        let owner = self.owner;
        let answer = self.connection.request("closing", |id| state::close_command(owner, id)).await;
        answer.map(drop)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // When the mailbox is full, the task finds out at the next event for it.
        _ = self.connection.mailbox.try_send(Outgoing::Detach(self.owner));
    }
}
