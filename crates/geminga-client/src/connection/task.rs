//! The task that owns a connection's socket: it waits, moves bytes and asks [`State`].

use std::time::Duration;

use bytes::BytesMut;
use geminga_env::Env;
use geminga_wire::frame::FrameDecoder;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Outgoing, handshake::Server, state::State};

/// Nothing is taken from the mailbox while more than this waits to be written.
const OUT_MAX: usize = 256 * 1024;
/// How much is read at a time, at least.
const READ_MIN: usize = 64 * 1024;
/// How long the last bytes may take: closes and acks.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs until the last handle is dropped, the server is gone or `shutdown`.
pub(super) async fn run(
    env: Env,
    server: Server,
    mut state: State,
    mut inbox: mpsc::Receiver<Outgoing>,
    shutdown: CancellationToken,
) {
    let Server { stream, mut input, mut decoder, address, .. } = server;
    let (mut reader, mut writer) = tokio::io::split(stream);
    loop {
        take_some(&mut inbox, &mut state, &env);
        input.reserve(READ_MIN);
        let timeout_at = state.next_timeout();
        let has_output = !state.out.is_empty();
        let has_room = state.out.len() < OUT_MAX;
        let outcome = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            written = writer.write_buf(&mut state.out), if has_output => {
                written.map(drop).map_err(|error| error.to_string())
            }
            () = sleep_until(timeout_at) => {
                state.on_timeout(env.clock.now()).map_err(|broken| broken.to_string())
            }
            read = reader.read_buf(&mut input) => match read {
                Ok(0) => Err("closed by the server".to_owned()),
                Ok(_) => {
                    state.on_heard(env.clock.now());
                    take_frames(&mut decoder, &mut input, &mut state)
                }
                Err(error) => Err(error.to_string()),
            },
            outgoing = inbox.recv(), if has_room => match outgoing {
                Some(outgoing) => {
                    state.on_outgoing(outgoing, env.clock.now());
                    Ok(())
                }
                None => break,
            },
        };
        if let Err(reason) = outcome {
            debug!(address, reason, "connection lost");
            return;
        }
    }
    take_some(&mut inbox, &mut state, &env);
    let last_words = async {
        _ = writer.write_all(&state.out).await;
        _ = writer.shutdown().await;
    };
    _ = timeout(LAST_WORDS, last_words).await; // The server notices anyway.
}

/// Takes what is in the mailbox already, so that a busy socket does not hold it up.
fn take_some(inbox: &mut mpsc::Receiver<Outgoing>, state: &mut State, env: &Env) {
    let now = env.clock.now();
    while state.out.len() < OUT_MAX {
        let Ok(outgoing) = inbox.try_recv() else { return };
        state.on_outgoing(outgoing, now);
    }
}

fn take_frames(
    decoder: &mut FrameDecoder,
    input: &mut BytesMut,
    state: &mut State,
) -> Result<(), String> {
    loop {
        let result = match decoder.decode(input) {
            Ok(Some(frame)) => state.on_frame(frame).map_err(|broken| broken.to_string()),
            Ok(None) => return Ok(()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = result {
            warn!(reason, "the server broke the protocol");
            return Err(reason);
        }
    }
}
