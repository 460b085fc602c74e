//! Removes a ledger: from every bookie first, so that nothing is left that nobody remembers.

use futures_util::future::try_join_all;
use geminga_bookie_api::AddError;
use geminga_metadata::{Expected, MetadataError, paths};
use geminga_types::LedgerId;

use crate::{Deps, call, record};

/// Why a ledger is not, or not wholly, deleted. Deleting again goes on where this stopped.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// A bookie did not answer. Its metadata is kept, so that deletion can be retried.
    #[error("ledger {ledger_id} is not deleted everywhere: {error}")]
    Unavailable {
        /// The ledger.
        ledger_id: LedgerId,
        /// What the bookie said.
        error: AddError,
    },
    /// The metadata store failed.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Deletes a ledger and its metadata. The caller has proof that nothing needs it.
///
/// Deleting what does not exist succeeds.
///
/// # Errors
///
/// See [`DeleteError`].
pub async fn delete(deps: &Deps, ledger_id: LedgerId) -> Result<(), DeleteError> {
    let Some((record, _)) = record::load(deps, ledger_id).await? else { return Ok(()) };
    let bookies = record.all_bookies();
    let calls = bookies.iter().map(|id| call::delete(deps, id, ledger_id));
    try_join_all(calls).await.map_err(|error| DeleteError::Unavailable { ledger_id, error })?;
    deps.cache.forget(ledger_id);
    match deps.metadata.delete(&paths::ledger(ledger_id), Expected::Any).await {
        Ok(()) | Err(MetadataError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
