//! Any bytes, cut anywhere, as what a peer sends on a connection.

#![no_main]

use bytes::BytesMut;
use geminga_wire::{
    frame::{
        Command, Frame, FrameDecoder, FrameError, encode_ack, encode_command, encode_flow,
        encode_ping, encode_pong, encode_send,
    },
    proto::BaseCommand,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let (first, second) = bytes.split_at(bytes.len() * usize::from(*cut) / 256);
    let mut decoder = FrameDecoder::default();
    let mut buf = BytesMut::new();
    for piece in [first, second] {
        buf.extend_from_slice(piece);
        loop {
            let before = buf.len();
            match decoder.decode(&mut buf) {
                Ok(Some(frame)) => {
                    assert!(buf.len() < before, "a frame came from no bytes");
                    round_trip(frame);
                }
                Ok(None) => {
                    assert_eq!(buf.len(), before, "bytes went without a frame");
                    break;
                }
                Err(FrameError::Command(_)) => assert!(buf.len() < before, "no progress"),
                Err(_) => return,
            }
        }
    }
});

/// What is written again is read the same.
fn round_trip(frame: Frame) {
    let mut buf = BytesMut::new();
    match &frame.command {
        Command::Send(send) => {
            encode_send(send, frame.payload.as_deref().unwrap_or_default(), &mut buf);
        }
        Command::Ack(ack) => encode_ack(ack, &mut buf),
        Command::Flow(flow) => encode_flow(flow, &mut buf),
        Command::Ping => encode_ping(&mut buf),
        Command::Pong => encode_pong(&mut buf),
        Command::Other(body) => encode_command(&BaseCommand::from((**body).clone()), &mut buf),
    }
    // What was merged from parts may be larger than its frame was.
    let again = FrameDecoder::new(usize::MAX).decode(&mut buf);
    let again = again.expect("what is written can be read").expect("and is whole");
    match (&frame.command, &again.command) {
        (Command::Send(a), Command::Send(b)) => assert_eq!(a, b),
        (Command::Ack(a), Command::Ack(b)) => assert_eq!(a, b),
        (Command::Flow(a), Command::Flow(b)) => assert_eq!(a, b),
        // Numbers may be NaN, so the messages are compared by their type only.
        (a, b) => assert_eq!(a.kind(), b.kind()),
    }
}
