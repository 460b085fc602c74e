//! A broker for tests: topics in memory, on a simulated net, with faults on demand.
//!
//! One subscription per topic is enough: each topic has a list of entries and what is acked of each.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::{Bytes, BytesMut};
use geminga_client::ServerError;
use geminga_env::{net::Stream, sim::World};
use geminga_types::Position;
use geminga_wire::{
    ack_set::{self, AckWords},
    entry::EntryMeta,
    frame::{
        AckCommand, Command, Frame, FrameDecoder, MessageHeader, SendCommand, SendReceipt,
        encode_command, encode_message_header, encode_send_receipt,
    },
    proto::{self, Body, command_lookup_topic_response::LookupType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_util::task::TaskTracker;

pub(crate) const PORT: u16 = 6650;
pub(crate) const URL: &str = "pulsar://localhost:6650";
const LEDGER: i64 = 9;

#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    tasks: TaskTracker,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) partitions: u32,
    pub(crate) topics: BTreeMap<String, Topic>,
    /// What is answered to look-ups instead, one after another.
    pub(crate) lookups: VecDeque<(String, LookupType)>,
    /// Answers to PRODUCER and SUBSCRIBE instead, one after another.
    pub(crate) refusals: VecDeque<ServerError>,
    /// Answers to SEND instead, one after another; `None` stays silent.
    pub(crate) send_answers: VecDeque<Option<ServerError>>,
    /// What came, by its type's name.
    pub(crate) seen: Vec<String>,
    pub(crate) connects: Vec<proto::CommandConnect>,
    pub(crate) subscribes: Vec<proto::CommandSubscribe>,
    pub(crate) is_mute: bool,
    pub(crate) flows: Vec<u32>,
    sessions: Vec<Session>,
    next_session: u64,
}

#[derive(Default)]
pub(crate) struct Topic {
    pub(crate) entries: Vec<Entry>,
    last_sequence_ids: BTreeMap<String, i64>,
    /// The name by its producer's session and id.
    producers: BTreeMap<(u64, u64), String>,
    consumer: Option<Consumer>,
}

pub(crate) struct Entry {
    pub(crate) bytes: Bytes,
    pub(crate) messages: u32,
    pub(crate) unacked: AckWords,
}

struct Consumer {
    session: u64,
    id: u64,
    permits: i64,
    next: usize,
}

struct Session {
    id: u64,
    out: mpsc::Sender<Bytes>,
}

impl Fake {
    pub(crate) async fn start(world: &World) -> Self {
        let fake = Self { state: Arc::default(), tasks: TaskTracker::new() };
        fake.listen(world, PORT).await;
        fake
    }

    pub(crate) async fn listen(&self, world: &World, port: u16) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut listener = world.env().net.listen(address).await.unwrap();
        let (state, tasks) = (Arc::clone(&self.state), self.tasks.clone());
        self.tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tasks.spawn(serve(Arc::clone(&state), stream));
            }
        });
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Sends a command to all that are connected.
    pub(crate) fn push(&self, body: impl Into<Body>) {
        let bytes = frame(body.into());
        self.state().sessions.iter().for_each(|session| _ = session.out.try_send(bytes.clone()));
    }

    /// Closes every producer and consumer, as an unload does.
    pub(crate) fn unload(&self) {
        let mut closes = Vec::new();
        for topic in self.state().topics.values_mut() {
            for (_, producer_id) in std::mem::take(&mut topic.producers).into_keys() {
                let close = proto::CommandCloseProducer { producer_id, ..Default::default() };
                closes.push(Body::from(close));
            }
            if let Some(Consumer { id: consumer_id, .. }) = topic.consumer.take() {
                let close = proto::CommandCloseConsumer { consumer_id, ..Default::default() };
                closes.push(close.into());
            }
        }
        closes.into_iter().for_each(|close| self.push(close));
    }

    /// The sequence ids of the messages that a topic holds.
    pub(crate) fn stored(&self, topic: &str) -> Vec<u64> {
        let state = self.state();
        let Some(topic) = state.topics.get(topic) else { return Vec::new() };
        let ids = topic.entries.iter().flat_map(|entry| {
            let meta = EntryMeta::parse(&entry.bytes).unwrap();
            meta.sequence_id..=meta.last_sequence_id()
        });
        ids.collect()
    }

    /// Messages of a topic that are not acked.
    pub(crate) fn unacked(&self, topic: &str) -> u32 {
        let entries = &self.state().topics[topic].entries;
        entries.iter().map(|entry| ack_set::count(&entry.unacked)).sum()
    }
}

async fn serve(state: Arc<Mutex<State>>, stream: Stream) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (out, mut outgoing) = mpsc::channel(100_000);
    let id = {
        let mut state = state.lock().unwrap();
        state.next_session += 1;
        let id = state.next_session;
        state.sessions.push(Session { id, out });
        id
    };
    let (mut input, mut decoder) = (BytesMut::new(), FrameDecoder::default());
    loop {
        tokio::select! {
            biased;
            Some(bytes) = outgoing.recv() => {
                if writer.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            read = reader.read_buf(&mut input) => {
                if !matches!(read, Ok(1..)) {
                    break;
                }
                while let Some(frame) = decoder.decode(&mut input).unwrap() {
                    let mut state = state.lock().unwrap();
                    state.on_frame(id, frame);
                    state.deliver();
                }
            }
        }
    }
    state.lock().unwrap().leave(id);
}

impl State {
    fn leave(&mut self, session: u64) {
        self.sessions.retain(|other| other.id != session);
        for topic in self.topics.values_mut() {
            topic.producers.retain(|(other, _), _| *other != session);
            topic.consumer.take_if(|consumer| consumer.session == session);
        }
    }

    fn send(&self, session: u64, bytes: Bytes) {
        if let Some(session) = self.sessions.iter().find(|other| other.id == session)
            && !self.is_mute
        {
            _ = session.out.try_send(bytes);
        }
    }

    fn on_frame(&mut self, session: u64, frame: Frame) {
        self.seen.push(format!("{:?}", frame.command.kind()));
        let answer = match frame.command {
            Command::Send(send) => return self.on_send(session, &send, frame.payload.unwrap()),
            Command::Ack(ack) => return self.on_ack(session, &ack),
            Command::Flow(flow) => {
                self.flows.push(flow.message_permits);
                let consumers =
                    self.topics.values_mut().filter_map(|topic| topic.consumer.as_mut());
                let mut its =
                    consumers.filter(|c| (c.session, c.id) == (session, flow.consumer_id));
                if let Some(consumer) = its.next() {
                    consumer.permits += i64::from(flow.message_permits);
                }
                return;
            }
            Command::Ping => proto::CommandPong {}.into(),
            Command::Pong => return,
            Command::Other(body) => match self.on_body(session, *body) {
                Some(answer) => answer,
                None => return,
            },
        };
        self.send(session, self::frame(answer));
    }

    fn on_body(&mut self, session: u64, body: Body) -> Option<Body> {
        let success = |request_id| Some(proto::CommandSuccess { request_id, schema: None }.into());
        match body {
            Body::Connect(connect) => {
                self.connects.push(connect);
                Some(connected())
            }
            Body::PartitionMetadata(request) => Some(metadata(request.request_id, self.partitions)),
            Body::LookupTopic(request) => {
                let here = (URL.to_owned(), LookupType::Connect);
                let (url, kind) = self.lookups.pop_front().unwrap_or(here);
                Some(found(request.request_id, &url, kind))
            }
            Body::Producer(request) => Some(self.on_producer(session, request)),
            Body::Subscribe(request) => Some(self.on_subscribe(session, request)),
            Body::CloseProducer(request) => {
                let key = (session, request.producer_id);
                self.topics.values_mut().for_each(|topic| _ = topic.producers.remove(&key));
                success(request.request_id)
            }
            Body::CloseConsumer(request) => {
                self.drop_consumer(session, request.consumer_id);
                success(request.request_id)
            }
            Body::Unsubscribe(request) => success(request.request_id),
            Body::Seek(request) => {
                self.on_seek(session, &request);
                success(request.request_id)
            }
            Body::RedeliverUnacknowledgedMessages(request) => {
                let consumer = self.consumer_mut(session, request.consumer_id)?;
                let first = request.message_ids.iter().map(|id| id.entry_id).min().unwrap_or(0);
                consumer.next = consumer.next.min(usize::try_from(first).unwrap());
                None
            }
            Body::GetLastMessageId(request) => {
                let topic = self.topic_of(session, request.consumer_id)?;
                let last = i64::try_from(topic.entries.len()).unwrap() - 1;
                let answer = proto::CommandGetLastMessageIdResponse {
                    last_message_id: Position::new(LEDGER, last).into(),
                    request_id: request.request_id,
                    consumer_mark_delete_position: None,
                };
                Some(answer.into())
            }
            _ => None,
        }
    }

    fn on_producer(&mut self, session: u64, request: proto::CommandProducer) -> Body {
        if let Some(refusal) = self.refusals.pop_front() {
            return refused(request.request_id, refusal);
        }
        let topic = self.topics.entry(request.topic).or_default();
        let name = request.producer_name.unwrap_or_else(|| "given".to_owned());
        let last = topic.last_sequence_ids.get(&name).copied().unwrap_or(-1);
        topic.producers.insert((session, request.producer_id), name.clone());
        let success = proto::CommandProducerSuccess {
            request_id: request.request_id,
            producer_name: name,
            last_sequence_id: Some(last),
            ..proto::CommandProducerSuccess::default()
        };
        success.into()
    }

    fn on_subscribe(&mut self, session: u64, request: proto::CommandSubscribe) -> Body {
        self.subscribes.push(request.clone());
        if let Some(refusal) = self.refusals.pop_front() {
            return refused(request.request_id, refusal);
        }
        let topic = self.topics.entry(request.topic).or_default();
        if topic.consumer.is_some() {
            return refused(request.request_id, ServerError::ConsumerBusy);
        }
        let next = if request.durable.unwrap_or(true) {
            0
        } else {
            let start = request.start_message_id.map_or(0, |id| id.position().entry_id.0);
            usize::try_from(start.clamp(0, i64::MAX)).unwrap().min(topic.entries.len())
        };
        topic.consumer = Some(Consumer { session, id: request.consumer_id, permits: 0, next });
        proto::CommandSuccess { request_id: request.request_id, schema: None }.into()
    }

    fn on_send(&mut self, session: u64, send: &SendCommand, bytes: Bytes) {
        let key = (session, send.producer_id);
        let topic = self.topics.values_mut().find(|topic| topic.producers.contains_key(&key));
        let Some(topic) = topic else { return }; // Closed meanwhile.
        if let Some(answer) = self.send_answers.pop_front() {
            let Some(error) = answer else { return };
            if error == ServerError::PersistenceError {
                topic.producers.remove(&key); // What is behind it must not overtake it.
            }
            let error = proto::CommandSendError {
                producer_id: send.producer_id,
                sequence_id: send.sequence_id,
                error: error.into(),
                message: "scripted".to_owned(),
            };
            return self.send(session, frame(error.into()));
        }
        let meta = EntryMeta::parse(&bytes).unwrap();
        let (last, messages) = (meta.last_sequence_id(), meta.messages);
        assert_eq!(messages, send.num_messages);
        let name = topic.producers[&key].clone();
        assert_eq!(name.as_bytes(), meta.producer_name);
        let highest = topic.last_sequence_ids.entry(name).or_insert(-1);
        let mut entry_id = -1;
        if *highest < i64::try_from(send.sequence_id).unwrap() {
            *highest = i64::try_from(last).unwrap();
            entry_id = i64::try_from(topic.entries.len()).unwrap();
            topic.entries.push(Entry { bytes, messages, unacked: ack_set::full(messages) });
        }
        let receipt = SendReceipt {
            producer_id: send.producer_id,
            sequence_id: send.sequence_id,
            highest_sequence_id: send.highest_sequence_id,
            position: Position::new(LEDGER, entry_id),
        };
        let mut out = BytesMut::new();
        encode_send_receipt(&receipt, &mut out);
        self.send(session, out.freeze());
    }

    fn on_ack(&mut self, session: u64, ack: &AckCommand) {
        let Some(topic) = self.topic_of(session, ack.consumer_id) else { return };
        for id in &ack.message_ids {
            let at = usize::try_from(id.position.entry_id.0).unwrap();
            if ack.cumulative {
                topic.entries[..at].iter_mut().for_each(|entry| entry.unacked.clear());
            }
            ack_set::and(&mut topic.entries[at].unacked, &id.ack_set);
        }
    }

    fn on_seek(&mut self, session: u64, request: &proto::CommandSeek) {
        let Some(topic) = self.topic_of(session, request.consumer_id) else { return };
        let to = request.message_id.as_ref().map_or(0, |id| id.position().entry_id.0);
        let to = usize::try_from(to.max(0)).unwrap();
        for (index, entry) in topic.entries.iter_mut().enumerate() {
            entry.unacked =
                if index < to { AckWords::new() } else { ack_set::full(entry.messages) };
        }
        self.drop_consumer(session, request.consumer_id);
        let consumer_id = request.consumer_id;
        let close = proto::CommandCloseConsumer { consumer_id, ..Default::default() };
        self.send(session, frame(close.into()));
    }

    /// Sends what there are permits for.
    fn deliver(&mut self) {
        let mut frames = Vec::new();
        for topic in self.topics.values_mut() {
            let Some(consumer) = &mut topic.consumer else { continue };
            while 0 < consumer.permits && consumer.next < topic.entries.len() {
                let (index, entry) = (consumer.next, &topic.entries[consumer.next]);
                consumer.next += 1;
                if ack_set::is_empty(&entry.unacked) {
                    continue;
                }
                let is_whole = entry.unacked == ack_set::full(entry.messages);
                let header = MessageHeader {
                    consumer_id: consumer.id,
                    position: Position::new(LEDGER, i64::try_from(index).unwrap()),
                    partition: -1,
                    redelivery_count: 0,
                    ack_set: if is_whole { &[] } else { &entry.unacked },
                    consumer_epoch: None,
                };
                consumer.permits -= i64::from(ack_set::count(&entry.unacked));
                let mut out = BytesMut::new();
                encode_message_header(&header, entry.bytes.len(), &mut out);
                out.extend_from_slice(&entry.bytes);
                frames.push((consumer.session, out.freeze()));
            }
        }
        frames.into_iter().for_each(|(session, bytes)| self.send(session, bytes));
    }

    fn consumer_mut(&mut self, session: u64, id: u64) -> Option<&mut Consumer> {
        self.topic_of(session, id)?.consumer.as_mut()
    }

    fn topic_of(&mut self, session: u64, id: u64) -> Option<&mut Topic> {
        let is_its = |c: &Consumer| (c.session, c.id) == (session, id);
        self.topics.values_mut().find(|topic| topic.consumer.as_ref().is_some_and(is_its))
    }

    fn drop_consumer(&mut self, session: u64, id: u64) {
        if let Some(topic) = self.topic_of(session, id) {
            topic.consumer = None;
        }
    }
}

fn frame(body: Body) -> Bytes {
    let mut out = BytesMut::new();
    encode_command(&body.into(), &mut out);
    out.freeze()
}

fn connected() -> Body {
    let connected = proto::CommandConnected {
        server_version: "fake".to_owned(),
        protocol_version: Some(21),
        max_message_size: Some(1_000),
        feature_flags: None,
    };
    connected.into()
}

fn metadata(request_id: u64, partitions: u32) -> Body {
    let response = proto::command_partitioned_topic_metadata_response::LookupType::Success;
    let answer = proto::CommandPartitionedTopicMetadataResponse {
        partitions: Some(partitions),
        request_id,
        response: Some(response.into()),
        ..proto::CommandPartitionedTopicMetadataResponse::default()
    };
    answer.into()
}

fn found(request_id: u64, url: &str, kind: LookupType) -> Body {
    let answer = proto::CommandLookupTopicResponse {
        broker_service_url: Some(url.to_owned()),
        response: Some(kind.into()),
        request_id,
        authoritative: Some(true),
        ..proto::CommandLookupTopicResponse::default()
    };
    answer.into()
}

fn refused(request_id: u64, error: ServerError) -> Body {
    let message = "scripted\nat java.lang".to_owned();
    proto::CommandError { request_id, error: error.into(), message }.into()
}

/// What a server says in answer to whatever comes: request ids count from 0.
pub(crate) fn some_frames() -> Vec<u8> {
    let mut out = frame(connected()).to_vec();
    let receipt = SendReceipt {
        producer_id: 0,
        sequence_id: 0,
        highest_sequence_id: None,
        position: Position::new(LEDGER, 0),
    };
    for request_id in 0..4 {
        out.extend(frame(metadata(request_id, 0)));
        out.extend(frame(found(request_id, URL, LookupType::Connect)));
        let success = proto::CommandSuccess { request_id, schema: None };
        out.extend(frame(success.into()));
        let mut bytes = BytesMut::new();
        encode_send_receipt(&receipt, &mut bytes);
        let entry = b"\0\0\0\x0a\x0a\x01p\x10\x01\x18\x01\x58\x01\x60payload";
        let header = MessageHeader {
            consumer_id: request_id,
            position: Position::new(LEDGER, 0),
            partition: -1,
            redelivery_count: 0,
            ack_set: &[],
            consumer_epoch: None,
        };
        encode_message_header(&header, entry.len(), &mut bytes);
        out.extend_from_slice(&bytes);
        out.extend_from_slice(entry);
    }
    out
}
