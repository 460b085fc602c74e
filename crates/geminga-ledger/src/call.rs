//! Calls to bookies, each with a deadline.

use std::{sync::Arc, time::Duration};

use geminga_bookie_api::{AddError, Bookie, BookieId, FenceAnswer, ReadError, StoredEntry};
use geminga_types::{EntryId, LedgerId};
use tokio::time::timeout;

use crate::Deps;

/// How long a bookie may take: as Pulsar's `bookkeeperClientTimeoutInSeconds`.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Finds a bookie's client.
pub(crate) fn client(deps: &Deps, id: &BookieId) -> Result<Arc<dyn Bookie>, ReadError> {
    deps.bookies.get(id).ok_or_else(|| ReadError::Failed(format!("bookie {id} is not known")))
}

pub(crate) async fn read(
    deps: &Deps,
    id: &BookieId,
    ledger_id: LedgerId,
    (first, last): (EntryId, EntryId),
    bytes_max: usize,
) -> Result<Vec<StoredEntry>, ReadError> {
    let bookie = client(deps, id)?;
    let answer = timeout(DEADLINE, bookie.read(ledger_id, first, last, bytes_max)).await;
    answer.unwrap_or_else(|_| Err(ReadError::Failed(late(id))))
}

pub(crate) async fn fence(
    deps: &Deps,
    id: &BookieId,
    ledger_id: LedgerId,
) -> Result<FenceAnswer, ReadError> {
    let bookie = client(deps, id)?;
    let answer = timeout(DEADLINE, bookie.fence(ledger_id)).await;
    answer.unwrap_or_else(|_| Err(ReadError::Failed(late(id))))
}

pub(crate) async fn delete(
    deps: &Deps,
    id: &BookieId,
    ledger_id: LedgerId,
) -> Result<(), AddError> {
    let bookie = client(deps, id).map_err(|error| AddError::Failed(error.to_string()))?;
    let answer = timeout(DEADLINE, bookie.delete(ledger_id)).await;
    answer.unwrap_or_else(|_| Err(AddError::Failed(late(id))))
}

fn late(id: &BookieId) -> String {
    format!("bookie {id} did not answer within {} s", DEADLINE.as_secs())
}
