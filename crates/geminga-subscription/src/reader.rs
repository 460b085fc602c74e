//! The one read that may be out, and when the next may follow a failure.
//!
//! # Invariants
//!
//! 1. An answer counts once, and only if it is to the read that is out.
//! 2. After a failure, nothing is read before the back-off has passed.

use crate::{Options, ReadId, backoff::Backoff};

/// The read that is out, if any.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    issued: u64,
    out: Option<ReadId>,
    backoff: Backoff,
}

impl Reader {
    pub(crate) const fn is_out(&self) -> bool {
        self.out.is_some()
    }

    pub(crate) fn may_read(&self) -> bool {
        self.out.is_none() && self.backoff.may_try()
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
        self.backoff.on_success();
    }

    pub(crate) const fn on_failure(&mut self) {
        self.backoff.on_failure();
    }

    pub(crate) fn on_time(&mut self, now_wall_ms: u64, options: &Options) {
        self.backoff.on_time(now_wall_ms, options.retry_ms_min, options.retry_ms_max);
    }

    pub(crate) const fn retry_at(&self) -> Option<u64> {
        self.backoff.retry_at()
    }
}
