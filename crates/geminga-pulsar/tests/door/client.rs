//! A client that speaks in frames.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use geminga_env::net::Stream;
use geminga_wire::{
    entry::encode_entry,
    frame::{
        AckCommand, AckedId, Command, FlowCommand, Frame, FrameDecoder, SendCommand, encode_ack,
        encode_command, encode_flow, encode_send,
    },
    proto::{
        BaseCommand, Body, CommandCloseConsumer, CommandCloseProducer, CommandConnect,
        CommandConnected, CommandError, CommandMessage, CommandProducer, CommandProducerSuccess,
        CommandSendReceipt, CommandSubscribe, FeatureFlags, MessageIdData, MessageMetadata,
        ServerError,
        command_subscribe::{InitialPosition, SubType},
    },
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Nothing here takes longer, in virtual time, unless a test says so.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: Stream,
    buf: BytesMut,
    decoder: FrameDecoder,
    requests: u64,
}

impl Client {
    pub(crate) fn new(stream: Stream) -> Self {
        let decoder = FrameDecoder::default();
        Self { stream, buf: BytesMut::new(), decoder, requests: 1_000 }
    }

    pub(crate) fn request_id(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    pub(crate) async fn connect(&mut self) -> CommandConnected {
        self.connect_with(None).await
    }

    pub(crate) async fn connect_with(
        &mut self,
        features: Option<FeatureFlags>,
    ) -> CommandConnected {
        self.send(CommandConnect {
            client_version: "Test client 1.0".to_owned(),
            protocol_version: Some(21),
            feature_flags: features,
            ..CommandConnect::default()
        })
        .await;
        match self.body().await {
            Body::Connected(connected) => connected,
            other => panic!("expected CONNECTED, got {other:?}"),
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Writes what may be refused by a closed connection.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) {
        _ = self.stream.write_all(bytes).await;
        _ = self.stream.flush().await;
    }

    pub(crate) async fn send(&mut self, command: impl Into<BaseCommand>) {
        self.write(&frame(command)).await;
    }

    /// The next frame, or `None` when the server has closed the connection.
    pub(crate) async fn next_within(&mut self, patience: Duration) -> Option<Frame> {
        tokio::time::timeout(patience, self.read_frame()).await.expect("a frame, or the end")
    }

    async fn read_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.buf).expect("servers speak well") {
                return Some(frame);
            }
            match self.stream.read_buf(&mut self.buf).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Frame {
        self.next_within(PATIENCE).await.expect("the server closed the connection")
    }

    pub(crate) async fn body(&mut self) -> Body {
        match self.next().await.command {
            Command::Other(body) => *body,
            other => panic!("unexpected {other:?}"),
        }
    }

    /// Asks and takes the next frame as the answer.
    pub(crate) async fn ask(&mut self, command: impl Into<BaseCommand>) -> Body {
        self.send(command).await;
        self.body().await
    }

    /// Waits until the server closes the connection; whatever comes before is dropped.
    pub(crate) async fn closed(&mut self) {
        self.closed_within(PATIENCE).await;
    }

    pub(crate) async fn closed_within(&mut self, patience: Duration) {
        let closing = async { while self.read_frame().await.is_some() {} };
        tokio::time::timeout(patience, closing).await.expect("the server closes the connection");
    }

    /// Nothing comes for a while.
    pub(crate) async fn quiet(&mut self) {
        let quiet = Duration::from_millis(500);
        if let Ok(frame) = tokio::time::timeout(quiet, self.read_frame()).await {
            panic!("expected nothing, got {frame:?}");
        }
    }

    pub(crate) async fn success(&mut self, request_id: u64) {
        match self.body().await {
            Body::Success(success) => assert_eq!(success.request_id, request_id),
            other => panic!("expected SUCCESS of {request_id}, got {other:?}"),
        }
    }

    pub(crate) async fn error(&mut self) -> CommandError {
        match self.body().await {
            Body::Error(error) => error,
            other => panic!("expected ERROR, got {other:?}"),
        }
    }

    pub(crate) async fn error_code(&mut self) -> ServerError {
        self.error().await.error()
    }

    pub(crate) async fn open_producer(&mut self, topic: &str, id: u64) -> CommandProducerSuccess {
        let request_id = self.request_id();
        self.send(producer(topic, id, request_id)).await;
        self.producer_success(request_id).await
    }

    pub(crate) async fn producer_success(&mut self, request_id: u64) -> CommandProducerSuccess {
        match self.body().await {
            Body::ProducerSuccess(success) => {
                assert_eq!(success.request_id, request_id);
                success
            }
            other => panic!("expected PRODUCER_SUCCESS, got {other:?}"),
        }
    }

    pub(crate) async fn close_producer(&mut self, producer_id: u64) {
        let request_id = self.request_id();
        self.send(CommandCloseProducer {
            producer_id,
            request_id,
            ..CommandCloseProducer::default()
        })
        .await;
        self.success(request_id).await;
    }

    pub(crate) async fn close_consumer(&mut self, consumer_id: u64) {
        let request_id = self.request_id();
        self.send(CommandCloseConsumer {
            consumer_id,
            request_id,
            ..CommandCloseConsumer::default()
        })
        .await;
        self.success(request_id).await;
    }

    /// Subscribes at the earliest message.
    pub(crate) async fn subscribe(&mut self, topic: &str, id: u64, kind: SubType) {
        let request_id = self.request_id();
        self.send(subscribe(topic, id, request_id, kind)).await;
        self.success(request_id).await;
    }

    pub(crate) async fn flow(&mut self, consumer_id: u64, message_permits: u32) {
        let mut buf = BytesMut::new();
        encode_flow(&FlowCommand { consumer_id, message_permits }, &mut buf);
        self.write(&buf).await;
    }

    pub(crate) async fn ack(&mut self, consumer_id: u64, id: &MessageIdData, cumulative: bool) {
        let request_id = self.request_id();
        let mut buf = BytesMut::new();
        encode_ack(&ack(consumer_id, id, cumulative, Some(request_id)), &mut buf);
        self.write(&buf).await;
        match self.body().await {
            Body::AckResponse(response) => {
                assert_eq!(response.request_id, Some(request_id));
                assert_eq!(response.consumer_id, consumer_id);
                assert_eq!(response.error, None, "{:?}", response.message);
            }
            other => panic!("expected ACK_RESPONSE, got {other:?}"),
        }
    }

    pub(crate) async fn receipt(&mut self) -> CommandSendReceipt {
        match self.body().await {
            Body::SendReceipt(receipt) => receipt,
            other => panic!("expected SEND_RECEIPT, got {other:?}"),
        }
    }

    pub(crate) async fn message(&mut self) -> (CommandMessage, Bytes) {
        let frame = self.next().await;
        match frame.command {
            Command::Other(body) => match *body {
                Body::Message(message) => (message, frame.payload.unwrap()),
                other => panic!("expected MESSAGE, got {other:?}"),
            },
            other => panic!("expected MESSAGE, got {other:?}"),
        }
    }

    /// Sends `payload` and waits for its receipt.
    pub(crate) async fn publish(
        &mut self,
        producer_id: u64,
        sequence_id: u64,
        payload: &[u8],
    ) -> MessageIdData {
        self.write(&send(producer_id, sequence_id, payload)).await;
        let receipt = self.receipt().await;
        assert_eq!((receipt.producer_id, receipt.sequence_id), (producer_id, sequence_id));
        receipt.message_id.unwrap()
    }
}

pub(crate) fn frame(command: impl Into<BaseCommand>) -> Bytes {
    let mut buf = BytesMut::new();
    encode_command(&command.into(), &mut buf);
    buf.freeze()
}

pub(crate) fn entry(sequence_id: u64, payload: &[u8]) -> Bytes {
    let metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id,
        publish_time: 1_700_000_000_000,
        ..MessageMetadata::default()
    };
    encode_entry(&metadata, payload)
}

/// A SEND frame.
pub(crate) fn send(producer_id: u64, sequence_id: u64, payload: &[u8]) -> Bytes {
    send_entry(producer_id, sequence_id, &entry(sequence_id, payload))
}

pub(crate) fn send_entry(producer_id: u64, sequence_id: u64, entry: &[u8]) -> Bytes {
    let command = SendCommand {
        producer_id,
        sequence_id,
        num_messages: 1,
        highest_sequence_id: None,
        txn: None,
        is_chunk: false,
        marker: false,
        message_id: None,
    };
    let mut buf = BytesMut::new();
    encode_send(&command, entry, &mut buf);
    buf.freeze()
}

pub(crate) fn producer(topic: &str, producer_id: u64, request_id: u64) -> CommandProducer {
    CommandProducer {
        topic: topic.to_owned(),
        producer_id,
        request_id,
        ..CommandProducer::default()
    }
}

pub(crate) fn subscribe(topic: &str, id: u64, request_id: u64, kind: SubType) -> CommandSubscribe {
    CommandSubscribe {
        topic: topic.to_owned(),
        subscription: "sub".to_owned(),
        sub_type: kind.into(),
        consumer_id: id,
        request_id,
        consumer_name: Some(format!("consumer-{id}")),
        initial_position: Some(InitialPosition::Earliest.into()),
        ..CommandSubscribe::default()
    }
}

pub(crate) fn ack(
    consumer_id: u64,
    id: &MessageIdData,
    cumulative: bool,
    request_id: Option<u64>,
) -> AckCommand {
    let acked = AckedId {
        position: id.position(),
        partition: -1,
        batch_index: -1,
        batch_size: 0,
        ack_set: id.ack_set.iter().copied().collect(),
    };
    AckCommand {
        consumer_id,
        cumulative,
        message_ids: std::iter::once(acked).collect(),
        validation_error: None,
        properties: Vec::new(),
        txn: None,
        request_id,
    }
}
