//! Tenants.

use geminga_metadata::paths;

use super::{TenantInfo, clusters::check_name};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
};

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

    /// Creates a tenant. Without clusters it may use this broker's own.
    ///
    /// # Errors
    ///
    /// If there is one of that name, or a cluster does not exist.
    pub async fn create_tenant(&self, name: &str, info: TenantInfo) -> Result<(), AdminError> {
        check_name(name)?;
        let info = self.checked(info).await?;
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
    /// If there is none of that name, or a cluster does not exist.
    pub async fn update_tenant(&self, name: &str, info: TenantInfo) -> Result<(), AdminError> {
        check_name(name)?;
        let info = self.checked(info).await?;
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
        self.tenant(name).await?;
        for namespace in self.stored_namespaces(name).await? {
            if !force {
                let message = format!("The tenant {name} still has active namespaces");
                return Err(AdminError::Conflict(message));
            }
            self.delete_namespace(&namespace, true).await?;
        }
        record::delete_any(self.deps(), &paths::tenant(name)).await?;
        Ok(())
    }

    async fn checked(&self, mut info: TenantInfo) -> Result<TenantInfo, AdminError> {
        if info.allowed_clusters.is_empty() {
            info.allowed_clusters.push(self.options().cluster.clone());
        }
        let known = self.clusters().await?;
        match info.allowed_clusters.iter().find(|cluster| !known.contains(cluster)) {
            Some(unknown) => Err(AdminError::Invalid(format!("Cluster {unknown} does not exist"))),
            None => Ok(info),
        }
    }
}

pub(super) fn missing(name: &str) -> AdminError {
    AdminError::NotFound(format!("Tenant {name} does not exist"))
}
