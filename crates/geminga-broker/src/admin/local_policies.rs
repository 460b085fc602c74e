//! What is said of a namespace in this cluster alone: which bookies have its ledgers, and which namespaces
//! it is kept apart from. One broker and its bookie serve everything, so it is kept and comes back.

use geminga_metadata::paths;
use geminga_types::NamespaceName;

use super::LocalPolicies;
use crate::{AdminError, Broker, namespace::record};

impl Broker {
    /// A namespace's local policies; `None`: it has none.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn local_policies(
        &self,
        namespace: &NamespaceName,
    ) -> Result<Option<LocalPolicies>, AdminError> {
        self.namespace_policies(namespace).await?;
        let found = record::read(self.deps(), &paths::local_policies(namespace)).await?;
        Ok(found.map(|(policies, _)| policies))
    }

    /// Changes a namespace's local policies.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn change_local_policies(
        &self,
        namespace: &NamespaceName,
        mut change: impl FnMut(&mut LocalPolicies) + Send,
    ) -> Result<(), AdminError> {
        self.namespace_policies(namespace).await?;
        let path = paths::local_policies(namespace);
        record::change(self.deps(), &path, |found: Option<&LocalPolicies>| {
            let mut wanted = found.cloned().unwrap_or_default();
            change(&mut wanted);
            Ok::<_, AdminError>((found.cloned().unwrap_or_default() != wanted).then_some(wanted))
        })
        .await?;
        Ok(())
    }

    /// Full names of a tenant's namespaces with an anti-affinity group.
    ///
    /// # Errors
    ///
    /// If there is no such tenant.
    pub async fn anti_affinity_namespaces(
        &self,
        tenant: &str,
        group: &str,
    ) -> Result<Vec<String>, AdminError> {
        self.tenant(tenant).await?;
        let mut names = Vec::new();
        for namespace in self.stored_namespaces(tenant).await? {
            let path = paths::local_policies(&namespace);
            let found = record::read::<LocalPolicies>(self.deps(), &path).await?;
            let found = found.and_then(|(policies, _)| policies.anti_affinity_group);
            if found.as_deref() == Some(group) {
                names.push(namespace.to_string());
            }
        }
        Ok(names)
    }
}
