//! What subscriptions have not acked, of one topic or of all in a namespace.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use geminga_types::{NamespaceName, Position, TopicName};

use super::{
    bundles,
    subscriptions::{no_subscription, persistent_only},
    unless_gone,
};
use crate::{
    AdminError, BacklogCount, Broker,
    creation::Purpose,
    namespace::{self, is_system_topic},
    topic::is_reserved,
};

/// How many topics of a namespace are worked on at a time.
const TOPICS_AT_ONCE: usize = 16;

impl Broker {
    /// Properties of a subscription, of all partitions of its topic.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub async fn subscription_properties(
        &self,
        topic: &TopicName,
        name: &str,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        persistent_only(topic)?;
        let (mut was_there, mut properties) = (false, BTreeMap::new());
        for part in self.parts_of(topic).await? {
            let stats = match self.topic_stats(&part).await {
                Err(AdminError::NotFound(_)) if part != *topic => continue, // Nobody has used it yet.
                stats => stats?,
            };
            for found in stats.subscriptions.into_iter().filter(|found| found.name == name) {
                was_there = true;
                properties.extend(found.properties);
            }
        }
        if was_there { Ok(properties) } else { Err(no_subscription(topic, name)) }
    }

    /// Gives a subscription these properties and no others, on each partition that was ever used.
    ///
    /// # Errors
    ///
    /// If it does not exist, or may not have them.
    pub async fn set_subscription_properties(
        &self,
        topic: &TopicName,
        name: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        persistent_only(topic)?;
        let mut was_there = false;
        for part in self.parts_of(topic).await? {
            let Some(handle) = self.used_part(topic, &part).await? else { continue };
            handle.set_subscription_properties(name.to_owned(), properties.clone()).await?;
            was_there = true;
        }
        if was_there { Ok(()) } else { Err(no_subscription(topic, name)) }
    }

    /// Counts the backlog of a subscription of one partition by reading it: from its first entry on, or
    /// from a later position on.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the topic has partitions.
    pub async fn count_backlog(
        &self,
        topic: &TopicName,
        name: &str,
        from: Option<Position>,
    ) -> Result<BacklogCount, AdminError> {
        self.require_stored_part(topic, "an analysis of a backlog").await?;
        let handle = self.topic(topic, Purpose::Administer).await?;
        handle.count_backlog(name.to_owned(), from).await
    }

    /// How many bytes one partition has stored from a position on; within a ledger its entries count as
    /// of one size.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the topic has partitions.
    pub async fn bytes_from(
        &self,
        topic: &TopicName,
        position: Position,
    ) -> Result<u64, AdminError> {
        self.require_stored_part(topic, "the size of a backlog").await?;
        self.topic(topic, Purpose::Administer).await?.bytes_from(position).await
    }

    /// Acks all that the topics of a namespace have, of a bundle if one is given, on all subscriptions or
    /// on one. System topics are left alone.
    ///
    /// # Errors
    ///
    /// If there is no such namespace or bundle.
    pub async fn clear_backlogs(
        &self,
        namespace: &NamespaceName,
        bundle: Option<&str>,
        subscription: Option<&str>,
    ) -> Result<(), AdminError> {
        let clear = async |topic: TopicName| {
            let names = match subscription {
                Some(name) => vec![name.to_owned()],
                None => self.subscriptions(&topic).await?,
            };
            for name in names.into_iter().filter(|name| !is_reserved(name)) {
                let handle = self.topic(&topic, Purpose::Administer).await?;
                unless_gone(handle.skip(name, None).await)?;
            }
            Ok(())
        };
        let topics = self.topics_of_bundle(namespace, bundle).await?;
        let clearing = stream::iter(topics).map(|topic| async { unless_gone(clear(topic).await) });
        clearing.buffer_unordered(TOPICS_AT_ONCE).try_collect().await
    }

    /// Deletes a subscription from all topics of a namespace, or of one of its bundles.
    ///
    /// # Errors
    ///
    /// If there is no such namespace or bundle, or if it has consumers.
    pub async fn unsubscribe_namespace(
        &self,
        namespace: &NamespaceName,
        bundle: Option<&str>,
        subscription: &str,
    ) -> Result<(), AdminError> {
        let topics = self.topics_of_bundle(namespace, bundle).await?;
        let deleting = stream::iter(topics).map(|topic| async move {
            unless_gone(self.delete_subscription(&topic, subscription, false).await)
        });
        deleting.buffer_unordered(TOPICS_AT_ONCE).try_collect().await
    }

    /// Those of some topics' names that are in a bundle, if one is given.
    ///
    /// # Errors
    ///
    /// If there is no such namespace or bundle.
    pub async fn names_in_bundle(
        &self,
        namespace: &NamespaceName,
        bundle: Option<&str>,
        mut names: Vec<String>,
    ) -> Result<Vec<String>, AdminError> {
        if let Some(range) = bundle {
            let bundles = self.bundles(namespace).await?;
            let range = bundles::find(&bundles, namespace, range)?;
            names.retain(|name| name.parse().is_ok_and(|topic| bundles.of(&topic) == range));
        }
        Ok(names)
    }

    /// Topics that are stored, without those that brokers keep for themselves.
    async fn topics_of_bundle(
        &self,
        namespace: &NamespaceName,
        bundle: Option<&str>,
    ) -> Result<Vec<TopicName>, AdminError> {
        let bundles = self.bundles(namespace).await?;
        let range = bundle.map(|range| bundles::find(&bundles, namespace, range)).transpose()?;
        let mut topics = namespace::stored_topics(self.deps(), namespace).await?;
        let is_in = |topic: &TopicName| range.is_none_or(|range| bundles.of(topic) == range);
        topics.retain(|topic| !is_system_topic(topic) && is_in(topic));
        Ok(topics)
    }
}
