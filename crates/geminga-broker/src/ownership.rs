//! Who serves a topic: name → bundle by Pulsar's hash → owner. A topic is loaded only with a
//! [`Grant`], and closes when the grant is revoked.
//!
//! Standalone's grant is always ours; tests revoke it. A cluster's comes from metadata, later.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use geminga_types::{BundleRange, NamespaceName, TopicName, bundle_of};
use tokio_util::sync::CancellationToken;

/// The right to serve a bundle's topics, until revoked.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    namespace: NamespaceName,
    bundle: BundleRange,
    epoch: u64,
    revoked: CancellationToken,
}

/// Hands out grants. Every grant of a bundle between two revocations has the same epoch.
#[derive(Debug)]
pub(crate) struct Ownership {
    bundles_default: u32,
    held: Mutex<BTreeMap<(NamespaceName, BundleRange), Grant>>,
    epochs: Mutex<u64>,
}

impl Grant {
    /// The bundle it is for, as `tenant/namespace/0x…_0x…`.
    #[must_use]
    pub(crate) fn bundle(&self) -> String {
        format!("{}/{}", self.namespace, self.bundle)
    }

    /// Grows with each change of owner.
    #[must_use]
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it still holds.
    #[must_use]
    pub(crate) fn is_valid(&self) -> bool {
        !self.revoked.is_cancelled()
    }

    /// Completes once it no longer holds.
    pub(crate) async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

impl Ownership {
    /// Everything is ours, in namespaces cut into `bundles_default` bundles.
    #[must_use]
    pub(crate) fn standalone(bundles_default: u32) -> Self {
        Self {
            bundles_default: bundles_default.max(1),
            held: Mutex::default(),
            epochs: Mutex::new(0),
        }
    }

    /// The grant for `topic`'s bundle.
    #[must_use]
    pub(crate) fn acquire(&self, topic: &TopicName) -> Grant {
        let namespace = topic.namespace().clone();
        let bundle = bundle_of(topic, self.bundles_default);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry((namespace.clone(), bundle))
            .or_insert_with(|| {
                let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
                *epochs += 1;
                Grant { namespace, bundle, epoch: *epochs, revoked: CancellationToken::new() }
            })
            .clone()
    }

    /// Revokes the grant for `topic`'s bundle: its topics close, and load again with a later epoch.
    pub(crate) fn revoke(&self, topic: &TopicName) {
        let bundle = bundle_of(topic, self.bundles_default);
        let key = (topic.namespace().clone(), bundle);
        let grant = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(grant) = grant {
            grant.revoked.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_holds_until_revoked_and_the_next_has_a_later_epoch() {
        let ownership = Ownership::standalone(4);
        let topic: TopicName = "a".parse().unwrap();
        let first = ownership.acquire(&topic);
        assert_eq!(first.epoch(), ownership.acquire(&topic).epoch());
        ownership.revoke(&topic);
        assert!(!first.is_valid());
        let second = ownership.acquire(&topic);
        assert!(second.is_valid());
        assert!(first.epoch() < second.epoch());
        assert_eq!(first.bundle(), second.bundle());
    }
}
