use std::{collections::BTreeSet, sync::Arc, time::Duration};

use geminga_broker::{
    Activity, AppendFigures, ConsumerRow, ProducerRow, ReadFigures, SubscriptionRow, TopicFigures,
    TopicRow, admin::Survey,
};

use super::*;
use geminga_env::{Latencies, LatencyFigures, sim};

use crate::pieces::{PIECE_BYTES, Pieces as _};

fn subscription(name: &str) -> SubscriptionRow {
    let consumer = ConsumerRow {
        name: "c".to_owned(),
        consumer_id: 4,
        available_permits: -1,
        unacked_messages: 3,
        is_blocked: true,
        message_rate_out: 1.5,
        byte_rate_out: 0.0,
        message_rate_redeliver: 0.0,
        message_ack_rate: 0.75,
    };
    let activity = Activity {
        message_ack_rate: 2.5,
        entry_rate_expired: 0.25,
        entries_expired: 21,
        last_expired: 22,
        last_flow: 23,
        last_delivered: 24,
        last_acked: 25,
        last_mark_delete: 26,
    };
    SubscriptionRow {
        name: Arc::from(name),
        backlog_entries: 7,
        delayed_entries: 2,
        delayed_index_bytes: 80,
        replay_entries: 0,
        dead_letter_entries: 1,
        is_blocked: true,
        unacked_messages: 3,
        message_rate_out: 1.5,
        byte_rate_out: 0.0,
        message_rate_redeliver: 0.0,
        message_rate_dropped: 0.0,
        messages_out: 11,
        bytes_out: 12,
        activity,
        consumer_count: 1,
        consumers: vec![consumer],
    }
}

fn topic(name: &str) -> TopicRow {
    let producer = ProducerRow {
        name: "p".to_owned(),
        producer_id: 5,
        message_rate_in: 0.5,
        byte_rate_in: 5.0,
        message_size_mean: 10.0,
    };
    let mut appends = AppendFigures::default();
    (appends.latency[1], appends.size[8], appends.errors) = (60, 60, 2);
    let reads = ReadFigures {
        stored_entries: 120,
        stored_bytes: 180,
        errors: 4,
        cached_entries: 240,
        cached_bytes: 300,
        mark_deletes: 30,
    };
    let figures = TopicFigures {
        topics: 1,
        managed_ledgers: 1,
        quota_bytes: Some(1_000),
        reads: Some(Box::new(reads)),
        subscriptions: 1,
        message_rate_in: 0.5,
        messages_in: 5,
        messages_out: 11,
        publish_limited_times: 3,
        storage_bytes: 100,
        backlog_bytes: 70,
        backlog_entries: 7,
        delayed_entries: 2,
        appends: Some(Box::new(appends)),
        ..TopicFigures::default()
    };
    let subscriptions = vec![subscription("s\"1\\")];
    TopicRow { topic: name.parse().unwrap(), figures, subscriptions, producers: vec![producer] }
}

/// The text, and how long its pieces are.
async fn text(topics: Vec<TopicRow>, options: MetricsOptions) -> (String, Vec<usize>) {
    let silent = vec!["persistent://a/b/silent".parse().unwrap()];
    let mut singles = Singles::default();
    let (now, syncs) = (sim::World::new(1).env().clock.now(), Latencies::default());
    syncs.note(now, Duration::from_micros(500));
    syncs.note(now, Duration::from_micros(1_000));
    let labels = "journalIndex=\"0\",success=\"true\"";
    singles.add_summary("bookie_journal_JOURNAL_SYNC", labels, &syncs.figures(now));
    singles.add_summary("pulsar_broker_lookup", "", &LatencyFigures::default());
    let labels = labels::of_connections("pulsar://broker-1:6650");
    singles.add("pulsar_active_connections", &labels, 3.0);
    let mut text = Text::new("one", Survey { rows: topics, silent }, singles, options);
    let (mut whole, mut sizes, mut goes_on) = (Vec::new(), Vec::new(), true);
    while goes_on {
        let mut piece = Vec::new();
        goes_on = text.next(&mut piece).await;
        sizes.push(piece.len());
        whole.extend(piece);
    }
    (String::from_utf8(whole).unwrap(), sizes)
}

const ALL: MetricsOptions = MetricsOptions {
    topic_level: true,
    consumer_level: true,
    producer_level: true,
    managed_ledgers: true,
    splits_partition: false,
};

#[tokio::test]
async fn each_family_has_one_head_and_its_lines_follow_it() {
    let topics = vec![topic("persistent://a/b/t\"1"), topic("persistent://a/c/t2")];
    let (text, _) = text(topics, ALL).await;
    let mut current = None;
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            assert!(seen.insert(name), "{name} has two heads");
            let family = FAMILIES.iter().find(|family| family.name == name).unwrap();
            assert_eq!(kind, family.kind.as_str());
            current = Some(family);
        } else {
            let (name, rest) = line.split_once('{').unwrap();
            let family = current.unwrap();
            let suffix = name.strip_prefix(family.name).unwrap();
            assert!(["", "_bucket", "_sum", "_count"].contains(&suffix), "{line}");
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            // Sums and counts are of all quantiles.
            let is_part = !suffix.is_empty();
            let found = family.labels.split(", ").filter(|&it| !is_part || it != "quantile");
            let in_order = labels.split("\",").map(|label| label.split_once("=\"").unwrap().0);
            assert!(in_order.eq(found), "{line}: {}", family.labels);
        }
    }
    assert!(seen.contains("pulsar_topics_count") && seen.contains("geminga_topic_silent"));
}

#[tokio::test]
async fn lines_are_pulsars() {
    let (text, _) = text(vec![topic("persistent://a/b/t1")], ALL).await;
    let labels = "cluster=\"one\",namespace=\"a/b\",topic=\"persistent://a/b/t1\"";
    let of_subscription = format!("{labels},subscription=\"s\\\"1\\\\\"");
    let of_consumer = format!("{of_subscription},consumer_name=\"c\",consumer_id=\"4\"");
    let journal = "journalIndex=\"0\",success=\"true\"";
    let of_ledgers = "cluster=\"one\",namespace=\"a/b/persistent\"";
    let of_producer = format!("{labels},producer_name=\"p\",producer_id=\"5\"");
    for line in [
        "pulsar_topics_count{cluster=\"one\",namespace=\"a/b\"} 1".to_owned(),
        "pulsar_broker_rate_in{cluster=\"one\"} 0.5".to_owned(),
        format!("pulsar_ml_AddEntryMessagesRate{{{of_ledgers}}} 1"),
        format!("pulsar_ml_AddEntrySucceed{{{of_ledgers}}} 60"),
        format!("pulsar_ml_AddEntryErrors{{{of_ledgers}}} 2"),
        format!("pulsar_ml_AddEntryLatencyBuckets{{{of_ledgers},quantile=\"0.0_0.5\"}} 0"),
        format!("pulsar_ml_AddEntryLatencyBuckets{{{of_ledgers},quantile=\"0.5_1.0\"}} 1"),
        format!("pulsar_ml_EntrySizeBuckets{{{of_ledgers},quantile=\"0.0_128.0\"}} 0"),
        format!("pulsar_ml_EntrySizeBuckets_OVERFLOW{{{of_ledgers}}} 1"),
        format!("pulsar_ml_ReadEntriesRate{{{of_ledgers}}} 2"),
        format!("pulsar_ml_ReadEntriesBytesRate{{{of_ledgers}}} 3"),
        format!("pulsar_ml_ReadEntriesSucceeded{{{of_ledgers}}} 120"),
        format!("pulsar_ml_ReadEntriesErrors{{{of_ledgers}}} 4"),
        format!("pulsar_ml_MarkDeleteRate{{{of_ledgers}}} 0.5"),
        "pulsar_ml_cache_hits_rate{cluster=\"one\"} 4".to_owned(),
        "pulsar_ml_cache_hits_throughput{cluster=\"one\"} 5".to_owned(),
        "pulsar_ml_cache_misses_rate{cluster=\"one\"} 2".to_owned(),
        "pulsar_broker_storage_read_rate{cluster=\"one\"} 2".to_owned(),
        format!("pulsar_storage_read_rate{{{labels}}} 2"),
        format!("pulsar_storage_backlog_quota_limit{{{labels}}} 1000"),
        format!("pulsar_consumer_msg_ack_rate{{{of_consumer}}} 0.75"),
        format!("pulsar_rate_in{{{labels}}} 0.5"),
        format!("pulsar_in_messages_total{{{labels}}} 5"),
        format!("pulsar_publish_rate_limit_times{{{labels}}} 3"),
        format!("pulsar_msg_backlog{{{labels}}} 7"),
        format!("pulsar_storage_backlog_size{{{labels}}} 70"),
        format!("pulsar_storage_write_rate{{{labels}}} 1"),
        format!("pulsar_storage_write_latency_le_0_5{{{labels}}} 0"),
        format!("pulsar_storage_write_latency_le_1{{{labels}}} 60"),
        format!("pulsar_entry_size_le_overflow{{{labels}}} 60"),
        format!("pulsar_subscription_back_log{{{of_subscription}}} 7"),
        format!("pulsar_subscription_back_log_no_delayed{{{of_subscription}}} 5"),
        format!("pulsar_subscription_blocked_on_unacked_messages{{{of_subscription}}} 1"),
        format!("pulsar_subscription_msg_ack_rate{{{of_subscription}}} 2.5"),
        format!("pulsar_subscription_msg_rate_expired{{{of_subscription}}} 0.25"),
        format!("pulsar_subscription_total_msg_expired{{{of_subscription}}} 21"),
        format!("pulsar_subscription_last_expire_timestamp{{{of_subscription}}} 22"),
        format!("pulsar_subscription_last_consumed_flow_timestamp{{{of_subscription}}} 23"),
        format!("pulsar_subscription_last_consumed_timestamp{{{of_subscription}}} 24"),
        format!("pulsar_subscription_last_acked_timestamp{{{of_subscription}}} 25"),
        format!("pulsar_subscription_last_mark_delete_advanced_timestamp{{{of_subscription}}} 26"),
        format!("pulsar_out_messages_total{{{of_subscription}}} 11"),
        format!("pulsar_consumer_available_permits{{{of_consumer}}} -1"),
        format!("pulsar_producer_msg_average_Size{{{of_producer}}} 10"),
        "pulsar_active_connections{cluster=\"one\",broker=\"broker-1\",metric=\"broker_connection\"} 3"
            .to_owned(),
        "pulsar_broker_lookup{cluster=\"one\",quantile=\"0.99\"} NaN".to_owned(),
        "pulsar_broker_lookup_count{cluster=\"one\"} 0".to_owned(),
        format!("bookie_journal_JOURNAL_SYNC{{{journal},quantile=\"0.5\"}} 0.5"),
        format!("bookie_journal_JOURNAL_SYNC{{{journal},quantile=\"1.0\"}} 1"),
        format!("bookie_journal_JOURNAL_SYNC_count{{{journal}}} 2"),
        format!("bookie_journal_JOURNAL_SYNC_sum{{{journal}}} 1.5"),
        "# TYPE bookie_journal_JOURNAL_SYNC summary".to_owned(),
        format!("geminga_topic_silent{{{}}} 1", labels.replace("t1", "silent")),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    for absent in ["pulsar_compaction_", "pulsar_storage_backlog_quota_limit_time"] {
        assert!(!text.contains(absent), "there was none");
    }
}

#[tokio::test]
async fn without_the_topic_level_there_are_sums_by_namespace() {
    let topics = ["persistent://a/b/t1", "persistent://a/b/t2", "persistent://a/c/t"].map(topic);
    let options = MetricsOptions { topic_level: false, managed_ledgers: false, ..ALL };
    let (text, _) = text(topics.to_vec(), options).await;
    for line in [
        "pulsar_topics_count{cluster=\"one\",namespace=\"a/b\"} 2",
        "pulsar_in_messages_total{cluster=\"one\",namespace=\"a/b\"} 10",
        "pulsar_in_messages_total{cluster=\"one\",namespace=\"a/c\"} 5",
        "pulsar_entry_size_count{cluster=\"one\",namespace=\"a/b\"} 120",
        "pulsar_out_messages_total{cluster=\"one\",namespace=\"a/b\"} 22",
        "pulsar_subscription_delayed{cluster=\"one\",namespace=\"a/b\"} 4",
        "pulsar_broker_msg_backlog{cluster=\"one\"} 21",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    for left_out in ["persistent://a/b/t1", "subscription=", "consumer_name=", "pulsar_ml_Add"] {
        assert!(!text.contains(left_out), "{left_out} in\n{text}");
    }
}

#[tokio::test]
async fn a_partition_can_be_a_label() {
    let topics = vec![topic("persistent://a/b/t-partition-7"), topic("persistent://a/b/u")];
    let options = MetricsOptions { splits_partition: true, ..MetricsOptions::default() };
    let (text, _) = text(topics, options).await;
    assert!(text.contains("topic=\"persistent://a/b/t\",partition=\"7\"} "), "{text}");
    assert!(text.contains("topic=\"persistent://a/b/u\",partition=\"-1\"} "), "{text}");
    assert!(!text.contains("consumer_name="), "nobody wants it: {text}");
}

/// Goal: however many topics there are, what is in memory of the text is small, and nothing is missing.
#[tokio::test]
async fn pieces_are_small_and_all_there() {
    let topics = (0..3_000).map(|number| topic(&format!("persistent://a/b/t-{number:04}")));
    let (text, sizes) = text(topics.collect(), ALL).await;
    assert!(sizes.iter().all(|&size| size < PIECE_BYTES + 1_000), "{sizes:?}");
    assert!(100 < sizes.len(), "{}", sizes.len());
    for name in ["pulsar_subscriptions_count", "pulsar_subscription_back_log", "pulsar_rate_in"] {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        assert_eq!(lines.count(), 3_000, "{name}");
        assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1);
    }
}

#[test]
fn names_are_unique_and_lines_of_the_process_are_found() {
    let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    let found = families::family_of("geminga_bookie_journal_sync_seconds_bucket").unwrap();
    assert_eq!(found.kind, Kind::Histogram);
    let found = families::family_of("geminga_bookie_journal_sync_seconds_max").unwrap();
    assert_eq!(found.kind, Kind::Gauge);
    assert!(families::family_of("pulsar_rate_in").is_none(), "it is of topics");
}

/// Goal: whoever looks for a name of Pulsar's finds it in a row or in a group, and in one of them only.
#[test]
fn every_family_of_pulsars_page_is_here_or_is_said_to_be_missing() {
    let pulsars = include_str!("pulsar_4.2.4_families.txt");
    assert!(250 < pulsars.lines().count());
    for name in pulsars.lines() {
        let is_here = FAMILIES.iter().any(|family| family.name == name);
        let is_absent = absent::is_absent(name);
        assert!(is_here || is_absent, "{name} is nowhere");
        assert!(!(is_here && is_absent), "{name} is here, and said to be missing");
    }
    for [name, is_absent] in [["jvm_info", "x"], ["x_created", "x"], ["pulsar_health2", ""]] {
        assert_eq!(absent::is_absent(name), !is_absent.is_empty(), "{name}");
    }
}

#[test]
fn the_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let command = "cargo run -p geminga-admin --example metrics-reference > docs/metrics.md";
    assert!(found == page(), "run: {command}");
}
