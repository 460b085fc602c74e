//! Resource groups.

use geminga_metadata::paths;

use super::{ResourceGroup, clusters::check_name};
use crate::{
    AdminError, Broker,
    namespace::{self, record},
};

impl Broker {
    /// Names of all resource groups.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn resource_groups(&self) -> Result<Vec<String>, AdminError> {
        let parts = record::children(self.deps(), paths::RESOURCE_GROUPS).await?;
        Ok(parts.iter().filter_map(|part| paths::decode(part)).collect())
    }

    /// One resource group.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub async fn resource_group(&self, name: &str) -> Result<ResourceGroup, AdminError> {
        let found = record::read(self.deps(), &paths::resource_group(name)).await?;
        found.map(|(group, _)| group).ok_or_else(missing)
    }

    /// Creates a resource group, or changes what `group` names of it; it is in force then.
    ///
    /// # Errors
    ///
    /// If the name is not valid.
    pub async fn set_resource_group(
        &self,
        name: &str,
        group: ResourceGroup,
    ) -> Result<(), AdminError> {
        check_name(name)?;
        let path = paths::resource_group(name);
        record::change(self.deps(), &path, |found: Option<&ResourceGroup>| {
            let mut wanted = found.cloned().unwrap_or_default();
            wanted.change(group.clone());
            Ok::<_, AdminError>(Some(wanted))
        })
        .await?;
        Ok(self.groups().refresh(self.deps()).await?)
    }

    /// Deletes a resource group.
    ///
    /// # Errors
    ///
    /// If there is none of that name, or a namespace is in it.
    pub async fn delete_resource_group(&self, name: &str) -> Result<(), AdminError> {
        for tenant in self.tenants().await? {
            for found in self.stored_namespaces(&tenant).await? {
                let policies = namespace::policies(self.deps(), &found).await?;
                if policies.is_some_and(|it| it.resource_group_name.as_deref() == Some(name)) {
                    let message = format!("ResourceGroup is in use by namespace {found}");
                    return Err(AdminError::Invalid(message));
                }
            }
        }
        if !record::delete_any(self.deps(), &paths::resource_group(name)).await? {
            return Err(missing());
        }
        Ok(self.groups().refresh(self.deps()).await?)
    }
}

fn missing() -> AdminError {
    AdminError::NotFound("ResourceGroup does not exist".to_owned())
}
