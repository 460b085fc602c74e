//! Policies of topics.

use geminga_types::TopicName;

use super::TopicPolicies;
use crate::{AdminError, Broker, TopicError, namespace};

impl Broker {
    /// A topic's own policies; those of its partitions are the same.
    ///
    /// # Errors
    ///
    /// If there is no such topic, it is a partition, or topics have no policies here.
    pub async fn topic_policies(&self, topic: &TopicName) -> Result<TopicPolicies, AdminError> {
        self.check_has_policies(topic).await?;
        Ok(self.loader().policy_store().read(topic).await?.unwrap_or_default())
    }

    /// Changes a topic's own policies; if it is loaded it has been told then, as its partitions have.
    ///
    /// # Errors
    ///
    /// As [`Self::topic_policies`], or if `change` refuses.
    pub async fn change_topic_policies(
        &self,
        topic: &TopicName,
        mut change: impl FnMut(&mut TopicPolicies) -> Result<(), AdminError> + Send,
    ) -> Result<(), AdminError> {
        let no_deletions = self.loader().deletions().write().await;
        self.check_has_policies(topic).await?;
        self.loader().policy_store().change(topic, &mut change).await?;
        drop(no_deletions);
        self.loader().policy_changes().followed().await;
        Ok(())
    }

    /// Deletes those of a topic that is being deleted, but for those of a partitioned one of that name.
    pub(super) async fn delete_policies(&self, topic: &TopicName) -> Result<(), AdminError> {
        if namespace::partition_record(self.deps(), topic).await?.is_none() {
            self.loader().policy_store().delete(topic).await?;
        }
        Ok(())
    }

    async fn check_has_policies(&self, topic: &TopicName) -> Result<(), AdminError> {
        if !self.options().topic_level_policies {
            return Err(AdminError::NotAllowed(
                "Topic level policies is disabled, to enable the topic level policy and retry."
                    .to_owned(),
            ));
        }
        if topic.partition().is_some() {
            let message = format!("Not allowed to set/get topic policy for a partition: {topic}");
            return Err(AdminError::Invalid(message));
        }
        let has_partitions = namespace::partition_count(self.deps(), topic).await?.is_some();
        if has_partitions || self.has_topic(topic).await? {
            return Ok(());
        }
        Err(TopicError::NotFound(topic.clone()).into())
    }
}
