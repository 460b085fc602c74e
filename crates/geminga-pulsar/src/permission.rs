//! Which permission each command needs: one table that the compiler makes complete.
//!
//! Nothing enforces it while authorization is off; a command that only servers send is refused by
//! it already.

use geminga_wire::proto::base_command::Type;

/// What a role must be allowed to, for a command to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing: part of the connection itself.
    Connection,
    /// To look up the topic that the command names (or to produce to or consume from it).
    Lookup,
    /// To produce to the topic that the command names.
    Produce,
    /// To consume from the topic, with the subscription, that the command names.
    Consume,
    /// Checked when the producer was opened that the command names.
    OwnProducer,
    /// Checked when the consumer was opened that the command names.
    OwnConsumer,
    /// To list the topics of the namespace that the command names.
    ListTopics,
    /// To own the transaction that the command names, or to begin one.
    Transaction,
    /// To act between brokers, for a transaction.
    Broker,
    /// Never: only servers send it.
    ServerOnly,
}

/// The permission that `command` needs.
#[must_use]
pub const fn required_permission(command: Type) -> Permission {
    match command {
        Type::Connect | Type::AuthResponse | Type::Ping | Type::Pong => Permission::Connection,
        Type::Lookup
        | Type::PartitionedMetadata
        | Type::GetSchema
        | Type::ScalableTopicLookup
        | Type::ScalableTopicClose => Permission::Lookup,
        Type::Producer | Type::GetOrCreateSchema => Permission::Produce,
        Type::Subscribe | Type::ScalableTopicSubscribe => Permission::Consume,
        Type::Send | Type::CloseProducer => Permission::OwnProducer,
        Type::Ack
        | Type::Flow
        | Type::Unsubscribe
        | Type::CloseConsumer
        | Type::RedeliverUnacknowledgedMessages
        | Type::ConsumerStats
        | Type::Seek
        | Type::GetLastMessageId => Permission::OwnConsumer,
        Type::GetTopicsOfNamespace
        | Type::WatchTopicList
        | Type::WatchTopicListClose
        | Type::WatchScalableTopics
        | Type::WatchScalableTopicsClose => Permission::ListTopics,
        Type::NewTxn
        | Type::AddPartitionToTxn
        | Type::AddSubscriptionToTxn
        | Type::EndTxn
        | Type::TcClientConnectRequest
        | Type::WatchTcAssignments
        | Type::WatchTcAssignmentsClose => Permission::Transaction,
        Type::EndTxnOnPartition | Type::EndTxnOnSubscription => Permission::Broker,
        Type::Connected
        | Type::SendReceipt
        | Type::SendError
        | Type::Message
        | Type::Success
        | Type::Error
        | Type::ProducerSuccess
        | Type::PartitionedMetadataResponse
        | Type::LookupResponse
        | Type::ConsumerStatsResponse
        | Type::ReachedEndOfTopic
        | Type::GetLastMessageIdResponse
        | Type::ActiveConsumerChange
        | Type::GetTopicsOfNamespaceResponse
        | Type::GetSchemaResponse
        | Type::AuthChallenge
        | Type::AckResponse
        | Type::GetOrCreateSchemaResponse
        | Type::NewTxnResponse
        | Type::AddPartitionToTxnResponse
        | Type::AddSubscriptionToTxnResponse
        | Type::EndTxnResponse
        | Type::EndTxnOnPartitionResponse
        | Type::EndTxnOnSubscriptionResponse
        | Type::TcClientConnectResponse
        | Type::WatchTopicListSuccess
        | Type::WatchTopicUpdate
        | Type::TopicMigrated
        | Type::ScalableTopicUpdate
        | Type::ScalableTopicSubscribeResponse
        | Type::ScalableTopicAssignmentUpdate
        | Type::WatchScalableTopicsUpdate
        | Type::WatchTcAssignmentsUpdate => Permission::ServerOnly,
    }
}
