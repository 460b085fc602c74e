//! What a partition's consumer knows and decides; it does no I/O.

use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use geminga_types::Position;
use geminga_wire::{
    frame::{AckCommand, AckedId, FlowCommand},
    proto::{Body, CommandRedeliverUnacknowledgedMessages, MessageIdData},
};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::{
    Item, ReceiveError, Request, Seek, SeekTo, Session, StartAt,
    permits::Permits,
    tracker::AckTracker,
    unpack::{Source, unpack},
};
use crate::{
    ClientError, Message, MessageId,
    connection::{Connection, Delivery, Event, Outgoing},
    link::LinkEvent,
};

/// Ids in one ACK or REDELIVER.
const IDS_MAX: usize = 1_000;
/// Acks that wait while there is no connection.
const WAITING_ACKS_MAX: usize = 10_000;

/// What the task has to do about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    Go,
    /// Leave the broker and attach again.
    Reattach,
}

/// What stays the same.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) part: usize,
    pub(super) partition: Option<u32>,
    pub(super) topic: Arc<str>,
    pub(super) is_durable: bool,
    pub(super) queue_size: u32,
}

pub(super) struct State {
    place: Place,
    /// Who waits for the first attachment.
    attached: Option<oneshot::Sender<Result<(), ClientError>>>,
    epoch: Arc<AtomicU64>,
    connection: Option<Session>,
    /// With what each costs in permits.
    queue: VecDeque<(Result<Message, ReceiveError>, u32)>,
    permits: Permits,
    tracker: AckTracker,
    acks: VecDeque<AckedId>,
    cumulative: Option<AckedId>,
    redeliver: VecDeque<Position>,
    redeliver_all: bool,
    /// Where the next session begins, if it is not durable.
    start: StartAt,
    /// The first is under way once its session was given out; the others wait.
    seeks: VecDeque<Seek>,
    /// Where the first seek goes, and in which session.
    seeking: Option<(StartAt, u64)>,
    /// What comes before this in its entry is not for the application.
    skip: StartAt,
    sessions: Vec<oneshot::Sender<Session>>,
    closing: Option<Vec<oneshot::Sender<Result<(), ClientError>>>>,
}

impl State {
    pub(super) fn new(
        place: Place,
        start: StartAt,
        batch_index_acks: bool,
        epoch: Arc<AtomicU64>,
        attached: oneshot::Sender<Result<(), ClientError>>,
    ) -> Self {
        Self {
            attached: Some(attached),
            epoch,
            connection: None,
            queue: VecDeque::new(),
            permits: Permits::new(place.queue_size),
            tracker: AckTracker::new(batch_index_acks),
            acks: VecDeque::new(),
            cumulative: None,
            redeliver: VecDeque::new(),
            redeliver_all: false,
            start,
            seeks: VecDeque::new(),
            seeking: None,
            skip: if place.is_durable { StartAt::Latest } else { start },
            sessions: Vec::new(),
            closing: None,
            place,
        }
    }

    /// Whether it was asked to close, and all that had to be said before is said.
    pub(super) fn is_finished(&self) -> bool {
        self.closing.is_some() && (self.connection.is_none() || !self.has_to_say())
    }

    pub(super) fn take_closers(&mut self) -> Vec<oneshot::Sender<Result<(), ClientError>>> {
        self.closing.take().unwrap_or_default()
    }

    pub(super) fn takes_requests(&self) -> bool {
        self.acks.len() < WAITING_ACKS_MAX && self.redeliver.len() < WAITING_ACKS_MAX
    }

    /// Whether something can be handed out: nothing is while it is open where the next comes from.
    pub(super) fn has_messages(&self) -> bool {
        !self.queue.is_empty() && self.seeking.is_none()
    }

    /// Whether the broker did the seek that is under way; never when none is.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub(super) async fn seek_outcome(&mut self) -> bool {
        match self.seeks.front_mut() {
            Some(seek) if self.seeking.is_some() => (&mut seek.outcome).await.unwrap_or(false),
            _ => std::future::pending().await,
        }
    }

    /// The connection, while something waits for room on it.
    pub(super) fn blocked_on(&self) -> Option<Connection> {
        let (connection, _) = self.connection.as_ref()?;
        self.has_to_say().then(|| connection.clone())
    }

    /// The start of the next session, for a subscription that is not durable.
    pub(super) fn start(&self) -> StartAt {
        self.seeking.map_or(self.start, |(target, _)| target)
    }

    pub(super) fn on_request(&mut self, request: Request) {
        match request {
            Request::Ack { id, cumulative: false } => self.acks.extend(self.tracker.ack(id)),
            Request::Ack { id, cumulative: true } => {
                if let Some(acked) = self.tracker.ack_cumulative(id) {
                    self.cumulative = Some(acked);
                }
            }
            Request::AckMany(ids) => {
                for id in ids {
                    self.acks.extend(self.tracker.ack(id));
                }
            }
            Request::Redeliver(id) => self.redeliver.push_back(id.position),
            Request::RedeliverAll => {
                self.redeliver_all = true;
                self.drop_queue();
                self.void_handed_out();
            }
            Request::Session(reply) => self.sessions.push(reply),
            Request::Seek(seek) => self.seeks.push_back(seek),
            Request::Close(reply) => self.closing.get_or_insert_default().push(reply),
        }
        self.answer_sessions();
    }

    pub(super) fn on_link(&mut self, event: LinkEvent) -> ControlFlow<ClientError> {
        match event {
            LinkEvent::Attached(connection, id, answer) => {
                if !matches!(*answer, Body::Success(_)) {
                    return ControlFlow::Break(connection.unexpected(&answer));
                }
                self.on_attached(connection, id);
            }
            LinkEvent::Event(event) => self.on_event(event),
            LinkEvent::Lost => self.lose(),
            LinkEvent::Failed(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Entry(delivery) => self.on_delivery(&delivery),
            Event::EndOfTopic => debug!(topic = %self.place.topic, "the end of the topic"),
            Event::Receipt { .. } | Event::SendError { .. } => {}
        }
    }

    /// The session is over: what is queued will come again. So will, on a durable subscription, what
    /// is on its way to the application; one that is not durable goes on after that.
    pub(super) fn lose(&mut self) {
        self.connection = None;
        self.drop_queue();
        if self.place.is_durable {
            self.void_handed_out();
        }
    }

    /// The seek that was under way has an outcome.
    pub(super) fn on_sought(&mut self, done: bool) -> Then {
        let Some((seek, (target, session_id))) = self.seeks.pop_front().zip(self.seeking.take())
        else {
            return Then::Go;
        };
        let now_id = self.connection.as_ref().map(|(_, id)| *id);
        let mut then = Then::Go;
        if done {
            self.void_handed_out();
            (self.start, self.skip) = (target, target);
            // Brokers end the session when they seek; one that did not gives no permits back for
            // what is dropped, so it is ended here. A later session began where it should.
            if now_id == Some(session_id) {
                then = Then::Reattach;
            } else {
                let queue = std::mem::take(&mut self.queue);
                queue.into_iter().for_each(|(outcome, cost)| self.enqueue(outcome, cost));
            }
        } else if now_id != Some(session_id) && !self.place.is_durable {
            self.start = target; // The session since then began there.
        }
        _ = seek.applied.send(()); // The caller may have gone away.
        self.answer_sessions();
        then
    }

    /// It makes no sense to go on.
    pub(super) fn fail(&mut self, error: ClientError) -> Option<Item> {
        match self.attached.take() {
            Some(attached) => {
                _ = attached.send(Err(error)); // The caller may have gone away.
                None
            }
            None => {
                warn!(topic = %self.place.topic, %error, "the consumer can't go on");
                let outcome = Err(ReceiveError::Failed(error));
                Some(Item { part: self.place.part, epoch: u64::MAX, outcome })
            }
        }
    }

    /// Hands out the next message.
    pub(super) fn hand_out(&mut self, room: mpsc::Permit<'_, Item>) {
        let Some((outcome, cost)) = self.queue.pop_front() else { return };
        self.permits.taken(cost);
        if let Ok(message) = &outcome {
            self.start = StartAt::Id { id: message.id, inclusive: false };
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        room.send(Item { part: self.place.part, epoch, outcome });
    }

    /// Says to the broker what there is room for.
    pub(super) fn pump(&mut self) {
        let Some((connection, consumer_id)) = self.connection.clone() else { return };
        while self.has_to_say() {
            let Some(permit) = connection.try_reserve() else { return };
            if let Some(outgoing) = self.next_to_say(consumer_id) {
                permit.send(outgoing);
            }
        }
    }

    fn has_to_say(&self) -> bool {
        self.cumulative.is_some()
            || !self.acks.is_empty()
            || !self.redeliver.is_empty()
            || self.redeliver_all
            || self.permits.is_due()
    }

    fn next_to_say(&mut self, consumer_id: u64) -> Option<Outgoing> {
        if let Some(acked) = self.cumulative.take() {
            let ids = [acked].into_iter().collect();
            return Some(Outgoing::Ack(ack_command(consumer_id, true, ids)));
        }
        if !self.acks.is_empty() {
            let count = self.acks.len().min(IDS_MAX);
            let ids = self.acks.drain(..count).collect();
            return Some(Outgoing::Ack(ack_command(consumer_id, false, ids)));
        }
        if self.redeliver_all || !self.redeliver.is_empty() {
            if std::mem::take(&mut self.redeliver_all) {
                self.redeliver.clear(); // No ids means all.
            }
            let count = self.redeliver.len().min(IDS_MAX);
            let ids = self.redeliver.drain(..count).map(MessageIdData::from).collect();
            let command = CommandRedeliverUnacknowledgedMessages {
                consumer_id,
                message_ids: ids,
                consumer_epoch: None,
            };
            return Some(Outgoing::Command(command.into()));
        }
        self.permits.is_due().then(|| {
            let message_permits = self.permits.grant();
            Outgoing::Flow(FlowCommand { consumer_id, message_permits })
        })
    }

    fn on_attached(&mut self, connection: Connection, id: u64) {
        self.drop_queue();
        self.permits = Permits::new(self.place.queue_size);
        if !self.place.is_durable {
            self.skip = self.start();
        }
        // What was to be delivered again will be, now that the session is new.
        self.redeliver.clear();
        self.redeliver_all = false;
        self.connection = Some((connection, id));
        if let Some(attached) = self.attached.take() {
            _ = attached.send(Ok(())); // The caller may have gone away.
        }
        self.answer_sessions();
    }

    fn on_delivery(&mut self, delivery: &Delivery) {
        let position = delivery.message_id.position();
        let Place { topic, partition, .. } = &self.place;
        let source = Source { topic, partition: *partition };
        match unpack(delivery, source) {
            Ok(unpacked) => {
                self.tracker.delivered(position, &delivery.ack_set);
                self.permits.taken(unpacked.skipped);
                if unpacked.messages.is_empty() {
                    // Nothing in it is for anybody: a marker, or compacted away.
                    let id = MessageId::of_entry(position, *partition);
                    self.acks.extend(self.tracker.ack(id));
                }
                unpacked.messages.into_iter().for_each(|message| self.enqueue(Ok(message), 1));
            }
            Err(unreadable) => {
                let id = MessageId::of_entry(position, *partition);
                let topic = Arc::clone(topic);
                let reason = unreadable.reason;
                let error = ReceiveError::Unreadable { id, topic, reason };
                self.enqueue(Err(error), unreadable.messages);
            }
        }
    }

    fn enqueue(&mut self, outcome: Result<Message, ReceiveError>, cost: u32) {
        if let (Ok(message), StartAt::Id { id: start, inclusive }) = (&outcome, self.skip) {
            if is_before(&message.id, &start, inclusive) {
                self.permits.taken(cost);
                self.acks.extend(self.tracker.ack(message.id));
                return;
            }
            if message.id.position != start.position {
                self.skip = StartAt::Latest; // Passed; should it come again, it is wanted.
            }
        }
        self.queue.push_back((outcome, cost));
    }

    /// What was received and is still here is void.
    fn drop_queue(&mut self) {
        let cost = self.queue.drain(..).map(|(_, cost)| cost).fold(0, u32::saturating_add);
        self.permits.taken(cost);
    }

    /// What is on its way to the application is void.
    fn void_handed_out(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn answer_sessions(&mut self) {
        let Some(session) = &self.connection else { return };
        for reply in self.sessions.drain(..) {
            _ = reply.send(session.clone()); // The caller may have gone away.
        }
        while self.seeking.is_none()
            && let Some(mut seek) = self.seeks.pop_front()
        {
            let (reply, _) = oneshot::channel();
            let reply = std::mem::replace(&mut seek.session, reply);
            if reply.send(session.clone()).is_ok() {
                self.seeking = Some((start_of(seek.to), session.1));
                self.seeks.push_front(seek);
            }
        }
    }
}

fn ack_command(
    consumer_id: u64,
    cumulative: bool,
    message_ids: smallvec::SmallVec<[AckedId; 1]>,
) -> AckCommand {
    AckCommand {
        consumer_id,
        cumulative,
        message_ids,
        validation_error: None,
        properties: Vec::new(),
        txn: None,
        request_id: None,
    }
}

const fn start_of(to: SeekTo) -> StartAt {
    match to {
        SeekTo::Earliest => StartAt::Earliest,
        SeekTo::Latest | SeekTo::Time(_) => StartAt::Latest,
        SeekTo::Id { id, inclusive } => StartAt::Id { id, inclusive },
    }
}

/// Whether a message is in the start's entry, and before it there: brokers send whole entries.
fn is_before(id: &MessageId, start: &MessageId, inclusive: bool) -> bool {
    if start.position != id.position {
        return false;
    }
    match (start.batch, id.batch) {
        (Some(start), Some(place)) if inclusive => place.index < start.index,
        (Some(start), Some(place)) => place.index <= start.index,
        _ => !inclusive,
    }
}
