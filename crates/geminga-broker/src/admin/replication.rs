//! Which clusters a namespace is in. Nothing is replicated yet: it is kept, and checked as Pulsar does.

use geminga_types::NamespaceName;

use super::tenants::{self, GLOBAL};
use crate::{AdminError, Broker, namespace};

impl Broker {
    /// Sets which clusters a namespace is in.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or one of them is none, not one of the tenant's, or the peer of
    /// another.
    pub async fn set_replication_clusters(
        &self,
        namespace: &NamespaceName,
        clusters: Vec<String>,
    ) -> Result<(), AdminError> {
        self.namespace_policies(namespace).await?;
        if clusters.is_empty() {
            let message = "ClusterIds should not be null or empty";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        if clusters.iter().any(|cluster| cluster == GLOBAL) {
            let message = "Cannot specify global in the list of replication clusters";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        self.check_clusters(namespace, &clusters).await?;
        for cluster in &clusters {
            let peers = self.cluster(cluster).await?.peer_cluster_names.unwrap_or_default();
            if let Some(peer) = peers.iter().find(|peer| clusters.contains(peer)) {
                return Err(AdminError::Conflict(format!(
                    "{peer} is a peer cluster of {cluster}: they can't be replication clusters together"
                )));
            }
        }
        self.change_namespace_policies(namespace, |policies| {
            policies.replication_clusters.clone_from(&clusters);
            Ok(())
        })
        .await
    }

    /// Fails unless clusters exist and the tenant may use them.
    pub(super) async fn check_clusters(
        &self,
        namespace: &NamespaceName,
        clusters: &[String],
    ) -> Result<(), AdminError> {
        let tenant = namespace.tenant();
        let found = namespace::tenant(self.deps(), tenant).await?;
        let allowed = found.ok_or_else(|| tenants::missing(tenant))?.allowed_clusters;
        let known = self.clusters().await?;
        for cluster in clusters {
            if !known.contains(cluster) {
                return Err(AdminError::Forbidden(format!("Invalid cluster id: {cluster}")));
            }
            if !allowed.contains(cluster) {
                return Err(AdminError::Forbidden(format!(
                    "Cluster [{cluster}] is not in the list of allowed clusters list for tenant [{tenant}]"
                )));
            }
        }
        Ok(())
    }
}
