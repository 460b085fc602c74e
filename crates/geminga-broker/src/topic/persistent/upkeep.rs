//! What is done for subscriptions now and then, whether anybody uses them or not.

use std::sync::{Arc, atomic::Ordering};

use geminga_types::Ordinal;
use tracing::{error, info};

use super::{
    SubscriptionName, Topic,
    close::Phase,
    sub::{Sub, is_consumed},
    subscriptions::BusyWith,
};

/// Subscriptions that are recounted together: a topic stands still for them.
const AUDITED_AT_ONCE: usize = 16;

impl Topic {
    /// Drops readers' subscriptions that a seek has left without consumers and nobody came back to.
    pub(super) fn drop_abandoned(&mut self) {
        self.subscriptions.retain(|_, sub| {
            let is_idle = !sub.is_durable && !sub.has_consumers() && sub.seeking.is_none();
            let stays = !(is_idle && sub.is_abandoned);
            sub.is_abandoned = is_idle;
            stays
        });
    }

    /// Deletes durable subscriptions that nobody has used for as long as the policies want.
    pub(super) fn delete_unused(&mut self) {
        let Some(limit) = self.policies.subscription_expiry else { return };
        if !matches!(self.phase, Phase::Serving) {
            return;
        }
        let now = self.now();
        let is_over = |name: &SubscriptionName, sub: &Sub| {
            is_consumed(name, sub)
                && !sub.has_consumers()
                && sub.seeking.is_none()
                && limit < now.saturating_duration_since(sub.unused_since)
                && !self.busy.contains_key(name)
        };
        let over = self.subscriptions.iter().filter(|(name, sub)| is_over(name, sub));
        let over: Vec<SubscriptionName> = over.map(|(name, _)| Arc::clone(name)).collect();
        for name in over {
            let minutes = limit.as_secs() / 60;
            info!(topic = %self.name, subscription = %name, minutes, "not used for so long: deleted");
            self.remove_subscription(&name);
        }
    }

    /// Recounts what some machines know, others each time. One that is wrong delivers again what is not
    /// acked: a message may come twice, and none is stuck.
    pub(super) fn audit(&mut self) {
        let count = self.subscriptions.len();
        let first = usize::try_from(self.audits).unwrap_or(0) * AUDITED_AT_ONCE % count.max(1);
        self.audits += 1;
        let subs = self.subscriptions.iter_mut().skip(first).take(AUDITED_AT_ONCE);
        for (name, sub) in subs {
            if !self.ready.contains(name) && !sub.machine.audit(self.audits) {
                let stats = sub.machine.stats();
                error!(
                    topic = %self.name, subscription = %name, ?stats,
                    "its books did not balance: everything that is not acked is delivered again"
                );
                self.deps.repairs.fetch_add(1, Ordering::Relaxed);
                sub.machine.repair();
                self.ready.insert(Arc::clone(name));
            }
        }
    }

    /// First entries that durable subscriptions and deduplication still need; `None` when there are no
    /// such ones.
    pub(super) fn slowest(&self) -> Option<Ordinal> {
        let durable = self.subscriptions.values().filter(|sub| sub.is_durable);
        let needed = durable.map(|sub| sub.durable_mark_delete);
        let creating = self.busy.values().filter_map(|busy| match busy.what {
            BusyWith::Creating { at, .. } => Some(at),
            BusyWith::Deleting => busy.deleting.as_ref().map(|sub| sub.durable_mark_delete),
            BusyWith::FindingStart { .. } => None,
        });
        let deduplication = self.deduplication.as_ref().and_then(|it| it.needed());
        needed.chain(creating).chain(deduplication).min()
    }
}
