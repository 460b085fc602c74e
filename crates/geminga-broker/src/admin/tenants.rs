//! Tenants.

use geminga_metadata::paths;

use super::{TenantInfo, clusters::check_name, deletions::Doomed};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
};

/// What Pulsar calls all clusters together.
pub(super) const GLOBAL: &str = "global";

impl Broker {
    /// Names of all tenants.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn tenants(&self) -> Result<Vec<String>, AdminError> {
        Ok(record::children(self.deps(), paths::POLICIES).await?)
    }

    /// One tenant.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn tenant(&self, name: &str) -> Result<TenantInfo, AdminError> {
        check_name(name)?;
        namespace::tenant(self.deps(), name).await?.ok_or_else(|| missing(name))
    }

    /// Creates a tenant.
    ///
    /// # Errors
    ///
    /// If there is one of that name, it names no cluster or one that does not exist, or there are as many
    /// tenants as there may be.
    pub async fn create_tenant(&self, name: &str, info: TenantInfo) -> Result<(), AdminError> {
        check_name(name)?;
        let info = self.checked(info).await?;
        let limit = self.live_options().tenants.tenants_max;
        if 0 < limit && limit <= self.tenants().await?.len() as u64 {
            return Err(AdminError::Invalid(format!(
                "Exceed the maximum number of tenants: there may be {limit} (maxTenants)"
            )));
        }
        self.refuse_doomed(&Doomed::tenant(name)).await?;
        match record::create(self.deps(), &paths::tenant(name), &info).await? {
            record::Created::New => Ok(()),
            record::Created::Exists => {
                Err(AdminError::Conflict(format!("Tenant {name} already exists")))
            }
        }
    }

    /// Replaces what is known of a tenant.
    ///
    /// # Errors
    ///
    /// If there is none of that name, a cluster does not exist, or a namespace is in one that it is to
    /// lose.
    pub async fn update_tenant(&self, name: &str, info: TenantInfo) -> Result<(), AdminError> {
        let found = self.tenant(name).await?;
        let info = self.checked(info).await?;
        let is_lost = |cluster: &&String| !info.allowed_clusters.contains(cluster);
        let lost: Vec<&String> = found.allowed_clusters.iter().filter(is_lost).collect();
        for namespace in self.stored_namespaces(name).await? {
            let Some(found) = namespace::policies(self.deps(), &namespace).await? else { continue };
            if let Some(cluster) = lost.iter().find(|to| found.replication_clusters.contains(to)) {
                return Err(AdminError::Conflict(format!(
                    "Tenant {name} still has active namespaces in cluster {cluster}: {namespace}"
                )));
            }
        }
        record::change(self.deps(), &paths::tenant(name), |found: Option<&TenantInfo>| {
            found.map(|_| Some(info.clone())).ok_or_else(|| missing(name))
        })
        .await?;
        Ok(())
    }

    /// Deletes a tenant; with `force`, its namespaces and their topics too.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or it has namespaces.
    pub async fn delete_tenant(&self, name: &str, force: bool) -> Result<(), AdminError> {
        let doomed = Doomed::tenant(name);
        if self.join_deletion(&doomed).await? {
            return Ok(());
        }
        self.tenant(name).await?;
        if force {
            return self.delete_by_job(&doomed).await;
        }
        if !self.stored_namespaces(name).await?.is_empty() {
            let message = format!("The tenant {name} still has active namespaces");
            return Err(AdminError::Conflict(message));
        }
        record::delete_any(self.deps(), &paths::tenant(name)).await?;
        Ok(())
    }

    /// Deletes a tenant and all that it has; nothing if there is none.
    pub(super) async fn erase_tenant(&self, name: &str) -> Result<(), AdminError> {
        for namespace in self.stored_namespaces(name).await? {
            self.delete_by_job(&Doomed::Namespace(namespace)).await?;
        }
        record::delete_any(self.deps(), &paths::tenant(name)).await?;
        Ok(())
    }

    async fn checked(&self, info: TenantInfo) -> Result<TenantInfo, AdminError> {
        let clusters = &info.allowed_clusters;
        if clusters.is_empty() || clusters.iter().any(|cluster| cluster.trim().is_empty()) {
            let message = "Clusters cannot be empty or blank: allowedClusters must name one";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        if let Some(role) = info.admin_roles.iter().find(|role| role.trim() != **role) {
            return Err(AdminError::Invalid(format!(
                "AdminRoles contains whitespace in the beginning or end: {role:?}"
            )));
        }
        let known = self.clusters().await?;
        match clusters.iter().find(|cluster| *cluster != GLOBAL && !known.contains(cluster)) {
            Some(unknown) => Err(AdminError::Invalid(format!(
                "Clusters do not exist: there is no cluster {unknown}"
            ))),
            None => Ok(info),
        }
    }
}

pub(super) fn missing(name: &str) -> AdminError {
    AdminError::NotFound(format!("Tenant {name} does not exist"))
}
