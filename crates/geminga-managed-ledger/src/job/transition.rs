//! Changes the list of ledgers: closes the one that was open, opens the next, lets go of others.
//!
//! The steps are in the only safe order: seal, make, tombstone, then one compare-and-set of the
//! managed ledger's key that states all of it. Whatever fails, nothing has changed for readers.

use std::collections::BTreeSet;

use geminga_ledger::{Deps, LedgerOptions, Sealed, Writer};
use geminga_types::{EntryId, LedgerId};
use tracing::info;

use super::JobError;
use crate::{
    info::{self, Closed, Edit},
    owned_key::OwnedKey,
    tombstone::{Doomed, Owner, Tombstone},
};

#[derive(Debug)]
pub(crate) struct Transition {
    pub(crate) key: OwnedKey,
    /// The ledger to close, at its last confirmed entry. An empty one is removed instead.
    pub(crate) seal: Option<(LedgerId, Sealed)>,
    /// Whether to make the next ledger, and how.
    pub(crate) create: Option<LedgerOptions>,
    /// What else changes.
    pub(crate) edit: Edit,
}

#[derive(Debug)]
pub(crate) struct TransitionDone {
    pub(crate) key: OwnedKey,
    pub(crate) result: Result<Transitioned, JobError>,
    /// A ledger that was made and may be listed or not: the next transition removes it.
    pub(crate) orphan: Option<LedgerId>,
}

#[derive(Debug)]
pub(crate) struct Transitioned {
    /// What was closed.
    pub(crate) closed: Option<Closed>,
    /// What is listed no more.
    pub(crate) removed: BTreeSet<LedgerId>,
    /// What was opened.
    pub(crate) writer: Option<Writer>,
    /// What is to be deleted.
    pub(crate) doomed: Option<Doomed>,
}

impl Transition {
    /// What it is mostly about, for traces.
    pub(crate) const fn name(&self) -> &'static str {
        if self.seal.is_some() {
            "ledger-rollover"
        } else if self.create.is_some() {
            "ledger-create"
        } else {
            "trim"
        }
    }

    pub(crate) async fn run(mut self, deps: &Deps) -> TransitionDone {
        let mut orphan = None;
        let result = self.try_run(deps, &mut orphan).await;
        TransitionDone { key: self.key, result, orphan }
    }

    async fn try_run(
        &mut self,
        deps: &Deps,
        orphan: &mut Option<LedgerId>,
    ) -> Result<Transitioned, JobError> {
        let closed = self.seal(deps).await?;
        let mut edit = std::mem::take(&mut self.edit);
        match closed {
            Some(closed) if closed.entries == 0 => _ = edit.remove.insert(closed.ledger_id),
            Some(closed) => edit.close.push(closed),
            None => {}
        }
        let writer = match &self.create {
            Some(options) => {
                let created = geminga_ledger::create(deps, options).await;
                Some(created.map_err(JobError::failed)?)
            }
            None => None,
        };
        edit.add = writer.as_ref().map(Writer::ledger_id);
        *orphan = edit.add;
        let owner = Owner::ManagedLedger(self.key.path().clone());
        let remove = edit.remove.iter().copied().collect();
        let tombstone = Tombstone::put(deps, &owner, remove).await.map_err(JobError::failed)?;
        let value = info::edit(self.key.value(), &edit).map_err(JobError::failed)?;
        // After an unknown outcome the tombstone stays: the next start looks which it was.
        self.key.replace(deps, value).await?;
        *orphan = None;
        if let Some(ledger_id) = edit.add {
            info!(path = %self.key.path(), ledger_id = ledger_id.0, "opened a ledger");
        }
        let doomed = tombstone.map(Tombstone::doom);
        Ok(Transitioned { closed, removed: edit.remove, writer, doomed })
    }

    async fn seal(&self, deps: &Deps) -> Result<Option<Closed>, JobError> {
        let Some((ledger_id, Sealed { last_entry, length })) = self.seal else { return Ok(None) };
        if last_entry != EntryId::NONE {
            geminga_ledger::seal(deps, ledger_id, last_entry, length).await?;
        }
        let entries = u64::try_from(last_entry.0 + 1).unwrap_or(0);
        let at = deps.env.clock.wall();
        Ok(Some(Closed { ledger_id, entries, bytes: length, at }))
    }
}
