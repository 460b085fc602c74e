//! Deletes a managed ledger: its cursors, then its key, then its ledgers.

use std::sync::Arc;

use geminga_ledger::{DeleteError as LedgerDeleteError, Deps};
use geminga_metadata::MetadataError;
use geminga_types::TopicName;
use tracing::warn;

use crate::{
    info,
    job::{JobError, delete_cursor},
    open::list_cursors,
    owned_key::OwnedKey,
    tombstone::{Doomed, Owner, Tombstone},
};

/// Why a managed ledger was not deleted. It may be deleted in part; try again.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// There is none.
    #[error("managed ledger of {0} does not exist")]
    NotFound(TopicName),
    /// It was changed meanwhile: it has an owner. Close it there first.
    #[error("managed ledger of {0} has an owner")]
    Busy(TopicName),
    /// The metadata store failed.
    #[error("managed ledger of {0} is not deleted: {1}")]
    Unavailable(TopicName, String),
}

/// Deletes everything of `topic`, which nobody has open. When it returns `Ok` the topic is gone,
/// durably; ledgers that could not be deleted now are deleted at the next start.
///
/// # Errors
///
/// See [`DeleteError`].
pub async fn delete(deps: &Deps, topic: &TopicName) -> Result<(), DeleteError> {
    let path = info::managed_ledger_path(topic);
    let unavailable =
        |error: MetadataError| DeleteError::Unavailable(topic.clone(), error.to_string());
    let found = deps.metadata.get(&path).await.map_err(unavailable)?;
    let found = found.ok_or_else(|| DeleteError::NotFound(topic.clone()))?;
    let mut key = OwnedKey::held(Arc::clone(&path), found);
    let failed = |error: JobError| match error {
        JobError::Fenced => DeleteError::Busy(topic.clone()),
        JobError::Failed(reason) => DeleteError::Unavailable(topic.clone(), reason),
    };
    for (_, path, found) in list_cursors(deps, &path).await.map_err(unavailable)? {
        let mut key = OwnedKey::held(path, found);
        if let Some(doomed) = delete_cursor(deps, &mut key).await.map_err(failed)? {
            bury(deps, doomed).await;
        }
    }
    if let Some(doomed) = delete_key(deps, &mut key).await.map_err(failed)? {
        bury(deps, doomed).await;
    }
    Ok(())
}

/// Deletes a cursor of a topic that nobody has open, be it readable or not. When it returns `Ok` it is
/// gone, durably.
///
/// # Errors
///
/// See [`DeleteError`]; `NotFound` also if there is no such cursor.
pub async fn delete_cursor_of(
    deps: &Deps,
    topic: &TopicName,
    name: &str,
) -> Result<(), DeleteError> {
    let unavailable =
        |error: MetadataError| DeleteError::Unavailable(topic.clone(), error.to_string());
    let path: Arc<str> = info::cursor_path(&info::managed_ledger_path(topic), name);
    let found = deps.metadata.get(&path).await.map_err(unavailable)?;
    let found = found.ok_or_else(|| DeleteError::NotFound(topic.clone()))?;
    let is_readable = info::cursor_ledgers(&found.value).is_ok();
    let mut key = OwnedKey::held(path, found);
    let deleted = if is_readable {
        delete_cursor(deps, &mut key).await
    } else {
        key.remove(deps).await.map(|()| None).map_err(JobError::from) // Nobody knows its ledgers.
    };
    let doomed = deleted.map_err(|error| match error {
        JobError::Fenced => DeleteError::Busy(topic.clone()),
        JobError::Failed(reason) => DeleteError::Unavailable(topic.clone(), reason),
    })?;
    if let Some(doomed) = doomed {
        bury(deps, doomed).await;
    }
    Ok(())
}

/// Whether a metadata key is that of this cursor.
#[must_use]
pub fn is_cursor_of(topic: &TopicName, name: &str, path: &str) -> bool {
    *path == *info::cursor_path(&info::managed_ledger_path(topic), name)
}

async fn delete_key(deps: &Deps, key: &mut OwnedKey) -> Result<Option<Doomed>, JobError> {
    let ledgers = info::listed_ledgers(key.value()).map_err(JobError::failed)?;
    let owner = Owner::ManagedLedger(Arc::clone(key.path()));
    let tombstone = Tombstone::put(deps, &owner, ledgers).await.map_err(JobError::failed)?;
    key.remove(deps).await?;
    Ok(tombstone.map(Tombstone::doom))
}

async fn bury(deps: &Deps, doomed: Doomed) {
    if let Err(error) = doomed.bury(deps).await {
        let error: LedgerDeleteError = error;
        warn!(%error, "a ledger is deleted at the next start");
    }
}
