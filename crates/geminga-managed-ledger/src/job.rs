//! What a managed ledger needs done elsewhere: metadata writes, ledgers made, sealed and deleted.
//!
//! A job owns what it needs and gives it back in its answer. The owner of the managed ledger runs
//! it, on a task of its own or not, and hands the answer to `on_job_done`: always, or the managed
//! ledger waits for ever.

mod continue_cursor;
mod create_cursor;
mod delete_cursor;
mod point_cursor;
mod seal_cursor;
mod transition;
mod write_all;
mod write_snapshot;

use geminga_ledger::{DeleteError, Deps, SealError};
use geminga_types::LedgerId;

pub(crate) use self::{
    continue_cursor::{ContinueCursor, ContinueCursorDone},
    create_cursor::{CreateCursor, CreateCursorDone},
    delete_cursor::{DeleteCursor, DeleteCursorDone, delete_cursor},
    point_cursor::{PointCursor, PointCursorDone},
    seal_cursor::{SealCursor, SealCursorDone},
    transition::{Indexed, Stepped, Transition, TransitionDone, Transitioned},
    write_all::write_all,
    write_snapshot::{WriteSnapshot, WriteSnapshotDone, Written},
};
use crate::{owned_key::KeyError, tombstone::Doomed};

/// Something to be done outside of the machine. Run it with [`Job::run`].
#[derive(Debug)]
#[must_use = "a job is to be run, and its answer handed back"]
pub struct Job(pub(crate) Kind);

/// What a [`Job`] came to.
#[derive(Debug)]
#[must_use = "the managed ledger waits for this"]
pub struct JobDone(pub(crate) Done);

#[derive(Debug)]
pub(crate) enum Kind {
    Transition(Box<Transition>),
    Bury(Doomed),
    CreateCursor(Box<CreateCursor>),
    ContinueCursor(Box<ContinueCursor>),
    WriteSnapshot(Box<WriteSnapshot>),
    PointCursor(Box<PointCursor>),
    /// Deletes a ledger that no key has named.
    Discard(LedgerId),
    SealCursor(Box<SealCursor>),
    DeleteCursor(Box<DeleteCursor>),
}

#[derive(Debug)]
pub(crate) enum Done {
    Transition(Box<TransitionDone>),
    Bury(Result<(), DeleteError>),
    CreateCursor(Box<CreateCursorDone>),
    ContinueCursor(Box<ContinueCursorDone>),
    WriteSnapshot(Box<WriteSnapshotDone>),
    PointCursor(Box<PointCursorDone>),
    Discard,
    SealCursor(Box<SealCursorDone>),
    DeleteCursor(Box<DeleteCursorDone>),
}

/// Why a job did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JobError {
    /// The topic has another owner; stop.
    #[error("the managed ledger has another owner")]
    Fenced,
    /// It may have been done in part; it may be tried again.
    #[error("{0}")]
    Failed(String),
}

impl Job {
    /// What it is about, for traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match &self.0 {
            Kind::Transition(job) => job.name(),
            Kind::Bury(_) => "bury",
            Kind::CreateCursor(_) => "create-cursor",
            Kind::ContinueCursor(_) => "cursor-continue",
            Kind::WriteSnapshot(_) => "cursor-snapshot",
            Kind::PointCursor(_) => "cursor-roll",
            Kind::Discard(_) => "discard",
            Kind::SealCursor(_) => "seal-cursor",
            Kind::DeleteCursor(_) => "delete-cursor",
        }
    }

    /// Does it. Cancel-safe only in that nothing confirmed is lost: a job dropped half-way leaves
    /// the managed ledger waiting, so drop that too and open it anew.
    pub async fn run(self, deps: &Deps) -> JobDone {
        JobDone(match self.0 {
            Kind::Transition(job) => Done::Transition(Box::new(Box::pin(job.run(deps)).await)),
            Kind::Bury(doomed) => Done::Bury(doomed.bury(deps).await),
            Kind::CreateCursor(job) => Done::CreateCursor(Box::new(job.run(deps).await)),
            Kind::ContinueCursor(job) => Done::ContinueCursor(Box::new(job.run(deps).await)),
            Kind::WriteSnapshot(job) => {
                Done::WriteSnapshot(Box::new(Box::pin(job.run(deps)).await))
            }
            Kind::PointCursor(job) => Done::PointCursor(Box::new(Box::pin(job.run(deps)).await)),
            Kind::Discard(ledger_id) => {
                write_snapshot::discard(deps, ledger_id).await;
                Done::Discard
            }
            Kind::SealCursor(job) => Done::SealCursor(Box::new(job.run(deps).await)),
            Kind::DeleteCursor(job) => Done::DeleteCursor(Box::new(job.run(deps).await)),
        })
    }
}

impl JobError {
    pub(crate) fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<KeyError> for JobError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Fenced(_) => Self::Fenced,
            KeyError::Unavailable(reason) => Self::Failed(reason),
        }
    }
}

impl From<SealError> for JobError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Fenced(_) | SealError::SealedElsewhere { .. } | SealError::NoLedger(_) => {
                Self::Fenced
            }
            SealError::Contended(_) | SealError::Metadata(_) => Self::failed(error),
        }
    }
}
