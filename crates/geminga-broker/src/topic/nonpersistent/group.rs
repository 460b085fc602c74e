//! What the topic's resource group lets it send.
//!
//! Nothing is kept here, so nothing waits for a rate: what the group has no tokens for is dropped, as is what
//! no consumer has permits for.

use geminga_env::Instant;

use super::Topic;
use crate::rate::Left;

/// What may be sent of one batch of publishes, and what was.
#[derive(Debug)]
pub(super) struct Share {
    left: Left,
    counts_entries: bool,
    messages: u64,
    bytes: u64,
}

impl Topic {
    /// The namespace's group may be another one.
    pub(super) fn set_group(&mut self) {
        let groups = &self.deps.resource_groups;
        groups.join(&mut self.group, self.policies.resource_group.as_ref());
    }

    pub(super) fn share(&self, now: Instant) -> Share {
        let wants_any = || self.subscriptions.values().any(|sub| !sub.dispatch.is_empty());
        let group = self.group.as_ref().filter(|_| wants_any());
        let left = group.map_or(Left::ALL, |group| group.ask_dispatch(now));
        let counts_entries = self.deps.options.dispatch.counts_entries;
        Share { left, counts_entries, messages: 0, bytes: 0 }
    }

    /// So much of it was sent.
    pub(super) fn note_share(&self, now: Instant, share: &Share) {
        if let Some(group) = self.group.as_ref().filter(|_| 0 < share.messages) {
            group.note_dispatched(now, share.messages, share.bytes);
        }
    }
}

impl Share {
    /// Whether one more may be sent; the last of it is on credit.
    pub(super) const fn has_room(&self) -> bool {
        self.messages < self.left.messages && self.bytes < self.left.bytes
    }

    pub(super) const fn take(&mut self, messages: u32, bytes: u64) {
        let messages = if self.counts_entries { 1 } else { messages as u64 };
        self.messages = self.messages.saturating_add(messages);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
