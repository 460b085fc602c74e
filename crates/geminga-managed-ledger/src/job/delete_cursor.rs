//! Deletes a cursor: tombstone, key, then ledgers.

use std::sync::Arc;

use geminga_ledger::Deps;

use super::{JobError, point_cursor::named_ledgers};
use crate::{
    owned_key::OwnedKey,
    tombstone::{Doomed, Owner, Tombstone},
};

#[derive(Debug)]
pub(crate) struct DeleteCursor {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
}

#[derive(Debug)]
pub(crate) struct DeleteCursorDone {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    pub(crate) result: Result<Option<Doomed>, JobError>,
}

impl DeleteCursor {
    pub(crate) async fn run(mut self, deps: &Deps) -> DeleteCursorDone {
        let result = delete_cursor(deps, &mut self.key).await;
        DeleteCursorDone { name: self.name, key: self.key, result }
    }
}

/// Deletes the cursor's key, and says what is left to delete.
pub(crate) async fn delete_cursor(
    deps: &Deps,
    key: &mut OwnedKey,
) -> Result<Option<Doomed>, JobError> {
    let ledgers = named_ledgers(key)?;
    let owner = Owner::Cursor(Arc::clone(key.path()));
    let tombstone = Tombstone::put(deps, &owner, ledgers).await.map_err(JobError::failed)?;
    key.remove(deps).await?;
    Ok(tombstone.map(Tombstone::doom))
}
