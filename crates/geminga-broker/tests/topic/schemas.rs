//! Schemas: who may come with which, by policies that act at once.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use geminga_broker::{
    Broker, Consumer, ProduceError, ProducerRequest, Schema, SchemaError, SchemaOptions,
    SchemaStrategy, SchemaVersion, SubscribeError, SubscribeRequest, admin::Policies,
};
use geminga_metadata::{Expected, Lifetime, MetadataStore, paths};

use crate::{
    client::Client,
    store::Writes,
    world::{World, topic},
};

const AVRO: i32 = 4;
const STRING: i32 = 1;

const A: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}"#;
/// Reads `A`, and is read by it.
const A_B: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},
    {"name":"b","type":"int","default":0}]}"#;
/// Does not read `A`, but is read by it.
const A_NEEDS_B: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"string"},
    {"name":"b","type":"int"}]}"#;

fn schema(kind: i32, data: &str) -> Schema {
    let data = Bytes::copy_from_slice(data.as_bytes());
    Schema { name: "s".to_owned(), kind, data, properties: Vec::new() }
}

/// Goal: what is done with schemas counts in their namespace, by what became of it.
#[tokio::test(start_paused = true)]
async fn what_is_done_with_schemas_is_counted() {
    let world = World::new().await;
    assert_eq!(world.broker.schemas_used(), []);
    let name = topic("t");
    let _producer = world.client().produce("t").await;
    world.broker.put_schema(&name, schema(AVRO, A)).await.unwrap();
    world.broker.put_schema(&name, schema(AVRO, A)).await.unwrap();
    world.broker.put_schema(&name, schema(AVRO, A_NEEDS_B)).await.unwrap_err();
    world.broker.schema(&name, None).await.unwrap();
    world.broker.schema(&topic("u"), None).await.unwrap_err();
    let [found] = &world.broker.schemas_used()[..] else { panic!() };
    assert_eq!(found.namespace.as_str(), "public/default");
    assert_eq!(found.done.each_ref().map(|done| done.count), [1, 2, 0]);
    assert_eq!(found.failed, [0, 1, 0]);
    assert_eq!((found.compatible, found.incompatible), (1, 1), "of what is known nothing is asked");
}

/// Puts version 0 where the registry keeps it.
async fn store(store: &dyn MetadataStore, data: &str) {
    let version = serde_json::json!({
        "name": "s", "type": AVRO, "data": STANDARD.encode(data), "properties": {}, "timestamp": 1,
    });
    let value = serde_json::json!({ "versions": [version] }).to_string();
    let key = paths::schemas(&topic("t"));
    store.put(&key, value.into(), Expected::Absent, Lifetime::Persistent).await.unwrap();
}

async fn change(broker: &Broker, change: impl Fn(&mut Policies) + Send + Sync) {
    let namespace = topic("t").namespace().clone();
    let change = |policies: &mut Policies| {
        change(policies);
        Ok(())
    };
    broker.change_namespace_policies(&namespace, change).await.unwrap();
}

async fn set_strategy(broker: &Broker, strategy: SchemaStrategy) {
    change(broker, |policies| {
        policies.schema_compatibility_strategy = Some(strategy.as_str().to_owned());
    })
    .await;
}

/// The version that a producer with the schema is told, or why it is refused.
async fn produce(client: &Client, schema: Option<Schema>) -> Result<Option<u64>, String> {
    let request = ProducerRequest { schema, ..client.producer_request(1) };
    match client.try_produce("t", request).await {
        Ok(producer) => {
            let version = producer.schema_version().map(|version| version.0);
            producer.close().await;
            Ok(version)
        }
        Err(ProduceError::Schema(SchemaError::Incompatible(reason))) => Err(reason),
        Err(error) => panic!("{error:?}"),
    }
}

async fn subscribe(
    client: &Client,
    id: u64,
    schema: Option<Schema>,
    takes_any_schema: bool,
) -> Result<Consumer, SubscribeError> {
    let name = format!("s{id}");
    let request = client.subscribe_request(id, &name);
    client.try_subscribe("t", SubscribeRequest { schema, takes_any_schema, ..request }).await
}

async fn is_refused(client: &Client, id: u64, schema: Schema) -> bool {
    match subscribe(client, id, Some(schema), false).await {
        Ok(consumer) => {
            consumer.close().await;
            false
        }
        Err(SubscribeError::Schema(SchemaError::Incompatible(_))) => true,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_follow_is_the_strategys_to_say_and_it_acts_at_once() {
    let world = World::new().await;
    let client = world.client();
    let avro = |text| Some(schema(AVRO, text));
    assert_eq!(produce(&client, avro(A)).await, Ok(Some(0)));
    let refusal = produce(&client, avro(A_NEEDS_B)).await.unwrap_err();
    assert!(refusal.contains("FULL") && refusal.contains("field \"b\""), "{refusal}");
    set_strategy(&world.broker, SchemaStrategy::Forward).await;
    assert_eq!(produce(&client, avro(A_NEEDS_B)).await, Ok(Some(1)));
    // It has a version by now.
    set_strategy(&world.broker, SchemaStrategy::AlwaysIncompatible).await;
    assert_eq!(produce(&client, avro(A)).await, Ok(Some(0)));
    assert_eq!(produce(&client, avro(A_NEEDS_B)).await, Ok(Some(1)));
    assert!(produce(&client, avro(A_B)).await.is_err());
    set_strategy(&world.broker, SchemaStrategy::AlwaysCompatible).await;
    assert_eq!(produce(&client, Some(schema(STRING, ""))).await, Ok(Some(2)));
}

#[tokio::test(start_paused = true)]
async fn transitive_strategies_look_at_all_versions() {
    let world = World::new().await;
    let client = world.client();
    let avro = |text| Some(schema(AVRO, text));
    for text in [A, A_B] {
        produce(&client, avro(text)).await.unwrap();
    }
    set_strategy(&world.broker, SchemaStrategy::BackwardTransitive).await;
    let refusal = produce(&client, avro(A_NEEDS_B)).await.unwrap_err();
    assert!(refusal.contains("version 0, BACKWARD_TRANSITIVE"), "{refusal}");
    set_strategy(&world.broker, SchemaStrategy::Backward).await;
    assert_eq!(produce(&client, avro(A_NEEDS_B)).await, Ok(Some(2)));
}

#[tokio::test(start_paused = true)]
async fn what_means_the_same_is_no_new_version() {
    let world = World::new().await;
    let client = world.client();
    produce(&client, Some(schema(AVRO, A))).await.unwrap();
    let same = A.replace(r#""name":"R""#, r#""doc": "x", "name" : "R""#);
    assert_eq!(produce(&client, Some(schema(AVRO, &same))).await, Ok(Some(0)));
    let stored = world.broker.schema(&topic("t"), None).await.unwrap();
    assert_eq!(stored.schema.data, A);
}

#[tokio::test(start_paused = true)]
async fn only_known_schemas_come_where_updates_are_off() {
    let world = World::new().await;
    let client = world.client();
    let avro = |text| Some(schema(AVRO, text));
    change(&world.broker, |policies| policies.is_allow_auto_update_schema = Some(false)).await;
    assert!(produce(&client, avro(A)).await.unwrap_err().contains("auto updating is disabled"));
    assert!(is_refused(&client, 1, schema(AVRO, A)).await, "it would be the first");
    let posted = world.broker.post_schema(&topic("t"), schema(AVRO, A)).await;
    assert_eq!(posted, Ok(SchemaVersion(0)));
    assert_eq!(produce(&client, avro(A)).await, Ok(Some(0)));
    assert!(!is_refused(&client, 1, schema(AVRO, A)).await);
    assert!(produce(&client, avro(A_B)).await.is_err());
    assert!(matches!(
        world.broker.put_schema(&topic("t"), schema(AVRO, A_B)).await,
        Err(SchemaError::Incompatible(_))
    ));
    change(&world.broker, |policies| policies.is_allow_auto_update_schema = Some(true)).await;
    assert_eq!(produce(&client, avro(A_B)).await, Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_producer_needs_a_schema_where_that_is_enforced() {
    let world = World::new().await;
    let client = world.client();
    change(&world.broker, |policies| policies.schema_validation_enforced = true).await;
    assert_eq!(produce(&client, None).await, Ok(None), "there is none yet");
    produce(&client, Some(schema(AVRO, A))).await.unwrap();
    assert!(produce(&client, None).await.unwrap_err().contains("without a schema"));
    subscribe(&client, 1, None, false).await.unwrap();
    world.broker.delete_schema(&topic("t"), false).await.unwrap();
    assert_eq!(produce(&client, None).await, Ok(None));
    change(&world.broker, |policies| policies.schema_validation_enforced = false).await;
    produce(&client, Some(schema(AVRO, A))).await.unwrap();
    assert_eq!(produce(&client, None).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn the_configuration_counts_where_the_namespace_is_silent() {
    let options = SchemaOptions {
        strategy: SchemaStrategy::AlwaysIncompatible,
        is_validated: true,
        ..SchemaOptions::default()
    };
    let world = World::with(|given| given.schema = options).await;
    let client = world.client();
    produce(&client, Some(schema(AVRO, A))).await.unwrap();
    assert!(produce(&client, Some(schema(AVRO, A_B))).await.is_err());
    assert!(produce(&client, None).await.is_err());
    set_strategy(&world.broker, SchemaStrategy::Full).await;
    assert_eq!(produce(&client, Some(schema(AVRO, A_B))).await, Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_consumer_must_read_the_last_version() {
    let world = World::new().await;
    let client = world.client();
    set_strategy(&world.broker, SchemaStrategy::Forward).await;
    for text in [A, A_NEEDS_B] {
        produce(&client, Some(schema(AVRO, text))).await.unwrap();
    }
    assert!(!is_refused(&client, 1, schema(AVRO, A)).await);
    assert!(!is_refused(&client, 2, schema(AVRO, A_NEEDS_B)).await);
    assert!(is_refused(&client, 3, schema(STRING, "")).await);
    assert!(is_refused(&client, 4, schema(AVRO, &A.replace("string", "int"))).await);
    assert!(is_refused(&client, 5, schema(AVRO, "{")).await);
    set_strategy(&world.broker, SchemaStrategy::BackwardTransitive).await;
    assert!(is_refused(&client, 6, schema(AVRO, A_NEEDS_B)).await, "it does not read version 0");
    assert_eq!(world.broker.schemas(&topic("t")).await.unwrap().len(), 2, "none was added");
}

#[tokio::test(start_paused = true)]
async fn who_takes_any_schema_does_not_keep_another_from_setting_it() {
    let world = World::new().await;
    let client = world.client();
    let any = subscribe(&client, 1, None, true).await.unwrap();
    assert!(!is_refused(&client, 2, schema(AVRO, A)).await);
    assert_eq!(world.broker.schema(&topic("t"), None).await.unwrap().schema.data, A);
    any.close().await;

    world.broker.delete_schema(&topic("t"), true).await.unwrap();
    let bytes = subscribe(&client, 3, None, false).await.unwrap();
    assert!(is_refused(&client, 4, schema(AVRO, A)).await, "a consumer of bytes is there");
    set_strategy(&world.broker, SchemaStrategy::AlwaysCompatible).await;
    assert!(!is_refused(&client, 5, schema(AVRO, A)).await);
    bytes.close().await;
}

#[tokio::test(start_paused = true)]
async fn deleted_versions_are_gone_and_their_numbers_taken() {
    let world = World::new().await;
    let client = world.client();
    let broker = &world.broker;
    let name = topic("t");
    assert_eq!(broker.delete_schema(&name, false).await, Ok(None));
    for text in [A, A_B] {
        produce(&client, Some(schema(AVRO, text))).await.unwrap();
    }
    assert_eq!(broker.delete_schema(&name, false).await, Ok(Some(SchemaVersion(2))));
    assert_eq!(broker.delete_schema(&name, false).await, Ok(None));
    assert_eq!(broker.schemas(&name).await, Ok(Vec::new()));
    for version in [None, Some(SchemaVersion(0)), Some(SchemaVersion(2))] {
        let found = broker.schema(&name, version).await;
        assert_eq!(found, Err(SchemaError::NotFound(name.clone())));
    }
    assert_eq!(produce(&client, Some(schema(STRING, ""))).await, Ok(Some(3)));
    assert_eq!(broker.delete_schema(&name, true).await, Ok(Some(SchemaVersion(3))));
    assert_eq!(produce(&client, Some(schema(AVRO, A))).await, Ok(Some(0)));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_schema_is_refused_and_a_stored_one_blocks_nothing() {
    let world = World::new().await;
    let client = world.client();
    let request = ProducerRequest { schema: Some(schema(AVRO, "{")), ..client.producer_request(1) };
    let refused = client.try_produce("t", request).await.unwrap_err();
    assert!(matches!(refused, ProduceError::Schema(SchemaError::Invalid(_))), "{refused:?}");

    // As an earlier release may have stored it.
    store(&*world.store, "{").await;
    assert_eq!(world.broker.schema(&topic("t"), None).await.unwrap().schema.data, "{");
    assert_eq!(produce(&client, None).await, Ok(None));
    assert_eq!(produce(&client, Some(schema(AVRO, A))).await, Ok(Some(1)));
    assert!(!is_refused(&client, 1, schema(AVRO, A)).await);
}

#[tokio::test(start_paused = true)]
async fn a_schema_is_compared_with_what_another_broker_adds_meanwhile() {
    // Goal: two brokers never store schemas that may not follow each other.
    // Method: one has compared and is about to write when the other writes.
    let world = World::new().await;
    let other = Arc::new(world.store.another());
    let name = topic("t");
    world.store.set_writes("/geminga/schemas", Writes::Held);
    let late = world.broker.post_schema(&name, schema(AVRO, A_NEEDS_B));
    let first = async {
        world.until("the write is held", || world.store.held() == 1).await;
        store(&*other, A).await;
        world.store.set_writes("", Writes::Made);
    };
    let (late, ()) = tokio::join!(late, first);
    assert!(matches!(late, Err(SchemaError::Incompatible(_))), "{late:?}");
    let stored = world.broker.schemas(&name).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].schema.data, A);
}

#[tokio::test(start_paused = true)]
async fn who_adds_the_same_schema_at_once_gets_the_same_version() {
    // Goal: a schema has one version, whoever brings it. Method: one broker has found the topic without
    // schema and is about to write when the other writes the same.
    let world = World::new().await;
    let name = topic("t");
    world.store.set_writes("/geminga/schemas", Writes::Held);
    let other = Arc::new(world.store.another());
    let late = world.broker.post_schema(&name, schema(AVRO, A));
    let first = async {
        world.until("the write is held", || world.store.held() == 1).await;
        store(&*other, A).await;
        world.store.set_writes("", Writes::Made);
    };
    let (late, ()) = tokio::join!(late, first);
    assert_eq!(late, Ok(SchemaVersion(0)));
    assert_eq!(world.broker.schemas(&name).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn producers_that_come_at_once_add_their_schemas_in_some_order() {
    let world = World::new().await;
    set_strategy(&world.broker, SchemaStrategy::AlwaysCompatible).await;
    let record = |n: usize| A.replace("\"R\"", &format!("\"R{n}\""));
    let put = async |n| world.broker.post_schema(&topic("t"), schema(AVRO, &record(n))).await;
    let all: Vec<_> = (0..20).map(|n| put(n % 10)).collect();
    let given = futures_util::future::join_all(all).await;
    let mut given: Vec<u64> = given.into_iter().map(|version| version.unwrap().0).collect();
    for n in 0..10 {
        assert_eq!(given[n], given[n + 10], "the same schema");
    }
    given.truncate(10);
    given.sort_unstable();
    assert_eq!(given, Vec::from_iter(0..10));
}

#[tokio::test(start_paused = true)]
async fn versions_are_the_same_after_a_crash() {
    let world = World::new().await;
    let client = world.client();
    for text in [A, A_B] {
        produce(&client, Some(schema(AVRO, text))).await.unwrap();
    }
    world.broker.delete_schema(&topic("t"), false).await.unwrap();
    assert_eq!(produce(&client, Some(schema(AVRO, A))).await, Ok(Some(3)));
    let before = world.broker.schemas(&topic("t")).await.unwrap();
    let world = world.crash(|_| {}).await;
    assert_eq!(world.broker.schemas(&topic("t")).await.unwrap(), before);
    let client = world.client();
    assert_eq!(produce(&client, Some(schema(AVRO, A))).await, Ok(Some(3)));
    assert_eq!(produce(&client, Some(schema(AVRO, A_B))).await, Ok(Some(4)));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_keeps_no_client_without_schema_out_and_can_be_deleted() {
    let world = World::new().await;
    let client = world.client();
    let key = paths::schemas(&topic("t"));
    let (absent, lifetime) = (Expected::Absent, Lifetime::Persistent);
    world.store.put(&key, Bytes::from_static(b"{"), absent, lifetime).await.unwrap();
    assert_eq!(produce(&client, None).await, Ok(None));
    subscribe(&client, 1, None, true).await.unwrap().close().await;
    let request = ProducerRequest { schema: Some(schema(AVRO, A)), ..client.producer_request(2) };
    let refused = client.try_produce("t", request).await.unwrap_err();
    assert!(matches!(refused, ProduceError::Schema(SchemaError::Unavailable(_))), "{refused:?}");
    assert_eq!(world.broker.delete_schema(&topic("t"), true).await, Ok(None));
    assert_eq!(produce(&client, Some(schema(AVRO, A))).await, Ok(Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_client_adds_no_schema_to_a_topic_that_is_not_there() {
    let world = World::new().await;
    let name = topic("t");
    let refused = world.broker.put_schema(&name, schema(AVRO, A)).await;
    assert_eq!(refused, Err(SchemaError::NotFound(name.clone())));
    let client = world.client();
    client.produce("t").await;
    assert_eq!(world.broker.put_schema(&name, schema(AVRO, A)).await, Ok(SchemaVersion(0)));
}
