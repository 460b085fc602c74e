//! Namespaces.

use geminga_metadata::paths;
use geminga_types::{Domain, NamespaceName};

use super::{BundlesData, Policies, tenants};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
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
        match record::create(self.deps(), &paths::namespace(namespace), &policies).await? {
            record::Created::New => Ok(()),
            record::Created::Exists => {
                Err(AdminError::Conflict(format!("Namespace {namespace} already exists")))
            }
        }
    }

    /// Deletes a namespace; with `force`, its topics too. First it is marked deleted, so that no
    /// topic is created in it any more, and last its record goes.
    ///
    /// # Errors
    ///
    /// If it does not exist, or has topics.
    pub async fn delete_namespace(
        &self,
        namespace: &NamespaceName,
        force: bool,
    ) -> Result<(), AdminError> {
        let was_deleted = self.mark_namespace(namespace, true).await?;
        match self.empty_namespace(namespace, force).await {
            Ok(()) => {}
            Err(refused @ AdminError::Conflict(_)) if !was_deleted => {
                self.mark_namespace(namespace, false).await?;
                return Err(refused);
            }
            Err(error) => return Err(error),
        }
        let deps = self.deps();
        record::delete_any(deps, &paths::local_policies(namespace)).await?;
        record::delete_any(deps, &paths::namespace(namespace)).await?;
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

    /// Namespaces of a tenant with a record, also those being deleted.
    pub(super) async fn stored_namespaces(
        &self,
        tenant: &str,
    ) -> Result<Vec<NamespaceName>, AdminError> {
        let names = record::children(self.deps(), &paths::tenant(tenant)).await?;
        Ok(names.iter().filter_map(|local| NamespaceName::new(tenant, local).ok()).collect())
    }

    /// Marks a namespace deleted or not, and returns what it was.
    async fn mark_namespace(
        &self,
        namespace: &NamespaceName,
        deleted: bool,
    ) -> Result<bool, AdminError> {
        let mut before = None;
        let path = paths::namespace(namespace);
        record::change(self.deps(), &path, |found: Option<&Policies>| {
            let found = found.ok_or_else(|| missing(namespace))?;
            before.get_or_insert(found.deleted);
            Ok::<_, AdminError>(
                (found.deleted != deleted).then(|| Policies { deleted, ..found.clone() }),
            )
        })
        .await?;
        Ok(before.unwrap_or(deleted))
    }

    async fn empty_namespace(
        &self,
        namespace: &NamespaceName,
        force: bool,
    ) -> Result<(), AdminError> {
        let deps = self.deps();
        let stored = namespace::stored_topics(deps, namespace).await?;
        let mut partitioned = Vec::new();
        for domain in [Domain::Persistent, Domain::NonPersistent] {
            partitioned.extend(namespace::partitioned_topics(deps, namespace, domain).await?);
        }
        let is_live = |name: &geminga_types::TopicName| {
            name.domain() == Domain::NonPersistent && name.namespace() == namespace
        };
        let live: Vec<_> =
            self.loaded_topics().into_iter().filter(|(name, _)| is_live(name)).collect();
        let has_own = stored.iter().any(|topic| !namespace::is_system_topic(topic));
        if !force && (has_own || !partitioned.is_empty() || !live.is_empty()) {
            let message = format!("Cannot delete non empty namespace {namespace}");
            return Err(AdminError::Conflict(message));
        }
        for (topic, _) in partitioned {
            self.erase_partitioned(&topic, true).await?;
        }
        for topic in stored {
            self.erase(&topic, true).await?;
        }
        for (_, handle) in live {
            handle.prepare_delete(true).await?;
        }
        Ok(())
    }

    fn completed(&self, policies: Option<Policies>) -> Result<Policies, AdminError> {
        let options = self.options();
        let defaults = namespace::new_policies(&options.cluster, options.bundles_default);
        let Some(mut policies) = policies else { return Ok(defaults) };
        policies.deleted = false;
        if policies.replication_clusters.is_empty() {
            policies.replication_clusters = defaults.replication_clusters;
        }
        policies.bundles = match policies.bundles {
            None => defaults.bundles,
            Some(bundles) => Some(checked_bundles(bundles, options.bundles_default)?),
        };
        Ok(policies)
    }
}

/// Bundles as asked for. Only even ones: topics are placed by the count.
fn checked_bundles(asked: BundlesData, default: u32) -> Result<BundlesData, AdminError> {
    const BUNDLES_MAX: u32 = 1 << 16;
    let by_boundaries = asked.boundaries.len().saturating_sub(1);
    let count = match (asked.num_bundles, u32::try_from(by_boundaries).unwrap_or(u32::MAX)) {
        (0, 0) => default,
        (0, count) | (count, _) => count,
    };
    if BUNDLES_MAX < count {
        let message = format!("numBundles is {count}, it must be between 1 and {BUNDLES_MAX}");
        return Err(AdminError::Invalid(message));
    }
    let even = BundlesData::even(count);
    if asked.boundaries.is_empty() || asked.boundaries == even.boundaries {
        Ok(even)
    } else {
        Err(AdminError::Invalid("bundle boundaries must cut the hash range evenly".to_owned()))
    }
}

fn missing(namespace: &NamespaceName) -> AdminError {
    AdminError::NotFound(format!("Namespace {namespace} does not exist"))
}
