#![cfg(test)]
//! Opening again, and files that must be refused.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use geminga_env::{Disk, Env, disk::OpenMode, sim::World};
use geminga_metadata::{Change, Expected, Lifetime, MetadataError, MetadataStore};
use geminga_metadata_embedded::{EmbeddedStore, OpenError, Options, open};
use rand::{Rng, SeedableRng, rngs::StdRng};

const FILE: &str = "/m/metadata.redb";

async fn put(store: &EmbeddedStore, path: &str, value: &[u8]) {
    let value = Bytes::copy_from_slice(value);
    store.put(path, value, Expected::Any, Lifetime::Persistent).await.unwrap();
}

async fn all(store: &EmbeddedStore) -> BTreeMap<String, Bytes> {
    let mut found = BTreeMap::new();
    for name in store.children("/k", None, 10_000).await.unwrap().names {
        let value = store.get(&format!("/k/{name}")).await.unwrap().unwrap().value;
        found.insert(name, value);
    }
    found
}

fn sim_open(world: &World) -> Result<EmbeddedStore, OpenError> {
    open(&world.env(), Path::new("/m"), &Options::default())
}

#[tokio::test]
async fn what_was_written_is_there_again() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let path = dir.path().join("deep/m");
    let store = open(&env, &path, &Options::default()).unwrap();
    put(&store, "/k/a", b"1").await;
    put(&store, "/k/a", b"2").await;
    put(&store, "/k/b", b"").await;
    put(&store, "/k/c", b"3").await;
    store.delete("/k/c", Expected::Any).await.unwrap();
    let ephemeral = store.put("/k/e", Bytes::new(), Expected::Absent, Lifetime::Ephemeral);
    ephemeral.await.unwrap();
    for number in 0..5 {
        assert_eq!(store.next_in_sequence("/s").await, Ok(number));
    }
    let before = store.get("/k/a").await.unwrap();
    store.close().await;
    assert!(matches!(store.get("/k/a").await, Err(MetadataError::Unavailable(_))));
    assert!(matches!(store.next_in_sequence("/s").await, Err(MetadataError::Unavailable(_))));

    let store = open(&env, &path, &Options::default()).unwrap();
    assert_eq!(store.get("/k/a").await.unwrap(), before);
    let names: Vec<_> = all(&store).await.into_keys().collect();
    assert_eq!(names, ["a", "b"], "ephemeral keys end with the process");
    assert!(store.next_in_sequence("/s").await.unwrap() >= 5);
    assert!(store.failed().borrow().is_none());
}

#[tokio::test]
async fn a_store_in_use_is_refused_until_it_is_closed() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let first = open(&env, dir.path(), &Options::default()).unwrap();
    let error = open(&env, dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    first.close().await;
    open(&env, dir.path(), &Options::default()).unwrap().close().await;
}

#[tokio::test]
async fn another_format_is_refused_with_a_sentence() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    open(&env, dir.path(), &Options::default()).unwrap().close().await;
    let database = redb::Database::open(dir.path().join("metadata.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open(&env, dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 2, .. }), "{error}");
    assert!(error.to_string().contains("start the release that wrote it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn strange_files_are_refused() {
    let contents: [&[u8]; 4] = [b"", b"x", &[0; 8_192], b"redb\x1a\x0a\xa9\x0d\x0a"];
    for content in contents {
        let world = World::new(1);
        world.disk().create_durable_dir(Path::new("/m")).unwrap();
        let file = world.disk().open(Path::new(FILE), OpenMode::CreateNew).unwrap();
        file.write_at(content, 0).unwrap();
        let error = sim_open(&world).unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{content:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_left_unfinished_is_made_anew() {
    let world = World::new(1);
    world.disk().create_durable_dir(Path::new("/m")).unwrap();
    let path = Path::new("/m/metadata.redb.new");
    let file = world.disk().open(path, OpenMode::CreateNew).unwrap();
    file.write_at(b"half", 0).unwrap();
    put(&sim_open(&world).unwrap(), "/k/a", b"1").await;
}

/// Goal: damage is found, or harmless; it is never a panic and never a missing key.
/// Method: flip one bit somewhere in a closed file, and compare what can be read with what was.
#[tokio::test(start_paused = true)]
async fn a_flipped_bit_loses_nothing_silently() {
    let world = World::new(3);
    let store = sim_open(&world).unwrap();
    for key in 0..200 {
        put(&store, &format!("/k/{key}"), &vec![b'v'; key % 90]).await;
    }
    let expected = all(&store).await;
    store.close().await;
    let file = world.disk().open(Path::new(FILE), OpenMode::ReadWrite).unwrap();
    let len = file.len().unwrap();
    let mut pristine = vec![0; usize::try_from(len).unwrap()];
    file.read_at(&mut pristine, 0).unwrap();
    let used: Vec<u64> =
        (0..len).filter(|offset| pristine[usize::try_from(*offset).unwrap()] != 0).collect();

    let (mut rng, mut refused) = (StdRng::seed_from_u64(4), 0);
    for _ in 0..150 {
        file.set_len(len).unwrap();
        file.write_at(&pristine, 0).unwrap();
        let offset = used[rng.random_range(0..used.len())];
        world.disk().flip(Path::new(FILE), offset, 1 << rng.random_range(0..8)).unwrap();
        match sim_open(&world) {
            Ok(store) => {
                assert_eq!(all(&store).await, expected, "after a flip at {offset}");
                put(&store, "/other", b"x").await;
                store.close().await;
            }
            Err(OpenError::Corrupt { .. } | OpenError::NewerFormat { .. }) => refused += 1,
            Err(error) => panic!("a flip at {offset}: {error}"),
        }
    }
    assert!(refused > 20, "only {refused} flips were noticed");
}

/// Goal: the same for a file that is verified while it is served: nothing that is damaged is handed
/// out, and if something is missing the store comes to its end.
#[tokio::test(start_paused = true)]
async fn damage_in_a_large_file_is_found_while_it_is_served() {
    let world = World::new(5);
    let store = sim_open(&world).unwrap();
    for key in 0..3_000 {
        put(&store, &format!("/k/{key}"), &vec![b'v'; key % 90]).await;
    }
    let expected = all(&store).await;
    store.close().await;
    let file = world.disk().open(Path::new(FILE), OpenMode::ReadWrite).unwrap();
    let len = file.len().unwrap();
    let mut pristine = vec![0; usize::try_from(len).unwrap()];
    file.read_at(&mut pristine, 0).unwrap();
    let used: Vec<u64> =
        (0..len).filter(|offset| pristine[usize::try_from(*offset).unwrap()] != 0).collect();
    let options = Options { verified_first_bytes: 0, ..Options::default() };

    let (mut rng, mut found) = (StdRng::seed_from_u64(6), 0);
    for round in 0..60 {
        file.set_len(len).unwrap();
        file.write_at(&pristine, 0).unwrap();
        let offset = used[rng.random_range(0..used.len())];
        if round != 0 {
            world.disk().flip(Path::new(FILE), offset, 1 << rng.random_range(0..8)).unwrap();
        }
        let store = match open(&world.env(), Path::new("/m"), &options) {
            Ok(store) => store,
            Err(OpenError::Corrupt { .. } | OpenError::NewerFormat { .. }) => continue,
            Err(error) => panic!("a flip at {offset}: {error}"),
        };
        let mut failed = store.failed();
        let end = failed.wait_for(Option::is_some);
        if tokio::time::timeout(std::time::Duration::from_secs(60), end).await.is_ok() {
            found += 1;
            assert!(store.get("/k/1").await.is_err());
        } else {
            assert_eq!(all(&store).await, expected, "after a flip at {offset}");
        }
        store.close().await;
        assert!(round != 0 || found == 0, "nothing was flipped");
    }
    assert!(found > 20, "only {found} flips were noticed");
}

/// Goal: closing does not wait for the verification, and the lock is free afterwards.
#[tokio::test]
async fn a_large_file_is_closed_while_it_is_verified() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let options = Options { verified_first_bytes: 0, ..Options::default() };
    let store = open(&env, dir.path(), &options).unwrap();
    for key in 0..300 {
        put(&store, &format!("/k/{key}"), b"v").await;
    }
    store.close().await;
    for _ in 0..20 {
        let store = open(&env, dir.path(), &options).unwrap();
        put(&store, "/k/1", b"w").await;
        store.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_is_final() {
    let world = World::new(5);
    let store = sim_open(&world).unwrap();
    let mut failed = store.failed();
    put(&store, "/k/a", b"1").await;
    world.disk().fail_sync(1, |path| path == Path::new(FILE));
    let value = Bytes::from_static(b"2");
    let outcome = store.put("/k/a", value, Expected::Any, Lifetime::Persistent).await;
    assert!(matches!(outcome, Err(MetadataError::Unavailable(_))), "{outcome:?}");
    failed.changed().await.unwrap();
    assert!(failed.borrow().is_some());
    assert!(matches!(store.get("/k/a").await, Err(MetadataError::Unavailable(_))));
    let deleted = store.delete("/k/a", Expected::Any).await;
    assert!(matches!(deleted, Err(MetadataError::Unavailable(_))));
    let listed = store.children("/k", None, 1).await;
    assert!(matches!(listed, Err(MetadataError::Unavailable(_))));
    store.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_and_takes_writes_again() {
    let world = World::new(6);
    let store = sim_open(&world).unwrap();
    world.disk().set_quota(Some(8 * 1_024 * 1_024));
    let mut written = 0;
    let error = loop {
        let (path, value) = (format!("/k/{written}"), Bytes::from(vec![7; 50_000]));
        match store.put(&path, value, Expected::Any, Lifetime::Persistent).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1_000, "the quota has no effect");
    };
    assert!(error.to_string().contains("full"), "{error}");
    assert!(store.failed().borrow().is_none(), "a full disk must not be final");
    assert_eq!(all(&store).await.len(), written);
    for key in 0..written / 2 {
        store.delete(&format!("/k/{key}"), Expected::Any).await.unwrap();
    }
    put(&store, "/k/again", b"1").await;
    world.disk().set_quota(None);
    put(&store, "/k/and again", b"1").await;
    assert!(store.failed().borrow().is_none());
}

#[tokio::test(start_paused = true)]
async fn many_writers_share_few_commits() {
    let world = World::new(7);
    let store = sim_open(&world).unwrap();
    let before = world.disk().counters().syncs;
    let paths: Vec<_> = (0..200).map(|key| format!("/k/{key}")).collect();
    let writes = paths.iter().map(|path| put(&store, path, b"v"));
    futures_util::future::join_all(writes).await;
    let syncs = world.disk().counters().syncs - before;
    assert!(syncs <= 5, "{syncs} syncs for 200 writes at once");
    for _ in 0..90 {
        store.next_in_sequence("/s").await.unwrap();
    }
    let syncs = world.disk().counters().syncs - before;
    assert!(syncs <= 6, "numbers are reserved in blocks");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_can_read_what_it_is_told() {
    let world = World::new(8);
    let store = sim_open(&world).unwrap();
    let mut watch = store.watch("/k");
    let write = put(&store, "/k/a", b"1");
    let (change, ()) = tokio::join!(watch.recv(), write);
    assert_eq!(change, Some(Change::Path("/k/a".to_owned())));
    assert_eq!(store.get("/k/a").await.unwrap().unwrap().value, "1");
}

#[tokio::test]
async fn all_numbers_given_out_are_below_the_first_unreserved() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let mut last = None;
    for _ in 0..3 {
        let store = open(&env, dir.path(), &Options::default()).unwrap();
        let first = store.first_unreserved("/s").unwrap();
        assert!(last.is_none_or(|last| last < first), "{last:?} {first}");
        for _ in 0..150 {
            let number = store.next_in_sequence("/s").await.unwrap();
            assert!(number < store.first_unreserved("/s").unwrap());
            last = Some(number);
        }
        store.close().await;
    }
}

/// Goal: who reads while others write gets what was written, and no page is freed under it. Method: the
/// library's own checks, which are compiled into tests.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_go_on_while_pages_are_freed() {
    let (env, dir) = (Env::system(), tempfile::tempdir().unwrap());
    let store = Arc::new(open(&env, dir.path(), &Options::default()).unwrap());
    for key in 0..100 {
        put(&store, &format!("/k/{key}"), &[0; 900]).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let readers = (0..3).map(|reader| {
        let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
        async move {
            let mut rng = StdRng::seed_from_u64(reader);
            while !stop.load(Ordering::Relaxed) {
                let path = format!("/k/{}", rng.random_range(0..100));
                assert_eq!(store.get(&path).await.unwrap().unwrap().value.len(), 900);
                store.first_unreserved("/s").unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let mut tasks = tokio::task::JoinSet::new();
    readers.for_each(|reader| _ = tasks.spawn(reader));
    for round in 0..1_500_u64 {
        put(&store, &format!("/k/{}", round % 100), &[1; 900]).await;
        store.next_in_sequence("/s").await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    tasks.join_all().await;
}
