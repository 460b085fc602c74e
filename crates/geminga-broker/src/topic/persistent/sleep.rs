//! Whether a topic is at rest, so that it may be unloaded without anybody noticing.
//!
//! What stores entries stays loaded: unloading seals its open ledger, which is never trimmed, and a
//! sealed one may be, so a reader would notice.

use tracing::debug;

use super::{
    super::Reply,
    Topic,
    close::{Phase, UNLOAD_TIME_MAX},
    subscriptions::Sub,
};

impl Topic {
    /// Unloads it if it is at rest; otherwise drops the reply.
    pub(super) fn sleep(&mut self, reply: Reply<()>) {
        if self.is_at_rest() {
            debug!(topic = %self.name, "not in use; unloading");
            let deadline = self.now() + UNLOAD_TIME_MAX;
            self.phase = Phase::Draining { replies: vec![reply], deadline };
        }
    }

    fn is_at_rest(&self) -> bool {
        let is_unused = self.producers.len() == 0 && self.consumers.is_empty();
        let is_settled = self.jobs == 0
            && self.pending.is_empty()
            && self.unflushed.is_empty()
            && self.terminating.is_empty()
            && !self.has_busy_names();
        matches!(self.phase, Phase::Serving)
            && is_unused
            && is_settled
            && self.subscriptions.values().all(|sub| is_done(sub))
            && self.ledger.entries() == 0
    }
}

/// Whether everything of a subscription is acked, durably. A reader's is gone once it is unloaded.
fn is_done(sub: &Sub) -> bool {
    let is_quiet = sub.in_flight.is_empty() && sub.seeking.is_none();
    sub.is_durable && is_quiet && sub.has_consumed_all()
}
