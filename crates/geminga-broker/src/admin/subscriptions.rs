//! Subscriptions, of a topic or of all partitions of one.

use std::collections::BTreeSet;

use geminga_types::{Domain, Position, TopicName, check_subscription_name};

use crate::{
    AdminError, Broker, SubscriptionExplanation, TopicError,
    creation::Purpose,
    topic::{DEDUPLICATION_CURSOR, StartAt, TopicHandle},
};

/// Where a new subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorStart {
    /// At the first message that is stored.
    Earliest,
    /// At the next message that is published.
    Latest,
    /// At this entry.
    Position(Position),
}

impl Broker {
    /// Names of a topic's subscriptions.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub async fn subscriptions(&self, topic: &TopicName) -> Result<Vec<String>, AdminError> {
        let mut names = BTreeSet::new();
        for part in self.parts_of(topic).await? {
            match self.topic_stats(&part).await {
                Ok(stats) => names.extend(stats.subscriptions.into_iter().map(|found| found.name)),
                Err(AdminError::NotFound(_)) if part != *topic => {} // Nobody has used it yet.
                Err(error) => return Err(error),
            }
        }
        Ok(names.into_iter().collect())
    }

    /// The partitions of a topic, or itself, that have a subscription.
    ///
    /// # Errors
    ///
    /// If there is none, or the topic is not persistent.
    pub async fn parts_with_subscription(
        &self,
        topic: &TopicName,
        name: &str,
    ) -> Result<Vec<TopicName>, AdminError> {
        persistent_only(topic)?;
        let mut parts = Vec::new();
        for part in self.parts_of(topic).await? {
            match self.topic_stats(&part).await {
                Ok(stats) if stats.subscriptions.iter().any(|found| found.name == name) => {
                    parts.push(part);
                }
                Ok(_) => {}
                Err(AdminError::NotFound(_)) if part != *topic => {} // Nobody has used it yet.
                Err(error) => return Err(error),
            }
        }
        if parts.is_empty() { Err(no_subscription(topic, name)) } else { Ok(parts) }
    }

    /// Creates a subscription, and the topic if that may be created by itself.
    ///
    /// # Errors
    ///
    /// If the subscription exists (on every partition), or the topic does not.
    pub async fn create_subscription(
        &self,
        topic: &TopicName,
        name: &str,
        at: CursorStart,
        properties: Vec<(String, String)>,
    ) -> Result<(), AdminError> {
        persistent_only(topic)?;
        check_subscription_name(name).map_err(|error| AdminError::Invalid(error.to_string()))?;
        let parts: Vec<TopicName> = match self.partitions(topic, true).await? {
            0 => vec![topic.clone()],
            count => (0..count).map(|index| topic.with_partition(index)).collect(),
        };
        let mut is_new = false;
        for part in parts {
            // A partition exists as long as the whole does.
            let is_partition = part != *topic;
            let purpose = if is_partition { Purpose::Create } else { Purpose::UseOrCreate };
            let handle = self.topic(&part, purpose).await?;
            match handle.create_subscription(name.to_owned(), at.into(), properties.clone()).await {
                Ok(()) => is_new = true,
                Err(AdminError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if is_new {
            return Ok(());
        }
        Err(AdminError::Conflict(format!("Subscription {name} already exists for topic {topic}")))
    }

    /// Deletes a subscription; its backlog with it. Of a topic that cannot be loaded because of what
    /// deduplication keeps, that can be deleted.
    ///
    /// # Errors
    ///
    /// If it does not exist; if it has consumers and not `force`.
    pub async fn delete_subscription(
        &self,
        topic: &TopicName,
        name: &str,
        force: bool,
    ) -> Result<(), AdminError> {
        let mut was_there = false;
        for part in self.parts_of(topic).await? {
            let handle = match self.used_part(topic, &part).await {
                Err(AdminError::Unreadable(_)) if name == DEDUPLICATION_CURSOR => {
                    self.forget_deduplication(&part).await?;
                    was_there = true;
                    continue;
                }
                found => found?,
            };
            let Some(handle) = handle else { continue };
            match handle.delete_subscription(name.to_owned(), force).await {
                Ok(()) => was_there = true,
                Err(AdminError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if was_there {
            return Ok(());
        }
        Err(no_subscription(topic, name))
    }

    /// Acks the next `entries` entries of a subscription of one partition.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the topic has partitions.
    pub async fn skip_messages(
        &self,
        topic: &TopicName,
        name: &str,
        entries: u64,
    ) -> Result<(), AdminError> {
        self.require_stored_part(topic, "messages to skip").await?;
        self.topic(topic, Purpose::Administer).await?.skip(name.to_owned(), Some(entries)).await
    }

    /// Acks all of a subscription's backlog, of each partition.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub async fn skip_all(&self, topic: &TopicName, name: &str) -> Result<(), AdminError> {
        persistent_only(topic)?;
        for part in self.parts_of(topic).await? {
            let Some(handle) = self.used_part(topic, &part).await? else { continue };
            handle.skip(name.to_owned(), None).await?;
        }
        Ok(())
    }

    /// Says why a subscription moves or does not, for each partition that it has been used on.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub async fn explain_subscription(
        &self,
        topic: &TopicName,
        name: &str,
    ) -> Result<Vec<SubscriptionExplanation>, AdminError> {
        persistent_only(topic)?;
        let mut explained = Vec::new();
        for part in self.parts_of(topic).await? {
            let Some(handle) = self.used_part(topic, &part).await? else { continue };
            match handle.explain(name.to_owned()).await {
                Ok(found) => explained.push(found),
                Err(AdminError::NotFound(_)) if part != *topic => {}
                Err(error) => return Err(error),
            }
        }
        if explained.is_empty() {
            return Err(no_subscription(topic, name));
        }
        Ok(explained)
    }

    /// A part of a topic; `None` for a partition that nobody has used yet.
    pub(super) async fn used_part(
        &self,
        topic: &TopicName,
        part: &TopicName,
    ) -> Result<Option<TopicHandle>, AdminError> {
        match self.topic(part, Purpose::Administer).await {
            Ok(handle) => Ok(Some(handle)),
            Err(TopicError::NotFound(_)) if part != topic => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<CursorStart> for StartAt {
    fn from(at: CursorStart) -> Self {
        match at {
            CursorStart::Earliest => Self::Earliest,
            CursorStart::Latest => Self::Latest,
            CursorStart::Position(position) => Self::Position(position),
        }
    }
}

pub(super) fn no_subscription(topic: &TopicName, name: &str) -> AdminError {
    AdminError::NotFound(format!("Subscription {name} not found on topic {topic}"))
}

pub(super) fn persistent_only(topic: &TopicName) -> Result<(), AdminError> {
    if topic.domain() == Domain::Persistent {
        return Ok(());
    }
    let message = format!("Not allowed on the non-persistent topic {topic}");
    Err(AdminError::NotAllowed(message))
}
