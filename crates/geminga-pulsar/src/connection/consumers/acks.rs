//! ACK, FLOW, REDELIVER: what the reader hands to a consumer itself, in order.
//!
//! ACKs without an answer that follow each other are handed on together.

use std::{future::Future, sync::Arc};

use geminga_broker::{AckId, AckKind, AckRequest};
use geminga_types::Position;
use geminga_wire::{
    ack_set,
    frame::{AckCommand, AckResponse, AckedId, FlowCommand, encode_ack_response},
    proto::{CommandRedeliverUnacknowledgedMessages, MessageIdData, ServerError},
};

use crate::{connection::Connection, errors::Refusal};

/// Ids handed on together at most.
const IDS_MAX: usize = 4_096;

/// ACKs that were read and not handed on yet: of one consumer, all individual, none to be answered.
#[derive(Debug, Default)]
pub(in crate::connection) struct Acks {
    consumer_id: u64,
    ids: Vec<AckId>,
}

impl Acks {
    /// Takes an ACK in, if it can go together with those that wait.
    fn merge(&mut self, consumer_id: u64, request: &mut AckRequest) -> bool {
        let fits = request.kind == AckKind::Individual
            && request.request_id.is_none()
            && (self.ids.is_empty() || self.consumer_id == consumer_id)
            && self.ids.len() + request.ids.len() <= IDS_MAX;
        if fits {
            self.consumer_id = consumer_id;
            self.ids.append(&mut request.ids);
        }
        fits
    }

    /// Hands on what waits.
    pub(in crate::connection) async fn flush(&mut self, connection: &Arc<Connection>) {
        if !self.ids.is_empty() {
            let ids = std::mem::take(&mut self.ids);
            let request = AckRequest { kind: AckKind::Individual, ids, request_id: None };
            connection.hand_on(self.consumer_id, request).await;
        }
    }
}

impl Connection {
    pub(in crate::connection) async fn on_ack(
        self: &Arc<Self>,
        command: AckCommand,
        acks: &mut Acks,
    ) {
        if command.txn.is_some() {
            let refusal = Refusal::not_allowed("Transactions are not enabled on this server");
            return self.refuse_ack(&command, &refusal);
        }
        if command.cumulative && command.message_ids.len() != 1 {
            let refusal = Refusal::not_allowed(format!(
                "A cumulative ack names one message, not {}",
                command.message_ids.len()
            ));
            return self.refuse_ack(&command, &refusal);
        }
        if let Some(error) = command.validation_error {
            // The client skips what it can't read: that counts as acked, and somebody may wonder.
            self.note_unreadable(command.consumer_id, command.message_ids.len(), error);
        }
        let consumer_id = command.consumer_id;
        let mut request = request_of(command);
        if acks.merge(consumer_id, &mut request) {
            return;
        }
        acks.flush(self).await;
        if !acks.merge(consumer_id, &mut request) {
            self.hand_on(consumer_id, request).await;
        }
    }

    pub(in crate::connection) async fn on_flow(self: &Arc<Self>, command: FlowCommand) {
        let FlowCommand { consumer_id, message_permits } = command;
        if message_permits != 0
            && let Some(consumer) = self.consumer(consumer_id)
        {
            self.post(consumer_id, consumer.flow(message_permits)).await;
        }
    }

    pub(in crate::connection) async fn on_redeliver(
        self: &Arc<Self>,
        command: CommandRedeliverUnacknowledgedMessages,
    ) {
        let consumer_id = command.consumer_id;
        if let Some(consumer) = self.consumer(consumer_id) {
            let positions: Vec<Position> =
                command.message_ids.iter().map(MessageIdData::position).collect();
            let positions = (!positions.is_empty()).then_some(positions);
            self.post(consumer_id, consumer.redeliver(positions, command.consumer_epoch)).await;
        }
    }

    async fn hand_on(self: &Arc<Self>, consumer_id: u64, request: AckRequest) {
        match self.consumer(consumer_id) {
            Some(consumer) => self.post(consumer_id, consumer.ack(request)).await,
            None => {
                if let Some(request_id) = request.request_id {
                    let refusal = Refusal::new(ServerError::ConsumerNotFound, "Consumer not found");
                    self.answer_ack(consumer_id, request_id, None, &refusal);
                }
            }
        }
    }

    /// Waits until a topic has taken an event, but not for ever.
    async fn post(self: &Arc<Self>, consumer_id: u64, posting: impl Future<Output = ()>) {
        let deadline = self.now() + self.options().window_timeout;
        tokio::select! {
            biased;
            () = posting => {}
            () = self.closed.cancelled() => {}
            () = tokio::time::sleep_until(deadline) => self.give_up_consumer(consumer_id),
        }
    }

    fn refuse_ack(&self, command: &AckCommand, refusal: &Refusal) {
        match command.request_id {
            Some(request_id) => {
                self.answer_ack(command.consumer_id, request_id, command.txn, refusal);
            }
            None => self.complain("ACK", command.consumer_id, &refusal.message),
        }
    }

    fn answer_ack(
        &self,
        consumer_id: u64,
        request_id: u64,
        txn: Option<geminga_wire::frame::TxnId>,
        refusal: &Refusal,
    ) {
        let error = Some((refusal.code, refusal.message.as_str()));
        let mut buf = bytes::BytesMut::new();
        encode_ack_response(&AckResponse { consumer_id, request_id, txn, error }, &mut buf);
        self.answer_frame(buf.freeze());
    }
}

fn request_of(command: AckCommand) -> AckRequest {
    let kind = if command.cumulative { AckKind::Cumulative } else { AckKind::Individual };
    let ids = command.message_ids.into_iter().map(ack_id).collect();
    AckRequest { kind, ids, request_id: command.request_id }
}

/// A set in which nothing is left acks the whole entry, as no set does.
fn ack_id(id: AckedId) -> AckId {
    let left = (!ack_set::is_empty(&id.ack_set)).then(|| id.ack_set.into_boxed_slice());
    let batch_size = u32::try_from(id.batch_size).ok().filter(|size| 0 < *size);
    AckId { position: id.position, ack_set: left, batch_size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acked(entry: i64, set: &[i64], batch_size: i32) -> AckedId {
        AckedId {
            position: Position::new(1, entry),
            partition: -1,
            batch_index: -1,
            batch_size,
            ack_set: set.iter().copied().collect(),
        }
    }

    #[test]
    fn a_set_with_nothing_left_is_the_whole_entry() {
        assert_eq!(ack_id(acked(1, &[], 0)).ack_set, None);
        assert_eq!(ack_id(acked(1, &[0, 0], 128)).ack_set, None);
        let some = ack_id(acked(1, &[5], 3));
        assert_eq!(some.ack_set.as_deref(), Some(&[5_i64][..]));
        assert_eq!(some.batch_size, Some(3));
        assert_eq!(ack_id(acked(1, &[], -1)).batch_size, None);
    }

    #[test]
    fn acks_of_one_consumer_without_answer_go_together() {
        let ack = |entry, kind, request_id| AckRequest {
            kind,
            ids: vec![ack_id(acked(entry, &[], 0))],
            request_id,
        };
        let mut acks = Acks::default();
        assert!(acks.merge(1, &mut ack(0, AckKind::Individual, None)));
        assert!(acks.merge(1, &mut ack(1, AckKind::Individual, None)));
        assert!(!acks.merge(2, &mut ack(2, AckKind::Individual, None)));
        assert!(!acks.merge(1, &mut ack(2, AckKind::Cumulative, None)));
        let mut answered = ack(2, AckKind::Individual, Some(9));
        assert!(!acks.merge(1, &mut answered));
        assert_eq!(answered.ids.len(), 1);
        assert_eq!(acks.ids.len(), 2);
    }
}
