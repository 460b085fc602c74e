use geminga_broker::{
    ConsumerStats,
    admin::{CompactionStats, ConsumerEntry},
};
use geminga_types::Position;

use super::*;

fn subscription(name: &str) -> SubscriptionStats {
    let consumer = ConsumerEntry {
        stats: ConsumerStats { is_blocked: true, ..ConsumerStats::default() },
        messages_out: 1,
        bytes_out: 2,
        client_version: String::new(),
        metadata: Vec::new(),
    };
    SubscriptionStats {
        name: name.to_owned(),
        kind: "Shared",
        is_durable: true,
        backlog_entries: 7,
        delayed_entries: 2,
        dead_letter_entries: 1,
        is_blocked: true,
        unacked_messages: 3,
        message_rate_out: 1.5,
        byte_rate_out: 0.0,
        message_rate_redeliver: 0.0,
        messages_out: 11,
        bytes_out: 12,
        backlog_bytes: 0,
        messages_dropped: 0,
        message_rate_dropped: 0.0,
        mark_delete: Position::EARLIEST,
        acked_ranges: 3,
        cursor_log: None,
        active_consumer: None,
        properties: Vec::new(),
        consumers: vec![consumer],
    }
}

pub(crate) fn topic(name: &str) -> TopicStats {
    TopicStats {
        topic: name.parse().unwrap(),
        message_rate_in: 0.5,
        byte_rate_in: 0.0,
        message_rate_out: 0.0,
        byte_rate_out: 0.0,
        messages_in: 5,
        bytes_in: 50,
        messages_out: 0,
        bytes_out: 0,
        message_rate_dropped: 0.0,
        publish_limited_times: 3,
        storage_bytes: 100,
        storage_entries: 10,
        last_position: Position::EARLIEST,
        last_publish_time: 0,
        created: 0,
        is_terminated: false,
        is_deduplicating: false,
        compaction: CompactionStats::default(),
        compacted_ledger: None,
        ledgers: Vec::new(),
        publishers: Vec::new(),
        subscriptions: vec![subscription("s\"1\\")],
    }
}

#[test]
fn each_family_has_one_head_and_its_lines_follow_it() {
    let topics = [topic("persistent://a/b/t\"1"), topic("persistent://a/c/t2")];
    let text = render("standalone", &topics);
    let mut current = "";
    let mut seen = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            current = head.split(' ').next().unwrap();
            assert!(seen.insert(current), "{current} has two heads");
        } else {
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(name, current);
            let value = rest.rsplit_once("} ").unwrap().1;
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(seen.contains("pulsar_topics_count"));
}

#[test]
fn lines_are_pulsars() {
    let text = render("standalone", &[topic("persistent://a/b/t1")]);
    let labels = "cluster=\"standalone\",namespace=\"a/b\",topic=\"persistent://a/b/t1\"";
    for line in [
        "pulsar_topics_count{cluster=\"standalone\",namespace=\"a/b\"} 1".to_owned(),
        format!("pulsar_rate_in{{{labels}}} 0.5"),
        format!("pulsar_in_messages_total{{{labels}}} 5"),
        format!("pulsar_publish_rate_limit_times{{{labels}}} 3"),
        format!("pulsar_msg_backlog{{{labels}}} 7"),
        format!("pulsar_storage_backlog_size{{{labels}}} 70"),
        format!("pulsar_subscription_back_log{{{labels},subscription=\"s\\\"1\\\\\"}} 7"),
        format!("pulsar_out_messages_total{{{labels},subscription=\"s\\\"1\\\\\"}} 11"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}
