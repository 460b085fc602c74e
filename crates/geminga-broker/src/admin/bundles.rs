//! Bundles of a namespace: which there are, where topics are, splitting.
//!
//! # Invariants
//!
//! 1. A split is one compare-and-set write of the namespace's record: of two of one bundle, the
//!    second finds that the bundle is gone.

use std::collections::BTreeMap;

use geminga_metadata::paths;
use geminga_types::{BundleRange, Bundles, NamespaceName, TopicName, bundle_hash};

use super::{BundlesData, Policies};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
};

/// Where a bundle is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleSplit {
    /// In the middle of its range.
    Range,
    /// Between the two halves of its topics in use; one with fewer than two stays as it is.
    TopicCount,
    /// At those of some hashes that are inside it; one with fewer than two topics in use stays as it is.
    Positions(Vec<i64>),
}

impl Broker {
    /// How a namespace is cut.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn bundles(&self, namespace: &NamespaceName) -> Result<Bundles, AdminError> {
        Ok(stored(&self.namespace_policies(namespace).await?))
    }

    /// The bundle that a topic is in.
    ///
    /// # Errors
    ///
    /// If its namespace does not exist.
    pub async fn bundle(&self, topic: &TopicName) -> Result<BundleRange, AdminError> {
        Ok(self.bundles(topic.namespace()).await?.of(topic))
    }

    /// The bundle that holds the most of a namespace's stored topics, the first of equals.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or if it has no topics.
    pub async fn largest_bundle(&self, namespace: &NamespaceName) -> Result<String, AdminError> {
        let bundles = self.bundles(namespace).await?;
        let mut counts: BTreeMap<BundleRange, usize> = BTreeMap::new();
        for topic in namespace::stored_topics(self.deps(), namespace).await? {
            *counts.entry(bundles.of(&topic)).or_default() += 1;
        }
        let largest = counts.into_iter().rev().max_by_key(|(_, count)| *count);
        let none = || AdminError::NotFound("Bundle range LARGEST not found".to_owned());
        largest.map(|(range, _)| range.to_string()).ok_or_else(none)
    }

    /// Hashes of the topics in use of a bundle, by name.
    ///
    /// # Errors
    ///
    /// If there is no such bundle.
    pub async fn topic_hash_positions(
        &self,
        namespace: &NamespaceName,
        range: &str,
    ) -> Result<BTreeMap<TopicName, u32>, AdminError> {
        let bundles = self.bundles(namespace).await?;
        let range = find(&bundles, namespace, range)?;
        let in_use = self.topics_in_use().into_iter();
        let of_it =
            in_use.filter(|name| name.namespace() == namespace && bundles.of(name) == range);
        Ok(of_it.map(|name| (name.clone(), bundle_hash(&name))).collect())
    }

    /// Splits a bundle. Its topics stay in use, unless they are to be unloaded. A bundle in which there
    /// is nowhere to cut stays as it is, as in Pulsar.
    ///
    /// # Errors
    ///
    /// If there is no such bundle, or if it cannot be cut there.
    pub async fn split_bundle(
        &self,
        namespace: &NamespaceName,
        range: &str,
        how: &BundleSplit,
        unload: bool,
    ) -> Result<(), AdminError> {
        let in_use = self.topic_hash_positions(namespace, range).await?;
        let whole = find(&self.bundles(namespace).await?, namespace, range)?;
        let positions = positions(whole, how, in_use.values().copied().collect());
        if positions.is_empty() {
            return Ok(());
        }
        record::change(self.deps(), &paths::namespace(namespace), |found: Option<&Policies>| {
            let live = found.filter(|found| !found.deleted);
            let found = live.ok_or_else(|| super::namespaces::missing(namespace))?;
            let bundles = stored(found);
            find(&bundles, namespace, range)?;
            let Some(split) = bundles.split(whole, &positions) else {
                let message = "Split bundle failed due to invalid request".to_owned();
                return Err(AdminError::Invalid(message));
            };
            Ok(Some(Policies { bundles: Some(data(&split)), ..found.clone() }))
        })
        .await?;
        if unload {
            for name in in_use.into_keys() {
                if let Some(handle) = self.loaded_topic(&name) {
                    handle.unload().await;
                }
            }
        }
        Ok(())
    }
}

/// Bundles as asked for when a namespace is created.
pub(super) fn asked(asked: &BundlesData, default: u32) -> Result<BundlesData, AdminError> {
    const BUNDLES_MAX: u32 = 1 << 16;
    let by_boundaries = asked.boundaries.len().saturating_sub(1);
    let count = match (asked.num_bundles, u32::try_from(by_boundaries).unwrap_or(u32::MAX)) {
        (0, 0) => default,
        (0, count) | (count, _) => count,
    };
    if BUNDLES_MAX < count || BUNDLES_MAX as usize <= by_boundaries {
        let message = format!("numBundles is {count}, it must be between 1 and {BUNDLES_MAX}");
        return Err(AdminError::Invalid(message));
    }
    if asked.boundaries.is_empty() {
        return Ok(data(&Bundles::even(count)));
    }
    let uncovered = || {
        let message = "Input bundles do not cover the whole hash range, 0x00000000 to 0xffffffff";
        AdminError::Invalid(message.to_owned())
    };
    Bundles::parse(&asked.boundaries).map(|bundles| data(&bundles)).ok_or_else(uncovered)
}

/// Finds a bundle by its name.
pub(super) fn find(
    bundles: &Bundles,
    namespace: &NamespaceName,
    range: &str,
) -> Result<BundleRange, AdminError> {
    bundles.ranges().find(|known| known.to_string() == range).ok_or_else(|| {
        AdminError::Invalid(format!("Invalid bundle range {range} for namespace {namespace}"))
    })
}

fn stored(policies: &Policies) -> Bundles {
    let Some(data) = &policies.bundles else { return Bundles::even(1) };
    Bundles::parse(&data.boundaries).unwrap_or_else(|| Bundles::even(data.num_bundles))
}

fn data(bundles: &Bundles) -> BundlesData {
    let boundaries = bundles.boundaries();
    let num_bundles = u32::try_from(boundaries.len() - 1).unwrap_or(u32::MAX);
    BundlesData { boundaries, num_bundles }
}

/// Where to cut, given the hashes of the topics in use.
fn positions(whole: BundleRange, how: &BundleSplit, mut hashes: Vec<u32>) -> Vec<u32> {
    hashes.sort_unstable();
    match how {
        BundleSplit::Range => vec![whole.low + (whole.high - whole.low) / 2],
        _ if hashes.len() < 2 => Vec::new(),
        BundleSplit::TopicCount => {
            let (below, above) = (hashes[hashes.len() / 2 - 1], hashes[hashes.len() / 2]);
            vec![below + (above - below) / 2]
        }
        BundleSplit::Positions(asked) => {
            let asked = asked.iter().filter_map(|&position| u32::try_from(position).ok());
            asked.filter(|&at| whole.low < at && at < whole.high).collect()
        }
    }
}
