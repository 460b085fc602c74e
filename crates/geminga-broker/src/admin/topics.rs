//! Topics: create, delete, list, unload, terminate, stats.

use std::{collections::BTreeMap, time::Duration};

use geminga_managed_ledger::DeleteError;
use geminga_types::{Domain, NamespaceName, Position, TopicName};

use super::{TopicStats, properties::check_initial_properties, subscriptions::persistent_only};
use crate::{
    AdminError, Broker, CompactionStatus, LastMessage, TopicError,
    creation::Purpose,
    namespace::{self, record},
    topic::is_reserved,
};

/// How often a topic is deleted again after clients loaded it meanwhile.
const ERASE_ATTEMPTS: usize = 5;
/// How long whoever truncates a topic waits for it.
const TRUNCATION_MAX: Duration = Duration::from_secs(30);

impl Broker {
    /// Full names of a namespace's topics in one domain: partitions one by one, without those that
    /// brokers keep for themselves unless asked for. Non-persistent topics are those in use here.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn topic_names(
        &self,
        namespace: &NamespaceName,
        domain: Domain,
        with_system_topics: bool,
    ) -> Result<Vec<String>, AdminError> {
        let deps = self.deps();
        namespace::require(deps, namespace).await?;
        let wanted = |topic: &TopicName| with_system_topics || !namespace::is_system_topic(topic);
        if domain == Domain::Persistent {
            return Ok(namespace::stored_names(deps, namespace, wanted).await?);
        }
        let is_here = |topic: &TopicName| {
            topic.domain() == Domain::NonPersistent && topic.namespace() == namespace
        };
        let loaded = self.loaded_topics().into_iter().map(|(topic, _)| topic);
        let mut names: Vec<String> =
            loaded.filter(is_here).filter(wanted).map(|topic| topic.to_string()).collect();
        names.sort();
        Ok(names)
    }

    /// Creates a topic without partitions, of which nothing is noted.
    ///
    /// # Errors
    ///
    /// See [`Self::create_topic_with`].
    pub async fn create_topic(&self, topic: &TopicName) -> Result<(), AdminError> {
        self.create_topic_with(topic, BTreeMap::new()).await
    }

    /// Creates a topic without partitions, with what users note about it.
    ///
    /// # Errors
    ///
    /// If it exists, as one with partitions too, or its namespace does not, or it is named like a
    /// partition that its partitioned topic does not have; if a property is none.
    pub async fn create_topic_with(
        &self,
        topic: &TopicName,
        properties: BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        check_initial_properties(topic, &properties)?;
        let deps = self.deps();
        namespace::require(deps, topic.namespace()).await?;
        if namespace::partition_record(deps, topic).await?.is_some() {
            let message = format!("Topic {topic} already exists as a partitioned topic");
            return Err(AdminError::Conflict(message));
        }
        if let Some(index) = topic.partition() {
            let count = namespace::partition_count(deps, &topic.without_partition()).await?;
            if count.is_none_or(|count| count <= index) {
                return Err(AdminError::Invalid(format!(
                    "Can't create topic {topic} with \"-partition-\" followed by a number if there \
                     isn't a partitioned topic associated with it"
                )));
            }
        }
        let exists = || AdminError::Conflict(format!("This topic already exists: {topic}"));
        if topic.partition().is_none() {
            if self.has_topic(topic).await? {
                return Err(exists());
            }
            self.require_room(topic, 1).await?;
        }
        match self.create_record(topic, &properties).await? {
            record::Created::New => Ok(()),
            record::Created::Exists => Err(exists()),
        }
    }

    /// Deletes a topic that has no partitions, or one partition of one, with all that it stored.
    ///
    /// # Errors
    ///
    /// If it does not exist or has partitions; if it has producers or subscriptions and not
    /// `force`.
    pub async fn delete_topic(&self, topic: &TopicName, force: bool) -> Result<(), AdminError> {
        let partitions = namespace::partition_count(self.deps(), topic).await?;
        if partitions.is_some() && !self.has_topic(topic).await? {
            let message = format!("{topic} is a partitioned topic: delete it as one");
            return Err(AdminError::Conflict(message));
        }
        self.erase(topic, force).await
    }

    /// Unloads a topic, or all partitions of one: clients reconnect, and load it again.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub async fn unload_topic(&self, topic: &TopicName) -> Result<(), AdminError> {
        for topic in self.parts_of(topic).await? {
            if let Some(handle) = self.loaded_topic(&topic) {
                handle.unload().await;
            }
        }
        Ok(())
    }

    /// Ends a topic: it takes no more messages, for good. Returns its last message's position.
    ///
    /// # Errors
    ///
    /// If it does not exist, has partitions, or is not persistent.
    pub async fn terminate(&self, topic: &TopicName) -> Result<Position, AdminError> {
        self.refuse_partitioned(topic, "terminate").await?;
        if namespace::is_system_topic(topic) {
            let message = format!("Termination of the system topic {topic} is not allowed");
            return Err(AdminError::NotAllowed(message));
        }
        if topic.domain() == Domain::NonPersistent {
            let message = format!("Termination of the non-persistent topic {topic} is not allowed");
            return Err(AdminError::NotAllowed(message));
        }
        self.topic(topic, Purpose::Administer).await?.terminate().await
    }

    /// Ends each partition of a topic. Returns their last messages' positions.
    ///
    /// # Errors
    ///
    /// If it does not exist, has no partitions, or is not persistent.
    pub async fn terminate_partitions(
        &self,
        topic: &TopicName,
    ) -> Result<BTreeMap<u32, Position>, AdminError> {
        let Some(count) = namespace::partition_count(self.deps(), topic).await? else {
            if topic.partition().is_none() && !self.has_topic(topic).await? {
                return Err(TopicError::NotFound(topic.clone()).into());
            }
            let message = format!(
                "Termination of the non-partitioned topic {topic} is not allowed \
                 using partitioned-terminate, please use terminate commands"
            );
            return Err(AdminError::NotAllowed(message));
        };
        let mut last = BTreeMap::new();
        for index in 0..count {
            last.insert(index, self.terminate(&topic.with_partition(index)).await?);
        }
        Ok(last)
    }

    /// Acks everything on all subscriptions of a topic, or of all partitions of one, and lets go of what
    /// is stored whatever its retention, but for what compaction has not seen yet.
    ///
    /// # Errors
    ///
    /// If it does not exist, or is not persistent.
    pub async fn truncate(&self, topic: &TopicName) -> Result<(), AdminError> {
        if topic.domain() == Domain::NonPersistent {
            let message = format!("The non-persistent topic {topic} can't be truncated");
            return Err(AdminError::Invalid(message));
        }
        for part in self.parts_of(topic).await? {
            let handle = self.topic(&part, Purpose::Administer).await?;
            let stats = self.ask_one(&part, handle.stats()).await?;
            let names = stats.subscriptions.into_iter().map(|found| found.name);
            for name in names.filter(|name| !is_reserved(name)) {
                match handle.skip(name, None).await {
                    Ok(()) | Err(AdminError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let Ok(truncated) = tokio::time::timeout(TRUNCATION_MAX, handle.truncate()).await
            else {
                return Err(AdminError::Unavailable(format!(
                    "Truncating topic {part} takes more than {} s; it goes on",
                    TRUNCATION_MAX.as_secs()
                )));
            };
            truncated?;
        }
        Ok(())
    }

    /// Lets a topic, or each partition of one, delete what nobody needs, as it does now and then by itself.
    ///
    /// # Errors
    ///
    /// If it does not exist, or is not persistent.
    pub async fn trim(&self, topic: &TopicName) -> Result<(), AdminError> {
        persistent_only(topic)?;
        for part in self.parts_of(topic).await? {
            if let Some(handle) = self.used_part(topic, &part).await? {
                handle.trim().await?;
            }
        }
        Ok(())
    }

    /// Begins the compaction of a topic, or of all partitions of one.
    ///
    /// # Errors
    ///
    /// If it does not exist, is not persistent, or is being compacted.
    pub async fn compact(&self, topic: &TopicName) -> Result<(), AdminError> {
        refuse_compaction(topic)?;
        for topic in self.parts_of(topic).await? {
            self.topic(&topic, Purpose::Administer).await?.compact().await?;
        }
        Ok(())
    }

    /// How the compaction of a topic goes.
    ///
    /// # Errors
    ///
    /// If it does not exist, has partitions, or is not persistent.
    pub async fn compaction_status(
        &self,
        topic: &TopicName,
    ) -> Result<CompactionStatus, AdminError> {
        refuse_compaction(topic)?;
        self.refuse_partitioned(topic, "compaction").await?;
        self.topic(topic, Purpose::Administer).await?.compaction_status().await
    }

    /// Stats of a topic or of one partition.
    ///
    /// # Errors
    ///
    /// If it does not exist or has partitions.
    pub async fn topic_stats(&self, topic: &TopicName) -> Result<TopicStats, AdminError> {
        self.refuse_partitioned(topic, "stats").await?;
        let handle = self.topic(topic, Purpose::Administer).await?;
        self.ask_one(topic, handle.stats()).await
    }

    /// The last message of a topic.
    ///
    /// # Errors
    ///
    /// If it does not exist or has partitions.
    pub async fn last_message_id(&self, topic: &TopicName) -> Result<LastMessage, AdminError> {
        self.refuse_partitioned(topic, "lastMessageId").await?;
        if topic.domain() == Domain::NonPersistent {
            let message = format!("The non-persistent topic {topic} has no last message id");
            return Err(AdminError::NotAllowed(message));
        }
        self.topic(topic, Purpose::Administer).await?.last_message().await
    }

    /// Where the entry with the message of this index lies, or the next one if that message was never
    /// stored; [`Position::EARLIEST`] if it is not stored any more.
    ///
    /// # Errors
    ///
    /// If the topic does not exist, has partitions, is not persistent or has no message behind the index, or
    /// if messages get no index.
    pub async fn position_of_index(
        &self,
        topic: &TopicName,
        index: u64,
    ) -> Result<Position, AdminError> {
        self.refuse_partitioned(topic, "getMessageIdByIndex").await?;
        if topic.domain() == Domain::NonPersistent {
            let message = format!("The messages of the non-persistent topic {topic} have no index");
            return Err(AdminError::NotAllowed(message));
        }
        self.topic(topic, Purpose::Administer).await?.position_of_index(index).await
    }

    /// Whether a topic (or partition) exists: stored, or in use when not persistent.
    pub(super) async fn has_topic(&self, topic: &TopicName) -> Result<bool, AdminError> {
        Ok(match topic.domain() {
            Domain::Persistent => namespace::topic_exists(self.deps(), topic).await?,
            Domain::NonPersistent => self.loaded_topic(topic).is_some(),
        })
    }

    /// The partitions of a topic, or itself when it has none.
    pub(super) async fn parts_of(&self, topic: &TopicName) -> Result<Vec<TopicName>, AdminError> {
        match namespace::partition_count(self.deps(), topic).await? {
            Some(count) => Ok((0..count).map(|index| topic.with_partition(index)).collect()),
            None if self.has_topic(topic).await? => Ok(vec![topic.clone()]),
            None => Err(TopicError::NotFound(topic.clone()).into()),
        }
    }

    /// Writes the record of a topic that has nothing stored, or loads a non-persistent one. When
    /// its namespace went meanwhile the record goes too.
    pub(super) async fn create_record(
        &self,
        topic: &TopicName,
        properties: &BTreeMap<String, String>,
    ) -> Result<record::Created, AdminError> {
        if topic.domain() == Domain::NonPersistent {
            let exists = self.loaded_topic(topic).is_some();
            self.topic(topic, Purpose::Create).await?;
            return Ok(if exists { record::Created::Exists } else { record::Created::New });
        }
        let created = namespace::create_topic_record(self.deps(), topic, properties).await?;
        // Whoever makes it a partitioned one looks for it only after its record is written.
        if created == record::Created::New
            && namespace::partition_record(self.deps(), topic).await?.is_some()
        {
            self.erase(topic, true).await?;
            return Err(AdminError::Conflict(format!("Partitioned topic {topic} already exists")));
        }
        if created == record::Created::New
            && let Err(error) = namespace::require(self.deps(), topic.namespace()).await
        {
            if matches!(error, AdminError::NotFound(_)) {
                self.erase(topic, true).await?;
            }
            return Err(error);
        }
        Ok(created)
    }

    /// Deletes what a topic stored, its schema, its policies, and its record. Clients that come back meanwhile
    /// load it again, and are turned out again.
    pub(super) async fn erase(&self, topic: &TopicName, force: bool) -> Result<(), AdminError> {
        let mut busy = None;
        for _ in 0..ERASE_ATTEMPTS {
            self.turn_out(topic, force).await?;
            let _deletion = self.loader().deletions().read().await;
            // Partitions have the schema of the whole, which may also be a topic of its own.
            let is_whole = topic.partition().is_none()
                && namespace::partition_count(self.deps(), topic).await?.is_none();
            if is_whole {
                namespace::delete_schema(self.deps(), topic).await?;
                self.delete_policies(topic).await?;
            }
            if topic.domain() == Domain::NonPersistent {
                return Ok(()); // Nothing is stored.
            }
            match geminga_managed_ledger::delete(self.deps(), topic).await {
                Ok(()) | Err(DeleteError::NotFound(_)) => return Ok(()),
                Err(error @ DeleteError::Busy(_)) => busy = Some(error),
                Err(error) => return Err(AdminError::Unavailable(error.to_string())),
            }
        }
        let reason = busy.map_or_else(String::new, |error| error.to_string());
        Err(AdminError::Unavailable(format!("Topic {topic} is loaded again and again: {reason}")))
    }

    /// Ends a topic's task and closes who is attached to it. One that is damaged, or whose
    /// namespace is being deleted, has no task.
    async fn turn_out(&self, topic: &TopicName, force: bool) -> Result<(), AdminError> {
        match self.topic(topic, Purpose::Administer).await {
            Ok(handle) => handle.prepare_delete(force).await,
            Err(TopicError::Corrupt { .. }) if force => Ok(()),
            Err(TopicError::NamespaceNotFound(_)) if force => match self.loaded_topic(topic) {
                Some(handle) => handle.prepare_delete(true).await,
                None => Ok(()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses if a topic has producers or consumers now. One that is not loaded has none.
    pub(super) async fn check_unused(&self, topic: &TopicName) -> Result<(), AdminError> {
        let Some(handle) = self.loaded_topic(topic) else { return Ok(()) };
        let Ok(stats) = handle.stats().await else { return Ok(()) };
        let consumers: usize = stats.subscriptions.iter().map(|found| found.consumers.len()).sum();
        let producers = stats.publishers.len();
        if producers == 0 && consumers == 0 {
            return Ok(());
        }
        Err(AdminError::Busy(format!(
            "Topic {topic} has {producers} producers and {consumers} consumers connected"
        )))
    }

    pub(super) async fn refuse_partitioned(
        &self,
        topic: &TopicName,
        what: &str,
    ) -> Result<(), AdminError> {
        if namespace::partition_count(self.deps(), topic).await?.is_none() {
            return Ok(());
        }
        let message = format!("{topic} is a partitioned topic: ask its partitions for {what}");
        Err(if what == "stats" {
            AdminError::NotFound(message)
        } else {
            AdminError::NotAllowed(message)
        })
    }
}

fn refuse_compaction(topic: &TopicName) -> Result<(), AdminError> {
    if topic.domain() == Domain::Persistent {
        return Ok(());
    }
    Err(AdminError::NotAllowed(format!("The non-persistent topic {topic} can't be compacted")))
}
