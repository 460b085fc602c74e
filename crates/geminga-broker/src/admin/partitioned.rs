//! Topics with partitions.

use std::{collections::BTreeMap, ops::Range};

use futures_util::{StreamExt as _, stream};
use geminga_types::{Domain, NamespaceName, TopicName};

use super::{
    PartitionedTopicMetadata, SubscriptionStats, TopicStats, deletions::Doomed,
    properties::check_initial_properties,
};
use crate::{
    AdminError, Broker, TopicError,
    creation::Purpose,
    namespace::{self, record},
    topic::{StartAt, is_reserved},
};

/// How many partitions of a topic are asked at a time.
const PARTITIONS_AT_ONCE: usize = 64;

impl Broker {
    /// Full names of a namespace's partitioned topics in one domain.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn partitioned_topic_names(
        &self,
        namespace: &NamespaceName,
        domain: Domain,
        with_system_topics: bool,
    ) -> Result<Vec<String>, AdminError> {
        namespace::require(self.deps(), namespace).await?;
        let mut topics = namespace::partitioned_topics(self.deps(), namespace, domain).await?;
        topics.retain(|(topic, _)| with_system_topics || !namespace::is_system_topic(topic));
        Ok(topics.iter().map(|(topic, _)| topic.to_string()).collect())
    }

    /// The record of a partitioned topic; 0 partitions for a topic that has none, or does not exist.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn partitioned_metadata(
        &self,
        topic: &TopicName,
    ) -> Result<PartitionedTopicMetadata, AdminError> {
        let found = namespace::partition_record(self.deps(), topic).await?;
        Ok(found.filter(|found| !found.deleted).unwrap_or_default())
    }

    /// Creates a topic with partitions. One whose deletion was interrupted is deleted first.
    ///
    /// # Errors
    ///
    /// If it exists, with or without partitions, its namespace does not, or the count is not
    /// between 1 and the limit.
    pub async fn create_partitioned_topic(
        &self,
        topic: &TopicName,
        partitions: u32,
        properties: Option<BTreeMap<String, String>>,
    ) -> Result<(), AdminError> {
        let deps = self.deps();
        self.refuse_doomed(&Doomed::PartitionedTopic(topic.clone())).await?;
        self.check_count(topic, partitions)?;
        if let Some(properties) = &properties {
            check_initial_properties(topic, properties)?;
        }
        namespace::require(deps, topic.namespace()).await?;
        if topic.partition().is_some() {
            let message = format!("Partitioned topic {topic} must not be named like a partition");
            return Err(AdminError::Invalid(message));
        }
        let found = namespace::partition_record(deps, topic).await?;
        if let Some(found) = found.filter(|found| found.deleted) {
            // Clients that a deletion has left there have receipts for what they sent since.
            self.check_partitions_unused(topic, found.partitions).await?;
            self.erase_partitioned(topic, true).await?;
        }
        if namespace::partition_record(deps, topic).await?.is_some() {
            let message = format!("Partitioned topic {topic} already exists");
            return Err(AdminError::Conflict(message));
        }
        self.require_room(topic, partitions).await?;
        self.make_partitioned(topic, partitions, properties).await
    }

    /// Writes the record of a topic with partitions, and of each partition. If there is one of that name
    /// without partitions, nothing is left of it.
    pub(crate) async fn make_partitioned(
        &self,
        topic: &TopicName,
        partitions: u32,
        properties: Option<BTreeMap<String, String>>,
    ) -> Result<(), AdminError> {
        let exists = || AdminError::Conflict(format!("This topic already exists: {topic}"));
        if self.has_topic(topic).await? {
            return Err(exists());
        }
        namespace::create_partitions(self.deps(), topic, partitions, properties).await?;
        // Again: whoever creates it without looks for this record only after its own is written.
        if self.has_topic(topic).await? {
            namespace::mark_partitions_deleted(self.deps(), topic).await?;
            namespace::finish_delete_partitions(self.deps(), topic).await?;
            return Err(exists());
        }
        self.create_records(topic, 0, partitions).await
    }

    /// Raises the number of partitions. New partitions get the subscriptions of the first one before
    /// they count, so that who uses them misses nothing.
    ///
    /// # Errors
    ///
    /// If it is no partitioned topic, or the number would shrink or exceed the limit.
    pub async fn update_partitions(
        &self,
        topic: &TopicName,
        partitions: u32,
    ) -> Result<(), AdminError> {
        self.check_count(topic, partitions)?;
        let before = namespace::partition_count(self.deps(), topic).await?;
        let before = namespace::check_growth(topic, before, partitions)?;
        self.require_room(topic, partitions - before).await?;
        // All of them, not the new ones only: a repeated call mends what an interrupted one left.
        self.create_records(topic, 0, partitions).await?;
        self.copy_subscriptions(topic, before..partitions).await?;
        namespace::grow_partitions(self.deps(), topic, partitions).await?;
        // Again: some came meanwhile, of consumers that did not see the new partitions.
        self.copy_subscriptions(topic, before..partitions).await
    }

    /// Creates the partitions of a topic that have no record.
    ///
    /// # Errors
    ///
    /// If it is no partitioned topic.
    pub async fn create_missed_partitions(&self, topic: &TopicName) -> Result<(), AdminError> {
        match namespace::partition_count(self.deps(), topic).await? {
            Some(count) => self.create_records(topic, 0, count).await,
            None => Err(TopicError::NotFound(topic.clone()).into()),
        }
    }

    /// Gives new partitions the subscriptions of the first one.
    async fn copy_subscriptions(
        &self,
        topic: &TopicName,
        partitions: Range<u32>,
    ) -> Result<(), AdminError> {
        if topic.domain() == Domain::NonPersistent {
            return Ok(());
        }
        let first = self.topic_stats(&topic.with_partition(0)).await?;
        let is_copied = |found: &&SubscriptionStats| found.is_durable && !is_reserved(&found.name);
        for subscription in first.subscriptions.iter().filter(is_copied) {
            for index in partitions.clone() {
                let handle = self.topic(&topic.with_partition(index), Purpose::Create).await?;
                let (name, properties) =
                    (subscription.name.clone(), subscription.properties.clone());
                match handle.create_subscription(name, StartAt::Earliest, properties).await {
                    Ok(()) | Err(AdminError::Conflict(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn check_count(&self, topic: &TopicName, partitions: u32) -> Result<(), AdminError> {
        let max = self.live_options().topics.partitions_max();
        if (1..=max).contains(&partitions) {
            return Ok(());
        }
        Err(AdminError::OutOfRange(format!(
            "Topic {topic}: the number of partitions should be between 1 and {max}, got {partitions}"
        )))
    }

    /// Deletes a topic with all its partitions: it is marked deleted, then the partitions go, then
    /// the record. Calling again goes on where an interrupted call stopped.
    ///
    /// # Errors
    ///
    /// If it is no partitioned topic; if a partition has producers or subscriptions and not
    /// `force`.
    pub async fn delete_partitioned_topic(
        &self,
        topic: &TopicName,
        force: bool,
    ) -> Result<(), AdminError> {
        let doomed = Doomed::PartitionedTopic(topic.clone());
        if self.join_deletion(&doomed).await? {
            return Ok(());
        }
        let found = namespace::partition_record(self.deps(), topic).await?;
        if let Some(found) = found.filter(|found| !found.deleted && !force) {
            self.check_partitions_unused(topic, found.partitions).await?;
            // From here on no client begins to use a partition. Who was faster is seen now.
            let partitions = namespace::mark_partitions_deleted(self.deps(), topic).await?;
            if let Err(refused) = self.check_partitions_unused(topic, partitions).await {
                namespace::unmark_partitions_deleted(self.deps(), topic).await?;
                return Err(refused);
            }
        }
        if namespace::partition_record(self.deps(), topic).await?.is_none() {
            let message = format!("Partitioned topic {topic} does not exist");
            return Err(AdminError::NotFound(message));
        }
        self.delete_by_job(&doomed).await
    }

    async fn check_partitions_unused(
        &self,
        topic: &TopicName,
        partitions: u32,
    ) -> Result<(), AdminError> {
        for index in 0..partitions {
            let partition = topic.with_partition(index);
            self.loader().until_settled(&partition).await;
            self.check_unused(&partition).await?;
        }
        Ok(())
    }

    /// Stats of each partition, in order.
    ///
    /// # Errors
    ///
    /// If it is no partitioned topic.
    pub async fn partitioned_stats(
        &self,
        topic: &TopicName,
    ) -> Result<(PartitionedTopicMetadata, Vec<TopicStats>), AdminError> {
        let metadata = self.partitioned_metadata(topic).await?;
        if metadata.partitions == 0 {
            let message = format!("Partitioned topic {topic} does not exist");
            return Err(AdminError::NotFound(message));
        }
        let asked = (0..metadata.partitions).map(|index| {
            let partition = topic.with_partition(index);
            async move { self.topic_stats(&partition).await }
        });
        let mut asked = std::pin::pin!(stream::iter(asked).buffered(PARTITIONS_AT_ONCE));
        let mut stats = Vec::new();
        while let Some(found) = asked.next().await {
            match found {
                Ok(found) => stats.push(found),
                Err(AdminError::NotFound(_)) => {} // A partition nobody has used yet.
                Err(error) => return Err(error),
            }
        }
        Ok((metadata, stats))
    }

    pub(super) async fn erase_partitioned(
        &self,
        topic: &TopicName,
        force: bool,
    ) -> Result<(), AdminError> {
        let partitions = namespace::mark_partitions_deleted(self.deps(), topic).await?;
        let mut partitions: Vec<TopicName> =
            (0..partitions).map(|index| topic.with_partition(index)).collect();
        // What an interrupted growth has left: it goes up one by one.
        for index in (partitions.len()..).filter_map(|index| u32::try_from(index).ok()) {
            let next = topic.with_partition(index);
            if topic.domain() == Domain::NonPersistent || !self.has_topic(&next).await? {
                break;
            }
            partitions.push(next);
        }
        for partition in partitions {
            match self.erase(&partition, force).await {
                Ok(()) | Err(AdminError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let _deletion = self.loader().deletions().read().await;
        namespace::delete_schema(self.deps(), topic).await?;
        self.loader().policy_store().delete(topic).await?;
        namespace::finish_delete_partitions(self.deps(), topic).await
    }

    async fn create_records(
        &self,
        topic: &TopicName,
        from: u32,
        to: u32,
    ) -> Result<(), AdminError> {
        if topic.domain() == Domain::NonPersistent {
            return Ok(()); // They exist while they are used.
        }
        for index in from..to {
            match self.create_record(&topic.with_partition(index), &BTreeMap::new()).await? {
                record::Created::New | record::Created::Exists => {}
            }
        }
        Ok(())
    }
}
