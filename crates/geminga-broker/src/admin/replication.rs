//! Which clusters a namespace and its topics are in, and may be. Nothing is replicated yet: it is kept, and
//! checked as Pulsar does.

use std::collections::BTreeSet;

use geminga_types::NamespaceName;

use super::{
    Policies,
    tenants::{self, GLOBAL},
};
use crate::{AdminError, Broker, namespace};

impl Broker {
    /// Fails unless a namespace, or a topic of it, can be in these clusters.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or one of them is none, not one of the tenant's, not one that the
    /// namespace allows, or the peer of another.
    pub async fn check_replication_clusters(
        &self,
        namespace: &NamespaceName,
        clusters: &[String],
    ) -> Result<(), AdminError> {
        let policies = self.namespace_policies(namespace).await?;
        if clusters.is_empty() {
            let message = "ClusterIds should not be null or empty";
            return Err(AdminError::Invalid(message.to_owned()));
        }
        refuse_global(clusters, "replication")?;
        self.check_clusters(namespace, clusters).await?;
        let allowed = &policies.allowed_clusters;
        let is_forbidden = |cluster: &&String| !allowed.is_empty() && !allowed.contains(*cluster);
        if let Some(cluster) = clusters.iter().find(is_forbidden) {
            return Err(AdminError::Forbidden(format!(
                "Cluster [{cluster}] is not in the list of allowed clusters list for namespace [{namespace}]"
            )));
        }
        self.refuse_peers(clusters, "replication").await
    }

    /// Sets which clusters a namespace may be in; those that it is in must be among them.
    ///
    /// # Errors
    ///
    /// If there is no such namespace, or one of them is none, not one of the tenant's, or the peer of
    /// another, or one that it is in is missing.
    pub async fn set_allowed_clusters(
        &self,
        namespace: &NamespaceName,
        clusters: Vec<String>,
    ) -> Result<(), AdminError> {
        self.namespace_policies(namespace).await?;
        refuse_global(&clusters, "allowed")?;
        self.check_clusters(namespace, &clusters).await?;
        self.refuse_peers(&clusters, "allowed").await?;
        let allowed: BTreeSet<String> = clusters.into_iter().collect();
        self.change_namespace_policies(namespace, |policies| {
            let is_missing = |cluster: &&String| !allowed.contains(*cluster);
            if let Some(missing) = policies.replication_clusters.iter().find(is_missing) {
                return Err(AdminError::Malformed(format!(
                    "Allowed clusters do not contain the replication cluster {missing}. Please remove the \
                     replication cluster if the cluster is not allowed for this namespace"
                )));
            }
            policies.allowed_clusters.clone_from(&allowed);
            Ok(())
        })
        .await
    }

    /// Those of a namespace that is being created.
    pub(super) async fn check_allowed_clusters(
        &self,
        namespace: &NamespaceName,
        policies: &Policies,
    ) -> Result<(), AdminError> {
        let allowed = &policies.allowed_clusters;
        let is_missing = |cluster: &String| !allowed.is_empty() && !allowed.contains(cluster);
        if policies.replication_clusters.iter().any(is_missing) {
            return Err(AdminError::Malformed(format!(
                "[{namespace}] All replication clusters should be included in allowed clusters. \
                 Repl clusters: {:?}, allowed clusters: {allowed:?}",
                policies.replication_clusters
            )));
        }
        let allowed: Vec<String> = allowed.iter().cloned().collect();
        self.check_clusters(namespace, &allowed).await
    }

    async fn refuse_peers(&self, clusters: &[String], what: &str) -> Result<(), AdminError> {
        for cluster in clusters {
            let peers = self.cluster(cluster).await?.peer_cluster_names.unwrap_or_default();
            if let Some(peer) = peers.iter().find(|peer| clusters.contains(peer)) {
                return Err(AdminError::Conflict(format!(
                    "{peer} is a peer cluster of {cluster}: they can't be {what} clusters together"
                )));
            }
        }
        Ok(())
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

fn refuse_global(clusters: &[String], what: &str) -> Result<(), AdminError> {
    if clusters.iter().any(|cluster| cluster == GLOBAL) {
        let message = format!("Cannot specify global in the list of {what} clusters");
        return Err(AdminError::Invalid(message));
    }
    Ok(())
}
