//! A Pulsar door with nothing behind it: it answers each SEND at once and keeps nothing, so that what
//! a load client can do by itself can be measured.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use geminga_types::Position;
use geminga_wire::{
    frame::{Command, FrameDecoder, SendReceipt, encode_command, encode_pong, encode_send_receipt},
    proto::{self, Body},
};

/// Starts it; its port.
pub(crate) fn start() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream, port));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream, port: u16) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut buffer = vec![0; 256 * 1024];
    let mut decoder = FrameDecoder::default();
    let mut entry_id = 0;
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..read]);
        while let Some(frame) = decoder.decode(&mut input)? {
            match frame.command {
                Command::Send(send) => {
                    let receipt = SendReceipt {
                        producer_id: send.producer_id,
                        sequence_id: send.sequence_id,
                        highest_sequence_id: send.highest_sequence_id,
                        position: Position::new(0, entry_id),
                    };
                    entry_id += 1;
                    encode_send_receipt(&receipt, &mut out);
                }
                Command::Ping => encode_pong(&mut out),
                Command::Other(body) => {
                    if let Some(answer) = answer(*body, port) {
                        encode_command(&answer.into(), &mut out);
                    }
                }
                Command::Ack(_) | Command::Flow(_) | Command::Pong => {}
            }
        }
        stream.write_all(&out)?;
        out.clear();
    }
}

fn answer(body: Body, port: u16) -> Option<Body> {
    Some(match body {
        Body::Connect(connect) => proto::CommandConnected {
            server_version: "bare".to_owned(),
            protocol_version: connect.protocol_version,
            ..proto::CommandConnected::default()
        }
        .into(),
        Body::PartitionMetadata(request) => proto::CommandPartitionedTopicMetadataResponse {
            request_id: request.request_id,
            partitions: Some(0),
            response: Some(
                proto::command_partitioned_topic_metadata_response::LookupType::Success.into(),
            ),
            ..proto::CommandPartitionedTopicMetadataResponse::default()
        }
        .into(),
        Body::LookupTopic(request) => proto::CommandLookupTopicResponse {
            request_id: request.request_id,
            broker_service_url: Some(format!("pulsar://127.0.0.1:{port}")),
            response: Some(proto::command_lookup_topic_response::LookupType::Connect.into()),
            authoritative: Some(true),
            ..proto::CommandLookupTopicResponse::default()
        }
        .into(),
        Body::Producer(request) => proto::CommandProducerSuccess {
            request_id: request.request_id,
            producer_name: request.producer_name.unwrap_or_else(|| "bare".to_owned()),
            last_sequence_id: Some(-1),
            ..proto::CommandProducerSuccess::default()
        }
        .into(),
        Body::CloseProducer(request) => {
            proto::CommandSuccess { request_id: request.request_id, schema: None }.into()
        }
        _ => return None,
    })
}
