//! Clusters.

use geminga_metadata::paths;
use geminga_types::NamespaceName;

use super::ClusterData;
use crate::{AdminError, Broker, namespace::record};

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

    /// Forgets a cluster.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or it is this broker's own.
    pub async fn delete_cluster(&self, name: &str) -> Result<(), AdminError> {
        check_name(name)?;
        if name == self.options().cluster {
            let message = format!("Cluster {name} is the one this broker belongs to");
            return Err(AdminError::Busy(message));
        }
        if record::delete_any(self.deps(), &paths::cluster(name)).await? {
            Ok(())
        } else {
            Err(missing(name))
        }
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
