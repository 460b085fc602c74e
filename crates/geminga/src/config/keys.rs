//! The keys: one table, from which the struct, the parser and the reference page are made.

use super::setting::Setting;

/// One key, for the reference page and for suggestions.
#[derive(Debug)]
pub struct Key {
    /// As configuration files write it.
    pub key: &'static str,
    /// What its value should be.
    pub kind: &'static str,
    /// The default, as text.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $key:literal $field:ident: $type:ty = $default:literal;)+) => {
        /// Every setting, typed.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        /// Every key.
        pub const KEYS: &[Key] = &[
            $(Key {
                key: $key,
                kind: <$type as Setting>::KIND,
                default: $default,
                doc: concat!($($doc),+),
            },)+
        ];

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($field: <$type as Setting>::parse($default)
                        .expect("the table's defaults parse: a test reads each"),)+
                }
            }
        }

        impl Config {
            /// Every key with its value, as configuration files write it.
            #[must_use]
            pub fn values(&self) -> std::collections::BTreeMap<String, String> {
                [$(($key.to_owned(), Setting::show(&self.$field)),)+].into()
            }

            /// Sets one key. `None`: no such key; `Err`: what its value should be.
            pub(super) fn set(&mut self, key: &str, value: &str) -> Option<Result<(), &'static str>> {
                match key {
                    $($key => Some(match <$type as Setting>::parse(value) {
                        Some(parsed) => {
                            self.$field = parsed;
                            Ok(())
                        }
                        None => Err(<$type as Setting>::KIND),
                    }),)+
                    _ => None,
                }
            }
        }
    };
}

keys! {
    /// Name of the cluster.
    "clusterName" cluster_name: String = "standalone";
    /// Port of Pulsar's binary protocol; 0 picks a free one and advertises it.
    "brokerServicePort" broker_service_port: u16 = "6650";
    /// Port of the admin REST API, HTTP lookup and metrics; 0 picks a free one.
    "webServicePort" web_service_port: u16 = "8080";
    /// Address to listen on. Pulsar's default is `0.0.0.0`.
    "bindAddress" bind_address: String = "127.0.0.1";
    /// Host that clients are told; empty: `localhost`.
    "advertisedAddress" advertised_address: String = "";
    /// `name:pulsar://host:port,…`: other URLs, by listener name.
    "advertisedListeners" advertised_listeners: String = "";
    /// Largest message in bytes. A topic's `maxMessageSize` may be lower.
    "maxMessageSize" max_message_size: u64 = "5242880";
    /// Seconds without a byte after which a client gets a PING, and then is disconnected; 0: never.
    "keepAliveIntervalSeconds" keep_alive_interval_seconds: u64 = "30";
    /// Connections, all together; 0 is no limit.
    "brokerMaxConnections" broker_max_connections: u64 = "0";
    /// Connections from one address; 0 is no limit.
    "brokerMaxConnectionsPerIp" broker_max_connections_per_ip: u64 = "0";
    /// Lookups and partition metadata requests in progress.
    "maxConcurrentLookupRequest" max_concurrent_lookup_request: u64 = "50000";
    /// Topics being loaded at a time; more wait.
    "maxConcurrentTopicLoadRequest" max_concurrent_topic_load_request: u64 = "5000";
    /// Longest time a topic may take to load, seconds.
    "topicLoadTimeoutSeconds" topic_load_timeout_seconds: u64 = "60";
    /// SENDs in flight on one connection; beyond it the connection is not read.
    "maxPendingPublishRequestsPerConnection" max_pending_publish_requests_per_connection: u64 = "1000";
    /// SENDs in flight of one connection to non-persistent topics; what comes beyond is dropped.
    "maxConcurrentNonPersistentMessagePerConnection" max_concurrent_non_persistent_message_per_connection: u64 = "1000";
    /// Bytes of publishes in flight over all connections, MiB; −1 is 256.
    "maxMessagePublishBufferSizeInMB" max_message_publish_buffer_size_in_mb: i64 = "-1";
    /// Seconds after which a topic that nobody uses and that stores nothing is unloaded, until it is used
    /// again; 0 is never.
    "topicIdleUnloadSeconds" topic_idle_unload_seconds: u64 = "60";
    /// What the process should take at most, MiB: publishes, reads, deliveries, caches, acks,
    /// delayed messages and connections get their shares of it, or what their own keys say if that is less; 0 is no limit.
    "memoryLimitMb" memory_limit_mb: u64 = "0";
    /// Newest entries of all topics that are held for their consumers, MiB.
    "managedLedgerCacheSizeMB" managed_ledger_cache_size_mb: u64 = "128";
    /// Pages of the embedded metadata store in memory, MiB. The file may be far larger.
    "embeddedMetadataCacheSizeMb" embedded_metadata_cache_size_mb: u64 = "8";
    /// Whether persistent topics are served.
    "enablePersistentTopics" enable_persistent_topics: bool = "true";
    /// Whether non-persistent topics are served.
    "enableNonPersistentTopics" enable_non_persistent_topics: bool = "true";
    /// Whether topics have policies of their own; if not, stored ones have no effect.
    "topicLevelPoliciesEnabled" topic_level_policies_enabled: bool = "true";
    /// Whether `/metrics` has each topic and subscription; if not, sums by namespace.
    "exposeTopicLevelMetricsInPrometheus" expose_topic_level_metrics_in_prometheus: bool = "true";
    /// Whether it has each consumer too.
    "exposeConsumerLevelMetricsInPrometheus" expose_consumer_level_metrics_in_prometheus: bool = "false";
    /// Whether it has each producer too.
    "exposeProducerLevelMetricsInPrometheus" expose_producer_level_metrics_in_prometheus: bool = "false";
    /// Whether it has managed ledgers, by namespace.
    "exposeManagedLedgerMetricsInPrometheus" expose_managed_ledger_metrics_in_prometheus: bool = "true";
    /// Whether a partition's index is a label of its own there.
    "splitTopicAndPartitionLabelInPrometheus" split_topic_and_partition_label_in_prometheus: bool = "false";
    /// Whether a resource group may take, beyond its rates, what other groups leave of theirs.
    "resourceGroupLendingEnabled" resource_group_lending_enabled: bool = "true";
    /// Whether using a topic that does not exist creates it.
    "allowAutoTopicCreation" allow_auto_topic_creation: bool = "true";
    /// `non-partitioned` or `partitioned`: what is created so.
    "allowAutoTopicCreationType" allow_auto_topic_creation_type: String = "non-partitioned";
    /// Partitions of a partitioned topic that is created so.
    "defaultNumPartitions" default_num_partitions: u64 = "1";
    /// Partitions that a topic may have; 0 is no limit but 10,000.
    "maxNumPartitionsPerPartitionedTopic" max_num_partitions_per_partitioned_topic: u64 = "0";
    /// Topics that a namespace may have, each partition counts; 0 is no limit. A namespace's policy
    /// overrides it.
    "maxTopicsPerNamespace" max_topics_per_namespace: u64 = "0";
    /// Tenants that there may be; 0 is no limit.
    "maxTenants" max_tenants: u64 = "0";
    /// Namespaces that a tenant may have; 0 is no limit.
    "maxNamespacesPerTenant" max_namespaces_per_tenant: u64 = "0";
    /// Whether subscribing creates a subscription that does not exist.
    "allowAutoSubscriptionCreation" allow_auto_subscription_creation: bool = "true";
    /// Which schemas may follow each other on a topic: `FULL`, `BACKWARD`, `FORWARD`, the three as
    /// `…_TRANSITIVE`, `ALWAYS_COMPATIBLE` or `ALWAYS_INCOMPATIBLE`. A namespace's policy overrides it.
    "schemaCompatibilityStrategy" schema_compatibility_strategy: String = "FULL";
    /// The same for topics of the brokers' own, for which no policy counts.
    "systemTopicSchemaCompatibilityStrategy" system_topic_schema_compatibility_strategy: String = "ALWAYS_COMPATIBLE";
    /// Whether a client that comes with a new schema adds it. A namespace's policy overrides it.
    "isAllowAutoUpdateSchemaEnabled" is_allow_auto_update_schema_enabled: bool = "true";
    /// Whether a producer without schema is refused on a topic with one.
    "isSchemaValidationEnforced" is_schema_validation_enforced: bool = "false";
    /// Bundles of a new namespace.
    "defaultNumberOfNamespaceBundles" default_number_of_namespace_bundles: u64 = "4";
    /// Messages a Shared consumer may hold unacked; 0 is no limit.
    "maxUnackedMessagesPerConsumer" max_unacked_messages_per_consumer: u64 = "50000";
    /// Messages a Shared subscription may hold unacked; 0 is no limit.
    "maxUnackedMessagesPerSubscription" max_unacked_messages_per_subscription: u64 = "200000";
    /// Messages that all consumers of this broker may hold unacked; 0 is no limit. Beyond, subscriptions
    /// with more than their part wait until there are half as many.
    "maxUnackedMessagesPerBroker" max_unacked_messages_per_broker: u64 = "0";
    /// The part of them that a subscription may have then.
    "maxUnackedMessagesPerSubscriptionOnBrokerBlocked" max_unacked_messages_per_subscription_on_broker_blocked: f64 = "0.16";
    /// Messages that this broker sends to consumers in a second; 0 or less is no limit.
    "dispatchThrottlingRateInMsg" dispatch_throttling_rate_in_msg: i64 = "0";
    /// The same in bytes.
    "dispatchThrottlingRateInByte" dispatch_throttling_rate_in_byte: i64 = "0";
    /// The same for each topic. A namespace's `dispatchRate` overrides it.
    "dispatchThrottlingRatePerTopicInMsg" dispatch_throttling_rate_per_topic_in_msg: i64 = "0";
    /// The same in bytes.
    "dispatchThrottlingRatePerTopicInByte" dispatch_throttling_rate_per_topic_in_byte: i64 = "0";
    /// The same for each subscription. A namespace's `subscriptionDispatchRate` overrides it.
    "dispatchThrottlingRatePerSubscriptionInMsg" dispatch_throttling_rate_per_subscription_in_msg: i64 = "0";
    /// The same in bytes.
    "dispatchThrottlingRatePerSubscriptionInByte" dispatch_throttling_rate_per_subscription_in_byte: i64 = "0";
    /// Whether the rates of topics and subscriptions come on top of what is published.
    "dispatchThrottlingRateRelativeToPublishRate" dispatch_throttling_rate_relative_to_publish_rate: bool = "false";
    /// Whether a batch counts as one message there.
    "dispatchThrottlingOnBatchMessageEnabled" dispatch_throttling_on_batch_message_enabled: bool = "false";
    /// Messages that this broker takes from producers in a second; 0 or less is no limit. Producers beyond
    /// it wait.
    "brokerPublisherThrottlingMaxMessageRate" broker_publisher_throttling_max_message_rate: i64 = "0";
    /// The same in bytes.
    "brokerPublisherThrottlingMaxByteRate" broker_publisher_throttling_max_byte_rate: i64 = "0";
    /// The same for each topic. A namespace's `publishRate` overrides it.
    "maxPublishRatePerTopicInMessages" max_publish_rate_per_topic_in_messages: i64 = "0";
    /// The same in bytes.
    "maxPublishRatePerTopicInBytes" max_publish_rate_per_topic_in_bytes: i64 = "0";
    /// Producers of a topic; 0 is no limit. A topic's `maxProducers` and a namespace's
    /// `maxProducersPerTopic` override it.
    "maxProducersPerTopic" max_producers_per_topic: u64 = "0";
    /// Consumers of a topic; 0 is no limit. A topic's `maxConsumers` and a namespace's
    /// `maxConsumersPerTopic` override it.
    "maxConsumersPerTopic" max_consumers_per_topic: u64 = "0";
    /// Consumers of a subscription; 0 is no limit. The policy of that name overrides it.
    "maxConsumersPerSubscription" max_consumers_per_subscription: u64 = "0";
    /// Types of subscription that consumers may have, with commas. The policy of that name overrides it.
    "subscriptionTypesEnabled" subscription_types_enabled: String = "Exclusive,Shared,Failover,Key_Shared";
    /// How often a consumer (address, name and id) may come to a topic in a period; 0 is no limit. The
    /// policy `subscribeRate` overrides it.
    "subscribeThrottlingRatePerConsumer" subscribe_throttling_rate_per_consumer: u64 = "0";
    /// That period, seconds.
    "subscribeRatePeriodPerConsumerInSecond" subscribe_rate_period_per_consumer_in_second: u64 = "30";
    /// Durable subscriptions of a topic; 0 is no limit. The policy of that name overrides it.
    "maxSubscriptionsPerTopic" max_subscriptions_per_topic: u64 = "0";
    /// Producers of a topic from one address; 0 is no limit.
    "maxSameAddressProducersPerTopic" max_same_address_producers_per_topic: u64 = "0";
    /// Whether producers must encrypt, whatever a namespace's `encryptionRequired` says.
    "encryptionRequireOnProducer" encryption_require_on_producer: bool = "false";
    /// How long, in milliseconds, a Failover consumer that is active no longer may still ack what it has
    /// before the next one gets it.
    "activeConsumerFailoverDelayTimeMillis" active_consumer_failover_delay_time_millis: u64 = "1000";
    /// Whether a ring of their names decides which consumer of a Failover subscription is active.
    "activeConsumerFailoverConsistentHashing" active_consumer_failover_consistent_hashing: bool = "false";
    /// Whether Key_Shared divides keys by consistent hashing; else the largest range is halved.
    "subscriptionKeySharedUseConsistentHashing" subscription_key_shared_use_consistent_hashing: bool = "true";
    /// Points of each consumer on that ring.
    "subscriptionKeySharedConsistentHashingReplicaPoints" subscription_key_shared_consistent_hashing_replica_points: u64 = "100";
    /// Entries for one consumer of a Shared subscription before the next one's turn.
    "dispatcherMaxRoundRobinBatchSize" dispatcher_max_round_robin_batch_size: u64 = "20";
    /// Entries that a Key_Shared subscription reads ahead of those that wait for their key's consumer,
    /// for each of its consumers; 0 is no such limit.
    "keySharedLookAheadMsgInReplayThresholdPerConsumer" key_shared_look_ahead_per_consumer: u64 = "4000";
    /// The same for all its consumers together; 0 is no such limit.
    "keySharedLookAheadMsgInReplayThresholdPerSubscription" key_shared_look_ahead_per_subscription: u64 = "40000";
    /// Most entries read at once for a subscription.
    "dispatcherMaxReadBatchSize" dispatcher_max_read_batch_size: u64 = "100";
    /// Most bytes read at once for a subscription.
    "dispatcherMaxReadSizeBytes" dispatcher_max_read_size_bytes: u64 = "5242880";
    /// Entries after which a topic's ledger is closed and the next begun.
    "managedLedgerMaxEntriesPerLedger" managed_ledger_max_entries_per_ledger: u64 = "50000";
    /// MiB after which a topic's ledger is closed and the next begun.
    "managedLedgerMaxSizePerLedgerMbytes" managed_ledger_max_size_per_ledger_mbytes: u64 = "2048";
    /// A ledger younger than this, in minutes, is not closed for its entries or bytes.
    "managedLedgerMinLedgerRolloverTimeMinutes" managed_ledger_min_ledger_rollover_time_minutes: u64 = "10";
    /// A ledger older than this, in minutes, is closed.
    "managedLedgerMaxLedgerRolloverTimeMinutes" managed_ledger_max_ledger_rollover_time_minutes: u64 = "240";
    /// Entries after which a cursor's ledger is replaced.
    "managedLedgerCursorMaxEntriesPerLedger" managed_ledger_cursor_max_entries_per_ledger: u64 = "50000";
    /// Minutes that acked messages are kept; −1 is for ever.
    "defaultRetentionTimeInMinutes" default_retention_time_in_minutes: i64 = "0";
    /// MiB of acked messages that are kept for each topic; −1 is no limit.
    "defaultRetentionSizeInMB" default_retention_size_in_mb: i64 = "0";
    /// Seconds after which an unacked message counts as acked; 0 is never. A namespace's `messageTTL`
    /// overrides it.
    "ttlDurationDefaultInSeconds" ttl_duration_default_in_seconds: u64 = "0";
    /// Minutes after which a subscription without consumers is deleted; 0 is never. A namespace's policy
    /// overrides it.
    "subscriptionExpirationTimeMinutes" subscription_expiration_time_minutes: u64 = "0";
    /// Whether topics that nobody uses are deleted, with what they store. A namespace's
    /// `inactiveTopicPolicies` override it, as they do the next two but one.
    "brokerDeleteInactiveTopicsEnabled" broker_delete_inactive_topics_enabled: bool = "true";
    /// How often they are looked for, seconds.
    "brokerDeleteInactiveTopicsFrequencySeconds" broker_delete_inactive_topics_frequency_seconds: u64 = "60";
    /// Which: `delete_when_no_subscriptions`, or also `delete_when_subscriptions_caught_up`.
    "brokerDeleteInactiveTopicsMode" broker_delete_inactive_topics_mode: String = "delete_when_no_subscriptions";
    /// Seconds that they must have been unused; if it is empty, the time between two looks.
    "brokerDeleteInactiveTopicsMaxInactiveDurationSeconds" broker_delete_inactive_topics_max_inactive_duration_seconds: String = "";
    /// Whether a partitioned topic is deleted as a whole once each of its partitions was deleted.
    "brokerDeleteInactivePartitionedTopicMetadataEnabled" broker_delete_inactive_partitioned_topic_metadata_enabled: bool = "false";
    /// Bytes that may wait for a subscription of a topic; −1 is no limit. A namespace's backlog quota
    /// overrides it, as it does the next two.
    "backlogQuotaDefaultLimitBytes" backlog_quota_default_limit_bytes: i64 = "-1";
    /// Seconds that a message may wait for a subscription; −1 is no limit.
    "backlogQuotaDefaultLimitSecond" backlog_quota_default_limit_second: i64 = "-1";
    /// What is done beyond: `producer_request_hold`, `producer_exception` or
    /// `consumer_backlog_eviction`.
    "backlogQuotaDefaultRetentionPolicy" backlog_quota_default_retention_policy: String = "producer_request_hold";
    /// What is noted of each entry when it is stored, by the names of Pulsar's classes:
    /// `org.apache.pulsar.common.intercept.AppendBrokerTimestampMetadataInterceptor` (when the broker took
    /// it), `org.apache.pulsar.common.intercept.AppendIndexMetadataInterceptor` (which number its messages
    /// have in the topic), both with a comma between them, or nothing.
    "brokerEntryMetadataInterceptors" broker_entry_metadata_interceptors: String = "";
    /// Whether clients that understand what was noted so get it with each message.
    "exposingBrokerEntryMetadataToClientEnabled" exposing_broker_entry_metadata_to_client_enabled: bool = "false";
    /// Bytes of a topic that are not compacted above which it is compacted; 0 is by request alone. A
    /// namespace's `compactionThreshold` overrides it.
    "brokerServiceCompactionThresholdInBytes" broker_service_compaction_threshold_in_bytes: u64 = "0";
    /// How often topics with such a threshold look at it, seconds.
    "brokerServiceCompactionMonitorIntervalInSeconds" broker_service_compaction_monitor_interval_in_seconds: u64 = "60";
    /// Whether compaction keeps messages without a key.
    "topicCompactionRetainNullKey" topic_compaction_retain_null_key: bool = "false";
    /// Whether messages with a delivery time wait for it, on Shared and Key_Shared subscriptions. A
    /// namespace's `delayedDelivery` overrides it.
    "delayedDeliveryEnabled" delayed_delivery_enabled: bool = "true";
    /// How long, in milliseconds, a message may be delayed; one that says more is refused, where delays are honoured.
    /// 0 is no limit; a namespace's or a topic's `delayedDelivery` overrides it.
    "delayedDeliveryMaxDelayInMillis" delayed_delivery_max_delay_in_millis: u64 = "0";
    /// How many delayed messages a topic lists in memory before they get a ledger of their own in its index.
    "delayedDeliveryMinIndexCountPerBucket" delayed_delivery_min_index_count_per_bucket: u64 = "50000";
    /// How many such ledgers a topic has before some of them become one; −1: any number.
    "delayedDeliveryMaxNumBuckets" delayed_delivery_max_num_buckets: i64 = "50";
    /// How late, in milliseconds, a delayed message may come. Here one comes when it is due, and never before.
    "delayedDeliveryTickTimeMillis" delayed_delivery_tick_time_millis: u64 = "1000";
    /// Whether a delayed message must not come before its time. Here none does, whatever this says.
    "isDelayedDeliveryDeliverAtTimeStrict" is_delayed_delivery_deliver_at_time_strict: bool = "false";
    /// Whether messages that a topic has already are dropped, by producer name and sequence id. A
    /// namespace's `deduplicationEnabled` overrides it.
    "brokerDeduplicationEnabled" broker_deduplication_enabled: bool = "false";
    /// Entries after which a topic stores what it knows of its producers; a load reads as many again.
    "brokerDeduplicationEntriesInterval" broker_deduplication_entries_interval: u64 = "1000";
    /// Seconds after which it is stored if there are fewer.
    "brokerDeduplicationSnapshotIntervalSeconds" broker_deduplication_snapshot_interval_seconds: u64 = "120";
    /// How often Pulsar looks whether it is time for that. Here it is always noticed; 0 is never.
    "brokerDeduplicationSnapshotFrequencyInSeconds" broker_deduplication_snapshot_frequency_in_seconds: u64 = "120";
    /// Producer names that a topic remembers; those not heard of longest are forgotten.
    "brokerDeduplicationMaxNumberOfProducers" broker_deduplication_max_number_of_producers: u64 = "10000";
    /// Minutes that it remembers the name of a producer that has gone.
    "brokerDeduplicationProducerInactivityTimeoutMinutes" broker_deduplication_producer_inactivity_timeout_minutes: u64 = "360";
    /// How often topics look for ledgers to delete, seconds.
    "retentionCheckIntervalInSeconds" retention_check_interval_in_seconds: u64 = "120";
    /// Whether a receipt waits for the disk. `false` loses receipted messages at a power failure.
    "journalSyncData" journal_sync_data: bool = "true";
    /// Size of a journal file, MiB.
    "journalMaxSizeMB" journal_max_size_mb: u64 = "64";
    /// Journal files kept for reuse.
    "journalMaxBackups" journal_max_backups: u64 = "2";
    /// Entries in memory before they are in an entry log, MiB.
    "dbStorage_writeCacheMaxSizeMb" db_storage_write_cache_max_size_mb: u64 = "64";
    /// Blocks of entry logs in memory, MiB.
    "dbStorage_readAheadCacheMaxSizeMb" db_storage_read_ahead_cache_max_size_mb: u64 = "32";
    /// Longest time that entries wait for an entry log, milliseconds.
    "flushInterval" flush_interval: u64 = "60000";
    /// Size of an entry log file, bytes.
    "logSizeLimit" log_size_limit: u64 = "1073741824";
    /// How often dead entry logs are removed, milliseconds.
    "gcWaitTime" gc_wait_time: u64 = "60000";
    /// Entry logs with a smaller share of live bytes are rewritten by minor compaction.
    "minorCompactionThreshold" minor_compaction_threshold: f64 = "0.2";
    /// How often minor compaction runs, seconds; 0 or −1: never.
    "minorCompactionInterval" minor_compaction_interval: i64 = "3600";
    /// Entry logs with a smaller share of live bytes are rewritten by major compaction.
    "majorCompactionThreshold" major_compaction_threshold: f64 = "0.5";
    /// How often major compaction runs, seconds; 0 or −1: never.
    "majorCompactionInterval" major_compaction_interval: i64 = "86400";
    /// File to which beginnings and ends of flushes, rollovers, compactions and the like are appended,
    /// for crash tests; empty: none.
    "phaseTraceFile" phase_trace_file: String = "";
    /// How long after one pass of the scrubber, which reads all entry logs again and reports damage,
    /// the next begins, in seconds; 0: never.
    "localScrubInterval" local_scrub_interval: u64 = "86400";
    /// Entries that the scrubber may read per second.
    "localScrubRateLimit" local_scrub_rate_limit: u64 = "1000";
    /// Free bytes below which new messages are refused, and which compaction may still use.
    "minUsableSizeForEntryLogCreation" min_usable_size_for_entry_log_creation: u64 = "134217728";
}
