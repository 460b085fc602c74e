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
    info::{self, Closed, CompactionEdit, DelayedEdit, Edit},
    managed_ledger::{DelayedStep, Step},
    owned_key::OwnedKey,
    side_ledger::SideWriter,
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
    /// A step of compaction.
    pub(crate) compaction: Option<Step>,
    /// A step of the index of delayed entries.
    pub(crate) delayed: Option<DelayedStep>,
}

#[derive(Debug)]
pub(crate) struct TransitionDone {
    pub(crate) key: OwnedKey,
    pub(crate) result: Result<Transitioned, JobError>,
    /// What the next transition removes again.
    pub(crate) made: Made,
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
    /// The step of compaction that was taken.
    pub(crate) stepped: Option<Stepped>,
    /// The step of the index of delayed entries that was taken.
    pub(crate) indexed: Option<Indexed>,
}

/// A step of compaction, taken.
#[derive(Debug)]
pub(crate) enum Stepped {
    Begun(SideWriter),
    /// With the ledger that counted before, to be deleted once nobody reads it.
    Finished(Option<Doomed>),
    Abandoned,
}

/// The ledgers that this transition made, as long as the key may list them or not.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) ledger: Option<LedgerId>,
    pub(crate) compacted: Option<LedgerId>,
    pub(crate) bucket: Option<LedgerId>,
}

/// A step of the index of delayed entries, taken.
#[derive(Debug)]
pub(crate) enum Indexed {
    Begun(SideWriter),
    /// With the ledgers of buckets that do not count any more, to be deleted once nobody reads them.
    Done(Option<Doomed>),
    /// The bucket does not fit beside the others: it does not count, and its ledger goes.
    Refused(String),
}

/// The same, about to be written.
enum PreparedIndex {
    Begin(SideWriter),
    Done(Option<Tombstone>),
    Refused(String),
}

/// A step of compaction whose edit is about to be written.
enum Prepared {
    Begin(SideWriter),
    Finish(Option<Tombstone>),
    Abandon,
}

impl Transition {
    /// What it is mostly about, for traces.
    pub(crate) const fn name(&self) -> &'static str {
        if self.seal.is_some() {
            "ledger-rollover"
        } else if self.create.is_some() {
            "ledger-create"
        } else if let Some(step) = &self.compaction {
            match step {
                Step::Begin(_) => "compaction-begin",
                Step::Finish(_) => "compaction-swap",
                Step::Abandon(_) => "compaction-abandon",
            }
        } else if let Some(step) = &self.delayed {
            match step {
                DelayedStep::Begin(_) => "delayed-begin",
                DelayedStep::Finish { .. } => "delayed-swap",
                DelayedStep::Abandon(_) | DelayedStep::Drop(_) => "delayed-drop",
            }
        } else {
            "trim"
        }
    }

    pub(crate) async fn run(mut self, deps: &Deps) -> TransitionDone {
        let mut made = Made::default();
        let result = self.try_run(deps, &mut made).await;
        TransitionDone { key: self.key, result, made }
    }

    async fn try_run(&mut self, deps: &Deps, made: &mut Made) -> Result<Transitioned, JobError> {
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
        made.ledger = edit.add;
        let prepared = self.prepare(deps, &mut edit, made).await?;
        let index = self.prepare_index(deps, &mut edit, made).await?;
        let owner = Owner::ManagedLedger(self.key.path().clone());
        let remove = edit.remove.iter().copied().collect();
        let tombstone = Tombstone::put(deps, &owner, remove).await.map_err(JobError::failed)?;
        let value = info::edit(self.key.value(), &edit).map_err(JobError::failed)?;
        // After an unknown outcome the tombstone stays: the next start looks which it was.
        self.key.replace(deps, value).await?;
        *made = Made::default();
        if let Some(ledger_id) = edit.add {
            info!(path = %self.key.path(), ledger_id = ledger_id.0, "opened a ledger");
        }
        let doomed = tombstone.map(Tombstone::doom);
        let stepped = prepared.map(|prepared| match prepared {
            Prepared::Begin(writer) => Stepped::Begun(writer),
            Prepared::Finish(before) => Stepped::Finished(before.map(Tombstone::doom)),
            Prepared::Abandon => Stepped::Abandoned,
        });
        let indexed = index.map(|index| match index {
            PreparedIndex::Begin(writer) => Indexed::Begun(writer),
            PreparedIndex::Done(gone) => Indexed::Done(gone.map(Tombstone::doom)),
            PreparedIndex::Refused(reason) => Indexed::Refused(reason),
        });
        Ok(Transitioned { closed, removed: edit.remove, writer, doomed, stepped, indexed })
    }

    /// Does what comes before the key is changed for a step of compaction.
    async fn prepare(
        &self,
        deps: &Deps,
        edit: &mut Edit,
        made: &mut Made,
    ) -> Result<Option<Prepared>, JobError> {
        let Some(step) = &self.compaction else { return Ok(None) };
        Ok(Some(match step {
            Step::Begin(options) => {
                let writer = geminga_ledger::create(deps, options).await;
                let writer = writer.map_err(JobError::failed)?;
                made.compacted = Some(writer.ledger_id());
                edit.compaction = Some(CompactionEdit::Begin(writer.ledger_id()));
                Prepared::Begin(SideWriter::new(writer))
            }
            Step::Finish(compacted) => {
                let listing = info::decode(self.key.value()).map_err(JobError::failed)?;
                let before = listing.compacted.map(|before| before.ledger_id);
                let before = before.filter(|&before| before != compacted.ledger_id);
                let owner = Owner::ManagedLedger(self.key.path().clone());
                let tombstone = Tombstone::put(deps, &owner, before.into_iter().collect()).await;
                edit.compaction = Some(CompactionEdit::Finish(compacted.clone()));
                Prepared::Finish(tombstone.map_err(JobError::failed)?)
            }
            Step::Abandon(ledger_id) => {
                edit.remove.insert(*ledger_id);
                edit.compaction = Some(CompactionEdit::Abandon);
                Prepared::Abandon
            }
        }))
    }

    /// The same for a step of the index of delayed entries.
    async fn prepare_index(
        &self,
        deps: &Deps,
        edit: &mut Edit,
        made: &mut Made,
    ) -> Result<Option<PreparedIndex>, JobError> {
        let Some(step) = &self.delayed else { return Ok(None) };
        let gone = match step {
            DelayedStep::Begin(options) => {
                let writer = geminga_ledger::create(deps, options).await;
                let writer = writer.map_err(JobError::failed)?;
                made.bucket = Some(writer.ledger_id());
                edit.delayed = Some(DelayedEdit::Begin(writer.ledger_id()));
                return Ok(Some(PreparedIndex::Begin(SideWriter::new(writer))));
            }
            DelayedStep::Finish { bucket, replaced } => {
                let delayed = Some(DelayedEdit::Finish(bucket.clone(), replaced.clone()));
                let alone = Edit { delayed: delayed.clone(), ..Edit::default() };
                // It would fail again and again, and all that goes with it.
                if let Err(error) = info::edit(self.key.value(), &alone) {
                    edit.remove.insert(bucket.ledger_id);
                    edit.delayed = Some(DelayedEdit::Abandon);
                    return Ok(Some(PreparedIndex::Refused(error.to_string())));
                }
                edit.delayed = delayed;
                replaced
            }
            DelayedStep::Drop(gone) => {
                edit.delayed = Some(DelayedEdit::Drop(gone.clone()));
                gone
            }
            DelayedStep::Abandon(ledger_id) => {
                edit.remove.insert(*ledger_id);
                edit.delayed = Some(DelayedEdit::Abandon);
                return Ok(Some(PreparedIndex::Done(None)));
            }
        };
        let listing = info::decode(self.key.value()).map_err(JobError::failed)?;
        let listed = listing.buckets.iter().map(|bucket| bucket.ledger_id);
        let gone: Vec<LedgerId> = listed.filter(|ledger_id| gone.contains(ledger_id)).collect();
        let owner = Owner::ManagedLedger(self.key.path().clone());
        let tombstone = Tombstone::put(deps, &owner, gone).await.map_err(JobError::failed)?;
        Ok(Some(PreparedIndex::Done(tombstone)))
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
