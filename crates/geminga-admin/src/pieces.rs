//! Answers that are made piece by piece while they are sent, so that none of them is ever whole in memory.
//!
//! Whoever makes the pieces runs on a task of its own and waits for the reader: at most a few pieces are ready.
//! A reader that takes nothing for [`READER_TIME_MAX`] is given up, and what the pieces are made from with it.
//!
//! # Invariants
//!
//! 1. An answer that could not be sent to its end ends its connection, so that nobody takes it for whole.

use std::{
    fmt,
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use geminga_env::BoxFuture;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// How large a piece is, about.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// How many pieces are made before the reader takes one.
const AHEAD: usize = 2;
/// How long a reader may take nothing.
const READER_TIME_MAX: Duration = Duration::from_secs(30);

/// Makes an answer.
pub(crate) trait Pieces: fmt::Debug + Send {
    /// Adds the next piece, of about [`PIECE_BYTES`]. False: it was the last.
    fn next<'a>(&'a mut self, to: &'a mut Vec<u8>) -> BoxFuture<'a, bool>;
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum Body {
    /// All of it.
    Whole(Bytes),
    /// What is ready of it.
    Pieces(mpsc::Receiver<Piece>),
    /// All of it is sent.
    Sent,
}

/// A part of a body, or its end.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    End,
}

/// Where a maker's pieces go, and from where they are sent.
pub(crate) fn channel() -> (mpsc::Sender<Piece>, Body) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    (sender, Body::Pieces(receiver))
}

/// Makes all pieces, compressed with gzip if the reader wants that. Holds `slot` while it does.
pub(crate) async fn make(
    mut pieces: Box<dyn Pieces>,
    is_zipped: bool,
    to: mpsc::Sender<Piece>,
    slot: OwnedSemaphorePermit,
) {
    let mut zip = is_zipped.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let mut goes_on = true;
    while goes_on {
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        goes_on = pieces.next(&mut piece).await;
        if let Some(zip) = &mut zip {
            // A Vec takes everything.
            _ = zip.write_all(&piece);
            if !goes_on {
                _ = zip.try_finish();
            }
            piece = std::mem::take(zip.get_mut());
        }
        if !piece.is_empty() && !send(&to, Piece::Bytes(piece.into())).await {
            return;
        }
    }
    send(&to, Piece::End).await;
    drop(slot);
}

/// False: nobody reads.
async fn send(to: &mpsc::Sender<Piece>, piece: Piece) -> bool {
    matches!(tokio::time::timeout(READER_TIME_MAX, to.send(piece)).await, Ok(Ok(())))
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Sent => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Sent;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Pieces(pieces) => match std::task::ready!(pieces.poll_recv(context)) {
                Some(Piece::Bytes(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Piece::End) => {
                    *self = Self::Sent;
                    Poll::Ready(None)
                }
                None => Poll::Ready(Some(Err(io::Error::other("the answer was given up")))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Pieces(_) => false,
            Self::Sent => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
            Self::Sent => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests;
