//! Finds and fixes the end of a ledger whose writer may be gone: BookKeeper's recovery.
//!
//! Metadata to IN_RECOVERY, so that the writer cannot close it; fence; find the LAC; read forward
//! entry by entry and write what is found to its whole write set; then CLOSED. Any number of
//! recoveries may run at once, with the old writer still writing: whatever they find, the
//! compare-and-set to CLOSED lets one of them decide, and none can leave out a confirmed entry.
//!
//! # Invariants
//!
//! 1. The end is never before an entry that was confirmed to anybody.
//! 2. Before CLOSED is written, everything up to the end is on its ack quorums.
//! 3. Unknown is not absent: with too few answers nothing is decided, and the call may be repeated.

use geminga_metadata::MetadataError;
use geminga_types::{EntryId, LedgerId};

use crate::{
    Deps, Sealed,
    fence::fence,
    find_lac::find_lac,
    record::{self, ATTEMPTS_MAX, Record, Replaced, State},
    rewrite::rewrite,
};

const BATCH_ENTRIES_MAX: usize = 128;
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// Why a ledger is not recovered. Nothing is lost by it: its end is not decided.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It does not exist: it was deleted.
    #[error("ledger {0} does not exist")]
    NoLedger(LedgerId),
    /// Too few bookies answered to be certain. Retry.
    #[error("ledger {ledger_id} cannot be recovered now: {reason}")]
    Unavailable {
        /// The ledger.
        ledger_id: LedgerId,
        /// What the bookies said.
        reason: String,
    },
    /// A confirmed entry is missing, or one that may be confirmed is damaged everywhere. A person
    /// must look.
    #[error("ledger {ledger_id} cannot be recovered: entry {entry_id}: {reason}")]
    Corrupt {
        /// The ledger.
        ledger_id: LedgerId,
        /// The entry.
        entry_id: EntryId,
        /// What is wrong with it.
        reason: String,
    },
    /// Other writers kept coming first. Retry.
    #[error("ledger {0}: its metadata kept changing")]
    Contended(LedgerId),
    /// The metadata store failed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Shuts the ledger's writer out and closes the ledger behind everything that it confirmed.
///
/// A closed ledger is returned as it is.
///
/// # Errors
///
/// See [`RecoverError`].
///
/// # Cancel safety
///
/// Dropping the future leaves the ledger fenced and not closed: recover it again.
pub async fn recover(deps: &Deps, ledger_id: LedgerId) -> Result<Sealed, RecoverError> {
    let mut last_error = None;
    for _ in 0..ATTEMPTS_MAX {
        let found = record::load(deps, ledger_id).await?;
        let (record, version) = found.ok_or(RecoverError::NoLedger(ledger_id))?;
        let version = match record.state {
            State::Closed(sealed) => return Ok(sealed),
            State::InRecovery => version,
            State::Open => {
                let in_recovery = State::InRecovery;
                match record::advance(deps, ledger_id, (&record, version), in_recovery).await? {
                    Replaced::Done(version) => version,
                    Replaced::ReadAgain(error) => {
                        last_error = Some(error);
                        continue;
                    }
                }
            }
        };
        let end = find_end(deps, ledger_id, &record).await?;
        let closed = State::Closed(end);
        match record::advance(deps, ledger_id, (&record, version), closed).await? {
            Replaced::Done(_) => return Ok(end),
            Replaced::ReadAgain(error) => last_error = Some(error),
        }
    }
    match last_error {
        Some(error @ MetadataError::Unavailable(_)) => Err(error.into()),
        _ => Err(RecoverError::Contended(ledger_id)),
    }
}

async fn find_end(
    deps: &Deps,
    ledger_id: LedgerId,
    record: &Record,
) -> Result<Sealed, RecoverError> {
    let mut fenced = fence(deps, ledger_id, record).await?;
    let mut end = find_lac(deps, record, &fenced).await?;
    loop {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        let mut is_end = false;
        let mut next = EntryId(end.last_entry.0 + 1);
        while batch.len() < BATCH_ENTRIES_MAX && batch_bytes < BATCH_BYTES_MAX {
            let Some(opened) = fenced.look_for(next).await? else {
                is_end = true;
                break;
            };
            end = Sealed { last_entry: next, length: opened.head.length };
            next = EntryId(next.0 + 1);
            batch_bytes += opened.stored.len();
            batch.push(opened);
        }
        rewrite(deps, &fenced, &batch).await?;
        if is_end {
            return Ok(end);
        }
    }
}
