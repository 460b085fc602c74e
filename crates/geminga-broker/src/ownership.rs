//! Who serves a topic: name → bundle by Pulsar's hash → owner. A topic is loaded only with a
//! [`Grant`], and closes when the grant is revoked.
//!
//! Standalone's grant is always ours; tests revoke it. A cluster's comes from metadata, later.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use geminga_types::{BundleRange, NamespaceName, TopicName};
use tokio_util::sync::CancellationToken;

/// The right to serve a bundle's topics, until revoked.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    namespace: NamespaceName,
    bundle: BundleRange,
    epoch: u64,
    revoked: CancellationToken,
}

/// Hands out grants. Every grant of a bundle between two revocations has the same epoch. A split gives its
/// parts grants of their own for what is loaded from then on; what was loaded before keeps that of the whole.
#[derive(Debug)]
pub(crate) struct Ownership {
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
    /// Everything is ours.
    #[must_use]
    pub(crate) fn standalone() -> Self {
        Self { held: Mutex::default(), epochs: Mutex::new(0) }
    }

    /// The grant for `topic`'s bundle.
    #[must_use]
    pub(crate) fn acquire(&self, topic: &TopicName, bundle: BundleRange) -> Grant {
        let namespace = topic.namespace().clone();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry((namespace.clone(), bundle))
            .or_insert_with(|| {
                let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
                *epochs += 1;
                Grant { namespace, bundle, epoch: *epochs, revoked: CancellationToken::new() }
            })
            .clone()
    }

    /// Revokes the grants that hold `topic`: their topics close, and load again with a later epoch.
    pub(crate) fn revoke(&self, topic: &TopicName) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(namespace, bundle), grant| {
            let is_of_it = namespace == topic.namespace() && bundle.holds(topic);
            if is_of_it {
                grant.revoked.cancel();
            }
            !is_of_it
        });
    }
}

#[cfg(test)]
mod tests {
    use geminga_types::Bundles;

    use super::*;

    #[test]
    fn a_grant_holds_until_revoked_and_the_next_has_a_later_epoch() {
        let ownership = Ownership::standalone();
        let topic: TopicName = "a".parse().unwrap();
        let bundle = Bundles::even(4).of(&topic);
        let first = ownership.acquire(&topic, bundle);
        assert_eq!(first.epoch(), ownership.acquire(&topic, bundle).epoch());
        ownership.revoke(&topic);
        assert!(!first.is_valid());
        let second = ownership.acquire(&topic, bundle);
        assert!(second.is_valid());
        assert!(first.epoch() < second.epoch());
        assert_eq!(first.bundle(), second.bundle());
    }

    #[test]
    fn after_a_split_a_revocation_closes_what_was_loaded_before_it_too() {
        let ownership = Ownership::standalone();
        let topic: TopicName = "a".parse().unwrap();
        let (whole, half) = (Bundles::even(1).of(&topic), Bundles::even(2).of(&topic));
        let before = ownership.acquire(&topic, whole);
        let after = ownership.acquire(&topic, half);
        assert_ne!(before.epoch(), after.epoch());
        let others = "public/other/a".parse().unwrap();
        let other = ownership.acquire(&others, whole);
        ownership.revoke(&topic);
        assert!(!before.is_valid() && !after.is_valid() && other.is_valid());
    }
}
