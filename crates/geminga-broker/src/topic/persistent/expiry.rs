//! Lets go of what is past its time, so that its space comes back where nobody consumes, too.
//!
//! That consumers are not sent it is the machines' doing, entry by entry. Here the entries are looked
//! at from the slowest subscription on, in order, up to the first that is not past its time: clocks of
//! publishers differ, and no entry goes for the age of its neighbour.

use geminga_types::Ordinal;
use tracing::warn;

use super::{Topic, background::{Answer, READ_TIME_MAX}, tail::Meta};

/// Entries looked at in one go.
const ENTRIES_MAX: u64 = 100_000;
/// Entries read at once.
const READ_ENTRIES_MAX: u64 = 1_000;
/// Bytes read at once.
const READ_BYTES_MAX: usize = 1 << 20;

impl Topic {
    /// Looks for entries that are past their time, unless it does already.
    pub(super) fn look_for_expired(&mut self) {
        let Some(ttl_ms) = self.policies.ttl_ms() else { return };
        let durable = self.subscriptions.values().filter(|sub| sub.is_durable);
        let Some(from) = durable.map(|sub| sub.machine.mark_delete()).min() else { return };
        let to = self.ledger.end().min(from.plus(ENTRIES_MAX));
        if self.is_expiring || to <= from {
            return;
        }
        self.is_expiring = true;
        let oldest = self.deps.ledger.env.clock.wall().0.saturating_sub(ttl_ms);
        let (chain, deps) = (self.ledger.chain(), self.deps.clone());
        let work = async move {
            let mut at = from;
            while at < to {
                let permit = deps.reads.take(READ_BYTES_MAX).await;
                let until = to.min(at.plus(READ_ENTRIES_MAX));
                let entries = chain.read(&deps.ledger, at, until, READ_BYTES_MAX).await?;
                drop(permit);
                let is_over = |body: &[u8]| Meta::parse(body).published_at <= oldest;
                let first = entries.iter().find(|entry| !is_over(&entry.body));
                match (first, entries.last()) {
                    (Some(first), _) => return Ok(first.ordinal),
                    (None, Some(last)) => at = last.ordinal.plus(1),
                    (None, None) => break,
                }
            }
            Ok::<_, geminga_managed_ledger::ReadError>(at)
        };
        let topic = self.name.clone();
        self.spawn(READ_TIME_MAX, work, move |result| {
            let result = match result {
                Ok(found) => found.map_err(|error| error.to_string()),
                Err(lost) => Err(lost.to_string()),
            };
            let before = result.inspect_err(|error| {
                warn!(%topic, error, "looking for messages past their time failed; it is tried again");
            });
            Answer::Expired { before: before.ok() }
        });
    }

    /// What lies before is past its time.
    pub(super) fn on_expired(&mut self, before: Option<Ordinal>) {
        self.is_expiring = false;
        let Some(before) = before else { return };
        let durable = self.subscriptions.iter().filter(|(_, sub)| sub.is_durable);
        let names: Vec<_> = durable.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(sub) = self.subscriptions.get_mut(&name) else { continue };
            if sub.machine.mark_delete() < before {
                let change = sub.machine.ack_before(before);
                self.note_acks(&name, &change, None);
                self.ready.insert(name);
            }
        }
    }
}
