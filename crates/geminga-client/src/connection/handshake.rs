//! Dialling and CONNECT.

use std::io;

use bytes::BytesMut;
use geminga_env::{Env, net::Stream};
use geminga_wire::{
    FRAME_OVERHEAD, MAX_MESSAGE_SIZE,
    frame::{Command, Frame, FrameDecoder, FrameError, encode_command},
    proto::{Body, CommandConnect, CommandConnected, FeatureFlags},
    version::PROTOCOL_VERSION,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{ClientError, Refusal, route::Route};

/// No server needs more for a message, and none may make us hold more.
const MAX_MESSAGE_SIZE_MAX: usize = 256 * 1024 * 1024;

/// A server that has taken our CONNECT.
pub(super) struct Server {
    pub(super) stream: Stream,
    /// What came after its CONNECTED.
    pub(super) input: BytesMut,
    pub(super) decoder: FrameDecoder,
    pub(super) address: String,
    pub(super) max_message_size: usize,
}

/// Dials and introduces us.
pub(super) async fn open(env: &Env, route: &Route) -> Result<Server, ClientError> {
    let address = &route.address;
    let unreachable = |reason| ClientError::Unreachable { address: address.clone(), reason };
    let mut stream = env.net.dial(address).await.map_err(unreachable)?;
    let mut hello = BytesMut::new();
    encode_command(&connect_command(route.proxy_to.clone()).into(), &mut hello);
    stream.write_all(&hello).await.map_err(unreachable)?;
    let mut input = BytesMut::new();
    let mut decoder = FrameDecoder::default();
    let frame = loop {
        match decoder.decode(&mut input) {
            Ok(Some(frame)) => break frame,
            Ok(None) => {}
            Err(error) => return Err(not_pulsar(address, &error)),
        }
        if stream.read_buf(&mut input).await.map_err(unreachable)? == 0 {
            return Err(unreachable(io::ErrorKind::ConnectionReset.into()));
        }
    };
    let connected = read_answer(frame, address)?;
    let max_message_size = connected.max_message_size.and_then(|size| usize::try_from(size).ok());
    let max_message_size = max_message_size.filter(|size| *size != 0).unwrap_or(MAX_MESSAGE_SIZE);
    let max_frame = max_message_size.clamp(MAX_MESSAGE_SIZE, MAX_MESSAGE_SIZE_MAX) + FRAME_OVERHEAD;
    let decoder = FrameDecoder::new(max_frame);
    Ok(Server { stream, input, decoder, address: address.clone(), max_message_size })
}

fn connect_command(proxy_to_broker_url: Option<String>) -> CommandConnect {
    CommandConnect {
        client_version: concat!("Geminga-client-", env!("CARGO_PKG_VERSION")).to_owned(),
        protocol_version: Some(PROTOCOL_VERSION),
        proxy_to_broker_url,
        feature_flags: Some(FeatureFlags {
            supports_broker_entry_metadata: Some(true),
            ..FeatureFlags::default()
        }),
        ..CommandConnect::default()
    }
}

fn read_answer(frame: Frame, address: &str) -> Result<CommandConnected, ClientError> {
    let what = match frame.command {
        Command::Other(body) => match *body {
            Body::Connected(connected) => return Ok(connected),
            Body::Error(error) => {
                let refusal = Refusal::new(error.error, &error.message);
                return Err(ClientError::Refused { operation: "connecting", refusal });
            }
            Body::AuthChallenge(_) => "asks for an authentication that is not supported".to_owned(),
            other => format!("answered CONNECT with {:?}", other.kind()),
        },
        other => format!("answered CONNECT with {:?}", other.kind()),
    };
    Err(ClientError::Protocol { address: address.to_owned(), what })
}

fn not_pulsar(address: &str, error: &FrameError) -> ClientError {
    let what = format!("answered CONNECT with {error}; is this port Pulsar's binary protocol?");
    ClientError::Protocol { address: address.to_owned(), what }
}
