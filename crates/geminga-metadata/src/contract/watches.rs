//! Watches: of one prefix, never losing a change.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::next_change;
use crate::{Change, Expected, Lifetime, MetadataStore};

async fn put(store: &dyn MetadataStore, path: &str) {
    let written = store.put(path, Bytes::new(), Expected::Any, Lifetime::Persistent).await;
    written.expect("a write failed");
}

pub(super) async fn a_watch_tells_of_its_prefix_only(store: &dyn MetadataStore) {
    let mut watch = store.watch("/w/in");
    put(store, "/w/out").await;
    put(store, "/w/in/1").await;
    put(store, "/w/in/1").await;
    store.delete("/w/in/1", Expected::Any).await.expect("a delete failed");
    let failed = store.delete("/w/in/2", Expected::Any).await;
    assert!(failed.is_err());
    for _ in 0..3 {
        assert_eq!(next_change(&mut watch).await, Change::Path("/w/in/1".to_owned()));
    }
    put(store, "/w/in/last").await;
    assert_eq!(next_change(&mut watch).await, Change::Path("/w/in/last".to_owned()));
    let ephemeral = store.put("/w/in/e", Bytes::new(), Expected::Any, Lifetime::Ephemeral).await;
    ephemeral.expect("a write failed");
    assert_eq!(next_change(&mut watch).await, Change::Path("/w/in/e".to_owned()));
}

pub(super) async fn a_full_watch_merges(store: &dyn MetadataStore) {
    let mut watch = store.watch("/w");
    for round in 0..2 {
        let paths: Vec<_> = (0..200).map(|index| format!("/w/{round}/{index}")).collect();
        for path in &paths {
            put(store, path).await;
        }
        let mut untold: BTreeSet<_> = paths.iter().cloned().collect();
        while !untold.is_empty() {
            match next_change(&mut watch).await {
                Change::Path(path) => {
                    untold.remove(&path);
                }
                Change::Everything => break,
                session => panic!("{session:?} without a lost session"),
            }
        }
    }
}

pub(super) async fn a_dropped_watch_hinders_nobody(store: &dyn MetadataStore) {
    drop(store.watch("/w"));
    let _kept_but_not_read = store.watch("/w");
    let mut watch = store.watch("/w");
    put(store, "/w/1").await;
    assert_eq!(next_change(&mut watch).await, Change::Path("/w/1".to_owned()));
}
