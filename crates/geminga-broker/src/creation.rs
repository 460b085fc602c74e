//! Which topics and subscriptions come into being by being used: as the namespace says, and as this
//! broker is configured where the namespace is silent.

use geminga_ledger::Deps;
use geminga_metadata::{MetadataError, values::policies::Policies};
use geminga_types::{Domain, TopicName};

use crate::{AdminError, Broker, Options, TopicError, load::store_error, namespace};

/// For whom a topic is loaded, and whether it may come into being by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An administrator asks for what there is, be it for deleting it.
    Administer,
    /// A client uses what there is.
    Use,
    /// A client uses it; it is created if it may come into being so.
    UseOrCreate,
    /// An administrator creates it, be it a partition that does not count yet.
    Create,
}

/// What comes into being in a namespace by being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AutoCreation {
    /// Whether topics do.
    pub(crate) topics: bool,
    /// With how many partitions; `None`: without.
    pub(crate) partitions: Option<u32>,
    /// Whether subscriptions do.
    pub(crate) subscriptions: bool,
}

impl AutoCreation {
    /// What holds in a namespace with `policies`.
    pub(crate) fn of(options: &Options, policies: &Policies) -> Self {
        let mut found = Self {
            topics: options.auto_topic_creation,
            partitions: options.auto_partitions,
            subscriptions: options.auto_subscription_creation,
        };
        if let Some(given) = &policies.auto_topic_creation_override {
            found.topics = given.allow_auto_topic_creation;
            let count = given.default_num_partitions.and_then(|count| u32::try_from(count).ok());
            let is_partitioned = given.topic_type.as_deref() == Some("partitioned");
            found.partitions = is_partitioned.then(|| count.unwrap_or(1).max(1));
        }
        if let Some(given) = policies.auto_subscription_creation_override {
            found.subscriptions = given.allow_auto_subscription_creation;
        }
        // A policy may be older than the limit.
        found.partitions = found.partitions.map(|count| count.min(options.topics.partitions_max()));
        found
    }

    /// Whether this topic may come into being. Those that brokers keep for themselves always may.
    pub(crate) fn allows(self, topic: &TopicName) -> bool {
        self.topics || namespace::is_system_topic(topic)
    }
}

/// Fails if a namespace may not have `added` topics more, of which `topic` is one or the whole. Topics
/// are counted only where there is a limit; what comes into being at the same moment is not.
pub(crate) async fn check_room(
    deps: &Deps,
    options: &Options,
    policies: &Policies,
    topic: &TopicName,
    added: u32,
) -> Result<(), TopicError> {
    let own = policies.max_topics_per_namespace.and_then(|max| u64::try_from(max).ok());
    let limit = own.unwrap_or(options.topics.per_namespace_max);
    let is_counted = topic.domain() == Domain::Persistent && !namespace::is_system_topic(topic);
    if limit == 0 || !is_counted {
        return Ok(());
    }
    let count = namespace::count_topics(deps, topic.namespace()).await;
    let count = count.map_err(|error| store_error(topic, &error))?;
    if count + u64::from(added) <= limit {
        return Ok(());
    }
    Err(TopicError::TooManyTopics { topic: topic.clone(), limit })
}

impl Broker {
    /// Fails if the namespace of `topic` does not exist, or may not have `added` topics more.
    pub(crate) async fn require_room(
        &self,
        topic: &TopicName,
        added: u32,
    ) -> Result<(), AdminError> {
        let policies = self.namespace_policies(topic.namespace()).await?;
        check_room(self.deps(), &self.live_options(), &policies, topic, added).await?;
        Ok(())
    }

    /// How many partitions a topic has, 0 for one that has none (and may not exist yet, when
    /// `create` and it may be created by using it).
    ///
    /// # Errors
    ///
    /// See [`TopicError`].
    pub async fn partitions(&self, topic: &TopicName, create: bool) -> Result<u32, TopicError> {
        let deps = self.deps();
        let error = |error: MetadataError| store_error(topic, &error);
        let policies = namespace::policies(deps, topic.namespace()).await.map_err(error)?;
        let Some(policies) = policies else {
            return Err(TopicError::NamespaceNotFound(topic.namespace().to_string()));
        };
        if let Some(count) = namespace::partition_count(deps, topic).await.map_err(error)? {
            return Ok(count);
        }
        if topic.partition().is_some() || self.is_known(topic).await? {
            return Ok(0);
        }
        let auto = AutoCreation::of(&self.live_options(), &policies);
        if !create || !auto.allows(topic) {
            return Err(TopicError::NotFound(topic.clone()));
        }
        match auto.partitions {
            Some(count) if !namespace::is_system_topic(topic) => {
                check_room(deps, &self.live_options(), &policies, topic, count).await?;
                self.create_partitions_by_use(topic, count).await
            }
            _ => Ok(0),
        }
    }

    async fn create_partitions_by_use(
        &self,
        topic: &TopicName,
        count: u32,
    ) -> Result<u32, TopicError> {
        match self.make_partitioned(topic, count, None).await {
            Ok(()) => Ok(count),
            // Somebody else was faster, with or without partitions.
            Err(AdminError::Conflict(_)) => {
                let found = namespace::partition_count(self.deps(), topic).await;
                match found.map_err(|error| store_error(topic, &error))? {
                    Some(count) => Ok(count),
                    None if self.is_known(topic).await? => Ok(0),
                    None => Err(TopicError::NotFound(topic.clone())),
                }
            }
            Err(error) => {
                let reason = error.to_string();
                Err(TopicError::Unavailable { topic: topic.clone(), reason })
            }
        }
    }

    pub(crate) async fn is_known(&self, topic: &TopicName) -> Result<bool, TopicError> {
        if self.loaded_topic(topic).is_some() {
            return Ok(true);
        }
        match topic.domain() {
            Domain::NonPersistent => Ok(false),
            Domain::Persistent => {
                let found = namespace::topic_exists(self.deps(), topic).await;
                found.map_err(|error| store_error(topic, &error))
            }
        }
    }
}
