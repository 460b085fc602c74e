//! Bytes of a journal file: see `docs/formats/journal.md`.

use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};

use crate::fields::Fields;

/// Everything begins on a multiple of this.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// The newest version this code reads, and the one it writes.
pub(crate) const VERSION: u32 = 1;
pub(crate) const FILE_HEAD_BYTES: usize = 64;
pub(crate) const GROUP_HEAD_BYTES: usize = 64;
pub(crate) const RECORD_HEAD_BYTES: usize = 32;

const FILE_MAGIC: [u8; 8] = *b"GMGJRNL\n";
const GROUP_MAGIC: [u8; 4] = *b"GRP\n";
const CRC_AT: usize = 4;
const CRC_END: usize = 8;

/// Head of a file, in its first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHead {
    /// Which use of a journal file this is, counted over the life of the bookie.
    pub(crate) generation: u64,
    /// Drawn at random, so that no client can guess what would pass for a group.
    pub(crate) salt: u64,
    /// Sequence of the first group.
    pub(crate) first_sequence: u64,
    /// All groups with lower sequences were synced when the file was begun.
    pub(crate) durable_before: u64,
}

/// Why bytes are not a file's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHead {
    /// Blank, torn or damaged.
    Damaged,
    /// Of this newer version.
    Newer(u32),
}

/// Head of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHead {
    pub(crate) generation: u64,
    pub(crate) salt: u64,
    pub(crate) sequence: u64,
    /// All groups with lower sequences were synced when this one was written.
    pub(crate) durable_before: u64,
    /// Bytes of head, record heads and bodies, without padding.
    pub(crate) length: u32,
    /// Number of records.
    pub(crate) count: u32,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An entry; its body is the stored bytes.
    Entry,
    /// A ledger's master key. Not written by this version.
    LedgerKey,
    /// The ledger is fenced.
    Fence,
    /// The entry field is the ledger's explicit LAC. Not written by this version.
    ExplicitLac,
    /// The ledger may have lost entries in an unclean stop. Not written by this version.
    Limbo,
    /// The ledger is deleted.
    Delete,
}

/// Head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) kind: Kind,
    pub(crate) ledger_id: LedgerId,
    pub(crate) entry_id: EntryId,
    /// Bytes of the body.
    pub(crate) length: u32,
    /// CRC32C of the body.
    pub(crate) crc: u32,
}

impl FileHead {
    pub(crate) fn encode(&self) -> [u8; FILE_HEAD_BYTES] {
        let mut bytes = [0; FILE_HEAD_BYTES];
        bytes[..8].copy_from_slice(&FILE_MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.durable_before.to_le_bytes());
        let crc = Sum::of(&bytes[..60]).crc();
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BadHead> {
        let head = bytes.get(..FILE_HEAD_BYTES).ok_or(BadHead::Damaged)?;
        Self::fields(head).ok_or(BadHead::Damaged)?
    }

    fn fields(head: &[u8]) -> Option<Result<Self, BadHead>> {
        let crc = Fields(head.get(60..)?).u32()?;
        let mut fields = Fields(head);
        if fields.bytes::<8>()? != FILE_MAGIC || Sum::of(&head[..60]).crc() != crc {
            return None;
        }
        let version = fields.u32()?;
        if version != VERSION {
            return Some(Err(BadHead::Newer(version)));
        }
        fields.u32()?;
        Some(Ok(Self {
            generation: fields.u64()?,
            salt: fields.u64()?,
            first_sequence: fields.u64()?,
            durable_before: fields.u64()?,
        }))
    }
}

impl GroupHead {
    /// Writes the head into `group`, whose record heads are in place.
    pub(crate) fn seal(&self, group: &mut [u8]) {
        group[..CRC_AT].copy_from_slice(&GROUP_MAGIC);
        group[8..16].copy_from_slice(&self.generation.to_le_bytes());
        group[16..24].copy_from_slice(&self.salt.to_le_bytes());
        group[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        group[32..40].copy_from_slice(&self.durable_before.to_le_bytes());
        group[40..44].copy_from_slice(&self.length.to_le_bytes());
        group[44..48].copy_from_slice(&self.count.to_le_bytes());
        let crc = Sum::of(&group[CRC_END..self.heads_bytes()]).crc();
        group[CRC_AT..CRC_END].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads a head, of which nothing is proven before [`Self::is_sealed`].
    pub(crate) fn peek(group: &[u8]) -> Option<Self> {
        let mut fields = Fields(group.get(..GROUP_HEAD_BYTES)?);
        if fields.bytes::<4>()? != GROUP_MAGIC {
            return None;
        }
        fields.u32()?;
        let head = Self {
            generation: fields.u64()?,
            salt: fields.u64()?,
            sequence: fields.u64()?,
            durable_before: fields.u64()?,
            length: fields.u32()?,
            count: fields.u32()?,
        };
        (head.heads_bytes() <= head.length as usize).then_some(head)
    }

    /// Whether the checksum over this head and the record heads is right.
    pub(crate) fn is_sealed(&self, group: &[u8]) -> bool {
        let crc = group.get(CRC_AT..CRC_END).and_then(|bytes| Fields(bytes).u32());
        match (crc, group.get(CRC_END..self.heads_bytes())) {
            (Some(crc), Some(heads)) => Sum::of(heads).crc() == crc,
            _ => false,
        }
    }

    /// Bytes of this head and the record heads.
    pub(crate) const fn heads_bytes(&self) -> usize {
        (self.count as usize).saturating_mul(RECORD_HEAD_BYTES).saturating_add(GROUP_HEAD_BYTES)
    }
}

impl RecordHead {
    pub(crate) fn encode(&self) -> [u8; RECORD_HEAD_BYTES] {
        let mut bytes = [0; RECORD_HEAD_BYTES];
        bytes[0] = self.kind.code();
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.ledger_id.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.entry_id.0.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// `None` when the kind is unknown.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let kind = Kind::of(fields.u8()?)?;
        fields.bytes::<3>()?;
        let crc = fields.u32()?;
        let ledger_id = LedgerId(fields.i64()?);
        let entry_id = EntryId(fields.i64()?);
        Some(Self { kind, ledger_id, entry_id, length: fields.u32()?, crc })
    }
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Entry => 1,
            Self::LedgerKey => 2,
            Self::Fence => 3,
            Self::ExplicitLac => 4,
            Self::Limbo => 5,
            Self::Delete => 6,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Entry,
            2 => Self::LedgerKey,
            3 => Self::Fence,
            4 => Self::ExplicitLac,
            5 => Self::Limbo,
            6 => Self::Delete,
            _ => return None,
        })
    }
}
