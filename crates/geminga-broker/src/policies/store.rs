//! Where the policies of topics are kept.
//!
//! # Invariants
//!
//! 1. Partitions have the policies of their topic.
//! 2. A change is a compare-and-set, and keeps what it does not know.
//! 3. A topic without policies has no record.

use std::fmt::Debug;

use geminga_env::BoxFuture;
use geminga_ledger::Deps;
use geminga_metadata::{
    Decision, MetadataError, Watch, paths, update,
    values::{policies::JsonValue as _, topic_policies::TopicPolicies},
};
use geminga_types::{Domain, NamespaceName, TopicName};

use crate::{AdminError, namespace::record};

/// Changes a topic's policies, or refuses.
pub(crate) type Change<'a> = dyn FnMut(&mut TopicPolicies) -> Result<(), AdminError> + Send + 'a;

/// Keeps the policies of topics.
pub(crate) trait PolicyStore: Debug + Send + Sync {
    /// Reads those of a topic. `None`: proven absent.
    fn read<'a>(
        &'a self,
        topic: &'a TopicName,
    ) -> BoxFuture<'a, Result<Option<TopicPolicies>, MetadataError>>;

    /// Changes those of a topic.
    fn change<'a>(
        &'a self,
        topic: &'a TopicName,
        change: &'a mut Change<'a>,
    ) -> BoxFuture<'a, Result<(), AdminError>>;

    /// Deletes those of a topic, if it has any.
    fn delete<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<(), MetadataError>>;

    /// The topics of a namespace that have any.
    fn topics<'a>(
        &'a self,
        namespace: &'a NamespaceName,
    ) -> BoxFuture<'a, Result<Vec<TopicName>, MetadataError>>;

    /// Tells of changes.
    fn watch(&self) -> Watch;

    /// Which topic a path that changed is about.
    fn topic_of(&self, path: &str) -> Option<TopicName>;
}

/// Keeps them in metadata, a record for each topic that has any.
#[derive(Debug)]
pub(crate) struct InMetadata(pub(crate) Deps);

impl PolicyStore for InMetadata {
    fn read<'a>(
        &'a self,
        topic: &'a TopicName,
    ) -> BoxFuture<'a, Result<Option<TopicPolicies>, MetadataError>> {
        Box::pin(async move {
            let found = record::read(&self.0, &paths::topic_policies(topic)).await?;
            Ok(found.map(|(policies, _)| policies))
        })
    }

    fn change<'a>(
        &'a self,
        topic: &'a TopicName,
        change: &'a mut Change<'a>,
    ) -> BoxFuture<'a, Result<(), AdminError>> {
        Box::pin(async move {
            update(&*self.0.metadata, &paths::topic_policies(topic), |found| {
                let found = found.map(|found| TopicPolicies::decode(&found.value));
                let (found, damaged) = match found.transpose() {
                    Ok(found) => (found.unwrap_or_default(), None),
                    Err(damaged) => (TopicPolicies::default(), Some(damaged)),
                };
                let mut wanted = found.clone();
                let changed = change(&mut wanted);
                if let Some(damaged) = damaged {
                    // It goes with the removal of any policy: there is no other way to be rid of it.
                    return match changed {
                        Ok(()) if wanted == found => Decision::Delete(Ok(())),
                        _ => Decision::Leave(Err(MetadataError::from(damaged).into())),
                    };
                }
                match changed {
                    Err(refused) => Decision::Leave(Err(refused)),
                    Ok(()) if wanted == found => Decision::Leave(Ok(())),
                    Ok(()) if wanted == TopicPolicies::default() => Decision::Delete(Ok(())),
                    Ok(()) => Decision::Write(wanted.encode(), Ok(())),
                }
            })
            .await?
        })
    }

    fn delete<'a>(&'a self, topic: &'a TopicName) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(async move {
            record::delete_any(&self.0, &paths::topic_policies(topic)).await?;
            Ok(())
        })
    }

    fn topics<'a>(
        &'a self,
        namespace: &'a NamespaceName,
    ) -> BoxFuture<'a, Result<Vec<TopicName>, MetadataError>> {
        Box::pin(async move {
            let mut topics = Vec::new();
            for domain in [Domain::Persistent, Domain::NonPersistent] {
                let folder = paths::topics_with_policies(namespace, domain);
                record::each_page(&self.0, &folder, |page| {
                    let locals = page.iter().filter_map(|encoded| paths::decode(encoded));
                    let named = |local: String| TopicName::new(domain, namespace.clone(), &local);
                    topics.extend(locals.filter_map(|local| named(local).ok()));
                })
                .await?;
            }
            Ok(topics)
        })
    }

    fn watch(&self) -> Watch {
        self.0.metadata.watch(paths::TOPIC_POLICIES)
    }

    fn topic_of(&self, path: &str) -> Option<TopicName> {
        paths::topic_of_policies(path)
    }
}
