//! BookKeeper's entry envelope: 36 bytes before each body. See `docs/formats/entry-envelope.md`.
//!
//! Four big-endian `i64`, then the digest: CRC32C of those 32 bytes and the body, big endian.

use bytes::Bytes;
use geminga_bookie_api::ENVELOPE_HEAD_BYTES;
use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};

const SUMMED_BYTES: usize = 32;

/// What an envelope says of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) ledger_id: LedgerId,
    pub(crate) entry_id: EntryId,
    /// The writer's LAC when it sent the entry.
    pub(crate) last_add_confirmed: EntryId,
    /// Bytes of all bodies up to and with this one.
    pub(crate) length: u64,
}

/// A stored entry whose digest is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) head: Head,
    /// Envelope and body.
    pub(crate) stored: Bytes,
}

/// Why stored bytes are not the entry that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// They end within the envelope.
    #[error("{0} bytes are too few for an entry")]
    Short(usize),
    /// The digest in the envelope is of other bytes.
    #[error("the digest does not match")]
    Digest,
    /// It is another entry, whole.
    #[error("it is entry {1} of ledger {0}")]
    Other(LedgerId, EntryId),
    /// Nobody writes such an envelope.
    #[error("its length or LAC is impossible")]
    Impossible,
}

/// Checks that stored bytes are that entry, undamaged: for tools that read a bookie's files.
///
/// # Errors
///
/// What is wrong with them.
pub fn check(ledger_id: LedgerId, entry_id: EntryId, stored: &Bytes) -> Result<(), Damaged> {
    open(ledger_id, entry_id, stored).map(|_| ())
}

impl Opened {
    pub(crate) fn body(&self) -> Bytes {
        self.stored.slice(ENVELOPE_HEAD_BYTES..)
    }
}

impl Head {
    /// Makes the envelope of a body with this sum, and the sum of both.
    pub(crate) fn enclose(&self, body_sum: Sum) -> ([u8; ENVELOPE_HEAD_BYTES], Sum) {
        let length = i64::try_from(self.length).expect("a ledger is smaller than 8 EiB");
        let mut bytes = [0; ENVELOPE_HEAD_BYTES];
        bytes[0..8].copy_from_slice(&self.ledger_id.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.entry_id.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.last_add_confirmed.0.to_be_bytes());
        bytes[24..32].copy_from_slice(&length.to_be_bytes());
        let digest = Sum::of(&bytes[..SUMMED_BYTES]).then(body_sum);
        bytes[32..36].copy_from_slice(&digest.crc().to_be_bytes());
        let sum = Sum::of(&bytes).then(body_sum);
        (bytes, sum)
    }
}

/// Takes stored bytes apart, if they are that entry, undamaged.
pub(crate) fn open(
    ledger_id: LedgerId,
    entry_id: EntryId,
    bytes: &Bytes,
) -> Result<Opened, Damaged> {
    let short = Damaged::Short(bytes.len());
    let (head, body) = bytes.split_first_chunk::<ENVELOPE_HEAD_BYTES>().ok_or(short)?;
    let (summed, digest) = head.split_at(SUMMED_BYTES);
    if Sum::of(summed).append(body).crc().to_be_bytes() != digest {
        return Err(Damaged::Digest);
    }
    let mut fields = summed
        .chunks_exact(8)
        .map(|field| i64::from_be_bytes(field.try_into().expect("chunks of 8 bytes")));
    let mut field = || fields.next().expect("32 bytes are four fields");
    let (ledger, entry, lac, length) = (field(), field(), field(), field());
    if (ledger, entry) != (ledger_id.0, entry_id.0) {
        return Err(Damaged::Other(LedgerId(ledger), EntryId(entry)));
    }
    let length = u64::try_from(length).map_err(|_| Damaged::Impossible)?;
    if lac < EntryId::NONE.0 || entry <= lac || length < body.len() as u64 {
        return Err(Damaged::Impossible);
    }
    let head = Head { ledger_id, entry_id, last_add_confirmed: EntryId(lac), length };
    Ok(Opened { head, stored: bytes.clone() })
}

#[cfg(test)]
mod tests;
