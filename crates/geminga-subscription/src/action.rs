//! What goes in and out of a subscription: entries that were read, and what it wants done.

use std::ops::Range;

use geminga_types::{KEY_SLOTS, Ordinal, key_slot};

use crate::{AckChange, ConsumerKey};

/// An entry as it was read, with what dispatch must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<P> {
    /// Its place in the topic.
    pub ordinal: Ordinal,
    /// How many messages it holds; 0 counts as 1.
    pub messages: u32,
    /// Its size, for the limits on what is held.
    pub bytes: usize,
    /// Slot of its key, in `0..65536`. `Key_Shared` only; a larger number is taken modulo 65536.
    pub key_hash: u32,
    /// When it may be delivered, in milliseconds of wall time. Shared and `Key_Shared` only.
    pub deliver_at: Option<u64>,
    /// When it was published, in milliseconds of wall time: what its time to live begins with.
    pub published_at: u64,
    /// Whether consumers may see it; an entry that is not visible is acked without delivery.
    pub visible: bool,
    /// Which part of a message in chunks it is, if it is one.
    pub chunk: Option<Chunk>,
    /// Handed through.
    pub payload: P,
}

/// A part of a message that is larger than an entry may be. On Shared all parts go to one consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Hash of the message's id. Two messages with the same one just go to the same consumer.
    pub message: u32,
    /// Whether it is the first part.
    pub is_first: bool,
}

impl<P> Entry<P> {
    /// What decides with which other entries it goes to one consumer: the slot of its key, or behind
    /// those the message of which it is a chunk.
    pub(crate) fn slot(&self) -> u32 {
        let slot_of = |chunk: Chunk| KEY_SLOTS + chunk.message % (u32::MAX - KEY_SLOTS);
        self.chunk.map_or_else(|| key_slot(self.key_hash), slot_of)
    }
}

/// An entry on its way to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery<P> {
    /// Its place in the topic.
    pub ordinal: Ordinal,
    /// How often it was asked for again.
    pub redelivery_count: u32,
    /// Which of its messages are not yet acked (bit = 1), if some are.
    pub ack_set: Option<Box<[i64]>>,
    /// Messages not yet acked: what the delivery costs in permits.
    pub messages: u32,
    /// As it came with the read.
    pub payload: P,
}

/// A delayed entry, as the topic's index has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayedEntry {
    /// When it may be delivered, in milliseconds of wall time.
    pub due: u64,
    /// Its place in the topic.
    pub ordinal: Ordinal,
    /// Slot of its key.
    pub slot: u32,
}

/// The answer to a load: what the index has from where the load begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedDelayed {
    /// Acked or not.
    pub entries: Vec<DelayedEntry>,
    /// The next one that the index has, by its time and place; `None`: there is none.
    pub until: Option<(u64, Ordinal)>,
}

/// Entries that a read has passed over, since the topic's index has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEntries {
    /// Ascending, not overlapping; what in them is acked does not count.
    pub runs: Vec<Range<Ordinal>>,
    /// None of them is due before, in milliseconds of wall time.
    pub due_min: u64,
}

/// An entry for the dead-letter publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter<P> {
    /// Its place in the topic.
    pub ordinal: Ordinal,
    /// How often it was asked for again, and one more.
    pub redelivery_count: u32,
    /// Which of its messages are not yet acked (bit = 1), if some are.
    pub ack_set: Option<Box<[i64]>>,
    /// How many of those are to be published, the first ones.
    pub messages: u32,
    /// As it came with the read.
    pub payload: P,
}

/// Names one read. An answer to a read that is no longer wanted has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub(crate) u64);

/// A read gave nothing, for whatever reason. It is repeated after a back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entries could not be read")]
pub struct ReadFailed;

/// What the owner of a subscription must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<P> {
    /// Read entries and answer with `on_read`: those in `ranges`, in order, up to `entries_max` and,
    /// after the first, `bytes_max`. At most one wanted read is out at a time.
    Read {
        /// To be given back with the answer.
        id: ReadId,
        /// Ascending, not touching, never empty; together `entries_max` entries.
        ranges: Vec<Range<Ordinal>>,
        /// Most entries to return, at least 1.
        entries_max: usize,
        /// Bytes after which no further entry is wanted.
        bytes_max: usize,
        /// From here on, runs of entries that the index has may be left out, if the answer says so; they
        /// may reach beyond what was asked for. `None`: none may.
        park_from: Option<Ordinal>,
    },
    /// Tell what the index of delayed entries has, in the order of their times and places, and answer
    /// with `on_delayed`. At most one wanted load is out at a time.
    LoadDelayed {
        /// To be given back with the answer.
        id: ReadId,
        /// The time and place to begin with.
        after: (u64, Ordinal),
        /// Most entries to return, at least 1.
        entries_max: usize,
    },
    /// Send entries to a consumer, in this order.
    Deliver {
        /// The consumer.
        consumer: ConsumerKey,
        /// The consumer's epoch, for the MESSAGE commands. Exclusive and Failover only.
        consumer_epoch: Option<u64>,
        /// At least one.
        deliveries: Vec<Delivery<P>>,
    },
    /// Publish entries, in this order, to where dead letters go, and answer with `on_dead_letters`. One
    /// batch is out at a time.
    DeadLetters {
        /// At least one.
        letters: Vec<DeadLetter<P>>,
        /// Redelivery counts that now say that an entry may have been published: to be durable before
        /// any of them is.
        raised: Vec<(Ordinal, u32)>,
    },
    /// Tell a Failover consumer whether it is the active one.
    ActiveChanged {
        /// The consumer.
        consumer: ConsumerKey,
        /// Whether it is now the one that gets the messages.
        active: bool,
    },
    /// The subscription acked entries by itself (not visible, past their time, or trimmed): persist it
    /// as any ack.
    Acked(AckChange),
}
