//! What one level says about a topic: its own policies, or those of its namespace.

use std::collections::{BTreeMap, BTreeSet};

use geminga_metadata::values::policies::{
    BacklogQuota, DispatchRate, InactiveTopicPolicies, Policies, PublishRate, RetentionPolicies,
    SubscribeRate,
};

use crate::admin::{self, SubscriptionPolicies};

/// What one level says. Where it says nothing, the level below counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    pub(super) retention: Option<RetentionPolicies>,
    pub(super) message_ttl_seconds: Option<i32>,
    pub(super) subscription_expiry_minutes: Option<i32>,
    pub(super) backlog_quotas: &'a BTreeMap<String, BacklogQuota>,
    pub(super) inactivity: Option<&'a InactiveTopicPolicies>,
    pub(super) dispatch_rate: Option<&'a DispatchRate>,
    pub(super) subscription_dispatch_rate: Option<&'a DispatchRate>,
    pub(super) subscriptions: Option<&'a BTreeMap<String, SubscriptionPolicies>>,
    pub(super) unacked_per_consumer_max: Option<i32>,
    pub(super) unacked_per_subscription_max: Option<i32>,
    pub(super) deduplication: Option<bool>,
    pub(super) compaction_threshold: Option<i64>,
    pub(super) honours_delays: Option<bool>,
    pub(super) delay_ms_max: Option<i64>,
    pub(super) publish_rate: Option<&'a PublishRate>,
    pub(super) producers_max: Option<i32>,
    pub(super) consumers_max: Option<i32>,
    pub(super) consumers_per_subscription_max: Option<i32>,
    pub(super) subscriptions_max: Option<i32>,
    pub(super) message_bytes_max: Option<i32>,
    pub(super) subscription_kinds: &'a BTreeSet<String>,
    pub(super) subscribe_rate: Option<SubscribeRate>,
    pub(super) snapshot_interval_seconds: Option<i32>,
    pub(super) creates_subscriptions: Option<bool>,
}

impl<'a> Layer<'a> {
    /// What a namespace says in a cluster.
    pub(super) fn of_namespace(policies: &'a Policies, cluster: &str) -> Self {
        let delays = policies.delayed_delivery_policies.as_ref();
        let creation = policies.auto_subscription_creation_override;
        Self {
            retention: policies.retention_policies,
            message_ttl_seconds: policies.message_ttl_in_seconds,
            subscription_expiry_minutes: policies.subscription_expiration_time_minutes,
            backlog_quotas: &policies.backlog_quota_map,
            inactivity: policies.inactive_topic_policies.as_ref(),
            dispatch_rate: policies.topic_dispatch_rate.get(cluster),
            subscription_dispatch_rate: policies.subscription_dispatch_rate.get(cluster),
            subscriptions: None,
            unacked_per_consumer_max: policies.max_unacked_messages_per_consumer,
            unacked_per_subscription_max: policies.max_unacked_messages_per_subscription,
            deduplication: policies.deduplication_enabled,
            compaction_threshold: policies.compaction_threshold,
            honours_delays: delays.map(|delays| delays.active),
            delay_ms_max: delays.map(|delays| delays.max_delivery_delay_in_millis.unwrap_or(0)),
            publish_rate: policies.publish_rate.get(cluster),
            producers_max: policies.max_producers_per_topic,
            consumers_max: policies.max_consumers_per_topic,
            consumers_per_subscription_max: policies.max_consumers_per_subscription,
            subscriptions_max: policies.max_subscriptions_per_topic,
            message_bytes_max: None,
            subscription_kinds: &policies.subscription_types_enabled,
            subscribe_rate: policies.subscribe_rate.get(cluster).copied(),
            snapshot_interval_seconds: policies.deduplication_snapshot_interval_seconds,
            creates_subscriptions: creation.map(|it| it.allow_auto_subscription_creation),
        }
    }

    /// What a topic says.
    pub(super) fn of_topic(policies: &'a admin::TopicPolicies) -> Self {
        let creation = policies.auto_subscription_creation_override;
        Self {
            retention: policies.retention_policies,
            message_ttl_seconds: policies.message_ttl_in_seconds,
            subscription_expiry_minutes: None,
            backlog_quotas: &policies.backlog_quota_map,
            inactivity: policies.inactive_topic_policies.as_ref(),
            dispatch_rate: policies.dispatch_rate.as_ref(),
            subscription_dispatch_rate: policies.subscription_dispatch_rate.as_ref(),
            subscriptions: Some(&policies.subscription_policies),
            unacked_per_consumer_max: policies.max_unacked_messages_on_consumer,
            unacked_per_subscription_max: policies.max_unacked_messages_on_subscription,
            deduplication: policies.deduplication_enabled,
            compaction_threshold: policies.compaction_threshold,
            honours_delays: policies.delayed_delivery_enabled,
            delay_ms_max: policies.delayed_delivery_max_delay_in_millis,
            publish_rate: policies.publish_rate.as_ref(),
            producers_max: policies.max_producer_per_topic,
            consumers_max: policies.max_consumer_per_topic,
            consumers_per_subscription_max: policies.max_consumers_per_subscription,
            subscriptions_max: policies.max_subscriptions_per_topic,
            message_bytes_max: policies.max_message_size,
            subscription_kinds: &policies.subscription_types_enabled,
            subscribe_rate: policies.subscribe_rate,
            snapshot_interval_seconds: policies.deduplication_snapshot_interval_seconds,
            creates_subscriptions: creation.map(|it| it.allow_auto_subscription_creation),
        }
    }
}
