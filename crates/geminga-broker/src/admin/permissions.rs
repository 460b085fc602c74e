//! Who may do what, as it is kept in a namespace's policies. Nothing looks at it while there is no
//! authorization.

use std::collections::{BTreeMap, BTreeSet};

use geminga_types::{NamespaceName, TopicName};

use super::{AuthAction, AuthPolicies};
use crate::{AdminError, Broker};

/// What roles may do.
pub type Permissions = BTreeMap<String, BTreeSet<AuthAction>>;

impl Broker {
    /// Everything that is kept of a namespace's permissions.
    ///
    /// # Errors
    ///
    /// If there is no such namespace.
    pub async fn auth_policies(
        &self,
        namespace: &NamespaceName,
    ) -> Result<AuthPolicies, AdminError> {
        Ok(self.namespace_policies(namespace).await?.auth_policies.unwrap_or_default())
    }

    /// Changes it.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or `change` refuses.
    pub async fn change_auth_policies(
        &self,
        namespace: &NamespaceName,
        mut change: impl FnMut(&mut AuthPolicies) -> Result<(), AdminError> + Send,
    ) -> Result<(), AdminError> {
        self.change_namespace_policies(namespace, |policies| {
            let mut wanted = policies.auth_policies.clone().unwrap_or_default();
            change(&mut wanted)?;
            policies.auth_policies = Some(wanted).filter(|kept| *kept != AuthPolicies::default());
            Ok(())
        })
        .await
    }

    /// What roles may do with a topic, by its namespace or by itself. Partitions are as their topic.
    ///
    /// # Errors
    ///
    /// If its namespace does not exist.
    pub async fn topic_permissions(&self, topic: &TopicName) -> Result<Permissions, AdminError> {
        let found = self.auth_policies(topic.namespace()).await?;
        let mut all = found.namespace_auth;
        let own = found.destination_auth.get(&topic.without_partition().to_string());
        for (role, actions) in own.into_iter().flatten() {
            all.entry(role.clone()).or_default().extend(actions);
        }
        Ok(all)
    }

    /// Permits a role something with a topic.
    ///
    /// # Errors
    ///
    /// If its namespace does not exist.
    pub async fn grant_topic_permission(
        &self,
        topic: &TopicName,
        role: &str,
        actions: &BTreeSet<AuthAction>,
    ) -> Result<(), AdminError> {
        let name = topic.without_partition().to_string();
        self.change_auth_policies(topic.namespace(), |kept| {
            let of_topic = kept.destination_auth.entry(name.clone()).or_default();
            of_topic.insert(role.to_owned(), actions.clone());
            Ok(())
        })
        .await
    }

    /// Takes from a role what it was permitted of a topic.
    ///
    /// # Errors
    ///
    /// If its namespace does not exist, or the topic says nothing of the role.
    pub async fn revoke_topic_permission(
        &self,
        topic: &TopicName,
        role: &str,
    ) -> Result<(), AdminError> {
        let name = topic.without_partition().to_string();
        self.change_auth_policies(topic.namespace(), |kept| {
            let of_topic = kept.destination_auth.get_mut(&name);
            if of_topic.is_none_or(|found| found.remove(role).is_none()) {
                let message = "Permissions are not set at the topic level";
                return Err(AdminError::Invalid(format!("{message}: {name}, role {role}")));
            }
            kept.destination_auth.retain(|_, roles| !roles.is_empty());
            Ok(())
        })
        .await
    }
}
