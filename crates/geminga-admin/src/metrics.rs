//! Prometheus text, with Pulsar's metric names and labels so that its dashboards work, and
//! `geminga_` ones for what Pulsar does not have.

use std::{collections::BTreeMap, fmt::Write as _};

use geminga_broker::{
    Broker, MemoryUse,
    admin::{SubscriptionStats, TopicStats},
};

use crate::{Metric, Options, answer::Answer, stats::backlog_bytes};

/// One metric: its name, kind, and value of a thing.
struct Family<T> {
    name: &'static str,
    kind: &'static str,
    value: fn(&T) -> f64,
}

const TOPIC: &[Family<TopicStats>] = &[
    gauge("pulsar_subscriptions_count", |topic| count(topic.subscriptions.len())),
    gauge("pulsar_producers_count", |topic| count(topic.publishers.len())),
    gauge("pulsar_consumers_count", |topic| count(consumers(topic))),
    gauge("pulsar_rate_in", |topic| topic.message_rate_in),
    gauge("pulsar_rate_out", |topic| topic.message_rate_out),
    gauge("pulsar_throughput_in", |topic| topic.byte_rate_in),
    gauge("pulsar_throughput_out", |topic| topic.byte_rate_out),
    gauge("pulsar_storage_size", |topic| number(topic.storage_bytes)),
    gauge("pulsar_storage_logical_size", |topic| number(topic.storage_bytes)),
    gauge("pulsar_storage_backlog_size", |topic| number(backlog_bytes(topic))),
    gauge("pulsar_msg_backlog", |topic| {
        topic.subscriptions.iter().map(|found| number(found.backlog_entries)).sum()
    }),
    gauge("pulsar_publish_rate_limit_times", |topic| number(topic.publish_limited_times)),
    counter("pulsar_in_messages_total", |topic| number(topic.messages_in)),
    counter("pulsar_in_bytes_total", |topic| number(topic.bytes_in)),
];

const SUBSCRIPTION: &[Family<SubscriptionStats>] = &[
    gauge("pulsar_subscription_back_log", |found| number(found.backlog_entries)),
    gauge("pulsar_subscription_back_log_no_delayed", |found| {
        number(found.backlog_entries.saturating_sub(found.delayed_entries))
    }),
    gauge("pulsar_subscription_delayed", |found| number(found.delayed_entries)),
    gauge("geminga_subscription_dead_letter_entries", |found| number(found.dead_letter_entries)),
    gauge("pulsar_subscription_unacked_messages", |found| number(found.unacked_messages)),
    gauge("pulsar_subscription_blocked_on_unacked_messages", |found| {
        count(usize::from(found.is_blocked))
    }),
    gauge("pulsar_subscription_msg_rate_out", |found| found.message_rate_out),
    gauge("pulsar_subscription_msg_throughput_out", |found| found.byte_rate_out),
    gauge("pulsar_subscription_msg_rate_redeliver", |found| found.message_rate_redeliver),
    gauge("pulsar_subscription_msg_drop_rate", |found| found.message_rate_dropped),
    gauge("pulsar_subscription_consumers_count", |found| count(found.consumers.len())),
    counter("pulsar_out_messages_total", |found| number(found.messages_out)),
    counter("pulsar_out_bytes_total", |found| number(found.bytes_out)),
];

const fn gauge<T>(name: &'static str, value: fn(&T) -> f64) -> Family<T> {
    Family { name, kind: "gauge", value }
}

const fn counter<T>(name: &'static str, value: fn(&T) -> f64) -> Family<T> {
    Family { name, kind: "counter", value }
}

/// Answer of `/metrics`.
pub(crate) async fn metrics(broker: &Broker, options: &Options) -> Answer {
    let topics = broker.all_topic_stats().await;
    let mut text = render(&broker.options().cluster, &topics);
    memory(&mut text, &broker.memory());
    head(&mut text, "geminga_subscription_repairs_total", "counter");
    line(&mut text, format_args!("geminga_subscription_repairs_total {}", broker.repairs()));
    let (published, failures) = broker.dead_letters();
    for (name, value) in [
        ("geminga_dead_letters_total", published),
        ("geminga_dead_letter_failures_total", failures),
    ] {
        head(&mut text, name, "counter");
        line(&mut text, format_args!("{name} {value}"));
    }
    let process = options.process.as_ref().map(|process| process.metrics());
    for Metric { name, kind, value } in process.unwrap_or_default() {
        head(&mut text, name, kind.as_str());
        line(&mut text, format_args!("{name} {value}"));
    }
    Answer::metrics(text)
}

fn render(cluster: &str, topics: &[TopicStats]) -> String {
    let mut text = String::new();
    let cluster = escaped(cluster);
    let mut per_namespace: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in topics {
        *per_namespace.entry(topic.topic.namespace().as_str()).or_default() += 1;
    }
    head(&mut text, "pulsar_topics_count", "gauge");
    for (namespace, topics) in per_namespace {
        line(
            &mut text,
            format_args!(
                "pulsar_topics_count{{cluster=\"{cluster}\",namespace=\"{namespace}\"}} {topics}"
            ),
        );
    }
    broker_totals(&mut text, &cluster, topics);
    for family in TOPIC {
        head(&mut text, family.name, family.kind);
        for topic in topics {
            let labels = labels(&cluster, topic);
            let (name, value) = (family.name, (family.value)(topic));
            line(&mut text, format_args!("{name}{{{labels}}} {value}"));
        }
    }
    for family in SUBSCRIPTION {
        head(&mut text, family.name, family.kind);
        for topic in topics {
            let labels = labels(&cluster, topic);
            for found in &topic.subscriptions {
                let (name, value) = (family.name, (family.value)(found));
                let subscription = escaped(&found.name);
                line(
                    &mut text,
                    format_args!("{name}{{{labels},subscription=\"{subscription}\"}} {value}"),
                );
            }
        }
    }
    text
}

fn broker_totals(text: &mut String, cluster: &str, topics: &[TopicStats]) {
    let totals = [
        ("pulsar_broker_topics_count", topics.len()),
        ("pulsar_broker_subscriptions_count", topics.iter().map(|t| t.subscriptions.len()).sum()),
        ("pulsar_broker_producers_count", topics.iter().map(|t| t.publishers.len()).sum()),
        ("pulsar_broker_consumers_count", topics.iter().map(consumers).sum()),
    ];
    for (name, total) in totals {
        head(text, name, "gauge");
        line(text, format_args!("{name}{{cluster=\"{cluster}\"}} {total}"));
    }
}

fn memory(text: &mut String, parts: &[MemoryUse]) {
    head(text, "geminga_memory_budget_bytes", "gauge");
    for MemoryUse { name, budget_bytes, .. } in parts {
        line(text, format_args!("geminga_memory_budget_bytes{{budget=\"{name}\"}} {budget_bytes}"));
    }
    head(text, "geminga_memory_used_bytes", "gauge");
    for MemoryUse { name, used_bytes, .. } in parts {
        line(text, format_args!("geminga_memory_used_bytes{{budget=\"{name}\"}} {used_bytes}"));
    }
}

fn labels(cluster: &str, topic: &TopicStats) -> String {
    let namespace = topic.topic.namespace();
    let name = escaped(&topic.topic.to_string());
    format!("cluster=\"{cluster}\",namespace=\"{namespace}\",topic=\"{name}\"")
}

fn head(text: &mut String, name: &str, kind: &str) {
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    _ = writeln!(text, "{arguments}"); // A String takes everything.
}

fn consumers(topic: &TopicStats) -> usize {
    topic.subscriptions.iter().map(|found| found.consumers.len()).sum()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating point only")]
const fn number(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating point only")]
const fn count(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
