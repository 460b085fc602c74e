//! What a broker does, as `pulsar-admin broker-stats` asks for it.

mod topics;

use std::collections::{BTreeMap, BTreeSet};

use geminga_admin_model::{LoadReport, MonitoringMetrics, ResourceUsage};
use geminga_broker::{AdminError, Broker, MemoryUse, RowDetail};

use super::{Answered, brokers::bundles_in_use};
use crate::{Metric, Options, answer::Answer, request::Request};
pub(super) use topics::topics;

/// Numbers of the process and its memory; those of topics are in `/metrics`.
pub(super) fn metrics(broker: &Broker, options: &Options) -> Answer {
    let own = options.process.as_ref().map(|process| process.metrics()).unwrap_or_default();
    let mut metrics: BTreeMap<String, u64> =
        own.into_iter().map(|metric| (name_of(&metric), whole(metric.value))).collect();
    for MemoryUse { name, budget_bytes, used_bytes } in broker.memory() {
        metrics.insert(format!("geminga_memory_budget_bytes_{name}"), budget_bytes);
        metrics.insert(format!("geminga_memory_used_bytes_{name}"), used_bytes);
    }
    let cluster = broker.options().cluster.clone();
    let dimensions = BTreeMap::from([("cluster".to_owned(), cluster)]);
    Answer::json(&[MonitoringMetrics { metrics, dimensions }])
}

/// A number's name, with its labels if it has some.
fn name_of(metric: &Metric) -> String {
    match metric.labels {
        "" => metric.name.to_owned(),
        labels => format!("{}{{{labels}}}", metric.name),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clients read whole numbers here"
)]
const fn whole(value: f64) -> u64 {
    value as u64
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
    let all = broker.survey(RowDetail::default()).await.total();
    report.num_topics = all.topics;
    report.num_producers = all.producers;
    report.num_consumers = all.consumers;
    report.msg_rate_in = all.message_rate_in;
    report.msg_rate_out = all.message_rate_out;
    report.msg_throughput_in = all.byte_rate_in;
    report.msg_throughput_out = all.byte_rate_out;
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
