//! Accepts connections.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use geminga_broker::Broker;
use geminga_env::net::{Listener, Stream};
use geminga_wire::{
    frame::encode_command,
    proto::{BaseCommand, CommandError, ServerError},
};
use tokio::io::AsyncWriteExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    Options,
    connection::{self, Door},
    counters::LimitReached,
};

/// How long to wait after an accept failed, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long a client beyond the limits may take to read that it is.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves connections from `listener` until `shutdown`; each runs on `tasks`, and ends itself at the
/// shutdown: what is in its outbox by then is still sent.
pub async fn serve(
    broker: Broker,
    mut listener: Box<dyn Listener>,
    options: Arc<Options>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let address = listener.local_address();
    info!(%address, "serving Pulsar's binary protocol");
    let door = Door { broker, options, tasks, shutdown };
    let mut back_off = BACK_OFF.0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = door.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                back_off = BACK_OFF.0;
                admit(&door, stream, peer);
            }
            Err(error) => {
                warn_of_accept(address, &error, back_off);
                let until = door.broker.env().clock.now() + back_off;
                tokio::select! {
                    biased;
                    () = door.shutdown.cancelled() => return,
                    () = tokio::time::sleep_until(until) => {}
                }
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
}

fn warn_of_accept(address: SocketAddr, error: &io::Error, back_off: Duration) {
    warn!(%address, %error, ?back_off, "could not accept a connection; trying again");
}

fn admit(door: &Door, stream: Stream, peer: SocketAddr) {
    let options = &door.options;
    let admitted = options.counters.admit(peer.ip(), options);
    match admitted {
        Ok(admitted) => {
            door.tasks.spawn(connection::run(stream, peer, door.clone(), admitted));
        }
        Err(LimitReached { what, limit }) => {
            warn!(%peer, what, limit, "connection refused: too many are open");
            door.tasks.spawn(refuse(stream, door.clone(), format!("Reached {what}, {limit}")));
        }
    }
}

/// Tells a client beyond the limits why it is disconnected.
async fn refuse(mut stream: Stream, door: Door, message: String) {
    let error = ServerError::NotAllowedError.into();
    let command: BaseCommand = CommandError { request_id: u64::MAX, error, message }.into();
    let mut buf = bytes::BytesMut::new();
    encode_command(&command, &mut buf);
    let deadline = door.broker.env().clock.now() + REFUSAL_TIMEOUT;
    let telling = async {
        _ = stream.write_all(&buf).await; // It may be gone already.
        _ = stream.shutdown().await;
    };
    _ = tokio::time::timeout_at(deadline, telling).await;
}
