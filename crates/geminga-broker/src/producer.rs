//! What a door holds of an open producer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_dedup::Identity;
use geminga_subscription::Chunk;
use geminga_types::TopicName;
use geminga_wire::entry::{EntryMeta, key_hash};

use crate::{
    BudgetPermit, ClientKey, Outbox, PublishError, Schema, SchemaVersion,
    publish_gate::PublishGate,
    topic::{Event, MailboxSender},
};

/// Who else may produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessMode {
    /// Others may.
    Shared,
    /// Nobody else; fails if there is somebody.
    Exclusive,
    /// Nobody else; waits its turn.
    WaitForExclusive,
    /// Nobody else; throws the others out.
    ExclusiveWithFencing,
}

/// What a client asks for when it opens a producer.
#[derive(Clone, Debug)]
pub struct ProducerRequest {
    /// The client's id, unique on its connection.
    pub producer_id: u64,
    /// Which of those opened under that id: the door counts.
    pub incarnation: u64,
    /// The request, for [`crate::Outgoing::ProducerReady`].
    pub request_id: u64,
    /// Unique number of the connection: a repeated request from it is no conflict.
    pub connection_id: u64,
    /// The peer's address, for stats.
    pub address: String,
    /// The client library's name and version, for stats.
    pub client_version: String,
    /// The name it wants; `None`: one that is unique for all time is made.
    pub name: Option<String>,
    /// Whether a person chose the name.
    pub is_name_user_provided: bool,
    /// Who else may produce.
    pub access_mode: AccessMode,
    /// The client's count of its reconnects.
    pub epoch: u64,
    /// The topic's epoch as the client last knew it.
    pub topic_epoch: Option<u64>,
    /// Whether payloads will be encrypted.
    pub is_encrypted: bool,
    /// Whether a broker asks for itself: what limits clients does not limit it.
    pub is_internal: bool,
    /// The schema of its messages; `None` for none and for BYTES.
    pub schema: Option<Schema>,
    /// Free-form, for stats.
    pub metadata: Vec<(String, String)>,
    /// A subscription to create (at Earliest) before the first message.
    pub initial_subscription: Option<String>,
}

/// One SEND, decoded and checked by the connection's task.
#[derive(Debug)]
pub struct Publish {
    /// The client's sequence id (of a batch's first message).
    pub sequence_id: u64,
    /// Of a batch's last message.
    pub highest_sequence_id: Option<u64>,
    /// Messages in the entry.
    pub messages: u32,
    /// The entry as it will be at rest.
    pub entry: Bytes,
    /// Sum of all of `entry`, derived from its verified checksum.
    pub sum: Sum,
    /// Hash of its ordering or partition key, for Key_Shared.
    pub key_hash: u32,
    /// Not to be delivered before, in wall-clock milliseconds.
    pub deliver_at: Option<u64>,
    /// When it was published, in wall-clock milliseconds: what its time to live begins with.
    pub published_at: u64,
    /// Whether consumers see it; markers are for brokers.
    pub is_visible: bool,
    /// Which part of a message in chunks it is.
    pub chunk: Option<Chunk>,
    /// The name in its metadata, which is the one that a load finds: a replicator sends under others'.
    pub name: Bytes,
    /// What it is known by under that name, if the topic looks for duplicates.
    pub identity: Identity,
    /// Bytes of the publish budget, freed once it is confirmed or has failed.
    pub permit: Option<BudgetPermit>,
}

/// An open producer. Close it explicitly; a dropped handle leaves the producer until then.
#[derive(Debug)]
pub struct Producer {
    pub(crate) topic: TopicName,
    pub(crate) key: u64,
    pub(crate) mailbox: MailboxSender,
    pub(crate) name: String,
    pub(crate) last_sequence_id: i64,
    pub(crate) schema_version: Option<SchemaVersion>,
    pub(crate) topic_epoch: Option<u64>,
    pub(crate) is_ready: bool,
    pub(crate) is_encrypted: bool,
    pub(crate) gate: Arc<PublishGate>,
    pub(crate) dropped: Arc<AtomicU64>,
}

/// Which part of a message in chunks an entry is, if it is one.
#[must_use]
pub fn chunk_of(meta: &EntryMeta<'_>) -> Option<Chunk> {
    let chunk = meta.chunk.filter(|chunk| 1 < chunk.num_chunks)?;
    Some(Chunk { message: key_hash(chunk.uuid), is_first: chunk.chunk_id == 0 })
}

impl Publish {
    /// Its size as one message, if there is a limit for it.
    pub(crate) fn bytes_as_message(&self) -> usize {
        if self.chunk.is_some() { 0 } else { self.entry.len() }
    }

    /// Messages and bytes, as publish rates count them.
    fn size(&self) -> (u64, u64) {
        (u64::from(self.messages), self.entry.len() as u64)
    }

    /// Copies its bytes out of the block that they came in, which it would keep alive.
    pub fn detach(&mut self) {
        let begin = self.name.as_ptr().addr().wrapping_sub(self.entry.as_ptr().addr());
        let entry = Bytes::copy_from_slice(&self.entry);
        let end = begin.saturating_add(self.name.len());
        // Elsewhere it lies only if whoever made this publish put it there.
        self.name = match entry.get(begin..end) {
            Some(name) if *name == *self.name => entry.slice(begin..end),
            _ => Bytes::copy_from_slice(&self.name),
        };
        self.entry = entry;
    }
}

impl ProducerRequest {
    /// Names the producer in what its topic sends.
    #[must_use]
    pub const fn client_key(&self) -> ClientKey {
        ClientKey { id: self.producer_id, incarnation: self.incarnation }
    }
}

impl Producer {
    /// The topic it produces to.
    #[must_use]
    pub const fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Its name, asked for or made.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Last sequence id published under this name, −1 without deduplication.
    #[must_use]
    pub const fn last_sequence_id(&self) -> i64 {
        self.last_sequence_id
    }

    /// Version of its schema on the topic, if it has one.
    #[must_use]
    pub const fn schema_version(&self) -> Option<SchemaVersion> {
        self.schema_version
    }

    /// The topic's epoch, with an exclusive access mode.
    #[must_use]
    pub const fn topic_epoch(&self) -> Option<u64> {
        self.topic_epoch
    }

    /// False: it waits for exclusive access; [`crate::Outgoing::ProducerReady`] will come.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Counts messages that are not published: nothing is stored here, and too many are on their way.
    pub fn note_dropped(&self, messages: u32) {
        self.dropped.fetch_add(u64::from(messages), Ordering::Relaxed);
    }

    /// Whether its client has said that it encrypts.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Whether what it publishes must be encrypted, as of now.
    #[must_use]
    pub fn must_encrypt(&self) -> bool {
        self.gate.requires_encryption()
    }

    /// Who has a higher one is served first where producers wait for memory. Asked when it has to wait.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.gate.priority()
    }

    /// Whether there is a publish rate: then [`Self::admit_now`] or [`Self::admit`] is to be asked
    /// before [`Self::publish`].
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.gate.is_limited()
    }

    /// How many of the first may be published now. The others wait for [`Self::admit`].
    #[must_use]
    pub fn admit_now(&self, batch: &[Publish]) -> usize {
        self.gate.admit_now(batch.iter().map(Publish::size))
    }

    /// Waits until some of the first may be published, and says how many; at least one. Turns come in
    /// the order in which they are asked for.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what may be published then is as much as before.
    pub async fn admit(&self, batch: &[Publish]) -> usize {
        self.gate.admit(batch.iter().map(Publish::size)).await
    }

    /// Publishes in order. Results come through the connection's [`Outbox`]. Waits while the
    /// topic's mailbox is full.
    ///
    /// # Errors
    ///
    /// [`PublishError::Closed`] when the topic has gone; nothing was stored.
    pub async fn publish(&self, batch: Vec<Publish>) -> Result<(), PublishError> {
        let event = Event::Publish { producer: self.key, batch };
        self.mailbox.send(event).await.map_err(|_| PublishError::Closed(self.topic.clone()))
    }

    /// Closes it: once this returns its name is free and it is gone from stats.
    pub async fn close(&self) {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let event = Event::CloseProducer { producer: self.key, reply };
        if self.mailbox.send(event).await.is_ok() {
            _ = answer.await; // A topic that has gone has no producers.
        }
    }
}

/// What the topic keeps of how a producer was opened.
#[derive(Debug)]
pub(crate) struct OpenProducer {
    pub(crate) request: ProducerRequest,
    pub(crate) name: String,
    pub(crate) schema_version: Option<SchemaVersion>,
    pub(crate) outbox: Outbox,
}

#[cfg(test)]
mod tests {
    use geminga_dedup::Sequence;

    use super::*;

    #[test]
    fn what_is_detached_keeps_nothing_else_alive() {
        let block = Bytes::from(b"before an entry by me after".to_vec());
        let entry = block.slice(7..21);
        for (name, is_inside) in [(block.slice(19..21), true), (Bytes::from_static(b"me"), false)] {
            let mut publish = Publish {
                sequence_id: 0,
                highest_sequence_id: None,
                messages: 1,
                entry: entry.clone(),
                sum: Sum::of(&entry),
                key_hash: 0,
                deliver_at: None,
                published_at: 0,
                is_visible: true,
                chunk: None,
                name,
                identity: Identity::Sequence(Sequence::of(0)),
                permit: None,
            };
            publish.detach();
            assert_eq!((&publish.entry, &publish.name[..]), (&entry, &b"me"[..]));
            let within =
                |part: &Bytes, whole: &Bytes| whole.as_ptr_range().contains(&part.as_ptr());
            assert!(!within(&publish.entry, &block) && !within(&publish.name, &block));
            assert_eq!(within(&publish.name, &publish.entry), is_inside);
        }
    }
}
