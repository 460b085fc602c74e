//! What a first start writes: the cluster, two tenants, two namespaces.

use geminga_ledger::Deps;
use geminga_metadata::{
    MetadataError, paths,
    values::policies::{BundlesData, ClusterData, Policies, TenantInfo},
};
use geminga_types::NamespaceName;

use super::record;
use crate::Advertised;

const NAMESPACES: [(&str, &str); 2] = [("public", "default"), ("pulsar", "system")];

/// Writes the cluster, tenants and namespaces that every installation has; leaves alone what is
/// there, but for the cluster's URLs, which follow what is advertised now.
pub(crate) async fn ensure_defaults(
    deps: &Deps,
    cluster: &str,
    advertised: &Advertised,
    bundles: u32,
) -> Result<(), MetadataError> {
    let data = cluster_data(advertised);
    record::change::<ClusterData, MetadataError>(deps, &paths::cluster(cluster), |found| {
        Ok(match found {
            None => Some(data.clone()),
            Some(found) => {
                let merged = with_urls(found.clone(), &data);
                (merged != *found).then_some(merged)
            }
        })
    })
    .await?;
    for (tenant, local) in NAMESPACES {
        let info =
            TenantInfo { allowed_clusters: vec![cluster.to_owned()], ..TenantInfo::default() };
        record::create(deps, &paths::tenant(tenant), &info).await?;
        let namespace = NamespaceName::new(tenant, local).expect("these are valid names");
        record::create(deps, &paths::namespace(&namespace), &new_policies(cluster, bundles))
            .await?;
    }
    Ok(())
}

/// Policies of a new namespace, cut evenly.
pub(crate) fn new_policies(cluster: &str, bundles: u32) -> Policies {
    Policies {
        replication_clusters: vec![cluster.to_owned()],
        bundles: Some(BundlesData::even(bundles)),
        ..Policies::default()
    }
}

fn cluster_data(advertised: &Advertised) -> ClusterData {
    ClusterData {
        service_url: Some(advertised.http_url.clone()),
        service_url_tls: advertised.http_url_tls.clone(),
        broker_service_url: Some(advertised.broker_url.clone()),
        broker_service_url_tls: advertised.broker_url_tls.clone(),
        ..ClusterData::default()
    }
}

fn with_urls(found: ClusterData, ours: &ClusterData) -> ClusterData {
    ClusterData {
        service_url: ours.service_url.clone(),
        service_url_tls: ours.service_url_tls.clone(),
        broker_service_url: ours.broker_service_url.clone(),
        broker_service_url_tls: ours.broker_service_url_tls.clone(),
        ..found
    }
}
