//! Gives a cursor a new ledger: make it, write the snapshot, then point the cursor's key at it.

use std::sync::Arc;

use geminga_ledger::{Deps, LedgerOptions, Writer};
use geminga_types::LedgerId;
use tracing::{debug, warn};

use super::{JobError, write_all::write_all};
use crate::{
    cursor::{CursorState, encode_snapshot},
    info,
    owned_key::OwnedKey,
    tombstone::{Doomed, Owner, Tombstone},
};

#[derive(Debug)]
pub(crate) struct RollCursor {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    pub(crate) options: LedgerOptions,
    pub(crate) snapshot: CursorState,
}

#[derive(Debug)]
pub(crate) struct RollCursorDone {
    pub(crate) name: Arc<str>,
    pub(crate) key: OwnedKey,
    pub(crate) result: Result<Rolled, JobError>,
}

#[derive(Debug)]
pub(crate) struct Rolled {
    /// Of the new ledger, whose snapshot is confirmed.
    pub(crate) writer: Writer,
    pub(crate) snapshot_bytes: u64,
    /// The ledger before.
    pub(crate) doomed: Option<Doomed>,
}

impl RollCursor {
    pub(crate) async fn run(mut self, deps: &Deps) -> RollCursorDone {
        let result = self.try_run(deps).await;
        RollCursorDone { name: self.name, key: self.key, result }
    }

    async fn try_run(&mut self, deps: &Deps) -> Result<Rolled, JobError> {
        let created = geminga_ledger::create(deps, &self.options).await;
        let mut writer = created.map_err(JobError::failed)?;
        let ledger_id = writer.ledger_id();
        let parts = encode_snapshot(&self.snapshot);
        let snapshot_bytes = parts.iter().map(|part| part.len() as u64).sum();
        if let Err(reason) = write_all(deps, &mut writer, parts).await {
            discard(deps, ledger_id).await;
            return Err(reason);
        }
        let before = self.ledgers_before()?;
        let owner = Owner::Cursor(Arc::clone(self.key.path()));
        let tombstone = Tombstone::put(deps, &owner, before).await.map_err(JobError::failed)?;
        let now = deps.env.clock.wall();
        let value = info::point_cursor(self.key.value(), ledger_id, &self.snapshot, now);
        self.key.replace(deps, value.map_err(JobError::failed)?).await?;
        debug!(path = %self.key.path(), ledger_id = ledger_id.0, "opened a cursor's ledger");
        Ok(Rolled { writer, snapshot_bytes, doomed: tombstone.map(Tombstone::doom) })
    }

    /// Every ledger that the key may name now.
    fn ledgers_before(&self) -> Result<Vec<LedgerId>, JobError> {
        let mut ledgers = Vec::new();
        for value in self.key.possible_values() {
            ledgers.extend(info::cursor_ledger(value).map_err(JobError::failed)?);
        }
        Ok(ledgers)
    }
}

/// Deletes a ledger that no key has ever named.
async fn discard(deps: &Deps, ledger_id: LedgerId) {
    if let Err(error) = geminga_ledger::delete(deps, ledger_id).await {
        warn!(%error, "an unused ledger is left behind");
    }
}
