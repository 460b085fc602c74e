//! The checkpoint: from where the journal must be replayed, and which index counts.
//!
//! One small file, replaced as a whole, that holds its content twice: see
//! `docs/formats/checkpoint.md`. Beside it lies the cookie, which says whose directory this is.

use geminga_checksum::Sum;

use crate::{
    directory::Directory,
    error::{OpenError, WriteError},
    fields::Fields,
    journal::JournalPosition,
};

pub(crate) const NAME: &str = "checkpoint";
const MAGIC: [u8; 8] = *b"GMGCHKP\n";
const VERSION: u32 = 1;
const COPY_BYTES: usize = 128;
const SECOND_COPY_AT: usize = 4096;
const CRC_AT: usize = COPY_BYTES - 4;

/// The content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Everything in the journal before this is in entry logs and the index.
    pub(crate) journal: JournalPosition,
    pub(crate) index_generation: u64,
    pub(crate) index_bytes: u64,
    /// Number for the next entry log.
    pub(crate) next_entry_log: u64,
    /// The entry log that is appended to, if any, and its length.
    pub(crate) entry_log: Option<(u64, u64)>,
    /// Number of the next flush.
    pub(crate) newness: u64,
    /// How often the storage was opened.
    pub(crate) incarnation: u64,
    /// Whether it was closed after this.
    pub(crate) is_clean: bool,
}

impl Checkpoint {
    fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(COPY_BYTES);
        copy.extend_from_slice(&MAGIC);
        copy.extend_from_slice(&VERSION.to_le_bytes());
        let flags = u32::from(self.is_clean) | u32::from(self.entry_log.is_some()) << 1;
        copy.extend_from_slice(&flags.to_le_bytes());
        let (entry_log, entry_log_bytes) = self.entry_log.unwrap_or_default();
        for field in [
            self.journal.generation,
            self.journal.offset,
            self.journal.sequence,
            self.index_generation,
            self.index_bytes,
            self.next_entry_log,
            entry_log,
            entry_log_bytes,
            self.newness,
            self.incarnation,
        ] {
            copy.extend_from_slice(&field.to_le_bytes());
        }
        copy.resize(CRC_AT, 0);
        let crc = Sum::of(&copy).crc();
        copy.extend_from_slice(&crc.to_le_bytes());
        let mut bytes = copy.clone();
        bytes.resize(SECOND_COPY_AT, 0);
        bytes.extend_from_slice(&copy);
        bytes
    }

    fn decode(copy: &[u8]) -> Option<Result<Self, u32>> {
        let crc = Fields(copy.get(CRC_AT..COPY_BYTES)?).u32()?;
        let mut fields = Fields(copy);
        if fields.bytes::<8>()? != MAGIC || Sum::of(&copy[..CRC_AT]).crc() != crc {
            return None;
        }
        let version = fields.u32()?;
        if version != VERSION {
            return Some(Err(version));
        }
        let flags = fields.u32()?;
        let journal = JournalPosition {
            generation: fields.u64()?,
            offset: fields.u64()?,
            sequence: fields.u64()?,
        };
        let (index_generation, index_bytes) = (fields.u64()?, fields.u64()?);
        let next_entry_log = fields.u64()?;
        let entry_log = (fields.u64()?, fields.u64()?);
        Some(Ok(Self {
            journal,
            index_generation,
            index_bytes,
            next_entry_log,
            entry_log: (flags & 2 != 0).then_some(entry_log),
            newness: fields.u64()?,
            incarnation: fields.u64()?,
            is_clean: flags & 1 != 0,
        }))
    }

    /// Reads the checkpoint; `None` when there is none.
    pub(crate) fn read(directory: &Directory) -> Result<Option<Self>, OpenError> {
        let path = directory.join(NAME);
        let bytes = directory.read_all(NAME).map_err(|error| OpenError::io(&path, error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let copies = [bytes.get(..COPY_BYTES), bytes.get(SECOND_COPY_AT..)];
        match copies.into_iter().flatten().find_map(Self::decode) {
            Some(Ok(checkpoint)) => Ok(Some(checkpoint)),
            Some(Err(found)) => Err(OpenError::Newer { path, found, supported: VERSION }),
            None => Err(OpenError::corrupt(&path, 0, "both copies of the checkpoint are damaged")),
        }
    }

    /// Where a copy is damaged, if one is; the other then counts.
    pub(crate) fn damaged_copy(directory: &Directory) -> Result<Option<u64>, OpenError> {
        let bytes = directory.read_all(NAME);
        let bytes = bytes.map_err(|error| OpenError::io(&directory.join(NAME), error))?;
        let bytes = bytes.unwrap_or_default();
        let copies = [(0, bytes.get(..COPY_BYTES)), (SECOND_COPY_AT, bytes.get(SECOND_COPY_AT..))];
        let is_damaged = |copy: Option<&[u8]>| copy.and_then(Self::decode).is_none();
        let found = copies.into_iter().find(|(_, copy)| is_damaged(*copy));
        Ok(found.map(|(offset, _)| offset as u64))
    }

    /// Replaces the checkpoint, durably.
    pub(crate) fn write(&self, directory: &Directory) -> Result<(), WriteError> {
        directory.replace(NAME, &self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Checkpoint {
        Checkpoint {
            journal: JournalPosition { generation: 1, offset: 2, sequence: 3 },
            index_generation: 4,
            index_bytes: 5,
            next_entry_log: 6,
            entry_log: Some((7, 8)),
            newness: 9,
            incarnation: 10,
            is_clean: true,
        }
    }

    #[test]
    fn bytes_are_as_documented() {
        let bytes = example().encode();
        assert_eq!(bytes.len(), 4096 + 128);
        assert_eq!(&bytes[..16], b"GMGCHKP\n\x01\0\0\0\x03\0\0\0");
        for (at, field) in (16..96).step_by(8).zip(1_u64..) {
            assert_eq!(bytes[at..at + 8], field.to_le_bytes());
        }
        assert_eq!(bytes[..128], bytes[4096..]);
        assert_eq!(Checkpoint::decode(&bytes), Some(Ok(example())));
    }

    #[test]
    fn a_flipped_bit_is_detected() {
        let bytes = example().encode();
        for bit in 0..COPY_BYTES * 8 {
            let mut flipped = bytes[..COPY_BYTES].to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for is_clean in [false, true] {
            for entry_log in [None, Some((8, 9))] {
                let checkpoint = Checkpoint {
                    journal: JournalPosition { generation: 1, offset: 2, sequence: 3 },
                    index_generation: 4,
                    index_bytes: 5,
                    next_entry_log: 6,
                    entry_log,
                    newness: 10,
                    incarnation: 11,
                    is_clean,
                };
                let decoded = Checkpoint::decode(&checkpoint.encode()).unwrap().unwrap();
                assert_eq!(decoded, checkpoint);
            }
        }
    }
}
