#![cfg(test)]
//! The contract of every store, on files and on the simulated disk.

use std::{cell::Cell, path::Path, sync::Arc};

use geminga_env::{Env, sim::World};
use geminga_metadata::{SharedStore, contract};
use geminga_metadata_embedded::{Options, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_files() {
    let (env, dir, count) = (Env::system(), tempfile::tempdir().unwrap(), Cell::new(0));
    contract::run(|| async {
        count.set(count.get() + 1);
        let store =
            open(&env, &dir.path().join(count.get().to_string()), &Options::default()).unwrap();
        Arc::new(store) as SharedStore
    })
    .await;
}

#[tokio::test]
async fn on_files_under_the_adversary() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    for seed in 0..2_u64 {
        let store = open(&env, &dir.path().join(seed.to_string()), &Options::default()).unwrap();
        contract::run_adversary(Arc::new(store), seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_simulated_disk() {
    let (world, count) = (World::new(1), Cell::new(0));
    contract::run(|| async {
        count.set(count.get() + 1);
        let store =
            open(&world.env(), Path::new(&format!("/{}", count.get())), &Options::default())
                .unwrap();
        Arc::new(store) as SharedStore
    })
    .await;
}

#[test]
fn on_the_simulated_disk_under_the_adversary_and_always_the_same() {
    let run = |seed| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new(seed);
            let store = Arc::new(open(&world.env(), Path::new("/m"), &Options::default()).unwrap());
            let shared: SharedStore = Arc::clone(&store) as SharedStore;
            contract::run_adversary(shared, seed).await;
            store.close().await;
            world.event_hash()
        })
    };
    for seed in 0..8 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}
