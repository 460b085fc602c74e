//! Metrics and stats of all topics: compressed or not, in pieces, and what is left out.

use std::{collections::BTreeMap, io::Read as _, sync::Arc, time::Duration};

use flate2::read::GzDecoder;
use geminga_admin::{LatencyMetric, Metric, Options, Process, metrics::MetricsOptions};
use geminga_admin_model::{BackupRequest, BackupStatus};
use geminga_env::{Env, Latencies};
use geminga_types::{TopicName, bundle_of};
use serde_json::Value;

use crate::server::{Server, unchunked, with_options, with_server};

/// Head and body of an answer to GET.
async fn get(server: &Server, path: &str, heads: &str) -> (String, Vec<u8>) {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{heads}\r\n");
    let answer = server.raw(request.as_bytes()).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    (head, unchunked(&answer[end + 4..]))
}

#[test]
fn metrics_are_compressed_for_who_takes_that() {
    with_server(async |server| {
        for number in 0..50 {
            server.publish(&format!("t-{number}"), 1).await;
        }
        let (head, plain) = get(server, "/metrics", "").await;
        assert!(!head.contains("content-encoding"), "{head}");
        assert!(head.contains("vary: accept-encoding"), "{head}");
        for heads in ["gzip", "deflate, gzip;q=0.5", "*", "GZIP"] {
            let heads = format!("Accept-Encoding: {heads}\r\n");
            let (head, zipped) = get(server, "/metrics", &heads).await;
            assert!(head.contains("content-encoding: gzip"), "{head}");
            assert!(zipped.len() * 5 < plain.len(), "{} of {}", zipped.len(), plain.len());
            let mut found = String::new();
            GzDecoder::new(&zipped[..]).read_to_string(&mut found).unwrap();
            let lines = |text: &str| text.lines().filter(|line| line.contains("topic=")).count();
            assert_eq!(lines(&found), lines(str::from_utf8(&plain).unwrap()));
        }
        for heads in ["gzip;q=0", "deflate", "identity", "gzip;q=0, *"] {
            let heads = format!("Accept-Encoding: {heads}\r\n");
            let (head, _) = get(server, "/metrics", &heads).await;
            assert!(!head.contains("content-encoding"), "{heads}: {head}");
        }
        let (head, zipped) =
            get(server, "/admin/v2/broker-stats/topics", "Accept-Encoding: gzip\r\n").await;
        assert!(head.contains("content-type: application/json"), "{head}");
        let found: Value = serde_json::from_reader(GzDecoder::new(&zipped[..])).unwrap();
        assert!(found["public/default"].is_object(), "{found}");
    });
}

#[test]
fn metrics_of_topics_can_be_switched_off() {
    let metrics = MetricsOptions { topic_level: false, ..MetricsOptions::default() };
    with_options(Options { metrics, ..Options::default() }, async |server| {
        server.publish("t", 3).await;
        let (_, text) = get(server, "/metrics", "").await;
        let text = String::from_utf8(text).unwrap();
        let line =
            "pulsar_in_messages_total{cluster=\"standalone\",namespace=\"public/default\"} 3";
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(!text.contains("topic="), "{text}");
    });
}

/// What a process could be beside a broker.
#[derive(Debug)]
struct Beside;

impl Process for Beside {
    fn refuses_messages(&self) -> Option<String> {
        None
    }

    fn metrics(&self) -> Vec<Metric> {
        vec![Metric { name: "pulsar_active_connections", labels: "", value: 3.0 }]
    }

    fn latencies(&self) -> Vec<LatencyMetric> {
        let (now, lookups) = (Env::system().clock.now(), Latencies::default());
        lookups.note_many(now, Duration::from_millis(1), 2);
        let figures = lookups.figures(now);
        vec![LatencyMetric { name: "pulsar_broker_lookup", labels: "", figures }]
    }

    fn start_backup(&self, _: &BackupRequest) -> Result<(), String> {
        Ok(())
    }

    fn backup_status(&self) -> BackupStatus {
        BackupStatus::default()
    }
}

/// Goal: what is counted over all topics, and beside the broker, is on the page with Pulsar's labels.
#[test]
fn publishes_loads_and_lookups_are_told_with_how_long_they_took() {
    let options = Options {
        version: "1.2.3".to_owned(),
        process: Some(Arc::new(Beside)),
        ..Options::default()
    };
    with_options(options, async |server| {
        server.put("/admin/v2/persistent/public/default/t/subscription/s", "\"earliest\"").await;
        server.publish("t", 3).await;
        server.publish("u", 2).await;
        server.get("/admin/v2/persistent/public/default/none/stats").await.is(404);
        let (_, text) = get(server, "/metrics", "").await;
        let text = String::from_utf8(text).unwrap();
        let namespace = "cluster=\"standalone\",namespace=\"public/default/persistent\"";
        for line in [
            "pulsar_broker_publish_latency_count{cluster=\"standalone\"} 5",
            "pulsar_topic_load_times_count{cluster=\"standalone\"} 2",
            "topic_load_failed_total{cluster=\"standalone\"} 0",
            "pulsar_broker_topic_load_pending_requests{cluster=\"standalone\"} 0",
            "pulsar_version_info{cluster=\"standalone\",version=\"1.2.3\"} 1",
            "pulsar_broker_lookup_count{cluster=\"standalone\"} 2",
            "pulsar_broker_lookup_sum{cluster=\"standalone\"} 2",
            "pulsar_broker_lookup_answers_total{cluster=\"standalone\"} 2",
            "pulsar_broker_lookup{cluster=\"standalone\",quantile=\"1.0\"} 1",
            "pulsar_active_connections{cluster=\"standalone\",broker=\"localhost\",metric=\"broker_connection\"} 3",
            &format!("pulsar_ml_AddEntrySucceed{{{namespace}}} 5"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        for name in ["pulsar_broker_publish_latency", "pulsar_topic_load_times"] {
            let begin = format!("{name}{{cluster=\"standalone\",quantile=\"0.99\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&begin)).unwrap();
            assert!(0.0 < line.parse::<f64>().unwrap(), "{name}: {line}");
        }
    });
}

/// Goal: the answer is one document with every topic in its place, in pieces or not.
#[test]
fn stats_of_all_topics_are_by_namespace_and_bundle() {
    with_server(async |server| {
        let (_, body) = get(server, "/admin/v2/broker-stats/topics", "").await;
        assert_eq!(body, b"{}");
        server.put("/admin/v2/namespaces/public/other", "").await.is(204);
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for number in 0..150 {
            let namespace = ["default", "other"][number % 2];
            let name = format!("persistent://public/{namespace}/t-{number}\"");
            server.publish(&name, 1 + number as u64 % 3).await;
            expected.insert(name, 1 + number as u64 % 3);
        }
        let _volatile = server.producer("non-persistent://public/other/n").await;
        expected.insert("non-persistent://public/other/n".to_owned(), 0);
        let (_, body) = get(server, "/admin/v2/broker-stats/topics", "").await;
        let all: Value = serde_json::from_slice(&body).unwrap();
        let mut found = BTreeMap::new();
        for (namespace, bundles) in all.as_object().unwrap() {
            for (bundle, domains) in bundles.as_object().unwrap() {
                for (domain, topics) in domains.as_object().unwrap() {
                    for (name, stats) in topics.as_object().unwrap() {
                        let topic: TopicName = name.parse().unwrap();
                        assert_eq!(topic.namespace().as_str(), namespace);
                        assert_eq!(topic.domain().to_string(), *domain);
                        assert_eq!(bundle_of(&topic, 4).to_string(), *bundle);
                        found.insert(name.clone(), stats["msgInCounter"].as_u64().unwrap());
                    }
                }
            }
        }
        assert_eq!(found, expected);
    });
}

/// Goal: what the official Testcontainers module waits for.
#[test]
fn clusters_are_told_as_testcontainers_wait_for_it() {
    with_server(async |server| {
        let answer = server.get("/admin/v2/clusters").await.is(200);
        assert_eq!(answer.body, "[\"standalone\"]");
    });
}
