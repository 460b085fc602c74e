//! Finds an entry that is certainly confirmed, from where recovery reads forward.

use geminga_types::EntryId;

use crate::{
    Deps, ReadError, Sealed, fence::Fenced, read::read_entry, record::Record, recover::RecoverError,
};

/// The highest LAC that is known, with the length of the ledger up to there.
///
/// What lies before the newest ensemble is confirmed: a writer changes its ensemble only then. The
/// entry at the LAC is confirmed, so it must be found: that it is not, is no reason to end before.
pub(crate) async fn find_lac(
    deps: &Deps,
    record: &Record,
    fenced: &Fenced<'_>,
) -> Result<Sealed, RecoverError> {
    let ledger_id = fenced.ledger_id();
    let (first, _) = record.last_ensemble();
    let last_entry = fenced.last_add_confirmed().max(EntryId(first.0 - 1));
    if last_entry == EntryId::NONE {
        return Ok(Sealed { last_entry, length: 0 });
    }
    match read_entry(deps, ledger_id, record, last_entry).await {
        Ok(opened) => Ok(Sealed { last_entry, length: opened.head.length }),
        Err(error @ (ReadError::Missing { .. } | ReadError::Corrupt { .. })) => {
            let reason = error.to_string();
            Err(RecoverError::Corrupt { ledger_id, entry_id: last_entry, reason })
        }
        Err(error) => Err(RecoverError::Unavailable { ledger_id, reason: error.to_string() }),
    }
}
