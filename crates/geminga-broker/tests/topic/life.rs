//! A topic from its creation to its end: what is noted about it, its truncation, its deletion.

use std::{collections::BTreeMap, time::Duration};

use geminga_broker::{
    AdminError, InactiveMode, Outgoing, ProduceError, ProducerRequest, TopicError, TopicsMode,
    admin::{CursorStart, TopicPolicies},
};

use crate::{
    store::Writes,
    world::{World, is_pending, soon, topic},
};

const LIVE: &str = "non-persistent://public/default/t";

fn noted(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn names(world: &World) -> Vec<String> {
    world.broker.topics(topic("t").namespace(), TopicsMode::All).await.unwrap()
}

/// Goal: what users note about a topic is durable once it is answered, whatever else is written to the
/// same key, and so is the time of its creation. Method: it is created, changed, written to, unloaded, and
/// the broker crashes.
#[tokio::test(start_paused = true)]
async fn what_is_noted_is_durable() {
    let world = World::new().await;
    let (broker, name) = (&world.broker, topic("t"));
    let before = world.env.clock.wall().0;
    broker.create_topic_with(&name, noted(&[("a", "1"), ("b", "2")])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(broker.topic_properties(&name).await.unwrap(), noted(&[("a", "1"), ("b", "2")]));
    let (more, other) = (noted(&[("b", "3"), ("c", "x y")]), noted(&[("d", "4")]));
    let both = tokio::join!(
        broker.set_topic_properties(&name, more),
        broker.set_topic_properties(&name, other),
    );
    assert_eq!(both, (Ok(()), Ok(())));
    broker.remove_topic_property(&name, "a").await.unwrap();
    broker.remove_topic_property(&name, "nothing").await.unwrap();
    let expected = noted(&[("b", "3"), ("c", "x y"), ("d", "4")]);
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..12).await;
    broker.unload_topic(&name).await.unwrap();
    assert_eq!(broker.topic_properties(&name).await.unwrap(), expected);
    broker.terminate(&name).await.unwrap();
    let world = world.crash(|_| {}).await;
    assert_eq!(world.broker.topic_properties(&name).await.unwrap(), expected);
    let created = world.broker.topic_stats(&name).await.unwrap().created;
    assert!((before..before + 1_000).contains(&created), "{created}, not {before}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_noted_is_refused() {
    let world = World::new().await;
    let (broker, name) = (&world.broker, topic("t"));
    let missing = broker.topic_properties(&name).await;
    assert!(matches!(missing, Err(AdminError::NotFound(_))), "{missing:?}");
    let missing = broker.set_topic_properties(&name, noted(&[("a", "1")])).await;
    assert!(matches!(missing, Err(AdminError::NotFound(_))), "{missing:?}");
    broker.set_topic_properties(&name, BTreeMap::new()).await.unwrap();
    broker.create_topic(&name).await.unwrap();
    let large = "x".repeat(70_000);
    for wrong in [("geminga.created", "1 5"), ("pulsar.topic.epoch", "7"), ("", "1"), ("a", &large)]
    {
        let wrong = noted(&[wrong]);
        let refused = broker.set_topic_properties(&name, wrong.clone()).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
        let refused = broker.create_topic_with(&topic("other"), wrong.clone()).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
        let refused = broker.create_partitioned_topic(&topic("other"), 1, Some(wrong)).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    }
    // Nor more in sum.
    for key in ["a", "b"] {
        let half = noted(&[(key, &large[..40_000])]);
        let done = broker.set_topic_properties(&name, half).await;
        assert_eq!(done.is_ok(), key == "a", "{done:?}");
    }
    let refused = broker.remove_topic_property(&name, "geminga.created").await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    let _producer = world.client().produce(LIVE).await;
    let refused = broker.topic_properties(&topic(LIVE)).await;
    assert!(matches!(refused, Err(AdminError::NotAllowed(_))), "{refused:?}");
}

/// Goal: nobody is told that something is noted before it is, and a topic with changes on their way does
/// not go to sleep. Method: the store holds the topic's key back.
#[tokio::test(start_paused = true)]
async fn nothing_is_noted_before_it_is_durable() {
    let world =
        World::with(|options| options.unload_idle_after = Some(Duration::from_secs(1))).await;
    let name = topic("t");
    world.broker.create_topic(&name).await.unwrap();
    world.store.set_writes("/managed-ledgers/public/default/persistent/t", Writes::Held);
    let mut noting = Box::pin(world.broker.set_topic_properties(&name, noted(&[("a", "1")])));
    is_pending(&mut noting).await;
    assert_eq!(world.broker.topic_properties(&name).await.unwrap(), BTreeMap::new());
    world.store.set_writes("", Writes::Made);
    soon(noting).await.unwrap();
    assert_eq!(world.broker.topic_properties(&name).await.unwrap(), noted(&[("a", "1")]));
}

#[tokio::test(start_paused = true)]
async fn a_partitioned_topic_has_properties_of_its_own() {
    let world = World::new().await;
    let broker = &world.broker;
    for name in ["t", LIVE] {
        let name = topic(name);
        broker.create_partitioned_topic(&name, 2, Some(noted(&[("a", "1")]))).await.unwrap();
        broker.set_topic_properties(&name, noted(&[("b", "2")])).await.unwrap();
        broker.update_partitions(&name, 3).await.unwrap();
        broker.remove_topic_property(&name, "a").await.unwrap();
        assert_eq!(broker.topic_properties(&name).await.unwrap(), noted(&[("b", "2")]));
        assert_eq!(broker.partitions(&name, false).await, Ok(3));
    }
    let part = topic("t-partition-1");
    assert_eq!(broker.topic_properties(&part).await.unwrap(), BTreeMap::new());
    broker.set_topic_properties(&part, noted(&[("p", "1")])).await.unwrap();
    assert_eq!(broker.topic_properties(&topic("t")).await.unwrap(), noted(&[("b", "2")]));
    assert_eq!(broker.topic_properties(&part).await.unwrap(), noted(&[("p", "1")]));
}

/// Goal: a truncation lets go of everything although retention keeps it, subscriptions have nothing left to
/// do, and what is published later is all there is, after a crash too.
#[tokio::test(start_paused = true)]
async fn a_truncated_topic_has_nothing_but_what_comes_later() {
    for deduplicates in [false, true] {
        let change = |options: &mut geminga_broker::Options| {
            options.managed_ledger.retention_time = None;
            options.managed_ledger.retention_bytes = None;
            options.deduplication.is_enabled = deduplicates;
        };
        let world = World::with(change).await;
        let (broker, name) = (&world.broker, topic("t"));
        broker.create_subscription(&name, "s", CursorStart::Earliest, Vec::new()).await.unwrap();
        let mut client = world.client();
        let producer = client.produce("t").await;
        client.publish(&producer, 0..12).await;
        let consumer = client.subscribe("t", 1, "s").await;
        broker.truncate(&name).await.unwrap();
        let stats = broker.topic_stats(&name).await.unwrap();
        assert_eq!((stats.storage_entries, stats.storage_bytes), (0, 0));
        assert!(stats.ledgers.iter().all(|ledger| ledger.entries == 0), "{:?}", stats.ledgers);
        let backlogs = stats.subscriptions.iter().map(|found| found.backlog_entries);
        assert_eq!(backlogs.sum::<u64>(), 0);
        broker.truncate(&name).await.unwrap();
        client.publish(&producer, 12..15).await;
        consumer.close().await;
        let world = world.crash(change).await;
        let mut client = world.client();
        for (id, subscription) in [(1, "s"), (2, "new")] {
            let consumer = client.subscribe("t", id, subscription).await;
            consumer.flow(100).await;
            assert_eq!(client.all_messages().await.len(), 3, "{subscription}");
            consumer.close().await;
        }
        let request = ProducerRequest {
            name: Some("test".to_owned()),
            is_name_user_provided: true,
            ..client.producer_request(1)
        };
        let producer = client.try_produce("t", request).await.unwrap();
        assert_eq!(producer.last_sequence_id(), if deduplicates { 14 } else { -1 });
    }
}

/// Goal: what compaction has not seen stays, for it reads on from there.
#[tokio::test(start_paused = true)]
async fn a_truncation_leaves_what_is_to_be_compacted() {
    let world = World::new().await;
    let (broker, name) = (&world.broker, topic("t"));
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish(&producer, 0..12).await;
    broker.compact(&name).await.unwrap();
    while broker.compaction_status(&name).await.unwrap()
        != geminga_broker::CompactionStatus::Success
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    client.publish(&producer, 12..17).await;
    tokio::time::sleep(Duration::from_secs(1)).await; // Compaction's cursor is durable.
    broker.truncate(&name).await.unwrap();
    let left = broker.topic_stats(&name).await.unwrap().storage_entries;
    assert!((5..12).contains(&left), "{left} entries are left");
    broker.compact(&name).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_partitions_of_a_topic_end_together() {
    let world = World::new().await;
    let (broker, name) = (&world.broker, topic("t"));
    let missing = broker.terminate_partitions(&name).await;
    assert!(matches!(missing, Err(AdminError::NotFound(_))), "{missing:?}");
    broker.create_topic(&topic("plain")).await.unwrap();
    let refused = broker.terminate_partitions(&topic("plain")).await;
    assert!(matches!(refused, Err(AdminError::NotAllowed(_))), "{refused:?}");
    broker.create_partitioned_topic(&name, 2, None).await.unwrap();
    let mut client = world.client();
    let producer = client.produce("t-partition-1").await;
    let sent = client.publish(&producer, 0..3).await;
    let last = broker.terminate_partitions(&name).await.unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!(last[&1], sent[2]);
    assert_eq!(broker.terminate_partitions(&name).await.unwrap(), last, "the same again");
    for part in ["t-partition-0", "t-partition-1"] {
        let refused = client.try_produce(part, client.producer_request(2)).await;
        assert!(matches!(refused, Err(ProduceError::Terminated(_))), "{refused:?}");
    }
}

/// Goal: who uses a topic that is deleted by force is closed, and does not bring it back where topics do
/// not come into being by being used; nor a partition of one, at any time of the deletion.
#[tokio::test(start_paused = true)]
async fn a_topic_that_was_deleted_by_force_does_not_come_back() {
    let world = World::with(|options| options.auto_topic_creation = false).await;
    let broker = &world.broker;
    broker.create_topic(&topic("plain")).await.unwrap();
    broker.create_partitioned_topic(&topic("whole"), 2, None).await.unwrap();
    for name in ["plain", "whole-partition-1"] {
        let mut client = world.client();
        let _producer = client.produce(name).await;
        let _consumer = client.subscribe(name, 1, "s").await;
        match name {
            "plain" => broker.delete_topic(&topic(name), true).await.unwrap(),
            _ => broker.delete_partitioned_topic(&topic("whole"), true).await.unwrap(),
        }
        let mut closed = 0;
        while let Some(told) = client.told().await {
            let is_close =
                matches!(told, Outgoing::ProducerClosed { .. } | Outgoing::ConsumerClosed { .. });
            closed += usize::from(is_close);
        }
        assert_eq!(closed, 2);
        let refused = client.try_produce(name, client.producer_request(3)).await;
        assert!(
            matches!(refused, Err(ProduceError::Topic(TopicError::NotFound(_)))),
            "{refused:?}"
        );
        assert!(client.try_subscribe(name, client.subscribe_request(4, "s")).await.is_err());
    }
    assert_eq!(names(&world).await, [""; 0]);
}

/// Goal: clients that come back while a partitioned topic is deleted are refused, so that it ends. Method:
/// the store holds the end of the deletion back.
#[tokio::test(start_paused = true)]
async fn nobody_uses_what_is_being_deleted() {
    let world = World::new().await;
    let (broker, name) = (&world.broker, topic("t"));
    broker.create_partitioned_topic(&name, 2, None).await.unwrap();
    let client = world.client();
    world.store.set_writes("t-partition-0", Writes::Held);
    let mut deleting = Box::pin(broker.delete_partitioned_topic(&name, true));
    is_pending(&mut deleting).await;
    for part in ["t-partition-0", "t-partition-1", "t"] {
        let refused = client.try_produce(part, client.producer_request(1)).await;
        assert!(
            matches!(refused, Err(ProduceError::Topic(TopicError::NotFound(_)))),
            "{part}: {refused:?}"
        );
    }
    world.store.set_writes("", Writes::Made);
    soon(deleting).await.unwrap();
    assert_eq!(names(&world).await, [""; 0]);
}

async fn wait_for_names(world: &World, count: usize) {
    let deadline = world.env.clock.now() + Duration::from_secs(600);
    while names(world).await.len() != count {
        assert!(world.env.clock.now() < deadline, "never: {count} topics");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Goal: with the last of its partitions that goes for being inactive, a partitioned topic goes, if that is
/// wanted; not while there is one.
#[tokio::test(start_paused = true)]
async fn a_partitioned_topic_goes_with_its_last_partition() {
    for is_wanted in [false, true] {
        let world = World::with(|options| {
            options.inactivity = Some((InactiveMode::NoSubscriptions, Duration::from_secs(10)));
            options.inactive_topics_interval = Duration::from_secs(5);
            options.topics.deletes_inactive_partitioned = is_wanted;
        })
        .await;
        let (broker, name) = (&world.broker, topic("t"));
        broker.create_partitioned_topic(&name, 2, None).await.unwrap();
        let change = |policies: &mut TopicPolicies| {
            policies.max_message_size = Some(5);
            Ok(())
        };
        broker.change_topic_policies(&name, change).await.unwrap();
        let used = world.client().produce("t-partition-1").await;
        world.client().produce("t-partition-0").await.close().await;
        wait_for_names(&world, 1).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(broker.partitions(&name, false).await, Ok(2));
        used.close().await;
        drop(used);
        wait_for_names(&world, 0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let found = broker.partitions(&name, false).await;
        assert_eq!(found.is_err(), is_wanted, "{found:?}");
        if is_wanted {
            broker.create_partitioned_topic(&name, 2, None).await.unwrap();
            let left = broker.topic_policies(&name).await.unwrap();
            assert_eq!(left, TopicPolicies::default(), "its policies went with it");
        }
    }
}

/// Goal: a partitioned topic that stores nothing stays: of its partitions only those in use are known.
#[tokio::test(start_paused = true)]
async fn a_partitioned_topic_that_stores_nothing_stays() {
    let world = World::with(|options| {
        options.inactivity = Some((InactiveMode::NoSubscriptions, Duration::from_secs(10)));
        options.inactive_topics_interval = Duration::from_secs(5);
        options.topics.deletes_inactive_partitioned = true;
    })
    .await;
    let name = topic("non-persistent://public/default/n");
    world.broker.create_partitioned_topic(&name, 2, None).await.unwrap();
    let part = |index| name.with_partition(index).to_string();
    let _used = world.client().produce(&part(0)).await;
    world.client().produce(&part(1)).await.close().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.broker.partitions(&name, false).await, Ok(2));
    world.client().produce(&part(1)).await;
}
