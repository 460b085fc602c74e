//! Loaded topics are told what governs them whenever that changes.
//!
//! Of topics' own policies one watch tells, and a topic without any costs nothing: what a namespace says
//! is then shared by all of its topics.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use geminga_metadata::{Change, MetadataError, Watch, paths, values::policies::Policies};
use geminga_types::{NamespaceName, TopicName};
use tracing::warn;

use super::TopicPolicies;
use crate::{admin, load::Topics, namespace};

/// How long after a failed look at the policies the next one is.
const RETRY: Duration = Duration::from_secs(1);

/// What governs the topics of one namespace.
struct Governing {
    namespace: NamespaceName,
    policies: Policies,
    /// Of those that have none of their own.
    shared: Arc<TopicPolicies>,
    /// Those that have.
    others: BTreeSet<TopicName>,
}

impl Topics {
    /// Tells loaded topics what governs them whenever that changes, until the broker shuts down.
    pub(crate) async fn follow_policies(self: Arc<Self>, mut namespaces: Watch) {
        let mut topics = self.policy_store().watch();
        let changes = self.policy_changes();
        loop {
            let asked = changes.asked(); // What they have changed is heard of before they are answered.
            let (change, of_topic) = tokio::select! {
                biased;
                () = self.shutdown().cancelled() => return,
                change = namespaces.recv() => (change, false),
                change = topics.recv() => (change, true),
                () = std::future::ready(()), if changes.owes(asked) => {
                    if changes.concerns_all.swap(false, Ordering::SeqCst) {
                        self.tell_policies(|_| true).await;
                    }
                    changes.answer(asked);
                    continue;
                }
                () = changes.ask.notified() => continue,
            };
            self.policy_changes().note();
            match change {
                Some(Change::Path(path)) if of_topic => {
                    if let Some(topic) = self.policy_store().topic_of(&path) {
                        self.tell_topic(&topic).await;
                    }
                }
                Some(Change::Path(path)) => {
                    if let Some(namespace) = paths::namespace_of(&path) {
                        self.tell_policies(|name| *name.namespace() == namespace).await;
                    }
                }
                Some(Change::Everything | Change::SessionRegained) => {
                    self.tell_policies(|_| true).await;
                }
                Some(Change::SessionLost) => {}
                None => return, // The store is gone, and with it the broker.
            }
        }
    }

    /// Tells all loaded topics what governs them now that the configuration has changed, and those that
    /// are being loaded to look again.
    pub(crate) async fn follow_configuration(&self) {
        let changes = self.policy_changes();
        changes.note();
        changes.concerns_all.store(true, Ordering::SeqCst);
        changes.followed().await;
    }

    /// A topic's own policies, if it has any that count.
    pub(crate) async fn own_policies(
        &self,
        topic: &TopicName,
    ) -> Result<Option<admin::TopicPolicies>, MetadataError> {
        if !self.deps().options.topic_level_policies {
            return Ok(None);
        }
        self.policy_store().read(topic).await
    }

    /// What governs a topic; `None` when its namespace is gone, a record is damaged, or the broker shuts
    /// down.
    pub(crate) async fn policies_of(&self, topic: &TopicName) -> Option<Arc<TopicPolicies>> {
        let deps = self.deps();
        loop {
            let read = async {
                let policies = namespace::policies(&deps.ledger, topic.namespace()).await?;
                Ok((policies, self.own_policies(topic).await?))
            };
            match read.await {
                Ok((policies, own)) => {
                    let policies = policies?;
                    let own = own.as_ref();
                    return Some(TopicPolicies::of_topic(&deps.live.now(), &policies, own, topic));
                }
                Err(error) => self.pause_after(topic, &error).await?,
            }
        }
    }

    /// Tells a topic, or its partitions.
    async fn tell_topic(&self, topic: &TopicName) {
        for (name, handle) in self.loaded_parts(topic) {
            if let Some(policies) = self.policies_of(&name).await {
                handle.set_policies(policies).await;
            }
        }
    }

    async fn tell_policies(&self, is_meant: impl Fn(&TopicName) -> bool) {
        let mut known: Option<(NamespaceName, Option<Governing>)> = None;
        for (name, handle) in self.loaded_where(is_meant) {
            let is_known = known.as_ref().is_some_and(|(known, _)| known == name.namespace());
            if !is_known {
                let found = self.governing(name.namespace()).await;
                known = Some((name.namespace().clone(), found));
            }
            if let Some((_, Some(known))) = &known
                && let Some(policies) = self.policies_in(known, &name).await
            {
                handle.set_policies(policies).await;
            }
        }
    }

    /// What governs the topics of a namespace; `None` as for one topic.
    async fn governing(&self, namespace: &NamespaceName) -> Option<Governing> {
        let deps = self.deps();
        loop {
            let read = async {
                let policies = namespace::policies(&deps.ledger, namespace).await?;
                let others = match deps.options.topic_level_policies {
                    true => self.policy_store().topics(namespace).await?,
                    false => Vec::new(),
                };
                Ok((policies, others))
            };
            match read.await {
                Ok((policies, others)) => {
                    let policies = policies?;
                    let shared = Arc::new(TopicPolicies::of(&deps.live.now(), &policies, None));
                    let (namespace, others) = (namespace.clone(), others.into_iter().collect());
                    return Some(Governing { namespace, policies, shared, others });
                }
                Err(error) => self.pause_after(namespace, &error).await?,
            }
        }
    }

    async fn policies_in(
        &self,
        known: &Governing,
        topic: &TopicName,
    ) -> Option<Arc<TopicPolicies>> {
        debug_assert_eq!(known.namespace, *topic.namespace());
        if known.others.is_empty() || !known.others.contains(&topic.without_partition()) {
            return Some(known.shared.for_topic(topic));
        }
        loop {
            match self.own_policies(topic).await {
                Ok(own) => {
                    let (options, own) = (self.deps().live.now(), own.as_ref());
                    return Some(TopicPolicies::of_topic(&options, &known.policies, own, topic));
                }
                Err(error) => self.pause_after(topic, &error).await?,
            }
        }
    }

    /// Waits before policies are read again; `None` if that would not help.
    async fn pause_after(&self, of: &impl std::fmt::Display, error: &MetadataError) -> Option<()> {
        warn!(%of, %error, "policies could not be read");
        if matches!(error, MetadataError::Corrupt(_)) {
            return None;
        }
        tokio::select! {
            biased;
            () = self.shutdown().cancelled() => None,
            () = tokio::time::sleep(RETRY) => Some(()),
        }
    }
}
