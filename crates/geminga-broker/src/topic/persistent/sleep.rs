//! Whether a topic is at rest, so that it may be unloaded without anybody noticing, or so long inactive
//! that it is to be deleted.
//!
//! What stores entries stays loaded: unloading seals its open ledger, which is never trimmed, and a
//! sealed one may be, so a reader would notice.

use tracing::{debug, info};

use super::{
    super::Reply,
    Topic,
    close::{Phase, UNLOAD_TIME_MAX},
    sub::Sub,
};
use crate::{AdminError, InactiveMode};

impl Topic {
    /// Unloads it if it is at rest; otherwise drops the reply.
    pub(super) fn sleep(&mut self, reply: Reply<()>) {
        if self.is_at_rest() {
            debug!(topic = %self.name, "not in use; unloading");
            let deadline = self.now() + UNLOAD_TIME_MAX;
            self.phase = Phase::Draining { replies: vec![reply], deadline };
        }
    }

    /// Begins its deletion if it is inactive, and has been for as long as the policies want.
    pub(super) fn delete_inactive(&mut self, reply: Reply<Result<(), AdminError>>) {
        let unused = self.now().saturating_duration_since(self.unused_since);
        let kept = self.policies.retention_time.unwrap_or_default();
        let is_over = self.policies.inactivity.is_some_and(|(_, max)| max.max(kept) <= unused);
        if is_over && self.is_inactive() {
            info!(topic = %self.name, seconds = unused.as_secs(), "inactive for so long: deleting");
            self.prepare_delete(false, reply);
        } else {
            let message = format!("Topic {} is not inactive, or not for long enough", self.name);
            _ = reply.send(Err(AdminError::Busy(message)));
        }
    }

    /// Whether the policies have it deleted sooner or later if nobody uses it. Nothing with a cursor
    /// goes, be it a reader's or one that is being made, except, if that is wanted, durable
    /// subscriptions that have everything acked.
    fn is_inactive(&self) -> bool {
        let Some((mode, _)) = self.policies.inactivity else { return false };
        if self.policies.retention_time.is_none() {
            return false; // What it stored is kept for ever.
        }
        let may_go = match mode {
            InactiveMode::NoSubscriptions => self.subscriptions.is_empty(),
            InactiveMode::CaughtUp => self.subscriptions.values().all(|sub| is_done(sub)),
        };
        may_go && self.is_quiet()
    }

    fn is_at_rest(&self) -> bool {
        self.jobs == 0
            && self.is_quiet()
            && self.subscriptions.values().all(|sub| is_done(sub))
            && self.ledger.entries() == 0
            && !self.is_inactive() // It would never be deleted.
    }

    /// Whether nobody uses it, and nothing is being done.
    fn is_quiet(&self) -> bool {
        let is_unused = self.producers.len() == 0 && self.consumers.is_empty();
        let is_settled = self.pending.is_empty()
            && self.unflushed.is_empty()
            && self.terminating.is_empty()
            && self.noting.is_empty()
            && self.truncation.is_quiet()
            && self.deduplication.as_ref().is_none_or(|it| it.is_quiet())
            && !self.has_dead_letters_out()
            && !self.has_busy_names();
        matches!(self.phase, Phase::Serving) && is_unused && is_settled
    }
}

/// Whether everything of a subscription is acked, durably. A reader's is gone once it is unloaded.
fn is_done(sub: &Sub) -> bool {
    let is_quiet = sub.in_flight.is_empty() && sub.seeking.is_none();
    sub.is_durable && is_quiet && sub.has_consumed_all()
}
