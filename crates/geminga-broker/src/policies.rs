//! What governs a topic: its own policies, those of its namespace where they are silent, and this
//! broker's configuration where both are.
//!
//! A change of a record reaches the loaded topics that it is about within a moment, whoever made it: this
//! broker [follows](follow) the records.
//!
//! # Invariants
//!
//! 1. A loaded topic ends up with the latest policies: one that loads while they change reads them
//!    again.
//! 2. Policies of a topic go with it: none are stored for one that does not exist.

mod follow;
mod layer;
mod store;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use geminga_metadata::values::policies::{self, BacklogQuota, Policies};
use geminga_types::TopicName;
use tokio::sync::Notify;

use self::layer::Layer;
pub(crate) use self::store::{InMetadata, PolicyStore};
use crate::{
    DispatchRate, Options, PublishRate, SubscribeRate, SubscriptionKinds, admin, namespace,
};

/// The kinds of quota, as they are stored.
const BY_SIZE: &str = "destination_storage";
const BY_AGE: &str = "message_age";

/// What is done when too much waits for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaAction {
    /// Producers wait until there is less (`producer_request_hold`).
    #[default]
    Hold,
    /// Producers fail (`producer_exception`).
    Refuse,
    /// The oldest messages count as acked (`consumer_backlog_eviction`).
    Evict,
}

/// Which topics without producers and consumers are inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InactiveMode {
    /// Those without subscriptions (`delete_when_no_subscriptions`).
    NoSubscriptions,
    /// Also those whose subscriptions have everything acked (`delete_when_subscriptions_caught_up`).
    CaughtUp,
}

impl InactiveMode {
    /// The mode of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "delete_when_no_subscriptions" => Some(Self::NoSubscriptions),
            "delete_when_subscriptions_caught_up" => Some(Self::CaughtUp),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoSubscriptions => "delete_when_no_subscriptions",
            Self::CaughtUp => "delete_when_subscriptions_caught_up",
        }
    }
}

impl QuotaAction {
    /// The action of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "producer_request_hold" => Some(Self::Hold),
            "producer_exception" => Some(Self::Refuse),
            "consumer_backlog_eviction" => Some(Self::Evict),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hold => "producer_request_hold",
            Self::Refuse => "producer_exception",
            Self::Evict => "consumer_backlog_eviction",
        }
    }
}

fn rate(given: &policies::DispatchRate) -> DispatchRate {
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|&limit| 0 < limit);
    DispatchRate {
        messages: limit(i64::from(given.dispatch_throttling_rate_in_msg)),
        bytes: limit(given.dispatch_throttling_rate_in_byte),
        period: Duration::from_secs(u64::from(given.rate_period_in_second.unsigned_abs()).max(1)),
        is_relative: given.relative_to_publish_rate,
    }
}

/// As Pulsar has it, a rate without limits is none.
fn publish_rate(given: &policies::PublishRate) -> Option<PublishRate> {
    let limit = |limit: i64| u64::try_from(limit).ok().filter(|&limit| 0 < limit);
    let rate = PublishRate {
        messages: limit(i64::from(given.publish_throttling_rate_in_msg)),
        bytes: limit(given.publish_throttling_rate_in_byte),
    };
    Some(rate).filter(PublishRate::is_limited)
}

fn subscribe_rate(given: policies::SubscribeRate) -> Option<SubscribeRate> {
    let positive = |count: i32| u64::try_from(count).ok().filter(|&count| 0 < count);
    let times = positive(given.subscribe_throttling_rate_per_consumer)?;
    let period = Duration::from_secs(positive(given.rate_period_in_second)?);
    Some(SubscribeRate { times, period })
}

fn action(quota: &BacklogQuota) -> QuotaAction {
    quota.policy.as_deref().and_then(QuotaAction::named).unwrap_or_default()
}

/// What governs a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicPolicies {
    /// How long what everybody has acked is kept; `None`: for ever.
    pub(crate) retention_time: Option<Duration>,
    /// How much of that is kept, in bytes; `None`: all of it.
    pub(crate) retention_bytes: Option<u64>,
    /// How long an unacked message lives; `None`: for ever.
    pub(crate) message_ttl: Option<Duration>,
    /// How long a durable subscription stays without consumers; `None`: for ever.
    pub(crate) subscription_expiry: Option<Duration>,
    /// How much may wait for a subscription, in bytes, and what is done beyond.
    pub(crate) backlog_bytes: Option<(u64, QuotaAction)>,
    /// How old what waits for a subscription may be, and what is done beyond.
    pub(crate) backlog_age: Option<(Duration, QuotaAction)>,
    /// When it is deleted if it is not used, and for how long; `None`: never.
    pub(crate) inactivity: Option<(InactiveMode, Duration)>,
    /// How fast the topic's messages go out.
    pub(crate) dispatch_rate: DispatchRate,
    /// How fast those of one subscription do.
    pub(crate) subscription_dispatch_rate: DispatchRate,
    /// How fast those of subscriptions of which the topic says it by name do.
    pub(crate) dispatch_rates_by_name: BTreeMap<String, DispatchRate>,
    /// Unacked messages of one consumer, at most; 0 is no limit.
    pub(crate) unacked_per_consumer_max: u64,
    /// Unacked messages of one subscription, at most; 0 is no limit.
    pub(crate) unacked_per_subscription_max: u64,
    /// Whether clients' messages that are stored already are dropped.
    pub(crate) deduplication: bool,
    /// How much may be not compacted before it is; `None`: it is compacted by request alone.
    pub(crate) compaction_threshold: Option<u64>,
    /// Whether messages with a time wait for it.
    pub(crate) honours_delays: bool,
    /// For how many milliseconds, at most.
    pub(crate) delay_ms_max: u64,
    /// How fast clients may publish.
    pub(crate) publish_rate: PublishRate,
    /// Producers, at most; 0 is no limit.
    pub(crate) producers_max: u64,
    /// Producers of one address, at most; 0 is no limit.
    pub(crate) producers_per_address_max: u64,
    /// Whether clients must encrypt.
    pub(crate) requires_encryption: bool,
    /// Consumers, at most; 0 is no limit.
    pub(crate) consumers_max: u64,
    /// Consumers of one subscription, at most; 0 is no limit.
    pub(crate) consumers_per_subscription_max: u64,
    /// Durable subscriptions, at most; 0 is no limit.
    pub(crate) subscriptions_max: u64,
    /// Whether subscriptions come into being by being used.
    pub(crate) creates_subscriptions: bool,
    /// The resource group whose rates count for it too.
    pub(crate) resource_group: Option<Arc<str>>,
    /// Bytes of what a client sends as one message, at most, unless it is a chunk.
    pub(crate) message_bytes_max: usize,
    /// Which kinds of subscription there may be.
    pub(crate) subscription_kinds: SubscriptionKinds,
    /// How often a consumer may come; `None` is no limit.
    pub(crate) subscribe_rate: Option<SubscribeRate>,
    /// When what is known of producers is stored if little has come; `None`: then never.
    pub(crate) snapshot_interval: Option<Duration>,
}

/// Counts the changes of policies that were heard of, and knows who waits for loaded topics to follow.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    heard: AtomicU64,
    asked: AtomicU64,
    answered: AtomicU64,
    /// Whether the configuration has changed, and so what governs any topic.
    concerns_all: AtomicBool,
    ask: Notify,
    answer: Notify,
}

/// How long whoever has changed policies waits for loaded topics to follow.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

impl Changes {
    pub(crate) fn count(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }

    fn note(&self) {
        self.heard.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until loaded topics were told of what has changed until now. Not for ever: they follow all
    /// the same.
    pub(crate) async fn followed(&self) {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.ask.notify_one();
        let told = async {
            loop {
                let answer = self.answer.notified();
                if number <= self.answered.load(Ordering::SeqCst) {
                    return;
                }
                answer.await;
            }
        };
        _ = tokio::time::timeout(FOLLOWED_WITHIN, told).await;
    }

    /// How many have asked until now.
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether some of the first that asked have no answer.
    fn owes(&self, asked: u64) -> bool {
        self.answered.load(Ordering::SeqCst) < asked
    }

    fn answer(&self, asked: u64) {
        self.answered.store(asked, Ordering::SeqCst);
        self.answer.notify_waiters();
    }
}

impl TopicPolicies {
    /// Those of a topic with its own policies, if it has any, in a namespace with `policies`.
    pub(crate) fn of_topic(
        options: &Options,
        policies: &Policies,
        own: Option<&admin::TopicPolicies>,
        topic: &TopicName,
    ) -> Arc<Self> {
        Arc::new(Self::of(options, policies, own)).for_topic(topic)
    }

    fn of(options: &Options, policies: &Policies, own: Option<&admin::TopicPolicies>) -> Self {
        let mut found = Self::of_broker(options);
        found.resource_group = policies.resource_group_name.as_deref().map(Arc::from);
        found.requires_encryption |= policies.encryption_required;
        found.apply(Layer::of_namespace(policies, &options.cluster));
        if let Some(own) = own {
            found.apply(Layer::of_topic(own));
        }
        found
    }

    fn of_broker(options: &Options) -> Self {
        let managed_ledger = &options.managed_ledger;
        Self {
            retention_time: managed_ledger.retention_time,
            retention_bytes: managed_ledger.retention_bytes,
            message_ttl: options.message_ttl,
            subscription_expiry: options.subscription_expiry,
            backlog_bytes: options.backlog_bytes,
            backlog_age: options.backlog_age,
            inactivity: options.inactivity,
            dispatch_rate: options.dispatch.topic,
            subscription_dispatch_rate: options.dispatch.subscription,
            dispatch_rates_by_name: BTreeMap::new(),
            unacked_per_consumer_max: options.limits.unacked_per_consumer_max as u64,
            unacked_per_subscription_max: options.limits.unacked_per_subscription_max as u64,
            deduplication: options.deduplication.is_enabled,
            compaction_threshold: options.compaction.threshold_bytes,
            honours_delays: options.delayed.is_enabled,
            delay_ms_max: options.delayed.delay_ms_max,
            publish_rate: options.publishing.topic_rate,
            producers_max: options.publishing.producers_per_topic_max,
            producers_per_address_max: options.publishing.producers_per_address_max,
            requires_encryption: options.publishing.requires_encryption,
            consumers_max: options.limits.consumers_per_topic_max,
            consumers_per_subscription_max: options.limits.consumers_per_subscription_max,
            subscriptions_max: options.limits.subscriptions_per_topic_max,
            message_bytes_max: usize::MAX,
            subscription_kinds: options.limits.subscription_kinds,
            subscribe_rate: options.limits.subscribe_rate,
            snapshot_interval: options.deduplication.snapshot_interval,
            resource_group: None,
            creates_subscriptions: options.auto_subscription_creation,
        }
    }

    /// What a level says replaces what is there.
    fn apply(&mut self, layer: Layer<'_>) {
        self.apply_lifetimes(layer);
        self.apply_backlog(layer);
        self.apply_counts(layer);
        if let Some(given) = layer.dispatch_rate {
            self.dispatch_rate = rate(given);
        }
        if let Some(given) = layer.subscription_dispatch_rate {
            self.subscription_dispatch_rate = rate(given);
        }
        for (name, given) in layer.subscriptions.into_iter().flatten() {
            if let Some(given) = &given.dispatch_rate {
                self.dispatch_rates_by_name.insert(name.clone(), rate(given));
            }
        }
        if let Some(rate) = layer.publish_rate.and_then(publish_rate) {
            self.publish_rate = rate;
        }
        if let Some(bytes) = layer.compaction_threshold {
            self.compaction_threshold = u64::try_from(bytes).ok().filter(|&bytes| 0 < bytes);
        }
        if let Some(bytes) = layer.message_bytes_max {
            let limit = usize::try_from(bytes).ok().filter(|&bytes| 0 < bytes);
            self.message_bytes_max = limit.unwrap_or(usize::MAX);
        }
        self.apply_subscribing(layer);
        if let Some(seconds) = layer.snapshot_interval_seconds {
            let seconds = u64::try_from(seconds).ok().filter(|&seconds| 0 < seconds);
            self.snapshot_interval = seconds.map(Duration::from_secs);
        }
        self.deduplication = layer.deduplication.unwrap_or(self.deduplication);
        self.honours_delays = layer.honours_delays.unwrap_or(self.honours_delays);
        if let Some(limit) = layer.delay_ms_max {
            let limit = u64::try_from(limit).ok().filter(|&limit| 0 < limit);
            self.delay_ms_max = limit.unwrap_or(u64::MAX);
        }
    }

    fn apply_subscribing(&mut self, layer: Layer<'_>) {
        let kinds = layer.subscription_kinds.iter().map(String::as_str);
        self.subscription_kinds =
            SubscriptionKinds::named(kinds).unwrap_or(self.subscription_kinds);
        if let Some(given) = layer.subscribe_rate {
            self.subscribe_rate = subscribe_rate(given);
        }
        self.creates_subscriptions =
            layer.creates_subscriptions.unwrap_or(self.creates_subscriptions);
    }

    fn apply_lifetimes(&mut self, layer: Layer<'_>) {
        if let Some(retention) = layer.retention {
            let minutes = u64::try_from(retention.retention_time_in_minutes).ok();
            self.retention_time = minutes.map(|count| Duration::from_secs(count * 60));
            let mib = u64::try_from(retention.retention_size_in_mb).ok();
            self.retention_bytes = mib.map(|count| count.saturating_mul(1 << 20));
        }
        let positive = |count: i32| u64::try_from(count).ok().filter(|&count| 0 < count);
        if let Some(seconds) = layer.message_ttl_seconds {
            self.message_ttl = positive(seconds).map(Duration::from_secs);
        }
        if let Some(minutes) = layer.subscription_expiry_minutes {
            self.subscription_expiry =
                positive(minutes).map(|count| Duration::from_secs(count * 60));
        }
        if let Some(given) = layer.inactivity {
            let mode = InactiveMode::named(&given.inactive_topic_delete_mode);
            let seconds = positive(given.max_inactive_duration_seconds);
            let seconds = seconds.filter(|_| given.delete_while_inactive);
            self.inactivity = mode.zip(seconds.map(Duration::from_secs));
        }
    }

    fn apply_backlog(&mut self, layer: Layer<'_>) {
        if let Some(quota) = layer.backlog_quotas.get(BY_SIZE) {
            let limit = quota.limit_size.or(quota.limit).and_then(|max| u64::try_from(max).ok());
            self.backlog_bytes = limit.map(|max| (max, action(quota)));
        }
        if let Some(quota) = layer.backlog_quotas.get(BY_AGE) {
            let limit = quota.limit_time.and_then(|max| u64::try_from(max).ok());
            let limit = limit.filter(|&max| 0 < max);
            self.backlog_age = limit.map(|max| (Duration::from_secs(max), action(quota)));
        }
    }

    fn apply_counts(&mut self, layer: Layer<'_>) {
        let replace = |limit: &mut u64, given: Option<i32>| {
            if let Some(max) = given.and_then(|count| u64::try_from(count).ok()) {
                *limit = max;
            }
        };
        replace(&mut self.unacked_per_consumer_max, layer.unacked_per_consumer_max);
        replace(&mut self.unacked_per_subscription_max, layer.unacked_per_subscription_max);
        replace(&mut self.producers_max, layer.producers_max);
        replace(&mut self.consumers_max, layer.consumers_max);
        replace(&mut self.consumers_per_subscription_max, layer.consumers_per_subscription_max);
        replace(&mut self.subscriptions_max, layer.subscriptions_max);
    }

    /// How fast the messages of a subscription go out.
    pub(crate) fn rate_of_subscription(&self, name: &str) -> &DispatchRate {
        self.dispatch_rates_by_name.get(name).unwrap_or(&self.subscription_dispatch_rate)
    }

    /// The time to live in milliseconds.
    pub(crate) fn ttl_ms(&self) -> Option<u64> {
        self.message_ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok())
    }

    /// The age at which messages go, by their time to live or by an age quota that evicts them.
    pub(crate) fn lifetime_ms(&self) -> Option<u64> {
        let evicted = self.backlog_age.filter(|(_, action)| *action == QuotaAction::Evict);
        let evicted = evicted.and_then(|(age, _)| u64::try_from(age.as_millis()).ok());
        self.ttl_ms().into_iter().chain(evicted).min()
    }

    /// The brokers' own topics keep what is in them.
    pub(crate) fn for_topic(self: &Arc<Self>, topic: &TopicName) -> Arc<Self> {
        if !namespace::is_system_topic(topic) {
            return Arc::clone(self);
        }
        Arc::new(Self {
            message_ttl: None,
            subscription_expiry: None,
            inactivity: None,
            backlog_bytes: None,
            backlog_age: None,
            compaction_threshold: None,
            deduplication: false,
            publish_rate: PublishRate::UNLIMITED,
            producers_max: 0,
            producers_per_address_max: 0,
            requires_encryption: false,
            consumers_max: 0,
            consumers_per_subscription_max: 0,
            subscriptions_max: 0,
            message_bytes_max: usize::MAX,
            delay_ms_max: u64::MAX,
            subscription_kinds: SubscriptionKinds::ALL,
            subscribe_rate: None,
            ..Self::clone(self)
        })
    }
}

#[cfg(test)]
mod tests;
