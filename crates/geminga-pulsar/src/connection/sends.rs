//! SENDs on their way to their topics: checked one by one, handed on as one batch for each producer.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use geminga_broker::{BudgetPermit, Identity, Producer, Publish, chunk_of};
use geminga_wire::{
    entry::{EntryError, EntryHeader, EntryMeta},
    frame::SendCommand,
    proto::ServerError,
};

use super::{
    Connection, end::Violation, lock, unread::Unread, window::Answered, writer::encode_answered,
};
use crate::errors::{Coded, Refusal};

/// What was read and not handed on yet.
#[derive(Debug, Default)]
pub(super) struct Sends {
    by_producer: BTreeMap<u64, Batch>,
    pub(super) unread: Unread,
}

/// Of one producer.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) producer: Arc<Producer>,
    pub(super) publishes: Vec<Publish>,
}

impl Sends {
    /// Takes a SEND in. Waits while its window, or the publish budget, is full.
    pub(super) async fn add(
        &mut self,
        connection: &Arc<Connection>,
        send: SendCommand,
        entry: Bytes,
    ) -> Result<(), Violation> {
        let producer_id = send.producer_id;
        let Some(producer) = connection.producer_of(producer_id)? else { return Ok(()) };
        let must_encrypt = producer.must_encrypt();
        if must_encrypt && !producer.is_encrypted() {
            // When it is opened again it is told so by its code.
            connection.give_up_producer(producer_id, "encryption is required now");
            return Ok(());
        }
        let mut publish = match publish_of(&send, entry, must_encrypt) {
            Ok(publish) => publish,
            Err(refusal) => {
                connection.refuse_send(producer_id, send.sequence_id, refusal);
                return Ok(());
            }
        };
        if connection.windows.full(producer_id).is_some() {
            self.flush(connection).await;
            let room = connection.wait_for_window(producer_id);
            self.unread.wait(connection, room).await;
        }
        if connection.windows.must_drop(producer_id) {
            connection.drop_send(&producer, &send, publish.messages);
            return Ok(());
        }
        let bytes = publish.entry.len();
        let permit = match connection.door.broker.publish_budget().try_take(bytes) {
            Some(permit) => Some(permit),
            None => {
                self.flush(connection).await;
                let room = connection.wait_for_budget(producer_id, bytes, producer.priority());
                self.unread.wait(connection, room).await
            }
        };
        // It may have been closed meanwhile.
        let producer = connection.producer_of(producer_id)?;
        if let Some((producer, permit)) = producer.zip(permit) {
            publish.permit = Some(permit);
            connection.windows.add(producer_id, bytes);
            let batch = self.by_producer.entry(producer_id);
            let batch = batch.or_insert_with(|| Batch { producer, publishes: Vec::new() });
            batch.publishes.push(publish);
        }
        Ok(())
    }

    /// Hands on what waits.
    pub(super) async fn flush(&mut self, connection: &Arc<Connection>) {
        let mut held_back = Vec::new();
        while let Some((producer_id, batch)) = self.by_producer.pop_first() {
            let is_held_back = connection.is_held_back(producer_id, &batch);
            // Asked after that: nothing overtakes what was parked, and went when its producer was closed.
            if !connection.is_open(producer_id, &batch.producer) {
                continue;
            }
            if is_held_back {
                let publishing = connection.publish_some(producer_id, batch);
                let rest = self.unread.wait(connection, publishing).await;
                held_back.extend(rest.map(|rest| (producer_id, rest)));
            } else {
                let publishing = connection.publish(producer_id, batch);
                self.unread.wait(connection, publishing).await;
            }
        }
        // Last: there may be no room for them.
        for (producer_id, batch) in held_back {
            connection.park(producer_id, batch, &mut self.unread).await;
        }
    }
}

impl Connection {
    /// The producer of a SEND; `None` when it was closed a moment ago and the SEND is to be dropped.
    fn producer_of(&self, producer_id: u64) -> Result<Option<Arc<Producer>>, Violation> {
        let is_closing = {
            let producers = lock(&self.producers);
            if let Some(open) = producers.get(producer_id) {
                return Ok(Some(Arc::clone(open)));
            }
            producers.is_closing(producer_id)
        };
        if is_closing || lock(&self.recently_closed).contains(producer_id, self.now()) {
            return Ok(None);
        }
        Err(Violation::UnknownProducer { producer_id })
    }

    /// Tells the client, after the answers to what it sent before, that a SEND is refused.
    fn refuse_send(&self, producer_id: u64, sequence_id: u64, refusal: Refusal) {
        if refusal.code == ServerError::ChecksumError {
            self.options().counters.note_checksum_error();
        }
        self.complain("SEND", producer_id, &refusal.message);
        self.answer_send(producer_id, Answered::Refused { sequence_id, refusal });
    }

    /// Drops a SEND to a topic that stores nothing, since too many of its like are on their way.
    fn drop_send(&self, producer: &Producer, send: &SendCommand, messages: u32) {
        producer.note_dropped(messages);
        let (sequence_id, highest_sequence_id) = (send.sequence_id, send.highest_sequence_id);
        let dropped = Answered::Dropped { sequence_id, highest_sequence_id };
        self.answer_send(send.producer_id, dropped);
    }

    /// Answers a SEND after those before it.
    fn answer_send(&self, producer_id: u64, answered: Answered) {
        if let Some(now) = self.windows.answer(producer_id, answered) {
            let mut frame = BytesMut::new();
            encode_answered(producer_id, now, &mut frame);
            self.answer_frame(frame.freeze());
        }
    }

    /// Waits until one more SEND fits; the producer that blocks for too long is closed, unless it waits
    /// for a publish rate: then it goes on by itself.
    async fn wait_for_window(self: &Arc<Self>, producer_id: u64) {
        let mut deadline = self.now() + self.options().window_timeout;
        let mut is_noted = false;
        loop {
            let freed = self.windows.freed();
            let Some(full) = self.windows.full(producer_id) else { return };
            if !is_noted {
                self.note_paused(full.what, full.limit, full.value);
                is_noted = true;
            }
            tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                () = freed => {}
                () = tokio::time::sleep_until(deadline) => {
                    if !self.parking.has(full.producer_id) {
                        self.give_up_producer(full.producer_id, full.what);
                        self.windows.remove(full.producer_id);
                    }
                    deadline = self.now() + self.options().window_timeout;
                }
            }
        }
    }

    async fn wait_for_budget(
        self: &Arc<Self>,
        producer_id: u64,
        bytes: usize,
        priority: i32,
    ) -> Option<BudgetPermit> {
        let budget = self.door.broker.publish_budget();
        self.note_paused(budget.name(), budget.limit(), budget.used());
        let deadline = self.now() + self.options().window_timeout;
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            permit = budget.take_with_priority(bytes, priority) => Some(permit),
            () = tokio::time::sleep_until(deadline) => {
                self.give_up_producer(producer_id, "the publish budget stays full");
                None
            }
        }
    }

    pub(super) async fn publish(self: &Arc<Self>, producer_id: u64, batch: Batch) {
        let Batch { producer, publishes } = batch;
        if let Err(why) = self.publish_in_time(&producer, publishes).await {
            self.give_up_producer(producer_id, &why);
        }
    }

    /// Hands SENDs to their topic. An error says why their producer is to be closed.
    pub(super) async fn publish_in_time(
        &self,
        producer: &Producer,
        publishes: Vec<Publish>,
    ) -> Result<(), String> {
        let deadline = self.now() + self.options().window_timeout;
        tokio::select! {
            biased;
            result = producer.publish(publishes) => result.map_err(|error| error.to_string()),
            () = self.closed.cancelled() => Ok(()),
            () = tokio::time::sleep_until(deadline) => Err("its topic takes nothing".to_owned()),
        }
    }
}

/// Checks an entry and reads of its metadata what the topic must know.
fn publish_of(send: &SendCommand, entry: Bytes, must_encrypt: bool) -> Result<Publish, Refusal> {
    if send.txn.is_some() {
        return Err(Refusal::not_allowed("Transactions are not enabled on this server"));
    }
    let refused = |error: EntryError| error.refusal();
    let mut entry = entry;
    let mut checked = EntryHeader::check(&entry).map_err(refused)?;
    if 0 < checked.header.start {
        // Only the broker says what the broker noted.
        entry = entry.slice(checked.header.start..);
        checked = EntryHeader::check(&entry).map_err(refused)?;
    }
    let meta = EntryMeta::parse_with(checked.header, &entry).map_err(refused)?;
    if must_encrypt && !meta.is_encrypted {
        return Err(Refusal::not_allowed("Messages must be encrypted"));
    }
    let (messages, key_hash) = (meta.messages, meta.key_hash());
    let deliver_at = meta.deliver_at.and_then(|at| u64::try_from(at).ok()).filter(|at| *at != 0);
    Ok(Publish {
        sequence_id: send.sequence_id,
        highest_sequence_id: send.highest_sequence_id,
        messages,
        sum: checked.sum,
        key_hash,
        deliver_at,
        published_at: meta.publish_time,
        is_visible: meta.marker_type.is_none(),
        chunk: chunk_of(&meta),
        name: entry.slice_ref(meta.producer_name),
        identity: Identity::of_entry(&meta),
        entry,
        permit: None,
    })
}

#[cfg(test)]
mod tests {
    use geminga_checksum::Sum;
    use geminga_wire::{
        entry::{encode_entry, key_hash},
        frame::TxnId,
        proto::{EncryptionKeys, MessageMetadata},
    };

    use super::*;
    use geminga_broker::Sequence;

    fn send() -> SendCommand {
        SendCommand {
            producer_id: 1,
            sequence_id: 5,
            num_messages: 3,
            highest_sequence_id: Some(7),
            txn: None,
            is_chunk: false,
            marker: false,
            message_id: None,
        }
    }

    fn entry() -> Bytes {
        let metadata = MessageMetadata {
            producer_name: "p".to_owned(),
            sequence_id: 5,
            publish_time: 1,
            num_messages_in_batch: Some(3),
            partition_key: Some("A".to_owned()),
            deliver_at_time: Some(99),
            ..MessageMetadata::default()
        };
        encode_entry(&metadata, b"payload")
    }

    #[test]
    fn a_topic_is_told_what_it_must_know() {
        let publish = publish_of(&send(), entry(), false).unwrap();
        assert_eq!(publish.entry, entry());
        assert_eq!(publish.sum, Sum::of(&entry()));
        assert_eq!((publish.sequence_id, publish.highest_sequence_id), (5, Some(7)));
        assert_eq!((publish.messages, publish.deliver_at), (3, Some(99)));
        assert_eq!(publish.key_hash, key_hash(b"A"));
        assert_eq!(
            (&*publish.name, publish.identity),
            (&b"p"[..], Identity::Sequence(Sequence::of(5)))
        );
    }

    #[test]
    fn a_changed_byte_is_a_checksum_error() {
        for at in 2..entry().len() {
            let mut bytes = entry().to_vec();
            bytes[at] ^= 1;
            let refusal = publish_of(&send(), bytes.into(), false).unwrap_err();
            // Within the sizes it shows as an entry that does not fit.
            let is_size = (6..10).contains(&at);
            assert!(
                is_size || refusal.code == ServerError::ChecksumError,
                "byte {at}: {refusal:?}"
            );
        }
    }

    #[test]
    fn what_is_no_entry_is_not_allowed() {
        for bytes in [&b""[..], b"x", b"\x0e\x01", b"\x00\x00\x00\x00"] {
            let refusal = publish_of(&send(), Bytes::copy_from_slice(bytes), false).unwrap_err();
            assert_eq!(refusal.code, ServerError::NotAllowedError, "{bytes:?}");
        }
        let in_txn = SendCommand { txn: Some(TxnId { most: 0, least: 1 }), ..send() };
        let refusal = publish_of(&in_txn, entry(), false).unwrap_err();
        assert_eq!(refusal.code, ServerError::NotAllowedError);
    }

    #[test]
    fn what_must_be_encrypted_is_refused_unless_it_is() {
        let refusal = publish_of(&send(), entry(), true).unwrap_err();
        assert_eq!(refusal, Refusal::not_allowed("Messages must be encrypted"));
        let metadata = MessageMetadata {
            producer_name: "p".to_owned(),
            encryption_keys: vec![EncryptionKeys::default()],
            ..MessageMetadata::default()
        };
        publish_of(&send(), encode_entry(&metadata, b"payload"), true).unwrap();
    }
}
