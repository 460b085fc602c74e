//! Bytes of an entry log: see `docs/formats/entry-log.md`.

use std::ops::Range;

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};

use crate::{fields::Fields, fields::short, index::Row};

pub(crate) const BLOCK_BYTES: usize = 4096;
pub(crate) const VERSION: u32 = 1;
pub(crate) const FILE_HEAD_BYTES: usize = 64;
pub(crate) const RUN_HEAD_BYTES: usize = 64;
pub(crate) const RUN_ENTRY_BYTES: usize = 24;
pub(crate) const FOOTER_HEAD_BYTES: usize = 32;
pub(crate) const FOOTER_RUN_BYTES: usize = 56;
pub(crate) const TRAILER_BYTES: usize = 32;

const FILE_MAGIC: [u8; 8] = *b"GMGELOG\n";
const RUN_MAGIC: [u8; 4] = *b"RUN\n";
const FOOTER_MAGIC: [u8; 4] = *b"EFT\n";
const TRAILER_MAGIC: [u8; 4] = *b"EFE\n";

/// Head of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunHead {
    /// That of the file.
    pub(crate) salt: u64,
    pub(crate) ledger_id: LedgerId,
    pub(crate) first: EntryId,
    pub(crate) last: EntryId,
    pub(crate) newness: u64,
    pub(crate) count: u32,
    /// Bytes of head, table and bodies.
    pub(crate) length: u32,
}

/// Where an entry lies in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunEntry {
    pub(crate) entry_id: EntryId,
    /// From the start of the run.
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// CRC32C of the stored bytes.
    pub(crate) crc: u32,
}

/// Head of a file, in its first block.
pub(crate) fn encode_file_head(number: u64, salt: u64) -> [u8; FILE_HEAD_BYTES] {
    let mut bytes = [0; FILE_HEAD_BYTES];
    bytes[..8].copy_from_slice(&FILE_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&number.to_le_bytes());
    bytes[24..32].copy_from_slice(&salt.to_le_bytes());
    let crc = Sum::of(&bytes[..60]).crc();
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Version, number and salt from the head of a file; `None` when it is damaged.
pub(crate) fn decode_file_head(bytes: &[u8]) -> Option<(u32, u64, u64)> {
    let crc = Fields(bytes.get(60..FILE_HEAD_BYTES)?).u32()?;
    let mut fields = Fields(bytes);
    if fields.bytes::<8>()? != FILE_MAGIC || Sum::of(&bytes[..60]).crc() != crc {
        return None;
    }
    let version = fields.u32()?;
    fields.u32()?;
    Some((version, fields.u64()?, fields.u64()?))
}

/// Bytes of a run of this many entries.
pub(crate) const fn run_bytes(entries: usize, entry_bytes: usize) -> usize {
    RUN_HEAD_BYTES + entries * RUN_ENTRY_BYTES + entry_bytes
}

impl RunHead {
    /// Appends a run; `entries` ascend and have no offsets yet.
    pub(crate) fn encode_run<'a>(
        mut self,
        entries: &[RunEntry],
        bodies: impl Iterator<Item = &'a [u8]>,
        bytes: &mut Vec<u8>,
    ) {
        let start = bytes.len();
        self.count = short(entries.len());
        let mut offset = run_bytes(entries.len(), 0);
        bytes.resize(start + RUN_HEAD_BYTES, 0);
        for entry in entries {
            bytes.extend_from_slice(&entry.entry_id.0.to_le_bytes());
            bytes.extend_from_slice(&short(offset).to_le_bytes());
            bytes.extend_from_slice(&entry.length.to_le_bytes());
            bytes.extend_from_slice(&entry.crc.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            offset += entry.length as usize;
        }
        self.length = short(offset);
        bodies.for_each(|body| bytes.extend_from_slice(body));
        self.seal(&mut bytes[start..]);
    }

    /// Writes the head into a run whose table is in place.
    pub(crate) fn seal(&self, run: &mut [u8]) {
        run[..4].copy_from_slice(&RUN_MAGIC);
        run[8..16].copy_from_slice(&self.salt.to_le_bytes());
        run[16..24].copy_from_slice(&self.ledger_id.0.to_le_bytes());
        run[24..32].copy_from_slice(&self.first.0.to_le_bytes());
        run[32..40].copy_from_slice(&self.last.0.to_le_bytes());
        run[40..48].copy_from_slice(&self.newness.to_le_bytes());
        run[48..52].copy_from_slice(&self.count.to_le_bytes());
        run[52..56].copy_from_slice(&self.length.to_le_bytes());
        run[56..64].fill(0);
        let crc = Sum::of(&run[8..run_bytes(self.count as usize, 0)]).crc();
        run[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The head of a run, proven by its checksum; `run` holds at least head and table.
    pub(crate) fn decode(run: &[u8]) -> Option<Self> {
        let head = Self::peek(run)?;
        let crc = Fields(run.get(4..8)?).u32()?;
        let table = run.get(8..head.table_end())?;
        (Sum::of(table).crc() == crc).then_some(head)
    }

    /// The head of a run, of which nothing is proven.
    pub(crate) fn peek(run: &[u8]) -> Option<Self> {
        let mut fields = Fields(run.get(..RUN_HEAD_BYTES)?);
        if fields.bytes::<4>()? != RUN_MAGIC {
            return None;
        }
        fields.u32()?;
        let head = Self {
            salt: fields.u64()?,
            ledger_id: LedgerId(fields.i64()?),
            first: EntryId(fields.i64()?),
            last: EntryId(fields.i64()?),
            newness: fields.u64()?,
            count: fields.u32()?,
            length: fields.u32()?,
        };
        (head.table_end() <= head.length as usize).then_some(head)
    }

    /// Where the bodies begin.
    pub(crate) const fn table_end(&self) -> usize {
        (self.count as usize).saturating_mul(RUN_ENTRY_BYTES).saturating_add(RUN_HEAD_BYTES)
    }

    /// The row for this run at a place.
    pub(crate) const fn row(&self, file: u64, offset: u64) -> Row {
        Row {
            first: self.first,
            last: self.last,
            newness: self.newness,
            file,
            offset,
            length: self.length,
            count: self.count,
        }
    }
}

/// A run in memory, whole or with some of its bodies. Head and table are proven; bodies are proven when
/// they are taken.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    head: RunHead,
    /// Head and table.
    table: Bytes,
    bodies: Bytes,
    /// Where these begin, from the start of the run.
    bodies_at: usize,
}

impl Run {
    /// A whole run. Proves head and table.
    pub(crate) fn new(bytes: Bytes) -> Option<Self> {
        let table = Self::of_table(bytes.clone())?;
        let (at, end) = (table.bodies_at, table.head.length as usize);
        (end <= bytes.len()).then(|| table.with_bodies(bytes.slice(at..end), at))
    }

    /// A run without bodies. Proves head and table.
    pub(crate) fn of_table(bytes: Bytes) -> Option<Self> {
        let head = RunHead::decode(&bytes)?;
        let bodies_at = head.table_end();
        Some(Self { head, table: bytes.slice(..bodies_at), bodies: Bytes::new(), bodies_at })
    }

    /// The same with the bodies that lie from `bodies_at` on, and no others.
    pub(crate) fn with_bodies(self, bodies: Bytes, bodies_at: usize) -> Self {
        Self { bodies, bodies_at, ..self }
    }

    /// Where the bodies of the entries `first..=last` lie, from the start of the run.
    pub(crate) fn place_of(&self, first: EntryId, last: EntryId) -> Option<Range<usize>> {
        let from = self.find(first);
        let to = self.find(EntryId(last.0.checked_add(1)?));
        let (first, last) = (self.entry(from)?, self.entry(to.checked_sub(1)?)?);
        let end = (last.offset as usize).checked_add(last.length as usize)?;
        (first.offset as usize <= end && end <= self.head.length as usize)
            .then_some(first.offset as usize..end)
    }

    /// Whether all bodies are here.
    pub(crate) const fn has_all(&self) -> bool {
        self.table.len() + self.bodies.len() == self.head.length as usize
    }

    pub(crate) const fn head(&self) -> &RunHead {
        &self.head
    }

    pub(crate) const fn count(&self) -> usize {
        self.head.count as usize
    }

    /// The `at`th entry of the table.
    pub(crate) fn entry(&self, at: usize) -> Option<RunEntry> {
        let from = run_bytes(at, 0);
        let mut fields = Fields(self.table.get(from..from + RUN_ENTRY_BYTES)?);
        Some(RunEntry {
            entry_id: EntryId(fields.i64()?),
            offset: fields.u32()?,
            length: fields.u32()?,
            crc: fields.u32()?,
        })
    }

    /// Index in the table of the first entry at or after `entry_id`.
    pub(crate) fn find(&self, entry_id: EntryId) -> usize {
        let (mut from, mut to) = (0, self.count());
        while from < to {
            let middle = from.midpoint(to);
            if self.entry(middle).is_some_and(|entry| entry.entry_id < entry_id) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from
    }

    /// The stored bytes of an entry, or `None` when they are damaged, or not here.
    pub(crate) fn stored(&self, entry: &RunEntry) -> Option<Bytes> {
        let from = (entry.offset as usize).checked_sub(self.bodies_at)?;
        let to = from.checked_add(entry.length as usize)?;
        let body = self.bodies.get(from..to)?;
        (Sum::of(body).crc() == entry.crc).then(|| self.bodies.slice(from..to))
    }

    /// Whether every entry is undamaged.
    pub(crate) fn is_whole(&self) -> bool {
        (0..self.count())
            .all(|at| self.entry(at).is_some_and(|entry| self.stored(&entry).is_some()))
    }

    /// The same run, which is whole, for another file.
    pub(crate) fn with_salt(&self, salt: u64) -> Vec<u8> {
        let mut bytes = [&self.table[..], &self.bodies].concat();
        RunHead { salt, ..self.head }.seal(&mut bytes);
        bytes
    }

    /// Bytes in memory.
    pub(crate) const fn len(&self) -> usize {
        self.table.len() + self.bodies.len()
    }
}

/// The footer of a file: where each run lies; then the trailer, which says where the footer is.
pub(crate) fn encode_footer(salt: u64, offset: u64, runs: &[(LedgerId, Row)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FOOTER_HEAD_BYTES + runs.len() * FOOTER_RUN_BYTES);
    bytes.extend_from_slice(&FOOTER_MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&salt.to_le_bytes());
    bytes.extend_from_slice(&short(runs.len()).to_le_bytes());
    bytes.resize(FOOTER_HEAD_BYTES, 0);
    for (ledger_id, row) in runs {
        for id in [ledger_id.0, row.first.0, row.last.0] {
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        bytes.extend_from_slice(&row.newness.to_le_bytes());
        bytes.extend_from_slice(&row.offset.to_le_bytes());
        bytes.extend_from_slice(&row.length.to_le_bytes());
        bytes.extend_from_slice(&row.count.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
    }
    let crc = Sum::of(&bytes[8..]).crc();
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    let footer_bytes = bytes.len() as u64;
    let start = bytes.len();
    bytes.extend_from_slice(&TRAILER_MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&salt.to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&footer_bytes.to_le_bytes());
    let crc = Sum::of(&bytes[start + 8..]).crc();
    bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Offset and length of the footer, from the trailer.
pub(crate) fn decode_trailer(bytes: &[u8], salt: u64) -> Option<(u64, u64)> {
    let mut fields = Fields(bytes.get(..TRAILER_BYTES)?);
    if fields.bytes::<4>()? != TRAILER_MAGIC {
        return None;
    }
    let crc = fields.u32()?;
    if Sum::of(&bytes[8..TRAILER_BYTES]).crc() != crc || fields.u64()? != salt {
        return None;
    }
    Some((fields.u64()?, fields.u64()?))
}

/// Whether a trailer, perhaps damaged, is here.
pub(crate) fn resembles_trailer(bytes: &[u8], salt: u64) -> bool {
    bytes.starts_with(&TRAILER_MAGIC) || bytes.get(8..16) == Some(&salt.to_le_bytes())
}

/// Whether a footer, perhaps damaged, begins here.
pub(crate) fn is_footer(bytes: &[u8], salt: u64) -> bool {
    bytes.starts_with(&FOOTER_MAGIC) && bytes.get(8..16) == Some(&salt.to_le_bytes())
}

/// The runs that a footer lists.
pub(crate) fn decode_footer(bytes: &[u8], salt: u64, file: u64) -> Option<Vec<(LedgerId, Row)>> {
    let mut fields = Fields(bytes);
    if fields.bytes::<4>()? != FOOTER_MAGIC {
        return None;
    }
    let crc = fields.u32()?;
    if Sum::of(bytes.get(8..)?).crc() != crc || fields.u64()? != salt {
        return None;
    }
    let count = fields.u32()? as usize;
    let runs = bytes.get(FOOTER_HEAD_BYTES..)?;
    if count.checked_mul(FOOTER_RUN_BYTES)? != runs.len() {
        return None;
    }
    let run = |bytes| {
        let mut fields = Fields(bytes);
        let ledger_id = LedgerId(fields.i64()?);
        let row = Row {
            first: EntryId(fields.i64()?),
            last: EntryId(fields.i64()?),
            newness: fields.u64()?,
            file,
            offset: fields.u64()?,
            length: fields.u32()?,
            count: fields.u32()?,
        };
        Some((ledger_id, row))
    };
    runs.chunks_exact(FOOTER_RUN_BYTES).map(run).collect()
}

#[cfg(test)]
mod tests;
