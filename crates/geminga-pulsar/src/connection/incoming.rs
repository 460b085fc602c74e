//! The read buffer and the decoder behind it.
//!
//! # Invariants
//!
//! 1. The buffer grows by what has come, at most doubling, never by a size that a frame only claims.
//! 2. A frame larger than a block is admitted by its size before more of it is read, and is complete
//!    within [`LARGE_FRAME_TIMEOUT`].
//! 3. While nothing comes a connection holds no block, unless blocks have been filled lately.
//! 4. Frames are slices of the buffer: nothing that has come is copied, except the beginning of a
//!    frame whose rest does not fit in its block.

use std::{future::poll_fn, io, pin::Pin, time::Duration};

use bytes::BytesMut;
use geminga_broker::{Budget, BudgetPermit};
use geminga_env::{Clock, Instant};
use geminga_wire::frame::{Frame, FrameDecoder, FrameError};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Blocks begin at this size.
const BLOCK_MIN: usize = 4 << 10;
/// Blocks grow up to this while reads fill them.
const BLOCK_MAX: usize = 64 << 10;
/// How long the rest of a frame larger than a block may take: who sends it too slowly holds memory
/// that others wait for.
pub(super) const LARGE_FRAME_TIMEOUT: Duration = Duration::from_secs(120);
/// A read with less room than this is not worth a system call.
const READ_MIN: usize = 2 << 10;

/// Bytes that have come and are no frame yet.
#[derive(Debug)]
pub(super) struct Incoming {
    buf: BytesMut,
    decoder: FrameDecoder,
    block: usize,
    /// Held while a large frame is incomplete, which it may be until then.
    admitted: Option<(BudgetPermit, Instant)>,
}

impl Incoming {
    pub(super) fn new(max_frame: usize) -> Self {
        let decoder = FrameDecoder::new(max_frame);
        Self { buf: BytesMut::new(), decoder, block: BLOCK_MIN, admitted: None }
    }

    /// From here on frames of this size are accepted.
    pub(super) fn allow(&mut self, max_frame: usize) {
        self.decoder = FrameDecoder::new(max_frame);
    }

    /// Waits until there is room for the frame that has begun, and says when it must be complete, if
    /// it is a large one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(super) async fn admit(
        &mut self,
        large_frames: &Budget,
        clock: &dyn Clock,
    ) -> Option<Instant> {
        let claimed = self.buf.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize);
        if self.admitted.is_none() && BLOCK_MAX < claimed {
            let permit = large_frames.take(claimed).await;
            self.admitted = Some((permit, clock.now() + LARGE_FRAME_TIMEOUT));
        }
        self.admitted.as_ref().map(|(_, deadline)| *deadline)
    }

    /// The next complete frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let frame = self.decoder.decode(&mut self.buf)?;
        if frame.is_some() {
            self.admitted = None;
        }
        Ok(frame)
    }

    /// Bytes that wait for the rest of their frame.
    pub(super) fn len(&self) -> usize {
        self.buf.len()
    }

    /// Reads once; 0 is the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was read unless this returns.
    pub(super) async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        let (read, room) = poll_fn(|context| {
            self.make_room();
            let room = self.buf.capacity() - self.buf.len();
            let polled = poll_read_buf(Pin::new(&mut *from), context, &mut self.buf);
            if polled.is_pending() && self.block == BLOCK_MIN {
                self.release(); // Many connections wait; few of them read.
            }
            polled.map_ok(|read| (read, room))
        })
        .await?;
        if read == room {
            self.block = (self.block * 2).min(BLOCK_MAX);
        } else if read < self.block / 16 {
            self.block = (self.block / 2).max(BLOCK_MIN);
        }
        Ok(read)
    }

    /// Nothing comes: gives the block back.
    pub(super) fn release(&mut self) {
        if self.buf.is_empty() {
            self.buf = BytesMut::new();
            self.block = BLOCK_MIN;
        }
    }

    fn make_room(&mut self) {
        if self.buf.capacity() - self.buf.len() < READ_MIN {
            self.buf.reserve(self.block.max(self.buf.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use geminga_wire::{
        frame::{Command, FlowCommand, SendCommand, encode_flow, encode_ping, encode_send},
        proto,
    };
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn send(payload: &[u8], buf: &mut BytesMut) {
        let command = SendCommand {
            producer_id: 1,
            sequence_id: 2,
            num_messages: 1,
            highest_sequence_id: None,
            txn: None,
            is_chunk: false,
            marker: false,
            message_id: None,
        };
        encode_send(&command, payload, buf);
    }

    /// Cuts a stream of frames into reads at random places.
    #[tokio::test]
    async fn frames_come_out_however_they_are_cut() {
        for seed in 0..200 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut bytes = BytesMut::new();
            let mut sizes = Vec::new();
            for _ in 0..rng.random_range(1..20) {
                let size = match rng.random_range(0..3) {
                    0 => 0,
                    1 => rng.random_range(1..200),
                    _ => rng.random_range(1..200_000),
                };
                sizes.push(size);
                if size == 0 {
                    encode_ping(&mut bytes);
                } else {
                    send(&vec![7; size], &mut bytes);
                }
            }
            let (mut near, mut far) = tokio::io::duplex(rng.random_range(1..100_000));
            let writing = async move {
                far.write_all(&bytes).await.unwrap();
            };
            let reading = async {
                let mut incoming = Incoming::new(300_000);
                let mut found = Vec::new();
                while incoming.read(&mut near).await.unwrap() != 0 {
                    while let Some(frame) = incoming.next().unwrap() {
                        found.push(frame.payload.map_or(0, |payload| payload.len()));
                    }
                }
                assert_eq!(incoming.len(), 0, "seed {seed}");
                found
            };
            let ((), found) = tokio::join!(writing, reading);
            assert_eq!(found, sizes, "seed {seed}");
        }
    }

    #[tokio::test]
    async fn a_claimed_size_reserves_nothing() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(&5_000_000_u32.to_be_bytes()).await.unwrap();
        let mut incoming = Incoming::new(6_000_000);
        incoming.read(&mut near).await.unwrap();
        assert!(incoming.next().unwrap().is_none());
        incoming.make_room();
        assert!(incoming.buf.capacity() <= 2 * BLOCK_MIN, "{}", incoming.buf.capacity());
    }

    #[tokio::test]
    async fn too_big_a_frame_is_an_error_before_it_has_come() {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut incoming = Incoming::new(1_000);
        incoming.read(&mut near).await.unwrap();
        assert!(matches!(incoming.next(), Err(FrameError::Oversized { limit: 1_000, .. })));
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_block() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut bytes = BytesMut::new();
        encode_flow(&FlowCommand { consumer_id: 1, message_permits: 1 }, &mut bytes);
        far.write_all(&bytes).await.unwrap();
        let mut incoming = Incoming::new(1_000);
        incoming.read(&mut near).await.unwrap();
        let frame = incoming.next().unwrap().unwrap();
        assert!(matches!(frame.command, Command::Flow(_)));
        assert_eq!(frame.command.kind(), proto::base_command::Type::Flow);
        assert!(incoming.read(&mut near).now_or_never().is_none());
        assert_eq!(incoming.buf.capacity(), 0);
        // Half a frame stays.
        far.write_all(&bytes[..5]).await.unwrap();
        incoming.read(&mut near).await.unwrap();
        assert!(incoming.read(&mut near).now_or_never().is_none());
        far.write_all(&bytes[5..]).await.unwrap();
        incoming.read(&mut near).await.unwrap();
        assert!(incoming.next().unwrap().is_some());
    }
}
