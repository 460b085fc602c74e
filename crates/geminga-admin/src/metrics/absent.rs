//! What Pulsar has on its pages and Geminga has not, by group, and why.

/// Families of Pulsar, or of BookKeeper, that are not here.
#[derive(Debug)]
pub struct Absent {
    /// Their names; `*` stands for anything.
    pub names: &'static [&'static str],
    /// Why not, or what is here in their place.
    pub why: &'static str,
}

/// All groups. A name may be here that Pulsar's page has only with some configuration.
pub const ABSENT: &[Absent] = &[
    Absent {
        names: &["jvm_*"],
        why: "There is no Java machine. Memory is told of by `geminga_memory_used_bytes` and `process_resident_memory_bytes`.",
    },
    Absent {
        names: &["*_created"],
        why: "When a counter began: Prometheus does not need it, and sees a restart by itself.",
    },
    Absent {
        names: &["jetty_*", "pulsar_web_*"],
        why: "The threads and requests of Pulsar's HTTP server, which Geminga has not; its own serves on the same threads as everything else.",
    },
    Absent {
        names: &["caffeine_cache_*"],
        why: "Caches of a Java library. The caches here have families of their own.",
    },
    Absent { names: &["log4j2_*", "logback_*"], why: "Log lines are not counted." },
    Absent {
        names: &["process_max_fds", "process_open_fds", "process_start_time_seconds"],
        why: "Counting open files would list them at each scrape; connections are `pulsar_active_connections`.",
    },
    Absent {
        names: &["pulsar_health"],
        why: "Nothing publishes to itself now and then: ask `/admin/v2/brokers/health`.",
    },
    Absent { names: &["pulsar_txn_*", "pulsar_transaction_*"], why: "There are no transactions." },
    Absent {
        names: &[
            "pulsar_replication_*",
            "pulsar_replicator_*",
            "pulsar_replicated_subscriptions_*",
            "pulsar_broker_replication_*",
        ],
        why: "There is no geo-replication.",
    },
    Absent {
        names: &["pulsar_function_*", "pulsar_source_*", "pulsar_sink_*", "process_runtime_*"],
        why: "There are no functions and no connectors.",
    },
    Absent {
        names: &["pulsar_proxy_*", "pulsar_websocket_*"],
        why: "There is no proxy and no WebSocket.",
    },
    Absent {
        names: &[
            "pulsar_storage_offloaded_size",
            "pulsar_ml_offload_*",
            "brk_ledgeroffloader_*",
            "pulsar_offloader_*",
        ],
        why: "Nothing is offloaded.",
    },
    Absent {
        names: &[
            "pulsar_authentication_*",
            "pulsar_authorization_*",
            "pulsar_expired_token_*",
            "pulsar_expiring_token_*",
        ],
        why: "Clients are not authenticated.",
    },
    Absent {
        names: &[
            "pulsar_lb_*",
            "pulsar_loadbalance_*",
            "pulsar_bundle_*",
            "pulsar_broker_load_manager_*",
        ],
        why: "There is one broker: nothing is balanced, and rates are told by topic and namespace.",
    },
    Absent {
        names: &["pulsar_broker_lookup_redirects_total"],
        why: "There is one broker, which sends nobody away.",
    },
    Absent {
        names: &["pulsar_metadata_store_*", "zk_*", "zookeeper_*", "pulsar_metadata_*"],
        why: "The metadata store is in the process and not measured by itself; a slow one shows in `pulsar_topic_load_times` and `pulsar_broker_lookup`.",
    },
    Absent {
        names: &["pulsar_managedLedger_client_*", "bookkeeper_client_*"],
        why: "There is no client of BookKeeper: the bookie is in the process, see `bookkeeper_server_ADD_ENTRY` and `bookkeeper_server_READ_ENTRY`.",
    },
    Absent {
        names: &[
            "pulsar_ml_LedgerAddEntryLatencyBuckets*",
            "pulsar_storage_ledger_write_latency_*",
            "pulsar_ml_LedgerSwitchLatencyBuckets*",
        ],
        why: "The topic and its bookie are one process: there is one time, `pulsar_storage_write_latency_…`, and that of the journal, `bookie_journal_JOURNAL_ADD_ENTRY`.",
    },
    Absent {
        names: &["pulsar_ml_cursor_*"],
        why: "Ack state is a log of its own and not a cursor's ledger; `internalStats` tells of each cursor its log and its acked ranges.",
    },
    Absent {
        names: &[
            "pulsar_ml_cache_pool_*",
            "pulsar_ml_cache_pendingreads_*",
            "pulsar_ml_cache_entries",
            "pulsar_ml_cache_evict*",
            "pulsar_ml_cache_inserted_*",
        ],
        why: "The cache is the newest entries of each topic: there is no pool, no read joins another, and what goes is not counted. Its size is `pulsar_ml_cache_used_size`, its use `pulsar_ml_cache_hits_rate`.",
    },
    Absent {
        names: &[
            "pulsar_ml_reads_*",
            "pulsar_broker_pending_bytes_to_dispatch",
            "pulsar_broker_topic_list_*",
        ],
        why: "What such things may take in memory, and take, is `geminga_memory_budget_bytes` and `geminga_memory_used_bytes`, for all kinds.",
    },
    Absent {
        names: &["pulsar_broker_in_bytes_total", "pulsar_broker_out_bytes_total"],
        why: "The sums of `pulsar_in_bytes_total` and `pulsar_out_bytes_total`.",
    },
    Absent {
        names: &[
            "pulsar_topic_load_time_*",
            "pulsar_topic_load_rate_s",
            "pulsar_topic_load_failed_count",
        ],
        why: "The same as `pulsar_topic_load_times` and `topic_load_failed_total`.",
    },
    Absent {
        names: &[
            "pulsar_storage_backlog_age_seconds",
            "pulsar_storage_backlog_quota_check_duration_seconds",
            "pulsar_storage_backlog_quota_exceeded_evictions_total",
            "pulsar_broker_storage_backlog_quota_*",
        ],
        why: "Not counted. The age of a backlog is in the stats with `getEarliestTimeInBacklog=true`; an eviction is in the log.",
    },
    Absent {
        names: &["pulsar_subscription_dispatch_throttled_*"],
        why: "Not counted. What holds a subscription back now is told by `…/subscription/{subscription}/explain`.",
    },
    Absent { names: &["pulsar_subscription_filter_*"], why: "There are no entry filters." },
    Absent {
        names: &[
            "pulsar_delayed_message_index_loaded",
            "pulsar_delayed_message_index_bucket_*",
            "pulsar_subscription_delayed_message_index_bucket_*",
        ],
        why: "The index of delayed messages is of the topic; its memory is `pulsar_delayed_message_index_size_bytes`.",
    },
    Absent {
        names: &[
            "pulsar_compaction_read_throughput",
            "pulsar_compaction_write_throughput",
            "pulsar_compaction_compacted_entries_*",
            "pulsar_compaction_latency_*",
        ],
        why: "Not counted. The compacted ledger is in `internalStats`.",
    },
    Absent {
        names: &[
            "pulsar_resource_group_aggregate_usage_secs",
            "pulsar_resource_group_calculate_quota_secs",
            "pulsar_resource_group_*_quota*",
            "pulsar_resource_group_updates*",
            "pulsar_resource_group_tenant_*",
            "pulsar_resource_group_namespace_*",
        ],
        why: "With one broker no quotas are shared out: see `geminga_resource_group_…`.",
    },
    Absent {
        names: &["pulsar_subscription_consumers_blocked_*", "pulsar_consumer_groups_*"],
        why: "Not counted.",
    },
    Absent {
        names: &[
            "bookie_journal_JOURNAL_FORCE_WRITE_*",
            "bookie_journal_JOURNAL_QUEUE_LATENCY",
            "bookie_journal_JOURNAL_PROCESS_TIME_LATENCY",
            "bookie_journal_JOURNAL_CB_*",
            "bookie_journal_JOURNAL_CREATION_LATENCY",
            "bookie_journal_JOURNAL_FORCE_LEDGER",
            "bookie_journal_JOURNAL_NUM_FLUSH_*",
            "bookie_journal_JOURNAL_MEMORY_*",
            "bookie_journal_CB_*",
            "bookie_journal_thread_*",
        ],
        why: "BookKeeper's journal has queues and threads within; Geminga's has one thread, which takes all that waits, writes it and syncs. Groups are `geminga_bookie_journal_groups_total`.",
    },
    Absent {
        names: &[
            "bookie_gc_*",
            "bookie_ACTIVE_*",
            "bookie_MAJOR_COMPACTION_*",
            "bookie_MINOR_COMPACTION_*",
            "bookie_THREAD_RUNTIME",
            "bookie_RECLAIMED_*",
            "bookie_DELETED_LEDGER_COUNT",
            "bookie_NUM_ACTIVE_LEDGERS",
        ],
        why: "See `geminga_bookie_compactions_total` and `geminga_bookie_entry_log_…`.",
    },
    Absent {
        names: &[
            "bookie_rocksdb_*",
            "bookie_ledger_index_*",
            "bookie_lookup_*",
            "bookie_read_locations_index_time",
            "bookie_read_entrylog_time",
            "bookie_read_ahead_*",
            "bookie_readahead_*",
            "bookie_add_entry*",
            "bookie_read_entry*",
            "bookie_flush_*",
            "bookie_throttled_write*",
            "bookie_rejected_write*",
            "bookie_write_cache_hits",
            "bookie_write_cache_misses",
            "bookie_ledger_num_dirs",
            "bookie_ledger_dir_*",
            "bookie_ledger_writable_dirs",
            "bookie_entries_count",
            "bookie_BOOKIE_*",
            "bookie_*INDEX*",
            "bookie_SKIP_LIST_*",
            "bookie_OFFLINE_INDEX*",
        ],
        why: "Parts of BookKeeper's storage that Geminga's has not, or not by themselves. Space is `geminga_disk_free_bytes`.",
    },
    Absent {
        names: &[
            "bookkeeper_server_*",
            "bookie_quarantine_*",
            "bookie_AUDITOR_*",
            "auditor_*",
            "replication_worker_*",
        ],
        why: "Of the bookie's requests there are `bookkeeper_server_ADD_ENTRY` and `bookkeeper_server_READ_ENTRY`; nobody else sends it any, and there are no replicas.",
    },
];

/// Whether a name is of a group.
#[cfg(test)]
pub(super) fn is_absent(name: &str) -> bool {
    let matches = |pattern: &str| {
        let mut parts = pattern.split('*');
        let begin = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(begin) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            rest = match rest.find(part) {
                _ if is_last && rest.ends_with(part) => "",
                Some(at) if !is_last => &rest[at + part.len()..],
                _ => return false,
            };
        }
        true
    };
    ABSENT.iter().flat_map(|group| group.names).any(|pattern| matches(pattern))
}
