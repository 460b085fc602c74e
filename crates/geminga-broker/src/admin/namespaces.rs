//! Namespaces.

use geminga_metadata::paths;
use geminga_types::{Domain, NamespaceName, TopicName};

use super::{Policies, bundles, deletions::Doomed, tenants, unless_gone};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
    topic::TopicHandle,
};

impl Broker {
    /// Full names of a tenant's namespaces.
    ///
    /// # Errors
    ///
    /// If there is no such tenant.
    pub async fn namespaces(&self, tenant: &str) -> Result<Vec<String>, AdminError> {
        self.tenant(tenant).await?;
        let mut names = Vec::new();
        for namespace in self.stored_namespaces(tenant).await? {
            if namespace::policies(self.deps(), &namespace).await?.is_some() {
                names.push(namespace.to_string());
            }
        }
        Ok(names)
    }

    /// A namespace's policies.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn namespace_policies(
        &self,
        namespace: &NamespaceName,
    ) -> Result<Policies, AdminError> {
        let found = namespace::policies(self.deps(), namespace).await?;
        found.ok_or_else(|| missing(namespace))
    }

    /// Topics that are loaded here.
    #[must_use]
    pub fn topics_in_use(&self) -> Vec<TopicName> {
        self.loaded_topics().into_iter().map(|(name, _)| name).collect()
    }

    /// Creates a namespace; what `policies` leaves open gets this broker's defaults.
    ///
    /// # Errors
    ///
    /// If it exists, its tenant does not, or a policy makes no sense.
    pub async fn create_namespace(
        &self,
        namespace: &NamespaceName,
        policies: Option<Policies>,
    ) -> Result<(), AdminError> {
        let tenant = namespace.tenant();
        if namespace::tenant(self.deps(), tenant).await?.is_none() {
            return Err(tenants::missing(tenant));
        }
        let policies = self.completed(policies)?;
        self.check_clusters(namespace, &policies.replication_clusters).await?;
        self.check_allowed_clusters(namespace, &policies).await?;
        let limit = self.live_options().tenants.namespaces_max;
        if 0 < limit && limit <= self.stored_namespaces(tenant).await?.len() as u64 {
            return Err(AdminError::Invalid(format!(
                "Exceed the maximum number of namespace in tenant: {tenant} may have {limit} \
                 (maxNamespacesPerTenant)"
            )));
        }
        let doomed = Doomed::tenant(tenant);
        self.refuse_doomed(&doomed).await?;
        self.refuse_doomed(&Doomed::Namespace(namespace.clone())).await?;
        match record::create(self.deps(), &paths::namespace(namespace), &policies).await? {
            record::Created::New => {
                // The tenant's deletion may have begun meanwhile, and not have seen it.
                let is_gone = namespace::tenant(self.deps(), tenant).await?.is_none();
                let gone = is_gone.then(|| tenants::missing(tenant));
                let refused = gone.or(self.refuse_doomed(&doomed).await.err());
                let Some(refused) = refused else { return Ok(()) };
                record::delete_any(self.deps(), &paths::namespace(namespace)).await?;
                Err(refused)
            }
            record::Created::Exists => {
                Err(AdminError::Conflict(format!("Namespace {namespace} already exists")))
            }
        }
    }

    /// Deletes a namespace; with `force`, its topics too. First it is marked deleted, so that no
    /// topic is created in it any more, and last its record goes: by a job.
    ///
    /// # Errors
    ///
    /// If it does not exist, or has topics: then it stays, also when an earlier call that was
    /// interrupted had marked it.
    pub async fn delete_namespace(
        &self,
        namespace: &NamespaceName,
        force: bool,
    ) -> Result<(), AdminError> {
        let doomed = Doomed::Namespace(namespace.clone());
        if self.join_deletion(&doomed).await? {
            return Ok(());
        }
        if !force && let Err(refused) = self.check_empty(namespace).await {
            self.mark_namespace(namespace, false).await?;
            return Err(refused);
        }
        self.mark_namespace(namespace, true).await?;
        // Again: what was created since the first look is there now, and nothing comes after.
        if !force && let Err(refused) = self.check_empty(namespace).await {
            self.mark_namespace(namespace, false).await?;
            return Err(refused);
        }
        self.delete_by_job(&doomed).await
    }

    /// Deletes a namespace and all that is in it; nothing if there is none.
    pub(super) async fn erase_namespace(
        &self,
        namespace: &NamespaceName,
    ) -> Result<(), AdminError> {
        match self.mark_namespace(namespace, true).await {
            Ok(()) => self.empty_namespace(namespace).await?,
            Err(AdminError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        let deps = self.deps();
        record::delete_any(deps, &paths::local_policies(namespace)).await?;
        record::delete_any(deps, &paths::namespace(namespace)).await?;
        Ok(())
    }

    /// Changes a namespace's policies. Its topics that are loaded here have been told then.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or `change` refuses.
    pub async fn change_namespace_policies(
        &self,
        namespace: &NamespaceName,
        mut change: impl FnMut(&mut Policies) -> Result<(), AdminError> + Send,
    ) -> Result<(), AdminError> {
        record::change(self.deps(), &paths::namespace(namespace), |found: Option<&Policies>| {
            let found = found.filter(|found| !found.deleted).ok_or_else(|| missing(namespace))?;
            let mut wanted = found.clone();
            change(&mut wanted)?;
            Ok::<_, AdminError>((wanted != *found).then_some(wanted))
        })
        .await?;
        self.loader().policy_changes().followed().await;
        Ok(())
    }

    /// Unloads a namespace's topics: clients reconnect, and load them again.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn unload_namespace(&self, namespace: &NamespaceName) -> Result<(), AdminError> {
        namespace::require(self.deps(), namespace).await?;
        for (name, handle) in self.loaded_topics() {
            if name.namespace() == namespace {
                handle.unload().await;
            }
        }
        Ok(())
    }

    /// Unloads the topics of one bundle.
    ///
    /// # Errors
    ///
    /// If there is no such bundle.
    pub async fn unload_bundle(
        &self,
        namespace: &NamespaceName,
        range: &str,
    ) -> Result<(), AdminError> {
        let bundles = self.bundles(namespace).await?;
        let range = bundles::find(&bundles, namespace, range)?;
        for (name, handle) in self.loaded_topics() {
            if name.namespace() == namespace && bundles.of(&name) == range {
                handle.unload().await;
            }
        }
        Ok(())
    }

    /// Namespaces of a tenant with a record, also those being deleted.
    pub(super) async fn stored_namespaces(
        &self,
        tenant: &str,
    ) -> Result<Vec<NamespaceName>, AdminError> {
        let names = record::children(self.deps(), &paths::tenant(tenant)).await?;
        Ok(names.iter().filter_map(|local| NamespaceName::new(tenant, local).ok()).collect())
    }

    async fn mark_namespace(
        &self,
        namespace: &NamespaceName,
        deleted: bool,
    ) -> Result<(), AdminError> {
        record::change(self.deps(), &paths::namespace(namespace), |found: Option<&Policies>| {
            let found = found.ok_or_else(|| missing(namespace))?;
            let is_changed = found.deleted != deleted;
            Ok::<_, AdminError>(is_changed.then(|| Policies { deleted, ..found.clone() }))
        })
        .await?;
        Ok(())
    }

    /// Refuses if a namespace has topics, but for those that brokers keep for themselves.
    async fn check_empty(&self, namespace: &NamespaceName) -> Result<(), AdminError> {
        let Contents { stored, partitioned, live } = self.contents(namespace).await?;
        let has_own = stored.iter().any(|topic| !namespace::is_system_topic(topic));
        if has_own || !partitioned.is_empty() || !live.is_empty() {
            let message = format!("Cannot delete non empty namespace {namespace}");
            return Err(AdminError::Conflict(message));
        }
        Ok(())
    }

    async fn empty_namespace(&self, namespace: &NamespaceName) -> Result<(), AdminError> {
        let Contents { stored, partitioned, live } = self.contents(namespace).await?;
        for topic in partitioned {
            unless_gone(self.erase_partitioned(&topic, true).await)?;
        }
        for topic in stored {
            unless_gone(self.erase(&topic, true).await)?; // A partition is gone by now.
        }
        for handle in live {
            handle.prepare_delete(true).await?;
        }
        // Those of topics that are not persistent, and are not loaded.
        let policies = self.loader().policy_store();
        for topic in policies.topics(namespace).await? {
            policies.delete(&topic).await?;
        }
        Ok(())
    }

    async fn contents(&self, namespace: &NamespaceName) -> Result<Contents, AdminError> {
        let deps = self.deps();
        let stored = namespace::stored_topics(deps, namespace).await?;
        let mut partitioned = Vec::new();
        for domain in [Domain::Persistent, Domain::NonPersistent] {
            partitioned.extend(namespace::partitioned_names(deps, namespace, domain).await?);
        }
        let is_live = |name: &TopicName| {
            name.domain() == Domain::NonPersistent && name.namespace() == namespace
        };
        let loaded = self.loaded_topics().into_iter();
        let live = loaded.filter(|(name, _)| is_live(name)).map(|(_, handle)| handle).collect();
        Ok(Contents { stored, partitioned, live })
    }

    fn completed(&self, policies: Option<Policies>) -> Result<Policies, AdminError> {
        let options = self.live_options();
        let defaults = namespace::new_policies(&options.cluster, options.bundles_default);
        let Some(mut policies) = policies else { return Ok(defaults) };
        policies.deleted = false;
        if policies.replication_clusters.is_empty() {
            policies.replication_clusters = defaults.replication_clusters;
        }
        policies.bundles = match policies.bundles {
            None => defaults.bundles,
            Some(bundles) => Some(bundles::asked(&bundles, options.bundles_default)?),
        };
        Ok(policies)
    }
}

/// What is in a namespace.
struct Contents {
    stored: Vec<TopicName>,
    /// Also those whose deletion was interrupted.
    partitioned: Vec<TopicName>,
    /// Non-persistent ones in use.
    live: Vec<TopicHandle>,
}

pub(super) fn missing(namespace: &NamespaceName) -> AdminError {
    AdminError::NotFound(format!("Namespace {namespace} does not exist"))
}
