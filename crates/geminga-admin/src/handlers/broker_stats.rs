//! What a broker does, as `pulsar-admin broker-stats` asks for it.

use std::collections::{BTreeMap, BTreeSet};

use geminga_admin_model::{LoadReport, MonitoringMetrics, ResourceUsage, TopicStats};
use geminga_broker::{AdminError, Broker, MemoryUse};

use super::{Answered, brokers::bundles_in_use};
use crate::{Options, answer::Answer, request::Request, stats};

/// Numbers of the process and its memory; those of topics are in `/metrics`.
pub(super) fn metrics(broker: &Broker, options: &Options) -> Answer {
    let own = options.process.as_ref().map(|process| process.metrics()).unwrap_or_default();
    let mut metrics: BTreeMap<String, u64> =
        own.into_iter().map(|metric| (metric.name.to_owned(), metric.value)).collect();
    for MemoryUse { name, budget_bytes, used_bytes } in broker.memory() {
        metrics.insert(format!("geminga_memory_budget_bytes_{name}"), budget_bytes);
        metrics.insert(format!("geminga_memory_used_bytes_{name}"), used_bytes);
    }
    let cluster = broker.options().cluster.clone();
    let dimensions = BTreeMap::from([("cluster".to_owned(), cluster)]);
    Answer::json(&[MonitoringMetrics { metrics, dimensions }])
}

/// Stats of loaded topics, by namespace, bundle, domain and topic.
pub(super) async fn topics(broker: &Broker) -> Answered {
    type OfDomain = BTreeMap<String, TopicStats>;
    type OfNamespace = BTreeMap<String, BTreeMap<String, OfDomain>>;
    let mut all: BTreeMap<String, OfNamespace> = BTreeMap::new();
    for found in broker.all_topic_stats().await {
        let Ok(bundle) = broker.bundle(&found.topic).await else { continue }; // It was deleted now.
        let namespace = all.entry(found.topic.namespace().to_string()).or_default();
        let of_bundle = namespace.entry(bundle.to_string()).or_default();
        let of_domain = of_bundle.entry(found.topic.domain().to_string()).or_default();
        of_domain.insert(found.topic.to_string(), stats::topic(&found));
    }
    Ok(Answer::json(&all))
}

/// What a load balancer would go by.
pub(super) async fn load_report(broker: &Broker, options: &Options) -> Answered {
    let advertised = &broker.options().advertised;
    let bundles: BTreeSet<String> = bundles_in_use(broker).await.into_keys().collect();
    let mut report = LoadReport {
        load_report_type: "LocalBrokerData".to_owned(),
        web_service_url: Some(advertised.http_url.clone()),
        web_service_url_tls: advertised.http_url_tls.clone(),
        pulsar_service_url: Some(advertised.broker_url.clone()),
        pulsar_service_url_tls: advertised.broker_url_tls.clone(),
        persistent_topics_enabled: broker.options().domains.persistent,
        non_persistent_topics_enabled: broker.options().domains.nonpersistent,
        last_update: broker.env().clock.wall().0,
        num_bundles: bundles.len() as u64,
        bundles,
        broker_version_string: options.version.clone(),
        ..LoadReport::default()
    };
    let memory = broker.memory();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    report.memory = ResourceUsage {
        usage: mib(memory.iter().map(|part| part.used_bytes).sum()),
        limit: mib(memory.iter().map(|part| part.budget_bytes).sum()),
    };
    for topic in broker.all_topic_stats().await {
        report.num_topics += 1;
        report.num_producers += topic.publishers.len() as u64;
        let consumers = topic.subscriptions.iter().map(|found| found.consumers.len() as u64);
        report.num_consumers += consumers.sum::<u64>();
        report.msg_rate_in += topic.message_rate_in;
        report.msg_rate_out += topic.message_rate_out;
        report.msg_throughput_in += topic.byte_rate_in;
        report.msg_throughput_out += topic.byte_rate_out;
    }
    Ok(Answer::json(&report))
}

/// Netty's, which is not here. Pulsar too answers an allocator that it has not with 406.
pub(super) fn allocator(request: &Request) -> Answered {
    Err(AdminError::OutOfRange(format!(
        "Allocator {} is not one of this broker, which has none but the process's: its memory is in \
         broker-stats/metrics",
        request.part(0)
    ))
    .into())
}

/// Pulsar's load managers of today refuse it as well.
pub(super) fn availability() -> Answered {
    let message = "This broker's load manager does not support this operation";
    Err(AdminError::Conflict(message.to_owned()).into())
}

/// Writes to bookies that wait are not counted by topic.
pub(super) fn bookie_operations() -> Answered {
    let message = "Operations that wait for bookies are not counted by topic: see /metrics";
    Err(AdminError::NotAllowed(message.to_owned()).into())
}

/// There is no JVM, so it has no beans.
pub(super) fn beans() -> Answer {
    Answer::json::<[MonitoringMetrics; 0]>(&[])
}
