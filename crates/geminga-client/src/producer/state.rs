//! What a partition's producer knows and decides; it does no I/O.

use std::{collections::VecDeque, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use geminga_env::{Clock, Instant};
use geminga_types::Position;
use geminga_wire::{
    FRAME_OVERHEAD,
    frame::SendCommand,
    proto::{Body, ServerError},
};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::{
    Attached, Message, ProducerOptions, Queued, QueuedEntry, SendError, Waiter,
    batcher::{Batcher, Draft, Item},
    entry::{self, Format},
    window::{Answered, InFlight, Window},
};
use crate::{
    ClientError, MessageId, Refusal,
    client::Shared,
    connection::{Connection, Event, Outgoing},
    link::LinkEvent,
    message::BatchPlace,
};

/// What the task has to do about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    Go,
    /// Leave the broker, attach again and send all again.
    Resync,
    /// The broker has a new name for us, to be used from now on.
    Named(String),
}

pub(super) struct State {
    shared: Arc<Shared>,
    partition: Option<u32>,
    options: ProducerOptions,
    /// Who waits for the first attachment.
    attached: Option<oneshot::Sender<Result<Attached, ClientError>>>,
    name: String,
    next_sequence_id: u64,
    /// Of the schema that the producer has registered.
    schema_version: Option<Bytes>,
    max_message_size: usize,
    batcher: Batcher<Waiter>,
    window: Window<Waiter>,
    connection: Option<(Connection, u64)>,
    /// Entries that went into the window so far.
    pushed: u64,
    /// Flushes wait until so many entries have their outcome.
    flushes: VecDeque<(u64, oneshot::Sender<()>)>,
    closing: Option<Closing>,
}

struct Closing {
    deadline: Instant,
    replies: Vec<oneshot::Sender<Result<(), ClientError>>>,
}

impl State {
    pub(super) fn new(
        shared: &Arc<Shared>,
        partition: Option<u32>,
        options: ProducerOptions,
        attached: oneshot::Sender<Result<Attached, ClientError>>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            partition,
            attached: Some(attached),
            name: String::new(),
            next_sequence_id: 0,
            schema_version: None,
            max_message_size: geminga_wire::MAX_MESSAGE_SIZE,
            batcher: Batcher::new(options.batching),
            options,
            window: Window::new(),
            connection: None,
            pushed: 0,
            flushes: VecDeque::new(),
            closing: None,
        }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.shared.env.clock)
    }

    /// Whether everything that had to be done before the end is done.
    pub(super) fn is_finished(&self, now: Instant) -> bool {
        let Some(closing) = &self.closing else { return false };
        self.window.is_empty() || closing.deadline <= now
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Who waits for the end.
    pub(super) fn take_closers(&mut self) -> Vec<oneshot::Sender<Result<(), ClientError>>> {
        self.closing.take().map(|closing| closing.replies).unwrap_or_default()
    }

    /// The connection, while something waits for room on it.
    pub(super) fn blocked_on(&self) -> Option<Connection> {
        self.window.unsent()?;
        self.connection.as_ref().map(|(connection, _)| connection.clone())
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let closing = self.closing.as_ref().map(|closing| closing.deadline);
        let timeouts = [self.batcher.next_timeout(), self.window.next_timeout(), closing];
        timeouts.into_iter().flatten().min()
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        if let Some(draft) = self.batcher.on_timeout(now) {
            self.take(draft);
        }
        while let Some(entry) = self.window.expire(now) {
            entry.waiters.into_iter().for_each(|waiter| waiter.answer(Err(SendError::TimedOut)));
        }
        self.answer_flushes();
    }

    pub(super) fn on_message(&mut self, message: Message, now: Instant) {
        match message {
            Message::Send(queued) => self.on_queued(queued, now),
            Message::SendMany(group) => {
                group.into_iter().for_each(|queued| self.on_queued(queued, now));
            }
            Message::SendEntry(queued) => self.on_entry(queued, now),
            Message::Flush(reply) => {
                self.flush_batch();
                self.flushes.push_back((self.pushed, reply));
                self.answer_flushes();
            }
            Message::Close(reply) => self.close(now, Some(reply)),
        }
    }

    fn on_entry(&mut self, queued: QueuedEntry, now: Instant) {
        let QueuedEntry { sequence_id, messages, entry, waiter } = queued;
        self.flush_batch();
        let (size, limit) = (entry.len(), self.max_message_size + FRAME_OVERHEAD / 2);
        if limit < size {
            return waiter.answer(Err(SendError::TooLarge { size, limit }));
        }
        self.next_sequence_id = self.next_sequence_id.max(sequence_id.saturating_add(1));
        let deadline = self.options.send_timeout.map(|limit| now + limit);
        let (highest_sequence_id, waiters) = (None, vec![waiter]);
        let entry =
            InFlight { sequence_id, highest_sequence_id, messages, entry, deadline, waiters };
        self.window.push(entry);
        self.pushed += 1;
    }

    fn on_queued(&mut self, queued: Queued, now: Instant) {
        let Queued { metadata, payload, waiter } = queued;
        let sequence_id = metadata.sequence_id.unwrap_or(self.next_sequence_id);
        self.next_sequence_id = self.next_sequence_id.max(sequence_id.saturating_add(1));
        let item = Item { sequence_id, metadata, payload, waiter, since: now };
        self.batcher.push(item).into_iter().for_each(|draft| self.take(draft));
    }

    /// Ends once all is done that came before.
    pub(super) fn close(
        &mut self,
        now: Instant,
        reply: Option<oneshot::Sender<Result<(), ClientError>>>,
    ) {
        self.flush_batch();
        let deadline = now + self.shared.options.operation_timeout;
        let closing = self.closing.get_or_insert(Closing { deadline, replies: Vec::new() });
        closing.replies.extend(reply);
    }

    pub(super) fn on_link(&mut self, event: LinkEvent) -> ControlFlow<(), Then> {
        match event {
            LinkEvent::Attached(connection, id, answer) => {
                self.on_attached(connection, id, &answer)
            }
            LinkEvent::Event(event) => self.on_event(event),
            LinkEvent::Lost => {
                self.lose();
                ControlFlow::Continue(Then::Go)
            }
            LinkEvent::Failed(error) => {
                self.fail(error);
                ControlFlow::Break(())
            }
        }
    }

    pub(super) fn on_event(&mut self, event: Event) -> ControlFlow<(), Then> {
        match event {
            Event::Receipt { sequence_id, position } => {
                ControlFlow::Continue(self.on_receipt(sequence_id, position))
            }
            Event::SendError { sequence_id, refusal } => self.on_send_error(sequence_id, refusal),
            Event::Entry(_) | Event::EndOfTopic => ControlFlow::Continue(Then::Go),
        }
    }

    /// The wire is gone.
    pub(super) fn lose(&mut self) {
        self.connection = None;
        self.window.rewind();
    }

    /// Puts on the wire what there is room for.
    pub(super) fn pump(&mut self) {
        let Some((connection, id)) = &self.connection else { return };
        while let Some(entry) = self.window.unsent() {
            let Some(permit) = connection.try_reserve() else { return };
            permit.send(Outgoing::Send(send_command(*id, entry), entry.entry.clone()));
            self.window.mark_sent();
        }
    }

    /// Nothing more will be sent.
    pub(super) fn give_up(&mut self, error: &SendError) {
        let open = self.batcher.flush().into_iter().flatten().map(|item| item.waiter);
        let in_flight = std::iter::from_fn(|| self.window.pop()).flat_map(|entry| entry.waiters);
        in_flight.chain(open).for_each(|waiter| waiter.answer(Err(error.clone())));
        self.flushes.clear();
    }

    fn on_attached(
        &mut self,
        connection: Connection,
        id: u64,
        answer: &Body,
    ) -> ControlFlow<(), Then> {
        let Body::ProducerSuccess(success) = answer else {
            self.fail(connection.unexpected(answer));
            return ControlFlow::Break(());
        };
        if self.options.schema.is_some() {
            self.schema_version.clone_from(&success.schema_version);
        }
        self.max_message_size = connection.max_message_size();
        self.batcher.limit_bytes(self.max_message_size);
        self.connection = Some((connection, id));
        self.window.rewind();
        let Some(attached) = self.attached.take() else { return ControlFlow::Continue(Then::Go) };
        self.name.clone_from(&success.producer_name);
        let last = u64::try_from(success.last_sequence_id()).ok();
        self.next_sequence_id = last.map_or(0, |last| last.saturating_add(1));
        let told = Attached {
            name: self.name.clone(),
            last_sequence_id: last,
            schema_version: self.schema_version.clone(),
        };
        _ = attached.send(Ok(told)); // The caller may have gone away.
        ControlFlow::Continue(Then::Named(self.name.clone()))
    }

    fn on_receipt(&mut self, sequence_id: u64, position: Position) -> Then {
        match self.window.answer(sequence_id) {
            Answered::Oldest(entry) => {
                self.confirm(entry, position);
                self.answer_flushes();
                Then::Go
            }
            Answered::Stale => {
                debug!(sequence_id, "a receipt that nobody waits for");
                Then::Go
            }
            Answered::Gap => {
                warn!(sequence_id, "receipts are missing; sending again");
                Then::Resync
            }
        }
    }

    fn on_send_error(&mut self, sequence_id: u64, refusal: Refusal) -> ControlFlow<(), Then> {
        debug!(sequence_id, %refusal, "a message was refused");
        match refusal.code {
            ServerError::NotAllowedError => {
                if let Answered::Oldest(entry) = self.window.answer(sequence_id) {
                    let error = SendError::Refused(refusal);
                    entry.waiters.into_iter().for_each(|waiter| waiter.answer(Err(error.clone())));
                    self.answer_flushes();
                }
                ControlFlow::Continue(Then::Go)
            }
            ServerError::TopicTerminatedError
            | ServerError::ProducerFenced
            | ServerError::AuthorizationError
            | ServerError::TopicNotFound => {
                self.give_up(&SendError::Refused(refusal));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(Then::Resync),
        }
    }

    fn confirm(&self, entry: InFlight<Waiter>, position: Position) {
        let is_batch = entry.highest_sequence_id.is_some();
        let size = u32::try_from(entry.waiters.len()).unwrap_or(u32::MAX);
        for (index, waiter) in (0..).zip(entry.waiters) {
            let batch = is_batch.then_some(BatchPlace { index, size });
            waiter.answer(Ok(MessageId { partition: self.partition, position, batch }));
        }
    }

    fn fail(&mut self, error: ClientError) {
        let failure = match &error {
            ClientError::Refused { refusal, .. } => SendError::Refused(refusal.clone()),
            _ => SendError::Closed,
        };
        match self.attached.take() {
            Some(attached) => _ = attached.send(Err(error)), // The caller may have gone away.
            None => warn!(name = self.name, %error, "the producer can't go on"),
        }
        self.give_up(&failure);
    }

    fn flush_batch(&mut self) {
        if let Some(draft) = self.batcher.flush() {
            self.take(draft);
        }
    }

    fn take(&mut self, draft: Draft<Waiter>) {
        let since = draft.first().map(|item| item.since);
        let deadline = since.zip(self.options.send_timeout).map(|(since, limit)| since + limit);
        let format = Format {
            producer_name: &self.name,
            compression: self.options.compression,
            schema_version: self.schema_version.as_ref(),
            max_message_size: self.max_message_size,
            now: self.shared.env.clock.wall(),
        };
        match entry::encode(draft, format, deadline) {
            Ok(entry) => {
                self.window.push(entry);
                self.pushed += 1;
            }
            Err((error, waiters)) => {
                waiters.into_iter().for_each(|waiter| waiter.answer(Err(error.clone())));
            }
        }
    }

    fn answer_flushes(&mut self) {
        let in_flight = u64::try_from(self.window.len()).unwrap_or(u64::MAX);
        let done = self.pushed.saturating_sub(in_flight);
        while self.flushes.front().is_some_and(|(until, _)| *until <= done) {
            if let Some((_, reply)) = self.flushes.pop_front() {
                _ = reply.send(()); // The caller may have gone away.
            }
        }
    }
}

fn send_command(producer_id: u64, entry: &InFlight<Waiter>) -> SendCommand {
    SendCommand {
        producer_id,
        sequence_id: entry.sequence_id,
        num_messages: entry.messages,
        highest_sequence_id: entry.highest_sequence_id,
        txn: None,
        is_chunk: false,
        marker: false,
        message_id: None,
    }
}
