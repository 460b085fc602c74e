//! CONNECT and CONNECTED.
//!
//! Authentication is off: what the client brings for it is accepted and not looked at.

use geminga_env::net::Stream;
use geminga_wire::{
    frame::{Command, Frame},
    proto::{Body, CommandConnect, CommandConnected, FeatureFlags, base_command::Type},
    version,
};
use tokio::io::AsyncWriteExt as _;

use super::{
    Door,
    answer::{NO_REQUEST, error, frame},
    end::{Ended, Violation},
    incoming::Incoming,
};
use crate::errors::Refusal;

/// Largest CONNECT, in bytes: who has not said who they are gets no more memory than this.
pub(super) const FRAME_MAX: usize = 128 << 10;

/// What is known of a connected client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Its library's name and version, without spaces.
    pub(super) version: String,
    /// The protocol version to speak with it.
    pub(super) protocol: i32,
    /// Whether it gets what the broker noted of entries.
    pub(super) takes_broker_metadata: bool,
}

/// Waits for CONNECT and answers it.
pub(super) async fn run(
    stream: &mut Stream,
    incoming: &mut Incoming,
    door: &Door,
) -> Result<Client, Ended> {
    let limit = door.options.handshake_timeout;
    let deadline = door.broker.env().clock.now() + limit;
    let shake = async {
        match first_command(stream, incoming).await {
            Ok(connect) => accept(stream, connect, door).await,
            Err(ended) => {
                refuse(stream, &ended).await;
                Err(ended)
            }
        }
    };
    tokio::select! {
        biased;
        () = door.shutdown.cancelled() => Err(Ended::Closed),
        result = tokio::time::timeout_at(deadline, shake) => {
            result.unwrap_or(Err(Ended::NoHandshake { limit }))
        }
    }
}

async fn first_command(
    stream: &mut Stream,
    incoming: &mut Incoming,
) -> Result<CommandConnect, Ended> {
    loop {
        if let Some(Frame { command, .. }) = incoming.next()? {
            return match command {
                Command::Other(body) => match *body {
                    Body::Connect(connect) => Ok(connect),
                    other => Err(Violation::NotConnected(other.kind()).into()),
                },
                other => Err(Violation::NotConnected(other.kind()).into()),
            };
        }
        match incoming.read(stream).await {
            Ok(0) if incoming.len() == 0 => return Err(Ended::ByPeer),
            Ok(0) => return Err(Ended::Truncated { bytes: incoming.len() }),
            Ok(_) => {}
            Err(error) => return Err(Ended::Failed(error)),
        }
    }
}

async fn accept(
    stream: &mut Stream,
    connect: CommandConnect,
    door: &Door,
) -> Result<Client, Ended> {
    let protocol = version::negotiate(connect.protocol_version());
    let options = &door.options;
    let connected = CommandConnected {
        server_version: options.server_version.clone(),
        protocol_version: Some(protocol),
        max_message_size: Some(i32::try_from(options.max_message_size).unwrap_or(i32::MAX)),
        feature_flags: Some(features(options)),
    };
    stream.write_all(&frame(connected)).await.map_err(Ended::Failed)?;
    stream.flush().await.map_err(Ended::Failed)?;
    let announced = connect.feature_flags.is_some_and(|it| it.supports_broker_entry_metadata());
    Ok(Client {
        version: connect.client_version.replace(' ', "-"),
        protocol,
        takes_broker_metadata: options.exposes_broker_metadata && announced,
    })
}

/// What this server can do beyond protocol version 21. What is left out is absent, which means no.
fn features(options: &crate::Options) -> FeatureFlags {
    FeatureFlags {
        supports_auth_refresh: Some(false),
        supports_broker_entry_metadata: Some(options.exposes_broker_metadata),
        supports_partial_producer: Some(true),
        supports_topic_watchers: Some(true),
        supports_get_partitioned_metadata_without_auto_creation: Some(true),
        ..FeatureFlags::default()
    }
}

/// Tells a client that sent something else than CONNECT what is expected of it.
async fn refuse(stream: &mut Stream, ended: &Ended) {
    let Ended::Violation(Violation::NotConnected(kind)) = ended else { return };
    let kind: Type = *kind;
    let refusal = Refusal::not_allowed(format!("{kind:?} came before CONNECT"));
    _ = stream.write_all(&frame(error(NO_REQUEST, refusal))).await; // It may be gone already.
    _ = stream.shutdown().await;
}
