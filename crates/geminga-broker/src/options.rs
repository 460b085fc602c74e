//! What the operator decides, as the broker needs it. The binary builds it from the configuration.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use geminga_subscription::AutoSplit;

use crate::{
    DispatchRate, InactiveMode, PublishRate, QuotaAction, SchemaOptions, SubscriptionKinds,
};

/// How clients reach this broker.
#[derive(Clone, Debug, Default)]
pub struct Advertised {
    /// `pulsar://host:port`.
    pub broker_url: String,
    /// `pulsar+ssl://host:port`, if TLS is served.
    pub broker_url_tls: Option<String>,
    /// `http://host:port`.
    pub http_url: String,
    /// `https://host:port`, if TLS is served.
    pub http_url_tls: Option<String>,
    /// `advertisedListeners`, by name.
    pub listeners: BTreeMap<String, Listener>,
}

/// One of `advertisedListeners`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listener {
    /// `pulsar://host:port`.
    pub url: Option<String>,
    /// `pulsar+ssl://host:port`.
    pub url_tls: Option<String>,
}

/// Limits, by Pulsar's names.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `maxMessageSize`, bytes.
    pub message_bytes_max: usize,
    /// `maxConcurrentTopicLoadRequest`.
    pub concurrent_topic_loads_max: usize,
    /// `maxConcurrentLookupRequest`.
    pub concurrent_lookups_max: usize,
    /// `topicLoadTimeoutSeconds`.
    pub topic_load_timeout: Duration,
    /// `maxMessagePublishBufferSizeInMB`, in bytes: publishes in flight over all connections.
    pub publish_buffer_bytes: usize,
    /// Bytes that reads for dispatch may hold over all topics.
    pub read_buffer_bytes: usize,
    /// Bytes that wait to be sent over all connections; beyond, each is sent a little at a time.
    pub delivery_buffer_bytes: usize,
    /// Bytes for acks over all subscriptions; beyond, those that hold a good part of it read nothing
    /// new.
    pub ack_state_bytes: usize,
    /// Bytes for messages that wait for their time; the same.
    pub timer_bytes: usize,
    /// `maxConsumersPerTopic`; 0 is no limit.
    pub consumers_per_topic_max: u64,
    /// `maxConsumersPerSubscription`; 0 is no limit.
    pub consumers_per_subscription_max: u64,
    /// `maxSubscriptionsPerTopic`; 0 is no limit.
    pub subscriptions_per_topic_max: u64,
    /// `subscriptionTypesEnabled`.
    pub subscription_kinds: SubscriptionKinds,
    /// `subscribeThrottlingRatePerConsumer` and `subscribeRatePeriodPerConsumerInSecond`; `None` is no
    /// limit.
    pub subscribe_rate: Option<SubscribeRate>,
    /// `maxUnackedMessagesPerConsumer`; 0 is no limit.
    pub unacked_per_consumer_max: usize,
    /// `maxUnackedMessagesPerSubscription`; 0 is no limit.
    pub unacked_per_subscription_max: usize,
    /// `maxUnackedMessagesPerBroker`; 0 is no limit.
    pub unacked_per_broker_max: u64,
    /// How many of those a subscription may have while there are too many
    /// (`maxUnackedMessagesPerSubscriptionOnBrokerBlocked`, as messages).
    pub unacked_per_subscription_when_blocked_max: u64,
    /// `keySharedLookAheadMsgInReplayThresholdPerConsumer`, entries.
    pub look_ahead_per_consumer_max: usize,
    /// `keySharedLookAheadMsgInReplayThresholdPerSubscription`, entries.
    pub look_ahead_per_subscription_max: usize,
    /// `dispatcherMaxReadBatchSize`, entries.
    pub read_entries_max: usize,
    /// `dispatcherMaxReadSizeBytes`.
    pub read_bytes_max: usize,
    /// `dispatcherMaxRoundRobinBatchSize`, entries.
    pub round_robin_entries_max: usize,
}

/// How often a consumer may come to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscribeRate {
    /// How often in a period, at least 1.
    pub times: u64,
    /// The period.
    pub period: Duration,
}

/// How fast messages go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchRates {
    /// Of all topics together (`dispatchThrottlingRateInMsg`, `dispatchThrottlingRateInByte`).
    pub broker: DispatchRate,
    /// Of a topic (`dispatchThrottlingRatePerTopicInMsg`, …).
    pub topic: DispatchRate,
    /// Of a subscription (`dispatchThrottlingRatePerSubscriptionInMsg`, …).
    pub subscription: DispatchRate,
    /// Whether a batch counts as one message (`dispatchThrottlingOnBatchMessageEnabled`).
    pub counts_entries: bool,
}

impl DispatchRates {
    /// No limits.
    pub const UNLIMITED: Self = Self {
        broker: DispatchRate::UNLIMITED,
        topic: DispatchRate::UNLIMITED,
        subscription: DispatchRate::UNLIMITED,
        counts_entries: false,
    };
}

/// Told of the beginning (`true`) and end of each phase of a topic's work, such as a ledger rollover.
/// For crash tests; must not block.
#[derive(Clone)]
pub struct PhaseHook(pub Arc<dyn Fn(&'static str, bool) + Send + Sync>);

impl Options {
    /// Tells the hook, if there is one.
    pub(crate) fn trace(&self, phase: &'static str, begins: bool) {
        if let Some(hook) = &self.phases {
            (hook.0)(phase, begins);
        }
    }
}

impl fmt::Debug for PhaseHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhaseHook")
    }
}

/// Memory that another part of the process holds, for metrics.
#[derive(Clone)]
pub struct MemoryPart {
    /// Its name.
    pub name: &'static str,
    /// How many bytes it may hold.
    pub budget_bytes: u64,
    /// How many it holds.
    pub used_bytes: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for MemoryPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPart").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Topic compaction, by Pulsar's names.
#[derive(Clone, Debug)]
pub struct CompactionOptions {
    /// `topicCompactionRetainNullKey`: whether messages without a key are kept.
    pub keeps_null_keys: bool,
    /// `brokerServiceCompactionThresholdInBytes`: a topic with more that is not compacted is compacted;
    /// `None`: by request alone.
    pub threshold_bytes: Option<u64>,
    /// `brokerServiceCompactionMonitorIntervalInSeconds`: how often that is looked at.
    pub monitor_interval: Duration,
    /// Bytes for the keys of topics that are being compacted; a topic with more is not compacted.
    pub key_bytes: usize,
}

impl Default for CompactionOptions {
    fn default() -> Self {
        Self {
            keeps_null_keys: false,
            threshold_bytes: None,
            monitor_interval: Duration::from_secs(60),
            key_bytes: 256 << 20,
        }
    }
}

/// Delayed delivery, by Pulsar's names.
#[derive(Clone, Debug)]
pub struct DelayedDeliveryOptions {
    /// `delayedDeliveryEnabled`.
    pub is_enabled: bool,
    /// `delayedDeliveryMaxDelayInMillis`: how long a message may be delayed, where it is honoured.
    pub delay_ms_max: u64,
    /// `delayedDeliveryMinIndexCountPerBucket`: delayed messages listed in memory before they get a
    /// ledger.
    pub bucket_entries_min: usize,
    /// `delayedDeliveryMaxNumBuckets`: how many such ledgers a topic has before some are merged.
    pub buckets_max: usize,
    /// Delayed messages that a subscription holds in memory.
    pub held_entries_max: usize,
}

impl Default for DelayedDeliveryOptions {
    fn default() -> Self {
        Self {
            is_enabled: true,
            delay_ms_max: u64::MAX,
            bucket_entries_min: 50_000,
            buckets_max: 50,
            held_entries_max: 100_000,
        }
    }
}

/// Deduplication, by Pulsar's names.
#[derive(Clone, Debug)]
pub struct DeduplicationOptions {
    /// `brokerDeduplicationEnabled`: whether topics do it whose namespaces say nothing.
    pub is_enabled: bool,
    /// `brokerDeduplicationEntriesInterval`: entries after which what is known is stored; a load goes
    /// through as many.
    pub snapshot_entries: u64,
    /// `brokerDeduplicationSnapshotIntervalSeconds`: when it is stored if there are fewer; `None`: then
    /// never.
    pub snapshot_interval: Option<Duration>,
    /// Bytes of entries after which it is stored, however few entries they are. While storing fails, eight
    /// times as much is taken at most.
    pub unstored_bytes: u64,
    /// `brokerDeduplicationMaxNumberOfProducers`: names that a topic remembers.
    pub producers_max: usize,
    /// `brokerDeduplicationProducerInactivityTimeoutMinutes`: how long it remembers those that no
    /// producer has.
    pub producer_inactivity: Duration,
}

impl Default for DeduplicationOptions {
    fn default() -> Self {
        Self {
            is_enabled: false,
            snapshot_entries: 1_000,
            snapshot_interval: Some(Duration::from_secs(120)),
            unstored_bytes: 32 << 20,
            producers_max: 10_000,
            producer_inactivity: Duration::from_secs(360 * 60),
        }
    }
}

/// What is noted of each entry of a persistent topic when it is stored
/// (`brokerEntryMetadataInterceptors`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerMetadataOptions {
    /// When it was taken (`AppendBrokerTimestampMetadataInterceptor`).
    pub timestamp: bool,
    /// The index of its last message in the topic (`AppendIndexMetadataInterceptor`).
    pub index: bool,
}

/// What is asked of producers, by Pulsar's names.
#[derive(Clone, Debug, Default)]
pub struct PublishingOptions {
    /// How fast messages come in, for all topics together (`brokerPublisherThrottlingMaxMessageRate`,
    /// `brokerPublisherThrottlingMaxByteRate`).
    pub broker_rate: PublishRate,
    /// The same for each topic whose namespace says nothing (`maxPublishRatePerTopicInMessages`,
    /// `maxPublishRatePerTopicInBytes`).
    pub topic_rate: PublishRate,
    /// `maxProducersPerTopic`; 0 is no limit.
    pub producers_per_topic_max: u64,
    /// `maxSameAddressProducersPerTopic`; 0 is no limit.
    pub producers_per_address_max: u64,
    /// `encryptionRequireOnProducer`.
    pub requires_encryption: bool,
}

/// Which kinds of topics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domains {
    /// `enablePersistentTopics`.
    pub persistent: bool,
    /// `enableNonPersistentTopics`.
    pub nonpersistent: bool,
}

impl Domains {
    /// Both.
    pub const ALL: Self = Self { persistent: true, nonpersistent: true };
}

/// Which topics there may be, by Pulsar's names.
#[derive(Clone, Debug, Default)]
pub struct TopicOptions {
    /// `maxNumPartitionsPerPartitionedTopic`; 0 is no limit but [`PARTITIONS_MAX`].
    pub partitions_max: u32,
    /// `maxTopicsPerNamespace`, for namespaces that say nothing; 0 is no limit.
    pub per_namespace_max: u64,
    /// `brokerDeleteInactivePartitionedTopicMetadataEnabled`: whether a partitioned topic goes with the
    /// last of its partitions that goes for being inactive.
    pub deletes_inactive_partitioned: bool,
}

/// How many tenants and namespaces there may be, by Pulsar's names; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantOptions {
    /// `maxTenants`.
    pub tenants_max: u64,
    /// `maxNamespacesPerTenant`.
    pub namespaces_max: u64,
}

impl TopicOptions {
    /// Partitions of a topic, at most.
    #[must_use]
    pub const fn partitions_max(&self) -> u32 {
        match self.partitions_max {
            max if 0 < max && max < PARTITIONS_MAX => max,
            _ => PARTITIONS_MAX,
        }
    }
}

/// Partitions of a topic, where nothing less is configured: a count beyond it is a mistake, and each
/// partition costs metadata.
pub const PARTITIONS_MAX: u32 = 10_000;

/// Everything a broker is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// `clusterName`.
    pub cluster: String,
    /// How clients reach this broker.
    pub advertised: Advertised,
    /// Limits.
    pub limits: Limits,
    /// Which topics are served.
    pub domains: Domains,
    /// `topicLevelPoliciesEnabled`: whether topics have policies of their own.
    pub topic_level_policies: bool,
    /// `allowAutoTopicCreation`.
    pub auto_topic_creation: bool,
    /// `defaultNumPartitions` when `allowAutoTopicCreationType` is `partitioned`, else `None`.
    pub auto_partitions: Option<u32>,
    /// `allowAutoSubscriptionCreation`.
    pub auto_subscription_creation: bool,
    /// Which topics there may be.
    pub topics: TopicOptions,
    /// How many tenants and namespaces there may be.
    pub tenants: TenantOptions,
    /// How fast messages go out.
    pub dispatch: DispatchRates,
    /// What is asked of producers.
    pub publishing: PublishingOptions,
    /// `activeConsumerFailoverDelayTimeMillis`.
    pub failover_delay: Duration,
    /// `activeConsumerFailoverConsistentHashing`.
    pub failover_by_ring: bool,
    /// `subscriptionKeySharedUseConsistentHashing`,
    /// `subscriptionKeySharedConsistentHashingReplicaPoints`.
    pub auto_split: AutoSplit,
    /// Schemas.
    pub schema: SchemaOptions,
    /// `defaultNumberOfNamespaceBundles`.
    pub bundles_default: u32,
    /// Longest time an ack without receipt waits for its group commit.
    pub ack_flush_interval: Duration,
    /// How often closed ledgers are looked over for trimming.
    pub trim_interval: Duration,
    /// `ttlDurationDefaultInSeconds`: how long an unacked message lives; `None`: for ever.
    pub message_ttl: Option<Duration>,
    /// `subscriptionExpirationTimeMinutes`: how long a durable subscription stays without consumers;
    /// `None`: for ever.
    pub subscription_expiry: Option<Duration>,
    /// `backlogQuotaDefaultLimitBytes` and `backlogQuotaDefaultRetentionPolicy`.
    pub backlog_bytes: Option<(u64, QuotaAction)>,
    /// `backlogQuotaDefaultLimitSecond` and `backlogQuotaDefaultRetentionPolicy`.
    pub backlog_age: Option<(Duration, QuotaAction)>,
    /// When a topic that is not used is deleted (`brokerDeleteInactiveTopicsEnabled`, `…Mode`,
    /// `…MaxInactiveDurationSeconds`); `None`: never.
    pub inactivity: Option<(InactiveMode, Duration)>,
    /// How often such topics are looked for (`brokerDeleteInactiveTopicsFrequencySeconds`).
    pub inactive_topics_interval: Duration,
    /// A topic that nobody uses is unloaded after this long; `None`: never.
    pub unload_idle_after: Option<Duration>,
    /// Memory beside the broker's own.
    pub memory_parts: Vec<MemoryPart>,
    /// Told of phases, for crash tests.
    pub phases: Option<PhaseHook>,
    /// Topic compaction.
    pub compaction: CompactionOptions,
    /// Delayed delivery.
    pub delayed: DelayedDeliveryOptions,
    /// What is noted of each entry.
    pub broker_metadata: BrokerMetadataOptions,
    /// Whether resource groups lend what they do not use.
    pub resource_groups_lend: bool,
    /// Deduplication.
    pub deduplication: DeduplicationOptions,
    /// All keys of the configuration, with their values as text, to be shown.
    pub configuration: BTreeMap<String, String>,
    /// How ledgers are written, rolled and kept.
    pub managed_ledger: geminga_managed_ledger::Options,
}
