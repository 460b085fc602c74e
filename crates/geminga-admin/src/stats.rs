//! The broker's stats under Pulsar's names.

use std::collections::BTreeMap;

use geminga_admin_model::{
    CompactionStats, ConsumerStats, CursorDetails, CursorInfo, CursorStats, LedgerDetails,
    LedgerInfo, ManagedLedgerInfo, ManagedLedgerInfoLedger, PersistentOfflineTopicStats,
    PersistentTopicInternalStats, PositionInfo, PublisherStats, SubscriptionStats, TopicStats,
    iso_8601,
};
use geminga_broker::admin;
use geminga_types::Position;

/// What Pulsar says of a compacted ledger that is not there.
const NO_LEDGER: LedgerInfo =
    LedgerInfo { ledger_id: -1, entries: -1, size: -1, offloaded: false, under_replicated: false };

/// Answer of `…/stats`.
pub(crate) fn topic(found: &admin::TopicStats) -> TopicStats {
    let mut publishers: Vec<PublisherStats> = found.publishers.iter().map(publisher).collect();
    publishers.sort_by(|a, b| a.producer_name.cmp(&b.producer_name));
    TopicStats {
        msg_rate_in: found.message_rate_in,
        msg_throughput_in: found.byte_rate_in,
        msg_rate_out: found.message_rate_out,
        msg_throughput_out: found.byte_rate_out,
        bytes_in_counter: found.bytes_in,
        msg_in_counter: found.messages_in,
        bytes_out_counter: found.bytes_out,
        msg_out_counter: found.messages_out,
        average_msg_size: mean_size(found.byte_rate_in, found.message_rate_in),
        storage_size: found.storage_bytes,
        backlog_size: backlog_bytes(found),
        msg_drop_rate: found.message_rate_dropped,
        publish_rate_limited_times: found.publish_limited_times,
        last_publish_time_stamp: found.last_publish_time,
        topic_creation_time_stamp: found.created,
        publishers,
        subscriptions: found
            .subscriptions
            .iter()
            .map(|found| (found.name.clone(), subscription(found)))
            .collect(),
        deduplication_status: if found.is_deduplicating { "Enabled" } else { "Disabled" }
            .to_owned(),
        compaction: compaction(found.compaction),
        ..TopicStats::default()
    }
}

/// Answer of `…/internal-info`.
pub(crate) fn info(
    found: &admin::TopicStats,
    properties: BTreeMap<String, String>,
) -> ManagedLedgerInfo {
    let place = |at: Position| PositionInfo { ledger_id: at.ledger_id.0, entry_id: at.entry_id.0 };
    let ledgers = found.ledgers.iter().map(|ledger| ManagedLedgerInfoLedger {
        ledger_id: ledger.ledger_id,
        entries: Some(ledger.entries).filter(|_| !ledger.is_open),
        size: Some(ledger.bytes).filter(|_| !ledger.is_open),
        is_offloaded: false,
    });
    let durable = found.subscriptions.iter().filter(|found| found.is_durable);
    let cursor = |found: &admin::SubscriptionStats| CursorInfo {
        cursors_ledger_id: found.cursor_log.map_or(-1, |(ledger_id, _)| ledger_id.0),
        mark_delete: place(found.mark_delete),
    };
    ManagedLedgerInfo {
        ledgers: ledgers.collect(),
        terminated_position: found.is_terminated.then(|| place(found.last_position)),
        cursors: durable.map(|found| (found.name.clone(), cursor(found))).collect(),
        properties,
    }
}

/// Answer of `…/backlog`, by the broker with this address, at this time.
pub(crate) fn stored(
    found: &admin::TopicStats,
    by: &str,
    now_ms: u64,
) -> PersistentOfflineTopicStats {
    let ledger = |found: &admin::LedgerStats| LedgerDetails {
        entries: found.entries,
        timestamp: 0,
        size: found.bytes,
        ledger_id: found.ledger_id,
    };
    let durable = found.subscriptions.iter().filter(|found| found.is_durable);
    let cursor = |found: &admin::SubscriptionStats| CursorDetails {
        cursor_backlog: found.backlog_entries,
        cursor_ledger_id: found.cursor_log.map_or(-1, |(ledger_id, _)| ledger_id.0),
    };
    PersistentOfflineTopicStats {
        storage_size: found.storage_bytes,
        total_messages: found.storage_entries,
        message_backlog: durable.clone().map(|found| found.backlog_entries).sum(),
        broker_name: by.split_once("://").map_or(by, |(_, name)| name).to_owned(),
        topic_name: found.topic.to_string(),
        data_ledger_details: found.ledgers.iter().map(ledger).collect(),
        cursor_details: durable.map(|found| (found.name.clone(), cursor(found))).collect(),
        stat_generated_at: now_ms,
    }
}

/// Answer of `…/internalStats`.
pub(crate) fn internal(found: &admin::TopicStats) -> PersistentTopicInternalStats {
    let open = found.ledgers.iter().find(|ledger| ledger.is_open);
    let state = match (found.is_terminated, open) {
        (true, _) => "Terminated",
        (false, Some(_)) => "LedgerOpened",
        (false, None) => "ClosedLedger",
    };
    PersistentTopicInternalStats {
        entries_added_counter: found.messages_in,
        number_of_entries: found.storage_entries,
        total_size: found.storage_bytes,
        current_ledger_entries: open.map_or(0, |ledger| ledger.entries),
        current_ledger_size: open.map_or(0, |ledger| ledger.bytes),
        last_confirmed_entry: Some(position(found.last_position)),
        state: Some(state.to_owned()),
        ledgers: found.ledgers.iter().map(ledger).collect(),
        compacted_ledger: Some(found.compacted_ledger.as_ref().map_or(NO_LEDGER, ledger)),
        cursors: found
            .subscriptions
            .iter()
            .filter(|found| found.is_durable)
            .map(|found| (found.name.clone(), cursor(found)))
            .collect(),
        ..PersistentTopicInternalStats::default()
    }
}

fn compaction(found: admin::CompactionStats) -> CompactionStats {
    CompactionStats {
        last_compaction_removed_event_count: found.removed_last,
        last_compaction_succeed_timestamp: found.succeeded_at,
        last_compaction_failed_timestamp: found.failed_at,
        last_compaction_duration_time_in_mills: u64::try_from(found.duration_last.as_millis())
            .unwrap_or(u64::MAX),
    }
}

fn publisher(found: &admin::PublisherStats) -> PublisherStats {
    PublisherStats {
        access_mode: Some(found.access_mode.to_owned()),
        msg_rate_in: found.message_rate_in,
        msg_throughput_in: found.byte_rate_in,
        average_msg_size: found.message_size_mean,
        msg_drop_rate: found.message_rate_dropped,
        producer_id: found.producer_id,
        producer_name: Some(found.name.clone()),
        address: Some(found.address.clone()),
        connected_since: Some(iso_8601(found.connected_since)),
        client_version: client_version(&found.client_version),
        metadata: found.metadata.iter().cloned().collect(),
        ..PublisherStats::default()
    }
}

fn subscription(found: &admin::SubscriptionStats) -> SubscriptionStats {
    SubscriptionStats {
        msg_rate_out: found.message_rate_out,
        msg_throughput_out: found.byte_rate_out,
        bytes_out_counter: found.bytes_out,
        msg_out_counter: found.messages_out,
        msg_rate_redeliver: found.message_rate_redeliver,
        message_ack_rate: found.activity.message_ack_rate,
        msg_rate_expired: found.activity.entry_rate_expired,
        total_msg_expired: found.activity.entries_expired,
        last_expire_timestamp: found.activity.last_expired,
        last_consumed_flow_timestamp: found.activity.last_flow,
        last_consumed_timestamp: found.activity.last_delivered,
        last_acked_timestamp: found.activity.last_acked,
        last_mark_delete_advanced_timestamp: found.activity.last_mark_delete,
        msg_drop_rate: found.message_rate_dropped,
        msg_backlog: found.backlog_entries,
        backlog_size: -1,
        msg_backlog_no_delayed: found.backlog_entries.saturating_sub(found.delayed_entries),
        msg_delayed: found.delayed_entries,
        blocked_subscription_on_unacked_msgs: found.is_blocked,
        unacked_messages: found.unacked_messages,
        kind: Some(found.kind.to_owned()).filter(|kind| !kind.is_empty()),
        active_consumer_name: found.active_consumer.clone(),
        consumers: found.consumers.iter().map(consumer).collect(),
        is_durable: found.is_durable,
        durable: found.is_durable,
        subscription_properties: found.properties.iter().cloned().collect(),
        ..SubscriptionStats::default()
    }
}

fn consumer(found: &admin::ConsumerEntry) -> ConsumerStats {
    let stats = &found.stats;
    ConsumerStats {
        msg_rate_out: stats.message_rate_out,
        msg_throughput_out: stats.byte_rate_out,
        bytes_out_counter: found.bytes_out,
        msg_out_counter: found.messages_out,
        msg_rate_redeliver: stats.message_rate_redeliver,
        message_ack_rate: found.activity.message_ack_rate,
        last_consumed_flow_timestamp: found.activity.last_flow,
        last_consumed_timestamp: found.activity.last_delivered,
        last_acked_timestamp: found.activity.last_acked,
        consumer_name: Some(stats.consumer_name.clone()),
        available_permits: stats.available_permits,
        unacked_messages: stats.unacked_messages,
        blocked_consumer_on_unacked_msgs: stats.is_blocked,
        address: Some(stats.address.clone()),
        connected_since: Some(iso_8601(stats.connected_since)),
        client_version: client_version(&found.client_version),
        metadata: found.metadata.iter().cloned().collect(),
        ..ConsumerStats::default()
    }
}

fn ledger(found: &admin::LedgerStats) -> LedgerInfo {
    let (entries, size) = if found.is_open { (0, 0) } else { (found.entries, found.bytes) };
    let number = |number| i64::try_from(number).unwrap_or(i64::MAX);
    LedgerInfo {
        ledger_id: found.ledger_id,
        entries: number(entries),
        size: number(size),
        offloaded: false,
        under_replicated: false,
    }
}

fn cursor(found: &admin::SubscriptionStats) -> CursorStats {
    CursorStats {
        mark_delete_position: position(found.mark_delete),
        cursor_ledger: found.cursor_log.map_or(-1, |(ledger_id, _)| ledger_id.0),
        cursor_ledger_size: found.cursor_log.map_or(0, |(_, bytes)| bytes),
        total_non_contiguous_deleted_messages_range: found.acked_ranges,
        messages_consumed_counter: found.messages_out,
        state: "Open".to_owned(),
        waiting_read_op: found.backlog_entries == 0,
        number_of_entries_since_first_not_acked_message: found.backlog_entries,
        properties: BTreeMap::new(),
        ..CursorStats::default()
    }
}

fn position(found: Position) -> String {
    format!("{}:{}", found.ledger_id.0, found.entry_id.0)
}

/// Without spaces, as clients read it back.
fn client_version(found: &str) -> Option<String> {
    Some(found.replace(' ', "-")).filter(|version| !version.is_empty())
}

fn mean_size(bytes: f64, messages: f64) -> f64 {
    if 0.0 < messages { bytes / messages } else { 0.0 }
}

/// Bytes from the slowest subscription's first unacked entry on, by mean entry size.
pub(crate) fn backlog_bytes(found: &admin::TopicStats) -> u64 {
    let slowest = found.subscriptions.iter().map(|found| found.backlog_entries).max();
    let entries = u128::from(slowest.unwrap_or_default());
    let bytes = u128::from(found.storage_bytes) * entries;
    let mean = bytes.checked_div(u128::from(found.storage_entries)).unwrap_or_default();
    u64::try_from(mean).unwrap_or(u64::MAX).min(found.storage_bytes)
}
