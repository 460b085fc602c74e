//! Closes a ledger whose writer has stopped.

use geminga_metadata::MetadataError;
use geminga_types::{EntryId, LedgerId};

use crate::{
    Deps, Sealed,
    record::{self, ATTEMPTS_MAX, Replaced, State},
};

/// Why a ledger was not sealed as asked.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It does not exist: it was deleted.
    #[error("ledger {0} does not exist")]
    NoLedger(LedgerId),
    /// Another owner is recovering it and decides its end. Stop; `recover` tells what it decided.
    #[error("ledger {0} is being recovered by another owner")]
    Fenced(LedgerId),
    /// Another owner has closed it elsewhere. Stop.
    #[error("ledger {ledger_id} was closed at entry {}", sealed.last_entry)]
    SealedElsewhere {
        /// The ledger.
        ledger_id: LedgerId,
        /// Where it ends.
        sealed: Sealed,
    },
    /// Other writers kept coming first, or the store kept not answering. It may be sealed; retry.
    #[error("ledger {0}: its metadata kept changing")]
    Contended(LedgerId),
    /// The metadata store failed. It may be sealed; retry.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Closes an open ledger at the LAC of its writer, which has stopped ([`crate::Writer::stop`]).
///
/// Sealing again at the same end succeeds.
///
/// # Errors
///
/// See [`SealError`].
pub async fn seal(
    deps: &Deps,
    ledger_id: LedgerId,
    last_entry: EntryId,
    length: u64,
) -> Result<(), SealError> {
    let end = Sealed { last_entry, length };
    let mut last_error = None;
    for _ in 0..ATTEMPTS_MAX {
        let found = record::load(deps, ledger_id).await?;
        let (record, version) = found.ok_or(SealError::NoLedger(ledger_id))?;
        match record.state {
            State::Open => {}
            State::InRecovery => return Err(SealError::Fenced(ledger_id)),
            State::Closed(sealed) if sealed == end => return Ok(()),
            State::Closed(sealed) => {
                return Err(SealError::SealedElsewhere { ledger_id, sealed });
            }
        }
        let closed = State::Closed(end);
        match record::advance(deps, ledger_id, (&record, version), closed).await? {
            Replaced::Done(_) => return Ok(()),
            Replaced::ReadAgain(error) => last_error = Some(error),
        }
    }
    match last_error {
        Some(error @ MetadataError::Unavailable(_)) => Err(error.into()),
        _ => Err(SealError::Contended(ledger_id)),
    }
}
