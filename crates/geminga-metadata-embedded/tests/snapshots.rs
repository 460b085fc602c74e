#![cfg(test)]
//! Snapshots: of a store that is written to, and of a closed or crashed one, read-only.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use geminga_env::sim::World;
use geminga_metadata::{Expected, Lifetime, MetadataStore, Versioned};
use geminga_metadata_embedded::{EmbeddedStore, OpenError, Options, Snapshot, open, read};

const DIR: &str = "/m";

async fn put(store: &EmbeddedStore, path: &str, value: &[u8]) {
    let value = Bytes::copy_from_slice(value);
    store.put(path, value, Expected::Any, Lifetime::Persistent).await.unwrap();
}

fn all(snapshot: &Snapshot) -> BTreeMap<String, Versioned> {
    let mut found = BTreeMap::new();
    snapshot.visit(&mut |path, value| _ = found.insert(path.to_owned(), value)).unwrap();
    found
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_stands_still_and_its_copy_is_a_store() {
    let world = World::new(1);
    let store = open(&world.env(), Path::new(DIR), &Options::default()).unwrap();
    put(&store, "/a/b", b"1").await;
    put(&store, "/a", b"2").await;
    let ephemeral = store.put("/e", Bytes::new(), Expected::Absent, Lifetime::Ephemeral);
    ephemeral.await.unwrap();
    let number = store.next_in_sequence("/s").await.unwrap();
    let snapshot = store.snapshot().unwrap();
    put(&store, "/a", b"3").await;
    store.delete("/a/b", Expected::Any).await.unwrap();
    put(&store, "/z", &[7; 200_000]).await;
    let before = all(&snapshot);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["/a", "/a/b"]);
    assert_eq!(before["/a"].value, "2");

    let copy = Path::new("/copy/m");
    let disk = world.env().disk;
    snapshot.write_to(&*disk, copy).unwrap();
    assert!(snapshot.write_to(&*disk, copy).is_err(), "it is not written over");
    drop(snapshot);
    store.close().await;
    world.lose_power();
    assert_eq!(all(&read(&*disk, copy).unwrap()), before);
    let copied = open(&world.env(), copy, &Options::default()).unwrap();
    assert_eq!(copied.get("/a").await.unwrap(), Some(before["/a"].clone()));
    assert!(copied.next_in_sequence("/s").await.unwrap() > number);
    copied.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_store_is_read_without_writing_to_it() {
    let world = World::new(2);
    let store = open(&world.env(), Path::new(DIR), &Options::default()).unwrap();
    for key in 0..100 {
        put(&store, &format!("/k/{key}"), &[1; 3_000]).await;
    }
    assert!(matches!(read(&*world.env().disk, Path::new(DIR)), Err(OpenError::InUse(_))));
    world.disk().cut_power_after(0);
    drop(store);
    world.lose_power();
    let before = world.disk().counters();
    let snapshot = read(&*world.env().disk, Path::new(DIR)).unwrap();
    assert_eq!(all(&snapshot).len(), 100);
    let after = world.disk().counters();
    assert_eq!((before.writes, before.syncs), (after.writes, after.syncs));
    assert!(matches!(
        open(&world.env(), Path::new(DIR), &Options::default()),
        Err(OpenError::InUse(_))
    ));
    drop(snapshot);
    open(&world.env(), Path::new(DIR), &Options::default()).unwrap().close().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_store_is_an_error_and_no_panic() {
    for seed in 0..80 {
        let world = World::new(seed);
        let store = open(&world.env(), Path::new(DIR), &Options::default()).unwrap();
        for key in 0..20 {
            put(&store, &format!("/k/{key}"), &[1; 500]).await;
        }
        let expected = all(&store.snapshot().unwrap());
        store.close().await;
        let path = Path::new("/m/metadata.redb");
        world.disk().flip(path, seed * 193, 1 << (seed % 8)).unwrap();
        match read(&*world.env().disk, Path::new(DIR)) {
            Ok(snapshot) => assert_eq!(all(&snapshot), expected, "seed {seed}"),
            Err(OpenError::Corrupt { .. } | OpenError::NewerFormat { .. }) => {}
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}
