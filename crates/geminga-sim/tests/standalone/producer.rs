//! A producer that batches or not, and now and then loses its connection.

use std::{collections::VecDeque, io, time::Duration};

use bytes::BytesMut;
use geminga_types::Position;
use geminga_wire::{
    batch::BatchBuilder,
    entry::encode_entry,
    frame::{Command, SendCommand, encode_send},
    proto::{
        Body, CommandCloseProducer, CommandProducer, CommandSendReceipt, MessageMetadata,
        SingleMessageMetadata,
    },
};
use rand::{Rng as _, rngs::StdRng};
use tokio::time::sleep;

use crate::{
    clients::Clients,
    link::{Answer, Link},
    model::{TOPICS, payload},
};

/// Few, so that most entries wait for another of their key.
const KEYS: usize = 8;
const PRODUCER_ID: u64 = 7;

struct Producer {
    clients: Clients,
    topic: usize,
    name: String,
    link: Link,
    next_sequence: u64,
    /// Sequence id and entry of what has no receipt.
    unreceipted: VecDeque<(u64, usize)>,
    last: Option<Position>,
}

/// Produces in one session after the other, until the clients are to stop.
pub(crate) async fn run(clients: Clients, topic: usize, mut rng: StdRng) {
    while !clients.stop.is_cancelled() {
        let entries = rng.random_range(3..30);
        // However a session ends, what has no receipt is nobody's promise.
        _ = session(&clients, topic, entries, &mut rng).await;
        sleep(Duration::from_micros(rng.random_range(500..60_000))).await;
    }
}

/// Produces `entries` entries, and waits for their receipts unless it is to stop abruptly.
pub(crate) async fn session(
    clients: &Clients,
    topic: usize,
    entries: u32,
    rng: &mut StdRng,
) -> io::Result<()> {
    let mut producer = Producer::open(clients, topic).await?;
    let window = rng.random_range(1..12);
    for _ in 0..entries {
        if rng.random_ratio(2, 3) {
            sleep(Duration::from_micros(rng.random_range(0..12_000))).await;
        }
        while producer.unreceipted.len() >= window {
            producer.receive().await?;
        }
        let messages = if rng.random_ratio(1, 3) { rng.random_range(2..9) } else { 1 };
        producer.send(messages).await?;
        if rng.random_ratio(1, 60) && !clients.stop.is_cancelled() {
            return Ok(());
        }
    }
    while !producer.unreceipted.is_empty() {
        producer.receive().await?;
    }
    let request_id = producer.link.next_request();
    let close = CommandCloseProducer { producer_id: PRODUCER_ID, request_id, ..Default::default() };
    producer.link.ask(request_id, close).await.map(|_| ())
}

impl Producer {
    async fn open(clients: &Clients, topic: usize) -> io::Result<Self> {
        let mut link = clients.connect().await?;
        let name = clients.model().unique_name();
        let request_id = link.next_request();
        let command = CommandProducer {
            topic: TOPICS[topic].to_owned(),
            producer_id: PRODUCER_ID,
            request_id,
            producer_name: Some(name.clone()),
            user_provided_producer_name: Some(true),
            ..CommandProducer::default()
        };
        match link.ask(request_id, command).await? {
            Answer::Yes => {}
            Answer::No(error) => return Err(io::Error::other(format!("{error:?}"))),
        }
        let (clients, unreceipted) = (clients.clone(), VecDeque::new());
        Ok(Self { clients, topic, name, link, next_sequence: 0, unreceipted, last: None })
    }

    async fn send(&mut self, messages: u32) -> io::Result<()> {
        let sequence_id = self.next_sequence;
        self.next_sequence += u64::from(messages);
        let entry = self.clients.model().sent(self.topic, &self.name, sequence_id, messages);
        let is_batch = messages > 1;
        let body = if is_batch {
            let mut batch = BatchBuilder::default();
            for index in 0..messages {
                let single = SingleMessageMetadata {
                    sequence_id: Some(sequence_id + u64::from(index)),
                    ..SingleMessageMetadata::default()
                };
                batch.push(single, &payload(entry, index));
            }
            batch.take().to_vec()
        } else {
            payload(entry, 0)
        };
        let metadata = MessageMetadata {
            producer_name: self.name.clone(),
            sequence_id,
            publish_time: 1,
            partition_key: Some(format!("key-{}", entry % KEYS)),
            num_messages_in_batch: is_batch.then_some(messages.cast_signed()),
            ..MessageMetadata::default()
        };
        let command = SendCommand {
            producer_id: PRODUCER_ID,
            sequence_id,
            num_messages: messages,
            highest_sequence_id: is_batch.then_some(sequence_id + u64::from(messages) - 1),
            txn: None,
            is_chunk: false,
            marker: false,
            message_id: None,
        };
        let mut frame = BytesMut::new();
        encode_send(&command, &encode_entry(&metadata, &body), &mut frame);
        self.unreceipted.push_back((sequence_id, entry));
        self.link.write(&frame).await
    }

    async fn receive(&mut self) -> io::Result<()> {
        let frame = tokio::time::timeout(Duration::from_secs(3), self.link.next());
        let frame = frame.await.map_err(|_| io::ErrorKind::TimedOut)??;
        let Command::Other(body) = frame.command else { return Ok(()) };
        match *body {
            Body::SendReceipt(receipt) => {
                self.on_receipt(&receipt);
                Ok(())
            }
            Body::SendError(_) | Body::CloseProducer(_) | Body::Error(_) => {
                self.clients.model().counts.send_errors += 1;
                Err(io::ErrorKind::Other.into())
            }
            _ => Ok(()),
        }
    }

    fn on_receipt(&mut self, receipt: &CommandSendReceipt) {
        let mut model = self.clients.model();
        let name = &self.name;
        let position = receipt.message_id.as_ref().map(|id| id.position());
        let (Some((sequence, entry)), Some(position)) = (self.unreceipted.pop_front(), position)
        else {
            return model.violate(format!("{name}: a receipt for nothing: {receipt:?}"));
        };
        if sequence != receipt.sequence_id || position.entry_id.0 < 0 {
            model.violate(format!("{name}: expected the receipt of {sequence}, got {receipt:?}"));
        }
        if self.last.is_some_and(|last| position <= last) {
            model.violate(format!("{name}: receipt of {position:?} after {:?}", self.last));
        }
        self.last = Some(position);
        model.receipted(entry, position);
    }
}
