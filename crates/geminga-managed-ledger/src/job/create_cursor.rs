//! Makes a cursor: one metadata put.

use std::sync::Arc;

use geminga_ledger::Deps;
use geminga_metadata::MetadataError;

use crate::{
    cursor::{CursorError, CursorState},
    info,
    owned_key::OwnedKey,
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
            Ok(None) => Err(CursorError::Exists),
            Err(MetadataError::Unavailable(reason)) => self.look(deps, &value, reason).await,
            Err(error) => Err(CursorError::Unavailable(error.to_string())),
        };
        CreateCursorDone { name: self.name, result }
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
