//! Topics that store nothing: what stays of them, what goes, and what they count.

use std::time::Duration;

use geminga_broker::{
    AdminError, Domains, ProduceError, SubscribeError, SubscribeRequest, SubscriptionKind,
    TopicError,
    admin::{self, InactiveTopicPolicies, Policies, SubscriptionStats},
};
use geminga_types::Domain;

use crate::{
    client::{Client, publish},
    world::{World, topic},
};

const TOPIC: &str = "non-persistent://public/default/t";

async fn change(world: &World, change: impl Fn(&mut Policies) + Send + Sync) {
    let namespace = topic(TOPIC).namespace().clone();
    let changed = world.broker.change_namespace_policies(&namespace, |policies| {
        change(policies);
        Ok(())
    });
    changed.await.unwrap();
}

async fn subscriptions(world: &World) -> Vec<SubscriptionStats> {
    world.broker.topic_stats(&topic(TOPIC)).await.unwrap().subscriptions
}

async fn names(world: &World) -> Vec<String> {
    subscriptions(world).await.into_iter().map(|found| found.name).collect()
}

async fn is_there(world: &World) -> bool {
    let namespace = topic(TOPIC).namespace().clone();
    let found = world.broker.topic_names(&namespace, Domain::NonPersistent, false).await.unwrap();
    found == [TOPIC]
}

async fn inactive_after(world: &World, mode: &str, seconds: i32) {
    change(world, |policies| {
        policies.inactive_topic_policies = Some(InactiveTopicPolicies {
            inactive_topic_delete_mode: mode.to_owned(),
            max_inactive_duration_seconds: seconds,
            delete_while_inactive: true,
            ..InactiveTopicPolicies::default()
        });
    })
    .await;
}

async fn shared(client: &Client, id: u64) -> Result<geminga_broker::Consumer, SubscribeError> {
    let request =
        SubscribeRequest { kind: SubscriptionKind::Shared, ..client.subscribe_request(id, "sub") };
    client.try_subscribe(TOPIC, request).await
}

/// Goal: a subscription stays when its consumers leave, and counts what it drops; a reader's goes.
#[tokio::test(start_paused = true)]
async fn a_subscription_stays_and_counts_what_it_drops() {
    let world = World::new().await;
    let client = world.client();
    let producer = client.produce(TOPIC).await;
    let consumer = client.subscribe(TOPIC, 1, "sub").await;
    let reader = client.read(TOPIC, 2).await;
    assert_eq!(names(&world).await, ["reader-2", "sub"]);
    consumer.flow(2).await;
    for number in 0..5 {
        producer.publish(vec![publish(number)]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let found = subscriptions(&world).await;
    assert_eq!((found[0].messages_dropped, found[0].is_durable), (5, false));
    assert_eq!((found[1].messages_dropped, found[1].messages_out), (3, 2));
    assert!((found[1].message_rate_dropped - 1.5).abs() < 0.1, "{found:?}");
    assert!(found[1].is_durable);
    consumer.close().await;
    reader.close().await;
    producer.publish(vec![publish(5)]).await.unwrap();
    let found = subscriptions(&world).await;
    assert_eq!((found.len(), found[0].name.as_str(), found[0].messages_dropped), (1, "sub", 4));
    let consumer = client.subscribe(TOPIC, 3, "sub").await;
    assert!(consumer.unsubscribe(false).await.is_ok());
    assert!(names(&world).await.is_empty());
}

/// Goal: a consumer that is refused leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn who_is_refused_leaves_no_subscription() {
    let world = World::new().await;
    let client = world.client();
    let _producer = client.produce(TOPIC).await;
    let request = SubscribeRequest {
        kind: SubscriptionKind::KeyShared,
        sticky_ranges: Some(vec![(5, 3)]),
        is_durable: false,
        ..client.subscribe_request(1, "sub")
    };
    let refused = client.try_subscribe(TOPIC, request).await;
    assert!(matches!(refused, Err(SubscribeError::Assign(_))), "{refused:?}");
    assert!(names(&world).await.is_empty());
}

/// Goal: an operator deletes a subscription; while it has consumers, by force only.
#[tokio::test(start_paused = true)]
async fn an_operator_deletes_a_subscription() {
    let world = World::new().await;
    let mut client = world.client();
    let _consumers = [shared(&client, 1).await.unwrap(), shared(&client, 2).await.unwrap()];
    let name = topic(TOPIC);
    let delete = |sub, force| world.broker.delete_subscription(&name, sub, force);
    assert!(matches!(delete("none", false).await, Err(AdminError::NotFound(_))));
    assert!(matches!(delete("sub", false).await, Err(AdminError::Busy(_))));
    assert_eq!(subscriptions(&world).await[0].consumers.len(), 2);
    delete("sub", true).await.unwrap();
    client.consumer_closed().await;
    client.consumer_closed().await;
    assert!(names(&world).await.is_empty());
    shared(&client, 3).await.unwrap().close().await;
    delete("sub", false).await.unwrap();
    assert!(names(&world).await.is_empty());
}

/// Goal: a subscription without consumers goes when the policies say so, one with consumers stays.
#[tokio::test(start_paused = true)]
async fn an_unused_subscription_expires() {
    let world = World::new().await;
    let client = world.client();
    let _used = client.subscribe(TOPIC, 1, "used").await;
    client.subscribe(TOPIC, 2, "unused").await.close().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(names(&world).await, ["unused", "used"]);
    change(&world, |policies| policies.subscription_expiration_time_minutes = Some(20)).await;
    tokio::time::sleep(Duration::from_secs(590)).await;
    assert_eq!(names(&world).await, ["unused", "used"]);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(names(&world).await, ["used"]);
}

/// Goal: a topic that nobody uses goes after its time: a subscription without consumers keeps it, unless
/// the policies want those that are caught up to go, which such ones are.
#[tokio::test(start_paused = true)]
async fn an_inactive_topic_goes() {
    let interval = Duration::from_secs(10);
    let world = World::with(|options| options.inactive_topics_interval = interval).await;
    let client = world.client();
    let producer = client.produce(TOPIC).await;
    inactive_after(&world, "delete_when_no_subscriptions", 100).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(is_there(&world).await, "it is in use");
    producer.close().await;
    drop(producer);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(is_there(&world).await, "it was in use until a moment ago");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!is_there(&world).await);
    let consumer = client.subscribe(TOPIC, 1, "sub").await;
    consumer.close().await;
    drop(consumer);
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(is_there(&world).await, "it has a subscription");
    inactive_after(&world, "delete_when_subscriptions_caught_up", 100).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!is_there(&world).await);
}

/// Goal: topics of a kind that is not served are refused by the name of the switch.
#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_refused() {
    for domain in [Domain::Persistent, Domain::NonPersistent] {
        let is_persistent = domain == Domain::Persistent;
        let domains = Domains { persistent: !is_persistent, nonpersistent: is_persistent };
        let world = World::with(|options| options.domains = domains).await;
        let client = world.client();
        let (served, other) = if is_persistent { (TOPIC, "t") } else { ("t", TOPIC) };
        client.produce(served).await;
        let refused = client.try_produce(other, client.producer_request(2)).await.unwrap_err();
        let ProduceError::Topic(TopicError::NotServed { key, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(
            key,
            if is_persistent { "enablePersistentTopics" } else { "enableNonPersistentTopics" }
        );
    }
}

/// Goal: a resource group's dispatch rate holds for what is not stored too: what it has no room for is dropped
/// and counted, for all subscriptions together, and a change is in force at once.
#[tokio::test(start_paused = true)]
async fn a_resource_group_is_sent_what_it_may_be() {
    let world = World::with(|options| options.resource_groups_lend = false).await;
    let client = world.client();
    let rate = |messages| admin::ResourceGroup {
        dispatch_rate_in_msgs: Some(messages),
        ..admin::ResourceGroup::default()
    };
    world.broker.set_resource_group("a", rate(10)).await.unwrap();
    change(&world, |policies| policies.resource_group_name = Some("a".to_owned())).await;
    let producer = client.produce(TOPIC).await;
    for (id, name) in [(1, "x"), (2, "y")] {
        client.subscribe(TOPIC, id, name).await.flow(100_000).await;
    }
    let mut sent_before = 0;
    for (messages, expected) in [(10, 100), (40, 400), (0, 1_000)] {
        world.broker.set_resource_group("a", rate(messages)).await.unwrap();
        for number in 0..500 {
            producer.publish(vec![publish(number)]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let found = subscriptions(&world).await;
        let sent: u64 = found.iter().map(|sub| sub.messages_out).sum();
        let dropped: u64 = found.iter().map(|sub| sub.messages_dropped).sum();
        assert_eq!((sent + dropped) % 1_000, 0, "{found:?}");
        let got = sent - std::mem::replace(&mut sent_before, sent);
        assert!(got.abs_diff(expected) <= expected / 20, "{got} instead of {expected}");
    }
}
