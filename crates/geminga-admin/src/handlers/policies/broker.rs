//! What the configuration says, in the words of policies.

use std::{collections::BTreeSet, time::Duration};

use geminga_broker::{
    InactiveMode, Options, QuotaAction,
    admin::{
        BacklogQuota, DelayedDeliveryPolicies, DispatchRate, InactiveTopicPolicies,
        PersistencePolicies, PublishRate, RetentionPolicies, SubscribeRate,
    },
};

use super::values::{Quotas, TICK_MS};

/// Pulsar's default; it counts only while such topics are deleted.
const INACTIVE_SECONDS: i32 = 60;

pub(super) fn count(limit: u64) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

pub(super) fn bytes(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn seconds(time: Duration) -> i32 {
    count(time.as_secs())
}

pub(super) fn minutes(time: Duration) -> i32 {
    count(time.as_secs() / 60)
}

pub(super) fn retention(options: &Options) -> Option<RetentionPolicies> {
    let options = &options.managed_ledger;
    Some(RetentionPolicies {
        retention_time_in_minutes: options.retention_time.map_or(-1, minutes),
        retention_size_in_mb: options.retention_bytes.map_or(-1, |kept| bytes(kept >> 20)),
    })
}

pub(super) fn quotas(options: &Options) -> Option<Quotas> {
    let action = |action: Option<QuotaAction>| action.map(|action| action.name().to_owned());
    let of_size = BacklogQuota {
        limit_size: Some(options.backlog_bytes.map_or(-1, |(limit, _)| bytes(limit))),
        limit_time: Some(-1),
        policy: action(options.backlog_bytes.map(|(_, action)| action)),
        ..BacklogQuota::default()
    };
    let of_age = BacklogQuota {
        limit_size: Some(-1),
        limit_time: Some(options.backlog_age.map_or(-1, |(limit, _)| seconds(limit))),
        policy: action(options.backlog_age.map(|(_, action)| action)),
        ..BacklogQuota::default()
    };
    let kinds = [("destination_storage", of_size), ("message_age", of_age)];
    Some(kinds.into_iter().map(|(kind, quota)| (kind.to_owned(), Some(quota))).collect())
}

pub(super) fn inactive(options: &Options) -> Option<InactiveTopicPolicies> {
    let mode = options.inactivity.map_or(InactiveMode::NoSubscriptions, |(mode, _)| mode);
    Some(InactiveTopicPolicies {
        inactive_topic_delete_mode: mode.name().to_owned(),
        max_inactive_duration_seconds: options
            .inactivity
            .map_or(INACTIVE_SECONDS, |(_, time)| seconds(time)),
        delete_while_inactive: options.inactivity.is_some(),
        ..InactiveTopicPolicies::default()
    })
}

pub(super) fn rate(rate: &geminga_broker::DispatchRate) -> DispatchRate {
    DispatchRate {
        dispatch_throttling_rate_in_msg: rate.messages.map_or(-1, count),
        dispatch_throttling_rate_in_byte: rate.bytes.map_or(-1, bytes),
        relative_to_publish_rate: rate.is_relative,
        rate_period_in_second: seconds(rate.period),
        ..DispatchRate::default()
    }
}

pub(super) fn publish_rate(rate: geminga_broker::PublishRate) -> PublishRate {
    PublishRate {
        publish_throttling_rate_in_msg: rate.messages.map_or(-1, count),
        publish_throttling_rate_in_byte: rate.bytes.map_or(-1, bytes),
        ..PublishRate::default()
    }
}

pub(super) fn delays(options: &Options) -> Option<DelayedDeliveryPolicies> {
    Some(DelayedDeliveryPolicies {
        active: options.delayed.is_enabled,
        tick_time: TICK_MS,
        max_delivery_delay_in_millis: Some(
            i64::try_from(options.delayed.delay_ms_max).unwrap_or(0),
        ),
        ..DelayedDeliveryPolicies::default()
    })
}

pub(super) fn subscription_types(options: &Options) -> Option<BTreeSet<String>> {
    Some(options.limits.subscription_kinds.names().map(str::to_owned).collect())
}

/// Pulsar's default period; it counts only while there is a limit.
const SUBSCRIBE_SECONDS: i32 = 30;

pub(super) fn subscribe_rate(options: &Options) -> Option<SubscribeRate> {
    let rate = options.limits.subscribe_rate;
    Some(SubscribeRate {
        subscribe_throttling_rate_per_consumer: rate.map_or(0, |rate| count(rate.times)),
        rate_period_in_second: rate.map_or(SUBSCRIBE_SECONDS, |rate| seconds(rate.period)),
    })
}

pub(super) fn persistence(options: &Options) -> Option<PersistencePolicies> {
    let ledger = &options.managed_ledger.ledger;
    Some(PersistencePolicies {
        bookkeeper_ensemble: ledger.ensemble_size,
        bookkeeper_write_quorum: ledger.write_quorum,
        bookkeeper_ack_quorum: ledger.ack_quorum,
        managed_ledger_max_mark_delete_rate: 0.0,
        ..PersistencePolicies::default()
    })
}
