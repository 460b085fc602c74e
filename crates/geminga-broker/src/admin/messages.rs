//! Looks at single messages, of topics and partitions.

use geminga_types::{Domain, Position, TopicName};
use geminga_wire::entry::EntryMeta;

use crate::{AdminError, Broker, StoredEntry, creation::Purpose, topic::WhichEntry};

/// From where entries are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountFrom {
    /// The oldest that is stored.
    Earliest,
    /// The newest.
    Latest,
}

impl Broker {
    /// The entry at a position.
    ///
    /// # Errors
    ///
    /// If there is none, or the topic does not exist, has partitions or is not persistent.
    pub async fn read_entry(
        &self,
        topic: &TopicName,
        position: Position,
    ) -> Result<StoredEntry, AdminError> {
        self.read(topic, "a message by its id", WhichEntry::At(position)).await
    }

    /// The `nth` entry that is not acked on a subscription, counted from 1.
    ///
    /// # Errors
    ///
    /// If there is none, or no such subscription or topic, or it has partitions or is not persistent.
    pub async fn peek_entry(
        &self,
        topic: &TopicName,
        subscription: &str,
        nth: u64,
    ) -> Result<StoredEntry, AdminError> {
        let index = nth.checked_sub(1).ok_or_else(|| {
            AdminError::Invalid("Messages are counted from 1, the position is 0".to_owned())
        })?;
        let which = WhichEntry::Unacked { subscription: subscription.to_owned(), index };
        self.read(topic, "messages to peek at", which).await
    }

    /// The `nth` entry that is stored, counted from 1 from either end.
    ///
    /// # Errors
    ///
    /// If there is none, or the topic does not exist, has partitions or is not persistent.
    pub async fn examine_entry(
        &self,
        topic: &TopicName,
        from: CountFrom,
        nth: u64,
    ) -> Result<StoredEntry, AdminError> {
        let index = nth.saturating_sub(1);
        let which = match from {
            CountFrom::Earliest => WhichEntry::FromFirst(index),
            CountFrom::Latest => WhichEntry::FromLast(index),
        };
        self.read(topic, "messages to examine", which).await
    }

    /// Where the first entry lies that was published at or after a wall-clock time in milliseconds; behind
    /// the last one, if all were before. `None`: there was never one.
    ///
    /// # Errors
    ///
    /// If the topic does not exist, has partitions or is not persistent.
    pub async fn position_of_time(
        &self,
        topic: &TopicName,
        time: u64,
    ) -> Result<Option<Position>, AdminError> {
        self.require_stored_part(topic, "a message id by its time").await?;
        self.topic(topic, Purpose::Administer).await?.position_of_time(time).await
    }

    /// When the first message that is not acked on a subscription was published, in wall-clock milliseconds;
    /// `None`: all are acked.
    ///
    /// # Errors
    ///
    /// If the topic has partitions or is not persistent, or that message cannot be read.
    pub async fn backlog_time(
        &self,
        topic: &TopicName,
        subscription: &str,
    ) -> Result<Option<u64>, AdminError> {
        match self.peek_entry(topic, subscription, 1).await {
            Ok(found) => Ok(EntryMeta::parse(&found.entry).ok().map(|meta| meta.published_at())),
            Err(AdminError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(
        &self,
        topic: &TopicName,
        what: &str,
        which: WhichEntry,
    ) -> Result<StoredEntry, AdminError> {
        self.require_stored_part(topic, what).await?;
        self.topic(topic, Purpose::Administer).await?.read_entry(which).await
    }

    /// Refuses what is done with one part of a persistent topic only.
    ///
    /// # Errors
    ///
    /// If the topic has partitions or is not persistent.
    pub async fn require_stored_part(
        &self,
        topic: &TopicName,
        what: &str,
    ) -> Result<(), AdminError> {
        if topic.domain() == Domain::NonPersistent {
            let message = format!(
                "The non-persistent topic {topic} stores nothing: do not ask it for {what}"
            );
            return Err(AdminError::NotAllowed(message));
        }
        self.refuse_partitioned(topic, what).await
    }
}
