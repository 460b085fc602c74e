//! Keeps a producer or consumer attached to the broker that serves its topic.
//!
//! After every loss it waits, looks the topic up and attaches again, under a new id: what the server
//! still says to the former one is nobody's.

use std::{fmt, sync::Arc, time::Duration};

use geminga_env::{BoxFuture, Instant};
use geminga_wire::proto::{Body, CommandProducer, CommandSubscribe};
use tokio::time::sleep_until;
use tracing::{debug, info};

use crate::{
    ClientError,
    backoff::Backoff,
    client::Shared,
    connection::{Attachment, Connection, Event, Owner},
};

/// What happened to the link.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// Attached; the server's answer.
    Attached(Connection, u64, Box<Body>),
    /// The server says something.
    Event(Event),
    /// Closed by the server, or the connection was lost. The next attempt is under way.
    Lost,
    /// It makes no sense to go on. Nothing comes any more.
    Failed(ClientError),
}

pub(crate) struct Link {
    shared: Arc<Shared>,
    topic: Arc<str>,
    command: Body,
    capacity: usize,
    state: State,
    backoff: Backoff,
    /// Until when even errors that may pass are retried; `None` once it was attached.
    first_deadline: Option<Instant>,
    /// Whether the server may still hold a session of ours.
    may_be_known: bool,
}

enum State {
    Waiting(Instant),
    Attaching(BoxFuture<'static, Result<(Attachment, u64, Body), ClientError>>),
    Attached(Attachment),
    Ended,
}

impl Link {
    /// Begins to attach with `command`, a PRODUCER or a SUBSCRIBE, whose ids are filled in.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        topic: &Arc<str>,
        command: Body,
        capacity: usize,
    ) -> Self {
        let now = shared.env.clock.now();
        Self {
            shared: Arc::clone(shared),
            topic: Arc::clone(topic),
            command,
            capacity,
            state: State::Waiting(now),
            backoff: shared.backoff(),
            first_deadline: Some(now + shared.options.operation_timeout),
            may_be_known: false,
        }
    }

    /// The command of the next attempt.
    pub(crate) const fn command_mut(&mut self) -> &mut Body {
        &mut self.command
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    ///
    /// Safe: what is under way is kept.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        loop {
            match &mut self.state {
                State::Waiting(at) => {
                    sleep_until(*at).await;
                    self.state = State::Attaching(self.begin());
                }
                State::Attaching(attempt) => {
                    let outcome = attempt.await;
                    if let Some(event) = self.on_attempt(outcome) {
                        return event;
                    }
                }
                State::Attached(attachment) => match attachment.event().await {
                    Some(event) => return LinkEvent::Event(event),
                    None => {
                        self.detach();
                        return LinkEvent::Lost;
                    }
                },
                State::Ended => std::future::pending().await,
            }
        }
    }

    /// An event that is here already.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        match &mut self.state {
            State::Attached(attachment) => attachment.try_event(),
            State::Waiting(_) | State::Attaching(_) | State::Ended => None,
        }
    }

    /// Leaves the server, to attach again after a wait.
    pub(crate) fn detach(&mut self) {
        let wait = self.backoff.next(&*self.shared.env.random);
        debug!(topic = %self.topic, ?wait, "detached");
        self.state = State::Waiting(self.shared.env.clock.now() + wait);
    }

    /// Leaves the server for good, and waits until it says so.
    pub(crate) async fn close(&mut self) -> Result<(), ClientError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Attached(attachment) => attachment.close().await,
            State::Waiting(_) | State::Attaching(_) | State::Ended => Ok(()),
        }
    }

    fn begin(&self) -> BoxFuture<'static, Result<(Attachment, u64, Body), ClientError>> {
        let shared = Arc::clone(&self.shared);
        let topic = Arc::clone(&self.topic);
        Box::pin(attach(shared, topic, self.command.clone(), self.capacity))
    }

    fn on_attempt(
        &mut self,
        outcome: Result<(Attachment, u64, Body), ClientError>,
    ) -> Option<LinkEvent> {
        let error = match outcome {
            Ok((attachment, id, answer)) => {
                let connection = attachment.connection().clone();
                self.state = State::Attached(attachment);
                self.first_deadline = None;
                self.may_be_known = true;
                self.backoff.reset();
                return Some(LinkEvent::Attached(connection, id, Box::new(answer)));
            }
            Err(error) => error,
        };
        let may_pass = error.is_transient() || (error.is_busy() && self.may_be_known);
        let wait = self.backoff.next(&*self.shared.env.random);
        let at = self.shared.env.clock.now() + wait;
        if !may_pass || self.first_deadline.is_some_and(|deadline| deadline <= at) {
            self.state = State::Ended;
            return Some(LinkEvent::Failed(error));
        }
        self.may_be_known |=
            matches!(error, ClientError::TimedOut { .. } | ClientError::Disconnected { .. });
        if self.first_deadline.is_none() && Duration::from_secs(1) < wait {
            info!(topic = %self.topic, %error, ?wait, "not attached yet");
        }
        self.state = State::Waiting(at);
        None
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("topic", &self.topic).finish_non_exhaustive()
    }
}

async fn attach(
    shared: Arc<Shared>,
    topic: Arc<str>,
    command: Body,
    capacity: usize,
) -> Result<(Attachment, u64, Body), ClientError> {
    let connection = shared.connection_to(&topic).await?;
    let id = shared.next_id();
    let (owner, operation) = match command {
        Body::Producer(_) => (Owner::Producer(id), "creating the producer"),
        _ => (Owner::Consumer(id), "subscribing"),
    };
    let attachment = connection.attach(owner, capacity).await?;
    let with_ids = |request_id| match command {
        Body::Producer(producer) => {
            CommandProducer { producer_id: id, request_id, ..producer }.into()
        }
        Body::Subscribe(subscribe) => {
            CommandSubscribe { consumer_id: id, request_id, ..subscribe }.into()
        }
        other => other,
    };
    let answer = connection.request(operation, with_ids).await?;
    Ok((attachment, id, answer))
}
