//! Bundles of a namespace: which there are, where topics are, splitting.
//!
//! # Invariants
//!
//! 1. A split is one compare-and-set write of the namespace's record: of two of one bundle, the
//!    second finds that the bundle is gone.

mod cut;

use std::collections::BTreeMap;

use geminga_metadata::paths;
use geminga_types::{BundleRange, Bundles, NamespaceName, TopicName, bundle_hash};

pub use self::cut::BundleSplit;
use self::cut::Used;
use super::{BundlesData, Policies};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
};

impl Broker {
    /// How a namespace is cut.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn bundles(&self, namespace: &NamespaceName) -> Result<Bundles, AdminError> {
        Ok(namespace::bundles(&self.namespace_policies(namespace).await?))
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

    /// The bundle whose topics send and receive the most bytes, the first of equals.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or if none of its topics is in use.
    pub async fn hot_bundle(&self, namespace: &NamespaceName) -> Result<String, AdminError> {
        let bundles = self.bundles(namespace).await?;
        let in_use = self.topics_in_use();
        let of_it = in_use.iter().filter(|name| name.namespace() == namespace);
        let mut bytes: BTreeMap<BundleRange, f64> = BTreeMap::new();
        for row in self.rows_of(of_it).await {
            *bytes.entry(bundles.of(&row.topic)).or_default() += Used::of(&row).bytes;
        }
        let hottest = bytes.into_iter().rev().max_by(|(_, one), (_, other)| one.total_cmp(other));
        let none = || AdminError::NotFound("Bundle range HOT not found".to_owned());
        hottest.map(|(range, _)| range.to_string()).ok_or_else(none)
    }

    /// Gives a bundle up, so that its topics are unloaded; who uses one has it served again. Nothing that is
    /// stored goes, and the namespace stays cut as it is.
    ///
    /// # Errors
    ///
    /// If there is no such bundle; if a stored topic is in it, unless it `is_forced`.
    pub async fn give_up_bundle(
        &self,
        namespace: &NamespaceName,
        range: &str,
        is_forced: bool,
    ) -> Result<(), AdminError> {
        let bundles = self.bundles(namespace).await?;
        let found = find(&bundles, namespace, range)?;
        if !is_forced {
            let topics = namespace::stored_topics(self.deps(), namespace).await?;
            if topics.iter().any(|topic| bundles.of(topic) == found) {
                return Err(AdminError::Conflict("Cannot delete non empty bundle".to_owned()));
            }
        }
        self.unload_bundle(namespace, range).await
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
        let used = match how {
            BundleSplit::Load => self.rows_of(in_use.keys()).await.iter().map(Used::of).collect(),
            _ => in_use.values().copied().map(Used::at).collect(),
        };
        let positions = cut::positions(whole, how, used);
        if positions.is_empty() {
            return Ok(());
        }
        record::change(self.deps(), &paths::namespace(namespace), |found: Option<&Policies>| {
            let live = found.filter(|found| !found.deleted);
            let found = live.ok_or_else(|| super::namespaces::missing(namespace))?;
            let bundles = namespace::bundles(found);
            find(&bundles, namespace, range)?;
            let Some(split) = bundles.split(whole, &positions) else {
                let message = "Split bundle failed due to invalid request".to_owned();
                return Err(AdminError::Invalid(message));
            };
            let count = split.ranges().count();
            if count > Bundles::COUNT_MAX as usize {
                let message = format!(
                    "Namespace {namespace} would have {count} bundles, it may have {}",
                    Bundles::COUNT_MAX
                );
                return Err(AdminError::Invalid(message));
            }
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
    const BUNDLES_MAX: u32 = Bundles::COUNT_MAX;
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
        let mut ends = asked.boundaries.clone();
        ends.sort();
        let (first, last) = (ends.first().map_or("", |end| end), ends.last().map_or("", |end| end));
        let message = "Input bundles do not cover the whole hash range";
        AdminError::Malformed(format!("{message}. first:{first}, last:{last}"))
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

fn data(bundles: &Bundles) -> BundlesData {
    let boundaries = bundles.boundaries();
    let num_bundles = u32::try_from(boundaries.len() - 1).unwrap_or(u32::MAX);
    BundlesData { boundaries, num_bundles }
}
