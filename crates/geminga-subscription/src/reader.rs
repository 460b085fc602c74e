//! The one read that may be out, and when the next may follow a failure.
//!
//! # Invariants
//!
//! 1. An answer counts once, and only if it is to the read that is out.
//! 2. After a failure, nothing is read before the back-off has passed.

use crate::{Options, ReadId};

/// The read that is out, if any.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    issued: u64,
    out: Option<ReadId>,
    failures: u32,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    #[default]
    No,
    /// A read failed; the end of the wait is set at the next poll, which knows the time.
    Failed,
    Until(u64),
}

impl Reader {
    pub(crate) const fn is_out(&self) -> bool {
        self.out.is_some()
    }

    pub(crate) fn may_read(&self) -> bool {
        self.out.is_none() && self.wait == Wait::No
    }

    pub(crate) const fn issue(&mut self) -> ReadId {
        self.issued += 1;
        let id = ReadId(self.issued);
        self.out = Some(id);
        id
    }

    /// Takes an answer; false if nobody waits for it.
    pub(crate) fn take_answer(&mut self, id: ReadId) -> bool {
        let is_wanted = self.out == Some(id);
        if is_wanted {
            self.out = None;
        }
        is_wanted
    }

    /// The read that is out is no longer wanted.
    pub(crate) const fn cancel(&mut self) {
        self.out = None;
    }

    pub(crate) const fn on_success(&mut self) {
        self.failures = 0;
        self.wait = Wait::No;
    }

    pub(crate) const fn on_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.wait = Wait::Failed;
    }

    /// Ends a wait that is over, and begins one that is due. A clock that stepped back does not
    /// make the wait longer than the back-off.
    pub(crate) fn on_time(&mut self, now_wall_ms: u64, options: &Options) {
        let doublings = self.failures.saturating_sub(1).min(20);
        let backoff = (options.retry_ms_min << doublings).min(options.retry_ms_max);
        let latest = now_wall_ms.saturating_add(backoff);
        self.wait = match self.wait {
            Wait::No => Wait::No,
            Wait::Failed => Wait::Until(latest),
            Wait::Until(at) if at <= now_wall_ms => Wait::No,
            Wait::Until(at) => Wait::Until(at.min(latest)),
        };
    }

    pub(crate) const fn retry_at(&self) -> Option<u64> {
        match self.wait {
            Wait::Until(at) => Some(at),
            Wait::No | Wait::Failed => None,
        }
    }
}
