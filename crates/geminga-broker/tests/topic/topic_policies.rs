//! What governs a topic alone: it comes before what governs its namespace, acts at once, holds for all
//! partitions, and goes with the topic.

use std::time::Duration;

use bytes::Bytes;
use geminga_broker::{
    AdminError, Chunk, Outgoing, ProduceError, ProducerRequest, Publish, PublishError,
    SubscribeError, SubscribeRequest, SubscriptionKind,
    admin::{
        AutoSubscriptionCreationOverride, BacklogQuota, DelayedDeliveryPolicies,
        InactiveTopicPolicies, Policies, PublishRate, SubscribeRate, TopicPolicies,
    },
};
use geminga_types::TopicName;

use crate::{
    client::{Client, publish, publish_with},
    store::Writes,
    world::{World, topic},
};

const RECORD: &str = "/geminga/topic-policies/public/default/persistent/t";

async fn change_of(world: &World, name: &str, change: impl Fn(&mut TopicPolicies) + Sync) {
    let change = |policies: &mut TopicPolicies| {
        change(policies);
        Ok(())
    };
    world.broker.change_topic_policies(&topic(name), change).await.unwrap();
}

async fn change(world: &World, change: impl Fn(&mut TopicPolicies) + Sync) {
    change_of(world, "t", change).await;
}

async fn change_namespace(world: &World, change: impl Fn(&mut Policies) + Sync) {
    let change = |policies: &mut Policies| {
        change(policies);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

/// With so many bytes more than the smallest.
fn larger(number: u64, bytes: usize) -> Publish {
    publish_with(number, |metadata| metadata.partition_key = Some("k".repeat(bytes)))
}

/// The last sequence id with a receipt, or the one that is refused and why.
async fn published(client: &mut Client) -> Result<u64, (u64, PublishError)> {
    match client.next().await {
        Outgoing::Receipts { receipts, .. } => Ok(receipts.last().unwrap().sequence_id),
        Outgoing::SendFailed { sequence_id, error, .. } => Err((sequence_id, error)),
        other => panic!("neither receipt nor refusal: {other:?}"),
    }
}

/// Goal: a topic's limit of unacked messages counts before the namespace's, at once, and once it is removed
/// the namespace's counts again, also where that changes meanwhile.
#[tokio::test(start_paused = true)]
async fn a_topics_limit_comes_before_its_namespaces() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..12).await;
    change_namespace(&world, |it| it.max_unacked_messages_per_consumer = Some(2)).await;
    let request =
        SubscribeRequest { kind: SubscriptionKind::Shared, ..client.subscribe_request(1, "sub") };
    let consumer = client.try_subscribe("t", request).await.unwrap();
    consumer.flow(100).await;
    client.messages(2).await;
    client.quiet().await;
    change(&world, |it| it.max_unacked_messages_on_consumer = Some(4)).await;
    client.messages(2).await;
    client.quiet().await;
    change_namespace(&world, |it| it.max_unacked_messages_per_consumer = Some(7)).await;
    client.quiet().await;
    change(&world, |it| it.max_unacked_messages_on_consumer = None).await;
    client.messages(3).await;
    client.quiet().await;
    assert_eq!(world.store.value(RECORD).await, None, "who says nothing has no record");
}

/// Goal: what is larger than the topic's limit is refused, in its turn, and the producer goes on; what is a
/// chunk, or stored already, is not; the limit counts at once and is gone at once. On topics that are not
/// persistent too.
#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_topics_limit_is_refused() {
    let world = World::new().await;
    for name in ["t", "non-persistent://public/default/t"] {
        let mut client = world.client();
        let producer = client.produce(name).await;
        producer.publish(vec![larger(0, 1_000)]).await.unwrap();
        assert_eq!(published(&mut client).await, Ok(0));
        change_of(&world, name, |it| it.max_message_size = Some(1_000)).await;
        client.quiet().await;
        let batch = vec![publish(1), larger(2, 1_000), publish(3), larger(4, 500)];
        let size = batch[1].entry.len();
        producer.publish(batch).await.unwrap();
        assert_eq!(published(&mut client).await, Ok(1));
        let (topic, limit) = (topic(name), 1_000);
        assert_eq!(
            published(&mut client).await,
            Err((2, PublishError::TooLarge { topic, size, limit }))
        );
        while published(&mut client).await != Ok(4) {}
        let chunk = Some(Chunk { message: 1, is_first: true });
        let chunk = Publish { chunk, ..larger(5, 1_000) };
        producer.publish(vec![chunk]).await.unwrap();
        assert_eq!(published(&mut client).await, Ok(5));
        change_of(&world, name, |it| it.max_message_size = None).await;
        client.quiet().await;
        producer.publish(vec![larger(6, 1_000)]).await.unwrap();
        assert_eq!(published(&mut client).await, Ok(6));
    }
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert_eq!((stats.messages_in, stats.storage_entries), (6, 6));
}

/// Goal: what is delayed for longer than the limit is refused, in its turn, and the producer goes on; the
/// topic's limit comes before the namespace's, 0 is no limit, and where delays do not count nor does it.
/// What is stored already has its receipt.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_delayed_for_too_long_is_refused() {
    let world = World::new().await;
    let delayed = |number: u64, delay_ms: u64| {
        let it = publish_with(number, |metadata| {
            metadata.deliver_at_time = Some(1_000_000 + delay_ms.cast_signed());
            metadata.publish_time = 1_000_000;
        });
        assert_eq!((it.published_at, it.deliver_at), (1_000_000, Some(1_000_000 + delay_ms)));
        it
    };
    let limit = |limit: i64| {
        let mut delays = DelayedDeliveryPolicies { active: true, ..Default::default() };
        delays.max_delivery_delay_in_millis = Some(limit);
        Some(delays)
    };
    let mut client = world.client();
    let producer = client.produce("t").await;
    let refused = |number: u64, delay_ms: u64, limit_ms: u64| {
        let topic = topic("t");
        Err((number, PublishError::DelayedTooLong { topic, delay_ms, limit_ms }))
    };
    let mut number = 0;
    let mut check = async |client: &mut Client, delay_ms: u64, limit: Option<u64>| {
        producer.publish(vec![delayed(number, delay_ms), publish(number + 1)]).await.unwrap();
        if let Some(limit) = limit {
            assert_eq!(published(client).await, refused(number, delay_ms, limit));
        }
        while published(client).await != Ok(number + 1) {}
        number += 2;
    };
    check(&mut client, 1_001, None).await;
    change_namespace(&world, |it| it.delayed_delivery_policies = limit(1_000)).await;
    client.quiet().await;
    check(&mut client, 1_000, None).await;
    check(&mut client, 1_001, Some(1_000)).await;
    change(&world, |it| it.delayed_delivery_max_delay_in_millis = Some(500)).await;
    client.quiet().await;
    check(&mut client, 501, Some(500)).await;
    change(&world, |it| it.delayed_delivery_max_delay_in_millis = Some(0)).await;
    client.quiet().await;
    check(&mut client, 1_001, None).await;
    change(&world, |it| it.delayed_delivery_max_delay_in_millis = Some(1)).await;
    change(&world, |it| it.delayed_delivery_enabled = Some(false)).await;
    client.quiet().await;
    check(&mut client, 1_001, None).await;
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert_eq!(stats.storage_entries, 10);
    let of_others = client.produce("non-persistent://public/default/t").await;
    of_others.publish(vec![delayed(0, 1_001)]).await.unwrap();
    assert_eq!(published(&mut client).await, Ok(0), "it does not wait there");
}

/// Goal: what was refused is not known to deduplication, and what is stored already has its receipt.
#[tokio::test(start_paused = true)]
async fn a_limit_and_deduplication_do_not_disturb_each_other() {
    let world = World::new().await;
    let mut client = world.client();
    client.produce("t").await.close().await;
    change(&world, |it| it.deduplication_enabled = Some(true)).await;
    client.quiet().await;
    let producer = client.produce("t").await;
    producer.publish(vec![larger(0, 1_000)]).await.unwrap();
    assert_eq!(published(&mut client).await, Ok(0));
    change(&world, |it| it.max_message_size = Some(1_000)).await;
    client.quiet().await;
    producer.publish(vec![larger(0, 1_000), larger(1, 1_000)]).await.unwrap();
    assert_eq!(published(&mut client).await, Ok(0), "it is stored");
    assert!(published(&mut client).await.is_err());
    producer.publish(vec![publish(1), publish(1)]).await.unwrap();
    assert_eq!(published(&mut client).await, Ok(1));
    client.quiet().await;
    assert_eq!(world.broker.topic_stats(&topic("t")).await.unwrap().storage_entries, 2);
}

/// Goal: a topic deduplicates, or does not, as it says itself, whatever its namespace says.
#[tokio::test(start_paused = true)]
async fn a_topic_deduplicates_as_it_says() {
    let world = World::new().await;
    let mut client = world.client();
    client.produce("t").await.close().await;
    let is_on = async || world.broker.topic_stats(&topic("t")).await.unwrap().is_deduplicating;
    assert!(!is_on().await);
    change(&world, |it| it.deduplication_enabled = Some(true)).await;
    client.quiet().await;
    assert!(is_on().await);
    change_namespace(&world, |it| it.deduplication_enabled = Some(false)).await;
    client.quiet().await;
    assert!(is_on().await);
    change(&world, |it| it.deduplication_enabled = None).await;
    client.quiet().await;
    assert!(!is_on().await);
    change_namespace(&world, |it| it.deduplication_enabled = Some(true)).await;
    change(&world, |it| it.deduplication_enabled = Some(false)).await;
    client.quiet().await;
    assert!(!is_on().await);
    world.broker.unload_topic(&topic("t")).await.unwrap();
    assert!(!is_on().await, "a load reads what the topic says");
}

/// Goal: a limit of producers, a publish rate and a quota of the topic count at once.
#[tokio::test(start_paused = true)]
async fn what_is_asked_of_producers_counts_at_once() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let request = |id| ProducerRequest { name: None, ..client.producer_request(id) };
    change(&world, |it| it.max_producer_per_topic = Some(1)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let refused = client.try_produce("t", request(2)).await.unwrap_err();
    assert!(matches!(refused, ProduceError::Busy(_)), "{refused}");
    change(&world, |it| it.max_producer_per_topic = None).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    client.try_produce("t", request(2)).await.unwrap().close().await;

    assert!(!producer.is_limited());
    let rate = PublishRate { publish_throttling_rate_in_msg: 5, ..PublishRate::default() };
    change(&world, |it| it.publish_rate = Some(rate.clone())).await;
    client.quiet().await;
    assert!(producer.is_limited());
    change(&world, |it| it.publish_rate = None).await;
    client.quiet().await;
    assert!(!producer.is_limited());

    client.subscribe("t", 1, "sub").await;
    client.publish(&producer, 0..9).await;
    let quota = BacklogQuota {
        limit_size: Some(10),
        policy: Some("producer_exception".to_owned()),
        ..BacklogQuota::default()
    };
    change(&world, |it| {
        it.backlog_quota_map.insert("destination_storage".to_owned(), quota.clone());
    })
    .await;
    assert!(matches!(client.next().await, Outgoing::ProducerClosed { .. }));
    let refused = client.try_produce("t", client.producer_request(3)).await.unwrap_err();
    assert!(matches!(refused, ProduceError::QuotaExceeded(_)), "{refused}");
    change(&world, |it| it.backlog_quota_map.clear()).await;
    client.quiet().await;
    client.produce("t").await;
}

/// Goal: limits of consumers and of subscriptions count at once, the topic's before the namespace's; who is
/// one too many leaves no subscription behind, and one that comes again takes its own place.
#[tokio::test(start_paused = true)]
async fn consumers_and_subscriptions_have_limits() {
    let world = World::new().await;
    for name in ["t", "non-persistent://public/default/t"] {
        let mut client = world.client();
        let shared = |id, subscription: &str| {
            let kind = SubscriptionKind::Shared;
            SubscribeRequest { kind, ..client.subscribe_request(id, subscription) }
        };
        let first = client.try_subscribe(name, shared(1, "a")).await.unwrap();
        let second = client.try_subscribe(name, shared(2, "a")).await.unwrap();
        change_namespace(&world, |it| it.max_consumers_per_topic = Some(9)).await;
        change_of(&world, name, |it| it.max_consumer_per_topic = Some(2)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = client.try_subscribe(name, shared(3, "b")).await.unwrap_err();
        assert!(matches!(refused, SubscribeError::Busy(_)), "{refused}");
        client.try_subscribe(name, shared(2, "a")).await.unwrap();
        let stats = world.broker.topic_stats(&topic(name)).await.unwrap();
        assert_eq!(stats.subscriptions.len(), 1);
        change_of(&world, name, |it| {
            it.max_consumer_per_topic = None;
            it.max_consumers_per_subscription = Some(2);
        })
        .await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = client.try_subscribe(name, shared(3, "a")).await.unwrap_err();
        assert!(matches!(refused, SubscribeError::Busy(_)), "{refused}");
        client.try_subscribe(name, shared(3, "b")).await.unwrap().close().await;
        first.close().await;
        client.try_subscribe(name, shared(4, "a")).await.unwrap();
        drop(second);
        client.quiet().await;
    }
    let mut client = world.client();
    change(&world, |it| it.max_subscriptions_per_topic = Some(2)).await;
    client.quiet().await;
    let request = |id, subscription: &str| client.subscribe_request(id, subscription);
    let refused = client.try_subscribe("t", request(5, "c")).await.unwrap_err();
    assert!(matches!(refused, SubscribeError::NotAllowed(_)), "{refused}");
    client.try_subscribe("t", request(6, "b")).await.unwrap();
    client.read("t", 7).await;
    change(&world, |it| it.max_subscriptions_per_topic = None).await;
    client.quiet().await;
    client.subscribe("t", 8, "c").await;
}

/// Goal: consumers of a type that is not enabled are refused, the topic's types before the namespace's, and
/// leave no subscription behind; those that are there stay.
#[tokio::test(start_paused = true)]
async fn there_are_consumers_of_the_enabled_types_alone() {
    let world = World::new().await;
    for name in ["t", "non-persistent://public/default/t"] {
        let client = world.client();
        let of = |kind, id| SubscribeRequest { kind, ..client.subscribe_request(id, "s") };
        let (failover, shared) = (SubscriptionKind::Failover, SubscriptionKind::Shared);
        let there = client.try_subscribe(name, of(failover, 1)).await.unwrap();
        let types = |name: &str| [name.to_owned()].into();
        change_namespace(&world, |it| it.subscription_types_enabled = types("Shared")).await;
        let refused = client.try_subscribe(name, of(failover, 2)).await.unwrap_err();
        let expected = "doesn't support Failover sub type! Enabled are Shared";
        assert!(refused.to_string().contains(expected), "{refused}");
        let other = SubscribeRequest { kind: failover, ..client.subscribe_request(2, "other") };
        client.try_subscribe(name, other).await.unwrap_err();
        let stats = world.broker.topic_stats(&topic(name)).await.unwrap();
        assert_eq!(stats.subscriptions.len(), 1, "{name}");
        there.close().await;
        change_of(&world, name, |it| it.subscription_types_enabled = types("Failover")).await;
        let refused = client.try_subscribe(name, of(shared, 3)).await.unwrap_err();
        assert!(matches!(refused, SubscribeError::NotAllowed(_)), "{refused}");
        client.try_subscribe(name, of(failover, 4)).await.unwrap().close().await;
        change_of(&world, name, |it| it.subscription_types_enabled.clear()).await;
        client.try_subscribe(name, of(failover, 5)).await.unwrap_err();
        change_namespace(&world, |it| it.subscription_types_enabled.clear()).await;
        client.try_subscribe(name, of(failover, 6)).await.unwrap().close().await;
    }
}

/// Goal: a consumer, told by its address, name and id, comes as often in a period as it may; who is refused
/// leaves no subscription behind.
#[tokio::test(start_paused = true)]
async fn a_consumer_may_come_so_often_in_a_period() {
    let world = World::new().await;
    for name in ["t", "non-persistent://public/default/t"] {
        let client = world.client();
        let come = async |id, subscription: &str| {
            let consumer = client.try_subscribe(name, client.subscribe_request(id, subscription));
            let consumer = consumer.await;
            if let Ok(consumer) = consumer {
                consumer.close().await;
                return true;
            }
            false
        };
        let rate = |times| {
            let (subscribe_throttling_rate_per_consumer, rate_period_in_second) = (times, 30);
            SubscribeRate { subscribe_throttling_rate_per_consumer, rate_period_in_second }
        };
        change_namespace(&world, |it| _ = it.subscribe_rate.insert("standalone".into(), rate(1)))
            .await;
        assert!(come(1, "s").await);
        assert!(!come(1, "s").await);
        assert!(!come(1, "other").await);
        assert!(come(2, "s").await, "{name}: another consumer");
        let stats = world.broker.topic_stats(&topic(name)).await.unwrap();
        assert!(stats.subscriptions.iter().all(|sub| sub.name == "s"), "{name}");
        change_of(&world, name, |it| it.subscribe_rate = Some(rate(2))).await;
        assert!(come(1, "s").await);
        assert!(!come(1, "s").await);
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(!come(1, "s").await);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(come(1, "s").await && come(1, "s").await && !come(1, "s").await);
        change_of(&world, name, |it| it.subscribe_rate = Some(rate(0))).await;
        assert!(come(1, "s").await && come(1, "s").await && come(1, "s").await);
        change_of(&world, name, |it| it.subscribe_rate = None).await;
        change_namespace(&world, |it| it.subscribe_rate.clear()).await;
        assert!(come(1, "s").await && come(1, "s").await);
    }
}

/// Goal: whether subscriptions come into being by being used, a topic says before its namespace.
#[tokio::test(start_paused = true)]
async fn a_topic_says_whether_subscriptions_come_into_being() {
    let world = World::new().await;
    let client = world.client();
    let producer = client.produce("t").await;
    let says = |allow_auto_subscription_creation| {
        Some(AutoSubscriptionCreationOverride { allow_auto_subscription_creation })
    };
    let come =
        async |name: &str| client.try_subscribe("t", client.subscribe_request(1, name)).await;
    change(&world, |it| it.auto_subscription_creation_override = says(false)).await;
    let refused = come("a").await.unwrap_err();
    assert!(matches!(refused, SubscribeError::NotFound { .. }), "{refused}");
    change_namespace(&world, |it| it.auto_subscription_creation_override = says(false)).await;
    change(&world, |it| it.auto_subscription_creation_override = says(true)).await;
    come("a").await.unwrap();
    change(&world, |it| it.auto_subscription_creation_override = None).await;
    come("b").await.unwrap_err();
    producer.close().await;
}

/// Goal: policies of a partitioned topic govern all partitions, those that are loaded and those that are
/// loaded later, and no topic with a similar name.
#[tokio::test(start_paused = true)]
async fn partitions_are_governed_by_their_topic() {
    let world = World::new().await;
    let whole: TopicName = topic("t");
    world.broker.create_partitioned_topic(&whole, 12, None).await.unwrap();
    let mut client = world.client();
    let others = ["t-partition-x", "t2", "t-partition-007"];
    let mut names: Vec<String> = (0..12).map(|index| format!("t-partition-{index}")).collect();
    names.extend(others.map(str::to_owned));
    let mut producers = Vec::new();
    let later = 11;
    for name in names.iter().filter(|name| **name != names[later]) {
        producers.push((name.clone(), client.produce(name).await));
    }
    let rate = PublishRate { publish_throttling_rate_in_msg: 5, ..PublishRate::default() };
    change(&world, |it| it.publish_rate = Some(rate.clone())).await;
    client.quiet().await;
    producers.push((names[later].clone(), client.produce(&names[later]).await));
    for (name, producer) in &producers {
        assert_eq!(producer.is_limited(), !others.contains(&name.as_str()), "{name}");
    }
    let part = topic("t-partition-0");
    let refused = world.broker.topic_policies(&part).await.unwrap_err();
    assert!(matches!(refused, AdminError::Invalid(_)), "{refused}");
    change_namespace(&world, |it| it.max_producers_per_topic = Some(9)).await;
    client.quiet().await;
    for (name, producer) in &producers {
        assert_eq!(producer.is_limited(), !others.contains(&name.as_str()), "{name}");
    }
    change(&world, |it| it.publish_rate = None).await;
    client.quiet().await;
    assert!(producers.iter().all(|(_, producer)| !producer.is_limited()));
}

async fn is_limited(world: &World, name: &str) -> bool {
    let client = world.client();
    let producer = client.produce(name).await;
    let is_limited = producer.is_limited();
    producer.close().await;
    is_limited
}

/// Goal: policies go with their topic, however it goes, and stay when it is unloaded.
#[tokio::test(start_paused = true)]
async fn policies_go_with_the_topic() {
    let world = World::with(|options| {
        options.inactive_topics_interval = Duration::from_secs(1);
    })
    .await;
    let rate = PublishRate { publish_throttling_rate_in_msg: 5, ..PublishRate::default() };
    let limit = async || change(&world, |it| it.publish_rate = Some(rate.clone())).await;
    let name = topic("t");
    assert!(!is_limited(&world, "t").await);
    limit().await;
    world.broker.unload_topic(&name).await.unwrap();
    assert!(is_limited(&world, "t").await);
    world.broker.delete_topic(&name, true).await.unwrap();
    assert_eq!(world.store.value(RECORD).await, None);
    let gone = world.broker.topic_policies(&name).await.unwrap_err();
    assert!(matches!(gone, AdminError::NotFound(_)), "{gone}");
    let refused = world.broker.change_topic_policies(&name, |_| Ok(())).await.unwrap_err();
    assert!(matches!(refused, AdminError::NotFound(_)), "{refused}");
    assert!(!is_limited(&world, "t").await, "one that is made anew has none");

    limit().await;
    let inactive = InactiveTopicPolicies {
        inactive_topic_delete_mode: "delete_when_no_subscriptions".to_owned(),
        max_inactive_duration_seconds: 1,
        delete_while_inactive: true,
        ..InactiveTopicPolicies::default()
    };
    change(&world, |it| it.inactive_topic_policies = Some(inactive.clone())).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.store.value(RECORD).await, None, "it was deleted for being inactive");

    world.broker.create_partitioned_topic(&name, 3, None).await.unwrap();
    limit().await;
    world.broker.delete_topic(&topic("t-partition-1"), true).await.unwrap();
    assert!(world.store.value(RECORD).await.is_some(), "one partition is not the topic");
    world.broker.delete_partitioned_topic(&name, true).await.unwrap();
    assert_eq!(world.store.value(RECORD).await, None);

    assert!(!is_limited(&world, "t").await);
    limit().await;
    world.broker.delete_namespace(name.namespace(), true).await.unwrap();
    assert_eq!(world.store.value(RECORD).await, None);
}

/// Goal: a deletion and a change of policies at the same time leave no policies behind.
/// Method: the deletion is held up where the policies are gone and the topic is not.
#[tokio::test(start_paused = true)]
async fn no_policies_are_left_by_a_change_during_the_deletion() {
    let world = World::new().await;
    let name = topic("t");
    world.client().produce("t").await.close().await;
    world.store.set_writes("/managed-ledgers/public/default/persistent/t", Writes::Held);
    let deletion = world.broker.delete_topic(&name, true);
    let change = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(0 < world.store.held(), "the deletion waits");
        let change = |it: &mut TopicPolicies| {
            it.max_message_size = Some(1);
            Ok(())
        };
        world.broker.change_topic_policies(&name, change).await
    };
    let release = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.store.set_writes("", Writes::Made);
    };
    let (deleted, changed, ()) = tokio::join!(deletion, change, release);
    deleted.unwrap();
    let refused = changed.unwrap_err();
    assert!(matches!(refused, AdminError::NotFound(_)), "{refused}");
    assert_eq!(world.store.value(RECORD).await, None);
    assert!(world.broker.topic_policies(&name).await.is_err());
}

/// Goal: a topic that loads while its policies change ends up with the new ones.
/// Method: the load of a partition is held up where it has read them: it writes its record anew.
#[tokio::test(start_paused = true)]
async fn a_load_that_races_a_change_ends_with_the_change() {
    let world = World::new().await;
    let part = "t-partition-1";
    world.broker.create_partitioned_topic(&topic("t"), 2, None).await.unwrap();
    world.broker.delete_topic(&topic(part), true).await.unwrap();
    world.store.set_writes(part, Writes::Held);
    let mut client = world.client();
    let load = client.produce(part);
    let change = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(world.store.held(), 1, "the load waits");
        change(&world, |it| it.max_message_size = Some(1_000)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.store.set_writes("", Writes::Made);
    };
    let (producer, ()) = tokio::join!(load, change);
    client.quiet().await;
    producer.publish(vec![larger(0, 1_000)]).await.unwrap();
    assert!(published(&mut client).await.is_err(), "it has the old policies");
}

/// Goal: where topics have no policies, stored ones have no effect, and none can be read or set.
#[tokio::test(start_paused = true)]
async fn stored_policies_have_no_effect_where_they_are_switched_off() {
    let world = World::new().await;
    assert!(!is_limited(&world, "t").await);
    let rate = PublishRate { publish_throttling_rate_in_msg: 5, ..PublishRate::default() };
    change(&world, |it| it.publish_rate = Some(rate.clone())).await;
    assert!(is_limited(&world, "t").await);
    let world = world.crash(|options| options.topic_level_policies = false).await;
    assert!(!is_limited(&world, "t").await);
    change_namespace(&world, |it| it.max_producers_per_topic = Some(9)).await;
    world.client().quiet().await;
    assert!(!is_limited(&world, "t").await);
    let name = topic("t");
    let read = world.broker.topic_policies(&name).await.unwrap_err();
    let set = world.broker.change_topic_policies(&name, |_| Ok(())).await.unwrap_err();
    for refused in [read, set] {
        assert!(matches!(refused, AdminError::NotAllowed(_)), "{refused}");
    }
    world.broker.delete_topic(&name, true).await.unwrap();
    assert_eq!(world.store.value(RECORD).await, None::<Bytes>);
}
