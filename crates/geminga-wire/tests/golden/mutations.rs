//! Bytes that are almost right: the short, repeatable form of what `fuzz/` does without end.

use bytes::BytesMut;
use geminga_wire::{
    batch::BatchReader,
    entry::{EntryHeader, EntryMeta},
    frame::{Frame, FrameDecoder, FrameError},
};

use crate::fixtures::fixtures;

const SEEDS: u64 = 20_000;

/// Goal: no bytes from the network make the decoders panic or lose their place.
/// Method: each seed takes a real frame, changes it, puts another one behind it and feeds both in
/// pieces; what comes out is read as far as it goes.
#[test]
fn mutated_frames_harm_nothing() {
    let frames = fixtures();
    let mut decoded = 0;
    let mut refused = 0;
    for seed in 1..=SEEDS {
        let mut random = XorShift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = frames[random.below(frames.len())].bytes.clone();
        mutate(&mut bytes, &mut random);
        bytes.extend(&frames[random.below(frames.len())].bytes);
        match feed(&bytes, &mut random) {
            Ok(frames) => decoded += frames,
            Err(()) => refused += 1,
        }
    }
    assert!(SEEDS / 10 < decoded, "{decoded} frames: the mutations leave nothing to read");
    assert!(SEEDS / 10 < refused, "{refused} refusals: the mutations do no harm");
}

fn mutate(bytes: &mut Vec<u8>, random: &mut XorShift) {
    for _ in 0..random.below(4) + 1 {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => {
                bytes.remove(at);
                fix_size(bytes);
            }
            _ => {
                bytes.insert(at, 0xff);
                fix_size(bytes);
            }
        }
        if bytes.len() < 8 {
            return;
        }
    }
}

/// States the real size of the frame, so that what lies within is looked at.
fn fix_size(bytes: &mut [u8]) {
    let size = u32::try_from(bytes.len().saturating_sub(4)).unwrap();
    if let Some(field) = bytes.first_chunk_mut() {
        *field = size.to_be_bytes();
    }
}

/// Feeds `bytes` in pieces; answers the number of frames, or that the connection would be closed.
fn feed(mut bytes: &[u8], random: &mut XorShift) -> Result<u64, ()> {
    let mut decoder = FrameDecoder::default();
    let mut buf = BytesMut::new();
    let mut frames = 0;
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(random.below(bytes.len()) + 1);
        bytes = rest;
        buf.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buf) {
                Ok(Some(frame)) => {
                    frames += 1;
                    read(&frame);
                }
                Ok(None) => break,
                Err(FrameError::Command(_)) => {}
                Err(_) => return Err(()),
            }
        }
    }
    Ok(frames)
}

fn read(frame: &Frame) {
    let Some(entry) = &frame.payload else { return };
    _ = EntryHeader::check(entry);
    let Ok(meta) = EntryMeta::parse(entry) else { return };
    _ = meta.key_hash();
    let batch = entry.slice(meta.header.payload..);
    let limit = batch.len() / 4 + 1;
    assert!(BatchReader::new(batch, meta.messages).count() <= limit);
}

struct XorShift(u64);

impl XorShift {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
