//! Entries that are durable in the journal and not yet in an entry log.
//!
//! An entry is a slice of its journal group's buffer, which is kept as the cache's arena. There are
//! two generations: the active one collects, the other is being flushed. A generation also remembers
//! which ledgers were fenced or deleted in its time, for the index.

use std::collections::BTreeMap;

use bytes::Bytes;
use geminga_types::{EntryId, LedgerId};

/// Where an entry lies in its group's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) ledger_id: LedgerId,
    pub(crate) entry_id: EntryId,
    pub(crate) last_add_confirmed: EntryId,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// CRC32C of the stored bytes.
    pub(crate) crc: u32,
}

/// An entry of one ledger in a generation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) entry_id: EntryId,
    arena: u32,
    offset: u32,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

/// One generation of the write cache.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    arenas: Vec<Bytes>,
    /// Ascending entry ids; of one added twice, the later.
    ledgers: BTreeMap<LedgerId, Vec<Slot>>,
    fenced: Vec<LedgerId>,
    deleted: Vec<LedgerId>,
    bytes: usize,
    /// In `ledgers`.
    entries: usize,
}

impl Generation {
    /// Bytes of memory, and of journal, that this holds.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries this holds.
    pub(crate) const fn entries(&self) -> usize {
        self.entries
    }

    /// Charges a group and keeps its buffer when it holds entries.
    pub(crate) fn take_group(&mut self, buffer: &Bytes, has_entries: bool) {
        self.bytes += buffer.len();
        if has_entries {
            self.arenas.push(buffer.clone());
        }
    }

    /// Adds entries of one ledger, which lie in the group taken last.
    pub(crate) fn insert(&mut self, ledger_id: LedgerId, entries: &[Placed]) {
        let arena = crate::fields::short(self.arenas.len() - 1);
        let slots = self.ledgers.entry(ledger_id).or_default();
        let before = slots.len();
        for entry in entries {
            let slot = Slot {
                entry_id: entry.entry_id,
                arena,
                offset: entry.offset,
                length: entry.length,
                crc: entry.crc,
            };
            if slots.last().is_none_or(|last| last.entry_id < slot.entry_id) {
                slots.push(slot);
                continue;
            }
            match slots.binary_search_by_key(&slot.entry_id, |other| other.entry_id) {
                Ok(at) => slots[at] = slot,
                Err(at) => slots.insert(at, slot),
            }
        }
        self.entries += slots.len() - before;
    }

    pub(crate) fn fence(&mut self, ledger_id: LedgerId) {
        self.fenced.push(ledger_id);
    }

    /// Forgets a ledger's entries. Their memory goes with the generation.
    pub(crate) fn delete(&mut self, ledger_id: LedgerId) {
        self.entries -= self.ledgers.remove(&ledger_id).map_or(0, |slots| slots.len());
        self.deleted.push(ledger_id);
    }

    /// A ledger's entries from `first` to `last`.
    pub(crate) fn slots(&self, ledger_id: LedgerId, first: EntryId, last: EntryId) -> &[Slot] {
        let slots = self.ledgers.get(&ledger_id).map_or(&[][..], Vec::as_slice);
        let from = slots.partition_point(|slot| slot.entry_id < first);
        let to = slots.partition_point(|slot| slot.entry_id <= last);
        &slots[from..to.max(from)]
    }

    /// All entries, by ledger.
    pub(crate) const fn ledgers(&self) -> &BTreeMap<LedgerId, Vec<Slot>> {
        &self.ledgers
    }

    pub(crate) fn fenced(&self) -> &[LedgerId] {
        &self.fenced
    }

    pub(crate) fn deleted(&self) -> &[LedgerId] {
        &self.deleted
    }

    /// The stored bytes of an entry, and the size of the buffer they keep alive.
    pub(crate) fn stored(&self, slot: &Slot) -> (Bytes, usize) {
        let arena = &self.arenas[slot.arena as usize];
        let offset = slot.offset as usize;
        (arena.slice(offset..offset + slot.length as usize), arena.len())
    }

    /// The stored bytes of an entry, borrowed.
    pub(crate) fn bytes_of(&self, slot: &Slot) -> &[u8] {
        let offset = slot.offset as usize;
        &self.arenas[slot.arena as usize][offset..offset + slot.length as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_ascend_and_of_one_added_twice_the_later_counts() {
        let mut generation = Generation::default();
        for (id, byte) in [(2, b'a'), (5, b'b'), (5, b'c'), (3, b'd'), (2, b'e'), (6, b'f')] {
            generation.take_group(&Bytes::copy_from_slice(&[byte]), true);
            let (ledger_id, entry_id) = (LedgerId(1), EntryId(id));
            let last_add_confirmed = EntryId::NONE;
            let (offset, length, crc) = (0, 1, 0);
            let placed = Placed { ledger_id, entry_id, last_add_confirmed, offset, length, crc };
            generation.insert(ledger_id, &[placed]);
        }
        let slots = generation.slots(LedgerId(1), EntryId(0), EntryId(9)).iter();
        let found: Vec<_> =
            slots.map(|slot| (slot.entry_id.0, generation.bytes_of(slot)[0])).collect();
        assert_eq!(found, [(2, b'e'), (3, b'd'), (5, b'c'), (6, b'f')]);
        assert_eq!(generation.bytes(), 6);
    }

    #[test]
    fn it_remembers_who_was_fenced_and_deleted() {
        let mut generation = Generation::default();
        generation.fence(LedgerId(3));
        generation.delete(LedgerId(4));
        assert_eq!(generation.fenced(), [LedgerId(3)]);
        assert_eq!(generation.deleted(), [LedgerId(4)]);
    }
}
