//! The task of one partition's consumer: it waits, moves messages and asks [`State`].

use std::ops::ControlFlow;

use geminga_wire::proto::Body;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Item, Request,
    create::set_start,
    state::{State, Then},
};
use crate::{
    ClientError,
    connection::Connection,
    link::{Link, LinkEvent},
};

/// Taken from the mailbox, or from the broker, at a time.
const TAKE_MAX: usize = 64;

/// What a task is connected to.
pub(super) struct Ends {
    pub(super) inbox: mpsc::Receiver<Request>,
    pub(super) out: mpsc::Sender<Item>,
    pub(super) closing: CancellationToken,
}

/// Runs until the consumer is dropped or closed, or the topic can't be received from any more.
pub(super) async fn run(mut state: State, mut link: Link, mut ends: Ends) {
    let mut taken = Vec::with_capacity(TAKE_MAX);
    let failure = loop {
        state.pump();
        let blocked_on = state.blocked_on();
        let takes_requests = state.takes_requests();
        let has_messages = state.has_messages();
        if state.is_finished() {
            break None;
        }
        tokio::select! {
            biased;
            () = ends.closing.cancelled() => break None,
            () = ends.out.closed() => break None,
            event = link.next() => {
                if let ControlFlow::Break(error) = on_link(&mut state, &mut link, event) {
                    break Some(error);
                }
            }
            done = state.seek_outcome() => {
                if state.on_sought(done) == Then::Reattach {
                    state.lose();
                    link.detach();
                }
                refresh(&state, &mut link);
            }
            () = room_on(blocked_on) => {}
            count = ends.inbox.recv_many(&mut taken, TAKE_MAX), if takes_requests => {
                if count == 0 {
                    break None;
                }
                taken.drain(..).for_each(|request| state.on_request(request));
                refresh(&state, &mut link);
            }
            room = ends.out.reserve(), if has_messages => {
                let mut room = room.ok();
                for _ in 0..TAKE_MAX {
                    let Some(permit) = room.take() else { break };
                    state.hand_out(permit);
                    room = if state.has_messages() { ends.out.try_reserve().ok() } else { None };
                }
            }
        }
    };
    if let Some(last) = failure.and_then(|error| state.fail(error)) {
        tokio::select! {
            biased;
            () = ends.closing.cancelled() => {}
            _ = ends.out.send(last) => {} // The consumer may be gone.
        }
    }
    state.pump();
    let closers = state.take_closers();
    let mut outcome = Some(link.close().await);
    for reply in closers {
        _ = reply.send(outcome.take().unwrap_or(Ok(()))); // The caller may have gone away.
    }
}

/// Takes the event and those that are here already.
fn on_link(state: &mut State, link: &mut Link, event: LinkEvent) -> ControlFlow<ClientError> {
    state.on_link(event)?;
    for _ in 0..TAKE_MAX {
        let Some(event) = link.try_event() else { break };
        state.on_event(event);
    }
    refresh(state, link);
    ControlFlow::Continue(())
}

/// The next session, if there must be one, begins where this one has come to.
fn refresh(state: &State, link: &mut Link) {
    if let Body::Subscribe(command) = link.command_mut() {
        set_start(command, state.start());
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
