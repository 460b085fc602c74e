//! What governs a topic: the policies of its namespace, and this broker's configuration where they
//! are silent.
//!
//! A change of a namespace's record reaches its loaded topics within a moment, whoever made it: this
//! broker follows the records.
//!
//! # Invariants
//!
//! 1. A loaded topic ends up with the latest policies: one that loads while they change reads them
//!    again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use geminga_metadata::{
    Change, MetadataError, Watch, paths,
    values::policies::{self, BacklogQuota, Policies},
};
use geminga_types::{NamespaceName, TopicName};
use tracing::warn;

use crate::{DispatchRate, Options, PublishRate, creation::AutoCreation, load::Topics, namespace};

/// How long after a failed look at the policies the next one is.
const RETRY: Duration = Duration::from_secs(1);

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
    /// How fast clients may publish.
    pub(crate) publish_rate: PublishRate,
    /// Producers, at most; 0 is no limit.
    pub(crate) producers_max: u64,
    /// Producers of one address, at most; 0 is no limit.
    pub(crate) producers_per_address_max: u64,
    /// Whether clients must encrypt.
    pub(crate) requires_encryption: bool,
    /// Whether subscriptions come into being by being used.
    pub(crate) creates_subscriptions: bool,
}

/// Counts the changes of policies that were heard of.
#[derive(Debug, Default)]
pub(crate) struct Changes(AtomicU64);

impl Changes {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn note(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl TopicPolicies {
    /// Those of a topic in a namespace with `policies`.
    pub(crate) fn of_topic(options: &Options, policies: &Policies, topic: &TopicName) -> Arc<Self> {
        Arc::new(Self::of(options, policies)).for_topic(topic)
    }

    fn of(options: &Options, policies: &Policies) -> Self {
        let managed_ledger = &options.managed_ledger;
        let mut found = Self {
            retention_time: managed_ledger.retention_time,
            retention_bytes: managed_ledger.retention_bytes,
            message_ttl: options.message_ttl,
            subscription_expiry: options.subscription_expiry,
            backlog_bytes: options.backlog_bytes,
            backlog_age: options.backlog_age,
            inactivity: options.inactivity,
            dispatch_rate: options.dispatch.topic,
            subscription_dispatch_rate: options.dispatch.subscription,
            unacked_per_consumer_max: options.limits.unacked_per_consumer_max as u64,
            unacked_per_subscription_max: options.limits.unacked_per_subscription_max as u64,
            compaction_threshold: options.compaction.threshold_bytes,
            honours_delays: options.delayed.is_enabled,
            deduplication: policies
                .deduplication_enabled
                .unwrap_or(options.deduplication.is_enabled),
            publish_rate: options.publishing.topic_rate,
            producers_max: options.publishing.producers_per_topic_max,
            producers_per_address_max: options.publishing.producers_per_address_max,
            requires_encryption: policies.encryption_required
                || options.publishing.requires_encryption,
            creates_subscriptions: AutoCreation::of(options, policies).subscriptions,
        };
        if let Some(retention) = policies.retention_policies {
            let minutes = u64::try_from(retention.retention_time_in_minutes).ok();
            found.retention_time = minutes.map(|count| Duration::from_secs(count * 60));
            let mib = u64::try_from(retention.retention_size_in_mb).ok();
            found.retention_bytes = mib.map(|count| count.saturating_mul(1 << 20));
        }
        if let Some(seconds) = policies.message_ttl_in_seconds {
            let seconds = u64::try_from(seconds).ok().filter(|&seconds| 0 < seconds);
            found.message_ttl = seconds.map(Duration::from_secs);
        }
        if let Some(minutes) = policies.subscription_expiration_time_minutes {
            let minutes = u64::try_from(minutes).ok().filter(|&minutes| 0 < minutes);
            found.subscription_expiry = minutes.map(|count| Duration::from_secs(count * 60));
        }
        found.set_backlog(policies);
        if let Some(given) = &policies.inactive_topic_policies {
            let mode = InactiveMode::named(&given.inactive_topic_delete_mode);
            let seconds = u64::try_from(given.max_inactive_duration_seconds).ok();
            let seconds = seconds.filter(|&seconds| 0 < seconds && given.delete_while_inactive);
            found.inactivity = mode.zip(seconds.map(Duration::from_secs));
        }
        if let Some(given) = policies.topic_dispatch_rate.get(&options.cluster) {
            found.dispatch_rate = rate(given);
        }
        if let Some(given) = policies.subscription_dispatch_rate.get(&options.cluster) {
            found.subscription_dispatch_rate = rate(given);
        }
        if let Some(bytes) = policies.compaction_threshold {
            found.compaction_threshold = u64::try_from(bytes).ok().filter(|&bytes| 0 < bytes);
        }
        if let Some(given) = &policies.delayed_delivery_policies {
            found.honours_delays = given.active;
        }
        found.set_counts(policies);
        let given = policies.publish_rate.get(&options.cluster);
        if let Some(rate) = given.and_then(publish_rate) {
            found.publish_rate = rate;
        }
        found
    }

    fn set_backlog(&mut self, policies: &Policies) {
        if let Some(quota) = policies.backlog_quota_map.get(BY_SIZE) {
            let limit = quota.limit_size.or(quota.limit).and_then(|max| u64::try_from(max).ok());
            self.backlog_bytes = limit.map(|max| (max, action(quota)));
        }
        if let Some(quota) = policies.backlog_quota_map.get(BY_AGE) {
            let limit = quota.limit_time.and_then(|max| u64::try_from(max).ok());
            let limit = limit.filter(|&max| 0 < max);
            self.backlog_age = limit.map(|max| (Duration::from_secs(max), action(quota)));
        }
    }

    fn set_counts(&mut self, policies: &Policies) {
        let count = |policy: Option<i32>| policy.and_then(|count| u64::try_from(count).ok());
        if let Some(max) = count(policies.max_unacked_messages_per_consumer) {
            self.unacked_per_consumer_max = max;
        }
        if let Some(max) = count(policies.max_unacked_messages_per_subscription) {
            self.unacked_per_subscription_max = max;
        }
        if let Some(max) = count(policies.max_producers_per_topic) {
            self.producers_max = max;
        }
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
            ..Self::clone(self)
        })
    }
}

impl Topics {
    /// Tells loaded topics what governs them whenever that changes, until the broker shuts down.
    pub(crate) async fn follow_policies(self: Arc<Self>, mut watch: Watch) {
        loop {
            let change = tokio::select! {
                biased;
                () = self.shutdown().cancelled() => return,
                change = watch.recv() => change,
            };
            self.policy_changes().note();
            match change {
                Some(Change::Path(path)) => {
                    if let Some(namespace) = paths::namespace_of(&path) {
                        self.tell_policies(|name| *name.namespace() == namespace).await;
                    }
                }
                Some(Change::Everything | Change::SessionRegained) => {
                    self.tell_policies(|_| true).await;
                }
                Some(Change::SessionLost) => {}
                None => return, // The store is gone, and with it the broker.
            }
        }
    }

    /// What governs the topics of a namespace; `None` when it is gone or damaged, or the broker shuts
    /// down.
    pub(crate) async fn topic_policies(
        &self,
        namespace: &NamespaceName,
    ) -> Option<Arc<TopicPolicies>> {
        let policies = loop {
            match namespace::policies(&self.deps().ledger, namespace).await {
                Ok(policies) => break policies?,
                Err(error) => {
                    warn!(%namespace, %error, "its policies could not be read");
                    if matches!(error, MetadataError::Corrupt(_)) {
                        return None;
                    }
                }
            }
            tokio::select! {
                biased;
                () = self.shutdown().cancelled() => return None,
                () = tokio::time::sleep(RETRY) => {}
            }
        };
        Some(Arc::new(TopicPolicies::of(&self.deps().options, &policies)))
    }

    async fn tell_policies(&self, is_meant: impl Fn(&TopicName) -> bool) {
        let mut known: Option<(NamespaceName, Option<Arc<TopicPolicies>>)> = None;
        for (name, handle) in self.loaded_where(is_meant) {
            let is_known = known.as_ref().is_some_and(|(known, _)| known == name.namespace());
            if !is_known {
                let policies = self.topic_policies(name.namespace()).await;
                known = Some((name.namespace().clone(), policies));
            }
            if let Some((_, Some(policies))) = &known {
                handle.set_policies(policies.for_topic(&name)).await;
            }
        }
    }
}
