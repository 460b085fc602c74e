#![cfg(test)]
//! Power loss at any moment.
//!
//! Goal: a reopened store has every acknowledged write, and of the others each wholly or not at all;
//! sequence numbers never repeat.
//! Method: batches of writes to distinct keys on the simulated disk, whose power goes during some
//! change; then a crash, and a comparison with a model that holds, for every key, what it may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use bytes::Bytes;
use futures_util::future::join_all;
use geminga_env::sim::{Seeds, World};
use geminga_metadata::{Expected, Lifetime, MetadataError, MetadataStore};
use geminga_metadata_embedded::{EmbeddedStore, Options, open};
use rand::{Rng, rngs::StdRng};

type Value = Option<Bytes>;

const SEEDS: u64 = 200;

#[derive(Debug)]
struct Model {
    /// Some runs write so much that the file grows.
    value_bytes_max: usize,
    /// What each key may hold: one value, or more after a write without an answer.
    keys: BTreeMap<String, BTreeSet<Value>>,
    numbers: BTreeSet<u64>,
    writes: u32,
}

#[derive(Debug)]
enum Step {
    Put(String, Bytes),
    Delete(String),
    Number,
}

#[derive(Debug)]
enum Done {
    Holds(String, Value),
    Number(u64),
    Unknown(String, Value),
    Nothing,
}

impl Model {
    fn new(seed: u64) -> Self {
        let value_bytes_max = if seed.is_multiple_of(4) { 400_000 } else { 20_000 };
        Self { value_bytes_max, keys: BTreeMap::new(), numbers: BTreeSet::new(), writes: 0 }
    }

    fn plan(&mut self, rng: &mut StdRng) -> Vec<Step> {
        let mut steps = Vec::new();
        for key in 0..12 {
            self.writes += 1;
            let path = format!("/k/{key}");
            steps.push(match rng.random_range(0..10) {
                0..4 => {
                    let len = if rng.random_ratio(1, 4) { self.value_bytes_max } else { 40 };
                    let mut value = self.writes.to_string().into_bytes();
                    value.resize(rng.random_range(value.len()..=len), b'.');
                    Step::Put(path, value.into())
                }
                4 => Step::Delete(path),
                5 => Step::Number,
                _ => continue,
            });
        }
        steps
    }

    fn note(&mut self, done: Done, seed: u64) {
        match done {
            Done::Holds(path, value) => {
                self.keys.insert(path, BTreeSet::from([value]));
            }
            Done::Unknown(path, value) => {
                self.keys.entry(path).or_insert_with(|| BTreeSet::from([None])).insert(value);
            }
            Done::Number(number) => {
                assert!(self.numbers.insert(number), "seed {seed}: {number} came twice");
            }
            Done::Nothing => {}
        }
    }
}

async fn make(store: &EmbeddedStore, step: Step) -> Done {
    match step {
        Step::Put(path, value) => {
            let put = store.put(&path, value.clone(), Expected::Any, Lifetime::Persistent);
            match put.await {
                Ok(_) => Done::Holds(path, Some(value)),
                Err(_) => Done::Unknown(path, Some(value)),
            }
        }
        Step::Delete(path) => match store.delete(&path, Expected::Any).await {
            Ok(()) | Err(MetadataError::NotFound { .. }) => Done::Holds(path, None),
            Err(_) => Done::Unknown(path, None),
        },
        Step::Number => match store.next_in_sequence("/s").await {
            Ok(number) => Done::Number(number),
            Err(_) => Done::Nothing,
        },
    }
}

/// Compares, and settles what was unknown. `false`: something acknowledged is gone.
async fn compare(store: &EmbeddedStore, model: &mut Model) -> bool {
    let mut listed = BTreeSet::new();
    for (path, possible) in &mut model.keys {
        let found = store.get(path).await.unwrap().map(|found| found.value);
        if !possible.contains(&found) {
            return false;
        }
        if found.is_some() {
            listed.insert(path["/k/".len()..].to_owned());
        }
        *possible = BTreeSet::from([found]);
    }
    let names = store.children("/k", None, 100).await.unwrap().names;
    names.into_iter().collect::<BTreeSet<_>>() == listed
}

/// Lives and dies a few times. `Err`: what was wrong.
async fn lives(seed: u64, spoil: impl Fn(&World)) -> Result<u32, String> {
    let world = World::new(seed);
    let (mut rng, mut model, mut cuts) = (world.rng(), Model::new(seed), 0);
    let directory = Path::new("/data/m");
    // Verified while it is served, for every other seed.
    let verified_first_bytes = if seed.is_multiple_of(2) { 0 } else { usize::MAX };
    let options = Options { verified_first_bytes, ..Options::default() };
    spoil(&world);
    for life in 0..2 {
        if rng.random_ratio(3, 4) {
            world.disk().cut_power_after(rng.random_range(0..120));
        }
        // The power may go while it opens.
        if let Ok(store) = open(&world.env(), directory, &options) {
            if !compare(&store, &mut model).await && !world.disk().power_is_off() {
                return Err(format!("seed {seed} life {life}: an acknowledged write is gone"));
            }
            for _ in 0..rng.random_range(0..8) {
                let steps = model.plan(&mut rng);
                for done in join_all(steps.into_iter().map(|step| make(&store, step))).await {
                    model.note(done, seed);
                }
            }
            cuts += u32::from(world.disk().power_is_off());
            if rng.random() {
                store.close().await;
            }
        } else if !world.disk().power_is_off() {
            return Err(format!("seed {seed} life {life}: it does not open"));
        }
        world.disk().crash(&mut rng);
    }
    let store =
        open(&world.env(), directory, &options).map_err(|error| format!("seed {seed}: {error}"))?;
    if compare(&store, &mut model).await {
        Ok(cuts)
    } else {
        Err(format!("seed {seed}: an acknowledged write is gone"))
    }
}

fn run(seed: u64, spoil: impl Fn(&World)) -> Result<u32, String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(lives(seed, spoil))
}

#[test]
fn no_acknowledged_write_is_lost() {
    let mut cuts = 0;
    let seeds = Seeds::of("metadata-embedded", SEEDS);
    for seed in seeds.range() {
        cuts += run(seed, |_| {}).unwrap();
    }
    let is_much = seeds.count() < SEEDS || cuts > 60;
    assert!(is_much, "the power went only {cuts} times in the midst of writes");
    seeds.passed(format_args!("power cuts in the midst of writes: {cuts}"));
}

#[test]
fn a_disk_that_does_not_sync_is_noticed() {
    let caught =
        (0..30).filter(|seed| run(*seed, |world| world.disk().ignore_syncs(true)).is_err());
    assert!(caught.count() > 0);
}

#[test]
fn a_disk_that_does_not_sync_names_is_noticed() {
    let spoil = |world: &World| world.disk().ignore_dir_syncs(true);
    assert!((0..40).any(|seed| run(seed, spoil).is_err()));
}
