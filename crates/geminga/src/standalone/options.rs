//! From the configuration to what each part takes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use geminga_bookie_storage::Storage;
use geminga_broker::{
    Advertised, AutoSplit, Budget, CompactionOptions, DeduplicationOptions, DelayedDeliveryOptions,
    DispatchRate, DispatchRates, Domains, InactiveMode, Limits, MemoryPart, PublishRate,
    PublishingOptions, QuotaAction, SchemaOptions, SchemaStrategy, SubscribeRate, TenantOptions,
    TopicOptions,
};
use geminga_env::Gauge;
use geminga_ledger::LedgerOptions;

use super::{interceptors, memory::Plan, subscription_types};
use crate::{config::Config, data_dir::DataDir};

const MIB: u64 = 1 << 20;
/// Entries of one ledger that may be unconfirmed at once.
const IN_FLIGHT_MAX: usize = 16_384;
/// Entries of one cursor ledger that may be unconfirmed at once: each holds all acks since the last.
const CURSOR_IN_FLIGHT_MAX: usize = 16;
/// Newest entries of one topic that are held in memory.
const TAIL_CACHE_BYTES: usize = 4 << 20;
/// A load reads back what was written since the last snapshot, or as much as that is itself.
const CURSOR_ROLL_BYTES: u64 = 4 * MIB;
/// A snapshot of fewer takes less time than the sync that makes it durable.
const CURSOR_GO_ON_ITEMS: usize = 10_000;
/// Less than a millisecond of a topic's task.
const CURSOR_PART_ITEMS: usize = 10_000;
/// Longest time that an ack without receipt waits for its group commit.
const ACK_FLUSH_INTERVAL: Duration = Duration::from_millis(10);

/// The bookie's storage.
pub(super) fn storage(
    config: &Config,
    plan: &Plan,
    data_dir: &DataDir,
) -> geminga_bookie_storage::Options {
    geminga_bookie_storage::Options {
        sync: config.journal_sync_data,
        journal_file_bytes: config.journal_max_size_mb.saturating_mul(MIB),
        journal_spares_max: size(config.journal_max_backups),
        write_cache_bytes: size(plan.write_cache),
        read_cache_bytes: size(plan.read_cache),
        flush_interval: Duration::from_millis(config.flush_interval),
        entry_log_bytes: config.log_size_limit,
        gc_interval: Duration::from_millis(config.gc_wait_time),
        minor_interval: compaction_interval(config.minor_compaction_interval),
        minor_threshold: config.minor_compaction_threshold,
        major_interval: compaction_interval(config.major_compaction_interval),
        major_threshold: config.major_compaction_threshold,
        min_free_bytes: config.min_usable_size_for_entry_log_creation,
        scrub_interval: Duration::from_secs(config.local_scrub_interval),
        scrub_entries_per_second: config.local_scrub_rate_limit.max(1),
        ..geminga_bookie_storage::Options::new(data_dir.journal(), data_dir.ledgers())
    }
}

/// Never, when it is not positive.
fn compaction_interval(seconds: i64) -> Duration {
    let never = Duration::from_secs(100 * 366 * 24 * 60 * 60);
    u64::try_from(seconds).ok().filter(|seconds| 0 < *seconds).map_or(never, Duration::from_secs)
}

/// The embedded metadata store.
pub(super) fn metadata(config: &Config) -> geminga_metadata_embedded::Options {
    let cache_bytes = size(config.embedded_metadata_cache_size_mb.saturating_mul(MIB));
    geminga_metadata_embedded::Options { cache_bytes, ..Default::default() }
}

/// What `/metrics` tells of.
pub(super) const fn metrics(config: &Config) -> geminga_admin::metrics::MetricsOptions {
    geminga_admin::metrics::MetricsOptions {
        topic_level: config.expose_topic_level_metrics_in_prometheus,
        consumer_level: config.expose_consumer_level_metrics_in_prometheus,
        producer_level: config.expose_producer_level_metrics_in_prometheus,
        managed_ledgers: config.expose_managed_ledger_metrics_in_prometheus,
        splits_partition: config.split_topic_and_partition_label_in_prometheus,
    }
}

/// The broker.
pub(super) fn broker(
    config: &Config,
    plan: &Plan,
    advertised: Advertised,
) -> anyhow::Result<geminga_broker::Options> {
    let quota_policy = &config.backlog_quota_default_retention_policy;
    let quota_action = QuotaAction::named(quota_policy).with_context(|| {
        format!(
            "backlogQuotaDefaultRetentionPolicy={quota_policy}: expected producer_request_hold, \
             producer_exception or consumer_backlog_eviction"
        )
    })?;
    let bundles_default = u32::try_from(config.default_number_of_namespace_bundles)
        .ok()
        .filter(|count| 0 < *count)
        .context("defaultNumberOfNamespaceBundles: expected a number from 1")?;
    Ok(geminga_broker::Options {
        cluster: config.cluster_name.clone(),
        advertised,
        limits: limits(config, plan)?,
        domains: domains(config),
        resource_groups_lend: config.resource_group_lending_enabled,
        topic_level_policies: config.topic_level_policies_enabled,
        auto_topic_creation: config.allow_auto_topic_creation,
        auto_partitions: auto_partitions(config)?,
        auto_subscription_creation: config.allow_auto_subscription_creation,
        topics: topics(config),
        tenants: tenants(config),
        configuration: config.values(),
        dispatch: dispatch(config),
        publishing: publishing(config),
        failover_delay: Duration::from_millis(config.active_consumer_failover_delay_time_millis),
        failover_by_ring: config.active_consumer_failover_consistent_hashing,
        auto_split: auto_split(config),
        schema: schema(config)?,
        bundles_default,
        ack_flush_interval: ACK_FLUSH_INTERVAL,
        trim_interval: Duration::from_secs(config.retention_check_interval_in_seconds),
        subscription_expiry: (0 < config.subscription_expiration_time_minutes)
            .then(|| Duration::from_secs(config.subscription_expiration_time_minutes * 60)),
        backlog_bytes: u64::try_from(config.backlog_quota_default_limit_bytes)
            .ok()
            .map(|max| (max, quota_action)),
        backlog_age: u64::try_from(config.backlog_quota_default_limit_second)
            .ok()
            .filter(|&max| 0 < max)
            .map(|max| (Duration::from_secs(max), quota_action)),
        message_ttl: (0 < config.ttl_duration_default_in_seconds)
            .then(|| Duration::from_secs(config.ttl_duration_default_in_seconds)),
        inactivity: inactivity(config)?,
        inactive_topics_interval: Duration::from_secs(
            config.broker_delete_inactive_topics_frequency_seconds,
        ),
        unload_idle_after: (0 < config.topic_idle_unload_seconds)
            .then(|| Duration::from_secs(config.topic_idle_unload_seconds)),
        phases: None,
        memory_parts: Vec::new(),
        compaction: CompactionOptions {
            keeps_null_keys: config.topic_compaction_retain_null_key,
            threshold_bytes: Some(config.broker_service_compaction_threshold_in_bytes)
                .filter(|&bytes| 0 < bytes),
            monitor_interval: Duration::from_secs(
                config.broker_service_compaction_monitor_interval_in_seconds,
            ),
            key_bytes: size(plan.compaction_keys),
        },
        delayed: delayed(config),
        broker_metadata: interceptors::parse(&config.broker_entry_metadata_interceptors)?,
        deduplication: deduplication(config),
        managed_ledger: managed_ledger(config, plan),
    })
}

const fn tenants(config: &Config) -> TenantOptions {
    TenantOptions {
        tenants_max: config.max_tenants,
        namespaces_max: config.max_namespaces_per_tenant,
    }
}

fn delayed(config: &Config) -> DelayedDeliveryOptions {
    DelayedDeliveryOptions {
        is_enabled: config.delayed_delivery_enabled,
        delay_ms_max: match config.delayed_delivery_max_delay_in_millis {
            0 => u64::MAX,
            limit => limit,
        },
        bucket_entries_min: size(config.delayed_delivery_min_index_count_per_bucket),
        buckets_max: usize::try_from(config.delayed_delivery_max_num_buckets).unwrap_or(usize::MAX),
        ..DelayedDeliveryOptions::default()
    }
}

fn deduplication(config: &Config) -> DeduplicationOptions {
    let seconds = config.broker_deduplication_snapshot_interval_seconds;
    let is_timed = 0 < config.broker_deduplication_snapshot_frequency_in_seconds;
    let inactivity = config.broker_deduplication_producer_inactivity_timeout_minutes;
    DeduplicationOptions {
        is_enabled: config.broker_deduplication_enabled,
        snapshot_entries: config.broker_deduplication_entries_interval,
        snapshot_interval: is_timed.then(|| Duration::from_secs(seconds)),
        producers_max: size(config.broker_deduplication_max_number_of_producers),
        producer_inactivity: Duration::from_secs(inactivity.saturating_mul(60)),
        ..DeduplicationOptions::default()
    }
}

/// What others than the broker hold, for metrics.
pub(super) fn memory_parts(
    plan: &Plan,
    storage: &Storage,
    pulsar: &geminga_pulsar::Options,
) -> Vec<MemoryPart> {
    let (storage, large_frames) = (storage.clone(), pulsar.large_frames.clone());
    let counters = Arc::clone(&pulsar.counters);
    let write_cache = Arc::new(move || storage.stats().write_cache_bytes);
    let large = Arc::new(move || large_frames.used() as u64);
    let connections =
        Arc::new(move || (counters.connections() * geminga_pulsar::CONNECTION_BYTES) as u64);
    let part = |name, budget_bytes, used_bytes| MemoryPart { name, budget_bytes, used_bytes };
    vec![
        part("write_cache", plan.write_cache, write_cache),
        part("large_frames", plan.large_frames, large),
        part("connections", plan.connections.unwrap_or(0), connections),
    ]
}

fn schema(config: &Config) -> anyhow::Result<SchemaOptions> {
    // What leaves the decision to a default that is nobody's: Pulsar's.
    let strategy = |key: &str, name: &str, default| match name {
        "UNDEFINED" => Ok(default),
        name => name.parse::<SchemaStrategy>().with_context(|| format!("{key}={name}")),
    };
    let defaults = SchemaOptions::default();
    Ok(SchemaOptions {
        strategy: strategy(
            "schemaCompatibilityStrategy",
            &config.schema_compatibility_strategy,
            defaults.strategy,
        )?,
        system_strategy: strategy(
            "systemTopicSchemaCompatibilityStrategy",
            &config.system_topic_schema_compatibility_strategy,
            defaults.system_strategy,
        )?,
        allows_update: config.is_allow_auto_update_schema_enabled,
        is_validated: config.is_schema_validation_enforced,
    })
}

fn dispatch(config: &Config) -> DispatchRates {
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|&limit| 0 < limit);
    let rate = |messages, bytes| DispatchRate {
        messages: limit(messages),
        bytes: limit(bytes),
        ..DispatchRate::UNLIMITED
    };
    let is_relative = config.dispatch_throttling_rate_relative_to_publish_rate;
    let topic = rate(
        config.dispatch_throttling_rate_per_topic_in_msg,
        config.dispatch_throttling_rate_per_topic_in_byte,
    );
    let subscription = rate(
        config.dispatch_throttling_rate_per_subscription_in_msg,
        config.dispatch_throttling_rate_per_subscription_in_byte,
    );
    DispatchRates {
        broker: rate(
            config.dispatch_throttling_rate_in_msg,
            config.dispatch_throttling_rate_in_byte,
        ),
        topic: DispatchRate { is_relative, ..topic },
        subscription: DispatchRate { is_relative, ..subscription },
        counts_entries: config.dispatch_throttling_on_batch_message_enabled,
    }
}

fn publishing(config: &Config) -> PublishingOptions {
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|&limit| 0 < limit);
    let rate = |messages, bytes| PublishRate { messages: limit(messages), bytes: limit(bytes) };
    PublishingOptions {
        broker_rate: rate(
            config.broker_publisher_throttling_max_message_rate,
            config.broker_publisher_throttling_max_byte_rate,
        ),
        topic_rate: rate(
            config.max_publish_rate_per_topic_in_messages,
            config.max_publish_rate_per_topic_in_bytes,
        ),
        producers_per_topic_max: config.max_producers_per_topic,
        producers_per_address_max: config.max_same_address_producers_per_topic,
        requires_encryption: config.encryption_require_on_producer,
    }
}

fn topics(config: &Config) -> TopicOptions {
    TopicOptions {
        partitions_max: u32::try_from(config.max_num_partitions_per_partitioned_topic)
            .unwrap_or(u32::MAX),
        per_namespace_max: config.max_topics_per_namespace,
        deletes_inactive_partitioned: config
            .broker_delete_inactive_partitioned_topic_metadata_enabled,
    }
}

fn auto_partitions(config: &Config) -> anyhow::Result<Option<u32>> {
    let count = config.default_num_partitions;
    let max = topics(config).partitions_max();
    match config.allow_auto_topic_creation_type.as_str() {
        "non-partitioned" => Ok(None),
        "partitioned" => {
            let found = u32::try_from(count).ok().filter(|count| (1..=max).contains(count));
            let wrong = || {
                format!(
                    "defaultNumPartitions={count}: expected a number from 1 to {max} \
                     (maxNumPartitionsPerPartitionedTopic)"
                )
            };
            Ok(Some(found.with_context(wrong)?))
        }
        other => {
            bail!("allowAutoTopicCreationType={other}: expected non-partitioned or partitioned")
        }
    }
}

fn inactivity(config: &Config) -> anyhow::Result<Option<(InactiveMode, Duration)>> {
    let name = &config.broker_delete_inactive_topics_mode;
    let mode = InactiveMode::named(name).with_context(|| {
        format!(
            "brokerDeleteInactiveTopicsMode={name}: expected delete_when_no_subscriptions or \
             delete_when_subscriptions_caught_up"
        )
    })?;
    let text = config.broker_delete_inactive_topics_max_inactive_duration_seconds.trim();
    let seconds = if text.is_empty() {
        config.broker_delete_inactive_topics_frequency_seconds
    } else {
        text.parse().ok().filter(|&seconds: &u64| seconds <= u64::from(u32::MAX)).with_context(
            || {
                format!(
                    "brokerDeleteInactiveTopicsMaxInactiveDurationSeconds={text}: expected nothing, \
                     or a number from 0 to {}",
                    u32::MAX
                )
            },
        )?
    };
    let is_on = config.broker_delete_inactive_topics_enabled;
    Ok(is_on.then(|| (mode, Duration::from_secs(seconds))))
}

fn auto_split(config: &Config) -> AutoSplit {
    if config.subscription_key_shared_use_consistent_hashing {
        let points = config.subscription_key_shared_consistent_hashing_replica_points;
        AutoSplit::Ring(u32::try_from(points).unwrap_or(u32::MAX))
    } else {
        AutoSplit::Halves
    }
}

/// A part of the broker's unacked messages, as messages.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part of a count needs no 53 bits"
)]
fn unacked_when_blocked(config: &Config) -> u64 {
    let part = config.max_unacked_messages_per_subscription_on_broker_blocked.clamp(0.0, 1.0);
    ((config.max_unacked_messages_per_broker as f64 * part) as u64).max(1)
}

fn subscribe_rate(config: &Config) -> Option<SubscribeRate> {
    let times = config.subscribe_throttling_rate_per_consumer;
    let period = Duration::from_secs(config.subscribe_rate_period_per_consumer_in_second);
    (0 < times && !period.is_zero()).then_some(SubscribeRate { times, period })
}

fn limits(config: &Config, plan: &Plan) -> anyhow::Result<Limits> {
    Ok(Limits {
        message_bytes_max: size(config.max_message_size),
        concurrent_topic_loads_max: size(config.max_concurrent_topic_load_request),
        concurrent_lookups_max: size(config.max_concurrent_lookup_request),
        topic_load_timeout: Duration::from_secs(config.topic_load_timeout_seconds),
        publish_buffer_bytes: size(plan.publish),
        read_buffer_bytes: size(plan.read),
        delivery_buffer_bytes: size(plan.delivery),
        ack_state_bytes: size(plan.ack_state),
        timer_bytes: size(plan.timers),
        consumers_per_topic_max: config.max_consumers_per_topic,
        consumers_per_subscription_max: config.max_consumers_per_subscription,
        subscriptions_per_topic_max: config.max_subscriptions_per_topic,
        subscription_kinds: subscription_types::parse(&config.subscription_types_enabled)?,
        subscribe_rate: subscribe_rate(config),
        unacked_per_consumer_max: size(config.max_unacked_messages_per_consumer),
        unacked_per_subscription_max: size(config.max_unacked_messages_per_subscription),
        unacked_per_broker_max: config.max_unacked_messages_per_broker,
        unacked_per_subscription_when_blocked_max: unacked_when_blocked(config),
        round_robin_entries_max: size(config.dispatcher_max_round_robin_batch_size),
        look_ahead_per_consumer_max: size(config.key_shared_look_ahead_per_consumer),
        look_ahead_per_subscription_max: size(config.key_shared_look_ahead_per_subscription),
        read_entries_max: size(config.dispatcher_max_read_batch_size),
        read_bytes_max: size(config.dispatcher_max_read_size_bytes),
    })
}

fn managed_ledger(config: &Config, plan: &Plan) -> geminga_managed_ledger::Options {
    let minutes = |count: u64| Duration::from_secs(count.saturating_mul(60));
    geminga_managed_ledger::Options {
        ledger: ledger(IN_FLIGHT_MAX),
        // Acks go on when the disk is nearly full: they are what frees it.
        cursor_ledger: LedgerOptions { may_use_reserve: true, ..ledger(CURSOR_IN_FLIGHT_MAX) },
        max_entries_per_ledger: config.managed_ledger_max_entries_per_ledger,
        max_ledger_bytes: config.managed_ledger_max_size_per_ledger_mbytes.saturating_mul(MIB),
        min_rollover: minutes(config.managed_ledger_min_ledger_rollover_time_minutes),
        max_rollover: minutes(config.managed_ledger_max_ledger_rollover_time_minutes),
        retention_time: u64::try_from(config.default_retention_time_in_minutes).ok().map(minutes),
        retention_bytes: u64::try_from(config.default_retention_size_in_mb)
            .ok()
            .map(|mib| mib.saturating_mul(MIB)),
        tail_cache_bytes: TAIL_CACHE_BYTES,
        tail_caches: Gauge::new(size(plan.tail_cache)),
        cursor_roll_entries: config.managed_ledger_cursor_max_entries_per_ledger,
        cursor_roll_bytes: CURSOR_ROLL_BYTES,
        cursor_go_on_items: CURSOR_GO_ON_ITEMS,
        cursor_part_items: CURSOR_PART_ITEMS,
    }
}

/// One bookie: E = Qw = Qa = 1.
fn ledger(in_flight_max: usize) -> LedgerOptions {
    LedgerOptions {
        ensemble_size: 1,
        write_quorum: 1,
        ack_quorum: 1,
        password: Bytes::new(),
        custom_metadata: BTreeMap::new(),
        in_flight_max,
        may_use_reserve: false,
    }
}

const fn domains(config: &Config) -> Domains {
    Domains {
        persistent: config.enable_persistent_topics,
        nonpersistent: config.enable_non_persistent_topics,
    }
}

/// The front door for Pulsar's protocol.
pub(super) fn pulsar(config: &Config, plan: &Plan) -> geminga_pulsar::Options {
    let in_memory = plan.connections.map(|bytes| size(bytes) / geminga_pulsar::CONNECTION_BYTES);
    geminga_pulsar::Options {
        keep_alive: Duration::from_secs(config.keep_alive_interval_seconds),
        connections_max: size(config.broker_max_connections),
        connections_per_address_max: size(config.broker_max_connections_per_ip),
        connections_in_memory_max: in_memory.unwrap_or(0),
        concurrent_lookups_max: size(config.max_concurrent_lookup_request),
        pending_publishes_per_connection: size(config.max_pending_publish_requests_per_connection),
        nonpersistent_publishes_per_connection: size(
            config.max_concurrent_non_persistent_message_per_connection,
        ),
        exposes_broker_metadata: config.exposing_broker_entry_metadata_to_client_enabled,
        large_frames: Budget::new("large_frames", size(plan.large_frames)),
        ..geminga_pulsar::Options::for_messages_of(size(config.max_message_size))
    }
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
