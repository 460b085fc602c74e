//! Compaction: by request and by threshold, read while it goes on, and what is left of a failed one.

use std::{collections::BTreeSet, time::Duration};

use geminga_broker::{
    AdminError, CompactionStatus, Outgoing, Publish, SeekTo, SubscribeError, SubscribeRequest,
    SubscriptionKind, admin::Policies,
};
use geminga_checksum::Sum;
use geminga_compression::Compression;
use geminga_metadata::{
    paths,
    values::{compaction, managed_ledger::decode_ledger},
};
use geminga_types::{LedgerId, Position};
use geminga_wire::{
    entry::encode_entry,
    proto::{CompressionType, MessageMetadata},
};

use crate::{
    bookie::Adds,
    client::{ack, cumulative, publish},
    keyed::{Placed, all_seen, item},
    store::Writes,
    world::{World, topic},
};

/// Longer than closed ledgers wait to be looked over.
const TRIMMED: Duration = Duration::from_secs(130);

fn keys(found: &[Placed]) -> Vec<(&str, &str)> {
    found.iter().map(|(_, _, item)| (item.key.as_deref().unwrap(), item.value.as_str())).collect()
}

/// The ledgers that the topic's key names.
async fn named(world: &World, name: &str) -> BTreeSet<LedgerId> {
    let value = world.store.value(&paths::managed_ledger(&topic(name))).await.unwrap();
    let info = decode_ledger(value).unwrap();
    let listed = info.ledger_info.iter().map(|ledger| LedgerId(ledger.ledger_id));
    listed.chain(compaction::ledgers(&info).unwrap()).collect()
}

async fn compacted_ledger(world: &World, name: &str) -> Option<LedgerId> {
    let value = world.store.value(&paths::managed_ledger(&topic(name))).await.unwrap();
    let info = decode_ledger(value).unwrap();
    compaction::compacted(&info).unwrap().map(|compacted| compacted.ledger_id)
}

async fn is_compacting(world: &World, name: &str) -> bool {
    let value = world.store.value(&paths::managed_ledger(&topic(name))).await.unwrap();
    compaction::compacting(&decode_ledger(value).unwrap()).unwrap().is_some()
}

/// Ledgers with entries that no key of the topic names: cursors' aside, of which each has its own.
async fn strays(world: &World, name: &str) -> BTreeSet<LedgerId> {
    let named = named(world, name).await;
    let cursors: BTreeSet<LedgerId> = cursor_ledgers(world, name).await;
    world
        .bookie
        .ledgers()
        .into_iter()
        .filter(|id| !named.contains(id) && !cursors.contains(id))
        .collect()
}

async fn cursor_ledgers(world: &World, name: &str) -> BTreeSet<LedgerId> {
    use geminga_metadata::values::managed_ledger::decode_cursor;
    let mut found = BTreeSet::new();
    for cursor in ["__compaction", "sub"] {
        let path = format!("{}/{cursor}", paths::managed_ledger(&topic(name)));
        if let Some(value) = world.store.value(&path).await {
            found.insert(LedgerId(decode_cursor(value).unwrap().cursors_ledger_id));
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_the_last_of_each_key_with_its_id_and_then_what_is_new() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let status = world.broker.compaction_status(&topic("t")).await.unwrap();
    assert_eq!(status, CompactionStatus::NotRun);
    let old = [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("b", ""), ("d", "1"), ("a", "3")];
    let old = client.publish_keyed(&producer, &old).await;
    let batch = [item("c", "2"), item("e", "1"), item("e", ""), item("f", "1")];
    let batch = client.publish_items(&producer, 9, &batch, true).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    let new = client.publish_keyed(&producer, &[("a", "4"), ("a", "5")]).await;
    let found = client.all_compacted("t").await;
    let expected = [&old[5..], &[batch[0].clone(), batch[3].clone()], &new].concat();
    assert_eq!(found, expected);
    let plain = client.read("t", 5).await;
    plain.flow(100).await;
    assert_eq!(all_seen(&client.all_messages().await).len(), old.len() + batch.len() + new.len());
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert_eq!(stats.compaction.removed_last, 7);
    assert!(0 < stats.compaction.succeeded_at);
    assert_eq!(stats.compacted_ledger.unwrap().entries, 3);
}

#[tokio::test(start_paused = true)]
async fn only_one_consumer_at_a_time_may_read_compacted() {
    let world = World::new().await;
    let client = world.client();
    for kind in [SubscriptionKind::Shared, SubscriptionKind::KeyShared] {
        let request = client.subscribe_request(1, "sub");
        let request = SubscribeRequest { kind, reads_compacted: true, ..request };
        let refused = client.try_subscribe("t", request).await;
        assert!(matches!(refused, Err(SubscribeError::NotAllowed(_))), "{refused:?}");
    }
    let request = client.subscribe_request(1, "sub");
    let request = SubscribeRequest { reads_compacted: true, ..request };
    let refused = client.try_subscribe("non-persistent://public/default/n", request).await;
    assert!(matches!(refused, Err(SubscribeError::NotAllowed(_))), "{refused:?}");
}

/// Goal: what survived is read long after the originals are gone, after unloading too, and what is
/// not compacted is not trimmed.
#[tokio::test(start_paused = true)]
async fn what_survives_outlives_the_originals() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let items: Vec<(String, String)> =
        (0..23).map(|n| (format!("k{}", n % 7), n.to_string())).collect();
    let items: Vec<_> = items.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let placed = client.publish_keyed(&producer, &items).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    let tail = client.publish_keyed(&producer, &[("k0", "new"); 9]).await;
    let before = named(&world, "t").await;
    tokio::time::sleep(TRIMMED).await;
    let after = named(&world, "t").await;
    assert!(after.len() < before.len(), "{after:?}");
    assert!(after.contains(&tail[0].0.ledger_id), "what is not compacted is kept");
    assert!(!after.contains(&placed[16].0.ledger_id), "what is compacted is not");
    let expected = [&placed[16..], &tail].concat();
    assert_eq!(client.all_compacted("t").await, expected);
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let mut client = world.client();
    assert_eq!(client.all_compacted("t").await, expected);
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    tokio::time::sleep(TRIMMED).await;
    let expected = [&placed[16..21], &placed[22..], &tail[8..]].concat();
    assert_eq!(client.all_compacted("t").await, expected);
    assert_eq!(strays(&world, "t").await, BTreeSet::new());
}

/// Goal: a reader that is in the middle of a compacted ledger when a newer one comes goes on in the
/// one it began with, and then in the topic, so that it sees a deletion that the newer one leaves
/// out; and the old ledger is deleted when it is through, not before.
#[tokio::test(start_paused = true)]
async fn a_reader_ends_the_ledger_that_it_began() {
    let world = World::with(|options| options.limits.read_entries_max = 2).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let items = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1"), ("f", "1")];
    let old = client.publish_keyed(&producer, &items).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    let first = compacted_ledger(&world, "t").await.unwrap();
    let reader = client.read_compacted("t", 1).await;
    reader.flow(2).await;
    let mut found = all_seen(&client.messages(2).await);
    let new = client.publish_keyed(&producer, &[("a", ""), ("b", "2"), ("g", "1")]).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    assert_ne!(compacted_ledger(&world, "t").await, Some(first));
    assert!(world.bookie.ledgers().contains(&first), "it is being read");
    reader.flow(100).await;
    found.extend(all_seen(&client.messages(7).await));
    assert_eq!(found, [&old[..], &new].concat());
    reader.ack(cumulative(found[5].0, 7)).await;
    assert!(client.ack_done(7).await);
    world.until("the old ledger is deleted", || !world.bookie.ledgers().contains(&first)).await;
    let fresh = client.all_compacted("t").await;
    assert_eq!(
        keys(&fresh),
        [("c", "1"), ("d", "1"), ("e", "1"), ("f", "1"), ("b", "2"), ("g", "1")]
    );
}

/// Goal: when the topic is trimmed behind a reader, a newer compacted ledger takes its place.
#[tokio::test(start_paused = true)]
async fn a_reader_whose_entries_are_trimmed_goes_on_in_a_compacted_ledger() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let reader = client.read_compacted("t", 1).await;
    reader.flow(1).await;
    let items: Vec<(String, String)> =
        (0..24).map(|n| (format!("k{}", n % 5), n.to_string())).collect();
    let items: Vec<_> = items.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut placed = Vec::new();
    for (number, (key, value)) in (0..).zip(&items) {
        let found = client.publish_items_beside(&producer, number, &[item(key, value)]).await;
        placed.push(found);
    }
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    tokio::time::sleep(TRIMMED).await;
    assert!(!named(&world, "t").await.contains(&placed[1].0.ledger_id));
    reader.flow(100).await;
    assert_eq!(all_seen(&client.all_messages().await), placed[19..]);
}

#[tokio::test(start_paused = true)]
async fn the_last_message_of_a_compacted_topic_is_one_that_survived() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish_keyed(&producer, &[("a", "1")]).await;
    let batch = [item("b", "1"), item("c", "1"), item("a", "")];
    let batch = client.publish_items(&producer, 5, &batch, true).await;
    client.publish_keyed(&producer, &[("x", "1"), ("x", "")]).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    let reader = client.read_compacted("t", 1).await;
    let last = reader.last_message().await.unwrap();
    assert_eq!((last.position, last.batch_index), (batch[1].0, batch[1].1));
    reader.flow(100).await;
    let found = all_seen(&client.messages(1).await);
    assert_eq!(found, batch[..2]);
    reader.ack(cumulative(batch[0].0, 1)).await;
    assert!(client.ack_done(1).await);
    let last = reader.last_message().await.unwrap();
    assert_eq!((last.position, last.batch_index), (batch[1].0, batch[1].1));
    client.quiet().await;
    let plain = client.read("t", 2).await;
    assert!(batch[0].0 < plain.last_message().await.unwrap().position);
    let new = client.publish_items_beside(&producer, 9, &[item("y", "1")]).await;
    assert_eq!(reader.last_message().await.unwrap().position, new.0);
}

/// Goal: a durable subscription goes on where it was, by the originals' ids, and its acks are durable
/// although the originals are gone.
#[tokio::test(start_paused = true)]
async fn a_durable_subscription_goes_on_in_the_compacted_ledger() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let items: Vec<(String, String)> =
        (0..20).map(|n| (format!("k{}", n % 10), n.to_string())).collect();
    let items: Vec<_> = items.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let placed = client.publish_keyed(&producer, &items).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    tokio::time::sleep(TRIMMED).await;
    let request = |client: &crate::client::Client| SubscribeRequest {
        reads_compacted: true,
        ..client.subscribe_request(1, "sub")
    };
    let consumer = client.try_subscribe("t", request(&client)).await.unwrap();
    consumer.flow(100).await;
    assert_eq!(all_seen(&client.all_messages().await), placed[10..]);
    consumer.ack(ack(&[placed[10].0, placed[12].0, placed[13].0], Some(1))).await;
    assert!(client.ack_done(1).await);
    world.broker.unload_topic(&topic("t")).await.unwrap();
    let mut client = world.client();
    let consumer = client.try_subscribe("t", request(&client)).await.unwrap();
    consumer.flow(100).await;
    let left = [&placed[11..12], &placed[14..]].concat();
    assert_eq!(all_seen(&client.all_messages().await), left);
    consumer.seek(SeekTo::Position(Position::EARLIEST, None)).await.unwrap();
    client.consumer_closed().await;
    let consumer = client.try_subscribe("t", request(&client)).await.unwrap();
    consumer.flow(100).await;
    assert_eq!(all_seen(&client.all_messages().await), placed[10..]);
    consumer.seek(SeekTo::PublishTime(15)).await.unwrap();
    client.consumer_closed().await;
    let consumer = client.try_subscribe("t", request(&client)).await.unwrap();
    consumer.flow(100).await;
    assert_eq!(all_seen(&client.all_messages().await), placed[15..]);
}

async fn set_threshold(world: &World, bytes: i64) {
    let change = |policies: &mut Policies| {
        policies.compaction_threshold = Some(bytes);
        Ok(())
    };
    world.broker.change_namespace_policies(topic("t").namespace(), change).await.unwrap();
}

/// Goal: beyond its threshold a topic is compacted by itself, again and again; and from the time that
/// there is one on, nothing is trimmed that is not compacted.
#[tokio::test(start_paused = true)]
async fn a_topic_is_compacted_beyond_its_threshold() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    set_threshold(&world, 500).await;
    let first = client.publish_keyed(&producer, &[("a", "1"); 8]).await;
    tokio::time::sleep(TRIMMED).await;
    assert_eq!(compacted_ledger(&world, "t").await, None);
    assert!(named(&world, "t").await.contains(&first[0].0.ledger_id));
    let mut before = None;
    for round in 0..3 {
        client.publish_keyed(&producer, &[("a", "2"); 40]).await;
        tokio::time::sleep(TRIMMED).await;
        let now = compacted_ledger(&world, "t").await;
        assert!(now.is_some() && now != before, "round {round}");
        before = now;
    }
    assert_eq!(client.all_compacted("t").await.len(), 1);
    set_threshold(&world, 0).await;
    client.publish_keyed(&producer, &[("a", "3"); 40]).await;
    tokio::time::sleep(TRIMMED).await;
    assert_eq!(compacted_ledger(&world, "t").await, before);
}

/// Goal: a compaction that cannot be does not read the whole topic every minute for ever.
#[tokio::test(start_paused = true)]
async fn a_threshold_waits_longer_after_each_failure() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    set_threshold(&world, 500).await;
    client.publish_keyed(&producer, &[("a", "1"); 8]).await;
    tokio::time::sleep(TRIMMED).await;
    client.publish_keyed(&producer, &[("a", "2"); 40]).await;
    world.bookie.set_adds(Adds::Failed);
    let mut failures = BTreeSet::new();
    for _ in 0..8 * 60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        failures.insert(world.broker.topic_stats(&topic("t")).await.unwrap().compaction.failed_at);
    }
    assert!((5..20).contains(&failures.len()), "{} failures", failures.len());
    world.bookie.set_adds(Adds::Stored);
    tokio::time::sleep(Duration::from_secs(3_700)).await;
    assert!(compacted_ledger(&world, "t").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_refused_while_one_is_served() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    client.publish_keyed(&producer, &[("a", "1"), ("a", "2")]).await;
    world.bookie.set_adds(Adds::Held);
    world.broker.compact(&topic("t")).await.unwrap();
    let again = world.broker.compact(&topic("t")).await;
    assert!(matches!(again, Err(AdminError::Conflict(_))), "{again:?}");
    world.bookie.release();
    assert_eq!(world.compacted("t").await, CompactionStatus::Success);
}

/// Goal: whatever fails, the status says so, nothing is left over, and the next try succeeds.
#[tokio::test(start_paused = true)]
async fn a_failed_compaction_says_why_and_leaves_nothing() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let placed = client.publish_keyed(&producer, &[("a", "1"), ("b", "1"), ("a", "2")]).await;
    world.store.set_writes("/managed-ledgers/", Writes::Refused);
    assert!(matches!(world.compact("t").await, CompactionStatus::Error(_)), "no cursor");
    world.store.set_writes("", Writes::Made);
    tokio::time::sleep(TRIMMED).await;
    world.bookie.set_adds(Adds::Failed);
    assert!(matches!(world.compact("t").await, CompactionStatus::Error(_)), "no ledger");
    world.bookie.set_adds(Adds::Stored);
    tokio::time::sleep(TRIMMED).await;
    assert!(!is_compacting(&world, "t").await);
    assert_eq!(client.all_compacted("t").await, placed);
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    assert_eq!(client.all_compacted("t").await, placed[1..]);
    assert_eq!(strays(&world, "t").await, BTreeSet::new());
    let stats = world.broker.topic_stats(&topic("t")).await.unwrap();
    assert!(0 < stats.compaction.failed_at);
}

#[tokio::test(start_paused = true)]
async fn a_topic_with_more_keys_than_memory_is_not_compacted() {
    let world = World::with(|options| options.compaction.key_bytes = 10_000).await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    for number in 0..200 {
        let items = [item(&format!("key-{number}-{}", "x".repeat(100)), "v")];
        client.publish_items(&producer, number, &items, false).await;
    }
    let CompactionStatus::Error(reason) = world.compact("t").await else { panic!("an error") };
    assert!(reason.contains("keys") && reason.contains("10000"), "{reason}");
    assert_eq!(client.all_compacted("t").await.len(), 200);
}

/// Goal: a crash at any step of a compaction leaves the topic as it was or compacted, and what is left
/// over is deleted. Method: the broker is stopped while a write of a step is on its way, or made and
/// not answered; another one reads, compacts and looks what is stored.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_loses_nothing_and_leaves_nothing() {
    let key = "/managed-ledgers/public/default/persistent/t";
    for step in ["begin", "write", "swap", "swapped"] {
        let world = World::new().await;
        let mut client = world.client();
        let producer = client.produce("t").await;
        let items = [("a", "1"), ("b", "1"), ("a", "2"), ("c", "1"), ("c", ""), ("b", "2")];
        let old = client.publish_keyed(&producer, &items).await;
        assert_eq!(world.compact("t").await, CompactionStatus::Success);
        let first = compacted_ledger(&world, "t").await;
        let items = [("d", "1"), ("a", "3"), ("e", "1"), ("e", "2")];
        let new = client.publish_keyed(&producer, &items).await;
        match step {
            "begin" => world.store.set_writes(key, Writes::Held),
            _ => world.bookie.set_adds(Adds::Held),
        }
        world.broker.compact(&topic("t")).await.unwrap();
        if step != "begin" {
            world.until("the ledger is written", || 0 < world.bookie.held()).await;
            assert!(is_compacting(&world, "t").await);
        }
        match step {
            "swap" => {
                world.store.set_writes(key, Writes::Held);
                world.bookie.release();
            }
            "swapped" => {
                world.bookie.release_one();
                while compacted_ledger(&world, "t").await == first {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            _ => {}
        }
        if ["begin", "swap"].contains(&step) {
            world.until("the key is written", || 0 < world.store.held()).await;
        }
        let world = world.crash(|_| {}).await;
        world.bookie.set_adds(Adds::Stored);
        let mut client = world.client();
        let found = client.all_compacted("t").await;
        let is_swapped = step == "swapped";
        let expected = match is_swapped {
            true => [&old[5..], &new[..2], &new[3..]].concat(),
            false => [&old[2..3], &old[5..], &new].concat(),
        };
        assert_eq!(found, expected, "{step}");
        let producer = client.produce("t").await;
        let last = client.publish_keyed(&producer, &[("z", step)]).await;
        assert_eq!(world.compact("t").await, CompactionStatus::Success, "{step}");
        assert_ne!(compacted_ledger(&world, "t").await, first, "{step}");
        tokio::time::sleep(TRIMMED).await;
        let expected = [&old[5..], &new[..2], &new[3..], &last].concat();
        assert_eq!(client.all_compacted("t").await, expected, "{step}");
        assert!(!is_compacting(&world, "t").await, "{step}");
        assert_eq!(strays(&world, "t").await, BTreeSet::new(), "{step}");
    }
}

/// Goal: nobody but the broker uses, moves or deletes the cursor that holds what is not yet compacted.
#[tokio::test(start_paused = true)]
async fn the_cursor_of_compaction_is_nobody_elses() {
    let world = World::new().await;
    let mut client = world.client();
    let name = "__compaction";
    let before = world.client();
    assert!(before.try_subscribe("t", before.subscribe_request(1, name)).await.is_err());
    let producer = client.produce("t").await;
    client.publish_keyed(&producer, &[("a", "1"), ("a", "2")]).await;
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
    for is_durable in [true, false] {
        let request = SubscribeRequest { is_durable, ..client.subscribe_request(1, name) };
        let refused = client.try_subscribe("t", request).await.unwrap_err().to_string();
        assert!(refused.contains("is the topic's compaction"), "{refused}");
    }
    let (broker, topic) = (&world.broker, topic("t"));
    assert!(broker.delete_subscription(&topic, name, true).await.is_err());
    assert!(broker.skip_all(&topic, name).await.is_err());
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
}

/// Goal: a batch that would take far more memory than its bytes is kept as it is.
#[tokio::test(start_paused = true)]
async fn a_batch_of_very_many_parts_is_not_looked_into() {
    let world = World::new().await;
    let mut client = world.client();
    let producer = client.produce("t").await;
    let parts = [[0x0a, 0].repeat(1 << 20), vec![0x18, 0]].concat();
    let length = u32::try_from(parts.len()).unwrap().to_be_bytes();
    let plain = [&length[..], &parts].concat();
    let metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id: 1,
        publish_time: 1,
        num_messages_in_batch: Some(1),
        compression: Some(CompressionType::Zstd.into()),
        uncompressed_size: Some(u32::try_from(plain.len()).unwrap()),
        ..MessageMetadata::default()
    };
    let small = Compression::Zstd.compress(plain.clone().into()).unwrap();
    assert!(small.len() < 10_000);
    let entry = encode_entry(&metadata, &small);
    let publish = Publish { sum: Sum::of(&entry), entry, ..publish(1) };
    producer.publish(vec![publish]).await.unwrap();
    assert!(matches!(client.next().await, Outgoing::Receipts { .. }));
    assert_eq!(world.compact("t").await, CompactionStatus::Success);
}
