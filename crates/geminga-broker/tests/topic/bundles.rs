//! Bundles: what is split stays split, and is unloaded by its parts.

use geminga_broker::admin::{BundleSplit, CursorStart};
use geminga_types::TopicName;

use crate::world::{World, topic};

const WHOLE: &str = "0x00000000_0xffffffff";

fn in_use(world: &World) -> Vec<TopicName> {
    let mut topics = world.broker.topics_in_use();
    topics.sort();
    topics
}

#[tokio::test(start_paused = true)]
async fn a_split_holds_after_a_crash_and_each_part_is_unloaded_alone() {
    let world = World::with(|options| options.bundles_default = 1).await;
    let namespace = "public/n".parse().unwrap();
    world.broker.create_namespace(&namespace, None).await.unwrap();
    let names: Vec<String> = (0..12).map(|n| format!("persistent://public/n/t-{n}")).collect();
    let mut client = world.client();
    for name in &names {
        let producer = client.produce(name).await;
        let (of, start) = (topic(name), CursorStart::Earliest);
        world.broker.create_subscription(&of, "s", start, Vec::new()).await.unwrap();
        client.publish(&producer, 0..2).await;
        producer.close().await;
    }
    world.broker.split_bundle(&namespace, WHOLE, &BundleSplit::Range, false).await.unwrap();
    let bundles = world.broker.bundles(&namespace).await.unwrap();
    assert_eq!(bundles.ranges().count(), 2);
    assert_eq!(in_use(&world).len(), 12, "a split closes nothing");
    let world = world.crash(|options| options.bundles_default = 1).await;
    assert_eq!(world.broker.bundles(&namespace).await.unwrap(), bundles);
    let mut client = world.client();
    for name in &names {
        let producer = client.produce(name).await;
        client.publish(&producer, 2..4).await;
        producer.close().await;
    }
    let low = bundles.ranges().next().unwrap();
    world.broker.unload_bundle(&namespace, &low.to_string()).await.unwrap();
    let (gone, left): (Vec<_>, Vec<_>) =
        names.iter().map(|name| topic(name)).partition(|name| low.holds(name));
    assert!(!gone.is_empty() && !left.is_empty());
    let mut expected = left.clone();
    expected.sort();
    assert_eq!(in_use(&world), expected);
    for name in gone.iter().chain(&left) {
        let stats = world.broker.topic_stats(name).await.unwrap();
        assert_eq!(stats.subscriptions[0].backlog_entries, 4, "{name}");
    }
}

/// Goal: ownership goes by the parts: when that of one is lost, the topics of the other are served on.
#[tokio::test(start_paused = true)]
async fn the_ownership_of_a_part_is_lost_alone() {
    let world = World::with(|options| options.bundles_default = 1).await;
    let namespace = "public/n".parse().unwrap();
    world.broker.create_namespace(&namespace, None).await.unwrap();
    world.broker.split_bundle(&namespace, WHOLE, &BundleSplit::Range, false).await.unwrap();
    let names: Vec<TopicName> =
        (0..12).map(|n| topic(&format!("persistent://public/n/t-{n}"))).collect();
    let client = world.client();
    for name in &names {
        client.produce(&name.to_string()).await;
    }
    let low = world.broker.bundles(&namespace).await.unwrap().ranges().next().unwrap();
    let (lost, mut kept): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| low.holds(name));
    world.broker.revoke_ownership(&lost[0]);
    kept.sort();
    world.until("the topics of one part are closed", || in_use(&world) == kept).await;
}
