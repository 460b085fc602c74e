//! The table of policies: each is a row, which every level that has it shares.

use geminga_broker::admin::{
    DelayedDeliveryPolicies, DispatchRate, InactiveTopicPolicies, PublishRate, RetentionPolicies,
};

use super::{
    broker,
    policy::{At, Place, Policy, Row},
    values::{self, Quotas, UNDEFINED},
};

/// All of them.
pub(super) static TABLE: &[&dyn Row] = &[
    &RETENTION,
    &MESSAGE_TTL,
    &SUBSCRIPTION_EXPIRY,
    &BACKLOG_QUOTAS,
    &INACTIVE_TOPICS,
    &DISPATCH_RATE,
    &SUBSCRIPTION_DISPATCH_RATE,
    &PUBLISH_RATE,
    &PRODUCERS,
    &UNACKED_OF_CONSUMER,
    &UNACKED_OF_SUBSCRIPTION,
    &DEDUPLICATION,
    &COMPACTION_THRESHOLD,
    &DELAYED_DELIVERY,
    &ENCRYPTION,
    &SCHEMA_STRATEGY,
    &SCHEMA_UPDATE_STRATEGY,
    &SCHEMA_VALIDATION,
    &SCHEMA_UPDATES,
];

/// A policy that is one field of the record.
macro_rules! field {
    ($place:expr, $field:ident) => {
        At {
            place: $place,
            get: |policies, _| policies.$field.clone(),
            set: |policies, _, value| policies.$field = value,
        }
    };
}

/// One that is a field by cluster.
macro_rules! field_of_cluster {
    ($place:expr, $field:ident) => {
        At {
            place: $place,
            get: |policies, options| policies.$field.get(&options.cluster).cloned(),
            set: |policies, options, value| match value {
                Some(value) => _ = policies.$field.insert(options.cluster.clone(), value),
                None => _ = policies.$field.remove(&options.cluster),
            },
        }
    };
}

/// One that is always there.
macro_rules! plain_field {
    ($place:expr, $field:ident) => {
        At {
            place: $place.lasting(),
            get: |policies, _| Some(policies.$field),
            set: |policies, _, value| policies.$field = value.unwrap_or_default(),
        }
    };
}

/// Quotas by kind.
macro_rules! quotas {
    ($field:ident) => {
        At {
            place: Place { read: "backlogQuotaMap", ..Place::of("backlogQuota") },
            get: |policies, _| {
                let quotas = policies.$field.iter();
                Some(quotas.map(|(kind, quota)| (kind.clone(), Some(quota.clone()))).collect())
            },
            set: |policies, _, value| {
                for (kind, quota) in value.unwrap_or_default() {
                    match quota {
                        Some(quota) => _ = policies.$field.insert(kind, quota),
                        None => _ = policies.$field.remove(&kind),
                    }
                }
            },
        }
    };
}

static RETENTION: Policy<RetentionPolicies> = Policy::new(
    values::retention,
    broker::retention,
    field!(Place::of("retention"), retention_policies),
);

static MESSAGE_TTL: Policy<i32> = Policy::new(
    |request, _| values::count(request, "message TTL"),
    |options| Some(options.message_ttl.map_or(0, broker::seconds)),
    field!(Place::of("messageTTL"), message_ttl_in_seconds),
);

static SUBSCRIPTION_EXPIRY: Policy<i32> = Policy::new(
    |request, _| values::count(request, "subscription expiration time"),
    |options| Some(options.subscription_expiry.map_or(0, broker::minutes)),
    field!(Place::of("subscriptionExpirationTime"), subscription_expiration_time_minutes),
);

static BACKLOG_QUOTAS: Policy<Quotas> = Policy {
    removed: values::no_quota,
    join: |upper, mut lower| {
        lower.extend(upper);
        lower
    },
    ..Policy::new(values::quota, broker::quotas, quotas!(backlog_quota_map))
};

static INACTIVE_TOPICS: Policy<InactiveTopicPolicies> = Policy::new(
    values::inactive,
    broker::inactive,
    field!(Place::of("inactiveTopicPolicies"), inactive_topic_policies),
);

static DISPATCH_RATE: Policy<DispatchRate> = Policy::new(
    values::rate,
    |options| Some(broker::rate(&options.dispatch.topic)),
    field_of_cluster!(Place::of("dispatchRate"), topic_dispatch_rate),
);

static SUBSCRIPTION_DISPATCH_RATE: Policy<DispatchRate> = Policy::new(
    values::rate,
    |options| Some(broker::rate(&options.dispatch.subscription)),
    field_of_cluster!(Place::of("subscriptionDispatchRate"), subscription_dispatch_rate),
);

/// One without limits leaves it to the level below, as in Pulsar.
static PUBLISH_RATE: Policy<PublishRate> = Policy {
    counts: |rate| {
        0 < rate.publish_throttling_rate_in_msg || 0 < rate.publish_throttling_rate_in_byte
    },
    ..Policy::new(
        |request, _| request.json(),
        |options| Some(broker::publish_rate(options.publishing.topic_rate)),
        field_of_cluster!(Place::of("publishRate"), publish_rate),
    )
};

static PRODUCERS: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maxProducers"),
    |options| Some(broker::count(options.publishing.producers_per_topic_max)),
    field!(Place::of("maxProducersPerTopic"), max_producers_per_topic),
);

static UNACKED_OF_CONSUMER: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maximum of a consumer's unacked messages"),
    |options| Some(broker::count(options.limits.unacked_per_consumer_max as u64)),
    field!(Place::of("maxUnackedMessagesPerConsumer"), max_unacked_messages_per_consumer),
);

static UNACKED_OF_SUBSCRIPTION: Policy<i32> = Policy::new(
    |request, _| values::count(request, "maximum of a subscription's unacked messages"),
    |options| Some(broker::count(options.limits.unacked_per_subscription_max as u64)),
    field!(Place::of("maxUnackedMessagesPerSubscription"), max_unacked_messages_per_subscription),
);

static DEDUPLICATION: Policy<bool> = Policy::new(
    |request, _| request.json(),
    |options| Some(options.deduplication.is_enabled),
    field!(Place::of("deduplication"), deduplication_enabled),
);

static COMPACTION_THRESHOLD: Policy<i64> = Policy::new(
    values::threshold,
    |options| Some(options.compaction.threshold_bytes.map_or(0, broker::bytes)),
    field!(Place::of("compactionThreshold").by_put(), compaction_threshold),
);

static DELAYED_DELIVERY: Policy<DelayedDeliveryPolicies> = Policy::new(
    values::delays,
    broker::delays,
    field!(Place::of("delayedDelivery"), delayed_delivery_policies),
);

static ENCRYPTION: Policy<bool> = Policy {
    join: |upper, lower| upper || lower,
    ..Policy::new(
        |request, _| values::required(request, "true or false"),
        |options| Some(options.publishing.requires_encryption),
        plain_field!(Place::of("encryptionRequired"), encryption_required),
    )
};

static SCHEMA_STRATEGY: Policy<String> = Policy {
    counts: |name| name != UNDEFINED,
    ..Policy::new(
        |request, _| values::strategy(request),
        |options| Some(options.schema.strategy.to_string()),
        At {
            place: Place::of("schemaCompatibilityStrategy").by_put().lasting(),
            get: |policies, _| {
                let own = policies.schema_compatibility_strategy.clone();
                Some(own.unwrap_or_else(|| UNDEFINED.to_owned()))
            },
            set: |policies, _, value| policies.schema_compatibility_strategy = value,
        },
    )
};

/// What [`SCHEMA_STRATEGY`] has replaced.
static SCHEMA_UPDATE_STRATEGY: Policy<String> = Policy::new(
    |request, _| values::update_strategy(request),
    |_| None,
    field!(
        Place::of("schemaAutoUpdateCompatibilityStrategy").by_put().lasting(),
        schema_auto_update_compatibility_strategy
    ),
);

static SCHEMA_VALIDATION: Policy<bool> = Policy {
    join: |upper, lower| upper || lower,
    ..Policy::new(
        |request, _| values::required(request, "true or false"),
        |options| Some(options.schema.is_validated),
        plain_field!(Place::of("schemaValidationEnforced"), schema_validation_enforced),
    )
};

static SCHEMA_UPDATES: Policy<bool> = Policy::new(
    |request, _| values::required(request, "true or false"),
    |options| Some(options.schema.allows_update),
    At {
        place: Place::of("isAllowAutoUpdateSchema").lasting(),
        get: |policies, options| {
            Some(policies.is_allow_auto_update_schema.unwrap_or(options.schema.allows_update))
        },
        set: |policies, _, value| policies.is_allow_auto_update_schema = value,
    },
);
