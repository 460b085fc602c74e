//! Labels, as Prometheus' text has them.

use geminga_types::TopicName;

/// A label's value.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// `cluster="…"`.
pub(super) fn of_cluster(cluster: &str) -> String {
    format!("cluster=\"{}\"", escaped(cluster))
}

/// `broker="…",metric="…"`, of which the first is the host of the broker's URL.
pub(super) fn of_connections(broker_url: &str) -> String {
    let host = broker_url.split("://").last().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    format!("broker=\"{}\",metric=\"broker_connection\"", escaped(host))
}

/// `cluster="…",namespace="…/persistent"`: what a managed ledger has for a namespace.
pub(super) fn of_managed_ledgers(cluster: &str, namespace: &str) -> String {
    format!("{cluster},namespace=\"{}/persistent\"", escaped(namespace))
}

/// `cluster="…",namespace="…"`.
pub(super) fn of_namespace(cluster: &str, namespace: &str) -> String {
    format!("{cluster},namespace=\"{}\"", escaped(namespace))
}

/// `cluster="…",namespace="…",topic="…"`, and `partition="…"` if that is split off: −1 for none.
pub(super) fn of_topic(cluster: &str, topic: &TopicName, splits_partition: bool) -> String {
    let namespace = of_namespace(cluster, topic.namespace().as_str());
    if !splits_partition {
        return format!("{namespace},topic=\"{}\"", escaped(&topic.to_string()));
    }
    let base = escaped(&topic.without_partition().to_string());
    match topic.partition() {
        Some(index) => format!("{namespace},topic=\"{base}\",partition=\"{index}\""),
        None => format!("{namespace},topic=\"{base}\",partition=\"-1\""),
    }
}
