//! What of a non-persistent topic goes when nobody uses it: subscriptions in time, in the end all of it.

use std::sync::Arc;

use geminga_env::Instant;
use tracing::info;

use super::{
    super::{Reply, consumers::refuse_in_use},
    Topic,
};
use crate::{AdminError, InactiveMode};

impl Topic {
    /// When the next subscription has been without consumers for as long as the policies want.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let limit = self.policies.subscription_expiry?;
        let unused = self.subscriptions.values().filter(|sub| sub.dispatch.is_empty());
        unused.map(|sub| sub.unused_since + limit).min()
    }

    pub(super) fn delete_unused(&mut self) {
        let Some(limit) = self.policies.subscription_expiry else { return };
        let (now, topic) = (self.now(), &self.name);
        self.subscriptions.retain(|name, sub| {
            let stays = !sub.dispatch.is_empty() || now < sub.unused_since + limit;
            if !stays {
                let (subscription, minutes) = (Arc::clone(name), limit.as_secs() / 60);
                info!(%topic, %subscription, minutes, "not used for so long: deleted");
            }
            stays
        });
    }

    pub(super) fn prepare_delete(&mut self, force: bool, reply: Reply<Result<(), AdminError>>) {
        let (producers, consumers) = (self.producers.len(), self.consumers.len());
        if !force && let Err(refusal) = refuse_in_use(&self.name, producers, consumers) {
            _ = reply.send(Err(refusal));
            return;
        }
        self.is_ended = true;
        _ = reply.send(Ok(()));
    }

    /// Ends it if it is inactive, and has been for as long as the policies want.
    pub(super) fn delete_inactive(&mut self, reply: Reply<Result<(), AdminError>>) {
        let unused = self.now().saturating_duration_since(self.unused_since);
        let is_over = self.policies.inactivity.is_some_and(|(mode, max)| {
            max <= unused && (mode == InactiveMode::CaughtUp || self.subscriptions.is_empty())
        });
        if is_over {
            info!(topic = %self.name, seconds = unused.as_secs(), "inactive for so long: deleting");
            self.prepare_delete(false, reply);
        } else {
            let message = format!("Topic {} is not inactive, or not for long enough", self.name);
            _ = reply.send(Err(AdminError::Busy(message)));
        }
    }
}
