//! Sockets.

use std::{fmt, io, net::SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::BoxFuture;

/// A byte stream to a peer.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A boxed [`Connection`]. TCP ones have `TCP_NODELAY` set; they support vectored writes.
pub type Stream = Box<dyn Connection>;

/// Listens and dials.
pub trait Net: fmt::Debug + Send + Sync {
    /// Binds a listener; port 0 picks a free one.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to `host:port`, resolving the host.
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Stream>>;
}

/// A bound listener. Dropping it frees the port.
pub trait Listener: fmt::Debug + Send {
    /// Where it listens, with the port that was picked.
    fn local_address(&self) -> SocketAddr;

    /// Waits for a peer. Errors such as "too many open files" are transient: wait and call again.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>>;
}

/// The machine's TCP.
#[derive(Debug)]
pub struct SystemNet;

#[derive(Debug)]
struct TcpListener {
    inner: tokio::net::TcpListener,
    address: SocketAddr,
}

const BACKLOG: i32 = 4_096;

impl Net for SystemNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let domain = socket2::Domain::for_address(address);
            let socket =
                socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let inner = tokio::net::TcpListener::from_std(socket.into())?;
            let address = inner.local_addr()?;
            Ok(Box::new(TcpListener { inner, address }) as Box<dyn Listener>)
        })
    }

    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Stream)
        })
    }
}

impl Listener for TcpListener {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = self.inner.accept().await?;
            if let Err(error) = stream.set_nodelay(true) {
                // The peer is gone already; its first read says so.
                tracing::debug!(%peer, %error, "TCP_NODELAY was not set");
            }
            Ok((Box::new(stream) as Stream, peer))
        })
    }
}
