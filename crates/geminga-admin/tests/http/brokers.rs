//! Brokers: what they are configured with, have and do.

use std::collections::BTreeMap;

use geminga_admin::Options;
use serde_json::json;

use crate::server::{Disk, Server, with_server};

const KEYS: &str = "/admin/v2/brokers/configuration";

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// Goal: a dynamic key acts at once, survives a restart, and is as configured again once it is deleted.
/// Method: keys that governing topics and creating them go by, before and after each step.
#[test]
fn dynamic_configuration_acts_at_once_and_lasts() {
    run(async {
        let disk = Disk::new();
        let server = Server::start(disk.clone(), Options::default()).await;
        assert_eq!(server.get(&format!("{KEYS}/values")).await.is(200).json(), json!({}));
        let keys = server.get(KEYS).await.is(200).json();
        assert!(keys.as_array().unwrap().contains(&json!("maxTopicsPerNamespace")), "{keys}");

        let topics = "/admin/v2/persistent/public/default";
        server.put(&format!("{topics}/a"), "").await.is(204);
        server.post(&format!("{KEYS}/maxTopicsPerNamespace/1"), "").await.is(204);
        server.put(&format!("{topics}/b"), "").await.is(412);
        server.post(&format!("{KEYS}/allowAutoTopicCreationType/partitioned"), "").await.is(204);
        server.post(&format!("{KEYS}/defaultNumPartitions/3"), "").await.is(204);
        server.post(&format!("{KEYS}/maxPublishRatePerTopicInMessages/7"), "").await.is(204);
        let effective = format!("{topics}/a/effective-policies");
        let rate = server.get(&effective).await.is(200).json()["publishRate"].clone();
        assert_eq!(rate["value"]["publishThrottlingRateInMsg"], 7, "{rate}");
        assert_eq!(rate["level"], "broker");
        server.stop().await;

        let server = Server::start(disk, Options::default()).await;
        let stored = server.get(&format!("{KEYS}/values")).await.is(200).json();
        let expected = json!({
            "allowAutoTopicCreationType": "partitioned", "defaultNumPartitions": "3",
            "maxPublishRatePerTopicInMessages": "7", "maxTopicsPerNamespace": "1",
        });
        assert_eq!(stored, expected);
        server.put(&format!("{topics}/b"), "").await.is(412);
        server.delete(&format!("{KEYS}/maxTopicsPerNamespace")).await.is(204);
        server.put(&format!("{topics}/b"), "").await.is(204);
        let created = format!("{topics}/p/partitions?checkAllowAutoCreation=true");
        assert_eq!(server.get(&created).await.is(200).json()["partitions"], 3);
        server.stop().await;
    });
}

/// Goal: a key that is set reaches topics in use, and so does its deletion.
/// Method: a topic that is loaded refuses a subscription that would come into being by being used.
#[test]
fn dynamic_configuration_reaches_topics_in_use() {
    with_server(async |server| {
        let topic = "persistent://public/default/busy";
        server.publish(topic, 1).await;
        let key = format!("{KEYS}/allowAutoSubscriptionCreation");
        server.post(&format!("{key}/false"), "").await.is(204);
        server.subscribe(topic, "s").await.unwrap_err();
        server.delete(&key).await.is(204);
        server.subscribe(topic, "s").await.unwrap();
    });
}

#[test]
fn keys_that_cannot_be_set_are_refused_with_the_reason() {
    run(async {
        let server = Server::start_with(Disk::new(), Options::default(), |told| {
            told.configuration = BTreeMap::from([("webServicePort".to_owned(), "8080".to_owned())]);
        })
        .await;
        let reason = |answer: crate::server::Answer| {
            answer.is(412).json()["reason"].as_str().unwrap().to_owned()
        };
        let fixed = reason(server.post(&format!("{KEYS}/webServicePort/1"), "").await);
        assert!(fixed.contains("webServicePort is read at the start only"), "{fixed}");
        let unknown = reason(server.post(&format!("{KEYS}/nonsense/1"), "").await);
        assert!(unknown.contains("nonsense is no key"), "{unknown}");
        let wrong = reason(server.post(&format!("{KEYS}/maxTenants/many"), "").await);
        assert!(wrong.contains("maxTenants is \"many\""), "{wrong}");
        reason(server.delete(&format!("{KEYS}/webServicePort")).await);
        reason(server.post(&format!("{KEYS}/allowAutoTopicCreationType/round"), "").await);
        reason(server.post(&format!("{KEYS}/defaultNumPartitions/0"), "").await);
        assert_eq!(server.get(&format!("{KEYS}/values")).await.is(200).json(), json!({}));
        let runtime = server.get(&format!("{KEYS}/runtime")).await.is(200).json();
        assert_eq!(runtime, json!({"webServicePort": "8080"}));
        server.post(&format!("{KEYS}/maxTenants/9"), "").await.is(204);
        let runtime = server.get(&format!("{KEYS}/runtime")).await.is(200).json();
        assert_eq!(runtime, json!({"webServicePort": "8080", "maxTenants": "9"}));
        server.stop().await;
    });
}

#[test]
fn what_a_broker_has_is_told() {
    with_server(async |server| {
        let broker = format!("localhost:{}", server.address.port());
        let owned = format!("/admin/v2/brokers/standalone/{broker}/ownedNamespaces");
        assert_eq!(server.get(&owned).await.is(200).json(), json!({}));
        server.publish("persistent://public/default/t", 1).await;
        let found = server.get(&owned).await.is(200).json();
        let (bundle, status) = found.as_object().unwrap().iter().next().unwrap();
        assert!(bundle.starts_with("public/default/0x"), "{bundle}");
        let expected =
            json!({"broker_assignment": "shared", "is_controlled": false, "is_active": true});
        assert_eq!(*status, expected);
        server.get("/admin/v2/brokers/standalone/other:1/ownedNamespaces").await.is(404);
        server.get(&format!("/admin/v2/brokers/none/{broker}/ownedNamespaces")).await.is(404);
        let internal = server.get("/admin/v2/brokers/internal-configuration").await.is(200).json();
        assert_eq!(internal["ledgersRootPath"], "/ledgers");
        server.get("/admin/v2/brokers/backlog-quota-check").await.is(204);
        server.post("/admin/v2/brokers/shutdown", "").await.is(405);

        let stats = "/admin/v2/broker-stats";
        let topics = server.get(&format!("{stats}/topics")).await.is(200).json();
        let range = bundle.strip_prefix("public/default/").unwrap();
        let found = &topics["public/default"][range]["persistent"];
        assert_eq!(found["persistent://public/default/t"]["msgInCounter"], 1, "{topics}");
        let report = server.get(&format!("{stats}/load-report")).await.is(200).json();
        assert_eq!((&report["numTopics"], &report["numBundles"]), (&json!(1), &json!(1)));
        assert_eq!(report["bundles"], json!([bundle]));
        let metrics = server.get(&format!("{stats}/metrics")).await.is(200).json();
        assert_eq!(metrics[0]["dimensions"]["cluster"], "standalone");
        assert_eq!(server.get(&format!("{stats}/mbeans")).await.is(200).json(), json!([]));
        server.get(&format!("{stats}/allocator-stats/default")).await.is(406);
        server.get(&format!("{stats}/bookieops")).await.is(405);
        server.get(&format!("{stats}/broker-resource-availability/public/default")).await.is(409);
    });
}

#[test]
fn what_is_served_is_described() {
    with_server(async |server| {
        let found = server.get("/admin/v2/geminga/openapi.json").await.is(200).json();
        assert_eq!(found["openapi"], "3.0.3");
        let tenant = &found["paths"]["/admin/v2/tenants/{tenant}"];
        assert_eq!(tenant["put"]["operationId"], "CreateTenant");
        assert_eq!(tenant["put"]["summary"], "Creates a tenant.");
        assert_eq!(tenant["put"]["x-permission"], "Superuser");
    });
}
