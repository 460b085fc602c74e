//! Topics with partitions.

use std::collections::BTreeMap;

use geminga_types::{Domain, NamespaceName, TopicName};

use super::{PartitionedTopicMetadata, TopicStats};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
    topic::StartAt,
};

/// What `maxNumPartitionsPerPartitionedTopic` would be if it were unlimited: a count beyond it is
/// a mistake, and each partition costs metadata.
const PARTITIONS_MAX: u32 = 10_000;

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
        check_count(topic, partitions)?;
        namespace::require(deps, topic.namespace()).await?;
        if topic.partition().is_some() {
            let message = format!("Partitioned topic {topic} must not be named like a partition");
            return Err(AdminError::Invalid(message));
        }
        if namespace::partition_record(deps, topic).await?.is_some_and(|found| found.deleted) {
            self.erase_partitioned(topic, true).await?;
        }
        if self.has_topic(topic).await? {
            return Err(AdminError::Conflict(format!("This topic already exists: {topic}")));
        }
        namespace::create_partitions(deps, topic, partitions, properties).await?;
        self.create_records(topic, 0, partitions).await
    }

    /// Raises the number of partitions. New partitions get the subscriptions of the first one.
    ///
    /// # Errors
    ///
    /// If it is no partitioned topic, or the number would shrink or exceed the limit.
    pub async fn update_partitions(
        &self,
        topic: &TopicName,
        partitions: u32,
    ) -> Result<(), AdminError> {
        check_count(topic, partitions)?;
        namespace::grow_partitions(self.deps(), topic, partitions).await?;
        // All of them, not the new ones only: a repeated call mends what an interrupted one left.
        self.create_records(topic, 0, partitions).await?;
        if topic.domain() == Domain::NonPersistent {
            return Ok(());
        }
        let first = self.topic_stats(&topic.with_partition(0)).await?;
        for subscription in first.subscriptions.into_iter().filter(|found| found.is_durable) {
            for index in 1..partitions {
                let part = topic.with_partition(index);
                let handle = self.topic(&part, true).await?;
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
        let found = namespace::partition_record(self.deps(), topic).await?;
        if let Some(found) = found.filter(|found| !found.deleted && !force) {
            for index in 0..found.partitions {
                self.check_unused(&topic.with_partition(index)).await?;
            }
        }
        self.erase_partitioned(topic, force).await
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
        let mut stats = Vec::new();
        for index in 0..metadata.partitions {
            match self.topic_stats(&topic.with_partition(index)).await {
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
        for index in 0..partitions {
            match self.erase(&topic.with_partition(index), force).await {
                Ok(()) | Err(AdminError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        namespace::delete_schema(self.deps(), topic).await?;
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
            match self.create_record(&topic.with_partition(index)).await? {
                record::Created::New | record::Created::Exists => {}
            }
        }
        Ok(())
    }
}

fn check_count(topic: &TopicName, partitions: u32) -> Result<(), AdminError> {
    if (1..=PARTITIONS_MAX).contains(&partitions) {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "Topic {topic}: the number of partitions should be between 1 and {PARTITIONS_MAX}, got \
         {partitions}"
    )))
}
