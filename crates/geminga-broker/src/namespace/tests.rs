//! Goal: metadata operations do what they say on a store that loses answers.
//! Method: scripts on a memory store; a model of partition counts beside one that fails at random.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use geminga_bookie_api::{Bookie, BookieId, Bookies};
use geminga_env::{BoxFuture, Env};
use geminga_metadata::{
    Expected, Lifetime, MemoryStore, MetadataStore, Page, SharedStore, Version, Versioned, Watch,
    values::policies::ClusterData,
};
use geminga_types::{Domain, TopicName};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::Advertised;

#[derive(Debug)]
struct NoBookies;

impl Bookies for NoBookies {
    fn choose(&self, _ensemble_size: usize) -> Result<Vec<BookieId>, usize> {
        Err(0)
    }

    fn get(&self, _id: &BookieId) -> Option<Arc<dyn Bookie>> {
        None
    }
}

/// Fails writes, before or after making them, as a connection that is lost does.
#[derive(Debug)]
struct Flaky {
    inner: MemoryStore,
    random: Mutex<StdRng>,
    outages: AtomicUsize,
}

impl Flaky {
    fn new(seed: u64) -> Self {
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        Self { inner: MemoryStore::new(), random, outages: AtomicUsize::new(0) }
    }

    async fn write<T>(
        &self,
        write: BoxFuture<'_, Result<T, MetadataError>>,
    ) -> Result<T, MetadataError> {
        let fate = self.random.lock().unwrap().random_range(0..24);
        let lost = || {
            self.outages.fetch_add(1, Ordering::Relaxed);
            Err(MetadataError::Unavailable("connection loss".to_owned()))
        };
        match fate {
            0 => lost(),
            1 => match write.await {
                Ok(_) => lost(),
                Err(error) => Err(error),
            },
            _ => write.await,
        }
    }
}

impl MetadataStore for Flaky {
    fn get<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, MetadataError>> {
        self.inner.get(path)
    }

    fn put<'a>(
        &'a self,
        path: &'a str,
        value: Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> BoxFuture<'a, Result<Version, MetadataError>> {
        Box::pin(self.write(self.inner.put(path, value, expected, lifetime)))
    }

    fn delete<'a>(
        &'a self,
        path: &'a str,
        expected: Expected,
    ) -> BoxFuture<'a, Result<(), MetadataError>> {
        Box::pin(self.write(self.inner.delete(path, expected)))
    }

    fn children<'a>(
        &'a self,
        path: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, MetadataError>> {
        self.inner.children(path, after, limit.min(3)) // Many pages.
    }

    fn next_in_sequence<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<u64, MetadataError>> {
        self.inner.next_in_sequence(path)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
}

fn run<T>(store: SharedStore, test: impl AsyncFnOnce(&Deps) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let deps = Deps::new(Env::system(), store, Arc::new(NoBookies));
        test(&deps).await
    })
}

fn memory() -> SharedStore {
    Arc::new(MemoryStore::new())
}

fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

fn advertised(port: u16) -> Advertised {
    Advertised {
        broker_url: format!("pulsar://localhost:{port}"),
        http_url: "http://localhost:8080".to_owned(),
        ..Advertised::default()
    }
}

#[test]
fn a_first_start_makes_what_every_installation_has() {
    run(memory(), async |deps| {
        ensure_defaults(deps, "standalone", &advertised(6650), 4).await.unwrap();
        for (namespace, tenant_name) in [("public/default", "public"), ("pulsar/system", "pulsar")]
        {
            let found = policies(deps, &namespace.parse().unwrap()).await.unwrap().unwrap();
            assert_eq!(found.replication_clusters, ["standalone"]);
            assert_eq!(found.bundles.unwrap().num_bundles, 4);
            let info = tenant(deps, tenant_name).await.unwrap().unwrap();
            assert_eq!(info.allowed_clusters, ["standalone"]);
            assert!(info.admin_roles.is_empty());
        }
        assert!(policies(deps, &"public/other".parse().unwrap()).await.unwrap().is_none());
    });
}

#[test]
fn a_later_start_changes_urls_and_nothing_else() {
    run(memory(), async |deps| {
        ensure_defaults(deps, "standalone", &advertised(6650), 4).await.unwrap();
        let path = paths::cluster("standalone");
        record::change::<ClusterData, MetadataError>(deps, &path, |found| {
            let mut changed = found.cloned().unwrap();
            changed.rest.insert("proxyProtocol".to_owned(), "SNI".into());
            Ok(Some(changed))
        })
        .await
        .unwrap();
        let namespace: NamespaceName = "public/default".parse().unwrap();
        record::change::<Policies, MetadataError>(deps, &paths::namespace(&namespace), |found| {
            Ok(Some(Policies { message_ttl_in_seconds: Some(9), ..found.cloned().unwrap() }))
        })
        .await
        .unwrap();
        ensure_defaults(deps, "standalone", &advertised(7000), 8).await.unwrap();
        let (cluster, _) = record::read::<ClusterData>(deps, &path).await.unwrap().unwrap();
        assert_eq!(cluster.broker_service_url.as_deref(), Some("pulsar://localhost:7000"));
        assert_eq!(cluster.rest["proxyProtocol"], "SNI");
        let found = policies(deps, &namespace).await.unwrap().unwrap();
        assert_eq!(found.message_ttl_in_seconds, Some(9));
        assert_eq!(found.bundles.unwrap().num_bundles, 4);
    });
}

#[test]
fn a_namespace_marked_deleted_is_absent() {
    run(memory(), async |deps| {
        let namespace: NamespaceName = "a/b".parse().unwrap();
        let marked = Policies { deleted: true, ..Policies::default() };
        record::create(deps, &paths::namespace(&namespace), &marked).await.unwrap();
        assert!(policies(deps, &namespace).await.unwrap().is_none());
        assert!(matches!(require(deps, &namespace).await, Err(AdminError::NotFound(_))));
    });
}

#[test]
fn a_damaged_record_is_corrupt_and_stays() {
    run(memory(), async |deps| {
        let topic = topic("t");
        let path = paths::partitioned_topic(&topic);
        let bytes = Bytes::from_static(b"{\"partitions\":");
        record::create_bytes(deps, &path, bytes.clone()).await.unwrap();
        let found = partition_count(deps, &topic).await;
        assert!(matches!(found, Err(MetadataError::Corrupt(_))), "{found:?}");
        assert!(grow_partitions(deps, &topic, 5).await.is_err());
        assert!(mark_partitions_deleted(deps, &topic).await.is_err());
        assert!(finish_delete_partitions(deps, &topic).await.is_err());
        assert_eq!(deps.metadata.get(&path).await.unwrap().unwrap().value, bytes);
    });
}

#[test]
fn partitions_only_grow() {
    run(memory(), async |deps| {
        let topic = topic("t");
        let properties = Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        let zero = create_partitions(deps, &topic, 0, None).await;
        assert!(matches!(zero, Err(AdminError::Invalid(_))));
        let missing = grow_partitions(deps, &topic, 2).await;
        assert!(matches!(missing, Err(AdminError::Unprocessable(_))));
        create_partitions(deps, &topic, 2, properties.clone()).await.unwrap();
        let again = create_partitions(deps, &topic, 2, None).await;
        assert!(matches!(again, Err(AdminError::Conflict(_))), "{again:?}");
        assert_eq!(grow_partitions(deps, &topic, 5).await, Ok(2));
        assert_eq!(grow_partitions(deps, &topic, 5).await, Ok(5));
        let shrunk = grow_partitions(deps, &topic, 4).await;
        assert!(matches!(shrunk, Err(AdminError::Unprocessable(_))));
        let found = partition_record(deps, &topic).await.unwrap().unwrap();
        assert_eq!((found.partitions, found.properties), (5, properties));
    });
}

#[test]
fn a_deletion_can_be_taken_up_where_it_stopped() {
    run(memory(), async |deps| {
        let topic = topic("t");
        create_partitions(deps, &topic, 3, None).await.unwrap();
        assert!(finish_delete_partitions(deps, &topic).await.is_err(), "not marked");
        for _ in 0..2 {
            assert_eq!(mark_partitions_deleted(deps, &topic).await, Ok(3));
            assert_eq!(partition_count(deps, &topic).await, Ok(None));
            assert!(create_partitions(deps, &topic, 1, None).await.is_err());
            assert!(grow_partitions(deps, &topic, 9).await.is_err());
        }
        for _ in 0..2 {
            finish_delete_partitions(deps, &topic).await.unwrap();
        }
        assert!(partition_record(deps, &topic).await.unwrap().is_none());
        assert!(mark_partitions_deleted(deps, &topic).await.is_err());
    });
}

#[test]
fn topics_are_listed_decoded_and_by_namespace() {
    run(Arc::new(Flaky::new(0)), async |deps| {
        let names = ["a b/c+", "topic@%*)(&!%$#@#$><?", "x-partition-10", "x-partition-2", "ü"];
        let mut expected = Vec::new();
        for name in names {
            let namespace = "public/default".parse().unwrap();
            let topic = TopicName::new(Domain::Persistent, namespace, name).unwrap();
            assert!(!topic_exists(deps, &topic).await.unwrap());
            assert_eq!(
                create_topic_record(deps, &topic, &BTreeMap::new()).await,
                Ok(record::Created::New)
            );
            assert_eq!(
                create_topic_record(deps, &topic, &BTreeMap::new()).await,
                Ok(record::Created::Exists)
            );
            assert!(topic_exists(deps, &topic).await.unwrap());
            expected.push(topic);
        }
        let other = topic("persistent://public/default2/a");
        create_topic_record(deps, &other, &BTreeMap::new()).await.unwrap();
        let mut found = stored_topics(deps, expected[0].namespace()).await.unwrap();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(stored_topics(deps, &"x/y".parse().unwrap()).await.unwrap(), []);
    });
}

#[test]
fn partitioned_topics_are_listed_by_domain_without_those_being_deleted() {
    run(memory(), async |deps| {
        let gone = topic("gone");
        let here = topic("non-persistent://public/default/here");
        for name in ["one", "two"] {
            create_partitions(deps, &topic(name), 2, None).await.unwrap();
        }
        create_partitions(deps, &gone, 2, None).await.unwrap();
        create_partitions(deps, &here, 1, None).await.unwrap();
        mark_partitions_deleted(deps, &gone).await.unwrap();
        let namespace = gone.namespace();
        let found = partitioned_topics(deps, namespace, Domain::Persistent).await.unwrap();
        assert_eq!(found, [(topic("one"), 2), (topic("two"), 2)]);
        let found = partitioned_topics(deps, namespace, Domain::NonPersistent).await.unwrap();
        assert_eq!(found, [(here, 1)]);
    });
}

#[test]
fn system_topics_are_known_by_their_names() {
    for name in [
        "__change_events",
        "__change_events-partition-3",
        "__transaction_log_0",
        "a-__transaction_pending_ack",
    ] {
        assert!(is_system_topic(&topic(name)), "{name}");
    }
    for name in ["change_events", "__change_events2", "x__transaction_log_", "__a"] {
        assert!(!is_system_topic(&topic(name)), "{name}");
    }
}

#[test]
fn a_schema_goes_with_all_its_versions() {
    run(memory(), async |deps| {
        let (deleted, kept) = (topic("a"), topic("ab"));
        for topic in [&deleted, &kept] {
            for version in 0..3 {
                record::create(deps, &paths::schema(topic, version), &version).await.unwrap();
            }
        }
        delete_schema(deps, &deleted).await.unwrap();
        delete_schema(deps, &deleted).await.unwrap();
        assert!(record::children(deps, &paths::schemas(&deleted)).await.unwrap().is_empty());
        assert_eq!(record::children(deps, &paths::schemas(&kept)).await.unwrap().len(), 3);
    });
}

/// Whatever answers get lost: an operation that says it was done was, one that was refused was
/// not, and nothing else changes.
#[test]
fn a_store_that_loses_answers_makes_no_difference() {
    let mut outages = 0;
    for seed in 0..60 {
        let store = Arc::new(Flaky::new(seed));
        run(Arc::<Flaky>::clone(&store), async |deps| {
            let mut random = StdRng::seed_from_u64(!seed);
            let mut model: BTreeMap<TopicName, (u32, bool)> = BTreeMap::new();
            for step in 0..24 {
                let name = topic(["a", "b"][random.random_range(0..2)]);
                let count = random.random_range(1..6);
                let before = model.get(&name).copied();
                match random.random_range(0..4) {
                    0 => {
                        let done = create_partitions(deps, &name, count, None).await;
                        assert_eq!(done.is_ok(), before.is_none(), "seed {seed} step {step}");
                        if before.is_none() {
                            model.insert(name.clone(), (count, false));
                        }
                    }
                    1 => {
                        let grown = grow_partitions(deps, &name, count).await;
                        let may = before.filter(|(had, deleted)| !deleted && *had <= count);
                        assert_eq!(grown.is_ok(), may.is_some(), "seed {seed} step {step}");
                        if may.is_some() {
                            model.insert(name.clone(), (count, false));
                        }
                    }
                    2 => {
                        let marked = mark_partitions_deleted(deps, &name).await;
                        assert_eq!(
                            marked.ok(),
                            before.map(|(had, _)| had),
                            "seed {seed} step {step}"
                        );
                        model.entry(name.clone()).and_modify(|found| found.1 = true);
                    }
                    _ => {
                        let done = finish_delete_partitions(deps, &name).await;
                        let may = before.is_none_or(|(_, deleted)| deleted);
                        assert_eq!(done.is_ok(), may, "seed {seed} step {step}");
                        if may {
                            model.remove(&name);
                        }
                    }
                }
                let found = partition_record(deps, &name).await.unwrap();
                let found = found.map(|found| (found.partitions, found.deleted));
                assert_eq!(found, model.get(&name).copied(), "seed {seed} step {step}");
            }
        });
        outages += store.outages.load(Ordering::Relaxed);
    }
    assert!(0 < outages, "the store never failed");
}
