use serde_json::json;

use super::*;

/// As of a broker that says something of everything.
fn of_broker() -> TopicPolicies {
    TopicPolicies {
        retention_time: Some(Duration::from_secs(60)),
        retention_bytes: Some(1 << 20),
        message_ttl: Some(Duration::from_secs(1)),
        subscription_expiry: Some(Duration::from_secs(60)),
        backlog_bytes: Some((1, QuotaAction::Hold)),
        backlog_age: Some((Duration::from_secs(1), QuotaAction::Hold)),
        inactivity: Some((InactiveMode::NoSubscriptions, Duration::from_secs(1))),
        dispatch_rate: DispatchRate { messages: Some(1), ..DispatchRate::UNLIMITED },
        subscription_dispatch_rate: DispatchRate { messages: Some(1), ..DispatchRate::UNLIMITED },
        dispatch_rates_by_name: BTreeMap::new(),
        unacked_per_consumer_max: 1,
        unacked_per_subscription_max: 1,
        deduplication: false,
        compaction_threshold: Some(1),
        honours_delays: true,
        delay_ms_max: u64::MAX,
        publish_rate: PublishRate { messages: Some(1), bytes: None },
        producers_max: 1,
        producers_per_address_max: 1,
        requires_encryption: false,
        consumers_max: 1,
        consumers_per_subscription_max: 1,
        subscriptions_max: 1,
        message_bytes_max: usize::MAX,
        subscription_kinds: SubscriptionKinds::ALL,
        subscribe_rate: None,
        snapshot_interval: None,
        resource_group: None,
        creates_subscriptions: true,
    }
}

/// All that a namespace can say, with this number.
fn namespace(number: i32) -> Policies {
    serde_json::from_value(json!({
        "retention_policies": {"retentionTimeInMinutes": number, "retentionSizeInMB": number},
        "message_ttl_in_seconds": number,
        "subscription_expiration_time_minutes": number,
        "backlog_quota_map": {
            "destination_storage": {"limitSize": number, "policy": "producer_exception"},
            "message_age": {"limitTime": number, "policy": "producer_exception"},
        },
        "inactive_topic_policies": {
            "inactiveTopicDeleteMode": "delete_when_subscriptions_caught_up",
            "maxInactiveDurationSeconds": number, "deleteWhileInactive": true,
        },
        "topicDispatchRate": {"c": {"dispatchThrottlingRateInMsg": number}},
        "subscriptionDispatchRate": {"c": {"dispatchThrottlingRateInMsg": number}},
        "publishMaxMessageRate": {"c": {"publishThrottlingRateInMsg": number}},
        "max_unacked_messages_per_consumer": number,
        "max_unacked_messages_per_subscription": number,
        "deduplicationEnabled": true,
        "compaction_threshold": number,
        "delayed_delivery_policies": {
            "active": false, "tickTime": 1, "maxDeliveryDelayInMillis": number,
        },
        "max_producers_per_topic": number,
        "max_consumers_per_topic": number,
        "max_consumers_per_subscription": number,
        "max_subscriptions_per_topic": number,
        "subscription_types_enabled": ["Shared"],
        "clusterSubscribeRate": {
            "c": {"subscribeThrottlingRatePerConsumer": number, "ratePeriodInSecond": number},
        },
        "deduplicationSnapshotIntervalSeconds": number,
        "autoSubscriptionCreationOverride": {"allowAutoSubscriptionCreation": false},
    }))
    .unwrap()
}

/// The same of a topic, which can say less and more.
fn topic(number: i32) -> admin::TopicPolicies {
    serde_json::from_value(json!({
        "retentionPolicies": {"retentionTimeInMinutes": number, "retentionSizeInMB": number},
        "messageTTLInSeconds": number,
        "backLogQuotaMap": {
            "destination_storage": {"limitSize": number, "policy": "producer_exception"},
            "message_age": {"limitTime": number, "policy": "producer_exception"},
        },
        "inactiveTopicPolicies": {
            "inactiveTopicDeleteMode": "delete_when_subscriptions_caught_up",
            "maxInactiveDurationSeconds": number, "deleteWhileInactive": true,
        },
        "dispatchRate": {"dispatchThrottlingRateInMsg": number},
        "subscriptionDispatchRate": {"dispatchThrottlingRateInMsg": number},
        "publishRate": {"publishThrottlingRateInMsg": number},
        "maxUnackedMessagesOnConsumer": number,
        "maxUnackedMessagesOnSubscription": number,
        "deduplicationEnabled": true,
        "compactionThreshold": number,
        "delayedDeliveryEnabled": false,
        "delayedDeliveryMaxDelayInMillis": number,
        "maxProducerPerTopic": number,
        "maxConsumerPerTopic": number,
        "maxConsumersPerSubscription": number,
        "maxSubscriptionsPerTopic": number,
        "maxMessageSize": number,
        "subscriptionTypesEnabled": ["Shared", "of the future"],
        "subscribeRate": {
            "subscribeThrottlingRatePerConsumer": number, "ratePeriodInSecond": number,
        },
        "deduplicationSnapshotIntervalSeconds": number,
        "autoSubscriptionCreationOverride": {"allowAutoSubscriptionCreation": false},
    }))
    .unwrap()
}

/// What is in force when the level that counts has said that.
fn expected(number: u64) -> TopicPolicies {
    let rate = DispatchRate { messages: Some(number), ..DispatchRate::UNLIMITED };
    TopicPolicies {
        retention_time: Some(Duration::from_secs(60 * number)),
        retention_bytes: Some(number << 20),
        message_ttl: Some(Duration::from_secs(number)),
        subscription_expiry: Some(Duration::from_secs(60 * number)),
        backlog_bytes: Some((number, QuotaAction::Refuse)),
        backlog_age: Some((Duration::from_secs(number), QuotaAction::Refuse)),
        inactivity: Some((InactiveMode::CaughtUp, Duration::from_secs(number))),
        dispatch_rate: rate,
        subscription_dispatch_rate: rate,
        unacked_per_consumer_max: number,
        unacked_per_subscription_max: number,
        deduplication: true,
        compaction_threshold: Some(number),
        honours_delays: false,
        delay_ms_max: number,
        publish_rate: PublishRate { messages: Some(number), bytes: None },
        producers_max: number,
        consumers_max: number,
        consumers_per_subscription_max: number,
        subscriptions_max: number,
        subscription_kinds: SubscriptionKinds::named(["Shared"]).unwrap(),
        subscribe_rate: Some(SubscribeRate { times: number, period: Duration::from_secs(number) }),
        snapshot_interval: Some(Duration::from_secs(number)),
        creates_subscriptions: false,
        ..of_broker()
    }
}

fn applied(namespace: &Policies, own: Option<&admin::TopicPolicies>) -> TopicPolicies {
    let mut found = of_broker();
    found.apply(Layer::of_namespace(namespace, "c"));
    if let Some(own) = own {
        found.apply(Layer::of_topic(own));
    }
    found
}

#[test]
fn the_topic_comes_before_the_namespace_and_that_before_the_broker() {
    assert_eq!(applied(&Policies::default(), None), of_broker());
    assert_eq!(applied(&Policies::default(), Some(&Default::default())), of_broker());
    assert_eq!(applied(&namespace(5), None), expected(5));
    assert_eq!(applied(&namespace(5), Some(&Default::default())), expected(5));
    let of_topic = TopicPolicies { message_bytes_max: 7, ..expected(7) };
    // A topic says nothing of how long subscriptions stay.
    let by_both =
        TopicPolicies { subscription_expiry: expected(5).subscription_expiry, ..of_topic };
    assert_eq!(applied(&namespace(5), Some(&topic(7))), by_both);
    let by_topic =
        TopicPolicies { subscription_expiry: of_broker().subscription_expiry, ..by_both };
    assert_eq!(applied(&Policies::default(), Some(&topic(7))), by_topic);
}

/// Quotas of each kind count by themselves; a rate without limits is none, a limit of 0 is no limit.
#[test]
fn what_says_nothing_leaves_it_to_the_level_below() {
    let mut own = topic(7);
    own.backlog_quota_map.remove("message_age");
    own.publish_rate = Some(policies::PublishRate::default());
    own.max_message_size = Some(0);
    own.max_producer_per_topic = Some(0);
    own.max_unacked_messages_on_consumer = Some(-1);
    own.message_ttl_in_seconds = Some(0);
    let found = applied(&namespace(5), Some(&own));
    assert_eq!(found.backlog_bytes, expected(7).backlog_bytes);
    assert_eq!(found.backlog_age, expected(5).backlog_age);
    assert_eq!(found.publish_rate, expected(5).publish_rate);
    assert_eq!(found.message_bytes_max, usize::MAX);
    assert_eq!((found.producers_max, found.unacked_per_consumer_max), (0, 5));
    assert_eq!(found.message_ttl, None);
}
