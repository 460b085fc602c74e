//! Random lives of a topic that is compacted: messages, batches, deletions, compactions, trims, unloads
//! and crashes; a reader of the compacted topic is compared with a plain model.
//!
//! Goal: a reader gets, in order and with their ids, the last message of each key up to the horizon of
//! the last compaction that succeeded, and all messages behind it.

use std::{collections::BTreeMap, time::Duration};

use geminga_broker::{CompactionStatus, Options};
use geminga_env::sim::Seeds;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    keyed::{Item, Placed},
    world::{World, topic},
};

const SEEDS: u64 = 60;

/// The last of each key among `placed`, in their order.
fn survivors(placed: &[Placed], keeps_null_keys: bool) -> Vec<Placed> {
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, (_, _, item)) in placed.iter().enumerate() {
        match &item.key {
            Some(key) if item.value.is_empty() => _ = last.remove(key.as_str()),
            Some(key) => _ = last.insert(key, number),
            None => {}
        }
    }
    let survives = |(number, (_, _, item)): &(usize, &Placed)| match &item.key {
        Some(key) => last.get(key.as_str()) == Some(number),
        None => keeps_null_keys,
    };
    placed.iter().enumerate().filter(survives).map(|(_, placed)| placed.clone()).collect()
}

fn random_item(rng: &mut StdRng, number: u64) -> Item {
    let key = rng.random_bool(0.9).then(|| format!("k{}", rng.random_range(0..10)));
    let value = if rng.random_bool(0.2) { String::new() } else { number.to_string() };
    Item { key, value }
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_what_the_model_says() {
    let seeds = Seeds::of("broker-compacting", SEEDS);
    for seed in seeds.range() {
        life(seed).await;
    }
    seeds.passed("");
}

async fn life(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let keeps_null_keys = rng.random();
    let read_entries_max = rng.random_range(1..20);
    let set = |options: &mut Options| {
        options.compaction.keeps_null_keys = keeps_null_keys;
        options.limits.read_entries_max = read_entries_max;
        options.managed_ledger.tail_cache_bytes = if seed.is_multiple_of(2) { 0 } else { 1 << 20 };
    };
    let mut world = World::with(set).await;
    let mut client = world.client();
    let (mut compacted, mut tail): (Vec<Placed>, Vec<Placed>) = Default::default();
    let (mut number, mut has_cursor) = (0, false);
    for step in 0..rng.random_range(3..25) {
        match rng.random_range(0..10) {
            0..=4 => {
                let producer = client.produce("t").await;
                for _ in 0..rng.random_range(1..15) {
                    number += 1;
                    let is_batch = rng.random_bool(0.4);
                    let count = if is_batch { rng.random_range(1..5) } else { 1 };
                    let items: Vec<Item> =
                        (0..count).map(|_| random_item(&mut rng, number)).collect();
                    tail.extend(client.publish_items(&producer, number, &items, is_batch).await);
                }
                producer.close().await;
            }
            5 | 6 if 0 < number => {
                if !has_cursor {
                    // What was trimmed before the first compaction is not in it.
                    let plain = client.read("t", 77).await;
                    plain.flow(1_000_000).await;
                    tail = crate::keyed::all_seen(&client.all_messages().await);
                    plain.close().await;
                }
                assert_eq!(world.compact("t").await, CompactionStatus::Success, "seed {seed}");
                has_cursor = true;
                compacted.append(&mut tail);
                compacted = survivors(&compacted, keeps_null_keys);
            }
            7 if has_cursor => tokio::time::sleep(Duration::from_secs(130)).await,
            8 if 0 < number => {
                world.broker.unload_topic(&topic("t")).await.unwrap();
                client = world.client();
            }
            9 if 0 < number => {
                world = world.crash(set).await;
                client = world.client();
            }
            _ => {}
        }
        if has_cursor && rng.random_bool(0.5) {
            let expected = [&compacted[..], &tail].concat();
            let found = client.all_compacted("t").await;
            assert_eq!(found, expected, "seed {seed}, step {step}");
        }
    }
}
