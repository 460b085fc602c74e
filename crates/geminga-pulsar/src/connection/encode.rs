//! What goes to the socket with one vectored write: frames in one buffer, large entries beside it.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Smaller pieces are copied: a piece of its own costs more than its bytes.
const COPY_MAX: usize = 1 << 10;

/// A usual MESSAGE without its entry.
const MESSAGE_HEAD_LEN_MAX: usize = 64;
const HEAD_GROWTH: usize = 8 << 10;

/// A buffer that has grown beyond this is given back after its bytes were sent.
const HEAD_KEPT_MAX: usize = 256 << 10;

/// Bytes to be sent, in order.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    ready: VecDeque<Bytes>,
    head: BytesMut,
}

impl Pieces {
    /// Where small frames are appended.
    pub(super) const fn head(&mut self) -> &mut BytesMut {
        &mut self.head
    }

    /// The same, with room for the heads of many messages: what is sealed takes its room with it, and
    /// room for one at a time would be an allocation for each.
    pub(super) fn message_head(&mut self) -> &mut BytesMut {
        if self.head.capacity() - self.head.len() < MESSAGE_HEAD_LEN_MAX {
            self.head.reserve(HEAD_GROWTH);
        }
        &mut self.head
    }

    /// Appends bytes, without a copy if they are many.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_MAX {
            self.head.extend_from_slice(&bytes);
        } else {
            self.seal();
            self.ready.push_back(bytes);
        }
    }

    /// Everything appended so far is to be sent.
    pub(super) fn seal(&mut self) {
        if !self.head.is_empty() {
            self.ready.push_back(self.head.split().freeze());
        }
    }

    /// Everything was sent.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        if HEAD_KEPT_MAX < self.head.capacity() {
            self.head = BytesMut::new();
        }
    }
}

/// What is sealed; what is not is not seen.
impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.ready.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.ready.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in into.iter_mut().zip(&self.ready) {
            *slice = std::io::IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.ready.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.ready.pop_front();
        }
        assert_eq!(count, 0, "no more can be sent than there is");
    }

    fn has_remaining(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn bytes_leave_in_the_order_they_came() {
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut pieces = Pieces::default();
            let (mut near, mut far) = tokio::io::duplex(rng.random_range(1..10_000));
            let mut expected = Vec::new();
            let mut batches = Vec::new();
            for _ in 0..rng.random_range(1..4) {
                let sizes: Vec<usize> =
                    (0..rng.random_range(1..12)).map(|_| rng.random_range(1..3_000)).collect();
                batches.push(sizes);
            }
            let writing = async {
                for sizes in &batches {
                    for size in sizes {
                        let bytes: Vec<u8> = (0..*size).map(|_| rng.random()).collect();
                        expected.extend_from_slice(&bytes);
                        if rng.random_bool(0.5) {
                            pieces.head().extend_from_slice(&bytes);
                        } else {
                            pieces.push(bytes.into());
                        }
                    }
                    pieces.seal();
                    near.write_all_buf(&mut pieces).await.unwrap();
                    assert!(!pieces.has_remaining());
                    pieces.clear();
                }
                drop(near);
            };
            let mut found = Vec::new();
            let reading = async {
                far.read_to_end(&mut found).await.unwrap();
            };
            tokio::join!(writing, reading);
            assert_eq!(found, expected, "seed {seed}");
        }
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let mut pieces = Pieces::default();
        let large = Bytes::from(vec![1; COPY_MAX]);
        pieces.head().extend_from_slice(b"header");
        pieces.push(large.clone());
        pieces.push(Bytes::from_static(b"small"));
        pieces.seal();
        let found: Vec<(usize, bool)> = pieces
            .ready
            .iter()
            .map(|piece| (piece.len(), piece.as_ptr() == large.as_ptr()))
            .collect();
        assert_eq!(found, [(6, false), (COPY_MAX, true), (5, false)]);
    }
}
