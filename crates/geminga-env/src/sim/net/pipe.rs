//! One direction of a connection: a bounded buffer whose bytes become readable after a latency.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use rand::{Rng, rngs::StdRng};

use super::draw;
use crate::Instant;

/// What a socket buffers in one direction.
const CAPACITY_BYTES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Pipe(Mutex<State>);

#[derive(Debug)]
struct State {
    chunks: VecDeque<Chunk>,
    buffered_bytes: usize,
    /// The writer has shut down; the reader sees the end at that time.
    finished: Option<Instant>,
    reader_gone: bool,
    reset: bool,
    /// A partition lies between.
    held: bool,
    latency: (Duration, Duration),
    last_arrival: Instant,
    rng: StdRng,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug)]
struct Chunk {
    arrives: Instant,
    bytes: Bytes,
}

/// What a reader finds.
pub(super) enum Found {
    /// Bytes were taken, or none because it is the end.
    Taken,
    /// Something arrives then.
    Arrives(Instant),
}

impl Pipe {
    pub(super) const fn new(rng: StdRng, latency: (Duration, Duration), now: Instant) -> Self {
        Self(Mutex::new(State {
            chunks: VecDeque::new(),
            buffered_bytes: 0,
            finished: None,
            reader_gone: false,
            reset: false,
            held: false,
            latency,
            last_arrival: now,
            rng,
            reader: None,
            writer: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        state.chunks.clear();
        state.wake();
    }

    pub(super) fn hold(&self, hold: bool) {
        let mut state = self.state();
        state.held = hold;
        state.wake();
    }

    /// The writer sends no more.
    pub(super) fn finish(&self, now: Instant) {
        let mut state = self.state();
        if state.finished.is_none() {
            state.finished = Some(state.arrival(now));
            state.wake();
        }
    }

    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.reader_gone = true;
        state.chunks.clear();
        state.wake();
    }

    /// Takes bytes that have arrived into `buffer`, or registers the reader.
    pub(super) fn poll_take(
        &self,
        context: &Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
        now: Instant,
    ) -> Poll<io::Result<Found>> {
        let mut state = self.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        state.reader = Some(context.waker().clone());
        if state.held {
            return Poll::Pending;
        }
        let mut taken = 0;
        while buffer.remaining() > 0
            && let Some(chunk) = state.chunks.front_mut()
        {
            if chunk.arrives > now {
                break;
            }
            let count = chunk.bytes.len().min(buffer.remaining());
            buffer.put_slice(&chunk.bytes[..count]);
            chunk.bytes.advance(count);
            taken += count;
            if chunk.bytes.is_empty() {
                state.chunks.pop_front();
            }
        }
        if taken > 0 {
            state.buffered_bytes -= taken;
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Ok(Found::Taken));
        }
        match (state.chunks.front(), state.finished) {
            (Some(chunk), _) if chunk.arrives > now => {
                Poll::Ready(Ok(Found::Arrives(chunk.arrives)))
            }
            (None, Some(end)) if end > now => Poll::Ready(Ok(Found::Arrives(end))),
            // The end, or no room in the caller's buffer.
            (None, Some(_)) | (Some(_), _) => Poll::Ready(Ok(Found::Taken)),
            (None, None) => Poll::Pending,
        }
    }

    /// Sends what fits of `slices` and returns it, or registers the writer.
    pub(super) fn poll_put(
        &self,
        context: &Context<'_>,
        slices: &[io::IoSlice<'_>],
        now: Instant,
    ) -> Poll<io::Result<Bytes>> {
        let mut state = self.state();
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.reader_gone || state.finished.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let count = offered.min(CAPACITY_BYTES - state.buffered_bytes);
        if count == 0 && offered > 0 {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        // Now and then a write arrives in two parts, as a net may cut it.
        let cut = if count > 1 && state.rng.random_ratio(1, 8) {
            state.rng.random_range(1..count)
        } else {
            count
        };
        let sent = gather(slices, count);
        for bytes in [sent.slice(..cut), sent.slice(cut..)] {
            if !bytes.is_empty() {
                let arrives = state.arrival(now);
                state.chunks.push_back(Chunk { arrives, bytes });
            }
        }
        state.buffered_bytes += count;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(sent))
    }
}

/// The first `count` bytes of `slices`.
fn gather(slices: &[io::IoSlice<'_>], count: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(count);
    for slice in slices {
        let fits = slice.len().min(count - bytes.len());
        bytes.extend_from_slice(&slice[..fits]);
    }
    bytes.into()
}

impl State {
    fn arrival(&mut self, now: Instant) -> Instant {
        let latency = draw(&mut self.rng, self.latency.0, self.latency.1);
        self.last_arrival = self.last_arrival.max(now + latency);
        self.last_arrival
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}
