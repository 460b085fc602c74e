//! Clusters.

use geminga_metadata::paths;
use geminga_types::NamespaceName;

use super::ClusterData;
use crate::{
    AdminError, Broker,
    namespace::{self, record},
};

impl Broker {
    /// Names of all clusters.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn clusters(&self) -> Result<Vec<String>, AdminError> {
        Ok(record::children(self.deps(), paths::CLUSTERS).await?)
    }

    /// One cluster.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn cluster(&self, name: &str) -> Result<ClusterData, AdminError> {
        check_name(name)?;
        let found = record::read(self.deps(), &paths::cluster(name)).await?;
        found.map(|(data, _)| data).ok_or_else(|| missing(name))
    }

    /// Adds a cluster.
    ///
    /// # Errors
    ///
    /// If there is one of that name.
    pub async fn create_cluster(&self, name: &str, data: &ClusterData) -> Result<(), AdminError> {
        check_name(name)?;
        match record::create(self.deps(), &paths::cluster(name), data).await? {
            record::Created::New => Ok(()),
            record::Created::Exists => {
                Err(AdminError::Conflict(format!("Cluster {name} already exists")))
            }
        }
    }

    /// Replaces what is known of a cluster.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn update_cluster(&self, name: &str, data: &ClusterData) -> Result<(), AdminError> {
        check_name(name)?;
        record::change(self.deps(), &paths::cluster(name), |found: Option<&ClusterData>| {
            found.map(|_| Some(data.clone())).ok_or_else(|| missing(name))
        })
        .await?;
        Ok(())
    }

    /// Sets which clusters may stand in for a cluster.
    ///
    /// # Errors
    ///
    /// If there is no such cluster, or one of them is none, or itself.
    pub async fn set_peers(&self, name: &str, peers: Vec<String>) -> Result<(), AdminError> {
        check_name(name)?;
        let known = self.clusters().await?;
        for peer in &peers {
            if peer.eq_ignore_ascii_case(name) {
                let message = format!("{name} itself can't be part of peer-list");
                return Err(AdminError::Invalid(message));
            }
            if !known.contains(peer) {
                return Err(AdminError::Invalid(format!("Peer cluster {peer} does not exist")));
            }
        }
        record::change(self.deps(), &paths::cluster(name), |found: Option<&ClusterData>| {
            let found = found.ok_or_else(|| missing(name))?;
            let peer_cluster_names = Some(peers.clone());
            Ok::<_, AdminError>(Some(ClusterData { peer_cluster_names, ..found.clone() }))
        })
        .await?;
        Ok(())
    }

    /// Forgets a cluster, with its failure domains.
    ///
    /// # Errors
    ///
    /// If there is none of that name, it is this broker's own, a namespace is replicated to it, or it has
    /// isolation policies.
    pub async fn delete_cluster(&self, name: &str) -> Result<(), AdminError> {
        check_name(name)?;
        if name == self.options().cluster {
            let message = format!("Cluster {name} is the one this broker belongs to");
            return Err(AdminError::Busy(message));
        }
        self.cluster(name).await?;
        self.check_cluster_unused(name).await?;
        record::delete_any(self.deps(), &paths::isolation_policies(name)).await?;
        for domain in self.failure_domains(name).await? {
            record::delete_any(self.deps(), &paths::failure_domain(name, &domain)).await?;
        }
        record::delete_any(self.deps(), &paths::cluster(name)).await?;
        Ok(())
    }

    async fn check_cluster_unused(&self, name: &str) -> Result<(), AdminError> {
        match self.isolation_policies(name).await {
            Ok(found) if !found.is_empty() => {
                let message = format!("Cluster {name} not empty: it has isolation policies");
                return Err(AdminError::Busy(message));
            }
            Ok(_) | Err(AdminError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        for tenant in self.tenants().await? {
            for namespace in self.stored_namespaces(&tenant).await? {
                let found = namespace::policies(self.deps(), &namespace).await?;
                if found.is_some_and(|found| found.replication_clusters.iter().any(|to| to == name))
                {
                    let message = format!("Cluster {name} not empty: {namespace} is in it");
                    return Err(AdminError::Busy(message));
                }
            }
        }
        Ok(())
    }
}

fn missing(name: &str) -> AdminError {
    AdminError::NotFound(format!("Cluster {name} does not exist"))
}

/// Clusters and tenants are named as namespaces are.
pub(super) fn check_name(name: &str) -> Result<(), AdminError> {
    let is_valid = NamespaceName::new(name, "any").is_ok();
    let invalid = || AdminError::Invalid(format!("Name {name:?} is not valid"));
    if is_valid { Ok(()) } else { Err(invalid()) }
}
