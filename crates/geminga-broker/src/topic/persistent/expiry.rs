//! Lets go of what is past its time, so that its space comes back where nobody consumes, too.
//!
//! That consumers are not sent it is the machines' doing, entry by entry. Here the entries are looked
//! at from the slowest subscription on, in order, up to the first that is not past its time: clocks of
//! publishers differ, and no entry goes for the age of its neighbour. So one that says it comes from
//! the future keeps those behind it, until it is acked.

use geminga_managed_ledger::{Chain, ReadError};
use geminga_types::Ordinal;
use tracing::warn;

use super::{
    SubscriptionName, Topic, TopicDeps,
    background::{Answer, READ_TIME_MAX},
    close::Phase,
    sub::is_consumed,
    tail::Meta,
};

/// Bytes read in one go; if that was not enough, the next follows at once.
const BYTES_MAX: usize = 16 << 20;
/// Bytes and entries read at once. The first read is of one entry, which nearly always is enough.
const READ_BYTES_MAX: usize = 1 << 20;
const READ_ENTRIES_MAX: u64 = 1_000;

/// What was found: entries of `looked_at` are older than `age_ms`.
#[derive(Debug)]
pub(super) struct Expired {
    age_ms: u64,
    from: Ordinal,
    before: Ordinal,
    /// Whether there may be more.
    is_all: bool,
}

impl Topic {
    /// Looks for entries that are past their time, unless it does already.
    pub(super) fn look_for_expired(&mut self) {
        let Some(age_ms) = self.policies.lifetime_ms() else { return };
        let from = self.slowest_durable().map(|from| from.max(self.ledger.first()));
        let Some(from) = from.filter(|&from| from < self.ledger.end()) else { return };
        if self.is_expiring || !matches!(self.phase, Phase::Serving) {
            return;
        }
        self.is_expiring = true;
        let oldest = self.deps.ledger.env.clock.wall().0.saturating_sub(age_ms);
        let (chain, deps) = (self.ledger.chain(), self.deps.clone());
        let (topic, to) = (self.name.clone(), self.ledger.end());
        let work = async move {
            let mut found = Expired { age_ms, from, before: from, is_all: false };
            if let Err(error) = look(&chain, &deps, oldest, &mut found, to).await {
                warn!(%topic, %error, "looking for messages past their time failed; it is tried again");
                found.is_all = true;
            }
            found
        };
        self.spawn(READ_TIME_MAX, work, |found| Answer::Expired { found: found.ok() });
    }

    pub(super) fn on_expired(&mut self, found: Option<&Expired>) {
        self.is_expiring = false;
        let Some(found) = found else { return };
        let is_still_so = self.policies.lifetime_ms().is_some_and(|now| now <= found.age_ms);
        if !is_still_so || !matches!(self.phase, Phase::Serving) {
            return;
        }
        // One that has gone back meanwhile has entries before that nobody has looked at.
        let first = self.ledger.first();
        let is_late = |at: Ordinal| (found.from <= at || at < first) && at < found.before;
        let now = self.now();
        for (name, entries) in self.ack_before(found.before, is_late) {
            if let Some(sub) = self.subscriptions.get_mut(&name) {
                sub.doings.note_expired(now, entries);
            }
        }
        if !found.is_all {
            self.look_for_expired();
        }
    }

    /// Acks what lies before `to` on durable subscriptions whose mark-delete position `is_meant`. The
    /// cursor of compaction goes by what is compacted alone. Tells how many entries each of them had.
    pub(super) fn ack_before(
        &mut self,
        to: Ordinal,
        is_meant: impl Fn(Ordinal) -> bool,
    ) -> Vec<(SubscriptionName, u64)> {
        let meant = self
            .subscriptions
            .iter()
            .filter(|(name, sub)| is_consumed(name, sub) && is_meant(sub.machine.mark_delete()));
        let names: Vec<_> = meant.map(|(name, _)| name.clone()).collect();
        let mut acked = Vec::with_capacity(names.len());
        for name in names {
            let Some(sub) = self.subscriptions.get_mut(&name) else { continue };
            let change = sub.machine.ack_before(to);
            self.note_acks(&name, &change, None);
            self.ready.insert(SubscriptionName::clone(&name));
            acked.push((name, change.entries()));
        }
        acked
    }
}

/// Moves `found.before` over what was published at `oldest` or before.
async fn look(
    chain: &Chain,
    deps: &TopicDeps,
    oldest: u64,
    found: &mut Expired,
    to: Ordinal,
) -> Result<(), ReadError> {
    let mut bytes = 0;
    let mut entries_max = 1;
    while found.before < to && bytes < BYTES_MAX {
        let permit = deps.reads.take(READ_BYTES_MAX).await;
        let until = to.min(found.before.plus(entries_max));
        let entries = chain.read(&deps.ledger, found.before, until, READ_BYTES_MAX).await?;
        drop(permit);
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            if oldest < Meta::parse(&entry.body).published_at {
                found.is_all = true;
                return Ok(());
            }
            found.before = entry.ordinal.plus(1);
            bytes += entry.body.len();
        }
        entries_max = READ_ENTRIES_MAX;
    }
    found.is_all = bytes < BYTES_MAX;
    Ok(())
}
