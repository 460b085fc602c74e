//! JSON of the admin REST API, shared by server and command line.
//!
//! Field names and their presence are Pulsar's (`org.apache.pulsar.common.policies.data` and its
//! neighbours): a key whose value is null is left out, but for [`LookupData`], whose readers insist
//! on every key. Readers ignore keys they do not know.

mod backlog;
mod backup;
mod broker;
mod cluster;
mod explain;
mod internal;
mod internal_info;
mod lookup;
mod message_id;
mod reset_cursor;
mod schema;
mod subscription;
mod timestamp;
mod topic;

pub use backlog::{
    AnalyzeSubscriptionBacklogResult, CursorDetails, LedgerDetails, PersistentOfflineTopicStats,
};
pub use backup::{BackupRequest, BackupStatus};
pub use broker::{
    InternalConfiguration, LoadReport, MonitoringMetrics, NamespaceOwnershipStatus, ResourceUsage,
};
pub use cluster::{
    BookiesClusterInfo, BrokerInfo, BrokerIsolation, BundlesData, ClusterData, ClusterPolicies,
    RawBookieInfo, Reason, TenantInfo, TopicPermission,
};
pub use explain::{
    ConsumerExplanation, DeadLettersExplanation, DrainingExplanation, SubscriptionExplanation,
};
pub use internal::{
    CursorStats, LedgerInfo, LongRunningProcessStatus, PartitionedTopicInternalStats,
    PersistentTopicInternalStats,
};
pub use internal_info::{
    CursorInfo, ManagedLedgerInfo, ManagedLedgerInfoLedger, PartitionedManagedLedgerInfo,
    PositionInfo,
};
pub use lookup::LookupData;
pub use message_id::MessageId;
pub use reset_cursor::ResetCursorData;
pub use schema::{
    FoundSchemaVersion, GetSchemaResponse, PostSchemaPayload, PostSchemaResponse,
    SchemaCompatibility, SchemaMetadata, SchemaMetadataEntry, SchemaType, SchemaVersionLong,
    UnknownSchemaType,
};
pub use subscription::{ConsumerStats, PublisherStats, SubscriptionStats};
pub use timestamp::iso_8601;
pub use topic::{CompactionStats, PartitionedTopicMetadata, PartitionedTopicStats, TopicStats};

#[cfg(test)]
mod tests;
