//! How fast messages go out, and how many may be out.

use std::time::Duration;

use geminga_broker::{
    Consumer, DispatchRate, Outgoing, SubscribeRequest, SubscriptionKind,
    admin::{self, Policies, SubscriptionPolicies, TopicPolicies},
};

use crate::{
    client::{Client, ack},
    world::{World, topic},
};

/// Longer than any wait for a rate here.
const PATIENCE: Duration = Duration::from_secs(600);

async fn shared(client: &Client, id: u64, subscription: &str) -> Consumer {
    let kind = SubscriptionKind::Shared;
    let request = SubscribeRequest { kind, ..client.subscribe_request(id, subscription) };
    client.try_subscribe("t", request).await.unwrap()
}

fn per_second(messages: u64) -> DispatchRate {
    DispatchRate { messages: Some(messages), ..DispatchRate::UNLIMITED }
}

/// Takes messages as they come; how many each consumer, up to number 9, got by then.
async fn receive_for(world: &World, client: &mut Client, seconds: u64) -> [usize; 10] {
    let mut counts = [0; 10];
    let end = world.env.clock.now() + Duration::from_secs(seconds);
    while let Ok(Outgoing::Messages { consumer, messages, .. }) =
        tokio::time::timeout_at(end, client.next_within(PATIENCE)).await
    {
        counts[usize::try_from(consumer.id).unwrap()] += messages.len();
    }
    counts
}

/// 1,000 messages and consumers of as many subscriptions, each with the permits for all.
async fn backlog(client: &mut Client, subscriptions: &[(u64, &str)]) {
    let producer = client.produce("t").await;
    client.publish(&producer, 0..1_000).await;
    for &(id, subscription) in subscriptions {
        shared(client, id, subscription).await.flow(1_000).await;
    }
}

fn assert_close(got: usize, expected: usize) {
    let off = got.abs_diff(expected);
    assert!(off <= expected / 20, "{got} instead of {expected}");
}

/// Goal: each subscription's rate is its own.
#[tokio::test(start_paused = true)]
async fn a_subscriptions_rate_is_held() {
    let world = World::with(|options| options.dispatch.subscription = per_second(50)).await;
    let mut client = world.client();
    backlog(&mut client, &[(1, "a"), (2, "b")]).await;
    let counts = receive_for(&world, &mut client, 10).await;
    assert_close(counts[1], 500);
    assert_close(counts[2], 500);
}

/// Goal: what a topic says of one subscription counts for that alone, before what it says of all, and at
/// once.
#[tokio::test(start_paused = true)]
async fn one_subscription_has_a_rate_by_itself() {
    let world = World::with(|options| options.dispatch.subscription = per_second(50)).await;
    let mut client = world.client();
    client.produce("t").await.close().await;
    let set = async |messages: Option<i32>| {
        let change = |policies: &mut TopicPolicies| {
            policies.subscription_policies.clear();
            policies.subscription_policies.extend(messages.map(|messages| {
                let rate = admin::DispatchRate {
                    dispatch_throttling_rate_in_msg: messages,
                    ..admin::DispatchRate::default()
                };
                let of_one =
                    SubscriptionPolicies { dispatch_rate: Some(rate), ..Default::default() };
                ("a".to_owned(), of_one)
            }));
            Ok(())
        };
        world.broker.change_topic_policies(&topic("t"), change).await.unwrap();
    };
    set(Some(10)).await;
    backlog(&mut client, &[(1, "a"), (2, "b")]).await;
    let counts = receive_for(&world, &mut client, 8).await;
    assert_close(counts[1], 80);
    assert_close(counts[2], 400);
    set(None).await;
    let counts = receive_for(&world, &mut client, 8).await;
    assert_close(counts[1], 400);
}

/// Goal: what a topic, or a broker, may send is divided among its subscriptions.
#[tokio::test(start_paused = true)]
async fn a_common_rate_is_held_and_divided() {
    for of_broker in [false, true] {
        let world = World::with(|options| {
            let rates = &mut options.dispatch;
            let common = if of_broker { &mut rates.broker } else { &mut rates.topic };
            *common = per_second(60);
        })
        .await;
        let mut client = world.client();
        backlog(&mut client, &[(1, "a"), (2, "b"), (3, "c")]).await;
        let counts = receive_for(&world, &mut client, 10).await;
        assert_close(counts.iter().sum(), 600);
        for count in &counts[1..=3] {
            assert!((150..=250).contains(count), "{counts:?}");
        }
    }
}

/// Goal: bytes count as well, and messages in a batch one by one.
#[tokio::test(start_paused = true)]
async fn bytes_are_limited_too() {
    let world = World::new().await;
    let mut client = world.client();
    backlog(&mut client, &[]).await;
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    let size = stats.storage_bytes / 1_000;
    let rate = admin::DispatchRate {
        dispatch_throttling_rate_in_byte: i64::try_from(size * 30).unwrap(),
        ..admin::DispatchRate::default()
    };
    set_rate(&world, Some(rate)).await;
    shared(&client, 1, "a").await.flow(1_000).await;
    assert_close(receive_for(&world, &mut client, 10).await[1], 300);
}

async fn set_rate(world: &World, rate: Option<admin::DispatchRate>) {
    let cluster = world.broker.options().cluster.clone();
    let change = |policies: &mut Policies| {
        match rate.clone() {
            Some(rate) => _ = policies.topic_dispatch_rate.insert(cluster.clone(), rate),
            None => policies.topic_dispatch_rate.clear(),
        }
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

/// Goal: a rate counts for a topic that is in use as soon as it is set, and until it is removed; what
/// waits for it is said.
#[tokio::test(start_paused = true)]
async fn a_rate_is_set_explained_and_removed() {
    let world = World::new().await;
    let mut client = world.client();
    backlog(&mut client, &[]).await;
    let rate = admin::DispatchRate {
        dispatch_throttling_rate_in_msg: 20,
        rate_period_in_second: 2,
        ..admin::DispatchRate::default()
    };
    set_rate(&world, Some(rate)).await;
    shared(&client, 1, "a").await.flow(1_000).await;
    assert_close(receive_for(&world, &mut client, 9).await[1], 90);
    let found = world.broker.explain_subscription(&topic("t"), "a").await.unwrap();
    assert_eq!(found[0].state, "DispatchRate");
    assert!(found[0].because.contains("topic: 20 messages in 2 s"), "{}", found[0].because);
    set_rate(&world, None).await;
    assert!(900 < receive_for(&world, &mut client, 1).await[1]);
}

/// Goal: once there are too many unacked messages on a broker, who has more than its part waits, and
/// others do not; acks elsewhere set it free.
#[tokio::test(start_paused = true)]
async fn too_many_unacked_messages_of_a_broker_hold_back_who_has_many() {
    let world = World::with(|options| {
        options.limits.unacked_per_broker_max = 100;
        options.limits.unacked_per_subscription_when_blocked_max = 20;
    })
    .await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let positions = client.publish(&producer, 0..500).await;
    let greedy = shared(&client, 1, "greedy").await;
    greedy.flow(100).await;
    assert_eq!(client.messages(100).await.len(), 100);
    greedy.flow(50).await;
    client.quiet().await;
    let modest = shared(&client, 2, "modest").await;
    modest.flow(5).await;
    client.messages(5).await;
    let found = world.broker.explain_subscription(&topic("t"), "greedy").await.unwrap();
    assert_eq!(found[0].state, "TooManyUnackedInAll", "{}", found[0].because);
    greedy.ack(ack(&positions[..90], None)).await;
    client.messages(50).await;
}

/// Goal: a subscription that wants it is sent less while its consumers give much of it back, says so, and
/// is sent more again when they do not.
#[tokio::test(start_paused = true)]
async fn error_feedback_slows_down_who_fails() {
    let world = World::new().await;
    let mut client = world.client();
    backlog(&mut client, &[]).await;
    let request = SubscribeRequest {
        kind: SubscriptionKind::Shared,
        subscription_properties: vec![("geminga.errorFeedback".to_owned(), "0.2".to_owned())],
        ..client.subscribe_request(1, "a")
    };
    let consumer = client.try_subscribe("t", request).await.unwrap();
    let mut rounds = Vec::new();
    for _ in 0..8 {
        consumer.flow(100).await;
        let end = world.env.clock.now() + Duration::from_secs(1);
        let mut got = Vec::new();
        while let Ok(Outgoing::Messages { messages, .. }) =
            tokio::time::timeout_at(end, client.next_within(PATIENCE)).await
        {
            got.extend(messages.into_iter().map(|message| message.position));
        }
        rounds.push(got.len());
        consumer.redeliver(Some(got), None).await;
    }
    assert!(rounds[0] == 100 && rounds[7] <= 10, "{rounds:?}");
    let found = world.broker.explain_subscription(&topic("t"), "a").await.unwrap();
    assert!(found[0].rates[0].starts_with("error feedback: "), "{:?}", found[0].rates);
    consumer.flow(1_000).await;
    receive_for(&world, &mut client, 60).await;
    let found = world.broker.explain_subscription(&topic("t"), "a").await.unwrap();
    assert!(found[0].rates[0].contains("no limit now"), "{:?}", found[0].rates);
}

async fn put_into_group(world: &World, name: Option<&str>) {
    let change = |policies: &mut Policies| {
        policies.resource_group_name = name.map(str::to_owned);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

async fn set_group(world: &World, name: &str, messages: i32) {
    let group = admin::ResourceGroup {
        dispatch_rate_in_msgs: Some(messages),
        ..admin::ResourceGroup::default()
    };
    world.broker.set_resource_group(name, group).await.unwrap();
}

/// Goal: what a resource group may be sent is divided among its subscriptions, at once when a namespace
/// is put into it, or its rates change; it has what others leave, and no more than its own without lending.
#[tokio::test(start_paused = true)]
async fn a_resource_group_is_held_lent_to_and_left() {
    for lends in [true, false] {
        let world = World::with(|options| options.resource_groups_lend = lends).await;
        let mut client = world.client();
        set_group(&world, "a", 10).await;
        set_group(&world, "idle", 20).await;
        put_into_group(&world, Some("a")).await;
        backlog(&mut client, &[(1, "a"), (2, "b")]).await;
        let counts = receive_for(&world, &mut client, 10).await;
        assert_close(counts.iter().sum(), if lends { 300 } else { 100 });
        let least = if lends { 120 } else { 40 };
        assert!(counts[1..=2].iter().all(|count| least <= *count), "{counts:?}");
        let found = world.broker.explain_subscription(&topic("t"), "a").await.unwrap();
        assert_eq!(found[0].state, "DispatchRate");
        let because = "resource group a: 10 messages in 1 s";
        assert!(found[0].because.contains(because), "{}", found[0].because);
        set_group(&world, "a", 50).await;
        let expected = if lends { 700 } else { 500 };
        assert_close(receive_for(&world, &mut client, 10).await.iter().sum(), expected);
        put_into_group(&world, None).await;
        assert!(500 < receive_for(&world, &mut client, 1).await.iter().sum::<usize>());
    }
}

/// Goal: groups are in force after a restart too.
#[tokio::test(start_paused = true)]
async fn resource_groups_are_there_after_a_restart() {
    let world = World::new().await;
    set_group(&world, "a", 10).await;
    put_into_group(&world, Some("a")).await;
    let world = world.crash(|options| options.resource_groups_lend = false).await;
    let mut client = world.client();
    backlog(&mut client, &[(1, "a")]).await;
    assert_close(receive_for(&world, &mut client, 10).await.iter().sum(), 100);
    assert_eq!(world.broker.resource_groups().await.unwrap(), ["a"]);
}
