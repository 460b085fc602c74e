//! What the metadata store keeps of clusters, tenants, namespaces and topics, under Pulsar's paths.
//!
//! Everything here is metadata only: no topic is loaded, no ledger touched. A topic exists when its
//! managed ledger has a record, empty until something is stored; a partitioned topic when its
//! partition count has one.
//!
//! # Invariants
//!
//! 1. Every write is a compare-and-set, and a write that may have been made is read back and taken
//!    for done if it was: calling again after `Unavailable` is always right.
//! 2. A partition count only grows. A record marked deleted counts as absent for everyone but who
//!    deletes or re-creates it.
//! 3. A namespace marked deleted counts as absent.

mod defaults;
mod partitions;
pub(crate) mod record;
mod topics;

use geminga_ledger::Deps;
use geminga_metadata::{
    MetadataError, paths,
    values::policies::{Policies, TenantInfo},
};
use geminga_types::{Bundles, NamespaceName};

pub(crate) use defaults::{ensure_defaults, new_policies};
pub(crate) use partitions::{
    change_partitioned_properties, check_growth, create_partitions, finish_delete_partitions,
    grow_partitions, mark_partitions_deleted, partition_count, partition_record,
    unmark_partitions_deleted,
};
pub(crate) use topics::{
    count_topics, create_topic_record, delete_schema, is_system_topic, partitioned_names,
    partitioned_topics, stored_names, stored_topics, topic_exists,
};

use crate::AdminError;

/// The policies of a namespace; `None` when there is no such namespace, or it is being deleted.
pub(crate) async fn policies(
    deps: &Deps,
    namespace: &NamespaceName,
) -> Result<Option<Policies>, MetadataError> {
    let found = record::read::<Policies>(deps, &paths::namespace(namespace)).await?;
    Ok(found.map(|(policies, _)| policies).filter(|policies| !policies.deleted))
}

/// How a namespace is cut.
pub(crate) fn bundles(policies: &Policies) -> Bundles {
    let Some(data) = &policies.bundles else { return Bundles::even(1) };
    Bundles::parse(&data.boundaries).unwrap_or_else(|| Bundles::even(data.num_bundles))
}

/// Whether a tenant exists.
pub(crate) async fn tenant(deps: &Deps, name: &str) -> Result<Option<TenantInfo>, MetadataError> {
    Ok(record::read::<TenantInfo>(deps, &paths::tenant(name)).await?.map(|(tenant, _)| tenant))
}

/// Fails unless the namespace exists.
pub(crate) async fn require(deps: &Deps, namespace: &NamespaceName) -> Result<(), AdminError> {
    match policies(deps, namespace).await? {
        Some(_) => Ok(()),
        None => Err(AdminError::NotFound(format!("Namespace {namespace} does not exist"))),
    }
}

impl From<MetadataError> for AdminError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::Conflict { .. } => Self::Conflict(error.to_string()),
            MetadataError::NotFound { .. } => Self::NotFound(error.to_string()),
            MetadataError::Invalid { .. } => Self::Invalid(error.to_string()),
            MetadataError::Unavailable(_) | MetadataError::Corrupt(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests;
