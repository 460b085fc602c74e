//! What users note about topics.

use std::collections::BTreeMap;

use geminga_metadata::values::topic_properties;
use geminga_types::{Domain, TopicName};

use crate::{AdminError, Broker, creation::Purpose, namespace};

/// Bytes of all properties of a topic. They are in its metadata key, which every load reads.
const BYTES_MAX: usize = 64 << 10;

/// With this property Pulsar makes a topic that shows the messages of the one it names.
const SHADOW_SOURCE: &str = "PULSAR.SHADOW_SOURCE";

impl Broker {
    /// What users noted about a topic, or about one with partitions as a whole.
    ///
    /// # Errors
    ///
    /// If it does not exist, or is neither persistent nor partitioned.
    pub async fn topic_properties(
        &self,
        topic: &TopicName,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        let found = namespace::partition_record(self.deps(), topic).await?;
        if let Some(found) = found.filter(|found| !found.deleted) {
            return Ok(found.properties.unwrap_or_default());
        }
        stored_only(topic)?;
        self.topic(topic, Purpose::Administer).await?.properties().await
    }

    /// Notes properties, instead of those of the same names; others stay. With none, nothing is done.
    ///
    /// # Errors
    ///
    /// If the topic does not exist, or is neither persistent nor partitioned; if a property is none.
    pub async fn set_topic_properties(
        &self,
        topic: &TopicName,
        properties: BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        if properties.is_empty() {
            return Ok(());
        }
        check_no_shadow(topic, &properties)?;
        let mut all = self.topic_properties(topic).await?;
        all.extend(properties.clone());
        check_properties(topic, &all)?;
        let changes = properties.into_iter().map(|(key, value)| (key, Some(value)));
        self.change_topic_properties(topic, changes.collect()).await
    }

    /// Removes a property, if it is there.
    ///
    /// # Errors
    ///
    /// If the topic does not exist, or is neither persistent nor partitioned, or the property is no
    /// user's.
    pub async fn remove_topic_property(
        &self,
        topic: &TopicName,
        key: &str,
    ) -> Result<(), AdminError> {
        check_key(topic, key)?;
        self.change_topic_properties(topic, vec![(key.to_owned(), None)]).await
    }

    async fn change_topic_properties(
        &self,
        topic: &TopicName,
        changes: Vec<(String, Option<String>)>,
    ) -> Result<(), AdminError> {
        if namespace::change_partitioned_properties(self.deps(), topic, &changes).await? {
            return Ok(());
        }
        stored_only(topic)?;
        self.topic(topic, Purpose::Administer).await?.change_properties(changes).await
    }
}

/// Refuses properties to be created with: those of a shadow, and what can't be noted later either.
pub(super) fn check_initial_properties(
    topic: &TopicName,
    properties: &BTreeMap<String, String>,
) -> Result<(), AdminError> {
    check_no_shadow(topic, properties)?;
    check_properties(topic, properties)
}

/// A topic that says that it is a shadow, and shows nothing of its source, would mislead.
fn check_no_shadow(
    topic: &TopicName,
    properties: &BTreeMap<String, String>,
) -> Result<(), AdminError> {
    let Some(source) = properties.get(SHADOW_SOURCE) else { return Ok(()) };
    Err(AdminError::NotAllowed(format!(
        "Topic {topic} can't be a shadow of {source}: this broker has no shadow topics"
    )))
}

/// Refuses what is no user's to note, and more than there may be.
fn check_properties<'a>(
    topic: &TopicName,
    properties: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<(), AdminError> {
    let mut bytes = 0;
    for (key, value) in properties {
        check_key(topic, key)?;
        bytes += key.len() + value.len();
    }
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "Properties of topic {topic} take {bytes} bytes, they may take {BYTES_MAX}"
    )))
}

fn check_key(topic: &TopicName, key: &str) -> Result<(), AdminError> {
    let what = if key.is_empty() {
        "needs a name"
    } else if topic_properties::is_own(key) {
        "is the brokers' own"
    } else {
        return Ok(());
    };
    Err(AdminError::Invalid(format!("Property {key:?} of topic {topic} {what}")))
}

fn stored_only(topic: &TopicName) -> Result<(), AdminError> {
    if topic.domain() == Domain::Persistent {
        return Ok(());
    }
    Err(AdminError::NotAllowed(format!("The non-persistent topic {topic} has no properties")))
}
