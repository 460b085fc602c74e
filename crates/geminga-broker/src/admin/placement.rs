//! Where things are to be: racks of bookies, failure domains and isolation policies of clusters, quotas.
//!
//! One broker serves everything, so nothing of this moves anything; it is kept, checked as Pulsar does,
//! and comes back.

use geminga_metadata::{paths, values::placement::AutoFailoverPolicy};
use geminga_types::NamespaceName;

use super::{
    BookieRack, BookieRacks, FailureDomain, IsolationPolicies, IsolationPolicy, ResourceQuota,
};
use crate::{AdminError, Broker, namespace::record};

impl Broker {
    /// Ids of all bookies.
    #[must_use]
    pub fn bookies(&self) -> Vec<String> {
        let bookies = &self.deps().bookies;
        let all = bookies.choose(usize::MAX).or_else(|count| bookies.choose(count));
        all.unwrap_or_default().into_iter().map(|id| id.to_string()).collect()
    }

    /// Racks of bookies, by group.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn bookie_racks(&self) -> Result<BookieRacks, AdminError> {
        let found = record::read(self.deps(), paths::BOOKIE_RACKS).await?;
        Ok(found.map(|(racks, _)| racks).unwrap_or_default())
    }

    /// Puts a bookie into a group, and no other.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn set_bookie_rack(
        &self,
        bookie: &str,
        group: &str,
        rack: &BookieRack,
    ) -> Result<(), AdminError> {
        record::change(self.deps(), paths::BOOKIE_RACKS, |found: Option<&BookieRacks>| {
            let mut wanted = found.cloned().unwrap_or_default();
            _ = taken(&mut wanted, bookie);
            let group = wanted.entry(group.to_owned()).or_default();
            group.insert(bookie.to_owned(), rack.clone());
            Ok::<_, AdminError>((found != Some(&wanted)).then_some(wanted))
        })
        .await?;
        Ok(())
    }

    /// Forgets where a bookie is.
    ///
    /// # Errors
    ///
    /// If that is not known.
    pub async fn remove_bookie_rack(&self, bookie: &str) -> Result<(), AdminError> {
        record::change(self.deps(), paths::BOOKIE_RACKS, |found: Option<&BookieRacks>| {
            let mut wanted = found.cloned().unwrap_or_default();
            if taken(&mut wanted, bookie) {
                return Ok(Some(wanted));
            }
            Err(AdminError::NotFound(format!("Bookie address not found: {bookie}")))
        })
        .await?;
        Ok(())
    }

    /// Names of a cluster's failure domains; of a cluster that does not exist, none.
    ///
    /// # Errors
    ///
    /// If the cluster's name is none.
    pub async fn failure_domains(&self, cluster: &str) -> Result<Vec<String>, AdminError> {
        super::clusters::check_name(cluster)?;
        let names = record::children(self.deps(), &paths::failure_domains(cluster)).await?;
        Ok(names.iter().filter_map(|name| paths::decode(name)).collect())
    }

    /// One of them.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn failure_domain(
        &self,
        cluster: &str,
        name: &str,
    ) -> Result<FailureDomain, AdminError> {
        self.require_cluster(cluster).await?;
        let found = record::read(self.deps(), &paths::failure_domain(cluster, name)).await?;
        found.map(|(domain, _)| domain).ok_or_else(|| no_domain(cluster, name))
    }

    /// Sets one of them.
    ///
    /// # Errors
    ///
    /// If there is no such cluster, or a broker is in another domain.
    pub async fn set_failure_domain(
        &self,
        cluster: &str,
        name: &str,
        domain: &FailureDomain,
    ) -> Result<(), AdminError> {
        self.require_cluster(cluster).await?;
        for other in self.failure_domains(cluster).await?.iter().filter(|other| *other != name) {
            let others = self.failure_domain(cluster, other).await?.brokers;
            if let Some(broker) = domain.brokers.iter().find(|broker| others.contains(broker)) {
                let message = format!("Broker {broker} already exists in another domain {other}");
                return Err(AdminError::Conflict(message));
            }
        }
        let path = paths::failure_domain(cluster, name);
        record::change(self.deps(), &path, |found: Option<&FailureDomain>| {
            Ok::<_, AdminError>((found != Some(domain)).then(|| domain.clone()))
        })
        .await?;
        Ok(())
    }

    /// Deletes one of them.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn delete_failure_domain(&self, cluster: &str, name: &str) -> Result<(), AdminError> {
        self.require_cluster(cluster).await?;
        match record::delete_any(self.deps(), &paths::failure_domain(cluster, name)).await? {
            true => Ok(()),
            false => Err(no_domain(cluster, name)),
        }
    }

    /// Isolation policies of a cluster, by name.
    ///
    /// # Errors
    ///
    /// If there is no such cluster, or there never was one.
    pub async fn isolation_policies(&self, cluster: &str) -> Result<IsolationPolicies, AdminError> {
        let found = record::read(self.deps(), &paths::isolation_policies(cluster)).await?;
        found.map(|(policies, _)| policies).ok_or_else(|| {
            let message =
                format!("NamespaceIsolationPolicies for cluster {cluster} does not exist");
            AdminError::NotFound(message)
        })
    }

    /// Sets one of them; `None` deletes it.
    ///
    /// # Errors
    ///
    /// If there is no such cluster.
    pub async fn set_isolation_policy(
        &self,
        cluster: &str,
        name: &str,
        policy: Option<&IsolationPolicy>,
    ) -> Result<(), AdminError> {
        self.require_cluster(cluster).await?;
        let path = paths::isolation_policies(cluster);
        record::change(self.deps(), &path, |found: Option<&IsolationPolicies>| {
            let mut wanted = found.cloned().unwrap_or_default();
            match policy {
                Some(policy) => _ = wanted.insert(name.to_owned(), policy.clone()),
                None => _ = wanted.remove(name),
            }
            Ok::<_, AdminError>((found != Some(&wanted)).then_some(wanted))
        })
        .await?;
        Ok(())
    }

    /// What a bundle is expected to take; `None`: one of which nothing is said.
    ///
    /// # Errors
    ///
    /// If there is no such bundle.
    pub async fn resource_quota(
        &self,
        bundle: Option<(&NamespaceName, &str)>,
    ) -> Result<ResourceQuota, AdminError> {
        self.require_bundle(bundle).await?;
        let default = paths::resource_quota(None);
        for path in [paths::resource_quota(bundle), default] {
            if let Some((found, _)) = record::read(self.deps(), &path).await? {
                return Ok(found);
            }
        }
        Ok(ResourceQuota::default())
    }

    /// Sets that; `quota` `None` removes it.
    ///
    /// # Errors
    ///
    /// If there is no such bundle.
    pub async fn set_resource_quota(
        &self,
        bundle: Option<(&NamespaceName, &str)>,
        quota: Option<ResourceQuota>,
    ) -> Result<(), AdminError> {
        self.require_bundle(bundle).await?;
        let path = paths::resource_quota(bundle);
        let Some(quota) = quota else {
            record::delete_any(self.deps(), &path).await?;
            return Ok(());
        };
        record::change(self.deps(), &path, |found: Option<&ResourceQuota>| {
            Ok::<_, AdminError>((found != Some(&quota)).then(|| quota.clone()))
        })
        .await?;
        Ok(())
    }

    /// Fails unless there is the cluster.
    ///
    /// # Errors
    ///
    /// [`AdminError::Invalid`], as Pulsar has it for what is asked of a cluster's parts.
    pub async fn require_cluster(&self, name: &str) -> Result<(), AdminError> {
        match self.cluster(name).await {
            Err(AdminError::NotFound(reason)) => Err(AdminError::Invalid(reason)),
            found => found.map(drop),
        }
    }

    /// Fails unless there is the bundle.
    pub(super) async fn require_bundle(
        &self,
        bundle: Option<(&NamespaceName, &str)>,
    ) -> Result<(), AdminError> {
        let Some((namespace, range)) = bundle else { return Ok(()) };
        super::bundles::find(&self.bundles(namespace).await?, namespace, range).map(drop)
    }
}

/// Checks an isolation policy as Pulsar does.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_isolation_policy(policy: &IsolationPolicy) -> Result<(), String> {
    if policy.namespaces.is_empty() {
        return Err("namespaces is empty".to_owned());
    }
    if policy.primary.is_empty() {
        return Err("primary is empty".to_owned());
    }
    let Some(AutoFailoverPolicy { policy_type, parameters, .. }) = &policy.auto_failover_policy
    else {
        return Err("auto_failover_policy is missing".to_owned());
    };
    if policy_type != "min_available" {
        return Err(format!("policy_type is {policy_type:?}, it must be min_available"));
    }
    for name in ["min_limit", "usage_threshold"] {
        let value = parameters.get(name).map_or("", String::as_str);
        if !value.parse::<i64>().is_ok_and(|value| 0 <= value) {
            return Err(format!("{name} is {value:?}, it must be a number from 0 on"));
        }
    }
    Ok(())
}

/// Takes a bookie out of its group. Returns whether it was in one.
fn taken(racks: &mut BookieRacks, bookie: &str) -> bool {
    let mut was_there = false;
    for group in racks.values_mut() {
        was_there |= group.remove(bookie).is_some();
    }
    racks.retain(|_, group| !group.is_empty());
    was_there
}

fn no_domain(cluster: &str, name: &str) -> AdminError {
    AdminError::NotFound(format!("Domain {name} for cluster {cluster} does not exist"))
}
