//! A ledger's metadata, as BookKeeper's clients keep it.
//!
//! Written in BookKeeper's format 3: the line `BookieMetadataFormatVersion\t3\n`, then a varint
//! length and a message of that length. Formats 1 and 2, which are texts of before BookKeeper 4.9,
//! are recognised and refused.
//!
//! # Invariants, checked when read
//!
//! 1. 1 ≤ Qa ≤ Qw ≤ E ≤ 64.
//! 2. The first ensemble begins at entry 0, and every ensemble has E bookies.
//! 3. A closed ledger names its last entry, −1 when it is empty.

use std::collections::BTreeMap;

use bytes::Bytes;
use geminga_types::EntryId;
use prost::Message;

use super::{InvalidValue, damaged};

#[expect(unnameable_types, unreachable_pub, reason = "generated, and partly exported")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/ledger.rs"));
}

use generated::{
    LedgerMetadataFormat,
    ledger_metadata_format::{CMetadataMapEntry, DigestType as Digest, Segment, State},
};

const KIND: &str = "ledger metadata";
const HEADER: &[u8] = b"BookieMetadataFormatVersion\t";
const VERSION: &[u8] = b"3";
const ENSEMBLE_SIZE_MAX: u32 = 64;

/// A ledger's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerMetadata {
    /// E: how many bookies hold the ledger.
    pub ensemble_size: u32,
    /// Qw: how many of them hold an entry.
    pub write_quorum: u32,
    /// Qa: how many of them confirm one.
    pub ack_quorum: u32,
    /// How far its life is.
    pub state: LedgerState,
    /// The bookies' ids in ensemble order, by the first entry they hold.
    pub ensembles: BTreeMap<EntryId, Vec<String>>,
    /// How entries are protected; absent in very old ledgers.
    pub digest_type: Option<DigestType>,
    /// What a reader must know.
    pub password: Bytes,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: Option<i64>,
    /// Notes of its maker, such as Pulsar's `application`.
    pub custom: BTreeMap<String, Bytes>,
    /// Tells whether a creation whose answer was lost was this one.
    pub creation_token: Option<i64>,
}

/// How far a ledger's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerState {
    /// Its writer may add entries.
    Open,
    /// A recoverer is finding its end.
    InRecovery,
    /// Its end is fixed.
    Closed {
        /// The last entry; −1 when it is empty.
        last_entry: EntryId,
        /// Bytes of all entries.
        length: u64,
    },
}

/// How entries are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestType {
    /// CRC-32 (IEEE).
    Crc32,
    /// HMAC-SHA1 with the password.
    Hmac,
    /// CRC-32C, which Pulsar uses.
    Crc32c,
    /// Not at all.
    Dummy,
}

impl LedgerMetadata {
    /// The bookies that hold `entry`, and the first entry of their ensemble.
    #[must_use]
    pub fn ensemble_at(&self, entry: EntryId) -> Option<(EntryId, &[String])> {
        let (first, bookies) = self.ensembles.range(..=entry).next_back()?;
        Some((*first, bookies))
    }

    /// Writes the value.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (state, last_entry_id, length) = match self.state {
            LedgerState::Open => (State::Open, -1, 0),
            LedgerState::InRecovery => (State::InRecovery, -1, 0),
            LedgerState::Closed { last_entry, length } => {
                (State::Closed, last_entry.0, i64::try_from(length).unwrap_or(i64::MAX))
            }
        };
        let message = LedgerMetadataFormat {
            quorum_size: small(self.write_quorum),
            ensemble_size: small(self.ensemble_size),
            length,
            last_entry_id: Some(last_entry_id),
            state: state.into(),
            segment: self
                .ensembles
                .iter()
                .map(|(first, bookies)| Segment {
                    ensemble_member: bookies.clone(),
                    first_entry_id: first.0,
                })
                .collect(),
            digest_type: self.digest_type.map(|digest| Digest::from(digest).into()),
            password: Some(self.password.clone()),
            ack_quorum_size: Some(small(self.ack_quorum)),
            ctime: self.created_ms,
            custom_metadata: self
                .custom
                .iter()
                .map(|(key, value)| CMetadataMapEntry {
                    key: Some(key.clone()),
                    value: Some(value.clone()),
                })
                .collect(),
            c_token: self.creation_token,
        };
        [HEADER, VERSION, b"\n", &message.encode_length_delimited_to_vec()].concat().into()
    }

    /// Reads the value.
    ///
    /// # Errors
    ///
    /// If the bytes are not one, or break an invariant of this file.
    pub fn decode(bytes: &Bytes) -> Result<Self, InvalidValue> {
        let rest = bytes.strip_prefix(HEADER).ok_or_else(|| damaged(KIND, "its header is bad"))?;
        let end = rest.iter().take(11).position(|byte| *byte == b'\n');
        let Some(end) = end else { return Err(damaged(KIND, "its version has no end")) };
        if &rest[..end] != VERSION {
            let format = String::from_utf8_lossy(&rest[..end]).into_owned();
            return Err(InvalidValue::UnknownFormat { kind: KIND, format });
        }
        let message = LedgerMetadataFormat::decode_length_delimited(&rest[end + 1..])
            .map_err(|error| damaged(KIND, error))?;
        Self::from_message(message)
    }

    fn from_message(message: LedgerMetadataFormat) -> Result<Self, InvalidValue> {
        let size = |size: i32| u32::try_from(size).map_err(|error| damaged(KIND, error));
        let write_quorum = size(message.quorum_size)?;
        let metadata = Self {
            ensemble_size: size(message.ensemble_size)?,
            write_quorum,
            ack_quorum: message.ack_quorum_size.map_or(Ok(write_quorum), size)?,
            state: state(&message)?,
            digest_type: match message.digest_type {
                None => None,
                Some(digest) => Some(Digest::try_from(digest).map_err(|_| unknown(digest))?.into()),
            },
            password: message.password.unwrap_or_default(),
            created_ms: message.ctime,
            custom: message
                .custom_metadata
                .into_iter()
                .map(|entry| (entry.key.unwrap_or_default(), entry.value.unwrap_or_default()))
                .collect(),
            creation_token: message.c_token,
            ensembles: message
                .segment
                .into_iter()
                .map(|segment| (EntryId(segment.first_entry_id), segment.ensemble_member))
                .collect(),
        };
        metadata.check()?;
        Ok(metadata)
    }

    fn check(&self) -> Result<(), InvalidValue> {
        let (e, qw, qa) = (self.ensemble_size, self.write_quorum, self.ack_quorum);
        if qa < 1 || qw < qa || e < qw || e > ENSEMBLE_SIZE_MAX {
            return Err(damaged(KIND, format!("E = {e}, Qw = {qw}, Qa = {qa}")));
        }
        let has_size = |bookies: &Vec<String>| u32::try_from(bookies.len()) == Ok(e);
        if !self.ensembles.values().all(has_size) {
            return Err(damaged(KIND, format!("an ensemble has not {e} bookies")));
        }
        if self.ensembles.keys().next() != Some(&EntryId(0)) {
            return Err(damaged(KIND, "no ensemble holds the first entry"));
        }
        Ok(())
    }
}

fn state(message: &LedgerMetadataFormat) -> Result<LedgerState, InvalidValue> {
    match State::try_from(message.state).map_err(|_| unknown(message.state))? {
        State::Open => Ok(LedgerState::Open),
        State::InRecovery => Ok(LedgerState::InRecovery),
        State::Closed => {
            let last_entry = match message.last_entry_id {
                Some(last @ -1..) => EntryId(last),
                other => return Err(damaged(KIND, format!("closed with last entry {other:?}"))),
            };
            let length = u64::try_from(message.length).map_err(|error| damaged(KIND, error))?;
            Ok(LedgerState::Closed { last_entry, length })
        }
    }
}

fn unknown(number: i32) -> InvalidValue {
    damaged(KIND, format!("a state or digest type is {number}"))
}

/// E, Qw and Qa are at most 64 in every ledger that is written.
fn small(size: u32) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}

impl From<DigestType> for Digest {
    fn from(digest: DigestType) -> Self {
        match digest {
            DigestType::Crc32 => Self::Crc32,
            DigestType::Hmac => Self::Hmac,
            DigestType::Crc32c => Self::Crc32c,
            DigestType::Dummy => Self::Dummy,
        }
    }
}

impl From<Digest> for DigestType {
    fn from(digest: Digest) -> Self {
        match digest {
            Digest::Crc32 => Self::Crc32,
            Digest::Hmac => Self::Hmac,
            Digest::Crc32c => Self::Crc32c,
            Digest::Dummy => Self::Dummy,
        }
    }
}

#[cfg(test)]
mod tests;
