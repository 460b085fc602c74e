//! One group: built from adds with one copy of each entry, and read back.
//!
//! The checksum of a group covers its head and its record heads, and each record head holds the
//! checksum of its body, which came with the entry: so every byte is covered and no payload is read.

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, ENVELOPE_HEAD_BYTES};
use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};

use super::format::{
    BLOCK_BYTES, GROUP_HEAD_BYTES, GroupHead, Kind, RECORD_HEAD_BYTES, RecordHead,
};
use crate::{
    fields::{align, short, size},
    write_cache::Placed,
};

/// A change of a ledger, without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Fence(LedgerId),
    Delete(LedgerId),
}

/// Bytes that a group of these takes in a file.
pub(crate) fn padded_bytes(entry_bytes: usize, records: usize) -> usize {
    size(align((GROUP_HEAD_BYTES + records * RECORD_HEAD_BYTES + entry_bytes) as u64, BLOCK_BYTES))
}

/// Builds a group; `head` needs its length and count not yet. Notes in `placed` where each entry
/// lies in it.
pub(crate) fn encode(
    mut head: GroupHead,
    entries: &[AddEntry],
    controls: &[Control],
    placed: &mut Vec<Placed>,
) -> Vec<u8> {
    let body_bytes: usize = entries.iter().map(|entry| entry.sum.len()).sum();
    let count = entries.len() + controls.len();
    let padded = padded_bytes(body_bytes, count);
    head.count = short(count);
    head.length = short(head.heads_bytes() + body_bytes);
    let mut group = Vec::with_capacity(padded);
    group.resize(GROUP_HEAD_BYTES, 0);
    let mut offset = head.heads_bytes();
    for entry in entries {
        let length = entry.sum.len();
        placed.push(place(entry, short(offset)));
        offset += length;
        group.extend_from_slice(&entry_head(entry).encode());
    }
    for control in controls {
        group.extend_from_slice(&control.head().encode());
    }
    for entry in entries {
        group.extend_from_slice(&entry.head);
        group.extend_from_slice(&entry.front);
        group.extend_from_slice(&entry.body);
    }
    group.resize(padded, 0);
    head.seal(&mut group);
    group
}

fn entry_head(entry: &AddEntry) -> RecordHead {
    RecordHead {
        kind: Kind::Entry,
        ledger_id: entry.ledger_id,
        entry_id: entry.entry_id,
        length: short(entry.sum.len()),
        crc: entry.sum.crc(),
    }
}

fn place(entry: &AddEntry, offset: u32) -> Placed {
    let sum = || Sum::of(&entry.head).append(&entry.front).append(&entry.body);
    debug_assert_eq!(sum(), entry.sum, "a wrong sum is damage");
    Placed {
        ledger_id: entry.ledger_id,
        entry_id: entry.entry_id,
        last_add_confirmed: last_add_confirmed(&entry.head),
        offset,
        length: short(entry.sum.len()),
        crc: entry.sum.crc(),
    }
}

/// The LAC that an envelope names; [`EntryId::NONE`] when there is no envelope.
pub(crate) fn last_add_confirmed(stored: &[u8]) -> EntryId {
    let field = stored.get(16..24).and_then(|bytes| bytes.first_chunk::<8>());
    match field {
        Some(bytes) if stored.len() >= ENVELOPE_HEAD_BYTES => EntryId(i64::from_be_bytes(*bytes)),
        _ => EntryId::NONE,
    }
}

impl Control {
    fn head(self) -> RecordHead {
        let (kind, ledger_id) = match self {
            Self::Fence(ledger_id) => (Kind::Fence, ledger_id),
            Self::Delete(ledger_id) => (Kind::Delete, ledger_id),
        };
        RecordHead { kind, ledger_id, entry_id: EntryId::NONE, length: 0, crc: 0 }
    }
}

/// A group as it was read.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) head: GroupHead,
    pub(crate) buffer: Bytes,
    pub(crate) entries: Vec<Placed>,
    pub(crate) controls: Vec<Control>,
}

/// Why bytes are not a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadGroup {
    /// Something else, torn or damaged.
    Damaged,
    /// Whole, with a record that only a newer version understands.
    Newer,
}

/// Reads and proves a whole group; `buffer` holds at least its `head.length` bytes.
pub(crate) fn decode(head: GroupHead, buffer: Bytes) -> Result<Group, BadGroup> {
    if !head.is_sealed(&buffer) {
        return Err(BadGroup::Damaged);
    }
    let mut group = Group { head, buffer, entries: Vec::new(), controls: Vec::new() };
    let mut offset = head.heads_bytes();
    let mut is_newer = false;
    for at in (GROUP_HEAD_BYTES..head.heads_bytes()).step_by(RECORD_HEAD_BYTES) {
        let Some(record) = RecordHead::decode(&group.buffer[at..at + RECORD_HEAD_BYTES]) else {
            return Err(BadGroup::Newer);
        };
        let end = offset + record.length as usize;
        let body = group.buffer.get(offset..end).ok_or(BadGroup::Damaged)?;
        if Sum::of(body).crc() != record.crc {
            return Err(BadGroup::Damaged);
        }
        match record.kind {
            Kind::Entry => group.entries.push(Placed {
                ledger_id: record.ledger_id,
                entry_id: record.entry_id,
                last_add_confirmed: last_add_confirmed(body),
                offset: short(offset),
                length: record.length,
                crc: record.crc,
            }),
            Kind::Fence => group.controls.push(Control::Fence(record.ledger_id)),
            Kind::Delete => group.controls.push(Control::Delete(record.ledger_id)),
            Kind::LedgerKey | Kind::ExplicitLac | Kind::Limbo => is_newer = true,
        }
        offset = end;
    }
    match offset == head.length as usize {
        true if is_newer => Err(BadGroup::Newer),
        true => Ok(group),
        false => Err(BadGroup::Damaged),
    }
}

#[cfg(test)]
mod tests;
