//! The backlog quota: what happens when too much waits for the slowest durable subscription.
//!
//! Its size is looked at with every publish, its age now and then. Beyond the quota producers are
//! closed, and refused when they come again, with the code that makes their client wait or fail; or
//! the oldest messages count as acked.

use std::time::Duration;

use geminga_env::Instant;
use geminga_types::Ordinal;
use tracing::{info, warn};

use super::{
    Topic,
    background::{Answer, READ_TIME_MAX},
    close::Phase,
    sub::is_consumed,
    tail::Meta,
};
use crate::{ProduceError, QuotaAction};

/// An eviction goes down to so many tenths of the quota, so that there is not one for each publish.
const KEPT_TENTHS: u64 = 9;

/// Of large messages each publish evicts some: the log need not say it each time.
const EVICTIONS_SAID_EVERY: Duration = Duration::from_secs(60);

/// What is known of the backlog.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When it was last said that something was evicted.
    evicted_at: Option<Instant>,
    is_looking: bool,
    /// The oldest unacked entry, and when it was published.
    oldest: Option<(Ordinal, u64)>,
}

impl Topic {
    /// Why no producer may be opened now, if so.
    pub(super) fn quota_refusal(&self) -> Option<ProduceError> {
        let (action, why) = self.exceeded()?;
        let message = format!("Cannot create producer on topic with backlog quota exceeded: {why}");
        match action {
            QuotaAction::Hold => Some(ProduceError::QuotaHold(message)),
            QuotaAction::Refuse => Some(ProduceError::QuotaExceeded(message)),
            QuotaAction::Evict => None,
        }
    }

    /// Does what the quota wants done. Producers are closed once all that was taken of them has its
    /// receipt, so that nothing is sent again that is stored; meanwhile nothing more is taken.
    pub(super) fn enforce_quota(&mut self) {
        if !matches!(self.phase, Phase::Serving) {
            return;
        }
        if !self.is_closing_producers {
            let Some((action, why)) = self.exceeded() else { return };
            if action == QuotaAction::Evict {
                return self.evict_backlog(&why);
            }
            if self.producers.len() == 0 {
                return;
            }
            info!(topic = %self.name, "closing producers: {why}");
            self.is_closing_producers = true;
        }
        if self.pending.is_empty() {
            self.producers.close_all(self.closing());
            self.is_closing_producers = false;
        }
    }

    /// Looks how old the backlog is, if that is limited.
    pub(super) fn look_at_age(&mut self) {
        let at = self.slowest_durable().map(|at| at.max(self.ledger.first()));
        let Some(at) = at.filter(|&at| at < self.ledger.end()) else { return };
        let is_limited =
            self.policies.backlog_age.is_some_and(|(_, action)| action != QuotaAction::Evict);
        if !is_limited || self.backlog.is_looking || !matches!(self.phase, Phase::Serving) {
            return;
        }
        self.backlog.is_looking = true;
        let (chain, deps) = (self.ledger.chain(), self.deps.clone());
        let work = async move {
            let permit = deps.reads.take(1).await;
            let found = chain.read(&deps.ledger, at, at.plus(1), 1).await?;
            drop(permit);
            let oldest = found.first().map(|entry| Meta::parse(&entry.body).published_at);
            Ok::<_, geminga_managed_ledger::ReadError>(
                oldest.map(|published_at| (at, published_at)),
            )
        };
        let topic = self.name.clone();
        self.spawn(READ_TIME_MAX, work, move |result| {
            let result = result.map_err(|lost| lost.to_string());
            let found = result.and_then(|found| found.map_err(|error| error.to_string()));
            let found = found.inspect_err(|error| {
                warn!(%topic, error, "the age of the backlog was not found out; it is tried again");
            });
            Answer::Oldest { found: found.ok().flatten() }
        });
    }

    pub(super) fn on_oldest(&mut self, found: Option<(Ordinal, u64)>) {
        self.backlog.is_looking = false;
        if found.is_some() {
            self.backlog.oldest = found; // Otherwise what was known holds until it is acked.
        }
        self.enforce_quota();
    }

    /// What is to be done, and why. An age quota that evicts is a time to live: see `expiry`.
    fn exceeded(&self) -> Option<(QuotaAction, String)> {
        let Some((max, action)) = self.policies.backlog_bytes else { return self.is_too_old() };
        let bytes = self.ledger.bytes_from(self.slowest_durable()?);
        if max <= bytes {
            return Some((action, format!("{bytes} bytes wait, the limit is {max}")));
        }
        self.is_too_old()
    }

    fn is_too_old(&self) -> Option<(QuotaAction, String)> {
        let (max, action) = self.policies.backlog_age?;
        let slowest = self.slowest_durable()?;
        let (at, published_at) = self.backlog.oldest.filter(|&(at, _)| slowest <= at)?;
        let age = self.deps.ledger.env.clock.wall().0.saturating_sub(published_at);
        let is_over = max < Duration::from_millis(age) && at < self.ledger.end();
        let seconds = max.as_secs();
        (is_over && action != QuotaAction::Evict)
            .then(|| (action, format!("a message waits for {age} ms, the limit is {seconds} s")))
    }

    /// First entry that a durable subscription has not acked; compaction's own cursor waits for no
    /// consumer, and is not one.
    pub(super) fn slowest_durable(&self) -> Option<Ordinal> {
        let durable = self.subscriptions.iter().filter(|(name, sub)| is_consumed(name, sub));
        durable.map(|(_, sub)| sub.machine.mark_delete()).min()
    }

    fn evict_backlog(&mut self, why: &str) {
        let Some((max, _)) = self.policies.backlog_bytes else { return };
        let to = self.ledger.last_bytes(max / 10 * KEPT_TENTHS);
        let now = self.now();
        if self.backlog.evicted_at.is_none_or(|at| at + EVICTIONS_SAID_EVERY <= now) {
            self.backlog.evicted_at = Some(now);
            warn!(topic = %self.name, "the oldest messages of slow subscriptions count as acked: {why}");
        }
        self.ack_before(to, |at| at < to);
    }
}
