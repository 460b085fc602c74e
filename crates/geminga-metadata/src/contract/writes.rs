//! Single keys: versions, conflicts, sequences.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{Decision, Expected, Lifetime, MetadataError, MetadataStore, Version, key, update};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn put(
    store: &dyn MetadataStore,
    path: &str,
    text: &str,
    expected: Expected,
) -> Result<Version, MetadataError> {
    store.put(path, bytes(text), expected, Lifetime::Persistent).await
}

async fn read(store: &dyn MetadataStore, path: &str) -> Option<(Bytes, Version)> {
    let found = store.get(path).await.expect("a read failed");
    found.map(|found| (found.value, found.version))
}

fn conflict(path: &str) -> MetadataError {
    MetadataError::Conflict { path: path.to_owned() }
}

pub(super) async fn versions_guard_writes(store: &dyn MetadataStore) {
    assert_eq!(read(store, "/a").await, None);
    let stale = Expected::At(Version(7));
    assert_eq!(put(store, "/a", "0", stale).await, Err(conflict("/a")));
    let first = put(store, "/a", "1", Expected::Absent).await.expect("a create failed");
    assert_eq!(read(store, "/a").await, Some((bytes("1"), first)));
    assert_eq!(put(store, "/a", "2", Expected::Absent).await, Err(conflict("/a")));
    let second = put(store, "/a", "3", Expected::At(first)).await.expect("a write failed");
    assert_ne!(first, second);
    assert_eq!(put(store, "/a", "4", Expected::At(first)).await, Err(conflict("/a")));
    assert_eq!(read(store, "/a").await, Some((bytes("3"), second)));
    let third = put(store, "/a", "", Expected::Any).await.expect("a write failed");
    assert_eq!(read(store, "/a").await, Some((Bytes::new(), third)));
    let other = put(store, "/a/below", "x", Expected::Any).await.expect("a write failed");
    assert_eq!(read(store, "/a").await, Some((Bytes::new(), third)));
    assert_eq!(read(store, "/a/below").await, Some((bytes("x"), other)));
}

pub(super) async fn deletes_are_guarded_too(store: &dyn MetadataStore) {
    let missing = Err(MetadataError::NotFound { path: "/d".to_owned() });
    assert_eq!(store.delete("/d", Expected::Any).await, missing);
    assert_eq!(store.delete("/d", Expected::At(Version(0))).await, missing);
    let first = put(store, "/d", "1", Expected::Absent).await.expect("a create failed");
    put(store, "/d/below", "x", Expected::Absent).await.expect("a create failed");
    let second = put(store, "/d", "2", Expected::At(first)).await.expect("a write failed");
    assert_eq!(store.delete("/d", Expected::At(first)).await, Err(conflict("/d")));
    assert_eq!(store.delete("/d", Expected::At(second)).await, Ok(()));
    assert_eq!(read(store, "/d").await, None);
    assert!(read(store, "/d/below").await.is_some(), "a delete took a child");
    assert_eq!(put(store, "/d", "3", Expected::At(second)).await, Err(conflict("/d")));
    put(store, "/d", "4", Expected::Absent).await.expect("a deleted key can be made anew");
}

pub(super) async fn bad_requests_write_nothing(store: &dyn MetadataStore) {
    for path in ["", "/", "a", "/a/", "//a", "/a//b", "/a\0"] {
        let outcome = put(store, path, "x", Expected::Any).await;
        assert!(matches!(outcome, Err(MetadataError::Invalid { .. })), "{path:?}: {outcome:?}");
        let outcome = store.get(path).await;
        assert!(matches!(outcome, Err(MetadataError::Invalid { .. })), "{path:?}: {outcome:?}");
    }
    let large = Bytes::from(vec![0; key::VALUE_BYTES_MAX + 1]);
    let outcome = store.put("/large", large, Expected::Any, Lifetime::Persistent).await;
    assert!(matches!(outcome, Err(MetadataError::Invalid { .. })), "{outcome:?}");
    assert_eq!(read(store, "/large").await, None);
}

pub(super) async fn one_of_many_creators_wins(store: &dyn MetadataStore) {
    let names: Vec<_> = (0..20).map(|name: u32| name.to_string()).collect();
    let creates = names.iter().map(|name| put(store, "/winner", name, Expected::Absent));
    let outcomes = join_all(creates).await;
    let winners: Vec<_> = (0..20).filter(|index| outcomes[*index].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    let found = read(store, "/winner").await.expect("the winner's value is gone").0;
    assert_eq!(found, bytes(&names[winners[0]]));
}

pub(super) async fn no_increment_is_lost(store: &dyn MetadataStore) {
    let increment = |_| async {
        update(store, "/counter", |found| {
            let count = found.map_or(0, |found| found.value.len());
            Decision::Write(vec![b'x'; count + 1].into(), ())
        })
        .await
    };
    for outcome in join_all((0..25).map(increment)).await {
        outcome.expect("an increment failed");
    }
    let (value, _) = read(store, "/counter").await.expect("the counter is gone");
    assert_eq!(value.len(), 25);
}

pub(super) async fn sequences_never_repeat(store: &dyn MetadataStore) {
    for number in 0..3 {
        assert_eq!(store.next_in_sequence("/counters/one").await, Ok(number));
    }
    assert_eq!(store.next_in_sequence("/counters/two").await, Ok(0));
    let draws = (0..250).map(|_| store.next_in_sequence("/counters/one"));
    let mut numbers: Vec<_> =
        join_all(draws).await.into_iter().map(|number| number.expect("a draw failed")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (3..253).collect::<Vec<_>>());
    assert_eq!(read(store, "/counters/one").await, None, "a sequence is no key");
    let listed = store.children("/counters", None, 10).await.expect("a listing failed");
    assert_eq!(listed.names, Vec::<String>::new());
    let outcome = store.next_in_sequence("bad").await;
    assert!(matches!(outcome, Err(MetadataError::Invalid { .. })), "{outcome:?}");
}

pub(super) async fn ephemeral_keys_are_keys(store: &dyn MetadataStore) {
    let first = store.put("/e/b", bytes("1"), Expected::Absent, Lifetime::Ephemeral).await;
    let first = first.expect("a create failed");
    put(store, "/e/a", "p", Expected::Absent).await.expect("a create failed");
    assert_eq!(put(store, "/e/b", "x", Expected::Absent).await, Err(conflict("/e/b")));
    let second = put(store, "/e/b", "2", Expected::At(first)).await.expect("a write failed");
    assert_eq!(read(store, "/e/b").await, Some((bytes("2"), second)));
    let outcome = store.put("/e/a", bytes("q"), Expected::Any, Lifetime::Ephemeral).await;
    outcome.expect("a write failed");
    assert_eq!(read(store, "/e/a").await.map(|found| found.0), Some(bytes("q")));
    let listed = store.children("/e", None, 10).await.expect("a listing failed");
    assert_eq!(listed.names, ["a", "b"]);
    store.delete("/e/b", Expected::At(second)).await.expect("a delete failed");
    assert_eq!(read(store, "/e/b").await, None);
}

pub(super) async fn random_writes_match_a_model(store: &dyn MetadataStore, steps: u32) {
    let mut rng = StdRng::seed_from_u64(steps.into());
    let mut model: BTreeMap<String, (Bytes, Version)> = BTreeMap::new();
    for step in 0..steps {
        let path = format!("/m/{}", rng.random_range(0..6));
        let found = model.get(&path).map(|(_, version)| *version);
        let expected = match rng.random_range(0..4) {
            0 => Expected::Any,
            1 => Expected::Absent,
            2 => Expected::At(Version(rng.random_range(0..9))),
            _ => found.map_or(Expected::Absent, Expected::At),
        };
        if rng.random_ratio(1, 4) {
            let outcome = store.delete(&path, expected).await;
            let allowed = expected.check_delete(&path, found);
            assert_eq!(outcome, allowed, "step {step}");
            if allowed.is_ok() {
                model.remove(&path);
            }
        } else {
            let value = step.to_string();
            let outcome = put(store, &path, &value, expected).await;
            let allowed = expected.next_version(&path, found);
            assert_eq!(outcome.is_ok(), allowed.is_ok(), "step {step}: {outcome:?}");
            if let Ok(version) = outcome {
                model.insert(path.clone(), (bytes(&value), version));
            }
        }
        assert_eq!(read(store, &path).await, model.get(&path).cloned(), "step {step}");
    }
    let listed = store.children("/m", None, 100).await.expect("a listing failed").names;
    let names: Vec<_> = model.keys().map(|path| path["/m/".len()..].to_owned()).collect();
    assert_eq!(listed, names);
}
