//! Lets a cursor's log go on in a new ledger behind those that a load has read, without a snapshot: the
//! first change of a cursor with many holes is durable at once, and its snapshot follows.

use std::sync::Arc;

use geminga_ledger::{Deps, LedgerOptions, Writer};
use tracing::debug;

use super::JobError;
use crate::{info, owned_key::OwnedKey};

#[derive(Debug)]
pub(crate) struct ContinueCursor {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    pub(crate) options: LedgerOptions,
}

#[derive(Debug)]
pub(crate) struct ContinueCursorDone {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    /// Of the new ledger, which is empty.
    pub(crate) result: Result<Writer, JobError>,
}

impl ContinueCursor {
    pub(crate) async fn run(mut self, deps: &Deps) -> ContinueCursorDone {
        let result = self.try_run(deps).await;
        ContinueCursorDone { name: self.name, key: self.key, result }
    }

    async fn try_run(&mut self, deps: &Deps) -> Result<Writer, JobError> {
        let created = geminga_ledger::create(deps, &self.options).await;
        let writer = created.map_err(JobError::failed)?;
        let ledger_id = writer.ledger_id();
        let value = info::continue_cursor(self.key.value(), ledger_id);
        self.key.replace(deps, value.map_err(JobError::failed)?).await?;
        debug!(path = %self.key.path(), ledger_id = ledger_id.0, "a cursor's log goes on");
        Ok(writer)
    }
}
