//! The writer: takes all that waits in the outbox, sends it with one vectored write, and says so.
//!
//! It also sees first what a topic closes and which SENDs were answered, so it keeps the slots and
//! windows in step with what the client is told.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::BytesMut;
use geminga_broker::{ClientKey, OutMessage, Outgoing, PublishError, Receipt};
use geminga_env::net::Stream;
use geminga_types::Position;
use geminga_wire::{
    entry::EntryHeader,
    frame::{
        AckResponse, MessageHeader, SendReceipt, encode_ack_response, encode_command,
        encode_message_header, encode_send_receipt,
    },
    proto::{
        BaseCommand, CommandActiveConsumerChange, CommandCloseConsumer, CommandCloseProducer,
        CommandError, CommandReachedEndOfTopic, CommandSendError, ServerError,
    },
    version,
};
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Connection,
    answer::NO_REQUEST,
    encode::Pieces,
    lock,
    turns::{Granted, Said},
    window::Answered,
};
use crate::errors::{Coded, Refusal, SendFailure, send_failure};

/// How entries with metadata of the broker begin; most clients get them without it.
const BROKER_METADATA: [u8; 2] = [0x0e, 0x02];

/// What the receipt of a message names that a non-persistent topic has dropped, as in Pulsar.
const DROPPED: Position = Position::new(-1, -1);

struct Writer {
    connection: Arc<Connection>,
    pieces: Pieces,
}

/// Writes until the outbox is closed, the socket fails, or all is written after `drain`.
pub(super) async fn run(
    connection: Arc<Connection>,
    mut write: WriteHalf<Stream>,
    drain: CancellationToken,
) {
    // However this ends, nothing can be answered any more: the reader must stop.
    let _closed = connection.closed.clone().drop_guard();
    let peer = connection.peer;
    let mut writer = Writer { connection, pieces: Pieces::default() };
    if let Err(error) = writer.serve(&mut write, drain).await {
        debug!(%peer, %error, "writing failed");
        return;
    }
    _ = write.shutdown().await; // The client may be gone already.
}

impl Writer {
    async fn serve(
        &mut self,
        write: &mut WriteHalf<Stream>,
        drain: CancellationToken,
    ) -> io::Result<()> {
        let outbox = self.connection.outbox.clone();
        let mut items = VecDeque::new();
        loop {
            let is_open = tokio::select! {
                biased;
                is_open = outbox.take(&mut items) => is_open,
                () = drain.cancelled() => false,
            };
            if !is_open {
                return Ok(());
            }
            let mut size_bytes = 0;
            let mut answers_bytes = 0;
            for item in items.drain(..) {
                let item_bytes = item.size_bytes();
                size_bytes += item_bytes;
                if matches!(item, Outgoing::Frame(_)) {
                    answers_bytes += item_bytes;
                }
                self.encode(item);
            }
            self.pieces.seal();
            write.write_all_buf(&mut self.pieces).await?;
            write.flush().await?;
            self.pieces.clear();
            outbox.written(size_bytes);
            self.connection.answers_written(answers_bytes);
        }
    }

    fn encode(&mut self, item: Outgoing) {
        match item {
            Outgoing::Frame(frame) => self.pieces.push(frame),
            Outgoing::Receipts { producer, receipts } => self.receipts(producer, &receipts),
            Outgoing::SendFailed { producer, sequence_id, highest_sequence_id, error } => {
                let last = highest_sequence_id.map_or(sequence_id, |last| last.max(sequence_id));
                self.send_failed(producer, last, &error);
            }
            Outgoing::ProducerReady { producer, request_id, topic_epoch, last_sequence_id } => {
                let granted = Granted { topic_epoch, last_sequence_id };
                self.turn_came(producer, request_id, Said::Ready(granted));
            }
            Outgoing::ProducerRefused { producer, request_id, error } => {
                self.turn_came(producer, request_id, Said::Refused(error.refusal()));
            }
            Outgoing::ProducerClosed { producer } => self.close_producer(producer),
            Outgoing::Messages { consumer, consumer_epoch, messages } => {
                self.messages(consumer, consumer_epoch, messages);
            }
            Outgoing::AckDone { consumer_id, request_id, result } => {
                let refusal = result.err().map(|error| error.refusal());
                let error = refusal.as_ref().map(|Refusal { code, message }| (*code, &**message));
                let response = AckResponse { consumer_id, request_id, txn: None, error };
                encode_ack_response(&response, self.pieces.head());
            }
            Outgoing::ActiveConsumer { consumer, is_active } => {
                let is_known = version::ACTIVE_CONSUMER_CHANGE <= self.connection.client.protocol;
                if is_known && self.is_current(consumer) {
                    let (consumer_id, is_active) = (consumer.id, Some(is_active));
                    self.command(CommandActiveConsumerChange { consumer_id, is_active });
                }
            }
            Outgoing::EndOfTopic { consumer } => {
                if self.is_current(consumer) {
                    self.command(CommandReachedEndOfTopic { consumer_id: consumer.id });
                }
            }
            Outgoing::ConsumerClosed { consumer } => self.close_consumer(consumer),
        }
    }

    fn command(&mut self, command: impl Into<BaseCommand>) {
        encode_command(&command.into(), self.pieces.head());
    }

    /// Whether this consumer is the one that is open, or opening, under its id.
    fn is_current(&self, consumer: ClientKey) -> bool {
        lock(&self.connection.consumers).incarnation(consumer.id) == Some(consumer.incarnation)
    }

    fn receipts(&mut self, producer: ClientKey, receipts: &[Receipt]) {
        let producer_id = producer.id;
        for receipt in receipts {
            let Some(answered) = self.connection.windows.settle(producer) else { continue };
            let receipt = SendReceipt {
                producer_id,
                sequence_id: receipt.sequence_id,
                highest_sequence_id: receipt.highest_sequence_id,
                position: receipt.position,
            };
            encode_send_receipt(&receipt, self.pieces.head());
            self.answered(producer_id, answered);
        }
        self.connection.windows.notify_freed();
    }

    fn send_failed(&mut self, producer: ClientKey, sequence_id: u64, error: &PublishError) {
        let Some(answered) = self.connection.windows.settle(producer) else { return };
        self.connection.windows.notify_freed();
        let producer_id = producer.id;
        match send_failure(error) {
            SendFailure::Error(code) => {
                let refusal = Refusal::new(code, error.to_string());
                self.answered(producer_id, vec![Answered::Refused { sequence_id, refusal }]);
                self.answered(producer_id, answered);
            }
            SendFailure::CloseProducer => {
                let message = error.to_string();
                self.connection.warn_about_producer(producer_id, &message);
                // CLOSE_PRODUCER has no place for a reason; clients log an error of no request.
                if matches!(error, PublishError::Persistence { .. }) {
                    let error = ServerError::PersistenceError.into();
                    self.command(CommandError { request_id: NO_REQUEST, error, message });
                }
                self.close_producer(producer);
            }
        }
    }

    fn answered(&mut self, producer_id: u64, answered: Vec<Answered>) {
        for send in answered {
            encode_answered(producer_id, send, self.pieces.head());
        }
    }

    /// The answers go behind those that are on their way: the client is told to wait first.
    fn turn_came(&self, key: ClientKey, request_id: u64, said: Said) {
        let producer = {
            let producers = lock(&self.connection.producers);
            if producers.incarnation(key.id) != Some(key.incarnation) {
                return;
            }
            producers.get(key.id).cloned()
        };
        let requests = self.connection.turns.say(key.id, request_id, said.clone());
        if let Some(producer) = producer
            && !requests.is_empty()
        {
            self.connection.tell_turn(key.id, &producer, &requests, said);
        }
    }

    fn close_producer(&mut self, producer: ClientKey) {
        if self.connection.drop_producer(producer) {
            self.command(close_producer(producer.id));
        }
    }

    fn close_consumer(&mut self, consumer: ClientKey) {
        if self.connection.drop_consumer(consumer) {
            self.command(close_consumer(consumer.id));
        }
    }

    fn messages(&mut self, key: ClientKey, epoch: Option<u64>, messages: Vec<OutMessage>) {
        let partition = {
            let consumers = lock(&self.connection.consumers);
            // What comes for a consumer that is being closed must not reach its successor.
            let Some(consumer) = consumers.get_as(key) else { return };
            consumer.topic().partition()
        };
        let partition = partition.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1);
        let takes_notes = self.connection.client.takes_broker_metadata;
        for message in messages {
            let OutMessage { mut front, mut entry, .. } = message;
            if !takes_notes {
                front.clear();
                if entry.starts_with(&BROKER_METADATA)
                    && let Ok(header) = EntryHeader::parse(&entry)
                {
                    entry = entry.slice(header.start..);
                }
            }
            let header = MessageHeader {
                consumer_id: key.id,
                position: message.position,
                partition,
                redelivery_count: message.redelivery_count,
                ack_set: message.ack_set.as_deref().unwrap_or_default(),
                consumer_epoch: epoch,
            };
            let len = front.len() + entry.len();
            encode_message_header(&header, len, self.pieces.message_head());
            self.pieces.push(front);
            self.pieces.push(entry);
        }
    }
}

pub(super) fn encode_answered(producer_id: u64, answered: Answered, into: &mut BytesMut) {
    match answered {
        Answered::Refused { sequence_id, refusal } => {
            let (error, message) = (refusal.code.into(), refusal.message);
            let refused = CommandSendError { producer_id, sequence_id, error, message };
            encode_command(&refused.into(), into);
        }
        Answered::Dropped { sequence_id, highest_sequence_id } => {
            let position = DROPPED;
            let receipt = SendReceipt { producer_id, sequence_id, highest_sequence_id, position };
            encode_send_receipt(&receipt, into);
        }
    }
}

/// Tells the client to open its producer anew.
pub(super) fn close_producer(producer_id: u64) -> CommandCloseProducer {
    CommandCloseProducer { producer_id, request_id: NO_REQUEST, ..CommandCloseProducer::default() }
}

/// Tells the client to subscribe anew.
pub(super) fn close_consumer(consumer_id: u64) -> CommandCloseConsumer {
    CommandCloseConsumer { consumer_id, request_id: NO_REQUEST, ..CommandCloseConsumer::default() }
}
