//! Which messages survive a compaction: the last of each key, unless it deletes the key.
//!
//! Entries are noted one by one, in order, and then decided on in the same order. Messages without a
//! key are kept or dropped, as Pulsar's `topicCompactionRetainNullKey` says. Of a message in chunks all
//! chunks share its fate, which its last chunk brings; one whose last chunk has not come is kept.
//!
//! # Invariants
//!
//! 1. What cannot be read is kept.
//! 2. An entry is decided on as it was noted: both see the same bytes.

use std::{
    collections::{BTreeSet, HashMap},
    mem::size_of,
};

use bytes::Bytes;
use geminga_types::{LedgerId, Position};
use geminga_wire::{batch::BatchMessage, entry::Chunk};

use super::{
    content::{Content, One, last_index_of},
    rewrite::{NotRewritten, rewrite},
};

/// What a map's slot costs beside its key, with its share of the empty ones.
const SLOT_BYTES: usize = 2 * (size_of::<Box<[u8]>>() + size_of::<Last>());

/// The last message of each key.
#[derive(Debug)]
pub(super) struct Survivors {
    keeps_null_keys: bool,
    /// Never iterated but to collect ledgers, whose order is their own.
    last: HashMap<Box<[u8]>, Last>,
    /// Messages of which not all chunks have come.
    unfinished: BTreeSet<Box<[u8]>>,
    key_bytes: usize,
    /// Ledgers of entries that are kept whatever their keys.
    kept: BTreeSet<LedgerId>,
    /// Messages that are left out, so far.
    removed: u64,
}

/// Where the last message of a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    position: Position,
    /// In a batch, or -1.
    index: i32,
    /// The message that it is a chunk of.
    chunk_of: Option<Box<[u8]>>,
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// With the index of the last message in it, or -1.
    All(i32),
    /// The same; this instead of it.
    Part(Bytes, i32),
}

impl Survivors {
    pub(super) fn new(keeps_null_keys: bool) -> Self {
        Self {
            keeps_null_keys,
            last: HashMap::new(),
            unfinished: BTreeSet::new(),
            key_bytes: 0,
            kept: BTreeSet::new(),
            removed: 0,
        }
    }

    /// Memory that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.key_bytes + (self.last.len() + self.unfinished.len()) * SLOT_BYTES
    }

    pub(super) const fn removed(&self) -> u64 {
        self.removed
    }

    /// Ledgers that have entries which may survive.
    pub(super) fn ledgers(&self) -> BTreeSet<LedgerId> {
        let last = self.last.values().map(|last| last.position.ledger_id);
        self.kept.iter().copied().chain(last).collect()
    }

    /// Notes an entry, which lies behind all noted before.
    pub(super) fn note(&mut self, position: Position, entry: &Bytes) {
        match Content::of(entry) {
            Content::Marker => self.removed += 1,
            Content::Opaque => _ = self.kept.insert(position.ledger_id),
            Content::One(one) => self.note_one(position, &one),
            Content::Batch(messages) => {
                for (message, index) in messages.iter().zip(0..) {
                    if !message.metadata.compacted_out() {
                        let key = message.metadata.partition_key.as_ref().map(String::as_bytes);
                        let last = Last { position, index, chunk_of: None };
                        self.note_message(key, message.payload.is_empty(), last);
                    }
                }
            }
        }
    }

    fn note_one(&mut self, position: Position, one: &One<'_>) {
        let Some(chunk) = one.chunk else {
            return self.note_message(
                one.key,
                one.is_delete,
                Last { position, index: -1, chunk_of: None },
            );
        };
        self.kept.insert(position.ledger_id);
        if chunk.chunk_id.saturating_add(1) < chunk.num_chunks {
            if self.unfinished.insert(chunk.uuid.into()) {
                self.key_bytes += chunk.uuid.len();
            }
            return;
        }
        // What is remembered of it stays as long.
        if !self.unfinished.remove(chunk.uuid) {
            self.key_bytes += chunk.uuid.len();
        }
        let last = Last { position, index: -1, chunk_of: Some(chunk.uuid.into()) };
        self.note_message(one.key, false, last);
    }

    fn note_message(&mut self, key: Option<&[u8]>, is_delete: bool, last: Last) {
        let Some(key) = key else {
            if self.keeps_null_keys {
                self.kept.insert(last.position.ledger_id);
            } else {
                self.removed += 1;
            }
            return;
        };
        if is_delete {
            self.removed += 1;
            if self.last.remove(key).is_some() {
                self.removed += 1;
                self.key_bytes -= key.len();
            }
        } else if let Some(before) = self.last.get_mut(key) {
            self.removed += 1;
            *before = last;
        } else {
            self.key_bytes += key.len();
            self.last.insert(key.into(), last);
        }
    }

    /// Decides on an entry that was noted.
    pub(super) fn keep(&self, position: Position, entry: &Bytes) -> Result<Kept, NotRewritten> {
        match Content::of(entry) {
            Content::Marker => Ok(Kept::Nothing),
            Content::Opaque => Ok(Kept::All(last_index_of(entry))),
            Content::One(one) => {
                let is_kept = match one.chunk {
                    Some(chunk) => self.keeps_chunk(one.key, chunk),
                    None => self.keeps(one.key, position, -1),
                };
                Ok(if is_kept { Kept::All(one.last_index) } else { Kept::Nothing })
            }
            Content::Batch(messages) => self.keep_batch(position, entry, messages),
        }
    }

    fn keep_batch(
        &self,
        position: Position,
        entry: &Bytes,
        messages: Vec<BatchMessage>,
    ) -> Result<Kept, NotRewritten> {
        let is_kept = |(message, index): (&BatchMessage, i32)| {
            let key = message.metadata.partition_key.as_ref().map(String::as_bytes);
            !message.metadata.compacted_out() && self.keeps(key, position, index)
        };
        let is_kept: Vec<bool> = messages.iter().zip(0..).map(is_kept).collect();
        let Some(last) = is_kept.iter().rposition(|is_kept| *is_kept) else {
            return Ok(Kept::Nothing);
        };
        let last = i32::try_from(last).unwrap_or(i32::MAX);
        let is_changed = messages
            .iter()
            .zip(&is_kept)
            .any(|(message, is_kept)| !is_kept && !message.metadata.compacted_out());
        if !is_changed {
            return Ok(Kept::All(last));
        }
        Ok(Kept::Part(rewrite(entry, messages, &is_kept)?, last))
    }

    fn keeps(&self, key: Option<&[u8]>, position: Position, index: i32) -> bool {
        let Some(key) = key else { return self.keeps_null_keys };
        let is_it = |last: &Last| (last.position, last.index) == (position, index);
        self.last.get(key).is_some_and(is_it)
    }

    fn keeps_chunk(&self, key: Option<&[u8]>, chunk: Chunk<'_>) -> bool {
        if self.unfinished.contains(chunk.uuid) {
            return true;
        }
        let Some(key) = key else { return self.keeps_null_keys };
        let is_it = |last: &Last| last.chunk_of.as_deref() == Some(chunk.uuid);
        self.last.get(key).is_some_and(is_it)
    }
}

#[cfg(test)]
mod tests;
