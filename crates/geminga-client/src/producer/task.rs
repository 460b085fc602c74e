//! The task of one partition's producer: it waits, moves entries and asks [`State`].

use std::ops::ControlFlow;

use geminga_env::Instant;
use geminga_wire::proto::Body;
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Message, SendError,
    state::{State, Then},
};
use crate::{
    connection::Connection,
    link::{Link, LinkEvent},
};

/// Taken from the mailbox, or from the broker, at a time.
const TAKE_MAX: usize = 64;

/// Runs until the last handle is dropped, it is closed, or the topic can't be sent to any more.
pub(super) async fn run(
    mut state: State,
    mut link: Link,
    mut inbox: mpsc::Receiver<Message>,
    closing: CancellationToken,
) {
    let clock = state.clock();
    let mut taken = Vec::with_capacity(TAKE_MAX);
    while !state.is_finished(clock.now()) {
        state.pump();
        tokio::select! {
            biased;
            () = closing.cancelled() => break,
            event = link.next() => {
                if on_link(&mut state, &mut link, event).is_break() {
                    break;
                }
            }
            () = until(state.next_timeout()) => state.on_timeout(clock.now()),
            () = room_on(state.blocked_on()) => {}
            count = inbox.recv_many(&mut taken, TAKE_MAX), if !state.is_closing() => {
                let now = clock.now();
                if count == 0 {
                    state.close(now, None);
                }
                taken.drain(..).for_each(|message| state.on_message(message, now));
            }
        }
    }
    state.give_up(&SendError::Closed);
    let closers = state.take_closers();
    let mut outcome = Some(link.close().await);
    for reply in closers {
        _ = reply.send(outcome.take().unwrap_or(Ok(()))); // The caller may have gone away.
    }
}

/// Takes the event and those that are here already.
fn on_link(state: &mut State, link: &mut Link, event: LinkEvent) -> ControlFlow<()> {
    apply(state.on_link(event)?, state, link);
    for _ in 0..TAKE_MAX {
        let Some(event) = link.try_event() else { break };
        apply(state.on_event(event)?, state, link);
    }
    ControlFlow::Continue(())
}

fn apply(then: Then, state: &mut State, link: &mut Link) {
    match then {
        Then::Go => {}
        Then::Resync => {
            state.lose();
            link.detach();
        }
        Then::Named(name) => {
            if let Body::Producer(command) = link.command_mut() {
                command.producer_name = Some(name);
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Returns when the connection takes something; never when there is none, or it is lost.
async fn room_on(connection: Option<Connection>) {
    if let Some(connection) = connection
        && connection.reserve().await.is_some()
    {
        return;
    }
    std::future::pending().await
}
