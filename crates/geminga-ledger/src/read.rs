//! Reads confirmed entries, from whichever replica has them undamaged.

use bytes::Bytes;
use geminga_bookie_api::{self as bookie_api, BookieId};
use geminga_metadata::MetadataError;
use geminga_types::{EntryId, LedgerId};

use crate::{
    Deps, call,
    envelope::{self, Opened},
    record::{self, Record, State},
};

/// One entry of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub entry_id: EntryId,
    /// Its body, as it was added.
    pub body: Bytes,
}

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// `first` is negative or behind `last`. The caller's mistake.
    #[error("entries {first} to {last} are no range")]
    InvalidRange {
        /// As asked.
        first: EntryId,
        /// As asked.
        last: EntryId,
    },
    /// The ledger does not exist: it was deleted.
    #[error("ledger {0} does not exist")]
    NoLedger(LedgerId),
    /// The ledger is closed and ends before.
    #[error("ledger {ledger_id} ends at entry {last_entry}")]
    BeyondEnd {
        /// The ledger.
        ledger_id: LedgerId,
        /// Where it ends.
        last_entry: EntryId,
    },
    /// Every replica says for certain that it does not hold the entry. If it was confirmed, a person
    /// must look.
    #[error("entry {entry_id} of ledger {ledger_id} is on no bookie of its write set")]
    Missing {
        /// The ledger.
        ledger_id: LedgerId,
        /// The entry.
        entry_id: EntryId,
    },
    /// No replica has it undamaged, and none is left to ask. A person must look.
    #[error("entry {entry_id} of ledger {ledger_id} is damaged: {reason}")]
    Corrupt {
        /// The ledger.
        ledger_id: LedgerId,
        /// The entry.
        entry_id: EntryId,
        /// What is wrong with it.
        reason: String,
    },
    /// A replica that may have it could not be read. Retry.
    #[error("entry {entry_id} of ledger {ledger_id} cannot be read now: {reason}")]
    Unavailable {
        /// The ledger.
        ledger_id: LedgerId,
        /// The entry.
        entry_id: EntryId,
        /// What the replica said.
        reason: String,
    },
    /// The metadata store failed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Reads entries `first..=last` in order: at least one, and no more after `bytes_max` bytes, which
/// count as stored, with their envelopes.
///
/// Of an open ledger the caller asks only for what it knows to be confirmed. `last` may lie behind
/// the end of a closed one.
///
/// # Errors
///
/// See [`ReadError`]; about `first`, since what lies before an unreadable entry is returned.
pub async fn read(
    deps: &Deps,
    ledger_id: LedgerId,
    first: EntryId,
    last: EntryId,
    bytes_max: usize,
) -> Result<Vec<Entry>, ReadError> {
    if first.0 < 0 || last < first {
        return Err(ReadError::InvalidRange { first, last });
    }
    if let Some(record) = deps.cache.get(ledger_id) {
        let result = read_with(deps, ledger_id, &record, (first, last), bytes_max).await;
        if result.is_ok() || matches!(record.state, State::Closed(_)) {
            return result;
        }
    }
    let (record, _) = record::load(deps, ledger_id).await?.ok_or(ReadError::NoLedger(ledger_id))?;
    read_with(deps, ledger_id, &record, (first, last), bytes_max).await
}

async fn read_with(
    deps: &Deps,
    ledger_id: LedgerId,
    record: &Record,
    (first, mut last): (EntryId, EntryId),
    bytes_max: usize,
) -> Result<Vec<Entry>, ReadError> {
    if let State::Closed(sealed) = record.state {
        let last_entry = sealed.last_entry;
        if last_entry < first {
            return Err(ReadError::BeyondEnd { ledger_id, last_entry });
        }
        last = last.min(last_entry);
    }
    let mut entries = Vec::new();
    let mut next = first;
    let mut bytes_left = bytes_max;
    while next <= last && (entries.is_empty() || 0 < bytes_left) {
        let read = read_some(deps, ledger_id, record, (next, last), bytes_left).await;
        match read {
            Ok(some) => {
                for opened in some {
                    next = EntryId(opened.head.entry_id.0 + 1);
                    bytes_left = bytes_left.saturating_sub(opened.stored.len());
                    entries.push(Entry { entry_id: opened.head.entry_id, body: opened.body() });
                }
            }
            Err(_) if !entries.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(entries)
}

/// Reads one entry with its envelope, from any replica that has it undamaged.
pub(crate) async fn read_entry(
    deps: &Deps,
    ledger_id: LedgerId,
    record: &Record,
    entry_id: EntryId,
) -> Result<Opened, ReadError> {
    let entries = read_some(deps, ledger_id, record, (entry_id, entry_id), 1).await?;
    let missing = ReadError::Missing { ledger_id, entry_id };
    entries.into_iter().next().ok_or(missing)
}

/// Reads `first` and what follows it, from the first replica that has it undamaged.
async fn read_some(
    deps: &Deps,
    ledger_id: LedgerId,
    record: &Record,
    (first, last): (EntryId, EntryId),
    bytes_max: usize,
) -> Result<Vec<Opened>, ReadError> {
    let quorums = record.quorums;
    let ensemble = record.ensemble_of(first);
    let last = record.next_ensemble_at(first).map_or(last, |next| last.min(EntryId(next.0 - 1)));
    let is_striped = quorums.write() < quorums.ensemble_size();
    let (mut damaged, mut unavailable) = (None, None);
    // The last of the write set has the most entries after `first`, the one before it one less.
    let replicas: Vec<_> = quorums.write_set(first).zip(0_i64..).collect();
    for (bookie, run) in replicas.into_iter().rev() {
        let id = &ensemble[bookie.get()];
        let last = if is_striped { last.min(EntryId(first.0.saturating_add(run))) } else { last };
        match read_replica(deps, id, ledger_id, (first, last), bytes_max).await {
            Ok(entries) => return Ok(entries),
            Err(Bad::Absent) => {}
            Err(Bad::Damaged(reason)) => damaged = Some(format!("bookie {id}: {reason}")),
            Err(Bad::Unavailable(reason)) => unavailable = Some(format!("bookie {id}: {reason}")),
        }
    }
    let entry_id = first;
    Err(match (unavailable, damaged) {
        (Some(reason), _) => ReadError::Unavailable { ledger_id, entry_id, reason },
        (None, Some(reason)) => ReadError::Corrupt { ledger_id, entry_id, reason },
        (None, None) => ReadError::Missing { ledger_id, entry_id },
    })
}

enum Bad {
    Absent,
    Damaged(String),
    Unavailable(String),
}

/// What one replica has of a range, from its beginning up to the first gap or damage.
async fn read_replica(
    deps: &Deps,
    id: &BookieId,
    ledger_id: LedgerId,
    (first, last): (EntryId, EntryId),
    bytes_max: usize,
) -> Result<Vec<Opened>, Bad> {
    use bookie_api::ReadError as BookieError;
    let stored = match call::read(deps, id, ledger_id, (first, last), bytes_max).await {
        Ok(stored) => stored,
        Err(BookieError::NoEntry(..) | BookieError::NoLedger(_)) => return Err(Bad::Absent),
        Err(BookieError::Failed(reason)) => return Err(Bad::Unavailable(reason)),
    };
    let mut entries = Vec::with_capacity(stored.len());
    for (stored, entry_id) in stored.iter().zip((first.0..=last.0).map(EntryId)) {
        if stored.entry_id != entry_id {
            break;
        }
        match envelope::open(ledger_id, entry_id, &stored.bytes) {
            Ok(opened) => entries.push(opened),
            Err(damage) if entries.is_empty() => return Err(Bad::Damaged(damage.to_string())),
            Err(_) => break,
        }
    }
    if entries.is_empty() {
        return Err(Bad::Unavailable("answered without the entry".to_owned()));
    }
    Ok(entries)
}
