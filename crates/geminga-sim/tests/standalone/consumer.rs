//! A consumer that acks, nacks, seeks and leaves, and checks what it gets.

use std::{collections::BTreeMap, io, time::Duration};

use bytes::{Bytes, BytesMut};
use geminga_types::Position;
use geminga_wire::{
    ack_set,
    batch::BatchReader,
    entry::{BrokerMeta, EntryHeader},
    frame::{AckCommand, AckedId, Command, FlowCommand, encode_ack, encode_flow},
    proto::{
        Body, CommandAckResponse, CommandMessage, CommandRedeliverUnacknowledgedMessages,
        CommandSeek, CommandSubscribe, MessageMetadata,
        command_subscribe::{InitialPosition, SubType},
    },
};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IteratorRandom as _};
use tokio::time::sleep;

use crate::{
    clients::Clients,
    link::{Answer, Link},
    model::{SubId, TOPICS, WITNESS, all, payload},
};

const CONSUMER_ID: u64 = 3;

/// How a consumer treats what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Acks most, sometimes in part or cumulatively; nacks, seeks and leaves.
    Erratic,
    /// Acks everything.
    Diligent,
    /// Acks nothing.
    Witness,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) id: SubId,
    pub(crate) sub_type: SubType,
    pub(crate) initial: InitialPosition,
}

pub(crate) struct Consumer {
    clients: Clients,
    kind: Kind,
    manner: Manner,
    link: Link,
    rng: StdRng,
    /// What was delivered and not acked by this consumer.
    held: BTreeMap<Position, u64>,
    /// Everything that was delivered.
    seen: BTreeMap<Position, u64>,
    /// Number of the model by request id.
    acks: BTreeMap<u64, u64>,
    seek: Option<(u64, Position)>,
    last: Option<Position>,
    /// Redeliveries asked for that have not begun.
    rewinds: u32,
}

/// Consumes in one session after the other, until the clients are to stop.
pub(crate) async fn run(clients: Clients, kind: Kind, mut rng: StdRng) {
    while !clients.stop.is_cancelled() {
        if let Ok(mut consumer) =
            Consumer::open(&clients, kind, Manner::Erratic, StdRng::seed_from_u64(rng.random()))
                .await
        {
            // However a session ends, another follows.
            _ = consumer.session().await;
        }
        sleep(Duration::from_micros(rng.random_range(500..50_000))).await;
    }
}

impl Consumer {
    pub(crate) async fn open(
        clients: &Clients,
        kind: Kind,
        manner: Manner,
        mut rng: StdRng,
    ) -> io::Result<Self> {
        let mut link = clients.connect().await?;
        let request_id = link.next_request();
        let name = clients.model().unique_name();
        let command = CommandSubscribe {
            topic: TOPICS[kind.id.topic].to_owned(),
            subscription: kind.id.name.to_owned(),
            sub_type: kind.sub_type.into(),
            consumer_id: CONSUMER_ID,
            request_id,
            consumer_name: Some(name),
            initial_position: Some(kind.initial.into()),
            ..CommandSubscribe::default()
        };
        match link.ask(request_id, command).await? {
            Answer::Yes => clients.model().subscribed(kind.id),
            Answer::No(error) => return Err(io::Error::other(format!("{error:?}"))),
        }
        let clients = clients.clone();
        let permits = if manner == Manner::Erratic { rng.random_range(1..20) } else { 500 };
        let mut consumer = Self {
            clients,
            kind,
            manner,
            link,
            rng,
            held: BTreeMap::new(),
            seen: BTreeMap::new(),
            acks: BTreeMap::new(),
            seek: None,
            last: None,
            rewinds: 0,
        };
        consumer.flow(permits).await?;
        Ok(consumer)
    }

    async fn session(&mut self) -> io::Result<()> {
        let clients = self.clients.clone();
        loop {
            let pause = Duration::from_micros(self.rng.random_range(2_000..60_000));
            tokio::select! {
                biased;
                () = clients.stop.cancelled() => return Ok(()),
                frame = self.link.next() => {
                    let frame = frame?;
                    self.on_frame(frame.command, frame.payload).await?;
                    continue;
                }
                () = sleep(pause) => {}
            }
            match self.rng.random_range(0..20) {
                0..8 => self.nack().await?,
                8..10 if self.kind.id.topic == 0 => self.seek().await?,
                10 => return Ok(()),
                _ => self.flow(1).await?,
            }
        }
    }

    /// Handles one frame, waiting for it until `patience` is over: false.
    pub(crate) async fn step(&mut self, patience: Duration) -> io::Result<bool> {
        match tokio::time::timeout(patience, self.link.next()).await {
            Ok(frame) => {
                let frame = frame?;
                self.on_frame(frame.command, frame.payload).await?;
                Ok(true)
            }
            Err(_) => Ok(false),
        }
    }

    /// Which messages of an entry were delivered.
    pub(crate) fn seen(&self, position: Position) -> u64 {
        self.seen.get(&position).copied().unwrap_or(0)
    }

    async fn on_frame(&mut self, command: Command, payload: Option<Bytes>) -> io::Result<()> {
        let Command::Other(body) = command else { return Ok(()) };
        match *body {
            Body::Message(message) => {
                let entry = payload.unwrap_or_default();
                self.on_message(&message, &entry).await
            }
            Body::AckResponse(response) => {
                self.on_ack_response(&response);
                Ok(())
            }
            Body::Success(success) => match self.seek.take() {
                Some((request, to)) if request == success.request_id => {
                    self.clients.model().seek_done(self.kind.id, to);
                    Err(io::ErrorKind::ConnectionAborted.into())
                }
                _ => Ok(()),
            },
            Body::CloseConsumer(_) if self.seek.is_some() => Ok(()),
            Body::CloseConsumer(_) | Body::Error(_) => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    async fn on_message(&mut self, message: &CommandMessage, entry: &Bytes) -> io::Result<()> {
        let position = message.message_id.position();
        let index = BrokerMeta::parse(entry).ok().and_then(|noted| noted.index);
        let Some((entry, messages)) = self.read(position, entry) else { return Ok(()) };
        let mut mask = all(messages);
        if !message.ack_set.is_empty() {
            mask &= message.ack_set[0].cast_unsigned();
        }
        if mask == 0 {
            self.violate(format!("{position:?} came although all of it is acked"));
        }
        self.clients.model().noted(self.kind.id.topic, position, messages, index);
        self.check_order(position);
        let now = self.clients.now();
        let host = self.clients.host;
        self.clients.model().delivered(self.kind.id, host, (entry, position, mask), now);
        self.held.insert(position, mask);
        *self.seen.entry(position).or_default() |= mask;
        let given = self.rng.random_range(messages..=messages + 1);
        match self.manner {
            Manner::Witness => {}
            Manner::Diligent => self.ack(position, mask, messages).await?,
            Manner::Erratic => match self.rng.random_range(0..20) {
                0..11 => self.ack(position, mask, messages).await?,
                11..14 => {
                    let part = mask & self.rng.random_range(0..=mask);
                    self.ack(position, part, messages).await?;
                }
                14..16 if !matches!(self.kind.sub_type, SubType::Shared | SubType::KeyShared) => {
                    self.ack_through(position).await?;
                }
                _ => {}
            },
        }
        self.flow(given).await
    }

    /// Finds out which entry it is, and compares every byte.
    fn read(&mut self, position: Position, entry: &Bytes) -> Option<(usize, u32)> {
        let found = EntryHeader::check(entry).ok().and_then(|checked| {
            let metadata = MessageMetadata::decode(&entry[checked.header.metadata]).ok()?;
            let body = entry.slice(checked.header.payload..);
            let messages = metadata.num_messages_in_batch().cast_unsigned();
            let bodies: Vec<Bytes> = if metadata.num_messages_in_batch.is_some() {
                let batch = BatchReader::new(body, messages);
                batch
                    .map(|message| message.ok().map(|message| message.payload))
                    .collect::<Option<_>>()?
            } else {
                vec![body]
            };
            let number = u64::from_be_bytes(*bodies.first()?.first_chunk()?);
            let number = usize::try_from(number).ok()?;
            let is_whole = (0..).zip(&bodies).all(|(index, body)| *body == payload(number, index));
            let model = self.clients.model();
            let sent = model.entries.get(number)?;
            let is_sent = sent.messages == messages && sent.producer == metadata.producer_name;
            (is_whole && is_sent).then_some((number, messages))
        });
        if found.is_none() {
            self.violate(format!("{position:?} holds what nobody sent"));
        }
        found
    }

    fn check_order(&mut self, position: Position) {
        if self.kind.sub_type != SubType::Exclusive {
            return;
        }
        match self.last {
            Some(last) if position > last => {
                self.clients.model().followed(self.kind.id, last, position);
            }
            Some(_) if self.rewinds > 0 => self.rewinds -= 1,
            Some(last) => self.violate(format!("{position:?} came after {last:?}")),
            None => {}
        }
        self.last = Some(position);
    }

    fn violate(&self, what: String) {
        self.clients.model().violate(format!("{:?}: {what}", self.kind.id));
    }

    async fn ack(&mut self, position: Position, mask: u64, messages: u32) -> io::Result<()> {
        let mut unacked = ack_set::AckWords::new();
        if mask == 0 {
            return Ok(());
        }
        let left = self.held.get(&position).copied().unwrap_or(0) & !mask;
        if left == 0 {
            self.held.remove(&position);
        } else {
            self.held.insert(position, left);
        }
        if mask != all(messages) {
            // What was acked before it came stays acked: the sets are and-ed.
            unacked.push((all(messages) & !mask).cast_signed());
        }
        let number = self.clients.model().ack_sent(self.kind.id, position, mask, false);
        self.send_ack(position, unacked, messages, (number, false)).await
    }

    async fn ack_through(&mut self, position: Position) -> io::Result<()> {
        self.held = self.held.split_off(&position);
        self.held.remove(&position);
        let number = self.clients.model().ack_sent(self.kind.id, position, 0, true);
        self.send_ack(position, ack_set::AckWords::new(), 0, (number, true)).await
    }

    async fn send_ack(
        &mut self,
        position: Position,
        ack_set: ack_set::AckWords,
        messages: u32,
        (number, cumulative): (u64, bool),
    ) -> io::Result<()> {
        let request_id = self.link.next_request();
        self.acks.insert(request_id, number);
        let id = AckedId {
            position,
            partition: -1,
            batch_index: -1,
            batch_size: messages.cast_signed(),
            ack_set,
        };
        let ack = AckCommand {
            consumer_id: CONSUMER_ID,
            cumulative,
            message_ids: [id].into_iter().collect(),
            validation_error: None,
            properties: Vec::new(),
            txn: None,
            request_id: Some(request_id),
        };
        let mut frame = BytesMut::new();
        encode_ack(&ack, &mut frame);
        self.link.write(&frame).await
    }

    fn on_ack_response(&mut self, response: &CommandAckResponse) {
        let (confirmed, now) = (response.error.is_none(), self.clients.now());
        let mut model = self.clients.model();
        match self.acks.remove(&response.request_id()) {
            Some(number) => model.ack_answered(self.kind.id, number, confirmed, now),
            None => model.violate(format!("an answer to no ACK: {response:?}")),
        }
    }

    async fn flow(&mut self, message_permits: u32) -> io::Result<()> {
        let mut frame = BytesMut::new();
        encode_flow(&FlowCommand { consumer_id: CONSUMER_ID, message_permits }, &mut frame);
        self.link.write(&frame).await
    }

    async fn nack(&mut self) -> io::Result<()> {
        let count = self.rng.random_range(1..4);
        let held = self.held.keys().copied().choose_multiple(&mut self.rng, count);
        if held.is_empty() {
            return Ok(());
        }
        held.iter().for_each(|position| {
            self.held.remove(position);
        });
        self.rewinds += 1;
        self.clients.model().counts.nacks += 1;
        self.link
            .send(CommandRedeliverUnacknowledgedMessages {
                consumer_id: CONSUMER_ID,
                message_ids: held.into_iter().map(Into::into).collect(),
                consumer_epoch: None,
            })
            .await
    }

    async fn seek(&mut self) -> io::Result<()> {
        if self.seek.is_some() || self.kind.id.name == WITNESS {
            return Ok(());
        }
        let to = {
            let model = self.clients.model();
            let known = model.topics[self.kind.id.topic].by_position.keys().copied();
            known.choose(&mut self.rng).filter(|_| self.rng.random_bool(0.8))
        };
        let to = to.unwrap_or(Position::EARLIEST);
        let request_id = self.link.next_request();
        self.seek = Some((request_id, to));
        self.clients.model().seek_sent(self.kind.id, to);
        self.link
            .send(CommandSeek {
                consumer_id: CONSUMER_ID,
                request_id,
                message_id: Some(to.into()),
                message_publish_time: None,
            })
            .await
    }
}
