//! One end of a simulated connection.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{
    Shared,
    pipe::{Found, Pipe},
};
use crate::Clock;

#[derive(Debug)]
pub(super) struct SimStream {
    shared: Arc<Shared>,
    ends: (SocketAddr, SocketAddr),
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    pub(super) fn new(
        shared: &Arc<Shared>,
        ends: (SocketAddr, SocketAddr),
        incoming: Arc<Pipe>,
        outgoing: Arc<Pipe>,
    ) -> Self {
        Self { shared: Arc::clone(shared), ends, incoming, outgoing, timer: None }
    }

    fn record(&self, kind: &str, bytes: &[u8]) {
        let ends = [u64::from(self.ends.0.port()), u64::from(self.ends.1.port())];
        self.shared.events.record(kind, &[bytes], &ends);
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let now = self.shared.clock.now();
            let before = buffer.filled().len();
            match self.incoming.poll_take(context, buffer, now) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(Found::Taken)) => {
                    self.record("receive", &buffer.filled()[before..]);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(Found::Arrives(at))) => {
                    let timer = self.timer.insert(Box::pin(tokio::time::sleep_until(at)));
                    if timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(self.outgoing.poll_put(context, slices, self.shared.clock.now()))?;
        self.record("send", &sent);
        Poll::Ready(Ok(sent.len()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.record("shut down", &[]);
        self.outgoing.finish(self.shared.clock.now());
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.outgoing.finish(self.shared.clock.now());
        self.incoming.leave();
    }
}
