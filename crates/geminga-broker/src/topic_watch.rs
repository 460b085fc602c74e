//! Which topics of a namespace come and go.

use geminga_metadata::{Change, Watch, paths};
use geminga_types::{Domain, NamespaceName, TopicName};

use crate::{AdminError, Broker, namespace};

/// Tells of the topics that are stored in a namespace. It begins when it is made: a list that is asked
/// for afterwards misses nothing that is not told of here.
#[derive(Debug)]
pub struct TopicWatch {
    namespace: NamespaceName,
    /// Ends with a slash.
    folder: String,
    watch: Watch,
}

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicChange {
    /// Whether this topic, or partition, is stored: see [`Broker::is_stored`].
    Topic(TopicName),
    /// Anything: list the topics again.
    Everything,
}

impl Broker {
    /// Watches the stored topics of a namespace.
    #[must_use]
    pub fn watch_topics(&self, namespace: &NamespaceName) -> TopicWatch {
        let folder = format!("{}/", paths::managed_ledgers(namespace, Domain::Persistent));
        let watch = self.deps().metadata.watch(&folder);
        TopicWatch { namespace: namespace.clone(), folder, watch }
    }

    /// Whether a persistent topic exists.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn is_stored(&self, topic: &TopicName) -> Result<bool, AdminError> {
        Ok(namespace::topic_exists(self.deps(), topic).await?)
    }
}

impl TopicWatch {
    /// The next change; `None` once the broker is gone. Nothing is lost if it is not waited for to the
    /// end.
    pub async fn next(&mut self) -> Option<TopicChange> {
        loop {
            match self.watch.recv().await? {
                Change::Path(path) => {
                    if let Some(topic) = self.topic_of(&path) {
                        return Some(TopicChange::Topic(topic));
                    }
                }
                Change::Everything | Change::SessionRegained => {
                    return Some(TopicChange::Everything);
                }
                Change::SessionLost => {}
            }
        }
    }

    /// The topic that a key is of, unless it is a cursor's or the brokers' own.
    fn topic_of(&self, path: &str) -> Option<TopicName> {
        let part = path.strip_prefix(&self.folder).filter(|part| !part.contains('/'))?;
        let local = paths::decode(part)?;
        let topic = TopicName::new(Domain::Persistent, self.namespace.clone(), &local).ok()?;
        (!namespace::is_system_topic(&topic)).then_some(topic)
    }
}
