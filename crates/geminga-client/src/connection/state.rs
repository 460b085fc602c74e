//! What a connection knows and decides: frames in, events and frames out; it does no I/O.

use std::{collections::BTreeMap, time::Duration};

use bytes::BytesMut;
use geminga_env::Instant;
use geminga_wire::{
    frame::{
        Command, Frame, encode_ack, encode_command, encode_flow, encode_ping, encode_pong,
        encode_send,
    },
    message_id::position_of,
    proto::{self, Body},
};
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::debug;

use super::{
    Delivery, Event, Outgoing, Owner, Reply, RequestError, Settings,
    keep_alive::{KeepAlive, Silence},
    requests::Requests,
};
use crate::Refusal;

/// Why a connection must end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("the server sent more than it was allowed to")]
    Overrun,
    #[error("the server is silent")]
    Silent,
    #[error("the server asks for an authentication that is not supported")]
    AuthChallenge,
    #[error("the server sent {0}, which only clients send")]
    Unexpected(&'static str),
}

pub(super) struct State {
    requests: Requests<Reply>,
    queues: BTreeMap<Owner, mpsc::Sender<Event>>,
    keep_alive: KeepAlive,
    request_timeout: Duration,
    /// Frames to write.
    pub(super) out: BytesMut,
}

impl State {
    pub(super) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            requests: Requests::new(),
            queues: BTreeMap::new(),
            keep_alive: KeepAlive::new(settings.keep_alive, now),
            request_timeout: settings.request_timeout,
            out: BytesMut::new(),
        }
    }

    /// Bytes came, whatever they are.
    pub(super) const fn on_heard(&mut self, now: Instant) {
        self.keep_alive.heard(now);
    }

    pub(super) fn next_timeout(&self) -> Instant {
        let silence = self.keep_alive.next_timeout();
        self.requests.next_timeout().map_or(silence, |deadline| deadline.min(silence))
    }

    pub(super) fn on_timeout(&mut self, now: Instant) -> Result<(), Broken> {
        while let Some(reply) = self.requests.expire(now) {
            _ = reply.send(Err(RequestError::TimedOut)); // The caller may have gone away.
        }
        match self.keep_alive.poll(now) {
            Silence::Fine => {}
            Silence::Ask => encode_ping(&mut self.out),
            Silence::Gone => return Err(Broken::Silent),
        }
        Ok(())
    }

    pub(super) fn on_outgoing(&mut self, outgoing: Outgoing, now: Instant) {
        match outgoing {
            Outgoing::Request { id, body, reply } => {
                if let Some(owner) = closed_by(&body) {
                    self.queues.remove(&owner);
                }
                encode_command(&body.into(), &mut self.out);
                self.requests.insert(id, now + self.request_timeout, reply);
            }
            Outgoing::Send(send, entry) => encode_send(&send, &entry, &mut self.out),
            Outgoing::Ack(ack) => encode_ack(&ack, &mut self.out),
            Outgoing::Flow(flow) => encode_flow(&flow, &mut self.out),
            Outgoing::Command(body) => encode_command(&body.into(), &mut self.out),
            Outgoing::Attach(owner, queue) => _ = self.queues.insert(owner, queue),
            Outgoing::Detach(owner) => self.detach(owner),
        }
    }

    pub(super) fn on_frame(&mut self, frame: Frame) -> Result<(), Broken> {
        match frame.command {
            Command::Ping => encode_pong(&mut self.out),
            Command::Pong => {}
            Command::Send(_) => return Err(Broken::Unexpected("SEND")),
            Command::Ack(_) => return Err(Broken::Unexpected("ACK")),
            Command::Flow(_) => return Err(Broken::Unexpected("FLOW")),
            Command::Other(body) => match *body {
                Body::Message(message) => {
                    let entry = frame.payload.unwrap_or_default();
                    let owner = Owner::Consumer(message.consumer_id);
                    let delivery = Delivery {
                        redelivery_count: message.redelivery_count(),
                        message_id: message.message_id,
                        ack_set: message.ack_set,
                        entry,
                    };
                    return self.tell(owner, Event::Entry(Box::new(delivery)));
                }
                body => return self.on_body(body),
            },
        }
        Ok(())
    }

    fn on_body(&mut self, body: Body) -> Result<(), Broken> {
        match body {
            Body::SendReceipt(receipt) => return self.on_receipt(&receipt),
            Body::SendError(error) => {
                let refusal = Refusal::new(error.error, &error.message);
                let event = Event::SendError { sequence_id: error.sequence_id, refusal };
                return self.tell(Owner::Producer(error.producer_id), event);
            }
            Body::CloseProducer(close) => {
                _ = self.queues.remove(&Owner::Producer(close.producer_id))
            }
            Body::CloseConsumer(close) => {
                _ = self.queues.remove(&Owner::Consumer(close.consumer_id))
            }
            Body::TopicMigrated(moved) => self.on_moved(&moved),
            Body::ReachedEndOfTopic(end) => {
                return self.tell(Owner::Consumer(end.consumer_id), Event::EndOfTopic);
            }
            Body::AuthChallenge(_) => return Err(Broken::AuthChallenge),
            // The answer to a producer that has to wait comes later, with the same id.
            Body::ProducerSuccess(success) if !success.producer_ready() => {}
            Body::Error(error) => {
                let refusal = Refusal::new(error.error, &error.message);
                self.answer(error.request_id, Err(RequestError::Refused(refusal)));
            }
            body => match request_id_of(&body) {
                Some(id) => self.answer(id, Ok(body)),
                None => debug!(kind = ?body.kind(), "ignored"),
            },
        }
        Ok(())
    }

    fn on_receipt(&mut self, receipt: &proto::CommandSendReceipt) -> Result<(), Broken> {
        let position = receipt
            .message_id
            .as_ref()
            .map_or_else(|| position_of(u64::MAX, u64::MAX), proto::MessageIdData::position);
        let event = Event::Receipt { sequence_id: receipt.sequence_id, position };
        self.tell(Owner::Producer(receipt.producer_id), event)
    }

    /// The next attempt finds the new place by a look-up.
    fn on_moved(&mut self, moved: &proto::CommandTopicMigrated) {
        let owner = match moved.resource_type() {
            proto::command_topic_migrated::ResourceType::Producer => {
                Owner::Producer(moved.resource_id)
            }
            proto::command_topic_migrated::ResourceType::Consumer => {
                Owner::Consumer(moved.resource_id)
            }
        };
        self.queues.remove(&owner);
    }

    fn answer(&mut self, id: u64, answer: Result<Body, RequestError>) {
        match self.requests.answer(id) {
            Some(reply) => _ = reply.send(answer), // The caller may have gone away.
            None => debug!(id, ?answer, "nobody waits for this answer"),
        }
    }

    fn tell(&mut self, owner: Owner, event: Event) -> Result<(), Broken> {
        // What is on its way to one that we closed is nobody's.
        let Some(queue) = self.queues.get(&owner) else { return Ok(()) };
        match queue.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Broken::Overrun),
            Err(TrySendError::Closed(_)) => {
                self.detach(owner);
                Ok(())
            }
        }
    }

    fn detach(&mut self, owner: Owner) {
        if self.queues.remove(&owner).is_some() {
            // Nobody waits for the answer: an id that no request has.
            encode_command(&close_command(owner, u64::MAX).into(), &mut self.out);
        }
    }
}

pub(super) fn close_command(owner: Owner, request_id: u64) -> Body {
    match owner {
        Owner::Producer(producer_id) => {
            proto::CommandCloseProducer { producer_id, request_id, ..Default::default() }.into()
        }
        Owner::Consumer(consumer_id) => {
            proto::CommandCloseConsumer { consumer_id, request_id, ..Default::default() }.into()
        }
    }
}

const fn closed_by(body: &Body) -> Option<Owner> {
    match body {
        Body::CloseProducer(close) => Some(Owner::Producer(close.producer_id)),
        Body::CloseConsumer(close) => Some(Owner::Consumer(close.consumer_id)),
        _ => None,
    }
}

/// The request that a body answers.
const fn request_id_of(body: &Body) -> Option<u64> {
    match body {
        Body::Success(answer) => Some(answer.request_id),
        Body::ProducerSuccess(answer) => Some(answer.request_id),
        Body::PartitionMetadataResponse(answer) => Some(answer.request_id),
        Body::LookupTopicResponse(answer) => Some(answer.request_id),
        Body::GetLastMessageIdResponse(answer) => Some(answer.request_id),
        _ => None,
    }
}
