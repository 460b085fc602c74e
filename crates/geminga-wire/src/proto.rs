//! The protocol's messages, generated from `proto/pulsar.proto`.
//!
//! Enums are `i32` in fields, with a getter that answers the default for a value unknown here.
//! The body of a [`BaseCommand`] is the oneof [`Body`]; every command message converts into both.

use base_command::Type;

pub use base_command::Body;
pub use generated::*;

mod generated {
    #![expect(
        missing_docs,
        clippy::too_many_lines,
        clippy::use_self,
        reason = "generated; documented by the protocol"
    )]

    include!(concat!(env!("OUT_DIR"), "/geminga.pulsar.rs"));
}

/// Ties each body to its type and makes both conversions.
macro_rules! bodies {
    ($($message:ident $body:ident $kind:ident,)*) => {
        impl Body {
            /// The type that announces this body.
            #[must_use]
            pub const fn kind(&self) -> Type {
                match self {
                    $(Self::$body(_) => Type::$kind,)*
                }
            }
        }

        $(
            impl From<$message> for Body {
                fn from(message: $message) -> Self {
                    Self::$body(message)
                }
            }

            impl From<$message> for BaseCommand {
                fn from(message: $message) -> Self {
                    Body::$body(message).into()
                }
            }
        )*
    };
}

impl From<Body> for BaseCommand {
    fn from(body: Body) -> Self {
        Self { r#type: body.kind().into(), body: Some(body) }
    }
}

bodies! {
    CommandConnect Connect Connect,
    CommandConnected Connected Connected,
    CommandSubscribe Subscribe Subscribe,
    CommandProducer Producer Producer,
    CommandSend Send Send,
    CommandSendReceipt SendReceipt SendReceipt,
    CommandSendError SendError SendError,
    CommandMessage Message Message,
    CommandAck Ack Ack,
    CommandFlow Flow Flow,
    CommandUnsubscribe Unsubscribe Unsubscribe,
    CommandSuccess Success Success,
    CommandError Error Error,
    CommandCloseProducer CloseProducer CloseProducer,
    CommandCloseConsumer CloseConsumer CloseConsumer,
    CommandProducerSuccess ProducerSuccess ProducerSuccess,
    CommandPing Ping Ping,
    CommandPong Pong Pong,
    CommandRedeliverUnacknowledgedMessages RedeliverUnacknowledgedMessages RedeliverUnacknowledgedMessages,
    CommandPartitionedTopicMetadata PartitionMetadata PartitionedMetadata,
    CommandPartitionedTopicMetadataResponse PartitionMetadataResponse PartitionedMetadataResponse,
    CommandLookupTopic LookupTopic Lookup,
    CommandLookupTopicResponse LookupTopicResponse LookupResponse,
    CommandConsumerStats ConsumerStats ConsumerStats,
    CommandConsumerStatsResponse ConsumerStatsResponse ConsumerStatsResponse,
    CommandReachedEndOfTopic ReachedEndOfTopic ReachedEndOfTopic,
    CommandSeek Seek Seek,
    CommandGetLastMessageId GetLastMessageId GetLastMessageId,
    CommandGetLastMessageIdResponse GetLastMessageIdResponse GetLastMessageIdResponse,
    CommandActiveConsumerChange ActiveConsumerChange ActiveConsumerChange,
    CommandGetTopicsOfNamespace GetTopicsOfNamespace GetTopicsOfNamespace,
    CommandGetTopicsOfNamespaceResponse GetTopicsOfNamespaceResponse GetTopicsOfNamespaceResponse,
    CommandGetSchema GetSchema GetSchema,
    CommandGetSchemaResponse GetSchemaResponse GetSchemaResponse,
    CommandAuthChallenge AuthChallenge AuthChallenge,
    CommandAuthResponse AuthResponse AuthResponse,
    CommandAckResponse AckResponse AckResponse,
    CommandGetOrCreateSchema GetOrCreateSchema GetOrCreateSchema,
    CommandGetOrCreateSchemaResponse GetOrCreateSchemaResponse GetOrCreateSchemaResponse,
    CommandNewTxn NewTxn NewTxn,
    CommandNewTxnResponse NewTxnResponse NewTxnResponse,
    CommandAddPartitionToTxn AddPartitionToTxn AddPartitionToTxn,
    CommandAddPartitionToTxnResponse AddPartitionToTxnResponse AddPartitionToTxnResponse,
    CommandAddSubscriptionToTxn AddSubscriptionToTxn AddSubscriptionToTxn,
    CommandAddSubscriptionToTxnResponse AddSubscriptionToTxnResponse AddSubscriptionToTxnResponse,
    CommandEndTxn EndTxn EndTxn,
    CommandEndTxnResponse EndTxnResponse EndTxnResponse,
    CommandEndTxnOnPartition EndTxnOnPartition EndTxnOnPartition,
    CommandEndTxnOnPartitionResponse EndTxnOnPartitionResponse EndTxnOnPartitionResponse,
    CommandEndTxnOnSubscription EndTxnOnSubscription EndTxnOnSubscription,
    CommandEndTxnOnSubscriptionResponse EndTxnOnSubscriptionResponse EndTxnOnSubscriptionResponse,
    CommandTcClientConnectRequest TcClientConnectRequest TcClientConnectRequest,
    CommandTcClientConnectResponse TcClientConnectResponse TcClientConnectResponse,
    CommandWatchTopicList WatchTopicList WatchTopicList,
    CommandWatchTopicListSuccess WatchTopicListSuccess WatchTopicListSuccess,
    CommandWatchTopicUpdate WatchTopicUpdate WatchTopicUpdate,
    CommandWatchTopicListClose WatchTopicListClose WatchTopicListClose,
    CommandTopicMigrated TopicMigrated TopicMigrated,
    CommandScalableTopicLookup ScalableTopicLookup ScalableTopicLookup,
    CommandScalableTopicUpdate ScalableTopicUpdate ScalableTopicUpdate,
    CommandScalableTopicClose ScalableTopicClose ScalableTopicClose,
    CommandScalableTopicSubscribe ScalableTopicSubscribe ScalableTopicSubscribe,
    CommandScalableTopicSubscribeResponse ScalableTopicSubscribeResponse ScalableTopicSubscribeResponse,
    CommandScalableTopicAssignmentUpdate ScalableTopicAssignmentUpdate ScalableTopicAssignmentUpdate,
    CommandWatchScalableTopics WatchScalableTopics WatchScalableTopics,
    CommandWatchScalableTopicsUpdate WatchScalableTopicsUpdate WatchScalableTopicsUpdate,
    CommandWatchScalableTopicsClose WatchScalableTopicsClose WatchScalableTopicsClose,
    CommandWatchTcAssignments WatchTcAssignments WatchTcAssignments,
    CommandWatchTcAssignmentsUpdate WatchTcAssignmentsUpdate WatchTcAssignmentsUpdate,
    CommandWatchTcAssignmentsClose WatchTcAssignmentsClose WatchTcAssignmentsClose,
}
