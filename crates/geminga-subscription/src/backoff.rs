//! When something that failed may be tried again: each failure in a row doubles the wait.

/// The wait after failures, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    wait: Wait,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    #[default]
    No,
    /// It failed; the end of the wait is set at the next poll, which knows the time.
    Failed,
    Until(u64),
}

impl Backoff {
    pub(crate) fn may_try(&self) -> bool {
        self.wait == Wait::No
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
    pub(crate) fn on_time(&mut self, now_wall_ms: u64, ms_min: u64, ms_max: u64) {
        let doublings = self.failures.saturating_sub(1).min(20);
        let latest = now_wall_ms.saturating_add((ms_min << doublings).min(ms_max));
        self.wait = match self.wait {
            Wait::No => Wait::No,
            Wait::Failed => Wait::Until(latest),
            Wait::Until(at) if at <= now_wall_ms => Wait::No,
            Wait::Until(at) => Wait::Until(at.min(latest)),
        };
    }

    /// When the wait is over; unknown until it was polled.
    pub(crate) const fn retry_at(&self) -> Option<u64> {
        match self.wait {
            Wait::Until(at) => Some(at),
            Wait::No | Wait::Failed => None,
        }
    }
}
