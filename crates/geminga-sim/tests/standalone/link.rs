//! A client's connection: frames in, frames out, nothing decided.

use std::{io, time::Duration};

use bytes::BytesMut;
use geminga_env::{
    net::{Net as _, Stream},
    sim::SimNet,
};
use geminga_wire::{
    frame::{Command, Frame, FrameDecoder, encode_command, encode_pong},
    proto::{BaseCommand, Body, CommandConnect, FeatureFlags, ServerError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Longest wait for one answer while faults come and go.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) struct Link {
    stream: Stream,
    decoder: FrameDecoder,
    read: BytesMut,
    last_request: u64,
}

/// What a request came to.
pub(crate) enum Answer {
    Yes,
    No(ServerError),
}

impl Link {
    pub(crate) async fn open(net: &SimNet, address: &str) -> io::Result<Self> {
        let stream = patiently(net.dial(address)).await?;
        let (decoder, read) = (FrameDecoder::default(), BytesMut::new());
        let mut link = Self { stream, decoder, read, last_request: 0 };
        link.send(CommandConnect {
            client_version: "sim".to_owned(),
            protocol_version: Some(21),
            feature_flags: Some(FeatureFlags {
                supports_broker_entry_metadata: Some(true),
                ..FeatureFlags::default()
            }),
            ..CommandConnect::default()
        })
        .await?;
        loop {
            if let Command::Other(body) = patiently(link.next()).await?.command
                && let Body::Connected(_) = *body
            {
                return Ok(link);
            }
        }
    }

    pub(crate) const fn next_request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    pub(crate) async fn send(&mut self, command: impl Into<BaseCommand>) -> io::Result<()> {
        let mut frame = BytesMut::new();
        encode_command(&command.into(), &mut frame);
        self.write(&frame).await
    }

    pub(crate) async fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        patiently(self.stream.write_all(frame)).await
    }

    /// The next frame; PINGs are answered here.
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            let frame = self.decoder.decode(&mut self.read).expect("the server's frames decode");
            match frame {
                Some(Frame { command: Command::Ping, .. }) => {
                    let mut pong = BytesMut::new();
                    encode_pong(&mut pong);
                    self.write(&pong).await?;
                }
                Some(frame) => return Ok(frame),
                None => {
                    if self.stream.read_buf(&mut self.read).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }

    /// Sends a request and waits for its answer; other frames before it are for nobody.
    pub(crate) async fn ask(
        &mut self,
        request: u64,
        command: impl Into<BaseCommand>,
    ) -> io::Result<Answer> {
        self.send(command).await?;
        loop {
            let Command::Other(body) = patiently(self.next()).await?.command else { continue };
            match *body {
                Body::Success(success) if success.request_id == request => return Ok(Answer::Yes),
                Body::ProducerSuccess(success) if success.request_id == request => {
                    return Ok(Answer::Yes);
                }
                Body::Error(error) if error.request_id == request => {
                    return Ok(Answer::No(error.error()));
                }
                _ => {}
            }
        }
    }
}

async fn patiently<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}
