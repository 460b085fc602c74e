//! What administrators ask of a broker: clusters, tenants, namespaces, topics, subscriptions, stats.
//!
//! Methods of [`Broker`](crate::Broker), one file for each noun. Names are Pulsar's; formats of the
//! records are Pulsar's JSON, so they are re-exported for front doors.
//!
//! # Invariants
//!
//! 1. What a method answered `Ok` is durable.
//! 2. Calling again after [`AdminError::Unavailable`] is always right: a half-done operation is
//!    taken up where it stopped.
//! 3. Nothing in use is deleted unless `force`.

mod backlogs;
mod bundles;
mod clusters;
mod cursors;
mod deletions;
mod local_policies;
mod messages;
mod namespaces;
mod partitioned;
mod permissions;
mod placement;
mod properties;
mod replication;
mod resource_groups;
mod subscriptions;
mod survey;
mod tenants;
mod topic_policies;
mod topics;

pub(crate) use deletions::Deletions;

pub use geminga_metadata::values::placement::{
    AutoFailoverPolicy, BookieRack, BookieRacks, FailureDomain, IsolationPolicies, IsolationPolicy,
    ResourceQuota,
};
pub use geminga_metadata::values::policies::{
    AuthAction, AuthPolicies, AutoSubscriptionCreationOverride, AutoTopicCreationOverride,
    BacklogQuota, BookieAffinityGroup, BundlesData, ClusterData, DelayedDeliveryPolicies,
    DispatchRate, EntryFilters, InactiveTopicPolicies, LocalPolicies, PartitionedTopicMetadata,
    PersistencePolicies, Policies, PublishRate, RetentionPolicies, SubscribeRate, TenantInfo,
};
pub use geminga_metadata::values::resource_group::ResourceGroup;
pub use geminga_metadata::values::topic_policies::{SubscriptionPolicies, TopicPolicies};

pub use bundles::BundleSplit;
pub use cursors::ResetPosition;
pub use messages::CountFrom;
pub use permissions::Permissions;
pub use placement::check_isolation_policy;
pub use subscriptions::CursorStart;
pub use survey::Survey;

pub use crate::stats::{
    BacklogCount, CompactionStats, CompactionStatus, ConsumerEntry, LedgerStats, PublisherStats,
    SubscriptionStats, TopicStats,
};
use crate::{AdminError, TopicError};

impl From<TopicError> for AdminError {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::InvalidName(_) => Self::Invalid(error.to_string()),
            TopicError::NotFound(_) | TopicError::NamespaceNotFound(_) => {
                Self::NotFound(error.to_string())
            }
            TopicError::NotServed { .. } => Self::NotAllowed(error.to_string()),
            TopicError::TooManyTopics { .. } => Self::Invalid(error.to_string()),
            TopicError::Unreadable { .. } => Self::Unreadable(error.to_string()),
            TopicError::NotOwned(_)
            | TopicError::Unavailable { .. }
            | TopicError::TooManyRequests { .. }
            | TopicError::Corrupt { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

/// What is not there has nothing to be done.
fn unless_gone(done: Result<(), AdminError>) -> Result<(), AdminError> {
    match done {
        Err(AdminError::NotFound(_)) => Ok(()),
        done => done,
    }
}
