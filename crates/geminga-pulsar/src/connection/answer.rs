//! Frames that answer requests, put into the outbox.

use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use geminga_broker::Outgoing;
use geminga_wire::{
    frame::{encode_command, encode_ping, encode_pong},
    proto::{BaseCommand, CommandError, CommandSuccess, ServerError},
};

use super::Connection;
use crate::errors::{Coded, Refusal};

/// Request id of an ERROR that answers no request.
pub(super) const NO_REQUEST: u64 = u64::MAX;

/// A frame of `command`.
pub(super) fn frame(command: impl Into<BaseCommand>) -> Bytes {
    let mut buf = BytesMut::new();
    encode_command(&command.into(), &mut buf);
    buf.freeze()
}

/// An ERROR.
pub(super) fn error(request_id: u64, refusal: Refusal) -> CommandError {
    CommandError { request_id, error: refusal.code.into(), message: refusal.message }
}

impl Connection {
    pub(super) fn answer(&self, command: impl Into<BaseCommand>) {
        self.answer_frame(frame(command));
    }

    pub(super) fn answer_success(&self, request_id: u64) {
        self.answer(CommandSuccess { request_id, schema: None });
    }

    pub(super) fn answer_error(&self, request_id: u64, refusal: Refusal) {
        self.answer(error(request_id, refusal));
    }

    /// SUCCESS, or an ERROR with the error's code.
    pub(super) fn answer_result(&self, request_id: u64, result: Result<(), impl Coded>) {
        match result {
            Ok(()) => self.answer_success(request_id),
            Err(error) => self.answer_error(request_id, error.refusal()),
        }
    }

    /// The consumer that a request names is not open.
    pub(super) fn answer_no_consumer(&self, request_id: u64) {
        let refusal = Refusal::new(ServerError::ConsumerNotFound, "Consumer not found");
        self.answer_error(request_id, refusal);
    }

    pub(super) fn answer_ping(&self) {
        let mut buf = BytesMut::new();
        encode_pong(&mut buf);
        self.answer_frame(buf.freeze());
    }

    pub(super) fn ping(&self) {
        let mut buf = BytesMut::new();
        encode_ping(&mut buf);
        self.answer_frame(buf.freeze());
    }

    /// The writer has sent own frames of `bytes`.
    pub(super) fn answers_written(&self, bytes: usize) {
        if 0 < bytes {
            self.answers.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.answers.written.notify_waiters();
        }
    }

    pub(super) fn answer_frame(&self, frame: Bytes) {
        let item = Outgoing::Frame(frame);
        self.answers.bytes.fetch_add(item.size_bytes(), Ordering::Relaxed);
        self.outbox.push(item);
    }
}
