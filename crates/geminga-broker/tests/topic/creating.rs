//! What comes into being by being used, and what does not.

use geminga_broker::{
    AdminError, ProduceError, ProducerRequest, SubscribeError, SubscribeRequest, TopicError,
    TopicsMode,
    admin::{AutoSubscriptionCreationOverride, AutoTopicCreationOverride, CursorStart, Policies},
};
use geminga_metadata::MetadataStore as _;

use crate::{
    client::Client,
    store::Writes,
    world::{World, is_pending, soon, topic},
};

const ANY: &str = "persistent://public/default/t";
const LIVE: &str = "non-persistent://public/default/t";

async fn change(world: &World, mut change: impl FnMut(&mut Policies) + Send) {
    let namespace = topic("t").namespace().clone();
    let changed = world.broker.change_namespace_policies(&namespace, move |policies| {
        change(policies);
        Ok(())
    });
    changed.await.unwrap();
}

/// What the namespace says of topics: the number of partitions, none, or that none come into being.
async fn allow(world: &World, partitions: Option<Option<i32>>) {
    change(world, |policies| {
        policies.auto_topic_creation_override = Some(AutoTopicCreationOverride {
            allow_auto_topic_creation: partitions.is_some(),
            topic_type: partitions.map(|count| match count {
                Some(_) => "partitioned".to_owned(),
                None => "non-partitioned".to_owned(),
            }),
            default_num_partitions: partitions.flatten(),
        });
    })
    .await;
}

async fn is_refused(client: &Client, name: &str) -> bool {
    let produced = client.try_produce(name, client.producer_request(9)).await;
    let subscribed = client.try_subscribe(name, client.subscribe_request(9, "refused")).await;
    match (produced, subscribed) {
        (
            Err(ProduceError::Topic(TopicError::NotFound(_))),
            Err(SubscribeError::Topic(TopicError::NotFound(_))),
        ) => true,
        (Ok(producer), Ok(consumer)) => {
            producer.close().await;
            consumer.close().await;
            false
        }
        other => panic!("{other:?}"),
    }
}

async fn names(world: &World) -> Vec<String> {
    world.broker.topics(topic("t").namespace(), TopicsMode::All).await.unwrap()
}

/// Goal: where topics do not come into being by being used, those that exist are used all the same, and
/// administrators create others; the namespace's word counts before the broker's, at once.
#[tokio::test(start_paused = true)]
async fn topics_come_into_being_where_they_may() {
    let world = World::with(|options| options.auto_topic_creation = false).await;
    let client = world.client();
    assert!(is_refused(&client, "a").await && is_refused(&client, LIVE).await);
    assert!(matches!(
        world.broker.partitions(&topic("a"), true).await,
        Err(TopicError::NotFound(_))
    ));
    assert_eq!(names(&world).await, [""; 0]);
    world.broker.create_topic(&topic("a")).await.unwrap();
    assert!(!is_refused(&client, "a").await);
    allow(&world, Some(None)).await;
    assert!(!is_refused(&client, "b").await && !is_refused(&client, LIVE).await);
    allow(&world, None).await;
    assert!(!is_refused(&client, "b").await && is_refused(&client, "c").await);
    // Brokers keep these for themselves.
    assert!(!is_refused(&client, "__change_events").await);
    change(&world, |policies| policies.auto_topic_creation_override = None).await;
    assert!(is_refused(&client, "c").await);
}

/// Goal: each partition exists from the first question on, whoever asks it; nobody asks twice.
#[tokio::test(start_paused = true)]
async fn topics_come_into_being_with_partitions() {
    let world = World::with(|options| {
        options.auto_partitions = Some(2);
        options.topics.partitions_max = 4;
    })
    .await;
    let broker = &world.broker;
    assert!(matches!(broker.partitions(&topic("a"), false).await, Err(TopicError::NotFound(_))));
    assert_eq!(broker.partitions(&topic("a"), true).await, Ok(2));
    assert_eq!(names(&world).await.len(), 2);
    allow(&world, Some(Some(3))).await;
    let (b, c) = (topic("b"), topic("c"));
    let at_once = tokio::join!(broker.partitions(&b, true), broker.partitions(&b, true));
    assert_eq!(at_once, (Ok(3), Ok(3)));
    broker.create_subscription(&c, "s", CursorStart::Earliest, Vec::new()).await.unwrap();
    assert_eq!(broker.partitions(&c, false).await, Ok(3));
    assert_eq!(broker.subscriptions(&topic("c-partition-2")).await.unwrap(), ["s"]);
    allow(&world, Some(Some(100))).await;
    assert_eq!(broker.partitions(&topic("d"), true).await, Ok(4), "as many as there may be");
    // What exists without partitions stays so.
    allow(&world, Some(None)).await;
    world.client().produce("e").await;
    allow(&world, Some(Some(3))).await;
    assert_eq!(broker.partitions(&topic("e"), true).await, Ok(0));
    // What brokers keep for themselves has none.
    assert_eq!(broker.partitions(&topic("__change_events"), true).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_partition_beyond_the_number_exists_once_there_are_more() {
    let world = World::new().await;
    let client = world.client();
    for name in [ANY, LIVE] {
        world.broker.create_partitioned_topic(&topic(name), 2, None).await.unwrap();
        let third = format!("{name}-partition-2");
        assert!(is_refused(&client, &third).await);
        world.broker.update_partitions(&topic(name), 3).await.unwrap();
        assert!(!is_refused(&client, &third).await);
        assert!(is_refused(&client, &format!("{name}-partition-3")).await);
        // Nor is there one beside its partitions.
        assert!(is_refused(&client, name).await);
        let refused = world.broker.create_topic(&topic(name)).await;
        assert!(matches!(refused, Err(AdminError::Conflict(_))));
    }
}

/// Goal: partitions that are created by the configuration exist although it changes, and where topics do
/// not come into being a partition that was deleted does not.
#[tokio::test(start_paused = true)]
async fn partitions_come_into_being_like_topics() {
    let world = World::with(|options| options.auto_partitions = Some(2)).await;
    let client = world.client();
    world.broker.partitions(&topic("t"), true).await.unwrap();
    world.broker.partitions(&topic(LIVE), true).await.unwrap();
    allow(&world, None).await;
    for name in [ANY, LIVE] {
        assert!(!is_refused(&client, &format!("{name}-partition-1")).await);
    }
    world.broker.delete_topic(&topic("t-partition-1"), true).await.unwrap();
    assert!(is_refused(&client, "t-partition-1").await);
    world.broker.create_missed_partitions(&topic("t")).await.unwrap();
    assert!(!is_refused(&client, "t-partition-1").await);
}

/// Goal: new partitions count only once they have the subscriptions of the first one, but for those that
/// the topic keeps for itself. Method: the store holds the record of the last subscription back.
#[tokio::test(start_paused = true)]
async fn partitions_count_once_they_have_their_subscriptions() {
    let world = World::new().await;
    let (whole, first) = (topic("t"), topic("t-partition-0"));
    world.broker.create_partitioned_topic(&whole, 1, None).await.unwrap();
    world.client().produce("t-partition-0").await;
    world.broker.create_subscription(&first, "s", CursorStart::Latest, Vec::new()).await.unwrap();
    world.broker.compact(&first).await.unwrap();
    let made = "/managed-ledgers/public/default/persistent/t-partition-0/__compaction";
    while world.store.get(made).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let last = "/managed-ledgers/public/default/persistent/t-partition-2/s";
    world.store.set_writes(last, Writes::Held);
    let mut growing = Box::pin(world.broker.update_partitions(&whole, 3));
    is_pending(&mut growing).await;
    assert_eq!(world.broker.partitions(&whole, true).await, Ok(1));
    world.store.set_writes("", Writes::Made);
    soon(growing).await.unwrap();
    assert_eq!(world.broker.partitions(&whole, true).await, Ok(3));
    for part in ["t-partition-1", "t-partition-2"] {
        assert_eq!(world.broker.subscriptions(&topic(part)).await.unwrap(), ["s"]);
    }
    // What somebody has on the first one alone goes to new ones, and to no others.
    world.broker.create_subscription(&first, "x", CursorStart::Latest, Vec::new()).await.unwrap();
    world.broker.update_partitions(&whole, 4).await.unwrap();
    assert_eq!(world.broker.subscriptions(&topic("t-partition-1")).await.unwrap(), ["s"]);
    assert_eq!(world.broker.subscriptions(&topic("t-partition-3")).await.unwrap(), ["s", "x"]);
}

/// Goal: a growth that a crash has cut short is mended by growing again, and what it left is deleted with
/// the topic. Method: the count is never written.
#[tokio::test(start_paused = true)]
async fn a_growth_that_was_cut_short_leaves_nothing() {
    let count = "/admin/partitioned-topics/public/default/persistent/t";
    for grows_again in [true, false] {
        let world = World::new().await;
        let whole = topic("t");
        world.broker.create_partitioned_topic(&whole, 1, None).await.unwrap();
        world.store.set_writes(count, Writes::Held);
        let mut growing = Box::pin(world.broker.update_partitions(&whole, 4));
        is_pending(&mut growing).await;
        assert_eq!(names(&world).await.len(), 4, "what it left");
        let world = world.crash(|_| {}).await;
        assert_eq!(world.broker.partitions(&whole, false).await, Ok(1));
        if grows_again {
            world.broker.update_partitions(&whole, 4).await.unwrap();
            assert_eq!(world.broker.partitions(&whole, false).await, Ok(4));
        }
        world.broker.delete_partitioned_topic(&whole, false).await.unwrap();
        assert_eq!(names(&world).await, [""; 0]);
    }
}

/// Goal: a topic that is created while another of its name with partitions is: one of them is refused.
#[tokio::test(start_paused = true)]
async fn a_topic_has_partitions_or_has_none() {
    let records = [
        "/admin/partitioned-topics/public/default/persistent/t",
        "/managed-ledgers/public/default/persistent/t",
    ];
    for held in records {
        let world = World::new().await;
        world.store.set_writes(held, Writes::Held);
        let name = topic("t");
        let client = world.client();
        let mut whole = Box::pin(world.broker.create_partitioned_topic(&name, 2, None));
        let mut plain = Box::pin(client.try_produce("t", client.producer_request(1)));
        if held == records[0] {
            is_pending(&mut whole).await;
            drop(soon(plain).await.unwrap());
            world.store.set_writes("", Writes::Made);
            assert!(matches!(soon(whole).await, Err(AdminError::Conflict(_))));
            assert_eq!(names(&world).await, [ANY]);
            assert_eq!(world.broker.partitions(&name, true).await, Ok(0));
        } else {
            is_pending(&mut plain).await;
            is_pending(&mut whole).await; // Its partitions have keys that contain the other's.
            world.store.set_writes("", Writes::Made);
            let refused = soon(plain).await;
            soon(whole).await.unwrap();
            assert!(
                matches!(refused, Err(ProduceError::Topic(TopicError::NotFound(_)))),
                "{refused:?}"
            );
            assert_eq!(names(&world).await.len(), 2);
        }
    }
}

/// Goal: subscriptions come into being where they may, at once on topics in use; those of readers and
/// those that exist always may be used.
#[tokio::test(start_paused = true)]
async fn subscriptions_come_into_being_where_they_may() {
    let world = World::with(|options| options.auto_subscription_creation = false).await;
    let client = world.client();
    let producer = client.produce("t").await;
    let refused = client.try_subscribe("t", client.subscribe_request(1, "s")).await;
    assert!(matches!(refused, Err(SubscribeError::NotFound { .. })), "{refused:?}");
    let reader = SubscribeRequest { is_durable: false, ..client.subscribe_request(1, "reader") };
    client.try_subscribe("t", reader).await.unwrap();
    let at = CursorStart::Latest;
    world.broker.create_subscription(&topic("t"), "s", at, Vec::new()).await.unwrap();
    client.try_subscribe("t", client.subscribe_request(2, "s")).await.unwrap();
    let with = |id, name: &str| ProducerRequest {
        initial_subscription: Some(name.to_owned()),
        ..client.producer_request(id)
    };
    let refused = client.try_produce("t", with(4, "v")).await;
    assert!(matches!(refused, Err(ProduceError::NotAllowed(_))), "{refused:?}");
    client.try_produce("t", with(4, "s")).await.unwrap();
    client.try_produce(LIVE, with(5, "v")).await.unwrap();
    change(&world, |policies| {
        let allow_auto_subscription_creation = true;
        policies.auto_subscription_creation_override =
            Some(AutoSubscriptionCreationOverride { allow_auto_subscription_creation });
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    client.try_subscribe("t", client.subscribe_request(3, "u")).await.unwrap();
    client.try_produce("t", with(6, "v")).await.unwrap();
    producer.close().await;
}

/// Goal: a namespace has no more topics than it may, however they come; what exists is used.
#[tokio::test(start_paused = true)]
async fn a_namespace_has_no_more_topics_than_it_may() {
    let world = World::with(|options| options.topics.per_namespace_max = 2).await;
    let client = world.client();
    for name in ["a", "b", "a", LIVE, "__change_events"] {
        client.try_produce(name, client.producer_request(1)).await.unwrap().close().await;
    }
    let refused = client.try_produce("c", client.producer_request(2)).await;
    let is_full = |error: &TopicError| matches!(error, TopicError::TooManyTopics { limit: 2, .. });
    assert!(matches!(&refused, Err(ProduceError::Topic(error)) if is_full(error)), "{refused:?}");
    allow(&world, Some(Some(2))).await;
    let refused = world.broker.partitions(&topic("c"), true).await;
    assert!(refused.as_ref().is_err_and(is_full), "{refused:?}");
    world.broker.delete_topic(&topic("a"), false).await.unwrap();
    allow(&world, Some(None)).await;
    client.try_produce("c", client.producer_request(2)).await.unwrap();
}
