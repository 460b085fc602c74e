//! Terminated, closed, fenced.

use geminga_types::Position;

use super::ManagedLedger;
use crate::append::AppendError;

/// What a managed ledger still does.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) termination: Termination,
    is_closing: bool,
    /// Whether the topic is being deleted.
    pub(super) is_abandoned: bool,
    is_fenced: bool,
}

/// Whether it takes entries for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Termination {
    No,
    Wanted,
    Done(Position),
}

impl Life {
    pub(super) fn new(terminated: Option<Position>) -> Self {
        let termination = terminated.map_or(Termination::No, Termination::Done);
        Self { termination, is_closing: false, is_abandoned: false, is_fenced: false }
    }

    /// Why an append is refused, if it is.
    pub(super) const fn refusal(&self) -> Option<AppendError> {
        if self.is_fenced {
            Some(AppendError::Fenced)
        } else if self.is_closing {
            Some(AppendError::Closed)
        } else if matches!(self.termination, Termination::No) {
            None
        } else {
            Some(AppendError::Terminated)
        }
    }

    /// Whether nothing is begun any more.
    pub(super) const fn refuses_all(&self) -> bool {
        self.is_closing || self.is_fenced
    }

    /// Whether the open ledger is to be closed for good.
    pub(super) const fn is_ending(&self) -> bool {
        self.is_closing || matches!(self.termination, Termination::Wanted)
    }
}

impl ManagedLedger {
    /// Takes no more entries, ever. Those on their way are finished first; durable once
    /// [`Self::terminated`] says where.
    pub fn terminate(&mut self) {
        if self.life.termination == Termination::No {
            self.life.termination = Termination::Wanted;
            self.refuse_waiting();
        }
    }

    /// The last entry of a terminated topic: (ledger, −1) or (−1, −1) if it has none.
    #[must_use]
    pub const fn terminated(&self) -> Option<Position> {
        match self.life.termination {
            Termination::Done(position) => Some(position),
            Termination::No | Termination::Wanted => None,
        }
    }

    /// Whether the topic is terminated, durably.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        self.terminated().is_some()
    }

    /// Closes the ledgers that are open, so that the next load need not recover them. Entries on
    /// their way and changes of cursors are finished first; go on polling, answering
    /// [`crate::CursorEvent::NeedsSnapshot`] too, until [`Self::is_closed`].
    pub fn close(&mut self) {
        if !self.life.is_closing {
            self.life.is_closing = true;
            self.refuse_waiting();
            self.cursors.close();
            self.compaction.close();
            self.delayed.close();
        }
    }

    /// The topic is about to be deleted, and nothing is to be written any more: the jobs from now on
    /// delete ledgers that no key names, which [`crate::delete()`] would not find.
    pub fn abandon(&mut self) {
        self.life.is_abandoned = true;
        self.cursors.abandon();
    }

    /// Whether nothing is left to do after [`Self::close`]. Not before everything was polled.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let is_done = self.ledgers.is_closed()
            && self.life.termination != Termination::Wanted
            && self.doomed.is_empty()
            && self.burials == 0
            && self.compaction.is_quiet()
            && self.delayed.is_quiet()
            && self.cursors.is_closed();
        self.life.is_closing && (self.life.is_fenced || is_done)
    }

    /// Whether the topic has another owner: this machine does nothing any more.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        self.life.is_fenced
    }

    /// Stops for good.
    pub(super) fn fence(&mut self) {
        if self.life.is_fenced {
            return;
        }
        tracing::warn!("the managed ledger has another owner");
        self.life.is_fenced = true;
        if let Some(open) = self.ledgers.give_up_open("fenced") {
            for _ in open.in_flight {
                self.appends.fail(AppendError::Fenced);
            }
        }
        self.appends.fail_waiting(&AppendError::Fenced);
        self.outbox.clear();
        self.cursors.fence();
    }
}
