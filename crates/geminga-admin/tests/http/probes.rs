//! Probes, brokers, lookup and metrics.

use geminga_types::{TopicName, bundle_of};
use serde_json::json;

use crate::server::with_server;

#[test]
fn probes_say_that_all_is_well() {
    with_server(async |server| {
        assert_eq!(server.get("/status.html").await.is(200).body, "OK");
        assert_eq!(server.get("/admin/v2/brokers/health").await.is(200).body, "ok");
        assert_eq!(server.get("/admin/v2/brokers/health?topicVersion=V2").await.is(200).body, "ok");
        assert_eq!(server.get("/admin/v2/brokers/ready").await.is(200).body, "ok");
        let version = server.get("/admin/v2/brokers/version").await.is(200);
        assert_eq!(version.body, env!("CARGO_PKG_VERSION"));
        assert!(version.head.contains("content-type: text/plain"), "{version:?}");
        let head = server.send("HEAD", "/admin/v2/brokers/health", "", "").await.is(200);
        assert_eq!(head.body, "");
    });
}

#[test]
fn brokers_are_named_by_their_http_address() {
    with_server(async |server| {
        let id = format!("localhost:{}", server.address.port());
        for path in ["/admin/v2/brokers", "/admin/v2/brokers/standalone"] {
            assert_eq!(server.get(path).await.is(200).json(), json!([id]));
        }
        let leader = server.get("/admin/v2/brokers/leaderBroker").await.is(200).json();
        assert_eq!(leader, json!({"serviceUrl": format!("http://{id}"), "brokerId": id}));
        server.get("/admin/v2/brokers/other").await.is(404);
    });
}

#[test]
fn a_lookup_names_the_broker_with_every_key() {
    with_server(async |server| {
        let http_url = format!("http://localhost:{}", server.address.port());
        let expected = json!({
            "brokerUrl": "pulsar://localhost:6650", "brokerUrlTls": null,
            "httpUrl": http_url, "httpUrlTls": null, "nativeUrl": "pulsar://localhost:6650",
        });
        for path in [
            "/lookup/v2/topic/persistent/public/default/new",
            "/lookup/v2/destination/persistent/public/default/new",
            "/lookup/v2/topic/non-persistent/public/default/a%2Fb?authoritative=false",
        ] {
            assert_eq!(server.get(path).await.is(200).json(), expected, "{path}");
        }
        // A lookup creates nothing.
        let topics = server.get("/admin/v2/persistent/public/default").await.is(200);
        assert_eq!(topics.json(), json!([]));
        server.get("/lookup/v2/topic/persistent/public/none/new").await.is(404);
        server.get("/lookup/v2/topic/persistent/none/default/new").await.is(404);
    });
}

#[test]
fn a_lookup_honours_the_listener() {
    with_server(async |server| {
        let path = "/lookup/v2/topic/persistent/public/default/t";
        let by_query = server.get(&format!("{path}?listenerName=internal")).await.is(200);
        let header = "X-Pulsar-ListenerName: internal\r\n";
        let by_header = server.send("GET", path, header, "").await.is(200);
        for found in [by_query, by_header] {
            assert_eq!(found.json()["brokerUrl"], "pulsar://internal:6650");
        }
        let unknown = server.get(&format!("{path}?listenerName=test")).await.is(412);
        assert!(unknown.body.contains("the broker do not have test listener"), "{unknown:?}");
    });
}

#[test]
fn a_topic_has_one_bundle_of_its_namespace() {
    with_server(async |server| {
        let path = "/lookup/v2/topic/persistent/public/default/t/bundle";
        let bundle = server.get(path).await.is(200).body;
        let topic: TopicName = "t".parse().unwrap();
        assert_eq!(bundle, bundle_of(&topic, 4).to_string());
        let bundles = "/admin/v2/namespaces/public/default/bundles";
        let bundles = server.get(bundles).await.is(200).json();
        assert_eq!(bundles["numBundles"], 4);
        assert_eq!(bundles["boundaries"].as_array().unwrap().len(), 5);
        server.get("/lookup/v2/topic/persistent/public/none/t/bundle").await.is(404);
    });
}

#[test]
fn metrics_follow_what_happens() {
    with_server(async |server| {
        let before = server.get("/metrics").await.is(200);
        assert!(before.head.contains("content-type: text/plain; version=0.0.4"), "{before:?}");
        assert!(!before.body.contains("public/default"), "{before:?}");
        let consumer = server.consumer("t", "s").await;
        server.publish("t", 3).await;
        let labels = "cluster=\"standalone\",namespace=\"public/default\",\
                      topic=\"persistent://public/default/t\"";
        let text = server.get("/metrics/").await.is(200).body;
        for line in [
            "pulsar_topics_count{cluster=\"standalone\",namespace=\"public/default\"} 1".to_owned(),
            format!("pulsar_subscriptions_count{{{labels}}} 1"),
            format!("pulsar_consumers_count{{{labels}}} 1"),
            format!("pulsar_producers_count{{{labels}}} 0"),
            format!("pulsar_in_messages_total{{{labels}}} 3"),
            format!("pulsar_msg_backlog{{{labels}}} 3"),
            format!("pulsar_subscription_back_log{{{labels},subscription=\"s\"}} 3"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("geminga_memory_budget_bytes{budget=\"publish\"}"), "{text}");
        consumer.close().await;
    });
}
