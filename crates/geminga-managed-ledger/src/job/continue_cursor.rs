//! Lets a cursor's log go on in a new ledger behind those that a load has read, without a snapshot: the
//! first change of a cursor with many holes is durable at once, and its snapshot follows.

use std::sync::Arc;

use geminga_ledger::{Deps, LedgerOptions, Writer};
use geminga_types::LedgerId;
use tracing::debug;

use super::{JobError, point_cursor::named_ledgers, write_snapshot::discard};
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
        if let Err(failure) = self.name_it(deps, ledger_id).await {
            let named = named_ledgers(&self.key);
            if !named.is_ok_and(|named| named.contains(&ledger_id)) {
                discard(deps, ledger_id).await;
            }
            return Err(failure);
        }
        debug!(path = %self.key.path(), ledger_id = ledger_id.0, "a cursor's log goes on");
        Ok(writer)
    }

    async fn name_it(&mut self, deps: &Deps, ledger_id: LedgerId) -> Result<(), JobError> {
        let value = info::continue_cursor(self.key.value(), ledger_id);
        self.key.replace(deps, value.map_err(JobError::failed)?).await?;
        Ok(())
    }
}
