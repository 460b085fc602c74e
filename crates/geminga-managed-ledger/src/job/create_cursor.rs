//! Makes a cursor: one metadata put.

use std::sync::Arc;

use geminga_ledger::Deps;
use geminga_metadata::MetadataError;

use crate::{
    cursor::{CursorError, CursorState},
    info,
    owned_key::{KeyError, OwnedKey},
};

#[derive(Debug)]
pub(crate) struct CreateCursor {
    pub(crate) name: Arc<str>,
    pub(crate) path: Arc<str>,
    pub(crate) state: CursorState,
}

#[derive(Debug)]
pub(crate) struct CreateCursorDone {
    pub(crate) name: Arc<str>,
    pub(crate) result: Result<OwnedKey, CursorError>,
}

impl CreateCursor {
    pub(crate) async fn run(self, deps: &Deps) -> CreateCursorDone {
        let value = info::new_cursor(&self.state, deps.env.clock.wall());
        let created = OwnedKey::create(deps, Arc::clone(&self.path), value.clone()).await;
        let result = match created {
            Ok(Some(key)) => Ok(key),
            Ok(None) => self.take_over(deps, &value).await,
            Err(MetadataError::Unavailable(reason)) => self.look(deps, &value, reason).await,
            Err(error) => Err(CursorError::Unavailable(error.to_string())),
        };
        CreateCursorDone { name: self.name, result }
    }

    /// The key is there, and whoever asks does not know of such a cursor: it is left of an earlier try
    /// whose answer was lost. What was never heard of has no state that counts, so it is put anew.
    async fn take_over(&self, deps: &Deps, value: &bytes::Bytes) -> Result<OwnedKey, CursorError> {
        let unavailable = |reason: String| CursorError::Unavailable(reason);
        let found = deps.metadata.get(&self.path).await;
        let found = found.map_err(|error| unavailable(error.to_string()))?;
        let Some(found) = found else {
            return Err(unavailable("it was there, and is gone".to_owned()));
        };
        if !info::cursor_ledgers(&found.value).is_ok_and(|ledgers| ledgers.is_empty()) {
            return Err(CursorError::Exists); // Somebody uses it.
        }
        let mut key = OwnedKey::held(Arc::clone(&self.path), found);
        if key.value() == value {
            return Ok(key);
        }
        match key.replace(deps, value.clone()).await {
            Ok(()) => Ok(key),
            Err(KeyError::Fenced(_)) => Err(CursorError::Exists),
            Err(KeyError::Unavailable(reason)) => Err(unavailable(reason)),
        }
    }

    /// The put may have been made: then the key holds our value.
    async fn look(
        &self,
        deps: &Deps,
        value: &bytes::Bytes,
        reason: String,
    ) -> Result<OwnedKey, CursorError> {
        match deps.metadata.get(&self.path).await {
            Ok(Some(found)) if found.value == *value => {
                Ok(OwnedKey::held(Arc::clone(&self.path), found))
            }
            Ok(Some(_)) => Err(CursorError::Exists),
            Ok(None) | Err(_) => Err(CursorError::Unavailable(reason)),
        }
    }
}
