//! A Failover subscription between two active consumers: what the former one still has it may ack, for
//! a while, before the next one gets what is left.
//!
//! # Invariants
//!
//! 1. While it lasts, nothing is delivered to anybody.
//! 2. It ends at the latest `hand_over_ms` after the first poll that saw it.

use crate::{ConsumerKey, Options};

/// One that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandOver {
    /// Who has what was delivered.
    pub(crate) from: ConsumerKey,
    /// When it is over at the latest, in milliseconds of wall time; set at the next poll, which knows
    /// the time.
    until: Option<u64>,
}

impl HandOver {
    pub(crate) const fn new(from: ConsumerKey) -> Self {
        Self { from, until: None }
    }

    /// When it is over at the latest. A clock that stepped back does not make it longer.
    pub(crate) fn until(&mut self, now_wall_ms: u64, options: &Options) -> u64 {
        let latest = now_wall_ms.saturating_add(options.hand_over_ms);
        let until = self.until.map_or(latest, |until| until.min(latest));
        self.until = Some(until);
        until
    }

    /// The same, if a poll has seen it.
    pub(crate) const fn known_until(&self) -> Option<u64> {
        self.until
    }
}
