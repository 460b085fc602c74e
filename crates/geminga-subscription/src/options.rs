//! The limits of one subscription.

use crate::DeadLetterOptions;

/// How the slots of a `Key_Shared` subscription are divided among consumers that do not name any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoSplit {
    /// By consistent hashing: each consumer has so many points on a ring
    /// (`subscriptionKeySharedConsistentHashingReplicaPoints`), at least 1.
    Ring(u32),
    /// Each consumer has one range; who comes gets half of the largest, and what was the range of one
    /// that goes falls to a neighbour (`subscriptionKeySharedUseConsistentHashing=false`).
    Halves,
}

/// Limits of a subscription; the defaults are those of Pulsar 5.0's `broker.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Index of the partition that the topic is, which spreads the active consumers of Failover
    /// subscriptions; `None` when the topic is not a partition.
    pub partition: Option<u32>,
    /// Where the topic is on a ring of the consumers' names, if that decides which consumer of a Failover
    /// subscription is active (`activeConsumerFailoverConsistentHashing`).
    pub failover_slot: Option<u32>,
    /// How long a Failover consumer that is active no longer may still ack what it has before the next
    /// one gets it, in milliseconds (`activeConsumerFailoverDelayTimeMillis`); 0 is not at all.
    pub hand_over_ms: u64,
    /// How keys are divided on `Key_Shared`.
    pub auto_split: AutoSplit,
    /// Most entries asked for in one read (`dispatcherMaxReadBatchSize`), at least 1.
    pub read_entries_max: usize,
    /// Most bytes asked for in one read (`dispatcherMaxReadSizeBytes`).
    pub read_bytes_max: usize,
    /// Most entries for one consumer before the next one's turn
    /// (`dispatcherMaxRoundRobinBatchSize`), at least 1. Shared only.
    pub round_robin_entries_max: usize,
    /// Unacked messages at which a consumer gets no more, until half are acked; 0 is no limit
    /// (`maxUnackedMessagesPerConsumer`). Shared and `Key_Shared` only.
    pub consumer_unacked_messages_max: u64,
    /// Unacked messages at which nobody gets more, until half are acked; 0 is no limit
    /// (`maxUnackedMessagesPerSubscription`). Shared and `Key_Shared` only.
    pub unacked_messages_max: u64,
    /// The same while there are too many unacked messages over all subscriptions (of
    /// `maxUnackedMessagesPerBroker` the part `maxUnackedMessagesPerSubscriptionOnBrokerBlocked`).
    pub scarce_unacked_messages_max: u64,
    /// How long an entry lives, in milliseconds: older ones count as acked; `None`: for ever.
    pub ttl_ms: Option<u64>,
    /// Whether the times of entries count (`delayedDeliveryEnabled`).
    pub honours_delays: bool,
    /// Most entries remembered as delayed; of more, those that the topic's index has are parked, and
    /// without an index nothing new is read until one is due. At least 1.
    pub delayed_entries_max: usize,
    /// How long before it is due a parked entry is loaded at the latest, in milliseconds.
    pub delayed_load_ahead_ms: u64,
    /// Most entries known but held back by their key on `Key_Shared` before nothing new is read, for
    /// each consumer (`keySharedLookAheadMsgInReplayThresholdPerConsumer`); 0 is no such limit.
    pub look_ahead_entries_max_per_consumer: usize,
    /// The same for all consumers together
    /// (`keySharedLookAheadMsgInReplayThresholdPerSubscription`); 0 is no such limit.
    pub look_ahead_entries_max: usize,
    /// What becomes of entries that are asked for again and again. Such a subscription is Shared or
    /// `Key_Shared`.
    pub dead_letters: Option<DeadLetterOptions>,
    /// While memory of a kind is scarce, a subscription that holds at least so many bytes of it reads
    /// nothing that would add to it.
    pub scarce_bytes: usize,
    /// When it looks again whether memory still is scarce, in milliseconds.
    pub scarce_retry_ms: u64,
    /// Wait after the first failed read, in milliseconds; doubled by each further failure.
    pub retry_ms_min: u64,
    /// Longest wait after a failed read, in milliseconds.
    pub retry_ms_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partition: None,
            failover_slot: None,
            hand_over_ms: 1_000,
            auto_split: AutoSplit::Ring(100),
            read_entries_max: 100,
            read_bytes_max: 5 * 1024 * 1024,
            round_robin_entries_max: 20,
            consumer_unacked_messages_max: 50_000,
            unacked_messages_max: 200_000,
            scarce_unacked_messages_max: 0,
            ttl_ms: None,
            honours_delays: true,
            delayed_entries_max: 100_000,
            delayed_load_ahead_ms: 10_000,
            look_ahead_entries_max_per_consumer: 4_000,
            look_ahead_entries_max: 40_000,
            dead_letters: None,
            scarce_bytes: 16 << 10,
            scarce_retry_ms: 1_000,
            retry_ms_min: 100,
            retry_ms_max: 10_000,
        }
    }
}
