//! Topics, namespaces, ownership, policies and schemas. Opens no socket or file, knows no client
//! protocol: front doors see this crate's public API only.
//!
//! A topic partition is one task ([`topic`]) that owns everything of it. Doors hold handles
//! ([`Producer`], [`Consumer`]) whose calls are events in its mailbox, and an [`Outbox`] per
//! connection into which topics put what the client is to be sent.

pub mod admin;
mod batch;
mod broker;
mod budget;
mod consumer;
mod creation;
mod dead_letter;
mod dynamic;
mod error;
mod explain;
mod feedback;
mod formats;
mod in_all;
mod load;
mod namespace;
mod neighbours;
mod options;
mod outbox;
mod ownership;
mod policies;
mod producer;
mod publish_gate;
mod publisher;
mod rate;
mod resource_groups;
mod schema;
mod stats;
mod stored_entry;
mod topic;
mod topic_row;
mod topic_watch;
mod unacked;

pub use broker::{Broker, Located, MemoryUse, Parts, StartError, TopicsMode};
pub use budget::{Budget, BudgetPermit};
pub use consumer::{
    AckId, AckKind, AckRequest, Consumer, ConsumerStats, LastMessage, SeekTo, SubscribeRequest,
    SubscriptionKind, SubscriptionKinds,
};
pub use error::{
    AckError, AdminError, LookupError, ProduceError, PublishError, RequestError, SchemaError,
    SubscribeError, TopicError,
};
pub use explain::{
    ConsumerExplanation, DeadLettersExplanation, DrainingExplanation, SubscriptionExplanation,
};
pub use geminga_dedup::{Identity, Sequence, SourcePosition};
pub use geminga_schema::{Strategy as SchemaStrategy, UnknownStrategy as UnknownSchemaStrategy};
pub use geminga_subscription::{AutoSplit, Chunk};
pub use in_all::InAllFigures;
pub use neighbours::Neighbours;
pub use options::{
    Advertised, BrokerMetadataOptions, CompactionOptions, DeduplicationOptions,
    DelayedDeliveryOptions, DispatchRates, Domains, Limits, Listener, MemoryPart, Options,
    PARTITIONS_MAX, PhaseHook, PublishingOptions, SubscribeRate, TenantOptions, TopicOptions,
};
pub use outbox::{ClientKey, OutMessage, Outbox, Outgoing, Receipt};
pub use policies::{InactiveMode, QuotaAction};
pub use producer::{AccessMode, Producer, ProducerRequest, Publish, chunk_of};
pub use publish_gate::PublishRate;
pub use publisher::{Published, PublisherRequest, TopicPublisher};
pub use rate::{DispatchRate, lending::Used as ResourceGroupUsed};
pub use resource_groups::ResourceGroupUse;
pub use schema::{Schema, SchemaFigures, SchemaOptions, SchemaVersion, StoredSchema};
pub use stats::{
    BacklogCount, CompactionStats, CompactionStatus, ConsumerEntry, LedgerStats, PublisherStats,
    SubscriptionStats, TopicStats,
};
pub use stored_entry::{StoredEntry, StoredMessage};
pub use topic_row::{
    Activity, AppendFigures, CompactionFigures, ConsumerRow, LATENCY_LIMITS_US, ProducerRow,
    ReadFigures, RowDetail, SIZE_LIMITS, SubscriptionRow, TopicFigures, TopicRow,
};
pub use topic_watch::{TopicChange, TopicWatch};
